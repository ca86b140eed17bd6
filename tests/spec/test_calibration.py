"""Calibration: an affine map of the margin, no bolder than the evidence allows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from models.calibration import Calibration, fit_calibration


def drawn(
    n: int, slope: float, intercept: float, *, level: float = -1.5, seed: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Margins whose true log-odds are `slope * margin + intercept`, and outcomes."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(level, 1.2, n)
    return margin, (rng.random(n) < expit(slope * margin + intercept)).astype(float)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.7, -0.4), (1.3, 0.6)])
def test_it_finds_the_truth_when_there_is_enough_of_it(slope: float, intercept: float) -> None:
    fitted = fit_calibration(*drawn(60_000, slope, intercept))
    assert fitted.slope == pytest.approx(slope, abs=0.05)
    assert fitted.intercept == pytest.approx(intercept, abs=0.08)


@pytest.mark.parametrize("positives", [0, 1, 99])
def test_too_few_outcomes_change_nothing(positives: int) -> None:
    outcome = np.zeros(5_000)
    outcome[:positives] = 1.0
    margin = np.linspace(4, -4, 5_000)
    assert fit_calibration(margin, outcome) == Calibration(1.0, 0.0, 5_000, positives)


def with_positives(positives: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a model that is far too sure of itself, cut so that exactly so many have the outcome."""
    margin, outcome = drawn(40_000, 0.6, -0.8)
    wanted = np.flatnonzero(np.cumsum(outcome) == positives)[0] + 1
    return margin[:wanted], outcome[:wanted]


def test_a_hundred_outcomes_begin_to_count() -> None:
    assert fit_calibration(*with_positives(99)).slope == 1.0
    assert fit_calibration(*with_positives(100)).slope < 0.99


def test_few_outcomes_are_drawn_towards_changing_nothing_and_many_are_not() -> None:
    few, many = fit_calibration(*with_positives(299)), fit_calibration(*with_positives(300))
    assert many.slope < few.slope < 1.0
    assert many.intercept < few.intercept < 0.0


@pytest.mark.parametrize(("slope", "held"), [(0.2, 0.5), (3.0, 1.5)])
def test_the_slope_is_held(slope: float, held: float) -> None:
    assert fit_calibration(*drawn(20_000, slope, 0.0)).slope == pytest.approx(held)


def test_as_many_are_expected_as_were_observed() -> None:
    margin, outcome = drawn(20_000, 0.8, -0.5)
    fitted = fit_calibration(margin, outcome)
    assert fitted.probability(margin).sum() == pytest.approx(outcome.sum(), rel=1e-3)


def test_it_says_what_it_was_fitted_on() -> None:
    margin, outcome = drawn(5_000, 1.0, 0.0)
    fitted = fit_calibration(margin, outcome)
    assert (fitted.n, fitted.positives) == (5_000, int(outcome.sum()))


def test_the_order_of_the_rows_does_not_matter() -> None:
    margin, outcome = drawn(5_000, 0.8, 0.2)
    turned = np.random.default_rng(0).permutation(5_000)
    one, other = fit_calibration(margin, outcome), fit_calibration(margin[turned], outcome[turned])
    assert (one.slope, one.intercept) == pytest.approx((other.slope, other.intercept), abs=1e-4)


@settings(max_examples=60)
@given(st.floats(0.5, 1.5), st.floats(-3, 3), st.lists(st.floats(-30, 30), min_size=2, max_size=20, unique=True))
def test_a_higher_margin_is_never_a_lower_probability(slope: float, intercept: float, margins: list[float]) -> None:
    made = Calibration(slope, intercept, 0, 0)
    ordered = np.sort(np.array(margins))
    probability = made.probability(ordered)
    assert (np.diff(probability) >= 0).all()
    assert ((probability >= 0) & (probability <= 1)).all()
    assert np.allclose(logit(made.probability(ordered / 10)), made.log_odds(ordered / 10), atol=1e-8)
