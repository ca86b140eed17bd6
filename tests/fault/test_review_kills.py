"""Reviews while processes are killed, disks are full and others hold the lock: what was acknowledged is there, once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import select

from serving.store import verification
from serving.store.engine import Store, StoreDown, open_store
from serving.store.reviews import earlier_reply, write_review
from serving.store.tables import JOURNAL, REVIEWS, TASKS, VISIT_EVENTS
from serving.store.tasks import open_or_update
from tests.reviewed import AT, MET, NewReview, event, review, task_row
from tests.stores import only, store, store_url

__all__ = ["store", "store_url"]

KILLS, A_RUN = 60, 20


def numbered(name: str) -> NewReview:
    """A review of a household of its own, with two events."""
    events = [event(f"{name}-{n}", "COST", None, 1.0 * n) for n in (1, 2)]
    return review(name, MET, household=f"h-{name}", events=events)


def record(opened: Store, name: str) -> dict[str, object]:
    """One visit and its receipt, as a call does it."""
    new = numbered(name)
    with opened.writing() as connection:
        reply = earlier_reply(connection, new.key, new.request_sha256)
        if reply is None:
            entry = write_review(connection, new, {"review_id": name})
            reply = {"review_id": name, "journal_seq": entry.seq, "journal_hash": entry.hash}
    return reply


def with_tasks(opened: Store, names: list[str]) -> None:
    """An open task for the household of each review."""
    rows = [task_row(f"h-{name}") for name in names]
    with opened.writing() as connection:
        open_or_update(connection, rows, AT - 1)


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked process that never comes back into the test run."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def acknowledged_until_killed(opened: Store, run: int, drawn: random.Random) -> list[str]:
    """Let a process write, kill it at any moment after some reviews, and return what it had acknowledged."""
    heard, acknowledge = os.pipe()

    def work() -> None:
        for n in range(A_RUN):
            record(opened, f"{run}-{n}")
            os.write(acknowledge, f"{run}-{n}\n".encode())
        signal.pause()

    child = in_child(work)
    os.close(acknowledge)
    with os.fdopen(heard) as lines:
        done, took = [lines.readline()], 0.0
        for _ in range(drawn.randrange(1, 9)):
            began = time.perf_counter()
            done.append(lines.readline())
            took = time.perf_counter() - began
        time.sleep(drawn.uniform(0, 1.5) * took)
        os.kill(child, signal.SIGKILL)
        done += lines.readlines()
    os.waitpid(child, 0)
    return "".join(done).split()


def test_no_acknowledged_review_is_lost_or_doubled_by_sixty_kills(store: Store) -> None:
    drawn = random.Random(7)
    with_tasks(store, [f"{run}-{n}" for run in range(KILLS) for n in range(A_RUN + 1)])
    acknowledged, retried = [], {}
    for run in range(KILLS):
        done = acknowledged_until_killed(store, run, drawn)
        acknowledged += done
        name = f"{run}-{len(done)}"
        retried[name] = record(store, name)
    with store.reading() as connection:
        stored = Counter(connection.scalars(select(REVIEWS.c.review_id)))
        events = Counter(connection.scalars(select(VISIT_EVENTS.c.review_id)))
        entries = Counter(connection.scalars(select(JOURNAL.c.subject)))
        closed = {row.household_id for row in connection.execute(select(TASKS).where(TASKS.c.version == 2))}
        found = verification.verify(connection)
    assert set(stored) == {*acknowledged, *retried}, "lost, or there without anybody knowing"
    assert set(stored.values()) == {1} and set(entries.values()) == {1} and set(events.values()) == {2}, "doubled"
    assert closed == {f"h-{name}" for name in stored}, "the task moves with the review or not at all"
    assert (found.entries, found.problem) == (len(stored), None)
    assert all(record(store, name) == reply for name, reply in retried.items())
    assert len(acknowledged) >= 2 * KILLS


def test_two_processes_write_one_chain(store: Store, store_url: str) -> None:
    names = [[f"{run}-{n}" for n in range(100)] for run in range(2)]
    with_tasks(store, [*names[0], *names[1]])

    def all_of(mine: list[str]) -> Callable[[], None]:
        def work() -> None:
            opened = open_store(store_url)
            for name in mine:
                record(opened, name)

        return work

    children = [in_child(all_of(mine)) for mine in names]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    with store.reading() as connection:
        stored = sorted(connection.scalars(select(REVIEWS.c.review_id)))
        assert stored == sorted([*names[0], *names[1]])
        assert verification.verify(connection) == (200, None, None)


@only("sqlite")
def test_a_full_disk_is_told_and_what_was_acknowledged_stays(store: Store) -> None:
    with_tasks(store, [str(n) for n in range(100)] + ["after"])
    with store.writing() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 12}")
    acknowledged = []
    with pytest.raises(StoreDown, match="disk is full"):
        for n in range(100):
            record(store, str(n))
            acknowledged.append(str(n))
    with store.reading() as connection:
        assert set(connection.scalars(select(REVIEWS.c.review_id))) == set(acknowledged)
        assert verification.verify(connection) == (len(acknowledged), None, None)
    assert acknowledged
    with store.writing() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1000}")
    assert record(store, "after")["journal_seq"] == len(acknowledged) + 1
