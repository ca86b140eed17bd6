"""The outermost layer: every call gets a number of its own, one line in the log, and is counted."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import metrics
from serving.guard.access import RULE
from serving.guard.rules import PURPOSES, rule_of
from serving.heartbeat import beat
from serving.log_lines import Line

logger = logging.getLogger("povrisk.calls")

UNKNOWN = "unknown"
# Asked every few seconds by whoever watches over the service; they are counted, and told only when they fail.
PROBES = frozenset({"/livez", "/readyz"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Calls:
    """Sets `scope["state"]["request_id"]`, sends it back as `X-Request-Id`, and writes what became of the call.

    The number is ours: one that a caller sends is never used. The line holds the pattern of the address and never the
    path or the query, no header of the caller's but a purpose that is one of ours, and no name of anybody. Layers
    within leave in `scope["state"]` what only they know: `refusal` (its name), `counts` (households, events) and
    `stages` (seconds by stage).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call; or the life of the worker, whose pulse is taken meanwhile."""
        if scope["type"] == "lifespan":
            return await self._live(scope, receive, send)
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = uuid.uuid4().hex
        header = (b"x-request-id", request_id.encode())
        begun = time.perf_counter()
        bytes_in = bytes_out = 0
        status = 0

        async def received() -> Message:
            nonlocal bytes_in
            message = await receive()
            bytes_in += len(message.get("body", b""))
            return message

        async def sent(message: Message) -> None:
            nonlocal bytes_out, status
            if message["type"] == "http.response.start":
                status = message["status"]
                others = [each for each in message.get("headers", ()) if each[0].lower() != b"x-request-id"]
                message = {**message, "headers": [*others, header]}
            else:
                bytes_out += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, received, sent)
        finally:
            _tell(scope, state, status, time.perf_counter() - begun, bytes_in, bytes_out)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        pulse = asyncio.create_task(beat())
        try:
            await self.app(scope, receive, send)
        finally:
            pulse.cancel()
            with suppress(asyncio.CancelledError):
                await pulse


def _tell(scope: Scope, state: dict[str, Any], status: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
    """Count a call and write its line; status 0 is a caller who left before there was an answer."""
    rule = scope.get(RULE) or rule_of(scope["path"])
    address = UNKNOWN if rule is None else rule.pattern
    metrics.call_done(address, status, seconds)
    if address == "/journal/head" and status == 200:
        metrics.journal_head_read()
    refusal = state.get("refusal")
    if refusal is not None:
        metrics.refused(refusal)
    if address in PROBES and status == 200:
        return
    counts = state.get("counts") or {}
    fields = {
        "request_id": state["request_id"],
        "address": address,
        "method": scope["method"] if scope["method"] in METHODS else UNKNOWN,
        "status": status,
        "seconds": round(seconds, 6),
        "role": state.get("role"),
        "purpose": _purpose(scope) if rule is not None and rule.needs_purpose else None,
        "refusal": refusal,
        "households": counts.get("households"),
        "events": counts.get("events"),
        "bytes_in": bytes_in,
        "bytes_out": bytes_out,
        "stages": state.get("stages"),
        "bundle": metrics.bundle_in_use(),
        "pid": os.getpid(),
    }
    logger.log(logging.INFO if status < 500 else logging.ERROR if status == 500 else logging.WARNING, Line(fields))


def _purpose(scope: Scope) -> str | None:
    """The purpose, if it is one of ours."""
    given = [value for name, value in scope["headers"] if name == b"x-purpose"]
    written = given[0].decode("latin-1") if len(given) == 1 else ""
    return written if written in PURPOSES else None
