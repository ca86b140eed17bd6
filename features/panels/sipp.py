"""What the monthly income of a US household panel (SIPP) says about a household.

Households report four months at a time, and answers change between two such waves far more than within one (the
seam). So everything is of whole waves: an event sums up four months and is dated at their last day. The windows
follow: four months hold exactly one wave, twelve hold three. Families of one household are apart in income: income
and threshold are those of the household's main family.
"""

from __future__ import annotations

from features.definition import Department, Direction, EventKind, Feature, Group, Level, Measure, Text
from features.unit import Unit
from features.window import Window, ever, last

SURVEY = Department(
    "SIPP", "SIPP", Text("收入与项目参与调查（SIPP）", "Survey of Income and Program Participation (SIPP)")
)
WAVE_MONTHS = 4

_RATIO, _DOLLARS, _PERSONS = (-1000.0, 100_000.0), (-10_000_000.0, 100_000_000.0), (0.0, 60.0)


def _kind(
    name: str, zh: str, en: str, value: str, unit: Unit = Unit.SCALE, bounds: tuple[float, float] = _RATIO
) -> EventKind:
    meaning, level, lag = Text(zh, en), Level.HOUSEHOLD, (0, 0)
    return EventKind(f"SIPP//{name}", meaning, SURVEY, unit, level, value, lag, bounds=bounds, sensitivity="F")


_MULTIPLE = "income divided by the poverty threshold"

KINDS: tuple[EventKind, ...] = (
    _kind("INCOME", "四个月期的家庭收入", "family income of a four-month wave", "dollars", Unit.MONEY, _DOLLARS),
    _kind("THRESHOLD", "四个月期的贫困线", "poverty threshold of a four-month wave", "dollars", Unit.MONEY, _DOLLARS),
    _kind("INCOME_TO_THRESHOLD", "收入与贫困线之比", "income as a multiple of the poverty threshold", _MULTIPLE),
    _kind(
        "CHANGE",
        "收入与贫困线之比较上一期的变化",
        "change since the wave before of income as a multiple of the threshold",
        "difference",
    ),
    _kind("LOWEST_MONTH", "最低月收入与贫困线之比", "lowest month's income as a multiple of the threshold", _MULTIPLE),
    _kind("LAST_MONTH", "期末月收入与贫困线之比", "last month's income as a multiple of the threshold", _MULTIPLE),
    _kind("MONTHS_POOR", "低于贫困线的月数", "months below the poverty threshold", "months", Unit.COUNT, (0.0, 4.0)),
    _kind(
        "VOLATILITY",
        "四个月内收入的波动（标准差与均值之比）",
        "variation of income between the four months of a wave",
        "standard deviation divided by the mean",
        bounds=(0.0, 1000.0),
    ),
    _kind("FAMILY_SIZE", "家庭人口", "members of the family", "persons", Unit.COUNT, _PERSONS),
    _kind("FAMILIES", "同住的家庭数", "families in the household", "families", Unit.COUNT, _PERSONS),
)

_BY_NAME = {kind.code.removeprefix("SIPP//"): kind for kind in KINDS}
_BETTER, _WORSE, _OPEN = Direction.MORE_IS_BETTER, Direction.MORE_IS_WORSE, Direction.OPEN
_WINDOWS: dict[str, tuple[Window, Text]] = {
    "4m": (last(months=4), Text("近4个月", "the last 4 months")),
    "8m": (last(months=8), Text("近8个月", "the last 8 months")),
    "12m": (last(months=12), Text("近12个月", "the last 12 months")),
    "24m": (last(months=24), Text("近24个月", "the last 24 months")),
    "ever": (ever(), Text("有记录以来", "all months on record")),
}
_WORDS = {
    Measure.LAST: Text("最新", "latest"),
    Measure.MEAN: Text("平均", "mean"),
    Measure.MIN: Text("最低", "lowest"),
    Measure.MAX: Text("最高", "highest"),
    Measure.SUM: Text("合计", "total"),
    Measure.FIRST: Text("最早", "earliest"),
}


