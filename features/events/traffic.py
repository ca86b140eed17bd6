"""Traffic casualties, and vehicles held and sold.

The traffic police report every casualty. Vehicles are read only with the household's signed authorisation; without
one, no row says nothing.
"""

from __future__ import annotations

from features.definition import Absent, Department, EventKind, Level, Text
from features.unit import Unit

_TRAFFIC = Department("TRF", "公安交管", Text("公安交管部门", "traffic police"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "TRF//ACCIDENT",
        Text("交通事故伤亡", "traffic casualty"),
        _TRAFFIC,
        Unit.SCALE,
        Level.PERSON,
        value="severity: 1 slight injury, 2 severe injury, 3 death",
        lag_days=(5, 60),
        bounds=(1.0, 3.0),
        sensitivity="H",
    ),
    EventKind(
        "TRF//VEH_OWN",
        Text("车辆登记", "vehicle registration"),
        _TRAFFIC,
        Unit.MONEY,
        Level.PERSON,
        value="value of the vehicle when it was registered",
        lag_days=(3, 30),
        bounds=(0.0, 10_000_000.0),
        sensitivity="F",
        is_authorised=True,
        authorised_months=12,
        silence=Absent.UNKNOWN,
    ),
    EventKind(
        "TRF//VEH_SALE",
        Text("车辆转移/注销", "vehicle sold"),
        _TRAFFIC,
        Unit.MONEY,
        Level.PERSON,
        value="price of the sale, 0 where the vehicle was only deregistered",
        lag_days=(3, 30),
        bounds=(0.0, 10_000_000.0),
        sensitivity="F",
        is_authorised=True,
        authorised_months=12,
        silence=Absent.UNKNOWN,
    ),
)
