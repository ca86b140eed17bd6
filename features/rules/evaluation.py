"""Answers conditions for all households of a history at once, and says which events made one true.

`tests/property/rule_oracle.py` says the same slowly, one household at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from features.event import RESIDENCES, ROLES, SEXES
from features.rules import number as n3
from features.rules.event_words import EventWords
from features.rules.facts import Facts, Span
from features.rules.number import FALSE, NOT_EVALUABLE, TRUE, Number, Truths
from features.rules.syntax import (
    Arithmetic,
    Call,
    Choice,
    Comparison,
    Definition,
    Literal,
    Logic,
    Negation,
    Param,
    Quantity,
    Tree,
)
from features.rules.words import WORDS, Takes, Where
from features.window import ALWAYS, months_before

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
EARNED = ("EMP//WAGE", "PRD//PUBLIC_POST")
EARNER_MONTHS = 24
LIVING = Call("latest", codes=("GRD//LIVING",), options=(("months", 12.0),))
_COMPARED = {"<": n3.less, "<=": n3.at_most, ">": n3.greater, ">=": n3.at_least, "==": n3.equal}


class Terms(Protocol):
    """The parameters in force for each household of a history."""

    def number(self, name: str) -> Floats:
        """A number parameter by household, NaN where the pack leaves it unknown."""

    def texts(self, name: str) -> list[tuple[str, ...] | None]:
        """A text parameter by household, None where unknown."""


class Indicators(Protocol):
    """The states of indicators, asked for while another is being evaluated."""

    def state(self, name: str) -> Truths:
        """The state of an indicator."""

    def evidence(self, name: str, household: int) -> set[int]:
        """Visible rows that made it true for one household."""

    def dimensions_raised(self, tier: str) -> tuple[Ints, Ints]:
        """Prefixes with a trigger of at least this tier: surely, and perhaps."""

    def evidence_of_raised(self, tier: str, household: int) -> set[int]:
        """Events behind the triggers that `dimensions_raised` counted for one household."""

    def rank(self) -> Number:
        """0 green to 3 red, from the other triggers and the points."""

    def earlier(self, days: float) -> Indicators:
        """The same indicators with what was known `days` ago."""

    @property
    def evaluation(self) -> Evaluation:
        """What they are evaluated by."""


class Evaluation:
    """Conditions asked of `facts` under `terms`. Every part of an expression is computed once."""

    def __init__(
        self,
        facts: Facts,
        terms: Terms,
        quantities: Mapping[str, Definition],
        indicators: Indicators | None = None,
    ) -> None:
        self.facts = facts
        self.terms = terms
        self.quantities = quantities
        self.indicators = indicators
        self.words = EventWords(facts, terms)
        self._truths: dict[tuple[int, Where], tuple[Tree, Truths]] = {}
        self._numbers: dict[tuple[int, Where], tuple[Tree, Number]] = {}
        self._earlier: dict[float, Evaluation] = {}

    def truth(self, tree: Tree, scope: Where = Where.HOUSEHOLD) -> Truths:
        """1 true, 0 false, -1 not evaluable, for every household (or person)."""
        # By identity: equal expressions are one object (see `syntax`), and hashing whole trees would cost more than
        # most answers. The tree is kept beside its answer, so that no other can take its place in memory.
        key = (id(tree), scope)
        if key not in self._truths:
            self._truths[key] = (tree, self._truth(tree, scope))
        return self._truths[key][1]

    def number(self, tree: Tree, scope: Where = Where.HOUSEHOLD) -> Number:
        """The number as an interval for every household (or person)."""
        key = (id(tree), scope)
        if key not in self._numbers:
            self._numbers[key] = (tree, self._number(tree, scope))
        return self._numbers[key][1]

    def _truth(self, tree: Tree, scope: Where) -> Truths:
        if isinstance(tree, Quantity):
            return self.truth(self.quantities[tree.name].tree, scope)
        if isinstance(tree, Comparison):
            return _COMPARED[tree.operation](self.number(tree.a, scope), self.number(tree.b, scope))
        if isinstance(tree, Logic):
            joined = n3.both if tree.operation == "and" else n3.either
            result = self.truth(tree.parts[0], scope)
            for part in tree.parts[1:]:
                result = joined(result, self.truth(part, scope))
            return result
        if isinstance(tree, Negation):
            return n3.negation(self.truth(tree.a, scope))
        assert isinstance(tree, Call)
        if WORDS[tree.word].takes is Takes.CODES:
            return self.words.truth(tree, scope)
        return _TRUTHS[tree.word](self, tree, scope)

    def _number(self, tree: Tree, scope: Where) -> Number:
        n = self.facts.units(scope)
        if isinstance(tree, Literal):
            return Number.constant(tree.value, n)
        if isinstance(tree, Param):
            return self._param(tree.name, scope)
        if isinstance(tree, Quantity):
            return self.number(self.quantities[tree.name].tree, scope)
        if isinstance(tree, Arithmetic):
            a, b = self.number(tree.a, scope), self.number(tree.b, scope)
            if tree.operation == "+":
                return a + b
            if tree.operation == "-":
                return a - b
            return a * b if tree.operation == "*" else a / b
        if isinstance(tree, Choice):
            return n3.chosen(self.truth(tree.condition, scope), self.number(tree.a, scope), self.number(tree.b, scope))
        assert isinstance(tree, Call)
        if WORDS[tree.word].takes is Takes.CODES:
            return self.words.number(tree, scope)
        return _NUMBERS[tree.word](self, tree, scope)

    def _param(self, name: str, scope: Where) -> Number:
        values = self.terms.number(name)
        if scope is Where.PERSON:
            values = np.append(values, np.nan)[self.facts.home]
        unknown = np.isnan(values)
        return Number(np.where(unknown, -np.inf, values), np.where(unknown, np.inf, values))

    def at_earlier(self, days: float) -> Evaluation:
        """The same questions with what was known `days` ago."""
        if days not in self._earlier:
            earlier = None if self.indicators is None else self.indicators.earlier(days)
            self._earlier[days] = (
                Evaluation(self.facts.earlier(days), self.terms, self.quantities)
                if earlier is None
                else earlier.evaluation
            )
        return self._earlier[days]

    # -- over people

    def _over_people(self, tree: Call, *, living: bool) -> Truths:
        state = self.truth(tree.parts[0], Where.PERSON)
        asked = self.facts.lives_here if living else self.facts.home >= 0
        home, n = self.facts.home, self.facts.n_households
        surely = np.bincount(home[asked & (state == TRUE)], minlength=n) > 0
        perhaps = np.bincount(home[asked & (state != FALSE)], minlength=n) > 0
        # Of a household whose people are not known, nobody can say that no one is concerned.
        return n3.decided(surely, perhaps | (self.facts.n_members == 0))

    def any_member(self, tree: Call, scope: Where) -> Truths:
        """`any_member(condition)`."""
        return self._over_people(tree, living=True)

    def any_person(self, tree: Call, scope: Where) -> Truths:
        """`any_person(condition)`."""
        return self._over_people(tree, living=False)

    def count_members(self, tree: Call, scope: Where) -> Number:
        """`count_members(condition)`."""
        state, living = self.truth(tree.parts[0], Where.PERSON), self.facts.lives_here
        home, n = self.facts.home, self.facts.n_households
        return self._counted(
            np.bincount(home[living & (state == TRUE)], minlength=n),
            np.bincount(home[living & (state != FALSE)], minlength=n),
        )

    def total_members(self, tree: Call, scope: Where) -> Number:
        """`total_members(number)`; what does not exist for a person adds nothing."""
        amount, living = self.number(tree.parts[0], Where.PERSON), self.facts.lives_here
        home, n = self.facts.home[living], self.facts.n_households
        lo, hi = (
            np.bincount(home, weights=np.where(np.isnan(end), 0.0, end)[living], minlength=n)
            for end in (amount.lo, amount.hi)
        )
        nobody = self.facts.n_members == 0
        return Number(np.where(nobody, -np.inf, lo), np.where(nobody, np.inf, hi))

    def _counted(self, surely: Ints, perhaps: Ints) -> Number:
        nobody = self.facts.n_members == 0
        return Number(surely.astype(np.float64), np.where(nobody, np.inf, perhaps.astype(np.float64)))

    def members(self, tree: Call, scope: Where) -> Number:
        """`members`; a household without known people has some number of them."""
        count = self.facts.n_members.astype(np.float64)
        return Number(np.maximum(count, 1.0), np.where(count == 0, np.inf, count))

    def aged(self, least: float, below: float) -> Number:
        """Members of an age in `[least, below)`."""
        return self._counted(*self.facts.members_aged(least, below))

    def age(self, tree: Call, scope: Where) -> Number:
        """`age`."""
        return Number(*self.facts.age_years)

    def main_earner(self, tree: Call, scope: Where) -> Truths:
        """`is_main_earner`; not evaluable where nobody's wages are on record, or where an amount left open decides."""
        rows = self.facts.rows(EARNED)
        start = months_before(self.facts.as_of, EARNER_MONTHS, self.facts.history.time_zone)
        rows = self.facts.within(rows, Span(start, self.facts.as_of))
        rows = rows[self.facts.person[rows] >= 0]
        person, value, n = self.facts.person[rows], self.facts.value[rows], self.facts.units(Where.PERSON)
        earned = np.bincount(person, weights=np.nan_to_num(value), minlength=n)
        is_open = np.bincount(person, weights=np.isnan(value), minlength=n) > 0
        home = self.facts.home
        most = np.zeros(self.facts.n_households + 1)
        np.maximum.at(most, home, earned)
        others_open = np.bincount(home[is_open], minlength=self.facts.n_households + 1)[home] > is_open
        has_earner, is_first = most[home] > 0, earned == most[home]
        return n3.decided(has_earner & is_first & ~others_open & (home >= 0), ~has_earner | is_first | is_open)

    def lives_here(self, tree: Call, scope: Where) -> Truths:
        """`lives_here`."""
        return n3.decided(self.facts.lives_here, self.facts.lives_here)

    def has_role(self, tree: Call, scope: Where) -> Truths:
        """`has_role("child")`."""
        role = self.facts.seen.homes.role
        return n3.decided(role == ROLES.index(tree.name), (role == ROLES.index(tree.name)) | (role < 0))

    def is_woman(self, tree: Call, scope: Where) -> Truths:
        """`is_woman`."""
        sex = self.facts.seen.homes.sex
        return n3.decided(sex == SEXES.index("F"), sex != SEXES.index("M"))

    # -- about the household

    def lives_in(self, tree: Call, scope: Where) -> Truths:
        """`lives_in("rural")`."""
        residence = self.facts.history.residence
        known = np.isin(residence.astype(str), RESIDENCES)
        return n3.decided(residence == tree.name, (residence == tree.name) | ~known)

    def coverage(self, tree: Call, scope: Where) -> Number:
        """`coverage`: unknown where the pack expects no source."""
        expected = self.terms.texts("expected_sources")
        share = np.full(self.facts.n_households, np.nan)
        for sources in {each for each in expected if each}:
            of = np.array([each == sources for each in expected], np.bool_)
            nobody = np.zeros(self.facts.n_households, np.bool_)
            flags = np.stack([self.facts.sources_seen.get(source, nobody) for source in sources])
            share[of] = flags.mean(axis=0)[of]
        unknown = np.isnan(share)
        return Number(np.where(unknown, 0.0, share), np.where(unknown, 1.0, share))

    def living_item(self, tree: Call, scope: Where) -> Truths:
        """`living_item(3)`: bit 2 of the newest visit's record."""
        bits = self.number(LIVING, scope)
        told = bits.is_known
        value = np.where(told, bits.lo, 0).astype(np.int64)
        is_set = told & ((value >> int(tree.numbers[0] - 1)) & 1 == 1)
        return n3.decided(is_set, is_set | ~told)

    def of_indicator(self, tree: Call, scope: Where) -> Truths:
        """`indicator("INC-02")`."""
        assert self.indicators is not None
        return self.indicators.state(tree.name)

    def raised(self, tree: Call, scope: Where) -> Number:
        """`dimensions_raised("orange")`."""
        assert self.indicators is not None
        surely, perhaps = self.indicators.dimensions_raised(tree.name)
        return Number(surely.astype(np.float64), perhaps.astype(np.float64))

    def tier_rank(self, tree: Call, scope: Where) -> Number:
        """`tier_rank`."""
        assert self.indicators is not None
        return self.indicators.rank()

    def was(self, tree: Call, scope: Where) -> Truths:
        """`was(condition, days=180)`."""
        days = tree.option("days")
        assert isinstance(days, float)
        return self.at_earlier(days).truth(tree.parts[0], scope)

    def at_least_zero(self, tree: Call, scope: Where) -> Number:
        """`at_least_zero(x)`."""
        x = self.number(tree.parts[0], scope)
        return Number(np.maximum(x.lo, 0.0), np.maximum(x.hi, 0.0))

    # -- which events made it so

    def newest(self, tree: Tree, scope: Where = Where.HOUSEHOLD) -> Ints:
        """When the newest event behind a tree happened; `ALWAYS` where none is."""
        none = np.full(self.facts.units(scope), ALWAYS, np.int64)
        if isinstance(tree, Call) and WORDS[tree.word].takes is Takes.CODES:
            return self.words.newest(tree, scope)
        if isinstance(tree, Call) and WORDS[tree.word].opens_person:
            inner = self.newest(tree.parts[0], Where.PERSON)
            concerned = self._concerned(tree, np.flatnonzero(self.facts.home >= 0))
            np.maximum.at(none, self.facts.home[concerned], inner[concerned])
            return none
        if isinstance(tree, Call) and tree.word in ("was", "indicator"):
            return none
        for part in self._parts(tree):
            none = np.maximum(none, self.newest(part, scope))
        return none

    def evidence(self, tree: Tree, household: int) -> set[int]:
        """Visible rows (positions in the history) that a true condition of one household rests on."""
        return {int(self.facts.seen.rows[row]) for row in self._behind(tree, Where.HOUSEHOLD, household, household)}

    def _behind(self, tree: Tree, scope: Where, unit: int, household: int) -> set[int]:
        if isinstance(tree, Call):
            if WORDS[tree.word].takes is Takes.CODES:
                return self.words.behind(tree, scope, unit, household)
            if WORDS[tree.word].opens_person:
                concerned = self._concerned(tree, self.facts.people(household)).tolist()
                found = [self._behind(tree.parts[0], Where.PERSON, person, household) for person in concerned]
                return set().union(*found)
            if tree.word == "living_item":
                return self.words.behind(LIVING, scope, unit, household)
            if tree.word == "is_main_earner":
                return set()
            if tree.word == "indicator" and self.indicators is not None:
                return self._visible(self.indicators.evidence(tree.name, household), household)
            if tree.word == "dimensions_raised" and self.indicators is not None:
                return self._visible(self.indicators.evidence_of_raised(tree.name, household), household)
            if tree.word == "was":
                return set()
        if isinstance(tree, Logic) and tree.operation == "or":
            true = [part for part in tree.parts if self.truth(part, scope)[unit] == TRUE]
            return set().union(*(self._behind(part, scope, unit, household) for part in true or tree.parts))
        if isinstance(tree, Choice):
            held = self.truth(tree.condition, scope)[unit]
            branches = [tree.a] if held == TRUE else [tree.b] if held == FALSE else [tree.a, tree.b]
            parts = [tree.condition, *branches] if held == TRUE else branches
            return set().union(*(self._behind(part, scope, unit, household) for part in parts))
        return set().union(*(self._behind(part, scope, unit, household) for part in self._parts(tree)))

    def _visible(self, rows: set[int], household: int) -> set[int]:
        """Positions in the history as positions among the visible rows."""
        first = int(self.facts.seen.starts[household])
        return {first + i for i, row in enumerate(self.facts.seen.of(household).tolist()) if row in rows}

    def _concerned(self, tree: Call, people: Ints) -> Ints:
        """Of these people those whom a word over people speaks of."""
        asked = people if tree.word == "any_person" else people[self.facts.lives_here[people]]
        if WORDS[tree.word].takes is Takes.NUMBER:
            return asked
        holds = self.truth(tree.parts[0], Where.PERSON)[asked] == TRUE
        return np.asarray(asked[holds], np.int64)

    def _parts(self, tree: Tree) -> tuple[Tree, ...]:
        if isinstance(tree, Quantity):
            return (self.quantities[tree.name].tree,)
        if isinstance(tree, Call | Logic):
            return tree.parts
        if isinstance(tree, Arithmetic | Comparison):
            return (tree.a, tree.b)
        if isinstance(tree, Negation):
            return (tree.a,)
        return (tree.condition, tree.a, tree.b) if isinstance(tree, Choice) else ()


