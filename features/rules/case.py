"""Examples that travel with a rule: a small household, its events, and what the rule must say about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

import pandas as pd

from features.catalogue import Catalogue
from features.event import EVENTS, HOUSEHOLDS, MEMBERS, RESIDENCES, ROLES
from features.history import History, history_from_tables
from features.rules.files import Node
from features.rules.syntax import Language
from features.unit import Unit
from features.window import Micros, as_of_moment, days_before, from_micros

AS_OF = "2026-11-01"
ZONE = "Asia/Shanghai"
STATES = ("true", "false", "not_evaluable")
EVERYBODY = ("p1 45 head",)
_EVENT = re.compile(
    r"(?P<person>-|[a-z]\w*) (?P<code>\S+) (?P<days>-?[\d.]+)d(?: (?P<value>-?[\d.]+))?(?: text=(?P<text>\S+))?"
    r"(?: known=(?P<known>-?[\d.]+)d)?"
)
_MEMBER = re.compile(r"(?P<person>[a-z]\w*) (?P<age>[\d.]+|\?)(?: (?P<role>[a-z]+))?(?: (?P<sex>[FM]))?")


@dataclass(frozen=True)
class Case:
    """One example. `members_only`: what it shows rests on who lives there, not on an event."""

    say: str
    state: str
    events: tuple[re.Match[str], ...]
    members: tuple[re.Match[str], ...]
    residence: str
    region: str
    level: str | None
    points: float | None
    members_only: bool
    node: Node

    def history(self, catalogue: Catalogue, *, known_later_days: float = 0.0) -> History:
        """The household as a history of its own. With `known_later_days` every event became known that much after
        the moment of judgement."""
        moment = as_of_moment(AS_OF, ZONE)
        rows = [_event_row(i, event, moment, catalogue, known_later_days) for i, event in enumerate(self.events)]
        people = [_member_row(member, moment) for member in self.members]
        households = [{"household_id": "h", "region": self.region, "residence": self.residence, "township": None}]
        return history_from_tables(
            pd.DataFrame(rows, columns=EVENTS.names),
            pd.DataFrame(people, columns=MEMBERS.names),
            pd.DataFrame(households, columns=HOUSEHOLDS.names),
            catalogue,
            time_zone=ZONE,
        )


def read_case(node: Node, language: Language) -> Case:
    """One entry of `cases`. Raises `RuleFileRefused`."""
    f = node.fields(
        "say", "state", "events", optional=("members", "residence", "region", "level", "points", "members_only")
    )
    state = f["state"].content
    state = {True: "true", False: "false"}.get(state, state) if isinstance(state, bool) else state
    if state not in STATES:
        raise f["state"].refuse(f"must be one of {', '.join(STATES)}")
    codes = {kind.code for kind in language.catalogue.kinds}
    events = []
    for item in f["events"].items():
        match = _EVENT.fullmatch(item.text())
        if match is None or match["code"] not in codes:
            raise item.refuse(
                "must read '<person or -> <code> <days>d [value] [text=…] [known=<days>d]' with a known code"
            )
        events.append(match)
    members = []
    for text in f["members"].texts() if "members" in f else EVERYBODY:
        match = _MEMBER.fullmatch(text)
        if match is None or (match["role"] or "other") not in ROLES:
            raise f["members"].refuse("members read '<person> <age or ?> [role] [F or M]'")
        members.append(match)
    return Case(
        say=f["say"].text(),
        state=str(state),
        events=tuple(events),
        members=tuple(members),
        residence=f["residence"].one_of(*RESIDENCES) if "residence" in f else "rural",
        region=f["region"].text() if "region" in f else "demo",
        level=f["level"].text() if "level" in f else None,
        points=f["points"].number() if "points" in f else None,
        members_only="members_only" in f and f["members_only"].flag(),
        node=node,
    )


def _event_row(
    i: int, event: re.Match[str], moment: Micros, catalogue: Catalogue, known_later_days: float
) -> dict[str, object]:
    occurred = days_before(moment, float(event["days"]))
    known = min(occurred, moment) if event["known"] is None else days_before(moment, float(event["known"]))
    if known_later_days:
        known = days_before(moment, -known_later_days)
    kind = catalogue.by_code[event["code"]]
    return {
        "event_id": f"e{i}",
        "household_id": "h",
        "person_id": None if event["person"] == "-" else event["person"],
        "code": kind.code,
        "occurred_at": from_micros(occurred),
        "known_at": from_micros(known),
        "value": None if event["value"] is None else float(event["value"]),
        "unit": "CNY" if kind.unit is Unit.MONEY else None,
        "text": event["text"],
        "source": kind.department.source,
        "status": "original",
        "supersedes": None,
    }


def _member_row(member: re.Match[str], moment: Micros) -> dict[str, object]:
    # Half a year past the birthday, so that no case hangs on a leap day.
    birth = None
    if member["age"] != "?":
        birth = from_micros(days_before(moment, (float(member["age"]) + 0.5) * 365.2425)).date()
    long_ago = pd.Timestamp(date(1990, 1, 1), tz="UTC")
    return {
        "household_id": "h",
        "person_id": member["person"],
        "birth_date": birth,
        "sex": member["sex"],
        "role": member["role"] or "other",
        "joined_at": long_ago,
        "left_at": pd.NaT,
        "known_at": long_ago,
    }
