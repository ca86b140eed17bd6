"""The per-100 sentence: whole numbers, a range that holds the number, the average, and nothing it cannot know."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.definition import Text
from models.frequency import frequency, is_spoken
from models.record_frame import per_100

MEANING = Text("年内被纳入救助对象", "enters a supported status within a year")
SHARES = st.floats(0.0, 1.0)
CAUSAL = re.compile(r"because|cause|due to|leads? to|result|will|因为|导致|由于|造成|所以|将会|必将", re.IGNORECASE)


def said(probability: float, low: float, high: float, base_rate: float = 0.03) -> Text:
    found = frequency(probability, (low, high), base_rate, MEANING)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("numbers", "zh", "en"),
    [
        ((0.312, 0.241, 0.385), "约31户出现过这一情况：年内被纳入救助对象（大致24–39户；全县平均约3户）",
         "about 31 had this outcome: enters a supported status within a year (roughly 24–39; county average about 3)"),
        ((0.02, 0.004, 0.05), "约2户出现过这一情况：年内被纳入救助对象（最多约5户；全县平均约3户）",
         "about 2 had this outcome: enters a supported status within a year (at most about 5; county average about 3)"),
        ((0.004, 0.001, 0.008), "不到1户出现过这一情况：年内被纳入救助对象（全县平均约3户）",
         "fewer than 1 had this outcome: enters a supported status within a year (county average about 3)"),
        ((0.999, 0.99, 1.0), "99户以上出现过这一情况：年内被纳入救助对象（大致99–100户；全县平均约3户）",
         "more than 99 had this outcome: enters a supported status within a year "
         "(roughly 99–100; county average about 3)"),
        ((0.29, 0.29, 0.29), "约29户出现过这一情况：年内被纳入救助对象（大致29户；全县平均约3户）",
         "about 29 had this outcome: enters a supported status within a year (roughly 29; county average about 3)"),
    ],
)  # fmt: skip
def test_the_sentences(numbers: tuple[float, float, float], zh: str, en: str) -> None:
    found = said(*numbers)
    assert found.zh == f"记录相似的100户中，{zh}"
    assert found.en == f"Of 100 households with similar records, {en}"


@settings(max_examples=300)
@given(st.lists(SHARES, min_size=3, max_size=3).map(sorted), SHARES)
def test_numbers_are_whole_and_the_range_holds_them(three: list[float], base_rate: float) -> None:
    low, probability, high = three
    zh, en = said(probability, low, high, base_rate)
    assert "." not in en.removesuffix(".") and "." not in zh
    assert not CAUSAL.search(en) and not CAUSAL.search(zh)
    numbers = [int(found) for found in re.findall(r"\d+", en)]
    assert numbers[0] == 100 and max(numbers) <= 100
    found = re.search(r"about (\d+) had", en)
    within = re.search(r"\((?:roughly (\d+)(?:–(\d+))?|at most about (\d+));", en)
    if found and within:
        least = int(within[1] or 0)
        most = int(within[3] or within[2] or within[1])
        assert least <= int(found[1]) <= most
        assert least <= 100 * low + 1e-6 and most >= 100 * high - 1e-6
    assert re.findall(r"\d+", zh) == re.findall(r"\d+", en)


@settings(max_examples=200)
@given(st.floats(0.01, 0.994))
def test_the_number_is_the_one_of_the_record(probability: float) -> None:
    assert f"about {per_100(probability)} had" in said(probability, 0.0, 1.0).en


def test_a_rounding_error_does_not_widen_the_range() -> None:
    assert 100 * 0.29 < 29 and 100 * 0.07 > 7
    assert "roughly 29–57;" in said(0.4, 0.29, 0.57).en
    assert "roughly 3–7;" in said(0.05, 0.03, 0.07).en


def test_nothing_is_said_when_the_level_has_drifted_too_far() -> None:
    assert frequency(0.3, (0.2, 0.4), 0.03, MEANING, spoken=False) is None
    assert [is_spoken(ratio) for ratio in (0.0, 0.669, 0.67, 1.5, 1.501, float("nan"))] == [
        False, False, True, True, False, False,
    ]  # fmt: skip


def test_the_whole_need_not_be_a_county() -> None:
    found = frequency(0.3, (0.2, 0.4), 0.08, MEANING, whole=Text("全体", "panel"))
    assert found is not None
    assert "panel average about 8" in found.en and "全体平均约8户" in found.zh


@pytest.mark.parametrize(
    ("probability", "within", "base_rate"),
    [(0.5, (0.6, 0.7), 0.1), (0.5, (0.1, 0.4), 0.1), (np.nan, (0.1, 0.4), 0.1), (0.5, (0.1, 1.4), 0.1),
     (0.5, (0.4, 0.6), np.nan), (0.5, (np.nan, 0.6), 0.1)],
)  # fmt: skip
def test_numbers_that_do_not_fit_are_refused(probability: float, within: tuple[float, float], base_rate: float) -> None:
    with pytest.raises(ValueError, match="0 <= low <= probability <= high <= 1"):
        frequency(probability, within, base_rate, MEANING)
