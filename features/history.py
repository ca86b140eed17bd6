"""Households' events as arrays, encoded once and sorted so that one pass can read them at any moment.

A row version is visible from its own `known_at` until the `known_at` of the row that replaces it. Rows that
replace the same earlier row replace each other in the order in which they became known. A retraction is never
counted itself; it only ends what it retracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.catalogue import Catalogue
from features.encoding import encoded, micros, numbered, positions, whole, without_gaps
from features.event import ROLES, SEXES
from features.household import NO_BIRTH, Homes, Memberships, homes, memberships
from features.ordering import Bools, Floats, Ints, Spelling, sort_groups, spelling
from features.tables import Tables
from features.window import Micros

UNKNOWN_CODE = -1
NO_DAY = int(np.iinfo(np.int32).min)


@dataclass(frozen=True)
class History:
    """Events of one or many households.

    All event arrays have one entry per row version, sorted by household, occurred_at, code, value, person and
    event id. `code` indexes the catalogue's kinds (`UNKNOWN_CODE` for codes it does not declare), `person` is -1 for
    events of the household, `value` is NaN where no value was given, `text` indexes `texts` (-1 for none) where the
    kind's text is a code that rules may read; other texts are not kept. Where an authorisation has run out,
    `known_until` is its end. `row` is the place of each row version in the events table, whose ids and sources stay
    in Arrow (`ids`, `told_by`) until somebody asks for them; so do the households' `places` (region, residence).
    """

    catalogue: Catalogue
    time_zone: str
    household_ids: tuple[str, ...]
    household: Ints
    person: Ints
    code: Ints
    occurred: Ints
    known_from: Ints
    known_until: Ints
    value: Floats
    text: Ints
    texts: tuple[str, ...]
    known_at: Ints
    members: Memberships
    row: Ints
    ids: pa.Array
    told_by: pa.ChunkedArray
    places: pa.Table

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each household."""
        return {household_id: i for i, household_id in enumerate(self.household_ids)}

    @cached_property
    def event_id(self) -> npt.NDArray[np.object_]:
        """The id of each row version."""
        return _objects(self.ids.take(pa.array(self.row)))

    @cached_property
    def source(self) -> npt.NDArray[np.object_]:
        """Who reported each row version, as the row says."""
        # One string for each source, not one for each row.
        return np.append(np.array(self.sources, object), [None])[self.source_number]

    @property
    def sources(self) -> tuple[str, ...]:
        """Every source that a row names, in order of their letters."""
        return self._sources[1]

    @property
    def source_number(self) -> Ints:
        """Which of `sources` reported each row version, -1 for none."""
        return self._sources[0]

    @cached_property
    def region(self) -> npt.NDArray[np.object_]:
        """The region of each household."""
        return _objects(whole(self.places["region"]))

    @cached_property
    def residence(self) -> npt.NDArray[np.object_]:
        """Where each household lives, one of `features.event.RESIDENCES`; None if that is not known."""
        return _objects(whole(self.places["residence"]))

    @cached_property
    def residences(self) -> tuple[Ints, tuple[str, ...]]:
        """`residence` as numbers: which of the words that follow each household has, -1 for none."""
        numbers, words = numbered(whole(self.places["residence"]))
        return numbers, tuple(words.to_pylist())

    @cached_property
    def ids_of_households(self) -> npt.NDArray[np.object_]:
        """`household_ids` as an array."""
        ids = np.empty(len(self.household_ids), object)
        ids[:] = self.household_ids
        return ids

    @cached_property
    def follows(self) -> Bools:
        """For every kind of the catalogue, whether its events follow their person."""
        return np.array([kind.follows for kind in self.catalogue.kinds], np.bool_)

    @cached_property
    def spelling(self) -> Spelling:
        """The bytes of `ids`."""
        return spelling(self.ids)

    @cached_property
    def _sources(self) -> tuple[Ints, tuple[str, ...]]:
        numbers, words = numbered(whole(self.told_by))
        return numbers[self.row], tuple(words.to_pylist())


@dataclass(frozen=True)
class Visible:
    """What is visible at one moment: event positions grouped by the household they count for.

    `rows[starts[h]:starts[h + 1]]` are the positions of household h's events in time order.
    """

    as_of: Micros
    rows: Ints
    starts: Ints
    homes: Homes

    def of(self, household: int) -> Ints:
        """Event positions of one household, oldest first."""
        return self.rows[self.starts[household] : self.starts[household + 1]]


def visible(history: History, as_of: Micros) -> Visible:
    """The rows known at `as_of`, each under the household it belongs to then."""
    at_home = homes(history.members, as_of)
    rows, starts, received = _known_rows(
        as_of, history.household, history.person, history.code, history.occurred,
        history.known_from, history.known_until, history.follows,
        at_home.household, at_home.until, len(history.household_ids),
    )  # fmt: skip
    if len(received):
        sort_groups(
            received, rows, starts, history.occurred, history.code, history.value, history.person, history.row,
            *history.spelling,
        )  # fmt: skip
    return Visible(as_of, rows, starts, at_home)


