"""Judgments against a member and orders for their upkeep. Sealed.

The court's records are read case by case, so no row says nothing about somebody whose case nobody read. A rule may
use them; the wording is for a role that may read it.
"""

from __future__ import annotations

from features.definition import Absent, Department, EventKind, Level, Text
from features.unit import Unit

_COURTS = Department("JUD", "法院", Text("人民法院", "courts"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "JUD//ENFORCED",
        Text("被执行人", "judgment debtor"),
        _COURTS,
        Unit.MONEY,
        Level.PERSON,
        value="amount still to be paid under the judgment",
        lag_days=(15, 60),
        bounds=(0.0, 100_000_000.0),
        sensitivity="J",
        is_sealed=True,
        silence=Absent.UNKNOWN,
    ),
    EventKind(
        "JUD//MAINTENANCE",
        Text("赡养/抚养判决", "maintenance order"),
        _COURTS,
        Unit.MONEY,
        Level.PERSON,
        value="upkeep of one month due to the member",
        lag_days=(30, 90),
        bounds=(0.0, 100_000.0),
        sensitivity="J",
        is_sealed=True,
        silence=Absent.UNKNOWN,
    ),
)
