"""Work: registered jobs, spells without one, arrears, injury and training.

Counts say "none" only for a household that the employment office has seen in the last two years; informal work
leaves no trace here. A job, a wage or a course may only lower the risk, so every spell that such an event ends may
only raise it.
"""

from __future__ import annotations

from typing import Any

from features.definition import Absent, Direction, Feature, Group, Measure, Text, over_windows
from features.unit import Unit
from features.window import ever, last

_WORK: dict[str, Any] = {
    "group": Group.EMPLOYMENT,
    "when_absent": Absent.KNOWN_NONE,
    "linked_by": ("EMP//*",),
}
_BACK_AT_WORK = ("EMP//HIRE", "EMP//WAGE")

FEATURES: tuple[Feature, ...] = (
    *over_windows(
        "wage_records",
        Text("工资发放记录数", "wage payments on record"),
        (3, 6, 12, 24),
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("EMP//WAGE",),
        bounds=(0.0, 500.0),
        direction=Direction.MORE_IS_BETTER,
        **_WORK,
    ),
    *over_windows(
        "wage_earners",
        Text("有工资记录的人数", "members with a wage on record"),
        (3, 12),
        measure=Measure.PERSONS,
        unit=Unit.COUNT,
        codes=("EMP//WAGE",),
        bounds=(0.0, 10.0),
        direction=Direction.MORE_IS_BETTER,
        **_WORK,
    ),
    Feature(
        "wage_record_trend_12m",
        Text(
            "近3个月工资次数折算全年与近12个月之比",
            "wage payments of the last 3 months at a yearly rate, to those of 12 months",
        ),
        Group.EMPLOYMENT,
        Measure.RATIO,
        Unit.SHARE,
        window=last(months=12),
        bounds=(0.0, 4.0),
        direction=Direction.MORE_IS_BETTER,
        of=("wage_records_3m", "wage_records_12m"),
        scale=4.0,
    ),
    Feature(
        "wage_months_since_24m",
        Text("距最近一次工资记录的时间（两年内）", "time since the latest wage on record, up to two years"),
        measure=Measure.MONTHS_SINCE,
        unit=Unit.MONTHS,
        codes=("EMP//WAGE",),
        window=last(months=24),
        bounds=(0.0, 24.0),
        direction=Direction.MORE_IS_WORSE,
        **_WORK,
    ),
    *over_windows(
        "hires",
        Text("就业登记次数", "jobs newly registered"),
        (6, 24),
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("EMP//HIRE",),
        bounds=(0.0, 50.0),
        direction=Direction.MORE_IS_BETTER,
        **_WORK,
    ),
    *over_windows(
        "unemployment_registrations",
        Text("失业登记次数", "unemployment registrations"),
        (3, 12, 24),
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("EMP//UNEMP",),
        bounds=(0.0, 20.0),
        direction=Direction.MORE_IS_WORSE,
        **_WORK,
    ),
    Feature(
        "unemployment_open",
        Text("目前有成员登记失业未再就业", "a member registered unemployed with no job since"),
        measure=Measure.OPEN,
        unit=Unit.COUNT,
        codes=("EMP//UNEMP",),
        window=ever(),
        bounds=(0.0, 1.0),
        direction=Direction.MORE_IS_WORSE,
        closed_by=_BACK_AT_WORK,
        **_WORK,
    ),
    Feature(
        "unemployment_months_open",
        Text("登记失业未再就业的时间", "time registered unemployed with no job since"),
        measure=Measure.MONTHS_OPEN,
        unit=Unit.MONTHS,
        codes=("EMP//UNEMP",),
        window=ever(),
        bounds=(0.0, 120.0),
        direction=Direction.MORE_IS_WORSE,
        closed_by=_BACK_AT_WORK,
        **_WORK,
    ),
    Feature(
        "unemployment_months_since_24m",
        Text("距最近一次失业登记的时间（两年内）", "time since the latest unemployment registration, up to two years"),
        measure=Measure.MONTHS_SINCE,
        unit=Unit.MONTHS,
        codes=("EMP//UNEMP",),
        window=last(months=24),
        bounds=(0.0, 24.0),
        **_WORK,
    ),
    *over_windows(
        "unemployment_benefit_payments",
        Text("失业保险金发放次数", "payments of unemployment benefit"),
        (3, 12),
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("EMP//UI_BENEFIT",),
        bounds=(0.0, 100.0),
        direction=Direction.MORE_IS_BETTER,
        **_WORK,
    ),
    Feature(
        "unemployment_benefit_ended_open",
        Text("目前有成员失业金期满未再就业", "a member whose unemployment benefit ran out with no job since"),
        measure=Measure.OPEN,
        unit=Unit.COUNT,
        codes=("EMP//UI_END",),
        window=ever(),
        bounds=(0.0, 1.0),
        direction=Direction.MORE_IS_WORSE,
        closed_by=_BACK_AT_WORK,
        **_WORK,
    ),
    *over_windows(
        "wage_arrears_amount",
        Text("被拖欠工资合计", "pay still owed by employers"),
        (12, 24),
        measure=Measure.SUM,
        unit=Unit.MONEY,
        codes=("EMP//ARREARS",),
        bounds=(0.0, 2_000_000.0),
        direction=Direction.MORE_IS_WORSE,
        **_WORK,
    ),
    *over_windows(
        "work_injuries",
        Text("工伤认定次数", "work injuries recognised"),
        (24,),
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("EMP//WORK_INJURY",),
        bounds=(0.0, 10.0),
        direction=Direction.MORE_IS_WORSE,
        **_WORK,
    ),
    *over_windows(
        "training_days",
        Text("技能培训天数", "days of skills training"),
        (12, 24),
        measure=Measure.SUM,
        unit=Unit.DAYS,
        codes=("EMP//TRAINING",),
        bounds=(0.0, 730.0),
        direction=Direction.MORE_IS_BETTER,
        **_WORK,
    ),
)
