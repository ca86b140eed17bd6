"""Households that belong together because somebody stands under both: a person's events follow the person."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
import numpy.typing as npt

from features.keys import Hashes, mixed, share

Edges = npt.NDArray[np.uint64]
# Longer runs of full places make a fuller table slow; a person then costs 12 bytes / (3/4) = 16.
FULL = 0.75
EDGES_HELD = 1 << 20


@dataclass(frozen=True)
class Links:
    """For each household that shares a person with another one, the smallest household hash of its group.

    `households` is sorted; both arrays hold hashes of `features.keys`.
    """

    households: Hashes
    representatives: Hashes

    def representative(self, households: Hashes) -> Hashes:
        """What stands for each household: its group's smallest hash, or its own."""
        found: Hashes = np.empty(len(households), np.uint64)
        _look_up(*self._table, households, found)
        return found

    def buckets(self, households: Hashes, n: int) -> npt.NDArray[np.int64]:
        """The bucket, from 0 to n - 1, of each household: the same for all of a group.

        >>> alone = Links(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
        >>> alone.buckets(np.array([3, 4, 3], np.uint64), 10)
        array([1, 7, 1])
        """
        found = np.empty(len(households), np.int64)
        _spread(self.representative(households), np.uint64(n), found)
        return found

    @cached_property
    def _table(self) -> tuple[Hashes, Hashes]:
        size = 1 << max(4, int(2 * len(self.households)).bit_length())
        keys, values = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
        _fill(keys, values, self.households, self.representatives)
        return keys, values


def links_of(pairs: Callable[[], Iterable[tuple[Hashes, Hashes]]], expected: int) -> Links:
    """The groups among pairs (person hashes, household hashes); see `edges_of` for the arguments."""
    return joined(edges_of(pairs, expected))


def edges_of(pairs: Callable[[], Iterable[tuple[Hashes, Hashes]]], expected: int) -> Edges:
    """Distinct pairs of households that share a person; a person or household of hash 0 is nobody.

    `pairs` is called once, and again for each time that more people than `expected` are met and the table of 16 bytes
    a person has to be twice as large. Two people are taken for one only if 32 bits and the place in the table agree,
    which joins two households that need not be: harmless, they only share a bucket.
    """
    capacity = max(1024, int((expected + 1) / FULL))
    while True:
        edges = _edges(pairs(), capacity)
        if edges is not None:
            return edges
        capacity *= 2


def distinct_pairs(persons: Hashes, households: Hashes) -> tuple[Hashes, Hashes]:
    """Each pair once, ordered, without those in which one is nobody.

    >>> persons, households = distinct_pairs(np.array([7, 0, 7, 3], np.uint64), np.array([5, 5, 5, 6], np.uint64))
    >>> persons.tolist(), households.tolist()
    ([3, 7], [6, 5])
    """
    order = np.lexsort((households, persons))
    persons, households = persons[order], households[order]
    keep = (persons != 0) & (households != 0)
    keep[1:] &= (persons[1:] != persons[:-1]) | (households[1:] != households[:-1])
    return persons[keep], households[keep]


def joined(edges: Edges) -> Links:
    """The groups that the edges (m x 2 household hashes) make.

    >>> found = joined(np.array([[7, 3], [9, 7], [20, 21]], np.uint64))
    >>> found.households.tolist(), found.representatives.tolist()
    ([3, 7, 9, 20, 21], [3, 3, 3, 20, 20])
    """
    households, ends = np.unique(edges, return_inverse=True)
    # Households are sorted, so the smallest index of a group is its smallest hash.
    roots = _roots(len(households), ends.reshape(-1, 2).astype(np.int64))
    return Links(households, households[roots])


def _edges(pairs: Iterable[tuple[Hashes, Hashes]], capacity: int) -> Edges | None:
    """Pairs of households that share a person; None if there are more people than the table takes."""
    prints, homes = np.zeros(capacity, np.uint32), np.zeros(capacity, np.uint64)
    room = int(capacity * FULL)
    held: list[Edges] = []
    n_held = 0
    for persons, households in pairs:
        found = np.empty((len(persons), 2), np.uint64)
        n_edges, taken = _meet(prints, homes, persons, households, room, found)
        if taken < 0:
            return None
        room -= taken
        if n_edges:
            held.append(np.unique(found[:n_edges], axis=0))
            n_held += len(held[-1])
        if n_held > EDGES_HELD:
            held = [np.unique(np.concatenate(held), axis=0)]
            n_held = 0
    return np.unique(np.concatenate([np.zeros((0, 2), np.uint64), *held]), axis=0)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _meet(
    prints: npt.NDArray[np.uint32], homes: Hashes, persons: Hashes, households: Hashes, room: int, found: Edges
) -> tuple[int, int]:
    n_edges, taken, size = 0, 0, np.uint64(len(homes))
    for i in range(len(persons)):
        person, household = persons[i], households[i]
        if person == 0 or household == 0 or (i > 0 and person == persons[i - 1] and household == households[i - 1]):
            continue
        whole = mixed(person)
        mark = np.uint32(whole & np.uint64(0xFFFFFFFF))
        at = share(whole, size)
        while homes[at] != 0 and prints[at] != mark:
            at += np.uint64(1)
            if at == size:
                at = np.uint64(0)
        if homes[at] == 0:
            if taken == room:
                return 0, -1
            prints[at], homes[at] = mark, household
            taken += 1
        elif homes[at] != household:
            found[n_edges, 0], found[n_edges, 1] = homes[at], household
            n_edges += 1
    return n_edges, taken


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _roots(n: int, ends: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    above = np.arange(n)
    for i in range(len(ends)):
        a, b = ends[i, 0], ends[i, 1]
        while above[a] != a:
            above[a] = above[above[a]]
            a = above[a]
        while above[b] != b:
            above[b] = above[above[b]]
            b = above[b]
        above[max(a, b)] = min(a, b)
    for i in range(n):
        # Whatever stands above an index is smaller and has been settled before.
        above[i] = above[above[i]]
    return above


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _fill(keys: Hashes, values: Hashes, households: Hashes, representatives: Hashes) -> None:
    last = np.uint64(len(keys) - 1)
    for i in range(len(households)):
        at = mixed(households[i]) & last
        while keys[at] != 0:
            at = (at + np.uint64(1)) & last
        keys[at], values[at] = households[i], representatives[i]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _look_up(keys: Hashes, values: Hashes, households: Hashes, found: Hashes) -> None:
    last = np.uint64(len(keys) - 1)
    for i in range(len(households)):
        household = households[i]
        if i > 0 and household == households[i - 1]:
            found[i] = found[i - 1]
            continue
        at = mixed(household) & last
        while keys[at] != 0 and keys[at] != household:
            at = (at + np.uint64(1)) & last
        found[i] = household if keys[at] == 0 else values[at]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _spread(representatives: Hashes, n: np.uint64, found: npt.NDArray[np.int64]) -> None:
    for i in range(len(representatives)):
        found[i] = share(mixed(representatives[i]), n)
