"""Every entry of the journal, and every row that it brought, looked at again.

The journal, the tables and the lines about what was erased are read side by side in the order of entries, a few at a
time, so that nothing grows with the store. An entry that tells of rows must find them, or lines that say they were
erased, with the same digests; a row must find the entry that brought it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, RowMapping, Select, and_, func, or_, select

from serving.store.assessment_lines import DOCUMENTS, KEPT, ROW, Line, documents_there, row_digest
from serving.store.assessment_lines import ROWS as ASSESSED
from serving.store.documents import written
from serving.store.journal import CHUNK, GENESIS, ROWS, Head, as_kept, entries, entry_hash, keyed, seal, secret
from serving.store.tables import ASSESSMENTS, COVERED, ERASED, INPUTS, JOURNAL

# Documents are large: that many are held at a time.
DOCUMENTS_AT_A_TIME = 200
ERASES = ("erased", "retained")


class Verified(NamedTuple):
    """How many entries were read; the first that is wrong or missing, and what is wrong with it."""

    entries: int
    first_bad: int | None
    problem: str | None


class Erasures(NamedTuple):
    """How often something was erased, and how many rows and documents went."""

    times: int
    rows: int


def verify(
    connection: Connection, exported: Head | None = None, *, progress: Callable[[int, int], None] | None = None
) -> Verified:
    """Recompute every hash and every digest of rows and documents; stop at the first that is wrong.

    `exported` is a head that was kept elsewhere: the journal must still hold it. `progress` is told `(done, total)`.
    """
    total = connection.scalar(select(func.count()).select_from(JOURNAL)) or 0
    kept = _Kept.of(connection)
    previous, seen = GENESIS, 0
    for entry in entries(connection):
        problem = _problem(entry, seen + 1, previous) or kept.problem(entry)
        if problem is None and exported is not None and entry.seq == exported.seq and entry.hash != exported.hash:
            problem = f"entry {entry.seq} is not the one of the exported head: the journal was rewritten"
        if problem is not None:
            return Verified(seen, seen + 1, problem)
        previous, seen = entry.hash, entry.seq
        if progress is not None and (seen % CHUNK == 0 or seen == total):
            progress(seen, total)
    if exported is not None and exported.seq > seen:
        return Verified(seen, seen + 1, f"the journal ends at {seen}, the exported head is {exported.seq}")
    left = kept.left() or _without_entry(connection)
    return Verified(seen, None if left is None else seen + 1, left)


def erasures(connection: Connection) -> Erasures:
    """What went by erasure and by the end of its time; the entries about it are among those that are verified."""
    of = ERASED.c
    found = connection.execute(select(func.count(of.journal_seq.distinct()), func.coalesce(func.sum(of.n), 0))).one()
    return Erasures(int(found[0]), int(found[1]))


def _problem(entry: Row[Any], expected: int, previous: str) -> str | None:
    """What is wrong with an entry itself or with its place in the chain."""
    if entry.seq != expected:
        return f"entry {expected} is missing"
    if entry.previous != previous:
        return f"entry {entry.seq} does not follow the one before"
    try:
        body = json.loads(entry.body)
        hashed = entry_hash(entry.seq, entry.at, entry.kind, entry.subject, body, entry.previous)
        is_whole = hashed == entry.hash and written(body) == entry.body and isinstance(body, dict)
    except ValueError:
        is_whole = False
    return None if is_whole else f"entry {entry.seq} was changed"


@dataclass(frozen=True)
class _Kept:
    """The tables beside the journal, each read up to the entry that is looked at."""

    key: str
    tables: Mapping[str, _Stream]
    rows: _Stream
    documents: _Stream
    erased: _Stream

    @staticmethod
    def of(connection: Connection) -> _Kept:
        a, e = ASSESSMENTS.c, ERASED.c
        joined = ASSESSMENTS.outerjoin(INPUTS, a.inputs_sha256 == INPUTS.c.sha256)
        texts = (a.assessment_id, a.record, a.record_sha256, a.inputs_sha256, INPUTS.c.body, a.record_seq)
        documents = select(*texts).select_from(joined).where(a.record_seq.is_not(None)).order_by(a.record_seq)
        rows = select(*(a[name] for name in ROW), a.journal_seq).where(a.journal_seq.is_not(None))
        return _Kept(
            key=secret(connection),
            tables={t.name: _Stream(connection, select(t).order_by(t.c.journal_seq), "journal_seq") for t in COVERED},
            rows=_Stream(connection, rows.order_by(a.journal_seq), "journal_seq"),
            documents=_Stream(connection, documents, "record_seq", DOCUMENTS_AT_A_TIME),
            erased=_Stream(connection, select(e.entry, e.what, e.item, e.n, e.hmac).order_by(e.entry), "entry"),
        )

    def problem(self, entry: Row[Any]) -> str | None:
        """What is wrong with the rows that an entry brought."""
        for name, stream in self._streams():
            if stream.next_seq is not None and stream.next_seq < entry.seq:
                return f"{name} holds a row that no entry brought"
        body = json.loads(entry.body)
        gone = {(row["what"], row["item"]): row for row in self.erased.rows_of(entry.seq)}
        found = self._of_tables(entry, body.get(ROWS, {}), gone) or self._of_assessments(entry.seq, body, gone)
        if found is None and gone:
            return f"erased names rows that entry {entry.seq} did not bring"
        return found

    def left(self) -> str | None:
        """Rows of entries after the last."""
        after = (name for name, stream in self._streams() if stream.next_seq is not None)
        return next((f"{name} holds a row that no entry brought" for name in after), None)

    def _streams(self) -> Iterator[tuple[str, _Stream]]:
        yield from self.tables.items()
        yield from (("assessments", self.rows), ("assessments", self.documents), ("erased", self.erased))

    def _of_tables(self, entry: Row[Any], told: Mapping[str, Any], gone: dict[Any, RowMapping]) -> str | None:
        for table in COVERED:
            rows = [as_kept(table, row) for row in self.tables[table.name].rows_of(entry.seq)]
            found = seal(self.key, rows) if rows else None
            erased = gone.pop((table.name, ""), None)
            if erased is not None and found is None:
                found = {"n": erased["n"], "hmac_sha256": erased["hmac"]}
            elif erased is not None:
                return f"rows of {table.name} that entry {entry.seq} brought are there although they were erased"
            if found != told.get(table.name) or (table is ERASED and found is not None and entry.kind not in ERASES):
                return f"rows of {table.name} that entry {entry.seq} brought were changed, added or removed"
        return None

    def _of_assessments(self, seq: int, body: Mapping[str, Any], gone: dict[Any, RowMapping]) -> str | None:
        rows: dict[str, str | None] = {r["assessment_id"]: row_digest(self.key, r) for r in self.rows.rows_of(seq)}
        documents = {r["assessment_id"]: documents_there(self.key, r) for r in self.documents.rows_of(seq)}
        for line in (Line(*each) for each in body.get(KEPT, ())):
            of_both = ((ASSESSED, line.row, rows), (DOCUMENTS, line.documents, documents))
            if not all(self._is_there(line.assessment_id, what, told, there, gone) for what, told, there in of_both):
                return f"assessment {line.assessment_id} that entry {seq} brought was changed or removed"
        added = next(iter({**rows, **documents}), None)
        return None if added is None else f"assessment {added} was not brought by entry {seq} that it names"

    def _is_there(
        self, name: str, what: str, told: str | None, there: dict[str, str | None], gone: dict[Any, RowMapping]
    ) -> bool:
        """Whether what an entry told is there, or was erased as it was told."""
        found = there.pop(name, None)
        if (what, name) not in gone:
            return found == told
        erased = gone.pop((what, name))
        return found is None and told is not None and erased["hmac"] == keyed(self.key, told)


def _without_entry(connection: Connection) -> str | None:
    of = ASSESSMENTS.c
    nobody = or_(of.journal_seq.is_(None), and_(of.record_seq.is_(None), of.record.is_not(None)))
    found = connection.scalar(select(of.assessment_id).where(nobody).limit(1))
    return None if found is None else f"assessment {found} names no entry that brought it"


class _Stream:
    """The rows of a query in the order of their entries (`seq`), read in chunks beside the journal."""

    def __init__(self, connection: Connection, ordered: Select[Any], seq: str, chunk: int = CHUNK) -> None:
        self._seq = seq
        self._rows = iter(connection.execute(ordered, execution_options={"yield_per": chunk}).mappings())
        self._next = next(self._rows, None)

    @property
    def next_seq(self) -> int | None:
        """The entry of the row that comes next."""
        return None if self._next is None else self._next[self._seq]

    def rows_of(self, seq: int) -> Sequence[RowMapping]:
        """The rows of one entry; they are passed by."""
        found = []
        while self._next is not None and self._next[self._seq] == seq:
            found.append(self._next)
            self._next = next(self._rows, None)
        return found
