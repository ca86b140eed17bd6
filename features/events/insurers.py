"""The county's anti-poverty insurance. The insurer reports every payment, so no row means that none was made."""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_INSURERS = Department("INR", "保险机构", Text("保险机构（防贫保）", "insurers, anti-poverty insurance"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "INR//ANTI_POVERTY_PAY",
        Text("防贫保赔付", "anti-poverty insurance paid"),
        _INSURERS,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="amount paid out",
        lag_days=(20, 90),
        bounds=(0.0, 2_000_000.0),
        sensitivity="F",
    ),
)
