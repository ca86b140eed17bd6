"""Policy candidates: which items are worth checking for a household, what each waits for, and what to find out first.

A candidate is never a decision. Items wait for each other (a fee waiver for dibao), so they form a graph; a status
is read from it in the order of the graph, for all households at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from features.rules.policy_item import Check, Fact, PolicyCatalogue, PolicyItem, SettledBy
from features.rules.rulebook import RANKS, States
from features.rules.syntax import Tree
from features.rules.words import Where
from models.rules import positions, rows

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
STATUSES = ("likely", "to_verify", "conditional", "not_available_here", "already_receiving")
LIKELY, TO_VERIFY, CONDITIONAL, NOT_AVAILABLE, RECEIVING = range(5)
SERIOUS_FROM = RANKS["orange"]


@dataclass(frozen=True, eq=False)
class Standing:
    """One item for every household: whether it is a candidate, how it stands, and why.

    Most items are nobody's candidate, so all but that is worked out when it is first asked for. `followed` and
    `needed` are the standings of the items that this one follows and depends on.
    """

    item: PolicyItem
    states: States
    followed: tuple[Standing, ...]
    needed: tuple[Standing, ...]

    @cached_property
    def is_candidate(self) -> Bools:
        """Where it is worth checking, or already received."""
        of = self._fires | self.is_receiving
        for other in self.followed:
            of = of | other.is_candidate | other.is_receiving
        return np.asarray(self._in_region[0] & of, np.bool_)

    @cached_property
    def is_receiving(self) -> Bools:
        """Where the benefit is on record."""
        return self._holds(self.item.receiving_when)

    @cached_property
    def is_held(self) -> Bools:
        """Where one of the items it depends on is held; without a dependency nothing has to be."""
        if not self.item.depends_on:
            return self.states.facts.everybody[Where.HOUSEHOLD]
        return self._any([other.is_receiving for other in self.needed])

    @cached_property
    def is_available(self) -> Bools:
        """Where the region has it, somebody supplies it, and there is a way to it."""
        return np.asarray(self._in_region[0] & self._is_open, np.bool_)

    @cached_property
    def is_against(self) -> Bools:
        """Where recorded facts speak against an item that could still be had."""
        return np.asarray(self._speaks_against & self._is_open & ~self.is_receiving, np.bool_)

    @cached_property
    def is_likely(self) -> Bools:
        """Where it is a candidate that recorded facts already speak for."""
        if not np.count_nonzero(self.is_candidate):
            return self.is_candidate
        return np.asarray(self.is_candidate & (self.status == LIKELY), np.bool_)

    @cached_property
    def status(self) -> npt.NDArray[np.int8]:
        """Position in `STATUSES`."""
        is_likely = self._holds(self.item.likely_when) & ~self._speaks_against
        is_likely &= self.is_held | self._any([other.is_likely for other in self.needed])
        status = np.where(self.is_held, TO_VERIFY, CONDITIONAL).astype(np.int8)
        status[is_likely] = LIKELY
        status[~self._is_open] = NOT_AVAILABLE
        status[self.is_receiving] = RECEIVING
        return status

    @cached_property
    def is_serious(self) -> Bools:
        """Where it answers a trigger of orange or red, by itself or by way of an item it follows."""
        is_serious = self.states.facts.nobody[Where.HOUSEHOLD]
        if not self.item.beyond_records:
            for name, flags in self._own_named.items():
                is_serious = is_serious | (flags & (self.states.floor(name) >= SERIOUS_FROM))
        return self._any([is_serious, *(other.is_candidate & other.is_serious for other in self.followed)])

    @cached_property
    def named(self) -> Mapping[str, Bools]:
        """For each indicator that called for it, where it did."""
        named = dict(self._own_named)
        for other in self.followed:
            for name, flags in other.named.items():
                called = other.is_candidate & flags
                named[name] = named[name] | called if name in named else called
        return named

    @cached_property
    def callers(self) -> list[list[str]]:
        """The indicators that called for it, sorted, household after household."""
        names = sorted(self.named)
        found = positions(rows([self.named[name] for name in names], self.states.facts.n_households).T)
        return [[names[k] for k in each] for each in found]

    @cached_property
    def missing(self) -> tuple[Bools, ...]:
        """For each of the item's checks, where the fact is still to be found out."""
        by_item = self.is_held if self.item.depends_on else self.states.facts.nobody[Where.HOUSEHOLD]
        return tuple(
            ~(self.is_receiving | self._holds(check.known_when) | (by_item & (check.fact.by is SettledBy.ITEM)))
            for check in self.item.checks
        )

    @cached_property
    def _fires(self) -> Bools:
        return self._holds(self.item.when)

    @cached_property
    def _in_region(self) -> tuple[Bools, Bools]:
        """Where the region has the item in its catalogue, and where somebody supplies it."""
        name, n = self.item.id, self.states.facts.n_households
        is_offered, is_supplied = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        for pack, of in self.states.terms.by_pack:
            is_supplied[of] = name not in pack.not_offered
            is_offered[of] = pack.offered is None or name in pack.offered
        return is_offered, is_supplied

    @cached_property
    def _has_way(self) -> Bools:
        # Waiting for what nobody supplies is no better than that itself.
        return self.is_held | self._any([other.is_available for other in self.needed])

    @cached_property
    def _is_open(self) -> Bools:
        return self._in_region[1] & self._has_way

    @cached_property
    def _speaks_against(self) -> Bools:
        against = self._holds(self.item.against_when) & ~self._holds(self.item.against_unless)
        if not self.needed:
            return against
        # Nor is waiting for what the records speak against.
        could_be_had = self._any([other.is_available & ~other.is_against for other in self.needed])
        return against | (self._has_way & ~self.is_held & ~could_be_had)

    @cached_property
    def _own_named(self) -> dict[str, Bools]:
        """Indicators that the item's own condition asks for, and where one is true and the condition holds."""
        states, fires = self.states, self._fires
        found = {name: fires & (states.state(name) == 1) for name in self.item.indicators if name in states.book.by_id}
        if self.item.raised is not None:
            for each in states.book.by_mode["trigger"]:
                if each.id not in states.book.about_the_tier and each.id not in found:
                    found[each.id] = fires & (states.floor(each.id) >= RANKS[self.item.raised])
        return found

    def _holds(self, condition: Tree | None) -> Bools:
        """Where a condition is true; what cannot be evaluated is not."""
        if condition is None:
            return self.states.facts.nobody[Where.HOUSEHOLD]
        return np.asarray(self.states.evaluation.truth(condition) == 1, np.bool_)

    def _any(self, flags: Sequence[Bools]) -> Bools:
        found = self.states.facts.nobody[Where.HOUSEHOLD]
        for each in flags:
            found = found | each
        return found


