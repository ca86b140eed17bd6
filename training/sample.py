"""Rows with their vectors, and a way to foretell them: what every model that is compared has in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Rows of households at moments.

    `values` is rows x features in the order of the catalogue, NaN where a value is unknown; `rows` has household_id,
    as_of (microseconds) and outcome (0.0 or 1.0) in the same order.
    """

    values: Floats
    rows: pd.DataFrame

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) != len(self.rows):
            raise ValueError(f"values of shape {self.values.shape} do not fit {len(self.rows)} rows")

    @property
    def outcome(self) -> Floats:
        """Outcomes of the rows."""
        return self.rows["outcome"].to_numpy(np.float64)

    def taken(self, positions: npt.NDArray[np.int64]) -> Sample:
        """The rows at the given positions."""
        return Sample(self.values[positions], self.rows.iloc[positions].reset_index(drop=True))


@dataclass(frozen=True)
class Candidate:
    """A model that might be used. `foretell(learned, asked, seed)` learns from one sample and gives the probabilities
    of another; `complexity` orders candidates, 0 being the simplest, for when several are equally good."""

    name: str
    complexity: int
    foretell: Callable[[Sample, Sample, int], Floats]
