"""From a kept assessment to what the visit page shows: which parts, in which order, how much of each.

Pure: the same visit and reader give the same view. The templates only lay it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.window import day, is_not_before, parsed
from models.change import PARTS
from models.change import shown as whole_parts
from serving.desk import Visit
from serving.pages.rendering import error_page
from serving.pages.shown import Reader, dots, plain, tier_shown
from serving.pages.visit_parts import BLIND as BLIND
from serving.pages.visit_parts import ERROR, ChangeShown, Clock, EventShown, PolicyShown, ReasonShown
from serving.pages.visit_parts import HUMAN_ONLY as HUMAN_ONLY
from serving.pages.visit_parts import FactShown as FactShown
from serving.pages.visit_parts import QuestionShown as QuestionShown
from serving.pages.visit_parts import VisitView as VisitView
from serving.store.people import Asked

MOST_RAISING, MOST_LOWERING, MOST_FACTS = 3, 2, 2
# Days from a clue to its verification, by the local procedures (15 days; 20 working days elsewhere).
CLOCK_DAYS = 15
FIRST_QUESTIONS, FIRST_RULES, FIRST_POLICIES, FIRST_RECORDED = 3, 3, 4, 4
OPTED_OUT = "opted_out"
SCORED, UNSURE, ABSTAINED, RULES_ONLY = "scored", "scored_low_confidence", "abstained", "rules_only"


def visit_view(visit: Visit, reader: Reader) -> VisitView:
    """What the page of one visit shows to this reader."""
    record, state = visit.record, state_of(visit)
    told = _Told(visit, reader)
    shows_number = state in (SCORED, UNSURE)
    shows_rules = state in (SCORED, UNSURE, ABSTAINED, RULES_ONLY)
    raises = told.reasons("raises", MOST_RAISING) if shows_number else ()
    lowers = told.reasons("lowers", MOST_LOWERING) if shows_number else ()
    return VisitView(
        state=state,
        assessment_id=plain(record["assessment_id"]),
        household=plain(record["household_id"]),
        township=plain(visit.row.township or ""),
        judged_on=reader.judged_day(record["as_of"]),
        valid_until=reader.judged_day(record["valid_until"]),
        is_expired=told.is_expired(),
        latest_id=visit.latest_id if not visit.is_latest else plain(record["assessment_id"]),
        has_task=visit.task is not None,
        version=visit.version,
        concern=visit.concern or "",
        clock=told.clock(),
        family=told.family(),
        tier=tier_shown(record["tier"], reader) if shows_rules else None,
        basis=told.basis() if shows_rules else "",
        frequency=told.frequency() if shows_number else ("", "", ""),
        dots=dots(record) if shows_number else None,
        cautions=told.cautions(state),
        change=told.change() if shows_rules else None,
        raises=raises,
        lowers=lowers,
        recorded=told.recorded() if state == BLIND else (),
        reason_note=reader.says(record.get("reason_note")) if shows_number else "",
        questions=told.questions(with_effect=shows_number),
        rules=told.rules(1 + sum(len(reason.facts) for reason in (*raises, *lowers))) if shows_rules else (),
        checks=told.checks() if shows_rules else (),
        policies=told.policies() if shows_rules else (),
        gaps=tuple(reader.says(gap["text"]) for gap in record["data_gaps"]) if shows_rules else (),
        limits=tuple(reader.says(limit) for limit in record["limits"]) if state not in (BLIND, HUMAN_ONLY) else (),
        n_steps=len(record["assistance_chain"]),
        model=told.model() if state not in (HUMAN_ONLY, BLIND) else "",
    )


def state_of(visit: Visit) -> str:
    """What kind of page it is. What the household decided about itself goes before everything else."""
    status = str(visit.record["status"])
    refused = any(code["code"] == OPTED_OUT for code in visit.record["abstention"])
    if refused or (visit.task is not None and visit.task.is_human_only):
        return HUMAN_ONLY
    # Nothing was computed, so there is nothing to hide.
    return BLIND if visit.hides_score and status != ERROR else status


@dataclass(frozen=True)
class _Told:
    """The parts of one record in the words of one reader."""

    visit: Visit
    reader: Reader

    @property
    def record(self) -> Mapping[str, Any]:
        return self.visit.record

    def is_expired(self) -> bool:
        until = parsed(self.record["valid_until"], self.reader.time_zone)
        return bool(is_not_before(np.array([self.reader.now]), until)[0])

    def clock(self) -> Clock | None:
        task = self.visit.task
        return None if task is None else Clock(self.reader.days_since(task.opened_at) + 1, CLOCK_DAYS)

    def family(self) -> tuple[str, ...]:
        """What the family asked for on its own page since the last visit."""
        return tuple(
            self.reader.word(f"family_{asked.what}", n=len(asked.facts), day=self.reader.day(self._day(asked)))
            for asked in self.visit.requests
        )

    def _day(self, asked: Asked) -> str:
        return day(asked.recorded_at, self.reader.time_zone)

    def basis(self) -> str:
        """What brought the tier, in a few words."""
        kinds = [entry.partition(":")[0] for entry in self.record["tier_basis"]]
        n_rules = kinds.count("trigger")
        words = [self.reader.word("by_rules", n=n_rules)] if n_rules else []
        words += [self.reader.word(f"by_{kind}") for kind in ("points", "probability", "held") if kind in kinds]
        return (" · ").join(words)

    def frequency(self) -> tuple[str, str, str]:
        """The sentence in three: before the number, the number, after it."""
        said, n = self.reader.says(self.record["frequency"]), self.record["per_100"]
        if not said or n is None:
            return self.reader.word("no_number_now"), "", ""
        number = f"约{round(n)}户" if self.reader.lang == "zh" else f"about {round(n)}"
        before, found, after = said.partition(number)
        return before, found, after

    def cautions(self, state: str) -> tuple[tuple[str, str], ...]:
        """Why there is no score, or why it is of low confidence: what it means and what to do."""
        if state in (BLIND, HUMAN_ONLY):
            return ()
        codes = self.record["abstention"] if state == ABSTAINED else self.record["low_confidence"]
        return tuple((self.reader.says(code["text"]), self.reader.says(code["todo"])) for code in codes)

    def change(self) -> ChangeShown | None:
        found = self.record.get("change")
        if not found:
            return None
        split, whole = found["split"], found["per_100"]
        parts = whole_parts(split, round(whole)) if split and not found["steady"] else {}
        events = [*found["new_events"], *found["repaired_events"]]
        return ChangeShown(
            text=self.reader.says(found["text"]),
            before=self.reader.judged_day(found["previous"]["as_of"]),
            parts=tuple(f"{self.reader.word(name)} {parts[name]:+d}" for name in reversed(PARTS) if parts.get(name)),
            events=tuple(self._changed(event) for event in events),
            hidden=found["n_new_events"] + found["n_repaired_events"] - len(events),
        )

    def _changed(self, event: Mapping[str, Any]) -> str:
        told = f"{self.reader.says(event['text'])} · {self.reader.day(event['occurred_at'])}"
        return f"{told} · {plain(event['source'])}"

    def reasons(self, direction: str, most: int) -> tuple[ReasonShown, ...]:
        found = [reason for reason in self.record["reasons"] if reason["direction"] == direction][:most]
        number = 1 if direction == "raises" else 1 + self._n_raising()
        shown = []
        for reason in found:
            facts = tuple(self.fact(fact, number + i) for i, fact in enumerate(reason["facts"][:MOST_FACTS]))
            number += len(facts)
            word = self.reader.word(reason["strength"])
            group = self.reader.says(reason["group_text"])
            shown.append(ReasonShown(group, reason["strength"], word, bool(reason.get("mixed")), facts))
        return tuple(shown)

    def _n_raising(self) -> int:
        raising = [reason for reason in self.record["reasons"] if reason["direction"] == "raises"][:MOST_RAISING]
        return sum(len(reason["facts"][:MOST_FACTS]) for reason in raising)

    def fact(self, fact: Mapping[str, Any], number: int) -> FactShown:
        fact_id = plain(fact.get("fact_id", fact["feature"]))
        is_suspended = fact.get("template") in self.reader.suspended
        return FactShown(
            fact_id=fact_id,
            number=number,
            text="" if is_suspended else self.reader.says(fact["text"]),
            events=self._events(fact["events"]),
            n_events=int(fact["n_events"]),
            last_answer=self._last_answer(fact_id),
        )

    def recorded(self) -> tuple[FactShown, ...]:
        """All facts, the newest first, so that neither direction nor strength can be read from their order."""
        facts = [fact for reason in self.record["reasons"] for fact in reason["facts"][:MOST_FACTS]]
        newest = sorted(facts, key=lambda fact: max(event["occurred_at"] for event in fact["events"]), reverse=True)
        return tuple(self.fact(fact, i) for i, fact in enumerate(newest, 1))

    def _events(self, events: Sequence[Mapping[str, Any]]) -> tuple[EventShown, ...]:
        reader = self.reader
        return tuple(
            EventShown(
                event_id=plain(event["event_id"]),
                name=reader.name_of(event["code"]),
                happened=reader.day(event["occurred_at"]),
                reported=reader.day(event["known_at"]),
                source=plain(event["source"]),
                unit=reader.unit_of(event["code"]),
            )
            for event in events
        )

    def _last_answer(self, fact_id: str) -> str:
        state = self.visit.fact_states.get(fact_id)
        if state is None:
            return ""
        answer = self.reader.word(f"answer_{state.answer}")
        return self.reader.word("last_answer", day=self.reader.day(state.visited_on), answer=answer)

    def questions(self, *, with_effect: bool) -> tuple[QuestionShown, ...]:
        shown = []
        for i, question in enumerate(self.record["questions"]):
            unit, code = question.get("unit"), question.get("code")
            shown.append(
                QuestionShown(
                    question_id=plain(question.get("question_id", i)),
                    text=self.reader.says(question.get("text", question)),
                    effect=self._effect(question) if with_effect else "",
                    unit=self.reader.unit(unit) if unit else "",
                    takes_amount=bool(code and unit),
                )
            )
        return tuple(shown)

    def _effect(self, question: Mapping[str, Any]) -> str:
        ends = question.get("if_known")
        if not ends or self.record["frequency"] is None:
            return ""
        low, high = round(ends[0]), round(ends[1])
        key = "if_known_same" if low == high else "if_known"
        tail = self.reader.word("may_change_tier") if question.get("may_change_tier") else ""
        return self.reader.word(key, low=low, high=high) + tail

    def rules(self, number: int) -> tuple[FactShown, ...]:
        """The rules that hold, strongest first."""
        true = [trigger for trigger in self.record["triggers"] if trigger["state"] == "true"]
        return tuple(
            FactShown(
                fact_id=plain(trigger["id"]),
                number=number + i,
                text=self.reader.line(trigger["text"]),
                events=self._events(trigger["evidence"]),
                n_events=int(trigger["n_events"]),
                last_answer=self._last_answer(trigger["id"]),
                tier=tier_shown(trigger["tier"], self.reader)
                if trigger["tier"] in ("red", "orange", "yellow")
                else None,
            )
            for i, trigger in enumerate(true)
        )

    def checks(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What does not fit together on record, with what to ask."""
        return tuple(
            (self.reader.line(each["text"]), tuple(self.reader.says(question) for question in each["questions"]))
            for each in self.record["verification"]
        )

    def policies(self) -> tuple[PolicyShown, ...]:
        return tuple(
            PolicyShown(
                item=plain(policy["item"]),
                name=self.reader.says(policy["text"]),
                department=self.reader.says(policy["department"]),
                status=policy["status"],
                status_word=self.reader.word(f"policy_{policy['status']}"),
                missing=tuple(self.reader.says(text) for text in policy["missing_text"]),
                speaks_against=bool(policy["against"]),
            )
            for policy in self.record["policy_candidates"]
        )

    def model(self) -> str:
        model = self.record["model"]
        return f"{plain(model['name'])} {plain(model['version'])} · {plain(model['bundle_sha256'])[:12]}"


def error_html(status: int, title: str, detail: str, lang: str) -> str:
    """The page of an error (see `serving.pages.rendering.error_page`)."""
    return error_page(status, title, detail, lang)
