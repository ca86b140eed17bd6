"""Amounts and truths that admit what is not known.

A number is an interval: known where both ends are one value, unknown where it is open, or it does not exist (NaN), as
the severity of an accident that never happened. A truth is 1, 0, or -1 for "cannot be evaluated". A comparison is
decided only if it comes out the same for every value the interval allows; whatever is compared with a number that
does not exist is false. So a part that is not known never counts as zero, and never hides what is true without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Truths = npt.NDArray[np.int8]
TRUE, FALSE, NOT_EVALUABLE = np.int8(1), np.int8(0), np.int8(-1)
_YES, _NO, _OPEN = 1, 0, -1


@dataclass(slots=True, eq=False)
class Number:
    """One interval for each household or person: `lo <= value <= hi`.

    >>> paid = Number.exact(np.array([14_200.0])) + Number.unknown(1, least=0.0)
    >>> greater(paid, Number.exact(np.array([10_000.0]))), greater(Number.exact(np.array([20_000.0])), paid)
    (array([1], dtype=int8), array([-1], dtype=int8))
    """

    lo: Floats
    hi: Floats

    @staticmethod
    def exact(values: Floats) -> Number:
        """Known values; NaN does not exist."""
        return Number(values, values)

    @staticmethod
    def constant(value: float, n: int) -> Number:
        """The same known value n times."""
        return Number.exact(np.full(n, value))

    @staticmethod
    def unknown(n: int, least: float = -np.inf, most: float = np.inf) -> Number:
        """Nothing is known but the bounds."""
        return Number(np.full(n, least), np.full(n, most))

    @property
    def is_known(self) -> npt.NDArray[np.bool_]:
        """Where the value exists and is one."""
        return np.asarray((self.lo == self.hi) & np.isfinite(self.lo), np.bool_)

    def taken(self, index: npt.NDArray[np.int64]) -> Number:
        """The entries at the positions given; -1 takes an unknown one."""
        inside = index >= 0
        at = np.where(inside, index, 0)
        if len(self.lo) == 0:
            return Number.unknown(len(index))
        return Number(np.where(inside, self.lo[at], -np.inf), np.where(inside, self.hi[at], np.inf))

    def __add__(self, other: Number) -> Number:
        return Number(self.lo + other.lo, self.hi + other.hi)

    def __sub__(self, other: Number) -> Number:
        return Number(self.lo - other.hi, self.hi - other.lo)

    def __mul__(self, other: Number) -> Number:
        return Number(*_product(self.lo, self.hi, other.lo, other.hi))

    def __truediv__(self, other: Number) -> Number:
        """Division by what may be zero or less is unknown."""
        return Number(*_quotient(self.lo, self.hi, other.lo, other.hi))


def less(a: Number, b: Number) -> Truths:
    """`a < b`."""
    found: Truths = _less(a.lo, a.hi, b.lo, b.hi)
    return found


def at_most(a: Number, b: Number) -> Truths:
    """`a <= b`."""
    found: Truths = _at_most(a.lo, a.hi, b.lo, b.hi)
    return found


def greater(a: Number, b: Number) -> Truths:
    """`a > b`."""
    return less(b, a)


def at_least(a: Number, b: Number) -> Truths:
    """`a >= b`."""
    return at_most(b, a)


def equal(a: Number, b: Number) -> Truths:
    """`a == b`."""
    return decided((a.hi <= b.lo) & (a.lo >= b.hi), (a.lo <= b.hi) & (b.lo <= a.hi))


def decided(certain: Bools, possible: Bools) -> Truths:
    """True where certain, false where not even possible, otherwise not evaluable."""
    found: Truths = _decided(certain, possible)
    return found


def both(a: Truths, b: Truths) -> Truths:
    """Kleene's `and`: false if either is, whatever the other says.

    >>> both(np.array([0, -1, 1], np.int8), np.array([-1, 1, 1], np.int8)).tolist()
    [0, -1, 1]
    """
    found: Truths = _both(a, b)
    return found


def either(a: Truths, b: Truths) -> Truths:
    """Kleene's `or`: true if either is.

    >>> either(np.array([1, -1, 0], np.int8), np.array([-1, 0, 0], np.int8)).tolist()
    [1, -1, 0]
    """
    found: Truths = _either(a, b)
    return found


def negation(a: Truths) -> Truths:
    """Kleene's `not`."""
    found: Truths = _negation(a)
    return found


def chosen(condition: Truths, a: Number, b: Number) -> Number:
    """`a` where the condition is true, `b` where it is false, and whatever either allows where it is not evaluable:
    anything, if only one of the two exists."""
    return Number(*_chosen(condition, a.lo, a.hi, b.lo, b.hi))


def told(values: Floats) -> Number:
    """Values of which NaN are unknown."""
    return Number(*_told(values))


def strongest(parts: list[Number]) -> Number:
    """Several kinds of evidence of one amount: it is at least what each shows, and at most what the largest complete
    one shows. Evidence that does not exist shows nothing; without any, the amount does not exist.

    >>> surveyed, recorded = Number.exact(np.array([9_000.0])), Number(np.array([12_000.0]), np.array([np.inf]))
    >>> both_ = strongest([surveyed, recorded])
    >>> both_.lo.tolist(), both_.hi.tolist()
    ([12000.0], [12000.0])
    """
    lo, hi = parts[0].lo, np.where(np.isinf(parts[0].hi), -np.inf, parts[0].hi)
    for part in parts[1:]:
        lo, hi = np.fmax(lo, part.lo), np.fmax(hi, np.where(np.isinf(part.hi), -np.inf, part.hi))
    return Number(lo, np.where(np.isneginf(hi), np.inf, np.maximum(hi, lo)))


