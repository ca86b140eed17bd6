"""Charity grants and personal appeals for help.

Charities and appeal platforms that work with the county report each case. A gift that nobody reports counts as none: it
must never be held against a household.
"""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_CHARITY = Department("CHR", "慈善/社会组织", Text("慈善和社会组织", "charities"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "CHR//GRANT",
        Text("慈善帮扶", "charity grant"),
        _CHARITY,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="amount given",
        lag_days=(20, 90),
        bounds=(0.0, 1_000_000.0),
        sensitivity="I",
    ),
    EventKind(
        "CHR//APPEAL",
        Text("个人网络求助发布", "online personal appeal"),
        _CHARITY,
        Unit.MONEY,
        Level.PERSON,
        value="amount asked for",
        lag_days=(3, 30),
        bounds=(0.0, 10_000_000.0),
        sensitivity="H",
    ),
)
