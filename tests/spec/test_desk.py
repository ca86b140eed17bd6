"""The counter: households assessed and kept, visits recorded, the record assessed again, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from features.dataset import Dataset, read_dataset
from models.bundle import Bundle
from serving.desk import Desk
from serving.errors import Invalid, KeyReused, NoStore, Outdated, StoreAway, TooManyCalls, UnknownCase
from serving.extract import request_of
from serving.feedback import Feedback
from serving.messages import Batch, Household
from serving.scoring import Scorer
from serving.settings import Settings
from serving.store import consent, verification
from serving.store.engine import Store, StoreDown, open_store
from serving.store.tables import ASSESSMENTS, REVIEWS, TASKS
from tests.stores import only, store, store_url

__all__ = ["store", "store_url"]

FIRST, SECOND, TODAY, TOMORROW = "2021-06-30", "2021-08-31", "2021-09-15", "2021-09-16"
BY: Mapping[str, str] = {"role": "caseworker", "actor": "a1"}


@pytest.fixture(scope="module")
def county(tiny_county: Path) -> Dataset:
    return read_dataset(tiny_county)


@pytest.fixture(scope="module")
def scorer(opened_bundle: Bundle) -> Scorer:
    return Scorer(opened_bundle, Settings(today=TODAY))


@pytest.fixture
def desk(scorer: Scorer, store: Store) -> Desk:
    return Desk(scorer, store, scorer.settings)


@pytest.fixture(scope="module")
def told(scorer: Scorer, county: Dataset) -> str:
    """A household with facts that cite an event with an amount."""
    busiest = county.events["household_id"].value_counts().index[:60].tolist()
    records = scorer.score(asked(county, *busiest, as_of=SECOND))
    return str(next(record["household_id"] for record in records if amounts(record)))


def asked(county: Dataset, *names: str, as_of: str = SECOND) -> list[Household]:
    bodies = [request_of(county, name, as_of)["households"][0] for name in names]
    return list(Batch.model_validate({"households": bodies}).households)


def amounts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts with an event of money, each as (fact_id, event_id)."""
    codes = ("CLM//", "PRD//SALES", "EMP//WAGE")
    facts = [fact for reason in record["reasons"] for fact in reason["facts"]]
    return [
        (fact["fact_id"], event["event_id"])
        for fact in facts
        for event in fact["events"]
        if event["code"].startswith(codes)
    ]


def keep(desk: Desk, households: list[Household], purpose: str = "prioritise_visit", role: str = "platform") -> Any:
    scored = desk.score_and_keep(households, role=role, purpose=purpose)
    assert scored.is_kept
    return scored.records


def visited(version: int = 1, **more: Any) -> Feedback:
    return Feedback.model_validate({"version": version, "visited_on": TODAY, **more})


def next_day(desk: Desk) -> Desk:
    return Desk(desk.scorer, desk.store, Settings(today=TOMORROW))


def count(desk: Desk, table: Any) -> int:
    assert desk.store is not None
    with desk.store.reading() as connection:
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)


def test_what_was_answered_is_kept_and_read_again(desk: Desk, county: Dataset, told: str) -> None:
    record = keep(desk, asked(county, told))[0]
    assert desk.record(record["assessment_id"]) == json.loads(json.dumps(record))
    assert [row.assessment_id for row in desk.history(told)] == [record["assessment_id"]]
    assert desk.task(record["assessment_id"]) is not None


@only("sqlite")
def test_the_second_assessment_says_what_changed_and_a_repeat_says_the_same(
    desk: Desk, county: Dataset, told: str
) -> None:
    first = keep(desk, asked(county, told, as_of=FIRST))[0]
    second = keep(desk, asked(county, told))[0]
    assert first["change"] is None
    assert second["change"]["previous"]["assessment_id"] == first["assessment_id"]
    assert keep(desk, asked(county, told))[0] == second
    assert desk.record(second["assessment_id"])["change"] == second["change"]
    assert count(desk, ASSESSMENTS) == 2


@only("sqlite")
def test_only_the_purpose_of_setting_priorities_opens_tasks_and_every_purpose_updates_them(
    desk: Desk, county: Dataset, told: str
) -> None:
    first = keep(desk, asked(county, told, as_of=FIRST), purpose="prepare_visit")[0]
    assert desk.task(first["assessment_id"]) is None
    keep(desk, asked(county, told, as_of=FIRST))
    second = keep(desk, asked(county, told), purpose="prepare_visit")[0]
    task = desk.task(first["assessment_id"])
    assert task is not None
    assert (task.assessment_id, task.version) == (second["assessment_id"], 2)


