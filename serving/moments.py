"""Columns of days and moments in ISO 8601 read as microseconds; the usual ways of writing them by compiled code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.ordering import spelling
from features.window import ALWAYS, NEVER, Micros, parsed

Ints = npt.NDArray[np.int64]
# What compiled code leaves to `features.window`: days, which need a calendar, and what is written in another way.
_UNREAD = ALWAYS
_ZERO, _DASH, _COLON, _PLUS, _T, _Z, _BLANK = ord("0"), ord("-"), ord(":"), ord("+"), ord("T"), ord("Z"), ord(" ")


def moments(texts: Sequence[str | None], time_zone: str, read: Callable[[str, str], Micros] = parsed) -> Ints:
    """The moments that texts stand for; `NEVER` for no text and for a moment that does not exist.

    `read` is `parsed` or `as_of_moment` of `features.window`; the result is what it says of each text alone.

    >>> moments(["1970-01-01T08:00:01+08:00", "1970-01-01"], "UTC").tolist()
    [1000000, 0]
    >>> bool(moments(["1970-02-30"], "UTC")[0] == NEVER)
    True
    """
    column = pa.array(texts, pa.string())
    found = np.empty(len(texts), np.int64)
    _read_zoned(*spelling(column), found)
    unread = np.flatnonzero(found == _UNREAD).tolist()
    if unread:
        wanted = [texts[row] for row in unread]
        known = {text: _moment(text, time_zone, read) for text in set(wanted)}
        found[unread] = [known[text] for text in wanted]
    return found


def _moment(text: str | None, time_zone: str, read: Callable[[str, str], Micros]) -> Micros:
    try:
        return NEVER if text is None else read(text, time_zone)
    except (ValueError, OverflowError):
        return NEVER


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _number(letters: npt.NDArray[np.uint8], at: int, n: int) -> int:
    """The number of n digits that begins there, -1 if something else stands there."""
    value = 0
    for i in range(at, at + n):
        digit = int(letters[i]) - _ZERO
        if digit < 0 or digit > 9:
            return -1
        value = 10 * value + digit
    return value


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _read_zoned(ends: npt.NDArray[np.int32], letters: npt.NDArray[np.uint8], found: Ints) -> None:
    """Read YYYY-MM-DDThh:mm:ss with Z or an offset of hours and minutes; all else is `_UNREAD`."""
    for row in range(len(found)):
        found[row] = _UNREAD
        at, length = ends[row], ends[row + 1] - ends[row]
        if length != 20 and length != 25:
            continue
        if letters[at + 4] != _DASH or letters[at + 7] != _DASH or letters[at + 13] != _COLON:
            continue
        if letters[at + 16] != _COLON or (letters[at + 10] != _T and letters[at + 10] != _BLANK):
            continue
        year, month, day = _number(letters, at, 4), _number(letters, at + 5, 2), _number(letters, at + 8, 2)
        hour, minute = _number(letters, at + 11, 2), _number(letters, at + 14, 2)
        second = _number(letters, at + 17, 2)
        if year < 1000 or month < 1 or month > 12 or day < 1 or hour < 0 or hour > 23:
            continue
        if minute < 0 or minute > 59 or second < 0 or second > 59:
            continue
        is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        last = 28 + is_leap if month == 2 else (30 if month in (4, 6, 9, 11) else 31)
        if day > last:
            continue
        ahead = 0
        if length == 20:
            if letters[at + 19] != _Z:
                continue
        else:
            sign, hours, minutes = letters[at + 19], _number(letters, at + 20, 2), _number(letters, at + 23, 2)
            if (sign != _PLUS and sign != _DASH) or letters[at + 22] != _COLON:
                continue
            if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
                continue
            ahead = hours * 60 + minutes if sign == _PLUS else -(hours * 60 + minutes)
        # Days since 1970, counted in years that begin in March and eras of 400 of them.
        years = year - 1 if month <= 2 else year
        era = years // 400
        of_era = years - era * 400
        of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
        days = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
        found[row] = (((days * 24 + hour) * 60 + minute - ahead) * 60 + second) * 1_000_000
