"""Whom to visit with so many visits: households with a score, and a share kept for those that no model speaks about.

The list is one order of all households, cut at the number of visits. It does not depend on that number, so whoever gets
more visits goes on where the list ended.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Iterable, Iterator
from typing import TypeVar

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
URGENCY = {tier.value: rank for rank, tier in enumerate((Tier.RED, Tier.ORANGE, Tier.YELLOW, Tier.GREY, Tier.GREEN))}
_WITH_SCORE = ("scored", "scored_low_confidence")
# Before every number, and one that a database can keep.
FIRST = -1e300
KEYS = ("key_urgency", "key_manual", "key_probability", "key_points", "key_known", "key_heard", "key_tie")
T = TypeVar("T", bound=Hashable)


class VisitListRefused(ValueError):
    """The table or the shares cannot be used; the message says which column and what to do."""


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
    keys = sort_keys(table)
    # The last key of lexsort counts most.
    by_tier = np.lexsort(tuple(keys[name] for name in reversed(KEYS)))
    manual = by_tier[keys["key_manual"].to_numpy(np.bool_)[by_tier]]
    grey = manual[is_grey(table)[manual]]
    order = list(dealt(by_tier.tolist(), manual.tolist(), grey.tolist(), reserved_share, grey_share))
    listed = table.iloc[[row for row, _ in order]].reset_index(drop=True)
    listed["position"] = np.arange(1, len(table) + 1)
    listed["place"] = np.where(listed["position"] <= visits, VISIT, WAITING)
    listed["queue"] = np.where(is_manual(listed), MANUAL, SCORED)
    listed["because"] = [because for _, because in order]
    return listed[list(LISTED)]


def sort_keys(table: pd.DataFrame) -> pd.DataFrame:
    """What the rows of `table` are ordered by, in the order of `KEYS`: the least comes first, all numbers are finite.

    Urgency of the tier, whether without a score, minus the probability, minus the points, share known, minus the months
    silent, and a hash of the id. A number that is missing comes last, knowledge that is missing first. What orders only
    the manual queue is 0 for the scored, and the other way round.
    """
    manual = is_manual(table)

    def key(name: str, sign: float, missing: float, counts: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        of = table[name].to_numpy(np.float64, na_value=np.nan)
        return np.where(counts, np.clip(np.where(np.isnan(of), missing, sign * of), FIRST, -FIRST), 0.0)

    return pd.DataFrame(
        {
            "key_urgency": table["tier"].map(URGENCY).to_numpy(np.int64),
            "key_manual": manual.astype(np.int64),
            "key_probability": key("probability", -1.0, 0.0, ~manual),
            "key_points": key("points", -1.0, 0.0, manual),
            "key_known": key("coverage", 1.0, -1.0, manual),
            "key_heard": key("months_silent", -1.0, FIRST, manual),
            "key_tie": _hashes(table["household_id"]),
        }
    )


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
    for name, known in (("tier", list(URGENCY)), ("status", [*_WITH_SCORE, "abstained", "rules_only", "error"])):
        wrong = np.flatnonzero(~table[name].isin(known))
        if len(wrong):
            raise VisitListRefused(f"row {wrong[0]}: {name} is none of {', '.join(known)}")


def is_manual(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Who is left to people: without a score, or too silent for the rules to call green."""
    return np.asarray(~table["status"].isin(_WITH_SCORE) | is_grey(table), np.bool_)


def is_grey(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Of whom too little is known to say anything."""
    return np.asarray(table["tier"] == Tier.GREY.value, np.bool_)


def dealt(
    by_tier: Iterable[T],
    manual: Iterable[T],
    grey: Iterable[T],
    reserved_share: float = RESERVED_SHARE,
    grey_share: float = GREY_SHARE,
) -> Iterator[tuple[T, str]]:
    """All of `by_tier` in the order of the list, each with what brought it there.

    The three are in order of `sort_keys`; `manual` holds those of `by_tier` who are left to people, `grey` those of
    `manual` who are grey. To deal the first k places, the first k of each are enough. A reserved place that nobody of
    its queue can take goes by tier.

    >>> list(dealt("abc", "c", ""))
    [('c', 'reserved'), ('a', 'tier'), ('b', 'tier')]
    """
    taken: set[T] = set()
    free, people, silent = (_left(queue, taken) for queue in (by_tier, manual, grey))
    place = kept = 0
    while True:
        place += 1
        chosen: tuple[T, str] | None = None
        if _falls(place, reserved_share):
            kept += 1
            # From the back: the first of the kept places goes to whom the rules put first.
            if math.floor(kept * grey_share) > math.floor((kept - 1) * grey_share):
                chosen = next(((each, RESERVED_GREY) for each in silent), None)
            chosen = chosen or next(((each, RESERVED) for each in people), None)
        chosen = chosen or next(((each, BY_TIER) for each in free), None)
        if chosen is None:
            return
        taken.add(chosen[0])
        yield chosen


def _falls(place: int, share: float) -> bool:
    """Whether the place is kept, so that of the first k places at least the share is, rounded up.

    >>> [place for place in range(1, 50) if _falls(place, 0.05)]
    [1, 21, 41]
    """
    return math.ceil(round(place * share, 9)) > math.ceil(round((place - 1) * share, 9))


def _left(queue: Iterable[T], taken: set[T]) -> Iterator[T]:
    """Those of a queue whom no other queue has brought up by the time they are asked for."""
    return (each for each in queue if each not in taken)


def _hashes(household_ids: pd.Series) -> npt.NDArray[np.int64]:
    """A number of each household that has nothing to do with the order of the ids."""
    drawn = [
        int.from_bytes(hashlib.blake2b(str(name).encode(), digest_size=8, key=b"visits").digest(), "big")
        for name in household_ids
    ]
    # As many numbers with a sign, in the same order: databases have no others.
    return (np.array(drawn, np.uint64) ^ np.uint64(1 << 63)).view(np.int64)