@only("sqlite")
def test_the_store_keeps_the_wording_that_everybody_may_read(desk: Desk, county: Dataset, told: str) -> None:
    body = request_of(county, told, SECOND)["households"][0]
    warning = {"event_id": "w", "code": "HKM//DV_WARNING", "occurred_at": "2021-08-01", "source": "公安"}
    household = Batch.model_validate({"households": [{**body, "events": [*body["events"], warning]}]}).households
    shown = keep(desk, list(household), role="supervisor")[0]
    hidden = desk.record(shown["assessment_id"])
    assert "FAM-09" in {each["id"] for each in shown["triggers"] if each["sealed"]}
    assert {each["id"] for each in hidden["triggers"] if each["sealed"]} == {"sealed"}
    assert keep(desk, list(household))[0] == hidden


def test_a_visit_is_recorded_and_the_household_assessed_again(desk: Desk, county: Dataset, told: str) -> None:
    record = keep(desk, asked(county, told))[0]
    fact, event = amounts(record)[0]
    name = record["assessment_id"]
    wrong = visited(facts=[{"fact_id": fact, "answer": "wrong", "event_id": event}], judgement={"judgement": "lower"})
    receipt = desk.feedback(name, wrong, key="k1", **BY)
    assert (receipt["version"], receipt["journal_seq"], receipt["rescored"]) == (2, 2, "yes")
    assert receipt["events"][0]["code"] == "GRD//VISIT"
    assert event in {each["supersedes"] for each in receipt["events"]}

    again = desk.record(receipt["assessment_id"])
    assert again["change"]["previous"]["assessment_id"] == name
    assert event in {each["event_id"] for each in again["change"]["repaired_events"]}
    assert event not in {e["event_id"] for r in again["reasons"] for f in r["facts"] for e in f["events"]}
    assert again["assistance_chain"][-1]["step"] == "visit"
    assert desk.history(told)[0].origin == "visit"
    assert desk.task(name) is None

    assert desk.feedback(name, wrong, key="k1", **BY) == receipt
    assert count(desk, REVIEWS) == 1
    with pytest.raises(KeyReused):
        desk.feedback(name, visited(), key="k1", **BY)
    with pytest.raises(Outdated) as late:
        desk.feedback(name, wrong, key="k2", **BY)
    assert late.value.as_json()["current_version"] == 0
    assert desk.store is not None
    with desk.store.reading() as connection:
        assert verification.verify(connection) == (3, None, None), "the call, the review, the assessment after it"


@only("sqlite")
def test_what_a_visitor_corrected_stays_corrected_when_the_platform_asks_again(
    desk: Desk, county: Dataset, told: str
) -> None:
    record = keep(desk, asked(county, told))[0]
    fact, event = amounts(record)[0]
    wrong = visited(facts=[{"fact_id": fact, "answer": "wrong", "event_id": event}])
    desk.feedback(record["assessment_id"], wrong, key="k1", **BY)
    later = keep(desk, asked(county, told, as_of=TODAY))[0]
    assert event not in {e["event_id"] for r in later["reasons"] for f in r["facts"] for e in f["events"]}
    assert "visit" in {step["step"] for step in later["assistance_chain"]}


@only("sqlite")
def test_a_visit_of_today_comes_after_the_assessment_of_today(desk: Desk, county: Dataset, told: str) -> None:
    record = keep(desk, asked(county, told, as_of=TODAY))[0]
    receipt = desk.feedback(record["assessment_id"], visited(), key="k1", **BY)
    assert desk.visit(receipt["assessment_id"]).is_latest
    assert not desk.visit(record["assessment_id"]).is_latest
    keep(desk, asked(county, told, as_of=TODAY))
    assert desk.task(record["assessment_id"]) is None
    desk = next_day(desk)
    keep(desk, asked(county, told, as_of=TOMORROW))
    assert desk.task(record["assessment_id"]) is not None


@only("sqlite")
def test_a_visit_that_met_nobody_leaves_the_task_open(desk: Desk, county: Dataset, told: str) -> None:
    record = keep(desk, asked(county, told))[0]
    receipt = desk.feedback(record["assessment_id"], visited(outcome="nobody_home"), key="k1", **BY)
    assert (receipt["rescored"], receipt["assessment_id"], receipt["events"]) == ("no_new_facts", None, [])
    task = desk.task(record["assessment_id"])
    assert task is not None
    assert (task.version, receipt["version"]) == (2, 2)


