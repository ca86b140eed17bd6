"""What was tapped on the visit page becomes a report of the visit, or a list of what to correct."""

from __future__ import annotations

from typing import Any

import pytest

from features.catalogue import catalogue
from features.window import parsed
from serving.errors import FieldError
from serving.feedback import Feedback
from serving.pages.forms import FormRefused, concern_of, feedback_of, new_key, prefilled, version_of
from serving.pages.routes import form_problems
from serving.pages.shown import Reader


def reader() -> Reader:
    return Reader("zh", parsed("2026-11-06T10:00:00", "Asia/Shanghai"), kinds=catalogue("core").by_code)


def money_code() -> str:
    """Some kind of event that carries an amount of money."""
    return next(kind.code for kind in catalogue("core").kinds if kind.unit.value == "money")


def code_without_amount() -> str:
    return next(kind.code for kind in catalogue("core").kinds if kind.unit.value == "none")


def record() -> dict[str, Any]:
    paid, plain = money_code(), code_without_amount()
    bills = [{"event_id": "e1", "code": paid}, {"event_id": "e2", "code": paid}]
    return {
        "reasons": [
            {"facts": [{"fact_id": "costs", "events": bills}, {"fact_id": "one_bill", "events": bills[:1]}]},
            {"facts": [{"fact_id": "left_school", "events": [{"event_id": "e3", "code": plain}]}]},
        ],
        "triggers": [
            {"id": "MED-05", "state": "true", "evidence": bills[:1]},
            {"id": "INC-01", "state": "not_evaluable", "evidence": []},
        ],
        "questions": [
            {"question_id": "q-debt", "code": paid, "unit": "CNY"},
            {"question_id": "q-help", "code": None, "unit": None},
        ],
        "policy_candidates": [{"item": "A01"}, {"item": "B02"}],
    }


def filled(**fields: str) -> dict[str, str]:
    return {
        **prefilled("2026-11-06"),
        "version": "3",
        **{name.replace("__", "."): text for name, text in fields.items()},
    }


def refused(**fields: str) -> list[tuple[str, str]]:
    with pytest.raises(FormRefused) as caught:
        feedback_of(filled(**fields), record(), reader())
    return caught.value.problems


def test_an_untouched_form_reports_a_visit_at_home_today_and_nothing_else() -> None:
    assert feedback_of(filled(), record(), reader()) == Feedback(version=3, visited_on="2026-11-06")


def test_everything_that_can_be_tapped_arrives() -> None:
    form = filled(
        fact__costs="wrong",
        fact__one_bill="changed",
        value__one_bill="1,500",
        fact__left_school="confirmed",
        judgement="lower",
        because="kin_support",
        help__A01="yes",
        did__A01="applied",
        household_said="asked_for_correction",
        channel="phone",
        outcome="met",
    ) | {
        "fact.MED-05": "cannot_tell",
        "question.q-debt": "yes",
        "amount.q-debt": "２００００元",
        "question.q-help": "no",
    }
    told = feedback_of(form, record(), reader()).model_dump(exclude_none=True)
    assert told == {
        "version": 3,
        "visited_on": "2026-11-06",
        "channel": "phone",
        "outcome": "met",
        "facts": [
            {"fact_id": "costs", "answer": "wrong"},
            {"fact_id": "one_bill", "answer": "changed", "value": 1500.0},
            {"fact_id": "left_school", "answer": "confirmed"},
            {"fact_id": "MED-05", "answer": "cannot_tell"},
        ],
        "answers": [
            {"question_id": "q-debt", "answer": "yes", "value": 20000.0},
            {"question_id": "q-help", "answer": "no"},
        ],
        "judgement": {"judgement": "lower", "because": "kin_support"},
        "actions": [{"policy": "A01", "what": "applied", "on": "2026-11-06"}],
        "household_said": "asked_for_correction",
    }


def test_a_change_names_one_event_and_its_amount_where_it_has_one() -> None:
    form = filled(fact__costs="changed", event__costs="e2", value__costs="800", fact__left_school="changed")
    facts = feedback_of(form, record(), reader()).model_dump(exclude_none=True)["facts"]
    assert facts == [
        {"fact_id": "costs", "answer": "changed", "event_id": "e2", "value": 800.0},
        {"fact_id": "left_school", "answer": "changed"},
    ]
    assert refused(fact__costs="changed", value__costs="800") == [("event.costs", "problem_event")]
    assert refused(fact__one_bill="changed") == [("value.one_bill", "problem_amount_needed")]


