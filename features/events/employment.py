"""Work, unemployment and pensions, as the labour and social security office reports them.

Much work is informal and never registered here: no wage on record does not mean no income. A time without wage or
pension is known to be one only for a person whom a record of these offices showed before it began; a first job on
record says nothing about the months before it. Registrations, benefits, cases
and training are acts of the office itself, so no row means that there was none.
"""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_EMPLOYMENT = Department("EMP", "人社", Text("人社部门（就业）", "employment office"))
_SOCIAL_INSURANCE = Department("SSI", "人社", Text("人社部门（社保）", "social insurance office"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "EMP//WAGE",
        Text("工资/务工收入", "wage income"),
        _EMPLOYMENT,
        Unit.MONEY,
        Level.PERSON,
        value="pay of one month",
        lag_days=(20, 60),
        bounds=(0.0, 500_000.0),
        sensitivity="F",
        linked_by=("EMP//WAGE", "EMP//UNEMP", "EMP//UI_BENEFIT", "EMP//UI_END", "SSI//PENSION"),
        linked_before=True,
    ),
    EventKind(
        "EMP//HIRE",
        Text("就业登记", "employment registration"),
        _EMPLOYMENT,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(15, 60),
    ),
    EventKind(
        "EMP//UNEMP",
        Text("失业登记", "unemployment registration"),
        _EMPLOYMENT,
        Unit.SCALE,
        Level.PERSON,
        value="registered reason for being out of work",
        lag_days=(15, 75),
        bounds=(1.0, 8.0),
    ),
    EventKind(
        "EMP//UI_BENEFIT",
        Text("失业保险金", "unemployment benefit"),
        _EMPLOYMENT,
        Unit.MONEY,
        Level.PERSON,
        value="benefit of one month",
        lag_days=(10, 30),
        bounds=(0.0, 50_000.0),
        sensitivity="F",
    ),
    EventKind(
        "EMP//UI_END",
        Text("失业金期满", "benefit exhausted"),
        _EMPLOYMENT,
        Unit.MONTHS,
        Level.PERSON,
        value="months for which the benefit was paid",
        lag_days=(5, 30),
        bounds=(0.0, 36.0),
        is_scheduled=True,
    ),
    EventKind(
        "EMP//ARREARS",
        Text("欠薪案件", "wage arrears case"),
        _EMPLOYMENT,
        Unit.MONEY,
        Level.PERSON,
        value="pay still owed by the employer",
        lag_days=(15, 60),
        bounds=(0.0, 2_000_000.0),
        sensitivity="J",
    ),
    EventKind(
        "EMP//WORK_INJURY",
        Text("工伤认定", "work injury"),
        _EMPLOYMENT,
        Unit.SCALE,
        Level.PERSON,
        value="assessed grade, 1 is the most severe",
        lag_days=(30, 120),
        bounds=(1.0, 10.0),
        sensitivity="H",
    ),
    EventKind(
        "EMP//TRAINING",
        Text("技能培训", "skills training"),
        _EMPLOYMENT,
        Unit.DAYS,
        Level.PERSON,
        value="days of training",
        lag_days=(15, 60),
        bounds=(0.0, 730.0),
    ),
    EventKind(
        "SSI//PENSION",
        Text("养老金", "pension"),
        _SOCIAL_INSURANCE,
        Unit.MONEY,
        Level.PERSON,
        value="pension of one month",
        lag_days=(5, 30),
        bounds=(0.0, 100_000.0),
        sensitivity="F",
        linked_by=("SSI//*", "EMP//WAGE", "EMP//UI_BENEFIT"),
        linked_before=True,
    ),
    EventKind(
        "SSI//PENSION_STOP",
        Text("养老待遇停发", "pension suspended"),
        _SOCIAL_INSURANCE,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(10, 60),
    ),
)
