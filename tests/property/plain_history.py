"""Tables as arrays, encoded slowly and plainly with pandas; what is visible, and who lives where, with numpy.

It shares no code with `features.encoding`, `features.history` and `features.household`, only the comparisons of
`features.window`. Arrays are as `History`, `Memberships`, `Visible` and `Homes` describe them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import Catalogue
from features.event import ROLES, SEXES, Status
from features.window import (
    MICROS_PER_MONTH,
    NEVER,
    Micros,
    has_begun,
    has_not_ended,
    is_known,
    micros_of,
)

Ints = npt.NDArray[np.int64]
Objects = npt.NDArray[np.object_]
NO_BIRTH = int(np.iinfo(np.int64).min)


@dataclass(frozen=True)
class PlainMembers:
    """The columns of `Memberships`."""

    person: Ints
    household: Ints
    joined: Ints
    left: Ints
    known: Ints
    birth: Ints
    role: Ints
    sex: Ints
    n_persons: int


@dataclass(frozen=True)
class PlainHistory:
    """The columns of `History`, and the rank of every row in the canonical order of all households together."""

    catalogue: Catalogue
    household_ids: tuple[str, ...]
    residence: Objects
    region: Objects
    household: Ints
    person: Ints
    code: Ints
    occurred: Ints
    known_from: Ints
    known_until: Ints
    value: npt.NDArray[np.float64]
    text: Ints
    texts: tuple[str, ...]
    event_id: Objects
    source: Objects
    known_at: Ints
    time_rank: Ints
    members: PlainMembers


@dataclass(frozen=True)
class PlainHomes:
    """The columns of `Homes`."""

    household: Ints
    until: Ints
    birth: Ints
    role: Ints
    sex: Ints


def plain_history(
    events: pd.DataFrame, members: pd.DataFrame, households: pd.DataFrame, catalogue: Catalogue
) -> PlainHistory:
    """Encode the tables; rows that repeat (household_id, event_id) count once."""
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

    # The same id may stand in two households; the one filed under the first household comes first.
    in_time = np.lexsort((household, pd.factorize(event_id, sort=True)[0], person, value, code, occurred))
    time_rank = np.empty(len(events), np.int64)
    time_rank[in_time] = np.arange(len(events))
    order = in_time[np.argsort(household[in_time], kind="stable")]
    placed = households.drop_duplicates("household_id").set_index("household_id").reindex(household_ids)
    return PlainHistory(
        catalogue=catalogue,
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


def _memberships(members: pd.DataFrame, household_ids: Objects, persons: Objects) -> PlainMembers:
    household = _positions(members["household_id"], household_ids)
    if (household < 0).any():
        raise ValueError("a member names a household that is not in the households table; run `povrisk check`")
    birth = pd.to_datetime(members["birth_date"]).dt.as_unit("s")
    person = _positions(members["person_id"], persons)
    joined, left, known = (micros_of(members[name]) for name in ("joined_at", "left_at", "known_at"))
    birth = np.where(birth.isna(), NO_BIRTH, birth.astype("int64").to_numpy() // 86_400)
    role, sex = (
        _positions(members["role"], np.array(ROLES, object)),
        _positions(members["sex"], np.array(SEXES, object)),
    )
    order = np.lexsort((sex, role, left, birth, known, household, joined, person))
    columns = (person, household, joined, left, known, birth, role, sex)
    return PlainMembers(*(column[order] for column in columns), n_persons=len(persons))


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


def plain_visible(history: PlainHistory, as_of: Micros) -> tuple[Ints, Ints]:
    """`rows` and `starts` of `Visible`."""
    at_home = plain_homes(history.members, as_of)
    rows = np.flatnonzero(is_known(history.known_from, history.known_until, as_of) & (history.code != -1))
    household = history.household[rows].copy()
    person = history.person[rows]
    follows = np.array([kind.follows for kind in history.catalogue.kinds], np.bool_)
    placed = np.flatnonzero((person >= 0) & follows[history.code[rows]])
    placed = placed[at_home.household[person[placed]] >= 0]
    household[placed] = at_home.household[person[placed]]
    keep = np.ones(len(rows), np.bool_)
    keep[placed] = has_not_ended(at_home.until[person[placed]], history.occurred[rows[placed]])
    rows, household = rows[keep], household[keep]
    order = np.argsort(household * np.int64(len(history.time_rank) + 1) + history.time_rank[rows], kind="stable")
    counts = np.bincount(household, minlength=len(history.household_ids))
    starts = np.zeros(len(history.household_ids) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return rows[order], starts


def plain_homes(rows: PlainMembers, as_of: Micros) -> PlainHomes:
    """Each person's home at `as_of`: the spell still running then, or else the one that ended last."""
    household = np.full(rows.n_persons, -1, np.int64)
    until = np.full(rows.n_persons, NEVER, np.int64)
    birth = np.full(rows.n_persons, NO_BIRTH, np.int64)
    role, sex = np.full(rows.n_persons, -1, np.int64), np.full(rows.n_persons, -1, np.int64)
    visible = np.flatnonzero(is_known(rows.known, np.int64(NEVER), as_of) & has_begun(rows.joined, as_of))
    # Rows are sorted by person, joined, household, known: the last one of a spell is its latest known version.
    spell = np.stack([rows.person[visible], rows.joined[visible], rows.household[visible]])
    latest = visible[_last_of_run(spell)]
    running = has_not_ended(rows.left[latest], as_of)
    order = np.lexsort((rows.household[latest], rows.joined[latest], running, rows.person[latest]))
    ranked = latest[order]
    chosen = ranked[_last_of_run(rows.person[ranked][np.newaxis])]
    who = rows.person[chosen]
    household[who] = rows.household[chosen]
    until[who] = np.where(has_not_ended(rows.left[chosen], as_of), NEVER, rows.left[chosen])
    birth[who] = rows.birth[chosen]
    role[who], sex[who] = rows.role[chosen], rows.sex[chosen]
    return PlainHomes(household, until, birth, role, sex)


def _last_of_run(keys: Ints) -> npt.NDArray[np.bool_]:
    """Marks the last column of every run of equal columns."""
    if keys.shape[1] == 0:
        return np.zeros(0, np.bool_)
    return np.append((keys[:, 1:] != keys[:, :-1]).any(axis=0), True)
