"""What may happen to a household, and which way it may move the attention it gets.

`worse` must never lower it: more own payment, a graver grade, the death of the main earner. `better` must never raise
it: a job, training, insurance, a regular benefit. Both give the household before and after, so that what a change has
to leave out (pay after a death) is missing on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import NamedTuple

from tests.situations import DAYS_A_MONTH, Happening, Situation, monthly

GRADES = ("DIS//CERT_NEW", "DIS//GRADE_CHANGE")
PAY = ("EMP//WAGE", "PRD//PUBLIC_POST")
INCOME = (*PAY, "SSI//PENSION", "EMP//UI_BENEFIT", "MON//INCOME_SURVEY", "PRD//SALES", "PRD//LAND_TRANSFER")
EARNER_DAYS = 730
PAID_DAY = 8.0


class Change(NamedTuple):
    """A household before and after, under the name of what happened."""

    name: str
    before: Situation
    after: Situation


def worse(home: Situation, rng: Random) -> Iterator[Change]:
    """Changes that must never lower the tier."""
    names = [person.name for person in home.people]
    stay = Happening("CLM//INPATIENT", rng.uniform(1, 85), _money(rng, 100, 40_000), rng.choice(names))
    yield Change("one more stay", home, home.plus(stay))
    code = rng.choice(["CLM//INPATIENT", "CLM//DRUG", "CLM//OUTPATIENT_CHRONIC"])
    bill = Happening(code, rng.uniform(1, 360), _money(rng, 10, 20_000), rng.choice(names))
    yield Change("one more bill", home, home.plus(bill))
    for paid in home.of("CLM//INPATIENT", "CLM//DRUG", "CLM//OUTPATIENT_CHRONIC"):
        if paid.value is not None:
            larger = paid._replace(value=round(paid.value * rng.uniform(1.01, 5), 2))
            yield Change("a larger bill", home, home.instead(paid, larger))
    for certificate in home.of(*GRADES):
        if certificate.value is not None and certificate.value > 1:
            graver = certificate._replace(value=float(rng.randint(1, int(certificate.value) - 1)))
            yield Change("a graver grade", home, home.instead(certificate, graver))
    for name in names:
        held = min((each for each in home.of(*GRADES) if each.person == name), key=lambda each: each.days, default=None)
        if held is not None and held.value is not None and held.value > 1 and held.days > 1:
            grade = float(rng.randint(1, int(held.value) - 1))
            again = Happening("DIS//GRADE_CHANGE", rng.uniform(0.5, min(80, held.days - 0.4)), grade, name)
            yield Change("reassessed as graver", home, home.plus(again))
    yield from _death_of_the_main_earner(home, rng)


def _death_of_the_main_earner(home: Situation, rng: Random) -> Iterator[Change]:
    died_before = {each.person for each in home.of("FUN//CREMATE")}
    for days in (rng.uniform(0.5, PAID_DAY - 0.5), rng.uniform(PAID_DAY, 175)):
        for person in home.people:
            if len(home.people) < 2 or person.name in died_before:
                continue
            kept = (each for each in home.happenings if each.person != person.name or each.days > days)
            before = replace(home, happenings=tuple(kept))
            if person.name == main_earner(before):
                death = Happening("FUN//CREMATE", days, float(person.age or 45), person.name)
                yield Change("the main earner died", before, before.plus(death).left_by(person.name, days))


def main_earner(home: Situation) -> str | None:
    """Who had the largest pay of 24 months; none where nobody's is on record."""
    sums: dict[str, float] = {}
    for each in home.of(*PAY):
        if each.person is not None and each.value is not None and 0 < each.days <= EARNER_DAYS:
            sums[each.person] = sums.get(each.person, 0.0) + each.value
    return max(sums, key=lambda name: sums[name]) if sums else None


