"""A worker takes on so many calls and bytes at a time and no more; what it cannot take it refuses at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from serving.errors import TooBusy
from serving.guard.busy import Busy
from tests.loops import run as run_apart


class Sender:
    """A caller whose pieces of a body arrive when the test lets them."""

    def __init__(self, path: str = "/score", method: str = "POST") -> None:
        self.scope = {"type": "http", "path": path, "method": method}
        self.pieces: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def piece(self, body: bytes, more: bool = False) -> None:
        self.pieces.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def leave(self) -> None:
        self.pieces.put_nowait({"type": "http.disconnect"})


class Held:
    """An application that reads a whole body and then holds the call until it may answer."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.reached = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached += 1
        more = scope["method"] == "POST"
        while more:
            message = await receive()
            more = message.get("more_body", False)
        await self.may_answer.wait()


async def asked(busy: Busy, *senders: Sender) -> list[asyncio.Task[None]]:
    """The calls, each as far as it comes."""
    calls = [asyncio.create_task(busy(sender.scope, sender.pieces.get, None)) for sender in senders]  # type: ignore[arg-type]
    await settled()
    return calls


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def outcomes(calls: Sequence[asyncio.Task[None]]) -> list[str]:
    return ["held" if not c.done() else "refused" if isinstance(c.exception(), TooBusy) else "answered" for c in calls]


def whole(n_bytes: int = 1, path: str = "/score") -> Sender:
    sender = Sender(path)
    sender.piece(b"x" * n_bytes)
    return sender


async def finished(app: Held, busy: Busy, calls: Sequence[asyncio.Task[None]]) -> None:
    """Everything that is held is answered, and nothing is counted any longer."""
    app.may_answer.set()
    await asyncio.gather(*calls, return_exceptions=True)
    assert (busy.calls, busy.bytes) == (0, 0)


def test_one_call_more_than_there_are_places_is_refused_and_a_place_that_is_left_is_free_again() -> None:
    async def run() -> None:
        app = Held()
        busy = Busy(app, calls=3, body_bytes=1000)
        calls = await asked(busy, whole(), whole(), Sender("/queue", "GET"), whole(), Sender("/queue", "GET"))
        assert outcomes(calls) == ["held", "held", "held", "refused", "refused"]
        assert app.reached == 3
        await finished(app, busy, calls)
        assert outcomes(await asked(busy, whole())) == ["answered"]

    run_apart(run())


def test_bytes_count_as_they_arrive_and_until_the_answer() -> None:
    async def run() -> None:
        app = Held()
        busy = Busy(app, calls=9, body_bytes=100)
        slow = Sender()
        slow.piece(b"x" * 30, more=True)
        calls = await asked(busy, slow, whole(60), whole(11))
        assert outcomes(calls) == ["held", "held", "refused"]
        assert (busy.calls, busy.bytes) == (1, 90)
        slow.piece(b"x" * 10)
        await settled()
        assert (busy.calls, busy.bytes) == (2, 100)
        calls += await asked(busy, whole(1))
        assert outcomes(calls)[-1] == "refused"
        await finished(app, busy, calls)

    run_apart(run())


def test_bodies_that_arrive_slowly_take_no_place_from_others() -> None:
    async def run() -> None:
        app = Held()
        busy = Busy(app, calls=2, body_bytes=10_000)
        slow = [Sender() for _ in range(400)]
        for sender in slow:
            sender.piece(b"{", more=True)
        held = await asked(busy, *slow)
        calls = await asked(busy, whole(), whole(), whole())
        assert outcomes(calls) == ["held", "held", "refused"]
        # Two places are taken; a slow body that is whole at last finds none.
        slow[0].piece(b"}")
        await settled()
        assert outcomes(held[:2]) == ["refused", "held"]
        for sender in slow[1:]:
            sender.leave()
        await finished(app, busy, [*calls, *held])

    run_apart(run())


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_whoever_asks_whether_the_service_lives_is_never_refused(path: str) -> None:
    async def run() -> None:
        app = Held()
        busy = Busy(app, calls=1, body_bytes=1)
        calls = await asked(busy, whole(), *[Sender(path, "GET") for _ in range(50)], Sender("/model", "GET"))
        assert outcomes(calls) == [*["held"] * 51, "refused"]
        await finished(app, busy, calls)

    run_apart(run())


def test_a_call_that_fails_or_is_given_up_leaves_its_place() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise KeyError

    async def run() -> None:
        busy = Busy(failing, calls=1, body_bytes=10)
        for _ in range(3):
            calls = await asked(busy, whole(5))
            assert isinstance(calls[0].exception(), KeyError)
        app = Held()
        busy = Busy(app, calls=1, body_bytes=10)
        given_up = await asked(busy, whole(5))
        given_up[0].cancel()
        await settled()
        assert (busy.calls, busy.bytes) == (0, 0)

    run_apart(run())


def test_the_refusal_says_when_to_ask_again() -> None:
    assert (TooBusy.status, TooBusy().headers) == (503, {"Retry-After": "1"})
