"""Households of calls assessed together with what visits added, compared with the last time, and kept.

However many calls came in side by side, the store is read once before and written once after, with one entry of the
journal a call. What is told to one call does not depend on the others.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from features.window import Micros, as_of_moment, day, is_after
from models.visit_list import URGENCY
from serving import metrics
from serving.call import Call, Scored
from serving.codec import AnyHousehold, document_of
from serving.errors import Refusal
from serving.messages import Household
from serving.redaction import places
from serving.rescoring import Item, with_changes, with_visits
from serving.scoring import Scorer, Told
from serving.store import assessments, earlier, journal, tasks
from serving.store.assessments import SCORE, Packed, kept_of, packed
from serving.store.earlier import Earlier
from serving.store.engine import Store, StoreDown, StoreFault
from serving.store.journal import New
from serving.visit_events import OPT_OUT, SOURCE, Event

logger = logging.getLogger("povrisk.serving")
OPENS_TASKS = "prioritise_visit"
# To say what changed, a household is assessed several times over; a call of very many goes without.
CHANGES_UP_TO = 50
# Answers wait for the store no longer than this, and then go without it for a while.
KEEP_WAIT_S, QUIET_S = 1.0, 3.0


def assess_all(scorer: Scorer, store: Store | None, calls: Sequence[Call], *, now: Micros) -> list[Scored | Refusal]:
    """What is answered to each call; one that cannot be answered costs no other.

    A store that is down costs neither the answers nor, beyond a second every few, time. What is kept is always the
    assessment without sealed wording, whoever asked.
    """
    found = _earlier(scorer, store, calls)
    known = Earlier() if found is None else found
    asked = [_with_visits(scorer, call, known, now) for call in calls]
    answers = scorer.score_all(asked, now, may_read_sealed=[call.may_read_sealed for call in calls])
    began = time.perf_counter()
    told = _compared(scorer, asked, answers, known, now)
    metrics.stage("compare", time.perf_counter() - began)
    sound = [(call, each.records) for call, each in zip(calls, told, strict=True) if isinstance(each, Told)]
    is_kept = store is not None and found is not None and _keep(scorer, store, sound, found.seen, now)
    return [each if isinstance(each, Refusal) else Scored(each.shown, is_kept) for each in told]


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
    metrics.store_state(False)
    logger.error("the store cannot be used\n%s", places(error))


def how_scored(scorer: Scorer, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What an entry of the journal says of the model, the rules and the settings that answered."""
    rules = {(each["rules"]["indicators_sha256"], each["rules"]["pack_sha256"]) for each in records if each["rules"]}
    return {
        "bundle_sha256": scorer.bundle.sha256,
        "rules": sorted(rules),
        "rules_only": scorer.handling.rules_only,
        "speaks_numbers": scorer.handling.speaks_numbers,
    }


# -- before


def _earlier(scorer: Scorer, store: Store | None, calls: Sequence[Call]) -> Earlier | None:
    """None without a store, or when it is down."""
    if store is None:
        return None
    names = {household.household_id for call in calls for household in call.households}
    asked = {
        (household.household_id, moment)
        for call in calls
        if len(call.households) <= CHANGES_UP_TO
        for household in call.households
        if (moment := _moment(scorer, household)) is not None
    }
    try:
        with store.reading() as connection:
            return earlier.earlier(connection, names, asked)
    except (StoreDown, StoreFault) as error:
        log_away(error)
        return None


def _moment(scorer: Scorer, household: AnyHousehold) -> Micros | None:
    """The moment to judge; None for one that does not exist, which is refused by name when the household is read."""
    try:
        return as_of_moment(household.as_of, scorer.bundle.time_zone)
    except (ValueError, OverflowError):
        return None


def _with_visits(scorer: Scorer, call: Call, known: Earlier, now: Micros) -> list[AnyHousehold]:
    """The households of a call with what visits added to them."""
    found: list[AnyHousehold] = []
    for household in call.households:
        name = household.household_id
        events = own_word(known.visit_events.get(name, ()), name in known.human_only, household.as_of)
        if events:
            found.append(Household.model_validate(with_visits(scorer, document_of(household), events, now)))
        else:
            found.append(household)
    return found


# -- between


