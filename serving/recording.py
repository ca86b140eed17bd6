"""A visit recorded: what it adds to the record, the household assessed again, and all of it written at once.

The household is assessed again before anything is written, without holding the store's writer; then review, events,
task and new assessment are committed together, and only then is the receipt given. A failure of the assessment does
not cost the review.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection

from features.window import Micros, is_after, written
from serving.errors import Outdated, UnknownCase
from serving.feedback import Feedback, NewEvent, Recorded
from serving.keeping import how_scored, own_word
from serving.redaction import places
from serving.rescoring import rescore, with_visits
from serving.scoring import Scorer
from serving.store import assessments, consent, reviews, tasks
from serving.store.assessments import SCORE, Origin, Row
from serving.store.consent import HUMAN_ONLY
from serving.store.documents import digest
from serving.store.engine import Store
from serving.store.journal import Entry, New
from serving.store.review_rows import NewReview
from serving.store.visits import visit_events
from serving.visit_events import Event, cited_facts, events_of

logger = logging.getLogger("povrisk.serving")
SECOND = 1_000_000
PURPOSE = "prepare_visit"


@dataclass(frozen=True)
class Case:
    """What a visit report is about: the assessment that was visited, the newest one, and what is known besides.

    `inputs` is the household as it was sent the last time, None where nobody kept it.
    """

    record: Mapping[str, Any]
    row: Row
    newest: Row
    inputs: Mapping[str, Any] | None
    visit_events: Sequence[Event]
    is_human_only: bool
    version: int


@dataclass(frozen=True)
class Again:
    """The household assessed again: the record, None where there is none, and why (`Recorded.rescored`)."""

    record: dict[str, Any] | None
    why: str


def case_of(connection: Connection, assessment_id: str) -> Case:
    """Everything about one assessment. Raises `UnknownCase`."""
    row = assessments.row(connection, assessment_id)
    record = assessments.record(connection, assessment_id)
    if row is None or record is None:
        raise UnknownCase
    newest = assessments.latest(connection, row.household_id) or row
    task = tasks.task_of(connection, row.household_id)
    found = (assessments.inputs(connection, each.assessment_id) for each in (newest, row))
    return Case(
        record=record,
        row=row,
        newest=newest,
        inputs=next((inputs for inputs in found if inputs is not None), None),
        visit_events=visit_events(connection, [row.household_id]).get(row.household_id, []),
        is_human_only=bool(consent.is_human_only(connection, [row.household_id])),
        version=0 if task is None else task.version,
    )


def record_visit(
    scorer: Scorer,
    store: Store,
    assessment_id: str,
    feedback: Feedback,
    *,
    key: str,
    role: str,
    actor: str,
    now: Micros,
) -> dict[str, Any]:
    """Record a visit; the receipt (`serving.feedback.Recorded`), the same one for the same key and body.

    Raises `reviews.KeyReused`, `Outdated`, `UnknownCase`, `Invalid`, and what the store raises.
    """
    request = digest({"assessment_id": assessment_id, "feedback": feedback.model_dump(mode="json")})
    with store.reading() as connection:
        earlier = reviews.earlier_reply(connection, key, request)
        if earlier is not None:
            return _receipt(earlier)
        case = case_of(connection, assessment_id)
    if feedback.version != case.version:
        raise Outdated(case.version)
    review_id = secrets.token_hex(16)
    bundle = scorer.bundle
    known = None if case.inputs is None else with_visits(scorer, case.inputs, case.visit_events, now)
    events = events_of(
        feedback, case.record, known, review_id, now, bundle.catalogue, bundle.time_zone, bundle.currency
    )
    again = _assessed_again(scorer, case, feedback, events, now)
    new = _review(case, feedback, events, review_id, key, request, role, actor, now)
    reply = _reply(scorer, review_id, feedback, events, again)
    try:
        with store.writing() as connection:
            entry = reviews.write_review(connection, new, reply)
            if again.record is not None:
                by = {"actor": actor, "role": role, "review": review_id}
                _keep(connection, scorer, case, again.record, now, by, entry)
    except reviews.AlreadyRecorded as recorded:
        return _receipt(recorded.reply)
    except reviews.Stale as stale:
        raise Outdated(stale.current_version) from None
    return _receipt({**reply, "journal_seq": entry.seq, "journal_hash": entry.hash})


def record_objection(scorer: Scorer, store: Store, assessment_id: str, now: Micros) -> None:
    """Keep that the household wants people alone to look at it, said on its own page: its task loses tier and number,
    and its newest assessment is one without a score. Raises `UnknownCase`, and what the store raises."""
    with store.reading() as connection:
        case = case_of(connection, assessment_id)
    again = _judged(scorer, case, [], written(now, scorer.bundle.time_zone), now, is_human_only=True)
    with store.writing() as connection:
        entry = consent.record(connection, case.row.household_id, "objected", "person", now)
        tasks.leave_to_people(connection, case.row.household_id, now)
        if again is not None:
            _keep(connection, scorer, case, again, now, {"role": "person"}, entry, "call")


def _assessed_again(scorer: Scorer, case: Case, feedback: Feedback, events: Sequence[Event], now: Micros) -> Again:
    is_human_only = case.is_human_only or feedback.household_said in HUMAN_ONLY
    if not events or case.inputs is None:
        return Again(None, "human_only" if is_human_only else "no_inputs" if events else "no_new_facts")
    record = _judged(scorer, case, events, events[0]["known_at"], now, is_human_only=is_human_only)
    return Again(record, "failed" if record is None else "human_only" if is_human_only else "yes")


def _judged(
    scorer: Scorer, case: Case, events: Sequence[Event], known_at: str, now: Micros, *, is_human_only: bool
) -> dict[str, Any] | None:
    """The household assessed now, with these events beside those of earlier visits; None where that fails."""
    if case.inputs is None:
        return None
    # An assessment of today is judged at the end of the day, which a visit of the same day comes after all the same.
    at = now if is_after(np.array([now]), case.newest.as_of)[0] else case.newest.as_of + SECOND
    spoken = own_word([*case.visit_events, *events], is_human_only, known_at)
    previous = case.record if case.newest.assessment_id == case.row.assessment_id else case.newest
    try:
        record = rescore(scorer, scorer.settings, case.inputs, spoken, previous, at)
    except Exception as error:
        logger.error("1 household could not be assessed again\n%s", places(error))
        return None
    return None if record["status"] == "error" else record


def _review(
    case: Case,
    feedback: Feedback,
    events: Sequence[Event],
    review_id: str,
    key: str,
    request: str,
    role: str,
    actor: str,
    now: Micros,
) -> NewReview:
    facts = cited_facts(case.record)
    return NewReview(
        review_id=review_id,
        key=key,
        request_sha256=request,
        household_id=case.row.household_id,
        assessment_id=case.row.assessment_id,
        version=feedback.version,
        feedback=feedback,
        role=role,
        actor=actor,
        recorded_at=now,
        tier_shown=case.row.tier,
        templates={name: fact.template for name, fact in facts.items()},
        cited={name: [event["event_id"] for event in fact.events] for name, fact in facts.items()},
        events=events,
        question_codes={each["question_id"]: each["code"] for each in case.record["questions"]},
    )


def _reply(scorer: Scorer, review_id: str, feedback: Feedback, events: Sequence[Event], again: Again) -> dict[str, Any]:
    """The receipt without its place in the journal. The task has the next version when it is written."""
    kinds = scorer.bundle.catalogue.by_code
    told = []
    for event in events:
        text = kinds[event["code"]].name._asdict() if event["code"] in kinds else {"zh": "", "en": ""}
        names = ("event_id", "code", "occurred_at", "known_at", "source", "status", "supersedes")
        told.append({**{name: event[name] for name in names}, "text": text})
    return {
        "review_id": review_id,
        "version": feedback.version + 1 if feedback.version else 0,
        "events": told,
        "assessment_id": None if again.record is None else again.record["assessment_id"],
        "rescored": again.why,
    }


def _keep(
    connection: Connection,
    scorer: Scorer,
    case: Case,
    record: dict[str, Any],
    now: Micros,
    by: Mapping[str, str],
    entry: Entry,
    origin: Origin = "visit",
) -> None:
    """Keep the new assessment. Its own entry names the assessment before, and `entry`, after which it was made."""
    assert case.inputs is not None
    kept = assessments.kept_of(record, case.inputs, origin=origin, purpose=PURPOSE, time_zone=scorer.bundle.time_zone)
    body: dict[str, Any] = {**by, "purpose": PURPOSE, "seen": entry.seq, "of": case.row.assessment_id}
    body["previous"] = case.newest.assessment_id
    new = New(SCORE, secrets.token_hex(16), {**body, **how_scored(scorer, [record])})
    assessments.keep(connection, [kept], now, new)


def _receipt(reply: Mapping[str, Any]) -> dict[str, Any]:
    """The same bytes whether it is the first time or a retry."""
    events = [NewEvent.model_validate(event) for event in reply["events"]]
    receipt: dict[str, Any] = Recorded.model_validate({**reply, "events": events}).model_dump(mode="json")
    return receipt
