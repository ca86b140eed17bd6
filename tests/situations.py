"""Invented households at one moment: a few people and what was reported about them, told in days before that moment.

Several of them make one history, so that a household and its variants are assessed side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import catalogue
from features.event import EVENTS, HOUSEHOLDS, MEMBERS, ROLES, SEXES
from features.history import History, Visible, history_from_tables, visible
from features.household import NO_BIRTH
from features.rules.rulebook import Rulebook, rulebook
from features.unit import Unit
from features.window import MICROS_PER_DAY, Micros, as_of_moment, days_before, from_micros
from models.assessment import assessments
from models.bundle import Bundle
from models.rules import Ruled, ruled
from models.tier import RANKED

ZONE = "Asia/Shanghai"
AS_OF = "2026-11-01"
CORE = catalogue()
DAYS_A_YEAR = 365.2425
DAYS_A_MONTH = 30.4
LONG_AGO = 8000.0


class Person(NamedTuple):
    """Who lives there; `left_days` after which the person no longer does."""

    name: str
    age: float | None
    role: str = "other"
    sex: str | None = None
    left_days: float | None = None


class Happening(NamedTuple):
    """One event, `days` before the moment, of a person or (None) of the household; known `lag_days` after it."""

    code: str
    days: float
    value: float | None = None
    person: str | None = None
    text: str | None = None
    lag_days: float = 0.0


@dataclass(frozen=True)
class Situation:
    """A household as it is told."""

    people: tuple[Person, ...]
    happenings: tuple[Happening, ...] = ()
    residence: str = "rural"
    region: str = "demo"

    def plus(self, *more: Happening) -> Situation:
        """The same household with more events."""
        return replace(self, happenings=(*self.happenings, *more))

    def without(self, *gone: Happening) -> Situation:
        """The same household without some events."""
        return replace(self, happenings=tuple(each for each in self.happenings if each not in gone))

    def instead(self, old: Happening, new: Happening) -> Situation:
        """The same household with one event told otherwise."""
        return replace(self, happenings=tuple(new if each is old else each for each in self.happenings))

    def left_by(self, name: str, days: float) -> Situation:
        """The same household after one person no longer lives there."""
        people = (each._replace(left_days=days) if each.name == name else each for each in self.people)
        return replace(self, people=tuple(people))

    def of(self, *codes: str) -> tuple[Happening, ...]:
        """Its events of these codes."""
        return tuple(each for each in self.happenings if each.code in codes)


def monthly(code: str, value: float, person: str | None, months: int, until_days: float = 8.0) -> list[Happening]:
    """One payment a month, the newest `until_days` ago."""
    return [Happening(code, until_days + DAYS_A_MONTH * k, value, person) for k in range(months)]


def moment(as_of: str = AS_OF) -> Micros:
    """The end of a day."""
    return as_of_moment(as_of, ZONE)


def told(situations: Sequence[Situation], as_of: str = AS_OF) -> History:
    """The situations as one history, in their order."""
    end = moment(as_of)
    events: list[dict[str, Any]] = []
    members: list[dict[str, Any]] = []
    homes = []
    for i, situation in enumerate(situations):
        name = f"h{i:06d}"
        homes.append((name, situation.region, situation.residence, None))
        events += [_event(name, k, each, end) for k, each in enumerate(situation.happenings)]
        members += [_member(name, each, end) for each in situation.people]
    return history_from_tables(
        _table(events, EVENTS.names),
        _table(members, MEMBERS.names),
        pd.DataFrame(homes, columns=HOUSEHOLDS.names, dtype=object),
        CORE,
        time_zone=ZONE,
    )


def _table(rows: list[dict[str, Any]], names: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=names, dtype=object)
    for name in ("occurred_at", "known_at", "joined_at", "left_at"):
        if name in names:
            table[name] = pd.to_datetime(pd.Series(table[name].tolist(), dtype="Int64"), unit="us", utc=True)
    if "value" in names:
        table["value"] = table["value"].astype("float64")
    return table


def _event(household: str, k: int, told_: Happening, end: Micros) -> dict[str, Any]:
    kind = CORE.by_code[told_.code]
    occurred = days_before(end, told_.days)
    return {
        "event_id": f"e{k:04d}",
        "household_id": household,
        "person_id": None if told_.person is None else f"{household}/{told_.person}",
        "code": told_.code,
        "occurred_at": occurred,
        # What lies ahead was announced a month ago.
        "known_at": days_before(end, told_.days - told_.lag_days if told_.days > 0 else 30.0),
        "value": told_.value,
        "unit": "CNY" if kind.unit is Unit.MONEY else kind.unit.value,
        "text": told_.text,
        "source": kind.department.source,
        "status": "original",
        "supersedes": None,
    }


def _member(household: str, person: Person, end: Micros) -> dict[str, Any]:
    # Half a year past the birthday, so that nothing hangs on a leap day.
    birth = None
    if person.age is not None:
        birth = from_micros(days_before(end, (person.age + 0.5) * DAYS_A_YEAR)).date()
    joined = days_before(end, LONG_AGO)
    return {
        "household_id": household,
        "person_id": f"{household}/{person.name}",
        "birth_date": birth,
        "sex": person.sex,
        "role": person.role,
        "joined_at": joined,
        "left_at": None if person.left_days is None else days_before(end, person.left_days),
        "known_at": joined if person.left_days is None else days_before(end, person.left_days),
    }


def under_rules(situations: Sequence[Situation], as_of: str = AS_OF, book: Rulebook | None = None) -> Ruled:
    """What the rules say about the situations."""
    history = told(situations, as_of)
    return ruled(book or rulebook(), history, visible(history, moment(as_of)))


def rule_ranks(of: Ruled) -> npt.NDArray[np.int64]:
    """Attention by triggers and points, 0 green to 3 red."""
    return np.asarray(np.maximum(of.floor, of.points_rank), np.int64)


def assessed(bundle: Bundle, situations: Sequence[Situation], as_of: str = AS_OF) -> list[dict[str, Any]]:
    """The whole assessment of each situation, rules and model together, without reasons."""
    return assessments(bundle, told(situations, as_of), moment(as_of), reasons=False)


def tier_ranks(records: Sequence[dict[str, Any]]) -> npt.NDArray[np.int64]:
    """Attention by the tiers of assessments, 0 green to 3 red; grey counts as green, so that it hides no rise."""
    names = {tier.value: rank for rank, tier in enumerate(RANKED)}
    return np.array([names.get(record["tier"], 0) for record in records], np.int64)


def as_recorded(history: History, as_of: str, households: Sequence[int]) -> list[Situation]:
    """Households of a dataset, as far as they were known at the moment, told the same way."""
    end = moment(as_of)
    seen = visible(history, end)
    return [_recorded(history, seen, i, end) for i in households]


def _recorded(history: History, seen: Visible, household: int, end: Micros) -> Situation:
    homes = seen.homes
    people = {}
    for person in np.flatnonzero(homes.household == household).tolist():
        age = (
            None
            if homes.birth[person] == NO_BIRTH
            else (end / MICROS_PER_DAY - homes.birth[person]) / DAYS_A_YEAR - 0.5
        )
        left = None if homes.is_member[person] else (end - int(homes.until[person])) / MICROS_PER_DAY
        role = ROLES[homes.role[person]] if homes.role[person] >= 0 else "other"
        sex = SEXES[homes.sex[person]] if homes.sex[person] >= 0 else None
        people[person] = Person(f"p{person}", age, role, sex, left)
    happened = []
    for row in seen.of(household).tolist():
        days = (end - int(history.occurred[row])) / MICROS_PER_DAY
        lag = max(0.0, (int(history.known_at[row]) - int(history.occurred[row])) / MICROS_PER_DAY)
        value, text = float(history.value[row]), int(history.text[row])
        who = people.get(int(history.person[row]))
        happened.append(
            Happening(
                history.catalogue.kinds[history.code[row]].code,
                days,
                None if np.isnan(value) else value,
                None if who is None else who.name,
                history.texts[text] if text >= 0 else None,
                lag if days > 0 else 0.0,
            )
        )
    return Situation(
        tuple(people.values()), tuple(happened), str(history.residence[household]), str(history.region[household])
    )
