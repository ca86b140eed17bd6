"""Blows to households: how exposed each is, when they strike, how hard, and whether aid follows.

Arrivals are independent of one another and of what has happened before: each kind strikes a household at most once a
month, with a chance known in advance. That is what makes the true hazard exact. What a blow looks like in the data
does depend on what has happened before; see `lives.py` and the streams.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.county.assumptions import Assumptions
from training.county.chance import drawn, monthly
from training.county.grid import Bools, Floats, Grid, Ints
from training.county.people import CHILD, OTHER, People
from training.county.profiles import SEASONS
from training.county.standing import Composition, Places, Standing, elders_only


@dataclass(frozen=True)
class Shocks:
    """Blows, sorted by month, kind and household. `kind` indexes the assumed kinds, `size` is the multiple of the usual weight."""

    household: Ints
    month: Ints
    kind: Ints
    size: Floats
    aided: Bools

    def of(self, kind: int) -> Ints:
        """Positions of the blows of one kind, in order of time."""
        return np.flatnonzero(self.kind == kind)


def exposures(assumptions: Assumptions, composed: Composition, places: Places, people: People, grid: Grid) -> dict[str, Floats]:
    """Exposed units of every household in every month, by the name that a shock kind gives."""
    by_band = composed.by_band
    sick = 1.0 + (assumptions.illness_if_chronic - 1.0) * np.minimum(composed.chronic / composed.members, 1.0)
    farms = np.broadcast_to((places.farm > 0).astype(np.float64)[:, np.newaxis], composed.members.shape)
    lives_here = (composed.members > 0.5).astype(np.float64)
    return {
        "illness": np.tensordot(np.array(assumptions.illness_by_age), by_band, 1) * sick,
        "chronic": np.tensordot(np.array(assumptions.chronic_by_age), by_band, 1),
        "disability": np.tensordot(np.array(assumptions.disability_by_age), by_band, 1),
        "job_loss": composed.earner_risk,
        "earners": composed.earners,
        "farm": farms * lives_here,
        "house": lives_here,
        # The last one of a household does not die on this path: dying out is a way of leaving the county (`Places.ends`).
        "mortality": np.where(composed.adults >= 2, composed.mortality, 0.0),
        "couple": composed.couples,
        "adults": np.where(composed.adults >= 2, composed.adults, 0.0),
        "turning_18": _turning_18(people, len(places.residence), grid),
        "teenagers": composed.teenagers,
        "pensioners": composed.pensioners,
    }


def _turning_18(people: People, n: int, grid: Grid) -> Floats:
    """Young people who finish school this August, a household and month; divided by the months of a year at the end."""
    counts = np.zeros((n, grid.reach))
    home, age = people.homes(grid.reach), people.ages(grid.reach)
    august = np.flatnonzero(grid.calendar() == 7)
    for month in august:
        due = (age[:, month] >= 18.0) & (age[:, month] < 19.0) & (home[:, month] >= 0)
        due &= np.isin(people.role, (CHILD, OTHER)) & (people.schooling >= 2)
        np.add.at(counts[:, month], home[due, month], 12.0)
    return counts


def arrival_chances(assumptions: Assumptions, grid: Grid, exposed: dict[str, Floats]) -> list[Floats]:
    """Chance that a blow of each kind strikes in a month; one households x months array for each kind."""
    calendar = grid.calendar()
    return [
        monthly(exposed[kind.exposure] * kind.yearly * np.array(SEASONS[kind.season])[calendar]).astype(np.float32)
        for kind in assumptions.shocks
    ]


def weaknesses(composed: Composition, standing: Standing) -> dict[str, Bools]:
    """Which households bear a kind of blow worse, judged at the start."""
    n = len(standing.visibility)
    return {
        "none": np.zeros(n, np.bool_),
        "low_buffer": standing.low_buffer,
        "elders_alone": elders_only(composed)[:, 0],
        "one_earner": (composed.earners[:, 0] == 1) & (composed.members[:, 0] >= 2.5),
    }


def strike(
    assumptions: Assumptions,
    grid: Grid,
    chances: list[Floats],
    township: Ints,
    aid_class: Ints,
    weather: np.random.Generator,
    rng: np.random.Generator,
) -> Shocks:
    """Draw all blows of the simulated months.

    Regional kinds come through the townships: `weather` decides which township is hit when, the same for every block
    of the county, and a hit township passes it to a share of its exposed households.
    """
    simulated, n = grid.simulated, len(township)
    n_townships = sum(assumptions.townships)
    households, months, kinds = [], [], []
    for index, kind in enumerate(assumptions.shocks):
        chance = chances[index][:, :simulated]
        if kind.is_regional:
            # Hit with this chance, the township passes it on so that each household's own chance stays `chance`.
            usual = monthly(kind.yearly * np.array(SEASONS[kind.season])[grid.calendar()][:simulated])
            hit_chance = np.minimum(usual / assumptions.township_hit, 1.0)
            hit = weather.random((n_townships, simulated)) < hit_chance
            chance = np.where(hit[township], chance / np.maximum(hit_chance, 1e-12), 0.0)
        struck = rng.random((n, simulated), np.float32) < chance
        household, month = np.nonzero(struck)
        households.append(household)
        months.append(month)
        kinds.append(np.full(len(household), index))
    household, month, kind_of = (np.concatenate(part).astype(np.int64) for part in (households, months, kinds))
    order = np.lexsort((household, kind_of, month))
    household, month, kind_of = household[order], month[order], kind_of[order]
    size = np.array(assumptions.sizes)[drawn(rng, assumptions.size_shares, len(household))]
    usual_aid = np.array([kind.aided for kind in assumptions.shocks])[kind_of]
    reach = np.array(assumptions.aid_reach)[aid_class[household]]
    return Shocks(household, month, kind_of, size, rng.random(len(household)) < usual_aid * reach)
