"""Baselines: learned on the training rows only, unknown values never read as zero."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

import training.baselines
from features.definition import Feature, Group, Measure, Text
from features.unit import Unit
from training.baselines import ALL_LOGISTIC, BEST_SINGLE, INCOME_LOGISTIC, Baselines, baselines

N = 4_000


def feature(name: str, group: Group) -> Feature:
    return Feature(name, Text(name, name), group, Measure.SUM, Unit.MONEY, codes=("CLM//*",))


FEATURES = [
    feature("pay", Group.INCOME),
    feature("bills", Group.MEDICAL),
    feature("noise", Group.MEDICAL),
    feature("nothing", Group.EDUCATION),
]


def households(n: int = N, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Pay protects strongly, bills harm less, noise does neither, and the last column is never known."""
    rng = np.random.default_rng(seed)
    pay, bills, noise = rng.lognormal(10, 1, n), rng.lognormal(7, 1.5, n), rng.normal(0, 1, n)
    margin = -3 - 1.5 * (np.log(pay) - 10) + 0.4 * (np.log(bills) - 7)
    outcome = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(float)
    values = np.column_stack([pay, bills, noise, np.full(n, np.nan)])
    values[rng.random(n) < 0.2, 0] = np.nan
    values[rng.random(n) < 0.1, 1] = np.nan
    return values, outcome


def fitted(**change: np.ndarray) -> tuple[Baselines, np.ndarray]:
    (train, y), (test, test_y) = households(), households(seed=2)
    told = {"train_values": train, "train_outcome": y, "test_values": test} | change
    return baselines(**told, features=FEATURES, seed=0), test_y


def test_the_best_single_feature_is_named_and_ranks_the_test_rows_in_its_learned_direction() -> None:
    found, y = fitted()
    assert found.best_single_feature == "pay"
    test, _ = households(seed=2)
    known = ~np.isnan(test[:, 0])
    own = roc_auc_score(y[known], -test[known, 0])
    assert own > 0.7
    assert roc_auc_score(y[known], found.probabilities[BEST_SINGLE][known]) == pytest.approx(own, abs=2e-3)


def test_the_direction_comes_from_training_even_where_the_test_says_otherwise() -> None:
    _, y = households(seed=2)
    found, _ = fitted(train_outcome=1.0 - households()[1])
    assert roc_auc_score(y, found.probabilities[BEST_SINGLE]) < 0.35


def test_an_unknown_value_stands_with_the_median_household_not_with_zero() -> None:
    train, _ = households()
    median = np.nanmedian(train[:, 0])
    asked = np.array([[np.nan, 1_000, 0, np.nan], [median, 1_000, 0, np.nan], [0.0, 1_000, 0, np.nan]])
    unknown, at_median, at_zero = fitted(test_values=asked)[0].probabilities[BEST_SINGLE]
    assert unknown == at_median
    assert at_zero > 2 * unknown


def test_the_logistic_models_use_their_features_and_are_calibrated() -> None:
    found, y = fitted()
    income, everything = (roc_auc_score(y, found.probabilities[name]) for name in (INCOME_LOGISTIC, ALL_LOGISTIC))
    assert everything > income + 0.01 > 0.7
    assert found.probabilities[ALL_LOGISTIC].mean() == pytest.approx(y.mean(), abs=0.01)
    test, _ = households(seed=2)
    test[:, 1:] = 0.0
    assert np.array_equal(
        fitted(test_values=test)[0].probabilities[INCOME_LOGISTIC], found.probabilities[INCOME_LOGISTIC]
    )
    assert not np.array_equal(
        fitted(test_values=test)[0].probabilities[ALL_LOGISTIC], found.probabilities[ALL_LOGISTIC]
    )


def test_the_logistic_learns_from_the_mark_that_a_value_is_unknown() -> None:
    rng = np.random.default_rng(3)
    y = (rng.random(N) < 0.2).astype(float)
    values = np.tile(rng.normal(5, 1, N)[:, np.newaxis], (1, 4))
    values[(y == 1) & (rng.random(N) < 0.8), 1] = np.nan
    found = baselines(values, y, values, FEATURES, seed=0)
    assert roc_auc_score(y, found.probabilities[ALL_LOGISTIC]) > 0.85


def test_every_answer_is_a_probability_whatever_the_test_rows_hold() -> None:
    extreme = np.array([[1e12, -1e12, 1e300, np.nan], [np.nan] * 4, [0.0, 0.0, 0.0, 5.0]])
    found, _ = fitted(test_values=extreme)
    assert set(found.probabilities) == {BEST_SINGLE, INCOME_LOGISTIC, ALL_LOGISTIC}
    for probability in found.probabilities.values():
        assert probability.shape == (3,)
        assert ((probability > 0) & (probability < 1)).all()


def test_without_income_features_there_is_no_income_model() -> None:
    train, y = households()
    found = baselines(train[:, 1:], y, train[:, 1:], FEATURES[1:], seed=0)
    assert set(found.probabilities) == {BEST_SINGLE, ALL_LOGISTIC}
    assert found.best_single_feature == "bills"


def test_the_same_seed_gives_the_same_answer_on_a_drawn_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.baselines, "MOST_ROWS", 500)
    (train, y), (test, _) = households(), households(seed=2)
    one, again, other = (baselines(train, y, test, FEATURES, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.probabilities[ALL_LOGISTIC], again.probabilities[ALL_LOGISTIC])
    assert not np.array_equal(one.probabilities[ALL_LOGISTIC], other.probabilities[ALL_LOGISTIC])


def test_the_penalty_is_chosen_on_whole_households() -> None:
    # Every household has the same row at eight moments and 120 columns of noise: folds that tear households apart
    # reward learning the training households by heart.
    rng = np.random.default_rng(5)
    signal, noise = rng.normal(0, 1, 700), rng.normal(0, 1, (700, 120))
    outcome = (rng.random(700) < 1 / (1 + np.exp(2 - signal))).astype(float)
    values = np.column_stack([signal, noise])
    features = [feature("signal", Group.INCOME)] + [feature(f"noise_{i}", Group.MEDICAL) for i in range(120)]
    train, test = np.repeat(values[:350], 8, axis=0), values[350:]
    y, ids = np.repeat(outcome[:350], 8), np.repeat([f"h{i}" for i in range(350)], 8)
    whole = baselines(train, y, test, features, 0, household_ids=ids).probabilities[ALL_LOGISTIC]
    torn = baselines(train, y, test, features, 0).probabilities[ALL_LOGISTIC]
    assert log_loss(outcome[350:], whole) < log_loss(outcome[350:], torn) - 0.05
    with pytest.raises(ValueError, match="2800 training rows have 3 household ids"):
        baselines(train, y, test, features, 0, household_ids=["a", "b", "c"])


def test_rows_beyond_the_tuning_part_are_left_out_of_the_folds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    (train, y), (test, test_y) = households(), households(seed=2)
    monkeypatch.setattr(training.baselines, "MOST_TUNING_ROWS", 300)
    found = baselines(train, y, test, FEATURES, seed=0).probabilities[ALL_LOGISTIC]
    assert roc_auc_score(test_y, found) > 0.75


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"train_outcome": np.zeros(N)}, "both outcomes"),
        ({"train_outcome": np.zeros(3)}, "4000 training rows have 3 outcomes"),
        ({"test_values": np.zeros((5, 2))}, "there are 4 features"),
    ],
)
def test_input_that_cannot_be_learned_from_is_refused(change: dict[str, np.ndarray], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        fitted(**change)
