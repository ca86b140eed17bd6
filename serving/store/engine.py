"""One store behind one address, in SQLite or in PostgreSQL: one writer at a time, and readers that see one moment.

A row is on disk when `Store.writing` has ended without an exception, never before. What goes wrong in the driver is
told in words without the statement's values: `StoreDown` may be tried again, `StoreFault` is a mistake in the program
or a foreign hand in the database.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, inspect, select
from sqlalchemy import exc as failures

from serving.store import append_only, journal
from serving.store.address import StoreRefused, address
from serving.store.connections import engine
from serving.store.migration import BEFORE, TABLES_BEFORE, migrate
from serving.store.tables import ABOUT, METADATA

__all__ = ["SCHEMA", "Store", "StoreDown", "StoreFault", "StoreRefused", "open_store"]

SCHEMA = "store.v2"
BUSY_S = 5.0
# SQLite names its failures, PostgreSQL numbers them: what another try, or a repaired disk, can put right.
BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED", "55P03", "40")
FULL = ("SQLITE_FULL", "53")
ABSENT = ("SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_PERM", "08", "57", "25006")
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class StoreDown(Exception):
    """The store cannot answer now: busy, full, absent or damaged. Nothing was acknowledged; the same key may be sent
    again."""


class StoreBusy(StoreDown):
    """Another writer held the store for too long."""


class StoreFault(Exception):
    """The database refused a statement that no retry can help: a program's mistake, or a hand from outside."""


class Store:
    """An open store. One object serves all threads of a process; a forked process opens its own connections."""

    def __init__(self, engine: Engine, shown: str, busy_s: float) -> None:
        self.url_shown = shown
        self._engine = engine
        self._busy_s = busy_s
        self._opened_by = os.getpid()
        self._turn = threading.Lock()
        self._rests_until = 0.0

    @property
    def rests(self) -> bool:
        """Whether the store was found away a moment ago, so that whoever can do without it need not wait again."""
        return time.monotonic() < self._rests_until

    def rest(self, seconds: float) -> None:
        """Leave the store alone for so long; nobody is kept from using it all the same."""
        self._rests_until = time.monotonic() + seconds

    @contextmanager
    def writing(self, wait_s: float | None = None) -> Iterator[Connection]:
        """A connection for one writer. All of it is committed at the end, or nothing. Raises `StoreDown`, `StoreFault`.

        Another writer, also in another process, waits until this one has ended: at most `wait_s`, without it as long
        as the store was opened with.
        """
        self._after_fork()
        wait_s = self._busy_s if wait_s is None else wait_s
        until = time.monotonic() + wait_s
        if not self._turn.acquire(timeout=wait_s):
            raise StoreBusy("the store is busy: other writers held it too long")
        try:
            with _told(), self._engine.connect() as connection:
                level: dict[str, Any] = {} if self._is_file else {"isolation_level": "READ COMMITTED"}
                waits = max(0.001, until - time.monotonic())
                with connection.execution_options(povrisk_writes=True, povrisk_waits_s=waits, **level).begin():
                    yield connection
        finally:
            self._turn.release()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees the store as it was at its first statement, and cannot write."""
        self._after_fork()
        with _told(), self._engine.connect() as connection:
            level = {} if self._is_file else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            with connection.execution_options(**level).begin():
                yield connection

    def scrub(self) -> bool:
        """Write a SQLite file anew without what was deleted, and empty its log. Whether that was done: a server keeps
        its own house, and a file that others use can be written anew later. Raises `StoreDown`, `StoreFault`."""
        if not self._is_file:
            return False
        with _told(), self._engine.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute("PRAGMA query_only=OFF")
            cursor.execute(f"PRAGMA busy_timeout={int(1000 * self._busy_s)}")
            try:
                cursor.execute("VACUUM")
                return not cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.OperationalError as failure:
                if failure.sqlite_errorname.startswith(BUSY):
                    return False
                raise StoreDown("the store's file could not be written anew; is there room for a second one?") from None

    def close(self) -> None:
        """Close every connection that is not in use. The store may be used again, and then opens new ones."""
        self._engine.dispose()

    @property
    def _is_file(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def _after_fork(self) -> None:
        """Connections of the parent are the parent's: a child leaves them untouched and opens its own."""
        if self._opened_by != os.getpid():
            self._opened_by = os.getpid()
            self._of_parent = self._engine.pool
            self._turn = threading.Lock()
            self._engine.dispose(close=False)


