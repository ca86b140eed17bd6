"""A block of households that has been lived through: everything the departments could report about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.county.assumptions import Assumptions
from training.county.chance import Chance
from training.county.grid import Bools, Floats, Grid, Ints
from training.county.hazard import Exposure, Hazard
from training.county.lives import Lives, Residents, Weigh, expected, live
from training.county.people import People, populate
from training.county.shocks import Shocks, Weather, arrival_chances, exposures, strike, weaknesses
from training.county.shocks import joined_up as shocks_joined_up
from training.county.standing import (
    Composition,
    Places,
    Standing,
    Working,
    composition,
    employ,
    settle,
    stand,
    with_last_deaths,
)
from training.county.standing import joined_up as standing_composition
from training.county.status import Course, live_through
from training.county.vulnerability import levels

# Changes of home fall into the first days of a month and people's other events after them, so that nobody earns or
# falls ill in a household before having moved there.
CHANGE_OF_HOME = (0.0, 0.06)
ORDINARY = (0.08, 1.0)


@dataclass(frozen=True)
class Block:
    """Households and people of one block with their circumstances, blows and statuses."""

    assumptions: Assumptions
    grid: Grid
    chance: Chance
    places: Places
    composed: Composition
    standing: Standing
    exposure: Exposure
    shocks: Shocks
    course: Course
    lives: Lives
    working: Working
    residents: Residents
    weather: Weather

    @property
    def people(self) -> People:
        """People as their lives went."""
        return self.lives.people

    @property
    def n(self) -> int:
        """Number of households."""
        return len(self.places.residence)

    @cached_property
    def home(self) -> Ints:
        """Home of each person in each simulated month, -1 for none; persons x months."""
        return self.people.homes(0, self.grid.simulated)

    @cached_property
    def members(self) -> Ints:
        """People of each household in each simulated month; households x months."""
        home, simulated = self.home, self.grid.simulated
        cell = (home * simulated + np.arange(simulated))[home >= 0]
        return np.bincount(cell, minlength=self.n * simulated).reshape(self.n, simulated)

    @cached_property
    def befell(self) -> Ints:
        """The person on whom each blow fell, -1 for none; the streams fill in those that are not the family's."""
        return np.concatenate(self.lives.befell)

    @cached_property
    def age(self) -> Floats:
        """Age of each person in each simulated month; persons x months."""
        return self.people.ages(0, self.grid.simulated)

    @cached_property
    def is_here(self) -> Bools:
        """Who lives in the county and is not missing; persons x months."""
        month = np.arange(self.grid.simulated)[np.newaxis, :]
        return (self.home >= 0) & (month < self.lives.absent_from[:, np.newaxis])

    def blows(self, kind: str) -> Ints:
        """Positions of the blows of one kind, in order of time."""
        names = [shock.name for shock in self.assumptions.shocks]
        return self.shocks.of(names.index(kind))

    def befallen(self, rng: np.random.Generator, at: Ints, weigh: Weigh) -> Ints:
        """A resident for each of the blows at positions `at`, by weight; -1 where nobody qualifies."""
        return self.residents.befallen(rng, self.shocks.household[at], self.shocks.month[at], weigh)

    def home_in(self, person: Ints, month: Ints) -> Ints:
        """Home of given persons in given months; -1 outside the simulated months, for nobody, and for no home."""
        inside = (person >= 0) & (month >= 0) & (month < self.grid.simulated)
        found = self.home[np.where(inside, person, 0), np.where(inside, month, 0)]
        return np.where(inside, found, -1)

    def counted(self, who: Bools) -> Ints:
        """How many of the people in `who` (persons x months) each household has; households x months."""
        person, month = np.nonzero(who & (self.home >= 0))
        cell = self.home[person, month] * self.grid.simulated + month
        return np.bincount(cell, minlength=self.n * self.grid.simulated).reshape(self.n, self.grid.simulated)

    def lived_in(self, household: Ints, month: Ints) -> Bools:
        """Whether somebody lives in given households in given months; false outside the simulated months."""
        inside = (household >= 0) & (month >= 0) & (month < self.grid.simulated)
        return inside & (self.members[np.where(inside, household, 0), np.where(inside, month, 0)] > 0)

    def sometime(self, rng: np.random.Generator, month: Ints) -> Ints:
        """An ordinary moment in each of the months."""
        return self.grid.moment(month, rng.uniform(*ORDINARY, len(month)))


def lived_through(
    assumptions: Assumptions, grid: Grid, hazard: Hazard, n: int, chance: Chance, over_townships: Weather
) -> Block:
    """Draw n households and let them live through the simulated months, a year at a time."""
    places = settle(assumptions, grid, n, chance.of("places"))
    people = populate(assumptions, grid, places.residence, places.ends, chance.of("people"))
    places = with_last_deaths(assumptions, grid, people, places, chance.of("last deaths"))
    working = employ(assumptions, people, places, chance.of("work"))
    lives = expected(people, places, grid)
    shock_rng, life_rng = chance.of("shocks"), chance.of("lives")
    standing: Standing | None = None
    composed: list[Composition] = []
    chances: list[list[Floats]] = []
    shocks: list[Shocks] = []
    step = assumptions.settling_months
    for first in range(0, grid.reach, step):
        last = min(first + step, grid.reach)
        # What a year is made of was settled by the end of the year before.
        home = lives.settled_homes(first, last, step)
        composed.append(composition(assumptions, lives.planned, home, people.ages(first, last), working, places))
        if standing is None:
            standing = stand(assumptions, composed[0], places, people, chance.of("standing"))
        exposed = exposures(assumptions, composed[-1], places)
        chances.append(arrival_chances(assumptions, exposed, grid.calendar()[first:last]))
        if first < grid.simulated:
            inside = [array[:, : grid.simulated - first] for array in chances[-1]]
            shocks.append(
                strike(assumptions, inside, first, places.township, standing.visibility, over_townships, shock_rng)
            )
            live(assumptions, lives, shocks[-1], places, life_rng)
    assert standing is not None
    whole = standing_composition(composed)
    exposure = Exposure(
        levels(assumptions, whole, places, standing),
        [np.concatenate(parts, axis=1) for parts in zip(*chances, strict=True)],
        weaknesses(whole, standing),
        standing.visibility,
    )
    struck = shocks_joined_up(shocks)
    course = live_through(assumptions, grid, hazard, exposure, struck, places.ends, chance.of("status"))
    return Block(
        assumptions, grid, chance, places, whole, standing, exposure, struck, course, lives, working,
        Residents(people, n), over_townships,
    )  # fmt: skip
