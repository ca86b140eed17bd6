"""How single things are shown to a person: texts made safe, tiers with a shape, days as people say them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from features.definition import EventKind, Text
from features.unit import Unit
from features.window import Micros, as_of_moment, day, day_of
from serving.pages.words import WORDS, word

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# A shape beside the colour, because not everybody sees the colour and paper has none.
SHAPES = {"red": "▲", "orange": "◆", "yellow": "●", "green": "○", "grey": "□"}
PER_ROW = 25
# Control, format and half characters move the cursor, turn a line around, or are no text.
_NOT_SHOWN = ("Cc", "Cf", "Cs")


def plain(text: object) -> str:
    """Text from outside without characters that could move the cursor or turn the line around.

    >>> plain("医保\\u202e局\\n<b>")
    '医保局<b>'
    """
    return "".join(char for char in str(text) if unicodedata.category(char) not in _NOT_SHOWN)


@dataclass(frozen=True)
class Reader:
    """For whom and when a page is made: language, clock, calendar, kinds of events, wordings not to be used.

    `now` is in microseconds. `kinds` are those of the catalogue by code; of an event of no known kind only source and
    days are shown.
    """

    lang: str
    now: Micros
    time_zone: str = "Asia/Shanghai"
    kinds: Mapping[str, EventKind] = field(default_factory=dict)
    currency: str = "CNY"
    suspended: frozenset[str] = frozenset()

    def says(self, text: Mapping[str, str] | Text | None) -> str:
        """A text of the record in the reader's language; the other one where it was kept in one only."""
        if text is None:
            return ""
        given = text._asdict() if isinstance(text, Text) else text
        return plain(given.get(self.lang) or next(iter(given.values()), ""))

    def line(self, text: Mapping[str, str] | Text | None) -> str:
        """The same where it stands by itself, and so begins with a capital letter.

        >>> Reader("en", 0).line({"en": "income is low"})
        'Income is low'
        """
        said = self.says(text)
        return said[:1].upper() + said[1:]

    def word(self, key: str, **values: object) -> str:
        """A word of the pages."""
        return word(WORDS, key, self.lang, **values)

    def name_of(self, code: str) -> str:
        """What kind of event a code stands for; empty where it is not known."""
        kind = self.kinds.get(code)
        return "" if kind is None else self.says(kind.name)

    def unit_of(self, code: str) -> str:
        """The word for what an event of that code counts; empty where it has no amount."""
        kind = self.kinds.get(code)
        if kind is None or kind.unit is Unit.NONE:
            return ""
        steps = f" {kind.bounds[0]:g}–{kind.bounds[1]:g}" if kind.unit is Unit.SCALE and kind.bounds else ""
        return self.unit(kind.unit.value) + steps

    def unit(self, unit: str) -> str:
        """The word for a unit as records write it (`CNY`, `money`, `d`, ...).

        >>> Reader("zh", 0).unit("money"), Reader("en", 0).unit("d"), Reader("en", 0).unit("PHP")
        ('元', 'days', 'PHP')
        """
        written = self.currency if unit == Unit.MONEY.value else unit
        key = f"unit_{written}"
        return self.word(key) if key in WORDS else plain(written)

    @property
    def today(self) -> str:
        """The reader's calendar day, `YYYY-MM-DD`."""
        return day(self.now, self.time_zone)

    def day(self, written: str) -> str:
        """A day of the record, without the year if it is this year's.

        >>> reader = Reader("zh", 0)
        >>> reader.day("1970-03-09T10:00:00+08:00"), reader.day("1969-03-09"), Reader("en", 0).day("1969-03-09")
        ('3月9日', '1969年3月9日', '9 Mar 1969')
        """
        on = date.fromisoformat(written[:10])
        is_this_year = written[:4] == self.today[:4]
        if self.lang == "zh":
            return f"{'' if is_this_year else f'{on.year}年'}{on.month}月{on.day}日"
        return f"{on.day} {MONTHS[on.month - 1]}{'' if is_this_year else f' {on.year}'}"

    def judged_day(self, as_of: str) -> str:
        """The day that a moment of judgement ends or lies in."""
        return self.day(day_of(as_of_moment(as_of, self.time_zone), self.time_zone).isoformat())

    def days_since(self, moment: Micros) -> int:
        """Calendar days from a moment to today, 0 on the same day."""
        passed = date.fromisoformat(self.today) - date.fromisoformat(day(moment, self.time_zone))
        return max(passed.days, 0)


@dataclass(frozen=True)
class TierShown:
    """A tier: its name in the record, a shape, a word, and what it asks for."""

    name: str
    shape: str
    label: str
    advice: str


def tier_shown(name: str, reader: Reader) -> TierShown:
    """One tier in the reader's language."""
    return TierShown(name, SHAPES[name], reader.word(f"tier_{name}"), reader.word(f"advice_{name}"))


@dataclass(frozen=True)
class Dots:
    """A hundred dots in four rows for a hundred households, as SVG paths: about so many (`n`), possibly so many
    (`high`), and a mark over the average (`base`)."""

    n: int
    low: int
    high: int
    base: int

    def rows(self, count: int) -> tuple[str, ...]:
        """The paths that put a dot in each of the first `count` of 100 places, 10 apart.

        >>> Dots(3, 1, 60, 6).rows(26)
        ('M5 22h240', 'M5 33h0.01')
        """
        paths = []
        for row in range(4):
            n = min(count - PER_ROW * row, PER_ROW)
            if n > 0:
                paths.append(f"M5 {22 + 11 * row}h{max((n - 1) * 10, 0.01):g}")
        return tuple(paths)


def dots(record: Mapping[str, Any]) -> Dots | None:
    """The dots of a record; None where no number is to be spoken."""
    if record["per_100"] is None or record["frequency"] is None:
        return None
    low, high = record["interval"] or (record["probability"], record["probability"])
    # Rounded first: 100 * 0.29 is a hair below 29.
    least, most = math.floor(round(100 * low, 9)), math.ceil(round(100 * high, 9))
    return Dots(round(record["per_100"]), least, most, round(record["base_rate_per_100"]))
