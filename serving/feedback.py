"""What comes back from a visit: the body of `POST /assessments/{id}/feedback`. Answers from lists, never free text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from serving.messages import Answer, Day, Id, Moment, Strict, Text

FACT_ANSWERS = ("confirmed", "wrong", "changed", "cannot_tell")
MAX_ITEMS = 60


class FactAnswer(Strict):
    """What the visitor found about one fact of the assessment.

    `fact_id` is that of a fact of a reason, or the id of a trigger. `event_id` says which of its cited events is meant;
    without it a `wrong` fact withdraws them all. `value` is the right amount of a `changed` fact, in the event's unit.
    """

    fact_id: Id
    answer: Literal["confirmed", "wrong", "changed", "cannot_tell"]
    event_id: Id | None = None
    value: float | None = None


class QuestionAnswer(Strict):
    """The answer to one question of the assessment. `value` goes with a question that records an amount, `occurred_on`
    is when what was found out began (the day of the visit if it is not given)."""

    question_id: Id
    answer: Literal["yes", "no", "unknown", "refused"]
    value: float | None = None
    occurred_on: Day | None = None
    person_id: Id | None = None


class Judgement(Strict):
    """What the visitor thinks of the tier shown. It is kept for the study of reliance and never becomes a label."""

    judgement: Literal["higher", "about_right", "lower"]
    because: (
        Literal[
            "kin_support", "informal_debt", "wrong_household", "already_helped", "recent_event", "record_wrong", "other"
        ]
        | None
    ) = None


class Action(Strict):
    """Help that was set in motion: an item of the policy catalogue and what was done about it."""

    policy: Annotated[str, Field(pattern=r"^[A-Z]\d{2}$")]
    what: Literal["explained", "referred", "applied", "granted"]
    on: Day | None = None


class Feedback(Strict):
    """One visit. `version` is the task's version that the visitor saw; a newer one means that somebody was faster."""

    version: Annotated[int, Field(ge=0)]
    visited_on: Day
    channel: Literal["home", "phone", "office"] = "home"
    outcome: Literal["met", "nobody_home", "moved", "refused"] = "met"
    facts: list[FactAnswer] = Field(default_factory=list, max_length=MAX_ITEMS)
    answers: list[QuestionAnswer] = Field(default_factory=list, max_length=MAX_ITEMS)
    judgement: Judgement | None = None
    actions: list[Action] = Field(default_factory=list, max_length=MAX_ITEMS)
    household_said: Literal["agreed", "disagreed", "asked_for_correction", "objected", "opted_out"] | None = None


class NewEvent(Answer):
    """An event that the visit added to the record."""

    event_id: str
    code: str
    occurred_at: Moment
    known_at: Moment
    source: str
    status: str
    supersedes: str | None
    text: Text


class Recorded(Answer):
    """The receipt of a review. It is sent after the review is on disk; `assessment_id` names the new assessment, null
    when the household could not be assessed again now (its `rescored` then says why)."""

    review_id: str
    version: int
    journal_seq: int
    journal_hash: str
    events: list[NewEvent]
    assessment_id: str | None
    rescored: Literal["yes", "no_new_facts", "no_inputs", "human_only", "failed"]
