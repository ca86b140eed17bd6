"""What the rules say about every household of a history: floors, points, dimensions, kinds of poverty.

It needs no boosted model and answers alone when none may be used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from features.history import History, Visible
from features.rules.facts import Facts
from features.rules.indicator import DIMENSIONS, MODES, POVERTY_TYPES, Indicator
from features.rules.number import NOT_EVALUABLE, TRUE, Number
from features.rules.rulebook import InForce, PackTerms, Rulebook, States
from features.rules.syntax import Quantity
from models.points import PointsModel, points_given, points_model, points_rank

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
# How much a true indicator says about its dimension, from 0 to 1: assumptions, like the weights themselves.
SEVERITY: Mapping[str | None, float] = {"yellow": 0.4, "orange": 0.7, "red": 0.9}
POINTS_OF_CERTAINTY = 20.0
MOST_BY_POINTS = 0.75
CUTS = (0.2, 0.25, 0.3, 1 / 3, 0.4, 0.5)
SHOWN_DIMENSIONS = tuple(name for name in DIMENSIONS if name != "data")
N_SHOWN = len(SHOWN_DIMENSIONS)


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
        return points_given(self.states)

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
        triggers = self.of_mode("trigger")
        ranks = rows([self.states.floor(each.id) for each in triggers], self.n)
        return {triggers[k].id: ranks[k] for k in np.flatnonzero(ranks.any(axis=1)).tolist()}

    @cached_property
    def floor(self) -> Ints:
        """The highest rank of any trigger, by household."""
        return np.asarray(rows(list(self.floors.values()), self.n).max(axis=0, initial=0), np.int64)

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
        return self.states.book.by_mode[mode]

    @cached_property
    def flagged(self) -> dict[str, dict[str, Bools]]:
        """By `grey` and `task`: indicators whose reached level brings it, and for whom."""
        found: dict[str, dict[str, Bools]] = {"grey": {}, "task": {}}
        for each in self.of_mode("trigger"):
            for tier, of in found.items():
                brings = [level.tier == tier for level in each.levels]
                if any(brings):
                    of[each.id] = np.array([*brings, False], np.bool_)[self.states.level(each.id)]
        return found

    @cached_property
    def true(self) -> dict[str, list[list[int]]]:
        """By mode and household: which indicators of the mode (positions in `of_mode`) are true."""
        return {mode: true_of(self.states, mode) for mode in MODES}

    @cached_property
    def not_evaluable(self) -> dict[str, list[list[int]]]:
        """By mode and household: which indicators of the mode (positions in `of_mode`) cannot be evaluated."""
        return {mode: positions(_states(self.states, mode).T == NOT_EVALUABLE) for mode in MODES}

    @cached_property
    def told_once(self) -> dict[tuple[int, ...], list[dict[str, Any]]]:
        """Records that many households share, kept by who writes them."""
        return {}

    @cached_property
    def floor_lists(self) -> list[dict[str, int]]:
        """Rank that each true trigger brings, household after household."""
        names, ranks_of = list(self.floors), list(self.floors.values())
        ranks = [rank.tolist() for rank in ranks_of]
        raised = positions((rows(ranks_of, self.n) > 0).T)
        return [{names[k]: ranks[k][i] for k in of} for i, of in enumerate(raised)]

    @cached_property
    def flag_lists(self) -> dict[str, list[list[str]]]:
        """By `grey` and `task`: the ids of the indicators that bring it, sorted, household after household."""
        found = {}
        for tier, of in self.flagged.items():
            names = sorted(of)
            flags = rows([of[name] for name in names], self.n)
            found[tier] = [[names[k] for k in each] for each in positions(flags.T)]
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
        return dict(zip(self._signs.names, self._severity, strict=True))

    @cached_property
    def _signs(self) -> Signs:
        kept = self.states.book.kept
        if "signs" not in kept:
            kept["signs"] = signs(self.states.book)
        found: Signs = kept["signs"]
        return found

    @cached_property
    def _severity(self) -> Floats:
        levels = rows([self.states.level(name) for name in self._signs.names], self.n)
        return np.asarray(self._signs.severity[np.arange(len(levels))[:, np.newaxis], levels], np.float64)

    @cached_property
    def dimensions(self) -> dict[str, Floats]:
        """One number from 0 to 1 a dimension: several signs come nearer to 1 and never beyond; NaN where nothing
        about the dimension can be evaluated."""
        states = rows([self.states.state(name) for name in self._signs.names], self.n)
        of = _dimensions(self._severity, states != NOT_EVALUABLE, self._signs.dimension, self._signs.in_order)
        return dict(zip(SHOWN_DIMENSIONS, of, strict=True))

    @cached_property
    def poverty_types(self) -> dict[str, Floats]:
        """Weight of each kind of poverty by household, as shares of one; all 0 where no indicator is true.

        Some kinds have many signs and others few, so what the true ones say is set against what all signs of the kind
        together would: a low-income family on the move shows much of mobility poverty and little of income poverty.
        """
        found = _added(self._severity, self._signs.parts)
        most = _added(self._signs.severity.max(axis=1)[:, np.newaxis], self._signs.parts)
        shares = found / np.where(most > 0, most, 1.0)
        total = shares.sum(axis=0)
        of = np.where(total > 0, shares / np.where(total > 0, total, 1.0), 0.0)
        return dict(zip(POVERTY_TYPES, of, strict=True))

    @cached_property
    def monitored_type_hint(self) -> Ints:
        """Which type of monitored household (防返贫监测) it looks like, 0 for none.

        3 sudden serious hardship: a trigger of orange or more about a blow or an expense, whatever the income; else
        with an income trigger 1 (formerly registered poor) or 2 (at the edge). That somebody asked for help, that a
        visitor is worried, or that several warnings came together does not say what happened.
        """
        sudden, poor = np.zeros(self.n, np.bool_), np.zeros(self.n, np.bool_)
        for name, rank in self.floors.items():
            each = self.states.book.by_id[name]
            is_blow = each.dimension != "participation" and name not in self.states.book.about_others
            if is_blow and not {"temporary", "expenditure"}.isdisjoint(each.poverty_types):
                sudden |= rank >= 2
            if "income" in each.poverty_types:
                poor |= rank >= 1
        formerly = self.states.evaluation.truth(Quantity("is_formerly_poor")) == TRUE
        return np.where(sudden, 3, np.where(poor & formerly, 1, np.where(poor, 2, 0)))

    @cached_property
    def amounts(self) -> dict[str, list[tuple[float, float]]]:
        """Least and most of each named quantity that was asked for, household after household."""
        return {}

    def amount(self, quantity: str, household: int) -> tuple[float, float]:
        """Least and most of a named quantity for one household."""
        if quantity not in self.amounts:
            found = self.number(quantity)
            self.amounts[quantity] = list(zip(found.lo.tolist(), found.hi.tolist(), strict=True))
        return self.amounts[quantity][household]

    @cached_property
    def deprivation(self) -> Number:
        """The Alkire-Foster weighted share of the ten items, as an interval by household."""
        found = self.states.evaluation.number(Quantity("af_score"))
        return Number(np.maximum(found.lo, 0.0), np.minimum(found.hi, 1.0))

    def number(self, quantity: str) -> Number:
        """A named quantity by household."""
        return self.states.evaluation.number(Quantity(quantity))


def true_of(states: States, mode: str) -> list[list[int]]:
    """For each household which indicators of the mode (positions among those in force) are true."""
    key = f"true {mode}"
    if key not in states.kept:
        states.kept[key] = positions(_states(states, mode).T == TRUE)
    found: list[list[int]] = states.kept[key]
    return found


def _states(states: States, mode: str) -> npt.NDArray[np.int8]:
    """By indicator of the mode and household."""
    return rows([states.state(each.id) for each in states.book.by_mode[mode]], states.facts.n_households)


def positions(flags: Bools) -> list[list[int]]:
    """For each row of a table, which of its flags are set.

    >>> positions(np.array([[True, True], [False, True]]))
    [[0, 1], [1]]
    """
    rows, which = np.nonzero(flags)
    starts = np.searchsorted(rows, np.arange(len(flags) + 1)).tolist()
    found = which.tolist()
    return [found[first:last] for first, last in pairwise(starts)]


def rows(each: Sequence[npt.NDArray[Any]], n: int) -> npt.NDArray[Any]:
    """Arrays of n entries as the rows of a table, which has n columns even where there is no row."""
    # Much quicker than np.stack for many short ones.
    return np.concatenate(each).reshape(-1, n) if each and n else np.zeros((len(each), n), np.int8)


def listed(table: Floats) -> list[list[float]]:
    """Rows as plain lists: a household is told quicker from them than from arrays."""
    rows: list[list[float]] = table.tolist()
    return rows


def _severities(indicator: Indicator) -> list[float]:
    """How much each level of a trigger or points indicator says."""
    if indicator.mode == "trigger":
        return [SEVERITY.get(level.tier, 0.0) for level in indicator.levels]
    return [min(level.points / POINTS_OF_CERTAINTY, MOST_BY_POINTS) for level in indicator.levels]


@dataclass(frozen=True)
class Signs:
    """What the triggers and points indicators of a day say, one row or entry for each, in the order of `names`.

    `severity` has a column for each level and last the 0 of no level; `dimension` is a position in `SHOWN_DIMENSIONS`,
    -1 for one that is not shown; `parts` says into how many kinds a sign falls, for each of `POVERTY_TYPES`, 0 for one
    that it does not speak of; `in_order` are the rows in the order of the rulebook.
    """

    names: tuple[str, ...]
    severity: Floats
    dimension: Ints
    parts: Ints
    in_order: Ints


def signs(book: InForce) -> Signs:
    """What the indicators of the day say."""
    every = (*book.by_mode["trigger"], *book.by_mode["points"])
    severity = np.zeros((len(every), 1 + max((len(each.levels) for each in every), default=0)))
    for row, each in enumerate(every):
        severity[row, : len(each.levels)] = _severities(each)
    place = {each.id: row for row, each in enumerate(every)}
    return Signs(
        names=tuple(place),
        severity=severity,
        dimension=np.array(
            [SHOWN_DIMENSIONS.index(e.dimension) if e.dimension in SHOWN_DIMENSIONS else -1 for e in every], np.int64
        ),
        parts=np.array(
            [[len(e.poverty_types) if name in e.poverty_types else 0 for name in POVERTY_TYPES] for e in every],
            np.int64,
        ).reshape(len(every), len(POVERTY_TYPES)),
        in_order=np.array([place[each.id] for each in book.indicators if each.id in place], np.int64),
    )


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _dimensions(severity: Floats, is_told: Bools, dimension: Ints, in_order: Ints) -> Floats:
    """By dimension and household."""
    n = severity.shape[1]
    clear, told = np.ones((N_SHOWN, n)), np.zeros((N_SHOWN, n), np.bool_)
    for row in in_order:
        at = dimension[row]
        if at >= 0:
            for i in range(n):
                clear[at, i] *= 1.0 - severity[row, i]
                told[at, i] |= is_told[row, i]
    return np.where(told, 1.0 - clear, np.nan)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _added(severity: Floats, parts: Ints) -> Floats:
    """By kind of poverty and household, one sign after the other."""
    found = np.zeros((parts.shape[1], severity.shape[1]))
    for row in range(len(severity)):
        for kind in range(parts.shape[1]):
            if parts[row, kind] > 0:
                for i in range(severity.shape[1]):
                    found[kind, i] += severity[row, i] / parts[row, kind]
    return found


def ruled(book: Rulebook, history: History, seen: Visible) -> Ruled:
    """Apply the rules in force at the moment of `seen`. Raises `PackNotInForce` where no pack covers the day."""
    in_force = book.at(seen.as_of, history.time_zone)
    terms = PackTerms(history, book.packs, in_force.on)
    return Ruled(States(in_force, Facts(history, seen), terms, rank_so_far))


def rank_so_far(states: States) -> Ints:
    """The rank that triggers and points bring, without those that ask for it themselves."""
    ranks = [points_rank(states, points_given(states).sum(axis=1))]
    for indicator in states.book.by_mode["trigger"]:
        if indicator.id not in states.book.about_the_tier:
            ranks.append(states.floor(indicator.id))
    return np.asarray(rows(ranks, states.facts.n_households).max(axis=0), np.int64)
