"""From the entries of the queue to its rows: what a person sees of each household before opening its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from models.tier import Tier
from models.visit_list import BY_TIER
from serving.pages.shown import Reader, TierShown, plain, tier_shown
from serving.pages.view import CLOCK_DAYS, HUMAN_ONLY, SCORED
from serving.store.queue import QUEUES, Entry, Page

WAITING = "waiting"


@dataclass(frozen=True)
class QueueRow:
    """One household. `tier` is None where nobody may see it yet or any more; `line` is its first reason in a few words,
    `note` why it stands here although no score put it there."""

    position: int
    assessment_id: str
    household: str
    township: str
    tier: TierShown | None
    line: str
    note: str
    day: int
    is_late: bool
    is_waiting: bool


@dataclass(frozen=True)
class Choice:
    """One filter to choose: its label, how many it holds, its address, whether it is the one in use."""

    label: str
    count: int
    href: str
    is_chosen: bool


def queue_row(entry: Entry, reader: Reader, record: Mapping[str, Any] | None = None) -> QueueRow:
    """The row of one entry; `record` is its assessment where it is at hand."""
    task = entry.task
    hides = task.is_blind or task.is_human_only
    day, is_waiting = reader.days_since(task.opened_at) + 1, entry.place == WAITING
    return QueueRow(
        position=entry.position,
        assessment_id=plain(task.assessment_id),
        household=plain(task.household_id),
        township=plain(task.township or ""),
        tier=None if hides else tier_shown(task.tier, reader),
        line=_line(entry, reader, record),
        note="" if entry.because == BY_TIER else reader.word(f"because_{entry.because}"),
        day=day,
        is_late=day > CLOCK_DAYS and not is_waiting,
        is_waiting=is_waiting,
    )


def _line(entry: Entry, reader: Reader, record: Mapping[str, Any] | None) -> str:
    if entry.task.is_human_only:
        return reader.word(f"queue_{HUMAN_ONLY}")
    if entry.task.is_blind:
        return reader.word("queue_blind")
    if record is not None:
        raising = [fact for reason in record["reasons"] if reason["direction"] == "raises" for fact in reason["facts"]]
        true = [trigger for trigger in record["triggers"] if trigger["state"] == "true"]
        spoken = [fact for fact in raising if fact.get("template") not in reader.suspended]
        if spoken or true:
            return reader.line((spoken or true)[0]["text"])
        if entry.task.status == SCORED:
            return reader.word("no_reasons")
    return reader.word(f"queue_{entry.task.status}")


def tier_choices(found: Page, reader: Reader, asked: Mapping[str, str]) -> list[Choice]:
    """The tiers to look at, with how many households each holds."""
    names = [tier.value for tier in (Tier.RED, Tier.ORANGE, Tier.YELLOW, Tier.GREEN, Tier.GREY)]
    every = _choice(reader.word("all_tiers"), found.counts.total, asked, "tier", "")
    return [
        every,
        *(
            _choice(
                tier_shown(n, reader).shape + " " + tier_shown(n, reader).label,
                found.counts.by_tier.get(n, 0),
                asked,
                "tier",
                n,
            )
            for n in names
        ),
    ]


def queue_choices(found: Page, reader: Reader, asked: Mapping[str, str]) -> list[Choice]:
    """The queues to look at: all, those with a score, those left to people, the silent ones among them."""
    every = _choice(reader.word("all"), found.counts.total, asked, "queue", "")
    rest = [
        _choice(reader.word(f"in_{name}"), found.counts.by_queue.get(name, 0), asked, "queue", name) for name in QUEUES
    ]
    return [every, *rest]


def _choice(label: str, count: int, asked: Mapping[str, str], name: str, value: str) -> Choice:
    return Choice(label, count, address({**asked, name: value}), asked.get(name, "") == value)


def address(asked: Mapping[str, str], cursor: str = "") -> str:
    """The address of a page of the queue with the filters asked for: the first one, or that of a cursor."""
    kept = {key: given for key, given in asked.items() if given and key != "cursor"}
    query = urlencode({**kept, **({"cursor": cursor} if cursor else {})})
    return f"/?{query}" if query else "/"
