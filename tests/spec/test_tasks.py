"""Tasks: one open task a household, moved by the newest assessment, and nobody is lost between two pages."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sqlalchemy import func, select

from features.window import MICROS_PER_DAY
from serving.store import consent
from serving.store.engine import Store
from serving.store.tables import TASKS
from serving.store.tasks import (
    Page,
    PageRefused,
    Taken,
    Task,
    TaskRow,
    by_id,
    close,
    leave_to_people,
    open_or_update,
    page,
    task_of,
    touch,
)
from tests.stores import only, store, store_url

__all__ = ["store", "store_url"]

DAY = MICROS_PER_DAY
sqlite = only("sqlite")


def row(name: str = "h1", tier: str = "orange", **more: Any) -> TaskRow:
    given: dict[str, Any] = {"assessment_id": f"as-{name}", "as_of": 100 * DAY, "township": "east", "status": "scored"}
    given |= {"probability": 0.25, "points": 3.0, "coverage": 0.9, "months_silent": 1.0}
    return TaskRow(household_id=name, tier=tier, **(given | more))


def take(store: Store, *rows: TaskRow, at: int = 101 * DAY) -> Taken:
    with store.writing() as connection:
        return open_or_update(connection, rows, at)


def task(store: Store, name: str = "h1") -> Task:
    with store.reading() as connection:
        found = task_of(connection, name)
    assert found is not None
    return found


def first_page(store: Store, **how: Any) -> Page:
    with store.reading() as connection:
        return page(connection, **how)


def test_a_newer_assessment_moves_the_task_and_keeps_the_day_it_was_opened(store: Store) -> None:
    assert take(store, row()) == Taken(opened=1)
    before = task(store)
    assert (before.version, before.tier, before.opened_at, before.updated_at) == (1, "orange", 101 * DAY, 101 * DAY)
    newer = row(assessment_id="as-2", tier="red", as_of=110 * DAY, probability=0.5, township="west")
    assert take(store, newer, at=111 * DAY) == Taken(updated=1)
    assert task(store) == dataclasses.replace(
        before, assessment_id="as-2", tier="red", probability=0.5, township="west", version=2, updated_at=111 * DAY
    )
    # The keys of the order moved with it.
    assert first_page(store, tier="red").total == 1


def test_the_last_attempt_counts_even_if_it_could_say_little(store: Store) -> None:
    take(store, row(tier="red"))
    take(store, row(assessment_id="as-2", status="error", tier="grey", probability=None, points=None, coverage=None))
    found = task(store)
    assert (found.tier, found.status, found.probability, found.points) == ("grey", "error", None, None)
    assert (found.is_manual, found.is_grey, found.version) == (True, True, 2)


@sqlite
def test_the_same_assessment_again_changes_nothing(store: Store) -> None:
    take(store, row())
    assert take(store, row(), at=120 * DAY) == Taken(left=1)
    assert (task(store).version, task(store).updated_at) == (1, 101 * DAY)


@sqlite
def test_an_assessment_of_an_earlier_moment_does_not_take_the_place_of_a_later_one(store: Store) -> None:
    from serving.store.assessments import Kept, keep

    late = row(as_of=200 * DAY)
    more = {"origin": "call", "purpose": "prioritise_visit", "region": "demo", "tier_computed": "orange"}
    more |= {"bundle_sha256": "0" * 64, "record": None, "inputs": None}
    with store.writing() as connection:
        keep(connection, [Kept(**dataclasses.asdict(late), **more)], 201 * DAY)
    take(store, late, at=201 * DAY)
    assert take(store, row(assessment_id="as-0", as_of=150 * DAY), at=202 * DAY) == Taken(left=1)
    assert task(store).assessment_id == "as-h1"
    # At the same moment the one that came in last counts.
    assert take(store, row(assessment_id="as-2", as_of=200 * DAY), at=203 * DAY) == Taken(updated=1)


def test_a_closed_task_comes_back_with_the_first_moment_after_the_visit(store: Store) -> None:
    take(store, row())
    opened = task(store)
    with store.writing() as connection:
        close(connection, opened.task_id, 105 * DAY)
        assert task_of(connection, "h1") is None
        closed = by_id(connection, opened.task_id)
    assert closed is not None
    assert (closed.is_open, closed.closed_at, closed.version) == (False, 105 * DAY, 2)
    assert first_page(store).entries == []
    assert take(store, row(), at=106 * DAY) == Taken(left=1)
    assert take(store, row(assessment_id="as-2", as_of=104 * DAY), at=106 * DAY) == Taken(left=1)
    assert take(store, row(assessment_id="as-3", as_of=130 * DAY), at=131 * DAY) == Taken(opened=1)
    again = task(store)
    assert (again.version, again.opened_at) == (1, 131 * DAY)
    assert again.task_id != opened.task_id


@sqlite
def test_a_household_has_one_open_task_however_often_it_is_named(store: Store) -> None:
    assert take(store, row(), row(tier="red", assessment_id="as-2")) == Taken(opened=1)
    assert task(store).assessment_id == "as-2"
    with store.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(TASKS)) == 1


@sqlite
def test_a_touched_task_has_another_version(store: Store) -> None:
    take(store, row())
    with store.writing() as connection:
        touch(connection, task(store).task_id, 102 * DAY)
    assert (task(store).version, task(store).updated_at) == (2, 102 * DAY)


# --- who is left to people ------------------------------------------------------------------------------------------


def test_whoever_opted_out_is_left_to_people_without_tier_and_number(store: Store) -> None:
    take(store, row(tier="red"), row("h2"))
    with store.writing() as connection:
        consent.record(connection, "h1", "opted_out", "worker", 102 * DAY)
        leave_to_people(connection, "h1", 102 * DAY)
    found = task(store)
    assert (found.is_human_only, found.is_manual, found.is_grey, found.version) == (True, True, True, 2)
    assert (found.tier, found.status, found.probability, found.points) == ("grey", "abstained", None, None)
    assert (found.township, found.assessment_id, found.opened_at) == ("east", "as-h1", 101 * DAY)
    # Whatever a later assessment says, it stays so.
    take(store, row(tier="red", assessment_id="as-2", as_of=130 * DAY), at=131 * DAY)
    assert dataclasses.replace(task(store), assessment_id="as-h1", version=2, updated_at=102 * DAY) == found
    assert [e.task.household_id for e in first_page(store, queue="manual").entries] == ["h1"]


@sqlite
def test_a_tenth_is_blind_by_a_draw_that_stays(store: Store) -> None:
    take(store, *(row(f"h{k}") for k in range(3_000)))
    with store.reading() as connection:
        drawn = dict(connection.execute(select(TASKS.c.household_id, TASKS.c.is_blind)).all())
    assert 230 < sum(drawn.values()) < 370
    take(store, *(row(f"h{k}", tier="red", assessment_id=f"as-2-{k}") for k in range(3_000)), at=140 * DAY)
    with store.reading() as connection:
        again = dict(connection.execute(select(TASKS.c.household_id, TASKS.c.is_blind)).all())
    assert again == drawn


# --- pages ----------------------------------------------------------------------------------------------------------


def test_a_page_counts_tasks_by_tier_and_queue_and_names_the_townships(store: Store) -> None:
    silent = {"status": "abstained", "probability": None, "tier": "grey"}
    take(
        store,
        row("a", "red"),
        row("b", "green", township="west"),
        row("c", **silent),
        row("d", **silent, township=None),
        row("e", "yellow", status="rules_only", probability=None),
    )
    found = first_page(store, limit=2)
    assert found.total == found.counts.total == 5
    assert found.counts.by_tier == {"red": 1, "orange": 0, "yellow": 1, "grey": 2, "green": 1}
    assert found.counts.by_queue == {"scored": 2, "manual": 3, "grey": 2}
    assert found.townships == ["east", "west"]
    assert len(found.entries) == 2
    west = first_page(store, township="west")
    assert (west.total, west.counts.total, west.counts.by_tier["green"]) == (1, 1, 1)
    assert west.townships == ["east", "west"]
    manual = first_page(store, queue="manual", tier="grey")
    assert (manual.total, manual.counts.total) == (2, 5)


@sqlite
def test_without_a_number_of_visits_nobody_is_told_to_wait(store: Store) -> None:
    take(store, row("a"), row("b"))
    assert [e.place for e in first_page(store).entries] == ["unknown", "unknown"]
    assert [e.place for e in first_page(store, tier="orange").entries] == ["unknown", "unknown"]
    assert [e.place for e in first_page(store, visits=1).entries] == ["visit", "waiting"]


@sqlite
def test_a_page_that_cannot_be_given_is_refused(store: Store) -> None:
    take(store, *(row(f"h{k}") for k in range(5)))
    cursor = first_page(store, limit=2, township="east").next_cursor
    assert cursor is not None
    assert len(first_page(store, limit=9, township="east", cursor=cursor).entries) == 3
    for how, said in (
        ({"cursor": cursor}, "cursor"),
        ({"cursor": cursor, "township": "west"}, "cursor"),
        ({"cursor": cursor[:-2] + "xx", "township": "east"}, "cursor"),
        ({"cursor": "é", "township": "east"}, "cursor"),
        ({"cursor": "A" * 4000, "township": "east"}, "cursor"),
        ({"tier": "purple"}, "tier is none of"),
        ({"queue": "mine"}, "queue is none of"),
        ({"limit": 0}, "limit must"),
        ({"limit": 501}, "limit must"),
    ):
        with pytest.raises(PageRefused, match=said):
            first_page(store, **how)


@sqlite
def test_pages_read_by_index_and_sort_nothing(store: Store) -> None:
    """The order comes out of an index: a page does not look at everybody."""
    from sqlalchemy import event

    take(store, row())
    plans: list[str] = []
    with store.reading() as connection:

        def explain(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
            if "key_tie" in statement and not statement.startswith("EXPLAIN"):
                found = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
                plans.append(" / ".join(str(line[-1]) for line in found))

        event.listen(connection, "before_cursor_execute", explain)
        for how in ({}, {"township": "east"}, {"tier": "orange"}, {"queue": "manual"}, {"queue": "scored"}):
            page(connection, visits=10, **how)
    assert len(plans) >= 11
    assert not [plan for plan in plans if "USING COVERING INDEX queue" not in plan or "TEMP" in plan]
