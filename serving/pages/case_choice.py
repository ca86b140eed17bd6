"""Which households of a synthetic county make a training case: by tier, by what came of them, and by lot."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.definition import Text
from features.history import history_of
from features.tables import Tables
from features.window import Micros, horizon_end, is_after, is_within_horizon, micros_of
from models.assessment import assess
from models.bundle import Bundle
from serving.pages.case_stories import STORIES, Story

HIGH, LOW, GREY = ("red", "orange"), ("green",), ("grey",)
# Tiers of each kind of case, and whether something happened. The rarest are drawn first.
KINDS: dict[str, tuple[tuple[str, ...], bool]] = {
    "wrong_record": (LOW, False),
    "high_nothing": (HIGH, False),
    "low_something": (LOW, True),
    "grey_something": (GREY, True),
    "high_something": (HIGH, True),
    "low_nothing": (LOW, False),
    "grey_nothing": (GREY, False),
}
# Looked at for each kind of case; more would take longer and change little.
CANDIDATES = 60
# What ends a status that an entry of the same category began.
ENDINGS = ("DB//EXIT", "TK//EXIT", "LIP//EXPIRE", "MON//RISK_CLEAR")


class CasesRefused(ValueError):
    """The county has too few households of some kind of case; the message says of which."""


@dataclass(frozen=True)
class Household:
    """One household of the county with what came of it: months until its first entry, and which, None without one."""

    household_id: str
    record: dict[str, Any]
    months: int | None
    entry: Text | None

    @property
    def happened(self) -> bool:
        """Whether the household entered a status within the horizon."""
        return self.months is not None

    @property
    def top_group(self) -> str:
        """The domain that raises the score most; empty where none does."""
        raising = [reason for reason in self.record["reasons"] if reason["direction"] == "raises"]
        return str(raising[0]["group"]) if raising else ""


@dataclass(frozen=True)
class Entries:
    """Entries into a status as they stand today (household, moment, name of the status), and households that were in
    one at the moment of judgement."""

    household: npt.NDArray[np.object_]
    occurred: npt.NDArray[np.int64]
    names: Sequence[Text]
    in_status: frozenset[str]


@dataclass(frozen=True)
class Wrong:
    """What is wrong in a record: number and tier without it, and the domains it stands in."""

    per_100_without: float
    tier_without: str
    domains: Text


@dataclass(frozen=True)
class Chosen:
    """A household chosen for a case: of which kind, with which story, and what of its record is wrong."""

    household: Household
    kind: str
    story: Story
    wrong: Wrong | None = None


class County:
    """The households of a county at one moment, and the choice among them."""

    def __init__(self, bundle: Bundle, tables: Tables, as_of: Micros, entries: Entries) -> None:
        self.bundle, self.tables, self.as_of, self.entries = bundle, tables, as_of, entries
        history = history_of(tables, bundle.catalogue, time_zone=bundle.time_zone)
        self._assessed = assess(bundle, history, as_of).settled()
        self._ids: list[str] = list(history.household_ids)
        bare = assess(bundle, history, as_of, reasons=False)
        self._tiers = [str(bare.row(i)["tier"]) for i in range(len(self._ids))]
        self._taken: set[str] = set()

    def chosen(self) -> list[Chosen]:
        """The households of all cases, kind by kind."""
        return [
            each for kind, (tiers, happened) in KINDS.items() for each in self._of_kind(kind, tiers, happened=happened)
        ]

    def _of_kind(self, kind: str, tiers: tuple[str, ...], *, happened: bool) -> list[Chosen]:
        """As many households as the kind has stories, each with another domain on top while there are such."""
        stories = STORIES[kind]
        candidates = self._candidates(tiers, happened=happened)
        found = self._wrong(candidates, stories) if kind == "wrong_record" else _varied(candidates, kind, tiers)
        if len(found) < len(stories):
            raise CasesRefused(f"too few households for the cases of kind {kind}; give a larger county")
        self._taken |= {each.household.household_id for each in found}
        return found

    def _wrong(self, candidates: Iterator[Household], stories: Sequence[Story]) -> list[Chosen]:
        """Households under which another one's records are filed, a different one each time."""
        found: list[Chosen] = []
        strays = self._strays
        for candidate in candidates:
            made = next(
                ((k, *made) for k, each in enumerate(strays) if (made := self._with_wrong(candidate, each))), None
            )
            if made is not None:
                k, household, wrong = made
                del strays[k]
                found.append(Chosen(household, "wrong_record", stories[len(found)], wrong))
            if len(found) == len(stories):
                break
        return found

    def _candidates(self, tiers: tuple[str, ...], *, happened: bool) -> Iterator[Household]:
        """Households that are in no status, in an order that has nothing to do with anything, at most some dozens."""
        left = CANDIDATES
        for i in sorted(range(len(self._ids)), key=lambda i: drawn(self._ids[i])):
            name = self._ids[i]
            if left == 0 or name in self.entries.in_status or name in self._taken or self._tiers[i] not in tiers:
                continue
            months, entry = self._outcome(name)
            if (months is not None) != happened:
                continue
            record = self._assessed.record(i)
            if self._is_telling(record, tiers):
                left -= 1
                yield Household(name, record, months, entry)

    def _is_telling(self, record: dict[str, Any], tiers: tuple[str, ...]) -> bool:
        """Whether there is something on record to look at: a score with reasons, or a clear lack of one."""
        if tiers == GREY:
            return record["status"] == "abstained" and bool(record["questions"])
        if record["status"] != "scored" or not record["reasons"]:
            return False
        number, usual = float(record["per_100"]), float(record["base_rate_per_100"])
        return number >= 2 * usual if tiers == HIGH else number <= usual

    def _outcome(self, name: str) -> tuple[int | None, Text | None]:
        """Months until the first entry within a year, and what it was."""
        of = np.flatnonzero(self.entries.household == name)
        end = horizon_end(self.as_of, 12, self.bundle.time_zone)
        moments = self.entries.occurred[of]
        inside = is_within_horizon(moments, np.full(len(of), self.as_of), np.full(len(of), end))
        if not inside.any():
            return None, None
        first = of[inside][int(np.argmin(moments[inside]))]
        ends = [horizon_end(self.as_of, months, self.bundle.time_zone) for months in range(1, 13)]
        at = self.entries.occurred[[first]]
        return 1 + sum(bool(is_after(at, each).any()) for each in ends), self.entries.names[int(first)]

    def _with_wrong(self, candidate: Household, events: pa.Table) -> tuple[Household, Wrong] | None:
        """The household with somebody else's records filed under it, where they make it one to visit soon."""
        record, strays = self._with_stray(candidate.household_id, events), set(_stray_ids(events))
        if record["status"] != "scored" or not self._is_telling(record, HIGH) or record["tier"] not in HIGH:
            return None
        wrong = [
            reason["group_text"]
            for reason in record["reasons"]
            if strays & {event["event_id"] for fact in reason["facts"] for event in fact["events"]}
        ]
        if not wrong:
            return None
        words = Text("、".join(each["zh"] for each in wrong), " and ".join(each["en"].lower() for each in wrong))
        before = candidate.record
        return dataclasses.replace(candidate, record=record), Wrong(before["per_100"], before["tier"], words)

    @cached_property
    def _strays(self) -> list[pa.Table]:
        """The events behind what raises other households' scores, where those are all cited."""
        found: list[pa.Table] = []
        for donor in self._candidates(HIGH, happened=True):
            raising = [reason for reason in donor.record["reasons"] if reason["direction"] == "raises"]
            facts = [fact for reason in raising for fact in reason["facts"]]
            whole = [fact for fact in facts if fact["n_events"] == len(fact["events"])]
            ids = sorted({event["event_id"] for fact in whole for event in fact["events"]})
            if ids:
                mine = self.tables.of([donor.household_id]).events
                found.append(mine.filter(pc.is_in(mine["event_id"], value_set=pa.array(ids, pa.string()))))
        return found

    def _with_stray(self, household_id: str, events: pa.Table) -> dict[str, Any]:
        """The assessment of a household with somebody else's events filed under it and its first member."""
        mine = self.tables.of([household_id])
        n = len(events)
        first = mine.members["person_id"][0].as_py()
        persons = [None if person is None else first for person in events["person_id"].to_pylist()]
        for name, values in (
            ("household_id", [household_id] * n),
            ("person_id", persons),
            ("event_id", _stray_ids(events)),
        ):
            at = events.schema.get_field_index(name)
            events = events.set_column(at, events.schema.field(at), pa.array(values, events.schema.field(at).type))
        tables = dataclasses.replace(mine, events=pa.concat_tables([mine.events, events]))
        history = history_of(tables, self.bundle.catalogue, time_zone=self.bundle.time_zone)
        return assess(self.bundle, history, self.as_of).record(0)


