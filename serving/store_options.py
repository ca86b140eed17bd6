"""A store that a command works with: opened, told in words when it is away, and closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from serving.store.engine import Store, StoreDown, StoreFault, StoreRefused, open_store


class StoreAway(ValueError):
    """A store that cannot be used, or not now; the message says why."""


@contextmanager
def opened_store(url: str, *, create: bool = True) -> Iterator[Store]:
    """The store at that address. Whatever is wrong with it, then or later, is raised as `StoreAway`."""
    try:
        store = open_store(url, create=create)
        try:
            yield store
        finally:
            store.close()
    except (StoreRefused, StoreDown, StoreFault) as error:
        raise StoreAway(str(error)) from None
