"""Moments and windows: the only file that compares times.

Every time inside the project is a whole number of microseconds since 1970-01-01 UTC. Calendar months are
counted in the dataset's own time zone, so that twelve monthly payments fall into twelve months wherever the
clock stands. A window is closed at its start and open at the moment of judgement: `[as_of - months, as_of)`.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

Micros = int
NEVER: Micros = int(np.iinfo(np.int64).max)
ALWAYS: Micros = int(np.iinfo(np.int64).min)
MICROS_PER_DAY = 86_400_000_000
DAYS_PER_MONTH = 30.4375
MICROS_PER_MONTH = MICROS_PER_DAY * DAYS_PER_MONTH
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The longest form of a date in ISO 8601, and how many of them are kept read: forty years of days.
_LONGEST_DATE, _DAYS_KEPT = len("2026-11-01"), 16_384


@dataclass(frozen=True, slots=True)
class Window:
    """The last `months` calendar months before the moment of judgement; `None` reaches back to the start."""

    months: int | None

    @property
    def suffix(self) -> str:
        """How a feature's name ends.

        >>> last(months=12).suffix, ever().suffix
        ('12m', 'ever')
        """
        return "ever" if self.months is None else f"{self.months}m"

    def start(self, as_of: Micros, time_zone: str) -> Micros:
        """The first moment inside the window.

        >>> moment = as_of_moment("2026-03-31", "Asia/Shanghai")
        >>> written(last(months=1).start(moment, "Asia/Shanghai"), "Asia/Shanghai")
        '2026-03-01T00:00:00+08:00'
        """
        return ALWAYS if self.months is None else months_before(as_of, self.months, time_zone)


def last(*, months: int) -> Window:
    """A window over the last calendar months."""
    if months < 1:
        raise ValueError("a window has at least one month")
    return Window(months)


def ever() -> Window:
    """A window over everything on record."""
    return Window(None)


def is_known(
    known_from: npt.NDArray[np.int64], known_until: npt.NDArray[np.int64] | np.int64, as_of: Micros
) -> npt.NDArray[np.bool_]:
    """Which rows the platform could see at `as_of`: known by then, and not yet replaced by a later row."""
    return (known_from <= as_of) & (as_of < known_until)


def has_begun(start: npt.NDArray[np.int64], as_of: Micros) -> npt.NDArray[np.bool_]:
    """Which spells began before `as_of`."""
    return start < as_of


def has_not_ended(end: npt.NDArray[np.int64], as_of: Micros | npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which spells still run at `as_of`, their last instant included; a spell that never ends carries `NEVER`."""
    return end >= as_of


def is_within(
    occurred_at: npt.NDArray[np.int64], as_of: Micros, window: Window, time_zone: str
) -> npt.NDArray[np.bool_]:
    """Which moments fall into `[as_of - window, as_of)`."""
    return (window.start(as_of, time_zone) <= occurred_at) & (occurred_at < as_of)


def is_between(occurred_at: npt.NDArray[np.int64], start: Micros, end: Micros) -> npt.NDArray[np.bool_]:
    """Which moments fall into `[start, end)`."""
    return (start <= occurred_at) & (occurred_at < end)


def is_after(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64] | Micros) -> npt.NDArray[np.bool_]:
    """Which moments of `a` lie after those of `b`, one by one."""
    return a > b


def is_not_before(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64] | Micros) -> npt.NDArray[np.bool_]:
    """Which moments of `a` lie at those of `b` or after, one by one."""
    return a >= b


def days_before(moment: Micros, days: float) -> Micros:
    """The moment `days` times 24 hours earlier (later if negative)."""
    return moment - round(days * MICROS_PER_DAY)


def year_start(as_of: Micros, time_zone: str) -> Micros:
    """The first instant of the calendar year that `as_of` ends or lies in.

    >>> written(year_start(as_of_moment("2025-12-31", "Asia/Shanghai"), "Asia/Shanghai"), "Asia/Shanghai")
    '2025-01-01T00:00:00+08:00'
    """
    return _midnight(date(from_micros(as_of - 1).astimezone(_zone(time_zone)).year, 1, 1), time_zone)


def day_of(as_of: Micros, time_zone: str) -> date:
    """The calendar day that `as_of` ends or lies in.

    >>> day_of(as_of_moment("2026-11-01", "Asia/Shanghai"), "Asia/Shanghai").isoformat()
    '2026-11-01'
    """
    return from_micros(as_of - 1).astimezone(_zone(time_zone)).date()


