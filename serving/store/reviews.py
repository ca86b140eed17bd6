"""What a visit brought back, written once and never changed: all of a review, or nothing of it.

A caller that got no answer sends the same review with the same key again and gets the answer of the first time. A
review of a task that has changed since it was read is refused, so that of two visitors the second sees what the first
one found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from serving.store import journal, tasks
from serving.store.concerns import concern_of
from serving.store.consent import HUMAN_ONLY
from serving.store.review_rows import NewReview, review_rows
from serving.store.tables import JOURNAL, REVIEWS
from serving.store.task import Task

__all__ = ["AlreadyRecorded", "KeyReused", "NewReview", "Stale", "earlier_reply", "write_review"]

STAYS_OPEN = "nobody_home"


class Stale(Exception):
    """The task is not as the visitor saw it. `current_version` is its version now, 0 where no task is open."""

    def __init__(self, current_version: int) -> None:
        super().__init__("the task has changed since it was read")
        self.current_version = current_version


class KeyReused(Exception):
    """The key of an earlier review with another content: a new review needs a new key."""

    def __init__(self) -> None:
        super().__init__("this key came with another review before")


class AlreadyRecorded(Exception):
    """The same review with the same key is in the store; `reply` is what was answered to it."""

    def __init__(self, reply: Mapping[str, Any]) -> None:
        super().__init__("this review is recorded already")
        self.reply = dict(reply)


def earlier_reply(connection: Connection, key: str, request_sha256: str) -> dict[str, Any] | None:
    """The reply to a review that came with this key before, None where there was none. Raises `KeyReused`.

    Asked in the writer's transaction it answers for good; asked before, another caller may still be faster.
    """
    found = connection.execute(
        select(REVIEWS.c.request_sha256, REVIEWS.c.reply, JOURNAL.c.seq, JOURNAL.c.hash)
        .join_from(REVIEWS, JOURNAL, REVIEWS.c.journal_seq == JOURNAL.c.seq)
        .where(REVIEWS.c.idempotency_key == key)
    ).first()
    if found is None:
        return None
    if found.request_sha256 != request_sha256:
        raise KeyReused
    return {**json.loads(found.reply), "journal_seq": found.seq, "journal_hash": found.hash}


def write_review(connection: Connection, new: NewReview, reply: Mapping[str, Any]) -> journal.Entry:
    """Write a review: its rows, its events, what the household decided, the task, and one entry of the journal.

    `reply` is kept for a retry, without its place in the journal, which `earlier_reply` adds. The task is closed,
    except after a visit that met nobody; either way its version goes up by one. Raises `AlreadyRecorded`, `KeyReused`,
    `Stale`; the transaction is then to be left without a commit.
    """
    earlier = earlier_reply(connection, new.key, new.request_sha256)
    if earlier is not None:
        raise AlreadyRecorded(earlier)
    task = tasks.task_of(connection, new.household_id)
    current = 0 if task is None else task.version
    if new.version != current:
        raise Stale(current)
    concern = None if task is None else concern_of(connection, task.task_id, task.version)
    rows = review_rows(new, task, concern, reply)
    entry = journal.append(connection, "review", new.review_id, {}, new.recorded_at, rows)
    if task is not None:
        _move(connection, task, new)
    return entry


def _move(connection: Connection, task: Task, new: NewReview) -> None:
    if new.feedback.outcome != STAYS_OPEN:
        tasks.close(connection, task.task_id, new.recorded_at)
    elif new.feedback.household_said in HUMAN_ONLY:
        tasks.leave_to_people(connection, new.household_id, new.recorded_at)
    else:
        tasks.touch(connection, task.task_id, new.recorded_at)
