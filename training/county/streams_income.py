"""Work and income: wages, pensions, farm sales, job losses with what follows them, injuries, arrears, training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.county.block import ORDINARY, Block
from training.county.chance import lognormal, monthly, rank_within
from training.county.grid import Bools, Floats, Ints
from training.county.ledger import Ledger
from training.county.standing import WORKING_AGE


@dataclass(frozen=True)
class Incomes:
    """What came in: realised monthly household income (households x months) and who worked (persons x months).

    `unregistered` are job losses nobody registered: persons, months of the loss, months without work.
    """

    household: Floats
    at_work: Bools
    unregistered: tuple[Ints, Ints, Ints]


def incomes(block: Block, ledger: Ledger) -> Incomes:
    """Enter all income and work events."""
    rng = block.chance.of("income")
    able = block.is_here & (block.age >= WORKING_AGE[0]) & (block.age < WORKING_AGE[1])
    able &= block.working.earns[:, np.newaxis]
    at_work = able.copy()
    unregistered = _job_losses(block, ledger, able, at_work, rng)
    _injuries(block, ledger, able, at_work, rng)
    _arrears(block, ledger, at_work, rng)
    wages = _wages(block, ledger, at_work, rng)
    pensions = _pensions(block, ledger, rng)
    farm = _farm(block, ledger, rng)
    _changes_of_work(block, ledger, at_work, rng)
    total = farm
    for amount in (wages, pensions):
        present = block.home >= 0
        cell = block.home * block.grid.simulated + np.arange(block.grid.simulated)
        total = total + np.bincount(cell[present], amount[present], total.size).reshape(total.shape)
    return Incomes(total, at_work, unregistered)


def _growth(block: Block) -> Floats:
    years = (np.arange(block.grid.simulated) - block.grid.warm_up) / 12.0
    return np.asarray((1.0 + block.assumptions.wage_growth) ** years)


def _stopped(person: Ints, month: Ints, length: Ints, of: Bools) -> None:
    """Clear `length` months from `month` on for each person."""
    at = np.repeat(np.arange(len(person)), length)
    when = month[at] + rank_within(at)
    inside = when < of.shape[1]
    of[person[at][inside], when[inside]] = False


def _job_losses(
    block: Block, ledger: Ledger, able: Bools, at_work: Bools, rng: np.random.Generator
) -> tuple[Ints, Ints, Ints]:
    """Each job loss takes an earner of the household who has work; months follow without it, then a new start.

    Returns person, month and length of the losses that nobody registered.
    """
    a, people = block.assumptions, block.people
    at = block.blows("job_loss")
    order = np.lexsort((block.shocks.month[at], block.shocks.household[at]))
    at = at[order]
    turn = rank_within(block.shocks.household[at])
    lengths = np.array(a.months_without_work)[np.searchsorted(a.sizes, block.shocks.size[at])]
    lengths = np.maximum(1, np.rint(lengths * rng.uniform(*a.months_without_work_range, len(at)))).astype(np.int64)
    for round_number in range(int(turn.max(initial=-1)) + 1):
        now = np.flatnonzero(turn == round_number)
        person = block.befallen(
            rng,
            at[now],
            lambda who, when: at_work[who, when] * np.array(a.job_loss_by_schooling)[people.schooling[who]],
        )
        block.befell[at[now]] = person
        hit, person = now[person >= 0], person[person >= 0]
        _stopped(person, block.shocks.month[at[hit]] + 1, lengths[hit] - 1, at_work)
    person = block.befell[at]
    registered = rng.random(len(at)) < a.unemployment_registered
    silent = np.flatnonzero((person >= 0) & ~registered)
    unregistered = person[silent], block.shocks.month[at[silent]], lengths[silent]
    hit = np.flatnonzero((person >= 0) & registered)
    person, month, length = person[hit], block.shocks.month[at[hit]], lengths[hit]
    ledger.add(
        "EMP//UNEMP",
        block.home_in(person, month),
        block.sometime(rng, month),
        person=person,
        value=rng.integers(1, 9, len(hit)).astype(np.float64),
    )
    _benefit(block, ledger, person, month, length, rng)
    back = month + length
    returns = block.home_in(person, back) >= 0
    returns &= able[person, np.minimum(back, able.shape[1] - 1)]
    ledger.add(
        "EMP//HIRE",
        np.where(returns, block.home_in(person, back), -1),
        block.grid.moment(back, ORDINARY[0]),
        person=person,
    )
    posted = np.flatnonzero(
        block.shocks.aided[at[hit]] & (block.places.residence[block.shocks.household[at[hit]]] == 0)
    )
    _public_posts(block, ledger, person[posted], month[posted], rng)
    trained = np.flatnonzero(block.shocks.aided[at[hit]] & (rng.random(len(hit)) < a.trained_after_loss))
    _training(block, ledger, person[trained], month[trained] + 2, rng)
    return unregistered


def _benefit(block: Block, ledger: Ledger, person: Ints, month: Ints, length: Ints, rng: np.random.Generator) -> None:
    """Unemployment benefit for those who were insured; the day it ends is known when it is granted."""
    a = block.assumptions
    insured = np.flatnonzero(block.working.is_formal[person])
    paid = np.minimum(length[insured], a.benefit_months)
    at = np.repeat(insured, paid)
    when = month[at] + 1 + rank_within(at)
    amount = a.unemployment_benefit * rng.uniform(0.9, 1.1, len(at))
    ledger.add(
        "EMP//UI_BENEFIT", block.home_in(person[at], when), block.sometime(rng, when), person=person[at], value=amount
    )
    exhausted = insured[length[insured] > a.benefit_months]
    end = month[exhausted] + a.benefit_months + 1
    ledger.add(
        "EMP//UI_END",
        block.home_in(person[exhausted], end),
        block.grid.moment(end, ORDINARY[0]),
        person=person[exhausted],
        value=float(a.benefit_months),
        known=block.grid.moment(month[exhausted] + 1, 0.5),
    )


def _public_posts(block: Block, ledger: Ledger, person: Ints, month: Ints, rng: np.random.Generator) -> None:
    """A public-welfare job for a year: the aid that follows a job loss in the country."""
    at = np.repeat(np.arange(len(person)), block.assumptions.public_post_months)
    when = month[at] + block.assumptions.aid_delay + rank_within(at)
    pay = lognormal(rng, block.assumptions.public_post, len(person))[at]
    ledger.add(
        "PRD//PUBLIC_POST", block.home_in(person[at], when), block.sometime(rng, when), person=person[at], value=pay
    )


def _training(block: Block, ledger: Ledger, person: Ints, month: Ints, rng: np.random.Generator) -> None:
    days = np.rint(rng.uniform(*block.assumptions.training_days, len(person)))
    ledger.add("EMP//TRAINING", block.home_in(person, month), block.sometime(rng, month), person=person, value=days)


def _injuries(block: Block, ledger: Ledger, able: Bools, at_work: Bools, rng: np.random.Generator) -> None:
    """Work injuries; the hospital's part of the story is in `streams_medical.py`."""
    at = block.blows("injury")
    person = block.befallen(rng, at, lambda who, when: at_work[who, when] + 0.01 * able[who, when])
    block.befell[at] = person
    at, person = at[person >= 0], person[person >= 0]
    size, month = block.shocks.size[at], block.shocks.month[at]
    a = block.assumptions
    grade = np.clip(np.rint(a.injury_grade[0] + a.injury_grade[1] * size + rng.normal(0, 1.0, len(at))), 1, 10)
    ledger.add("EMP//WORK_INJURY", block.home_in(person, month), block.sometime(rng, month), person=person, value=grade)
    _stopped(person, month + 1, np.rint(a.injured_months[0] + a.injured_months[1] * size).astype(np.int64), at_work)


