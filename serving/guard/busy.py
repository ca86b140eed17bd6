"""How much one worker takes on at a time: calls, and bytes of bodies."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import TooBusy

# Whoever watches over the service must be able to ask whether it lives, above all when it is busy.
HEALTH = frozenset({"/livez", "/readyz"})


class Busy:
    """Refuses a call at once (503, `Retry-After`) rather than letting it wait behind too many others.

    A call counts from when its body has arrived until it is answered: one that sends its body slowly takes no place
    from others, only the bytes that have come so far. Bytes count as they arrive, whatever a header says, and until
    the call is answered. `/livez` and `/readyz` are never refused and never counted.
    """

    def __init__(self, app: ASGIApp, *, calls: int, body_bytes: int) -> None:
        self.app = app
        self.most_calls = calls
        self.most_bytes = body_bytes
        self.calls = 0
        self.bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call, counted while it is held."""
        if scope["type"] != "http" or scope["path"] in HEALTH:
            return await self.app(scope, receive, send)
        # Refused before its body is read, when there is no place for it anyway.
        self._refuse_when_full(0)
        held = _Held(self, receive)
        if scope["method"] in ("GET", "HEAD"):
            held.take_place()
        try:
            await self.app(scope, held.receive, send)
        finally:
            held.release()

    def _refuse_when_full(self, more_bytes: int) -> None:
        if self.calls >= self.most_calls or self.bytes + more_bytes > self.most_bytes:
            raise TooBusy


class _Held:
    """What one call holds: its place, and the bytes of its body so far."""

    __slots__ = ("_busy", "_bytes", "_has_place", "_receive")

    def __init__(self, busy: Busy, receive: Receive) -> None:
        self._busy = busy
        self._receive = receive
        self._bytes = 0
        self._has_place = False

    def take_place(self) -> None:
        self._busy.calls += 1
        self._has_place = True

    async def receive(self) -> Message:
        """The next piece of the body, counted. Raises `TooBusy` where there is no room for it."""
        message = await self._receive()
        if message["type"] == "http.request" and not self._has_place:
            size = len(message.get("body", b""))
            self._busy._refuse_when_full(size)
            self._busy.bytes += size
            self._bytes += size
            if not message.get("more_body", False):
                self.take_place()
        return message

    def release(self) -> None:
        self._busy.calls -= self._has_place
        self._busy.bytes -= self._bytes
        self._has_place, self._bytes = False, 0
