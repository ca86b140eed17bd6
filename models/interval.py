"""How far the true probability may lie from the one shown: Venn-Abers bounds together with the spread of the bag.

Venn-Abers (Vovk, Petej, Fedorova 2015): calibrate twice, once as if the household had the outcome and once as if not.
The two answers differ most where few comparable households were held out. They hold whatever the model is worth, and
they are not used for the point: their ties would break the ranking.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression
from scipy.special import expit

Floats = npt.NDArray[np.float64]

KIND = "venn_abers+ensemble"
MOST_KNOTS = 400
MEMBERS_RANGE = (0.1, 0.9)
FIELDS = ("low", "high", "p0", "p1")


class IntervalRefused(ValueError):
    """Rows or written bounds cannot be used; the message says which field and what to do."""


@dataclass(frozen=True)
class VennAbers:
    """Bounds for every margin there is.

    Group k of the held-out rows lies at margins from `low[k]` to `high[k]`. `p0` and `p1` have `2 * len(low) + 1`
    entries: below the first group, in it, between it and the second one, in that, and so on to above the last.
    """

    low: Floats
    high: Floats
    p0: Floats
    p1: Floats

    def bounds(self, margin: Floats) -> tuple[Floats, Floats]:
        """The lower and the upper probability of each margin."""
        at = self._place(np.asarray(margin, np.float64))
        return self.p0[at], self.p1[at]

    def _place(self, margin: Floats) -> npt.NDArray[np.int64]:
        if np.isnan(margin).any():
            raise IntervalRefused("a margin is unknown; households without a score have no interval")
        group = np.searchsorted(self.low, margin, side="right") - 1
        inside = (group >= 0) & (margin <= self.high[np.maximum(group, 0)])
        return np.where(inside, 2 * group + 1, 2 * (group + 1))

    def moved(self, slope: float, intercept: float) -> VennAbers:
        """The same bounds after the log-odds of every probability became `slope * log-odds + intercept`.

        A recalibration moves the point; bounds that stayed behind would no longer be about it. 0 and 1 stay.
        """
        if not slope > 0.0:
            raise IntervalRefused("only a slope above 0 keeps the order of probabilities")
        with np.errstate(divide="ignore"):
            p0, p1 = (np.asarray(expit(slope * (np.log(p) - np.log1p(-p)) + intercept)) for p in (self.p0, self.p1))
        return VennAbers(self.low, self.high, p0, p1)

    def as_json(self) -> dict[str, Any]:
        """The bounds for a file; `from_json` gives them back to the last digit."""
        return {name: getattr(self, name).tolist() for name in FIELDS}

    @staticmethod
    def from_json(written: Mapping[str, Any]) -> VennAbers:
        """Read back. Nothing may be missing, and the entries must fit each other.

        >>> VennAbers.from_json({"low": [], "high": []})
        Traceback (most recent call last):
        ...
        models.interval.IntervalRefused: written bounds lack p0, p1
        """
        missing = [name for name in FIELDS if name not in written]
        if missing:
            raise IntervalRefused(f"written bounds lack {', '.join(missing)}")
        try:
            low, high, p0, p1 = (np.array(written[name], np.float64) for name in FIELDS)
        except (TypeError, ValueError) as error:
            raise IntervalRefused("written bounds hold something that is no number") from error
        fits = low.ndim == p0.ndim == 1 and len(low) > 0 and low.shape == high.shape and p0.shape == p1.shape
        if not fits or len(p0) != 2 * len(low) + 1:
            raise IntervalRefused("written bounds need low and high of each group, and p0 and p1 of 2 n + 1 places")
        if not ((low <= high).all() and (high[:-1] < low[1:]).all() and (p0 >= 0).all() and (p0 <= p1).all()):
            raise IntervalRefused("written bounds are not in order")
        if not (p1 <= 1).all():
            raise IntervalRefused("written bounds leave the range from 0 to 1")
        return VennAbers(low, high, p0, p1)


def fit_venn_abers(
    margin: Floats, outcome: Floats, most_knots: int = MOST_KNOTS, *, weight: Floats | None = None
) -> VennAbers:
    """Inductive Venn-Abers from held-out rows: margins (or any other score that rises with the risk) and outcomes.

    With up to `most_knots` distinct margins the bounds are exact. Above that, neighbouring margins are first put into
    groups of about equally many rows. Rows of a group then count as tied, so the bounds do not follow the risk within
    a group: with 400 groups, that is within a quarter of a percent of the rows, and it is felt only at the very top,
    where that quarter of a percent spans the widest margins. The bounds stay valid, for a slightly coarser score.

    `weight` lets a household with many rows count as one (1 / its number of rows); the household that is asked for
    has weight 1. Without it, rows that repeat a household make the bounds narrower than the evidence allows.

    >>> bounds = fit_venn_abers(np.array([-1.0, 0.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    >>> bounds.bounds(np.array([-1.0, 1.5]))
    (array([0. , 0.5]), array([0.33333333, 1.        ]))
    """
    weight = _checked(margin, outcome, weight)
    if most_knots < 1:
        raise IntervalRefused("most_knots is at least 1")
    low, high, rows, positive = _grouped(margin, outcome, weight, most_knots)
    n = len(low)
    p0, p1 = np.empty(2 * n + 1), np.empty(2 * n + 1)
    for place in range(2 * n + 1):
        group, is_inside = divmod(place, 2)
        if is_inside:
            total, hits, at = rows.copy(), positive.copy(), group
            total[at] += 1.0
        else:
            total, hits, at = np.insert(rows, group, 1.0), np.insert(positive, group, 0.0), group
        p0[place] = isotonic_regression(hits / total, weights=total).x[at]
        hits[at] += 1.0
        p1[place] = isotonic_regression(hits / total, weights=total).x[at]
    return VennAbers(low, high, np.clip(p0, 0.0, 1.0), np.clip(np.maximum(p0, p1), 0.0, 1.0))


def interval(probability: Floats, member_probabilities: Floats | None, bounds: tuple[Floats, Floats]) -> Floats:
    """Lower and upper end for each row (rows x 2), never without the point itself.

    The union of the Venn-Abers bounds and the range from the 10th to the 90th percentile of the members of the bag
    (rows x members): doubt about the level, and doubt about the model.

    >>> members = np.array([[0.20, 0.30, 0.40]])
    >>> interval(np.array([0.3]), members, (np.array([0.25]), np.array([0.28])))
    array([[0.22, 0.38]])
    >>> interval(np.array([0.3]), None, (np.array([0.25]), np.array([0.28])))
    array([[0.25, 0.3 ]])
    """
    ends = [probability, *bounds]
    if member_probabilities is not None:
        if member_probabilities.ndim != 2 or len(member_probabilities) != len(probability):
            raise IntervalRefused("the members' probabilities are rows x members, in the order of the rows")
        ends += list(np.quantile(member_probabilities, MEMBERS_RANGE, axis=1))
    if any(len(end) != len(probability) for end in ends):
        raise IntervalRefused("the bounds are not of the rows of the probabilities")
    return np.stack([np.min(ends, axis=0), np.max(ends, axis=0)], axis=1)


def _checked(margin: Floats, outcome: Floats, weight: Floats | None) -> Floats:
    weight = np.ones(len(outcome)) if weight is None else np.asarray(weight, np.float64)
    if not len(outcome) == len(margin) == len(weight) or not len(outcome):
        raise IntervalRefused("one margin and one weight per outcome is needed, and at least one row")
    if not np.isfinite(margin).all():
        raise IntervalRefused("a margin is not a finite number")
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise IntervalRefused("an outcome is neither 0 nor 1; leave rows without an outcome out")
    if not all(math.isfinite(w) and w > 0.0 for w in (float(weight.min()), float(weight.max()))):
        raise IntervalRefused("a weight is not a number above 0; leave rows without weight out")
    return weight


def _grouped(margin: Floats, outcome: Floats, weight: Floats, most_knots: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Lowest and highest margin, weight and weighted positives of each group, from the lowest margins up."""
    distinct, code = np.unique(margin, return_inverse=True)
    group = np.arange(len(distinct))
    if len(distinct) > most_knots:
        rows = np.bincount(code)
        # By the middle of each margin's ranks: tied rows stay together, and the last group is not the leftovers.
        share = (np.cumsum(rows) - rows / 2.0) / len(margin)
        group = np.unique((share * most_knots).astype(np.int64), return_inverse=True)[1]
    first = np.flatnonzero(np.append(True, np.diff(group) > 0))
    last = np.append(first[1:] - 1, len(distinct) - 1)
    of_row = group[code]
    total, positive = np.bincount(of_row, weights=weight), np.bincount(of_row, weights=weight * outcome)
    return distinct[first], distinct[last], np.asarray(total, np.float64), np.asarray(positive, np.float64)
