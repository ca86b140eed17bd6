"""What a visit adds: withdrawn, corrected, answered; nothing for a confirmed fact, and nothing that counts twice."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest

from features.history import history_of, visible
from features.intake import event_problems
from features.unit import Unit
from features.window import as_of_moment, parsed
from serving.cases import Frame, read_cases
from serving.errors import Invalid
from serving.feedback import Feedback
from serving.messages import Event, Household
from serving.settings import Settings
from serving.visit_events import cited_facts, events_of, merged
from tests.records import CORE, ZONE

Said = dict[str, Any]
NOW = parsed("2026-11-03T16:30:00+08:00", ZONE)
FRAME = Frame(CORE, "CNY", ZONE, ("demo",))


def sent(event_id: str, code: str, day: str, value: float | None = None, **more: Any) -> Said:
    kind = CORE.by_code[code]
    unit = None if value is None else "CNY" if kind.unit is Unit.MONEY else kind.unit.value
    told = {"event_id": event_id, "code": code, "occurred_at": day, "known_at": f"{day}T20:00:00+08:00"}
    return told | {"value": value, "unit": unit, "source": kind.department.source, "person_id": "p1"} | more


STAY = sent("stay", "CLM//INPATIENT", "2026-10-12", 14_200.0, text="I63")
DRUGS = sent("drugs", "CLM//DRUG", "2026-09-02", 800.0)
JOBLESS = sent("jobless", "HKM//MISSING", "2026-09-05")
INPUTS: Said = {
    "household_id": "h1", "as_of": "2026-11-01", "region": "demo", "residence": "rural",
    "members": [{"person_id": "p1", "role": "head", "joined_at": "2000-01-01"}],
    "events": [STAY, DRUGS, JOBLESS],
}  # fmt: skip


def cited(event: Said) -> Said:
    return {name: event[name] for name in ("event_id", "code", "occurred_at", "known_at", "source")}


def fact(fact_id: str, *events: Said) -> Said:
    return {"fact_id": fact_id, "template": f"{fact_id}.v1", "events": [cited(each) for each in events]}


RECORD: Said = {
    "reasons": [
        {"group": "medical", "facts": [fact("stays", STAY), fact("costs", STAY, DRUGS)]},
        {"group": "household", "facts": [fact("missing", JOBLESS)]},
    ],
    "triggers": [
        {"id": "MED-05", "state": "true", "evidence": [cited(STAY)]},
        {"id": "AGE-01", "state": "true", "evidence": []},
        {"id": "INC-01", "state": "not_evaluable", "evidence": []},
    ],
    "questions": [
        {"question_id": "q1", "code": "UTL//ARREARS", "unit": "CNY"},
        {"question_id": "q2", "code": "EMP//HIRE", "unit": None},
        {"question_id": "q3", "code": None, "unit": None},
    ],
}


def visit(inputs: Said | None = INPUTS, **fields: Any) -> list[Said]:
    report = Feedback.model_validate({"version": 1, "visited_on": "2026-11-02", **fields})
    return events_of(report, RECORD, inputs, "r1", NOW, CORE, ZONE, "CNY")


def about(*answers: Said, **fields: Any) -> list[Said]:
    """The events of some facts, without the visit itself."""
    return visit(facts=list(answers), channel="phone", **fields)


def asked(*answers: Said, **fields: Any) -> list[Said]:
    return visit(answers=list(answers), channel="phone", **fields)


def refused(**fields: Any) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as error:
        visit(**fields)
    return [(".".join(map(str, each.path)), each.reason) for each in error.value.errors]


# -- the visit


def test_a_home_visit_that_met_somebody_is_one_event_known_now() -> None:
    assert visit() == [
        {
            "event_id": "visit-r1-1", "person_id": None, "code": "GRD//VISIT",
            "occurred_at": "2026-11-02T23:59:59+08:00", "known_at": "2026-11-03T16:30:00+08:00", "value": 1.0,
            "unit": "1", "text": None, "source": "visit", "status": "original", "supersedes": None,
        }
    ]  # fmt: skip


def test_a_visit_of_today_lies_before_now_and_after_the_assessment_of_the_morning() -> None:
    assert visit(visited_on="2026-11-03")[0]["occurred_at"] == "2026-11-03T16:29:59+08:00"


@pytest.mark.parametrize(
    "fields",
    [{"outcome": "nobody_home"}, {"outcome": "moved"}, {"outcome": "refused"}, {"channel": "phone"},
     {"channel": "office"}],
)  # fmt: skip
def test_where_nobody_was_met_at_home_there_was_no_home_visit(fields: Said) -> None:
    assert visit(**fields) == []


@pytest.mark.parametrize(
    ("answers", "judged", "finding"),
    [
        (["confirmed", "confirmed"], "about_right", 0.0), (["confirmed"], "lower", 0.0), ([], "lower", 0.0),
        (["confirmed", "cannot_tell"], "about_right", 1.0), (["wrong"], "lower", 1.0), (["confirmed"], None, 1.0),
        (["confirmed"], "higher", 2.0), (["wrong"], "higher", 2.0),
    ],
)  # fmt: skip
def test_the_finding_says_what_the_visitor_said(answers: Sequence[str], judged: str | None, finding: float) -> None:
    facts = [{"fact_id": name, "answer": answer} for name, answer in zip(("missing", "stays"), answers, strict=False)]
    judgement = None if judged is None else {"judgement": judged}
    assert visit(facts=facts, judgement=judgement)[0]["value"] == finding


@pytest.mark.parametrize("what", ["objected", "opted_out"])
def test_who_refuses_the_machine_gets_an_event_that_says_so(what: str) -> None:
    (event,) = visit(household_said=what, outcome="refused")
    assert (event["code"], event["occurred_at"], event["text"]) == ("SLF//OPTOUT", "2026-11-02", None)
    assert visit(household_said="disagreed", outcome="refused") == []


# -- facts


def test_a_confirmed_fact_adds_nothing() -> None:
    assert about({"fact_id": "costs", "answer": "confirmed"}, {"fact_id": "missing", "answer": "cannot_tell"}) == []


def test_a_wrong_fact_withdraws_every_event_it_cites() -> None:
    found = about({"fact_id": "costs", "answer": "wrong"})
    assert [(each["supersedes"], each["status"], each["value"], each["unit"], each["text"]) for each in found] == [
        ("stay", "retracted", None, None, None),
        ("drugs", "retracted", None, None, None),
    ]
    assert [each["event_id"] for each in found] == ["visit-r1-1", "visit-r1-2"]
    assert (found[0]["code"], found[0]["occurred_at"], found[0]["person_id"]) == (
        "CLM//INPATIENT", "2026-10-12", "p1"
    )  # fmt: skip


def test_a_wrong_fact_withdraws_only_the_event_that_is_named() -> None:
    found = about({"fact_id": "costs", "answer": "wrong", "event_id": "drugs"})
    assert [each["supersedes"] for each in found] == ["drugs"]


def test_a_trigger_is_answered_by_its_id_and_means_its_evidence() -> None:
    assert [each["supersedes"] for each in about({"fact_id": "MED-05", "answer": "wrong"})] == ["stay"]
    assert about({"fact_id": "AGE-01", "answer": "wrong"}) == [], "nothing on record to withdraw"
    assert list(cited_facts(RECORD)) == ["stays", "costs", "missing", "MED-05", "AGE-01"]
    assert cited_facts(RECORD)["stays"].template == "stays.v1"


def test_an_event_that_two_facts_rest_on_is_withdrawn_once() -> None:
    found = about({"fact_id": "stays", "answer": "wrong"}, {"fact_id": "costs", "answer": "wrong"})
    assert [each["supersedes"] for each in found] == ["stay", "drugs"]


def test_a_changed_amount_corrects_the_event_and_keeps_whom_when_and_what_it_is_about() -> None:
    (event,) = about({"fact_id": "stays", "answer": "changed", "value": 9_000})
    assert event == STAY | {
        "event_id": "visit-r1-1", "known_at": "2026-11-03T16:30:00+08:00", "value": 9_000.0, "source": "visit",
        "status": "corrected", "supersedes": "stay",
    }  # fmt: skip


def test_what_has_no_amount_is_noted_as_changed_and_adds_nothing() -> None:
    assert about({"fact_id": "missing", "answer": "changed"}) == []
    found = refused(facts=[{"fact_id": "missing", "answer": "changed", "value": 3}])
    assert found == [("facts.0.value", "is needless; what the fact rests on has no amount")]


def test_without_the_request_the_record_says_which_event_is_meant() -> None:
    (event,) = about({"fact_id": "stays", "answer": "wrong"}, inputs=None)
    assert (event["code"], event["occurred_at"], event["person_id"]) == ("CLM//INPATIENT", "2026-10-12", None)


@pytest.mark.parametrize(
    ("answer", "path", "reason"),
    [
        ({"fact_id": "nobody", "answer": "wrong"}, "facts.0.fact_id", "is no fact of this assessment"),
        ({"fact_id": "INC-01", "answer": "wrong"}, "facts.0.fact_id", "is no fact of this assessment"),
        ({"fact_id": "stays", "answer": "wrong", "event_id": "drugs"}, "facts.0.event_id", "is no event that this"),
        ({"fact_id": "stays", "answer": "confirmed", "event_id": "x"}, "facts.0.event_id", "is no event that this"),
        ({"fact_id": "costs", "answer": "changed", "value": 1}, "facts.0.event_id", "say which one has changed"),
        ({"fact_id": "stays", "answer": "changed"}, "facts.0.value", "is missing; give the right amount"),
        ({"fact_id": "stays", "answer": "changed", "value": -5}, "facts.0.value", "is outside 0 to 5,000,000"),
        ({"fact_id": "stays", "answer": "wrong", "value": 5}, "facts.0.value", "goes with the answer changed only"),
    ],
)
def test_a_fact_that_cannot_be_taken_is_refused_by_its_place(answer: Said, path: str, reason: str) -> None:
    ((at, why),) = refused(facts=[answer])
    assert at == path and reason in why


def test_answers_that_contradict_each_other_are_refused() -> None:
    wrong, confirmed = {"fact_id": "costs", "answer": "wrong"}, {"fact_id": "stays", "answer": "confirmed"}
    assert [at for at, _ in refused(facts=[wrong, confirmed])] == ["facts.1.answer"]
    assert [at for at, _ in refused(facts=[confirmed, wrong])] == ["facts.1.answer"]
    named = about(confirmed, wrong | {"event_id": "drugs"})
    assert [each["supersedes"] for each in named] == ["drugs"]
    two = [{"fact_id": name, "answer": "changed", "value": n} for n, name in enumerate(("stays", "MED-05"))]
    assert [at for at, _ in refused(facts=two)] == ["facts.1.answer"]
    assert [at for at, _ in refused(facts=[confirmed, confirmed])] == ["facts.1.fact_id"]


# -- questions


def test_a_yes_to_a_question_with_a_code_is_an_event_of_that_code() -> None:
    (event,) = asked({"question_id": "q1", "answer": "yes", "value": 300, "occurred_on": "2026-10-20"})
    assert event == {
        "event_id": "visit-r1-1", "person_id": None, "code": "UTL//ARREARS", "occurred_at": "2026-10-20",
        "known_at": "2026-11-03T16:30:00+08:00", "value": 300.0, "unit": "CNY", "text": None, "source": "visit",
        "status": "original", "supersedes": None,
    }  # fmt: skip
    (hired,) = asked({"question_id": "q2", "answer": "yes", "person_id": "p1"})
    assert (hired["occurred_at"], hired["person_id"], hired["value"]) == ("2026-11-02", "p1", None)


@pytest.mark.parametrize("answer", ["no", "unknown", "refused"])
def test_any_other_answer_adds_nothing(answer: str) -> None:
    assert asked({"question_id": "q1", "answer": answer}, {"question_id": "q3", "answer": "yes"}) == []


@pytest.mark.parametrize(
    ("answer", "path", "reason"),
    [
        ({"question_id": "q9", "answer": "yes"}, "question_id", "is no question of this assessment"),
        ({"question_id": "q1", "answer": "yes", "value": -1}, "value", "is outside 0 to 500,000"),
        ({"question_id": "q1", "answer": "no", "value": 1}, "value", "goes with the answer yes"),
        ({"question_id": "q2", "answer": "yes", "value": 1}, "value", "goes with the answer yes"),
        ({"question_id": "q3", "answer": "yes", "value": 1}, "value", "goes with the answer yes"),
        ({"question_id": "q1", "answer": "yes", "occurred_on": "2026-11-03"}, "occurred_on", "is after the visit"),
        ({"question_id": "q1", "answer": "yes", "occurred_on": "2026-02-30"}, "occurred_on", "is not a date"),
        ({"question_id": "q1", "answer": "yes", "person_id": "p7"}, "person_id", "is nobody who lives or lived"),
    ],
)
def test_an_answer_that_cannot_be_taken_is_refused_by_its_place(answer: Said, path: str, reason: str) -> None:
    ((at, why),) = refused(answers=[answer])
    assert at == f"answers.0.{path}" and reason in why


def test_a_visit_of_a_day_that_lies_ahead_or_does_not_exist_is_refused() -> None:
    assert refused(visited_on="2026-11-04") == [("visited_on", "lies in the future")]
    assert refused(visited_on="2026-02-30") == [("visited_on", "is not a date that exists")]


def test_a_refusal_repeats_nothing_that_was_sent() -> None:
    answer = {"fact_id": "SECRET", "answer": "wrong", "event_id": "SECRET", "value": 4711}
    found = refused(facts=[answer], answers=[{"question_id": "SECRET", "answer": "yes", "value": 4711}])
    assert len(found) == 2 and "SECRET" not in repr(found) and "4711" not in repr(found)


# -- in the record


EVERYTHING = {
    "facts": [
        {"fact_id": "stays", "answer": "changed", "value": 9_000},
        {"fact_id": "costs", "answer": "wrong", "event_id": "drugs"},
        {"fact_id": "missing", "answer": "wrong"},
    ],
    "answers": [{"question_id": "q1", "answer": "yes", "value": 300}, {"question_id": "q2", "answer": "yes"}],
    "household_said": "opted_out",
}


def test_everything_a_visit_writes_passes_the_door() -> None:
    events = visit(**EVERYTHING)
    assert len(events) == 7 and len({each["event_id"] for each in events}) == 7
    for each in events:
        Event.model_validate(each)
    columns = {name: [each[name] for each in events] for name in events[0]}
    for name in ("occurred_at", "known_at"):
        columns[name] = [parsed(each, ZONE) for each in columns[name]]
    assert event_problems(columns, CORE, currency="CNY", latest=NOW) == []


def seen(inputs: Said, on: str = "2026-12-31") -> list[tuple[str, float | None]]:
    """The events that count at the end of a day, with their amounts, by the way of a call."""
    at = as_of_moment(on, ZONE)
    asked_on = as_of_moment("2026-12-31", ZONE)
    cases = read_cases([Household.model_validate({**inputs, "as_of": on})], FRAME, Settings(), asked_on)
    history = history_of(cases.tables, CORE, time_zone=ZONE)
    rows = visible(history, at).rows
    values = [None if value != value else value for value in history.value[rows].tolist()]
    return sorted(zip(map(str, history.event_id[rows]), values, strict=True))


def test_what_a_visit_said_counts_from_when_it_was_known() -> None:
    after = merged(INPUTS, visit(**EVERYTHING), ZONE)
    before = [("drugs", 800.0), ("jobless", None), ("stay", 14_200.0)]
    assert seen(after, "2026-11-02") == before
    assert seen(after) == [
        ("visit-r1-1", 1.0), ("visit-r1-2", 9_000.0), ("visit-r1-5", 300.0), ("visit-r1-6", None), ("visit-r1-7", None)
    ]  # fmt: skip


def test_merging_leaves_both_as_they_are_and_doubles_nothing() -> None:
    events = visit(**EVERYTHING)
    untouched = copy.deepcopy((INPUTS, events))
    once = merged(INPUTS, events, ZONE)
    assert (INPUTS, events) == untouched
    assert merged(once, events, ZONE) == once
    assert merged(INPUTS, [], ZONE) == INPUTS


def corrected(known: str, names: str, value: float | None = 5_000.0, **more: Any) -> Said:
    """A later word of the department about the stay."""
    return STAY | {"event_id": f"of {known}", "known_at": known, "value": value, "status": "corrected",
                   "supersedes": names} | more  # fmt: skip


def with_events(*events: Said) -> Said:
    return INPUTS | {"events": list(events)}


CHANGED = {"facts": [{"fact_id": "stays", "answer": "changed", "value": 9_000}], "channel": "phone"}


def test_a_later_word_of_the_department_replaces_the_visitors() -> None:
    ours = visit(**CHANGED)
    later = corrected("2026-11-20", "stay")
    assert seen(merged(with_events(STAY, later), ours, ZONE)) == [("of 2026-11-20", 5_000.0)]
    assert seen(merged(with_events(STAY, later), ours, ZONE), "2026-11-10") == [("visit-r1-1", 9_000.0)]
    gone = corrected("2026-11-20", "stay", None, status="retracted")
    assert seen(merged(with_events(STAY, gone), ours, ZONE)) == []


def test_a_later_word_counts_alone_even_if_it_names_another_link_of_the_chain() -> None:
    """The visitor saw the second version; the department's third names the first. Nothing else links the two."""
    second = corrected("2026-10-20", "stay", 11_000.0)
    third = corrected("2026-11-20", "stay", 5_000.0)
    ours = [visit(**CHANGED)[0] | {"supersedes": "of 2026-10-20"}]
    inputs = with_events(STAY, second, third)
    assert seen({**inputs, "events": [*inputs["events"], *ours]}) == [
        ("of 2026-11-20", 5_000.0), ("visit-r1-1", 9_000.0)
    ], "without ends both would count"  # fmt: skip
    assert seen(merged(inputs, ours, ZONE)) == [("of 2026-11-20", 5_000.0)]
    assert seen(merged(inputs, ours, ZONE), "2026-11-10") == [("visit-r1-1", 9_000.0)]


