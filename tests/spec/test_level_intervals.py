"""Intervals of level and slope: as wide as the evidence of whole households is, and about the right thing."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation import evaluate
from training.level_intervals import level_intervals


def forecasts(n: int, seed: int, slope: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    margin = rng.normal(-2.5, 1.2, n)
    outcome = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(float)
    return outcome, 1 / (1 + np.exp(-(slope * margin + shift)))


def ids(n: int) -> np.ndarray:
    return np.array([f"h{i}" for i in range(n)], object)


def test_the_intervals_hold_the_figures_and_the_truth_as_often_as_they_say() -> None:
    names = ("observed_expected", "observed_expected_top_decile", "calibration_slope")
    held = dict.fromkeys(names, 0)
    for seed in range(40):
        y, p = forecasts(1_000, seed)
        found, figures = level_intervals(y, p, ids(1_000), seed=seed, resamples=200), evaluate(y, p)
        for name in names:
            assert found[f"{name}_low"] < figures[name] < found[f"{name}_high"]
            held[name] += found[f"{name}_low"] <= 1.0 <= found[f"{name}_high"]
    assert all(count >= 34 for count in held.values()), held


def test_rows_of_one_household_are_no_more_evidence_than_one_row() -> None:
    y, p = forecasts(1_000, 1)
    once = level_intervals(y, p, ids(1_000), seed=1)
    often = level_intervals(np.repeat(y, 9), np.repeat(p, 9), np.repeat(ids(1_000), 9), seed=1)
    for name in ("observed_expected_low", "observed_expected_high", "calibration_slope_low", "calibration_slope_high"):
        assert often[name] == pytest.approx(once[name], abs=1e-6)
    naive = level_intervals(np.repeat(y, 9), np.repeat(p, 9), ids(9_000), seed=1)
    width = {what: one["observed_expected_high"] - one["observed_expected_low"] for what, one in
             (("once", once), ("naive", naive))}  # fmt: skip
    assert width["naive"] < 0.5 * width["once"]


def test_a_wrong_level_and_a_wrong_slope_are_outside() -> None:
    y, p = forecasts(20_000, 2, slope=1.7, shift=1.2)
    found = level_intervals(y, p, ids(20_000))
    assert found["observed_expected_high"] < 1.0
    assert found["calibration_slope_high"] < 0.75


def test_what_does_not_exist_is_left_out() -> None:
    assert "calibration_slope_low" not in level_intervals([0, 0, 0], [0.1, 0.2, 0.3], ids(3))
    assert "observed_expected_low" not in level_intervals([0, 1], [0.0, 0.0], ids(2))
