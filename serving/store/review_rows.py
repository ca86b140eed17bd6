"""A review as rows: four tables that are never merged, the events it adds, and what the household decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table

from serving.store.consent import HUMAN_ONLY
from serving.store.documents import digest, written
from serving.store.tables import ACTION, CONSENT, JUDGEMENT, OUTCOME, REVIEWS, VERIFICATION, VISIT_EVENTS

if TYPE_CHECKING:
    from features.window import Micros
    from serving.feedback import FactAnswer, Feedback, QuestionAnswer
    from serving.store.task import Task

# The place in the journal is not known before the entry that holds the receipt's own digest.
OF_THE_ENTRY = ("journal_seq", "journal_hash")

Row = dict[str, Any]


@dataclass(frozen=True)
class NewReview:
    """A review as it is to be written.

    `review_id` is a random name; `key` and `request_sha256` tell a retry from another review. `version` is the one that
    the visitor saw: 0 where the household has no open task. `tier_shown` is the assessment's, `templates` the wording
    of its facts and `cited` the events they cite, both by `fact_id`; `question_codes` the code that an answer to a
    question becomes an event of. `events` are those that the review adds, in the form of `POST /score`.
    """

    review_id: str
    key: str
    request_sha256: str
    household_id: str
    assessment_id: str
    version: int
    feedback: Feedback
    role: str
    actor: str
    recorded_at: Micros
    tier_shown: str
    templates: Mapping[str, str]
    cited: Mapping[str, Sequence[str]]
    events: Sequence[Mapping[str, Any]]
    question_codes: Mapping[str, str | None] = field(default_factory=dict)


def review_rows(
    new: NewReview, task: Task | None, concern: str | None, reply: Mapping[str, Any]
) -> dict[Table, list[Row]]:
    """The rows of a review by table. `concern` is what the visitor told before tier and number were shown."""
    of_review = {
        REVIEWS: [_review(new, task, reply)],
        VERIFICATION: _verification(new),
        JUDGEMENT: [_judgement(new, task, concern)],
        ACTION: _actions(new),
    }
    for table in (VERIFICATION, ACTION):
        of_review[table] = [{"item": item, **row} for item, row in enumerate(of_review[table], 1)]
    whole = {table: [{"review_id": new.review_id, **row} for row in rows] for table, rows in of_review.items()}
    return {**whole, OUTCOME: [_outcome(new)], VISIT_EVENTS: _events(new), CONSENT: _consent(new)}


def _review(new: NewReview, task: Task | None, reply: Mapping[str, Any]) -> Row:
    return {
        "idempotency_key": new.key,
        "request_sha256": new.request_sha256,
        "household_id": new.household_id,
        "assessment_id": new.assessment_id,
        "task_id": None if task is None else task.task_id,
        "version": new.version,
        "recorded_at": new.recorded_at,
        "visited_on": new.feedback.visited_on,
        "channel": new.feedback.channel,
        "household_said": new.feedback.household_said,
        "role": new.role,
        "actor": new.actor,
        "reply": written({name: value for name, value in reply.items() if name not in OF_THE_ENTRY}),
    }


def _verification(new: NewReview) -> list[Row]:
    return [_fact(new, each) for each in new.feedback.facts] + [_answer(new, each) for each in new.feedback.answers]


def _fact(new: NewReview, fact: FactAnswer) -> Row:
    """Which events a fact rests on, and the one that now stands in the place of the first of them."""
    meant = [fact.event_id] if fact.event_id is not None else list(new.cited.get(fact.fact_id, ()))
    added = [event["event_id"] for event in new.events if event.get("supersedes") in meant]
    return {
        "kind": "fact",
        "about": fact.fact_id,
        "template": new.templates.get(fact.fact_id),
        "answer": fact.answer,
        "value": fact.value,
        "event_ids": written(meant),
        "new_event_id": added[0] if added and fact.answer in ("wrong", "changed") else None,
    }


def _answer(new: NewReview, answer: QuestionAnswer) -> Row:
    code = new.question_codes.get(answer.question_id)
    added = [event["event_id"] for event in new.events if event["code"] == code and event.get("supersedes") is None]
    return {
        "kind": "answer",
        "about": answer.question_id,
        "template": None,
        "answer": answer.answer,
        "value": answer.value,
        "event_ids": "[]",
        "new_event_id": added[0] if added and answer.answer == "yes" else None,
    }


def _judgement(new: NewReview, task: Task | None, concern: str | None) -> Row:
    """A row even where the visitor judged nothing: it says what they had been shown."""
    judged = new.feedback.judgement
    return {
        "was_blind": task is not None and task.is_blind,
        "concern_first": concern,
        "tier_shown": new.tier_shown,
        "judgement": None if judged is None else judged.judgement,
        "because": None if judged is None else judged.because,
    }


def _actions(new: NewReview) -> list[Row]:
    return [
        {"policy": each.policy, "what": each.what, "acted_on": each.on or new.feedback.visited_on}
        for each in new.feedback.actions
    ]


def _outcome(new: NewReview) -> Row:
    return {
        "outcome_id": digest(["visit", new.review_id])[:40],
        "household_id": new.household_id,
        "assessment_id": new.assessment_id,
        "review_id": new.review_id,
        "kind": "visit",
        "what": new.feedback.outcome,
        "happened_on": new.feedback.visited_on,
        "recorded_at": new.recorded_at,
    }


def _events(new: NewReview) -> list[Row]:
    return [
        {
            "event_id": event["event_id"],
            "household_id": new.household_id,
            "review_id": new.review_id,
            "item": item,
            "recorded_at": new.recorded_at,
            "body": written(dict(event)),
        }
        for item, event in enumerate(new.events, 1)
    ]


def _consent(new: NewReview) -> list[Row]:
    said = new.feedback.household_said
    if said not in HUMAN_ONLY:
        return []
    return [{"household_id": new.household_id, "what": said, "recorded_at": new.recorded_at, "by": new.role}]
