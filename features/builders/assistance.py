"""Which help and which recognition a household has, and what ended lately.

These registers cover every household, so nothing on record means none; but only for a household that some source
has seen at all. A regular allowance may only lower the risk. Repeated one-off grants may point either way.
"""

from __future__ import annotations

from features.definition import Absent, Direction, Feature, Group, Measure, Text, over_windows
from features.unit import Unit
from features.window import ever, last

_SEEN_BY_ANYONE = ("*",)
_ENTRIES = ("DB//ENTER", "TK//ENTER", "LIP//EDGE_ENTER", "LIP//RIGID_ENTER", "MON//ENTER")
_ENDS = ("DB//EXIT", "TK//EXIT", "LIP//EXPIRE", "MON//RISK_CLEAR")


def _status(name: str, meaning: Text, begins: tuple[str, ...], ends: tuple[str, ...], direction: Direction) -> Feature:
    return Feature(
        name,
        meaning,
        Group.ASSISTANCE,
        Measure.OPEN,
        Unit.COUNT,
        codes=begins,
        window=ever(),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 1.0),
        direction=direction,
        closed_by=ends,
    )


def _months_open(name: str, meaning: Text, begins: tuple[str, ...], ends: tuple[str, ...]) -> Feature:
    return Feature(
        name,
        meaning,
        Group.ASSISTANCE,
        Measure.MONTHS_OPEN,
        Unit.MONTHS,
        codes=begins,
        window=ever(),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 240.0),
        closed_by=ends,
    )


def _months_since(name: str, meaning: Text, codes: tuple[str, ...]) -> Feature:
    return Feature(
        name,
        meaning,
        Group.ASSISTANCE,
        Measure.MONTHS_SINCE,
        Unit.MONTHS,
        codes=codes,
        window=last(months=24),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 24.0),
    )


FEATURES: tuple[Feature, ...] = (
    *over_windows(
        "temporary_assistance_grants",
        Text("临时救助次数", "temporary assistance grants"),
        (3, 12, 24),
        group=Group.ASSISTANCE,
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("LS//GRANT",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 50.0),
    ),
    *over_windows(
        "temporary_assistance_amount",
        Text("临时救助金合计", "temporary assistance received"),
        (12, 24),
        group=Group.ASSISTANCE,
        measure=Measure.SUM,
        unit=Unit.MONEY,
        codes=("LS//GRANT",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 1_000_000.0),
    ),
    _status(
        "dibao_open",
        Text("目前享受低保", "receiving dibao now"),
        ("DB//ENTER",),
        ("DB//EXIT",),
        Direction.MORE_IS_BETTER,
    ),
    _months_open(
        "dibao_months_open",
        Text("本次享受低保的时间", "time on dibao without a break"),
        ("DB//ENTER",),
        ("DB//EXIT",),
    ),
    _months_since(
        "dibao_months_since_exit_24m",
        Text("距上次退出低保的时间（两年内）", "time since dibao ended, up to two years"),
        ("DB//EXIT",),
    ),
    *over_windows(
        "dibao_refusals",
        Text("低保申请未获确认次数", "dibao applications not granted"),
        (24,),
        group=Group.ASSISTANCE,
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("DB//REJECT",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 20.0),
    ),
    _status(
        "destitute_support_open",
        Text("目前有成员享受特困供养", "a member on destitute support now"),
        ("TK//ENTER",),
        ("TK//EXIT",),
        Direction.MORE_IS_BETTER,
    ),
    _status(
        "low_income_recognition_open",
        Text(
            "目前认定为低保边缘或刚性支出困难家庭",
            "recognised now as near the dibao line or short after necessary costs",
        ),
        ("LIP//EDGE_ENTER", "LIP//RIGID_ENTER"),
        ("LIP//EXPIRE",),
        Direction.OPEN,
    ),
    _status(
        "monitoring_open",
        Text("目前在防返贫监测中", "in return-to-poverty monitoring now"),
        ("MON//ENTER",),
        ("MON//RISK_CLEAR",),
        Direction.OPEN,
    ),
    _months_open(
        "monitoring_months_open",
        Text("本次防返贫监测的时间", "time in return-to-poverty monitoring"),
        ("MON//ENTER",),
        ("MON//RISK_CLEAR",),
    ),
    _months_since(
        "monitoring_months_since_cleared_24m",
        Text("距监测风险消除的时间（两年内）", "time since monitoring ended, up to two years"),
        ("MON//RISK_CLEAR",),
    ),
    _months_since(
        "support_months_since_end_24m",
        Text(
            "距最近一项帮扶或认定结束的时间（两年内）", "time since any support or recognition ended, up to two years"
        ),
        _ENDS,
    ),
    Feature(
        "support_entries_24m",
        Text("近24个月纳入帮扶或认定的次数", "entries into support or recognition, last 24 months"),
        Group.ASSISTANCE,
        Measure.COUNT,
        Unit.COUNT,
        codes=_ENTRIES,
        window=last(months=24),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 20.0),
    ),
    _status(
        "formerly_poor_ever",
        Text("曾是建档立卡脱贫户", "once registered as poor and since out of poverty"),
        ("MON//OUT_OF_POVERTY",),
        (),
        Direction.OPEN,
    ),
    Feature(
        "children_without_carer_ever",
        Text("按孤儿或事实无人抚养认定的儿童人数", "children recognised as having no parent able to raise them"),
        Group.ASSISTANCE,
        Measure.PERSONS,
        Unit.COUNT,
        codes=("CHD//ORPHAN",),
        window=ever(),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 10.0),
    ),
)
