"""The journal: one entry for everything that was recorded, each carrying the hash of the one before.

An entry holds digests and counts, never a name or an answer. `append` writes the rows of an entry together with it, so
that no row of `tables.COVERED` can be changed, added or removed, by whatever program, without `verify`
(`serving.store.verification`) naming the entry. Assessments have lines in the entries that brought them
(`serving.store.assessments`). Whoever rewrites the rows, the entries and all hashes after them is found by a head that
was kept elsewhere.

The hash of an entry is the SHA-256 of the canonical JSON (`serving.store.documents`) of
`[seq, at, kind, subject, body, previous]`. Digests of rows and documents are keyed (HMAC) by a secret of the store:
without it, somebody who holds the journal could try all households for the one whose row has a digest. Whoever is shown
the secret later can check every digest of the past: none of them can be made to fit something else.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Double, Row, Table, select

from serving.store.documents import digest, written
from serving.store.tables import ABOUT, JOURNAL

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


class New(NamedTuple):
    """An entry to write. `subject` is what it is about: a random number of ours, never one of a household. `body` holds
    digests and counts."""

    kind: str
    subject: str
    body: Mapping[str, Any]


def append(
    connection: Connection,
    kind: str,
    subject: str,
    body: Mapping[str, Any],
    at: Micros,
    rows: Rows | None = None,
) -> Entry:
    """Add an entry, and the rows that came with it, in the writer's transaction.

    `rows` go into tables of `tables.COVERED`, complete but for their `journal_seq`.
    """
    given = {table: list(of) for table, of in (rows or {}).items() if of}
    whole = dict(body)
    if given:
        key = secret(connection)
        whole[ROWS] = {table.name: seal(key, [as_kept(table, row) for row in of]) for table, of in given.items()}
    entry = append_all(connection, [New(kind, subject, whole)], at)[0]
    for table, of in given.items():
        connection.execute(table.insert(), [{**row, **as_kept(table, row), "journal_seq": entry.seq} for row in of])
    return entry


def append_all(connection: Connection, new: Sequence[New], at: Micros) -> list[Entry]:
    """Add entries without rows, one after the other."""
    last = head(connection)
    previous, found, rows = last.hash, list[Entry](), []
    for seq, each in enumerate(new, last.seq + 1):
        text = written(each.body)
        hashed = hashlib.sha256(
            f"[{seq},{at},{written(each.kind)},{written(each.subject)},{text},{written(previous)}]".encode()
        ).hexdigest()
        told = {"seq": seq, "at": at, "kind": each.kind, "subject": each.subject, "body": text}
        rows.append({**told, "previous": previous, "hash": hashed})
        found.append(Entry(seq, hashed))
        previous = hashed
    if rows:
        connection.execute(JOURNAL.insert(), rows)
    return found


def head(connection: Connection) -> Head:
    """The last entry."""
    found = connection.execute(
        select(JOURNAL.c.seq, JOURNAL.c.hash, JOURNAL.c.at).order_by(JOURNAL.c.seq.desc()).limit(1)
    ).first()
    return Head(*found) if found else Head(0, GENESIS, 0)


def entry(connection: Connection, seq: int) -> Row[Any] | None:
    """One entry as it lies in the journal."""
    return connection.execute(select(JOURNAL).where(JOURNAL.c.seq == seq)).first()


def entries(connection: Connection) -> Iterator[Row[Any]]:
    """Every entry in order, read in chunks."""
    yield from connection.execute(select(JOURNAL).order_by(JOURNAL.c.seq), execution_options=IN_CHUNKS)


def entry_hash(seq: int, at: Micros, kind: str, subject: str, body: Mapping[str, Any], previous: str) -> str:
    """The hash that an entry must have.

    >>> entry_hash(1, 0, "opened", "store", {}, GENESIS)[:16]
    '4675b7192c0f40d8'
    """
    return digest([seq, at, kind, subject, body, previous])


def secret(connection: Connection) -> str:
    """The key of the store's digests, made with it. Empty where somebody took it away."""
    return str(connection.scalar(select(ABOUT.c.value).where(ABOUT.c.name == "key")) or "")


def keyed(key: str, text: str) -> str:
    """The keyed digest of a text, hexadecimal."""
    return hmac.digest(key.encode(), text.encode(), hashlib.sha256).hex()


def seal(key: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The count and the keyed digest of rows, in whatever order they come."""
    return {"n": len(rows), "hmac_sha256": keyed(key, "\n".join(sorted(map(written, rows))))}


def as_kept(table: Table, row: Mapping[Any, Any]) -> dict[str, Any]:
    """What a digest is taken of: every column but the entry's number, as it will be read back; null where a row does
    not say."""
    found = {column.name: row.get(column.name) for column in table.columns if column.name != "journal_seq"}
    for name, value in found.items():
        if value is not None and isinstance(table.c[name].type, Double):
            # SQLite keeps no negative zero, and an amount may come as a whole number.
            found[name] = float(value) + 0.0
    return found