def test_a_word_that_was_on_its_way_when_the_visitor_spoke_does_not_count_beside_it() -> None:
    second, on_its_way = corrected("2026-10-20", "stay", 11_000.0), corrected("2026-10-28", "stay", 12_000.0)
    ours = [visit(**CHANGED)[0] | {"supersedes": "of 2026-10-20"}]
    inputs = with_events(STAY, second, on_its_way)
    assert seen(merged(inputs, ours, ZONE), "2026-10-30") == [("of 2026-10-28", 12_000.0)]
    assert seen(merged(inputs, ours, ZONE)) == [("visit-r1-1", 9_000.0)]


def test_the_same_report_sent_again_stays_withdrawn_under_its_id_and_counts_under_a_new_one() -> None:
    ours = visit(facts=[{"fact_id": "stays", "answer": "wrong"}], channel="phone")
    assert seen(merged(with_events(STAY, STAY), ours, ZONE)) == []
    again = STAY | {"event_id": "again"}
    assert seen(merged(with_events(STAY, again), ours, ZONE)) == [("again", 14_200.0)]


def test_what_a_visit_says_of_an_event_that_is_no_longer_sent_does_no_harm() -> None:
    withdrawn = visit(facts=[{"fact_id": "stays", "answer": "wrong"}], channel="phone")
    assert seen(merged(with_events(DRUGS), withdrawn, ZONE)) == [("drugs", 800.0)]
    assert seen(merged(with_events(DRUGS), visit(**CHANGED), ZONE)) == [("drugs", 800.0), ("visit-r1-1", 9_000.0)]
