"""Diagnoses, chronic-disease care and births. The diagnosis itself stands in the text of the event."""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_HEALTH = Department("HLT", "卫健", Text("卫生健康部门", "health office"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "HLT//MAJOR_DX",
        Text("重大疾病确诊", "major-disease diagnosis"),
        _HEALTH,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(7, 60),
        sensitivity="H",
    ),
    EventKind(
        "HLT//CHRONIC_REG",
        Text("慢病建档", "chronic-disease registration"),
        _HEALTH,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(30, 180),
        sensitivity="H",
    ),
    EventKind(
        "HLT//BIRTH",
        Text("出生", "birth"),
        _HEALTH,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(5, 60),
        sensitivity="M",
    ),
    EventKind(
        "HLT//MENTAL_SEVERE",
        Text("严重精神障碍管理", "severe mental disorder in care"),
        _HEALTH,
        Unit.SCALE,
        Level.PERSON,
        value="assessed level at the quarterly follow-up",
        lag_days=(15, 90),
        bounds=(0.0, 5.0),
        sensitivity="H",
    ),
)
