"""What the store knows of many households at once: a few queries for all of them, however many there are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, select, text

from features.window import Micros, is_not_before
from serving.store import consent, journal
from serving.store.assessments import Row
from serving.store.documents import unpacked
from serving.store.tables import ASSESSMENTS, INPUTS, TASKS
from serving.store.visits import visit_events

AT_A_TIME = 10_000
Asked = tuple[str, Micros]


@dataclass(frozen=True)
class Before:
    """The newest assessment of a moment before: the record, or its row where no record was kept, and the inputs it was
    made from, if those were."""

    said: Mapping[str, Any] | Row
    inputs: Mapping[str, Any] | None


@dataclass(frozen=True)
class Earlier:
    """What the store knows of some households: events of visits, who wants no machine, the newest assessment before
    each moment asked about. `seen` is the last entry of the journal by then."""

    visit_events: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)
    human_only: frozenset[str] = frozenset()
    before: Mapping[Asked, Before] = field(default_factory=dict)
    seen: int | None = None


class Visited(NamedTuple):
    """The assessment that a household's last visit left: its tier, and when it came in."""

    tier: str
    stored_at: Micros


def earlier(connection: Connection, household_ids: Collection[str], asked: Collection[Asked]) -> Earlier:
    """What is known of the households; `asked` are those, with their moments, whose assessment before is wanted."""
    names = sorted(set(household_ids))
    return Earlier(
        visit_events(connection, names),
        frozenset(consent.is_human_only(connection, names)),
        before(connection, asked),
        journal.head(connection).seq,
    )


def before(connection: Connection, asked: Collection[Asked], until: int | None = None) -> dict[Asked, Before]:
    """The newest assessment of each household before a moment, with its documents; `until`: as far as entries of the
    journal up to that one brought it."""
    chosen = _seq_before(connection, asked, until)
    of = ASSESSMENTS.c
    names = [each.name for each in fields(Row) if each.name != "has_record"]
    columns = (*(of[name] for name in names), of.record, INPUTS.c.body)
    joined = select(*columns).outerjoin_from(ASSESSMENTS, INPUTS, of.inputs_sha256 == INPUTS.c.sha256)
    found: dict[int, Before] = {}
    for some in _pieces(sorted(set(chosen.values()))):
        for row in connection.execute(joined.where(of.seq.in_(some))).mappings():
            inputs = None if row["body"] is None else unpacked(row["body"])
            if row["record"] is None:
                said: Any = Row(**{name: row[name] for name in names}, has_record=False)
            else:
                said = unpacked(row["record"])
            found[row["seq"]] = Before(said, inputs)
    return {each: found[seq] for each, seq in chosen.items()}


def last_visits(connection: Connection, household_ids: Collection[str]) -> dict[str, Visited]:
    """What the last visit of each household left; households without one are left out."""
    of, found = ASSESSMENTS.c, dict[str, Visited]()
    for some in _pieces(sorted(set(household_ids))):
        rows = select(of.household_id, of.tier, of.stored_at).where(text("origin = 'visit'"), of.household_id.in_(some))
        for row in connection.execute(rows.order_by(of.as_of, of.seq)):
            found[row.household_id] = Visited(row.tier, row.stored_at)
    return found


def with_open_task(connection: Connection, household_ids: Collection[str]) -> set[str]:
    """Those of the households that have an open task."""
    of, found = TASKS.c, set[str]()
    for some in _pieces(sorted(set(household_ids))):
        found.update(connection.scalars(select(of.household_id).where(of.household_id.in_(some), of.is_open)))
    return found


def _seq_before(connection: Connection, asked: Collection[Asked], until: int | None) -> dict[Asked, int]:
    of, rows = ASSESSMENTS.c, dict[str, list[tuple[Micros, int]]]()
    for some in _pieces(sorted({name for name, _ in asked})):
        chosen = select(of.household_id, of.as_of, of.seq).where(of.household_id.in_(some))
        if until is not None:
            chosen = chosen.where(of.journal_seq <= until)
        for name, as_of, seq in connection.execute(chosen.order_by(of.as_of, of.seq)):
            rows.setdefault(name, []).append((as_of, seq))
    found: dict[Asked, int] = {}
    for name, moment in asked:
        there = rows.get(name, [])
        # They are in order, so that those of moments before come first.
        count = int((~is_not_before(np.array([as_of for as_of, _ in there], np.int64), moment)).sum())
        if count:
            found[name, moment] = there[count - 1][1]
    return found


def _pieces(names: Sequence[Any]) -> list[Sequence[Any]]:
    return [names[first : first + AT_A_TIME] for first in range(0, len(names), AT_A_TIME)]
