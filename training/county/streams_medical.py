"""Health and its costs: stays, diagnoses, chronic care, medicines, reversals, medical assistance, yearly insurance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.county.block import Block
from training.county.chance import drawn, lognormal, rank_within
from training.county.grid import Bools, Floats, Ints
from training.county.ledger import Ledger
from training.county.people import age_band

MAJOR = ("I63", "C34", "C16", "C50", "N18", "I21", "K74", "C22", "S72")
FRACTURE = "S82"
PLAIN = ("J18", "K35", "K80", "M51", "J44", "N20", "I10", FRACTURE)
CHRONIC = ("I10", "E11", "J44", "I25", "M06", "B18")
INJURED = ("S72", "S82", "S06", "S32")


@dataclass(frozen=True)
class Care:
    """Who needs chronic care (persons x months), who got medical aid when, and who broke a leg when.

    `aided` are persons and months; `broken` are persons, months and moments of stays after a fracture, and the size
    of the blow.
    """

    chronic: Bools
    aided: tuple[Ints, Ints]
    broken: tuple[Ints, Ints, Ints, Floats]


def health(block: Block, ledger: Ledger) -> Care:
    """Enter all health events."""
    rng = block.chance.of("health")
    chronic, aided = _chronic(block, ledger, rng)
    aided_too = _illnesses(block, ledger, chronic, rng)
    broken = _plain_stays(block, ledger, rng)
    _injured(block, ledger, rng)
    _visits(block, ledger, chronic, rng)
    _severe_mental(block, ledger, rng)
    _insurance(block, ledger, block.chance.of("insurance"))
    person, month = (np.concatenate(part) for part in zip(aided, aided_too, strict=True))
    return Care(chronic, (person, month), broken)


def _by_age(block: Block, rates: tuple[float, ...], who: Ints, when: Ints) -> Floats:
    return np.asarray(np.array(rates)[age_band(block.age[who, when])])


def _chronic(block: Block, ledger: Ledger, rng: np.random.Generator) -> tuple[Bools, tuple[Ints, Ints]]:
    """Who needs chronic care in each month: those on record from the start, and those who fall chronically ill.

    With it, who of the latter got medical aid, and when.
    """
    a, grid = block.assumptions, block.grid
    needs = np.zeros(block.home.shape, np.bool_)
    old = np.flatnonzero(block.working.chronic)
    needs[old] = True
    registered = -rng.integers(1, 60, len(old))
    icd = rng.integers(0, len(CHRONIC), len(old))
    ledger.add(
        "HLT//CHRONIC_REG",
        block.people.household[old],
        block.sometime(rng, registered),
        person=old,
        texts=CHRONIC,
        text=icd,
    )
    at = block.blows("chronic")
    person = block.befallen(
        rng, at, lambda who, when: _by_age(block, a.chronic_by_age, who, when) * np.where(needs[who, when], 0.2, 1.0)
    )
    block.befell[at] = person
    at, person = at[person >= 0], person[person >= 0]
    month = block.shocks.month[at]
    icd = rng.integers(0, len(CHRONIC), len(at))
    ledger.add(
        "HLT//CHRONIC_REG",
        block.home_in(person, month),
        block.sometime(rng, month),
        person=person,
        texts=CHRONIC,
        text=icd,
    )
    reach = np.repeat(np.arange(len(at)), grid.simulated - month)
    needs[person[reach], month[reach] + rank_within(reach)] = True
    helped = np.flatnonzero(block.shocks.aided[at])
    _assistance(
        block, ledger, person[helped], month[helped] + 1, a.chronic_aided_cost * block.shocks.size[at[helped]], rng
    )
    return needs, (person[helped], month[helped] + 1)


def _stay(
    block: Block,
    ledger: Ledger,
    person: Ints,
    month: Ints,
    cost: Floats,
    texts: tuple[str, ...],
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:
    """Hospital stays with their days, and now and then a reversal of part of the bill; their moments and diagnoses."""
    a = block.assumptions
    home, moment = block.home_in(person, month), block.sometime(rng, month)
    icd = rng.integers(0, len(texts), len(person))
    ledger.add("CLM//INPATIENT", home, moment, person=person, value=cost, texts=texts, text=icd)
    days = np.clip(np.rint(a.stay_days[0] + cost / a.stay_days[1] * rng.uniform(0.6, 1.4, len(cost))), 1, 90)
    ledger.add("CLM//DAYS", home, moment, person=person, value=days)
    turned = np.flatnonzero((rng.random(len(person)) < a.reversal_share) & (month + 1 < block.grid.simulated))
    back = -cost[turned] * rng.uniform(*a.reversed_part, len(turned))
    ledger.add(
        "CLM//REVERSAL",
        np.where(home[turned] >= 0, block.home_in(person[turned], month[turned] + 1), -1),
        block.sometime(rng, month[turned] + 1),
        person=person[turned],
        value=back,
    )
    return moment, icd


def _assistance(
    block: Block, ledger: Ledger, person: Ints, month: Ints, cost: Floats, rng: np.random.Generator
) -> None:
    amount = cost * rng.uniform(*block.assumptions.aid_share_of_cost, len(cost))
    ledger.add("MAI//GRANT", block.home_in(person, month), block.sometime(rng, month), person=person, value=amount)


def _illnesses(block: Block, ledger: Ledger, chronic: Bools, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Serious illness: a diagnosis, one to three stays, medical assistance where aid follows, then chronic care.

    Returns who got the assistance, and when.
    """
    a = block.assumptions
    at = block.blows("illness")
    person = block.befallen(rng, at, lambda who, when: _by_age(block, a.illness_by_age, who, when))
    block.befell[at] = person
    at, person = at[person >= 0], person[person >= 0]
    month, size = block.shocks.month[at], block.shocks.size[at]
    icd = rng.integers(0, len(MAJOR), len(at))
    ledger.add(
        "HLT//MAJOR_DX", block.home_in(person, month), block.sometime(rng, month), person=person, texts=MAJOR, text=icd
    )
    stays = 1 + np.searchsorted(a.sizes, size)
    row = np.repeat(np.arange(len(at)), stays)
    when = month[row] + 2 * rank_within(row)
    cost = lognormal(rng, a.major_stay, len(row)) * (a.major_stay_by_size[0] + a.major_stay_by_size[1] * size[row])
    _stay(block, ledger, person[row], when, cost, MAJOR, rng)
    aided = block.shocks.aided[at][row]
    _assistance(block, ledger, person[row][aided], when[aided] + 1, cost[aided], rng)
    reach = np.repeat(np.arange(len(at)), np.minimum(a.care_after_illness_months, block.grid.simulated - month))
    chronic[person[reach], month[reach] + rank_within(reach)] = True
    return person[row][aided], when[aided] + 1


