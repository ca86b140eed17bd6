"""By which route a household came to the notice of those who entered it into a status.

A label waits for an administrative decision, so it exists only where somebody applied, looked or was told. A model
that learns from such labels learns in part who is seen. The route says how each positive came to be seen; it is read
from the household's own rows before the entry, it is kept beside the label, and it is never a feature.

The rule, for the first entry within the horizon:

1. `model` if within 180 days before the entry any row came from this project itself (source `povrisk`, as visits made
   from its list are to be reported). Such a label is feedback: it must not hide behind the visit that it caused.
2. Otherwise `self` or `visit` if within 90 days before the entry the household asked for help itself or somebody
   visited it; whichever came first, because a visit follows every application to check it, and an application follows
   many a visit. At the same moment it is a visit.
3. Otherwise `push` if within 90 days before the entry a department's row about a blow arrived. No row says that a
   department passed a case on, so this is the weakest of the routes.
4. Otherwise `unknown`.

Applications and visits count by the day they happened on, pushes by the day on which the row arrived.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.window import MICROS_PER_DAY, NEVER, is_not_before, is_within_horizon
from training.capacity import list_name, on_monthly_list, shares_checked
from training.evaluation import CAPACITY

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SELF, VISIT, PUSH, MODEL, UNKNOWN = "self", "visit", "push", "model", "unknown"
ROUTES = (SELF, VISIT, PUSH, MODEL, UNKNOWN)
OTHER = "other"
SOURCE = "povrisk"
DAYS = {SELF: 90, VISIT: 90, PUSH: 90, MODEL: 180}
CODES: dict[str, tuple[str, ...]] = {
    SELF: ("SLF//APPLY", "SLF//HOTLINE", "CHR//APPEAL"),
    VISIT: ("GRD//VISIT", "GRD//RISK_FLAG", "GRD//LIVING"),
    PUSH: (
        *("HLT//MAJOR_DX", "DIS//CERT_NEW", "DIS//GRADE_CHANGE", "EDU//DROPOUT", "EDU//AID_STOP"),
        *("EMP//UNEMP", "EMP//UI_END", "EMP//ARREARS", "EMP//WORK_INJURY", "SSI//PENSION_STOP", "ENR//LAPSE"),
        *("DST//HOUSE_LOSS", "DST//CROP_LOSS", "DST//FIRE", "DST//RELOCATE", "HSG//DANGER", "HSG//RENT_ARREARS"),
        *("UTL//ARREARS", "UTL//CUTOFF", "WTR//OUTAGE", "TRF//ACCIDENT", "BNK//LOAN_OVERDUE", "JUD//ENFORCED"),
        *("HKM//MISSING", "HKM//DV_WARNING", "HKM//FRAUD_LOSS", "PRI//IMPRISON", "FUN//CREMATE", "CHD//ORPHAN"),
        *("TUN//HARDSHIP", "BIZ//CLOSE"),
    ),
}
FEWEST = 10


class Clues(NamedTuple):
    """Rows that may have led somebody to a household: its number, and the moment that counts (microseconds)."""

    household: Ints
    moment: Ints


def discovery_routes(household: Ints, entered: Ints, clues: dict[str, Clues]) -> npt.NDArray[np.object_]:
    """The route of each entry, given by its household and moment; `clues` has those of `SELF`, `VISIT`, `PUSH` and
    `MODEL`."""
    first = {route: _first_before(household, entered, clues[route], DAYS[route]) for route in DAYS}
    found = {route: moment != NEVER for route, moment in first.items()}
    is_visit = found[VISIT] & is_not_before(first[SELF], first[VISIT])
    routes = np.full(len(household), UNKNOWN, dtype=object)
    routes[found[PUSH]] = PUSH
    routes[found[SELF]] = SELF
    routes[is_visit] = VISIT
    routes[found[MODEL]] = MODEL
    return routes


def _first_before(household: Ints, entered: Ints, clues: Clues, days: int) -> Ints:
    """The earliest clue within so many days up to each entry, `NEVER` where there is none."""
    entries = pd.DataFrame({"household": household, "entered": entered, "entry": np.arange(len(household))})
    pairs = entries.merge(pd.DataFrame(clues._asdict()), on="household")
    moment, end = pairs["moment"].to_numpy(np.int64), pairs["entered"].to_numpy(np.int64)
    pairs = pairs[is_within_horizon(moment, end - days * MICROS_PER_DAY - 1, end)]
    first = np.full(len(household), NEVER, np.int64)
    np.minimum.at(first, pairs["entry"].to_numpy(np.int64), pairs["moment"].to_numpy(np.int64))
    return first


def by_route(test: pd.DataFrame, capacity: Sequence[float] = CAPACITY) -> pd.DataFrame:
    """How many of the positives of each route stand on the visit lists of the judged rows.

    `test` has household_id, as_of, outcome, probability and `discovery_route` (of the positives). One row a route, in
    the order of `ROUTES`: `positives` (rows), `households`, `share` of all positives, and `recall_at_5pct` for each
    capacity, with lists made anew at each moment. Routes of fewer than ten households are put together under `other`;
    where these are fewer than ten still, the smallest other route joins them. Fewer than ten in all give no row.

    >>> test = pd.DataFrame({"household_id": [f"h{i}" for i in range(40)], "as_of": 0, "outcome": [1.0, 0.0] * 20,
    ...                      "probability": np.linspace(1, 0, 40), "discovery_route": ["self", None] * 20})
    >>> by_route(test, (0.5,))[["route", "positives", "recall_at_50pct"]].values.tolist()
    [['self', 20, 0.5]]
    """
    if "discovery_route" not in test:
        raise ValueError("the rows have no column discovery_route; only labels of a status know by which route")
    positives = test[test["outcome"] == 1.0]
    if positives["household_id"].nunique() < FEWEST:
        positives = positives.iloc[:0]
    route = positives["discovery_route"].fillna(UNKNOWN).astype(str)
    route = route.map(_published(route, positives["household_id"]))
    as_of = test["as_of"].to_numpy(np.int64)
    grouped = positives["household_id"].groupby(route)
    found = pd.DataFrame({"positives": grouped.size(), "households": grouped.nunique()})
    found["share"] = found["positives"] / max(1, len(positives))
    for share in shares_checked(capacity):
        listed = pd.Series(on_monthly_list(test["probability"], as_of, share), index=test.index)
        found[f"recall_at_{list_name(share)}"] = listed[positives.index].groupby(route).mean()
    order = [name for name in (*ROUTES, OTHER) if name in found.index]
    return found.loc[order].rename_axis("route").reset_index()


def _published(route: pd.Series, household_ids: pd.Series) -> dict[str, str]:
    """Under which name each route is told, so that no name stands for fewer than ten households.

    Nor may a small route follow from the total less the others: what is left is then put together with the next one.
    """
    households = household_ids.groupby(route).nunique().sort_values(kind="stable")
    together: list[str] = []
    for name, count in households.items():
        is_enough = household_ids[route.isin(together)].nunique() >= FEWEST
        if count >= FEWEST and (is_enough or not together):
            break
        together.append(str(name))
    return {str(name): OTHER if name in together else str(name) for name in households.index}
