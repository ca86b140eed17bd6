"""Contributions are exact: they equal SHAP's own, add up to the score, and survive the model file."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import lightgbm as lgb
import numpy as np
import pytest
import shap

from features.dataset import read_dataset
from features.intake import admitted
from features.matrix import matrix, stacked
from features.window import as_of_moment
from models.boosted import SMALL_CALL_ROWS, BoostedModel, NotAdditive, UnknownNeverLearned
from models.bundle import MODEL, Bundle
from models.explanation import NOT_KNOWN, Explanation, ExplanationFailed, explain
from training.rows import dataset_history


class Rows(NamedTuple):
    """Households that are scored: none is unknown where the model never learned it."""

    values: np.ndarray
    unknown: np.ndarray


@pytest.fixture(scope="module")
def vectors(tiny_county: Path, opened_bundle: Bundle) -> Rows:
    read = admitted(read_dataset(tiny_county), opened_bundle.catalogue)
    made = dataset_history(read, opened_bundle.catalogue)
    days = ("2020-06-30", "2022-11-30")
    all_rows = stacked([matrix(made, as_of_moment(day, opened_bundle.time_zone)) for day in days])
    scored = ~opened_bundle.model.unlearned_unknowns(all_rows.values)
    assert 1_000 < scored.sum() < len(scored)
    return Rows(all_rows.values[scored], all_rows.unknown[scored])


@pytest.fixture(scope="module")
def explanation(vectors: Rows, opened_bundle: Bundle) -> Explanation:
    return explain(opened_bundle, vectors.values, vectors.unknown)


def test_they_equal_the_values_that_shap_computes_itself(vectors: Rows, opened_bundle: Bundle) -> None:
    explainer = shap.TreeExplainer(opened_bundle.model.booster)
    # Left to itself, SHAP asks LightGBM for the values; its own code walks the trees of a model it calls internal.
    explainer.model.model_type = "internal"
    theirs = np.asarray(explainer.shap_values(vectors.values, check_additivity=False))
    ours, base = opened_bundle.model.contributions(vectors.values)
    assert theirs.shape == ours.shape == (len(vectors.values), len(opened_bundle.catalogue.features))
    assert opened_bundle.model.explained_by == "quadrature"
    assert np.abs(theirs - ours).max() < 1e-9
    assert np.abs(base - explainer.expected_value).max() < 1e-9
    assert np.abs(ours).max() > 0.1


def test_they_add_up_to_the_log_odds_of_every_household(explanation: Explanation, opened_bundle: Bundle) -> None:
    sums = explanation.base + explanation.contributions.sum(axis=1)
    assert np.abs(sums - explanation.log_odds).max() < 1e-6
    log_odds = np.log(explanation.probability / (1 - explanation.probability))
    assert np.abs(sums - log_odds).max() < 1e-6
    assert np.ptp(explanation.log_odds) > 0.5


def test_the_domains_add_up_and_what_is_not_known_is_a_domain_of_its_own(
    explanation: Explanation, opened_bundle: Bundle
) -> None:
    groups = {feature.group.value for feature in opened_bundle.catalogue.features}
    for row in range(len(explanation.base)):
        sums = explanation.groups(row)
        assert set(sums) <= {*groups, NOT_KNOWN}
        assert abs(explanation.base[row] + sum(sums.values()) - explanation.log_odds[row]) < 1e-6
        of_unknown = explanation.contributions[row, explanation.unknown[row]].sum()
        assert sums.get(NOT_KNOWN, 0.0) == pytest.approx(of_unknown, abs=1e-12)


def test_one_row_alone_has_the_same_bits_as_among_many(vectors: Rows, opened_bundle: Bundle) -> None:
    assert len(vectors.values) > SMALL_CALL_ROWS
    margins = opened_bundle.model.margins(vectors.values)
    contributions, _ = opened_bundle.model.contributions(vectors.values)
    for row in range(0, len(margins), 10):
        alone = vectors.values[row : row + 1]
        assert opened_bundle.model.margins(alone).tobytes() == margins[row : row + 1].tobytes()
        assert opened_bundle.model.contributions(alone)[0].tobytes() == contributions[row : row + 1].tobytes()


def test_any_batch_in_any_order_has_the_same_bits(vectors: Rows, opened_bundle: Bundle) -> None:
    contributions, _ = opened_bundle.model.contributions(vectors.values)
    order = np.random.default_rng(5).permutation(len(vectors.values))
    for size in (2, 7, 8, 9, 64):
        batch = order[:size]
        found, _ = opened_bundle.model.contributions(vectors.values[batch])
        assert found.tobytes() == contributions[batch].tobytes()


CHILD = """
import sys
from pathlib import Path
import numpy as np
from models.boosted import BoostedModel
text, values, target = sys.argv[1:]
values = np.load(values)
columns = values.shape[1]
names = next(line for line in Path(text).read_text().splitlines() if line.startswith("feature_names="))
model = BoostedModel.from_text(Path(text).read_text(), tuple(names.split("=")[1].split()), np.ones(columns, np.bool_))
np.save(target, np.c_[model.margins(values), *model.contributions(values)])
"""


def test_the_model_file_gives_the_same_bits_in_another_process(
    vectors: Rows, opened_bundle: Bundle, tiny_bundle: Path, tmp_path: Path
) -> None:
    # Ten thousand rows of values that occur, in combinations that do not.
    drawn = np.random.default_rng(5).integers(len(vectors.values), size=(10_000, vectors.values.shape[1]))
    values = np.take_along_axis(vectors.values, drawn, axis=0)
    np.save(tmp_path / "values.npy", values)
    paths = [str(tiny_bundle / MODEL), str(tmp_path / "values.npy"), str(tmp_path / "found.npy")]
    subprocess.run([sys.executable, "-P", "-c", CHILD, *paths], check=True, timeout=120)
    found = np.load(tmp_path / "found.npy")
    contributions, base = opened_bundle.model.contributions(values)
    margins = opened_bundle.model.margins(values)
    assert np.abs(base + contributions.sum(axis=1) - margins).max() <= 1e-9
    ours = np.c_[margins, contributions, base]
    assert found.tobytes() == ours.tobytes()


def test_no_number_leaves_when_the_sum_is_not_the_score(
    vectors: Rows, opened_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = BoostedModel.contributions

    def off_by(difference: float) -> object:
        def contributions(model: BoostedModel, values: np.ndarray, **told: object) -> tuple[np.ndarray, np.ndarray]:
            found, base = real(model, values)
            found[len(found) // 2, 0] += difference
            return found, base

        return contributions

    for wrong in (1e-4, float("nan")):
        monkeypatch.setattr(BoostedModel, "contributions", off_by(wrong))
        with pytest.raises(ExplanationFailed, match="do not add up"):
            explain(opened_bundle, vectors.values, vectors.unknown)
    monkeypatch.setattr(BoostedModel, "contributions", off_by(1e-9))
    explain(opened_bundle, vectors.values, vectors.unknown)


def test_an_unknown_that_was_never_learned_is_named_and_not_explained(vectors: Rows, opened_bundle: Bundle) -> None:
    model = opened_bundle.model
    used = np.flatnonzero(model.booster.feature_importance("split"))
    learned, never = (next(int(c) for c in used if model.had_unknown[c] == had) for had in (True, False))
    values = vectors.values[:9].copy()
    values[4, learned] = np.nan
    model.contributions(values)
    values[4, never] = np.nan
    assert model.unlearned_unknowns(values).tolist() == [False] * 4 + [True] + [False] * 4
    with pytest.raises(UnknownNeverLearned, match=rf"training: {model.names[never]}$"):
        model.contributions(values)
    # LightGBM itself would score the row as if the unknown were 0.
    zeroed = values.copy()
    zeroed[4, never] = 0.0
    assert model.margins(values).tobytes() == model.margins(zeroed).tobytes()


def test_contributions_that_miss_the_margin_are_not_given_out(vectors: Rows, opened_bundle: Bundle) -> None:
    few = vectors.values[:9]
    margins = opened_bundle.model.margins(few)
    given, base = opened_bundle.model.contributions(few, margins=margins)
    assert np.abs(base + given.sum(axis=1) - margins).max() < 1e-12
    for wrong in (1e-8, float("nan")):
        off = margins.copy()
        off[3] += wrong * max(1.0, abs(off[3]))
        with pytest.raises(NotAdditive):
            opened_bundle.model.contributions(few, margins=off)


def test_trees_that_are_not_described_are_explained_by_lightgbm(opened_bundle: Bundle) -> None:
    rng = np.random.default_rng(2)
    values = np.c_[rng.integers(0, 6, 400), rng.normal(size=400)].astype(np.float64)
    categorical = lgb.Dataset(values, values[:, 0] % 2, categorical_feature=[0])
    booster = lgb.train(
        {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_per_group": 5}, categorical, 3
    )
    model = BoostedModel(booster, ("a", "b"), np.zeros(2, np.bool_))
    assert model.explained_by == "pred_contrib"
    given, base = model.contributions(values)
    assert np.array_equal(np.c_[given, base], booster.predict(values, pred_contrib=True))


def test_contributions_are_on_the_calibrated_scale(vectors: Rows, opened_bundle: Bundle) -> None:
    steeper = replace(
        opened_bundle, calibration=replace(opened_bundle.calibration, slope=opened_bundle.calibration.slope * 2)
    )
    few, unknown = vectors.values[:50], vectors.unknown[:50]
    one, other = explain(opened_bundle, few, unknown), explain(steeper, few, unknown)
    assert np.allclose(other.contributions, 2 * one.contributions, rtol=1e-12, atol=0)
    assert np.allclose(other.base + other.contributions.sum(axis=1), other.log_odds, rtol=0, atol=1e-9)
