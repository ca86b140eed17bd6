"""What every model of risk can do: score rows, and say what each column added."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class RiskModel(Protocol):
    """A model over rows of named columns. Scores rank households; only a calibrated one is a probability."""

    @property
    def names(self) -> tuple[str, ...]:
        """Columns, in order."""

    def margins(self, values: Floats) -> Floats:
        """One score a row; a larger one means more risk."""

    def contributions(self, values: Floats) -> tuple[Floats, Floats]:
        """What each column added (rows x columns) and the base of every row; together they are the margin."""
