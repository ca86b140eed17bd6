"""Who lives together: how many, of what age, who came and who went.

Ages count whole households only by need of care and ability to work. Sex, descent, faith and where somebody moved
from are never features.
"""

from __future__ import annotations

from typing import Any

from features.definition import Absent, Direction, Feature, Group, Measure, Text, over_windows
from features.unit import Unit
from features.window import ever, last

_REGISTER: dict[str, Any] = {
    "group": Group.HOUSEHOLD,
    "when_absent": Absent.KNOWN_NONE,
    "linked_by": ("*",),
}
_OLDEST = 130


def _aged(name: str, meaning: Text, first: int, until: int) -> Feature:
    return Feature(
        name, meaning, Group.HOUSEHOLD, Measure.MEMBERS_AGED, Unit.COUNT, bounds=(0.0, 30.0), ages=(first, until)
    )


FEATURES: tuple[Feature, ...] = (
    Feature(
        "members",
        Text("家庭人口数", "members of the household"),
        Group.HOUSEHOLD,
        Measure.MEMBERS,
        Unit.COUNT,
        bounds=(0.0, 30.0),
    ),
    _aged("children_under_16", Text("16岁以下成员人数", "members under 16"), 0, 16),
    _aged("children_of_school_age", Text("6至15岁成员人数", "members of 6 to 15 years"), 6, 16),
    _aged("members_of_working_age", Text("16至59岁成员人数", "members of 16 to 59 years"), 16, 60),
    _aged("elders_60", Text("60岁及以上成员人数", "members of 60 years and over"), 60, _OLDEST),
    _aged("elders_80", Text("80岁及以上成员人数", "members of 80 years and over"), 80, _OLDEST),
    Feature(
        "dependants",
        Text("不在劳动年龄的成员人数", "members under 16 or over 59"),
        Group.HOUSEHOLD,
        Measure.DIFFERENCE,
        Unit.COUNT,
        bounds=(0.0, 30.0),
        of=("members", "members_of_working_age"),
    ),
    Feature(
        "dependency_ratio",
        Text("每名劳动年龄成员对应的非劳动年龄人数", "members under 16 or over 59 for each one of working age"),
        Group.HOUSEHOLD,
        Measure.RATIO,
        Unit.SCALE,
        bounds=(0.0, 10.0),
        of=("dependants", "members_of_working_age"),
    ),
    Feature(
        "dependants_share",
        Text("不在劳动年龄的成员占比", "share of members under 16 or over 59"),
        Group.HOUSEHOLD,
        Measure.RATIO,
        Unit.SHARE,
        bounds=(0.0, 1.0),
        of=("dependants", "members"),
    ),
    Feature(
        "elders_share",
        Text("60岁及以上成员占比（100%即全为老人）", "share of members of 60 and over (100% means elders only)"),
        Group.HOUSEHOLD,
        Measure.RATIO,
        Unit.SHARE,
        bounds=(0.0, 1.0),
        of=("elders_60", "members"),
    ),
    *over_windows(
        "births",
        Text("新生儿人数", "births"),
        (12, 24),
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("HLT//BIRTH",),
        bounds=(0.0, 10.0),
        **_REGISTER,
    ),
    *over_windows(
        "marriages",
        Text("结婚登记次数", "marriages"),
        (24,),
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("MAR//MARRY",),
        bounds=(0.0, 10.0),
        **_REGISTER,
    ),
    *over_windows(
        "divorces",
        Text("离婚登记次数", "divorces"),
        (12, 24),
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("MAR//DIVORCE",),
        bounds=(0.0, 10.0),
        **_REGISTER,
    ),
    *over_windows(
        "deaths",
        Text("去世的成员人数", "deaths in the household"),
        (3, 12, 24),
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("FUN//CREMATE",),
        bounds=(0.0, 10.0),
        direction=Direction.MORE_IS_WORSE,
        **_REGISTER,
    ),
    Feature(
        "death_months_since_24m",
        Text("距最近一次成员去世的时间（两年内）", "time since the latest death in the household, up to two years"),
        measure=Measure.MONTHS_SINCE,
        unit=Unit.MONTHS,
        codes=("FUN//CREMATE",),
        window=last(months=24),
        bounds=(0.0, 24.0),
        direction=Direction.MORE_IS_BETTER,
        **_REGISTER,
    ),
    *over_windows(
        "members_joined",
        Text("迁入的成员人次", "members who moved in"),
        (12,),
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("HKM//MEMBER_JOIN",),
        bounds=(0.0, 20.0),
        **_REGISTER,
    ),
    *over_windows(
        "members_left",
        Text("迁出或分户的成员人次", "members who moved out or set up their own household"),
        (6, 24),
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("HKM//MEMBER_LEAVE",),
        bounds=(0.0, 20.0),
        **_REGISTER,
    ),
    Feature(
        "missing_member_open",
        Text("目前有成员失踪或走失未归", "a member missing and not back"),
        measure=Measure.OPEN,
        unit=Unit.COUNT,
        codes=("HKM//MISSING",),
        window=ever(),
        bounds=(0.0, 1.0),
        direction=Direction.MORE_IS_WORSE,
        closed_by=("HKM//MEMBER_JOIN", "HKM//MEMBER_LEAVE", "FUN//CREMATE"),
        **_REGISTER,
    ),
    Feature(
        "residence_rural",
        Text("住在农村", "lives in a rural area"),
        Group.CONTEXT,
        Measure.RESIDENCE,
        Unit.COUNT,
        bounds=(0.0, 1.0),
        residence="rural",
    ),
)