def better(home: Situation, rng: Random) -> Iterator[Change]:
    """Changes that must never raise the tier. What is regular runs until now, and began within the last 12 months: a
    longer record of one payment says something about all others."""
    names = [person.name for person in home.people]
    months = rng.randint(1, 12)
    can_work = _who_can_take_a_job(home)
    if can_work:
        name = rng.choice(can_work)
        since = [each.days for each in home.of("EMP//UNEMP", "EMP//UI_END") if each.person == name and each.days > 0]
        hired = min([rng.uniform(6, 170), *(days - 0.4 for days in since)])
        yield Change("a job", home, home.plus(*a_job(name, hired, _money(rng, 800, 8000))))
        course = Happening("EMP//TRAINING", rng.uniform(1, 300), float(rng.randint(3, 30)), name)
        yield Change("training", home, home.plus(course))
    one, *_ = rng.sample(names, len(names))
    yield Change("insurance paid", home, home.plus(Happening("ENR//PAID", rng.uniform(1, 300), 400.0, one)))
    paid = (Happening("ENR//PAID", rng.uniform(1, 300), 400.0, name) for name in names)
    yield Change("everybody insured", home, home.plus(*paid))
    for code, amount in (("DIS//SUB_LIVING", 90.0), ("DIS//SUB_CARE", 120.0), ("ELD//SUBSIDY", 100.0)):
        yield Change(code, home, home.plus(*monthly(code, amount, one, months)))
    for person in home.people:
        if person.age is not None and person.age >= 60:
            pension = monthly("SSI//PENSION", _money(rng, 100, 4000), person.name, months)
            yield Change("a pension", home, home.plus(*pension))
            yield Change(
                "a higher pension", home, _paid_more(home, "SSI//PENSION", person.name, rng.uniform(1.01, 1.5))
            )
    entered, changed = home.of("DB//ENTER"), home.of("DB//ENTER", "DB//ADJUST")
    if entered and not home.of("DB//EXIT"):
        newest = min(changed, key=lambda each: each.days)
        amount = (newest.value or 100.0) * rng.uniform(1.01, 1.5)
        raised = Happening("DB//ADJUST", rng.uniform(0.5, max(newest.days, 0.6)), round(amount, 2))
        yield Change("dibao raised", home, home.plus(raised))


def _who_can_take_a_job(home: Situation) -> list[str]:
    gone = {each.person for each in home.of("FUN//CREMATE", "HKM//MISSING", "HKM//MEMBER_LEAVE", "PRI//IMPRISON")}
    just_lost = {each.person for each in home.of("EMP//UNEMP", "EMP//UI_END") if 0 < each.days < 7}
    of_age = (person.name for person in home.people if person.age is None or 18 <= person.age < 60)
    return [name for name in of_age if name not in gone | just_lost]


def a_job(name: str, hired: float, wage: float) -> list[Happening]:
    """A registered job and its monthly pay since."""
    pays = (Happening("EMP//WAGE", hired - 5 - DAYS_A_MONTH * k, wage, name) for k in range(12))
    return [Happening("EMP//HIRE", hired, None, name), *(each for each in pays if each.days > 0)]


def _paid_more(home: Situation, code: str, name: str, factor: float) -> Situation:
    return scaled(home, factor, lambda each: each.code == code and each.person == name)


def scaled(home: Situation, factor: float, of: object = None) -> Situation:
    """The same household with some amounts multiplied; without `of` every income on record."""
    chosen = of if callable(of) else (lambda each: each.code in INCOME)
    return replace(
        home,
        happenings=tuple(
            each._replace(value=each.value * factor) if each.value is not None and chosen(each) else each
            for each in home.happenings
        ),
    )


def split(home: Situation, rng: Random) -> Iterator[Change]:
    """One person leaves shortly before the family applies for help, against the same application without it."""
    for person in home.people:
        if len(home.people) < 2 or home.of("HKM//MEMBER_LEAVE", "FUN//CREMATE"):
            continue
        left = rng.uniform(12, 85)
        kept = (each for each in home.happenings if each.person != person.name or each.days > left or each.days < 0)
        before = replace(home, happenings=tuple(kept)).plus(Happening("SLF//APPLY", rng.uniform(1, 10)))
        leaves = Happening("HKM//MEMBER_LEAVE", left, None, person.name)
        yield Change(f"{person.name} left", before, before.plus(leaves).left_by(person.name, left))


def _money(rng: Random, least: float, most: float) -> float:
    return round(math.exp(rng.uniform(math.log(least), math.log(most))), 2)
