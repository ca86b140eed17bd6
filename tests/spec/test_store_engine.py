"""One store on two databases: how it opens, who may write, what is never changed, and what failures say."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from serving.store import append_only, consent, journal, verification
from serving.store.address import address
from serving.store.engine import Store, StoreDown, StoreFault, StoreRefused, open_store
from serving.store.erasure import erase
from serving.store.tables import ABOUT, APPEND_ONLY, METADATA
from tests.reviewed import AT, fill
from tests.stores import foreign, only, store, store_url

__all__ = ["store", "store_url"]

TABLES = [table.name for table in APPEND_ONLY]


def add(opened: Store, name: str) -> None:
    with opened.writing() as connection:
        connection.execute(insert(ABOUT), {"name": name, "value": "1"})


def names(opened: Store) -> set[str]:
    with opened.reading() as connection:
        return set(connection.scalars(select(ABOUT.c.name))) - {"schema", "key"}


# -- the address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store.db",
        "mysql://u:secret@h/d",
        "sqlite+aiosqlite:///x.db",
        "postgresql+psycopg2://u:secret@h/d",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "sqlite:///x.db?cache=shared",
        "sqlite:////no/such/folder/x.db",
        "postgresql://u:secret@host",
        "postgresql://u:secret@host/",
        "postgresql://u:secret@host:port/d",
    ],
)
def test_an_address_that_names_no_store_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(StoreRefused) as refused:
        open_store(url)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None and (refused.value.__suppress_context__ or not refused.value.__context__)


def test_an_address_without_a_database_says_what_to_write() -> None:
    with pytest.raises(StoreRefused, match="sqlite:///FILE"):
        open_store("sqlite://")
    with pytest.raises(StoreRefused, match=r"postgresql://USER:PASSWORD@HOST/DATABASE"):
        open_store("postgresql://u@host/")


def test_a_missing_driver_is_refused_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.store.address.find_spec", lambda name: None)
    with pytest.raises(StoreRefused, match="povrisk\\[postgres\\]"):
        open_store("postgresql://u:secret@h/d")


def test_what_is_shown_of_an_address_holds_neither_user_nor_password() -> None:
    shown = address("postgresql://user:secret@host:5433/db?sslpassword=secret&password=secret").shown
    assert shown == "postgresql://host:5433/db"


def test_a_server_that_is_not_there_is_down_and_not_refused() -> None:
    with pytest.raises(StoreDown) as down:
        open_store("postgresql://user:secret@127.0.0.1:1/db", busy_s=1)
    assert "secret" not in str(down.value) and down.value.__suppress_context__


# -- opening


def test_a_store_opens_without_waiting_for_the_libraries_of_the_model() -> None:
    heavy = "{'pandas', 'numpy', 'lightgbm', 'pydantic', 'bentoml'} & set(sys.modules)"
    program = f"import sys, serving.journal_commands, serving.store.engine; sys.exit(str({heavy} or ''))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stderr.strip() == ""


def test_a_store_is_made_once_and_found_again(store: Store, store_url: str) -> None:
    add(store, "kept")
    again = open_store(store_url)
    assert names(again) == {"kept"}
    again.close()


def test_without_leave_to_create_nothing_is_made(store_url: str) -> None:
    with pytest.raises(StoreRefused, match="no store at this address"):
        open_store(store_url, create=False)
    if store_url.startswith("sqlite"):
        assert not Path(store_url.removeprefix("sqlite:///")).exists()


def test_opened_by_many_at_once_it_is_made_once(store_url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(lambda _: open_store(store_url), range(6)))
    keys = set()
    for each in opened:
        with each.reading() as connection:
            keys.add(connection.scalar(select(ABOUT.c.value).where(ABOUT.c.name == "key")))
        each.close()
    assert len(keys) == 1


def test_a_store_of_another_schema_is_refused(store: Store, store_url: str) -> None:
    store.close()
    with foreign(store_url) as other:
        other.execute("UPDATE about SET value = 'store.v0' WHERE name = 'schema'")
    with pytest.raises(StoreRefused, match=r"schema store\.v2"):
        open_store(store_url)


def test_tables_of_something_else_are_refused(store_url: str) -> None:
    with foreign(store_url) as other:
        other.execute("CREATE TABLE reviews (stars integer)")
    with pytest.raises(StoreRefused, match=r"not a store of schema store\.v2"):
        open_store(store_url)


def test_a_file_that_is_no_database_is_down_with_that_reason(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreDown, match="damaged or not a database"):
        open_store(f"sqlite:///{tmp_path / 'x.db'}")


@only("sqlite")
def test_the_file_is_for_its_user_alone(store: Store, store_url: str) -> None:
    add(store, "x")
    folder = Path(store_url.removeprefix("sqlite:///")).parent
    assert {oct(each.stat().st_mode & 0o777) for each in folder.iterdir()} == {"0o600"}


@only("sqlite")
def test_every_connection_to_a_file_is_safe_against_a_crash(store: Store) -> None:
    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "recursive_triggers": 1}
    for opened in (store.reading, store.writing):
        with opened() as connection:
            found = {name: connection.scalar(text(f"PRAGMA {name}")) for name in expected}
        assert found == expected


@only("postgresql")
def test_a_commit_waits_for_the_disk_of_the_server(store: Store, store_url: str) -> None:
    with foreign(store_url) as other:
        (name,) = other.execute("SELECT current_database()").fetchone()
        other.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    again = open_store(store_url)
    with again.writing() as connection:
        assert connection.scalar(text("SHOW synchronous_commit")) == "on"
    again.close()


# -- writers and readers


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.writing() as connection:
        connection.execute(insert(ABOUT), {"name": "half", "value": "1"})
        raise ZeroDivisionError
    assert names(store) == set()


def test_a_reader_sees_one_moment_while_others_write(store: Store) -> None:
    add(store, "before")
    with store.reading() as connection:
        seen = [set(connection.scalars(select(ABOUT.c.name))) - {"schema", "key"}]
        writer = threading.Thread(target=add, args=(store, "meanwhile"))
        writer.start()
        writer.join()
        seen.append(set(connection.scalars(select(ABOUT.c.name))) - {"schema", "key"})
    assert seen == [{"before"}, {"before"}]
    assert names(store) == {"before", "meanwhile"}


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(StoreDown), store.reading() as connection:
        connection.execute(insert(ABOUT), {"name": "x", "value": "1"})
    assert names(store) == set()


def test_what_two_threads_read_and_then_write_is_not_lost(store: Store) -> None:
    def count_up(_: int) -> None:
        with store.writing() as connection:
            n = int(connection.scalar(select(ABOUT.c.value).where(ABOUT.c.name == "n")) or 0)
            connection.execute(ABOUT.delete().where(ABOUT.c.name == "n"))
            connection.execute(insert(ABOUT), {"name": "n", "value": str(n + 1)})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_up, range(40)))
    with store.reading() as connection:
        assert connection.scalar(select(ABOUT.c.value).where(ABOUT.c.name == "n")) == "40"


HOLD = {
    "sqlite": "import sqlite3, sys; c = sqlite3.connect(sys.argv[1].removeprefix('sqlite:///'), isolation_level=None);"
    "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()",
    "postgresql": "import psycopg, sys; c = psycopg.connect(sys.argv[1]);"
    "c.execute('SELECT pg_advisory_xact_lock(7687475)'); print('held', flush=True); sys.stdin.read()",
}


@contextmanager
def held(url: str) -> Iterator[None]:
    """Another process that holds the writer's lock."""
    program = [sys.executable, "-c", HOLD[url.split(":")[0]], url]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            process.communicate()


