"""What happens to a whole area: disasters, prices of its main product, mass layoffs, resettlement sites.

The platform delivers such an event once for every household of the area, so that each household's record is complete
by itself. No row means that the area had no disaster and no layoff, and is no resettlement site. A price index that
was not delivered says nothing.
"""

from __future__ import annotations

from features.definition import Absent, Department, EventKind, Level, Text
from features.unit import Unit

_AREA = Department("ARE", "统计/发改/气象", Text("统计、发改、气象部门", "statistics, planning and weather offices"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "ARE//DISASTER_LEVEL",
        Text("区域灾害等级", "area disaster level"),
        _AREA,
        Unit.SCALE,
        Level.AREA,
        value="level of the disaster, 4 is the most severe",
        lag_days=(1, 10),
        bounds=(1.0, 4.0),
    ),
    EventKind(
        "ARE//PRICE",
        Text("主导产业价格指数", "main-product price index"),
        _AREA,
        Unit.SCALE,
        Level.AREA,
        value="price index of the area's main product, 100 in the base period",
        lag_days=(15, 45),
        bounds=(0.0, 10_000.0),
        silence=Absent.UNKNOWN,
    ),
    EventKind(
        "ARE//LAYOFF",
        Text("规模裁员/关停", "mass layoff"),
        _AREA,
        Unit.COUNT,
        Level.AREA,
        value="persons laid off",
        lag_days=(10, 60),
        bounds=(0.0, 1_000_000.0),
    ),
    EventKind(
        "ARE//RESETTLE_SITE",
        Text("易地搬迁集中安置区", "resettlement site"),
        _AREA,
        Unit.SCALE,
        Level.AREA,
        value="1 the area is a resettlement site, 0 it is one no more",
        lag_days=(0, 0),
        bounds=(0.0, 1.0),
    ),
)