def _varied(candidates: Iterator[Household], kind: str, tiers: tuple[str, ...]) -> list[Chosen]:
    """The first households that differ in the domain on top, then others; their stories in order."""
    wanted = len(STORIES[kind])
    first: list[Household] = []
    rest: list[Household] = []
    for candidate in candidates:
        is_like_another = tiers == HIGH and any(each.top_group == candidate.top_group for each in first)
        (rest if is_like_another else first).append(candidate)
        if len(first) == wanted:
            break
    households = [*first, *rest][:wanted]
    return [Chosen(each, kind, story) for each, story in zip(households, STORIES[kind], strict=False)]


def _stray_ids(events: pa.Table) -> list[str]:
    """Ids that no event of a county has."""
    return [f"stray-{k}" for k in range(len(events))]


def entries_of(bundle: Bundle, events: pd.DataFrame, as_of: Micros) -> Entries:
    """Entries that nobody took back, and of those that were put right the last version."""
    kinds = {kind.code: kind.name for kind in bundle.catalogue.kinds if kind.is_entry}
    of = events[events["code"].isin({*kinds, *ENDINGS})]
    of = of[~of["event_id"].isin(set(of["supersedes"].dropna())) & (of["status"] != "retracted")]
    past = of[~is_after(micros_of(of["occurred_at"]), as_of)].sort_values("occurred_at")
    newest = past.assign(category=past["code"].str.partition("//")[0]).drop_duplicates(
        ["household_id", "category"], keep="last"
    )
    entered = of[of["code"].isin(kinds)]
    return Entries(
        entered["household_id"].to_numpy(object),
        micros_of(entered["occurred_at"]),
        [kinds[code] for code in entered["code"]],
        frozenset(newest.loc[newest["code"].isin(kinds), "household_id"]),
    )


def drawn(name: str) -> bytes:
    """A place in an order that has nothing to do with the name."""
    return hashlib.blake2b(name.encode(), digest_size=8, key=b"training cases").digest()
