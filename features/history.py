"""Households' events as arrays, encoded once and sorted so that one pass can read them at any moment.

A row version is visible from its own `known_at` until the `known_at` of the row that replaces it. Rows that
replace the same earlier row replace each other in the order in which they became known. A retraction is never
counted itself; it only ends what it retracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import Catalogue
from features.event import ROLES, SEXES, Status
from features.household import NO_BIRTH, Homes, Memberships, homes, memberships
from features.window import MICROS_PER_MONTH, NEVER, Micros, has_not_ended, is_known, micros_of

Ints = npt.NDArray[np.int64]
UNKNOWN_CODE = -1


@dataclass(frozen=True)
class History:
    """Events of one or many households.

    All event arrays have one entry per row version, sorted by household, occurred_at, code, value, person and
    event id. `code` indexes the catalogue's kinds (`UNKNOWN_CODE` for codes it does not declare), `person` is -1 for
    events of the household, `value` is NaN where no value was given, `text` indexes `texts` (-1 for none) where the
    kind's text is a code that rules may read; other texts are not kept. Where an authorisation has run out,
    `known_until` is its end.
    """

    catalogue: Catalogue
    time_zone: str
    household_ids: tuple[str, ...]
    residence: npt.NDArray[np.object_]
    region: npt.NDArray[np.object_]
    household: Ints
    person: Ints
    code: Ints
    occurred: Ints
    known_from: Ints
    known_until: Ints
    value: npt.NDArray[np.float64]
    text: Ints
    texts: tuple[str, ...]
    event_id: npt.NDArray[np.object_]
    source: npt.NDArray[np.object_]
    known_at: Ints
    time_rank: Ints
    members: Memberships

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each household."""
        return {household_id: i for i, household_id in enumerate(self.household_ids)}


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
    rows = np.flatnonzero(is_known(history.known_from, history.known_until, as_of) & (history.code != UNKNOWN_CODE))
    household = history.household[rows].copy()
    person = history.person[rows]
    follows = np.array([kind.follows for kind in history.catalogue.kinds], np.bool_)
    placed = np.flatnonzero((person >= 0) & follows[history.code[rows]])
    placed = placed[at_home.household[person[placed]] >= 0]
    household[placed] = at_home.household[person[placed]]
    keep = np.ones(len(rows), np.bool_)
    keep[placed] = has_not_ended(at_home.until[person[placed]], history.occurred[rows[placed]])
    rows, household = rows[keep], household[keep]
    # Nearly everyone still lives where the event was filed, so this sort meets almost sorted keys.
    order = np.argsort(household * np.int64(len(history.time_rank) + 1) + history.time_rank[rows], kind="stable")
    counts = np.bincount(household, minlength=len(history.household_ids))
    starts = np.zeros(len(history.household_ids) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return Visible(as_of, rows[order], starts, at_home)


def history_from_tables(
    events: pd.DataFrame,
    members: pd.DataFrame,
    households: pd.DataFrame,
    catalogue: Catalogue,
    *,
    time_zone: str,
) -> History:
    """Encode the tables of `features.event`. Rows that repeat (household_id, event_id) count once.

    Row order does not matter. Events of households that are not in `households` are refused.
    """
    household_ids = np.array(sorted(households["household_id"].unique()), dtype=object)
    persons = np.array(sorted(set(members["person_id"]) | set(events["person_id"].dropna())), dtype=object)
    events = events.drop_duplicates(subset=["household_id", "event_id"])
    household = _positions(events["household_id"], household_ids)
    if (household < 0).any():
        raise ValueError("an event names a household that is not in the households table; run `povrisk check`")
    person = _positions(events["person_id"], persons)
    codes = pd.Index([kind.code for kind in catalogue.kinds])
    code = codes.get_indexer(pd.Index(events["code"])).astype(np.int64)
    occurred, known_at = micros_of(events["occurred_at"]), micros_of(events["known_at"])
    value = events["value"].to_numpy(np.float64, na_value=np.nan)
    event_id = events["event_id"].to_numpy(object)
    known_until = np.minimum(_known_until(events, known_at), _authorised_until(catalogue, code, known_at))
    text, texts = _coded_texts(catalogue, code, events["text"])
    retracted = (events["status"] == Status.RETRACTED.value).to_numpy()
    known_from = np.where(retracted, NEVER, known_at)

    in_time = np.lexsort((pd.factorize(event_id, sort=True)[0], person, value, code, occurred))
    time_rank = np.empty(len(events), np.int64)
    time_rank[in_time] = np.arange(len(events))
    order = in_time[np.argsort(household[in_time], kind="stable")]
    placed = households.drop_duplicates("household_id").set_index("household_id").reindex(household_ids)
    return History(
        catalogue=catalogue,
        time_zone=time_zone,
        household_ids=tuple(household_ids),
        residence=placed["residence"].to_numpy(object),
        region=placed["region"].to_numpy(object),
        household=household[order],
        person=person[order],
        code=code[order],
        occurred=occurred[order],
        known_from=known_from[order],
        known_until=known_until[order],
        value=value[order],
        text=text[order],
        texts=texts,
        event_id=event_id[order],
        source=events["source"].to_numpy(object)[order],
        known_at=known_at[order],
        time_rank=time_rank[order],
        members=_memberships(members, household_ids, persons),
    )


def _memberships(
    members: pd.DataFrame, household_ids: npt.NDArray[np.object_], persons: npt.NDArray[np.object_]
) -> Memberships:
    household = _positions(members["household_id"], household_ids)
    if (household < 0).any():
        raise ValueError("a member names a household that is not in the households table; run `povrisk check`")
    birth = pd.to_datetime(members["birth_date"]).dt.as_unit("s")
    return memberships(
        person=_positions(members["person_id"], persons),
        household=household,
        joined=micros_of(members["joined_at"]),
        left=micros_of(members["left_at"]),
        known=micros_of(members["known_at"]),
        birth=np.where(birth.isna(), NO_BIRTH, birth.astype("int64").to_numpy() // 86_400),
        n_persons=len(persons),
        role=_positions(members["role"], np.array(ROLES, object)),
        sex=_positions(members["sex"], np.array(SEXES, object)),
    )


def _authorised_until(catalogue: Catalogue, code: Ints, known_at: Ints) -> Ints:
    """When the right to use an authorised row ends; `NEVER` for all others."""
    until = np.full(len(code), NEVER, np.int64)
    for i, kind in enumerate(catalogue.kinds):
        if kind.authorised_months is not None:
            rows = np.flatnonzero(code == i)
            until[rows] = known_at[rows] + round(kind.authorised_months * MICROS_PER_MONTH)
    return until


def _coded_texts(catalogue: Catalogue, code: Ints, text: pd.Series) -> tuple[Ints, tuple[str, ...]]:
    """The texts of kinds whose text is a code, numbered in order of their letters."""
    coded = np.array([bool(kind.coded_text) for kind in catalogue.kinds] + [False], np.bool_)
    rows = np.flatnonzero(coded[code])
    numbers, texts = pd.factorize(text.iloc[rows].to_numpy(object), sort=True)
    found = np.full(len(code), -1, np.int64)
    found[rows] = numbers
    return found, tuple(str(each) for each in texts)


def _known_until(events: pd.DataFrame, known_at: Ints) -> Ints:
    """When each row stops counting: at the `known_at` of the next row that replaces it."""
    until = np.full(len(events), NEVER, np.int64)
    replacing = np.flatnonzero(events["supersedes"].notna().to_numpy())
    if len(replacing) == 0:
        return until
    replaced = pd.DataFrame(
        {
            "household_id": events["household_id"].to_numpy(object)[replacing],
            "target": events["supersedes"].to_numpy(object)[replacing],
            "event_id": events["event_id"].to_numpy(object)[replacing],
            "known_at": known_at[replacing],
            "row": replacing,
        }
    ).sort_values(["household_id", "target", "known_at", "event_id"], kind="stable")
    same_target = (replaced["household_id"] == replaced["household_id"].shift(-1)) & (
        replaced["target"] == replaced["target"].shift(-1)
    )
    siblings = np.flatnonzero(same_target.to_numpy())
    rows, known = replaced["row"].to_numpy(), replaced["known_at"].to_numpy()
    until[rows[siblings]] = known[siblings + 1]
    first = replaced.drop_duplicates(["household_id", "target"])
    candidates = events.loc[events["event_id"].isin(first["target"]), ["household_id", "event_id"]]
    targets = pd.DataFrame(
        {
            "household_id": candidates["household_id"].to_numpy(object),
            "target": candidates["event_id"].to_numpy(object),
            "target_row": np.flatnonzero(events["event_id"].isin(first["target"]).to_numpy()),
        }
    ).merge(first[["household_id", "target", "known_at"]], on=["household_id", "target"])
    np.minimum.at(until, targets["target_row"].to_numpy(), targets["known_at"].to_numpy())
    return until


def _positions(ids: pd.Series, known: npt.NDArray[np.object_]) -> Ints:
    """Index of each id among the sorted known ones; -1 where null or not among them."""
    return pd.Index(known).get_indexer(pd.Index(ids, dtype=object)).astype(np.int64)
