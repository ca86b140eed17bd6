"""Who joins and leaves a household, and what befalls it, as residence, marriage, death and police registers say.

The registers hold every case, so no row means that it did not happen. Warnings of domestic violence are sealed and
read case by case: no row says nothing, and the wording is for a role that may read it. The text of a residence permit
is a region code.
"""

from __future__ import annotations

from features.definition import Absent, Department, EventKind, Level, Text
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
        "HKM//RES_PERMIT",
        Text("居住证登记", "residence permit"),
        _HOUSEHOLD_REGISTER,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(5, 60),
        sensitivity="L",
        coded_text="GB/T 2260 region",
    ),
    EventKind(
        "HKM//DV_WARNING",
        Text("家暴告诫/保护令", "domestic-violence warning"),
        _HOUSEHOLD_REGISTER,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(5, 45),
        sensitivity="J",
        is_sealed=True,
        silence=Absent.UNKNOWN,
    ),
    EventKind(
        "HKM//FRAUD_LOSS",
        Text("诈骗/盗抢报案损失", "reported fraud or theft loss"),
        _HOUSEHOLD_REGISTER,
        Unit.MONEY,
        Level.PERSON,
        value="loss as reported to the police",
        lag_days=(3, 60),
        bounds=(0.0, 50_000_000.0),
        sensitivity="J",
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
