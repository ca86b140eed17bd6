"""What sentences for people may not say, and how long they may be: one list and one count for all texts."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Words that say what causes what. Records go together with a score; nobody knows what brings what about.
BANNED: Mapping[str, tuple[str, ...]] = {
    "zh": ("导致", "因为", "造成", "由于", "引起", "使得", "致使", "归因", "起因", "以致", "从而"),
    "en": (
        *("because", "caused", "causing", "due to", "lead to", "leads to", "led to", "leading to", "results in"),
        *("resulted in", "as a result", "owing to", "thanks to", "therefore", "hence", "brought about", "brings about"),
        *("responsible for", "explained by", "on account of"),
    ),
}
LONGEST_ZH = 28

_BANNED_EN = re.compile(rf"\b(?:{'|'.join(map(re.escape, BANNED['en']))})\b", re.IGNORECASE)
_UNITS = (
    *("万元", "亿元", "万", "亿", "美元", "比索", "元", "个月", "年半", "年", "成半", "成", "%", "％", "倍"),
    *("周岁", "岁", "天", "日", "人次", "次", "笔", "条", "例", "本", "名", "人", "户", "级", "项", "头", "间"),
    "小时",
)
_NUMBER = re.compile(
    r"(?:\d{4}年)?\d{1,2}月\d{1,2}日|\d{4}年\d{1,2}月"
    rf"|\d[\d,.–]*\s*(?:{'|'.join(_UNITS)})?(?:以上|以下)?"
)


def banned_words(text: str) -> list[str]:
    """Words of cause in a text, Chinese or English.

    >>> banned_words("因为住院"), banned_words("This is due to illness"), banned_words("goes together with")
    (['因为'], ['due to'], [])
    """
    return [word for word in BANNED["zh"] if word in text] + [found.lower() for found in _BANNED_EN.findall(text)]


def length_zh(text: str) -> int:
    """Han characters and letters of a Chinese sentence outside numbers with their units, and dates.

    >>> length_zh("近12个月住院2次，最近一次5月10日，自付约1.4万元（医保）")
    12
    """
    return sum(char.isalpha() for char in _NUMBER.sub("", text))
