"""Disability and disasters, and the temporary assistance that follows blows no other aid answers."""

from __future__ import annotations

import numpy as np

from features.window import MICROS_PER_DAY
from training.county.block import Block
from training.county.chance import lognormal, rank_within
from training.county.grid import Bools, Floats, Ints
from training.county.ledger import Ledger
from training.county.people import age_band
from training.county.posthumous import paid_on
from training.county.streams_status import Decisions

CLASSES = ("肢体", "视力", "听力", "言语", "智力", "精神")
CERTIFICATE_MONTHS = 120
NO_GRADE = 9
# Blows that other departments answer in their own streams; for all others aid is temporary assistance.
ANSWERED = ("illness", "stay", "chronic", "injury", "disability")


def hardship(block: Block, ledger: Ledger, decided: Decisions) -> Bools:
    """Enter disability, disaster and temporary-assistance events; returns who is severely disabled, persons x months.

    Runs after the streams that say on whom the blows fell.
    """
    severe = _disability(block, ledger, decided, block.chance.of("disability"))
    _disasters(block, ledger, block.chance.of("disasters"))
    _temporary_assistance(block, ledger, block.chance.of("assistance"))
    return severe


def _disability(block: Block, ledger: Ledger, decided: Decisions, rng: np.random.Generator) -> Bools:
    """Certificates on record and new ones, worse grades, subsidies and costs of rehabilitation."""
    a, people = block.assumptions, block.people
    grade = np.full(len(people), NO_GRADE, np.int64)
    kind = rng.integers(0, len(CLASSES), len(people))
    old = np.flatnonzero(block.working.disabled)
    grade[old] = 1 + np.searchsorted(np.cumsum(a.grade_shares), rng.random(len(old)))
    issued = -rng.integers(6, 115, len(old))
    _certify(block, ledger, old, people.household[old], issued, grade[old], kind, rng)
    severe = np.zeros(block.home.shape, np.bool_)
    severe[old] = (grade[old] <= 2)[:, np.newaxis]
    poor = np.zeros(block.home.shape, np.bool_)
    poor[old] = block.course.in_status[people.household[old]]
    at = block.blows("disability")
    at = at[np.lexsort((block.shocks.month[at], block.shocks.household[at]))]
    turn = rank_within(block.shocks.household[at])
    for round_number in range(int(turn.max(initial=-1)) + 1):
        _assessed(block, ledger, at[turn == round_number], grade, kind, severe, poor, rng)
    _subsidies(block, ledger, severe, poor, decided, rng)
    _rehabilitation(block, ledger, at, rng)
    return severe


def _assessed(
    block: Block,
    ledger: Ledger,
    at: Ints,
    grade: Ints,
    kind: Ints,
    severe: Bools,
    poor: Bools,
    rng: np.random.Generator,
) -> None:
    """One disability blow a household: a first certificate, or a worse grade of a person who has one."""
    rates = np.array(block.assumptions.disability_by_age)
    person = block.befallen(rng, at, lambda who, when: rates[age_band(block.age[who, when])] * (grade[who] > 1))
    block.befell[at] = person
    at, person = at[person >= 0], person[person >= 0]
    month, size = block.shocks.month[at], block.shocks.size[at]
    new = grade[person] == NO_GRADE
    a = block.assumptions
    least, by_size, spread = a.grade_by_size
    fresh = np.clip(np.rint(least + by_size * size + rng.normal(0, spread, len(at))), 1, 4).astype(np.int64)
    worse = np.maximum(grade[person] - np.where(size >= max(a.sizes), 2, 1), 1)
    grade[person] = np.where(new, fresh, worse)
    home = block.home_in(person, month)
    _certify(block, ledger, person[new], home[new], month[new], grade[person[new]], kind, rng)
    changed = person[~new]
    ledger.add(
        "DIS//GRADE_CHANGE",
        home[~new],
        block.sometime(rng, month[~new]),
        person=changed,
        value=grade[changed].astype(np.float64),
    )
    later = np.arange(severe.shape[1])[np.newaxis, :] >= month[:, np.newaxis] + 1
    severe[person] |= later & (grade[person] <= 2)[:, np.newaxis]
    aided = block.shocks.aided[at]
    helped_until = month + block.assumptions.aid_delay + block.assumptions.living_subsidy_months
    helped = later & (np.arange(severe.shape[1])[np.newaxis, :] < helped_until[:, np.newaxis])
    poor[person] |= helped & aided[:, np.newaxis]


def _certify(
    block: Block,
    ledger: Ledger,
    person: Ints,
    home: Ints,
    month: Ints,
    grade: Ints,
    kind: Ints,
    rng: np.random.Generator,
) -> None:
    """Certificates run for ten years; the last day is known when they are issued. Most are renewed."""
    issued = block.sometime(rng, month)
    ledger.add(
        "DIS//CERT_NEW", home, issued, person=person, value=grade.astype(np.float64), texts=CLASSES, text=kind[person]
    )
    end = month + CERTIFICATE_MONTHS
    expires = block.home_in(person, end)
    moment = block.grid.moment(end, 0.5)
    ledger.add("DIS//CERT_EXPIRE", expires, moment, person=person, known=issued + 20 * MICROS_PER_DAY)
    renewed = np.flatnonzero((expires >= 0) & (rng.random(len(person)) < block.assumptions.certificate_renewed))
    ledger.add(
        "DIS//CERT_NEW",
        expires[renewed],
        moment[renewed] + MICROS_PER_DAY,
        person=person[renewed],
        value=grade[renewed].astype(np.float64),
        texts=CLASSES,
        text=kind[person[renewed]],
    )


