"""School: enrolment each September, fees twice a year, admissions, dropout, student aid and its end."""

from __future__ import annotations

import numpy as np

from training.county.block import Block
from training.county.chance import drawn, lognormal, rank_within
from training.county.grid import FAR, Ints
from training.county.ledger import Ledger

NO_STAGE, NURSERY, PRIMARY, JUNIOR, SENIOR, HIGHER = range(6)
STAGE_FROM_AGE = (3.0, 6.0, 12.0, 15.0, 18.0)
AUGUST, SEPTEMBER, OCTOBER, FEBRUARY = 7, 8, 9, 1


def education(block: Block, ledger: Ledger) -> None:
    """Enter all education events."""
    rng = block.chance.of("education")
    stage = _stages(block, ledger, rng)
    calendar = block.grid.calendar()[: block.grid.simulated]
    a = block.assumptions
    person, month = np.nonzero((stage > NO_STAGE) & (calendar == SEPTEMBER))
    ledger.add(
        "EDU//ENROL",
        block.home[person, month],
        block.sometime(rng, month),
        person=person,
        value=stage[person, month].astype(np.float64),
    )
    level = np.exp(a.fee_spread * rng.standard_normal(len(block.people)))
    person, month = np.nonzero((stage > NO_STAGE) & np.isin(calendar, (FEBRUARY, SEPTEMBER)))
    fee = np.array((0.0, *a.fees))[stage[person, month]] * level[person]
    charged = np.flatnonzero((fee > 0) & (rng.random(len(fee)) < a.fee_recorded))
    ledger.add(
        "EDU//FEE",
        block.home[person, month][charged],
        block.sometime(rng, month[charged]),
        person=person[charged],
        value=fee[charged],
    )
    _student_aid(block, ledger, stage, rng)


def _stages(block: Block, ledger: Ledger, rng: np.random.Generator) -> Ints:
    """School stage of everyone in each month; dropouts and those not admitted attend none."""
    people, grid = block.people, block.grid
    months = np.arange(grid.simulated)
    # School years turn in September: a stage is decided by the age on the first of September before.
    september = months - (months - SEPTEMBER) % 12
    age = (september[np.newaxis, :] + 0.5 - people.born[:, np.newaxis]) / 12.0
    stage = np.searchsorted(np.array(STAGE_FROM_AGE), age, side="right")
    stage = np.where((stage == SENIOR) & (people.schooling < 1)[:, np.newaxis], NO_STAGE, stage)
    stage = np.where((age >= 22.0) | ~block.is_here, NO_STAGE, stage)
    admitted = _admissions(block, ledger, rng)
    # Those who were of student age before the grid began study if they were schooled that far.
    older = people.born < -12.0 * 18.0
    studies = np.where(older & (people.schooling == 3), 0, admitted)
    stage = np.where((stage == HIGHER) & (months[np.newaxis, :] < studies[:, np.newaxis]), NO_STAGE, stage)
    _dropouts(block, ledger, stage, rng)
    return stage


def _admissions(block: Block, ledger: Ledger, rng: np.random.Generator) -> Ints:
    """Month of admission to higher education, `FAR` without one. Each admission blow is one young person's."""
    a, people = block.assumptions, block.people
    admitted = np.full(len(people), FAR, np.int64)
    at = block.blows("admission")
    person = block.befallen(
        rng,
        at,
        lambda who, when: (
            ((block.age[who, when] >= 18.0) & (block.age[who, when] < 19.0) & (people.schooling[who] >= 2)) * 1.0
        ),
    )
    block.befell[at] = person
    at, person = at[person >= 0], person[person >= 0]
    month = block.shocks.month[at]
    admitted[person] = month
    cost = lognormal(rng, a.admission_cost, len(at)) * np.sqrt(block.shocks.size[at])
    ledger.add("EDU//ADMIT_HE", block.home_in(person, month), block.sometime(rng, month), person=person, value=cost)
    return admitted


def _dropouts(block: Block, ledger: Ledger, stage: Ints, rng: np.random.Generator) -> None:
    """A dropout stays away from school for months or for good."""
    at = block.blows("dropout")
    attends = stage > NO_STAGE
    person = block.befallen(
        rng,
        at,
        lambda who, when: ((block.age[who, when] >= 12.0) & (block.age[who, when] < 17.0) & attends[who, when]) * 1.0,
    )
    block.befell[at] = person
    at, person = at[person >= 0], person[person >= 0]
    month, size = block.shocks.month[at], block.shocks.size[at]
    a = block.assumptions
    days = np.rint(np.clip(a.dropout_days * size * rng.uniform(0.7, 1.5, len(at)), 10, 300))
    ledger.add("EDU//DROPOUT", block.home_in(person, month), block.sometime(rng, month), person=person, value=days)
    # The gravest dropouts do not return while they are of school age.
    away = np.where(size >= max(a.sizes), 60, np.rint(a.dropout_months[0] + a.dropout_months[1] * size)).astype(
        np.int64
    )
    row = np.repeat(np.arange(len(at)), away)
    when = month[row] + 1 + rank_within(row)
    inside = when < stage.shape[1]
    stage[person[row][inside], when[inside]] = NO_STAGE


def _student_aid(block: Block, ledger: Ledger, stage: Ints, rng: np.random.Generator) -> None:
    """Aid grades each October for pupils of households in or after hardship; some end in spring."""
    a, grid = block.assumptions, block.grid
    calendar = grid.calendar()[: grid.simulated]
    person, month = np.nonzero((stage >= PRIMARY) & (calendar == OCTOBER))
    home = block.home[person, month]
    poor = block.standing.formerly_poor[home] | block.course.in_status[home, month]
    granted = np.flatnonzero(rng.random(len(person)) < np.where(poor, *a.student_aid_shares))
    grade = 1 + np.where(poor[granted], *(drawn(rng, shares, len(granted)) for shares in a.student_aid_grades))
    ledger.add(
        "EDU//AID_GRADE",
        home[granted],
        block.sometime(rng, month[granted]),
        person=person[granted],
        value=grade.astype(np.float64),
    )
    stopped = granted[rng.random(len(granted)) < a.aid_stops_yearly]
    spring = month[stopped] + 5
    ledger.add(
        "EDU//AID_STOP", block.home_in(person[stopped], spring), block.sometime(rng, spring), person=person[stopped]
    )
