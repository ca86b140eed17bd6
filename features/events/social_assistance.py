"""Allowances, recognitions and one-off grants by civil affairs, and its care for elders.

The department decides and pays these itself, so no row means that there was none; only the ability of an elder whom
nobody assessed is not known. Entries date from the approval; the grace months after a dibao exit are a plain number in
the data.
"""

from __future__ import annotations

from features.definition import Absent, Department, EventKind, Level, Text
from features.unit import Unit

_DIBAO = Department("DB", "民政", Text("民政部门（低保）", "civil affairs, dibao"))
_DESTITUTE_SUPPORT = Department("TK", "民政", Text("民政部门（特困供养）", "civil affairs, destitute support"))
_TEMPORARY_ASSISTANCE = Department("LS", "民政", Text("民政部门（临时救助）", "civil affairs, temporary assistance"))
_LOW_INCOME = Department("LIP", "民政", Text("民政部门（低收入认定）", "civil affairs, low-income recognition"))
_CHILD_WELFARE = Department("CHD", "民政", Text("民政部门（儿童福利）", "civil affairs, child welfare"))
_ELDER_CARE = Department("ELD", "民政", Text("民政部门（养老）", "civil affairs, elder care"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "DB//ENTER",
        Text("低保纳入", "dibao entry"),
        _DIBAO,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="allowance of one month",
        lag_days=(15, 45),
        bounds=(0.0, 100_000.0),
        sensitivity="I",
        is_entry=True,
    ),
    EventKind(
        "DB//ADJUST",
        Text("低保金额调整", "dibao amount change"),
        _DIBAO,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="allowance of one month from now on",
        lag_days=(15, 40),
        bounds=(0.0, 100_000.0),
        sensitivity="I",
    ),
    EventKind(
        "DB//EXIT",
        Text("低保退出(含渐退)", "dibao exit"),
        _DIBAO,
        Unit.COUNT,
        Level.HOUSEHOLD,
        value="months for which the allowance still runs on",
        lag_days=(15, 45),
        bounds=(0.0, 36.0),
        sensitivity="I",
    ),
    EventKind(
        "DB//REJECT",
        Text("低保申请不予确认", "dibao refusal"),
        _DIBAO,
        Unit.NONE,
        Level.HOUSEHOLD,
        value="",
        lag_days=(10, 30),
        sensitivity="I",
    ),
    EventKind(
        "TK//ENTER",
        Text("特困认定", "destitute-support entry"),
        _DESTITUTE_SUPPORT,
        Unit.MONEY,
        Level.PERSON,
        value="allowance of one month",
        lag_days=(15, 45),
        bounds=(0.0, 100_000.0),
        sensitivity="I",
        is_entry=True,
    ),
    EventKind(
        "TK//EXIT",
        Text("特困终止", "destitute-support exit"),
        _DESTITUTE_SUPPORT,
        Unit.NONE,
        Level.PERSON,
        value="",
        lag_days=(15, 45),
        sensitivity="I",
    ),
    EventKind(
        "LS//GRANT",
        Text("临时救助发放(急难/支出)", "temporary assistance paid"),
        _TEMPORARY_ASSISTANCE,
        Unit.MONEY,
        Level.HOUSEHOLD,
        value="amount paid once",
        lag_days=(7, 30),
        bounds=(0.0, 500_000.0),
        sensitivity="I",
    ),
    EventKind(
        "LIP//EDGE_ENTER",
        Text("低保边缘认定", "dibao-edge recognition"),
        _LOW_INCOME,
        Unit.NONE,
        Level.HOUSEHOLD,
        value="",
        lag_days=(15, 45),
        sensitivity="I",
        is_entry=True,
    ),
    EventKind(
        "LIP//RIGID_ENTER",
        Text("刚性支出困难认定", "rigid-expenditure recognition"),
        _LOW_INCOME,
        Unit.SHARE,
        Level.HOUSEHOLD,
        value="necessary spending as a multiple of income",
        lag_days=(15, 45),
        bounds=(0.0, 100.0),
        sensitivity="I",
        is_entry=True,
    ),
    EventKind(
        "LIP//EXPIRE",
        Text("认定到期", "recognition expiry"),
        _LOW_INCOME,
        Unit.NONE,
        Level.HOUSEHOLD,
        value="",
        lag_days=(0, 5),
        sensitivity="I",
        is_scheduled=True,
    ),
    EventKind(
        "CHD//ORPHAN",
        Text("孤儿/事实无人抚养认定", "orphan / de-facto unsupported child"),
        _CHILD_WELFARE,
        Unit.MONEY,
        Level.PERSON,
        value="allowance of one month",
        lag_days=(20, 60),
        bounds=(0.0, 50_000.0),
        sensitivity="IM",
    ),
    EventKind(
        "ELD//LTC_GRADE",
        Text("老年人能力评估", "elder ability assessment"),
        _ELDER_CARE,
        Unit.SCALE,
        Level.PERSON,
        value="loss of ability: 0 none, 1 slight, 2 moderate, 3 severe",
        lag_days=(15, 60),
        bounds=(0.0, 3.0),
        sensitivity="H",
        silence=Absent.UNKNOWN,
    ),
    EventKind(
        "ELD//SUBSIDY",
        Text("高龄/养老服务补贴", "old-age subsidy"),
        _ELDER_CARE,
        Unit.MONEY,
        Level.PERSON,
        value="subsidy of one month",
        lag_days=(10, 40),
        bounds=(0.0, 20_000.0),
        sensitivity="I",
    ),
)
