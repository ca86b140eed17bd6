"""Every error leaves as a problem document, or to a person as a page, whoever made it."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import MEDIA_TYPE, Failed, LoginNeeded, Refusal, refusal_for
from serving.guard.access import RULE
from serving.guard.language import language_of, wants_page
from serving.guard.pages import SECURITY_HEADERS
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
    """The outermost layer. Replies with a status of 400 or more get a problem document or an error page for a body."""

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
            if message["type"] == "http.response.start" and message["status"] >= 400 and not _is_own(message, scope):
                error_status = message["status"]
            if error_status is None:
                begun = True
                await send(_not_to_be_kept(message, scope))

        refusal: Refusal | None
        try:
            await self.app(scope, receive, without_error_bodies)
            refusal = None if error_status is None else (noted[-1] if noted else refusal_for(error_status))
        except Refusal as raised:
            refusal = raised
        except LoginNeeded as needed:
            return await _show_login(needed, send)
        except Exception as error:
            logger.error("a call failed\n%s", places(error))
            refusal = Failed("the fault is logged; no result was computed")
        if refusal is None:
            return
        if begun:
            raise refusal
        scope.setdefault("state", {})["refusal"] = refusal.name
        await _reply(refusal, scope, send)


def _is_own(message: Message, scope: Scope) -> bool:
    """Whether one of our pages shows what is wrong by itself, with the form that was sent still filled in."""
    if RULE not in scope or not scope[RULE].is_page or message["status"] >= 500:
        return False
    return Headers(raw=message["headers"]).get("content-type", "").startswith("text/html")


def _not_to_be_kept(message: Message, scope: Scope) -> Message:
    """Answers are about households; nothing on the way may store them. Style sheets and the like are about nobody."""
    if message["type"] != "http.response.start":
        return message
    is_static = RULE in scope and scope[RULE].pattern.startswith("/static/")
    kept = b"public, max-age=3600" if is_static else b"no-store"
    others = [(name, value) for name, value in message.get("headers", []) if name.lower() != b"cache-control"]
    return {**message, "headers": [*others, (b"cache-control", kept)]}


async def _show_login(needed: LoginNeeded, send: Send) -> None:
    headers = {"Location": f"/login?next={quote(needed.path, safe='/')}", "Content-Length": "0"}
    await _send(303, {**headers, **SECURITY_HEADERS}, b"", send)


async def _reply(refusal: Refusal, scope: Scope, send: Send) -> None:
    rule = scope.get(RULE)
    if (rule is None or rule.is_page) and wants_page(Headers(scope=scope)):
        body = _page(refusal, language_of(scope))
        is_html = body.lstrip()[:1] == b"<"
        kind = f"text/{'html' if is_html else 'plain'}; charset=utf-8"
        headers = {"Content-Type": kind, **SECURITY_HEADERS}
    else:
        body, headers = refusal.body(), {"Content-Type": MEDIA_TYPE}
    headers |= {"Content-Length": str(len(body)), **refusal.headers}
    await _send(refusal.status, headers, b"" if scope["method"] == "HEAD" else body, send)


def _page(refusal: Refusal, language: str) -> bytes:
    """The refusal for a person; as plain text where the pages are not to be had."""
    reasons = [error.reason for error in refusal.errors]
    try:
        from serving.pages.view import error_html

        page: str = error_html(refusal.status, refusal.title, "; ".join([refusal.detail, *reasons]), language)
        return page.encode()
    except Exception as error:
        logger.error("the page of an error could not be made\n%s", places(error))
        return f"{refusal.status} {refusal.title}: {refusal.detail}\n".encode()


async def _send(status: int, headers: dict[str, str], body: bytes, send: Send) -> None:
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    encoded.append((b"cache-control", b"no-store"))
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
