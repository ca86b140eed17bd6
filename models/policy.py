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
from models.rules import positions

Bools = npt.NDArray[np.bool_]
STATUSES = ("likely", "to_verify", "conditional", "not_available_here", "already_receiving")
LIKELY, TO_VERIFY, CONDITIONAL, NOT_AVAILABLE, RECEIVING = range(5)
SERIOUS_FROM = RANKS["orange"]


@dataclass(frozen=True)
class Standing:
    """One item for every household: whether it is a candidate, how it stands, and why.

    `is_serious`: it answers a trigger of orange or red, by itself or by way of an item it follows. `is_held`: one of
    the items it depends on is. `missing` has a flag for each of the item's checks, `named` one for each indicator that
    called for it.
    """

    item: PolicyItem
    is_candidate: Bools
    is_receiving: Bools
    is_available: Bools
    status: npt.NDArray[np.int8]
    is_against: Bools
    is_serious: Bools
    is_held: Bools
    missing: tuple[Bools, ...]
    named: Mapping[str, Bools]

    @property
    def is_likely(self) -> Bools:
        """Where it is a candidate that recorded facts already speak for."""
        return np.asarray(self.is_candidate & (self.status == LIKELY), np.bool_)


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
        return [self._brief(standing, household) for standing in self._of(household)]

    def _of(self, household: int) -> list[Standing]:
        standings = tuple(self.standings.values())
        if not standings:
            return []
        found = [standings[k] for k in self._candidates[household]]
        return sorted(found, key=lambda standing: _place(standing, household))

    @cached_property
    def _candidates(self) -> list[list[int]]:
        """For each household the items (positions in `standings`) that are candidates."""
        flags = [standing.is_candidate for standing in self.standings.values()]
        return positions(flags, len(flags[0]))

    def _brief(self, standing: Standing, household: int) -> dict[str, Any]:
        return {
            "item": standing.item.id,
            "status": STATUSES[int(standing.status[household])],
            "depends_on": [] if standing.is_held[household] else self._obtainable(standing.item, household),
            "missing": [check.fact.id for check in _missing(standing, household)],
        }

    def _record(self, standing: Standing, household: int) -> dict[str, Any]:
        item = standing.item
        return {
            **self._brief(standing, household),
            "class": item.kind.value,
            "text": item.name._asdict(),
            "department": item.department._asdict(),
            "missing_text": [check.text._asdict() for check in _missing(standing, household)],
            "against": bool(standing.is_against[household]),
            "triggered_by": sorted(name for name, flags in standing.named.items() if flags[household]),
        }

    def _obtainable(self, item: PolicyItem, household: int) -> list[str]:
        known = self.standings
        return [name for name in item.depends_on if name in known and known[name].is_available[household]]


def _missing(standing: Standing, household: int) -> list[Check]:
    """What is still to be found out about the item."""
    checks = zip(standing.item.checks, standing.missing, strict=True)
    return [check for check, flags in checks if flags[household]]


def _place(standing: Standing, household: int) -> tuple[int, bool, int, bool, str]:
    status = int(standing.status[household])
    return (
        max(0, status - CONDITIONAL),
        not standing.is_serious[household],
        status,
        bool(standing.is_against[household]),
        standing.item.id,
    )


def statuses(catalogue: PolicyCatalogue, states: States) -> Statuses:
    """How the items in force on the day stand for the households whose indicators `states` knows."""
    standings: dict[str, Standing] = {}
    for item in catalogue.in_force(states.book.on):
        standings[item.id] = _standing(item, standings, states)
    return Statuses(standings)


def _standing(item: PolicyItem, earlier: Mapping[str, Standing], states: States) -> Standing:
    n = states.facts.n_households
    followed = [earlier[name] for name in item.follows if name in earlier]
    needed = [earlier[name] for name in item.depends_on if name in earlier]
    is_offered, is_supplied = _in_region(item.id, states)
    is_receiving = _holds(item.receiving_when, states)
    fires = _holds(item.when, states)
    named = {name: fires & flags for name, flags in _triggers(item, states).items()}
    is_serious = np.zeros(n, np.bool_)
    if not item.beyond_records:
        for name, flags in named.items():
            is_serious |= flags & (states.floor(name) >= SERIOUS_FROM)
    for other in followed:
        reached = other.is_candidate | other.is_receiving
        fires |= reached
        is_serious |= other.is_candidate & other.is_serious
        for name, flags in other.named.items():
            named[name] = named.get(name, np.zeros(n, np.bool_)) | (other.is_candidate & flags)

    # Without a dependency nothing has to be held first.
    is_held = _any([other.is_receiving for other in needed], n) if item.depends_on else np.ones(n, np.bool_)
    # Waiting for what nobody supplies, or what the records speak against, is no better than that itself.
    has_way = is_held | _any([other.is_available for other in needed], n)
    is_against = _holds(item.against_when, states) & ~_holds(item.against_unless, states)
    is_against |= has_way & ~is_held & ~_any([other.is_available & ~other.is_against for other in needed], n)
    is_likely = _holds(item.likely_when, states) & ~is_against
    is_likely &= is_held | _any([other.is_likely for other in needed], n)

    status = np.full(n, TO_VERIFY, np.int8)
    status[~is_held] = CONDITIONAL
    status[is_likely] = LIKELY
    is_available = is_supplied & has_way
    status[~is_available] = NOT_AVAILABLE
    status[is_receiving] = RECEIVING
    missing = [
        ~is_receiving & ~_holds(check.known_when, states) & ~(is_held & _is_settled_by_item(item, check.fact))
        for check in item.checks
    ]
    return Standing(
        item=item,
        is_candidate=is_offered & (fires | is_receiving),
        is_receiving=is_receiving,
        is_available=is_offered & is_available,
        status=status,
        is_against=is_against & (status <= CONDITIONAL),
        is_serious=is_serious,
        is_held=is_held,
        missing=tuple(missing),
        named=named,
    )


def _is_settled_by_item(item: PolicyItem, fact: Fact) -> bool:
    return fact.by is SettledBy.ITEM and bool(item.depends_on)


def _in_region(name: str, states: States) -> tuple[Bools, Bools]:
    """Where the region has the item in its catalogue, and where somebody supplies it."""
    is_offered, is_supplied = (np.zeros(states.facts.n_households, np.bool_) for _ in range(2))
    for pack, of in states.terms.by_pack:
        is_supplied[of] = name not in pack.not_offered
        is_offered[of] = pack.offered is None or name in pack.offered
    return is_offered, is_supplied


def _triggers(item: PolicyItem, states: States) -> dict[str, Bools]:
    """Indicators that the item's condition asks for, and where each is true."""
    found = {name: states.state(name) == 1 for name in item.indicators if name in states.book.by_id}
    if item.raised is not None:
        for indicator in states.book.indicators:
            if indicator.mode == "trigger" and indicator.id not in states.book.about_the_tier:
                found.setdefault(indicator.id, states.floor(indicator.id) >= RANKS[item.raised])
    return found


def _holds(condition: Tree | None, states: States) -> Bools:
    """Where a condition is true; what cannot be evaluated is not."""
    if condition is None:
        return np.zeros(states.facts.n_households, np.bool_)
    return np.asarray(states.evaluation.truth(condition) == 1, np.bool_)


def _any(flags: Sequence[Bools], n: int) -> Bools:
    found = np.zeros(n, np.bool_)
    for each in flags:
        found |= each
    return found


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
