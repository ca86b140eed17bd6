"""What a condition says about one household at one moment, worked out slowly: trees, people and the household.

The words that read events are in `tests.property.rule_oracle_events`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pandas as pd

from features.definition import Level
from features.rules.syntax import (
    Arithmetic,
    Call,
    Choice,
    Comparison,
    Literal,
    Logic,
    Negation,
    Param,
    Quantity,
    Tree,
)
from tests.property.rule_oracle_events import DAY, INF, UNKNOWN, Number, Record, Truth
from tests.property.worlds import Row

EARNED = ("EMP//WAGE", "PRD//PUBLIC_POST")


@dataclass(frozen=True)
class Told(Record):
    """The answers; `who` is a person's id inside words about people, None outside."""

    # -- trees

    def truth(self, tree: Tree, who: str | None = None) -> Truth:
        if isinstance(tree, Quantity):
            return self.truth(self.setting.quantities[tree.name].tree, who)
        if isinstance(tree, Comparison):
            return compared(tree.operation, self.amount(tree.a, who), self.amount(tree.b, who))
        if isinstance(tree, Logic):
            said = [self.truth(part, who) for part in tree.parts]
            decisive = tree.operation == "or"
            return decisive if decisive in said else None if None in said else not decisive
        if isinstance(tree, Negation):
            said_of_it = self.truth(tree.a, who)
            return None if said_of_it is None else not said_of_it
        assert isinstance(tree, Call)
        return getattr(self, tree.word)(tree, who)

    def amount(self, tree: Tree, who: str | None = None) -> Number:
        if isinstance(tree, Literal):
            return tree.value, tree.value
        if isinstance(tree, Param):
            value = self.parameter(tree.name)
            return UNKNOWN if value is None else (value, value)
        if isinstance(tree, Quantity):
            return self.amount(self.setting.quantities[tree.name].tree, who)
        if isinstance(tree, Arithmetic):
            return calculated(tree.operation, self.amount(tree.a, who), self.amount(tree.b, who))
        if isinstance(tree, Choice):
            held, a, b = self.truth(tree.condition, who), self.amount(tree.a, who), self.amount(tree.b, who)
            if held is not None:
                return a if held else b
            if a is None or b is None:
                return None if a is b else UNKNOWN
            return min(a[0], b[0]), max(a[1], b[1])
        assert isinstance(tree, Call)
        return getattr(self, tree.word)(tree, who)

    # -- people

    def any_member(self, call: Call, who: str | None) -> Truth:
        return self.any_of(call, self.residents)

    def any_person(self, call: Call, who: str | None) -> Truth:
        return self.any_of(call, self.people)

    def any_of(self, call: Call, people: list[str]) -> Truth:
        said = [self.truth(call.parts[0], person) for person in people]
        if True in said:
            return True
        return None if None in said or not self.residents else False

    def count_members(self, call: Call, who: str | None) -> Number:
        return self.counted([self.truth(call.parts[0], person) for person in self.residents])

    def counted(self, said: list[Truth]) -> Number:
        perhaps = sum(each is not False for each in said)
        return float(said.count(True)), float(perhaps) if self.residents else INF

    def total_members(self, call: Call, who: str | None) -> Number:
        parts = [self.amount(call.parts[0], person) or (0.0, 0.0) for person in self.residents]
        return (sum(lo for lo, _ in parts), sum(hi for _, hi in parts)) if parts else UNKNOWN

    def members(self, call: Call, who: str | None) -> Number:
        known = float(len(self.residents))
        return (known, known) if self.residents else (1.0, INF)

    def adults(self, call: Call, who: str | None) -> Number:
        return self.aged(18, 999)

    def children(self, call: Call, who: str | None) -> Number:
        return self.aged(0, 18)

    def working_age(self, call: Call, who: str | None) -> Number:
        return self.aged(18, 60)

    def elders(self, call: Call, who: str | None) -> Number:
        return self.aged(60, 999)

    def members_aged(self, call: Call, who: str | None) -> Number:
        return self.aged(*call.numbers)

    def aged(self, least: float, below: float) -> Number:
        ages = [self.years(person) for person in self.residents]
        return self.counted(
            [True if least <= lo and hi < below else None if least <= hi and lo < below else False for lo, hi in ages]
        )

    def years(self, person: str) -> tuple[float, float]:
        place = self.place(person)
        if place is None or place["birth_date"] is None:
            return 0.0, 130.0
        years = (self.as_of - pd.Timestamp(place["birth_date"], tz="UTC")) / DAY / 365.2425
        return years, years

    def age(self, call: Call, who: str | None) -> Number:
        assert who is not None
        return self.years(who)

    def lives_here(self, call: Call, who: str | None) -> Truth:
        return who in self.residents

    def has_role(self, call: Call, who: str | None) -> Truth:
        place = self.place(str(who))
        return None if place is None else bool(place["role"] == call.name)

    def is_woman(self, call: Call, who: str | None) -> Truth:
        place = self.place(str(who))
        return None if place is None or place["sex"] is None else bool(place["sex"] == "F")

    def is_main_earner(self, call: Call, who: str | None) -> Truth:
        earned = {person: self.earned(person) for person in self.people}
        most = max(lo for lo, _ in earned.values())
        if most <= 0:
            return None
        lo, hi = earned[str(who)]
        if all(lo >= other for person, (_, other) in earned.items() if person != who):
            return True
        return None if hi >= most else False

    def earned(self, person: str) -> tuple[float, float]:
        """Recorded pay of 24 months; silence is read as none here, an amount left open is not."""
        pay = [e["value"] for e in self.of(EARNED, person) if self.is_in_two_years(e, self.as_of)]
        known = sum(value for value in pay if not math.isnan(value))
        return known, INF if any(math.isnan(value) for value in pay) else known

    # -- the household

    def lives_in(self, call: Call, who: str | None) -> Truth:
        return None if self.residence is None else self.residence == call.name

    def coverage(self, call: Call, who: str | None) -> Number:
        expected = self.setting.texts["expected_sources"][self.household]
        if not expected:
            return 0.0, 1.0
        shown = [e for e in self.rows if self.is_in_two_years(e, self.as_of) and self.shows_household(e)]
        seen = {self.kind_of(e).department.source for e in shown}
        share = sum(source in seen for source in expected) / len(expected)
        return share, share

    def shows_household(self, row: Row) -> bool:
        """What was looked up, left behind by assistance or happened to a whole area shows no source at work."""
        kind = self.kind_of(row)
        return not (kind.is_authorised or kind.is_sealed or kind.is_trace or kind.level is Level.AREA)

    def living_item(self, call: Call, who: str | None) -> Truth:
        bits = self.latest(Call("latest", codes=("GRD//LIVING",), options=(("months", 12.0),)), None)
        if bits is None or bits == UNKNOWN:
            return None
        return format(int(bits[0]), "010b")[-int(call.numbers[0])] == "1"

    def indicator(self, call: Call, who: str | None) -> Truth:
        return self.truth(self.setting.indicators[call.name])

    def dimensions_raised(self, call: Call, who: str | None) -> Number:
        """As `tests.property.rule_worlds` answers it: how many indicators are true."""
        said = [self.truth(tree) for tree in self.setting.indicators.values()]
        return float(said.count(True)), float(sum(each is not False for each in said))

    def tier_rank(self, call: Call, who: str | None) -> Number:
        said = float([self.truth(tree) for tree in self.setting.indicators.values()].count(True))
        return said, said

    def was(self, call: Call, who: str | None) -> Truth:
        days = call.option("days")
        assert isinstance(days, float)
        return replace(self, as_of=self.as_of - days * DAY).truth(call.parts[0], None)

    # -- arithmetic with bounds

    def number(self, call: Call, who: str | None) -> Number:
        said = self.truth(call.parts[0], who)
        return float(said is True), float(said is not False)

    def at_least_zero(self, call: Call, who: str | None) -> Number:
        x = self.amount(call.parts[0], who)
        return None if x is None else (max(x[0], 0.0), max(x[1], 0.0))

    def strongest(self, call: Call, who: str | None) -> Number:
        """Evidence that does not exist shows nothing."""
        parts = [x for part in call.parts if (x := self.amount(part, who)) is not None]
        if not parts:
            return None
        lo, whole = max(x[0] for x in parts), [x[1] for x in parts if x[1] < INF]
        return lo, max([lo, *whole]) if whole else INF


def compared(operation: str, a: Number, b: Number) -> Truth:
    """Decided only if it comes out the same wherever the two numbers lie."""
    if a is None or b is None:
        return False
    if operation in (">", ">="):
        return compared("<" if operation == ">" else "<=", b, a)
    if operation == "<":
        return True if a[1] < b[0] else None if a[0] < b[1] else False
    if operation == "<=":
        return True if a[1] <= b[0] else None if a[0] <= b[1] else False
    if a[0] == a[1] == b[0] == b[1]:
        return True
    return None if a[0] <= b[1] and b[0] <= a[1] else False


def calculated(operation: str, a: Number, b: Number) -> Number:
    """All that the result can be; divided by what may be zero or less it can be anything."""
    if a is None or b is None:
        return None
    if operation == "+":
        return a[0] + b[0], a[1] + b[1]
    if operation == "-":
        return a[0] - b[1], a[1] - b[0]
    if operation == "*":
        # A bound of infinity is never reached, so zero times it is zero.
        corners = [0.0 if 0 in (x, y) else x * y for x in a for y in b]
    elif b[0] <= 0:
        return UNKNOWN
    else:
        corners = [0.0 if math.isinf(y) else x / y for x in a for y in b]
    return min(corners), max(corners)
