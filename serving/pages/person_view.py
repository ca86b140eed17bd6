"""What a household may read of its own assessment: an allow-list, so that whatever is new in a record stays out.

Taken over are the day, the sentences on record with their dates and departments, the priority in words, and the
sentence of 100 households. Everything sealed is left out, always and without a trace: whoever holds the code may be the
very person that a protection order is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.pages.chain_view import office
from serving.pages.shown import Reader, plain

OPTED_OUT = "opted_out"
WITH_NUMBER = ("scored", "scored_low_confidence")


@dataclass(frozen=True)
class Entry:
    """A record behind a sentence: when it happened, when it was reported, by which department."""

    happened: str
    reported: str
    source: str


@dataclass(frozen=True)
class OnRecord:
    """One sentence that can be marked as wrong under its `fact_id`; `more` counts the entries that are not listed."""

    fact_id: str
    text: str
    entries: tuple[Entry, ...]
    more: int


@dataclass(frozen=True)
class Subject:
    """The sentences of one domain of life; the rules' own have no `title`."""

    title: str
    sentences: tuple[OnRecord, ...]


@dataclass(frozen=True)
class PersonView:
    """All that the page shows of an assessment. `priority` names a word of the page; `frequency` is empty where there
    is no number, or the household wants none."""

    judged_on: str
    subjects: tuple[Subject, ...]
    priority: str
    frequency: str

    @property
    def fact_ids(self) -> frozenset[str]:
        """What may be marked as wrong."""
        return frozenset(each.fact_id for subject in self.subjects for each in subject.sentences)


def person_view(record: Mapping[str, Any], reader: Reader, *, is_human_only: bool = False) -> PersonView:
    """What the record's own household sees of it."""
    is_by_people = is_human_only or any(code["code"] == OPTED_OUT for code in record["abstention"])
    failed = record["status"] == "error"
    has_number = record["status"] in WITH_NUMBER and not is_by_people
    return PersonView(
        judged_on=reader.judged_day(record["as_of"]),
        subjects=tuple(_subjects(record, reader)),
        priority="human_only" if is_by_people else "grey" if failed else str(record["tier"]),
        frequency=reader.says(record["frequency"]) if has_number else "",
    )


def _subjects(record: Mapping[str, Any], reader: Reader) -> list[Subject]:
    by_title: dict[str, list[OnRecord]] = {}
    for reason in record["reasons"]:
        said = by_title.setdefault(reader.says(reason["group_text"]), [])
        said += [
            _sentence(fact["fact_id"], _spoken(fact, reader), fact["events"], fact["n_events"], reader)
            for fact in reason["facts"]
        ]
    rules = [
        _sentence(trigger["id"], reader.line(trigger["text"]), trigger["evidence"], trigger["n_events"], reader)
        for trigger in record["triggers"]
        # A task is the office's own lateness and no record about the family.
        if trigger["state"] == "true" and not trigger["sealed"] and trigger["tier"] != "task"
    ]
    subjects = [Subject(title, tuple(said)) for title, said in by_title.items() if said]
    return [*subjects, *([Subject("", tuple(rules))] if rules else [])]


def _spoken(fact: Mapping[str, Any], reader: Reader) -> str:
    """The sentence of a fact, unless visitors found its wording wrong too often; then its entries speak."""
    return reader.word("suspended") if fact["template"] in reader.suspended else reader.says(fact["text"])


def _sentence(fact_id: str, text: str, events: Sequence[Mapping[str, Any]], n_events: int, reader: Reader) -> OnRecord:
    entries = tuple(
        Entry(reader.day(event["occurred_at"]), reader.day(event["known_at"]), office(event, reader))
        for event in events
    )
    return OnRecord(plain(fact_id), text, entries, max(int(n_events) - len(entries), 0))
