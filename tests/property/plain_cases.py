"""Households of a call as tables, read plainly row by row: the oracle of `serving.cases`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa

from features.event import EVENTS, HOUSEHOLDS, MEMBERS
from features.intake import event_problems
from features.tables import Tables
from features.window import NEVER, Micros, as_of_moment, day, parsed
from models.tier import Previous, Tier
from serving.case_errors import Frame
from serving.errors import FieldError, Invalid
from serving.messages import Event, Household, Member
from serving.settings import Settings

MICROS = 1_000_000
UNREADABLE = "is not a date or time that exists"


@dataclass(frozen=True)
class Cases:
    """Households ready to be assessed, with one moment each.

    Persons are named within their household, so that two households of one call may both have a `p1`.
    """

    household_ids: tuple[str, ...]
    as_of: tuple[Micros, ...]
    tables: Tables
    previous: Mapping[str, tuple[Previous, Micros]]


def read_cases(households: Sequence[Household], frame: Frame, settings: Settings, now: Micros) -> Cases:
    """Check households against each other, the clock and the catalogue. Raises `Invalid` with every problem found.

    `now` is the server's clock. A row may be known after its household's `as_of` (it is then not seen), but not after
    `now`; so an old `as_of` can be asked again with everything that has come in since.
    """
    reader = _Reader(frame, settings, now)
    reader.refuse_repeated_households(households)
    if reader.errors:
        # Rows of two households under one name cannot be told apart, so nothing more can be said about them.
        raise Invalid.because(reader.errors)
    for i, household in enumerate(households):
        reader.read(i, household)
    reader.check_events(households)
    if reader.errors:
        # By place, so that the caller finds the first one first; sorting on text keeps numbers and names apart.
        raise Invalid.because(sorted(reader.errors, key=lambda e: [(isinstance(p, str), p) for p in e.path]))
    return Cases(
        household_ids=tuple(h.household_id for h in households),
        as_of=tuple(reader.as_of),
        tables=Tables(
            events=_table(reader.events, EVENTS),
            members=_table(reader.members, MEMBERS),
            households=_table([{name: getattr(h, name) for name in HOUSEHOLDS.names} for h in households], HOUSEHOLDS),
        ),
        previous=reader.previous,
    )


@dataclass
class _Reader:
    frame: Frame
    settings: Settings
    now: Micros
    errors: list[FieldError] = field(default_factory=list)
    as_of: list[Micros] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    members: list[dict[str, Any]] = field(default_factory=list)
    latest: list[Micros] = field(default_factory=list)
    previous: dict[str, tuple[Previous, Micros]] = field(default_factory=dict)

    def refuse_repeated_households(self, households: Sequence[Household]) -> None:
        seen: set[str] = set()
        for i, household in enumerate(households):
            if household.household_id in seen:
                self.errors.append(FieldError(("households", i, "household_id"), "is given twice in this call"))
            seen.add(household.household_id)

    def read(self, i: int, household: Household) -> None:
        at: tuple[str | int, ...] = ("households", i)
        if household.region not in self.frame.regions:
            known = ", ".join(self.frame.regions)
            self.errors.append(
                FieldError((*at, "region"), f"has neither a model nor a pack of rules here; known are {known}")
            )
        as_of = self._moment(household.as_of, (*at, "as_of"), as_of_moment)
        if as_of != NEVER and as_of > self.now + self.settings.as_of_ahead_s * MICROS:
            hours = self.settings.as_of_ahead_s / 3600
            self.errors.append(FieldError((*at, "as_of"), f"lies more than {hours:g} hours in the future"))
        newest = self.now + self.settings.clock_skew_s * MICROS
        if household.previous is not None:
            self._read_previous(household, (*at, "previous"), as_of)
        self.as_of.append(as_of)
        self.latest.append(newest if as_of == NEVER else max(newest, as_of))
        for k, member in enumerate(household.members):
            self._read_member(household.household_id, i, member, (*at, "members", k))
        self._refuse_double_membership(i, household, (*at, "members"))
        for k, event in enumerate(household.events):
            self._read_event(household.household_id, i, event, (*at, "events", k))

    def _read_previous(self, household: Household, at: tuple[str | int, ...], as_of: Micros) -> None:
        last = household.previous
        assert last is not None
        moment = self._moment(last.as_of, (*at, "as_of"), as_of_moment)
        if NEVER not in (moment, as_of) and moment >= as_of:
            self.errors.append(FieldError((*at, "as_of"), "is not before the household's as_of"))
        self.previous[household.household_id] = (Previous(Tier(last.tier), Tier(last.tier_computed)), moment)

    def _read_member(self, household_id: str, i: int, member: Member, at: tuple[str | int, ...]) -> None:
        joined = self._moment(member.joined_at, (*at, "joined_at"))
        left = NEVER if member.left_at is None else self._moment(member.left_at, (*at, "left_at"))
        known = joined if member.known_at is None else self._moment(member.known_at, (*at, "known_at"))
        if NEVER not in (joined, left) and left < joined:
            self.errors.append(FieldError((*at, "left_at"), "is before joined_at"))
        if known != NEVER and known > self.latest[-1]:
            name = "joined_at" if member.known_at is None else "known_at"
            self.errors.append(FieldError((*at, name), "lies in the future"))
        born = None
        if member.birth_date is not None:
            try:
                born = date.fromisoformat(member.birth_date)
            except ValueError:
                self.errors.append(FieldError((*at, "birth_date"), UNREADABLE))
            # Compared as days, because a child joins on the day of its birth, at an hour nobody writes down.
            if born and known != NEVER and born.isoformat() > day(known, self.frame.time_zone):
                self.errors.append(FieldError((*at, "birth_date"), "is later than known_at"))
        self.members.append(
            {
                "household_id": household_id,
                "person_id": _within(i, member.person_id),
                "birth_date": born,
                "sex": member.sex,
                "role": member.role,
                "joined_at": joined,
                "left_at": None if left == NEVER else left,
                "known_at": known,
            }
        )

    def _refuse_double_membership(self, i: int, household: Household, at: tuple[str | int, ...]) -> None:
        """Someone may leave and come back, but not be there twice at a time."""
        rows = self.members[len(self.members) - len(household.members) :]
        until: dict[str, Micros] = {}
        for k in sorted(range(len(rows)), key=lambda k: rows[k]["joined_at"]):
            person = rows[k]["person_id"]
            if person in until and rows[k]["joined_at"] < until[person]:
                self.errors.append(FieldError((*at, k, "person_id"), "is listed twice for the same time"))
            until[person] = NEVER if rows[k]["left_at"] is None else rows[k]["left_at"]

    def _read_event(self, household_id: str, i: int, event: Event, at: tuple[str | int, ...]) -> None:
        occurred = self._moment(event.occurred_at, (*at, "occurred_at"))
        written_known = event.occurred_at if event.known_at is None else event.known_at
        known = occurred if event.known_at is None else self._moment(event.known_at, (*at, "known_at"))
        if len(written_known) == 10 and known != NEVER:
            # Known on a day means after that day had begun: at the end of the day before, nobody knew.
            known += MICROS
        # A report dated only by its day came at some hour of that day, which is not before the event.
        if event.known_at is not None and len(event.known_at) == 10 and NEVER not in (occurred, known):
            is_same_day = day(occurred, self.frame.time_zone) == event.known_at
            known = max(known, occurred) if is_same_day else known
        self.events.append(
            {
                "at": at,
                "latest": self.latest[-1],
                "event_id": event.event_id,
                "household_id": household_id,
                "person_id": None if event.person_id is None else _within(i, event.person_id),
                "code": event.code,
                "occurred_at": occurred,
                "known_at": known,
                "value": event.value,
                "unit": event.unit,
                "text": event.text,
                "source": event.source,
                "status": event.status,
                "supersedes": event.supersedes,
            }
        )

    def check_events(self, households: Sequence[Household]) -> None:
        """The checks of `features.intake`, once for all households that share a latest moment."""
        already = {error.path for error in self.errors}
        for latest in sorted(set(self.latest)):
            rows = [row for row in self.events if row["latest"] == latest]
            if not rows:
                continue
            names = [name for name in rows[0] if name not in ("at", "latest")]
            columns = {name: [row[name] for row in rows] for name in names}
            found = event_problems(columns, self.frame.catalogue, currency=self.frame.currency, latest=latest)
            for problem in found:
                path = (*rows[problem.row]["at"], problem.field)
                defaulted = problem.field == "known_at" and self._takes_known_from_occurred(households, path)
                if path not in already and not defaulted:
                    self.errors.append(FieldError(path, problem.reason))

    def _takes_known_from_occurred(self, households: Sequence[Household], path: tuple[str | int, ...]) -> bool:
        """Whether what is said about a `known_at` that was not given is said about `occurred_at` already."""
        _, i, _, k, _ = path
        return households[int(i)].events[int(k)].known_at is None

    def _moment(self, text: str, path: tuple[str | int, ...], read: Callable[[str, str], Micros] = parsed) -> Micros:
        try:
            return read(text, self.frame.time_zone)
        except (ValueError, OverflowError):
            self.errors.append(FieldError(path, UNREADABLE))
            return NEVER


def _within(household: int, person_id: str) -> str:
    return f"{household}/{person_id}"


def _table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows with the columns of a schema; moments are microseconds already."""
    columns = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        cells = [row[name] for row in rows]
        is_moment = pa.types.is_timestamp(kind)
        columns.append(pa.array(cells, pa.int64()).cast(kind) if is_moment else pa.array(cells, kind))
    return pa.table(columns, schema=schema)
