"""What a household sells and earns from land, herds and public-welfare jobs.

Reports follow the harvest and are late; most small sales are never reported. No row means none only for a household
that some record of this office showed before the time asked about.
"""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_PRODUCTION = Department("PRD", "农业农村", Text("农业农村部门（生产经营）", "agriculture office, production"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "PRD//SALES",
        Text("农产品销售/经营收入", "farm or business income"),
        _PRODUCTION,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="money taken for produce or in the family's business",
        lag_days=(30, 120),
        bounds=(0.0, 10_000_000.0),
        sensitivity="F",
        linked_by=("PRD//*",),
        linked_before=True,
    ),
    EventKind(
        "PRD//LAND_TRANSFER",
        Text("土地流转收入", "land-transfer income"),
        _PRODUCTION,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="rent received for land",
        lag_days=(30, 120),
        bounds=(0.0, 1_000_000.0),
        sensitivity="F",
        linked_by=("PRD//*",),
        linked_before=True,
    ),
    EventKind(
        "PRD//HERD_SALE",
        Text("牲畜出栏/变卖", "livestock sold"),
        _PRODUCTION,
        Unit.COUNT,
        Level.HOUSEHOLD,
        value="heads sold",
        lag_days=(30, 120),
        bounds=(0.0, 100_000.0),
        linked_by=("PRD//*",),
        linked_before=True,
    ),
    EventKind(
        "PRD//PUBLIC_POST",
        Text("公益岗", "public-welfare job"),
        _PRODUCTION,
        Unit.MONEY,
        Level.PERSON,
        value="pay of one month",
        lag_days=(15, 45),
        bounds=(0.0, 50_000.0),
        sensitivity="F",
        linked_by=("PRD//*",),
        linked_before=True,
    ),
)
