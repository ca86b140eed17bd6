"""From the form of the visit page to `serving.feedback.Feedback`.

Names of fields: `fact.ID`, `event.ID`, `value.ID` for a fact or a rule, `question.ID`, `amount.ID` for a question,
`help.ITEM`, `did.ITEM` for a policy, and those of the visit itself. What was not touched is not reported. Only what the
assessment showed can be answered; whatever else a form carries is ignored.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from features.window import is_after, parsed
from serving.feedback import FACT_ANSWERS, Feedback
from serving.pages.shown import Reader
from serving.store.concerns import Concern

Events = Sequence[Mapping[str, Any]]

MAX_FIELDS: Final = 400
ANSWERS = ("yes", "no", "unknown", "refused")
CHANNELS = ("home", "phone", "office")
OUTCOMES = ("met", "nobody_home", "moved", "refused")
JUDGEMENTS = ("higher", "about_right", "lower")
BECAUSE = (
    *("kin_support", "informal_debt", "wrong_household", "already_helped"),
    *("recent_event", "record_wrong", "other"),
)
DID = ("explained", "referred", "applied", "granted")
SAID = ("agreed", "disagreed", "asked_for_correction", "objected", "opted_out")


class FormRefused(Exception):
    """A form that cannot be recorded yet. `problems` are (field, key of the word that says what to do)."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__(f"{len(problems)} field(s) of the form")
        self.problems = problems


def new_key() -> str:
    """The idempotency key of a form: sent twice, the form is recorded once."""
    return secrets.token_urlsafe(18)


def prefilled(today: str) -> dict[str, str]:
    """What a form says before anybody touched it."""
    return {"visited_on": today, "channel": "home", "outcome": "met"}


def feedback_of(form: Mapping[str, str], record: Mapping[str, Any], reader: Reader) -> Feedback:
    """The report of a visit. Raises `FormRefused` with every problem found.

    `form` holds one text a field, `record` is the assessment that was on the page, `reader` the one it was made for.
    """
    filled = _Form(form, reader)
    body = {
        "version": filled.version(),
        "visited_on": filled.visited_on(),
        "channel": filled.choice("channel", CHANNELS) or "home",
        "outcome": filled.choice("outcome", OUTCOMES) or "met",
        "facts": list(filled.facts(record)),
        "answers": list(filled.answers(record)),
        "judgement": filled.judgement(),
        "actions": list(filled.actions(record)),
        "household_said": filled.choice("household_said", SAID),
    }
    if filled.problems:
        raise FormRefused(filled.problems)
    try:
        return Feedback.model_validate(body)
    except ValidationError as error:
        raise FormRefused([(str(each["loc"][0]), "problem_refused") for each in error.errors()]) from None


def concern_of(form: Mapping[str, str]) -> Concern:
    """The visitor's own concern. Raises `FormRefused`."""
    match form.get("concern", ""):
        case "low" | "medium" | "high" as given:
            return given
    raise FormRefused([("concern", "problem_concern")])


def version_of(form: Mapping[str, str]) -> int:
    """The version of the task that the page was made from; -1, which no task has, where it cannot be read."""
    written = form.get("version", "")
    return int(written) if written.isascii() and written.isdecimal() and len(written) < 10 else -1


class _Form:
    """Fields read one by one; what is wrong is collected."""

    def __init__(self, form: Mapping[str, str], reader: Reader) -> None:
        self.form = form
        self.reader = reader
        self.problems: list[tuple[str, str]] = []

    def text(self, name: str) -> str:
        return self.form.get(name, "").strip()

    def refuse(self, name: str, why: str) -> None:
        self.problems.append((name, why))

    def choice(self, name: str, allowed: tuple[str, ...]) -> str | None:
        given = self.text(name)
        if given and given not in allowed:
            self.refuse(name, "problem_choice")
        return given if given in allowed else None

    def version(self) -> int:
        found = version_of(self.form)
        if found < 0:
            self.refuse("version", "problem_outdated")
        return max(found, 0)

    def visited_on(self) -> str:
        """A day up to the reader's own."""
        given = self.text("visited_on")
        try:
            begun = parsed(given, self.reader.time_zone)
            is_day = date.fromisoformat(given).isoformat() == given
        except (ValueError, OverflowError):
            is_day, begun = False, 0
        if not is_day or is_after(np.array([begun]), self.reader.now)[0]:
            self.refuse("visited_on", "problem_visited_on")
        return given

    def amount(self, name: str) -> float | None:
        """A number as people write it: `1500`, `1,500.5`, `1500元`."""
        given = self.text(name)
        if not given:
            return None
        try:
            value = float(_half_width(given))
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < 0:
            self.refuse(name, "problem_amount")
            return None
        return value

    def facts(self, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for fact_id, events in cited(record).items():
            answer = self.choice(f"fact.{fact_id}", FACT_ANSWERS)
            if answer in ("wrong", "changed"):
                yield {"fact_id": fact_id, "answer": answer, **self._of_event(fact_id, events, answer)}
            elif answer is not None:
                yield {"fact_id": fact_id, "answer": answer}

    def _of_event(self, fact_id: str, events: Events, answer: str) -> dict[str, Any]:
        """Which event is wrong or has changed, and what its amount is now. All of them may be wrong at once; a change
        is of one."""
        ids = tuple(str(event["event_id"]) for event in events)
        meant = self.choice(f"event.{fact_id}", ids)
        found: dict[str, Any] = {"event_id": meant} if meant else {}
        if answer == "wrong":
            return found
        if meant is None and len(events) > 1:
            self.refuse(f"event.{fact_id}", "problem_event")
            return found
        codes = [event["code"] for event in events if meant in (None, event["event_id"])]
        if codes and self.reader.unit_of(codes[0]):
            given = self.text(f"value.{fact_id}")
            found["value"] = self.amount(f"value.{fact_id}")
            if not given:
                self.refuse(f"value.{fact_id}", "problem_amount_needed")
        return found

    def answers(self, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for question in record["questions"]:
            name = question["question_id"]
            answer = self.choice(f"question.{name}", ANSWERS)
            if answer is None:
                continue
            found: dict[str, Any] = {"question_id": name, "answer": answer}
            if answer == "yes" and question.get("unit"):
                found["value"] = self.amount(f"amount.{name}")
            yield found

    def judgement(self) -> dict[str, str | None] | None:
        judged, because = self.choice("judgement", JUDGEMENTS), self.choice("because", BECAUSE)
        return None if judged is None else {"judgement": judged, "because": because}

    def actions(self, record: Mapping[str, Any]) -> Iterator[dict[str, str]]:
        for policy in record["policy_candidates"]:
            if self.text(f"help.{policy['item']}"):
                did = self.choice(f"did.{policy['item']}", DID) or DID[0]
                yield {"policy": policy["item"], "what": did, "on": self.text("visited_on")}


def cited(record: Mapping[str, Any]) -> dict[str, Events]:
    """The events that each fact and each true rule of a record cites, by the name under which it can be answered."""
    facts = {fact["fact_id"]: fact["events"] for reason in record["reasons"] for fact in reason["facts"]}
    rules = {each["id"]: each["evidence"] for each in record["triggers"] if each["state"] == "true"}
    return {**facts, **rules}


def _half_width(written: str) -> str:
    """Digits as a Chinese keyboard writes them, without thousands marks and the word for money.

    >>> _half_width("１，５００．５元")
    '1500.5'
    """
    narrow = "".join(chr(ord(char) - 0xFEE0) if "！" <= char <= "～" else char for char in written)
    return narrow.replace(",", "").replace(" ", "").removesuffix("元").removeprefix("¥").removeprefix("￥")
