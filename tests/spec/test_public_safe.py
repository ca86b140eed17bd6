"""What is said in public names nobody and tells nothing of health, care, benefits or money."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from features.dataset import read_dataset
from features.definition import Group
from features.intake import admitted
from features.window import as_of_moment
from models.assessment import assessments
from models.bundle import Bundle
from models.language import languages
from models.public_safe import public_view, readout, sensitive_terms
from models.tier import Tier
from training.rows import dataset_history

DATES = ("2020-06-30", "2020-12-31")


@pytest.fixture(scope="module")
def records(tiny_county: Path, opened_bundle: Bundle) -> list[dict[str, Any]]:
    """The records of 600 synthetic households at two moments."""
    made = dataset_history(admitted(read_dataset(tiny_county), opened_bundle.catalogue), opened_bundle.catalogue)
    moments = [as_of_moment(day, made.time_zone) for day in DATES]
    return [record for moment in moments for record in assessments(opened_bundle, made, moment)]


def spoken(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from spoken(each)
    elif isinstance(value, list):
        for each in value:
            yield from spoken(each)


def test_no_public_text_of_a_thousand_households_holds_a_sensitive_term(records: list[dict[str, Any]]) -> None:
    assert len(records) == 1_200
    seen = set()
    for record in records:
        facts = [fact["public_text"] for reason in record["reasons"] for fact in reason["facts"]]
        for said in spoken([public_view(record), readout(record), facts]):
            assert sensitive_terms(said) == [], said
            seen.add(said)
        whole = json.dumps([public_view(record), readout(record)], ensure_ascii=False)
        assert record["household_id"] not in whole
        assert record["assessment_id"] not in whole
        assert not re.search("[0-9]", whole.replace("public.v1", ""))
    assert len(seen) > 20


def test_the_same_records_in_full_do_hold_them(records: list[dict[str, Any]]) -> None:
    """Otherwise the test above could not fail."""
    facts = [fact["text"]["zh"] for record in records for reason in record["reasons"] for fact in reason["facts"]]
    assert len(facts) > 500
    assert sum(bool(sensitive_terms(text)) for text in facts) > 0.5 * len(facts)


@pytest.mark.parametrize(
    "planted",
    [
        *("近期住院情况", "家有残疾成员", "已享受低保", "支出约2万元", "电话13812345678", "1950年3月出生"),
        *("身份证11010119500307123X", "卡号6222021234567890123", "Recent hospital stays", "A member on dibao"),
        *("costs of 2,000 yuan", "CARE at home", "two loans"),
    ],
)
def test_a_planted_term_is_caught(planted: str) -> None:
    assert sensitive_terms(planted)
    assert sensitive_terms(f"我们来了解一下家里近况。{planted}。")


@pytest.mark.parametrize(
    "harmless", ["近期收入情况", "careful, carefully", "Recent work", "The family in general", "三月份", "第12345号"]
)
def test_a_harmless_text_is_let_through(harmless: str) -> None:
    assert sensitive_terms(harmless) == []


def test_every_word_that_could_be_said_in_public_is_free_of_them() -> None:
    said = [text for language in languages() for text in spoken(language.sections["public"])]
    assert len(said) > 60
    assert [text for text in said if sensitive_terms(text)] == []
    for language in languages():
        assert set(language.sections["public"]["tiers"]) == {tier.value for tier in Tier}


def test_the_view_says_how_soon_what_about_and_who_decides_and_nothing_else() -> None:
    reasons = [{"group": group, "direction": "raises"} for group in ("medical", "income", "education")]
    view = public_view({"tier": "red", "reasons": [{"group": "coping", "direction": "lowers"}, *reasons]})
    assert set(view) == {"schema", "intro", "tier", "topics", "decides"}
    assert [topic["zh"] for topic in view["topics"]] == ["近期支出情况", "近期收入情况"]
    assert view["decides"]["en"] == "People decide on any help, after checking."


def test_the_opening_words_are_respectful_and_name_general_topics_once() -> None:
    reasons = [{"group": group, "direction": "raises"} for group in ("medical", "employment")]
    assert readout({"reasons": reasons}) == {
        "zh": "您好，我们来了解一下家里近况。想先聊聊近期支出、务工方面的情况。信息如有不对，请告诉我们更正。",
        "en": "Hello, we have come to see how you are doing. We would like to talk about recent expenses, work. "
        "Please tell us if anything we have is wrong.",
    }
    assert readout({"reasons": []})["zh"] == "您好，我们来了解一下家里近况。信息如有不对，请告诉我们更正。"
    for group in Group:
        assert sensitive_terms(readout({"reasons": [{"group": group.value, "direction": "raises"}]})["en"]) == []
