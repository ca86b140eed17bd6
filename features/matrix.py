"""Household vectors at one moment: one row per household, the same function for one household and for many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.history import History, Visible, visible
from features.kernel import DAYS_PER_YEAR
from features.ordering import Floats
from features.vectors import Vectors
from features.window import Micros

__all__ = ["DAYS_PER_YEAR", "Matrix", "matrix", "matrix_of", "stacked", "vector_blocks"]
BLOCK = 2048


@dataclass(frozen=True)
class Matrix:
    """Vectors of n households at their moments.

    `values` is n x features in the order of `names`, NaN where there is no number; `unknown` marks those of them that
    somebody could still tell, as against numbers that do not exist for this household. `n_events` counts the events
    of the last 24 months, `n_members` the people known to live there.
    """

    household_ids: npt.NDArray[np.object_]
    as_of: npt.NDArray[np.int64]
    values: Floats
    unknown: npt.NDArray[np.bool_]
    names: tuple[str, ...]
    n_events: npt.NDArray[np.int64]
    n_members: npt.NDArray[np.int64]

    def column(self, name: str) -> Floats:
        """One feature of every row."""
        return self.values[:, self.names.index(name)]

    def rows(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Matrix:
        """A part of the rows."""
        return Matrix(
            self.household_ids[chosen],
            self.as_of[chosen],
            self.values[chosen],
            self.unknown[chosen],
            self.names,
            self.n_events[chosen],
            self.n_members[chosen],
        )


def matrix(history: History, as_of: Micros, household_ids: Sequence[str] | None = None) -> Matrix:
    """The vectors at `as_of` of all households of the history, or of those named, in that order."""
    whole = matrix_of(history, visible(history, as_of))
    if household_ids is None:
        return whole
    return whole.rows(np.array([history.index[h] for h in household_ids], np.int64))


def matrix_of(history: History, seen: Visible, names: Sequence[str] | None = None) -> Matrix:
    """The vectors from what is visible, for callers that also need the events behind them.

    With `names`, only these features in that order, which costs only what they read. Raises KeyError for a name that
    the catalogue lacks.
    """
    vectors, n = Vectors(history, seen, names), len(history.household_ids)
    values, unknown = np.empty((n, len(vectors.names))), np.empty((n, len(vectors.names)), np.bool_)
    n_events = np.empty(n, np.int64)
    vectors.fill(0, values, unknown, n_events)
    return Matrix(
        history.ids_of_households,
        np.full(n, seen.as_of, np.int64),
        values,
        unknown,
        vectors.names,
        n_events,
        vectors.n_members,
    )


def vector_blocks(
    history: History, as_of: Micros, *, names: Sequence[str] | None = None, block: int = BLOCK
) -> Iterator[tuple[int, Floats, npt.NDArray[np.bool_]]]:
    """The vectors of all households in blocks: (index of the first household, values, unknown).

    Each block is written over the one before, in memory that stays in the processor's cache; whoever wants to keep a
    block copies it.
    """
    vectors, n = Vectors(history, visible(history, as_of), names), len(history.household_ids)
    size = (min(block, n), len(vectors.names))
    values, unknown, n_events = np.empty(size), np.empty(size, np.bool_), np.empty(size[0], np.int64)
    for first in range(0, n, block):
        part = slice(min(block, n - first))
        vectors.fill(first, values[part], unknown[part], n_events[part])
        yield first, values[part], unknown[part]


def stacked(parts: Sequence[Matrix]) -> Matrix:
    """Several matrices below each other."""
    return Matrix(
        np.concatenate([part.household_ids for part in parts]),
        np.concatenate([part.as_of for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.unknown for part in parts]),
        parts[0].names,
        np.concatenate([part.n_events for part in parts]),
        np.concatenate([part.n_members for part in parts]),
    )
