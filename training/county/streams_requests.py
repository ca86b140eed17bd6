"""What households ask for themselves: applications with their answers and checks, calls to the hotline, opting out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.window import MICROS_PER_DAY
from training.county.aftermath import aftermath, at_any_time, traced
from training.county.block import Block
from training.county.chance import rank_within
from training.county.grid import SECOND, Bools, Floats, Ints
from training.county.ledger import Ledger
from training.county.standing import SILENT, WORKING_AGE
from training.county.streams_home import Homes
from training.county.streams_medical import Care
from training.county.streams_status import Decisions

# Policy items: those that lead into the statuses, in the order of the routes, then those with checks of their own.
ITEMS = ("A01", "A03", "A04", "A05", "I01", "G02", "B04")
DIBAO, HOUSING, MEDICAL = 0, 5, 6
# Whoever asks for these has their means checked.
MEANS_TESTED = (0, 2, 3)
GROUNDS = ("财产超过标准", "收入超过标准", "材料不全")


@dataclass(frozen=True)
class Applications:
    """Applications: household, moment, item, the refusal that answers it (-1 for none), its check.

    `item` indexes `ITEMS` and, after them, what `Traces.applies_after` names. `checked_at` is -1 where no check was
    made; `contradicted` says that the check did not bear out what was declared.
    """

    household: Ints
    moment: Ints
    item: Ints
    refusal: Ints
    checked_at: Ints
    contradicted: Bools


def requests(block: Block, ledger: Ledger, decided: Decisions, homes: Homes, care: Care) -> Applications:
    """Enter applications, dibao refusals, calls and objections; returns the applications."""
    made = _applications(block, decided, homes, care)
    items = (*ITEMS, *(item for _, item, _ in block.assumptions.traces.applies_after))
    ledger.add("SLF//APPLY", made.household, made.moment, texts=items, text=made.item)
    _refusals(block, ledger, decided, made)
    _calls(block, ledger, decided)
    return made


def _applications(block: Block, decided: Decisions, homes: Homes, care: Care) -> Applications:
    t, grid = block.assumptions.traces, block.grid
    rng = block.chance.of("SLF//APPLY")
    own = np.flatnonzero(
        (decided.enters >= 1)
        & (decided.enters < grid.simulated)
        & (rng.random(len(decided.route)) < t.applied_share)
        & (block.standing.visibility[decided.household] != SILENT)
    )
    person, month = care.aided
    patient = block.home_in(person, month - 1)
    medical = np.flatnonzero((patient >= 0) & (rng.random(len(person)) < t.applies_for_medical_aid))
    housing = homes.applicants
    n_refused = len(decided.refused)
    parts: list[tuple[Ints, Ints, Ints | int, Ints | int]] = [
        (decided.household[own], decided.moment[own] - _days(rng, t.answer_days, len(own)), decided.route[own], -1),
        (decided.refused, decided.refused_at - _days(rng, t.answer_days, n_refused), DIBAO, np.arange(n_refused)),
        (housing.household, block.sometime(rng, housing.month), HOUSING, -1),
        (patient[medical], block.sometime(rng, month[medical] - 1), MEDICAL, -1),
    ]
    for later, (kinds, _, share) in enumerate(t.applies_after):
        others = aftermath(block, rng, kinds, share, t.applies_months)
        parts.append((others.household, block.sometime(rng, others.month), len(ITEMS) + later, -1))
    household, moment, item, refusal = (
        np.concatenate([np.broadcast_to(np.asarray(part[column], np.int64), part[0].shape) for part in parts])
        for column in range(4)
    )
    there = np.flatnonzero(block.lived_in(household, grid.month_of(moment)))
    household, moment, item, refusal = household[there], moment[there], item[there], refusal[there]
    checked_at = _checks(block, household, moment, item)
    return Applications(household, moment, item, refusal, checked_at, _found(block, checked_at, item, refusal))


def _days(rng: np.random.Generator, days: tuple[float, float], n: int) -> Ints:
    """Stretches of time between so many and so many days, in microseconds and whole seconds."""
    return np.asarray((rng.uniform(*days, n) * MICROS_PER_DAY).astype(np.int64) // SECOND * SECOND)


def _checks(block: Block, household: Ints, moment: Ints, item: Ints) -> Ints:
    """When the means of an applicant were checked, -1 for never. Who earns well on record needs no check."""
    t, working, grid = block.assumptions.traces, block.working, block.grid
    rng = block.chance.of("checks")
    earns_well = working.earns & working.is_formal & (working.wage >= t.no_check_from_wage)
    of_age = (block.age >= WORKING_AGE[0]) & (block.age < WORKING_AGE[1])
    is_plain = block.counted(earns_well[:, np.newaxis] & of_age)[household, grid.month_of(moment)] > 0
    signs = np.isin(item, (*MEANS_TESTED, HOUSING, MEDICAL)) & ~is_plain
    signs &= rng.random(len(household)) < t.signs_with_application
    at = moment + _days(rng, t.check_days, len(household))
    return np.where(signs & block.lived_in(household, grid.month_of(at)), at, -1)


def _found(block: Block, checked_at: Ints, item: Ints, refusal: Ints) -> Bools:
    """Which checks contradict what was declared: so many as the check centre found of each item in each year."""
    a, grid = block.assumptions, block.grid
    rng = block.chance.of("what checks find")
    month = grid.month_of(checked_at)
    is_first_year = (month >= grid.warm_up) & (month < grid.warm_up + 12)
    means_tested = np.isin(item, MEANS_TESTED)
    chance: Floats = np.zeros(len(item))
    for rows, share in (
        (means_tested & is_first_year, a.contradicted_first_year),
        (means_tested & ~is_first_year, a.contradicted_later),
        (item == HOUSING, a.contradicted_housing),
        (item == MEDICAL, a.contradicted_medical),
    ):
        checked = np.flatnonzero(rows & (checked_at >= 0))
        if len(checked):
            # A contradiction is one ground of refusal, so it is more frequent there; on the whole the share holds.
            lean = np.where(refusal[checked] >= 0, a.traces.found_if_refused, 1.0)
            chance[checked] = np.minimum(share * lean / lean.mean(), 1.0)
    return np.asarray(rng.random(len(item)) < chance, np.bool_)


def _refusals(block: Block, ledger: Ledger, decided: Decisions, made: Applications) -> None:
    """Dibao refusals with their ground: too much property where the check found it, and only there."""
    ground = block.chance.of("grounds").integers(1, len(GROUNDS), len(decided.refused))
    ground[made.refusal[made.contradicted & (made.refusal >= 0)]] = 0
    ledger.add("DB//REJECT", decided.refused, decided.refused_at, texts=GROUNDS, text=ground)


def _calls(block: Block, ledger: Ledger, decided: Decisions) -> None:
    t = block.assumptions.traces
    rng = block.chance.of("SLF//HOTLINE")
    calls = traced(block, rng, t.calls, ("arrears", "house_loss", "pension_stop", "job_loss"))
    ledger.add("SLF//HOTLINE", calls.household, block.sometime(rng, calls.month))
    upset = np.flatnonzero(rng.random(len(decided.refused)) < t.calls_after_refusal)
    at = decided.refused_at[upset] + _days(rng, t.calls_days, len(upset))
    there = block.lived_in(decided.refused[upset], block.grid.month_of(at))
    ledger.add("SLF//HOTLINE", np.where(there, decided.refused[upset], -1), at)
    rng = block.chance.of("SLF//OPTOUT")
    out = at_any_time(block, rng, t.opts_out)
    out = out.taken(np.flatnonzero(rank_within(out.household) == 0))
    ledger.add("SLF//OPTOUT", out.household, block.sometime(rng, out.month))
