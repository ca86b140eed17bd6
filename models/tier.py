"""How urgently a person should look: tiers from the visiting capacity."""

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
