"""Dwellings held and sold, read from the property register with the household's signed authorisation.

Without an authorisation nothing is known: no row means neither that a household owns a dwelling nor that it owns none.
"""

from __future__ import annotations

from features.definition import Absent, Department, EventKind, Level, Text
from features.unit import Unit

_PROPERTY = Department("PRP", "自然资源", Text("自然资源部门（不动产登记）", "property register"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "PRP//OWN",
        Text("不动产登记变动", "property record"),
        _PROPERTY,
        Unit.COUNT,
        Level.HOUSEHOLD,
        value="dwellings held",
        lag_days=(10, 60),
        bounds=(0.0, 50.0),
        sensitivity="F",
        is_authorised=True,
        authorised_months=12,
        silence=Absent.UNKNOWN,
    ),
    EventKind(
        "PRP//SALE",
        Text("不动产转移", "property sale"),
        _PROPERTY,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="price of the sale",
        lag_days=(10, 60),
        bounds=(0.0, 100_000_000.0),
        sensitivity="F",
        is_authorised=True,
        authorised_months=12,
        silence=Absent.UNKNOWN,
    ),
)