def is_within_horizon(
    occurred_at: npt.NDArray[np.int64], as_of: npt.NDArray[np.int64], horizon_end: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which moments fall into `(as_of, as_of + horizon]`, row by row: where outcomes are looked for."""
    return (occurred_at > as_of) & (occurred_at <= horizon_end)


def to_micros(moment: datetime) -> Micros:
    """A zoned moment as microseconds.

    >>> to_micros(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def micros_of(moments: pd.Series) -> npt.NDArray[np.int64]:
    """A column of zoned timestamps as microseconds, `NEVER` where there is none.

    >>> micros_of(pd.Series(pd.to_datetime(["1970-01-01T00:00:01Z", None]))).tolist() == [1_000_000, NEVER]
    True
    """
    zoned = pd.to_datetime(moments, utc=True).dt.as_unit("us")
    return np.where(zoned.isna(), NEVER, zoned.astype("int64"))


def from_micros(micros: Micros) -> datetime:
    """Microseconds as a moment in UTC."""
    return _EPOCH + timedelta(microseconds=int(micros))


def written(micros: Micros, time_zone: str = "UTC") -> str:
    """A moment in ISO 8601, in the given time zone."""
    return _written(micros, time_zone)


def day(micros: Micros, time_zone: str) -> str:
    """The calendar day of a moment in the given time zone.

    >>> day(as_of_moment("2026-11-01", "Asia/Shanghai") - 1, "Asia/Shanghai")
    '2026-11-01'
    """
    return _written(micros, time_zone)[:_LONGEST_DATE]


def parsed(text: str, time_zone: str) -> Micros:
    """A moment written in ISO 8601.

    A bare date is its first instant in `time_zone`; a time without an offset is read there.

    >>> parsed("2026-11-01", "Asia/Shanghai") == parsed("2026-10-31T16:00:00Z", "Asia/Shanghai")
    True
    """
    # The days of all events are few; kept read, one costs a tenth.
    return _read_day(text, time_zone) if len(text) == _LONGEST_DATE else _read(text, time_zone)


def as_of_moment(text: str, time_zone: str) -> Micros:
    """The moment of judgement. A bare date means the end of that day.

    >>> written(as_of_moment("2026-11-01", "Asia/Shanghai"), "Asia/Shanghai")
    '2026-11-02T00:00:00+08:00'
    """
    on = _date(text)
    if on is None:
        return parsed(text, time_zone)
    if on == date.max:
        raise ValueError("the last day of the calendar has no end; choose an earlier one")
    return _midnight(on + timedelta(days=1), time_zone)


@lru_cache(maxsize=65_536)
def months_before(moment: Micros, months: int, time_zone: str) -> Micros:
    """The same wall-clock time `months` calendar months earlier (later if negative), held to the month's last day."""
    local = from_micros(moment).astimezone(_zone(time_zone))
    index = local.year * 12 + local.month - 1 - months
    year, month = divmod(index, 12)
    last_day = calendar.monthrange(year, month + 1)[1]
    naive = datetime.combine(date(year, month + 1, min(local.day, last_day)), local.time())
    return to_micros(naive.replace(tzinfo=_zone(time_zone)))


def horizon_end(as_of: Micros, months: int, time_zone: str) -> Micros:
    """The last moment at which an outcome still counts."""
    return months_before(as_of, -months, time_zone)


def month_ends(first: Micros, until: Micros, step_months: int, time_zone: str) -> list[Micros]:
    """Moments at the ends of calendar months, from the first one after `first` to `until`, every `step_months`.

    >>> a, b = parsed("2026-01-15", "UTC"), parsed("2026-07-01", "UTC")
    >>> [day(m - 1, "UTC") for m in month_ends(a, b, 3, "UTC")]
    ['2026-01-31', '2026-04-30']
    """
    local = from_micros(first).astimezone(_zone(time_zone))
    index = local.year * 12 + local.month
    moments: list[Micros] = []
    while True:
        year, month = divmod(index, 12)
        moment = _midnight(date(year, month + 1, 1), time_zone)
        if moment > until:
            return moments
        moments.append(moment)
        index += step_months


@lru_cache(maxsize=_DAYS_KEPT)
def _written(micros: Micros, time_zone: str) -> str:
    # As with reading: most moments are the beginnings of a few thousand days.
    return from_micros(micros).astimezone(_zone(time_zone)).isoformat()


def _read(text: str, time_zone: str) -> Micros:
    on = _date(text)
    if on is not None:
        return _midnight(on, time_zone)
    moment = datetime.fromisoformat(text)
    return to_micros(moment if moment.tzinfo else moment.replace(tzinfo=_zone(time_zone)))


_read_day = lru_cache(maxsize=_DAYS_KEPT)(_read)


def _date(text: str) -> date | None:
    """The calendar day that the text is, in any ISO 8601 form, or None if it holds a time as well."""
    if len(text) > _LONGEST_DATE:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _midnight(on: date, time_zone: str) -> Micros:
    return to_micros(datetime.combine(on, time(), tzinfo=_zone(time_zone)))


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
