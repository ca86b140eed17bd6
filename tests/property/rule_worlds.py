"""Small random worlds for the property tests of the rule language, as rows and as arrays.

Moments are drawn at the edges of windows and a microsecond beside them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from features.catalogue import Catalogue
from features.definition import Absent, Department, EventKind, Level, Text
from features.history import History, history_from_tables, visible
from features.rules.evaluation import Evaluation
from features.rules.facts import Facts
from features.rules.files import Node
from features.rules.number import FALSE, TRUE, Number
from features.rules.syntax import Definition, Language, Tree, read_expression
from features.rules.words import Kind
from features.unit import Unit
from features.window import to_micros
from tests.property.rule_oracle import Told
from tests.property.rule_oracle_events import Setting
from tests.property.worlds import HOUSEHOLD_IDS, PERSON_IDS, ZONE, Row, tables

World = tuple[list[Row], list[Row], list[Row]]
MONEY, REFUNDS, SIGNED = (0.0, 1e6), (-1e6, 0.0), (-1e6, 1e6)


def _kind(code: str, level: Level, bounds: tuple[float, float], **more: Any) -> EventKind:
    """A kind with an amount and a coded text, so that every word and keyword may ask for it."""
    category = code.split("//")[0]
    department = Department(category, f"source of {category}", Text("部门", "department"))
    names = Text(code, code)
    return EventKind(code, names, department, Unit.SCALE, level, "any", (1, 9), bounds, coded_text="code", **more)


P, H = Level.PERSON, Level.HOUSEHOLD
CATALOGUE = Catalogue(
    "rules",
    (
        _kind("CLM//BILL", P, MONEY, linked_by=("ENR//PAID", "BNK//*")),
        _kind("CLM//BACK", P, REFUNDS, linked_by=("CLM//*",)),
        _kind("CLM//SHIFT", P, SIGNED, linked_by=("ENR//*",)),
        _kind("ENR//PAID", P, MONEY),
        _kind("BNK//DEBT", P, MONEY, silence=Absent.UNKNOWN, is_authorised=True, authorised_months=12),
        _kind("TRF//CAR", P, MONEY, silence=Absent.UNKNOWN),
        _kind("DST//FIRE", H, (-1e3, 1e3)),
        _kind("DB//ENTER", P, MONEY),
        _kind("DB//EXIT", P, MONEY),
        _kind("DB//STOP", H, MONEY),
        _kind("DB//GRANT", H, MONEY),
        _kind("DB//CHECK", H, MONEY, is_sealed=True),
        _kind("DB//VISIT", H, MONEY, is_trace=True),
        _kind("DB//FLOOD", Level.AREA, SIGNED),
        _kind("FUN//CREMATE", P, MONEY, follows=False),
        _kind("HKM//MEMBER_LEAVE", P, MONEY, follows=False),
        _kind("SLF//APPLY", P, MONEY),
        _kind("EXM//DUE", P, MONEY, is_scheduled=True, linked_by=("EXM//*",)),
        _kind("EMP//WAGE", P, MONEY, linked_by=("EMP//*",), linked_before=True),
        _kind("PRD//PUBLIC_POST", P, MONEY, silence=Absent.UNKNOWN),
        _kind("GRD//LIVING", H, (0.0, 1023.0)),
    ),
    (),
)
CODES = tuple(kind.code for kind in CATALOGUE.kinds)
NUMBERS, TEXTS = ("line", "other"), ("provinces", "expected_sources")
INDICATORS = ("AAA-01", "AAA-02")


def _language() -> Language:
    bare = Language(CATALOGUE, frozenset(NUMBERS), frozenset(TEXTS))
    written = {
        "paid_12m": "total([CLM//BILL, CLM//BACK], months=12)",
        "is_in": "is_open(DB//ENTER, ended_by=[DB//EXIT, DB//STOP])",
        "per_head": "paid_12m + 1",
    }
    quantities: dict[str, Definition] = {}
    for name, text in written.items():
        so_far = Language(bare.catalogue, bare.numbers, bare.texts, quantities)
        quantities[name] = Definition(name, *read_expression(Node("quantities", 1, text), so_far))
    return Language(bare.catalogue, bare.numbers, bare.texts, quantities)


LANGUAGE = _language()


def read(text: str) -> tuple[Tree, Kind]:
    """A drawn expression as a tree."""
    return read_expression(Node("drawn", 1, text), LANGUAGE)


CONDITIONS = {
    "AAA-01": read("count(CLM//BILL, days=365) >= 2")[0],
    "AAA-02": read("is_in or any_member(age < 18 and happened(ENR//PAID, days=90))")[0],
}

# -- moments and rows

SIZES = (20, 12, 24, 6, 0)

AS_OF = tuple(
    pd.Timestamp(text, tz=ZONE).tz_convert("UTC")
    for text in ("2025-03-31", "2025-07-01", "2024-02-29 12:00", "2025-11-16 08:30:00.000001", "2025-01-01")
)
_apart = st.one_of(
    st.sampled_from([0, 1, 30, 31, 59, 60, 61, 89, 90, 91, 180, 275, 364, 365, 366, 400, -1, -30, -60, -61]),
    st.integers(-70, 800),
).map(lambda days: ("days", days))
_months_apart = st.sampled_from([1, 3, 6, 7, 12, 24]).map(lambda months: ("months", months))
_nudge = st.sampled_from([0, 0, 0, 1, -1, 500_000])


def _moment(as_of: pd.Timestamp, apart: tuple[str, int], nudge: int) -> pd.Timestamp:
    unit, n = apart
    local = as_of.tz_convert(ZONE) - pd.DateOffset(**{unit: n})
    return local.tz_convert("UTC") + pd.Timedelta(microseconds=nudge)


def event_row(
    event_id: str,
    household: str,
    person: str | None,
    code: str,
    occurred: pd.Timestamp,
    known: pd.Timestamp,
    value: float,
) -> Row:
    """One first report without a text."""
    return {
        "event_id": event_id,
        "household_id": household,
        "person_id": person,
        "code": code,
        "occurred_at": occurred,
        "known_at": known,
        "value": value,
        "unit": None,
        "text": None,
        "source": "测试",
        "status": "original",
        "supersedes": None,
    }


@st.composite
def events(draw: st.DrawFn, as_of: pd.Timestamp, codes: tuple[str, ...]) -> list[Row]:
    """Events of few kinds at few moments; some correct or retract an earlier one, some know no amount or person."""
    rows: list[Row] = []
    household = draw(st.sampled_from(HOUSEHOLD_IDS))
    for name in draw(st.sampled_from(["", "", "", "x", "xy"])):
        rows += draw(pay(as_of, draw(st.sampled_from([codes[0], "EMP//WAGE"])), household, name))
    for i in range(draw(st.sampled_from(SIZES))):
        target = draw(st.sampled_from(rows)) if rows and draw(st.integers(0, 4)) == 0 else None
        code = draw(st.sampled_from((*codes, "TST//NOBODY_KNOWS")))
        kind = CATALOGUE.by_code.get(code)
        value = draw(st.sampled_from([math.nan, 0.0, 1.0, 2.0, 2.5, 5.0, 5.0, 100.0, 683.0]))
        if kind is not None and kind.bounds == REFUNDS:
            value = -value
        occurred = _moment(as_of, draw(st.one_of(_apart, _months_apart)), draw(_nudge))
        lag = draw(st.sampled_from([0, 0, 0, 1, 60, 60.00000000002, 300]))
        row = event_row(
            f"e{i}",
            target["household_id"] if target else draw(st.sampled_from(HOUSEHOLD_IDS)),
            draw(st.sampled_from((*PERSON_IDS, None))),
            code,
            occurred,
            min(occurred, as_of) + pd.Timedelta(microseconds=round(lag * 86_400_000_000)),
            value,
        )
        row["text"] = draw(st.sampled_from([None, "I63", "I639", "C50", "TI63"]))
        if target:
            row |= {"status": draw(st.sampled_from(["corrected", "retracted"])), "supersedes": target["event_id"]}
        rows.append(row)
    return rows


@st.composite
def pay(draw: st.DrawFn, as_of: pd.Timestamp, code: str, household: str, name: str) -> list[Row]:
    """One person's pay, month after month, with gaps."""
    person = draw(st.sampled_from(PERSON_IDS))
    amounts = [draw(st.sampled_from([1.0, 2.0, 2.5, 5.0])), draw(st.sampled_from([0.0, 100.0, math.nan]))]
    months = draw(st.lists(st.sampled_from(range(14)), min_size=5, unique=True))
    moments = [_moment(as_of, ("months", month), draw(st.sampled_from([0, 1, -1]))) for month in months]
    return [
        event_row(
            f"{name}{i}",
            household,
            person,
            code,
            moment,
            min(moment, as_of),
            draw(st.sampled_from([*amounts[:1] * 4, amounts[1]])),
        )
        for i, moment in enumerate(moments)
    ]