def test_a_lock_held_longer_than_the_wait_is_down_and_over_when_it_ends(store: Store, store_url: str) -> None:
    impatient = open_store(store_url, busy_s=0.2)
    with held(store_url):
        with pytest.raises(StoreDown, match="busy"):
            add(impatient, "x")
        assert names(impatient) == set(), "readers do not wait"
    add(impatient, "y")
    assert names(impatient) == {"y"}
    impatient.close()


def test_a_writer_waits_for_one_of_the_same_process_no_longer_than_told(store: Store, store_url: str) -> None:
    impatient = open_store(store_url, busy_s=0.2)
    with ThreadPoolExecutor(1) as pool, impatient.writing():
        assert isinstance(pool.submit(add, impatient, "x").exception(), StoreDown)
    impatient.close()


def test_a_forked_process_has_connections_of_its_own(store: Store) -> None:
    add(store, "parent")
    with store.reading() as connection:
        of_parent = connection.connection.dbapi_connection
    child = os.fork()
    if child == 0:
        code = 1
        try:
            add(store, "child")
            with store.reading() as connection:
                code = 0 if connection.connection.dbapi_connection is not of_parent else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    add(store, "after")
    assert names(store) == {"parent", "child", "after"}


def test_a_process_forked_while_a_thread_writes_is_not_locked_by_that_thread(store: Store) -> None:
    """The database's own lock stays with the parent, so that only the one between threads can be looked at."""
    with store.writing():
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if names(store) == set() and not store._turn.locked() else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0


