"""Courts and prisons: judgments for debt, upkeep for children and parents, terms in prison and releases.

A term takes only people who do no other work meanwhile: those whose loss of work nobody registered, and men without
work. So it explains an absence that is there anyway and adds nothing to it.
"""

from __future__ import annotations

import numpy as np

from training.county.aftermath import at_any_time, of_blows, somebody, theirs, traced
from training.county.block import Block
from training.county.chance import lognormal, monthly
from training.county.grid import Ints
from training.county.ledger import Ledger
from training.county.people import MAN
from training.county.standing import elders_only
from training.county.streams_income import Incomes


def justice(block: Block, ledger: Ledger, earned: Incomes) -> None:
    """Enter all events of courts and prisons."""
    _debtors(block, ledger)
    _upkeep(block, ledger)
    _prison(block, ledger, earned)


def _debtors(block: Block, ledger: Ledger) -> None:
    t = block.assumptions.traces
    rng = block.chance.of("JUD//ENFORCED")
    sued = traced(block, rng, t.debtor, ("job_loss", "market", "illness", "fire"), if_low_buffer=t.debtor_if_low_buffer)
    person = somebody(block, rng, sued, (18.0, 70.0))
    owed = np.rint(lognormal(rng, t.judgment, len(sued)) / 100) * 100
    ledger.add("JUD//ENFORCED", theirs(sued, person), block.sometime(rng, sued.month), person=person, value=owed)


def _upkeep(block: Block, ledger: Ledger) -> None:
    """Upkeep for a child some months after a divorce, and for old parents who sue their children."""
    t = block.assumptions.traces
    rng = block.chance.of("JUD//MAINTENANCE")
    at = block.blows("divorce")
    at = at[rng.random(len(at)) < t.child_upkeep_share]
    for_child = of_blows(block, at).later(block, rng, t.child_upkeep_months)
    alone = elders_only(block.composed)[:, : block.grid.simulated]
    for_parent = at_any_time(block, rng, np.where(alone, t.parent_upkeep, 0.0))
    for what, ages, amount in (
        (for_child, (0.0, 18.0), t.child_upkeep),
        (for_parent, (60.0, 100.0), t.parent_upkeep_monthly),
    ):
        person = somebody(block, rng, what, ages)
        due = np.rint(rng.uniform(*amount, len(what)) / 10) * 10
        ledger.add("JUD//MAINTENANCE", theirs(what, person), block.sometime(rng, what.month), person=person, value=due)


def _prison(block: Block, ledger: Ledger, earned: Incomes) -> None:
    t, people, working = block.assumptions.traces, block.people, block.working
    rng = block.chance.of("PRI//IMPRISON")
    person, month, length = earned.unregistered
    taken = (length >= t.imprisoned_least_months) & (rng.random(len(person)) < t.imprisoned_share)
    # Work is lost in the month of the arrest and found again in the month after the release.
    _term(block, ledger, rng, person[taken], month[taken], length[taken] - 1)
    idle = (people.sex == MAN) & ~working.earns & ~working.disabled
    may_be = block.is_here & (idle[:, np.newaxis] & (block.age >= 18.0) & (block.age < 58.0))
    supported = block.course.in_status[np.maximum(block.home, 0), np.arange(block.grid.simulated)]
    yearly = t.imprisoned_idle * np.where(supported, t.imprisoned_if_supported, 1.0)
    who, when = np.nonzero(may_be & (rng.random(block.home.shape, np.float32) < monthly(yearly)))
    first = np.unique(who, return_index=True)[1]
    _term(block, ledger, rng, who[first], when[first], rng.integers(*t.term_months, len(first)))


def _term(block: Block, ledger: Ledger, rng: np.random.Generator, person: Ints, month: Ints, length: Ints) -> None:
    """A term and the release at its end; who belongs to no home of the county by then is released elsewhere."""
    at_home = block.home_in(person, month)
    ledger.add("PRI//IMPRISON", at_home, block.sometime(rng, month), person=person, value=length.astype(np.float64))
    end = month + length
    released = np.where(at_home >= 0, block.home_in(person, end), -1)
    inside = np.minimum(end, block.grid.simulated)
    ledger.add("PRI//RELEASE", released, block.grid.moment(inside, rng.uniform(0.1, 0.9, len(end))), person=person)
