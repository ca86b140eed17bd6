"""What is wrong with households of a call, row by row and in words: the slow reading of those that are in doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from features.catalogue import Catalogue
from features.intake import event_problems
from features.window import NEVER, Micros, as_of_moment, day, parsed
from serving.codec import AnyEvent, AnyHousehold, AnyMember
from serving.errors import FieldError
from serving.settings import Settings

MICROS = 1_000_000
UNREADABLE = "is not a date or time that exists"
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Frame:
    """What a model was made for: its events, its money, its calendar, its regions."""

    catalogue: Catalogue
    currency: str
    time_zone: str
    regions: tuple[str, ...]


def repeated_households(households: Sequence[AnyHousehold]) -> list[FieldError]:
    """The households of a call whose id was given before in the same call."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for i, household in enumerate(households):
        if household.household_id in seen:
            errors.append(FieldError(("households", i, "household_id"), "is given twice in this call"))
        seen.add(household.household_id)
    return errors


def case_errors(
    households: Sequence[AnyHousehold], places: Iterable[int], frame: Frame, settings: Settings, now: Micros
) -> list[FieldError]:
    """Everything that is wrong with the households of a call at some places, by place. `now` is the server's clock."""
    reader = _Reader(frame, settings, now)
    for i in places:
        reader.read(i, households[i])
    reader.check_events(households)
    # By place, so that the caller finds the first one first; sorting on text keeps numbers and names apart.
    return sorted(reader.errors, key=lambda e: [(isinstance(p, str), p) for p in e.path])


@dataclass
class _Reader:
    frame: Frame
    settings: Settings
    now: Micros
    errors: list[FieldError] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    latest: Micros = NEVER

    def read(self, i: int, household: AnyHousehold) -> None:
        at: Path = ("households", i)
        if household.region not in self.frame.regions:
            known = ", ".join(self.frame.regions)
            self.errors.append(
                FieldError((*at, "region"), f"has neither a model nor a pack of rules here; known are {known}")
            )
        as_of = self._moment(household.as_of, (*at, "as_of"), as_of_moment)
        if as_of != NEVER and as_of > self.now + self.settings.as_of_ahead_s * MICROS:
            hours = self.settings.as_of_ahead_s / 3600
            self.errors.append(FieldError((*at, "as_of"), f"lies more than {hours:g} hours in the future"))
        if household.previous is not None:
            moment = self._moment(household.previous.as_of, (*at, "previous", "as_of"), as_of_moment)
            if NEVER not in (moment, as_of) and moment >= as_of:
                self.errors.append(FieldError((*at, "previous", "as_of"), "is not before the household's as_of"))
        newest = self.now + self.settings.clock_skew_s * MICROS
        self.latest = newest if as_of == NEVER else max(newest, as_of)
        members: Sequence[AnyMember] = household.members
        events: Sequence[AnyEvent] = household.events
        spells = [self._read_member(member, (*at, "members", k)) for k, member in enumerate(members)]
        persons = [member.person_id for member in members]
        for k in listed_twice(persons, *zip(*spells, strict=True)) if spells else ():
            self.errors.append(FieldError((*at, "members", k, "person_id"), "is listed twice for the same time"))
        for k, event in enumerate(events):
            self._read_event(i, event, (*at, "events", k))

    def _read_member(self, member: AnyMember, at: Path) -> tuple[Micros, Micros]:
        joined = self._moment(member.joined_at, (*at, "joined_at"))
        left = NEVER if member.left_at is None else self._moment(member.left_at, (*at, "left_at"))
        known = joined if member.known_at is None else self._moment(member.known_at, (*at, "known_at"))
        if NEVER not in (joined, left) and left < joined:
            self.errors.append(FieldError((*at, "left_at"), "is before joined_at"))
        if known != NEVER and known > self.latest:
            name = "joined_at" if member.known_at is None else "known_at"
            self.errors.append(FieldError((*at, name), "lies in the future"))
        if member.birth_date is not None:
            try:
                born = date.fromisoformat(member.birth_date).isoformat()
            except ValueError:
                self.errors.append(FieldError((*at, "birth_date"), UNREADABLE))
            else:
                if known != NEVER and is_born_later(born, known, self.frame.time_zone):
                    self.errors.append(FieldError((*at, "birth_date"), "is later than known_at"))
        return joined, left

    def _read_event(self, i: int, event: AnyEvent, at: Path) -> None:
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
                "latest": self.latest,
                "event_id": event.event_id,
                "household_id": str(i),
                "person_id": event.person_id,
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

    def check_events(self, households: Sequence[AnyHousehold]) -> None:
        """The checks of `features.intake`, once for all households that share a latest moment."""
        already = {error.path for error in self.errors}
        of_latest: dict[Micros, list[dict[str, Any]]] = {}
        for row in self.events:
            of_latest.setdefault(row["latest"], []).append(row)
        for latest, rows in sorted(of_latest.items()):
            names = [name for name in rows[0] if name not in ("at", "latest")]
            columns = {name: [row[name] for row in rows] for name in names}
            found = event_problems(columns, self.frame.catalogue, currency=self.frame.currency, latest=latest)
            for problem in found:
                path = (*rows[problem.row]["at"], problem.field)
                defaulted = problem.field == "known_at" and self._takes_known_from_occurred(households, path)
                if path not in already and not defaulted:
                    self.errors.append(FieldError(path, problem.reason))

    def _takes_known_from_occurred(self, households: Sequence[AnyHousehold], path: Path) -> bool:
        """Whether what is said about a `known_at` that was not given is said about `occurred_at` already."""
        _, i, _, k, _ = path
        return households[int(i)].events[int(k)].known_at is None

    def _moment(self, text: str, path: Path, read: Callable[[str, str], Micros] = parsed) -> Micros:
        try:
            return read(text, self.frame.time_zone)
        except (ValueError, OverflowError):
            self.errors.append(FieldError(path, UNREADABLE))
            return NEVER


def listed_twice(persons: Sequence[str], joined: Sequence[Micros], left: Sequence[Micros]) -> list[int]:
    """Positions of spells that begin before an earlier spell of the same person has ended; `NEVER` for no end.

    Someone may leave and come back, but not be there twice at a time.

    >>> listed_twice(["p", "q", "p"], [0, 0, 5], [5, NEVER, NEVER]), listed_twice(["p", "p"], [0, 5], [6, NEVER])
    ([], [1])
    """
    found: list[int] = []
    until: dict[str, Micros] = {}
    for k in sorted(range(len(persons)), key=lambda k: joined[k]):
        person = persons[k]
        if person in until and joined[k] < until[person]:
            found.append(k)
        until[person] = left[k]
    return found


def is_born_later(born: str, known: Micros, time_zone: str) -> bool:
    """Whether a birth (a day, ISO 8601) lies after the day on which it is said to be known.

    Compared as days, because a child joins on the day of its birth, at an hour nobody writes down.
    """
    return born > day(known, time_zone)
