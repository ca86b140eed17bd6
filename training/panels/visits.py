"""A survey's visits as events: one row a household and visit, one column a kind of event, NaN where nobody answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from features.dataset import DatasetRefused
from features.definition import EventKind
from features.event import EVENTS, Status
from features.unit import Unit


def raw_table(raw: Path, pattern: str, columns: Sequence[str]) -> pd.DataFrame:
    """The named columns of all Parquet files of the raw folder that fit the pattern, one below the other."""
    paths = sorted(raw.glob(pattern))
    if not paths:
        raise DatasetRefused(f"the raw folder has no file {pattern}")
    try:
        return pd.concat([pd.read_parquet(path, columns=list(columns)) for path in paths], ignore_index=True)
    except (ValueError, KeyError, OSError) as error:
        raise DatasetRefused(f"{pattern} cannot be read, or lacks one of {', '.join(columns)}") from error


def raw_csv(raw: Path, name: str, columns: Sequence[str]) -> pd.DataFrame:
    """The named columns of a small table of the raw folder."""
    try:
        return pd.read_csv(raw / name, usecols=list(columns))
    except (ValueError, OSError) as error:
        raise DatasetRefused(f"{name} is missing from the raw folder, or lacks one of {', '.join(columns)}") from error


def refuse_repeated(rows: pd.DataFrame, keys: Sequence[str], what: str) -> None:
    """Refuse a raw table that names the same thing twice; the row counts from 0 and no value is shown.

    >>> refuse_repeated(pd.DataFrame({"household_id": ["a", "a"]}), ["household_id"], "visits")
    Traceback (most recent call last):
    ...
    features.dataset.DatasetRefused: visits row 1 repeats an earlier row's household_id
    """
    repeated = np.flatnonzero(rows.duplicated(list(keys)).to_numpy())
    if len(repeated):
        raise DatasetRefused(f"{what} row {repeated[0]} repeats an earlier row's {', '.join(keys)}")


def last_days(months: pd.Series) -> pd.Series:
    """The first instant of the last day of each month; months count as year * 12 + month - 1.

    >>> last_days(pd.Series([2016 * 12 + 5])).dt.strftime("%Y-%m-%d %H:%M").tolist()
    ['2016-06-30 00:00']
    """
    since_1970 = months.to_numpy(np.int64) + 1 - 1970 * 12
    days = since_1970.astype("datetime64[M]").astype("datetime64[D]") - np.timedelta64(1, "D")
    return pd.Series(days.astype("datetime64[us]"), index=months.index).dt.tz_localize("UTC")


def changes_only(facts: pd.DataFrame, household: pd.Series) -> pd.DataFrame:
    """The facts without repetition: a household's first answer, then only answers that differ from its last one.

    Rows are in time order within a household.

    >>> changes_only(pd.DataFrame({"ROOMS": [2.0, 2.0, None, 2.0, 3.0]}), pd.Series(["a"] * 5))["ROOMS"].tolist()
    [2.0, nan, nan, nan, 3.0]
    """
    before = facts.groupby(household, sort=False).ffill().groupby(household, sort=False).shift()
    return facts.where(facts != before)


def event_rows(visits: pd.DataFrame, kinds: Sequence[EventKind], currency: str) -> pd.DataFrame:
    """Events of the visits, in the columns of `events.parquet`.

    `visits` has household_id, period (the wave's name, for the event id), seen_on, and a column for each kind, named
    like its code without the category. NaN makes no event. Neither does a value outside the kind's bounds: it is an
    impossible answer, which says as little as none. An event occurred and was known on the day of the visit.
    """
    rows: pd.DataFrame = pd.concat(_events_by_kind(visits, kinds, currency), ignore_index=True)[EVENTS.names]
    return rows


def _events_by_kind(visits: pd.DataFrame, kinds: Sequence[EventKind], currency: str) -> Iterator[pd.DataFrame]:
    for kind in kinds:
        name = kind.code.split("//")[1]
        assert kind.bounds is not None
        answered = visits.loc[visits[name].between(*kind.bounds)]
        yield pd.DataFrame(
            {
                "event_id": answered["household_id"] + "." + answered["period"] + "." + name,
                "household_id": answered["household_id"],
                "person_id": None,
                "code": kind.code,
                "occurred_at": answered["seen_on"],
                "known_at": answered["seen_on"],
                "value": answered[name].astype(np.float64),
                "unit": currency if kind.unit is Unit.MONEY else kind.unit.value,
                "text": None,
                "source": kind.department.source,
                "status": Status.ORIGINAL.value,
                "supersedes": None,
            }
        )