def _plain_stays(block: Block, ledger: Ledger, rng: np.random.Generator) -> tuple[Ints, Ints, Ints, Floats]:
    """Stays that are soon over. Returns the fractures among them: person, month, moment, size of the blow."""
    at = block.blows("stay")
    person = block.befallen(rng, at, lambda who, when: _by_age(block, block.assumptions.illness_by_age, who, when))
    block.befell[at] = person
    at, person = at[person >= 0], person[person >= 0]
    cost = lognormal(rng, block.assumptions.plain_stay, len(at)) * block.shocks.size[at]
    month = block.shocks.month[at]
    moment, icd = _stay(block, ledger, person, month, cost, PLAIN, rng)
    aided = np.flatnonzero(block.shocks.aided[at])
    _assistance(block, ledger, person[aided], month[aided] + 1, cost[aided], rng)
    broken = np.flatnonzero(icd == PLAIN.index(FRACTURE))
    return person[broken], month[broken], moment[broken], block.shocks.size[at[broken]]


def _injured(block: Block, ledger: Ledger, rng: np.random.Generator) -> None:
    """The hospital stay after a work injury; the insurance pays most of it."""
    at = block.blows("injury")
    person = block.befell[at]
    at, person = at[person >= 0], person[person >= 0]
    cost = lognormal(rng, block.assumptions.plain_stay, len(at)) * (0.5 + block.shocks.size[at])
    _stay(block, ledger, person, block.shocks.month[at], cost, INJURED, rng)
    aided = np.flatnonzero(block.shocks.aided[at])
    _assistance(block, ledger, person[aided], block.shocks.month[at[aided]] + 1, cost[aided], rng)


