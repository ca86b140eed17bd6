"""What a household is known to earn.

No amount on record is unknown, never zero: most informal work, small sales and money sent home reach no register.
Money from the tax office and the banks is left out altogether, because it is seen only where somebody signed for
it. More income on record may only lower the risk. A surveyed net income below zero is held at zero: a loss must not
turn the sign of what is set against it.
"""

from __future__ import annotations

from typing import Any

from features.definition import Absent, Direction, Feature, Group, Measure, Text, over_windows
from features.unit import Unit
from features.window import ever, last

_EARNED: dict[str, Any] = {
    "group": Group.INCOME,
    "measure": Measure.SUM,
    "unit": Unit.MONEY,
    "when_absent": Absent.UNKNOWN,
    "direction": Direction.MORE_IS_BETTER,
}
_RECORDED = (
    "EMP//WAGE",
    "EMP//UI_BENEFIT",
    "SSI//PENSION",
    "PRD//SALES",
    "PRD//LAND_TRANSFER",
    "PRD//PUBLIC_POST",
)


def _trend(name: str, meaning: Text, of: tuple[str, str], scale: float) -> Feature:
    return Feature(
        name,
        meaning,
        Group.INCOME,
        Measure.RATIO,
        Unit.SHARE,
        window=last(months=12),
        bounds=(0.0, scale),
        direction=Direction.MORE_IS_BETTER,
        of=of,
        scale=scale,
    )


FEATURES: tuple[Feature, ...] = (
    *over_windows(
        "wage_amount",
        Text("工资收入合计", "wages on record"),
        (3, 6, 12, 24),
        codes=("EMP//WAGE",),
        bounds=(0.0, 5_000_000.0),
        **_EARNED,
    ),
    _trend(
        "wage_trend_12m",
        Text("近3个月工资折算全年与近12个月之比", "wages of the last 3 months at a yearly rate, to those of 12 months"),
        ("wage_amount_3m", "wage_amount_12m"),
        4.0,
    ),
    Feature(
        "wage_month_max_amount_12m",
        Text("近12个月单月最高工资", "highest monthly wage, last 12 months"),
        Group.INCOME,
        Measure.MAX,
        Unit.MONEY,
        codes=("EMP//WAGE",),
        window=last(months=12),
        bounds=(0.0, 500_000.0),
        direction=Direction.MORE_IS_BETTER,
    ),
    *over_windows(
        "pension_amount",
        Text("养老金合计", "pensions received"),
        (3, 12),
        codes=("SSI//PENSION",),
        bounds=(0.0, 2_000_000.0),
        **_EARNED,
    ),
    *over_windows(
        "pensioners",
        Text("领取养老金的人数", "members who received a pension"),
        (3, 12),
        group=Group.INCOME,
        measure=Measure.PERSONS,
        unit=Unit.COUNT,
        codes=("SSI//PENSION",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=("SSI//*",),
        bounds=(0.0, 10.0),
        direction=Direction.MORE_IS_BETTER,
    ),
    Feature(
        "pension_stop_open",
        Text("目前有成员的养老金停发", "a member whose pension is suspended"),
        Group.INCOME,
        Measure.OPEN,
        Unit.COUNT,
        codes=("SSI//PENSION_STOP",),
        window=ever(),
        when_absent=Absent.KNOWN_NONE,
        linked_by=("SSI//*",),
        bounds=(0.0, 1.0),
        direction=Direction.MORE_IS_WORSE,
        closed_by=("SSI//PENSION",),
    ),
    *over_windows(
        "sales_amount",
        Text("农产品和经营收入合计", "farm and business income on record"),
        (6, 12, 24),
        codes=("PRD//SALES",),
        bounds=(0.0, 10_000_000.0),
        **_EARNED,
    ),
    Feature(
        "sales_previous_year_amount_24m",
        Text("上一年度农产品和经营收入合计", "farm and business income on record, the 12 months before the last"),
        Group.INCOME,
        Measure.DIFFERENCE,
        Unit.MONEY,
        window=last(months=24),
        bounds=(0.0, 10_000_000.0),
        of=("sales_amount_24m", "sales_amount_12m"),
    ),
    Feature(
        "sales_year_on_year_24m",
        Text("农产品和经营收入与上一年度之比", "farm and business income, last 12 months to the 12 before"),
        Group.INCOME,
        Measure.RATIO,
        Unit.SHARE,
        window=last(months=24),
        bounds=(0.0, 10.0),
        direction=Direction.MORE_IS_BETTER,
        of=("sales_amount_12m", "sales_previous_year_amount_24m"),
    ),
    *over_windows(
        "land_transfer_amount",
        Text("土地流转收入合计", "rent received for land"),
        (12,),
        codes=("PRD//LAND_TRANSFER",),
        bounds=(0.0, 2_000_000.0),
        **_EARNED,
    ),
    *over_windows(
        "livestock_sold",
        Text("出栏或出售的牲畜头数", "heads of livestock sold"),
        (6, 12),
        group=Group.INCOME,
        measure=Measure.SUM,
        unit=Unit.COUNT,
        codes=("PRD//HERD_SALE",),
        bounds=(0.0, 100_000.0),
    ),
    *over_windows(
        "public_post_amount",
        Text("公益岗收入合计", "pay for public-welfare jobs"),
        (3, 12),
        codes=("PRD//PUBLIC_POST",),
        bounds=(0.0, 500_000.0),
        **_EARNED,
    ),
    *over_windows(
        "recorded_income_amount",
        Text("有记录的家庭收入合计", "household income on record"),
        (3, 6, 12, 24),
        codes=_RECORDED,
        bounds=(0.0, 10_000_000.0),
        **_EARNED,
    ),
    _trend(
        "recorded_income_trend_12m",
        Text("近6个月收入折算全年与近12个月之比", "income of the last 6 months at a yearly rate, to that of 12 months"),
        ("recorded_income_amount_6m", "recorded_income_amount_12m"),
        2.0,
    ),
    Feature(
        "recorded_income_per_member_amount_12m",
        Text("近12个月有记录的人均收入", "income on record for each member, last 12 months"),
        Group.INCOME,
        Measure.RATIO,
        Unit.MONEY,
        window=last(months=12),
        bounds=(0.0, 5_000_000.0),
        direction=Direction.MORE_IS_BETTER,
        of=("recorded_income_amount_12m", "members"),
    ),
    Feature(
        "surveyed_income_amount_24m",
        Text("最近一次入户测算的人均年纯收入", "yearly net income of one member, by the latest survey"),
        Group.INCOME,
        Measure.LAST,
        Unit.MONEY,
        codes=("MON//INCOME_SURVEY",),
        window=last(months=24),
        bounds=(0.0, 1_000_000.0),
        direction=Direction.MORE_IS_BETTER,
    ),
)