Answered = Callable[[Evaluation, Call, Where], Truths]
Counted = Callable[[Evaluation, Call, Where], Number]
_TRUTHS: dict[str, Answered] = {
    "any_member": Evaluation.any_member,
    "any_person": Evaluation.any_person,
    "lives_in": Evaluation.lives_in,
    "living_item": Evaluation.living_item,
    "indicator": Evaluation.of_indicator,
    "was": Evaluation.was,
    "is_main_earner": Evaluation.main_earner,
    "lives_here": Evaluation.lives_here,
    "has_role": Evaluation.has_role,
    "is_woman": Evaluation.is_woman,
}
_NUMBERS: dict[str, Counted] = {
    "count_members": Evaluation.count_members,
    "total_members": Evaluation.total_members,
    "members": Evaluation.members,
    "adults": lambda e, tree, scope: e.aged(18, 999),
    "children": lambda e, tree, scope: e.aged(0, 18),
    "working_age": lambda e, tree, scope: e.aged(18, 60),
    "elders": lambda e, tree, scope: e.aged(60, 999),
    "members_aged": lambda e, tree, scope: e.aged(tree.numbers[0], tree.numbers[1]),
    "coverage": Evaluation.coverage,
    "dimensions_raised": Evaluation.raised,
    "tier_rank": Evaluation.tier_rank,
    "age": Evaluation.age,
    "at_least_zero": Evaluation.at_least_zero,
    "strongest": lambda e, tree, scope: n3.strongest([e.number(part, scope) for part in tree.parts]),
    "number": lambda e, tree, scope: n3.as_number(e.truth(tree.parts[0], scope)),
}


@dataclass(frozen=True)
class PlainTerms:
    """The same parameters for every household, for examples and tests."""

    n: int
    numbers: Mapping[str, float]
    lists: Mapping[str, tuple[str, ...]]

    def number(self, name: str) -> Floats:
        """A number parameter, NaN where none is given."""
        return np.full(self.n, self.numbers.get(name, np.nan))

    def texts(self, name: str) -> list[tuple[str, ...] | None]:
        """A text parameter."""
        return [self.lists.get(name)] * self.n


__all__ = ["FALSE", "NOT_EVALUABLE", "TRUE", "Evaluation", "Indicators", "PlainTerms", "Terms"]
