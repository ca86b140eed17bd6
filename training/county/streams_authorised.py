"""What banks and the tax office tell once a household has signed: few sign, mostly those who apply for something."""

from __future__ import annotations

import numpy as np

from training.county.block import Block
from training.county.chance import lognormal, monthly
from training.county.grid import FAR, Bools, Ints
from training.county.ledger import Ledger
from training.county.streams_income import Incomes


def authorised(block: Block, ledger: Ledger, earned: Incomes) -> None:
    """Enter the authorised events of the months in which an authorisation runs."""
    a, grid = block.assumptions, block.grid
    rng = block.chance.of("authorised")
    signed = _signatures(block, rng)
    texts = tuple(f"授权有效期至{year}-{month:02d}" for year, month in _months(block))
    running = np.zeros((block.n, grid.simulated), np.bool_)
    month = np.arange(grid.simulated)[np.newaxis, :]
    running |= (month >= signed[:, np.newaxis]) & (month < signed[:, np.newaxis] + a.authorisation_months)
    ends = np.minimum(signed + a.authorisation_months, len(texts) - 1)
    _tax(block, ledger, earned.at_work, running, ends, texts, rng)
    _banks(block, ledger, signed, ends, texts, rng)


def _months(block: Block) -> list[tuple[int, int]]:
    first = int(block.assumptions.first_month[:4]) - block.grid.warm_up // 12
    return [(first + month // 12, month % 12 + 1) for month in range(block.grid.reach + 1)]


def _signatures(block: Block, rng: np.random.Generator) -> Ints:
    """Month of the first signature, `FAR` for those who never sign."""
    a, grid = block.assumptions, block.grid
    pressed = block.course.in_status | (block.course.intensity > a.pressed_from)
    yearly = np.where(pressed, a.signs_yearly[1], a.signs_yearly[0])
    signs = (rng.random(yearly.shape) < monthly(yearly)) & (block.standing.visibility < 2)[:, np.newaxis]
    signs &= block.members[:, : grid.simulated] > 0
    return np.where(signs.any(axis=1), signs.argmax(axis=1), FAR)


def _tax(
    block: Block,
    ledger: Ledger,
    at_work: Bools,
    running: Bools,
    ends: Ints,
    texts: tuple[str, ...],
    rng: np.random.Generator,
) -> None:
    a = block.assumptions
    formal = at_work & block.working.is_formal[:, np.newaxis]
    person, month = np.nonzero(formal)
    home = block.home[person, month]
    kept = running[home, month]
    person, month, home = person[kept], month[kept], home[kept]
    declared = block.working.wage[person] * np.exp(a.wage_month_noise * rng.standard_normal(len(person)))
    ledger.add(
        "TAX//PIT_INCOME", home, block.sometime(rng, month), person=person, value=declared, texts=texts, text=ends[home]
    )
    saves = (block.working.wage[person] > a.housing_fund_from) & (block.places.residence[home] > 0)
    ledger.add(
        "TAX//HF_DEPOSIT",
        home[saves],
        block.sometime(rng, month[saves]),
        person=person[saves],
        value=a.housing_fund_share * declared[saves],
        texts=texts,
        text=ends[home[saves]],
    )


def _banks(
    block: Block, ledger: Ledger, signed: Ints, ends: Ints, texts: tuple[str, ...], rng: np.random.Generator
) -> None:
    """One check when the authorisation is signed: balance, debt service; overdue small loans while it runs."""
    a, people = block.assumptions, block.people
    household = np.flatnonzero(signed < block.grid.simulated)
    month = signed[household]
    head = block.residents.befallen(rng, household, month, lambda who, when: (when - people.born[who] >= 216.0) * 1.0)
    low = block.standing.low_buffer[household]
    balance = lognormal(rng, a.savings, len(household)) * np.where(low, a.savings_if_low, 1.0)
    home = np.where(head >= 0, household, -1)
    ledger.add(
        "BNK//DEPOSIT_BAL",
        home,
        block.sometime(rng, month),
        person=head,
        value=balance,
        texts=texts,
        text=ends[household],
    )
    for code, share, amount in (
        (
            "BNK//DEBT_SERVICE",
            np.where(low, a.has_debt[1], a.has_debt[0]),
            lognormal(rng, a.debt_service, len(household)),
        ),
        (
            "BNK//LOAN_OVERDUE",
            np.where(low, a.is_overdue[1], a.is_overdue[0]),
            np.rint(rng.gamma(2.0, a.overdue_days / 2.0, len(household)) + 1),
        ),
    ):
        has = np.flatnonzero((rng.random(len(household)) < share) & (home >= 0))
        ledger.add(
            code,
            household[has],
            block.sometime(rng, month[has]),
            person=head[has],
            value=amount[has],
            texts=texts,
            text=ends[household[has]],
        )