def _subsidies(
    block: Block, ledger: Ledger, severe: Bools, poor: Bools, decided: Decisions, rng: np.random.Generator
) -> None:
    """Monthly subsidies: for care with a severe grade, for living where the household is supported or was aided.

    Destitute support excludes both. Now and then it is overlooked that somebody draws it, or that somebody has died.
    """
    a = block.assumptions
    applies = rng.random(len(block.people)) < a.care_subsidy_share
    reached = block.exposure.aid_class[block.people.household] < 2
    care = severe & (applies & reached)[:, np.newaxis] & block.is_here
    living = poor & reached[:, np.newaxis] & block.is_here
    excluded = _excluded(block, care | living, decided)
    for code, drawing, amount in (
        ("DIS//SUB_CARE", care & ~excluded, a.care_subsidy),
        ("DIS//SUB_LIVING", living & ~excluded, a.living_subsidy),
    ):
        person, month = np.nonzero(drawing)
        ledger.add(code, block.home[person, month], block.sometime(rng, month), person=person, value=amount)
        paid_on(block, ledger, code, drawing, amount)


def _excluded(block: Block, drawing: Bools, decided: Decisions) -> Bools:
    """Who may not draw a subsidy in a month because of destitute support, less those whom the offices overlook.

    So many are overlooked that they make up the share of all recipients whom a check found.
    """
    draw = block.chance.of("duplicates").random(len(decided.person))
    # The number of each spell, one more than its position, in the months in which it holds for its person.
    spell = np.zeros(drawing.shape, np.int64)
    for at in np.flatnonzero(decided.person >= 0):
        spell[decided.person[at], max(0, decided.enters[at]) : max(0, decided.exits[at] + 1)] = at + 1
    share = block.assumptions.duplicate_share
    wanted = float((drawing & (spell == 0)).sum()) * share / (1.0 - share)
    chance = wanted / max(float((drawing & (spell > 0)).sum()), 1.0)
    is_overlooked = np.append(True, draw < chance)
    return ~is_overlooked[spell]


def _rehabilitation(block: Block, ledger: Ledger, at: Ints, rng: np.random.Generator) -> None:
    person = block.befell[at]
    at, person = at[person >= 0], person[person >= 0]
    row = np.repeat(np.arange(len(at)), 12)
    month = block.shocks.month[at][row] + 1 + rank_within(row)
    rows = np.flatnonzero(rng.random(len(row)) < block.assumptions.rehabilitation_monthly)
    row, month = row[rows], month[rows]
    cost = lognormal(rng, block.assumptions.rehabilitation, len(row)) * block.shocks.size[at[row]]
    ledger.add(
        "DIS//REHAB_COST", block.home_in(person[row], month), block.sometime(rng, month), person=person[row], value=cost
    )


def _disasters(block: Block, ledger: Ledger, rng: np.random.Generator) -> None:
    a, shocks = block.assumptions, block.shocks
    lived = block.members > 0

    def struck(kind: str) -> tuple[Ints, Ints, Ints]:
        at = block.blows(kind)
        household, month = shocks.household[at], shocks.month[at]
        return at, np.where(lived[household, month], household, -1), month

    at, household, month = struck("crop_loss")
    loss = (
        block.places.farm[household] * np.minimum(a.crop_lost * shocks.size[at], 0.95) * rng.uniform(0.8, 1.2, len(at))
    )
    ledger.add("DST//CROP_LOSS", household, block.sometime(rng, month), value=loss)
    at, household, month = struck("house_loss")
    when = block.sometime(rng, month)
    ledger.add("DST//HOUSE_LOSS", household, when, value=np.maximum(1, np.rint(a.rooms_by_size * shocks.size[at])))
    moved = np.flatnonzero(rng.random(len(at)) < a.relocated[0] + a.relocated[1] * shocks.size[at])
    persons = np.maximum(1, block.members[household, month]).astype(np.float64)
    ledger.add("DST//RELOCATE", household[moved], when[moved], value=persons[moved])
    at, household, month = struck("fire")
    loss = lognormal(rng, a.fire_loss, len(at)) * shocks.size[at]
    ledger.add("DST//FIRE", household, block.sometime(rng, month), value=loss)


def _temporary_assistance(block: Block, ledger: Ledger, rng: np.random.Generator) -> None:
    """A payment in the month after an aided blow, and for a blow that found nobody: an emergency of the household."""
    a, shocks = block.assumptions, block.shocks
    names = [kind.name for kind in a.shocks]
    of_person = np.isin(
        shocks.kind,
        [names.index(k) for k in names if k not in ("crop_loss", "market", "house_loss", "fire", "admission")],
    )
    nobody = of_person & (block.befell < 0)
    answered = np.isin(shocks.kind, [names.index(k) for k in ANSWERED])
    aided = (
        shocks.aided
        & ~answered
        & ~((shocks.kind == names.index("job_loss")) & (block.places.residence[shocks.household] == 0))
    )
    at = np.flatnonzero(aided | nobody)
    _pay(
        block,
        ledger,
        shocks.household[at],
        np.where(nobody[at], shocks.month[at], shocks.month[at] + 1),
        shocks.size[at],
        rng,
    )
    within = block.course.in_status & (rng.random(block.course.in_status.shape) < a.assisted_in_status_monthly)
    household, month = np.nonzero(within)
    _pay(block, ledger, household, month, np.full(len(month), a.sizes[0]), rng)


def _pay(block: Block, ledger: Ledger, household: Ints, month: Ints, size: Floats, rng: np.random.Generator) -> None:
    amount = lognormal(rng, block.assumptions.temporary_assistance, len(household)) * size
    inside = np.minimum(month, block.grid.simulated - 1)
    there = (month == inside) & (block.members[household, inside] > 0)
    ledger.add("LS//GRANT", np.where(there, household, -1), block.sometime(rng, month), value=np.rint(amount / 10) * 10)