@dataclass(frozen=True)
class Statuses:
    """How every item in force stands for every household."""

    standings: Mapping[str, Standing]

    def records(self, household: int) -> list[dict[str, Any]]:
        """The candidates of one household, in the order in which to look at them.

        What answers a serious warning comes before the rest; within it the status decides, and an item that recorded
        facts speak against comes after the others of its status. What has no supplier or is already received is last.
        """
        return [self._record(standing, household) for standing in self._of(household)]

    def briefs(self, household: int) -> list[dict[str, Any]]:
        """`records` without words: item, status, what it waits for and what to find out."""
        return [self._brief(each, household, _missing(each, household)) for each in self._of(household)]

    def _of(self, household: int) -> list[Standing]:
        standings = self._in_order
        return [standings[k] for k in self._candidates[household]] if standings else []

    @cached_property
    def _in_order(self) -> list[Standing]:
        """The standings by the name of their item."""
        return [self.standings[name] for name in sorted(self.standings)]

    @cached_property
    def _candidates(self) -> list[list[int]]:
        """For each household the items (positions in `_in_order`) that are candidates, in the order of `records`."""
        flags = np.stack([standing.is_candidate for standing in self._in_order], axis=1)
        places = np.zeros(flags.shape, np.int64)
        for k in np.flatnonzero(flags.any(axis=0)).tolist():
            places[:, k] = _place(self._in_order[k])
        found = []
        for each, place in zip(positions(flags), places, strict=True):
            of = place[each].tolist()
            found.append([k for _, k in sorted(zip(of, each, strict=True))])
        return found

    def _brief(self, standing: Standing, household: int, missing: Sequence[Check]) -> dict[str, Any]:
        return {
            "item": standing.item.id,
            "status": STATUSES[int(standing.status[household])],
            "depends_on": [] if standing.is_held[household] else self._obtainable(standing.item, household),
            "missing": [check.fact.id for check in missing],
        }

    def _record(self, standing: Standing, household: int) -> dict[str, Any]:
        item, missing = standing.item, _missing(standing, household)
        return {
            **self._brief(standing, household, missing),
            "class": item.kind.value,
            "text": item.name._asdict(),
            "department": item.department._asdict(),
            "missing_text": [check.text._asdict() for check in missing],
            "against": bool(standing.is_against[household]),
            "triggered_by": standing.callers[household],
        }

    def _obtainable(self, item: PolicyItem, household: int) -> list[str]:
        known = self.standings
        return [name for name in item.depends_on if name in known and known[name].is_available[household]]


