"""Water that fails or is unsafe to drink. Every failure is reported, so no row means that the water ran."""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_WATER = Department("WTR", "水利", Text("水利部门", "water office"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "WTR//OUTAGE",
        Text("断水/水质异常", "water outage / unsafe"),
        _WATER,
        Unit.DAYS,
        Level.HOUSEHOLD,
        value="days without safe water",
        lag_days=(7, 60),
        bounds=(0.0, 366.0),
    ),
)
