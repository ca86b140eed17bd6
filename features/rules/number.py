"""Amounts and truths that admit what is not known.

A number is an interval: known where both ends are one value, unknown where it is open, or it does not exist (NaN), as
the severity of an accident that never happened. A truth is 1, 0, or -1 for "cannot be evaluated". A comparison is
decided only if it comes out the same for every value the interval allows; whatever is compared with a number that
does not exist is false. So a part that is not known never counts as zero, and never hides what is true without it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Truths = npt.NDArray[np.int8]
TRUE, FALSE, NOT_EVALUABLE = np.int8(1), np.int8(0), np.int8(-1)


@dataclass(frozen=True)
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
        with np.errstate(invalid="ignore", over="ignore"):
            corners = np.stack([a * b for a in (self.lo, self.hi) for b in (other.lo, other.hi)])
        return self._spanned(other, corners)

    def __truediv__(self, other: Number) -> Number:
        """Division by what may be zero or less is unknown."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            corners = np.stack([a / b for a in (self.lo, self.hi) for b in (other.lo, other.hi)])
        corners[:, other.lo <= 0] = np.array([[-np.inf], [-np.inf], [np.inf], [np.inf]])
        return self._spanned(other, corners)

    def _spanned(self, other: Number, corners: Floats) -> Number:
        """From the least to the greatest corner, where both numbers exist."""
        exists = ~(np.isnan(self.lo) | np.isnan(other.lo))
        # Zero times an unbounded number is zero here, as is one unbounded number by another: a bound is a limit.
        corners = np.where(np.isnan(corners), 0.0, corners)
        return Number(np.where(exists, corners.min(axis=0), np.nan), np.where(exists, corners.max(axis=0), np.nan))


def less(a: Number, b: Number) -> Truths:
    """`a < b`."""
    return decided(a.hi < b.lo, a.lo < b.hi)


def at_most(a: Number, b: Number) -> Truths:
    """`a <= b`."""
    return decided(a.hi <= b.lo, a.lo <= b.hi)


def greater(a: Number, b: Number) -> Truths:
    """`a > b`."""
    return less(b, a)


def at_least(a: Number, b: Number) -> Truths:
    """`a >= b`."""
    return at_most(b, a)


def equal(a: Number, b: Number) -> Truths:
    """`a == b`."""
    return decided((a.hi <= b.lo) & (a.lo >= b.hi), (a.lo <= b.hi) & (b.lo <= a.hi))


def decided(certain: npt.NDArray[np.bool_], possible: npt.NDArray[np.bool_]) -> Truths:
    """True where certain, false where not even possible, otherwise not evaluable."""
    return np.where(certain, TRUE, np.where(possible, NOT_EVALUABLE, FALSE)).astype(np.int8)


def both(a: Truths, b: Truths) -> Truths:
    """Kleene's `and`: false if either is, whatever the other says.

    >>> both(np.array([0, -1, 1], np.int8), np.array([-1, 1, 1], np.int8)).tolist()
    [0, -1, 1]
    """
    return np.where((a == FALSE) | (b == FALSE), FALSE, np.minimum(a, b)).astype(np.int8)


def either(a: Truths, b: Truths) -> Truths:
    """Kleene's `or`: true if either is.

    >>> either(np.array([1, -1, 0], np.int8), np.array([-1, 0, 0], np.int8)).tolist()
    [1, -1, 0]
    """
    return negation(both(negation(a), negation(b)))


def negation(a: Truths) -> Truths:
    """Kleene's `not`."""
    return np.where(a == NOT_EVALUABLE, NOT_EVALUABLE, 1 - a).astype(np.int8)


def chosen(condition: Truths, a: Number, b: Number) -> Number:
    """`a` where the condition is true, `b` where it is false, and whatever either allows where it is not evaluable:
    anything, if only one of the two exists."""
    either_lo, either_hi = np.minimum(a.lo, b.lo), np.maximum(a.hi, b.hi)
    one_exists = np.isnan(a.lo) != np.isnan(b.lo)
    either_lo, either_hi = np.where(one_exists, -np.inf, either_lo), np.where(one_exists, np.inf, either_hi)
    lo = np.where(condition == TRUE, a.lo, np.where(condition == FALSE, b.lo, either_lo))
    hi = np.where(condition == TRUE, a.hi, np.where(condition == FALSE, b.hi, either_hi))
    return Number(lo, hi)


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
