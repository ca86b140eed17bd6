"""How a body may arrive: as JSON, or on pages as a form, not too large, not too slowly."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import BodyTooLarge, BodyTooSlow, Malformed, NotForm, NotJson, Refusal
from serving.guard.access import RULE

MAX_FORM_BYTES = 64 * 1024
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"


class Body:
    """Reads the whole body before the service sees the call, and hands it on as one piece.

    `max_bytes` is counted as the body arrives, whatever its length header says; `read_s` bounds the whole reading.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, read_s: float) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.read_s = read_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call. Bodies of GET and HEAD are never read."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        rule = scope.get(RULE)
        is_form = rule is not None and rule.is_page
        _refuse_other_than(_FORM if is_form else _JSON, headers)
        most = min(self.max_bytes, MAX_FORM_BYTES) if is_form else self.max_bytes
        if _declared_bytes(headers) > most:
            raise BodyTooLarge(most)
        try:
            async with asyncio.timeout(self.read_s):
                body = await _read(receive, most)
        except TimeoutError:
            raise BodyTooSlow(self.read_s) from None
        if body is None:
            return None
        return await self.app(scope, _once(body, receive), send)


async def _read(receive: Receive, max_bytes: int) -> bytes | None:
    """The body, or None when the caller has gone."""
    pieces, length = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece = message.get("body", b"")
        length += len(piece)
        if length > max_bytes:
            raise BodyTooLarge(max_bytes)
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)


def _once(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body first and then listens to the caller again."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _refuse_other_than(wanted: str, headers: Headers) -> None:
    refuse: type[Refusal] = NotJson if wanted == _JSON else NotForm
    media_types = headers.getlist("content-type")
    kind, *parameters = media_types[0].split(";") if len(media_types) == 1 else [""]
    charsets = {p.strip().lower().replace('"', "") for p in parameters} - {"charset=utf-8", "charset=utf8", ""}
    if kind.strip().lower() != wanted or charsets:
        raise refuse(f"send Content-Type: {wanted}, in UTF-8")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise refuse("send the body without Content-Encoding")


def _declared_bytes(headers: Headers) -> int:
    written = headers.get("content-length", "0")
    if not (written.isascii() and written.isdigit()):
        raise Malformed("Content-Length is not a number of bytes")
    return int(written) if len(written) < 20 else 10**20
