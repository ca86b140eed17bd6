"""Households erased, and assessments whose time is over: the rows go, and the journal keeps digests of what went.

Whatever goes gets a line in `erased`: which entry brought it, how many rows, and their keyed digest. The lines come
with an entry of their own, so that they are covered like everything else. `serving.store.verification` takes a line in
the place of rows that are gone, if it has the digest that the entry told; any other deletion is found as before.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, and_, delete, exists, func, not_, or_, select

from serving.store import journal
from serving.store.assessment_lines import DOCUMENTS, ROWS, documents_there, row_digest
from serving.store.tables import (
    ASSESSMENTS,
    CONCERNS,
    ERASABLE,
    ERASED,
    INPUTS,
    PERSON_CODES,
    REVIEWS,
    TASKS,
)

if TYPE_CHECKING:
    from features.window import Micros

AT_A_TIME = 500
# Beside the journal: they go without a line.
_PLAIN = (TASKS, PERSON_CODES, INPUTS)


class ErasureRefused(ValueError):
    """Rows that cannot go without taking others along; the message names the entry."""


class Gone(NamedTuple):
    """What went: how many households had anything, and the rows by table."""

    households: int
    rows: Mapping[str, int]

    def __add__(self, other: Any) -> Gone:
        names = {**self.rows, **other.rows}
        rows = {name: self.rows.get(name, 0) + other.rows.get(name, 0) for name in names}
        return Gone(self.households + other.households, rows)


NOTHING = Gone(0, {})


def erase(connection: Connection, household_ids: Collection[str], by: str, at: Micros) -> Gone:
    """Remove everything about these households, in the writer's transaction. `by` is who ordered it, no household.

    What the journal says of them stays: digests, and ids of assessments, reviews and entries.
    """
    named, gone = sorted(set(household_ids)), NOTHING
    for first in range(0, len(named), AT_A_TIME):
        gone += _erase(connection, named[first : first + AT_A_TIME], by, at)
    return gone


def retain(connection: Connection, before: Micros, by: str, at: Micros) -> Gone:
    """Remove some assessments that came in before a moment and on which no open task rests, at most `AT_A_TIME`;
    nothing when none is left. Of a household with an open task the newest assessment stays. Reviews stay, too."""
    of = ASSESSMENTS.c
    chosen = connection.execute(_assessments(and_(of.stored_at < before, not_(_rests_a_task()))).limit(AT_A_TIME))
    rows = list(chosen.mappings())
    if not rows:
        return NOTHING
    lines, count = _lines(journal.secret(connection), rows), _delete_assessments(connection, rows)
    hashes = {row["inputs_sha256"] for row in rows} - {None}
    of_others = exists().where(of.household_id == INPUTS.c.household_id, of.inputs_sha256 == INPUTS.c.sha256)
    inputs = connection.execute(delete(INPUTS).where(INPUTS.c.sha256.in_(hashes), not_(of_others))).rowcount
    counts = {ASSESSMENTS.name: count, INPUTS.name: inputs}
    _tell(connection, "retained", lines, counts, by, at)
    return Gone(len({row["household_id"] for row in rows}), counts)


def _erase(connection: Connection, names: Sequence[str], by: str, at: Micros) -> Gone:
    key, lines, found = journal.secret(connection), list[dict[str, Any]](), set[str]()
    conditions = {table: _of_households(table, names) for table in ERASABLE}
    entries_of: dict[Table, list[int]] = {}
    for table, condition in conditions.items():
        of_table = list(_table_lines(connection, key, table, condition))
        entries_of[table] = [line["entry"] for line in of_table]
        lines += of_table
    rows = list(connection.execute(_assessments(ASSESSMENTS.c.household_id.in_(names))).mappings())
    lines += _lines(key, rows)
    for table in (REVIEWS, ASSESSMENTS, *_PLAIN):
        of = table.c.household_id
        found.update(connection.scalars(select(of).where(of.in_(names)).distinct()))
    for table in ERASABLE:
        if "household_id" in table.c:
            found.update(connection.scalars(select(table.c.household_id).where(conditions[table]).distinct()))
    if not found:
        return NOTHING
    counts = {ASSESSMENTS.name: _delete_assessments(connection, rows)}
    for table in _PLAIN:
        counts[table.name] = connection.execute(delete(table).where(table.c.household_id.in_(names))).rowcount
    for line in lines:
        if line["what"] not in (ROWS, DOCUMENTS):
            counts[line["what"]] = counts.get(line["what"], 0) + line["n"]
    counts = {name: n for name, n in counts.items() if n}
    # The lines open the triggers for these rows. What names a task or an assessment is looked up no more.
    _tell(connection, "erased", lines, counts, by, at)
    for table in ERASABLE:
        connection.execute(delete(table).where(table.c.journal_seq.in_(entries_of[table])))
    return Gone(len(found), counts)


def _of_households(table: Table, names: Sequence[str]) -> ColumnElement[bool]:
    """Which rows of a table are about these households."""
    if "household_id" in table.c:
        return table.c.household_id.in_(names)
    if table is CONCERNS:
        tasks = select(TASKS.c.task_id).where(TASKS.c.household_id.in_(names))
        theirs = select(ASSESSMENTS.c.assessment_id).where(ASSESSMENTS.c.household_id.in_(names))
        return or_(table.c.task_id.in_(tasks), table.c.assessment_id.in_(theirs))
    return table.c.review_id.in_(select(REVIEWS.c.review_id).where(REVIEWS.c.household_id.in_(names)))


def _assessments(condition: ColumnElement[bool]) -> Any:
    """Assessments with their documents, in the order in which they came."""
    joined = ASSESSMENTS.outerjoin(INPUTS, ASSESSMENTS.c.inputs_sha256 == INPUTS.c.sha256)
    return select(*ASSESSMENTS.c, INPUTS.c.body).select_from(joined).where(condition).order_by(ASSESSMENTS.c.seq)


def _rests_a_task() -> ColumnElement[bool]:
    """Whether an open task names the assessment, or its household has one and no newer assessment."""
    of, newer = ASSESSMENTS.c, ASSESSMENTS.alias("newer")
    is_named = exists().where(TASKS.c.is_open, TASKS.c.assessment_id == of.assessment_id)
    is_later = or_(newer.c.as_of > of.as_of, and_(newer.c.as_of == of.as_of, newer.c.seq > of.seq))
    has_newer = exists().where(newer.c.household_id == of.household_id, is_later)
    return or_(
        is_named, and_(exists().where(TASKS.c.is_open, TASKS.c.household_id == of.household_id), not_(has_newer))
    )


def _table_lines(
    connection: Connection, key: str, table: Table, condition: ColumnElement[bool]
) -> Iterator[dict[str, Any]]:
    """A line for each entry that brought rows of this table."""
    of_entry: dict[int, list[Mapping[str, Any]]] = {}
    for row in connection.execute(select(table).where(condition)).mappings():
        of_entry.setdefault(row["journal_seq"], []).append(journal.as_kept(table, row))
    for entry, rows in sorted(of_entry.items()):
        all_of = connection.scalar(select(func.count()).select_from(table).where(table.c.journal_seq == entry))
        if all_of != len(rows):
            raise ErasureRefused(f"entry {entry} brought rows of {table.name} about other households as well")
        sealed = journal.seal(key, rows)
        yield {"entry": entry, "what": table.name, "item": "", "n": sealed["n"], "hmac": sealed["hmac_sha256"]}


def _lines(key: str, rows: Sequence[RowMapping]) -> list[dict[str, Any]]:
    """The lines of assessments: one for the row, and one for the documents, where it has any."""
    found = []
    for row in rows:
        told = (
            (row["journal_seq"], ROWS, row_digest(key, row)),
            (row["record_seq"], DOCUMENTS, documents_there(key, row)),
        )
        for entry, what, digest in told:
            if entry is not None and digest is not None:
                line = {"entry": entry, "what": what, "item": row["assessment_id"], "n": 1}
                found.append({**line, "hmac": journal.keyed(key, digest)})
    return found


def _tell(
    connection: Connection,
    kind: str,
    lines: Sequence[Mapping[str, Any]],
    counts: Mapping[str, int],
    by: str,
    at: Micros,
) -> None:
    journal.append(connection, kind, secrets.token_hex(16), {"by": by, "n": counts}, at, {ERASED: lines})


def _delete_assessments(connection: Connection, rows: Sequence[RowMapping]) -> int:
    names = [row["seq"] for row in rows]
    count = 0
    for first in range(0, len(names), 10_000):
        chosen = ASSESSMENTS.c.seq.in_(names[first : first + 10_000])
        count += connection.execute(delete(ASSESSMENTS).where(chosen)).rowcount
    return count
