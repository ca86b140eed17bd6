"""The journal: one entry for everything that was recorded, each carrying the hash of the one before.

An entry holds digests and counts, never a name or an answer. `append` writes the rows of an entry together with it, so
that no row of `tables.COVERED` can be changed, added or removed, by whatever program, without `verify` naming the
entry. Whoever rewrites the rows, the entries and all hashes after them is found by a head that was kept elsewhere.

The hash of an entry is the SHA-256 of the canonical JSON (`serving.store.documents`) of
`[seq, at, kind, subject, body, previous]`. The digest of rows is keyed (HMAC) by a secret of the store: without it,
somebody who holds the journal could try all households for the one whose row has a digest.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Double, Row, Table, func, select

from serving.store.documents import digest, written
from serving.store.tables import ABOUT, COVERED, JOURNAL

if TYPE_CHECKING:
    # It brings numpy and pandas, which `povrisk journal` does not wait for.
    from features.window import Micros

GENESIS = "0" * 64
ROWS = "rows"
CHUNK = 1000
IN_CHUNKS = {"yield_per": CHUNK}

Rows = Mapping[Table, Sequence[Mapping[str, Any]]]


class Entry(NamedTuple):
    """Where an entry stands and its hash."""

    seq: int
    hash: str


class Head(NamedTuple):
    """The last entry and its moment; of an empty journal 0, 64 zeros and 0."""

    seq: int
    hash: str
    at: Micros


class Verified(NamedTuple):
    """How many entries were read; the first that is wrong or missing, and what is wrong with it."""

    entries: int
    first_bad: int | None
    problem: str | None


def append(
    connection: Connection,
    kind: str,
    subject: str,
    body: Mapping[str, Any],
    at: Micros,
    rows: Rows | None = None,
) -> Entry:
    """Add an entry, and the rows that came with it, in the writer's transaction.

    `subject` is what the entry is about: a random number of ours, never one of a household. `body` holds digests and
    counts. `rows` go into tables of `tables.COVERED`, complete but for their `journal_seq`.
    """
    last = head(connection)
    seq = last.seq + 1
    whole = dict(body)
    if rows:
        key = _key(connection)
        whole[ROWS] = {
            table.name: _sealed(key, [_row(table, row) for row in given]) for table, given in rows.items() if given
        }
    hashed = entry_hash(seq, at, kind, subject, whole, last.hash)
    entry = {"seq": seq, "at": at, "kind": kind, "subject": subject, "body": written(whole)}
    connection.execute(JOURNAL.insert(), {**entry, "previous": last.hash, "hash": hashed})
    for table, given in (rows or {}).items():
        if given:
            connection.execute(table.insert(), [{**row, **_row(table, row), "journal_seq": seq} for row in given])
    return Entry(seq, hashed)


def head(connection: Connection) -> Head:
    """The last entry."""
    found = connection.execute(
        select(JOURNAL.c.seq, JOURNAL.c.hash, JOURNAL.c.at).order_by(JOURNAL.c.seq.desc()).limit(1)
    ).first()
    return Head(*found) if found else Head(0, GENESIS, 0)


def entries(connection: Connection) -> Iterator[Row[Any]]:
    """Every entry in order, read in chunks."""
    yield from connection.execute(select(JOURNAL).order_by(JOURNAL.c.seq), execution_options=IN_CHUNKS)


def entry_hash(seq: int, at: Micros, kind: str, subject: str, body: Mapping[str, Any], previous: str) -> str:
    """The hash that an entry must have.

    >>> entry_hash(1, 0, "opened", "store", {}, GENESIS)[:16]
    '4675b7192c0f40d8'
    """
    return digest([seq, at, kind, subject, body, previous])


def verify(
    connection: Connection, exported: Head | None = None, *, progress: Callable[[int, int], None] | None = None
) -> Verified:
    """Recompute every hash and every digest of rows; stop at the first that is wrong.

    `exported` is a head that was kept elsewhere: the journal must still hold it. `progress` is told `(done, total)`.
    """
    total = connection.scalar(select(func.count()).select_from(JOURNAL)) or 0
    key = connection.scalar(select(ABOUT.c.value).where(ABOUT.c.name == "key")) or ""
    streams = [_Stream(connection, table) for table in COVERED]
    previous, seen = GENESIS, 0
    for entry in entries(connection):
        problem = _problem(entry, seen + 1, previous) or _uncovered(entry, streams, key)
        if problem is None and exported is not None and entry.seq == exported.seq and entry.hash != exported.hash:
            problem = f"entry {entry.seq} is not the one of the exported head: the journal was rewritten"
        if problem is not None:
            return Verified(seen, seen + 1, problem)
        previous, seen = entry.hash, entry.seq
        if progress is not None and (seen % CHUNK == 0 or seen == total):
            progress(seen, total)
    return _end(seen, streams, exported)


def _end(seen: int, streams: Sequence[_Stream], exported: Head | None) -> Verified:
    if exported is not None and exported.seq > seen:
        return Verified(seen, seen + 1, f"the journal ends at {seen}, the exported head is {exported.seq}")
    for stream in streams:
        if stream.next_seq is not None:
            return Verified(seen, seen + 1, f"{stream.table.name} holds a row that no entry brought")
    return Verified(seen, None, None)


def _problem(entry: Row[Any], expected: int, previous: str) -> str | None:
    """What is wrong with an entry itself or with its place in the chain."""
    if entry.seq != expected:
        return f"entry {expected} is missing"
    if entry.previous != previous:
        return f"entry {entry.seq} does not follow the one before"
    try:
        body = json.loads(entry.body)
        hashed = entry_hash(entry.seq, entry.at, entry.kind, entry.subject, body, entry.previous)
        is_whole = hashed == entry.hash and written(body) == entry.body
    except ValueError:
        is_whole = False
    return None if is_whole else f"entry {entry.seq} was changed"


def _uncovered(entry: Row[Any], streams: Sequence[_Stream], key: str) -> str | None:
    """What is wrong with the rows of an entry: the digests it holds must be those of the rows that are there."""
    told = json.loads(entry.body).get(ROWS, {})
    for stream in streams:
        if stream.next_seq is not None and stream.next_seq < entry.seq:
            return f"{stream.table.name} holds a row that no entry brought"
        rows = stream.rows_of(entry.seq)
        found = _sealed(key, rows) if rows else None
        if found != told.get(stream.table.name):
            return f"rows of {stream.table.name} that entry {entry.seq} brought were changed, added or removed"
    return None


class _Stream:
    """The rows of one table in the order of their entries, read in chunks beside the journal."""

    def __init__(self, connection: Connection, table: Table) -> None:
        self.table = table
        ordered = select(table).order_by(table.c.journal_seq)
        self._rows = iter(connection.execute(ordered, execution_options=IN_CHUNKS).mappings())
        self._next = next(self._rows, None)

    @property
    def next_seq(self) -> int | None:
        """The entry of the row that comes next."""
        return None if self._next is None else self._next["journal_seq"]

    def rows_of(self, seq: int) -> list[dict[str, Any]]:
        """The rows of one entry; they are passed by."""
        found = []
        while self._next is not None and self._next["journal_seq"] == seq:
            found.append(_row(self.table, self._next))
            self._next = next(self._rows, None)
        return found


def _row(table: Table, row: Mapping[Any, Any]) -> dict[str, Any]:
    """What a digest is taken of: every column but the entry's number, as it will be read back; null where a row does
    not say."""
    found = {column.name: row.get(column.name) for column in table.columns if column.name != "journal_seq"}
    for name, value in found.items():
        if value is not None and isinstance(table.c[name].type, Double):
            # SQLite keeps no negative zero, and an amount may come as a whole number.
            found[name] = float(value) + 0.0
    return found


def _sealed(key: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The count and the keyed digest of rows, in whatever order they come."""
    lines = "\n".join(sorted(map(written, rows)))
    return {"n": len(rows), "hmac_sha256": hmac.new(key.encode(), lines.encode(), hashlib.sha256).hexdigest()}


def _key(connection: Connection) -> str:
    return str(connection.execute(select(ABOUT.c.value).where(ABOUT.c.name == "key")).scalar_one())
