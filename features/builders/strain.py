"""What a household has to pay, set against what it is known to earn.

Each share belongs to the domain of the cost. Where no income is on record, or none but zero, the share is unknown.
"""

from __future__ import annotations

from features.builders.medical import OUT_OF_POCKET, SEEN_BY_INSURANCE
from features.definition import Absent, Direction, Feature, Group, Measure, Text
from features.unit import Unit
from features.window import last

_NECESSARY = (*OUT_OF_POCKET, "EDU//FEE", "DIS//REHAB_COST")


def _share(name: str, meaning: Text, group: Group, of: tuple[str, str], *, months: int = 12) -> Feature:
    return Feature(
        name,
        meaning,
        group,
        Measure.RATIO,
        Unit.SHARE,
        window=last(months=months),
        bounds=(0.0, 20.0),
        direction=Direction.MORE_IS_WORSE,
        of=of,
    )


FEATURES: tuple[Feature, ...] = (
    _share(
        "out_of_pocket_to_income_12m",
        Text("近12个月医疗自付占有记录收入之比", "medical costs to income on record, last 12 months"),
        Group.MEDICAL,
        ("out_of_pocket_amount_12m", "recorded_income_amount_12m"),
    ),
    _share(
        "net_out_of_pocket_to_income_12m",
        Text(
            "近12个月扣除救助后医疗自付占收入之比", "medical costs after assistance to income on record, last 12 months"
        ),
        Group.MEDICAL,
        ("net_out_of_pocket_amount_12m", "recorded_income_amount_12m"),
    ),
    _share(
        "out_of_pocket_to_surveyed_income_24m",
        Text(
            "人均医疗自付占测算人均年纯收入之比",
            "medical costs of one member to the surveyed yearly income of one member",
        ),
        Group.MEDICAL,
        ("out_of_pocket_per_member_amount_12m", "surveyed_income_amount_24m"),
        months=24,
    ),
    _share(
        "education_fee_to_income_12m",
        Text("近12个月教育自付占有记录收入之比", "school costs to income on record, last 12 months"),
        Group.EDUCATION,
        ("education_fee_amount_12m", "recorded_income_amount_12m"),
    ),
    _share(
        "rehabilitation_to_income_12m",
        Text("近12个月康复自付占有记录收入之比", "rehabilitation costs to income on record, last 12 months"),
        Group.DISABILITY,
        ("rehabilitation_amount_12m", "recorded_income_amount_12m"),
    ),
    _share(
        "crop_loss_to_sales_24m",
        Text(
            "近12个月受灾损失占上一年度经营收入之比",
            "loss of crops and herds in 12 months to the income of the year before",
        ),
        Group.DISASTER,
        ("crop_loss_amount_12m", "sales_previous_year_amount_24m"),
        months=24,
    ),
    Feature(
        "necessary_costs_amount_12m",
        Text(
            "近12个月医疗、教育和康复自付合计",
            "paid by the family for medical care, school and rehabilitation, last 12 months",
        ),
        Group.MEDICAL,
        Measure.SUM,
        Unit.MONEY,
        codes=_NECESSARY,
        window=last(months=12),
        when_absent=Absent.KNOWN_NONE,
        linked_by=SEEN_BY_INSURANCE,
        bounds=(0.0, 5_000_000.0),
        direction=Direction.MORE_IS_WORSE,
    ),
    Feature(
        "income_after_costs_amount_12m",
        Text("近12个月有记录收入扣除必要支出后的余额", "income on record less necessary costs, last 12 months"),
        Group.INCOME,
        Measure.DIFFERENCE,
        Unit.MONEY,
        window=last(months=12),
        bounds=(-5_000_000.0, 10_000_000.0),
        direction=Direction.MORE_IS_BETTER,
        of=("recorded_income_amount_12m", "necessary_costs_amount_12m"),
    ),
)