def _read(
    kind: str, measure: Measure, windows: str, group: Group = Group.INCOME, direction: Direction = _OPEN
) -> tuple[Feature, ...]:
    """One kind of event over several windows; names, units, bounds and wording follow from what is declared above."""
    declared, words = _BY_NAME[kind], _WORDS[measure]
    assert declared.bounds is not None
    low, high = declared.bounds
    found = []
    for written in windows.split():
        window, span = _WINDOWS[written]
        found.append(
            Feature(
                name=f"{kind.lower()}_{measure.value}_{written}",
                meaning=Text(
                    f"{span.zh}{words.zh}：{declared.name.zh}", f"{declared.name.en}, {words.en} of {span.en}"
                ),
                group=group,
                measure=measure,
                unit=declared.unit,
                codes=(declared.code,),
                window=window,
                bounds=(low, high * 100) if measure is Measure.SUM else (low, high),
                direction=direction,
            )
        )
    return tuple(found)


def _derived(name: str, measure: Measure, of: tuple[str, str], zh: str, en: str) -> Feature:
    return Feature(name, Text(zh, en), Group.INCOME, measure, Unit.SCALE, of=of, bounds=_RATIO)


_NOW = "income_to_threshold_last_4m"

FEATURES: tuple[Feature, ...] = (
    *_read("INCOME_TO_THRESHOLD", Measure.LAST, "4m", direction=_BETTER),
    *_read("INCOME_TO_THRESHOLD", Measure.MEAN, "8m 12m 24m ever", direction=_BETTER),
    *_read("INCOME_TO_THRESHOLD", Measure.MIN, "8m 12m 24m ever", direction=_BETTER),
    *_read("INCOME_TO_THRESHOLD", Measure.MAX, "8m 12m 24m"),
    *_read("INCOME_TO_THRESHOLD", Measure.FIRST, "12m 24m"),
    *_read("CHANGE", Measure.LAST, "4m"),
    *_read("CHANGE", Measure.MEAN, "12m 24m"),
    *_read("CHANGE", Measure.MIN, "12m 24m"),
    *_read("CHANGE", Measure.MAX, "12m 24m"),
    *_read("LOWEST_MONTH", Measure.LAST, "4m", direction=_BETTER),
    *_read("LOWEST_MONTH", Measure.MIN, "8m 12m 24m ever", direction=_BETTER),
    *_read("LOWEST_MONTH", Measure.MEAN, "12m 24m", direction=_BETTER),
    *_read("LAST_MONTH", Measure.LAST, "4m"),
    *_read("LAST_MONTH", Measure.MIN, "12m"),
    *_read("MONTHS_POOR", Measure.LAST, "4m", direction=_WORSE),
    *_read("MONTHS_POOR", Measure.SUM, "8m 12m 24m ever", direction=_WORSE),
    *_read("MONTHS_POOR", Measure.MEAN, "24m ever", direction=_WORSE),
    *_read("VOLATILITY", Measure.LAST, "4m"),
    *_read("VOLATILITY", Measure.MEAN, "12m 24m"),
    *_read("VOLATILITY", Measure.MAX, "12m"),
    *_read("INCOME", Measure.LAST, "4m"),
    *_read("INCOME", Measure.SUM, "12m"),
    *_read("THRESHOLD", Measure.SUM, "12m"),
    _derived(
        "income_to_threshold_12m",
        Measure.RATIO,
        ("income_sum_12m", "threshold_sum_12m"),
        "近12个月收入合计与贫困线合计之比",
        "income of the last 12 months as a multiple of their poverty threshold",
    ),
    _derived(
        "income_to_threshold_against_24m",
        Measure.DIFFERENCE,
        (_NOW, "income_to_threshold_mean_24m"),
        "收入与贫困线之比较近24个月平均的变化",
        "income as a multiple of the poverty threshold, against its mean of the last 24 months",
    ),
    _derived(
        "lowest_month_share",
        Measure.RATIO,
        ("lowest_month_last_4m", _NOW),
        "最低月份与平均月份的收入之比",
        "income of the lowest month as a multiple of the mean month, last 4 months",
    ),
    *_read("FAMILY_SIZE", Measure.LAST, "4m", Group.HOUSEHOLD),
    *_read("FAMILY_SIZE", Measure.MAX, "12m 24m", Group.HOUSEHOLD),
    *_read("FAMILY_SIZE", Measure.MIN, "12m 24m", Group.HOUSEHOLD),
    *_read("FAMILIES", Measure.LAST, "4m", Group.HOUSEHOLD),
    *_read("FAMILIES", Measure.MAX, "24m", Group.HOUSEHOLD),
)
