"""The value of asking: how far an answer to one question could move a household's probability.

A field of the record that is missing, incomplete or old is filled with the values of similar households
(`models.similar`) at 20 levels, and each filled vector is scored. All of the field's features take the same level at
once, each counted from its better to its worse side: answers that all point the same way move the score the most, so
the range found is how far an answer could move it, not how far it will on average. Nothing is drawn by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue, made_once
from features.definition import Absent
from features.history import History, Visible
from features.matrix import Matrix
from features.window import ALWAYS, days_before, is_not_before
from models.bundle import Bundle
from models.fields import Field, fields
from models.filling import Filled, Parts
from models.rules import positions
from models.similar import Similar

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MISSING, INCOMPLETE, STALE = "missing", "incomplete", "stale"
# The range between the second-lowest and the second-highest tenth of the answers.
RANGE = (0.1, 0.9)


@dataclass(frozen=True)
class Gap:
    """A field of one household that is worth asking about: `missing` (all unknown), `stale` (its newest report is too
    old) or `incomplete` (some unknown), and the columns that an answer would fill."""

    field: Field
    kind: str
    columns: Ints


@dataclass(frozen=True)
class Asked:
    """What an answer could do: the probability's 10 % and 90 % points over the plausible answers, and the width
    between them; no points where nothing plausible is known or an answer cannot be scored."""

    gap: Gap
    points: tuple[float, float] | None

    @property
    def value(self) -> float:
        """The width of the range, 0 where there is none."""
        return 0.0 if self.points is None else self.points[1] - self.points[0]


@dataclass(frozen=True)
class Asking:
    """The questions that the model asks about the households of one history at one moment."""

    bundle: Bundle
    history: History
    seen: Visible
    vectors: Matrix

    def of(self, i: int) -> list[Asked]:
        """Everything to ask about household i, the most valuable first; nothing from a bundle without similar ones.

        Equally valuable are ordered by the weight of what an answer fills, then by name.
        """
        similar, gaps = self.bundle.similar, self.gaps(i)
        if similar is None or not gaps:
            return []
        found = [Asked(gap, points) for gap, points in zip(gaps, self._points(i, gaps, similar), strict=True)]
        columns = [gap.columns for gap in gaps]
        gap_of = np.repeat(np.arange(len(gaps)), [len(each) for each in columns])
        weight = np.bincount(gap_of, self.bundle.importance[np.concatenate(columns)], len(gaps)).tolist()
        order = sorted(range(len(gaps)), key=lambda k: (-found[k].value, -weight[k], gaps[k].field.name))
        return [found[k] for k in order]

    def gaps(self, i: int) -> list[Gap]:
        """The fields of household i that are missing, stale or incomplete, in the order of the catalogue."""
        of, unknown, (is_missing, is_old, listed) = self._fields, self.vectors.unknown[i], self._states
        found = []
        for k in listed[i]:
            field, columns = of.fields[k], of.fillable[k]
            if is_missing[i, k] or is_old[i, k]:
                found.append(Gap(field, MISSING if is_missing[i, k] else STALE, columns))
            else:
                found.append(Gap(field, INCOMPLETE, columns[unknown[columns]]))
        return found

    @cached_property
    def _fields(self) -> _Fields:
        return _fields(self.bundle.catalogue)

    @cached_property
    def _oldest(self) -> Ints:
        """From when on the newest report of each field is not old yet; `ALWAYS` for a record that does not grow old."""
        limits = (field.wording.stale_after_days for field in self._fields.fields)
        return np.array([ALWAYS if days is None else days_before(self.seen.as_of, days) for days in limits], np.int64)

    @cached_property
    def _states(self) -> tuple[Bools, Bools, list[list[int]]]:
        """Which fields are missing and which old (households x fields), and those of each household to ask about."""
        of, unknown = self._fields, self.vectors.unknown
        n_unknown = np.add.reduceat(unknown[:, of.columns], of.first, axis=1, dtype=np.int64)
        is_old = self._is_old()
        is_none = (self.vectors.values == 0.0).astype(np.float32) @ of.nones > 0.0
        return n_unknown == of.sizes, is_old, positions(~is_none & (is_old | (n_unknown > 0)))

    def _is_old(self) -> Bools:
        """By household the fields of which there is a report, but no recent one."""
        seen, of = self.seen, self._fields
        newest = np.full((len(self.history.household_ids), len(of.fields)), ALWAYS, np.int64)
        _find_newest(seen.rows, seen.starts, self.history.code, self.history.occurred, of.reports, newest)
        return np.asarray((newest != ALWAYS) & ~is_not_before(newest, self._oldest), np.bool_)

    def _points(self, i: int, gaps: Sequence[Gap], similar: Similar) -> list[tuple[float, float] | None]:
        row, model = self.vectors.values[i], self.bundle.model
        rows, place = filled(self.bundle.catalogue, similar, row, gaps)
        margins = model.margins_near(row, rows)
        margins[model.unlearned_unknowns(rows)] = np.nan
        probability = self.bundle.calibration.probability(margins, [str(self.history.region[i])])
        return [None if math.isnan(low) else (low, high) for low, high in ends(probability[place]).tolist()]


def ends(probability: Floats) -> Floats:
    """The points of `RANGE` among the numbers of each row, as `numpy.quantile` tells them; NaN where a row has one.

    >>> ends(np.array([[0.5, 0.25, 0.0, 1.0, 0.75, 0.5]])).tolist()
    [[0.125, 0.875]]
    """
    ordered = np.sort(probability, axis=1)
    at = np.array(RANGE) * (probability.shape[1] - 1)
    before = np.floor(at).astype(np.int64)
    a, b, share = ordered[:, before], ordered[:, before + 1], at - before
    found = np.where(share < 0.5, a + (b - a) * share, b - (b - a) * (1.0 - share))
    # The unknown is sorted to the end.
    found[np.isnan(ordered[:, -1])] = np.nan
    return np.asarray(found, np.float64)


def filled(catalogue: Catalogue, similar: Similar, row: Floats, gaps: Sequence[Gap]) -> Filled:
    """The vector `row` with each gap filled at every level."""
    return _parts(catalogue).filled(row, [gap.columns for gap in gaps], similar.plausible(row))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _find_newest(rows: Ints, starts: Ints, code: Ints, occurred: Ints, reports: Bools, newest: Ints) -> None:
    """Write when the newest report about each field happened: households x fields."""
    for i in range(len(newest)):
        for row in rows[starts[i] : starts[i + 1]]:
            for k in range(newest.shape[1]):
                if reports[code[row], k]:
                    newest[i, k] = max(newest[i, k], occurred[row])


class _Fields:
    """The fields of a catalogue as arrays: their columns end to end, those of field k from `first[k]` on."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.fields = fields(catalogue)
        self.sizes = np.array([len(field.columns) for field in self.fields], np.int64)
        self.first = np.cumsum(self.sizes) - self.sizes
        self.columns = np.concatenate([field.columns for field in self.fields])
        # A number that may not exist at all, as the grade of a certificate, is left open.
        may_fill = np.array([f.when_absent is not Absent.NOT_APPLICABLE for f in catalogue.features], np.bool_)
        self.fillable = [field.columns[may_fill[field.columns]] for field in self.fields]
        # Which columns are 0 where there is nothing to ask about: columns x fields, as numbers to be multiplied.
        self.nones = np.zeros((len(catalogue.features), len(self.fields)), np.float32)
        for k, field in enumerate(self.fields):
            self.nones[field.none_columns, k] = 1.0
        # Which kinds report about which field: kinds and one row for codes without a kind, x fields.
        told = np.stack([field.reports for field in self.fields], axis=1)
        self.reports = np.concatenate([told, np.zeros((1, told.shape[1]), np.bool_)])


_fields, _parts = made_once(_Fields), made_once(Parts)
