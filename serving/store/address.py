"""Where a store is: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

FORMS = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"


class StoreRefused(ValueError):
    """A store that cannot be used as it is named; the message says what to do and never holds a password."""


class Address(NamedTuple):
    """The address for the driver, and what may be shown of it: no user, no password."""

    url: URL
    shown: str


def address(written: str) -> Address:
    """The address of a store, checked as far as it can be without opening it. Raises `StoreRefused`.

    >>> address("sqlite:///reviews.db").shown
    'sqlite:///reviews.db'
    >>> address("oracle://h/d")
    Traceback (most recent call last):
    ...
    serving.store.address.StoreRefused: the store's address must be sqlite:///FILE or postgresql://USER@HOST/DATABASE
    """
    try:
        url = make_url(written)
    except (ArgumentError, ValueError):
        raise StoreRefused(f"the store's address must be {FORMS}") from None
    if url.drivername == "sqlite":
        return _file(url)
    if url.drivername in ("postgresql", "postgresql+psycopg", "postgres"):
        return _server(url)
    raise StoreRefused(f"the store's address must be {FORMS}")


def _file(url: URL) -> Address:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise StoreRefused("the store needs a file: sqlite:///FILE (four slashes for a path from the root)")
    if url.query or url.host or url.username:
        raise StoreRefused("the address of a SQLite store is sqlite:///FILE and nothing more")
    path = Path(url.database)
    if path.is_dir() or not path.parent.is_dir():
        raise StoreRefused("the store's file cannot be there: make its folder first, and name a file in it")
    return Address(url.set(database=os.fspath(path.resolve())), f"sqlite:///{url.database}")


def _server(url: URL) -> Address:
    if not url.database:
        raise StoreRefused("the store needs a database: postgresql://USER:PASSWORD@HOST/DATABASE")
    if find_spec("psycopg") is None:
        raise StoreRefused("a store in PostgreSQL needs its driver: pip install 'povrisk[postgres]'")
    host = url.host or url.query.get("host") or "localhost"
    port = f":{url.port}" if url.port else ""
    return Address(url.set(drivername="postgresql+psycopg"), f"postgresql://{host}{port}/{url.database}")
