"""The JSON of kept assessments, of the queue, and of what is recorded besides a visit report: typed and strict."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from serving.messages import Answer, Day, Strict

TierName = Literal["red", "orange", "yellow", "green", "grey"]
Status = Literal["scored", "scored_low_confidence", "abstained", "rules_only", "error"]
# The same mark on a retry: told apart by whoever sends, meaningless to us.
KEY_PATTERN = r"[\x21-\x7e]{1,128}"


class ConcernBody(Strict):
    """The visitor's own concern, told before tier and number were shown. `version` is that of the task."""

    version: Annotated[int, Field(ge=0)]
    concern: Literal["low", "medium", "high"]


class OutcomeBody(Strict):
    """What the registration procedure decided about the household. Only this can become a label."""

    what: Literal["entered", "not_entered", "died", "moved_away"]
    happened_on: Day


class QueueEntry(Answer):
    """One open task. `place` is unknown where the number of visits a month was not told (`--visits`)."""

    position: int
    place: Literal["visit", "waiting", "unknown"]
    because: Literal["tier", "reserved", "reserved_grey"]
    queue: Literal["scored", "manual"]
    household_id: str
    assessment_id: str
    version: int
    township: str | None
    status: Status
    tier: TierName
    probability: float | None
    points: float | None
    is_human_only: bool
    opened_at: str
    updated_at: str


class QueueCounts(Answer):
    """Open tasks, of the township if one was asked for: all of them, by tier, by queue (grey ones are manual too)."""

    total: int
    by_tier: dict[str, int]
    by_queue: dict[str, int]


class Queue(Answer):
    """Some open tasks in the order to visit them; `next_cursor` asks for those that follow, null at the end."""

    entries: list[QueueEntry]
    next_cursor: str | None
    total: int
    counts: QueueCounts
    townships: list[str]


class KeptAssessment(Answer):
    """One kept assessment in brief. `has_record`: the whole of it can be read at `/assessments/{id}`."""

    assessment_id: str
    as_of: str
    stored_at: str
    origin: Literal["call", "batch", "visit"]
    status: Status
    tier: TierName
    tier_computed: TierName
    probability: float | None
    points: float | None
    coverage: float | None
    bundle_sha256: str
    has_record: bool


class History(Answer):
    """The kept assessments of a household, newest first, at most 50."""

    household_id: str
    assessments: list[KeptAssessment]


class Noted(Answer):
    """Kept; `journal_seq` and `journal_hash` name the entry."""

    journal_seq: int
    journal_hash: str


class Replay(Answer):
    """A kept assessment worked out again. `reproduced` is null where that could not be done, for the reason in `why`.

    `differences` are the places that came out otherwise, as JSON pointers, at most 20; `not_compared` are parts of the
    record that depend on what nobody can know any more. `journal_seq` names the entry that holds the digests. No value
    of the household is told.
    """

    assessment_id: str
    reproduced: bool | None
    why: str | None
    bundle_sha256: str
    input_sha256: str | None
    record_sha256: str
    recomputed_sha256: str | None
    differences: list[str]
    not_compared: list[str]
    journal_seq: int


class JournalHead(Answer):
    """The newest entry. Kept elsewhere, it shows later that nothing was cut off or rewritten."""

    seq: int
    hash: str
    at: str