def _missing(standing: Standing, household: int) -> list[Check]:
    """What is still to be found out about the item."""
    checks = zip(standing.item.checks, standing.missing, strict=True)
    return [check for check, flags in checks if flags[household]]


def _place(standing: Standing) -> Ints:
    """By household where the item comes among its candidates, the first lowest; items of one place by their names."""
    status = standing.status.astype(np.int64)
    late = np.maximum(0, status - CONDITIONAL)
    place = (late * 2 + ~standing.is_serious) * len(STATUSES) + status
    return np.asarray(place * 2 + standing.is_against, np.int64)


def statuses(catalogue: PolicyCatalogue, states: States) -> Statuses:
    """How the items in force on the day stand for the households whose indicators `states` knows."""
    standings: dict[str, Standing] = {}
    for item in catalogue.in_force(states.book.on):
        followed, needed = (
            tuple(standings[name] for name in names if name in standings) for names in (item.follows, item.depends_on)
        )
        standings[item.id] = Standing(item, states, followed, needed)
    return Statuses(standings)


def unlocks(candidates: Sequence[Mapping[str, Any]], facts: Mapping[str, Fact]) -> list[dict[str, Any]]:
    """Which one fact, once verified, sets most items in motion: `{fact, text, items}`, most items first.

    A fact counts for the items that miss it and for those that wait for such an item, however far along the graph.
    What only another item's approval settles is no fact to verify, and an item that recorded facts speak against is
    not worth a fact.
    """
    open_ = {
        each["item"]: each
        for each in candidates
        if STATUSES.index(each["status"]) <= CONDITIONAL and not each["against"]
    }
    reached: dict[str, list[str]] = {}
    for name in open_:
        for fact in dict.fromkeys(_awaited(name, open_)):
            if facts[fact].by is not SettledBy.ITEM:
                reached.setdefault(fact, []).append(name)
    ranked = sorted(reached.items(), key=lambda entry: -len(entry[1]))
    return [{"fact": fact, "text": facts[fact].text._asdict(), "items": items} for fact, items in ranked]


def _awaited(name: str, open_: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The facts that an item misses, and those that the items it waits for do. The graph has no circles."""
    found = list(open_[name]["missing"])
    for other in open_[name]["depends_on"]:
        found += _awaited(other, open_) if other in open_ else []
    return found
