"""Workers whom the union has filed as being in hardship. The file is its own: no row means that nobody is filed."""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_UNION = Department("TUN", "工会", Text("工会", "trade union"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "TUN//HARDSHIP",
        Text("困难职工建档", "hardship worker filed"),
        _UNION,
        Unit.SCALE,
        Level.PERSON,
        value="level of hardship as filed by the union",
        lag_days=(30, 90),
        bounds=(1.0, 3.0),
        sensitivity="I",
    ),
)
