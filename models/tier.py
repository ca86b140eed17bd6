"""How urgently a person should look: the highest of what triggers, points and the probability say.

The model can raise attention and never lower it. Grey is for households too silent to be called green. A tier falls
only after two runs that say so, or after a visit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

CAPACITY_SHARES = {"red": 0.02, "orange": 0.05, "yellow": 0.10}


class Tier(Enum):
    """Attention, most urgent first. Grey cannot be scored and gets a visit; it never means low risk."""

    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    GREEN = "green"
    GREY = "grey"


@dataclass(frozen=True)
class Bands:
    """The lowest probability of each band, so that each band holds the share of households that can be visited."""

    red: float
    orange: float
    yellow: float

    @staticmethod
    def from_scores(probability: npt.NDArray[np.float64], shares: Mapping[str, float] = CAPACITY_SHARES) -> Bands:
        """Bands that cut the given scores at the capacity shares (of all households, cumulative)."""
        red, orange, yellow = (float(np.quantile(probability, 1 - shares[t])) for t in ("red", "orange", "yellow"))
        return Bands(red, orange, yellow)

    def tier(self, probability: float) -> Tier:
        """The band of one probability.

        >>> Bands(red=0.4, orange=0.3, yellow=0.2).tier(0.31)
        <Tier.ORANGE: 'orange'>
        """
        if math.isnan(probability):
            raise ValueError("an unknown probability has no band; the household is grey")
        for name in (Tier.RED, Tier.ORANGE, Tier.YELLOW):
            if probability >= getattr(self, name.value):
                return name
        return Tier.GREEN


RANKED = (Tier.GREEN, Tier.YELLOW, Tier.ORANGE, Tier.RED)


@dataclass(frozen=True)
class Previous:
    """What the run before said: the tier shown, and the tier computed before it was held up."""

    tier: Tier
    computed: Tier


@dataclass(frozen=True)
class Standing:
    """A tier and what brought it. `computed` is the tier before it was held up by an earlier one."""

    tier: Tier
    computed: Tier
    basis: tuple[str, ...]


def standing(
    *,
    floors: Mapping[str, int],
    points_rank: int,
    probability: float | None,
    bands: Bands | None,
    grey: tuple[str, ...] = (),
    previous: Previous | None = None,
    visited_since: bool = False,
) -> Standing:
    """The tier of one household.

    `floors` are the ranks that true triggers bring (1 yellow, 2 orange, 3 red), `grey` the reasons why a household
    without any of them must not be called green. Without `bands`, which a county cuts at the visits it can make, the
    probability decides nothing. `previous` holds a tier up for one run unless somebody visited.

    >>> standing(floors={"DIS-01": 2, "MED-05": 1}, points_rank=1, probability=0.01, bands=Bands(0.4, 0.3, 0.2))
    Standing(tier=<Tier.ORANGE: 'orange'>, computed=<Tier.ORANGE: 'orange'>, basis=('trigger:DIS-01',))
    """
    by_model = None if probability is None or bands is None else RANKED.index(bands.tier(probability))
    rank = max([points_rank, by_model or 0, *floors.values()])
    if rank == 0:
        computed = Tier.GREY if grey else Tier.GREEN
        basis = tuple(grey) or (("nothing_found",) if by_model is None else ("probability",))
    else:
        computed = RANKED[rank]
        basis = tuple(f"trigger:{name}" for name in sorted(floors) if floors[name] == rank)
        basis += ("points",) * (points_rank == rank) + ("probability",) * (by_model == rank)
    if previous is None or visited_since or rank >= _rank(previous.tier):
        return Standing(computed, computed, basis)
    if _rank(previous.computed) < _rank(previous.tier):
        return Standing(computed, computed, basis)
    return Standing(previous.tier, computed, (*basis, f"held:{previous.tier.value}"))


def _rank(tier: Tier) -> int:
    """Grey holds nothing up, and a run that came out grey is one that said less."""
    return RANKED.index(tier) if tier in RANKED else 0
