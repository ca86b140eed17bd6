"""A server on loopback whose delays, faults and memory of what it was asked are known, for tests of load clients."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Answer = tuple[int, bytes]


@dataclass
class SlowServer:
    """Answers after `delay_s` what `answer` makes of path and body; every `faulty_every`-th call it ends instead with
    `fault`: a status, or `close` for half an answer, or `silence`."""

    delay_s: float = 0.0
    answer: Callable[[str, bytes], Answer] = lambda path, body: (200, b"{}")
    fault: str = ""
    faulty_every: int = 0
    keeps_alive: bool = True
    port: int = 0
    asked: list[tuple[str, bytes]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        length = next((int(x.split(":")[1]) for x in head.lower().split("\r\n") if x.startswith("content-length")), 0)
        body = await reader.readexactly(length)
        self.asked.append((path, body))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        is_faulty = self.faulty_every > 0 and len(self.asked) % self.faulty_every == 0
        await asyncio.sleep(self.delay_s)
        if is_faulty and self.fault == "silence":
            await asyncio.sleep(30)
        status, content = self.answer(path, body)
        if is_faulty and self.fault.isdigit():
            status = int(self.fault)
        kept = "keep-alive" if self.keeps_alive else "close"
        told = f"HTTP/1.1 {status} told\r\nContent-Length: {len(content)}\r\nConnection: {kept}\r\n\r\n".encode()
        self.in_flight -= 1
        if is_faulty and self.fault == "close":
            writer.write(told[:20])
            return False
        writer.write(told + content)
        await writer.drain()
        return self.keeps_alive


@contextmanager
def running(server: SlowServer) -> Iterator[SlowServer]:
    """The server in a thread of its own."""
    loop, is_up, ended = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def live() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        server.port = listening.sockets[0].getsockname()[1]
        is_up.set()
        await ended.wait()
        listening.close()
        calls = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(live()))
    thread.start()
    assert is_up.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def probability_of(path: str, body: bytes) -> Answer:
    """What a service with one opinion about everybody would say."""
    sent = json.loads(body) if body else {"households": []}
    return 200, json.dumps({"results": [{"probability": 0.5} for _ in sent["households"]]}).encode()