def _compared(
    scorer: Scorer,
    asked: Sequence[Sequence[AnyHousehold]],
    answers: Sequence[Told | Refusal],
    known: Earlier,
    now: Micros,
) -> list[Told | Refusal]:
    """What is told, with what is different from the last time, worked out together for all calls."""
    items: list[Item] = []
    places: list[tuple[list[dict[str, Any]], int]] = []
    told: list[Told | Refusal] = []
    for households, answer in zip(asked, answers, strict=True):
        if isinstance(answer, Refusal):
            told.append(answer)
            continue
        plain = list(answer.records)
        opened = None if answer.sealed_records is None else list(answer.sealed_records)
        told.append(Told(plain, opened))
        compared = households if len(households) <= CHANGES_UP_TO else ()
        for is_sealed, records in ((False, plain), (True, opened or [])):
            for k, household in enumerate(compared[: len(records)]):
                item = _item(scorer, household, records[k], known, is_sealed)
                if item is not None:
                    items.append(item)
                    places.append((records, k))
    for (records, k), record in zip(places, with_changes(scorer, items, now=now) if items else (), strict=True):
        records[k] = record
    return told


def _item(
    scorer: Scorer, household: AnyHousehold, record: dict[str, Any], known: Earlier, may_read_sealed: bool
) -> Item | None:
    """What is to be compared; None where no assessment came before."""
    moment = _moment(scorer, household) if known.before else None
    last = None if moment is None else known.before.get((household.household_id, moment))
    if last is None:
        return None
    events = known.visit_events.get(household.household_id, ())
    return Item(household, record, last.said, last.inputs, events, may_read_sealed)


# -- after


def _keep(
    scorer: Scorer,
    store: Store,
    told: Sequence[tuple[Call, Sequence[Mapping[str, Any]]]],
    seen: int | None,
    now: Micros,
) -> bool:
    """Whether assessments, tasks and entries of all calls are on disk."""
    if store.rests:
        return False
    if not told:
        return True
    began = time.perf_counter()
    try:
        kept = [_packed(scorer, call, records) for call, records in told]
        with store.writing(KEEP_WAIT_S) as connection:
            key = journal.secret(connection)
            new = [
                (_entry(scorer, call, records, key, seen), of) for (call, records), of in zip(told, kept, strict=True)
            ]
            assessments.keep_all(connection, new, now)
            wanted = _wanted(connection, [(call, of) for (call, _), of in zip(told, kept, strict=True)], scorer)
            if wanted:
                tasks.open_or_update(connection, [tasks.TaskRow.of(each) for each in wanted], now)
    except (StoreDown, StoreFault) as error:
        log_away(error)
        store.rest(QUIET_S)
        return False
    finally:
        metrics.stage("keep", time.perf_counter() - began)
    metrics.store_state(True)
    return True


def _packed(scorer: Scorer, call: Call, records: Sequence[Mapping[str, Any]]) -> list[Packed]:
    zone = scorer.bundle.time_zone
    return [
        packed(kept_of(record, document_of(household), origin="call", purpose=call.purpose, time_zone=zone))
        for household, record in zip(call.households, records, strict=True)
    ]


def _entry(scorer: Scorer, call: Call, records: Sequence[Mapping[str, Any]], key: str, seen: int | None) -> New:
    """Who asked for what and what answered; `seen` is the last entry that was known then, `call` the body's digest."""
    body = {"actor": call.actor, "role": call.role, "purpose": call.purpose, "seen": seen}
    if call.body_sha256:
        body["call"] = journal.keyed(key, call.body_sha256)
    return New(SCORE, call.request_id or secrets.token_hex(16), {**body, **how_scored(scorer, records)})


def _wanted(connection: Connection, told: Sequence[tuple[Call, Sequence[Packed]]], scorer: Scorer) -> list[Packed]:
    """The assessments that open or move a task.

    One of the day of a visit does not, unless it is more urgent than what the visit left: it is judged at the end of
    that day, but the visitor knew more.
    """
    names = {each.household_id for _, kept in told for each in kept}
    others = {each.household_id for call, kept in told if call.purpose != OPENS_TASKS for each in kept}
    open_ = earlier.with_open_task(connection, others)
    visited = earlier.last_visits(connection, names)
    found = []
    for call, kept in told:
        for each in kept:
            if call.purpose == OPENS_TASKS or each.household_id in open_:
                visit = visited.get(each.household_id)
                if visit is None or URGENCY[each.tier] < URGENCY[visit.tier] or _is_later(each, visit, scorer):
                    found.append(each)
                    open_.add(each.household_id)
    return found


def _is_later(kept: Packed, visit: earlier.Visited, scorer: Scorer) -> bool:
    zone = scorer.bundle.time_zone
    return bool(is_after(np.array([kept.as_of]), as_of_moment(day(visit.stored_at, zone), zone))[0])
