"""Evaluation: each number against a plain computation or a library, on rows where the answer can be seen."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from training.evaluation import (
    auc_interval,
    by_moment,
    distance_to_truth,
    evaluate,
    evaluate_rows,
    reached,
    visits_at,
)


def forecasts(n: int = 6_000, seed: int = 1, slope: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes, and probabilities whose log-odds are the true ones times `slope` plus `shift`."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(-2.5, 1.2, n)
    outcome = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(float)
    return outcome, 1 / (1 + np.exp(-(slope * margin + shift)))


def rows_of(n_households: int, moments: int, seed: int = 1) -> pd.DataFrame:
    y, p = forecasts(n_households * moments, seed)
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "household_id": [f"h{i % n_households}" for i in range(len(y))],
            "as_of": [i // n_households for i in range(len(y))],
            "outcome": y,
            "probability": p,
            "formerly_poor": rng.random(len(y)) < 0.2,
            "treated_before_entry": rng.random(len(y)) < 0.3,
            "hazard": np.where(rng.random(len(y)) < 0.9, p, np.nan),
        }
    )


def test_scores_agree_with_scikit_learn() -> None:
    y, p = forecasts()
    found = evaluate(y, p)
    assert found["auc"] == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert found["average_precision"] == pytest.approx(average_precision_score(y, p), abs=1e-12)
    assert found["brier"] == pytest.approx(brier_score_loss(y, p), abs=1e-12)
    assert found["log_loss"] == pytest.approx(log_loss(y, p), abs=1e-12)
    assert (found["n"], found["positives"]) == (6_000, y.sum())


def test_the_base_rate_forecast_stands_beside_brier_and_log_loss() -> None:
    y, _ = forecasts()
    found = evaluate(y, np.full(len(y), y.mean()))
    assert found["brier"] == pytest.approx(found["brier_base"], abs=1e-12)
    assert found["log_loss"] == pytest.approx(found["log_loss_base"], abs=1e-12)
    assert found["auc"] == 0.5


def test_calibration_sees_a_wrong_level_and_a_wrong_slope() -> None:
    right = evaluate(*forecasts(60_000))
    assert right["calibration_slope"] == pytest.approx(1.0, abs=0.05)
    assert right["calibration_intercept"] == pytest.approx(0.0, abs=0.05)
    assert right["observed_expected"] == pytest.approx(1.0, abs=0.03)
    assert right["observed_expected_top_decile"] == pytest.approx(1.0, abs=0.05)
    overconfident = evaluate(*forecasts(60_000, slope=2.0))
    assert overconfident["calibration_slope"] == pytest.approx(0.5, abs=0.03)
    too_high = evaluate(*forecasts(60_000, shift=0.7))
    assert too_high["calibration_intercept"] == pytest.approx(-0.7, abs=0.05)
    assert too_high["observed_expected"] < 0.65
    assert too_high["calibration_slope"] == pytest.approx(1.0, abs=0.05)


def test_slope_and_intercept_are_the_maximum_of_the_likelihood() -> None:
    y, p = forecasts(3_000, slope=1.6, shift=-0.4)
    found = evaluate(y, p)
    margin = np.log(p / (1 - p))

    def loss(shift: float) -> float:
        return float(np.logaddexp(0, margin + shift).sum() - (y * (margin + shift)).sum())

    at_best = loss(found["calibration_intercept"])
    assert at_best < loss(found["calibration_intercept"] + 1e-3)
    assert at_best < loss(found["calibration_intercept"] - 1e-3)
    fitted = LogisticRegression(C=1e12, solver="lbfgs", max_iter=1_000, tol=1e-10).fit(margin[:, np.newaxis], y)
    assert found["calibration_slope"] == pytest.approx(fitted.coef_[0, 0], rel=1e-4)


def test_the_top_decile_shares_a_tie_at_its_edge() -> None:
    # Two visits: the .8 for sure, and one of the three at .5, of which two were affected.
    y = np.array([1, 1, 0, 1] + [0] * 16, float)
    p = np.array([0.8, 0.5, 0.5, 0.5] + [0.1] * 16)
    assert evaluate(y, p)["observed_expected_top_decile"] == pytest.approx((1 + 2 / 3) / 1.3)


def test_what_cannot_be_computed_is_left_out_and_never_zero() -> None:
    none_affected = evaluate(np.zeros(30), np.linspace(0.01, 0.3, 30))
    assert not {"auc", "average_precision", "recall_at_5pct", "calibration_slope"} & set(none_affected)
    assert none_affected["precision_at_5pct"] == 0.0
    assert all(math.isfinite(value) for value in none_affected.values())
    separated = evaluate([0.0] * 15 + [1.0] * 5, [0.1] * 15 + [0.4] * 5)
    assert separated["auc"] == 1.0
    assert "calibration_slope" not in separated
    certain = evaluate([0, 0, 1, 1], [0.0, 0.0, 0.0, 1.0])
    assert all(math.isfinite(value) for value in certain.values())
    assert "observed_expected" not in evaluate([0, 1], [0.0, 0.0])


@pytest.mark.parametrize(
    ("outcome", "probability", "problem"),
    [
        ([0, 1], [0.1], "one outcome per probability"),
        ([], [], "one outcome per probability"),
        ([0, np.nan], [0.1, 0.2], "row 1: the outcome"),
        ([0, 2], [0.1, 0.2], "row 1: the outcome"),
        ([0, 1], [np.nan, 0.2], "row 0: the probability"),
        ([0, 1], [0.2, 1.2], "row 1: the probability"),
    ],
)
def test_rows_that_cannot_be_judged_are_refused_by_number(outcome: list, probability: list, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        evaluate(outcome, probability)


def test_names_fit_a_tracker() -> None:
    found = evaluate_rows(rows_of(200, 5), resamples=5) | evaluate([0, 1], [0.1, 0.2], capacity=(0.025,))
    assert "recall_at_2_5pct" in found
    for name, value in found.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name), name
        assert isinstance(value, float), name


@pytest.mark.parametrize(("share", "n", "visits"), [(0.05, 60, 3), (0.07, 100, 7), (0.29, 100, 29), (0.02, 10, 1)])
def test_a_capacity_is_whole_visits_and_at_least_one(share: float, n: int, visits: int) -> None:
    assert visits_at(share, n) == visits


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_a_capacity_outside_the_possible_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="a share above 0"):
        visits_at(share, 100)


def test_visit_lists_are_made_per_moment() -> None:
    # At the first moment everybody looks riskier: a pooled list would spend all visits there.
    y = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], float)
    p = np.concatenate([np.linspace(0.9, 0.6, 10), np.linspace(0.5, 0.2, 10)])
    as_of = np.repeat([1, 2], 10)
    assert evaluate(y, p, (0.1,))["recall_at_10pct"] == 0.5
    assert by_moment(y, p, as_of, (0.1,)) == {
        "moments": 2.0, "recall_at_10pct_by_moment": 1.0, "precision_at_10pct_by_moment": 1.0,
    }  # fmt: skip
    assert by_moment(np.zeros(20), p, as_of, (0.1,)) == {"moments": 0.0}


def test_the_auc_interval_resamples_households_not_rows() -> None:
    y, p = forecasts(400, seed=4)
    ids = np.array([f"h{i}" for i in range(400)], object)
    once = auc_interval(y, p, ids, resamples=300)
    assert once["auc_low"] < roc_auc_score(y, p) < once["auc_high"]
    # Twelve identical rows a household are no further evidence; by row the interval would shrink by sqrt(12).
    repeated = auc_interval(np.repeat(y, 12), np.repeat(p, 12), np.repeat(ids, 12), resamples=300)
    assert repeated == pytest.approx(once, abs=1e-12)
    by_row = auc_interval(np.repeat(y, 12), np.repeat(p, 12), np.arange(4_800).astype(object), resamples=300)
    assert by_row["auc_high"] - by_row["auc_low"] < 0.4 * (once["auc_high"] - once["auc_low"])


def test_the_auc_interval_is_the_quantile_of_weighted_aucs() -> None:
    y, p = forecasts(120, seed=5)
    p = np.round(p, 2)
    ids = np.array([f"h{i % 50}" for i in range(120)], object)
    household = np.array([i % 50 for i in range(120)])
    rng = np.random.default_rng(9)
    slow = [
        roc_auc_score(y, p, sample_weight=np.bincount(rng.integers(50, size=50), minlength=50)[household])
        for _ in range(40)
    ]
    found = auc_interval(y, p, ids, resamples=40, seed=9)
    assert [found["auc_low"], found["auc_high"]] == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=1e-12)
    assert auc_interval(np.zeros(120), p, ids) == {}


def test_subsets_are_judged_on_their_own_rows() -> None:
    rows = rows_of(300, 6)
    found = evaluate_rows(rows, resamples=5)
    part = rows[rows["formerly_poor"]]
    for name, value in evaluate(part["outcome"], part["probability"]).items():
        assert found[f"formerly_poor_{name}"] == value
    assert found["treated_n"] + found["untreated_n"] == found["n"] == len(rows)
    without = evaluate_rows(rows.drop(columns=["treated_before_entry", "hazard"]), resamples=5)
    assert not [name for name in without if name.startswith(("treated", "untreated", "truth"))]


def test_the_distance_to_the_truth_is_taken_where_the_truth_is_known() -> None:
    rows = rows_of(2_000, 3)
    rng = np.random.default_rng(2)
    noisy = np.clip(rows["probability"] * np.exp(rng.normal(0, 0.8, len(rows))), 0, 0.99)
    found = distance_to_truth(rows["outcome"], noisy, rows["hazard"])
    known = rows["hazard"].notna()
    best = roc_auc_score(rows["outcome"][known], rows["hazard"][known])
    assert found["truth_auc"] == pytest.approx(best, abs=1e-12)
    assert found["auc_below_truth"] == pytest.approx(best - roc_auc_score(rows["outcome"][known], noisy[known]))
    assert found["auc_below_truth"] > 0
    assert found["truth_n"] == known.sum()
    assert distance_to_truth(rows["outcome"], noisy, np.full(len(rows), np.nan)) == {}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40))
def test_auc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[bool, int]]) -> None:
    y, p = np.array([float(a) for a, _ in rows]), np.array([b / 10 for _, b in rows])
    positive, negative = p[y == 1], p[y == 0]
    pairs = [(a > b) + (a == b) / 2 for a in positive for b in negative]
    found = evaluate(y, p)
    if pairs:
        assert found["auc"] == pytest.approx(np.mean(pairs), abs=1e-12)
    else:
        assert "auc" not in found


def test_everybody_visited_means_everybody_reached() -> None:
    y, p = forecasts(50)
    assert reached(y, p, 50) == (y.sum(), y.sum(), y.sum())
