"""Elders: assessments of what they can still do, and the old-age subsidy."""

from __future__ import annotations

import numpy as np

from training.county.block import Block
from training.county.chance import monthly
from training.county.grid import Bools
from training.county.ledger import Ledger
from training.county.posthumous import paid_on


def elders(block: Block, ledger: Ledger, chronic: Bools, severe: Bools) -> None:
    """Enter assessments and subsidies. `chronic` and `severe` (disability) are persons x months."""
    _assessments(block, ledger, chronic, severe)
    _subsidies(block, ledger)


def _assessments(block: Block, ledger: Ledger, chronic: Bools, severe: Bools) -> None:
    """Who is old, ill or severely disabled is assessed more often; ability fades with age and with illness."""
    t, age = block.assumptions.traces, block.age
    rng = block.chance.of("ELD//LTC_GRADE")
    ordinary, ill, old, disabled = t.assessed_yearly
    yearly = np.select([severe, age >= t.subsidy_from_age[0], chronic], [disabled, old, ill], ordinary)
    yearly = yearly * (block.is_here & (age >= t.assessed_from_age))
    person, month = np.nonzero(rng.random(yearly.shape, np.float32) < monthly(yearly))
    at_75, by_decade, if_ill, if_disabled, spread = t.ability
    own = spread * rng.standard_normal(len(block.people))
    lost = (
        at_75
        + by_decade * (age[person, month] - 75.0) / 10.0
        + if_ill * chronic[person, month]
        + if_disabled * severe[person, month]
        + own[person]
    )
    grade = np.clip(np.rint(lost), 0.0, 3.0)
    ledger.add("ELD//LTC_GRADE", block.home[person, month], block.sometime(rng, month), person=person, value=grade)


def _subsidies(block: Block, ledger: Ledger) -> None:
    t, people = block.assumptions.traces, block.people
    rng = block.chance.of("ELD//SUBSIDY")
    first, second = t.subsidy_from_age
    reached = block.exposure.aid_class[people.household] < 2
    applies = reached & (rng.random(len(people)) < t.old_age_subsidy_share)
    drawing = block.is_here & (block.age >= first) & applies[:, np.newaxis]
    person, month = np.nonzero(drawing)
    amount = np.where(block.age[person, month] >= second, t.old_age_subsidy[1], t.old_age_subsidy[0])
    day = rng.uniform(0.2, 0.7, len(people))
    ledger.add(
        "ELD//SUBSIDY", block.home[person, month], block.grid.moment(month, day[person]), person=person, value=amount
    )
    at_death = np.clip(people.leaves - 1, 0, block.grid.simulated - 1)
    last_age = block.age[np.arange(len(people)), at_death]
    paid_on(
        block, ledger, "ELD//SUBSIDY", drawing, np.where(last_age >= second, t.old_age_subsidy[1], t.old_age_subsidy[0])
    )
