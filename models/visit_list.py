"""Whom to visit with so many visits: households with a score, and a share kept for those that no model speaks about.

The list is one order of all households, cut at the number of visits. It does not depend on that number, so whoever gets
more visits goes on where the list ended.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.tier import Tier

SCORED, MANUAL = "scored", "manual"
VISIT, WAITING = "visit", "waiting"
# Why a household stands where it stands: its tier, or one of the two reserves.
BY_TIER, RESERVED, RESERVED_GREY = "tier", "reserved", "reserved_grey"
RESERVED_SHARE, GREY_SHARE = 0.05, 0.5
COLUMNS = ("household_id", "status", "tier", "probability", "points", "coverage", "months_silent")
LISTED = ("position", "place", "household_id", "queue", "because", "tier", "status", "probability", "points")
# Grey comes before green: nothing is known about it, of the other it is known that little speaks for need.
_URGENCY = {tier.value: rank for rank, tier in enumerate((Tier.RED, Tier.ORANGE, Tier.YELLOW, Tier.GREY, Tier.GREEN))}
_WITH_SCORE = ("scored", "scored_low_confidence")


class VisitListRefused(ValueError):
    """The table or the shares cannot be used; the message says which column and what to do."""


@dataclass(frozen=True)
class _Queues:
    """Rows in the three orders that the list is dealt from."""

    by_tier: list[int]
    manual: list[int]
    grey: list[int]


def visit_list(
    table: pd.DataFrame, visits: int, *, reserved_share: float = RESERVED_SHARE, grey_share: float = GREY_SHARE
) -> pd.DataFrame:
    """Every household of `table` (rows of `povrisk score`) in the order to visit them, with the columns `LISTED`.

    `queue` is `scored`, or `manual` for households without a score and for grey ones. Of every 20 visits
    (`reserved_share` 0.05) at least one is kept for the manual queue, and of those kept `grey_share` for households
    that are grey. All others go by tier; within a tier the scored come first, by probability, then the manual ones. The
    manual queue is sorted by what the rules say (tier, points), then by how little is seen of the household: least
    known first, longest silent first. Ties are broken by a hash of the household's id. What one side does not use the
    other gets. `place` is `visit` for the first `visits` positions and `waiting` for all others, `because` says what
    brought the position: `tier`, `reserved` or `reserved_grey`.

    >>> rows = pd.DataFrame({"household_id": ["a", "b"], "status": ["scored", "abstained"], "tier": ["red", "grey"],
    ...                      "probability": [0.4, None], "points": [3.0, 0.0], "coverage": [0.9, 0.2],
    ...                      "months_silent": [1.0, None]})
    >>> visit_list(rows, 1, reserved_share=0.0)["place"].tolist()
    ['visit', 'waiting']
    """
    _refuse(table, visits, reserved_share, grey_share)
    queues = _queues(table)
    order, because = _dealt(queues, len(table), reserved_share, grey_share)
    listed = table.iloc[order].reset_index(drop=True)
    listed["position"] = np.arange(1, len(table) + 1)
    listed["place"] = np.where(listed["position"] <= visits, VISIT, WAITING)
    listed["queue"] = np.where(_is_manual(listed), MANUAL, SCORED)
    listed["because"] = because
    return listed[list(LISTED)]


def _refuse(table: pd.DataFrame, visits: int, reserved_share: float, grey_share: float) -> None:
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise VisitListRefused(f"the table lacks {', '.join(missing)}; give it as `povrisk score` wrote it")
    if visits < 1:
        raise VisitListRefused("at least one visit is needed")
    for name, share in (("reserved share", reserved_share), ("grey share", grey_share)):
        if not 0.0 <= share <= 1.0:
            raise VisitListRefused(f"the {name} must lie between 0 and 1")
    repeated = np.flatnonzero(table["household_id"].duplicated())
    if len(repeated):
        raise VisitListRefused(f"row {repeated[0]}: household_id stands in an earlier row; give one row a household")
    for name, known in (("tier", list(_URGENCY)), ("status", [*_WITH_SCORE, "abstained", "rules_only", "error"])):
        wrong = np.flatnonzero(~table[name].isin(known))
        if len(wrong):
            raise VisitListRefused(f"row {wrong[0]}: {name} is none of {', '.join(known)}")


def _is_manual(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Who is left to people: without a score, or too silent for the rules to call green."""
    return np.asarray(~table["status"].isin(_WITH_SCORE) | (table["tier"] == Tier.GREY.value), np.bool_)


def _queues(table: pd.DataFrame) -> _Queues:
    manual = _is_manual(table)
    urgency = table["tier"].map(_URGENCY).to_numpy(np.int64)

    # In each key what comes first is lowest; a number that is missing comes last, knowledge that is missing first.
    def key(name: str, sign: float, missing: float) -> npt.NDArray[np.float64]:
        of = table[name].to_numpy(np.float64, na_value=np.nan)
        return np.where(np.isnan(of), missing, sign * of)

    probability = np.where(manual, 0.0, key("probability", -1.0, 0.0))
    points = np.where(manual, key("points", -1.0, 0.0), 0.0)
    known = np.where(manual, key("coverage", 1.0, -1.0), 0.0)
    heard = np.where(manual, key("months_silent", -1.0, -math.inf), 0.0)
    tie = _hashes(table["household_id"])
    # The last key of lexsort counts most.
    by_tier = np.lexsort((tie, heard, known, points, probability, manual, urgency))
    of_manual = by_tier[manual[by_tier]]
    is_grey = (table["tier"] == Tier.GREY.value).to_numpy(np.bool_)
    return _Queues(by_tier.tolist(), of_manual.tolist(), of_manual[is_grey[of_manual]].tolist())


def _dealt(queues: _Queues, n: int, reserved: float, grey: float) -> tuple[list[int], list[str]]:
    """The rows in order and why each stands there. A reserved place that nobody of its queue can take goes by tier."""
    taken = np.zeros(n, np.bool_)
    by_tier, manual, silent = (_left(queue, taken) for queue in (queues.by_tier, queues.manual, queues.grey))
    order: list[int] = []
    because: list[str] = []
    kept = 0
    for place in range(1, n + 1):
        row, reason = None, BY_TIER
        if _falls(place, reserved):
            kept += 1
            # From the back: the first of the kept places goes to whom the rules put first.
            if math.floor(kept * grey) > math.floor((kept - 1) * grey):
                row, reason = next(silent, None), RESERVED_GREY
            if row is None:
                row, reason = next(manual, None), RESERVED
        if row is None:
            row, reason = next(by_tier), BY_TIER
        taken[row] = True
        order.append(row)
        because.append(reason)
    return order, because


def _falls(place: int, share: float) -> bool:
    """Whether the place is kept, so that of the first k places at least the share is, rounded up.

    >>> [place for place in range(1, 50) if _falls(place, 0.05)]
    [1, 21, 41]
    """
    return math.ceil(round(place * share, 9)) > math.ceil(round((place - 1) * share, 9))


def _left(queue: list[int], taken: npt.NDArray[np.bool_]) -> Iterator[int]:
    """The rows of a queue that no other queue has brought up by the time they are asked for."""
    return (row for row in queue if not taken[row])


def _hashes(household_ids: pd.Series) -> npt.NDArray[np.uint64]:
    """A number of each household that has nothing to do with the order of the ids."""
    drawn = [
        int.from_bytes(hashlib.blake2b(str(name).encode(), digest_size=8, key=b"visits").digest(), "big")
        for name in household_ids
    ]
    return np.array(drawn, np.uint64)
