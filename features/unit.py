"""Units a value may carry, and how a value is written for a person to read."""

from __future__ import annotations

import math
from enum import Enum


class Unit(Enum):
    """What a number counts. `MONEY` is the dataset's currency (yuan unless it says otherwise)."""

    MONEY = "money"
    DAYS = "d"
    MONTHS = "mo"
    YEARS = "a"
    COUNT = "n"
    SCALE = "1"
    SHARE = "share"
    NONE = "none"

    def accepts(self, written: str | None, currency: str) -> bool:
        """Whether an event may carry the unit as `written`.

        Money and times must say their unit, because 万元 read as 元 is a silent factor of 10,000;
        counts and scales have only one reading and may leave it out.

        >>> Unit.MONEY.accepts("CNY", "CNY"), Unit.MONEY.accepts("万元", "CNY"), Unit.MONEY.accepts(None, "CNY")
        (True, False, False)
        >>> Unit.SCALE.accepts(None, "CNY"), Unit.DAYS.accepts("d", "CNY")
        (True, True)
        """
        if self is Unit.MONEY:
            return written == currency
        if self in (Unit.COUNT, Unit.SCALE, Unit.SHARE, Unit.NONE):
            return written in (None, "1", "n", "share", self.value)
        return bool(written == self.value)

    def spoken(self, value: float, currency: str = "CNY") -> tuple[str, str]:
        """The value as a person says it, in Chinese and in English.

        >>> Unit.MONEY.spoken(14200.4)
        ('14,200元', '14,200 CNY')
        >>> Unit.SHARE.spoken(0.42)
        ('42%', '42%')
        >>> Unit.MONTHS.spoken(7.26)
        ('7.3个月', '7.3 months')
        """
        if not math.isfinite(value):
            raise ValueError("an unknown value has no wording; it belongs in data_gaps")
        if self is Unit.MONEY:
            zh_currency = {"CNY": "元"}.get(currency, currency)
            return f"{value:,.0f}{zh_currency}", f"{value:,.0f} {currency}"
        if self is Unit.SHARE:
            return f"{value:.0%}", f"{value:.0%}"
        if self is Unit.DAYS:
            return f"{value:.0f}天", f"{value:.0f} days"
        if self is Unit.MONTHS:
            return f"{value:.1f}个月", f"{value:.1f} months"
        if self is Unit.YEARS:
            return f"{value:.0f}岁", f"{value:.0f} years"
        number = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"
        return number, number
