"""What visitors from the township and the village committee write down.

Every visit and every alert by a visitor is entered, so no row means that none took place. Living conditions and digital
ability are assessments: one that nobody made says nothing.
"""

from __future__ import annotations

from features.definition import Absent, Department, EventKind, Level, Text
from features.unit import Unit

_GRID = Department("GRD", "镇街/村居", Text("镇街和村（居）委会", "township and village committee"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "GRD//VISIT",
        Text("入户走访", "home visit"),
        _GRID,
        Unit.SCALE,
        Level.HOUSEHOLD,
        value="finding, from 0 nothing of note to 3 urgent",
        lag_days=(1, 15),
        is_trace=True,
        bounds=(0.0, 3.0),
    ),
    EventKind(
        "GRD//RISK_FLAG",
        Text("走访上报风险", "visitor flags risk"),
        _GRID,
        Unit.SCALE,
        Level.HOUSEHOLD,
        value="severity in the visitor's judgement, 3 is the most severe",
        lag_days=(1, 7),
        is_trace=True,
        bounds=(1.0, 3.0),
    ),
    EventKind(
        "GRD//LIVING",
        Text("生活状况评分", "visit living-condition items"),
        _GRID,
        Unit.SCALE,
        Level.HOUSEHOLD,
        value=(
            "deprivations as a bit set, item n adds 2 to the power n-1: 1 income, 2 housing, 3 disease, 4 disability, "
            "5 education, 6 employment, 7 social security, 8 social participation, 9 child burden, "
            "10 child environment"
        ),
        lag_days=(1, 15),
        is_trace=True,
        bounds=(0.0, 1_023.0),
        silence=Absent.UNKNOWN,
    ),
    EventKind(
        "GRD//DIGITAL",
        Text("数字能力", "digital access item"),
        _GRID,
        Unit.SCALE,
        Level.PERSON,
        value="0 none, 1 with help, 2 alone for simple things, 3 fluent",
        lag_days=(1, 15),
        is_trace=True,
        bounds=(0.0, 3.0),
        silence=Absent.UNKNOWN,
    ),
)
