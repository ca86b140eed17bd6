"""One training side and one test side of labelled rows, and how they are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.window import Micros, day, days_before, horizon_end

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

# Descriptions are published with the model; so few households are not counted there.
FEWEST_TOLD = 10


class SplitRefused(ValueError):
    """The rows cannot be split as asked; the message names the dates and what to choose instead."""


@dataclass(frozen=True)
class Fold:
    """Positions of the rows that teach and of those that are judged at one origin, in the order of the rows.

    `description` says in plain words and numbers (JSON values) what was done.
    """

    origin: Micros
    train: Ints
    test: Ints
    description: Mapping[str, Any] = field(repr=False)


def outcome_known(as_of: Micros, horizon_months: int, publication_lag_days: float, time_zone: str) -> Micros:
    """When the outcome of a moment is known: its horizon is over and the publication lag has passed.

    >>> from features.window import as_of_moment
    >>> last_day(outcome_known(as_of_moment("2020-01-31", "UTC"), 12, 90, "UTC"), "UTC")
    '2021-05-01'
    """
    return days_before(horizon_end(as_of, horizon_months, time_zone), -publication_lag_days)


def last_day(moment: int | np.int64, time_zone: str) -> str:
    """The day that a moment at its end is named after."""
    return day(int(moment) - 1, time_zone)


def lag_text(publication_lag_days: float) -> str:
    """What follows the months of a horizon where a lag follows them.

    >>> lag_text(90), lag_text(0)
    (' and 90 days until they are published', '')
    """
    return f" and {publication_lag_days:g} days until they are published" if publication_lag_days else ""


def told(count: int) -> int | str:
    """A number of households as it may be published.

    >>> told(12), told(9), told(0)
    (12, 'fewer than 10', 0)
    """
    return count if count == 0 or count >= FEWEST_TOLD else f"fewer than {FEWEST_TOLD}"


def side_text(side: str, chosen: Bools, as_of: Ints, household_ids: pd.Series, time_zone: str) -> dict[str, Any]:
    """Rows, households and moments of a side that has rows, for a description."""
    moments = np.unique(as_of[chosen])
    n_rows, n_households = int(chosen.sum()), int(household_ids[chosen].nunique())
    return {
        f"{side}_rows": n_rows if told(n_households) == n_households else told(n_households),
        f"{side}_households": told(n_households),
        f"{side}_moments": len(moments),
        f"{side}_first": last_day(moments[0], time_zone),
        f"{side}_last": last_day(moments[-1], time_zone),
    }
