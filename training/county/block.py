"""A block of households that has been lived through: everything the departments could report about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.county.assumptions import Assumptions
from training.county.chance import Chance
from training.county.grid import Bools, Floats, Grid, Ints
from training.county.hazard import Exposure, Hazard, susceptible_levels
from training.county.lives import Lives, Residents, Weigh, live
from training.county.people import People, populate
from training.county.shocks import Shocks, arrival_chances, exposures, strike, weaknesses
from training.county.standing import Composition, Places, Standing, Working, composition, employ, settle, stand, with_last_deaths
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
        return self.people.homes(self.grid.simulated)

    @cached_property
    def age(self) -> Floats:
        """Age of each person in each simulated month; persons x months."""
        return self.people.ages(self.grid.simulated)

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

    def sometime(self, rng: np.random.Generator, month: Ints) -> Ints:
        """An ordinary moment in each of the months."""
        return self.grid.moment(month, rng.uniform(*ORDINARY, len(month)))


def lived_through(assumptions: Assumptions, grid: Grid, hazard: Hazard, n: int, chance: Chance, weather: Chance) -> Block:
    """Draw and live through a block of n households. `weather` is the county's, the same for every block."""
    places = settle(assumptions, grid, n, chance.of("places"))
    people = populate(assumptions, grid, places.residence, places.ends, chance.of("people"))
    places = with_last_deaths(assumptions, grid, people, places, chance.of("last deaths"))
    working = employ(assumptions, people, places, chance.of("work"))
    composed = composition(assumptions, grid, people, working, places)
    standing = stand(assumptions, composed, places, people, chance.of("standing"))
    chances = arrival_chances(assumptions, grid, exposures(assumptions, composed, places, people, grid))
    exposure = Exposure(
        levels(assumptions, composed, places, standing),
        chances,
        susceptible_levels(assumptions, weaknesses(composed, standing)),
        standing.visibility,
    )
    shocks = strike(
        assumptions, grid, chances, places.township, standing.visibility, weather.of("weather"), chance.of("shocks")
    )
    course = live_through(assumptions, grid, hazard, exposure, shocks, places.ends, chance.of("status"))
    lives = live(assumptions, grid, people, shocks, places, chance.of("lives"))
    return Block(
        assumptions, grid, chance, places, composed, standing, exposure, shocks, course, lives, working,
        Residents(lives.people, n),
    )  # fmt: skip
