"""Visits by the township and the village: what visitors find, whom they report, how they judge living conditions."""

from __future__ import annotations

import numpy as np

from features.window import MICROS_PER_DAY
from training.county.aftermath import aftermath
from training.county.block import Block
from training.county.chance import monthly
from training.county.grid import SECOND, Bools, Ints
from training.county.ledger import Ledger
from training.county.standing import WORKING_AGE, elders_only, log_income
from training.county.streams_home import Homes
from training.county.streams_income import Incomes

# Blows that a neighbour notices.
VISIBLE = ("illness", "disability", "house_loss", "fire", "death", "missing", "job_loss", "injury", "divorce")


def visits(block: Block, ledger: Ledger, homes: Homes, earned: Incomes, chronic: Bools, severe: Bools) -> None:
    """Enter visits, alerts and judgements of living conditions and digital ability."""
    t = block.assumptions.traces
    rng = block.chance.of("GRD//VISIT")
    ordinary, alone, formerly, listed = t.visited
    simulated = block.grid.simulated
    yearly = np.select(
        [block.course.in_status, np.repeat(block.standing.formerly_poor[:, np.newaxis], simulated, axis=1)],
        [listed, formerly],
        np.where(elders_only(block.composed)[:, :simulated], alone, ordinary),
    )
    household, month = np.nonzero((rng.random(yearly.shape, np.float32) < monthly(yearly)) & (block.members > 0))
    finding = np.searchsorted(t.finding_from, block.course.intensity[household, month]).astype(np.float64)
    moment = block.sometime(rng, month)
    ledger.add("GRD//VISIT", household, moment, value=finding)
    _alerts(block, ledger)
    rng = block.chance.of("GRD//LIVING")
    year = household * (simulated // 12 + 1) + month // 12
    judged = np.unique(year, return_index=True)[1]
    judged = judged[rng.random(len(judged)) < t.living_share]
    items = _items(block, homes, earned, chronic, severe)
    bits = items[:, household[judged], month[judged]]
    bits ^= rng.random(bits.shape) < t.misread_share
    value = (bits * (1 << np.arange(len(items)))[:, np.newaxis]).sum(axis=0)
    ledger.add("GRD//LIVING", household[judged], moment[judged], value=value.astype(np.float64))
    _digital(block, ledger, household, month, moment)


def _alerts(block: Block, ledger: Ledger) -> None:
    """An alert is raised on a visit made for it, soon after a blow that neighbours notice."""
    t = block.assumptions.traces
    rng = block.chance.of("GRD//RISK_FLAG")
    seen = aftermath(block, rng, VISIBLE, t.flagged_after, t.flagged_months)
    severity = 1.0 + np.searchsorted(block.assumptions.sizes, seen.size)
    moment = block.sometime(rng, seen.month)
    ledger.add("GRD//RISK_FLAG", seen.household, moment, value=severity)
    ledger.add("GRD//VISIT", seen.household, moment - MICROS_PER_DAY // 24 // SECOND * SECOND, value=severity)


def _items(block: Block, homes: Homes, earned: Incomes, chronic: Bools, severe: Bools) -> Bools:
    """The ten deprivations of every household in every month, as they are; items x households x months."""
    a, simulated = block.assumptions, block.grid.simulated
    composed, age, people = block.composed, block.age, block.people
    gap = log_income(a, composed)[:, :simulated]
    working_age, children = composed.working_age[:, :simulated], composed.children[:, :simulated]
    adult = (age >= WORKING_AGE[0]) & (age < WORKING_AGE[1])
    schooled = block.counted(adult & (people.schooling > 0)[:, np.newaxis])
    pensioned = (block.working.pension > 0)[:, np.newaxis]
    unpensioned = block.counted((age >= WORKING_AGE[1]) & ~pensioned)
    at_work = block.counted(earned.at_work)
    recently_ill = _since(block, "illness", a.traces.remembered_months)
    return np.stack(
        [
            (gap < a.buffer_from) | (block.course.in_status & (gap < 0)),
            homes.unsafe,
            recently_ill | (block.counted(chronic & block.is_here) >= 2),
            block.counted(severe & block.is_here) > 0,
            _since(block, "dropout", a.traces.remembered_months) | ((working_age > 0) & (schooled == 0)),
            (working_age > 0) & (at_work == 0),
            unpensioned > 0,
            elders_only(composed)[:, :simulated] & (block.counted(age >= 75.0) > 0),
            (children >= 2) & (at_work <= 1),
            (children >= 1) & (working_age == 0),
        ]
    )


def _since(block: Block, kind: str, months: int) -> Bools:
    """Whether a blow of a kind fell within so many months before; households x months."""
    at = block.blows(kind)
    struck = np.zeros((block.n, block.grid.simulated + 1), np.int64)
    month = block.shocks.month[at]
    np.add.at(struck, (block.shocks.household[at], month), 1)
    np.add.at(struck, (block.shocks.household[at], np.minimum(month + months, block.grid.simulated)), -1)
    return np.asarray(np.cumsum(struck, axis=1)[:, :-1] > 0)


def _digital(block: Block, ledger: Ledger, household: Ints, month: Ints, moment: Ints) -> None:
    """On some visits every adult is asked how they get on with a phone."""
    t, people = block.assumptions.traces, block.people
    rng = block.chance.of("GRD//DIGITAL")
    at_45, by_decade, by_schooling, spread = t.digital
    own = spread * rng.standard_normal(len(people))
    asked = np.flatnonzero(rng.random(len(household)) < t.digital_share)
    at, person = block.residents.of(household[asked], month[asked])
    when = month[asked][at]
    adult = block.is_here[person, when] & (block.age[person, when] >= 18.0)
    at, person, when = at[adult], person[adult], when[adult]
    ability = at_45 + by_decade * (block.age[person, when] - 45.0) / 10.0 + by_schooling * people.schooling[person]
    value = np.clip(np.rint(ability + own[person]), 0.0, 3.0)
    ledger.add("GRD//DIGITAL", household[asked][at], moment[asked][at], person=person, value=value)