def history_of(tables: Tables, catalogue: Catalogue, *, time_zone: str) -> History:
    """Encode the tables of `features.event`. Rows that repeat (household_id, event_id) count once.

    Row order does not matter. Events of households that are not in `households` are refused.
    """
    first, household_ids = _listed(tables.households)
    places = tables.households.select(["region", "residence"]).take(pa.array(first))
    events, members = tables.events, tables.members
    listed = whole(members["person_id"])
    persons, person_ids = numbered(pa.concat_arrays([listed, whole(events["person_id"])]))
    told = encoded(events, catalogue, household_ids, persons[len(listed) :])
    return History(
        catalogue=catalogue,
        time_zone=time_zone,
        household_ids=tuple(household_ids.to_pylist()),
        household=told.household,
        person=told.person,
        code=told.code,
        occurred=told.occurred,
        known_from=told.known_from,
        known_until=told.known_until,
        value=told.value,
        text=told.text,
        texts=told.texts,
        known_at=told.known_at,
        members=_memberships(members, household_ids, persons[: len(listed)], len(person_ids)),
        row=told.row,
        ids=whole(events["event_id"]),
        told_by=events["source"],
        places=places,
    )


def history_from_tables(
    events: pd.DataFrame,
    members: pd.DataFrame,
    households: pd.DataFrame,
    catalogue: Catalogue,
    *,
    time_zone: str,
) -> History:
    """`history_of` for tables in pandas."""
    return history_of(Tables.from_frames(events, members, households), catalogue, time_zone=time_zone)


def _listed(households: pa.Table) -> tuple[Ints, pa.Array]:
    """The distinct household ids in order, and the first row of each."""
    numbers, ids = numbered(whole(households["household_id"]))
    first = np.full(len(ids), len(numbers), np.int64)
    np.minimum.at(first, numbers, np.arange(len(numbers)))
    return first, ids


def _memberships(members: pa.Table, household_ids: pa.Array, person: Ints, n_persons: int) -> Memberships:
    household = positions(members["household_id"], household_ids)
    if (household < 0).any():
        raise ValueError("a member names a household that is not in the households table; run `povrisk check`")
    # Days since 1970 fit into half the bits; the smallest number of that size stands for no date.
    born = without_gaps(whole(members["birth_date"]).view(pa.int32()), NO_DAY).astype(np.int64)
    return memberships(
        person=person,
        household=household,
        joined=micros(members["joined_at"]),
        left=micros(members["left_at"]),
        known=micros(members["known_at"]),
        birth=np.where(born == NO_DAY, NO_BIRTH, born),
        n_persons=n_persons,
        role=positions(members["role"], pa.array(ROLES)),
        sex=positions(members["sex"], pa.array(SEXES)),
    )


def _objects(strings: pa.Array) -> npt.NDArray[np.object_]:
    found: npt.NDArray[np.object_] = strings.to_numpy(zero_copy_only=False)
    return found


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _known_rows(
    as_of: Micros, household: Ints, person: Ints, code: Ints, occurred: Ints,
    known_from: Ints, known_until: Ints, follows: Bools, home: Ints, home_until: Ints, n_households: int,
) -> tuple[Ints, Ints, Ints]:  # fmt: skip
    """Rows known at `as_of` by the household they belong to then, and the households that received rows filed
    elsewhere: the rows of those are not in order yet."""
    n = len(household)
    belongs = np.empty(n, np.int32)
    starts = np.zeros(n_households + 1, np.int64)
    has_received = np.zeros(n_households, np.bool_)
    n_received = 0
    for e in range(n):
        belongs[e] = -1
        if known_from[e] > as_of or as_of >= known_until[e] or code[e] < 0:
            continue
        h, who = household[e], person[e]
        if who >= 0 and home[who] >= 0 and follows[code[e]]:
            if occurred[e] > home_until[who]:
                continue
            if home[who] != h:
                h = home[who]
                if not has_received[h]:
                    has_received[h] = True
                    n_received += 1
        belongs[e] = h
        starts[h + 1] += 1
    for h in range(n_households):
        starts[h + 1] += starts[h]
    rows = np.empty(starts[n_households], np.int64)
    if n_received == 0:
        i = 0
        for e in range(n):
            if belongs[e] >= 0:
                rows[i] = e
                i += 1
    else:
        at = starts[:-1].copy()
        for e in range(n):
            h = belongs[e]
            if h >= 0:
                rows[at[h]] = e
                at[h] += 1
    received = np.empty(n_received, np.int64)
    i = 0
    for h in range(n_households):
        if has_received[h]:
            received[i] = h
            i += 1
    return rows, starts, received
