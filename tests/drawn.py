"""Households drawn by chance, of all kinds that the catalogue can tell of; for properties that must hold of any."""

from __future__ import annotations

import math
from random import Random

from features.catalogue import catalogue
from features.definition import Level
from features.unit import Unit
from tests.situations import Happening, Person, Situation, monthly

KINDS = catalogue().kinds


def some_household(rng: Random) -> Situation:
    """A household with people of some ages, some incomes, bills, certificates, statuses and blows."""
    people = _some_people(rng)
    adults = [p.name for p in people if p.age is None or 18 <= p.age < 60]
    elders = [p.name for p in people if p.age is not None and p.age >= 60]
    children = [p.name for p in people if p.age is not None and p.age < 18]
    everybody = [p.name for p in people]
    found: list[Happening] = []
    for name in adults:
        if rng.random() < 0.6:
            found += monthly(
                "EMP//WAGE", _money(rng, 300, 9000), name, rng.randint(1, 30), rng.choice([8.0, 8.0, 100.0])
            )
        if rng.random() < 0.15:
            found.append(Happening("EMP//HIRE", rng.uniform(1, 900), None, name))
        if rng.random() < 0.1:
            found.append(Happening("EMP//UNEMP", rng.uniform(1, 500), float(rng.randint(1, 8)), name))
    for name in elders:
        if rng.random() < 0.6:
            found += monthly("SSI//PENSION", _money(rng, 90, 4000), name, rng.randint(1, 26))
    for name in children:
        if rng.random() < 0.5:
            found.append(Happening("EDU//ENROL", rng.uniform(1, 380), float(rng.randint(1, 5)), name))
        if rng.random() < 0.4:
            found.append(Happening("EDU//FEE", rng.uniform(1, 360), _money(rng, 200, 20_000), name))
    if rng.random() < 0.5:
        found.append(Happening("MON//INCOME_SURVEY", rng.uniform(1, 380), _money(rng, 2_000, 40_000)))
    if rng.random() < 0.35:
        found += [
            Happening("PRD//SALES", rng.uniform(1, 800), _money(rng, 500, 40_000)) for _ in range(rng.randint(1, 3))
        ]
    found += _some_statuses(rng, everybody)
    found += _some_bills(rng, everybody)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
        found.append(_anything(rng, everybody))
    return Situation(
        people,
        tuple(found),
        rng.choice(["rural", "rural", "town", "city"]),
        rng.choice(["demo", "demo", "demo", "cn-hangzhou-demo"]),
    )


def _some_people(rng: Random) -> tuple[Person, ...]:
    ages = rng.choice(
        [
            (45, 43), (45, 43, 15), (38, 36, 10, 6), (41, 12), (72, 70), (74,), (66, 64, 9), (50, 76), (35,),
            (33, 31, 8, 5, 2), (45, 43, 20, 72), (70, 42), (None, 44), (58, 57, 30, 28, 4), (19,),
        ]
    )  # fmt: skip
    roles = ["head", "spouse", "child", "parent", "other"]
    return tuple(Person(f"p{i + 1}", age, roles[min(i, 4)], rng.choice(["F", "M"])) for i, age in enumerate(ages))


def _some_statuses(rng: Random, everybody: list[str]) -> list[Happening]:
    found = []
    if rng.random() < 0.25:
        found.append(Happening("DB//ENTER", rng.uniform(100, 1200), _money(rng, 100, 900)))
        if rng.random() < 0.3:
            found.append(Happening("DB//EXIT", rng.uniform(1, 100), 3.0))
    for code, of, value in (
        ("MON//ENTER", None, 2.0), ("MON//OUT_OF_POVERTY", None, 2018.0), ("LIP//EDGE_ENTER", None, None),
        ("LIP//RIGID_ENTER", None, None), ("TK//ENTER", rng.choice(everybody), 900.0), ("MON//RISK_CLEAR", None, None),
    ):  # fmt: skip
        if rng.random() < 0.1:
            found.append(Happening(code, rng.uniform(1, 900), value, of))
    for name in everybody:
        if rng.random() < 0.2:
            found.append(Happening("DIS//CERT_NEW", rng.uniform(1, 1500), float(rng.randint(1, 4)), name))
            if rng.random() < 0.3:
                found.append(Happening("DIS//GRADE_CHANGE", rng.uniform(1, 200), float(rng.randint(1, 4)), name))
            if rng.random() < 0.3:
                until = rng.choice([8.0, 8.0, 70.0])
                found += monthly(
                    rng.choice(["DIS//SUB_CARE", "DIS//SUB_LIVING"]), 120.0, name, rng.randint(1, 12), until
                )
    if rng.random() < 0.3:
        found.append(Happening("GRD//VISIT", rng.uniform(1, 400), 0.0))
    if rng.random() < 0.3:
        found.append(Happening("GRD//LIVING", rng.uniform(1, 380), float(rng.getrandbits(10) & rng.getrandbits(10))))
    return found


def _some_bills(rng: Random, everybody: list[str]) -> list[Happening]:
    found = []
    for name in everybody:
        if rng.random() < 0.6:
            found.append(Happening("ENR//PAID", rng.uniform(1, 360), 400.0, name))
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        code = rng.choice(["CLM//INPATIENT", "CLM//INPATIENT", "CLM//DRUG", "CLM//OUTPATIENT_CHRONIC"])
        found.append(Happening(code, rng.uniform(1, 400), _money(rng, 100, 60_000), rng.choice(everybody)))
    if rng.random() < 0.15:
        found.append(Happening("MAI//GRANT", rng.uniform(1, 360), _money(rng, 200, 9_000), rng.choice(everybody)))
    if rng.random() < 0.1:
        found.append(Happening("HLT//MAJOR_DX", rng.uniform(1, 120), None, rng.choice(everybody), "C50"))
    return found


def _anything(rng: Random, everybody: list[str]) -> Happening:
    """One event of any kind of the catalogue, at any time of two years."""
    kind = rng.choice(KINDS)
    value = None
    if kind.unit is not Unit.NONE and kind.bounds is not None:
        least, most = kind.bounds
        value = (
            float(rng.randint(int(least), int(min(most, 10)))) if most <= 1100 else _money(rng, 50, min(most, 40_000))
        )
        value = -value if most <= 0 else max(least, value)
    person = rng.choice(everybody) if kind.level is Level.PERSON else None
    text = rng.choice(["320500", "990100"]) if kind.code == "HKM//RES_PERMIT" else None
    days = -rng.uniform(1, 80) if kind.is_scheduled and rng.random() < 0.5 else rng.uniform(1, 500)
    return Happening(kind.code, days, value, person, text)


def _money(rng: Random, least: float, most: float) -> float:
    return round(math.exp(rng.uniform(math.log(least), math.log(most))), 2)
