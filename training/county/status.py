"""Entering and leaving a supported or monitored status, month by month, and the truth at every month's end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.county.assumptions import Assumptions
from training.county.chance import drawn
from training.county.grid import Bools, Floats, Grid, Ints
from training.county.hazard import Exposure, Hazard, State
from training.county.shocks import Shocks


@dataclass(frozen=True)
class Spells:
    """Times in a status: entry month (may lie before the grid) and exit month, which may lie after the data.

    `drawn` is a number between 0 and 1 that later decides the route of entry.
    """

    household: Ints
    enters: Ints
    exits: Ints
    drawn: Floats


@dataclass(frozen=True)
class Course:
    """What became of the households of a block.

    `truth` is the probability of an entry in the next twelve months at the end of each simulated month, NaN where the
    household is not at risk; `intensity` the hazard of each month; `in_status` whether a status holds at its end.
    `weight` is what each blow added to the hazard in all, in the order of the shocks.
    """

    spells: Spells
    truth: Floats
    intensity: Floats
    in_status: Bools
    weight: Floats


def opening(
    assumptions: Assumptions, hazard: Hazard, exposure: Exposure, rng: np.random.Generator
) -> tuple[State, Spells]:
    """The state at the start of the grid: some are in a status, some have left one, the vulnerable more often."""
    n = len(exposure.aid_class)
    state = hazard.start(n)
    pull = hazard.intensity(state, exposure, 0)
    pull = pull / pull.mean()
    draw = rng.random(n)
    inside_below = np.clip(assumptions.in_status_share * pull, 0.0, 0.6)
    inside = draw < inside_below
    cleared = ~inside & (draw < inside_below + np.clip(assumptions.cleared_share * pull, 0.0, 0.35))
    whole = np.array(assumptions.spell_months)[drawn(rng, assumptions.spell_shares, n)]
    passed = np.floor(rng.random(n) * whole).astype(np.int64)
    ago = rng.integers(1, 48, n)
    state.until[inside] = (whole - passed)[inside] - 1
    state.cleared[cleared] = -ago[cleared]
    known = inside | cleared
    exits = np.where(inside, state.until, state.cleared)
    spells = Spells(np.flatnonzero(known), (exits - whole)[known], exits[known], rng.random(int(known.sum())))
    return state, spells


def live_through(
    assumptions: Assumptions,
    grid: Grid,
    hazard: Hazard,
    exposure: Exposure,
    shocks: Shocks,
    ends: Ints,
    rng: np.random.Generator,
) -> Course:
    """Let statuses come and go through the simulated months. `ends` is the month in which a household leaves."""
    n = len(exposure.aid_class)
    state, before = opening(assumptions, hazard, exposure, rng)
    truth = np.full((n, grid.simulated), np.nan)
    intensity = np.zeros((n, grid.simulated))
    in_status = np.zeros((n, grid.simulated), np.bool_)
    weight = np.zeros(len(shocks.household))
    entered: list[Spells] = [before]
    begins = np.searchsorted(shocks.month, np.arange(grid.simulated + 1))
    lengths = np.array(assumptions.spell_months)
    for month in range(grid.simulated):
        state.cleared = np.where(state.until == month, month, state.cleared)
        intensity[:, month] = hazard.intensity(state, exposure, month)
        at_risk = (state.until < month) & (ends > month)
        enters = np.flatnonzero(at_risk & (rng.random(n) < -np.expm1(-intensity[:, month])))
        length = lengths[drawn(rng, assumptions.spell_shares, n)][enters]
        state.until[enters] = month + length
        entered.append(Spells(enters, np.full(len(enters), month), month + length, rng.random(len(enters))))
        positions = np.arange(begins[month], begins[month + 1])
        weight[positions] = hazard.strike_month(state, exposure, shocks, positions, month)
        in_status[:, month] = (state.until > month) & (ends > month)
        if month >= grid.warm_up:
            free = (state.until <= month) & (ends > month)
            truth[free, month] = hazard.probability(state, exposure, month)[free]
    spells = Spells(
        np.concatenate([s.household for s in entered]),
        np.concatenate([s.enters for s in entered]),
        np.concatenate([s.exits for s in entered]),
        np.concatenate([s.drawn for s in entered]),
    )
    return Course(spells, truth, intensity, in_status, weight)
