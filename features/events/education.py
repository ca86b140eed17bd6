"""School: enrolment, fees, admissions, long absences and student aid.

The office reports every admission, long absence and aid decision. Enrolment and fees reach it only from schools that
are linked: for a pupil without any school record, no fee on record is no fee of zero.
"""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_EDUCATION = Department("EDU", "教育", Text("教育部门", "education office"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "EDU//ENROL",
        Text("入学/学籍", "enrolment"),
        _EDUCATION,
        Unit.SCALE,
        Level.PERSON,
        value="stage: 1 preschool, 2 primary, 3 lower secondary, 4 upper secondary or vocational, 5 higher",
        lag_days=(15, 60),
        bounds=(1.0, 5.0),
        sensitivity="M",
        linked_by=("EDU//*",),
    ),
    EventKind(
        "EDU//ADMIT_HE",
        Text("高校录取", "higher-education admission"),
        _EDUCATION,
        Unit.MONEY,
        Level.PERSON,
        value="tuition and board of one year",
        lag_days=(20, 60),
        bounds=(0.0, 500_000.0),
    ),
    EventKind(
        "EDU//DROPOUT",
        Text("辍学/长期缺课", "dropout / long absence"),
        _EDUCATION,
        Unit.DAYS,
        Level.PERSON,
        value="school days missed",
        lag_days=(10, 60),
        bounds=(0.0, 1_100.0),
        sensitivity="M",
    ),
    EventKind(
        "EDU//FEE",
        Text("教育支出", "education expense"),
        _EDUCATION,
        Unit.MONEY,
        Level.PERSON,
        value="what the family paid for school",
        lag_days=(15, 60),
        bounds=(0.0, 500_000.0),
        sensitivity="M",
        linked_by=("EDU//*",),
    ),
    EventKind(
        "EDU//AID_GRADE",
        Text("学生资助认定等级", "student-aid grade"),
        _EDUCATION,
        Unit.SCALE,
        Level.PERSON,
        value="recognised grade, 1 is the greatest need",
        lag_days=(30, 90),
        bounds=(1.0, 3.0),
        sensitivity="IM",
    ),
    EventKind(
        "EDU//AID_STOP",
        Text("学生资助终止", "student aid stopped"),
        _EDUCATION,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(30, 90),
        sensitivity="IM",
    ),
)
