"""Unpaid bills and cut-offs of electricity, water and gas; never how much a household uses.

The suppliers report every case, so no row means that supply runs and is paid.
"""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_SUPPLIERS = Department("UTL", "供电供水供气", Text("供电、供水、供气单位", "electricity, water and gas suppliers"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "UTL//ARREARS",
        Text("水电气欠费", "utility arrears"),
        _SUPPLIERS,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="amount still owed",
        lag_days=(15, 45),
        bounds=(0.0, 500_000.0),
    ),
    EventKind(
        "UTL//CUTOFF",
        Text("停供", "supply cut off"),
        _SUPPLIERS,
        Unit.DAYS,
        Level.HOUSEHOLD,
        value="days without supply",
        lag_days=(5, 30),
        bounds=(0.0, 366.0),
    ),
)
