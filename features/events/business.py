"""Businesses opened and closed. The register is public and complete: no row means no registered business."""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_BUSINESS = Department("BIZ", "市场监管", Text("市场监管部门（市场主体登记）", "business register"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "BIZ//REGISTER",
        Text("市场主体登记", "business registered"),
        _BUSINESS,
        Unit.MONEY,
        Level.PERSON,
        value="capital paid in",
        lag_days=(3, 30),
        bounds=(0.0, 500_000_000.0),
    ),
    EventKind(
        "BIZ//CLOSE",
        Text("注销/吊销", "business closed"),
        _BUSINESS,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(5, 60),
    ),
)
