"""What illness costs a household, and whether it is insured.

Costs are what the family itself paid. A reversal takes an earlier claim back and is negative; the data do not say
which kind of claim it was, so it is set against hospital stays and against the total, never against drugs. Costs
are none only for a household that the insurance sees, through cover, claims or assistance; after a lapse nothing
is known.
"""

from __future__ import annotations

from typing import Any

from features.definition import Absent, Direction, Feature, Group, Measure, Text, over_windows
from features.unit import Unit
from features.window import ever, last

SEEN_BY_INSURANCE = ("ENR//PAID", "ENR//SUBSIDISED", "CLM//*", "MAI//*")
OUT_OF_POCKET = ("CLM//INPATIENT", "CLM//OUTPATIENT_CHRONIC", "CLM//DRUG", "CLM//REVERSAL")
_COVERED = ("ENR//PAID", "ENR//SUBSIDISED")

_INSURED: dict[str, Any] = {
    "group": Group.MEDICAL,
    "when_absent": Absent.KNOWN_NONE,
    "linked_by": SEEN_BY_INSURANCE,
}
_PAID: dict[str, Any] = {
    "measure": Measure.SUM,
    "unit": Unit.MONEY,
    "direction": Direction.MORE_IS_WORSE,
    **_INSURED,
}
_DIAGNOSED: dict[str, Any] = {
    "group": Group.MEDICAL,
    "codes": ("HLT//MAJOR_DX",),
    "when_absent": Absent.KNOWN_NONE,
    "linked_by": ("*",),
}

_HOSPITAL: tuple[Feature, ...] = (
    *over_windows(
        "inpatient_out_of_pocket_amount",
        Text("住院自付合计", "paid by the family for hospital stays"),
        (3, 6, 12, 24),
        codes=("CLM//INPATIENT", "CLM//REVERSAL"),
        bounds=(0.0, 5_000_000.0),
        **_PAID,
    ),
    *over_windows(
        "inpatient_out_of_pocket_max_amount",
        Text("单次住院最高自付", "most the family paid for a single hospital stay"),
        (3, 12),
        measure=Measure.MAX,
        unit=Unit.MONEY,
        codes=("CLM//INPATIENT",),
        bounds=(0.0, 5_000_000.0),
        direction=Direction.MORE_IS_WORSE,
        **_INSURED,
    ),
    *over_windows(
        "inpatient_stays",
        Text("住院次数", "hospital stays"),
        (3, 6, 12, 24),
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("CLM//INPATIENT",),
        bounds=(0.0, 100.0),
        direction=Direction.MORE_IS_WORSE,
        **_INSURED,
    ),
    *over_windows(
        "inpatient_days",
        Text("住院天数合计", "days in hospital"),
        (3, 12, 24),
        measure=Measure.SUM,
        unit=Unit.DAYS,
        codes=("CLM//DAYS",),
        bounds=(0.0, 2_000.0),
        direction=Direction.MORE_IS_WORSE,
        **_INSURED,
    ),
    *over_windows(
        "inpatient_persons",
        Text("住过院的人数", "members who were in hospital"),
        (12,),
        measure=Measure.PERSONS,
        unit=Unit.COUNT,
        codes=("CLM//INPATIENT",),
        bounds=(0.0, 10.0),
        direction=Direction.MORE_IS_WORSE,
        **_INSURED,
    ),
)

_COSTS: tuple[Feature, ...] = (
    *over_windows(
        "chronic_care_out_of_pocket_amount",
        Text("门诊慢特病自付合计", "paid by the family for long-term outpatient care"),
        (3, 12),
        codes=("CLM//OUTPATIENT_CHRONIC",),
        bounds=(0.0, 2_000_000.0),
        **_PAID,
    ),
    *over_windows(
        "drug_out_of_pocket_amount",
        Text("购药自付合计", "paid by the family at pharmacies"),
        (3, 12),
        codes=("CLM//DRUG",),
        bounds=(0.0, 2_000_000.0),
        **_PAID,
    ),
    *over_windows(
        "out_of_pocket_amount",
        Text("医疗自付合计", "paid by the family for medical care"),
        (3, 6, 12, 24),
        codes=OUT_OF_POCKET,
        bounds=(0.0, 5_000_000.0),
        **_PAID,
    ),
    Feature(
        "out_of_pocket_per_member_amount_12m",
        Text("近12个月人均医疗自付", "paid by the family for medical care for each member, last 12 months"),
        Group.MEDICAL,
        Measure.RATIO,
        Unit.MONEY,
        window=last(months=12),
        bounds=(0.0, 5_000_000.0),
        direction=Direction.MORE_IS_WORSE,
        of=("out_of_pocket_amount_12m", "members"),
    ),
    Feature(
        "out_of_pocket_trend_12m",
        Text(
            "近3个月自付折算全年与近12个月之比",
            "medical costs of the last 3 months at a yearly rate, to those of 12 months",
        ),
        Group.MEDICAL,
        Measure.RATIO,
        Unit.SHARE,
        window=last(months=12),
        bounds=(0.0, 4.0),
        direction=Direction.MORE_IS_WORSE,
        of=("out_of_pocket_amount_3m", "out_of_pocket_amount_12m"),
        scale=4.0,
    ),
    *over_windows(
        "medical_assistance_amount",
        Text("医疗救助合计", "medical assistance received"),
        (12, 24),
        measure=Measure.SUM,
        unit=Unit.MONEY,
        codes=("MAI//GRANT",),
        bounds=(0.0, 2_000_000.0),
        **_INSURED,
    ),
    *over_windows(
        "medical_assistance_payments",
        Text("医疗救助次数", "payments of medical assistance"),
        (12,),
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("MAI//GRANT",),
        bounds=(0.0, 50.0),
        **_INSURED,
    ),
    *(
        Feature(
            f"net_out_of_pocket_amount_{months}m",
            Text(
                f"近{months}个月扣除医疗救助后的医疗自付",
                f"paid by the family for medical care after medical assistance, last {months} months",
            ),
            Group.MEDICAL,
            Measure.DIFFERENCE,
            Unit.MONEY,
            window=last(months=months),
            bounds=(0.0, 5_000_000.0),
            direction=Direction.MORE_IS_WORSE,
            of=(f"out_of_pocket_amount_{months}m", f"medical_assistance_amount_{months}m"),
        )
        for months in (12, 24)
    ),
)

