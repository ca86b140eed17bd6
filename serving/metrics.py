"""What the service counts and times, for Prometheus. Labels never hold anything a caller sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def call_done(address: str, status: int, seconds: float) -> None:
    """One call answered. `address` is the pattern of the address, never the path."""


def stage(name: str, seconds: float) -> None:
    """Time spent in one stage of an answer: read, wait, assess, compare, keep, write."""


def batch(calls: int, households: int) -> None:
    """So many calls and households were assessed together."""


def refused(name: str) -> None:
    """A call was refused; `name` is that of the refusal (`serving.errors`)."""


def told(records: Sequence[Mapping[str, Any]], values: Any = None) -> None:
    """Assessments were told; `values` are their feature rows (households x features of the bundle) where known."""


def bundle_state(state: Any) -> None:
    """Which model answers, and whether a newer one was refused (`serving.slot.SlotState`)."""


def store_state(is_up: bool) -> None:
    """Whether the store could be used just now."""
