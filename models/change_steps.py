"""The steps from one assessment to the next, of many households at once: which rows count at each, what is seen there,
and what the model says.

All households that are judged at one moment, in whatever step, are judged together: what a judgement costs, it costs
once, however many there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.encoding import micros
from features.history import History, Visible, history_of, visible
from features.matrix import matrix_of
from features.tables import Tables
from features.window import NEVER, Micros, is_not_before
from models.bundle import Bundle
from models.data_quality import DataQuality
from models.handling import Handling
from models.scores import Scores

Step = Literal["again", "aged", "repaired", "latest"]
Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class Event(NamedTuple):
    """One event as a step knows it; the moments are microseconds."""

    event_id: str
    person: str | None
    code: str
    occurred: Micros
    value: float | None
    text: str | None
    known: Micros
    source: str
    supersedes: str | None

    @property
    def content(self) -> tuple[str | float | None, ...]:
        """What it says, without how it came to be known."""
        return self[1:6]


class Moments(NamedTuple):
    """When a household was judged the last time, and when now."""

    then: Micros
    now: Micros


@dataclass(frozen=True)
class Steps:
    """The steps of some households.

    `before` are the rows that the assessments of then were made from, `now` those of now; both hold every household of
    `moments` and no other that shares a person with one of them. `again` are the rows of before at then, `aged` those
    of them that were known by then at the new moment, `repaired` the rows of now that concern the time before then,
    `latest` all of them.
    """

    bundle: Bundle
    handling: Handling
    before: Tables
    now: Tables
    moments: Mapping[str, Moments]

    def probability(self, step: Step, household_id: str) -> float | None:
        """What the model says of a household at a step, None where it says nothing."""
        return self._judged(step, household_id).probability(_named(step, household_id))

    def events(self, step: Step, household_id: str) -> dict[str, Event]:
        """The events of a household that are seen at a step, by their id."""
        return self._judged(step, household_id).events(_named(step, household_id))

    def replaces(self, household_id: str) -> dict[str, str | None]:
        """What each row of now replaces."""
        return self._judged("latest", household_id).replaces(_named("latest", household_id))

    def _judged(self, step: Step, household_id: str) -> _Judged:
        return self._by_moment[_moment(step, self.moments[household_id])]

    @cached_property
    def _by_moment(self) -> dict[Micros, _Judged]:
        parts: dict[Micros, list[Tables]] = defaultdict(list)
        for step, tables in self._tables():
            of_moment: dict[Micros, list[str]] = defaultdict(list)
            for name, moments in self.moments.items():
                of_moment[_moment(step, moments)].append(name)
            for moment, names in of_moment.items():
                parts[moment].append(_renamed(tables if len(of_moment) == 1 else tables.of(names), step))
        return {moment: _Judged(self.bundle, self.handling, _joined(each), moment) for moment, each in parts.items()}

    def _tables(self) -> Iterator[tuple[Step, Tables]]:
        known = self._known
        yield "again", self.before
        yield "aged", known
        yield "repaired", self._about_then(known)
        yield "latest", self.now

    def _then(self, rows: pa.Table) -> Ints:
        """The moment of then of each row's household; of one that nobody asked about, that of the first."""
        names = pa.array(self.moments, pa.string())
        at = pc.index_in(rows["household_id"], value_set=names).fill_null(0).to_numpy()
        then: Ints = np.array([each.then for each in self.moments.values()], np.int64)[at]
        return then

    @cached_property
    def _known(self) -> Tables:
        """The rows of before that were known by then."""
        events, members = (
            rows.filter(pa.array(is_not_before(self._then(rows), micros(rows["known_at"]))))
            for rows in (self.before.events, self.before.members)
        )
        return Tables(events, members, self.before.households)

    def _about_then(self, known: Tables) -> Tables:
        """The rows that concern what had happened before then, or replace a row known by then, whenever they came."""
        events = self.now.events
        then = self._then(events)
        homes, ids, targets = (events[name].to_pylist() for name in ("household_id", "event_id", "supersedes"))
        names = list(zip(homes, ids, strict=True))
        old = set(zip(*(known.events[name].to_pylist() for name in ("household_id", "event_id")), strict=True))
        old.update(compress(names, ~is_not_before(micros(events["occurred_at"]), then)))
        replacing = [(name, (name[0], of)) for name, of in zip(names, targets, strict=True) if of is not None]
        size = -1
        while size != len(old):
            size = len(old)
            old.update([name for name, target in replacing if target in old])
        is_old = pa.array([name in old for name in names], pa.bool_())
        return Tables(events.filter(is_old), self._members_then(known.members), self.now.households)

    def _members_then(self, known: pa.Table) -> pa.Table:
        """Who had joined before then, without what is known by now of their leaving after it."""
        members = self.now.members
        then, joined, left = self._then(members), micros(members["joined_at"]), micros(members["left_at"])
        spells = set(_spells(known))
        kept = np.array([spell in spells for spell in _spells(members)], np.bool_)
        ends = np.where(kept | ~is_not_before(left, then), left, NEVER)
        place = members.schema.get_field_index("left_at")
        gone = pa.array(ends, pa.int64(), mask=ends == NEVER).cast(members.schema.field(place).type)
        told = members.set_column(place, members.schema.field(place), gone)
        return told.filter(pa.array(~is_not_before(joined, then) | kept))


