"""A store of the schema before brought to the present one when it is opened: nothing that is there is changed.

`store.v1` kept assessments beside the journal. They get lines in it now, in entries of the kind `adopted`: from there
on every change of them is found, and what happened to them before is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, bindparam, select, text, update

from serving.store import journal
from serving.store.assessment_lines import KEPT, ROW, line
from serving.store.journal import New
from serving.store.tables import ABOUT, ASSESSMENTS, ERASED, METADATA

if TYPE_CHECKING:
    from features.window import Micros

BEFORE = "store.v1"
TABLES_BEFORE = frozenset(METADATA.tables) - {ERASED.name}
AN_ENTRY = 500
_ADDED = ("journal_seq", "record_seq")


def migrate(connection: Connection, schema: str, at: Micros) -> None:
    """Add what the present schema has more, and lines in the journal for the assessments that are there."""
    for name in _ADDED:
        connection.execute(text(f"ALTER TABLE {ASSESSMENTS.name} ADD COLUMN {name} BIGINT"))
    ERASED.create(connection)
    connection.execute(text("DROP INDEX IF EXISTS assessments_of_household"))
    for index in ASSESSMENTS.indexes:
        index.create(connection, checkfirst=True)
    connection.execute(update(ABOUT).where(ABOUT.c.name == "schema").values(value=schema))
    adopted, last = 0, 0
    while rows := _next(connection, last):
        _adopt(connection, rows, at)
        adopted, last = adopted + len(rows), rows[-1].seq
    journal.append(connection, "migrated", "store", {"from": BEFORE, "to": schema, "assessments": adopted}, at)


def _next(connection: Connection, after: int) -> list[Row[tuple[object, ...]]]:
    of = ASSESSMENTS.c
    names = (*ROW, "seq", "record_sha256", "inputs_sha256")
    return list(
        connection.execute(select(*(of[name] for name in names)).where(of.seq > after).order_by(of.seq).limit(AN_ENTRY))
    )


def _adopt(connection: Connection, rows: list[Row[tuple[object, ...]]], at: Micros) -> None:
    key, seq = journal.secret(connection), journal.head(connection).seq + 1
    told = [row._mapping for row in rows]
    lines = [line(key, row["assessment_id"], row, row["inputs_sha256"], row["record_sha256"]) for row in told]
    journal.append_all(connection, [New("adopted", "store", {"n": len(lines), KEPT: lines})], at)
    brought = [
        {"of": row["seq"], "journal_seq": seq, "record_seq": None if row["record_sha256"] is None else seq}
        for row in told
    ]
    values: dict[str, Any] = {name: bindparam(name) for name in _ADDED}
    connection.execute(update(ASSESSMENTS).where(ASSESSMENTS.c.seq == bindparam("of")).values(**values), brought)