def as_number(truth: Truths) -> Number:
    """1 for true, 0 for false, somewhere between for what cannot be evaluated."""
    return Number((truth == TRUE).astype(np.float64), (truth != FALSE).astype(np.float64))


# The operations that conditions are made of, each in one pass and one call: a service asks about few households at a
# time, and then most of the time would go by between the steps of numpy.


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _as_many(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> int:
    """How many there are of each."""
    if len(a) != len(b):
        raise ValueError("one side speaks of households and the other of persons")
    return len(a)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _less(a_lo: Floats, a_hi: Floats, b_lo: Floats, b_hi: Floats) -> Truths:
    found = np.empty(_as_many(a_lo, b_lo), np.int8)
    for i in range(len(a_lo)):
        found[i] = _YES if a_hi[i] < b_lo[i] else _OPEN if a_lo[i] < b_hi[i] else _NO
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _at_most(a_lo: Floats, a_hi: Floats, b_lo: Floats, b_hi: Floats) -> Truths:
    found = np.empty(_as_many(a_lo, b_lo), np.int8)
    for i in range(len(a_lo)):
        found[i] = _YES if a_hi[i] <= b_lo[i] else _OPEN if a_lo[i] <= b_hi[i] else _NO
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _decided(certain: Bools, possible: Bools) -> Truths:
    found = np.empty(_as_many(certain, possible), np.int8)
    for i in range(len(certain)):
        found[i] = _YES if certain[i] else _OPEN if possible[i] else _NO
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _both(a: Truths, b: Truths) -> Truths:
    found = np.empty(_as_many(a, b), np.int8)
    for i in range(len(a)):
        found[i] = _NO if a[i] == _NO or b[i] == _NO else min(a[i], b[i])
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _either(a: Truths, b: Truths) -> Truths:
    found = np.empty(_as_many(a, b), np.int8)
    for i in range(len(a)):
        found[i] = _YES if a[i] == _YES or b[i] == _YES else min(a[i], b[i])
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _negation(a: Truths) -> Truths:
    found = np.empty(len(a), np.int8)
    for i in range(len(a)):
        found[i] = _OPEN if a[i] == _OPEN else 1 - a[i]
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _product(a_lo: Floats, a_hi: Floats, b_lo: Floats, b_hi: Floats) -> tuple[Floats, Floats]:
    n = _as_many(a_lo, b_lo)
    lo, hi = np.empty(n), np.empty(n)
    for i in range(len(a_lo)):
        ends = a_lo[i] * b_lo[i], a_lo[i] * b_hi[i], a_hi[i] * b_lo[i], a_hi[i] * b_hi[i]
        exists = not (math.isnan(a_lo[i]) or math.isnan(b_lo[i]))
        lo[i], hi[i] = _spanned(ends) if exists else (math.nan, math.nan)
    return lo, hi


@numba.njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _quotient(a_lo: Floats, a_hi: Floats, b_lo: Floats, b_hi: Floats) -> tuple[Floats, Floats]:
    n = _as_many(a_lo, b_lo)
    lo, hi = np.empty(n), np.empty(n)
    for i in range(len(a_lo)):
        ends = a_lo[i] / b_lo[i], a_lo[i] / b_hi[i], a_hi[i] / b_lo[i], a_hi[i] / b_hi[i]
        exists = not (math.isnan(a_lo[i]) or math.isnan(b_lo[i]))
        lo[i], hi[i] = _spanned(ends) if exists else (math.nan, math.nan)
        if exists and b_lo[i] <= 0:
            lo[i], hi[i] = -math.inf, math.inf
    return lo, hi


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _spanned(ends: tuple[float, float, float, float]) -> tuple[float, float]:
    """From the least to the greatest of the ends."""
    lo, hi = math.inf, -math.inf
    for end in ends:
        # Zero times an unbounded number is zero here, as is one unbounded number by another: a bound is a limit.
        known = 0.0 if math.isnan(end) else end
        lo, hi = min(lo, known), max(hi, known)
    return lo, hi


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _chosen(condition: Truths, a_lo: Floats, a_hi: Floats, b_lo: Floats, b_hi: Floats) -> tuple[Floats, Floats]:
    n = _as_many(a_lo, b_lo)
    lo, hi = np.empty(n), np.empty(n)
    for i in range(n):
        if condition[i] == _YES:
            lo[i], hi[i] = a_lo[i], a_hi[i]
        elif condition[i] == _NO:
            lo[i], hi[i] = b_lo[i], b_hi[i]
        elif math.isnan(a_lo[i]) != math.isnan(b_lo[i]):
            lo[i], hi[i] = -math.inf, math.inf
        else:
            lo[i], hi[i] = min(a_lo[i], b_lo[i]), max(a_hi[i], b_hi[i])
    return lo, hi


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _told(values: Floats) -> tuple[Floats, Floats]:
    lo, hi = values.copy(), values.copy()
    for i in range(len(values)):
        if math.isnan(values[i]):
            lo[i], hi[i] = -math.inf, math.inf
    return lo, hi
