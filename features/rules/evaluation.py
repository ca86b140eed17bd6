"""Answers conditions for all households of a history at once, and says which events made one true.

`tests/property/rule_oracle.py` says the same slowly, one household at a time.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numba
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

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
EARNED = ("EMP//WAGE", "PRD//PUBLIC_POST")
EARNER_MONTHS = 24
LIVING = Call("latest", codes=("GRD//LIVING",), options=(("months", 12.0),))
_COMPARED = {"<": n3.less, "<=": n3.at_most, ">": n3.greater, ">=": n3.at_least, "==": n3.equal}
_CALCULATED: dict[str, Callable[[Number, Number], Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


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
        self._truths: dict[Where, dict[int, tuple[Tree, Truths]]] = {where: {} for where in Where}
        self._numbers: dict[Where, dict[int, tuple[Tree, Number]]] = {where: {} for where in Where}
        self._earlier: dict[float, Evaluation] = {}
        self._rests_on: dict[int, tuple[Tree, tuple[Tree, ...]]] = {}
        self._told: dict[tuple[int, Where, int], set[int]] = {}
        self._told_last = -1

    def truth(self, tree: Tree, scope: Where = Where.HOUSEHOLD) -> Truths:
        """1 true, 0 false, -1 not evaluable, for every household (or person)."""
        # By identity: equal expressions are one object (see `syntax`), and hashing whole trees would cost more than
        # most answers. The tree is kept beside its answer, so that no other can take its place in memory.
        known = self._truths[scope]
        found = known.get(id(tree))
        if found is None:
            found = known[id(tree)] = (tree, _TRUTH_OF[type(tree)](self, tree, scope))
        return found[1]

    def number(self, tree: Tree, scope: Where = Where.HOUSEHOLD) -> Number:
        """The number as an interval for every household (or person)."""
        known = self._numbers[scope]
        found = known.get(id(tree))
        if found is None:
            found = known[id(tree)] = (tree, _NUMBER_OF[type(tree)](self, tree, scope))
        return found[1]

    def _true_quantity(self, tree: Quantity, scope: Where) -> Truths:
        return self.truth(self.quantities[tree.name].tree, scope)

    def _comparison(self, tree: Comparison, scope: Where) -> Truths:
        return _COMPARED[tree.operation](self.number(tree.a, scope), self.number(tree.b, scope))

    def _logic(self, tree: Logic, scope: Where) -> Truths:
        result = self.truth(tree.parts[0], scope)
        for part in tree.parts[1:]:
            if tree.operation == "or":
                result = n3.either(result, self.truth(part, scope))
            elif np.count_nonzero(result):
                result = n3.both(result, self.truth(part, scope))
            else:
                # False for everybody: nothing that follows can change it.
                break
        return result

    def _negation(self, tree: Negation, scope: Where) -> Truths:
        return n3.negation(self.truth(tree.a, scope))

    def _true_word(self, tree: Call, scope: Where) -> Truths:
        answer = _TRUTHS.get(tree.word)
        return self.words.truth(tree, scope) if answer is None else answer(self, tree, scope)

    def _literal(self, tree: Literal, scope: Where) -> Number:
        return Number.constant(tree.value, self.facts.units(scope))

    def _param(self, tree: Param, scope: Where) -> Number:
        values = self.terms.number(tree.name)
        if scope is Where.PERSON:
            values = np.append(values, np.nan)[self.facts.home]
        return n3.told(values)

    def _quantity(self, tree: Quantity, scope: Where) -> Number:
        return self.number(self.quantities[tree.name].tree, scope)

    def _arithmetic(self, tree: Arithmetic, scope: Where) -> Number:
        return _CALCULATED[tree.operation](self.number(tree.a, scope), self.number(tree.b, scope))

    def _choice(self, tree: Choice, scope: Where) -> Number:
        return n3.chosen(self.truth(tree.condition, scope), self.number(tree.a, scope), self.number(tree.b, scope))

    def _word(self, tree: Call, scope: Where) -> Number:
        answer = _NUMBERS.get(tree.word)
        return self.words.number(tree, scope) if answer is None else answer(self, tree, scope)

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
        # Of a household whose people are not known, nobody can say that no one is concerned.
        facts = self.facts
        found: Truths = _of_anybody(state, facts.home, facts.lives_here, living, facts.has_nobody)
        return found

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
        nobody = self.facts.has_nobody
        return Number(np.where(nobody, -np.inf, lo), np.where(nobody, np.inf, hi))

    def _counted(self, surely: Ints, perhaps: Ints) -> Number:
        nobody = self.facts.has_nobody
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
        residence = self.facts.history.residence.tolist()
        lives = np.array([each == tree.name for each in residence], np.bool_)
        return n3.decided(lives, np.array([each not in RESIDENCES for each in residence], np.bool_))

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
        told, value = self._living
        is_set = told & (value & (1 << int(tree.numbers[0] - 1)) != 0)
        return n3.decided(is_set, ~told)

    @cached_property
    def _living(self) -> tuple[Bools, Ints]:
        """Which households the newest visit's record is known of, and that record."""
        bits = self.number(LIVING)
        told = bits.is_known
        return told, np.where(told, bits.lo, 0).astype(np.int64)

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
        if household != self._told_last:
            # Conditions share much of what they rest on, but only those of one household.
            self._told_last = household
            self._told.clear()
        found = self._behind(tree, Where.HOUSEHOLD, household, household)
        return set(self.facts.seen.rows[list(found)].tolist()) if found else found

    def _behind(self, tree: Tree, scope: Where, unit: int, household: int) -> set[int]:
        found: set[int] = set()
        for part in self._bases(tree):
            key = (id(part), scope, unit)
            rows = self._told.get(key)
            if rows is None:
                rows = self._told[key] = self._behind_one(part, scope, unit, household)
            found |= rows
        return found

    def _bases(self, tree: Tree) -> tuple[Tree, ...]:
        """What a tree rests on whatever the household: words, and where it depends the part on which it does."""
        if id(tree) not in self._rests_on:
            self._rests_on[id(tree)] = (tree, tuple({id(base): base for base in self._bases_of(tree)}.values()))
        return self._rests_on[id(tree)][1]

    def _bases_of(self, tree: Tree) -> Iterator[Tree]:
        if isinstance(tree, Choice) or (isinstance(tree, Logic) and tree.operation == "or"):
            yield tree
        elif isinstance(tree, Call) and WORDS[tree.word].takes is Takes.CODES:
            if self.words.has_rows(tree):
                yield tree
        elif isinstance(tree, Call) and tree.word == "living_item":
            yield from self._bases_of(LIVING)
        elif isinstance(tree, Call) and tree.word in ("is_main_earner", "was"):
            return
        elif isinstance(tree, Call) and (
            WORDS[tree.word].opens_person or tree.word in ("indicator", "dimensions_raised")
        ):
            yield tree
        else:
            for part in self._parts(tree):
                yield from self._bases(part)

    def _behind_one(self, tree: Tree, scope: Where, unit: int, household: int) -> set[int]:
        """What one of the `_bases` rests on."""
        if isinstance(tree, Logic):
            true = [part for part in tree.parts if self.truth(part, scope)[unit] == TRUE]
            return set().union(*(self._behind(part, scope, unit, household) for part in true or tree.parts))
        if isinstance(tree, Choice):
            held = self.truth(tree.condition, scope)[unit]
            branches = [tree.a] if held == TRUE else [tree.b] if held == FALSE else [tree.a, tree.b]
            parts = [tree.condition, *branches] if held == TRUE else branches
            return set().union(*(self._behind(part, scope, unit, household) for part in parts))
        assert isinstance(tree, Call)
        if WORDS[tree.word].takes is Takes.CODES:
            return self.words.behind(tree, scope, unit, household)
        if WORDS[tree.word].opens_person:
            concerned = self._concerned(tree, self.facts.people(household)).tolist()
            return set().union(*(self._behind(tree.parts[0], Where.PERSON, person, household) for person in concerned))
        if self.indicators is None:
            return set()
        if tree.word == "indicator":
            return self._visible(self.indicators.evidence(tree.name, household), household)
        return self._visible(self.indicators.evidence_of_raised(tree.name, household), household)

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


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _of_anybody(state: Truths, home: Ints, lives_here: Bools, living: bool, is_open: Bools) -> Truths:
    """By household, whether the state of a person is true; without a true one open where a state or `is_open` is."""
    found = np.where(is_open, NOT_EVALUABLE, FALSE)
    for person in range(len(state)):
        at = home[person]
        if at < 0 or state[person] == FALSE or (living and not lives_here[person]):
            continue
        if found[at] != TRUE:
            found[at] = state[person]
    return found


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
# How each sort of tree is answered where a condition or a number is asked for.
_TRUTH_OF: dict[type[Tree], Callable[[Evaluation, Any, Where], Truths]] = {
    Quantity: Evaluation._true_quantity,
    Comparison: Evaluation._comparison,
    Logic: Evaluation._logic,
    Negation: Evaluation._negation,
    Call: Evaluation._true_word,
}
_NUMBER_OF: dict[type[Tree], Callable[[Evaluation, Any, Where], Number]] = {
    Literal: Evaluation._literal,
    Param: Evaluation._param,
    Quantity: Evaluation._quantity,
    Arithmetic: Evaluation._arithmetic,
    Choice: Evaluation._choice,
    Call: Evaluation._word,
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