@dataclass(frozen=True)
class _Judged:
    """Households of several steps at one moment."""

    bundle: Bundle
    handling: Handling
    tables: Tables
    as_of: Micros

    def probability(self, name: str) -> float | None:
        return self._scores.probability_alone(self._history.index[name])

    def events(self, name: str) -> dict[str, Event]:
        rows = self._history.row[self._seen.of(self._history.index[name])].tolist()
        return {self._rows[row].event_id: self._rows[row] for row in rows}

    def replaces(self, name: str) -> dict[str, str | None]:
        return {self._rows[row].event_id: self._rows[row].supersedes for row in self._of[name]}

    @cached_property
    def _history(self) -> History:
        return history_of(self.tables, self.bundle.catalogue, time_zone=self.bundle.time_zone)

    @cached_property
    def _seen(self) -> Visible:
        return visible(self._history, self.as_of)

    @cached_property
    def _scores(self) -> Scores:
        vectors = matrix_of(self._history, self._seen)
        quality = DataQuality(self.bundle, vectors.unknown)
        return Scores(self.bundle, self._history, self._seen, vectors, self.handling, quality)

    @cached_property
    def _rows(self) -> list[Event]:
        events = self.tables.events
        names = ("event_id", "person_id", "code", "occurred_at", "value", "text", "known_at", "source", "supersedes")
        columns = {n: micros(events[n]).tolist() if n in _MOMENTS else events[n].to_pylist() for n in names}
        columns["person_id"] = [None if name is None else name.partition("/")[2] for name in columns["person_id"]]
        return [Event(*cells) for cells in zip(*columns.values(), strict=True)]

    @cached_property
    def _of(self) -> dict[str, list[int]]:
        """The rows of each household."""
        found: dict[str, list[int]] = defaultdict(list)
        for row, name in enumerate(self.tables.events["household_id"].to_pylist()):
            found[name].append(row)
        return found


_MOMENTS = ("occurred_at", "known_at")


def _moment(step: Step, moments: Moments) -> Micros:
    return moments.then if step == "again" else moments.now


def _named(step: Step, household_id: str) -> str:
    return f"{step}/{household_id}"


def _renamed(tables: Tables, step: Step) -> Tables:
    """The tables with households and persons named by the step too, so that several steps can stand side by side."""
    return Tables(*(_with_prefix(rows, f"{step}/") for rows in (tables.events, tables.members, tables.households)))


def _with_prefix(rows: pa.Table, prefix: str) -> pa.Table:
    for name in ("household_id", "person_id"):
        place = rows.schema.get_field_index(name)
        if place >= 0:
            named = pc.binary_join_element_wise(prefix, rows[name], "")
            rows = rows.set_column(place, rows.schema.field(place), named)
    return rows


def _joined(parts: Sequence[Tables]) -> Tables:
    return Tables(
        pa.concat_tables([part.events for part in parts]),
        pa.concat_tables([part.members for part in parts]),
        pa.concat_tables([part.households for part in parts]),
    )


def _spells(members: pa.Table) -> Iterator[tuple[str, str, Micros, Micros]]:
    """Each row's household, person and times."""
    names = (members[name].to_pylist() for name in ("household_id", "person_id"))
    return zip(*names, *(micros(members[name]).tolist() for name in ("joined_at", "left_at")), strict=True)
