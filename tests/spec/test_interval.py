"""The interval: bounds that hold the truth, the spread of the bag beside them, and the point always inside."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from models.interval import IntervalRefused, VennAbers, fit_venn_abers, interval

SIX = (np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]), np.array([0.0, 0.0, 1.0, 0.0, 1.0, 1.0]))


def county(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Margins, true probabilities (a base rate of about 4 %) and outcomes of a model that is a little too bold."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-3.8, 1.2, n)
    return truth * 1.15 + 0.3, expit(truth), (rng.random(n) < expit(truth)).astype(float)


def test_a_worked_example() -> None:
    # At margin 0.5 the rows in order are 0 0 1 [?] 0 1 1. As 0 it pools with 1 before and 0 after to 1/3; as 1, the
    # rows 1 1 0 pool to 2/3.
    low, high = fit_venn_abers(*SIX).bounds(np.array([0.5]))
    assert (low[0], high[0]) == pytest.approx((1 / 3, 2 / 3), abs=1e-12)


def test_beyond_the_last_row_nothing_but_the_household_itself_speaks_for_the_upper_bound() -> None:
    low, high = fit_venn_abers(*SIX).bounds(np.array([99.0, -99.0]))
    assert high[0] == 1.0
    assert low[1] == 0.0
    assert low[0] == pytest.approx(2 / 3)
    assert high[1] == pytest.approx(1 / 3)


def test_the_truth_lies_inside_for_most_rows_and_the_bounds_are_narrow() -> None:
    margin, _, outcome = county(12_000, 1)
    asked, truth, _ = county(20_000, 2)
    low, high = fit_venn_abers(margin, outcome).bounds(asked)
    top = asked >= np.quantile(asked, 0.98)
    # Without the point and the bag the bounds alone hold the truth of fewer: they say how far the level is open at
    # one place, and are no confidence interval.
    assert np.mean(high - low) < 0.02
    assert np.mean((low - 0.01 <= truth) & (truth <= high + 0.01)) > 0.85
    assert np.mean(high[top] - low[top]) > 3 * np.mean(high - low)


def test_on_average_outcomes_lie_between_the_lower_and_the_upper_bound() -> None:
    margin, _, outcome = county(12_000, 3)
    asked, truth, _ = county(40_000, 4)
    low, high = fit_venn_abers(margin, outcome).bounds(asked)
    slack = 3 * np.sqrt(truth.mean() / 12_000)
    assert low.mean() - slack <= truth.mean() <= high.mean() + slack


def test_grouping_keeps_close_to_the_exact_bounds() -> None:
    margin, _, outcome = county(3_000, 5)
    asked = np.quantile(margin, np.linspace(0.01, 0.99, 200))
    exact, grouped = fit_venn_abers(margin, outcome, 3_000), fit_venn_abers(margin, outcome, 400)
    assert len(grouped.low) == 400
    for one, other in zip(exact.bounds(asked), grouped.bounds(asked), strict=True):
        assert np.abs(one - other).max() < 0.05


def test_equal_margins_are_never_split() -> None:
    margin = np.repeat([0.0, 1.0, 2.0, 3.0], [5, 50, 1, 4])
    fitted = fit_venn_abers(margin, (margin > 1.0).astype(float), 2)
    assert len(fitted.low) <= 2
    assert set(fitted.low) | set(fitted.high) <= {0.0, 1.0, 2.0, 3.0}
    assert (fitted.high[:-1] < fitted.low[1:]).all()


def test_rows_that_repeat_a_household_do_not_narrow_the_bounds_when_they_are_weighted() -> None:
    margin, _, outcome = county(400, 6)
    once = fit_venn_abers(margin, outcome)
    often = fit_venn_abers(np.repeat(margin, 12), np.repeat(outcome, 12), weight=np.full(4_800, 1 / 12))
    blind = fit_venn_abers(np.repeat(margin, 12), np.repeat(outcome, 12))
    assert np.allclose(once.p0, often.p0, atol=1e-12) and np.allclose(once.p1, often.p1, atol=1e-12)
    assert (blind.p1 - blind.p0).mean() < 0.5 * (once.p1 - once.p0).mean()


def test_the_interval_is_the_union_and_holds_the_point() -> None:
    point = np.array([0.30, 0.30, 0.30])
    members = np.array([[0.29, 0.30, 0.31]] * 3)
    low, high = np.array([0.20, 0.35, 0.10]), np.array([0.25, 0.45, 0.20])
    found = interval(point, members, (low, high))
    assert found == pytest.approx(np.array([[0.20, 0.308], [0.292, 0.45], [0.10, 0.308]]))
    assert ((found[:, 0] <= point) & (point <= found[:, 1])).all()


def test_members_count_from_their_tenth_to_their_ninetieth_percentile() -> None:
    members = np.linspace(0.0, 1.0, 11)[np.newaxis, :]
    found = interval(np.array([0.5]), members, (np.array([0.5]), np.array([0.5])))
    assert found == pytest.approx(np.array([[0.1, 0.9]]))


def test_a_recalibration_moves_the_bounds_as_it_moves_the_point() -> None:
    fitted = fit_venn_abers(*county(2_000, 7)[::2])
    moved = fitted.moved(0.8, 0.4)
    inner = (fitted.p0 > 0.0) & (fitted.p0 < 1.0)
    assert logit(moved.p0[inner]) == pytest.approx(0.8 * logit(fitted.p0[inner]) + 0.4)
    assert (moved.p0[fitted.p0 == 0.0] == 0.0).all() and (moved.p1[fitted.p1 == 1.0] == 1.0).all()
    with pytest.raises(IntervalRefused, match="slope above 0"):
        fitted.moved(0.0, 1.0)


@pytest.mark.parametrize(
    ("margin", "outcome", "weight", "said"),
    [
        ([], [], None, "at least one row"),
        ([0.0], [0.0, 1.0], None, "one margin"),
        ([np.nan], [0.0], None, "margin is not"),
        ([0.0], [np.nan], None, "outcome"),
        ([0.0], [0.5], None, "outcome"),
        ([0.0], [1.0], [0.0], "weight"),
        ([0.0], [1.0], [np.inf], "weight"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(
    margin: list[float], outcome: list[float], weight: list[float] | None, said: str
) -> None:
    with pytest.raises(IntervalRefused, match=said):
        fit_venn_abers(np.array(margin), np.array(outcome), weight=None if weight is None else np.array(weight))


def test_an_unknown_margin_has_no_bounds() -> None:
    with pytest.raises(IntervalRefused, match="unknown"):
        fit_venn_abers(*SIX).bounds(np.array([0.0, np.nan]))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"p0": ["much"] * 13}, "no number"),
        ({"p0": [0.0]}, "2 n \\+ 1"),
        ({"low": [5.0, -1.0, 0.0, 1.0, 2.0, 3.0]}, "order"),
        ({"p1": [2.0] * 13}, "0 to 1"),
        ({"p0": [0.9] * 13}, "order"),
    ],
)
def test_damaged_bounds_are_refused(changed: dict[str, object], said: str) -> None:
    written = fit_venn_abers(*SIX).as_json()
    assert len(VennAbers.from_json(written).p0) == 13
    with pytest.raises(IntervalRefused, match=said):
        VennAbers.from_json(written | changed)


def test_bounds_of_other_rows_are_refused() -> None:
    with pytest.raises(IntervalRefused, match="not of the rows"):
        interval(np.array([0.5, 0.5]), None, (np.array([0.1]), np.array([0.2])))
    with pytest.raises(IntervalRefused, match="rows x members"):
        interval(np.array([0.5, 0.5]), np.array([[0.1]]), (np.array([0.1, 0.1]), np.array([0.2, 0.2])))


def test_bounds_and_bag_together_hold_the_truth_of_four_rows_in_five() -> None:
    rng = np.random.default_rng(8)
    margin, truth, outcome = county(6_000, 8)
    members = margin[:, np.newaxis] + rng.normal(0.0, 0.25, (6_000, 5))
    bag = members.mean(axis=1)
    bounds = fit_venn_abers(bag[:3_000], outcome[:3_000])
    shown, spread = (0.9 * each[3_000:] - 0.27 for each in (bag, members))
    found = interval(expit(shown), expit(spread), bounds.bounds(bag[3_000:]))
    inside = (found[:, 0] <= truth[3_000:]) & (truth[3_000:] <= found[:, 1])
    assert 0.8 < inside.mean() < 0.97
    assert (found[:, 1] - found[:, 0]).mean() < 0.04
