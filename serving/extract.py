"""Households of a dataset as the requests that would have been sent at a moment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.catalogue import catalogue
from features.dataset import Dataset, DatasetMeta, DatasetRefused
from features.household import NO_BIRTH, homes, memberships
from features.tables import Tables
from features.window import NEVER, Micros, as_of_moment, is_known, written

Ints = npt.NDArray[np.int64]
EVENT = ("event_id", "person_id", "code", "value", "unit", "text", "source", "status", "supersedes")
EVENT_MOMENTS = ("occurred_at", "known_at")
MEMBER = ("person_id", "birth_date", "sex", "role")
MEMBER_MOMENTS = ("joined_at", "left_at", "known_at")
HOME = ("region", "residence", "township")


def request_of(dataset: Dataset, household_id: str, as_of: str) -> dict[str, Any]:
    """The body of `POST /score` for one household, as it was known at `as_of`.

    Every version of an event that was known by then is kept, with the corrections and retractions that replace it.
    Events of kinds that follow their person do so: those of somebody who by then lives elsewhere are left out, those
    that somebody brought along are taken in. Scored with this body, the household gets the assessment that a batch
    run gives it.
    """
    try:
        moment = as_of_moment(as_of, dataset.meta.time_zone)
    except (ValueError, OverflowError):
        raise DatasetRefused("--as-of is neither a date nor a time in ISO 8601") from None
    if household_id not in set(dataset.households["household_id"]):
        raise DatasetRefused("the dataset has no household with that id")
    here = dataset.members["household_id"] == household_id
    filed_here = dataset.events["household_id"] == household_id
    persons = {*dataset.members.loc[here, "person_id"], *dataset.events.loc[filed_here, "person_id"].dropna()}
    members = dataset.members[dataset.members["person_id"].isin(persons)]
    events = dataset.events[filed_here | dataset.events["person_id"].isin(persons)]
    named = {household_id, *members["household_id"], *events["household_id"]}
    households = dataset.households[dataset.households["household_id"].isin(named)]
    requests = Requests(Tables.from_frames(events, members, households), moment, dataset.meta)
    return {"households": [{**requests.of([household_id])[household_id], "as_of": as_of}]}


class Requests:
    """The households of some tables as the requests for them, as they were known at `as_of` (see `request_of`)."""

    def __init__(self, tables: Tables, as_of: Micros, meta: DatasetMeta) -> None:
        self._tables, self._as_of, self._meta = tables, as_of, meta
        self._written: dict[int, str] = {}

    def of(self, household_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """The requests for these households, by name: what stands in `households` of `POST /score`."""
        places = np.sort(_positions(pa.array(list(household_ids), pa.string()), self._names))
        homes_of = self._tables.households.take(pa.array(self._first_rows[places])).to_pylist()
        members, events = self._members(places), self._events(places)
        as_of = written(self._as_of, self._meta.time_zone)
        return {
            home["household_id"]: {
                "household_id": home["household_id"],
                "as_of": as_of,
                **_given(zip(HOME, (home[name] for name in HOME), strict=True)),
                "members": members.get(place, []),
                "events": events.get(place, []),
            }
            for place, home in zip(places.tolist(), homes_of, strict=True)
        }

    def _members(self, places: Ints) -> dict[int, list[dict[str, Any]]]:
        """Spells of who lives there, each in its last known version."""
        at, known = self._filed("members"), _micros(self._tables.members["known_at"])
        is_at_home = self._home_of[_positions(self._tables.members["person_id"], self._persons)] == at
        shown = np.flatnonzero(np.isin(at, places) & is_at_home & self._is_known(known))
        rows = self._frame(self._tables.members, shown, (*MEMBER, *MEMBER_MOMENTS), at)
        rows = rows.sort_values(["place", "person_id", "joined_at", "known_at"], kind="stable")
        rows = rows.drop_duplicates(["place", "person_id", "joined_at"], keep="last")
        rows["birth_date"] = [None if born is None else born.isoformat() for born in rows["birth_date"].tolist()]
        return self._told(rows, MEMBER, MEMBER_MOMENTS)

    def _events(self, places: Ints) -> dict[int, list[dict[str, Any]]]:
        """Events of the household, or of who lives there."""
        events, at = self._tables.events, self._owner
        shown = np.flatnonzero(np.isin(at, places) & self._is_known(_micros(events["known_at"])))
        rows = self._frame(events, shown, (*EVENT, *EVENT_MOMENTS, "household_id"), at)
        rows = rows.drop_duplicates(["place", "household_id", "event_id"])
        return self._told(rows.sort_values(["place", "known_at", "event_id"]), EVENT, EVENT_MOMENTS)

    def _frame(self, table: pa.Table, shown: Ints, names: Sequence[str], at: Ints) -> pd.DataFrame:
        """Some rows of a table, and the household that each is told of; moments are microseconds."""
        found = {"place": at[shown]}
        for name in names:
            column = table[name].take(pa.array(shown))
            if pa.types.is_timestamp(column.type):
                found[name] = _micros(column)
            else:
                found[name] = np.array([*column.to_pylist(), None], object)[:-1]
        return pd.DataFrame(found)

    def _told(
        self, rows: pd.DataFrame, names: Sequence[str], moments: Sequence[str]
    ) -> dict[int, list[dict[str, Any]]]:
        columns = [rows[name].tolist() for name in names]
        columns += [[self._moment(at) for at in rows[name].tolist()] for name in moments]
        found: dict[int, list[dict[str, Any]]] = {}
        for place, *cells in zip(rows["place"].tolist(), *columns, strict=True):
            found.setdefault(place, []).append(_given(zip((*names, *moments), cells, strict=True)))
        return found

    def _moment(self, at: int) -> str | None:
        """Written once each: many rows share their moments."""
        if at == NEVER:
            return None
        if at not in self._written:
            self._written[at] = written(at, self._meta.time_zone)
        return self._written[at]

    def _is_known(self, known: Ints) -> npt.NDArray[np.bool_]:
        return is_known(known, np.int64(NEVER), self._as_of)

    def _filed(self, table: str) -> Ints:
        """Under which household each row was filed."""
        return _positions(getattr(self._tables, table)["household_id"], self._names)

    @cached_property
    def _names(self) -> pa.Array:
        return pc.unique(self._tables.households["household_id"])

    @cached_property
    def _first_rows(self) -> Ints:
        return np.unique(self._filed("households"), return_index=True)[1].astype(np.int64)

    @cached_property
    def _persons(self) -> pa.Array:
        return pc.unique(self._tables.members["person_id"])

    @cached_property
    def _home_of(self) -> Ints:
        """Where each person lives, -1 for nowhere; the last entry is that of nobody."""
        members, n = self._tables.members, len(self._persons)
        joined, left, known = (_micros(members[name]) for name in MEMBER_MOMENTS)
        person = _positions(members["person_id"], self._persons)
        unborn = np.full(len(members), NO_BIRTH, np.int64)
        rows = memberships(person, self._filed("members"), joined, left, known, unborn, n)
        return np.append(homes(rows, self._as_of).household, -1)

    @cached_property
    def _owner(self) -> Ints:
        """Of which household each event is told: that where its person lives, if its kind follows the person."""
        events = self._tables.events
        following = [kind.code for kind in catalogue(self._meta.catalogue).kinds if kind.follows]
        codes = events["code"].cast(pa.string())
        follows = pc.is_in(codes, value_set=pa.array(following, pa.string())).to_numpy()
        home = self._home_of[_positions(events["person_id"], self._persons)]
        return np.where(follows & (home >= 0), home, self._filed("events"))


def _positions(names: pa.Array | pa.ChunkedArray, among: pa.Array) -> Ints:
    """Where each name stands among others, -1 for one that does not."""
    found: Ints = pc.fill_null(pc.index_in(names, value_set=among), -1).to_numpy().astype(np.int64)
    return found


def _micros(moments: pa.ChunkedArray) -> Ints:
    """Microseconds, `NEVER` where there is no moment."""
    found: Ints = pc.fill_null(moments.cast(pa.int64()), NEVER).to_numpy().astype(np.int64)
    return found


def _given(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Only what is known: a missing value is left out, never written as a number or an empty text."""
    return {name: value for name, value in fields if value is not None and value == value}
