"""What is in force at a moment, and the states of all indicators for the households of a history."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue, catalogue
from features.event import RESIDENCES
from features.history import History
from features.rules.evaluation import Evaluation
from features.rules.facts import Facts
from features.rules.indicator import FOLDER, MODES, Indicator, asks_for, read_indicators, read_quantities
from features.rules.number import FALSE, NOT_EVALUABLE, TRUE, Number, Truths, as_number, decided, either
from features.rules.pack import Packs, PackVersion, read_packs
from features.rules.parameter import ParameterKind, parameters
from features.rules.policy_item import MOST_DAYS, PolicyCatalogue, read_policies
from features.rules.syntax import Definition, Language, indicators_named
from features.rules.words import Where
from features.window import Micros, day_of

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
RANKS: dict[str | None, int] = {"yellow": 1, "orange": 2, "red": 3}


@dataclass(frozen=True)
class Rulebook:
    """Everything written in the rule files, of all times."""

    language: Language
    indicators: tuple[Indicator, ...]
    packs: Packs
    policies: PolicyCatalogue

    @cached_property
    def _days(self) -> dict[date, InForce]:
        return {}

    def in_force(self, on: date) -> InForce:
        """The indicators and policy items that count on a day."""
        if on not in self._days:
            if len(self._days) >= MOST_DAYS:
                self._days.clear()
            self._days[on] = InForce(
                self.language.quantities,
                tuple(each for each in self.indicators if each.is_in_force(on)),
                self.policies,
                self.packs,
                on,
                self.language,
            )
        return self._days[on]

    def at(self, as_of: Micros, time_zone: str) -> InForce:
        """What is in force at the moment of judgement."""
        return self.in_force(day_of(as_of, time_zone))


@lru_cache(maxsize=8)
def rulebook(extra: Path | None = None, indicators: Path = FOLDER) -> Rulebook:
    """The shipped rules, with a user's own folder of packs beside them. Raises `RuleFileRefused`."""
    core = catalogue()
    language = read_quantities(indicators, _language(core))
    read = read_indicators(indicators, language)
    policies = read_policies(language, [each.id for each in read])
    return Rulebook(language, read, read_packs(extra=extra), policies)


def _language(of: Catalogue) -> Language:
    declared = parameters()
    return Language(
        of,
        frozenset(name for name, each in declared.items() if each.kind is ParameterKind.NUMBER),
        frozenset(name for name, each in declared.items() if each.kind is ParameterKind.TEXTS),
    )


@dataclass(frozen=True)
class InForce:
    """The rules of one day."""

    quantities: Mapping[str, Definition]
    indicators: tuple[Indicator, ...]
    policies: PolicyCatalogue
    packs: Packs
    on: date
    language: Language

    @cached_property
    def by_id(self) -> dict[str, Indicator]:
        """Indicators by their id."""
        return {indicator.id: indicator for indicator in self.indicators}

    @cached_property
    def by_mode(self) -> dict[str, list[Indicator]]:
        """Indicators by their mode."""
        return {mode: [each for each in self.indicators if each.mode == mode] for mode in MODES}

    @cached_property
    def ranks(self) -> dict[str, Ints]:
        """For each indicator the ranks that its levels bring, and last the 0 of no level."""
        return {
            each.id: np.array([RANKS.get(level.tier, 0) for level in each.levels] + [0], np.int64)
            for each in self.indicators
        }

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What others have worked out from the rules of the day alone, by a name of theirs."""
        return {}

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the indicators, quantities and policy items that count on the day; what was added for another
        day does not change it."""
        written = [
            *(indicator.digest for indicator in self.indicators),
            *(f"{name}={definition.tree}" for name, definition in sorted(self.quantities.items())),
            *(item.digest for item in self.policies.in_force(self.on)),
        ]
        return hashlib.sha256(json.dumps(written).encode()).hexdigest()

    @cached_property
    def about_others(self) -> frozenset[str]:
        """Indicators that ask what the others say."""
        return self._using(frozenset({"dimensions_raised", "tier_rank"}))

    @cached_property
    def about_the_tier(self) -> frozenset[str]:
        """Indicators that ask for the tier and so come after it."""
        return self._using(frozenset({"tier_rank"}))

    def _using(self, words: frozenset[str]) -> frozenset[str]:
        """Indicators that use one of the words, themselves or by way of another indicator."""
        found = {each.id for each in self.indicators if asks_for(each, words, self.language)}
        while True:
            more = {
                each.id
                for each in self.indicators
                if any(indicators_named(level.when, self.language) & found for level in each.levels)
            } - found
            if not more:
                return frozenset(found)
            found |= more