@st.composite
def members(draw: st.DrawFn, as_of: pd.Timestamp) -> list[Row]:
    """Membership rows; people move and leave, some are in no register, some know no birth date."""
    rows: list[Row] = []
    births = [None, as_of.date() - pd.Timedelta(days=6574), *pd.to_datetime(["1949-05-01", "1980-02-29", "2015-09-01"])]
    for person in PERSON_IDS:
        birth = draw(st.sampled_from([b if b is None else pd.Timestamp(b).date() for b in births]))
        sex, role = draw(st.sampled_from(["F", "M", None])), draw(st.sampled_from(["head", "child", "other"]))
        for begun in draw(st.sampled_from([(2000,), (2000, 365), (700, 90), (2000, 700), (), (0,)])):
            row = {
                "household_id": draw(st.sampled_from(HOUSEHOLD_IDS)),
                "person_id": person,
                "birth_date": birth,
                "sex": sex,
                "role": role,
                "joined_at": as_of - pd.Timedelta(days=begun),
                "left_at": None,
                "known_at": as_of - pd.Timedelta(days=begun - draw(st.sampled_from([0, 0, 20]))),
            }
            rows.append(row)
            lasted = draw(st.sampled_from([None, None, 30, 300]))
            if lasted is not None:
                left = row["joined_at"] + pd.Timedelta(days=lasted)
                rows.append({**row, "left_at": left, "known_at": left + pd.Timedelta(days=25)})
    return rows


