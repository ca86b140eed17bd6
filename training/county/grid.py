"""The county's months: the warm-up before the first written month, the written months, and the horizon after them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.window import Micros, months_before, parsed
from training.county.assumptions import Assumptions

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FAR = 1_000_000
SECOND = 1_000_000


@dataclass(frozen=True)
class Grid:
    """Months counted from the start of the warm-up, which is a January.

    `simulated` months are lived through; rates are known for `reach` months, one horizon further. `starts[m]` is the
    first instant of month m in microseconds, for m up to and including `reach`.
    """

    warm_up: int
    months: int
    horizon: int
    time_zone: str
    starts: Ints

    @property
    def simulated(self) -> int:
        """Months from the start of the warm-up to the end of the data."""
        return self.warm_up + self.months

    @property
    def reach(self) -> int:
        """Months for which rates and vulnerability are known."""
        return self.simulated + self.horizon

    @property
    def data_until(self) -> Micros:
        """The end of the last written month."""
        return int(self.starts[self.simulated])

    def moment(self, month: npt.ArrayLike, part: npt.ArrayLike) -> Ints:
        """Microseconds at `part` (0 to 1) of each month, in whole seconds; before the grid every month has 31 days."""
        which = np.asarray(month, np.int64)
        inside = np.clip(which, 0, self.reach - 1)
        length = self.starts[inside + 1] - self.starts[inside]
        base = self.starts[inside] + (which - inside) * length
        return np.asarray((base + np.asarray(part) * length) // SECOND * SECOND, np.int64)

    def month_of(self, moment: Ints) -> Ints:
        """The month of each moment; -1 before the grid."""
        return np.asarray(np.searchsorted(self.starts, moment, side="right") - 1, np.int64)

    def calendar(self) -> Ints:
        """The calendar month (0 is January) of every month of the grid."""
        return np.arange(self.reach) % 12


def county_grid(assumptions: Assumptions, months: int) -> Grid:
    """The grid for so many written months.

    >>> from training.county.assumptions import ASSUMPTIONS
    >>> grid = county_grid(ASSUMPTIONS, 36)
    >>> grid.simulated, grid.reach, len(grid.starts)
    (72, 84, 85)
    """
    first = parsed(assumptions.first_month, assumptions.time_zone)
    reach = assumptions.warm_up_months + months + assumptions.horizon_months
    starts = [
        months_before(first, assumptions.warm_up_months - month, assumptions.time_zone) for month in range(reach + 1)
    ]
    return Grid(
        assumptions.warm_up_months,
        months,
        assumptions.horizon_months,
        assumptions.time_zone,
        np.array(starts, np.int64),
    )