@only("postgresql")
def test_connections_that_the_server_has_dropped_are_replaced(store: Store, store_url: str) -> None:
    add(store, "before")
    with foreign(store_url) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    add(store, "after")
    assert names(store) == {"before", "after"}


def test_a_refused_row_is_told_without_its_values(store: Store) -> None:
    add(store, "household-4711")
    with pytest.raises(StoreFault) as fault:
        add(store, "household-4711")
    assert "4711" not in str(fault.value) and fault.value.__suppress_context__


# -- what is only ever added to


def rows_of(other: Any, table: str) -> list[tuple[Any, ...]]:
    return sorted(other.execute(f"SELECT * FROM {table}").fetchall(), key=repr)


def attacks(url: str, table: str) -> dict[str, str]:
    """What another program may try, each a statement that would change or remove a row."""
    own = METADATA.tables[table]
    column, key = list(own.columns)[-1].name, ", ".join(each.name for each in own.primary_key)
    upsert = f"INSERT INTO {table} SELECT * FROM {table} WHERE true ON CONFLICT ({key}) DO UPDATE SET {column} = NULL"
    tried = {"update": f"UPDATE {table} SET {column} = {column}", "delete": f"DELETE FROM {table}", "upsert": upsert}
    if url.startswith("postgresql"):
        quiet = "SET session_replication_role = replica; "
        return {**tried, "truncate": f"TRUNCATE {table} CASCADE", "quietly": f"{quiet}DELETE FROM {table}"}
    # A new key in the place of an old row: REPLACE takes the row of the same rowid away.
    columns = [each.name for each in own.columns]
    unique = {"idempotency_key", "hash", *own.primary_key.columns.keys()}
    changed = [f"{each} || '0'" if each in unique else each for each in columns]
    if table in ("reviews", "journal"):
        first = [f"{columns[0]} || '0'", *columns[1:]]
        tried["replace by the other key"] = f"INSERT OR REPLACE INTO {table} SELECT {', '.join(first)} FROM {table}"
    return {
        **tried,
        "replace": f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
        "replace in place": f"INSERT OR REPLACE INTO {table} (rowid, {', '.join(columns)}) "
        f"SELECT rowid, {', '.join(changed)} FROM {table}",
        "update or replace": f"UPDATE OR REPLACE {table} SET {column} = {column}",
        "delete quietly": f"PRAGMA recursive_triggers = OFF; DELETE FROM {table}",
    }


def fill_all(opened: Store) -> None:
    """Rows in every table that is only added to: those of one household, and what is left of another."""
    with opened.writing() as connection:
        fill(connection)
        consent.record(connection, "h2", "objected", "person", AT)
        erase(connection, ["h2"], "tests", AT)


def test_no_program_changes_or_removes_a_row_of_the_tables_that_are_only_added_to(store: Store, store_url: str) -> None:
    fill_all(store)
    for table in TABLES:
        with foreign(store_url) as other:
            before = rows_of(other, table)
            assert before, table
        for name, tried in attacks(store_url, table).items():
            with foreign(store_url) as other, pytest.raises(Exception, match="append-only"):
                for statement in tried.split("; "):
                    other.execute(statement)
            with foreign(store_url) as other:
                assert rows_of(other, table) == before, f"{table}: {name}"


def test_the_store_itself_cannot_change_or_remove_a_row_either(store: Store, store_url: str) -> None:
    fill_all(store)
    for table in APPEND_ONLY:
        for statement in (table.update().values({next(iter(table.columns)).name: None}), table.delete()):
            with pytest.raises(StoreFault), store.writing() as connection:
                connection.execute(statement)
    with store.reading() as connection:
        assert verification.verify(connection).problem is None


def test_a_trigger_that_was_dropped_is_put_back_and_the_journal_says_so(store: Store, store_url: str) -> None:
    on = "" if store_url.startswith("sqlite") else " ON reviews"
    name = "reviews_append_only" + ("_update" if store_url.startswith("sqlite") else "")
    with foreign(store_url) as other:
        other.execute(f"DROP TRIGGER {name}{on}")
    with store.reading() as connection:
        assert append_only.missing(connection) == [name]
    again = open_store(store_url)
    with again.reading() as connection:
        assert append_only.missing(connection) == []
        assert [entry.kind for entry in journal.entries(connection)] == ["guards_restored"]
    again.close()
