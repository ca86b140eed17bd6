"""Who lives in the county, with plans fixed from the start: leaving, marrying, births, parents moving in.

Plans do not depend on a household's luck. Blows to a household (deaths, divorces, disappearances) change them, see
`lives.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from training.county.assumptions import Assumptions
from training.county.chance import drawn, monthly
from training.county.grid import FAR, Bools, Floats, Grid, Ints

HEAD, SPOUSE, CHILD, PARENT, OTHER = range(5)
ROLE_NAMES = ("head", "spouse", "child", "parent", "other")
MAN, WOMAN = 0, 1
JOINED_BEFORE = -1
AGE_BANDS = (18.0, 40.0, 60.0, 75.0)


@dataclass
class People:
    """Persons of a block, one entry each.

    `household` is the first home; a person who marries within the county moves at month `moves` to `next_home` with
    `next_role`. `joins` is the month of coming into the first home (`JOINED_BEFORE` the grid), `leaves` the month of
    leaving the county or dying; both `FAR` when it never comes. `born` is in months of the grid and may be negative.
    `mother` is the mother's position for those born on the grid, else -1.
    """

    household: Ints
    role: Ints
    sex: Ints
    born: Floats
    schooling: Ints
    joins: Ints
    moves: Ints
    next_home: Ints
    next_role: Ints
    leaves: Ints
    mother: Ints

    def __len__(self) -> int:
        return len(self.household)

    def homes(self, first: int, last: int) -> Ints:
        """Home of each person in the months from `first` to before `last`, -1 for none; persons x months."""
        month = np.arange(first, last)[np.newaxis, :]
        home = np.where(month < self.moves[:, np.newaxis], self.household[:, np.newaxis], self.next_home[:, np.newaxis])
        present = (month >= self.joins[:, np.newaxis]) & (month < self.leaves[:, np.newaxis])
        return np.where(present, home, -1)

    def ages(self, first: int, last: int) -> Floats:
        """Age in years in the middle of the months from `first` to before `last`; persons x months."""
        return np.asarray((np.arange(first, last)[np.newaxis, :] + 0.5 - self.born[:, np.newaxis]) / 12.0)

    def copied(self) -> People:
        """The same people, to be changed apart."""
        return People(*(getattr(self, f.name).copy() for f in fields(People)))

    def added(self, newcomers: People) -> People:
        """These people and the newcomers after them."""
        return People(*(np.concatenate([getattr(self, f.name), getattr(newcomers, f.name)]) for f in fields(People)))


def age_band(age: Floats) -> Ints:
    """Index of the age band 0-17, 18-39, 40-59, 60-74, 75 and over."""
    return np.searchsorted(np.array(AGE_BANDS), age, side="right").astype(np.int64)


def populate(assumptions: Assumptions, grid: Grid, residence: Ints, ends: Ints, rng: np.random.Generator) -> People:
    """The people of a block of households and their plans.

    `residence` is 0 rural, 1 town, 2 city; `ends` the month in which the whole household leaves the county (`FAR`).
    """
    people = _founders(assumptions, residence, rng)
    people = _children_leave(people, assumptions, grid, residence, ends, rng)
    people = people.added(_parents_from_elsewhere(people, assumptions, grid, rng))
    people = people.added(_births(people, assumptions, grid, rng))
    last_home = np.where(people.next_home >= 0, people.next_home, people.household)
    people.leaves = np.minimum(people.leaves, ends[last_home])
    people.leaves = np.maximum(people.leaves, people.joins)
    return people


def _founders(assumptions: Assumptions, residence: Ints, rng: np.random.Generator) -> People:
    templates, n = assumptions.templates, len(residence)
    rural = drawn(rng, tuple(t.rural_share for t in templates), n)
    urban = drawn(rng, tuple(t.urban_share for t in templates), n)
    template = np.where(residence == 0, rural, urban)
    parts: list[tuple[Ints, Ints, Ints, Floats]] = []
    for index, kind in enumerate(templates):
        homes = np.flatnonzero(template == index)
        head_age = rng.uniform(*kind.head_age, len(homes))
        head_sex = np.where(rng.random(len(homes)) < kind.head_is_man, MAN, WOMAN)
        parts.append((homes, np.full(len(homes), HEAD), head_sex, head_age))
        for role, youngest, oldest in kind.members:
            age = np.maximum(head_age + rng.uniform(youngest, oldest, len(homes)), rng.uniform(0.1, 1.5, len(homes)))
            sex = (
                1 - head_sex
                if role == "spouse"
                else np.where(rng.random(len(homes)) < assumptions.boy_share, MAN, WOMAN)
            )
            parts.append((homes, np.full(len(homes), ROLE_NAMES.index(role)), sex, age))
    home, role_of, sex_of, age_of = (np.concatenate([part[i] for part in parts]) for i in range(4))
    order = np.lexsort((-age_of, role_of, home))
    home, role_of, sex_of, age_of = home[order], role_of[order], sex_of[order], age_of[order]
    return _arrivals(
        assumptions,
        rng,
        home.astype(np.int64),
        role_of,
        sex_of,
        -12.0 * age_of,
        np.full(len(home), JOINED_BEFORE),
        residence,
    )


def _arrivals(
    assumptions: Assumptions,
    rng: np.random.Generator,
    home: Ints,
    role: Ints,
    sex: Ints,
    born: Floats,
    joins: Ints,
    residence: Ints,
    mother: Ints | None = None,
) -> People:
    """People without plans yet, schooled as their cohort was."""
    n = len(home)
    cohort = np.searchsorted(-12.0 * np.array(assumptions.schooling_cohorts), born)
    schooling = np.select(
        [cohort == 0, cohort == 1],
        [drawn(rng, assumptions.schooling[0], n), drawn(rng, assumptions.schooling[1], n)],
        drawn(rng, assumptions.schooling[2], n),
    )
    lifted = (residence[home] > 0) & (rng.random(n) < assumptions.urban_schooling)
    return People(
        household=home,
        role=role.astype(np.int64),
        sex=sex.astype(np.int64),
        born=born,
        schooling=np.minimum(schooling + lifted, 3),
        joins=joins.astype(np.int64),
        moves=np.full(n, FAR, np.int64),
        next_home=np.full(n, -1, np.int64),
        next_role=np.full(n, -1, np.int64),
        leaves=np.full(n, FAR, np.int64),
        mother=np.full(n, -1, np.int64) if mother is None else mother,
    )


def _children_leave(
    people: People, assumptions: Assumptions, grid: Grid, residence: Ints, ends: Ints, rng: np.random.Generator
) -> People:
    """Grown children leave; some sons stay and bring home a wife, a daughter of the county or one from elsewhere."""
    n = len(people)
    mean, spread = assumptions.leaving_age
    age_now = -people.born / 12.0
    planned = np.clip(rng.normal(mean, spread, n), *assumptions.leaving_age_range)
    leaving_age = np.where(planned > age_now, planned, age_now + rng.uniform(*assumptions.late_leaving_years, n))
    month = np.floor(people.born + 12.0 * leaving_age).astype(np.int64)
    is_child = (people.role == CHILD) & (month < grid.reach)
    stays = (
        is_child & (people.sex == MAN) & (rng.random(n) < np.array(assumptions.son_stays)[residence[people.household]])
    )
    stays &= ends[people.household] == FAR
    goes = is_child & ~stays
    people.leaves = np.where(goes, month, people.leaves)
    brides = np.flatnonzero(goes & (people.sex == WOMAN) & (ends[people.household] == FAR))
    grooms = np.flatnonzero(stays)
    brides, grooms = brides[np.argsort(month[brides], kind="stable")], grooms[np.argsort(month[grooms], kind="stable")]
    pairs = min(len(brides), len(grooms))
    picked = np.sort(rng.permutation(len(brides))[:pairs])
    bride, groom = brides[picked], grooms[:pairs]
    near = (np.abs(month[bride] - month[groom]) <= 24) & (people.household[bride] != people.household[groom])
    bride, groom = bride[near], groom[near]
    people.moves[bride] = month[groom]
    people.next_home[bride] = people.household[groom]
    people.next_role[bride] = OTHER
    people.leaves[bride] = FAR
    alone = np.setdiff1d(grooms, groom)
    return people.added(
        _arrivals(
            assumptions,
            rng,
            people.household[alone],
            np.full(len(alone), OTHER),
            np.full(len(alone), WOMAN),
            people.born[alone] + 12.0 * rng.uniform(*assumptions.bride_younger, len(alone)),
            month[alone],
            residence,
        )
    )


def _parents_from_elsewhere(people: People, assumptions: Assumptions, grid: Grid, rng: np.random.Generator) -> People:
    couple = np.unique(people.household[(people.role == SPOUSE) & (people.born > -12.0 * 58)])
    couple = np.setdiff1d(couple, people.household[people.role == PARENT])
    share = float(monthly(assumptions.parent_joins_yearly)) * grid.reach
    home = couple[rng.random(len(couple)) < share]
    month = rng.integers(0, grid.reach, len(home))
    age = rng.uniform(*assumptions.joining_parent_age, len(home))
    sex = np.where(rng.random(len(home)) < assumptions.joining_mother_share, WOMAN, MAN)
    # They come from the country, where schooling ended early.
    residence = np.zeros(int(people.household.max()) + 1, np.int64)
    return _arrivals(
        assumptions, rng, home, np.full(len(home), PARENT), sex, np.asarray(month - 12.0 * age), month, residence
    )


def _births(people: People, assumptions: Assumptions, grid: Grid, rng: np.random.Generator) -> People:
    """Births to wives of an age for it, month by month, with a pause after each."""
    wives = np.flatnonzero((people.sex == WOMAN) & np.isin(people.role, (SPOUSE, HEAD, OTHER)))
    wives = wives[
        np.isin(people.household[wives], people.household[people.role == SPOUSE]) | (people.role[wives] == OTHER)
    ]
    bride = np.flatnonzero((people.sex == WOMAN) & (people.next_home >= 0))
    wives = np.concatenate([wives, bride])
    married_from = np.where(people.next_home[wives] >= 0, people.moves[wives], people.joins[wives]) + 9
    home = np.where(people.next_home[wives] >= 0, people.next_home[wives], people.household[wives])
    ready = np.maximum(married_from, 0)
    chance = float(monthly(assumptions.births_yearly))
    youngest, oldest = assumptions.mother_ages
    mothers: list[Ints] = []
    months: list[Ints] = []
    for month in range(grid.reach):
        age = (month - people.born[wives]) / 12.0
        able: Bools = (age >= youngest) & (age < oldest) & (ready <= month) & (people.leaves[wives] > month)
        born = np.flatnonzero(able & (rng.random(len(wives)) < chance))
        ready[born] = month + assumptions.birth_pause_months
        mothers.append(born)
        months.append(np.full(len(born), month))
    mother, month_of = np.concatenate(mothers), np.concatenate(months)
    n = len(mother)
    sex = np.where(rng.random(n) < assumptions.boy_share, MAN, WOMAN)
    role = np.where(people.role[wives[mother]] == OTHER, OTHER, CHILD)
    role = np.where(people.next_home[wives[mother]] >= 0, OTHER, role)
    # Nobody born on the grid leaves school on it, so where they grow up decides nothing yet.
    residence = np.zeros(int(people.household.max()) + 1, np.int64)
    return _arrivals(
        assumptions,
        rng,
        home[mother],
        role,
        sex,
        np.asarray(month_of + 0.01, np.float64),
        month_of,
        residence,
        mother=wives[mother],
    )
