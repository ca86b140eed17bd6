"""Whoever asks thousands of times about almost the same household is stopped, and others are not."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from serving.guard import guarded
from serving.sessions import Sessions
from serving.settings import Settings
from serving.tokens import read_tokens
from tests.loops import run as run_apart

TOKENS = read_tokens("platform:pp,platform:p2,caseworker:cc")
SESSIONS = Sessions(b"k" * 32, TOKENS, hours=9.0)
CALLS = 10_000


class Oracle:
    """Answers every call that reaches it."""

    def __init__(self) -> None:
        self.answered = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        self.answered += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


async def ask(app: Any, token: str, value: int, read: list[int]) -> tuple[int, dict[str, str]]:
    body = json.dumps({"households": [{"events": [{"value": value}]}]}).encode()
    said: dict[str, Any] = {}

    async def receive() -> Any:
        read.append(value)
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        said.update(message)

    headers = {"authorization": f"Bearer {token}", "x-purpose": "prepare_visit", "content-type": "application/json"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/score",
        "query_string": b"",
        "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
    }
    await app(scope, receive, send)
    return said["status"], {name.decode(): text.decode() for name, text in said["headers"]}


def test_ten_thousand_queries_that_are_nearly_equal_get_few_answers() -> None:
    oracle, settings, read = Oracle(), Settings(), list[int]()
    app = guarded(oracle, TOKENS, SESSIONS, settings)

    async def probe() -> tuple[float, list[tuple[int, dict[str, str]]], int]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        replies = [await ask(app, "pp", value, read) for value in range(CALLS)]
        seconds = loop.time() - started
        return seconds, replies, (await ask(app, "p2", 0, []))[0]

    seconds, replies, other = run_apart(probe())
    statuses = Counter(status for status, _ in replies)
    most = settings.calls_in_reserve + settings.calls_per_s * seconds + 1
    assert set(statuses) == {200, 429}
    assert settings.calls_in_reserve <= statuses[200] <= most
    assert oracle.answered == statuses[200] + 1
    # What is refused is refused unread.
    assert len(read) == statuses[200]
    assert {headers["retry-after"] for status, headers in replies if status == 429} == {"1"}
    assert other == 200


def test_many_calls_side_by_side_are_stopped_as_well() -> None:
    oracle, settings = Oracle(), Settings()
    app = guarded(oracle, TOKENS, SESSIONS, settings)

    async def probe() -> list[tuple[int, dict[str, str]]]:
        return await asyncio.gather(*[ask(app, "cc", value, []) for value in range(1000)])

    statuses = Counter(status for status, _ in run_apart(probe()))
    assert statuses[200] <= settings.calls_in_reserve + 60
    assert set(statuses) <= {200, 429, 503}
