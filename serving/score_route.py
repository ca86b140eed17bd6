"""`POST /score`, answered before BentoML's own application: bytes in, assessments out, nothing between that costs time.

BentoML goes on describing the endpoint; what happens here and in its `score` is the same (`answered`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from serving import metrics
from serving.call import Call
from serving.codec import AnyHousehold, read, read_if_plain, written
from serving.errors import FieldError, Invalid
from serving.guard.rules import READS_SEALED
from serving.scoring import in_language
from serving.settings import Settings
from serving.tokens import Role
from serving.turns import Turns

KEPT = "X-Assessment-Kept"
# Larger bodies are read, and larger answers written, beside the event loop.
LARGE_BODY = 64 * 1024
# hashlib keeps the lock of the interpreter for pieces up to this size.
HASHED_AT_ONCE = 2047
MANY_HOUSEHOLDS = 10


class ScoreRoute:
    """The application that answers `POST /score` behind the guard, which has checked who asks and read the body."""

    def __init__(self, turns: Turns, settings: Settings) -> None:
        self.turns = turns
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call. Raises its refusal, of which the guard makes a reply."""
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        began = time.perf_counter()
        language = language_of(scope["query_string"])
        body: bytes = message.get("body", b"")
        households = await self._read(body)
        state = scope["state"]
        state["counts"] = {"households": len(households), "events": sum(len(each.events) for each in households)}
        call = call_of(households, scope, body)
        has_read = time.perf_counter()
        metrics.stage("read", has_read - began)
        scored = await self.turns.answer(call)
        has_answered = time.perf_counter()
        if len(call.households) > MANY_HOUSEHOLDS:
            answer = await run_in_threadpool(written_in, language, scored.records)
        else:
            answer = written_in(language, scored.records)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
            (KEPT.lower().encode(), b"yes" if scored.is_kept else b"no"),
        ]
        has_written = time.perf_counter()
        metrics.stage("write", has_written - has_answered)
        state["stages"] = {
            "read": round(has_read - began, 6),
            "answer": round(has_answered - has_read, 6),
            "write": round(has_written - has_answered, 6),
        }
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _read(self, body: bytes) -> Sequence[AnyHousehold]:
        if len(body) <= LARGE_BODY:
            households = read_if_plain(body, self.settings)
            if households is not None:
                return households
        # Whatever is not plain may take long to be refused.
        return await run_in_threadpool(read, body, self.settings)


def call_of(households: Sequence[AnyHousehold], scope: Mapping[str, Any], body: bytes) -> Call:
    """The call that a body makes, by what the guard found out about who asks."""
    state = scope["state"]
    purpose = next(value for name, value in scope["headers"] if name == b"x-purpose")
    return Call(
        households=households,
        role=state["role"],
        actor=state["actor"],
        purpose=purpose.decode("latin-1"),
        request_id=state.get("request_id", ""),
        body_sha256=_sha256(body),
        may_read_sealed=Role(state["role"]) in READS_SEALED,
    )


def _sha256(body: bytes) -> str:
    """The digest of a body, piece by piece: for longer ones hashlib gives up the lock, and to get it back beside a
    computing thread lasts longer than to hash a body of a few households."""
    if len(body) > LARGE_BODY:
        return sha256(body).hexdigest()
    digest, view = sha256(), memoryview(body)
    for begin in range(0, len(body), HASHED_AT_ONCE):
        digest.update(view[begin : begin + HASHED_AT_ONCE])
    return digest.hexdigest()


def language_of(query: bytes) -> str | None:
    """The language asked for in an address; None means both. Raises `Invalid` for anything else in it.

    >>> language_of(b""), language_of(b"lang=en")
    (None, 'en')
    """
    if not query:
        return None
    parameters = QueryParams(query).multi_items()
    unknown = [FieldError(("query",), "only lang is known") for name, _ in parameters if name != "lang"]
    given = [value for name, value in parameters if name == "lang"]
    if unknown or len(given) > 1 or not set(given) <= {"zh", "en"}:
        raise Invalid.because(unknown[:1] or [FieldError(("query", "lang"), "must be zh or en, once")])
    return given[0] if given else None


def written_in(language: str | None, records: list[dict[str, Any]]) -> bytes:
    """The body of an answer in one language, or in both."""
    return written(in_language(records, language))
