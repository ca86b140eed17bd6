"""Reviews for tests of the store: one household, its task, and what a visit brought back."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection

from serving.feedback import Feedback
from serving.store import consent, journal
from serving.store.concerns import write_concern
from serving.store.documents import digest
from serving.store.outcomes import write_outcome
from serving.store.people import add_person_request
from serving.store.reviews import NewReview, write_review
from serving.store.tasks import Task, TaskRow, open_or_update, task_of

AT = 1_750_000_000_000_000
MET: dict[str, Any] = {"version": 1, "visited_on": "2025-06-15"}
RICH: dict[str, Any] = {
    **MET,
    "facts": [
        {"fact_id": "debt", "answer": "wrong"},
        {"fact_id": "land", "answer": "changed", "event_id": "e3", "value": 2.5},
        {"fact_id": "R1", "answer": "confirmed"},
    ],
    "answers": [
        {"question_id": "q1", "answer": "yes", "value": 300},
        {"question_id": "q2", "answer": "refused"},
    ],
    "judgement": {"judgement": "lower", "because": "kin_support"},
    "actions": [{"policy": "B01", "what": "explained"}, {"policy": "C02", "what": "applied", "on": "2025-06-16"}],
    "household_said": "objected",
}


def event(event_id: str, code: str, supersedes: str | None = None, value: float | None = None) -> dict[str, Any]:
    """An event that a visit added."""
    status = "original" if supersedes is None else "retracted" if value is None else "corrected"
    when = {"occurred_at": "2025-06-15", "known_at": "2025-06-15T10:00:00+08:00"}
    what = {"code": code, "value": value, "unit": None, "status": status, "supersedes": supersedes}
    return {"event_id": event_id, "person_id": None, **what, **when, "text": None, "source": "visit"}


RICH_EVENTS = [
    event("v1", "DEBT", "e1"),
    event("v2", "DEBT", "e2"),
    event("v3", "LAND", "e3", 2.5),
    event("v4", "COST", None, 300.0),
]


def review(name: str, body: dict[str, Any] | None = None, *, household: str = "h1", **other: Any) -> NewReview:
    """A review named `name`, which is its key as well. `body` is that of the call."""
    feedback = Feedback.model_validate_json(json.dumps(body or MET))
    given: dict[str, Any] = {
        "review_id": name,
        "key": f"key-{name}",
        "request_sha256": digest(feedback.model_dump()),
        "household_id": household,
        "assessment_id": f"{household}-a1",
        "version": feedback.version,
        "feedback": feedback,
        "role": "caseworker",
        "actor": "worker-7",
        "recorded_at": AT,
        "tier_shown": "orange",
        "templates": {"debt": "debt.grew", "land": "land.less", "R1": "R1"},
        "cited": {"debt": ["e1", "e2"], "land": ["e3", "e4"], "R1": ["e5"]},
        "question_codes": {"q1": "COST", "q2": "ILL"},
        "events": RICH_EVENTS if body is RICH else [],
    }
    return NewReview(**{**given, **other})


def task_row(household: str = "h1", assessment: str | None = None, at: int = AT - 1) -> TaskRow:
    """What a task takes from the household's assessment."""
    return TaskRow(household, assessment or f"{household}-a1", at, "t1", "scored", "orange", 0.2, 3.0, 0.9, 1.0)


def open_task(connection: Connection, household: str = "h1", assessment: str | None = None, at: int = AT - 1) -> Task:
    """The household's open task, opened if there is none."""
    open_or_update(connection, [task_row(household, assessment, at)], at)
    task = task_of(connection, household)
    assert task is not None
    return task


def fill(connection: Connection) -> None:
    """At least one row in every table that is only added to: six entries of the journal."""
    task = open_task(connection)
    write_concern(connection, task.task_id, task.version, "h1-a1", "high", AT)
    write_review(connection, review("r1", RICH), {"review_id": "r1", "version": 2})
    write_outcome(
        connection,
        household_id="h1",
        assessment_id="h1-a1",
        what="entered",
        happened_on="2025-09-01",
        key="outcome-1",
        at=AT,
    )
    add_person_request(connection, "h1", "h1-a1", "correction", ["debt"], AT)
    consent.record(connection, "h1", "withdrew", "person", AT)
    journal.append(connection, "note", "store", {"n": 1}, AT)
