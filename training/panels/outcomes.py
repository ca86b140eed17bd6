"""What became of a panel's households: reports looked up by the day of the visit, and rows of labels made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.dataset import Dataset
from features.event import Status
from features.window import (
    MICROS_PER_DAY,
    NEVER,
    Micros,
    as_of_moment,
    ever,
    horizon_end,
    is_known,
    is_within,
    micros_of,
    months_before,
)

Ints = npt.NDArray[np.int64]

INCOME_UNKNOWN, ALREADY_POOR, NOT_MATURE = "income not reported", "already poor", "not mature"
NOT_AT_RISK = (INCOME_UNKNOWN, ALREADY_POOR)


@dataclass(frozen=True)
class Reports:
    """What one kind of event reported, by household and day: the material of a panel's labels."""

    household: npt.NDArray[np.object_]
    occurred: Ints
    known: Ints
    value: npt.NDArray[np.float64]

    def on(self, day: Micros) -> pd.Series:
        """The values of the visits dated on one day, by household."""
        return self._where(self.occurred == day)._by_household()

    def known_by(self, moment: Micros) -> Reports:
        """Only what was known at a moment."""
        return self._where(is_known(self.known, np.full(len(self.known), NEVER), moment))

    def before(self, day: Micros) -> Reports:
        """Only visits dated before a day."""
        return self._where(is_within(self.occurred, day, ever(), "UTC"))

    def _where(self, chosen: npt.NDArray[np.bool_]) -> Reports:
        return Reports(self.household[chosen], self.occurred[chosen], self.known[chosen], self.value[chosen])

    def _by_household(self) -> pd.Series:
        return pd.Series(self.value, index=pd.Index(self.household, dtype=object))


def reports(dataset: Dataset, code: str) -> Reports:
    """The reports of one code, without those that a later row replaced or withdrew."""
    events = dataset.events
    is_replaced = events["event_id"].isin(events["supersedes"].dropna())
    rows = events.loc[(events["code"] == code) & ~is_replaced & (events["status"] != Status.RETRACTED.value)]
    occurred, known = (micros_of(rows[name]) for name in ("occurred_at", "known_at"))
    return Reports(rows["household_id"].to_numpy(object), occurred, known, rows["value"].to_numpy(np.float64))


def judged(
    as_of: Micros, outcome: pd.Series, formerly_poor: pd.Series, null_because: Mapping[str, pd.Series]
) -> pd.DataFrame:
    """A label's rows at one moment, as `training.labels` wants them; all series are by household.

    The outcome counts where no reason against it holds; the first that holds is given. The reasons named in
    `NOT_AT_RISK` also say that the household is not at risk.
    """
    reason = np.full(len(outcome), None, dtype=object)
    for text, holds in reversed(list(null_because.items())):
        reason[holds.to_numpy(np.bool_)] = text
    has_outcome = pd.isna(reason)
    return pd.DataFrame(
        {
            "household_id": outcome.index.to_numpy(object),
            "as_of": np.int64(as_of),
            "at_risk": ~np.isin(reason.astype(str), NOT_AT_RISK),
            "outcome": outcome.astype(np.float64).where(has_outcome).to_numpy(),
            "formerly_poor": formerly_poor.to_numpy(np.bool_),
            "null_reason": pd.Series(reason, dtype=object),
        }
    )


def is_immature(dataset: Dataset, as_of: Micros, months: int) -> bool:
    """Whether the files end before the outcomes of a moment are in."""
    data_until = as_of_moment(dataset.meta.data_until, "UTC")
    return horizon_end(as_of, months, "UTC") > data_until


def visit_day(as_of: Micros, months_later: int = 0) -> Micros:
    """The day that dates the visits of the wave which ends at `as_of`, or so many months later (earlier if negative).

    >>> from features.window import as_of_moment, day, micros_of
    >>> day(visit_day(as_of_moment("2016-06-30", "UTC"), 3), "UTC")
    '2016-09-30'
    """
    return months_before(as_of, -months_later, "UTC") - MICROS_PER_DAY
