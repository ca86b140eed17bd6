"""Venn-Abers bounds equal isotonic regressions that are fitted anew with the household that is asked for."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from models.interval import VennAbers, fit_venn_abers

EXACT = 1e-12
# A few margins that often tie, and a few that nearly do; scikit-learn takes margins closer than its own tolerance for
# tied, so none are.
MARGINS = st.sampled_from([-3.0, -1.0, -0.5, 0.0, 0.0 + 1e-9, 0.25, 1.0, 1.5, 2.0, 7.0])
ROWS = st.lists(st.tuples(MARGINS, st.booleans()), min_size=1, max_size=14)


def refitted(margin: np.ndarray, outcome: np.ndarray, weight: np.ndarray, asked: float) -> tuple[float, float]:
    """The definition: add the household once without and once with the outcome, and fit again."""
    both = []
    for label in (0.0, 1.0):
        fitted = IsotonicRegression().fit(
            np.append(margin, asked), np.append(outcome, label), sample_weight=np.append(weight, 1.0)
        )
        both.append(float(fitted.predict([asked])[0]))
    return both[0], both[1]


def columns(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([m for m, _ in rows]), np.array([float(y) for _, y in rows])


@settings(max_examples=200)
@given(ROWS, MARGINS | st.floats(-5, 9).map(lambda asked: round(asked, 3)))
def test_bounds_are_those_of_the_definition(rows: list[tuple[float, bool]], asked: float) -> None:
    margin, outcome = columns(rows)
    low, high = fit_venn_abers(margin, outcome).bounds(np.array([asked]))
    assert (low[0], high[0]) == pytest.approx(refitted(margin, outcome, np.ones(len(rows)), asked), abs=EXACT)


@settings(max_examples=80)
@given(ROWS, MARGINS, st.integers(0, 1_000))
def test_so_they_are_with_weights(rows: list[tuple[float, bool]], asked: float, seed: int) -> None:
    margin, outcome = columns(rows)
    weight = np.random.default_rng(seed).uniform(0.05, 3.0, len(rows))
    low, high = fit_venn_abers(margin, outcome, weight=weight).bounds(np.array([asked]))
    assert (low[0], high[0]) == pytest.approx(refitted(margin, outcome, weight, asked), abs=1e-9)


@settings(max_examples=100)
@given(ROWS, st.integers(1, 6), st.lists(MARGINS, min_size=2, max_size=8))
def test_bounds_rise_with_the_margin_whatever_is_grouped(
    rows: list[tuple[float, bool]], most_knots: int, asked: list[float]
) -> None:
    low, high = fit_venn_abers(*columns(rows), most_knots).bounds(np.sort(asked))
    assert (np.diff(low) >= -EXACT).all()
    assert (np.diff(high) >= -EXACT).all()
    assert (low >= 0.0).all() and (low <= high).all() and (high <= 1.0).all()


@settings(max_examples=100)
@given(ROWS, st.integers(1, 6), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows: list[tuple[float, bool]], most_knots: int, random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = fit_venn_abers(*columns(rows), most_knots), fit_venn_abers(*columns(shuffled), most_knots)
    assert one.as_json() == other.as_json()


@settings(max_examples=60)
@given(ROWS)
def test_a_file_gives_the_bounds_back_to_the_last_digit(rows: list[tuple[float, bool]]) -> None:
    fitted = fit_venn_abers(*columns(rows))
    assert VennAbers.from_json(json.loads(json.dumps(fitted.as_json()))).as_json() == fitted.as_json()
