"""Diagnoses, chronic-disease care and births. The diagnosis itself stands in the text of the event.

Hospitals must report major diseases, births and severe mental disorders for everybody. Chronic diseases are filed by
clinics, and not all are linked: no filing means none only for whom another health or insurance record shows.
"""

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
        coded_text="ICD-10",
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
        linked_by=("HLT//*", "CLM//*", "ENR//*", "MAI//*"),
        coded_text="ICD-10",
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
