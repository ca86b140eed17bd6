"""What is settled about each household from the start: place, land, income to expect, conditions on record, visibility.

`Standing` holds households, `Working` their people's work. `composition` counts who lives together in every month,
which is what vulnerability and exposure are made of.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from training.county.assumptions import Assumptions
from training.county.chance import drawn, lognormal, monthly
from training.county.grid import FAR, Bools, Floats, Grid, Ints
from training.county.people import CHILD, HEAD, OTHER, SPOUSE, WOMAN, People, age_band

WELL_SEEN, THINLY_SEEN, SILENT = range(3)
VISIBILITY = ("full", "thin", "none")
WORKING_AGE = (18.0, 60.0)


@dataclass(frozen=True)
class Places:
    """Where the households of a block live.

    `ends` is the month in which a household leaves the county, else `FAR`; `dies_out` says that it ends by the death
    of the only one who lived there.
    """

    residence: Ints
    township: Ints
    minority: Bools
    migrant: Bools
    farm: Floats
    ends: Ints
    dies_out: Bools


@dataclass(frozen=True)
class Working:
    """People's work: whether they earn, whether records show it, monthly wage and pension at 2019 prices."""

    earns: Bools
    is_formal: Bools
    wage: Floats
    pension: Floats
    disabled: Bools
    chronic: Bools


@dataclass(frozen=True)
class Composition:
    """Counts by household and month; `income` is the expected monthly income per head at the prices of the start."""

    members: Floats
    children: Floats
    elders: Floats
    adults: Floats
    earners: Floats
    working_age: Floats
    low_schooling: Floats
    disabled: Floats
    chronic: Floats
    income: Floats
    by_band: Floats
    couples: Floats
    teenagers: Floats
    turning_18: Floats
    pensioners: Floats
    earner_risk: Floats
    mortality: Floats


@dataclass(frozen=True)
class Standing:
    """Attributes that stay: hardship history, savings, how well departments see the household, unobserved frailty."""

    formerly_poor: Bools
    low_buffer: Bools
    visibility: Ints
    frailty: Floats


def settle(assumptions: Assumptions, grid: Grid, n: int, rng: np.random.Generator) -> Places:
    """Draw where n households live and which of them move away one day."""
    residence = drawn(rng, assumptions.residence_shares, n)
    count = np.array(assumptions.townships)
    offset = np.concatenate([[0], np.cumsum(count)[:-1]])
    township = offset[residence] + np.floor(rng.random(n) * count[residence]).astype(np.int64)
    farms = rng.random(n) < np.array(assumptions.farm_shares)[residence]
    # Some townships are home to a minority, most to few of them.
    is_minority_town = township % 5 == 2
    minority = rng.random(n) < assumptions.minority_share * np.where(
        is_minority_town, *assumptions.minority_by_township
    )
    moves = rng.random(n) < monthly(assumptions.moves_away_yearly) * grid.reach
    ends = np.where(moves, rng.integers(0, grid.reach, n), FAR)
    migrant = rng.random(n) < np.array(assumptions.migrant_shares)[residence]
    farm = np.where(farms, lognormal(rng, assumptions.farm_income, n), 0.0)
    return Places(residence, township, minority, migrant, farm, ends, np.zeros(n, np.bool_))


def with_last_deaths(
    assumptions: Assumptions, grid: Grid, people: People, places: Places, rng: np.random.Generator
) -> Places:
    """Let people over 60 who live alone for good die in their time; their households end with them.

    These deaths are apart from the blows: they end the observation and say nothing about the hazard before.
    """
    n = len(places.ends)
    alone = np.bincount(people.household, minlength=n) == 1
    alone[people.next_home[people.next_home >= 0]] = False
    who = np.flatnonzero(alone[people.household] & (people.born < -12.0 * 60) & (people.next_home < 0))
    yearly = mortality(assumptions, people.ages(0, grid.reach)[who])
    due = np.cumsum(yearly / 12.0, axis=1) >= rng.exponential(size=len(who))[:, np.newaxis]
    month = np.where(due.any(axis=1), due.argmax(axis=1), FAR)
    home = people.household[who]
    dies_out = np.zeros(n, np.bool_)
    dies_out[home] = month < places.ends[home]
    ends = places.ends.copy()
    ends[home] = np.minimum(ends[home], month)
    people.leaves[who] = np.minimum(people.leaves[who], month)
    return replace(places, ends=ends, dies_out=dies_out)


def employ(assumptions: Assumptions, people: People, places: Places, rng: np.random.Generator) -> Working:
    """Draw everyone's work and the conditions on record at the start.

    Minority people's work reaches the wage records less often: a known difference in what is seen, not in risk.
    """
    n, residence = len(people), places.residence[people.household]
    band = age_band(-people.born / 12.0)
    earns = rng.random(n) < np.array(assumptions.works_shares)[people.schooling]
    formal = np.array(assumptions.formal_shares)[people.schooling] + assumptions.formal_urban_bonus * (residence > 0)
    is_formal = rng.random(n) < formal * np.where(
        places.minority[people.household], assumptions.formal_if_minority, 1.0
    )
    wage = np.array(assumptions.wages)[people.schooling] * np.array(assumptions.wage_by_residence)[residence]
    wage = wage * np.exp(assumptions.wage_spread * rng.standard_normal(n))
    has_residents = rng.random(n) < assumptions.residents_pension_share
    employees = earns & is_formal & (people.schooling > 0)
    pension = np.where(
        employees, assumptions.employees_pension_share * wage, assumptions.residents_pension * has_residents
    )
    on_grid = people.joins < 0
    disabled = on_grid & (rng.random(n) < np.array(assumptions.disabled_by_age)[band])
    chronic = on_grid & (rng.random(n) < np.array(assumptions.chronic_by_age_at_start)[band])
    return Working(earns & ~disabled, is_formal, wage, pension, disabled, chronic)


