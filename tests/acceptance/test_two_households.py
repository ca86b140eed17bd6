"""One number may stand for different lives: the reasons and the questions say which, and never make a fact of a gap."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from features.dataset import read_dataset
from features.intake import admitted
from features.window import as_of_moment
from models.assessment import Assessed, assess
from models.bundle import Bundle
from models.explanation import NOT_KNOWN
from models.language import texts
from training.rows import dataset_history

AS_OF = "2021-09-30"


@pytest.fixture(scope="module")
def assessed(tiny_county: Path, opened_bundle: Bundle) -> Assessed:
    made = dataset_history(admitted(read_dataset(tiny_county), opened_bundle.catalogue), opened_bundle.catalogue)
    return assess(opened_bundle, made, as_of_moment(AS_OF, made.time_zone))


@pytest.fixture(scope="module")
def records(assessed: Assessed) -> list[dict[str, Any]]:
    return [assessed.record(i) for i in range(len(assessed.history.household_ids))]


def raising(record: dict[str, Any]) -> set[str]:
    return {reason["group"] for reason in record["reasons"] if reason["direction"] == "raises"}


def told(record: dict[str, Any]) -> list[str]:
    return [fact["text"]["zh"] for reason in record["reasons"] for fact in reason["facts"]]


@pytest.fixture(scope="module")
def two(records: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The likeliest two scored households of the same number of 100, of which different domains are told."""
    scored = [record for record in records if record["probability"] is not None and raising(record)]
    pairs = [
        (first, second)
        for first, second in itertools.combinations(scored, 2)
        if first["per_100"] == second["per_100"] and not raising(first) & raising(second)
    ]
    return max(pairs, key=lambda pair: (pair[0]["per_100"], pair[0]["household_id"], pair[1]["household_id"]))


def test_two_households_of_one_number_get_different_reasons(two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    first, second = two
    assert first["per_100"] == second["per_100"]
    assert first["per_100"] >= 2
    assert raising(first).isdisjoint(raising(second))
    assert told(first)
    assert told(second)
    assert set(told(first)).isdisjoint(told(second))


def test_and_different_questions(two: tuple[dict[str, Any], dict[str, Any]]) -> None:
    first, second = ([question["question_id"] for question in record["questions"]] for record in two)
    assert first
    assert second
    assert first != second


def test_a_household_of_which_little_is_known_gets_questions_and_no_fact_of_what_is_unknown(
    assessed: Assessed, records: list[dict[str, Any]]
) -> None:
    explanation = assessed.scores.explanation
    assert explanation is not None
    names, unclear = assessed.bundle.catalogue.names, []
    for i, record in enumerate(records):
        if record["probability"] is None:
            continue
        is_unknown = explanation.unknown[assessed.scores.row_of[i]]
        shown = {fact["feature"] for reason in record["reasons"] for fact in reason["facts"]}
        assert not [name for name, gap in zip(names, is_unknown, strict=True) if gap and name in shown]
        assert not {reason["group"] for reason in record["reasons"]} & {NOT_KNOWN, "context"}
        pulls = record["contributions"]["groups"]
        known = sum(pull for name, pull in pulls.items() if name not in (NOT_KNOWN, "context") and pull > 0)
        if pulls.get(NOT_KNOWN, 0.0) > max(known, 0.1):
            unclear.append(record)
    assert unclear
    for record in unclear:
        assert record["reason_note"] == texts("notes", "mostly_unknown")
        assert record["questions"]
        assert record["data_gaps"]


def test_facts_have_their_own_ids_and_both_languages_in_one_order(records: list[dict[str, Any]]) -> None:
    for record in records:
        facts = [fact for reason in record["reasons"] for fact in reason["facts"]]
        ids = [fact["fact_id"] for fact in facts] + [trigger["id"] for trigger in record["triggers"]]
        assert len(ids) == len({*ids}) + max(0, ids.count("sealed") - 1)
        for fact in facts:
            assert list(fact["text"]) == list(fact["public_text"]) == ["zh", "en"]
            assert fact["n_events"] >= len(fact["events"]) >= 1


def test_the_same_household_has_the_same_bytes_again(assessed: Assessed, records: list[dict[str, Any]]) -> None:
    again = assess(assessed.bundle, assessed.history, assessed.seen.as_of)
    for i in range(0, len(records), 29):
        assert json.dumps(again.record(i), ensure_ascii=False) == json.dumps(records[i], ensure_ascii=False)