@dataclass(frozen=True)
class PackTerms:
    """The parameters of each household of a history, by its region and residence on the day."""

    history: History
    packs: Packs
    on: date

    @cached_property
    def _places(self) -> tuple[list[tuple[PackVersion, str | None]], Ints]:
        regions, residences = self.history.region, self.history.residence
        keys = [
            (str(region), str(residence) if residence in RESIDENCES else None)
            for region, residence in zip(regions, residences, strict=True)
        ]
        distinct = sorted(set(keys), key=str)
        position = {key: i for i, key in enumerate(distinct)}
        versions = [(self.packs.in_force(region, self.on), residence) for region, residence in distinct]
        return versions, np.array([position[key] for key in keys], np.int64)

    @cached_property
    def _numbers(self) -> dict[str, Floats]:
        return {}

    def number(self, name: str) -> Floats:
        """A number parameter by household, NaN where unknown; not to be changed."""
        if name not in self._numbers:
            places, index = self._places
            values = [pack.number(name, residence) for pack, residence in places]
            told = np.array([np.nan if value is None else value for value in values], np.float64)
            self._numbers[name] = told[index]
        return self._numbers[name]

    def texts(self, name: str) -> list[tuple[str, ...] | None]:
        """A text parameter by household, None where unknown."""
        places, index = self._places
        values = [pack.texts(name, residence) for pack, residence in places]
        return [values[i] for i in index]

    def pack(self, household: int) -> PackVersion:
        """The pack version of one household."""
        places, index = self._places
        pack: PackVersion = places[int(index[household])][0]
        return pack

    @cached_property
    def by_pack(self) -> list[tuple[PackVersion, Bools]]:
        """Each pack version in use and the households it is for."""
        places, index = self._places
        versions = {id(pack): pack for pack, _ in places}
        return [(pack, np.array([other is pack for other, _ in places], np.bool_)[index]) for pack in versions.values()]


Standing = Callable[["States"], Ints]


