"""Who would be visited: the highest scores of each moment, ties shared out, with or without a reserve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.capacity import on_list
from training.evaluation import visits_at

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

RESERVES = (0.0, 0.05, 0.10)


class Reserve(NamedTuple):
    """What a reserve does: of `capacity`, the share `reserved` goes to households that the data see badly."""

    capacity: float
    reserved: float
    recall: float
    recall_of_reserved: float


def selected(score: Floats, as_of: npt.NDArray[np.int64], capacity: float, eligible: Bools | None = None) -> Floats:
    """The chance of each row to be among the visits of its moment: 1, 0, or a share where scores are equal.

    A moment has `visits_at(capacity, rows)` visits. Rows that are not `eligible` are never selected and leave their
    place to others.

    >>> selected(np.array([0.9, 0.5, 0.5, 0.1]), np.zeros(4, np.int64), 0.5).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    chance = np.zeros(len(score))
    for moment in np.unique(as_of):
        here = np.flatnonzero(as_of == moment)
        asked = here if eligible is None else here[eligible[here]]
        chance[asked] = _top(score[asked], visits_at(capacity, len(here)))
    return chance


def reserves(
    test: pd.DataFrame, badly_seen: Bools, capacities: Sequence[float], reserved: Sequence[float] = RESERVES
) -> list[Reserve]:
    """Recall overall and of the badly seen or abstained when a share of each moment's visits is kept for them.

    The others' visits go by probability. The reserve goes, among those of its households not visited anyway, by the
    rules' points where `test` has them, else by probability.
    """
    y, as_of = test["outcome"].to_numpy(np.float64), test["as_of"].to_numpy(np.int64)
    score = test["probability"].to_numpy(np.float64)
    abstained = test["abstained"].to_numpy(np.bool_) if "abstained" in test else np.zeros(len(test), np.bool_)
    by_rules = test["baseline_points"].to_numpy(np.float64) if "baseline_points" in test else score
    helped = badly_seen | abstained
    if not y.sum() or not y[helped].sum():
        return []
    found = []
    for capacity in capacities:
        for kept in reserved:
            chance = np.zeros(len(y))
            for moment in np.unique(as_of):
                here = np.flatnonzero(as_of == moment)
                visits = visits_at(capacity, len(here))
                extra = round(kept * visits)
                first = here[~abstained[here]]
                chance[first] = _top(score[first], visits - extra)
                # Who is visited anyway takes nothing from the reserve.
                left = here[helped[here] & (chance[here] < 1.0)]
                chance[left] += (1.0 - chance[left]) * _top(by_rules[left], extra)
            overall, of_helped = (chance * y).sum() / y.sum(), (chance * y)[helped].sum() / y[helped].sum()
            found.append(Reserve(capacity, kept, float(overall), float(of_helped)))
    return found


def _top(score: Floats, visits: int) -> Floats:
    """`on_list`, also for no visit and for more visits than there are rows."""
    if visits <= 0 or not len(score):
        return np.zeros(len(score))
    return on_list(score, min(visits, len(score)))
