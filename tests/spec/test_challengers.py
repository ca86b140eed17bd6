"""The challengers: fair, the same for the same seed, and probabilities whatever the rows hold."""

from __future__ import annotations

import dataclasses
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import training.baselines
import training.ebm
from features.definition import Feature, Group, Measure, Text
from features.unit import Unit
from models.calibration import Calibration
from training.baselines import ALL_LOGISTIC, BEST_SINGLE, INCOME_LOGISTIC, baselines
from training.challengers import (
    ALL,
    EBM,
    ONE_LIGHTGBM,
    ChallengersRefused,
    candidates,
    challengers,
    champion_probability,
    one_lightgbm,
)
from training.ebm import ebm_probability, some_households
from training.sample import Sample

N = 3_000


def feature(name: str, group: Group) -> Feature:
    return Feature(name, Text(name, name), group, Measure.SUM, Unit.MONEY, codes=("CLM//*",))


FEATURES = [
    feature("pay", Group.INCOME),
    feature("age", Group.HOUSEHOLD),
    feature("noise", Group.MEDICAL),
    feature("never_known", Group.EDUCATION),
    feature("constant", Group.EDUCATION),
]


def sample(n: int = N, seed: int = 1, households: int | None = None) -> Sample:
    """Risk is high at both ends of `age`, which no straight line can tell, and when `pay` is unknown."""
    rng = np.random.default_rng(seed)
    pay, age, noise = rng.lognormal(10, 1, n), rng.uniform(20, 80, n), rng.normal(0, 1, n)
    unknown = rng.random(n) < 0.15
    margin = -3.5 - 0.5 * (np.log(pay) - 10) + ((age - 50) / 13) ** 2 + 1.5 * unknown
    y = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(float)
    pay[unknown] = np.nan
    values = np.column_stack([pay, age, noise, np.full(n, np.nan), np.ones(n)])
    ids = [f"h{i}" for i in rng.integers(0, households or n, n)]
    return Sample(values, pd.DataFrame({"household_id": ids, "as_of": 0, "outcome": y}))


TRAIN, TEST = sample(), sample(seed=2)


@pytest.fixture(scope="module")
def found() -> training.baselines.Baselines:
    return challengers(TRAIN, TEST, FEATURES, seed=3)


def test_all_challengers_answer_every_row_with_a_probability(found: training.baselines.Baselines) -> None:
    assert tuple(found.probabilities) == ALL
    assert found.best_single_feature == "pay"
    for probability in found.probabilities.values():
        assert probability.shape == (N,)
        assert ((probability > 0) & (probability < 1)).all()
        assert probability.mean() == pytest.approx(TEST.outcome.mean(), abs=0.03)


def test_the_curved_models_see_what_lines_cannot(found: training.baselines.Baselines) -> None:
    y = TEST.outcome
    scores = {name: average_precision_score(y, p) for name, p in found.probabilities.items()}
    for curved in (EBM, ONE_LIGHTGBM):
        for straight in (BEST_SINGLE, INCOME_LOGISTIC, ALL_LOGISTIC):
            assert scores[curved] > scores[straight] + 0.1


def test_the_same_seed_gives_the_same_answers_and_each_stands_alone(found: training.baselines.Baselines) -> None:
    again = challengers(TRAIN, TEST, FEATURES, seed=3, which=(EBM, INCOME_LOGISTIC))
    assert tuple(again.probabilities) == (INCOME_LOGISTIC, EBM)
    for name, probability in again.probabilities.items():
        assert np.array_equal(probability, found.probabilities[name])
    assert again.best_single_feature == ""
    small = TRAIN.taken(np.arange(600))
    one, other = (one_lightgbm(small, TEST, seed) for seed in (3, 4))
    assert np.array_equal(one, one_lightgbm(small, TEST, 3))
    assert not np.array_equal(one, other)


def test_the_logistic_challengers_are_the_baselines(found: training.baselines.Baselines) -> None:
    told = baselines(
        TRAIN.values, TRAIN.outcome, TEST.values, FEATURES, 3, household_ids=TRAIN.rows["household_id"]
    ).probabilities
    for name, probability in told.items():
        assert np.array_equal(probability, found.probabilities[name])


def test_candidates_are_ordered_from_the_simplest_and_leave_out_income_where_there_is_none() -> None:
    offered = candidates(FEATURES)
    assert [candidate.name for candidate in offered] == list(ALL)
    assert [candidate.complexity for candidate in offered] == [0, 1, 2, 3, 4]
    assert INCOME_LOGISTIC not in {candidate.name for candidate in candidates(FEATURES[1:])}
    small = TRAIN.taken(np.arange(500))
    for candidate in candidates(FEATURES, (BEST_SINGLE, ONE_LIGHTGBM)):
        assert candidate.foretell(small, TEST.taken(np.arange(7)), 1).shape == (7,)


def test_progress_counts_the_challengers() -> None:
    seen: list[tuple[int, int]] = []
    small = TRAIN.taken(np.arange(400))
    challengers(small, small, FEATURES, 1, lambda done, total: seen.append((done, total)), (BEST_SINGLE, ALL_LOGISTIC))
    assert seen == [(1, 2), (2, 2)]


