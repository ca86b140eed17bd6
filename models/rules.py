"""What the rules say about every household of a history: floors, points, dimensions, kinds of poverty.

It needs no boosted model and answers alone when none may be used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from features.history import History, Visible
from features.rules.facts import Facts
from features.rules.indicator import DIMENSIONS, MODES, POVERTY_TYPES, Indicator
from features.rules.number import NOT_EVALUABLE, TRUE, Number
from features.rules.rulebook import PackTerms, Rulebook, States
from features.rules.syntax import Quantity
from models.points import PointsModel, point_values, points_model, points_rank

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
# How much a true indicator says about its dimension, from 0 to 1: assumptions, like the weights themselves.
SEVERITY: Mapping[str | None, float] = {"yellow": 0.4, "orange": 0.7, "red": 0.9}
POINTS_OF_CERTAINTY = 20.0
MOST_BY_POINTS = 0.75
CUTS = (0.2, 0.25, 0.3, 1 / 3, 0.4, 0.5)
SHOWN_DIMENSIONS = tuple(name for name in DIMENSIONS if name != "data")


@dataclass(frozen=True)
class Ruled:
    """The rules applied to all households of a history at one moment."""

    states: States

    @cached_property
    def model(self) -> PointsModel:
        """The points model in force."""
        return points_model(self.states)

    @cached_property
    def point_contributions(self) -> Floats:
        """Points by household and indicator, after caps."""
        return self.model.contributions(point_values(self.states))[0]

    @cached_property
    def points(self) -> Floats:
        """Points by household."""
        return np.asarray(self.point_contributions.sum(axis=1), np.float64)

    @cached_property
    def points_rank(self) -> Ints:
        """Band of the points by household, 0 to 3."""
        return points_rank(self.states, self.points)

    @cached_property
    def floors(self) -> dict[str, Ints]:
        """Rank that each trigger brings, by household; triggers that brought none to anybody are left out."""
        found = {each.id: self.states.floor(each.id) for each in self.of_mode("trigger")}
        return {name: rank for name, rank in found.items() if rank.any()}

    @cached_property
    def floor(self) -> Ints:
        """The highest rank of any trigger, by household."""
        ranks = [np.zeros(self.n, np.int64), *self.floors.values()]
        return np.asarray(np.stack(ranks).max(axis=0), np.int64)

    def settle(self) -> None:
        """Work everything out now, for all households; otherwise it is done when first asked."""
        _ = (self.points_rank, self.floor_lists, self.flag_lists, self.dimension_lists, self.poverty_type_lists)
        _ = (self.true, self.not_evaluable, self.monitored_type_hint)

    @property
    def n(self) -> int:
        """Households."""
        return self.states.facts.n_households

    def of_mode(self, mode: str) -> list[Indicator]:
        """Indicators in force of one mode."""
        return self._by_mode[mode]

    @cached_property
    def _by_mode(self) -> dict[str, list[Indicator]]:
        return {mode: [each for each in self.states.book.indicators if each.mode == mode] for mode in MODES}

    @cached_property
    def flagged(self) -> dict[str, dict[str, Bools]]:
        """By `grey` and `task`: indicators whose reached level brings it, and for whom."""
        found: dict[str, dict[str, Bools]] = {"grey": {}, "task": {}}
        for each in self.of_mode("trigger"):
            for tier, of in found.items():
                levels = [i for i, level in enumerate(each.levels) if level.tier == tier]
                if levels:
                    of[each.id] = np.isin(self.states.level(each.id), levels)
        return found

    @cached_property
    def true(self) -> dict[str, list[list[int]]]:
        """By mode and household: which indicators of the mode (positions in `of_mode`) are true."""
        return {mode: self._where(mode, int(TRUE)) for mode in MODES}

    @cached_property
    def not_evaluable(self) -> dict[str, list[list[int]]]:
        """By mode and household: which indicators of the mode (positions in `of_mode`) cannot be evaluated."""
        return {mode: self._where(mode, int(NOT_EVALUABLE)) for mode in MODES}

    def _where(self, mode: str, state: int) -> list[list[int]]:
        return positions([self.states.state(each.id) == state for each in self.of_mode(mode)], self.n)

    @cached_property
    def told_once(self) -> dict[tuple[int, ...], list[dict[str, Any]]]:
        """Records that many households share, kept by who writes them."""
        return {}

    @cached_property
    def floor_lists(self) -> list[dict[str, int]]:
        """Rank that each true trigger brings, household after household."""
        names, ranks = list(self.floors), [rank.tolist() for rank in self.floors.values()]
        raised = positions([rank > 0 for rank in self.floors.values()], self.n)
        return [{names[k]: ranks[k][i] for k in of} for i, of in enumerate(raised)]

    @cached_property
    def flag_lists(self) -> dict[str, list[list[str]]]:
        """By `grey` and `task`: the ids of the indicators that bring it, sorted, household after household."""
        found = {}
        for tier, of in self.flagged.items():
            names = sorted(of)
            found[tier] = [[names[k] for k in each] for each in positions([of[name] for name in names], self.n)]
        return found

    @cached_property
    def dimension_lists(self) -> list[list[float]]:
        """`dimensions`, household after household, in the order of `SHOWN_DIMENSIONS`."""
        return listed(np.stack([self.dimensions[name] for name in SHOWN_DIMENSIONS], axis=1))

    @cached_property
    def poverty_type_lists(self) -> list[list[float]]:
        """`poverty_types`, household after household, in the order of `POVERTY_TYPES`."""
        return listed(np.stack([self.poverty_types[name] for name in POVERTY_TYPES], axis=1))

    @cached_property
    def severity(self) -> dict[str, Floats]:
        """How much each trigger and points indicator says, from 0 to 1, by household."""
        return {
            each.id: np.array([*_severities(each), 0.0])[self.states.level(each.id)]
            for each in (*self.of_mode("trigger"), *self.of_mode("points"))
        }

    @cached_property
    def dimensions(self) -> dict[str, Floats]:
        """One number from 0 to 1 a dimension: several signs come nearer to 1 and never beyond; NaN where nothing
        about the dimension can be evaluated."""
        found = {}
        for name in SHOWN_DIMENSIONS:
            members = [
                each for each in self.states.book.indicators if each.dimension == name and each.id in self.severity
            ]
            clear, told = np.ones(self.n), np.zeros(self.n, np.bool_)
            for each in members:
                clear = clear * (1.0 - self.severity[each.id])
                told |= self.states.state(each.id) != NOT_EVALUABLE
            found[name] = np.where(told, 1.0 - clear, np.nan)
        return found

    @cached_property
    def poverty_types(self) -> dict[str, Floats]:
        """Weight of each kind of poverty by household, as shares of one; all 0 where no indicator is true.

        Some kinds have many signs and others few, so what the true ones say is set against what all signs of the kind
        together would: a low-income family on the move shows much of mobility poverty and little of income poverty.
        """
        found = {name: np.zeros(self.n) for name in POVERTY_TYPES}
        most = dict.fromkeys(POVERTY_TYPES, 0.0)
        for each in (*self.of_mode("trigger"), *self.of_mode("points")):
            for name in each.poverty_types:
                found[name] = found[name] + self.severity[each.id] / len(each.poverty_types)
                most[name] += max(_severities(each)) / len(each.poverty_types)
        shares = {name: each / most[name] if most[name] else each for name, each in found.items()}
        total = np.sum(list(shares.values()), axis=0)
        return {name: np.where(total > 0, each / np.where(total > 0, total, 1.0), 0.0) for name, each in shares.items()}

    @cached_property
    def monitored_type_hint(self) -> Ints:
        """Which type of monitored household (防返贫监测) it looks like, 0 for none.

        3 sudden serious hardship: a trigger of orange or more about a blow or an expense, whatever the income; else
        with an income trigger 1 (formerly registered poor) or 2 (at the edge). That somebody asked for help, that a
        visitor is worried, or that several warnings came together does not say what happened.
        """
        sudden, poor = np.zeros(self.n, np.bool_), np.zeros(self.n, np.bool_)
        for each in self.of_mode("trigger"):
            is_blow = each.dimension != "participation" and each.id not in self.states.book.about_others
            if is_blow and {"temporary", "expenditure"} & set(each.poverty_types):
                sudden |= self.states.floor(each.id) >= 2
            if "income" in each.poverty_types:
                poor |= self.states.floor(each.id) >= 1
        formerly = self.states.evaluation.truth(Quantity("is_formerly_poor")) == TRUE
        return np.where(sudden, 3, np.where(poor & formerly, 1, np.where(poor, 2, 0)))

    @cached_property
    def deprivation(self) -> Number:
        """The Alkire-Foster weighted share of the ten items, as an interval by household."""
        found = self.states.evaluation.number(Quantity("af_score"))
        return Number(np.maximum(found.lo, 0.0), np.minimum(found.hi, 1.0))

    def number(self, quantity: str) -> Number:
        """A named quantity by household."""
        return self.states.evaluation.number(Quantity(quantity))


def positions(flags: Sequence[Bools], n: int) -> list[list[int]]:
    """For each of n households, which of the flags are set.

    >>> positions([np.array([True, False]), np.array([True, True])], 2)
    [[0, 1], [1]]
    """
    if not flags:
        return [[] for _ in range(n)]
    rows, which = np.nonzero(np.stack(flags, axis=1))
    starts = np.searchsorted(rows, np.arange(n + 1)).tolist()
    found = which.tolist()
    return [found[first:last] for first, last in pairwise(starts)]


def listed(table: Floats) -> list[list[float]]:
    """Rows as plain lists: a household is told quicker from them than from arrays."""
    rows: list[list[float]] = table.tolist()
    return rows


def _severities(indicator: Indicator) -> list[float]:
    """How much each level of a trigger or points indicator says."""
    if indicator.mode == "trigger":
        return [SEVERITY.get(level.tier, 0.0) for level in indicator.levels]
    return [min(level.points / POINTS_OF_CERTAINTY, MOST_BY_POINTS) for level in indicator.levels]


def ruled(book: Rulebook, history: History, seen: Visible) -> Ruled:
    """Apply the rules in force at the moment of `seen`. Raises `PackNotInForce` where no pack covers the day."""
    in_force = book.at(seen.as_of, history.time_zone)
    terms = PackTerms(history, book.packs, in_force.on)
    return Ruled(States(in_force, Facts(history, seen), terms, rank_so_far))


def rank_so_far(states: States) -> Ints:
    """The rank that triggers and points bring, without those that ask for it themselves."""
    ranks = [np.zeros(states.facts.n_households, np.int64)]
    for indicator in states.book.indicators:
        if indicator.mode == "trigger" and indicator.id not in states.book.about_the_tier:
            ranks.append(states.floor(indicator.id))
    model = points_model(states)
    ranks.append(points_rank(states, model.margins(point_values(states))))
    return np.asarray(np.stack(ranks).max(axis=0), np.int64)
