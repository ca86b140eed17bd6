"""How a member of the household reads its own assessment, and what it asks for there."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from sqlalchemy import Connection, func, select

from serving.store import journal
from serving.store.documents import written
from serving.store.tables import PERSON_CODES, PERSON_REQUESTS, REVIEWS

if TYPE_CHECKING:
    from features.window import Micros

# No letter or digit that is taken for another one when it is read aloud or copied by hand.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 10
MICROS_PER_DAY = 86_400_000_000


class Opened(NamedTuple):
    """What a code opens, and the moment at which it stops doing so."""

    household_id: str
    assessment_id: str
    expires_at: Micros


class Asked(NamedTuple):
    """A request of the household: a correction of `facts` (fact_ids), or contact."""

    what: str
    facts: tuple[str, ...]
    recorded_at: Micros


def make_person_code(connection: Connection, household_id: str, assessment_id: str, at: Micros, days: int = 30) -> str:
    """A new code of ten characters. It is told once; the store keeps its digest."""
    code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    kept = {"code_sha256": _digest(code), "household_id": household_id, "assessment_id": assessment_id}
    lasts = {"made_at": at, "expires_at": at + days * MICROS_PER_DAY}
    connection.execute(PERSON_CODES.insert(), {**kept, **lasts})
    return code


def person_of(connection: Connection, code: str, at: Micros) -> Opened | None:
    """What a code opens at a moment: None for a wrong one and for one that has expired. Small letters, spaces and
    hyphens do not matter."""
    of = PERSON_CODES.c
    found = connection.execute(
        select(of.household_id, of.assessment_id, of.expires_at).where(
            of.code_sha256 == _digest(code), of.expires_at > at
        )
    ).first()
    return None if found is None else Opened(*found)


def add_person_request(
    connection: Connection,
    household_id: str,
    assessment_id: str,
    what: Literal["correction", "contact"],
    facts: Sequence[str],
    at: Micros,
) -> journal.Entry:
    """Keep what a household asks for on its own page."""
    request_id = secrets.token_hex(16)
    asked = {"request_id": request_id, "household_id": household_id, "assessment_id": assessment_id, "what": what}
    rows = {PERSON_REQUESTS: [{**asked, "facts": written(list(facts)), "recorded_at": at}]}
    return journal.append(connection, "person_request", request_id, {}, at, rows)


def person_requests(connection: Connection, household_id: str) -> list[Asked]:
    """What the household has asked for, newest first."""
    of = PERSON_REQUESTS.c
    rows = select(of.what, of.facts, of.recorded_at).where(of.household_id == household_id)
    return [
        Asked(row.what, tuple(json.loads(row.facts)), row.recorded_at)
        for row in connection.execute(rows.order_by(of.journal_seq.desc()))
    ]


def unanswered_requests(connection: Connection, household_id: str) -> list[Asked]:
    """What the household has asked for since somebody last recorded a visit, newest first."""
    of = REVIEWS.c
    last = connection.scalar(select(func.max(of.recorded_at)).where(of.household_id == household_id))
    asked = person_requests(connection, household_id)
    return asked if last is None else [each for each in asked if each.recorded_at > last]


def _digest(code: str) -> str:
    plain = code.upper().replace(" ", "").replace("-", "")
    return hashlib.sha256(plain.encode()).hexdigest()
