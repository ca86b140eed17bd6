"""The dwelling and its bills: unsafe homes, rents and rent support, unpaid bills, cut-offs, failing water."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.county.aftermath import INCOME_LOSSES, Aftermath, aftermath, at_any_time, traced
from training.county.block import Block
from training.county.chance import lognormal, monthly, rank_within
from training.county.grid import Bools, Floats, Ints
from training.county.ledger import Ledger

SAFE, UNSAFE, WORST = 1.0, 3.0, 4.0


@dataclass(frozen=True)
class Homes:
    """Which homes are on record as unsafe (households x months), and who applied for the rent subsidy when."""

    unsafe: Bools
    applicants: Aftermath


def home(block: Block, ledger: Ledger) -> Homes:
    """Enter all events about dwellings, rents, bills and water."""
    unsafe = _dangers(block, ledger)
    _leases(block, ledger)
    applicants = _rent_support(block, ledger)
    _bills(block, ledger)
    _water(block, ledger)
    return Homes(unsafe, applicants)


def _dangers(block: Block, ledger: Ledger) -> Bools:
    """Rural homes are surveyed once, others after damage; an unsafe one is repaired a year or so later."""
    t, grid = block.assumptions.traces, block.grid
    rng = block.chance.of("HSG//DANGER")
    poor = block.standing.low_buffer | block.standing.formerly_poor
    draw, rural = rng.random(block.n), block.places.residence == 0
    below = t.unsafe_share * np.where(poor, t.unsafe_if_poor, 1.0)
    surveyed = np.flatnonzero(rural & (draw < below + t.safe_share))
    grade = np.where(rng.random(len(surveyed)) < t.worst_share, WORST, UNSAFE)
    grade = np.where(draw[surveyed] < below[surveyed], grade, SAFE + rng.integers(0, 2, len(surveyed)))
    month = rng.integers(0, t.survey_months, len(surveyed))
    damaged = aftermath(block, rng, ("house_loss",), t.surveyed_after_loss, t.surveyed_months)
    by_size = np.array(t.grades_after_loss)[np.searchsorted(block.assumptions.sizes, damaged.size)]
    household = np.concatenate([surveyed, damaged.household])
    month = np.concatenate([month, damaged.month])
    grade = np.concatenate([grade, by_size.astype(np.float64)])
    there = np.where(block.lived_in(household, month), household, -1)
    ledger.add("HSG//DANGER", there, block.sometime(rng, month), value=grade)
    repaired = month + rng.integers(*t.repaired_months, len(month), endpoint=True)
    is_repaired = (grade >= UNSAFE) & (rng.random(len(month)) < t.repaired_share)
    lives_on = is_repaired & block.lived_in(household, repaired)
    ledger.add("HSG//DANGER", np.where(lives_on, household, -1), block.sometime(rng, repaired), value=SAFE)
    unsafe = np.zeros((block.n, grid.simulated), np.bool_)
    bad = np.flatnonzero((grade >= UNSAFE) & (there >= 0))
    for row in bad:
        unsafe[household[row], month[row] : repaired[row] if is_repaired[row] else grid.simulated] = True
    return unsafe


def _leases(block: Block, ledger: Ledger) -> None:
    """Monthly rents of leases filed with the housing office; some run all the time, others for a while."""
    t, places = block.assumptions.traces, block.places
    rng = block.chance.of("HSG//RENT")
    share = np.where(
        places.migrant, *(np.array(s)[places.residence] for s in (t.leased_by_migrants, t.leased_by_others))
    )
    tenant = np.flatnonzero(rng.random(block.n) < share)
    throughout = rng.random(len(tenant)) < t.leased_throughout
    begin = np.where(throughout, 0, rng.integers(0, block.grid.simulated, len(tenant)))
    length = np.where(throughout, block.grid.simulated, rng.integers(*t.lease_months, len(tenant)))
    rent = lognormal(rng, t.rent, len(tenant))
    _monthly(block, ledger, "HSG//RENT", tenant, begin, length, np.rint(rent / 10) * 10, rng)


def _rent_support(block: Block, ledger: Ledger) -> Aftermath:
    """Applications for the rent subsidy, the subsidy itself, and arrears of those who have it."""
    a, t = block.assumptions, block.assumptions.traces
    rng = block.chance.of("HSG//RENT_SUB")
    supported, poor, others = t.housing_applies
    yearly = np.where(
        block.course.in_status, supported, np.where(block.standing.low_buffer, poor, others)[:, np.newaxis]
    )
    yearly = yearly * ((block.places.residence > 0) & (block.standing.visibility < 2))[:, np.newaxis]
    applied = at_any_time(block, rng, yearly)
    # Whoever asked once does not ask again.
    applied = applied.taken(np.flatnonzero(rank_within(applied.household) == 0))
    granted = rng.random(len(applied)) < t.rent_subsidy_share
    tenant, begin = applied.household[granted], applied.month[granted] + a.aid_delay
    length = rng.integers(*t.rent_subsidy_months, len(tenant))
    amount = np.rint(lognormal(rng, t.rent_subsidy, len(tenant)) / 5) * 5
    _monthly(block, ledger, "HSG//RENT_SUB", tenant, begin, length, amount, rng)
    since = np.full(block.n, block.grid.simulated, np.int64)
    since[tenant] = begin
    rng = block.chance.of("HSG//RENT_ARREARS")
    owing = traced(block, rng, t.rent_arrears, INCOME_LOSSES)
    owing = owing.taken(np.flatnonzero(owing.month > since[owing.household] + 2))
    owed = lognormal(rng, t.rent_owed, len(owing)) * owing.size
    ledger.add("HSG//RENT_ARREARS", owing.household, block.sometime(rng, owing.month), value=owed)
    return applied


def _monthly(
    block: Block, ledger: Ledger, code: str, household: Ints, begin: Ints, length: Ints, amount: Floats,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """One payment a month from `begin` on, on one day of the month, as long as somebody lives there."""
    row = np.repeat(np.arange(len(household)), length)
    month = begin[row] + rank_within(row)
    kept = np.flatnonzero(block.lived_in(household[row], month))
    row, month = row[kept], month[kept]
    day = rng.uniform(0.1, 0.9, len(household))
    ledger.add(code, household[row], block.grid.moment(month, day[row]), value=amount[row])


def _bills(block: Block, ledger: Ledger) -> None:
    """Unpaid bills after losses of income; some end in a cut-off the month after."""
    t = block.assumptions.traces
    rng = block.chance.of("UTL//ARREARS")
    unpaid = traced(block, rng, t.bills_unpaid, INCOME_LOSSES, if_low_buffer=t.bills_if_low_buffer)
    owed = lognormal(rng, t.bill, len(unpaid)) * unpaid.size
    ledger.add("UTL//ARREARS", unpaid.household, block.sometime(rng, unpaid.month), value=owed)
    rng = block.chance.of("UTL//CUTOFF")
    cut = unpaid.taken(np.flatnonzero(rng.random(len(unpaid)) < t.cut_off_share)).later(block, rng, t.cut_off_months)
    days = np.ceil(lognormal(rng, t.cut_off_days, len(cut)))
    ledger.add("UTL//CUTOFF", cut.household, block.sometime(rng, cut.month), value=days)


def _water(block: Block, ledger: Ledger) -> None:
    """Failures that come over a rural township and hit part of it, and single ones."""
    t, grid = block.assumptions.traces, block.grid
    over = block.chance.of_county("water")
    rural = block.assumptions.townships[0]
    fails = over.random((rural, grid.simulated)) < monthly(t.water_fails)
    days = lognormal(over, t.water_days, fails.size).reshape(fails.shape)
    begins = over.uniform(0.1, 0.8, fails.shape)
    rng = block.chance.of("WTR//OUTAGE")
    lives_rural = np.flatnonzero(block.places.residence == 0)
    there = fails[block.places.township[lives_rural]]
    hit, month = np.nonzero(there & (rng.random(there.shape, np.float32) < t.water_hit_share))
    household = lives_rural[hit]
    household, month = (each[block.lived_in(household, month)] for each in (household, month))
    township = block.places.township[household]
    moment = grid.moment(month, begins[township, month])
    ledger.add("WTR//OUTAGE", household, moment, value=np.clip(np.rint(days[township, month]), 1, t.water_longest))
    alone = at_any_time(block, rng, t.water_fails_alone)
    lasted = np.clip(np.rint(lognormal(rng, t.water_days, len(alone))), 1, t.water_longest)
    ledger.add("WTR//OUTAGE", alone.household, block.sometime(rng, alone.month), value=lasted)
