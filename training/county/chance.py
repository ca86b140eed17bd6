"""Random numbers by purpose: each part of a block has its own generator, so that parts do not disturb each other."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.county.grid import Bools, Floats, Ints


@dataclass(frozen=True)
class Chance:
    """The seed of one block of households (block -1 is the county as a whole)."""

    seed: int
    block: int

    def of(self, purpose: str) -> np.random.Generator:
        """The generator of one purpose; asking twice gives the same numbers twice.

        >>> float(Chance(7, 0).of("shocks").random()) == float(Chance(7, 0).of("shocks").random())
        True
        """
        key = (self.block + 1, zlib.crc32(purpose.encode()))
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy=self.seed, spawn_key=key)))

    def of_county(self, purpose: str) -> np.random.Generator:
        """The generator of one purpose that is the same for every block: what comes over whole townships.

        >>> float(Chance(7, 0).of_county("prices").random()) == float(Chance(7, 3).of_county("prices").random())
        True
        """
        return Chance(self.seed, -1).of(purpose)


def drawn(rng: np.random.Generator, shares: tuple[float, ...], size: int) -> Ints:
    """Indices drawn with the given shares."""
    limits = np.cumsum(shares) / np.sum(shares)
    return np.minimum(np.searchsorted(limits, rng.random(size), side="right"), len(shares) - 1).astype(np.int64)


def lognormal(rng: np.random.Generator, median_spread: tuple[float, float], size: int) -> Floats:
    """Positive amounts around a median, with a spread on the log scale."""
    median, spread = median_spread
    return np.asarray(median * np.exp(spread * rng.standard_normal(size)))


def monthly(yearly: Floats | float) -> Floats:
    """The chance of at least one arrival in a month at a yearly rate."""
    return np.asarray(-np.expm1(-np.asarray(yearly, np.float64) / 12.0))


def one_of_each(rng: np.random.Generator, group: Ints, weight: npt.NDArray[np.floating[Any]], n_groups: int) -> Ints:
    """One row of each group, drawn in proportion to its weight; -1 for a group where every weight is zero."""
    chosen = np.full(n_groups, -1, np.int64)
    rows = np.flatnonzero(weight > 0)
    # The largest of log-weight plus Gumbel noise falls on each row in proportion to its weight.
    key = np.log(weight[rows]) + rng.gumbel(size=len(rows))
    order = np.lexsort((key, group[rows]))
    chosen[group[rows][order]] = rows[order]
    return chosen


def rank_within(group: Ints) -> Ints:
    """Position of each row among the rows of its group; rows of a group must stand together.

    >>> rank_within(np.array([4, 4, 7, 9, 9, 9])).tolist()
    [0, 1, 0, 0, 1, 2]
    """
    if len(group) == 0:
        return np.zeros(0, np.int64)
    begins: Bools = np.append(True, group[1:] != group[:-1])
    position = np.arange(len(group))
    return np.asarray(position - np.maximum.accumulate(np.where(begins, position, 0)), np.int64)
