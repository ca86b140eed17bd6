"""A review in the store: its rows, its task, its key, and what comes back of it."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from sqlalchemy import Connection, Table, select

from serving.store import consent, journal, verification
from serving.store.concerns import concern_of, write_concern
from serving.store.engine import Store, StoreFault
from serving.store.outcomes import write_outcome
from serving.store.people import (
    ALPHABET,
    MICROS_PER_DAY,
    add_person_request,
    make_person_code,
    person_of,
    person_requests,
)
from serving.store.reviews import AlreadyRecorded, KeyReused, Stale, earlier_reply, write_review
from serving.store.tables import (
    ACTION,
    CONSENT,
    COVERED,
    JOURNAL,
    JUDGEMENT,
    OUTCOME,
    PERSON_CODES,
    REVIEWS,
    VERIFICATION,
    VISIT_EVENTS,
)
from serving.store.tasks import by_id, task_of
from serving.store.visits import answers_of, visit_events
from tests.reviewed import AT, MET, RICH, RICH_EVENTS, event, open_task, review
from tests.stores import store, store_url

__all__ = ["store", "store_url"]


def rows(connection: Connection, table: Table) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]


def count(connection: Connection) -> int:
    return sum(len(rows(connection, table)) for table in (*COVERED, JOURNAL))


@pytest.fixture
def rich(store: Store) -> Store:
    """One review that fills every table, of a task whose visitor told a concern first."""
    with store.writing() as connection:
        task = open_task(connection)
        write_concern(connection, task.task_id, 1, "h1-a1", "high", AT)
        write_review(connection, review("r1", RICH), {"review_id": "r1", "version": 2})
    return store


def test_a_review_is_kept_in_four_tables_that_are_not_merged(rich: Store) -> None:
    with rich.reading() as connection:
        task = rows(connection, JUDGEMENT)[0]
        assert rows(connection, REVIEWS) == [
            {
                "review_id": "r1",
                "idempotency_key": "key-r1",
                "request_sha256": review("r1", RICH).request_sha256,
                "household_id": "h1",
                "assessment_id": "h1-a1",
                "task_id": 1,
                "version": 1,
                "recorded_at": AT,
                "visited_on": "2025-06-15",
                "channel": "home",
                "household_said": "objected",
                "role": "caseworker",
                "actor": "worker-7",
                "reply": '{"review_id":"r1","version":2}',
                "journal_seq": 2,
            }
        ]
        assert task == {
            "review_id": "r1",
            "was_blind": task["was_blind"],
            "concern_first": "high",
            "tier_shown": "orange",
            "judgement": "lower",
            "because": "kin_support",
            "journal_seq": 2,
        }
        assert [(row["item"], row["policy"], row["what"], row["acted_on"]) for row in rows(connection, ACTION)] == [
            (1, "B01", "explained", "2025-06-15"),
            (2, "C02", "applied", "2025-06-16"),
        ]
        [outcome] = rows(connection, OUTCOME)
        assert [outcome[name] for name in ("kind", "what", "happened_on", "review_id")] == [
            "visit",
            "met",
            "2025-06-15",
            "r1",
        ]
        assert [(row["household_id"], row["what"], row["by"]) for row in rows(connection, CONSENT)] == [
            ("h1", "objected", "caseworker")
        ]


def test_every_answer_names_the_events_it_is_about_and_the_one_it_became(rich: Store) -> None:
    with rich.reading() as connection:
        found = answers_of(connection, "h1")
        assert answers_of(connection, "h2") == []
    day = "2025-06-15"
    assert [tuple(each) for each in found] == [
        ("fact", "debt", "debt.grew", "wrong", None, ("e1", "e2"), "v1", day),
        ("fact", "land", "land.less", "changed", 2.5, ("e3",), "v3", day),
        ("fact", "R1", "R1", "confirmed", None, ("e5",), None, day),
        ("answer", "q1", None, "yes", 300.0, (), "v4", day),
        ("answer", "q2", None, "refused", None, (), None, day),
    ]


def test_events_of_visits_come_back_as_they_were_written_in_their_order(store: Store) -> None:
    many = [event(f"x{n}", "COST", None, float(n)) for n in range(12)]
    with store.writing() as connection:
        write_review(connection, review("r1", {**MET, "version": 0}, events=many), {})
        write_review(connection, review("r2", {**MET, "version": 0}, household="h2", events=RICH_EVENTS), {})
        later = review("r3", {**MET, "version": 0}, events=[event("late", "ILL")], recorded_at=AT + 5)
        write_review(connection, later, {})
    with store.reading() as connection:
        assert visit_events(connection, ["h1", "h2", "h3"]) == {"h1": [*many, event("late", "ILL")], "h2": RICH_EVENTS}
        assert visit_events(connection, ["h1"], until=AT + 4) == {"h1": many}
        assert visit_events(connection, ["h1"], until=AT + 5) == {"h1": [*many, event("late", "ILL")]}
        assert visit_events(connection, []) == {}


def test_a_visit_without_a_judgement_still_says_what_was_shown(store: Store) -> None:
    with store.writing() as connection:
        write_review(connection, review("r1", {**MET, "version": 0}), {})
        [judged] = rows(connection, JUDGEMENT)
    assert judged | {"journal_seq": 0} == {
        "review_id": "r1",
        "was_blind": False,
        "concern_first": None,
        "tier_shown": "orange",
        "judgement": None,
        "because": None,
        "journal_seq": 0,
    }


# -- keys


def test_the_same_key_with_the_same_body_gives_the_first_reply_and_writes_nothing(rich: Store) -> None:
    with rich.reading() as connection:
        head, before = journal.head(connection), count(connection)
    expected = {"review_id": "r1", "version": 2, "journal_seq": head.seq, "journal_hash": head.hash}
    again = review("another-name", RICH, key="key-r1")
    with rich.writing() as connection:
        assert earlier_reply(connection, "key-r1", again.request_sha256) == expected
    with pytest.raises(AlreadyRecorded) as recorded, rich.writing() as connection:
        write_review(connection, again, {"review_id": "another-name"})
    assert recorded.value.reply == expected
    with rich.reading() as connection:
        assert count(connection) == before


def test_the_same_key_with_another_body_is_refused(rich: Store) -> None:
    other = review("r2", MET, key="key-r1")
    with pytest.raises(KeyReused), rich.reading() as connection:
        earlier_reply(connection, "key-r1", other.request_sha256)
    with pytest.raises(KeyReused), rich.writing() as connection:
        write_review(connection, other, {})


def test_a_key_that_never_came_has_no_reply(rich: Store) -> None:
    with rich.reading() as connection:
        assert earlier_reply(connection, "key-r2", "0" * 64) is None


def test_the_place_in_the_journal_is_not_taken_from_the_caller(store: Store) -> None:
    new = review("r1", {**MET, "version": 0})
    with store.writing() as connection:
        entry = write_review(connection, new, {"journal_seq": 77, "journal_hash": "x", "version": 0})
        reply = earlier_reply(connection, new.key, new.request_sha256)
    assert reply == {"journal_seq": 1, "journal_hash": entry.hash, "version": 0}


# -- versions


@pytest.mark.parametrize(
    ("outcome", "is_open"), [("met", False), ("moved", False), ("refused", False), ("nobody_home", True)]
)
def test_a_visit_closes_the_task_unless_nobody_was_there(store: Store, outcome: str, is_open: bool) -> None:
    with store.writing() as connection:
        task = open_task(connection)
        write_review(connection, review("r1", {**MET, "outcome": outcome}), {})
        after = by_id(connection, task.task_id)
    assert after is not None and (after.is_open, after.version) == (is_open, 2)


@pytest.mark.parametrize(("outcome", "current"), [("met", 0), ("nobody_home", 2)])
def test_of_two_visitors_of_one_task_the_second_is_told_the_version_of_now(
    store: Store, outcome: str, current: int
) -> None:
    with store.writing() as connection:
        open_task(connection)
    met, told, at_once = [], [], threading.Barrier(2)

    def visit(name: str) -> None:
        at_once.wait()
        try:
            with store.writing() as connection:
                met.append(write_review(connection, review(name, {**MET, "outcome": outcome}), {}).seq)
        except Stale as stale:
            told.append(stale.current_version)

    threads = [threading.Thread(target=visit, args=(name,)) for name in ("r1", "r2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (met, told) == ([1], [current])
    with store.reading() as connection:
        assert len(rows(connection, REVIEWS)) == 1


@pytest.mark.parametrize("version", [0, 2])
def test_another_version_than_that_of_the_open_task_is_refused(store: Store, version: int) -> None:
    with store.writing() as connection:
        open_task(connection)
    with pytest.raises(Stale) as stale, store.writing() as connection:
        write_review(connection, review("r1", {**MET, "version": version}), {})
    assert stale.value.current_version == 1


def test_a_visit_to_a_household_without_a_task_has_version_0(store: Store) -> None:
    with store.writing() as connection:
        write_review(connection, review("r1", {**MET, "version": 0}), {})
    with pytest.raises(Stale) as stale, store.writing() as connection:
        write_review(connection, review("r2", {**MET, "version": 1}), {})
    assert stale.value.current_version == 0


def test_a_review_that_fails_half_way_leaves_nothing_of_it(store: Store) -> None:
    """The second of two events has the name of an event that is there already."""
    with store.writing() as connection:
        open_task(connection)
        write_review(connection, review("r1", MET, events=[event("v1", "ILL")]), {})
        task = open_task(connection, "h2")
        before = count(connection)
    clash = review("r2", MET, household="h2", events=[event("v2", "ILL"), event("v1", "ILL")])
    with pytest.raises(StoreFault), store.writing() as connection:
        write_review(connection, clash, {})
    with store.reading() as connection:
        assert (count(connection), by_id(connection, task.task_id)) == (before, task)
        assert verification.verify(connection).problem is None


# -- consent


@pytest.mark.parametrize("said", ["agreed", "disagreed", "asked_for_correction", None])
def test_only_an_objection_takes_the_machine_away(store: Store, said: str | None) -> None:
    with store.writing() as connection:
        write_review(connection, review("r1", {**MET, "version": 0, "household_said": said}), {})
        assert consent.is_human_only(connection, ["h1"]) == set()


def test_the_last_word_of_a_household_counts(store: Store) -> None:
    words = ["objected", "withdrew", "opted_out", "withdrew", "objected"]
    found = []
    with store.writing() as connection:
        for at, what in enumerate(words):
            consent.record(connection, "h1", what, "person", AT - at)  # type: ignore[arg-type]
            found.append(consent.is_human_only(connection, ["h1", "h2"]))
        kept = [(row["what"], row["by"]) for row in rows(connection, CONSENT)]
    assert found == [{"h1"}, set(), {"h1"}, set(), {"h1"}]
    assert kept == [(what, "person") for what in words]


def test_many_households_are_asked_about_at_once(store: Store) -> None:
    with store.writing() as connection:
        consent.record(connection, "h24999", "opted_out", "caseworker", AT)
        assert consent.is_human_only(connection, [f"h{n}" for n in range(25_000)]) == {"h24999"}


def test_an_objection_at_a_door_where_nobody_opened_leaves_the_task_to_people(store: Store) -> None:
    body = {**MET, "outcome": "nobody_home", "household_said": "opted_out"}
    with store.writing() as connection:
        open_task(connection)
        write_review(connection, review("r1", body), {})
        task = task_of(connection, "h1")
    assert task is not None and (task.version, task.is_human_only, task.tier, task.probability) == (
        2,
        True,
        "grey",
        None,
    )


# -- concerns, outcomes, people


def test_the_first_concern_of_a_version_stays(store: Store) -> None:
    with store.writing() as connection:
        assert write_concern(connection, 7, 1, "h1-a1", "low", AT) == journal.Entry(1, journal.head(connection).hash)
        assert write_concern(connection, 7, 1, "h1-a1", "high", AT) is None
        assert write_concern(connection, 7, 2, "h1-a2", "medium", AT) is not None
        found = [concern_of(connection, 7, version) for version in (1, 2, 3)]
    assert found == ["low", "medium", None]


def test_a_concern_about_an_earlier_version_is_not_that_of_the_review(store: Store) -> None:
    with store.writing() as connection:
        task = open_task(connection)
        write_concern(connection, task.task_id, 1, "h1-a1", "high", AT)
        write_review(connection, review("r1", {**MET, "outcome": "nobody_home"}), {})
        write_review(connection, review("r2", {**MET, "version": 2}), {})
        found = {row["review_id"]: row["concern_first"] for row in rows(connection, JUDGEMENT)}
    assert found == {"r1": "high", "r2": None}


def test_a_decision_of_the_register_is_kept_once_for_each_key(store: Store) -> None:
    decided: dict[str, Any] = {"household_id": "h1", "assessment_id": "h1-a1", "what": "entered", "at": AT}
    with store.writing() as connection:
        first = write_outcome(connection, **decided, happened_on="2025-09-01", key="k1")
        assert write_outcome(connection, **{**decided, "at": AT + 9}, happened_on="2025-09-01", key="k1") == first
        assert write_outcome(connection, **decided, happened_on="2025-09-01", key="k2").seq == 2
    with pytest.raises(KeyReused), store.writing() as connection:
        write_outcome(connection, **decided, happened_on="2025-09-02", key="k1")
    with store.reading() as connection:
        assert [(row["kind"], row["review_id"]) for row in rows(connection, OUTCOME)] == [("register", None)] * 2


def test_a_code_opens_its_own_assessment_until_it_expires(store: Store) -> None:
    with store.writing() as connection:
        code = make_person_code(connection, "h1", "h1-a1", AT, days=30)
        other = make_person_code(connection, "h2", "h2-a1", AT)
        last = AT + 30 * MICROS_PER_DAY
        assert person_of(connection, code, last - 1) == ("h1", "h1-a1", last)
        assert person_of(connection, f" {code[:5].lower()}-{code[5:]} ", AT) == ("h1", "h1-a1", last)
        assert person_of(connection, code, last) is None
        assert person_of(connection, code[:-1], AT) is None
        kept = json.dumps(rows(connection, PERSON_CODES))
    assert len(code) == 10 and set(code) <= set(ALPHABET) and not set(ALPHABET) & set("01OILU")
    assert code != other and code not in kept


def test_what_a_household_asked_for_comes_back_newest_first(store: Store) -> None:
    with store.writing() as connection:
        add_person_request(connection, "h1", "h1-a1", "correction", ["debt", "land"], AT)
        add_person_request(connection, "h2", "h2-a1", "contact", [], AT)
        add_person_request(connection, "h1", "h1-a1", "contact", [], AT - 1)
        found = person_requests(connection, "h1")
    assert found == [("contact", (), AT - 1), ("correction", ("debt", "land"), AT)]


def test_everything_that_is_recorded_has_its_entry_and_the_rest_has_none(rich: Store) -> None:
    with rich.writing() as connection:
        make_person_code(connection, "h1", "h1-a1", AT)
        add_person_request(connection, "h1", "h1-a1", "contact", [], AT)
        kinds = list(connection.scalars(select(JOURNAL.c.kind).order_by(JOURNAL.c.seq)))
    assert kinds == ["concern", "review", "person_request"]
    with rich.reading() as connection:
        assert verification.verify(connection) == (3, None, None)
        assert len(rows(connection, VERIFICATION)) == 5 and len(rows(connection, VISIT_EVENTS)) == 4
