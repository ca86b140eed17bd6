"""Disasters and accidents that strike a household's home, fields or herds.

The emergency office surveys every household that was struck, so no row means that nothing happened.
"""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_EMERGENCY = Department("DST", "应急", Text("应急管理部门", "emergency office"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "DST//HOUSE_LOSS",
        Text("住房倒损", "house damaged / collapsed"),
        _EMERGENCY,
        Unit.COUNT,
        Level.HOUSEHOLD,
        value="rooms damaged or collapsed",
        lag_days=(3, 45),
        bounds=(0.0, 100.0),
    ),
    EventKind(
        "DST//RELOCATE",
        Text("紧急转移安置", "emergency resettlement"),
        _EMERGENCY,
        Unit.COUNT,
        Level.HOUSEHOLD,
        value="persons of the household moved to safety",
        lag_days=(1, 15),
        bounds=(0.0, 50.0),
    ),
    EventKind(
        "DST//CROP_LOSS",
        Text("农作物/养殖受灾", "crop or herd loss"),
        _EMERGENCY,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="assessed loss",
        lag_days=(15, 90),
        bounds=(0.0, 5_000_000.0),
    ),
    EventKind(
        "DST//FIRE",
        Text("火灾/意外事故", "fire or accident"),
        _EMERGENCY,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="assessed loss",
        lag_days=(3, 30),
        bounds=(0.0, 10_000_000.0),
    ),
)