def _visits(block: Block, ledger: Ledger, chronic: Bools, rng: np.random.Generator) -> None:
    """Chronic visits and pharmacy purchases, month by month."""
    a = block.assumptions
    patient = chronic & block.is_here
    for code, share, amount in (
        ("CLM//OUTPATIENT_CHRONIC", a.chronic_visits_monthly, a.chronic_visit),
        ("CLM//DRUG", a.drugs_monthly, a.drug_purchase),
    ):
        chance = np.where(
            patient, share, a.drugs_if_healthy * share * (block.is_here & (block.age >= 40.0)) * (code == "CLM//DRUG")
        )
        person, month = np.nonzero(rng.random(patient.shape, np.float32) < chance)
        paid = lognormal(rng, amount, len(person))
        ledger.add(code, block.home[person, month], block.sometime(rng, month), person=person, value=paid)


def _severe_mental(block: Block, ledger: Ledger, rng: np.random.Generator) -> None:
    """Quarterly follow-up of the few people in care for a severe mental disorder."""
    people = np.flatnonzero(rng.random(len(block.people)) < block.assumptions.mental_share)
    level = rng.integers(0, 4, len(people))
    quarter = block.grid.calendar()[: block.grid.simulated] % 3 == 1
    row, month = np.nonzero(block.is_here[people] & (block.age[people] >= 16.0) & quarter)
    ledger.add(
        "HLT//MENTAL_SEVERE",
        block.home[people[row], month],
        block.sometime(rng, month),
        person=people[row],
        value=np.clip(level[row] + drawn(rng, (0.8, 0.2), len(row)), 0, 5).astype(np.float64),
    )


def _insurance(block: Block, ledger: Ledger, rng: np.random.Generator) -> None:
    """The yearly premium of everyone who is not insured through work: paid, paid from public money, or left out."""
    a, grid = block.assumptions, block.grid
    calendar = grid.calendar()[: grid.simulated]
    insured_at_work = block.working.is_formal[:, np.newaxis] & block.working.earns[:, np.newaxis] & (block.age >= 18.0)
    person, month = np.nonzero(block.is_here & (calendar == 10) & ~insured_at_work)
    home = block.home[person, month]
    public = block.standing.formerly_poor[home] | block.course.in_status[home, month] | block.working.disabled[person]
    lapse = (
        a.lapse_share
        * np.where(block.places.migrant[home], a.lapse_factors[0], 1.0)
        * np.where(public, a.lapse_factors[1], 1.0)
    )
    lapses = rng.random(len(person)) < lapse
    premium = a.premium_by_year[0] + a.premium_by_year[1] * (month // 12)
    for code, chosen in (("ENR//PAID", ~lapses & ~public), ("ENR//SUBSIDISED", ~lapses & public)):
        rows = np.flatnonzero(chosen)
        ledger.add(code, home[rows], block.sometime(rng, month[rows]), person=person[rows], value=premium[rows])
    rows = np.flatnonzero(lapses)
    spring = month[rows] + 4
    months_out = np.array(a.lapse_months)[rng.integers(0, len(a.lapse_months), len(rows))]
    ledger.add(
        "ENR//LAPSE",
        block.home_in(person[rows], spring),
        block.sometime(rng, spring),
        person=person[rows],
        value=months_out,
    )
