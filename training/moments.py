"""Which as-of moments a model learns from and is judged at."""

from __future__ import annotations

from features.dataset import DatasetMeta
from features.window import Micros, as_of_moment, day, month_ends, parsed


class MomentsRefused(ValueError):
    """No moment is left; the message says which ones the dataset has."""


def moments(meta: DatasetMeta, *, since: str | None = None, until: str | None = None) -> list[Micros]:
    """The dataset's ends of months, in order, from `since` to `until` (dates, both inclusive) where they are given.

    >>> from features.dataset import Moments
    >>> meta = DatasetMeta("a", "core", "CNY", "Asia/Shanghai", "L1", (), {}, "", "2022-12-31",
    ...                    Moments("2020-01-31", "2020-12-31", 3))
    >>> [last_day(moment, meta) for moment in moments(meta, since="2020-04-30", until="2020-10-30")]
    ['2020-04-30', '2020-07-31']
    >>> moments(meta, since="2021-01-01")
    Traceback (most recent call last):
    ...
    training.moments.MomentsRefused: no as-of moment since 2021-01-01; this dataset has them from 2020-01-31 to \
2020-10-31
    """
    zone, span = meta.time_zone, meta.moments
    grid = month_ends(parsed(span.first, zone), as_of_moment(span.until, zone), span.step_months, zone)
    if not grid:
        raise MomentsRefused(f"the dataset's moments from {span.first} to {span.until} hold no end of a month")
    low = grid[0] if since is None else as_of_moment(since, zone)
    high = grid[-1] if until is None else as_of_moment(until, zone)
    chosen = [moment for moment in grid if low <= moment <= high]
    if not chosen:
        asked = " ".join(f"{word} {text}" for word, text in (("since", since), ("until", until)) if text is not None)
        raise MomentsRefused(
            f"no as-of moment {asked}; this dataset has them from {last_day(grid[0], meta)} to "
            f"{last_day(grid[-1], meta)}"
        )
    return chosen


def last_day(moment: Micros, meta: DatasetMeta) -> str:
    """The day that a moment at its end is named after."""
    return day(moment - 1, meta.time_zone)
