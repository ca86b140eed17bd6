"""Vectors as they would be if a question were answered: what is not known filled, and what follows from it too.

What is summed over the filled events too rises by as much, and ratios and differences follow from their parts.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue
from features.definition import Measure

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_DERIVED = np.dtype([("at", "i8"), ("one", "i8"), ("other", "i8"), ("scale", "f8"), ("is_ratio", "?")], align=True)


class Filled(NamedTuple):
    """Vectors with gaps filled: that of gap g at level k is `rows[place[g, k]]`.

    Levels of a gap that follow each other with the same values share a row.
    """

    rows: Floats
    place: Ints


class Parts:
    """What else changes in a vector of the catalogue when some of its columns do."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._bounds = np.array([feature.bounds for feature in catalogue.features], np.float64).reshape(-1, 2)

    def filled(self, row: Floats, columns: Sequence[Ints], plausible: Floats) -> Filled:
        """The vector `row` with the columns of each gap, in rising order, filled at every level.

        `plausible` holds values by feature and level; a feature without any (NaN) is left as it is.
        """
        ends = np.cumsum([0, *map(len, columns)])
        flat = np.concatenate(columns) if columns else np.zeros(0, np.int64)
        levels = plausible.shape[1]
        rows, place = np.empty((len(columns) * levels, len(row))), np.empty((len(columns), levels), np.int64)
        used = _filled(row, ends, flat, plausible, *self._wider, self._derived, self._bounds, rows, place)
        return Filled(rows[:used], place)

    def derive(self, values: Floats) -> None:
        """Work out the ratios and differences of some rows again, as `features.kernel` does."""
        for row in values:
            _derived(row, self._derived, self._bounds)

    @cached_property
    def _derived(self) -> npt.NDArray[np.void]:
        column = {name: at for at, name in enumerate(self._catalogue.names)}
        listed = [
            (at, column[f.of[0]], column[f.of[1]], f.scale, f.measure is Measure.RATIO)
            for at, f in enumerate(self._catalogue.features)
            if f.measure.is_derived
        ]
        return np.array(listed, _DERIVED)

    @cached_property
    def _wider(self) -> tuple[Ints, Ints]:
        """For column c the sums that read all its events and more over the same window:
        `wider[first[c]:first[c + 1]]`."""
        sums = [(at, f) for at, f in enumerate(self._catalogue.features) if f.measure is Measure.SUM]
        reads = {at: set(self._catalogue.positions(f.codes)) for at, f in sums}
        wider: list[list[int]] = [[] for _ in self._catalogue.features]
        for at, f in sums:
            wider[at] = [wide for wide, g in sums if g.window == f.window and reads[wide] > reads[at]]
        return np.cumsum([0, *map(len, wider)]), np.array([wide for each in wider for wide in each], np.int64)


@numba.njit(cache=True, nogil=True)
def _held(x, bounds):  # type: ignore[no-untyped-def]
    # Written so that a NaN stays one.
    if x < bounds[0]:
        return bounds[0]
    return bounds[1] if x > bounds[1] else x


@numba.njit(cache=True, nogil=True)
def _known(x):  # type: ignore[no-untyped-def]
    return 0.0 if x != x else x


@numba.njit(cache=True, nogil=True)
def _derived(row, derived, bounds):  # type: ignore[no-untyped-def]
    for k in range(len(derived)):
        each = derived[k]
        a, b = row[each.one] * each.scale, row[each.other]
        ratio = np.nan if b == 0.0 else a / b
        row[each.at] = _held(ratio if each.is_ratio else a - b, bounds[each.at])


@numba.njit(cache=True, nogil=True)
def _raise_totals(row, made, known, is_filled, first_wider, wider, bounds):  # type: ignore[no-untyped-def]
    """Add what the filled sums rose by to each sum, not filled itself, that reads their events and more.

    A filled sum that is within another filled one is left out: its amounts would count twice.
    """
    for c in known:
        of_c = wider[first_wider[c] : first_wider[c + 1]]
        is_within = False
        for wide in of_c:
            is_within = is_within or is_filled[wide]
        if is_within:
            continue
        more = made[c] - _known(row[c])
        for wide in of_c:
            # Where the answer is that there was nothing more, an unknown total stays unknown.
            if more != 0.0:
                made[wide] = _known(made[wide]) + more
            made[wide] = _held(made[wide], bounds[wide])


@numba.njit(cache=True, nogil=True)
def _filled(row, ends, columns, plausible, first_wider, wider, derived, bounds, rows, place):  # type: ignore[no-untyped-def]
    """Write the rows of `Filled` and their places; how many rows there are."""
    used, is_filled, known = 0, np.zeros(len(row), np.bool_), np.empty(len(row), np.int64)
    for g in range(len(place)):
        count = 0
        for c in columns[ends[g] : ends[g + 1]]:
            if plausible[c, 0] == plausible[c, 0]:
                known[count] = c
                is_filled[c] = True
                count += 1
        for level in range(place.shape[1]):
            is_new = level == 0
            for c in known[:count]:
                is_new = is_new or plausible[c, level] != plausible[c, level - 1]
            if is_new:
                made = rows[used]
                made[:] = row
                for c in known[:count]:
                    made[c] = plausible[c, level]
                _raise_totals(row, made, known[:count], is_filled, first_wider, wider, bounds)
                _derived(made, derived, bounds)
                used += 1
            place[g, level] = used - 1
        for c in known[:count]:
            is_filled[c] = False
    return used
