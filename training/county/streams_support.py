"""Help from outside the administration: appeals and gifts, and payouts of the anti-poverty insurance."""

from __future__ import annotations

import numpy as np

from training.county.aftermath import aftermath, at_any_time, somebody, theirs, traced
from training.county.block import Block
from training.county.chance import lognormal
from training.county.ledger import Ledger

GRAVE = 1.0
JANUARY = 0


def support(block: Block, ledger: Ledger) -> None:
    """Enter appeals, gifts and payouts."""
    _gifts(block, ledger)
    _payouts(block, ledger)


def _gifts(block: Block, ledger: Ledger) -> None:
    """An appeal follows a grave illness, a gift follows the appeal or a lost home; small gifts come at the new year."""
    t = block.assumptions.traces
    rng = block.chance.of("CHR//APPEAL")
    appeal = aftermath(
        block,
        rng,
        ("illness",),
        t.appeals_after_illness,
        t.appeal_months,
        if_low_buffer=t.appeals_if_low_buffer,
        least_size=GRAVE,
    )
    # It is for the sick person; once that one has left or died, another adult asks for what the illness cost.
    is_home = block.home_in(appeal.whom, appeal.month) == appeal.household
    person = np.where(is_home, appeal.whom, somebody(block, rng, appeal, (18.0, 100.0)))
    asked = np.rint(lognormal(rng, t.appeal, len(appeal)) * appeal.size / 10_000) * 10_000
    ledger.add("CHR//APPEAL", theirs(appeal, person), block.sometime(rng, appeal.month), person=person, value=asked)
    rng = block.chance.of("CHR//GRANT")
    heard = appeal.taken(np.flatnonzero(rng.random(len(appeal)) < t.gift_after_appeal)).later(block, rng, t.gift_months)
    lost = aftermath(block, rng, ("fire", "house_loss"), t.gift_after_loss, t.gift_months)
    january = (block.grid.calendar()[: block.grid.simulated] == JANUARY) * 12.0
    small = at_any_time(block, rng, t.new_year_gift * (block.course.in_status * january))
    for given, amount in ((heard, t.gift), (lost, t.gift), (small, t.small_gift)):
        value = np.rint(lognormal(rng, amount, len(given)) * given.size / 50) * 50
        ledger.add("CHR//GRANT", given.household, block.sometime(rng, given.month), value=value)


def _payouts(block: Block, ledger: Ledger) -> None:
    """The county insures its rural people against falling into poverty; it pays after grave blows."""
    t = block.assumptions.traces
    rng = block.chance.of("INR//ANTI_POVERTY_PAY")
    paid = traced(block, rng, t.insured_payout, ("illness", "injury", "fire", "house_loss", "admission"))
    paid = paid.taken(np.flatnonzero(block.places.residence[paid.household] == 0))
    value = np.rint(lognormal(rng, t.payout, len(paid)) * paid.size / 10) * 10
    ledger.add("INR//ANTI_POVERTY_PAY", paid.household, block.sometime(rng, paid.month), value=value)