def test_an_amount_that_stayed_behind_an_answer_is_not_sent() -> None:
    form = filled(fact__one_bill="confirmed", value__one_bill="99", event__one_bill="e1") | {"amount.q-debt": "7"}
    told = feedback_of(form | {"question.q-debt": "no"}, record(), reader())
    assert (told.facts[0].value, told.facts[0].event_id, told.answers[0].value) == (None, None, None)


@pytest.mark.parametrize("written", ["many", "1e999", "nan", "-5", "1.2.3", "--"])
def test_an_amount_that_is_no_number_is_shown_again(written: str) -> None:
    assert ("value.one_bill", "problem_amount") in refused(fact__one_bill="changed", value__one_bill=written)


@pytest.mark.parametrize("written", ["", "2026-11-07", "2026-13-01", "yesterday", "20261106", "2026-W45-5"])
def test_the_day_of_the_visit_is_a_day_up_to_today(written: str) -> None:
    assert ("visited_on", "problem_visited_on") in refused(visited_on=written)


@pytest.mark.parametrize(
    ("field", "value"),
    [("fact.costs", "perhaps"), ("channel", "drone"), ("outcome", "x"), ("judgement", "x"), ("household_said", "x")],
)
def test_a_choice_that_the_page_does_not_offer_is_refused_and_named(field: str, value: str) -> None:
    with pytest.raises(FormRefused) as caught:
        feedback_of(filled() | {field: value}, record(), reader())
    assert caught.value.problems == [(field, "problem_choice")]


def test_all_problems_come_at_once_and_none_repeats_a_value() -> None:
    with pytest.raises(FormRefused) as caught:
        feedback_of(filled(visited_on="secret-day", channel="secret-way"), record(), reader())
    assert [field for field, _ in caught.value.problems] == ["visited_on", "channel"]
    assert "secret" not in str(caught.value) + repr(caught.value.problems)


def test_answers_about_what_the_assessment_did_not_show_are_not_read() -> None:
    form = filled() | {"fact.other": "wrong", "fact.INC-01": "wrong", "question.q-x": "yes", "help.Z99": "yes"}
    told = feedback_of(form, record(), reader())
    assert (told.facts, told.answers, told.actions) == ([], [], [])


@pytest.mark.parametrize(("written", "version"), [("7", 7), ("", -1), ("-1", -1), ("٣", -1), ("1" * 12, -1)])
def test_a_version_is_a_plain_number(written: str, version: int) -> None:
    assert version_of({"version": written}) == version


def test_a_form_without_a_version_asks_to_be_opened_again() -> None:
    with pytest.raises(FormRefused) as caught:
        feedback_of(prefilled("2026-11-06"), record(), reader())
    assert caught.value.problems == [("version", "problem_outdated")]


def test_a_concern_is_low_medium_or_high() -> None:
    assert concern_of({"concern": "high"}) == "high"
    for form in ({}, {"concern": "red"}):
        with pytest.raises(FormRefused):
            concern_of(form)


def test_every_form_gets_a_key_of_its_own() -> None:
    assert len({new_key() for _ in range(100)}) == 100


def test_what_the_desk_refuses_is_named_by_the_field_to_correct() -> None:
    form = filled(fact__left_school="confirmed", fact__one_bill="changed", value__one_bill="9")
    told = feedback_of(form | {"question.q-debt": "yes", "amount.q-debt": "9"}, record(), reader())
    errors = [
        FieldError(("facts", 0, "value"), "x"),
        FieldError(("facts", 1, "answer"), "x"),
        FieldError(("answers", 0, "value"), "x"),
        FieldError(("visited_on",), "x"),
        FieldError(("facts", 99, "value"), "x"),
    ]
    assert form_problems(errors, told) == [
        ("value.one_bill", "problem_amount_range"),
        ("fact.left_school", "problem_contradiction"),
        ("amount.q-debt", "problem_amount_range"),
        ("visited_on", "problem_visited_on"),
        ("", "problem_refused"),
    ]