def _arrears(block: Block, ledger: Ledger, at_work: Bools, rng: np.random.Generator) -> None:
    at = block.blows("arrears")
    person = block.befallen(rng, at, lambda who, when: at_work[who, when] * 1.0)
    block.befell[at] = person
    at, person = at[person >= 0], person[person >= 0]
    month = block.shocks.month[at]
    least, by_size = block.assumptions.months_owed
    owed = block.working.wage[person] * _growth(block)[month] * (least + by_size * block.shocks.size[at])
    ledger.add("EMP//ARREARS", block.home_in(person, month), block.sometime(rng, month), person=person, value=owed)


def _wages(block: Block, ledger: Ledger, at_work: Bools, rng: np.random.Generator) -> Floats:
    """Monthly wages. Only formal work reaches the wage records; what others earn nobody reports."""
    a, grid = block.assumptions, block.grid
    noise = np.exp(a.wage_month_noise * rng.standard_normal(at_work.shape))
    earned = np.where(at_work, block.working.wage[:, np.newaxis] * _growth(block) * noise, 0.0)
    day_of_pay = rng.uniform(0.15, 0.95, len(block.people))
    person, month = np.nonzero(at_work & block.working.is_formal[:, np.newaxis])
    ledger.add(
        "EMP//WAGE",
        block.home[person, month],
        grid.moment(month, day_of_pay[person]),
        person=person,
        value=earned[person, month],
    )
    return earned


