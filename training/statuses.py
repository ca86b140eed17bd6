"""Who is in a supported or monitored status, and who enters one: what the labels of a county wait for.

Being at risk is judged by what was known at the moment; the outcome by what is known today, dated by when it
happened. What nobody can say yet is null, never 0. The arithmetic is a handful of array operations per moment,
over the few events that a status reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import Catalogue
from features.codes import matches
from features.dataset import Dataset
from features.definition import Level
from features.history import History, history_from_tables
from features.household import Homes, Memberships, homes
from features.window import (
    ALWAYS,
    MICROS_PER_DAY,
    NEVER,
    Micros,
    as_of_moment,
    has_not_ended,
    horizon_end,
    is_after,
    is_known,
    is_within_horizon,
    months_before,
)
from training import discovery
from training.discovery import Clues, discovery_routes
from training.publication_lag import publication_lag_days

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FORMERLY_POOR = ("MON//OUT_OF_POVERTY", "MON//RISK_CLEAR", "DB//EXIT")
TREATMENTS = ("MAI//GRANT", "LS//GRANT", "DIS//SUB_LIVING", "DIS//SUB_CARE", "PRD//PUBLIC_POST")

NO_MEMBER = "nobody belongs to the household then"
IN_STATUS = "already in the status"
NOT_FORMERLY_POOR = "not formerly poor"
NOT_MATURE = "not mature"
REPORTED_LATER = "entered before as_of, reported later"
DISSOLVED = "dissolved"


@dataclass(frozen=True)
class Ending:
    """How a status ends: by one of these events, and at the latest after `months` months."""

    exits: tuple[str, ...]
    months: int | None = None


ENDINGS: dict[str, Ending] = {
    "DB//ENTER": Ending(("DB//EXIT",)),
    "TK//ENTER": Ending(("TK//EXIT",)),
    "LIP//EDGE_ENTER": Ending(("LIP//EXPIRE",)),
    "LIP//RIGID_ENTER": Ending(("LIP//EXPIRE",), months=12),
    "MON//ENTER": Ending(("MON//RISK_CLEAR",)),
}


def status_rows(
    dataset: Dataset,
    as_ofs: Sequence[Micros],
    *,
    catalogue: Catalogue,
    entry_codes: tuple[str, ...],
    horizon_months: int,
    only_formerly_poor: bool = False,
) -> pd.DataFrame:
    """One row per household and moment, households in order within each moment.

    Columns: `household_id`; `as_of` in microseconds; `at_risk` (somebody lives there and the household is not known
    to be in one of the statuses); `outcome` 1.0 if it enters one in `(as_of, as_of + horizon]`, 0.0 if not, NaN if
    that cannot be said; `formerly_poor` as known at `as_of`; `treated` (aid was given within the horizon, aid that
    runs on included); `treated_before_entry` (the same, but before the first entry where there is one: only such aid
    can have delayed the entry, what follows it cannot); `discovery_route` of the positives (see
    `training.discovery`), None for the others; `null_reason`. An entry and aid count for the household they were
    filed for. Treated households stay in: aid that somebody is given is part of what is foreseen.
    """
    zone, data_until = dataset.meta.time_zone, as_of_moment(dataset.meta.data_until, dataset.meta.time_zone)
    publication_lag = publication_lag_days(dataset.meta, catalogue, entry_codes) * MICROS_PER_DAY
    exits = chain.from_iterable(ENDINGS[code].exits for code in entry_codes)
    clue_codes = chain.from_iterable(discovery.CODES.values())
    record = _record(dataset, catalogue, {*entry_codes, *exits, *FORMERLY_POOR, *TREATMENTS, *clue_codes})
    statuses = [_status(record, code, zone) for code in entry_codes]
    entries = record.known_at(data_until, record.of(entry_codes))
    treatments = record.known_at(data_until, record.of(TREATMENTS))
    clues = _clues(record, data_until)
    former = record.of(FORMERLY_POOR)
    people = record.history.members
    people_today = _as_seen_from(people, data_until)
    ids = np.array(record.history.household_ids, dtype=object)
    n = len(ids)

    pieces: list[dict[str, npt.NDArray[np.generic]]] = []
    for as_of in as_ofs:
        end = horizon_end(as_of, horizon_months, zone)
        at_home = homes(people, as_of)
        is_inhabited = _marked(n, at_home.household[at_home.is_member])
        in_status = _marked(n, *(status.households(record, as_of, as_of, at_home) for status in statuses))
        today = homes(people_today, as_of)
        entered_unseen = _marked(n, *(status.households(record, data_until, as_of, today) for status in statuses))
        formerly_poor = _marked(n, record.household(record.happened_by(as_of, record.known_at(as_of, former))))
        entered = record.first_moment(record.within(as_of, end, entries))
        enters = entered != NEVER
        remaining = homes(people_today, end)
        dissolves = ~_marked(n, remaining.household[remaining.is_member])
        reasons = {
            NO_MEMBER: ~is_inhabited,
            IN_STATUS: in_status,
            NOT_FORMERLY_POOR: ~formerly_poor & only_formerly_poor,
            # Positives of an immature moment are null too: they arrive first, and alone would look like a crisis.
            NOT_MATURE: np.full(n, end + publication_lag > data_until),
            REPORTED_LATER: entered_unseen,
            DISSOLVED: dissolves & ~enters,
        }
        is_null = np.logical_or.reduce(list(reasons.values()))
        aid = record.within(as_of, end, treatments)
        positive = np.flatnonzero(enters & ~is_null)
        route = np.full(n, None, dtype=object)
        route[positive] = discovery_routes(positive, entered[positive], clues)
        pieces.append(
            {
                "household_id": ids,
                "as_of": np.full(n, as_of, np.int64),
                "at_risk": is_inhabited & ~in_status & ~reasons[NOT_FORMERLY_POOR],
                "outcome": np.where(is_null, np.nan, enters.astype(np.float64)),
                "formerly_poor": formerly_poor,
                "treated": _marked(n, record.household(aid)),
                "treated_before_entry": _marked(n, record.household(record.before(entered, aid))),
                "discovery_route": route,
                "null_reason": _first_that_holds(n, reasons),
            }
        )
    return _stacked(pieces)


@dataclass(frozen=True)
class _Record:
    """The events that statuses read. Selections are positions in the history's arrays.

    `holder` is who a status is kept for: a household, or, numbered behind the households, one person of it.
    """

    history: History
    holder: Ints
    n_holders: int

    def of(self, codes: Iterable[str]) -> Ints:
        """The events of these codes."""
        kinds = self.history.catalogue.kinds
        wanted = [i for i, kind in enumerate(kinds) if any(matches(code, kind.code) for code in codes)]
        return np.flatnonzero(np.isin(self.history.code, wanted))

    def known_at(self, moment: Micros, rows: Ints) -> Ints:
        """Those that could be known at a moment, in the wording of that moment."""
        return rows[is_known(self.history.known_from[rows], self.history.known_until[rows], moment)]

    def happened_by(self, as_of: Micros, rows: Ints) -> Ints:
        """Those that are no longer ahead at `as_of`, as the horizon counts it."""
        return rows[~is_within_horizon(self.history.occurred[rows], np.array(as_of), np.array(NEVER))]

    def within(self, as_of: Micros, end: Micros, rows: Ints) -> Ints:
        """Those inside the horizon."""
        return rows[is_within_horizon(self.history.occurred[rows], np.array(as_of), np.array(end))]

    def before(self, end: Ints, rows: Ints) -> Ints:
        """Those before a moment that each household has of its own."""
        return rows[is_after(end[self.household(rows)], self.history.occurred[rows])]

    def first_moment(self, rows: Ints) -> Ints:
        """The earliest of them by household, `NEVER` where a household has none."""
        first = np.full(len(self.history.household_ids), NEVER, np.int64)
        np.minimum.at(first, self.household(rows), self.history.occurred[rows])
        return first

    def told_by(self, source: str) -> Ints:
        """Those that one source reported."""
        sources = self.history.sources
        number = sources.index(source) if source in sources else len(sources)
        return np.flatnonzero(self.history.source_number == number)

    def household(self, rows: Ints) -> Ints:
        """The households they were filed for."""
        return self.history.household[rows]


@dataclass(frozen=True)
class _Status:
    """One status: its entries, until when each can last, and its exits."""

    entries: Ints
    lasts_until: Ints
    exits: Ints

    def households(self, record: _Record, seen_from: Micros, as_of: Micros, at_home: Homes) -> Ints:
        """Which households are in it at `as_of`, by what was known at `seen_from`.

        A person's status counts for the household where they live, and for none once they have left.
        """
        occurred = record.history.occurred
        exits = record.happened_by(as_of, record.known_at(seen_from, self.exits))
        ended = np.full(record.n_holders, ALWAYS)
        np.maximum.at(ended, record.holder[exits], occurred[exits])
        in_force = self.entries[has_not_ended(self.lasts_until, as_of)]
        entries = record.happened_by(as_of, record.known_at(seen_from, in_force))
        # An exit and an entry of the same day are a renewal: only a later exit ends the status.
        has_ended = is_within_horizon(ended[record.holder[entries]], occurred[entries], np.array(NEVER))
        return _places(record, entries[~has_ended], at_home)


def _record(dataset: Dataset, catalogue: Catalogue, codes: set[str]) -> _Record:
    events = dataset.events
    # A row of another kind may replace one of ours, so every replacing row is kept.
    is_ours = events["source"] == discovery.SOURCE
    read = events[events["code"].isin(list(codes)) | events["supersedes"].notna() | is_ours]
    history = history_from_tables(
        read, dataset.members, dataset.households, catalogue, time_zone=dataset.meta.time_zone
    )
    n_households = len(history.household_ids)
    of_person = np.array([kind.level is Level.PERSON for kind in catalogue.kinds] + [False])
    is_kept_for_person = of_person[history.code] & (history.person >= 0)
    holder = np.where(is_kept_for_person, n_households + history.person, history.household)
    return _Record(history, holder, n_households + history.members.n_persons)


def _clues(record: _Record, data_until: Micros) -> dict[str, Clues]:
    """What may have led somebody to a household, by route."""
    rows = {route: record.known_at(data_until, record.of(codes)) for route, codes in discovery.CODES.items()}
    rows[discovery.MODEL] = record.known_at(data_until, record.told_by(discovery.SOURCE))
    moment = dict.fromkeys(rows, record.history.occurred) | {discovery.PUSH: record.history.known_from}
    return {route: Clues(record.household(each), moment[route][each]) for route, each in rows.items()}


def _status(record: _Record, entry_code: str, time_zone: str) -> _Status:
    ending = ENDINGS[entry_code]
    entries = record.of([entry_code])
    lasts_until = np.full(len(entries), NEVER)
    if ending.months is not None:
        begun, position = np.unique(record.history.occurred[entries], return_inverse=True)
        last = [months_before(int(moment), -ending.months, time_zone) for moment in begun]
        lasts_until = np.array(last, np.int64)[position]
    return _Status(entries, lasts_until, record.of(ending.exits))


def _places(record: _Record, rows: Ints, at_home: Homes) -> Ints:
    """The household each status counts for; a person without any recorded home stays where the event was filed."""
    n_households = len(record.history.household_ids)
    person = record.holder[rows] - n_households
    is_persons = person >= 0
    places = record.household(rows).copy()
    lives_in = at_home.household[person[is_persons]]
    has_left = (lives_in >= 0) & ~at_home.is_member[person[is_persons]]
    places[is_persons] = np.where(has_left, -1, np.where(lives_in >= 0, lives_in, places[is_persons]))
    return places


def _as_seen_from(people: Memberships, moment: Micros) -> Memberships:
    """The memberships as a reader of that moment sees the whole past."""
    known = is_known(people.known, np.int64(NEVER), moment)
    return replace(
        people,
        person=people.person[known],
        household=people.household[known],
        joined=people.joined[known],
        left=people.left[known],
        birth=people.birth[known],
        known=np.full(int(known.sum()), ALWAYS),
    )


def _marked(n: int, *places: Ints) -> Bools:
    """Which of `n` households are named; -1 names none."""
    marked = np.zeros(n, np.bool_)
    for place in places:
        marked[place[place >= 0]] = True
    return marked


def _first_that_holds(n: int, reasons: Mapping[str, Bools]) -> npt.NDArray[np.object_]:
    first = np.full(n, None, dtype=object)
    for reason, holds in reversed(list(reasons.items())):
        first[holds] = reason
    return first


def _stacked(pieces: Sequence[Mapping[str, npt.NDArray[np.generic]]]) -> pd.DataFrame:
    columns = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    # Words with gaps: pandas would make its own kind of text of them, where None is NaN.
    words = {name: pd.Series(columns.pop(name), dtype=object) for name in ("discovery_route", "null_reason")}
    return pd.DataFrame(columns).assign(**words)
