"""What a visit adds to the record: events in the form of `POST /score`, never a change of what departments sent.

A fact found wrong withdraws its events, a changed one corrects the event meant, an answered question may become an
event of its own. A confirmed fact adds nothing: its event is on record already (ADR-0018).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from features.catalogue import Catalogue
from features.definition import EventKind
from features.intake import event_problems
from features.unit import Unit
from features.window import NEVER, Micros, as_of_moment, is_after, parsed, written
from serving.errors import FieldError, Invalid
from serving.feedback import FactAnswer, Feedback, QuestionAnswer

logger = logging.getLogger("povrisk.serving")
SOURCE = "visit"
HOME_VISIT, OPT_OUT = "GRD//VISIT", "SLF//OPTOUT"
NOTHING_OF_NOTE, SOMETHING, MORE_THAN_SHOWN = 0.0, 1.0, 2.0
REFUSALS = ("objected", "opted_out")
SECOND = 1_000_000
UNREADABLE = "is not a date that exists"
# What intake looks at, beside the two moments.
_CHECKED = ("event_id", "person_id", "code", "value", "unit", "source", "status", "supersedes")
Place = tuple[str | int, ...]
Event = dict[str, Any]


class CitedFact(NamedTuple):
    """What a fact of an assessment rests on: its wording, and the events it cites (at most three)."""

    template: str
    events: tuple[Mapping[str, Any], ...]


def cited_facts(record: Mapping[str, Any]) -> dict[str, CitedFact]:
    """The facts of an assessment that a visitor may answer, by `fact_id`: those of reasons, and the true triggers.

    A trigger's name is its wording. Sealed triggers have one name in common and cite nothing.
    """
    found = {
        fact["fact_id"]: CitedFact(fact["template"], tuple(fact["events"]))
        for reason in record["reasons"]
        for fact in reason["facts"]
    }
    for trigger in record["triggers"]:
        if trigger["state"] == "true":
            found[trigger["id"]] = CitedFact(trigger["id"], tuple(trigger["evidence"]))
    return found


def events_of(
    feedback: Feedback,
    record: Mapping[str, Any],
    inputs: Mapping[str, Any] | None,
    review_id: str,
    now: Micros,
    catalogue: Catalogue,
    time_zone: str,
    currency: str,
) -> list[Event]:
    """The events that one visit adds, as `serving.messages.Event` writes them, all known at `now`.

    `record` is the assessment that was visited. `inputs` is the household as it was sent, with what earlier visits
    added; it tells whom a cited event is about (None: nobody knows any more). A home visit that met somebody is a
    `GRD//VISIT`, a call is none; its finding is 0 where all that was answered is confirmed and the tier is about right
    or lower, 2 where the visitor says higher, 1 otherwise. Raises `Invalid` naming the fields: a fact, question, event
    or person that the assessment does not name, an amount that is missing, needless or out of the kind's bounds,
    answers that contradict each other.
    """
    visit = _Visit(feedback, record, inputs, now, catalogue, time_zone, currency)
    visit.read()
    if visit.errors:
        raise Invalid.because(visit.errors)
    return [{"event_id": f"visit-{review_id}-{n}", **event} for n, event in enumerate(visit.events, 1)]


@dataclass
class _Visit:
    feedback: Feedback
    record: Mapping[str, Any]
    inputs: Mapping[str, Any] | None
    now: Micros
    catalogue: Catalogue
    time_zone: str
    currency: str
    errors: list[FieldError] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    # What was said of each event: the answer, and the amount of a changed one.
    said: dict[str, tuple[str, float | None]] = field(default_factory=dict)

    def read(self) -> None:
        """Go through the whole report."""
        visited = self._day(self.feedback.visited_on, ("visited_on",), "lies in the future", self.now)
        if visited is None:
            return
        if self.feedback.outcome == "met" and self.feedback.channel == "home":
            self._add(HOME_VISIT, self._time_of_visit(visited), value=self._finding())
        self._read_facts()
        self._read_answers()
        if self.feedback.household_said in REFUSALS:
            self._add(OPT_OUT, self.feedback.visited_on)

    def refuse(self, path: Place, reason: str) -> None:
        """Note one thing that is wrong."""
        self.errors.append(FieldError(path, reason))

    # -- the visit itself

    def _time_of_visit(self, visited: Micros) -> str:
        """The last moment it can have been: only the day is known, and it came after the assessment of that day."""
        end = as_of_moment(self.feedback.visited_on, self.time_zone)
        return written(max(visited, min(end, self.now) - SECOND), self.time_zone)

    def _finding(self) -> float:
        judged = None if self.feedback.judgement is None else self.feedback.judgement.judgement
        if judged == "higher":
            return MORE_THAN_SHOWN
        is_confirmed = all(each.answer == "confirmed" for each in self.feedback.facts)
        return NOTHING_OF_NOTE if is_confirmed and judged in ("about_right", "lower") else SOMETHING

    # -- what was on record

    def _read_facts(self) -> None:
        known, answered = cited_facts(self.record), set[tuple[str, str | None]]()
        for i, each in enumerate(self.feedback.facts):
            at: Place = ("facts", i)
            if each.fact_id not in known:
                self.refuse((*at, "fact_id"), "is no fact of this assessment")
                continue
            if (each.fact_id, each.event_id) in answered:
                self.refuse((*at, "fact_id"), "is answered twice")
            answered.add((each.fact_id, each.event_id))
            if each.value is not None and each.answer != "changed":
                self.refuse((*at, "value"), "goes with the answer changed only")
            self._read_fact(each, known[each.fact_id].events, at)

    def _read_fact(self, answer: FactAnswer, cited: Sequence[Mapping[str, Any]], at: Place) -> None:
        meant = [event for event in cited if answer.event_id in (None, event["event_id"])]
        if answer.event_id is not None and not meant:
            self.refuse((*at, "event_id"), "is no event that this fact cites")
        elif answer.answer == "changed":
            self._read_changed(answer, meant, at)
        elif answer.answer in ("wrong", "confirmed"):
            for event in meant:
                if self._is_first_word(event["event_id"], (answer.answer, None), at) and answer.answer == "wrong":
                    self._replace(event, "retracted")

    def _read_changed(self, answer: FactAnswer, meant: Sequence[Mapping[str, Any]], at: Place) -> None:
        if len(meant) > 1:
            self.refuse((*at, "event_id"), "is missing; the fact cites several events, say which one has changed")
            return
        kind = self.catalogue.by_code.get(meant[0]["code"]) if meant else None
        if kind is None or kind.unit is Unit.NONE:
            if answer.value is not None:
                self.refuse((*at, "value"), "is needless; what the fact rests on has no amount")
        elif answer.value is None:
            self.refuse((*at, "value"), "is missing; give the right amount, or answer wrong")
        elif self._is_within(kind, answer.value, (*at, "value")) and self._is_first_word(
            meant[0]["event_id"], ("changed", answer.value), at
        ):
            self._replace(meant[0], "corrected", answer.value)

    def _is_first_word(self, event_id: str, said: tuple[str, float | None], at: Place) -> bool:
        """Whether nothing was said of the event yet; what contradicts it is refused."""
        if event_id not in self.said:
            self.said[event_id] = said
            return True
        if self.said[event_id] != said:
            self.refuse((*at, "answer"), "contradicts another answer about the same event; name the event_id")
        return False

    def _replace(self, cited: Mapping[str, Any], status: str, value: float | None = None) -> None:
        """A correction or withdrawal of one event, at the time and of the person that the event names."""
        sent = [] if self.inputs is None else self.inputs["events"]
        event = next((each for each in sent if each["event_id"] == cited["event_id"]), cited)
        self._add(
            event["code"],
            event["occurred_at"],
            person_id=event.get("person_id"),
            value=value,
            text=event.get("text") if status == "corrected" else None,
            status=status,
            supersedes=cited["event_id"],
        )

    # -- what was asked

    def _read_answers(self) -> None:
        known = {each["question_id"]: each for each in self.record["questions"]}
        answered = set[str]()
        for i, each in enumerate(self.feedback.answers):
            at: Place = ("answers", i)
            if each.question_id not in known:
                self.refuse((*at, "question_id"), "is no question of this assessment")
                continue
            if each.question_id in answered:
                self.refuse((*at, "question_id"), "is answered twice")
            answered.add(each.question_id)
            self._read_answer(each, self.catalogue.by_code.get(known[each.question_id]["code"] or ""), at)

    def _read_answer(self, answer: QuestionAnswer, kind: EventKind | None, at: Place) -> None:
        """An event where the answer is yes and the question names a code; other answers stay with the review."""
        on = answer.occurred_on or self.feedback.visited_on
        latest = parsed(self.feedback.visited_on, self.time_zone)
        is_readable = self._day(on, (*at, "occurred_on"), "is after the visit", latest) is not None
        members = None if self.inputs is None else {each["person_id"] for each in self.inputs["members"]}
        if answer.person_id is not None and members is not None and answer.person_id not in members:
            self.refuse((*at, "person_id"), "is nobody who lives or lived in the household")
        if answer.value is not None:
            if answer.answer != "yes" or kind is None or kind.unit is Unit.NONE:
                self.refuse((*at, "value"), "goes with the answer yes, and with a question that records an amount")
                return
            self._is_within(kind, answer.value, (*at, "value"))
        if answer.answer == "yes" and kind is not None and is_readable:
            self._add(kind.code, on, person_id=answer.person_id, value=answer.value)

    # -- of all

    def _day(self, day: str, at: Place, reason: str, latest: Micros) -> Micros | None:
        """The first moment of a day that exists and is not after the latest."""
        try:
            moment = parsed(day, self.time_zone)
        except ValueError:
            self.refuse(at, UNREADABLE)
            return None
        if is_after(np.array([moment]), latest)[0]:
            self.refuse(at, reason)
            return None
        return moment

    def _is_within(self, kind: EventKind, value: float, at: Place) -> bool:
        if kind.bounds is None or kind.bounds[0] <= value <= kind.bounds[1]:
            return True
        self.refuse(at, f"is outside {kind.bounds[0]:,.10g} to {kind.bounds[1]:,.10g} for this kind of event")
        return False

    def _add(self, code: str, occurred_at: str, *, status: str = "original", **fields: Any) -> None:
        kind, value = self.catalogue.by_code.get(code), fields.get("value")
        unit = None
        if kind is not None and value is not None and kind.unit is not Unit.NONE:
            unit = self.currency if kind.unit is Unit.MONEY else kind.unit.value
        self.events.append(
            {
                "person_id": fields.get("person_id"),
                "code": code,
                "occurred_at": occurred_at,
                "known_at": written(self.now, self.time_zone),
                "value": value,
                "unit": unit,
                "text": fields.get("text"),
                "source": SOURCE,
                "status": status,
                "supersedes": fields.get("supersedes"),
            }
        )


def fitting(
    events: Sequence[Event], catalogue: Catalogue, *, currency: str, time_zone: str, latest: Micros
) -> list[Event]:
    """Those of the events that the catalogue and the clock (`latest`) admit; the rest is counted in the log, because a
    household must not be refused for what a visitor once wrote down."""
    columns: dict[str, list[Any]] = {name: [event.get(name) for event in events] for name in _CHECKED}
    for name in ("occurred_at", "known_at"):
        columns[name] = [_moment(event[name], time_zone) for event in events]
    misfits = {problem.row for problem in event_problems(columns, catalogue, currency=currency, latest=latest)}
    if misfits:
        logger.warning("%d event(s) of visits do not fit and are left out", len(misfits))
    return [event for k, event in enumerate(events) if k not in misfits]


def merged(inputs: Mapping[str, Any], events: Sequence[Event], time_zone: str = "UTC") -> dict[str, Any]:
    """The household as it was sent with what visits added; both stay as they are, an event already there counts once.

    Of one event only the last word counts. Departments name the row they correct or the first one of a chain, so a
    correction by a visitor and a later one by a department can stand on different links and both be seen. Where that
    is so, rows are added that end the earlier word when the later one became known. `time_zone` is where bare dates
    are read.
    """
    there = {each["event_id"] for each in inputs["events"]}
    added = [dict(each) for each in events if each["event_id"] not in there]
    ends = list(_ends([*inputs["events"], *added], added, time_zone))
    return {**inputs, "events": [*inputs["events"], *added, *ends]}


def _ends(events: Sequence[Mapping[str, Any]], added: Sequence[Event], time_zone: str) -> Iterator[Event]:
    """Withdrawals at the time of the next word, for the corrections that visitors made."""
    target = {each["event_id"]: each.get("supersedes") for each in events}
    for ours in (each for each in added if each["status"] == "corrected"):
        kin = _kin(ours["event_id"], target)
        others = [each for each in events if each["event_id"] in kin and each["event_id"] != ours["event_id"]]
        told = np.array([_known(each, time_zone) for each in others], np.int64)
        is_later = is_after(told, _known(ours, time_zone))
        later = [k for k in np.argsort(told, kind="stable").tolist() if is_later[k]]
        if later:
            yield _end(ours, others[later[0]], f"{ours['event_id']}.ended")
        for k in np.flatnonzero(~is_later).tolist():
            if others[k]["event_id"] != ours["supersedes"]:
                yield _end(others[k], ours, f"{ours['event_id']}.ends.{k}")


def _kin(event_id: str, target: Mapping[str, str | None]) -> set[str]:
    """All rows that speak of the same event: what it replaces, what that replaced, and what replaced one of them."""
    found = {event_id}
    size = 0
    while size != len(found):
        size = len(found)
        found |= {of for each in found if (of := target.get(each)) is not None}
        found |= {each for each, of in target.items() if of in found}
    return found


def _known(event: Mapping[str, Any], time_zone: str) -> Micros:
    return _moment(event.get("known_at") or event["occurred_at"], time_zone)


def _moment(written: str, time_zone: str) -> Micros:
    try:
        return parsed(written, time_zone)
    except ValueError:
        # Refused with its place in the request when that is read.
        return NEVER


def _end(event: Mapping[str, Any], by: Mapping[str, Any], name: str) -> Event:
    """The row that ends one word when another became known."""
    known = by.get("known_at") or by["occurred_at"]
    of = {key: event.get(key) for key in ("person_id", "code", "occurred_at")}
    empty: dict[str, None] = dict.fromkeys(("value", "unit", "text"))
    told = {"known_at": known, "source": SOURCE, "status": "retracted", "supersedes": event["event_id"]}
    return {"event_id": name, **of, **empty, **told}
