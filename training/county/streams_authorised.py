"""What a check reads once a household has signed: tax, housing fund, banks, the registers of property and vehicles.

Few sign: those who apply for what depends on their means, and now and then others. An authorisation lasts a year.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.county.aftermath import Aftermath, aftermath, somebody
from training.county.block import Block
from training.county.chance import drawn, lognormal, monthly
from training.county.grid import Bools, Floats, Ints
from training.county.ledger import Ledger
from training.county.people import HEAD
from training.county.streams_income import Incomes
from training.county.streams_requests import Applications


@dataclass(frozen=True)
class Checks:
    """Checks: household, month, moment, whether the records contradict; in order of household and moment.

    `until` is the month in which the authorisation then in force ends, 0 without one; households x months. `texts`
    says so in words, by month.
    """

    household: Ints
    month: Ints
    moment: Ints
    contradicted: Bools
    until: Ints
    texts: tuple[str, ...]

    def words(self, household: Ints, month: Ints) -> Ints:
        """Positions in `texts` of how long each may be used."""
        return np.minimum(self.until[household, month], len(self.texts) - 1)


def authorised(block: Block, ledger: Ledger, earned: Incomes, made: Applications) -> None:
    """Enter the authorised events of the months in which an authorisation runs."""
    checks = _checks(block, made)
    _tax(block, ledger, earned.at_work, checks)
    _banks(block, ledger, checks)
    _property(block, ledger, checks)


def _checks(block: Block, made: Applications) -> Checks:
    a, grid = block.assumptions, block.grid
    rng = block.chance.of("authorised")
    pressed = block.course.in_status | (block.course.intensity > a.pressed_from)
    yearly = np.where(pressed, a.signs_yearly[1], a.signs_yearly[0])
    signs = (rng.random(yearly.shape) < monthly(yearly)) & (block.standing.visibility < 2)[:, np.newaxis]
    signs &= block.members > 0
    # Without an application somebody signs once; what these checks find is as rare as in later years.
    signs &= np.cumsum(signs, axis=1) == 1
    again, month_again = np.nonzero(signs)
    found_again = rng.random(len(again)) < a.contradicted_later
    asked = np.flatnonzero(made.checked_at >= 0)
    household = np.concatenate([again, made.household[asked]])
    moment = np.concatenate([block.sometime(rng, month_again), made.checked_at[asked]])
    contradicted = np.concatenate([found_again, made.contradicted[asked]])
    order = np.lexsort((moment, household))
    household, moment, contradicted = household[order], moment[order], contradicted[order]
    month = grid.month_of(moment)
    until = np.zeros((block.n, grid.simulated), np.int64)
    until[household, month] = month + a.authorisation_months
    until = np.maximum.accumulate(until, axis=1)
    until[until <= np.arange(grid.simulated)] = 0
    first = int(a.first_month[:4]) - grid.warm_up // 12
    texts = tuple(f"授权有效期至{first + at // 12}-{at % 12 + 1:02d}" for at in range(grid.reach + 1))
    return Checks(household, month, moment, contradicted, until, texts)


def _tax(block: Block, ledger: Ledger, at_work: Bools, checks: Checks) -> None:
    a = block.assumptions
    rng = block.chance.of("TAX//PIT_INCOME")
    person, month = np.nonzero(at_work & block.working.is_formal[:, np.newaxis])
    home = block.home[person, month]
    kept = checks.until[home, month] > 0
    person, month, home = person[kept], month[kept], home[kept]
    declared = block.working.wage[person] * np.exp(a.wage_month_noise * rng.standard_normal(len(person)))
    text = checks.words(home, month)
    ledger.add(
        "TAX//PIT_INCOME", home, block.sometime(rng, month), person=person, value=declared,
        texts=checks.texts, text=text,
    )  # fmt: skip
    rng = block.chance.of("TAX//HF_DEPOSIT")
    saves = np.flatnonzero((block.working.wage[person] > a.housing_fund_from) & (block.places.residence[home] > 0))
    ledger.add(
        "TAX//HF_DEPOSIT", home[saves], block.sometime(rng, month[saves]), person=person[saves],
        value=a.housing_fund_share * declared[saves], texts=checks.texts, text=text[saves],
    )  # fmt: skip


def _banks(block: Block, ledger: Ledger, checks: Checks) -> None:
    """At each check: balance, debt service, overdue small loans of one adult, in all likelihood the head."""
    a, t = block.assumptions, block.assumptions.traces
    low = block.standing.low_buffer[checks.household]
    person = _holder(block, checks)
    text = checks.words(checks.household, checks.month)
    n = len(person)

    def has(rng: np.random.Generator, share: tuple[float, float]) -> Bools:
        return np.asarray(rng.random(n) < np.where(low, share[1], share[0]))

    balances, debts = block.chance.of("BNK//DEPOSIT_BAL"), block.chance.of("BNK//DEBT_SERVICE")
    loans = block.chance.of("BNK//LOAN_OVERDUE")
    saved = lognormal(balances, a.savings, block.n)[checks.household] * np.exp(
        t.balance_noise * balances.standard_normal(n)
    )
    for code, there, amount in (
        ("BNK//DEPOSIT_BAL", np.ones(n, np.bool_), saved * np.where(low, a.savings_if_low, 1.0)),
        ("BNK//DEBT_SERVICE", has(debts, a.has_debt), lognormal(debts, a.debt_service, n)),
        ("BNK//LOAN_OVERDUE", has(loans, a.is_overdue), np.rint(loans.gamma(2.0, a.overdue_days / 2.0, n) + 1)),
    ):
        home = np.where(there & (person >= 0), checks.household, -1)
        ledger.add(code, home, checks.moment, person=person, value=amount, texts=checks.texts, text=text)


def _holder(block: Block, checks: Checks) -> Ints:
    """The adult in whose name things are: the head wherever there is one."""
    rng = block.chance.of("holders")
    of = Aftermath(checks.household, checks.month, np.ones(len(checks.month)), np.full(len(checks.month), -1, np.int64))
    return somebody(block, rng, of, (18.0, 120.0), lambda who, when: np.where(block.people.role[who] == HEAD, 1e6, 1.0))


def _property(block: Block, ledger: Ledger, checks: Checks) -> None:
    """Dwellings and vehicles at each check: modest, unless the check contradicts; and what is sold after a blow."""
    t = block.assumptions.traces
    rng = block.chance.of("PRP//OWN")
    in_country, elsewhere = (drawn(rng, shares, block.n) for shares in t.dwellings)
    usual = np.where(block.places.residence == 0, in_country, elsewhere)
    by_dwellings, by_vehicle = t.contradicts_by
    how = rng.random(len(checks.month))
    too_many = checks.contradicted & ((how < by_dwellings) | (how >= by_dwellings + by_vehicle))
    too_dear = checks.contradicted & (how >= by_dwellings)
    held = np.where(too_many, t.dwellings_too_many + rng.integers(0, 2, len(how)), usual[checks.household])
    text = checks.words(checks.household, checks.month)
    ledger.add("PRP//OWN", checks.household, checks.moment, value=held * 1.0, texts=checks.texts, text=text)
    rng = block.chance.of("TRF//VEH_OWN")
    has = rng.random(block.n) < np.where(block.standing.low_buffer, t.vehicle_share[1], t.vehicle_share[0])
    modest = np.minimum(lognormal(rng, t.vehicle, block.n), t.vehicle_most)
    worth = np.where(too_dear, rng.uniform(*t.vehicle_too_dear, len(how)), modest[checks.household])
    worth = np.rint(worth / 100) * 100
    holder = _holder(block, checks)
    owns = (has[checks.household] | too_dear) & (holder >= 0)
    ledger.add(
        "TRF//VEH_OWN", np.where(owns, checks.household, -1), checks.moment, person=holder, value=worth,
        texts=checks.texts, text=text,
    )  # fmt: skip
    _sales(block, ledger, checks, usual, has, modest)


def _sales(block: Block, ledger: Ledger, checks: Checks, dwellings: Ints, has_vehicle: Bools, worth: Floats) -> None:
    """Dwellings and vehicles sold in need, as far as an authorisation lets the county know."""
    t = block.assumptions.traces
    blows = ("illness", "job_loss", "market", "crop_loss", "fire", "house_loss", "disability", "death")
    for code, share, owner in zip(("PRP//SALE", "TRF//VEH_SALE"), t.sells, (dwellings > 0, has_vehicle), strict=True):
        rng = block.chance.of(code)
        sold = aftermath(block, rng, blows, share, t.sale_months)
        sold = sold.taken(np.flatnonzero(owner[sold.household] & (checks.until[sold.household, sold.month] > 0)))
        part = rng.uniform(*t.sale_share, len(sold))
        is_dwelling = code == "PRP//SALE"
        full = lognormal(rng, t.dwelling_price, len(sold)) if is_dwelling else worth[sold.household]
        person = somebody(block, rng, sold, (18.0, 120.0))
        ledger.add(
            code,
            sold.household if is_dwelling else np.where(person >= 0, sold.household, -1),
            block.sometime(rng, sold.month),
            person=None if is_dwelling else person,
            value=np.rint(full * part / 100) * 100,
            texts=checks.texts,
            text=checks.words(sold.household, sold.month),
        )
