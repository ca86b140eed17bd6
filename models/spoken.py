"""Numbers and days as people say them, by the rules that a language file gives.

Two digits are enough to decide whom to ask what; the exact amount stands with the cited event.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from features.unit import Unit

DIGITS = 2
# From here on months are told in years.
YEARS_FROM = 24.0
TENTHS_FROM, WHOLE_FROM, TIMES_FROM = 0.095, 0.975, 10.0


@dataclass(frozen=True)
class Spoken:
    """How one language says numbers. `words` is the section `numbers` of its file.

    `large` are names of large numbers, largest first, each with its size; a form with `one` and `many` has a plural.
    """

    words: Mapping[str, Any]

    def value(self, unit: Unit, value: float, currency: str) -> str:
        """A value in its unit; a `ValueError` where it is unknown, because that has no wording."""
        if not math.isfinite(value):
            raise ValueError("an unknown value has no wording; it belongs in data_gaps")
        if value < 0:
            about = self._about("")
            said = self.value(unit, -value, currency)
            start = about if said.startswith(about) else ""
            return start + str(self.words["minus"]).format(said.removeprefix(start))
        if unit is Unit.MONEY:
            return self.money(value, currency)
        if unit is Unit.SHARE:
            return self.share(value)
        if unit is Unit.MONTHS:
            return self.months(value)
        if unit in (Unit.DAYS, Unit.YEARS):
            return self._form("days" if unit is Unit.DAYS else "ages", round(value))
        return self.number(value)

    def money(self, value: float, currency: str) -> str:
        """An amount with two digits: `约1.4万元`, `about 14,000 yuan`."""
        told = _digits(value)
        name = self.words["currencies"].get(currency, f" {currency}")
        text = str(self.words["money"]).format(self._large(told), currency=name)
        return text if abs(told - value) < 0.5 else self._about(text)

    def share(self, value: float) -> str:
        """A part of a whole, or one amount set against another: `约4成`, `about 40 %`."""
        if value < 0.005:
            return str(self.words["below_percent"])
        if value >= TIMES_FROM:
            return str(self.words["above_times"]).format(f"{TIMES_FROM:.0f}")
        if self.words["tenths"] and TENTHS_FROM <= value < WHOLE_FROM:
            halves = round(20 * value)
            return self._about(self._form("tenths", halves // 2) if halves % 2 == 0 else self._half(halves // 2))
        percent = 5 * round(20 * value) if value >= TENTHS_FROM else round(100 * value)
        text = str(self.words["percent"]).format(percent)
        return text if abs(percent - 100 * value) < 1e-9 else self._about(text)

    def months(self, value: float) -> str:
        """A time in months: `约5个月`, from two years on `约2年半`."""
        if value < 0.5:
            return str(self.words["below_month"])
        if value < YEARS_FROM:
            return self._about(self._form("months", round(value)))
        halves = round(value / 6)
        if halves % 2 == 0:
            return self._about(self._form("years", halves // 2))
        return self._about(str(self.words["years_half"]).format(halves // 2))

    def number(self, value: float) -> str:
        """A plain number: whole ones as they are, others with two digits."""
        if float(value).is_integer():
            return self._grouped(value)
        told = _digits(value)
        return self._about(self._grouped(told) if told.is_integer() else f"{told:.{DIGITS}g}")

    def day(self, day: str, year: str) -> str:
        """A day written `2025-03-01`; the year is said unless it is `year`."""
        y, m, d = day.split("-")
        names = self.words["month_names"]
        month = names[int(m) - 1] if names else str(int(m))
        form = self.words["day"] if y == year else self.words["day_of_year"]
        return str(form).format(year=y, month=month, day=int(d))

    def _half(self, tenths: int) -> str:
        return str(self.words["tenths_half"]).format(tenths)

    def _about(self, text: str) -> str:
        return str(self.words["about"]).format(text)

    def _form(self, name: str, number: int) -> str:
        form = self.words[name]
        if isinstance(form, Mapping):
            form = form["one" if number == 1 else "many"]
        return str(form).format(self._grouped(number))

    def _large(self, value: float) -> str:
        for name, size in self.words["large"].items():
            if value >= size:
                return f"{value / size:.15g}{name}"
        return self._grouped(value)

    def _grouped(self, value: float) -> str:
        return f"{value:,.0f}".replace(",", str(self.words["thousands"]))


def _digits(value: float) -> float:
    """The value with two digits.

    >>> [_digits(value) for value in (14200.4, 2594.0, 0.347, 0.0)]
    [14000.0, 2600.0, 0.35, 0.0]
    """
    if value == 0:
        return 0.0
    places = DIGITS - 1 - math.floor(math.log10(abs(value)))
    return float(round(value, places))
