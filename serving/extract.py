"""One household of a dataset folder as the request that would have been sent at a moment."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import catalogue
from features.dataset import Dataset, DatasetRefused
from features.household import NO_BIRTH, homes, memberships
from features.window import NEVER, Micros, as_of_moment, is_known, micros_of, to_micros, written

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def request_of(dataset: Dataset, household_id: str, as_of: str) -> dict[str, Any]:
    """The body of `POST /score` for one household, as it was known at `as_of`.

    Every version of an event that was known by then is kept, with the corrections and retractions that replace it.
    Events of kinds that follow their person do so: those of somebody who by then lives elsewhere are left out, those
    that somebody brought along are taken in. Scored with this body, the household gets the assessment that a batch
    run gives it.
    """
    zone = dataset.meta.time_zone
    try:
        moment = as_of_moment(as_of, zone)
    except (ValueError, OverflowError):
        raise DatasetRefused("--as-of is neither a date nor a time in ISO 8601") from None
    home = dataset.households[dataset.households["household_id"] == household_id]
    if home.empty:
        raise DatasetRefused("the dataset has no household with that id")
    here = dataset.members["household_id"] == household_id
    filed_here = dataset.events["household_id"] == household_id
    persons = sorted({*dataset.members.loc[here, "person_id"], *dataset.events.loc[filed_here, "person_id"].dropna()})
    members = dataset.members[dataset.members["person_id"].isin(persons)]
    events = dataset.events[filed_here | dataset.events["person_id"].isin(persons)]
    lives_here, lives_somewhere = _whereabouts(members, persons, household_id, moment)

    known = _known(members, moment) & members["household_id"].eq(household_id) & members["person_id"].isin(lives_here)
    spells = members[known].sort_values(["person_id", "joined_at", "known_at"], kind="stable")
    spells = spells.drop_duplicates(["person_id", "joined_at"], keep="last")
    follows = events["code"].isin({kind.code for kind in catalogue(dataset.meta.catalogue).kinds if kind.follows})
    brought = follows & events["person_id"].isin(lives_here)
    stays = events["household_id"].eq(household_id) & ~(follows & events["person_id"].isin(lives_somewhere))
    seen = events[_known(events, moment) & (brought | stays)].drop_duplicates(["household_id", "event_id"])
    first = home.iloc[0]
    return {
        "households": [
            {
                "household_id": household_id,
                "as_of": as_of,
                **_given({name: first[name] for name in ("region", "residence", "township")}),
                "members": [_member(row, zone) for row in spells.to_dict("records")],
                "events": [_event(row, zone) for row in seen.sort_values(["known_at", "event_id"]).to_dict("records")],
            }
        ]
    }


def _whereabouts(
    members: pd.DataFrame, persons: list[str], household_id: str, as_of: Micros
) -> tuple[set[str], set[str]]:
    """Who belongs to this household at `as_of`, and who belongs to any."""
    household, households = pd.factorize(members["household_id"])
    rows = memberships(
        pd.Index(persons).get_indexer(pd.Index(members["person_id"])).astype(np.int64),
        household.astype(np.int64),
        micros_of(members["joined_at"]),
        micros_of(members["left_at"]),
        micros_of(members["known_at"]),
        np.full(len(members), NO_BIRTH, np.int64),
        len(persons),
    )
    place = homes(rows, as_of).household
    here = {p for p, at in zip(persons, place, strict=True) if at >= 0 and households[at] == household_id}
    return here, {p for p, at in zip(persons, place, strict=True) if at >= 0}


def _known(table: pd.DataFrame, as_of: Micros) -> Mask:
    return is_known(micros_of(table["known_at"]), np.int64(NEVER), as_of)


def _member(row: Mapping[Hashable, Any], zone: str) -> dict[str, Any]:
    moments = {name: _moment(row[name], zone) for name in ("joined_at", "left_at", "known_at")}
    birth = None if pd.isna(row["birth_date"]) else str(row["birth_date"])[:10]
    return _given(
        {"person_id": row["person_id"], "birth_date": birth, "sex": row["sex"], "role": row["role"], **moments}
    )


def _event(row: Mapping[Hashable, Any], zone: str) -> dict[str, Any]:
    moments = {name: _moment(row[name], zone) for name in ("occurred_at", "known_at")}
    names = ("event_id", "person_id", "code", "value", "unit", "text", "source", "status", "supersedes")
    return _given({**{name: row[name] for name in names}, **moments})


def _moment(value: Any, zone: str) -> str | None:
    return None if pd.isna(value) else written(to_micros(value.to_pydatetime()), zone)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """Only what is known: a missing value is left out, never written as a number or an empty text."""
    return {name: value for name, value in fields.items() if not pd.isna(value)}