def test_the_ebm_is_silent_and_holds_out_whole_households(monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched:
        def fit(self, values: np.ndarray, outcome: np.ndarray, bags: np.ndarray) -> None:
            warnings.warn("Missing values detected. Our visualizations do not", stacklevel=1)
            given.append((values, bags))

        def predict_proba(self, asked: np.ndarray) -> np.ndarray:
            return np.full((len(asked), 2), 0.5)

    given: list[tuple[np.ndarray, np.ndarray]] = []
    monkeypatch.setattr(training.ebm, "_machine", lambda n_features, seed: Watched())
    learned = sample(households=400)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ebm_probability(learned.values, learned.outcome, learned.rows["household_id"], TEST.values, 1)
    [(values, bags)] = given
    assert values.shape == (N, 3)
    assert bags.shape == (N, 4)
    for bag in bags.T:
        sides = pd.DataFrame({"id": learned.rows["household_id"], "side": bag}).groupby("id")["side"]
        assert (sides.nunique() == 1).all()
        assert 0.08 < (sides.first() == -1).mean() < 0.22
    assert len({bag.tobytes() for bag in bags.T}) == 4


def test_above_the_cap_the_ebm_draws_whole_households(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = sample(households=400).rows["household_id"]
    drawn = some_households(ids, 1_000, "ebm/1")
    assert 980 <= len(drawn) <= 1_000
    inside = set(ids.iloc[drawn])
    assert set(np.flatnonzero(ids.isin(inside))) == set(drawn)
    order = np.random.default_rng(0).permutation(N)
    assert set(ids.iloc[order].iloc[some_households(ids.iloc[order], 1_000, "ebm/1")]) == inside
    monkeypatch.setattr(training.ebm, "MOST_ROWS", 900)
    told = ebm_probability(TRAIN.values, TRAIN.outcome, TRAIN.rows["household_id"], TEST.values, 1)
    assert roc_auc_score(TEST.outcome, told) > 0.7


@pytest.mark.parametrize(
    "values", [np.full((N, 2), np.nan), np.ones((N, 2))], ids=["nothing is known", "nothing differs"]
)
def test_rows_that_say_nothing_have_the_base_rate(values: np.ndarray) -> None:
    told = ebm_probability(values, TRAIN.outcome, TRAIN.rows["household_id"], values[:5], 1)
    assert told.tolist() == [TRAIN.outcome.mean()] * 5


def test_with_too_few_households_of_an_outcome_the_ebm_says_the_base_rate() -> None:
    outcome = np.zeros(N)
    outcome[:9] = 1.0
    told = ebm_probability(TRAIN.values, outcome, TRAIN.rows["household_id"], TEST.values, 1)
    assert np.array_equal(told, np.full(N, 9 / N))


def test_a_large_test_side_is_read_in_blocks_with_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    train = TRAIN.taken(np.arange(800))
    whole = challengers(train, TEST, FEATURES, 1, which=(ALL_LOGISTIC,)).probabilities[ALL_LOGISTIC]
    monkeypatch.setattr(training.baselines, "BLOCK_ROWS", 700)
    blocks = challengers(train, TEST, FEATURES, 1, which=(ALL_LOGISTIC,)).probabilities[ALL_LOGISTIC]
    np.testing.assert_allclose(blocks, whole, rtol=1e-12)


def test_the_champion_says_its_base_rate_where_it_never_learned_an_unknown() -> None:
    asked: list[Any] = []
    margins = np.array([-2.0, 0.0, 1.0])
    model = SimpleNamespace(
        unlearned_unknowns=lambda values: np.isnan(values[:, 0]), margins=lambda values: margins[: len(values)]
    )
    bundle: Any = SimpleNamespace(
        catalogue="its own", model=model, calibration=Calibration(1.0, 0.0, 9, 9, {"hill": 1.0}), base_rate=0.07
    )

    def values_of(catalogue: Any) -> np.ndarray:
        asked.append(catalogue)
        return np.array([[1.0], [np.nan], [2.0]])

    told = champion_probability(bundle, values_of)
    assert asked == ["its own"]
    assert told.probability.tolist() == pytest.approx([1 / (1 + np.exp(2)), 0.07, 1 / (1 + np.exp(-1))])
    assert told.n_at_base_rate == 1
    moved = champion_probability(bundle, values_of, np.array(["hill", "hill", "dale"], object))
    assert moved.probability.tolist() == pytest.approx([1 / (1 + np.exp(1)), 0.07, 1 / (1 + np.exp(-1))])


def test_what_cannot_be_learned_from_is_refused() -> None:
    with pytest.raises(ChallengersRefused, match="no challenger oracle; known are best_single_feature"):
        candidates(FEATURES, ("oracle",))
    with pytest.raises(ChallengersRefused, match="test rows have 5 values, but there are 4 features"):
        challengers(dataclasses.replace(TRAIN, values=TRAIN.values[:, 1:]), TEST, FEATURES[1:], 1)
    same = TRAIN.taken(np.flatnonzero(TRAIN.outcome == 0.0))
    with pytest.raises(ChallengersRefused, match="both outcomes"):
        challengers(same, TEST, FEATURES, 1)
    with pytest.raises(ValueError, match="rows and features must agree"):
        ebm_probability(TRAIN.values, TRAIN.outcome[:5], TRAIN.rows["household_id"], TEST.values, 1)
