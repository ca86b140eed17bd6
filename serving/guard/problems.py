"""Every error leaves as a problem document, whoever made it."""

from __future__ import annotations

import logging
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import MEDIA_TYPE, Failed, Refusal, refusal_for
from serving.redaction import places, request_is_running

logger = logging.getLogger("povrisk.serving")
_noted: ContextVar[list[Refusal] | None] = ContextVar("noted", default=None)


def note(refusal: Refusal) -> Refusal:
    """Keep a refusal for the reply, and hand it back to be raised.

    BentoML turns every exception of an endpoint into a reply of its own, which loses the fields that were named.
    """
    noted = _noted.get()
    if noted is not None:
        noted.append(refusal)
    return refusal


class Problems:
    """The outermost layer. Replies with a status of 400 or more get a problem document for a body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection. Nothing here speaks websocket."""
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        noted: list[Refusal] = []
        noting, running = _noted.set(noted), request_is_running.set(True)
        try:
            await self._answer(scope, receive, send, noted)
        finally:
            _noted.reset(noting)
            request_is_running.reset(running)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, noted: list[Refusal]) -> None:
        begun = False
        error_status: int | None = None

        async def without_error_bodies(message: Message) -> None:
            nonlocal begun, error_status
            if message["type"] == "http.response.start" and message["status"] >= 400:
                error_status = message["status"]
            if error_status is None:
                begun = True
                await send(_not_to_be_kept(message))

        refusal: Refusal | None
        try:
            await self.app(scope, receive, without_error_bodies)
            refusal = None if error_status is None else (noted[-1] if noted else refusal_for(error_status))
        except Refusal as raised:
            refusal = raised
        except Exception as error:
            logger.error("a call failed\n%s", places(error))
            refusal = Failed("the fault is logged; no result was computed")
        if refusal is None:
            return
        if begun:
            raise refusal
        # The path is written only when it is one of ours: Access refuses all others before they get this far.
        known = scope["path"] if refusal.status not in (401, 404) else "an address"
        logger.info("refused %s on %s with %d field(s) named", refusal.status, known, len(refusal.errors))
        await _reply(refusal, scope, send)


def _not_to_be_kept(message: Message) -> Message:
    """Answers are about households; nothing on the way may store them."""
    if message["type"] != "http.response.start":
        return message
    return {**message, "headers": [*message.get("headers", []), (b"cache-control", b"no-store")]}


async def _reply(refusal: Refusal, scope: Scope, send: Send) -> None:
    body = refusal.body()
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        **refusal.headers,
    }
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": encoded})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
