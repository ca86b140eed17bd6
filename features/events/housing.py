"""Unsafe dwellings, rent and rent support.

The housing office surveys and grades unsafe dwellings, pays the rent subsidy and lets the public flats: what it does
not report of these did not happen. Rent paid to others it sees only where a lease was filed with it.
"""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_HOUSING = Department("HSG", "住建", Text("住建部门（住房保障）", "housing office"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "HSG//DANGER",
        Text("危房鉴定", "dangerous-housing grade"),
        _HOUSING,
        Unit.SCALE,
        Level.HOUSEHOLD,
        value="grade of the dwelling: 1 is A, safe, to 4, which is D, unfit to live in",
        lag_days=(15, 90),
        bounds=(1.0, 4.0),
    ),
    EventKind(
        "HSG//RENT_SUB",
        Text("公租房/租赁补贴", "public rental / subsidy"),
        _HOUSING,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="rent subsidy of one month, or what public letting saves in it",
        lag_days=(15, 45),
        bounds=(0.0, 20_000.0),
    ),
    EventKind(
        "HSG//RENT_ARREARS",
        Text("公租房欠租", "rent arrears"),
        _HOUSING,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="rent of a public flat still owed",
        lag_days=(30, 60),
        bounds=(0.0, 500_000.0),
    ),
    EventKind(
        "HSG//RENT",
        Text("租房支出", "rent paid"),
        _HOUSING,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="rent of one month",
        lag_days=(30, 90),
        bounds=(0.0, 100_000.0),
        linked_by=("HSG//*",),
    ),
)
