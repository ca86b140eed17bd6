"""What a household decided about being assessed by a machine; its last word counts."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, select

from serving.store import journal
from serving.store.tables import CONSENT

if TYPE_CHECKING:
    from features.window import Micros

What = Literal["objected", "opted_out", "withdrew"]
# After these, people alone look at the household. `withdrew` takes an objection back.
HUMAN_ONLY = ("objected", "opted_out")
AT_A_TIME = 10_000


def is_human_only(connection: Connection, household_ids: Collection[str], *, up_to: int | None = None) -> set[str]:
    """Those of the households that no machine may assess; `up_to`: as far as entries of the journal up to this one
    tell."""
    named = list(household_ids)
    last: dict[str, str] = {}
    for first in range(0, len(named), AT_A_TIME):
        chosen = CONSENT.c.household_id.in_(named[first : first + AT_A_TIME])
        rows = select(CONSENT.c.household_id, CONSENT.c.what).where(chosen).order_by(CONSENT.c.journal_seq)
        if up_to is not None:
            rows = rows.where(CONSENT.c.journal_seq <= up_to)
        last.update((row.household_id, row.what) for row in connection.execute(rows))
    return {household_id for household_id, what in last.items() if what in HUMAN_ONLY}


def record(connection: Connection, household_id: str, what: What, by: str, at: Micros) -> journal.Entry:
    """Keep what a household decided. `by` is the role that writes it down: `person` for the household itself.

    An open task of the household is left to people by `serving.store.tasks.leave_to_people`.
    """
    rows = {CONSENT: [{"household_id": household_id, "what": what, "recorded_at": at, "by": by}]}
    return journal.append(connection, "consent", secrets.token_hex(16), {}, at, rows)
