"""The value of asking: how far an answer to one question could move a household's probability.

A field of the record that is missing, incomplete or old is filled with the values of similar households
(`models.similar`) at 20 levels, and each filled vector is scored. All of the field's features take the same level at
once, each counted from its better to its worse side: answers that all point the same way move the score the most, so
the range found is how far an answer could move it, not how far it will on average. Nothing is drawn by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue
from features.definition import Absent, Measure
from features.history import History, Visible
from features.matrix import Matrix
from features.window import ALWAYS, days_before, is_not_before
from models.bundle import Bundle
from models.fields import Field, fields
from models.similar import LEVELS, Similar

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

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
        weight = self.bundle.importance
        return sorted(
            found, key=lambda each: (-each.value, -float(weight[each.gap.columns].sum()), each.gap.field.name)
        )

    def gaps(self, i: int) -> list[Gap]:
        """The fields of household i that are missing, stale or incomplete, in the order of the catalogue."""
        values, unknown, found = self.vectors.values[i], self.vectors.unknown[i], []
        for field, reported in zip(self._fields, self._newest(i), strict=True):
            if (values[field.none_columns] == 0.0).any():
                continue
            is_unknown = unknown[field.columns]
            if is_unknown.all():
                kind = MISSING
            elif self._is_old(field, int(reported)):
                kind = STALE
            elif is_unknown.any():
                kind = INCOMPLETE
            else:
                continue
            fillable = self._may_fill[field.columns] & (is_unknown | (kind != INCOMPLETE))
            found.append(Gap(field, kind, field.columns[fillable]))
        return found

    @cached_property
    def _fields(self) -> tuple[Field, ...]:
        return fields(self.bundle.catalogue)

    @cached_property
    def _may_fill(self) -> npt.NDArray[np.bool_]:
        """A number that may not exist at all, as the grade of a certificate, is left open."""
        declared = self.bundle.catalogue.features
        return np.array([feature.when_absent is not Absent.NOT_APPLICABLE for feature in declared], np.bool_)

    @cached_property
    def _reports(self) -> npt.NDArray[np.bool_]:
        """Which kinds report about which field: kinds and one row for codes without a kind, x fields."""
        told = np.stack([field.reports for field in self._fields], axis=1)
        return np.concatenate([told, np.zeros((1, told.shape[1]), np.bool_)])

    def _newest(self, i: int) -> Ints:
        """When the newest event of each field happened, `ALWAYS` where none did."""
        rows = self.seen.of(i)
        when = np.where(self._reports[self.history.code[rows]], self.history.occurred[rows][:, np.newaxis], ALWAYS)
        return np.asarray(when.max(axis=0, initial=ALWAYS), np.int64)

    def _is_old(self, field: Field, reported: int) -> bool:
        limit = field.wording.stale_after_days
        if limit is None or reported == ALWAYS:
            return False
        return not is_not_before(np.array([reported]), days_before(self.seen.as_of, limit))[0]

    def _points(self, i: int, gaps: Sequence[Gap], similar: Similar) -> list[tuple[float, float] | None]:
        probability = self._probabilities(i, filled(self.bundle.catalogue, similar, self.vectors.values[i], gaps))
        low, high = np.quantile(probability, RANGE, axis=1)
        return [
            None if np.isnan(each).any() else (float(a), float(b))
            for each, a, b in zip(probability, low, high, strict=True)
        ]

    def _probabilities(self, i: int, drawn: Floats) -> Floats:
        """Of vectors (gaps x levels x features), gaps x levels; NaN where an answer cannot be scored.

        Levels that follow each other with the same values in all that the trees use are scored once.
        """
        # As bits, so that an unknown equals an unknown.
        used = np.ascontiguousarray(drawn[:, :, self.bundle.columns_used]).view(np.int64)
        is_new = np.ones(drawn.shape[:2], np.bool_)
        is_new[:, 1:] = (used[:, 1:] != used[:, :-1]).any(axis=2)
        rows = drawn[is_new]
        margins = self.bundle.model.margins(rows)
        margins[self.bundle.model.unlearned_unknowns(rows)] = np.nan
        region = [str(self.history.region[i])] * len(rows)
        scored = self.bundle.calibration.probability(margins, region)
        return np.asarray(scored[np.cumsum(is_new).reshape(is_new.shape) - 1], np.float64)


def filled(catalogue: Catalogue, similar: Similar, row: Floats, gaps: Sequence[Gap]) -> Floats:
    """The vector `row` with each gap filled at every level: gaps x levels x features.

    What is summed over the filled events too rises by as much, and ratios and differences follow from their parts.
    """
    parts, plausible = _parts(catalogue), similar.plausible(row)
    drawn = np.repeat(np.repeat(row[np.newaxis, np.newaxis], len(gaps), axis=0), LEVELS, axis=1)
    for each, gap in zip(drawn, gaps, strict=True):
        known = gap.columns[~np.isnan(plausible[gap.columns, 0])]
        each[:, known] = plausible[known].T
        for column, total in parts.totals(known):
            more = each[:, column] - np.nan_to_num(row[column])
            # Where the answer is that there was nothing more, an unknown total stays unknown.
            each[:, total] = np.where(more == 0.0, each[:, total], np.nan_to_num(each[:, total]) + more)
            each[:, total] = np.clip(each[:, total], *catalogue.features[total].bounds)
    parts.derive(drawn)
    return drawn


class _Parts:
    """What else changes in a vector when some of its columns do."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        column = {name: at for at, name in enumerate(catalogue.names)}
        self._derived = [
            (at, column[f.of[0]], column[f.of[1]], f) for at, f in enumerate(catalogue.features) if f.measure.is_derived
        ]
        sums = [(at, f) for at, f in enumerate(catalogue.features) if f.measure is Measure.SUM]
        reads = {at: set(catalogue.positions(f.codes)) for at, f in sums}
        self._wider = {
            at: [wide for wide, g in sums if g.window == f.window and reads[wide] > reads[at]] for at, f in sums
        }
        self._known: dict[bytes, list[tuple[int, int]]] = {}

    def totals(self, columns: Ints) -> list[tuple[int, int]]:
        """Pairs of a filled sum and a sum, not filled itself, that reads all its events and more over the same window.

        A filled sum that is within another filled one is left out: its amounts would count twice.
        """
        key = columns.tobytes()
        if key not in self._known:
            inside = {int(column) for column in columns}
            self._known[key] = [
                (column, wide)
                for column in sorted(inside)
                if not inside & set(self._wider.get(column, ()))
                for wide in self._wider.get(column, ())
            ]
        return self._known[key]

    def derive(self, values: Floats) -> None:
        """Work out ratios and differences again, as `features.kernel` does."""
        with np.errstate(divide="ignore", invalid="ignore"):
            for at, one, other, feature in self._derived:
                a, b = values[..., one] * feature.scale, values[..., other]
                made = np.where(b == 0.0, np.nan, a / b) if feature.measure is Measure.RATIO else a - b
                values[..., at] = np.clip(made, *feature.bounds)


_PARTS: dict[str, _Parts] = {}


def _parts(catalogue: Catalogue) -> _Parts:
    if catalogue.digest not in _PARTS:
        _PARTS[catalogue.digest] = _Parts(catalogue)
    return _PARTS[catalogue.digest]