def composition(
    assumptions: Assumptions, people: People, home: Ints, age: Floats, working: Working, places: Places
) -> Composition:
    """Count the people of every household in the months of `home` and `age` (persons x months)."""
    n, months = len(places.residence), home.shape[1]
    present = home >= 0
    cell = np.where(present, home * months + np.arange(months), 0)

    def counted(weight: Floats | Bools) -> Floats:
        spread = np.broadcast_to(weight, home.shape)
        total = np.bincount(cell[present], spread[present].astype(np.float64), n * months)
        return np.asarray(total.reshape(n, months), np.float64)

    def each(of_person: Floats | Bools | Ints) -> Floats:
        return np.asarray(of_person, np.float64)[:, np.newaxis]

    is_working_age = (age >= WORKING_AGE[0]) & (age < WORKING_AGE[1])
    earning = is_working_age & working.earns[:, np.newaxis]
    retired = age >= WORKING_AGE[1]
    members = counted(each(np.ones(len(people))))
    income = counted(earning * each(working.wage) + retired * each(working.pension))
    bands = age_band(age)
    partner = (people.role == SPOUSE) | (people.next_home >= 0)
    married_in = (people.role == OTHER) & (people.sex == WOMAN) & (people.mother < 0) & (people.joins >= 0)
    return Composition(
        members=members,
        children=counted(age < 16),
        elders=counted(age >= 60),
        adults=counted(age >= WORKING_AGE[0]),
        earners=counted(earning),
        working_age=counted(is_working_age),
        low_schooling=counted(earning * each(people.schooling == 0)),
        disabled=counted(each(working.disabled)),
        chronic=counted(each(working.chronic)),
        income=(income + places.farm[:, np.newaxis] / 12.0) / np.maximum(members, 1.0),
        by_band=np.stack([counted(bands == band) for band in range(5)]),
        couples=np.minimum(counted(each(partner | married_in) * (age < 70)), 1.0),
        teenagers=counted((age >= 12) & (age < 17) & np.isin(people.role, (CHILD, OTHER))[:, np.newaxis]),
        turning_18=counted(
            (age >= 18) & (age < 19) & (np.isin(people.role, (CHILD, OTHER)) & (people.schooling >= 2))[:, np.newaxis]
        ),
        pensioners=counted(retired & (working.pension > 0)[:, np.newaxis]),
        earner_risk=counted(earning * each(np.array(assumptions.job_loss_by_schooling)[people.schooling])),
        mortality=counted(mortality(assumptions, age)),
    )


def joined_up(parts: list[Composition]) -> Composition:
    """Consecutive stretches of months as one."""
    whole = {f.name: np.concatenate([getattr(part, f.name) for part in parts], axis=-1) for f in fields(Composition)}
    return Composition(**whole)


def mortality(assumptions: Assumptions, age: Floats) -> Floats:
    """Yearly mortality at an age."""
    risen = assumptions.mortality_at_60 * np.exp(assumptions.mortality_growth * (np.minimum(age, 95.0) - 60.0))
    return np.asarray(np.maximum(risen, assumptions.mortality_floor))


def stand(
    assumptions: Assumptions, composed: Composition, places: Places, people: People, rng: np.random.Generator
) -> Standing:
    """Draw hardship history, savings, visibility and frailty; the poorer and rural are more often formerly poor."""
    n = len(places.residence)
    gap = log_income(assumptions, composed)[:, 0]
    by_income, by_place, by_disability = assumptions.formerly_poor_pull
    pull = np.exp(by_income * gap + by_place * (places.residence == 0) + by_disability * (composed.disabled[:, 0] > 0))
    head_age = np.zeros(n)
    heads = people.role == HEAD
    head_age[people.household[heads]] = -people.born[heads] / 12.0
    of_minority, of_migrants, of_old = assumptions.hidden_pull
    hidden = np.exp(of_minority * places.minority + of_migrants * places.migrant + of_old * (head_age >= 65))
    draw = rng.random(n)
    silent_below = assumptions.silent_share * hidden / hidden.mean()
    thin_below = silent_below + assumptions.thin_share * hidden / hidden.mean()
    visibility = np.select([draw < silent_below, draw < thin_below], [SILENT, THINLY_SEEN], WELL_SEEN)
    share = np.clip(assumptions.formerly_poor_share * pull / pull.mean(), 0.0, 0.8)
    # Whoever was registered as poor has been met by the administration, so is not silent.
    formerly = (rng.random(n) < share) & (visibility != SILENT)
    low = gap + assumptions.buffer_noise * rng.standard_normal(n) < assumptions.buffer_from
    return Standing(formerly, low, visibility.astype(np.int64), assumptions.frailty_spread * rng.standard_normal(n))


def log_income(assumptions: Assumptions, composed: Composition) -> Floats:
    """Expected income per head against the reference, on the log scale, held to a range."""
    ratio = np.maximum(composed.income, 1.0) / assumptions.reference_income
    return np.asarray(np.clip(np.log(ratio), -assumptions.income_range, assumptions.income_range))


def elders_only(composed: Composition) -> Bools:
    """Households of people over 60 alone."""
    return np.asarray((composed.elders > 0) & (composed.elders >= composed.members))
