"""Tax, housing fund and bank records, which exist only where the household signed an authorisation.

Who signs is no random choice: the absence of these events says nothing about means, so no feature reads them, and a
rule that needs them is not evaluable without them. An authorisation lasts twelve months.
"""

from __future__ import annotations

from features.definition import Absent, Department, EventKind, Level, Text
from features.unit import Unit

_TAX = Department("TAX", "税务/公积金", Text("税务和公积金部门", "tax and housing fund offices"))
_BANK = Department("BNK", "金融机构", Text("金融机构", "banks"))

KINDS: tuple[EventKind, ...] = (
    EventKind(
        "TAX//PIT_INCOME",
        Text("个税申报收入", "taxable income declared"),
        _TAX,
        Unit.MONEY,
        Level.PERSON,
        value="income declared for one month",
        lag_days=(30, 75),
        bounds=(0.0, 5_000_000.0),
        sensitivity="F",
        is_authorised=True,
        authorised_months=12,
        silence=Absent.UNKNOWN,
    ),
    EventKind(
        "TAX//HF_DEPOSIT",
        Text("公积金缴存", "housing-fund deposit"),
        _TAX,
        Unit.MONEY,
        Level.PERSON,
        value="deposit of one month",
        lag_days=(20, 60),
        bounds=(0.0, 200_000.0),
        sensitivity="F",
        is_authorised=True,
        authorised_months=12,
        silence=Absent.UNKNOWN,
    ),
    EventKind(
        "BNK//DEPOSIT_BAL",
        Text("存款余额(授权)", "deposit balance (authorised)"),
        _BANK,
        Unit.MONEY,
        Level.PERSON,
        value="balance on the day of the check",
        lag_days=(10, 30),
        bounds=(0.0, 50_000_000.0),
        sensitivity="F",
        is_authorised=True,
        authorised_months=12,
        silence=Absent.UNKNOWN,
    ),
    EventKind(
        "BNK//LOAN_OVERDUE",
        Text("小额信贷逾期", "micro-loan overdue"),
        _BANK,
        Unit.DAYS,
        Level.PERSON,
        value="days overdue",
        lag_days=(15, 60),
        bounds=(0.0, 3_660.0),
        sensitivity="F",
        is_authorised=True,
        authorised_months=12,
        silence=Absent.UNKNOWN,
    ),
    EventKind(
        "BNK//DEBT_SERVICE",
        Text("贷款还款额(授权)", "debt service (authorised)"),
        _BANK,
        Unit.MONEY,
        Level.PERSON,
        value="repaid in one month",
        lag_days=(10, 30),
        bounds=(0.0, 1_000_000.0),
        sensitivity="F",
        is_authorised=True,
        authorised_months=12,
        silence=Absent.UNKNOWN,
    ),
)
