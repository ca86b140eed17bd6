"""Services under load: started on chosen cores of this machine, watched, and stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from benchmarks.apart import ROOT, RunFailed

TOKEN = "a-token-of-this-measurement"
READY_WITHIN_S = 150.0
STOP_WITHIN_S = 25.0
TUTORIALS = {"events": "benchmarks.tutorial.events_service", "vector": "benchmarks.tutorial.vector_service"}
NO_LIMITS = {
    "POVRISK_TOKENS": f"platform:{TOKEN}",
    "POVRISK_CALLS_PER_S": "1000000",
    "POVRISK_CALLS_IN_RESERVE": "100000000",
    "POVRISK_CALLS_AT_ONCE": "256",
}


@dataclass(frozen=True)
class Running:
    """A service that answers at `url`; `pid` is the process that was started, which has children."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """Processor seconds so far of the process and of all its descendants that live."""
        return sum(float(sum(each.cpu_times()[:2])) for each in self._processes())

    def rss_mb(self) -> float:
        """Resident memory of the one that has worked most: a worker, not those that started it and only watch."""
        busiest = max(self._processes(), key=lambda each: sum(each.cpu_times()[:2]))
        return float(busiest.memory_info().rss) / 1e6

    def _processes(self) -> list[psutil.Process]:
        root = psutil.Process(self.pid)
        return [root, *root.children(recursive=True)]


@contextmanager
def our_service(bundle: Path, scratch: Path, *, workers: int, store: str, cores: Sequence[int]) -> Iterator[Running]:
    """`povrisk serve`, as anybody starts it, with the limits of calls raised. `store` is `none` or an address."""
    port = free_port()
    command = ["-m", "features.command_line", "serve", str(bundle.resolve()), "--port", str(port)]
    command += ["--workers", str(workers), "--store", store, "--json"]
    with started(command, scratch, cores, NO_LIMITS, port) as running:
        yield running


@contextmanager
def tutorial_service(variant: str, bundle: Path, scratch: Path, *, cores: Sequence[int]) -> Iterator[Running]:
    """`bentoml serve` on one of the tutorial's services."""
    port = free_port()
    command = ["-m", "bentoml", "serve", TUTORIALS[variant], "--working-dir", str(ROOT)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    environment = {
        "TUTORIAL_BUNDLE": str(bundle.resolve()),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(scratch / f"bentoml-{variant}"),
    }
    with started(command, scratch, cores, environment, port) as running:
        yield running


@contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Whatever is started inside stays on these cores; without effect where the system cannot do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(cores) & before or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(
    command: Sequence[str], scratch: Path, cores: Sequence[int], environment: Mapping[str, str], port: int
) -> Iterator[Running]:
    """A Python process that listens on `port`; it is used when it is ready and idle, and ended with its children."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("POVRISK_")}
    log = scratch / f"service-{port}.log"
    with log.open("wb") as written, on_cores(cores):
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=scratch,
            env={**inherited, "PYTHONPATH": str(ROOT), **environment},
            stdout=written,
            stderr=written,
            start_new_session=True,
        )
    try:
        running = Running(f"http://127.0.0.1:{port}", process.pid)
        _wait_until_ready(running, process, log)
        yield running
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asked first; whatever is left of it and of its children after a while is ended."""
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_WITHIN_S)
        _, left = psutil.wait_procs(children, timeout=1.0)
        for child in left:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(left, timeout=1.0)
    process.kill()
    process.wait()


def _wait_until_ready(running: Running, process: subprocess.Popen[bytes], log: Path) -> None:
    begun = time.monotonic()
    while time.monotonic() - begun < READY_WITHIN_S and process.poll() is None:
        with suppress(URLError, OSError), urlopen(f"{running.url}/readyz", timeout=2) as answer:
            if answer.status == 200:
                _wait_until_idle(running)
                return
        time.sleep(0.2)
    raise RunFailed("a service did not start:\n" + "\n".join(log.read_text("utf-8", "replace").splitlines()[-8:]))


def _wait_until_idle(running: Running) -> None:
    """One worker that is ready speaks for all; the others may still be loading."""
    before = running.cpu_s()
    for _ in range(60):
        time.sleep(0.5)
        now = running.cpu_s()
        if now - before < 0.1:
            return
        before = now
