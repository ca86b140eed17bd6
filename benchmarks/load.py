"""A closed-loop load client: so many connections, each of which sends its next request when it has its answer.

Run as `python -m benchmarks.load BODIES ADDRESS ...` it asks a service on this machine, for a bounded time or a
bounded number of requests, and prints one JSON line. Latencies are those of every single request, from the first byte
sent to the last byte received; nothing is estimated from a histogram, and nothing is corrected afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httptools
import uvloop

TOKEN = "POVRISK_LOAD_TOKEN"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
ANSWER_WITHIN_S = 30.0
# As long as what takes its place, so that a body keeps its length.
MARK = b"@" * 12


@dataclass(frozen=True)
class Load:
    """What is asked, of whom, how often.

    `requests` are whole HTTP requests, sent in turns; a `MARK` in one becomes a number that no other request has. It
    ends after `seconds`, or after `limit` requests if that comes first. `every_s` is the least time between two
    requests of one connection (a probe; 0: at once).
    """

    host: str
    port: int
    requests: Sequence[bytes]
    connections: int
    seconds: float
    limit: int | None = None
    every_s: float = 0.0


@dataclass
class Tally:
    """What came back: seconds of every answer 200, and how many requests ended otherwise, by status or reason.

    `in_time` counts the answers that came before the end, and of each last one, which was waited for, the part of its
    time that lay before it; otherwise a few long calls would make a coarse rate.
    """

    latency_s: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    in_time: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    bytes_in: int = 0

    def as_json(self) -> dict[str, Any]:
        """Requests a second, and milliseconds.

        >>> told = Tally([0.001] * 98 + [0.002, 0.01], Counter({"503": 1}), in_time=100, wall_s=0.5).as_json()
        >>> told["per_s"], told["p50_ms"], told["p99_ms"], told["max_ms"], told["errors"]
        (200.0, 1.0, 2.0, 10.0, {'503': 1})
        """
        ordered = sorted(self.latency_s)
        return {
            "requests": len(ordered),
            "per_s": self.in_time / self.wall_s if self.wall_s else 0.0,
            "p50_ms": _milliseconds(ordered, 0.50),
            "p99_ms": _milliseconds(ordered, 0.99),
            "max_ms": _milliseconds(ordered, 1.0),
            "over_50_ms": sum(each > 0.05 for each in ordered),
            "errors": dict(self.errors),
            "wall_s": self.wall_s,
            "client_cpu_s": self.cpu_s,
            "bytes_in": self.bytes_in,
        }


def _milliseconds(ordered: Sequence[float], share: float) -> float | None:
    """The smallest time that at least this share of the answers took."""
    return 1e3 * ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else None


def request(path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    """One whole HTTP/1.1 request: a POST of JSON, or a GET without a body."""
    told = {"Host": "localhost", **(headers or {})}
    if body is not None:
        told |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")


def put(load: Load) -> Tally:
    """Ask, and count. Refuses any address that is not of this machine."""
    if load.host not in LOOPBACK:
        raise ValueError("load is only put on addresses of this machine")
    return uvloop.run(_Run(load).tally())


class _Run:
    def __init__(self, load: Load) -> None:
        self.load, self.counted = load, Tally()
        self.pieces = [message.split(MARK) for message in load.requests]
        self.serial = time.time_ns() // 1000
        self.asked = 0
        self.begun = self.ends = 0.0

    async def tally(self) -> Tally:
        """Open the connections one after another, so that a service is not met by all of them in one instant."""
        self.begun = time.perf_counter()
        self.ends = self.begun + self.load.seconds
        before = time.process_time()
        await asyncio.gather(*(self._connection(k) for k in range(self.load.connections)))
        self.counted.wall_s = max(0.0, min(time.perf_counter(), self.ends) - self.begun)
        self.counted.cpu_s = time.process_time() - before
        return self.counted

    def _goes_on(self) -> bool:
        is_full = self.load.limit is not None and self.asked >= self.load.limit
        return not is_full and time.perf_counter() < self.ends

    async def _connection(self, k: int) -> None:
        await asyncio.sleep(0.001 * k)
        line: _Line | None = None
        while self._goes_on():
            message = self._next()
            sent = time.perf_counter()
            try:
                if line is None or line.is_closed:
                    line = await self._opened()
                status = await asyncio.wait_for(line.ask(message), ANSWER_WITHIN_S)
                self._count(sent, str(status), line.n_bytes)
            except (OSError, httptools.HttpParserError) as error:
                self._count(sent, "late" if isinstance(error, TimeoutError) else "broken")
                if line is not None:
                    line.close()
                line = None
                # A service that refuses at once is not asked a hundred thousand times a second.
                await asyncio.sleep(0.01)
            if self.load.every_s:
                await asyncio.sleep(max(0.0, self.load.every_s - (time.perf_counter() - sent)))
        if line is not None:
            line.close()

    def _next(self) -> bytes:
        pieces = self.pieces[self.asked % len(self.pieces)]
        self.asked += 1
        return (b"%012d" % ((self.serial + self.asked) % 10**12)).join(pieces)

    async def _opened(self) -> _Line:
        _, line = await asyncio.get_running_loop().create_connection(_Line, self.load.host, self.load.port)
        return line

    def _count(self, sent: float, status: str, n_bytes: int = 0) -> None:
        now = time.perf_counter()
        if status != "200":
            self.counted.errors[status] += 1
            return
        self.counted.bytes_in += n_bytes
        self.counted.latency_s.append(now - sent)
        self.counted.in_time += min(1.0, (self.ends - sent) / (now - sent))


class _Line(asyncio.Protocol):
    """One connection with one request at a time on it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.is_closed, self.n_bytes = transport, False, 0
        self._waiting: asyncio.Future[int] | None = None

    def ask(self, message: bytes) -> asyncio.Future[int]:
        """Send a request; the status of its answer, when the whole of it is here."""
        self.n_bytes, self._parser = 0, httptools.HttpResponseParser(self)
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(message)  # type: ignore[attr-defined]
        return self._waiting

    def data_received(self, data: bytes) -> None:
        self.n_bytes += len(data)
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.is_closed = self.is_closed or not self._parser.should_keep_alive()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(self._parser.get_status_code())

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionResetError("closed before the whole answer"))

    def close(self) -> None:
        self._transport.close()


def main() -> None:
    """Ask as told by the arguments and print JSON; the token comes from the environment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="http://127.0.0.1:PORT/PATH")
    parser.add_argument("--bodies", type=Path, help="one JSON body a line; without it, GET")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--every", type=float, default=0.0)
    given = parser.parse_args()
    at = urlsplit(given.address)
    token = os.environ.get(TOKEN)
    headers = {} if token is None else {"Authorization": f"Bearer {token}", "X-Purpose": "prepare_visit"}
    bodies = [None] if given.bodies is None else given.bodies.read_bytes().splitlines()
    tally = put(
        Load(
            host=at.hostname or "",
            port=at.port or 80,
            requests=[request(at.path, body, headers) for body in bodies],
            connections=given.connections,
            seconds=given.seconds,
            limit=given.limit,
            every_s=given.every,
        )
    )
    print(json.dumps(tally.as_json()))


if __name__ == "__main__":
    main()
