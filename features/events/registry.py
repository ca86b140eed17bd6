"""Who joins and leaves a household, as the registers of residence, marriage and death say."""

from __future__ import annotations

from features.definition import Department, EventKind, Level, Text
from features.unit import Unit

_HOUSEHOLD_REGISTER = Department("HKM", "公安", Text("公安部门（户籍）", "household register"))
_MARRIAGE_REGISTER = Department("MAR", "民政", Text("民政部门（婚姻登记）", "civil affairs, marriage register"))
_DEATH_REGISTER = Department("FUN", "民政", Text("民政部门（殡葬）", "civil affairs, death register"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "HKM//MEMBER_JOIN",
        Text("家庭成员迁入", "member joins"),
        _HOUSEHOLD_REGISTER,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(5, 60),
        sensitivity="I",
    ),
    EventKind(
        "HKM//MEMBER_LEAVE",
        Text("家庭成员迁出/分户", "member leaves / split"),
        _HOUSEHOLD_REGISTER,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(5, 60),
        sensitivity="I",
        follows=False,
    ),
    EventKind(
        "HKM//MISSING",
        Text("失踪/走失", "missing person"),
        _HOUSEHOLD_REGISTER,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(3, 30),
        sensitivity="I",
    ),
    EventKind(
        "MAR//DIVORCE",
        Text("离婚登记", "divorce"),
        _MARRIAGE_REGISTER,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(1, 30),
        sensitivity="I",
        follows=False,
    ),
    EventKind(
        "MAR//MARRY",
        Text("结婚登记", "marriage"),
        _MARRIAGE_REGISTER,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(1, 30),
        sensitivity="I",
    ),
    EventKind(
        "FUN//CREMATE",
        Text("火化/死亡登记", "death (funeral)"),
        _DEATH_REGISTER,
        Unit.YEARS,
        Level.PERSON,
        value="age at death",
        lag_days=(3, 60),
        bounds=(0.0, 125.0),
        sensitivity="I",
        follows=False,
    ),
)
