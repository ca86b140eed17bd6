"""Certificates, subsidies and the cost of rehabilitation.

The federation issues every certificate and pays the subsidies: one that it does not report does not exist. What a
family paid for rehabilitation it learns only from those whom it has on record.
"""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_DISABILITY = Department("DIS", "残联", Text("残联", "disabled persons' federation"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "DIS//CERT_NEW",
        Text("新办残疾证", "disability certificate issued"),
        _DISABILITY,
        Unit.SCALE,
        Level.PERSON,
        value="grade, 1 is the most severe; class in the text",
        lag_days=(7, 45),
        bounds=(1.0, 4.0),
        sensitivity="H",
        coded_text="GB/T 26341 class",
    ),
    EventKind(
        "DIS//GRADE_CHANGE",
        Text("残疾等级变更", "disability grade change"),
        _DISABILITY,
        Unit.SCALE,
        Level.PERSON,
        value="grade after reassessment, 1 is the most severe",
        lag_days=(7, 45),
        bounds=(1.0, 4.0),
        sensitivity="H",
        coded_text="GB/T 26341 class",
    ),
    EventKind(
        "DIS//CERT_EXPIRE",
        Text("残疾证到期", "certificate expiry"),
        _DISABILITY,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(0, 5),
        sensitivity="H",
        is_scheduled=True,
    ),
    EventKind(
        "DIS//SUB_LIVING",
        Text("困难残疾人生活补贴", "living subsidy for disabled"),
        _DISABILITY,
        Unit.MONEY,
        Level.PERSON,
        value="subsidy of one month",
        lag_days=(10, 40),
        bounds=(0.0, 20_000.0),
        sensitivity="HI",
    ),
    EventKind(
        "DIS//SUB_CARE",
        Text("重度残疾人护理补贴", "nursing subsidy, severe disability"),
        _DISABILITY,
        Unit.MONEY,
        Level.PERSON,
        value="subsidy of one month",
        lag_days=(10, 40),
        bounds=(0.0, 20_000.0),
        sensitivity="HI",
    ),
    EventKind(
        "DIS//REHAB_COST",
        Text("残疾康复自付", "rehabilitation cost"),
        _DISABILITY,
        Unit.MONEY,
        Level.PERSON,
        value="what the family paid for rehabilitation and aids",
        lag_days=(20, 90),
        bounds=(0.0, 500_000.0),
        sensitivity="H",
        linked_by=("DIS//*",),
    ),
)