@only("sqlite")
def test_a_failing_assessment_does_not_cost_the_review(
    desk: Desk, county: Dataset, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = keep(desk, asked(county, told))[0]

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("serving.recording.rescore", broken)
    receipt = desk.feedback(record["assessment_id"], visited(), key="k1", **BY)
    assert (receipt["rescored"], receipt["assessment_id"]) == ("failed", None)
    monkeypatch.undo()
    assert desk.feedback(record["assessment_id"], visited(), key="k1", **BY) == receipt
    assert count(desk, REVIEWS) == 1


@only("sqlite")
def test_a_wrong_report_is_refused_and_leaves_nothing(desk: Desk, county: Dataset, told: str) -> None:
    record = keep(desk, asked(county, told))[0]
    with pytest.raises(Invalid) as caught:
        desk.feedback(record["assessment_id"], visited(facts=[{"fact_id": "x", "answer": "wrong"}]), key="k1", **BY)
    assert caught.value.errors[0].path == ("facts", 0, "fact_id")
    with pytest.raises(Invalid):
        desk.feedback(record["assessment_id"], visited(), key="two words", **BY)
    assert count(desk, REVIEWS) == 0
    assert desk.journal_head()["seq"] == 1, "that of the call"


@pytest.mark.parametrize("said", ["objected", "opted_out"])
@only("sqlite")
def test_a_household_that_wants_no_machine_has_no_number_from_then_on(
    desk: Desk, county: Dataset, told: str, said: str
) -> None:
    record = keep(desk, asked(county, told))[0]
    receipt = desk.feedback(record["assessment_id"], visited(household_said=said), key="k1", **BY)
    assert receipt["rescored"] == "human_only"
    desk = next_day(desk)
    later = keep(desk, asked(county, told, as_of=TOMORROW))[0]
    for found in (desk.record(receipt["assessment_id"]), later):
        assert (found["status"], found["probability"], found["tier"]) == ("abstained", None, "grey")
        assert found["abstention"][0]["code"] == "opted_out"
    task = desk.task(record["assessment_id"])
    assert task is not None
    assert (task.is_human_only, task.is_manual, task.probability) == (True, True, None)


@only("sqlite")
def test_a_household_that_withdrew_its_objection_is_assessed_again(desk: Desk, county: Dataset, told: str) -> None:
    record = keep(desk, asked(county, told))[0]
    desk.feedback(record["assessment_id"], visited(household_said="objected"), key="k1", **BY)
    assert desk.store is not None
    with desk.store.writing() as connection:
        consent.record(connection, told, "withdrew", "person", desk.now())
    assert keep(desk, asked(county, told, as_of=TODAY))[0]["status"] == "scored"
    with desk.store.writing() as connection:
        consent.record(connection, told, "opted_out", "person", desk.now())
    assert keep(desk, asked(county, told, as_of=TODAY))[0]["status"] == "abstained"


@only("sqlite")
def test_a_blind_task_hides_the_score_until_the_visitor_has_told_a_concern(
    desk: Desk, county: Dataset, told: str
) -> None:
    record = keep(desk, asked(county, told))[0]
    name = record["assessment_id"]
    assert desk.store is not None
    with desk.store.writing() as connection:
        connection.execute(TASKS.update().values(is_blind=True))
    assert desk.visit(name).hides_score
    with pytest.raises(Outdated):
        desk.concern(name, 7, "high", **BY)
    entry = desk.concern(name, 1, "high", **BY)
    assert desk.concern(name, 1, "low", **BY) == entry
    found = desk.visit(name)
    assert (found.hides_score, found.concern) == (False, "high")


@only("sqlite")
def test_a_visit_page_shows_what_was_verified_of_events_that_are_still_cited(
    desk: Desk, county: Dataset, told: str
) -> None:
    record = keep(desk, asked(county, told))[0]
    fact, event = amounts(record)[0]
    confirmed = visited(facts=[{"fact_id": fact, "answer": "confirmed", "event_id": event}])
    receipt = desk.feedback(record["assessment_id"], confirmed, key="k1", **BY)
    again = desk.visit(receipt["assessment_id"])
    cited = {e["event_id"] for r in again.record["reasons"] for f in r["facts"] for e in f["events"]}
    assert fact not in again.fact_states or event in cited
    old = desk.visit(record["assessment_id"]).fact_states[fact]
    assert (old.answer, old.visited_on, old.value) == ("confirmed", TODAY, None)


def test_a_code_opens_the_households_own_newest_assessment(desk: Desk, county: Dataset, told: str) -> None:
    record = keep(desk, asked(county, told))[0]
    name = record["assessment_id"]
    code = desk.person_code(name, **BY)
    receipt = desk.feedback(name, visited(), key="k1", **BY)
    case = desk.person(code.lower())
    assert case.row.assessment_id == receipt["assessment_id"]
    assert (case.expires_on, case.is_human_only, case.requests) == ("2021-10-15", False, ())
    fact = next(f["fact_id"] for r in case.record["reasons"] for f in r["facts"])
    desk.person_request(code, "correction", [fact])
    assert [(each.what, each.facts, each.asked_on) for each in desk.person(code).requests] == [
        ("correction", (fact,), TODAY)
    ]
    with pytest.raises(Invalid):
        desk.person_request(code, "correction", ["nothing"])
    for _ in range(10):
        with pytest.raises(UnknownCase):
            desk.person("AAAA")
    with pytest.raises(TooManyCalls):
        desk.person(code)


@only("sqlite")
def test_staff_see_what_the_family_asked_for_until_the_next_visit(desk: Desk, county: Dataset, told: str) -> None:
    name = keep(desk, asked(county, told))[0]["assessment_id"]
    desk.person_request(desk.person_code(name, **BY), "contact", [])
    assert [each.what for each in desk.visit(name).requests] == ["contact"]
    receipt = desk.feedback(name, visited(), key="k1", **BY)
    assert desk.visit(receipt["assessment_id"]).requests == ()


@only("sqlite")
def test_a_store_that_was_away_at_the_start_is_opened_later(
    opened_bundle: Bundle, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import serving.desk

    away = True

    def opened(url: str) -> Store:
        if away:
            raise StoreDown("away")
        return open_store(url)

    monkeypatch.setattr(serving.desk, "open_store", opened)
    monkeypatch.setattr(serving.desk, "AGAIN_S", 0.0)
    settings = Settings(store=store_url, today=TODAY)
    late = Desk(Scorer(opened_bundle, settings), None, settings)
    with pytest.raises(StoreAway):
        late.journal_head()
    away = False
    assert late.journal_head()["seq"] == 0


@only("sqlite")
def test_a_household_objects_on_its_own_page(desk: Desk, county: Dataset, told: str) -> None:
    name = keep(desk, asked(county, told))[0]["assessment_id"]
    code = desk.person_code(name, **BY)
    desk.person_request(code, "objection", [])
    case = desk.person(code)
    assert (case.is_human_only, case.row.status, case.record["probability"]) == (True, "abstained", None)
    task = desk.task(name)
    assert task is not None
    assert (task.is_human_only, task.probability, task.version) == (True, None, 2)
    assert keep(desk, asked(county, told, as_of=TODAY))[0]["status"] == "abstained"


@only("sqlite")
def test_what_the_registration_decided_is_kept_once(desk: Desk, county: Dataset, told: str) -> None:
    name = keep(desk, asked(county, told))[0]["assessment_id"]
    entry = desk.outcome(name, "entered", "2021-09-01", key="o1")
    assert desk.outcome(name, "entered", "2021-09-01", key="o1") == entry
    with pytest.raises(KeyReused):
        desk.outcome(name, "not_entered", "2021-09-01", key="o1")
    for day in ("2021-02-31", "2021-09-20"):
        with pytest.raises(Invalid):
            desk.outcome(name, "entered", day, key="o2")


@only("sqlite")
def test_the_queue_names_what_is_wrong_with_a_filter(desk: Desk, county: Dataset, told: str) -> None:
    keep(desk, asked(county, told))
    assert [entry.task.household_id for entry in desk.queue().entries] == [told]
    for wrong in ({"tier": "pink"}, {"queue": "x"}, {"limit": 0}, {"cursor": "x"}):
        with pytest.raises(Invalid) as caught:
            desk.queue(**wrong)  # type: ignore[arg-type]
        assert caught.value.errors[0].path == ("query", next(iter(wrong)))


@only("sqlite")
def test_names_that_are_not_kept_are_unknown(desk: Desk) -> None:
    for ask in (desk.record, desk.visit, desk.task, desk.history, desk.person):
        with pytest.raises(UnknownCase):
            ask("as-" + "0" * 24)
    with pytest.raises(UnknownCase):
        desk.feedback("as-" + "0" * 24, visited(), key="k", **BY)


def test_without_a_store_households_are_scored_and_nothing_else_is_done(
    scorer: Scorer, county: Dataset, told: str
) -> None:
    desk = Desk(scorer, None, scorer.settings)
    scored = desk.score_and_keep(asked(county, told), role="platform", purpose="prioritise_visit")
    assert not scored.is_kept
    assert scored.records == scorer.score(asked(county, told))
    with pytest.raises(NoStore):
        desk.queue()
    assert desk.suspended_templates() == frozenset()


@only("sqlite")
def test_a_store_that_is_down_does_not_stop_the_answers(
    desk: Desk, scorer: Scorer, county: Dataset, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def down(_: Store, wait_s: float | None = None) -> Iterator[Connection]:
        raise StoreDown("away")
        yield

    keep(desk, asked(county, told, as_of=FIRST))
    monkeypatch.setattr(Store, "writing", down)
    half = desk.score_and_keep(asked(county, told), role="platform", purpose="prioritise_visit")
    assert not half.is_kept
    assert half.records[0]["change"] is not None
    monkeypatch.setattr(Store, "reading", down)
    scored = desk.score_and_keep(asked(county, told), role="platform", purpose="prioritise_visit")
    assert not scored.is_kept
    assert scored.records == scorer.score(asked(county, told))
    with pytest.raises(StoreAway) as caught:
        desk.queue()
    assert caught.value.headers["Retry-After"]
