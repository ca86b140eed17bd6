"""The hazard of entering a supported or monitored status, and the exact probability that follows from it.

A household at risk enters in month u with probability 1 - exp(-I(u)), where

    I(u) = f(u) * base * season(u) + sum over blows s < u of  f(s) * g_k * w_k * size_s * K_k(u - s)

with f the vulnerability factor, g_k the susceptibility to the kind, w_k its weight and K_k a kernel that sums to one
and is cut by relief once aid works. A blow keeps the factor of its month. Months are discrete. What changes a
household for good (a death, a divorce) acts at once as a blow, and on f, g and the chances p_k(s) of further blows a
year later, when reserves and relatives' help are used up. So f, g and p of the next twelve months are known as long
as nothing is entered, and given them blows arrive independently. The chance to stay out during the next twelve
months, given everything up to the end of month t, is then a product:

    exp(-sum of I(u) from what is already there)  *  product over s, k of (1 - p_k(s) * phi_k(s))

where phi_k(s) = 1 - E[exp(-what a blow in month s adds until the horizon)], an average over a few sizes and aid or no
aid. That product is the truth; nothing is simulated to obtain it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.county.assumptions import Assumptions
from training.county.grid import Bools, Floats, Grid, Ints
from training.county.shocks import Shocks
from training.county.vulnerability import cleared_levels, factor, highest_level

# A month that never comes: nothing has been left yet.
NEVER_CLEARED = 10**6


@dataclass(frozen=True)
class Exposure:
    """What decides the hazard of n households and does not depend on luck.

    `level`, each of `chances` (one a shock kind) and each of `weak` (by name) are households x months; `aid_class` says
    how well aid reaches the household. Month u of them depends on nothing later than month u - 12.
    """

    level: Ints
    chances: Sequence[Floats]
    weak: Mapping[str, Bools]
    aid_class: Ints

    def taken(self, rows: Ints) -> Exposure:
        """The same households picked or repeated by position."""
        return Exposure(
            self.level[rows],
            [chance[rows] for chance in self.chances],
            {name: weak[rows] for name, weak in self.weak.items()},
            self.aid_class[rows],
        )


@dataclass
class State:
    """Where households stand at the end of a month.

    `pending` is what past blows add to the intensity of each month (households x months). `until` is the month in
    which the present or last status ends; `cleared` the month of the last exit, `NEVER_CLEARED` without one.
    """

    pending: Floats
    until: Ints
    cleared: Ints

    def taken(self, rows: Ints) -> State:
        """A copy for the households picked or repeated by position."""
        return State(self.pending[rows].copy(), self.until[rows].copy(), self.cleared[rows].copy())


class Hazard:
    """The hazard under one set of assumptions, with its tables laid out once."""

    def __init__(self, assumptions: Assumptions, grid: Grid) -> None:
        self._assumptions = assumptions
        self._grid = grid
        self._factor = factor(assumptions, np.arange(highest_level(assumptions)))
        self._base = assumptions.base_monthly * np.array(assumptions.base_season)[grid.calendar()]
        self._kernels = [
            _kernels(kind.peak, kind.length, kind.relief, assumptions.aid_delay) for kind in assumptions.shocks
        ]
        self._steps = [round(kind.susceptible / assumptions.step) for kind in assumptions.shocks]
        self._phi = self._expected_loss()

    def _expected_loss(self) -> list[Floats]:
        """phi of each kind: months left x (aid class, level) flattened."""
        a = self._assumptions
        reach = np.array(a.aid_reach)
        tables = []
        for kind, kernels in zip(a.shocks, self._kernels, strict=True):
            phi = np.zeros((a.horizon_months, len(reach), len(self._factor)))
            for left in range(1, a.horizon_months):
                for size, share in zip(a.sizes, np.array(a.size_shares) / np.sum(a.size_shares), strict=True):
                    for aided, kernel in enumerate(kernels):
                        chance = kind.aided * reach if aided else 1.0 - kind.aided * reach
                        added = self._factor * kind.weight * size * kernel[:left].sum()
                        phi[left] += share * chance[:, np.newaxis] * -np.expm1(-added)[np.newaxis, :]
            tables.append(phi.reshape(a.horizon_months, -1))
        return tables

    def start(self, n: int) -> State:
        """n households that nothing has happened to."""
        return State(np.zeros((n, self._grid.reach)), np.full(n, -1, np.int64), np.full(n, NEVER_CLEARED, np.int64))

    def add(
        self, state: State, exposure: Exposure, month: int, kind: int, rows: Ints, size: Floats, aided: Bools
    ) -> Floats:
        """Let blows of one kind strike `rows` (each at most once) in a month; returns their weights."""
        what = self._assumptions.shocks[kind]
        level = exposure.level[rows, month] + cleared_levels(self._assumptions, month - state.cleared[rows])
        level = level + self._steps[kind] * exposure.weak[what.weakness][rows, month]
        weight = self._factor[level] * what.weight * size
        first, last = month + 1, min(month + 1 + self._kernels[kind].shape[1], self._grid.reach)
        shape = self._kernels[kind][aided.astype(np.int64), : last - first]
        state.pending[rows, first:last] += weight[:, np.newaxis] * shape
        return np.asarray(weight)

    def strike_month(self, state: State, exposure: Exposure, shocks: Shocks, positions: Ints, month: int) -> Floats:
        """Let the blows at `positions`, all of one month, strike; returns the weight of each."""
        weights = np.zeros(len(positions))
        kinds = shocks.kind[positions]
        for kind in np.unique(kinds):
            chosen = np.flatnonzero(kinds == kind)
            at = positions[chosen]
            weights[chosen] = self.add(
                state, exposure, month, int(kind), shocks.household[at], shocks.size[at], shocks.aided[at]
            )
        return weights

    def intensity(self, state: State, exposure: Exposure, month: int) -> Floats:
        """I(u) of every household for a month, as if it were at risk."""
        level = exposure.level[:, month] + cleared_levels(self._assumptions, month - state.cleared)
        return np.asarray(self._factor[level] * self._base[month] + state.pending[:, month])

    def probability(self, state: State, exposure: Exposure, month: int) -> Floats:
        """The probability of an entry within the horizon after the end of `month`, as if everyone were at risk."""
        a = self._assumptions
        ahead = np.arange(month + 1, month + 1 + a.horizon_months)
        staying = state.pending[:, ahead].sum(axis=1)
        lucky = np.ones(len(state.until))
        offset = exposure.aid_class * len(self._factor)
        for at in ahead:
            level = exposure.level[:, at] + cleared_levels(a, at - state.cleared)
            staying += self._factor[level] * self._base[at]
            left = int(ahead[-1] - at)
            if left == 0:
                continue
            cell = offset + level
            weak = {name: array[:, at].astype(np.int64) for name, array in exposure.weak.items()}
            for kind, what in enumerate(a.shocks):
                phi = self._phi[kind][left].take(cell + self._steps[kind] * weak[what.weakness])
                lucky *= 1.0 - exposure.chances[kind][:, at] * phi
        return np.asarray(1.0 - np.exp(-staying) * lucky)


def _kernels(peak: float, length: int, relief: float, delay: int) -> Floats:
    """Shares of a blow's weight by months after it, without aid and with; 2 x length, beginning with the month after.

    Families hold out for a while: the weight comes slowly, is heaviest `peak` months after the blow and fades.
    """
    after = np.arange(1, length + 1)
    shape = after**2 * np.exp(-2.0 * after / peak)
    shape = shape / shape.sum()
    return np.stack([shape, np.where(after > delay, (1.0 - relief) * shape, shape)])
