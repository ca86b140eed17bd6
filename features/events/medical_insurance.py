"""Claims, enrolment and medical assistance.

Only insured members appear: without a claim, a premium or a grant in the last 24 months, no cost on record is not
known to be no cost. Medical assistance and subsidised premiums are paid by the department itself, so no row means none
was paid. Stays away from home that are settled by hand arrive up to four months late, and a claim may be taken back by
a later reversal.
"""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_CLAIMS = Department("CLM", "医保", Text("医保部门（结算）", "health insurance, claims"))
_ENROLMENT = Department("ENR", "医保", Text("医保部门（参保）", "health insurance, enrolment"))
_MEDICAL_ASSISTANCE = Department("MAI", "医保", Text("医保部门（医疗救助）", "health insurance, medical assistance"))
_SEEN_BY_INSURANCE = ("CLM//*", "ENR//*", "MAI//*")

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "CLM//INPATIENT",
        Text("住院结算", "inpatient settlement"),
        _CLAIMS,
        Unit.MONEY,
        Level.PERSON,
        value="what the family paid for the stay after all cover",
        lag_days=(2, 60),
        bounds=(0.0, 5_000_000.0),
        sensitivity="H",
        linked_by=_SEEN_BY_INSURANCE,
        coded_text="ICD-10",
    ),
    EventKind(
        "CLM//OUTPATIENT_CHRONIC",
        Text("门诊慢特病结算", "chronic outpatient settlement"),
        _CLAIMS,
        Unit.MONEY,
        Level.PERSON,
        value="what the family paid for the visit after all cover",
        lag_days=(2, 45),
        bounds=(0.0, 500_000.0),
        sensitivity="H",
        linked_by=_SEEN_BY_INSURANCE,
    ),
    EventKind(
        "CLM//DRUG",
        Text("药店/双通道购药", "pharmacy purchase"),
        _CLAIMS,
        Unit.MONEY,
        Level.PERSON,
        value="what the family paid at the pharmacy after all cover",
        lag_days=(1, 30),
        bounds=(0.0, 500_000.0),
        sensitivity="H",
        linked_by=_SEEN_BY_INSURANCE,
    ),
    EventKind(
        "CLM//REVERSAL",
        Text("结算冲正", "claim reversal"),
        _CLAIMS,
        Unit.MONEY,
        Level.PERSON,
        value="amount taken back from an earlier claim, negative",
        lag_days=(5, 90),
        bounds=(-5_000_000.0, 0.0),
        sensitivity="H",
        linked_by=_SEEN_BY_INSURANCE,
    ),
    EventKind(
        "CLM//DAYS",
        Text("住院天数", "inpatient days"),
        _CLAIMS,
        Unit.DAYS,
        Level.PERSON,
        value="days in hospital",
        lag_days=(2, 60),
        bounds=(0.0, 3_660.0),
        sensitivity="H",
        linked_by=_SEEN_BY_INSURANCE,
    ),
    EventKind(
        "ENR//PAID",
        Text("医保缴费", "premium paid"),
        _ENROLMENT,
        Unit.MONEY,
        Level.PERSON,
        value="premium paid by the family",
        lag_days=(10, 60),
        bounds=(0.0, 50_000.0),
        linked_by=_SEEN_BY_INSURANCE,
    ),
    EventKind(
        "ENR//LAPSE",
        Text("断保/未缴", "coverage lapse"),
        _ENROLMENT,
        Unit.MONTHS,
        Level.PERSON,
        value="months without cover",
        lag_days=(30, 120),
        bounds=(0.0, 240.0),
        linked_by=_SEEN_BY_INSURANCE,
    ),
    EventKind(
        "ENR//SUBSIDISED",
        Text("资助参保", "subsidised enrolment"),
        _ENROLMENT,
        Unit.MONEY,
        Level.PERSON,
        value="premium paid from public money",
        lag_days=(30, 90),
        bounds=(0.0, 20_000.0),
        sensitivity="I",
    ),
    EventKind(
        "MAI//GRANT",
        Text("医疗救助支付", "medical assistance paid"),
        _MEDICAL_ASSISTANCE,
        Unit.MONEY,
        Level.PERSON,
        value="medical assistance paid out",
        lag_days=(5, 60),
        bounds=(0.0, 1_000_000.0),
        sensitivity="H",
    ),
)
