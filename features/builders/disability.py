"""What disability costs a household and what care it needs.

A grade is kept as the certificate says it: 1 is the greatest need, 4 the smallest. A smaller number may therefore
only raise the risk. Without a certificate it is 5, past the mildest grade, and never zero or empty: zero would read as
graver than grade 1, and an empty number has no place in the order, so that a new certificate could lower the risk.
"""

from __future__ import annotations

from features.definition import Absent, Direction, Feature, Group, Measure, Text, over_windows
from features.unit import Unit
from features.window import ever, last

_SEEN_BY_ANYONE = ("*",)
NO_CERTIFICATE = 5.0
_GRADED = ("DIS//CERT_NEW", "DIS//GRADE_CHANGE")

FEATURES: tuple[Feature, ...] = (
    Feature(
        "disabled_members_ever",
        Text("持残疾证、可能需要照护的成员人数", "members with a disability certificate who may need care"),
        Group.DISABILITY,
        Measure.PERSONS,
        Unit.COUNT,
        codes=_GRADED,
        window=ever(),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 10.0),
        direction=Direction.MORE_IS_WORSE,
    ),
    Feature(
        "disability_grade_ever",
        Text(
            "残疾证载明的最高照护需要等级（1级最高）",
            "greatest need of care by disability certificate (grade 1 is the greatest)",
        ),
        Group.DISABILITY,
        Measure.MIN,
        Unit.SCALE,
        codes=_GRADED,
        window=ever(),
        when_absent=Absent.KNOWN_NONE,
        none_is=NO_CERTIFICATE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(1.0, NO_CERTIFICATE),
        direction=Direction.MORE_IS_BETTER,
    ),
    *over_windows(
        "disability_grade",
        Text(
            "新评定的最高照护需要等级（1级最高）",
            "greatest need of care newly certified (grade 1 is the greatest)",
        ),
        (12,),
        group=Group.DISABILITY,
        measure=Measure.MIN,
        unit=Unit.SCALE,
        codes=_GRADED,
        when_absent=Absent.KNOWN_NONE,
        none_is=NO_CERTIFICATE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(1.0, NO_CERTIFICATE),
        direction=Direction.MORE_IS_BETTER,
    ),
    *over_windows(
        "disability_certificates",
        Text("新办残疾证数", "disability certificates newly issued"),
        (3, 12, 24),
        group=Group.DISABILITY,
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("DIS//CERT_NEW",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 10.0),
        direction=Direction.MORE_IS_WORSE,
    ),
    *over_windows(
        "disability_grade_changes",
        Text("残疾等级变更次数", "changes of a certified grade"),
        (24,),
        group=Group.DISABILITY,
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("DIS//GRADE_CHANGE",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 10.0),
    ),
    Feature(
        "disability_months_since_assessment_24m",
        Text("距最近一次残疾评定的时间（两年内）", "time since the latest disability assessment, up to two years"),
        Group.DISABILITY,
        Measure.MONTHS_SINCE,
        Unit.MONTHS,
        codes=_GRADED,
        window=last(months=24),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 24.0),
        direction=Direction.MORE_IS_BETTER,
    ),
    *over_windows(
        "disability_certificates_expired",
        Text("到期的残疾证数", "disability certificates that ran out"),
        (12,),
        group=Group.DISABILITY,
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("DIS//CERT_EXPIRE",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 10.0),
    ),
    *over_windows(
        "living_subsidy_amount",
        Text("困难残疾人生活补贴合计", "living subsidy for disabled members"),
        (3, 12),
        group=Group.DISABILITY,
        measure=Measure.SUM,
        unit=Unit.MONEY,
        codes=("DIS//SUB_LIVING",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 500_000.0),
        direction=Direction.MORE_IS_BETTER,
    ),
    *over_windows(
        "nursing_subsidy_amount",
        Text("重度残疾人护理补贴合计", "nursing subsidy for members who need much care"),
        (3, 12),
        group=Group.DISABILITY,
        measure=Measure.SUM,
        unit=Unit.MONEY,
        codes=("DIS//SUB_CARE",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 500_000.0),
        direction=Direction.MORE_IS_BETTER,
    ),
    *over_windows(
        "rehabilitation_amount",
        Text("康复和辅具自付合计", "paid by the family for rehabilitation and aids"),
        (3, 12, 24),
        group=Group.DISABILITY,
        measure=Measure.SUM,
        unit=Unit.MONEY,
        codes=("DIS//REHAB_COST",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 2_000_000.0),
        direction=Direction.MORE_IS_WORSE,
    ),
)
