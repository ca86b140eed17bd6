"""An answer in time, or a refusal."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import Overdue


class Deadline:
    """Refuses a call that has not begun to answer after `call_s` seconds.

    The computation behind it is not torn down here, because a thread cannot be: BentoML's own, slightly longer
    timeout takes care of calls that still wait for one. What such a call says later is dropped.
    """

    def __init__(self, app: ASGIApp, *, call_s: float) -> None:
        self.app = app
        self.call_s = call_s
        self._overdue: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call, with its clock."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun = is_overdue = False

        async def in_time(message: Message) -> None:
            nonlocal begun
            if not is_overdue:
                begun = True
                await send(message)

        call = asyncio.ensure_future(self.app(scope, receive, in_time))
        try:
            await asyncio.wait({call}, timeout=self.call_s)
        except asyncio.CancelledError:
            call.cancel()
            raise
        if call.done() or begun:
            return await call
        is_overdue = True
        self._overdue.add(call)
        call.add_done_callback(self._forget)
        raise Overdue(f"no answer within {self.call_s:g} s; send fewer households")

    def _forget(self, call: asyncio.Future[None]) -> None:
        self._overdue.discard(call)
        if not call.cancelled():
            call.exception()
