"""What visits of a household found, read back: the events they added and the answers they gave."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, select

from serving.store.tables import REVIEWS, VERIFICATION, VISIT_EVENTS

if TYPE_CHECKING:
    from features.window import Micros

AT_A_TIME = 10_000


class Found(NamedTuple):
    """One answer of a visit. `kind` is fact or answer (to a question), `about` the fact's or the question's name."""

    kind: str
    about: str
    template: str | None
    answer: str
    value: float | None
    event_ids: tuple[str, ...]
    new_event_id: str | None
    visited_on: str


def visit_events(
    connection: Connection, household_ids: Collection[str], until: Micros | None = None, *, up_to: int | None = None
) -> dict[str, list[dict[str, Any]]]:
    """The events that visits added, by household, oldest first, in the form of `POST /score`.

    `until`: only those recorded by that moment. `up_to`: only those that entries of the journal up to this one brought.
    Households without any are left out.
    """
    named, found = list(household_ids), dict[str, list[dict[str, Any]]]()
    of = VISIT_EVENTS.c
    for first in range(0, len(named), AT_A_TIME):
        chosen = of.household_id.in_(named[first : first + AT_A_TIME])
        rows = select(of.household_id, of.body).where(chosen).order_by(of.journal_seq, of.item)
        if until is not None:
            rows = rows.where(of.recorded_at <= until)
        if up_to is not None:
            rows = rows.where(of.journal_seq <= up_to)
        for row in connection.execute(rows):
            found.setdefault(row.household_id, []).append(json.loads(row.body))
    return found


def answers_of(connection: Connection, household_id: str) -> list[Found]:
    """Every answer of the household's visits, oldest first."""
    of = VERIFICATION.c
    rows = (
        select(of.kind, of.about, of.template, of.answer, of.value, of.event_ids, of.new_event_id, REVIEWS.c.visited_on)
        .join_from(VERIFICATION, REVIEWS, of.review_id == REVIEWS.c.review_id)
        .where(REVIEWS.c.household_id == household_id)
        .order_by(of.journal_seq, of.item)
    )
    found = (Found(*row) for row in connection.execute(rows))
    return [each._replace(event_ids=tuple(json.loads(each.event_ids))) for each in found]  # type: ignore[arg-type]