def _pensions(block: Block, ledger: Ledger, rng: np.random.Generator) -> Floats:
    a = block.assumptions
    drawing = block.is_here & (block.age >= WORKING_AGE[1]) & (block.working.pension > 0)[:, np.newaxis]
    at = block.blows("pension_stop")
    person = block.befallen(rng, at, lambda who, when: drawing[who, when] * 1.0)
    block.befell[at] = person
    at, person = at[person >= 0], person[person >= 0]
    month = block.shocks.month[at]
    ledger.add("SSI//PENSION_STOP", block.home_in(person, month), block.sometime(rng, month), person=person)
    _stopped(
        person,
        month,
        np.rint(a.pension_stop_months[0] + a.pension_stop_months[1] * block.shocks.size[at]).astype(np.int64),
        drawing,
    )
    amount = np.where(drawing, block.working.pension[:, np.newaxis] * _growth(block), 0.0)
    who, when = np.nonzero(drawing)
    day_of_pay = rng.uniform(0.2, 0.6, len(block.people))
    ledger.add(
        "SSI//PENSION",
        block.home[who, when],
        block.grid.moment(when, day_of_pay[who]),
        person=who,
        value=amount[who, when],
    )
    return amount


def _farm(block: Block, ledger: Ledger, rng: np.random.Generator) -> Floats:
    """Sales at harvest, less after losses and bad markets; rent for land; livestock."""
    a, grid, n = block.assumptions, block.grid, block.n
    yearly = block.places.farm[:, np.newaxis] * _growth(block)
    for kind, hit in (("crop_loss", a.crop_lost), ("market", a.market_lost)):
        at = block.blows(kind)
        kept = np.ones((n, grid.simulated + 12))
        for later in range(12):
            kept[block.shocks.household[at], block.shocks.month[at] + later] *= np.maximum(
                1.0 - hit * block.shocks.size[at], 0.05
            )
        yearly = yearly * kept[:, : grid.simulated]
    calendar, lived = grid.calendar()[: grid.simulated], block.members > 0
    for month, share in a.harvests:
        household, when = np.nonzero((calendar == month) & (yearly > 0) & lived)
        amount = share * yearly[household, when] * np.exp(a.sales_noise * rng.standard_normal(len(when)))
        ledger.add("PRD//SALES", household, block.sometime(rng, when), value=amount)
    farms = block.places.farm > 0
    lets, herds = farms & (rng.random(n) < a.land_let_share), farms & (rng.random(n) < a.herd_share)
    household, when = np.nonzero((calendar == 10) & lets[:, np.newaxis] & lived)
    rent = lognormal(rng, a.land_rent, n)
    ledger.add("PRD//LAND_TRANSFER", household, block.sometime(rng, when), value=rent[household])
    household, when = np.nonzero(np.isin(calendar, (0, 8)) & herds[:, np.newaxis] & lived)
    ledger.add(
        "PRD//HERD_SALE",
        household,
        block.sometime(rng, when),
        value=np.rint(rng.gamma(2.0, a.herd_heads / 2.0, len(when)) + 1),
    )
    return np.asarray(yearly / 12.0)


def _changes_of_work(block: Block, ledger: Ledger, at_work: Bools, rng: np.random.Generator) -> None:
    """New jobs without a loss before them, first jobs, and training that follows no loss."""
    a = block.assumptions
    formal = block.working.is_formal[:, np.newaxis]
    changes = at_work & formal & (rng.random(at_work.shape, np.float32) < monthly(a.job_change_yearly))
    first = at_work & formal & (block.age < WORKING_AGE[0] + 1.0 / 12.0)
    person, month = np.nonzero(changes | first)
    ledger.add("EMP//HIRE", block.home[person, month], block.sometime(rng, month), person=person)
    adults = block.is_here & (block.age >= 18.0) & (block.age < 58.0)
    person, month = np.nonzero(adults & (rng.random(at_work.shape, np.float32) < monthly(a.training_yearly)))
    _training(block, ledger, person, month, rng)