@dataclass(frozen=True)
class Drawn:
    """A world, the moment of judgement and the parameters of each household. `codes` are what its events are of."""

    world: World
    codes: tuple[str, ...]
    as_of: pd.Timestamp
    numbers: Mapping[str, Mapping[str, float | None]]
    texts: Mapping[str, Mapping[str, tuple[str, ...] | None]]
    connected: frozenset[str] | None

    @property
    def setting(self) -> Setting:
        """What the oracle is asked under."""
        quantities = dict(LANGUAGE.quantities)
        return Setting(CATALOGUE, ZONE, self.numbers, self.texts, quantities, CONDITIONS, self.connected)

    def told(self, household: str) -> Told:
        """The oracle for one household."""
        event_rows, member_rows, households = self.world
        residence = next(h["residence"] for h in households if h["household_id"] == household)
        return Told(event_rows, member_rows, residence, household, self.as_of, self.setting)


@st.composite
def drawn_worlds(draw: st.DrawFn, codes: tuple[str, ...] = ()) -> Drawn:
    """Three households, four people, and what the packs say for each; the events are of some codes, or of these."""
    as_of = draw(st.sampled_from(AS_OF))
    households = [
        {
            "household_id": h,
            "region": "demo",
            "residence": draw(st.sampled_from(["rural", "town", None])),
            "township": None,
        }
        for h in HOUSEHOLD_IDS
    ]
    numbers = {name: {h: draw(st.sampled_from([None, 2.5, 5.0, 1.0])) for h in HOUSEHOLD_IDS} for name in NUMBERS}
    lists = {"provinces": [None, ("I6",), ("C", "I63")], "expected_sources": [None, ("source of CLM", "source of DB")]}
    texts = {name: {h: draw(st.sampled_from(lists[name])) for h in HOUSEHOLD_IDS} for name in TEXTS}
    sources = sorted({kind.department.source for kind in CATALOGUE.kinds})
    connected = draw(st.one_of(st.none(), st.none(), st.frozensets(st.sampled_from(sources))))
    codes = codes or tuple(draw(st.lists(st.sampled_from(CODES), min_size=3, max_size=6, unique=True)))
    world = draw(events(as_of, codes)), draw(members(as_of)), households
    return Drawn(world, codes, as_of, numbers, texts, connected)


# -- the vectorised side


@dataclass(frozen=True)
class Terms:
    """Parameters by household, in the order of a history."""

    households: tuple[str, ...]
    drawn: Drawn

    def number(self, name: str) -> np.ndarray:
        values = [self.drawn.numbers[name][h] for h in self.households]
        return np.array([math.nan if value is None else value for value in values])

    def texts(self, name: str) -> list[tuple[str, ...] | None]:
        return [self.drawn.texts[name][h] for h in self.households]


@dataclass(frozen=True)
class TwoIndicators:
    """As many indicators as the words about other indicators need, answered as the oracle answers them."""

    facts: Facts
    terms: Terms

    @property
    def evaluation(self) -> Evaluation:
        return Evaluation(self.facts, self.terms, LANGUAGE.quantities, self)

    def state(self, name: str) -> np.ndarray:
        return self.evaluation.truth(CONDITIONS[name])

    def evidence(self, name: str, household: int) -> set[int]:
        return self.evaluation.evidence(CONDITIONS[name], household)

    def dimensions_raised(self, tier: str) -> tuple[np.ndarray, np.ndarray]:
        states = np.stack([self.state(name) for name in INDICATORS])
        return (states == TRUE).sum(axis=0), (states != FALSE).sum(axis=0)

    def rank(self) -> Number:
        return Number.exact(self.dimensions_raised("orange")[0].astype(float))

    def earlier(self, days: float) -> TwoIndicators:
        return TwoIndicators(self.facts.earlier(days), self.terms)


def history_of(drawn: Drawn) -> History:
    """The world as arrays."""
    return history_from_tables(*tables(drawn.world), CATALOGUE, time_zone=ZONE)


def evaluation_of(drawn: Drawn) -> Evaluation:
    """The vectorised answers."""
    history = history_of(drawn)
    facts = Facts(history, visible(history, to_micros(drawn.as_of.to_pydatetime())), drawn.connected)
    return TwoIndicators(facts, Terms(history.household_ids, drawn)).evaluation
