"""The service as a child process: started, watched until it is ready, stopped as a whole."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType

TARGET = "serving.service:HouseholdRisk"
READY_WITHIN_S = 120.0
STOP_WITHIN_S = 15.0
NO_STORE, OWN_STORE = "none", "sqlite:///povrisk.db"
LOOPBACK = ("127.0.0.1", "::1")


class PortTaken(Exception):
    """Somebody else listens there."""


def free_port(host: str, port: int) -> int:
    """The port itself, or a free one for 0. Raises `PortTaken`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise PortTaken(f"port {port} on {host} cannot be used; choose another with --port") from None
        return int(probe.getsockname()[1])


def run_service(host: str, port: int, environment: Mapping[str, str], on_ready: Callable[[], None]) -> int:
    """Run until the child ends or we are told to stop (SIGINT, SIGTERM); returns 0 when stopped as told.

    The child is a process group of its own, so that a key press reaches only us and we can stop it in order: it is
    asked first, finishes the calls in flight, and is ended with all its workers if it does not leave in time.
    """
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "bentoml", "serve", TARGET, "--working-dir", str(root)]
    told = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        told.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    # A home of its own: BentoML keeps the metrics of all servers of one home in one folder and empties it at start.
    with tempfile.TemporaryDirectory(prefix="povrisk-serve-", ignore_cleanup_errors=True) as home:
        child = subprocess.Popen(  # noqa: S603 - our own module, host and port are checked
            [*command, "--host", host, "--port", str(port)],
            cwd=root,
            env={**environment, "BENTOML_HOME": home, "BENTOML_DO_NOT_TRACK": "True"},
            stdout=sys.stderr,
            start_new_session=True,
        )
        try:
            return _watch(child, host, port, told, on_ready)
        finally:
            _stop(child)
            for number, handler in before.items():
                signal.signal(number, handler)


def _watch(
    child: subprocess.Popen[bytes], host: str, port: int, told: threading.Event, on_ready: Callable[[], None]
) -> int:
    started, is_ready = time.monotonic(), False
    while child.poll() is None and not told.wait(0.25):
        if is_ready:
            continue
        if _answers(host, port):
            is_ready = True
            on_ready()
        elif time.monotonic() - started > READY_WITHIN_S:
            return 1
    return 0 if told.is_set() else 1


def _answers(host: str, port: int) -> bool:
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    connection = http.client.HTTPConnection(reached, port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(STOP_WITHIN_S)
    # Workers that outlived their supervisor still belong to its group.
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
