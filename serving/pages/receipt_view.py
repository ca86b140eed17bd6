"""From the receipt of a visit to what is told after it was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.pages.shown import Reader, plain


@dataclass(frozen=True)
class AddedShown:
    """An event that a visit added: what it is, when it happened, and what it does to an earlier record."""

    text: str
    day: str
    note: str


@dataclass(frozen=True)
class ReceiptView:
    """What is told after a visit was recorded."""

    review_id: str
    journal_seq: int
    journal_hash: str
    events: tuple[AddedShown, ...]
    assessment_id: str
    rescored: str
    change: str


def receipt_view(receipt: Mapping[str, Any], record: Mapping[str, Any] | None, reader: Reader) -> ReceiptView:
    """The receipt of a visit (`serving.feedback.Recorded`); `record` is the new assessment if there is one."""
    changed = (record or {}).get("change")
    return ReceiptView(
        review_id=plain(receipt["review_id"]),
        journal_seq=int(receipt["journal_seq"]),
        journal_hash=plain(receipt["journal_hash"])[:12],
        events=tuple(
            AddedShown(
                reader.says(each["text"]),
                reader.day(each["occurred_at"]),
                reader.word(f"added_{each['status']}") if each["supersedes"] else "",
            )
            for each in receipt["events"]
        ),
        assessment_id=plain(receipt["assessment_id"] or ""),
        rescored=reader.word(f"rescored_{receipt['rescored']}"),
        change=reader.says(changed["text"]) if changed else "",
    )
