"""Return-to-poverty monitoring: who is watched, who was cleared, and the yearly income survey.

The lists are complete, so no row means not listed. An income that nobody surveyed is not known.
"""

from __future__ import annotations

from features.definition import Absent, Department, EventKind, Level, Text
from features.unit import Unit

_MONITORING = Department(
    "MON", "农业农村", Text("农业农村部门（防返贫监测）", "agriculture office, return-to-poverty monitoring")
)

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "MON//ENTER",
        Text("纳入监测对象", "enters return-to-poverty monitoring"),
        _MONITORING,
        Unit.SCALE,
        Level.HOUSEHOLD,
        value="type: 1 out of poverty but unstable, 2 on the edge, 3 sudden hardship",
        lag_days=(20, 60),
        bounds=(1.0, 3.0),
        sensitivity="I",
        is_entry=True,
    ),
    EventKind(
        "MON//RISK_CLEAR",
        Text("风险消除", "risk cleared"),
        _MONITORING,
        Unit.NONE,
        Level.HOUSEHOLD,
        value="",
        lag_days=(20, 60),
        sensitivity="I",
    ),
    EventKind(
        "MON//OUT_OF_POVERTY",
        Text("脱贫户标识", "formerly registered poor"),
        _MONITORING,
        Unit.SCALE,
        Level.HOUSEHOLD,
        value="calendar year in which the household left poverty",
        lag_days=(0, 0),
        bounds=(2_010.0, 2_035.0),
        sensitivity="I",
    ),
    EventKind(
        "MON//INCOME_SURVEY",
        Text("收入测算", "surveyed per-capita net income"),
        _MONITORING,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="net income of one member in one year",
        lag_days=(30, 120),
        bounds=(-200_000.0, 1_000_000.0),
        sensitivity="F",
        silence=Absent.UNKNOWN,
    ),
)
