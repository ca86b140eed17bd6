"""What the registration procedure decided about a household: the only rows of which a label can be made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, select

from serving.store import journal
from serving.store.documents import digest
from serving.store.reviews import KeyReused
from serving.store.tables import JOURNAL, OUTCOME

if TYPE_CHECKING:
    from features.window import Micros

What = Literal["entered", "not_entered", "died", "moved_away"]


def write_outcome(
    connection: Connection,
    *,
    household_id: str,
    assessment_id: str,
    what: What,
    happened_on: str,
    key: str,
    at: Micros,
) -> journal.Entry:
    """Keep a decision; the same key again gives the entry of the first time, with another content `KeyReused`.

    That only a supervisor may do so is the caller's to see to.
    """
    decided = {
        "outcome_id": digest(["register", key])[:40],
        "household_id": household_id,
        "assessment_id": assessment_id,
        "kind": "register",
        "what": what,
        "happened_on": happened_on,
    }
    earlier = connection.execute(
        select(OUTCOME, JOURNAL.c.seq, JOURNAL.c.hash)
        .join_from(OUTCOME, JOURNAL, OUTCOME.c.journal_seq == JOURNAL.c.seq)
        .where(OUTCOME.c.outcome_id == decided["outcome_id"])
    ).first()
    if earlier is None:
        rows = {OUTCOME: [{**decided, "recorded_at": at}]}
        return journal.append(connection, "outcome", decided["outcome_id"], {}, at, rows)
    if any(getattr(earlier, name) != value for name, value in decided.items()):
        raise KeyReused
    return journal.Entry(earlier.seq, earlier.hash)
