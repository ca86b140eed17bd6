"""How often a token may call: so many a second in the long run, so many at once after a pause."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from serving import metrics
from serving.guard.access import Access
from serving.guard.problems import Problems
from serving.guard.rate import Buckets, Rate
from serving.sessions import Sessions
from serving.tokens import read_tokens
from tests.loops import run as run_apart

TOKENS = read_tokens("platform:pp,platform:p2,caseworker:cc,researcher:rr")
SESSIONS = Sessions(b"k" * 32, TOKENS, hours=9.0)


class Front:
    """The layers up to `Rate` in front of an application that answers 200, with a clock that the test turns."""

    def __init__(self, per_s: float = 2.0, reserve: int = 3) -> None:
        self.now = 100.0
        self.counted: list[tuple[str, bool]] = []
        self.reads = 0
        rate = Rate(
            self._inner,
            per_s=per_s,
            reserve=reserve,
            count=lambda role, is_refused: self.counted.append((role, is_refused)),
            clock=lambda: self.now,
        )
        self.app = Problems(Access(rate, TOKENS, SESSIONS))

    async def _inner(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def ask(self, path: str = "/model", method: str = "GET", **headers: str) -> tuple[int, dict[str, str]]:
        """Status and headers of one call."""
        said: list[Any] = []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }

        async def receive() -> Any:
            self.reads += 1
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            said.append(message)

        run_apart(self.app(scope, receive, send))
        return said[0]["status"], {name.decode(): value.decode() for name, value in said[0]["headers"]}

    def as_token(self, token: str, n: int = 1, path: str = "/model") -> list[int]:
        return [self.ask(path, authorization=f"Bearer {token}")[0] for _ in range(n)]


def test_the_reserve_is_used_up_and_fills_again_with_time() -> None:
    front = Front(per_s=2.0, reserve=3)
    assert front.as_token("pp", 5) == [200, 200, 200, 429, 429]
    front.now += 0.5
    assert front.as_token("pp", 2) == [200, 429]
    front.now += 3600.0
    assert front.as_token("pp", 4) == [200, 200, 200, 429]


def test_a_refused_call_says_how_many_seconds_to_wait_and_reads_no_body() -> None:
    front = Front(per_s=0.1, reserve=1)
    front.as_token("pp")
    front.reads = 0
    status, headers = front.ask(authorization="Bearer pp")
    assert (status, headers["retry-after"], headers["content-type"]) == (429, "10", "application/problem+json")
    assert front.reads == 0
    front.now += 9.5
    assert front.ask(authorization="Bearer pp")[1]["retry-after"] == "1"
    front.now += 0.5
    assert front.as_token("pp") == [200]


def test_each_token_has_its_own_allowance_over_all_addresses() -> None:
    front = Front(reserve=2)
    assert front.as_token("pp", 1, "/model") + front.as_token("pp", 2, "/metrics") == [200, 200, 429]
    assert front.as_token("p2", 2) == [200, 200]
    assert front.as_token("cc", 1) == [200]


def test_a_login_shares_the_allowance_of_its_token() -> None:
    front = Front(reserve=2)
    cookie = f"povrisk_session={SESSIONS.opened('cc')}"
    statuses = [front.ask("/", cookie=cookie, accept="text/html")[0] for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert front.as_token("cc") == [429]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/card", "/login", "/static/a.css"])
def test_what_needs_no_role_is_not_counted(path: str) -> None:
    front = Front(per_s=0.001, reserve=1)
    cookie = f"povrisk_session={SESSIONS.opened('cc')}"
    assert {front.ask(path, cookie=cookie)[0] for _ in range(20)} == {200}
    assert front.counted == []


def test_strangers_and_calls_without_a_right_use_up_nobodys_allowance() -> None:
    front = Front(reserve=1)
    assert front.as_token("guess", 5) == [401] * 5
    assert front.as_token("rr", 5, "/queue") == [403] * 5
    assert front.as_token("rr", 2) == [200, 429]


def test_the_role_of_every_call_is_counted_and_not_whose_it_was() -> None:
    front = Front(reserve=2)
    front.as_token("pp", 3)
    front.as_token("rr", 1)
    assert front.counted == [("platform", False), ("platform", False), ("platform", True), ("researcher", False)]


def test_the_metrics_tell_the_calls_of_each_role() -> None:
    def told(is_rationed: str) -> float:
        labels = {"role": "researcher", "rationed": is_rationed}
        return REGISTRY.get_sample_value("povrisk_asked_total", labels) or 0.0

    before = told("no"), told("yes")
    for is_refused in (False, False, True):
        metrics.asked("researcher", is_refused)
    assert (told("no") - before[0], told("yes") - before[1]) == (2, 1)


@given(
    st.integers(1, 20),
    st.sampled_from([0.5, 1.0, 3.0, 20.0]),
    st.lists(st.floats(0.0, 5.0, allow_nan=False), max_size=80),
)
def test_a_bucket_gives_as_many_calls_as_one_that_is_filled_by_hand(
    reserve: int, per_s: float, pauses: list[float]
) -> None:
    clock = [1000.0]
    buckets = Buckets(per_s, reserve, lambda: clock[0])
    level = float(reserve)
    for pause in pauses:
        clock[0] += pause
        level = min(reserve, level + pause * per_s)
        wait_s = buckets.take("a")
        if abs(level - 1) > 1e-4:
            assert (wait_s == 0) == (level > 1)
        if wait_s == 0:
            level -= 1
        else:
            assert wait_s == pytest.approx((1 - level) / per_s, abs=1e-4)


def test_names_are_forgotten_before_they_fill_the_memory() -> None:
    clock = [0.0]
    buckets = Buckets(1.0, 2, lambda: clock[0], most=100)
    for n in range(1000):
        buckets.take(f"n{n}")
        assert len(buckets._full_at) <= 100
    for _ in range(2):
        buckets.take("busy")
    clock[0] += 1.5
    for n in range(150):
        buckets.take(f"m{n}")
    assert len(buckets._full_at) <= 100
