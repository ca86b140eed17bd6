"""What happens at the counter: households assessed and kept, visits recorded, the record assessed again.

HTTP and pages call only this. Everything here is ordinary blocking code. Every refusal is one of `serving.errors`; all
but `score_and_keep` may raise `StoreAway` (try again) and `NoStore`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sqlalchemy import Connection

from features.window import Micros, day, is_after, parsed, written
from serving.call import Call, Scored
from serving.case_messages import KEY_PATTERN
from serving.clock import now
from serving.errors import Failed, FieldError, Invalid, KeyReused, NoStore, Outdated, Refusal, StoreAway, UnknownCase
from serving.feedback import Feedback
from serving.guard.rules import READS_SEALED
from serving.keeping import assess_all, log_away
from serving.messages import Household
from serving.recording import case_of, record_objection, record_visit
from serving.replay import EarlierBundles, replay
from serving.running import NO_STORE
from serving.scoring import Scorer
from serving.sessions import Attempts
from serving.settings import Settings
from serving.store import assessments, concerns, consent, journal, outcomes, people, reviews, tasks, visits
from serving.store.assessments import Row
from serving.store.concerns import Concern
from serving.store.engine import Store, StoreDown, StoreFault, open_store
from serving.store.journal import Entry
from serving.store.tasks import Page, PageRefused, Task
from serving.use_report import suspended_templates
from serving.visit_events import cited_facts

SUSPENDED_FOR_S = 60.0
MAX_FACTS_ASKED = 60
# How long a store that could not be opened is left alone.
AGAIN_S = 5.0


@dataclass(frozen=True)
class FactState:
    """What the last visit found about one fact that the record still cites: `answer` as in `feedback.FACT_ANSWERS`,
    the day of that visit (`YYYY-MM-DD`), and the amount where one was corrected."""

    answer: str
    visited_on: str
    value: float | None


@dataclass(frozen=True)
class Visit:
    """All that a visit page needs.

    `task` is the household's open task, None when nothing is to do. `is_latest`: no newer assessment of the household
    is kept; otherwise `latest_id` names it. `hides_score`: the task is one of the random tenth and the visitor has not
    yet told a `concern` of their own, so tier and number are not shown. `fact_states` is keyed by fact_id (or trigger
    id). `version` is what a visit report must carry: the open task's version, 0 without one. `requests` are what the
    family asked for on its own page since the last visit.
    """

    record: dict[str, Any]
    row: Row
    task: Task | None
    version: int
    is_latest: bool
    latest_id: str
    concern: Concern | None
    hides_score: bool
    fact_states: Mapping[str, FactState]
    requests: tuple[people.Asked, ...] = ()


@dataclass(frozen=True)
class PersonRequest:
    """What a member of the household asked for: `what` is correction or contact, `facts` the fact_ids it is about."""

    what: str
    facts: tuple[str, ...]
    asked_on: str


@dataclass(frozen=True)
class PersonCase:
    """What opens with a code: the household's own newest assessment, until when the code works (a day), and what was
    asked for already. `is_human_only`: the household chose to be looked at by people alone."""

    record: dict[str, Any]
    row: Row
    expires_on: str
    is_human_only: bool
    requests: tuple[PersonRequest, ...]


class Desk:
    """The use cases over one bundle and one store."""

    def __init__(self, scorer: Scorer, store: Store | None, settings: Settings) -> None:
        self.scorer = scorer
        self.store = store
        self.settings = settings
        self._codes = Attempts(limit=10)
        self._earlier_bundles = EarlierBundles(settings)
        self._suspended: tuple[float, frozenset[str]] | None = None
        self._again_at = 0.0

    # -- assessments

    def score_all(self, calls: Sequence[Call]) -> list[Scored | Refusal]:
        """What is answered to calls that came in side by side: households assessed with what visits added, compared
        with the last time, and kept. A store that is down does not stop the answers."""
        return assess_all(self.scorer, self._reopened(), calls, now=self.now())

    def score_and_keep(
        self, households: Sequence[Household], *, role: str, purpose: str, actor: str = "", request_id: str = ""
    ) -> Scored:
        """The same for one call by itself. Raises `Invalid`."""
        sealed = role in {each.value for each in READS_SEALED}
        answer = self.score_all([Call(households, role, actor, purpose, request_id, "", sealed)])[0]
        if isinstance(answer, Refusal):
            raise answer
        return answer

    def queue(
        self,
        *,
        tier: str | None = None,
        township: str | None = None,
        queue: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Open tasks in the order to visit them. Raises `Invalid` for a tier, queue, limit or cursor that is none."""
        with self._reading() as connection:
            try:
                return tasks.page(
                    connection,
                    tier=tier,
                    township=township,
                    queue=queue,
                    limit=limit,
                    cursor=cursor,
                    visits=self.settings.visits,
                )
            except PageRefused as refused:
                name, _, reason = str(refused).partition(" ")
                raise Invalid.because([FieldError(("query", name), reason)]) from None

    def record(self, assessment_id: str) -> dict[str, Any]:
        """An assessment as it was kept. Raises `UnknownCase`."""
        with self._reading() as connection:
            found = assessments.record(connection, assessment_id)
        if found is None:
            raise UnknownCase
        return found

    def replay(self, assessment_id: str) -> dict[str, Any]:
        """A kept assessment worked out again and compared (`serving.case_messages.Replay`). Raises `UnknownCase`."""
        store = self._store()
        with _refusals():
            return replay(self.scorer, store, assessment_id, self._earlier_bundles)

    def history(self, household_id: str, limit: int = 50) -> list[Row]:
        """The kept assessments of a household, newest first. Raises `UnknownCase` where there are none."""
        with self._reading() as connection:
            rows = assessments.of_household(connection, household_id, limit)
        if not rows:
            raise UnknownCase
        return rows

    # -- visits

    def task(self, assessment_id: str) -> Task | None:
        """The open task of the assessment's household. Raises `UnknownCase`."""
        with self._reading() as connection:
            row = assessments.row(connection, assessment_id)
            if row is None:
                raise UnknownCase
            return tasks.task_of(connection, row.household_id)

    def visit(self, assessment_id: str) -> Visit:
        """What a visit page needs. Raises `UnknownCase`."""
        with self._reading() as connection:
            return visit_of(connection, assessment_id)

    def feedback(self, assessment_id: str, feedback: Feedback, *, key: str, role: str, actor: str) -> dict[str, Any]:
        """Record a visit and assess the household again; the receipt (`serving.feedback.Recorded`). The same key and
        body again give the same receipt. Raises `Outdated`, `KeyReused`, `Invalid`, `UnknownCase`."""
        store = self._store()
        refuse_key(key)
        with _refusals():
            return record_visit(
                self.scorer, store, assessment_id, feedback, key=key, role=role, actor=actor, now=self.now()
            )

    def concern(self, assessment_id: str, version: int, concern: Concern, *, role: str, actor: str) -> Entry:
        """Keep the visitor's own concern, told before tier and number were shown; the first one told of a version of
        the task stays. Raises `Outdated` where the task is at another version, `UnknownCase`."""
        with self._writing() as connection:
            row = assessments.row(connection, assessment_id)
            if row is None:
                raise UnknownCase
            task = tasks.task_of(connection, row.household_id)
            if task is None or task.version != version:
                raise Outdated(0 if task is None else task.version)
            entry = concerns.write_concern(connection, task.task_id, version, task.assessment_id, concern, self.now())
            if entry is None:
                last = journal.head(connection)
                return Entry(last.seq, last.hash)
            return entry

    def outcome(self, assessment_id: str, what: outcomes.What, happened_on: str, *, key: str) -> Entry:
        """Keep what the registration procedure decided; the roles that may are the guard's to see to. Raises
        `KeyReused`, `UnknownCase`."""
        self._refuse_future(happened_on)
        refuse_key(key)
        with self._writing() as connection:
            row = assessments.row(connection, assessment_id)
            if row is None:
                raise UnknownCase
            return outcomes.write_outcome(
                connection,
                household_id=row.household_id,
                assessment_id=assessment_id,
                what=what,
                happened_on=happened_on,
                key=key,
                at=self.now(),
            )

    def _refuse_future(self, happened_on: str) -> None:
        try:
            moment = parsed(happened_on, self.scorer.bundle.time_zone)
        except ValueError:
            raise Invalid.because([FieldError(("happened_on",), "is not a date that exists")]) from None
        if is_after(np.array([moment]), self.now())[0]:
            raise Invalid.because([FieldError(("happened_on",), "lies in the future")])

    # -- the household itself

    def person_code(self, assessment_id: str, *, role: str, actor: str) -> str:
        """A new code with which the household reads its own newest assessment. Raises `UnknownCase`."""
        with self._writing() as connection:
            case = case_of(connection, assessment_id)
            return people.make_person_code(connection, case.row.household_id, assessment_id, self.now())

    def person(self, code: str, client: str = "") -> PersonCase:
        """What a code opens. Raises `UnknownCase` for a wrong or expired one, `TooManyCalls` after ten of them in a
        minute from this client (`serving.sessions.client_of`), or very many from all."""
        with self._reading() as connection:
            opened = self._opened(connection, code, client)
            row = assessments.latest(connection, opened.household_id)
            record = None if row is None else assessments.record(connection, row.assessment_id)
            if row is None or record is None:
                row = assessments.row(connection, opened.assessment_id)
                record = assessments.record(connection, opened.assessment_id)
            if row is None or record is None:
                raise UnknownCase
            asked = people.person_requests(connection, opened.household_id)
            is_human_only = bool(consent.is_human_only(connection, [opened.household_id]))
        zone = self.scorer.bundle.time_zone
        requests = tuple(PersonRequest(each.what, each.facts, day(each.recorded_at, zone)) for each in asked)
        return PersonCase(record, row, day(opened.expires_at, zone), is_human_only, requests)

    def person_request(
        self, code: str, what: Literal["correction", "contact", "objection"], facts: Sequence[str], client: str = ""
    ) -> None:
        """Keep what a member of the household asks for; `facts` are fact_ids of its assessment, others are refused.
        After an objection people alone look at the household. Raises `Invalid`, and as `person` does."""
        case = self.person(code, client)
        known = cited_facts(case.record)
        wrong = [i for i, fact in enumerate(facts) if fact not in known]
        if wrong or len(facts) > MAX_FACTS_ASKED:
            raise Invalid.because([FieldError(("facts", *wrong[:1]), "is no fact of this assessment")])
        if what == "objection":
            with _refusals():
                return record_objection(self.scorer, self._store(), case.row.assessment_id, self.now())
        with self._writing() as connection:
            opened = self._opened(connection, code, client)
            people.add_person_request(connection, opened.household_id, opened.assessment_id, what, facts, self.now())

    def _opened(self, connection: Connection, code: str, client: str) -> people.Opened:
        self._codes.check(client)
        opened = people.person_of(connection, code, self.now())
        if opened is None:
            self._codes.failed(client)
            raise UnknownCase("this code opens nothing, or no longer")
        return opened

    # -- besides

    def journal_head(self) -> dict[str, Any]:
        """The newest entry of the journal: `seq`, `hash`, `at` (ISO 8601)."""
        with self._reading() as connection:
            head = journal.head(connection)
        return {"seq": head.seq, "hash": head.hash, "at": self.written(head.at)}

    def suspended_templates(self) -> frozenset[str]:
        """Wordings that visitors did not confirm often enough, left out of pages. Looked up once a minute; none while
        the store is down."""
        if self.store is None:
            return frozenset()
        if self._suspended is None or time.monotonic() - self._suspended[0] > SUSPENDED_FOR_S:
            self._suspended = (time.monotonic(), self._suspended_now())
        return self._suspended[1]

    def _suspended_now(self) -> frozenset[str]:
        try:
            with self._reading() as connection:
                return frozenset(suspended_templates(connection))
        except StoreAway:
            return frozenset()

    def now(self) -> Micros:
        """The service's clock."""
        return now(self.settings)

    def today(self) -> str:
        """The day it is where the bundle's households live."""
        return day(self.now(), self.scorer.bundle.time_zone)

    def written(self, moment: Micros) -> str:
        """A moment in the bundle's time zone, ISO 8601."""
        return written(moment, self.scorer.bundle.time_zone)

    # -- the store

    @property
    def store_state(self) -> Literal["up", "away", "none"]:
        """How the store was found a moment ago; nothing is asked of it."""
        if self.store is not None:
            return "away" if self.store.rests else "up"
        return "none" if self.settings.store in ("", NO_STORE) else "away"

    def _reopened(self) -> Store | None:
        """The store; one that was away when this process started is tried again, but not with every call."""
        is_named = self.settings.store not in ("", NO_STORE)
        if self.store is None and is_named and time.monotonic() >= self._again_at:
            self._again_at = time.monotonic() + AGAIN_S
            try:
                self.store = open_store(self.settings.store)
            except StoreDown as error:
                log_away(error)
        return self.store

    def _store(self) -> Store:
        store = self._reopened()
        if store is None:
            raise NoStore if self.settings.store in ("", NO_STORE) else StoreAway
        return store

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        store = self._store()
        with _refusals(), store.reading() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        store = self._store()
        with _refusals(), store.writing() as connection:
            yield connection