_ILLNESS: tuple[Feature, ...] = (
    *over_windows(
        "major_diagnoses",
        Text("新确诊重大疾病数", "major illnesses newly diagnosed"),
        (3, 12, 24),
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        bounds=(0.0, 20.0),
        direction=Direction.MORE_IS_WORSE,
        **_DIAGNOSED,
    ),
    Feature(
        "major_diagnosis_months_since_24m",
        Text(
            "距最近一次重大疾病确诊的时间（两年内）", "time since a major illness was last diagnosed, up to two years"
        ),
        measure=Measure.MONTHS_SINCE,
        unit=Unit.MONTHS,
        window=last(months=24),
        bounds=(0.0, 24.0),
        direction=Direction.MORE_IS_BETTER,
        **_DIAGNOSED,
    ),
    Feature(
        "chronic_patients_ever",
        Text("登记有慢性病的人数", "members registered with a chronic illness"),
        Group.MEDICAL,
        Measure.PERSONS,
        Unit.COUNT,
        codes=("HLT//CHRONIC_REG",),
        window=ever(),
        when_absent=Absent.KNOWN_NONE,
        linked_by=("HLT//*", *SEEN_BY_INSURANCE),
        bounds=(0.0, 10.0),
    ),
    # Severe mental illness is counted only together with all other long treatment, so that no reason singles it out.
    Feature(
        "long_treatment_persons_12m",
        Text("近12个月需长期治疗照护的人数", "members in long-term treatment or care, last 12 months"),
        Group.MEDICAL,
        Measure.PERSONS,
        Unit.COUNT,
        codes=("HLT//CHRONIC_REG", "HLT//MENTAL_SEVERE", "CLM//OUTPATIENT_CHRONIC"),
        window=last(months=12),
        when_absent=Absent.KNOWN_NONE,
        linked_by=("HLT//*", *SEEN_BY_INSURANCE),
        bounds=(0.0, 10.0),
        direction=Direction.MORE_IS_WORSE,
    ),
)

_COVER: tuple[Feature, ...] = (
    *over_windows(
        "insured_members",
        Text("参加医保的人数", "members with health insurance"),
        (12, 24),
        measure=Measure.PERSONS,
        unit=Unit.COUNT,
        codes=_COVERED,
        bounds=(0.0, 30.0),
        direction=Direction.MORE_IS_BETTER,
        **_INSURED,
    ),
    Feature(
        "insured_share_24m",
        Text("近24个月参加医保的成员占比", "share of members with health insurance, last 24 months"),
        Group.MEDICAL,
        Measure.RATIO,
        Unit.SHARE,
        window=last(months=24),
        bounds=(0.0, 1.0),
        direction=Direction.MORE_IS_BETTER,
        of=("insured_members_24m", "members"),
    ),
    Feature(
        "insurance_lapse_open",
        Text("目前有成员医保中断", "a member without health insurance after a lapse"),
        Group.MEDICAL,
        Measure.OPEN,
        Unit.COUNT,
        codes=("ENR//LAPSE",),
        window=ever(),
        when_absent=Absent.KNOWN_NONE,
        linked_by=("ENR//*", "CLM//*", "MAI//*"),
        bounds=(0.0, 1.0),
        direction=Direction.MORE_IS_WORSE,
        closed_by=_COVERED,
    ),
    Feature(
        "insurance_lapse_months_open",
        Text("医保中断的时间", "time without health insurance after a lapse"),
        Group.MEDICAL,
        Measure.MONTHS_OPEN,
        Unit.MONTHS,
        codes=("ENR//LAPSE",),
        window=ever(),
        when_absent=Absent.KNOWN_NONE,
        linked_by=("ENR//*", "CLM//*", "MAI//*"),
        bounds=(0.0, 120.0),
        direction=Direction.MORE_IS_WORSE,
        closed_by=_COVERED,
    ),
)

FEATURES: tuple[Feature, ...] = (*_HOSPITAL, *_COSTS, *_ILLNESS, *_COVER)