def open_store(url: str, *, busy_s: float = BUSY_S, create: bool = True) -> Store:
    """Open a store. With `create`, tables and triggers that are not there are made; without it nothing is written.

    `url` is `sqlite:///FILE` or `postgresql://...`; `busy_s` is how long a writer waits for another one. Raises
    `StoreRefused` for an address or a content that cannot be used, `StoreDown` where it cannot be reached now.
    """
    where = address(url)
    store = Store(engine(where, busy_s, create), where.shown, busy_s)
    try:
        _prepare(store, create)
    except BaseException:
        store.close()
        raise
    return store


def _prepare(store: Store, create: bool) -> None:
    """The tables, their triggers, the schema and the key of the digests: made in one transaction, or found. A store of
    the schema before becomes one of the present schema.

    Triggers that somebody has dropped are put back, and the journal says so.
    """
    if store._is_file:
        _log_ahead(store)
    with store.reading() as connection:
        schema = _schema(connection)
        ready = schema == SCHEMA and not append_only.missing(connection)
    if not create and schema is None:
        raise StoreRefused("there is no store at this address")
    if not create and schema != SCHEMA:
        raise StoreRefused(f"the store is of schema {schema}; start the service with it once, which makes it {SCHEMA}")
    if ready or not create:
        return
    with store.writing() as connection:
        schema = _schema(connection)
        if schema is None:
            METADATA.create_all(connection)
            facts = {"schema": SCHEMA, "key": secrets.token_hex(32)}
            connection.execute(ABOUT.insert(), [{"name": name, "value": value} for name, value in facts.items()])
        elif schema == BEFORE:
            migrate(connection, SCHEMA, _moment())
        if append_only.protect(connection) and schema == SCHEMA:
            journal.append(connection, "guards_restored", "store", {}, _moment())


def _moment() -> int:
    from serving.clock import now
    from serving.settings import current

    return now(current())


def _schema(connection: Connection) -> str | None:
    """The schema of the tables that are there, if any. Raises `StoreRefused` for tables of another version or of
    something else."""
    there = set(inspect(connection).get_table_names()) & set(METADATA.tables)
    if not there:
        return None
    found = None
    if ABOUT.name in there:
        found = connection.scalar(select(ABOUT.c.value).where(ABOUT.c.name == "schema"))
    if (found, there) not in ((SCHEMA, set(METADATA.tables)), (BEFORE, TABLES_BEFORE)):
        raise StoreRefused(f"the database holds tables that are not a store of schema {SCHEMA}; name an empty one")
    return str(found)


def _log_ahead(store: Store) -> None:
    """Writers and readers side by side. SQLite does not wait for others when it changes this, so the wait is here."""
    until = time.monotonic() + store._busy_s
    mode = ""
    while not mode:
        try:
            with _told(), store._engine.connect() as connection:
                cursor = connection.connection.cursor()
                cursor.execute("PRAGMA journal_mode=WAL")
                (mode,) = cursor.fetchone() or ("",)
        except StoreBusy:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
    if mode != "wal":
        raise StoreRefused("the file system of the store's file keeps no write-ahead log; put it on a local disk")


@contextmanager
def _told() -> Iterator[None]:
    """Failures of the driver in our words: its own name the statement, and PostgreSQL's the values of a row."""
    try:
        yield
    except failures.TimeoutError:
        raise StoreDown("the store is busy: all connections are in use") from None
    except failures.DBAPIError as failure:
        raise _explained(failure) from None


def _explained(failure: failures.DBAPIError) -> StoreDown | StoreFault:
    code = getattr(failure.orig, "sqlite_errorname", None) or getattr(failure.orig, "sqlstate", None) or ""
    if code.startswith(BUSY):
        return StoreBusy("the store is busy: another writer held it too long")
    if code.startswith(FULL):
        return StoreDown("the store's disk is full, or the server has no room left")
    if code.startswith(DAMAGED):
        return StoreDown("the store's file is damaged or not a database; bring back a copy")
    if code.startswith(ABSENT) or (
        not code and isinstance(failure, failures.OperationalError | failures.InterfaceError)
    ):
        return StoreDown("the store cannot be reached or written")
    return StoreFault(f"the database refused a statement ({type(failure).__name__} {code})".rstrip())
