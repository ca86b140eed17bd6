"""What is asked on a visit: at most eight questions, in the order of what an answer could change."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from features.catalogue import catalogue
from models.asking import Asking
from models.assessment import Assessed
from models.handling import Handling
from models.questions import MAX_QUESTIONS, Questions
from models.record_frame import per_100
from models.record_state import OPT_OUT
from models.tier import RANKED, Bands, Tier
from serving.messages import Question
from tests.asked import asking, assessed, bundle, county, without_similar
from tests.situations import Happening, Person, Situation, monthly

COUPLE = (Person("a", 40, "head"), Person("b", 38, "spouse"))
WAGES = monthly("EMP//WAGE", 3000, "a", 30)
INSURED = Happening("ENR//PAID", 100, 400, "a")
HOUSE_LOST = Happening("DST//HOUSE_LOSS", 10, 2)
OPTED_OUT = Happening(OPT_OUT, 10)
WARNING = Happening("HKM//DV_WARNING", 20, None, "a")
ANY = Situation(COUPLE, (*WAGES, INSURED))
SHOWN = 80


@pytest.fixture(scope="module")
def everybody() -> Assessed:
    return assessed(county()[:SHOWN]).settled()


@pytest.fixture(scope="module")
def records(everybody: Assessed) -> list[dict[str, Any]]:
    return [everybody.record(i) for i in range(SHOWN)]


def asked(*happenings: Happening, people: tuple[Person, ...] = COUPLE, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = assessed([Situation(people, happenings)], **more).record(0)["questions"]
    return found


def of_fields(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in questions if each["kind"] != "indicator"]


# -- shape


def test_every_question_has_the_declared_shape_and_no_words_come_twice(records: list[dict[str, Any]]) -> None:
    for record in records:
        questions = record["questions"]
        TypeAdapter(list[Question]).validate_python(questions)
        assert len(questions) <= MAX_QUESTIONS
        for language in ("zh", "en"):
            said = [each["text"][language] for each in questions]
            assert len(set(said)) == len(said) and all(said)
        ids = [each["question_id"] for each in questions]
        assert len(set(ids)) == len(ids)
        for each in questions:
            if each["kind"] == "indicator":
                name, _, number = each["question_id"].rpartition(".")
                assert each["about"] == name and number in "123"
                assert each["code"] is each["unit"] is each["if_known"] is None
            else:
                assert each["question_id"] == f"field:{each['about']}"
            assert (each["code"] is None) == (each["unit"] is None)
    told = {each["kind"] for record in records for each in record["questions"]}
    assert told == {"missing", "incomplete", "stale", "indicator"}


def test_an_answer_says_which_event_it_becomes() -> None:
    wages = next(each for each in asked(INSURED) if each["about"] == "wages")
    assert (wages["code"], wages["unit"], wages["kind"]) == ("EMP//WAGE", "CNY", "missing")
    assert catalogue().by_code["EMP//WAGE"].unit.accepts(wages["unit"], "CNY")
    schooling = next(each for each in of_fields(asked(*WAGES)) if each["about"] != "wages" and each["code"] is None)
    assert schooling["unit"] is None


# -- order


def test_the_range_is_the_one_of_the_plausible_answers_as_the_page_says_it(
    everybody: Assessed, records: list[dict[str, Any]]
) -> None:
    asking, seen = Asking(everybody.bundle, everybody.history, everybody.seen, everybody.vectors), 0
    for i, record in enumerate(records):
        points = {f"field:{each.gap.field.name}": each.points for each in asking.of(i)}
        for each in of_fields(record["questions"]):
            ends = points[each["question_id"]]
            told = None if record["probability"] is None or ends is None else [per_100(end) for end in ends]
            assert each["if_known"] == told
            seen += told is not None
    assert seen > 100


def test_what_may_change_the_tier_comes_first_and_then_what_moves_the_number_most(
    everybody: Assessed, records: list[dict[str, Any]]
) -> None:
    asking = Asking(everybody.bundle, everybody.history, everybody.seen, everybody.vectors)
    decisive = 0
    for i, record in enumerate(records):
        value = {f"field:{each.gap.field.name}": each.value for each in asking.of(i)}
        listed = [(each["may_change_tier"], value[each["question_id"]]) for each in of_fields(record["questions"])]
        assert listed == sorted(listed, reverse=True)
        decisive += sum(may for may, _ in listed)
    assert decisive > 5


def test_an_answer_may_change_the_tier_when_its_range_crosses_a_band_that_the_rules_leave_open(
    everybody: Assessed, records: list[dict[str, Any]]
) -> None:
    asking, seen = Asking(everybody.bundle, everybody.history, everybody.seen, everybody.vectors), set()
    for i, record in enumerate(records):
        if record["probability"] is None or record["status"] == "rules_only":
            continue
        assert everybody.rules is not None
        floor = max([int(everybody.rules.points_rank[i]), *everybody.rules.floor_lists[i].values()])
        now = 0 if record["tier_computed"] == "grey" else RANKED.index(Tier(record["tier_computed"]))
        points = {f"field:{each.gap.field.name}": each.points for each in asking.of(i)}
        for each in of_fields(record["questions"]):
            low, high = points[each["question_id"]] or (0.0, 0.0)
            bands = [everybody.bundle.bands.yellow, everybody.bundle.bands.orange, everybody.bundle.bands.red]
            reached = {max(floor, sum(end >= band for band in bands)) for end in (low, high)}
            assert each["may_change_tier"] == (reached != {now})
            seen.add((each["may_change_tier"], floor > 0))
    assert {(True, False), (False, False), (False, True)} <= seen


def test_the_first_question_of_the_strongest_true_trigger_is_among_the_first_three(
    records: list[dict[str, Any]],
) -> None:
    found = 0
    for record in records:
        true = [
            each
            for each in record["triggers"]
            if each["state"] == "true" and each["tier"] in ("yellow", "orange", "red")
        ]
        if not true or true[0]["sealed"] or record["status"] == "error":
            continue
        strongest = [each["id"] for each in true if each["tier"] == true[0]["tier"] and not each["sealed"]]
        assert {each["about"] for each in record["questions"][:3]} & set(strongest)
        found += 1
    assert found > 20


def test_a_burnt_house_is_asked_about_at_once() -> None:
    assert "SHK" in " ".join(each["about"] for each in asked(*WAGES, HOUSE_LOST)[:3])


def test_two_households_that_lack_different_things_are_asked_different_things_first() -> None:
    survey = Happening("MON//INCOME_SURVEY", 100, 9000)
    earning, insured = asked(*WAGES, survey)[0], asked(INSURED, survey)[0]
    assert earning["about"] == "medical_costs" and insured["about"] in ("wages", "work", "all_income")


def test_an_old_record_becomes_a_question() -> None:
    old = of_fields(asked(*monthly("EMP//WAGE", 3000, "a", 20, 200.0), INSURED))
    assert {each["kind"] for each in old if each["about"] == "wages"} == {"stale"}
    assert not [each for each in of_fields(asked(*WAGES, INSURED)) if each["about"] == "wages"]


def test_with_everything_known_and_fresh_only_indicators_ask() -> None:
    whole = assessed([ANY])
    known = replace(whole.vectors, unknown=np.zeros_like(whole.vectors.unknown))
    questions = Questions(whole.bundle, whole.history, whole.seen, known, whole.scores)
    found = questions.of(0, whole.standing(0, whole._speaking(0)), whole._speaking(0))
    assert found and not of_fields(found)
    assert of_fields(whole.record(0)["questions"])


def test_an_indicator_that_cannot_bring_a_higher_tier_does_not_ask_for_what_it_lacks() -> None:
    calm, burnt = asked(*WAGES, INSURED, of=without_similar()), asked(*WAGES, INSURED, HOUSE_LOST, of=without_similar())
    assert any(each["may_change_tier"] for each in calm)
    assert burnt and not any(each["may_change_tier"] for each in burnt)


# -- without a number


def test_an_abstained_household_is_asked_in_order_but_told_no_number(records: list[dict[str, Any]]) -> None:
    abstained = [record for record in records if record["status"] == "abstained"]
    assert len(abstained) > 3 and any(of_fields(record["questions"]) for record in abstained)
    for record in abstained:
        for each in of_fields(record["questions"]):
            assert each["if_known"] is None and each["may_change_tier"] is False
    assert [each["about"] for each in of_fields(asked())][:3]


def test_who_opted_out_is_asked_nothing_and_by_the_rules_alone_the_model_asks_nothing() -> None:
    assert asked(*WAGES, OPTED_OUT) == []
    ruled_only = asked(*WAGES, handling=Handling(rules_only=True))
    assert ruled_only and not of_fields(ruled_only)


def test_an_older_bundle_gives_the_rules_questions() -> None:
    found = asked(*WAGES, of=without_similar())
    assert found and not of_fields(found)


def test_a_sealed_indicator_asks_only_who_may_read_it() -> None:
    hidden, open_ = (asked(*WAGES, WARNING, handling=Handling(may_read_sealed=may)) for may in (False, True))
    assert "FAM-09" not in json.dumps(hidden) and "FAM-09" in {each["about"] for each in open_}


def test_a_borrowed_model_s_number_changes_no_tier() -> None:
    there = [Situation(COUPLE, tuple(WAGES), region="cn-hangzhou-demo")]
    points = asking(there).of(0)[0].points
    assert points is not None and points[0] < points[1]
    may_change = []
    for regions in (["demo", "cn-hangzhou-demo"], ["demo"]):
        manifest = {**bundle().manifest, "data": {**bundle().manifest["data"], "regions": regions}}
        whole = assessed(there, of=replace(bundle(), bands=Bands(1.0, 1.0, sum(points) / 2), manifest=manifest))
        found = of_fields(whole._questions.of(0, whole.standing(0, None), None))
        assert found[0]["if_known"] == [per_100(point) for point in points]
        may_change.append(found[0]["may_change_tier"])
    assert may_change == [True, False]


def test_the_same_events_in_another_order_ask_the_same_to_the_byte() -> None:
    homes = county()[SHOWN : SHOWN + 5]
    rng = Random(4)
    mixed = [replace(home, happenings=tuple(rng.sample(home.happenings, len(home.happenings)))) for home in homes]
    one, other = (assessed(each) for each in (homes, mixed))
    for i in range(len(homes)):
        assert json.dumps(one.record(i)["questions"]) == json.dumps(other.record(i)["questions"])
