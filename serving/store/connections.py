"""How connections to SQLite and to PostgreSQL are set up, and how their transactions begin."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from serving.store.address import Address, StoreRefused

# One number for all writers of a PostgreSQL database: "povrisk" in the letters of a telephone.
WRITER = 7687475


def engine(where: Address, busy_s: float, create: bool) -> Engine:
    """Connections that wait `busy_s` seconds for a lock and begin as their option `povrisk_writes` says."""
    is_file = where.url.get_backend_name() == "sqlite"
    connect: dict[str, Any] = {"timeout": busy_s} if is_file else {}
    if not is_file and "connect_timeout" not in where.url.query:
        connect["connect_timeout"] = max(2, round(busy_s))
    try:
        made = create_engine(
            where.url,
            connect_args=connect,
            hide_parameters=True,
            pool_size=4,
            max_overflow=12,
            pool_timeout=busy_s,
            pool_pre_ping=not is_file,
        )
    except ImportError:
        raise StoreRefused("the driver of PostgreSQL cannot be loaded: pip install 'povrisk[postgres]'") from None
    if is_file:
        _own_file(str(where.url.database), create)
        event.listen(made, "connect", _set_up_file)
        event.listen(made, "begin", _begin_file)
    else:
        event.listen(made, "connect", _set_up_server)
        event.listen(made, "begin", _begin_server)
    return made


def _own_file(path: str, create: bool) -> None:
    """Nobody but the service's user reads what households said; SQLite gives its other files the same rights."""
    try:
        os.close(os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600))
    except FileNotFoundError:
        raise StoreRefused("there is no store at this address") from None
    except OSError:
        raise StoreRefused("the store's file cannot be written: check its rights and those of its folder") from None


def _set_up_file(connection: Any, _record: object) -> None:
    # The driver's own transactions start late and miss reads; they are begun below instead.
    connection.isolation_level = None
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_file(connection: Connection) -> None:
    options = connection.get_execution_options()
    writes = options.get("povrisk_writes", False)
    connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
    if "povrisk_waits_s" in options:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={_milliseconds(options)}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_up_server(connection: Any, _record: object) -> None:
    # An acknowledged review must survive a crash of the server, whatever the database was set to.
    connection.autocommit = True
    connection.execute("SET synchronous_commit = on")
    connection.autocommit = False


def _begin_server(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("povrisk_writes", False):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_milliseconds(options)}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER})")


def _milliseconds(options: Mapping[str, Any]) -> int:
    return max(1, int(1000 * options["povrisk_waits_s"]))
