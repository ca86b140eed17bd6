"""Imprisonment, compulsory drug treatment and release. Sealed.

Read case by case, so no row says nothing. An imprisonment stays with the household that it was filed for: it tells who
was left behind, and must not follow somebody into a new home.
"""

from __future__ import annotations

from features.definition import Absent, Department, EventKind, Level, Text
from features.unit import Unit

_PRISONS = Department("PRI", "司法行政", Text("司法行政部门", "prisons and drug treatment"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "PRI//IMPRISON",
        Text("服刑/强制戒毒", "imprisonment"),
        _PRISONS,
        Unit.MONTHS,
        Level.PERSON,
        value="months of the term",
        lag_days=(30, 120),
        bounds=(0.0, 1_200.0),
        sensitivity="J",
        follows=False,
        is_sealed=True,
        silence=Absent.UNKNOWN,
    ),
    EventKind(
        "PRI//RELEASE",
        Text("刑满释放", "release"),
        _PRISONS,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(15, 60),
        sensitivity="J",
        is_sealed=True,
        silence=Absent.UNKNOWN,
    ),
)
