"""Contributions are exact: they equal SHAP's own, add up to the score, and survive the model file."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shap

from features.dataset import read_dataset
from features.intake import admitted
from features.matrix import Matrix, matrix, stacked
from features.window import as_of_moment
from models.boosted import SMALL_CALL_ROWS, BoostedModel
from models.bundle import MODEL, Bundle
from models.explanation import NOT_KNOWN, Explanation, ExplanationFailed, explain
from training.rows import history_of


@pytest.fixture(scope="module")
def vectors(tiny_county: Path, opened_bundle: Bundle) -> Matrix:
    read = admitted(read_dataset(tiny_county), opened_bundle.catalogue)
    made = history_of(read, opened_bundle.catalogue)
    days = ("2020-06-30", "2022-11-30")
    return stacked([matrix(made, as_of_moment(day, opened_bundle.time_zone)) for day in days])


@pytest.fixture(scope="module")
def explanation(vectors: Matrix, opened_bundle: Bundle) -> Explanation:
    return explain(opened_bundle, vectors.values, vectors.unknown)


def test_they_equal_the_values_that_shap_computes_itself(vectors: Matrix, opened_bundle: Bundle) -> None:
    explainer = shap.TreeExplainer(opened_bundle.model.booster)
    # Left to itself, SHAP asks LightGBM for the values; its own code walks the trees of a model it calls internal.
    explainer.model.model_type = "internal"
    theirs = np.asarray(explainer.shap_values(vectors.values, check_additivity=False))
    ours, base = opened_bundle.model.contributions(vectors.values)
    assert theirs.shape == ours.shape == (1_200, len(opened_bundle.catalogue.features))
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
        sums = explanation.groups(opened_bundle, row)
        assert set(sums) <= {*groups, NOT_KNOWN}
        assert abs(explanation.base[row] + sum(sums.values()) - explanation.log_odds[row]) < 1e-6
        of_unknown = explanation.contributions[row, explanation.unknown[row]].sum()
        assert sums.get(NOT_KNOWN, 0.0) == pytest.approx(of_unknown, abs=1e-12)


def test_one_row_alone_has_the_same_bits_as_among_many(vectors: Matrix, opened_bundle: Bundle) -> None:
    assert len(vectors.values) > SMALL_CALL_ROWS
    margins = opened_bundle.model.margins(vectors.values)
    contributions, _ = opened_bundle.model.contributions(vectors.values)
    for row in range(0, len(margins), 10):
        alone = vectors.values[row : row + 1]
        assert opened_bundle.model.margins(alone).tobytes() == margins[row : row + 1].tobytes()
        assert opened_bundle.model.contributions(alone)[0].tobytes() == contributions[row : row + 1].tobytes()


CHILD = """
import sys
import lightgbm as lgb
import numpy as np
booster = lgb.Booster(model_file=sys.argv[1])
values = np.load(sys.argv[2])
np.save(sys.argv[3], np.c_[booster.predict(values, raw_score=True), booster.predict(values, pred_contrib=True)])
"""


def test_the_model_file_gives_the_same_bits_in_another_process(
    vectors: Matrix, opened_bundle: Bundle, tiny_bundle: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "values.npy", vectors.values)
    paths = [str(tiny_bundle / MODEL), str(tmp_path / "values.npy"), str(tmp_path / "found.npy")]
    subprocess.run([sys.executable, "-P", "-c", CHILD, *paths], check=True, timeout=120)
    found = np.load(tmp_path / "found.npy")
    contributions, base = opened_bundle.model.contributions(vectors.values)
    ours = np.c_[opened_bundle.model.margins(vectors.values), contributions, base]
    assert found.tobytes() == ours.tobytes()


def test_no_number_leaves_when_the_sum_is_not_the_score(
    vectors: Matrix, opened_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = BoostedModel.contributions

    def off_by(difference: float) -> object:
        def contributions(model: BoostedModel, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def test_contributions_are_on_the_calibrated_scale(vectors: Matrix, opened_bundle: Bundle) -> None:
    steeper = replace(
        opened_bundle, calibration=replace(opened_bundle.calibration, slope=opened_bundle.calibration.slope * 2)
    )
    few, unknown = vectors.values[:50], vectors.unknown[:50]
    one, other = explain(opened_bundle, few, unknown), explain(steeper, few, unknown)
    assert np.allclose(other.contributions, 2 * one.contributions, rtol=1e-12, atol=0)
    assert np.allclose(other.base + other.contributions.sum(axis=1), other.log_odds, rtol=0, atol=1e-9)
