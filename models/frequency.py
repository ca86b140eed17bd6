"""A probability in words: how many of 100 households with similar records, in fixed Chinese and English sentences.

Whole numbers only, always with the range and with the average, because "31 of 100" means nothing without "3 of 100".
The sentence says what was on record about similar households; it never says why, and it promises nothing.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from features.definition import Text

# Observed per foretold outcome within which the numbers of the sentence are still worth saying.
SPOKEN = (0.67, 1.5)
COUNTY = Text("全县", "county")


def is_spoken(observed_expected: float) -> bool:
    """Whether per-100 sentences may be shown while so many outcomes were observed per outcome foretold.

    >>> [is_spoken(ratio) for ratio in (0.66, 0.67, 1.0, 1.5, 1.51)]
    [False, True, True, True, False]
    """
    return SPOKEN[0] <= observed_expected <= SPOKEN[1]


def frequency(
    probability: float,
    interval: tuple[float, float] | npt.NDArray[np.float64],
    base_rate: float,
    meaning: Text,
    *,
    spoken: bool = True,
    whole: Text = COUNTY,
) -> Text | None:
    """The sentence about one household, or None when the level has drifted too far for numbers to be `spoken`.

    `meaning` is the label's text, which also says how long the horizon is; `interval` contains the probability;
    `base_rate` is the average of the `whole` (county). The range is widened to whole numbers, so it always holds the
    number in front of it.

    >>> enters = Text("12个月内被纳入救助对象", "enters a supported status within 12 months")
    >>> print(*frequency(0.312, (0.241, 0.385), 0.03, enters), sep="\\n")
    记录相似的100户中，约31户出现过这一情况：12个月内被纳入救助对象（大致24–39户；全县平均约3户）
    Of 100 households with similar records, about 31 had this outcome: enters a supported status within 12 months \
(roughly 24–39; county average about 3)
    >>> frequency(0.004, (0.001, 0.012), 0.03, enters).en
    'Of 100 households with similar records, fewer than 1 had this outcome: enters a supported status within 12 months \
(at most about 2; county average about 3)'
    >>> frequency(0.312, (0.241, 0.385), 0.03, enters, spoken=False) is None
    True
    """
    low, high = (float(end) for end in interval)
    # Written so that a NaN is refused as well.
    if not (0.0 <= low <= probability <= high <= 1.0 and 0.0 <= base_rate <= 1.0):
        raise ValueError("a frequency needs 0 <= low <= probability <= high <= 1 and a base rate from 0 to 1")
    if not spoken:
        return None
    n, average, within = _about(probability), _about(base_rate), _range(low, high)
    return Text(
        f"记录相似的100户中，{n.zh}出现过这一情况：{meaning.zh}（{within.zh}{whole.zh}平均{average.zh}）",
        f"Of 100 households with similar records, {n.en} had this outcome: {meaning.en} "
        f"({within.en}{whole.en} average {average.en})",
    )


def _about(probability: float) -> Text:
    if probability < 0.01:
        return Text("不到1户", "fewer than 1")
    # Rounded as the number beside the sentence is, half to even.
    n = round(100.0 * probability)
    return Text("99户以上", "more than 99") if n == 100 else Text(f"约{n}户", f"about {n}")


def _range(low: float, high: float) -> Text:
    """The range in whole numbers with what separates it from the average; empty where it says no more than
    "fewer than 1" does."""
    # 100 * 0.29 is a hair below 29, 100 * 0.07 a hair above 7.
    least, most = math.floor(round(100.0 * low, 9)), math.ceil(round(100.0 * high, 9))
    if high < 0.01:
        return Text("", "")
    if least == 0:
        return Text(f"最多约{most}户；", f"at most about {most}; ")
    if least == most:
        return Text(f"大致{least}户；", f"roughly {least}; ")
    return Text(f"大致{least}–{most}户；", f"roughly {least}–{most}; ")
