"""Households of a call assessed together with what visits added, compared with the last time, and kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection

from features.window import Micros, as_of_moment, day, is_after
from models.visit_list import URGENCY
from serving.call import Call, Scored
from serving.errors import Refusal
from serving.messages import Household
from serving.redaction import places
from serving.rescoring import with_change, with_visits
from serving.scoring import Scorer
from serving.store import assessments, consent, tasks
from serving.store.assessments import Row
from serving.store.engine import Store, StoreDown, StoreFault
from serving.store.visits import visit_events
from serving.visit_events import OPT_OUT, SOURCE, Event

logger = logging.getLogger("povrisk.serving")
OPENS_TASKS = "prioritise_visit"
# To say what changed, a household is assessed several times over; a call of very many goes without.
CHANGES_UP_TO = 50
HISTORY = 50


@dataclass(frozen=True)
class Before:
    """The newest assessment of a moment before: the record, or its row where no record was kept, and the inputs it was
    made from, if those were."""

    said: Mapping[str, Any] | Row
    inputs: Mapping[str, Any] | None


@dataclass(frozen=True)
class Earlier:
    """What the store knows of the households of a call: events of visits, who wants no machine, the assessments
    before."""

    visit_events: Mapping[str, Sequence[Event]] = field(default_factory=dict)
    human_only: frozenset[str] = frozenset()
    before: Mapping[str, Before] = field(default_factory=dict)


def assess_all(scorer: Scorer, store: Store | None, calls: Sequence[Call], *, now: Micros) -> list[Scored | Refusal]:
    """What is answered to each call; one that cannot be answered costs no other."""
    answers: list[Scored | Refusal] = []
    for call in calls:
        try:
            records, is_kept = assess_and_keep(
                scorer,
                store,
                call.households,
                may_read_sealed=call.may_read_sealed,
                purpose=call.purpose,
                now=now,
            )
            answers.append(Scored(records, is_kept))
        except Refusal as refusal:
            answers.append(refusal)
    return answers


def assess_and_keep(
    scorer: Scorer,
    store: Store | None,
    households: Sequence[Household],
    *,
    may_read_sealed: bool,
    purpose: str,
    now: Micros,
) -> tuple[list[dict[str, Any]], bool]:
    """The assessments in the order given, and whether they were kept. Raises `Invalid` before anything is computed.

    A store that is down costs neither the answers nor, beyond its own waiting time, time. What is kept is always the
    assessment without sealed wording, whoever asked.
    """
    earlier = _earlier(scorer, store, households)
    known = Earlier() if earlier is None else earlier
    asked = [_with_visits(scorer, household, known, now) for household in households]
    records = _records(scorer, households, asked, known, now, may_read_sealed=False)
    is_kept = store is not None and earlier is not None and _keep(scorer, store, households, records, purpose, now)
    if may_read_sealed:
        records = _records(scorer, households, asked, known, now, may_read_sealed=True)
    return records, is_kept


def own_word(events: Sequence[Event], is_human_only: bool, now_written: str) -> list[Event]:
    """Events of visits with the household's last word about machines: an opt-out counts as long as it stands.

    A household that withdrew its objection is assessed again; one that objected elsewhere than on a visit is not.
    """
    if not is_human_only:
        return [event for event in events if event["code"] != OPT_OUT]
    if any(event["code"] == OPT_OUT for event in events):
        return list(events)
    said = {"event_id": "consent", "code": OPT_OUT, "occurred_at": now_written, "known_at": now_written}
    nothing = dict.fromkeys(("person_id", "value", "unit", "text", "supersedes"))
    return [*events, {**said, **nothing, "source": SOURCE, "status": "original"}]


def log_away(error: Exception) -> None:
    """One line about a store that cannot be used; what the driver said is left out."""
    logger.error("the store cannot be used\n%s", places(error))


def _earlier(scorer: Scorer, store: Store | None, households: Sequence[Household]) -> Earlier | None:
    """None without a store, or when it is down."""
    if store is None:
        return None
    try:
        with store.reading() as connection:
            return _read(connection, households, scorer.bundle.time_zone)
    except (StoreDown, StoreFault) as error:
        log_away(error)
        return None


def _read(connection: Connection, households: Sequence[Household], time_zone: str) -> Earlier:
    ids = [household.household_id for household in households]
    before: dict[str, Before] = {}
    for household in households if len(ids) <= CHANGES_UP_TO else ():
        row = _row_before(connection, household, time_zone)
        if row is not None:
            said = assessments.record(connection, row.assessment_id) or row
            before[household.household_id] = Before(said, assessments.inputs(connection, row.assessment_id))
    return Earlier(visit_events(connection, ids), frozenset(consent.is_human_only(connection, ids)), before)


def _row_before(connection: Connection, household: Household, time_zone: str) -> Row | None:
    try:
        as_of = np.array([as_of_moment(household.as_of, time_zone)])
    except (ValueError, OverflowError):
        # A moment that does not exist is refused by name when the household is read.
        return None
    rows = assessments.of_household(connection, household.household_id, HISTORY)
    return next((row for row in rows if is_after(as_of, row.as_of)[0]), None)


def _with_visits(scorer: Scorer, household: Household, earlier: Earlier, now: Micros) -> Household:
    name = household.household_id
    events = own_word(earlier.visit_events.get(name, ()), name in earlier.human_only, household.as_of)
    if not events:
        return household
    return Household.model_validate(with_visits(scorer, household.model_dump(mode="json"), events, now))


def _records(
    scorer: Scorer,
    sent: Sequence[Household],
    asked: Sequence[Household],
    earlier: Earlier,
    now: Micros,
    *,
    may_read_sealed: bool,
) -> list[dict[str, Any]]:
    records = scorer.score(asked, now, may_read_sealed=may_read_sealed)
    told = []
    for household, record in zip(asked, records, strict=True):
        last = earlier.before.get(household.household_id)
        if last is not None:
            record = with_change(  # noqa: PLW2901 - the same record, completed
                scorer,
                household,
                record,
                last.said,
                last.inputs,
                earlier.visit_events.get(household.household_id, ()),
                now=now,
                may_read_sealed=may_read_sealed,
            )
        told.append(record)
    return told


def _keep(
    scorer: Scorer,
    store: Store,
    households: Sequence[Household],
    records: Sequence[Mapping[str, Any]],
    purpose: str,
    now: Micros,
) -> bool:
    zone = scorer.bundle.time_zone
    kept = [
        assessments.kept_of(
            record,
            household.model_dump(mode="json", exclude_none=True),
            origin="call",
            purpose=purpose,
            time_zone=zone,
        )
        for household, record in zip(households, records, strict=True)
    ]
    try:
        with store.writing() as connection:
            assessments.keep(connection, kept, now)
            wanted = [each for each in kept if _is_wanted(connection, each, purpose, zone)]
            if wanted:
                tasks.open_or_update(connection, [tasks.TaskRow.of(each) for each in wanted], now)
    except (StoreDown, StoreFault) as error:
        log_away(error)
        return False
    return True


def _is_wanted(connection: Connection, kept: assessments.Kept, purpose: str, time_zone: str) -> bool:
    """Whether an assessment opens or moves a task.

    One of the day of a visit does not, unless it is more urgent than what the visit left: it is judged at the end of
    that day, but the visitor knew more.
    """
    if purpose != OPENS_TASKS and tasks.task_of(connection, kept.household_id) is None:
        return False
    rows = assessments.of_household(connection, kept.household_id, HISTORY)
    visit = next((row for row in rows if row.origin == "visit"), None)
    if visit is None or URGENCY[kept.tier] < URGENCY[visit.tier]:
        return True
    end = as_of_moment(day(visit.stored_at, time_zone), time_zone)
    return bool(is_after(np.array([kept.as_of]), end)[0])
