"""The real service in a process of its own, for tests that speak HTTP to it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

STARTS_WITHIN_S = 150
STOPS_WITHIN_S = 30
TOKENS = {role: f"{role}-token-for-tests" for role in ("platform", "caseworker", "supervisor", "researcher")}


@dataclass(frozen=True)
class RunningService:
    """Where it listens and what it has written."""

    url: str
    process: subprocess.Popen[str]
    log: Path
    said: dict[str, Any]

    def headers(self, role: str = "platform", purpose: str | None = "prepare_visit") -> dict[str, str]:
        """What a caller of this role sends along."""
        headers = {"Authorization": f"Bearer {TOKENS[role]}"}
        return headers if purpose is None else {**headers, "X-Purpose": purpose}

    def post(self, path: str = "/score", **sent: Any) -> httpx.Response:
        """A call as the platform, unless told otherwise."""
        return httpx.post(self.url + path, **{"headers": self.headers(), "timeout": 60, **sent})

    def get(self, path: str, **sent: Any) -> httpx.Response:
        """A reading call as the platform, unless told otherwise."""
        return httpx.get(self.url + path, **{"headers": self.headers(), "timeout": 60, **sent})


@contextmanager
def running_service(bundle: Path, scratch: Path, **environment: str) -> Iterator[RunningService]:
    """`povrisk serve` on a free loopback port; asserts that it leaves with 0 when asked to."""
    log = scratch / "service.log"
    tokens = ",".join(f"{role}:{token}" for role, token in TOKENS.items())
    with log.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, "-c", "from serving.commands import serve; serve()", str(bundle), "--port", "0", "--json"],
            env={
                **os.environ,
                "POVRISK_TOKENS": tokens,
                # Tests ask more in a minute than a platform; those about the limit set it themselves.
                "POVRISK_CALLS_PER_S": "10000",
                "POVRISK_CALLS_IN_RESERVE": "10000",
                "PYTHONPATH": str(Path(__file__).parent.parent),
                **environment,
            },
            cwd=scratch,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
        )
    try:
        said = json.loads(_first_line(process, log))
        yield RunningService(said["url"], process, log, said)
    finally:
        if process.poll() is None:
            process.terminate()
        code = process.wait(STOPS_WITHIN_S)
    assert code == 0, log.read_text()


def _first_line(process: subprocess.Popen[str], log: Path) -> str:
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()
    try:
        line = lines.get(timeout=STARTS_WITHIN_S)
    except queue.Empty:
        line = ""
    if not line:
        process.kill()
        process.wait()
        raise AssertionError(f"the service did not start:\n{log.read_text()}")
    return line