def refuse_key(key: str) -> None:
    """Refuse an idempotency key that is none. Raises `Invalid`."""
    if not re.fullmatch(KEY_PATTERN, key):
        reason = "must be given once, 1 to 128 printable characters without spaces; the same for every retry"
        raise Invalid.because([FieldError(("header", "Idempotency-Key"), reason)])


@contextmanager
def _refusals() -> Iterator[None]:
    """What the store says, in the words of the service."""
    try:
        yield
    except StoreDown as error:
        log_away(error)
        raise StoreAway from None
    except StoreFault as error:
        log_away(error)
        raise Failed("the fault is logged; nothing was recorded") from None
    except reviews.KeyReused:
        raise KeyReused from None


def visit_of(connection: Connection, assessment_id: str) -> Visit:
    """What a visit page needs, read from an open store. Raises `UnknownCase`."""
    row, record = assessments.row(connection, assessment_id), assessments.record(connection, assessment_id)
    if row is None or record is None:
        raise UnknownCase
    latest = assessments.latest(connection, row.household_id) or row
    task = tasks.task_of(connection, row.household_id)
    told = None if task is None else concerns.concern_of(connection, task.task_id, task.version)
    answers = visits.answers_of(connection, row.household_id)
    return Visit(
        record=record,
        row=row,
        task=task,
        version=0 if task is None else task.version,
        is_latest=latest.assessment_id == assessment_id,
        latest_id=latest.assessment_id,
        concern=told,
        hides_score=task is not None and task.is_blind and told is None,
        fact_states=_fact_states(record, answers),
        requests=tuple(people.unanswered_requests(connection, row.household_id)),
    )


def _fact_states(record: Mapping[str, Any], answers: Sequence[visits.Found]) -> dict[str, FactState]:
    """The last answer to each fact of the record that still rests on an event the answer was about."""
    states: dict[str, FactState] = {}
    facts = cited_facts(record)
    for found in answers:
        if found.kind != "fact" or found.about not in facts:
            continue
        cited = {event["event_id"] for event in facts[found.about].events}
        meant = {*found.event_ids, found.new_event_id}
        if cited & meant or not (cited or found.event_ids):
            states[found.about] = FactState(found.answer, found.visited_on, found.value)
    return states