@dataclass
class States:
    """States of the indicators in force for all households of `facts`, computed when first asked for.

    `standing` gives the rank (0 green to 3 red) that other triggers and points bring, for indicators that ask for it;
    `kept` is what others have worked out from the states, by a name of theirs.
    """

    book: InForce
    facts: Facts
    terms: PackTerms
    standing: Standing
    _states: dict[str, tuple[Truths, Ints]] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    _floors: dict[str, Ints] = field(default_factory=dict)
    _earlier: dict[float, States] = field(default_factory=dict)
    _evidence: dict[tuple[str, int], set[int]] = field(default_factory=dict)
    _told_last: int = -1

    @cached_property
    def evaluation(self) -> Evaluation:
        """What conditions are asked of."""
        return Evaluation(self.facts, self.terms, self.book.quantities, self)

    def state(self, name: str) -> Truths:
        """1 true, 0 false, -1 not evaluable, by household; false where the region's pack turns the indicator off or
        it is not in force."""
        return self._of(name)[0]

    def level(self, name: str) -> Ints:
        """Position of the highest true level, -1 where none is."""
        return self._of(name)[1]

    def _of(self, name: str) -> tuple[Truths, Ints]:
        if name not in self._states:
            n = self.facts.n_households
            state, reached = np.zeros(n, np.int8), np.full(n, -1, np.int64)
            indicator = self.book.by_id.get(name)
            if indicator is not None:
                for i, level in enumerate(indicator.levels):
                    truth = self.evaluation.truth(level.when)
                    reached[truth == TRUE] = i
                    state = either(state, truth)
                for pack, of in self.terms.by_pack:
                    if name in pack.indicators_off:
                        state[of], reached[of] = FALSE, -1
            self._states[name] = (state, reached)
        return self._states[name]

    def floor(self, name: str) -> Ints:
        """Rank of the tier that a trigger brings, 0 where it is not true or brings none; not to be changed."""
        if name not in self._floors:
            self._floors[name] = self.book.ranks[name][self.level(name)]
        return self._floors[name]

    def newest(self, name: str) -> Ints:
        """When the newest event behind the reached level happened, `ALWAYS` for none."""
        indicator, reached = self.book.by_id[name], self.level(name)
        found = np.zeros(self.facts.n_households, np.int64)
        for i, level in enumerate(indicator.levels):
            of = reached == i
            if of.any():
                found[of] = self.evaluation.newest(level.when)[of]
        return found

    def evidence(self, name: str, household: int) -> set[int]:
        """Positions in the history of the events that made an indicator true for a household; if it is not true,
        of the events it looked at."""
        if household != self._told_last:
            # It is asked for again only while one household is told.
            self._told_last = household
            self._evidence.clear()
        found = self._evidence.get((name, household))
        if found is None:
            reached = int(self.level(name)[household])
            found = self.evaluation.evidence(self.book.by_id[name].levels[reached].when, household)
            self._evidence[name, household] = found
        return found

    def dimensions_raised(self, tier: str) -> tuple[Ints, Ints]:
        """Prefixes with a trigger of at least this tier, by household: surely, and perhaps. Indicators that
        themselves ask for others do not count."""
        wanted, left_out = RANKS[tier], self.book.about_others
        found: dict[str, Truths] = {}
        for indicator in self.book.by_mode["trigger"]:
            if indicator.id in left_out or self.book.ranks[indicator.id].max() < wanted:
                continue
            state = decided(self.floor(indicator.id) >= wanted, self.facts.nobody[Where.HOUSEHOLD])
            for rank, level in zip(self.book.ranks[indicator.id], indicator.levels, strict=False):
                if rank >= wanted:
                    state = either(state, np.minimum(self.evaluation.truth(level.when), FALSE))
            prefix = indicator.prefix
            found[prefix] = either(found[prefix], state) if prefix in found else state
        none = np.zeros(self.facts.n_households, np.int64)
        states = np.stack([none, *found.values()])
        return (states == TRUE).sum(axis=0), (states != FALSE).sum(axis=0)

    def evidence_of_raised(self, tier: str, household: int) -> set[int]:
        """Events behind the triggers that `dimensions_raised` counted for one household."""
        left_out = self.book.about_others
        found: set[int] = set()
        for indicator in self.book.by_mode["trigger"]:
            if indicator.id not in left_out and self.floor(indicator.id)[household] >= RANKS[tier]:
                found |= self.evidence(indicator.id, household)
        return found

    def rank(self) -> Number:
        """What triggers and points say so far, without the indicators that ask for the tier."""
        return Number.exact(self.standing(self).astype(np.float64))

    def earlier(self, days: float) -> States:
        """The same with what was known `days` ago, under the same terms."""
        if days not in self._earlier:
            self._earlier[days] = States(self.book, self.facts.earlier(days), self.terms, self.standing)
        return self._earlier[days]


def no_standing(states: States) -> Ints:
    """A standing of green for everybody."""
    return np.zeros(states.facts.n_households, np.int64)


__all__ = ["FALSE", "NOT_EVALUABLE", "TRUE", "InForce", "PackTerms", "Rulebook", "States", "as_number", "rulebook"]
