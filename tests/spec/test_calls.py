"""The outermost layer and what a process may write: a number a call, one line a call, and nothing of the caller's."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from serving import metrics
from serving.guard.access import RULE
from serving.guard.calls import PROBES, Calls
from serving.guard.rules import PURPOSES, RULES
from serving.log_lines import AsJson, Line, LogRefused, form
from tests.loops import run as run_apart

CANARY = "KANARIE"
FIELDS = {
    *("at", "level", "logger", "request_id", "address", "method", "status", "seconds", "role", "purpose", "refusal"),
    *("households", "events", "bytes_in", "bytes_out", "stages", "bundle", "pid"),
}


class Answering:
    """An application that answers as told, and remembers what it was given."""

    def __init__(self, status: int = 200, body: bytes = b"answer", state: dict[str, Any] | None = None) -> None:
        self.status, self.body, self.left = status, body, state or {}
        self.scope: Scope = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        await receive()
        scope["state"].update(self.left)
        headers = [(b"content-type", b"text/plain"), (b"x-request-id", CANARY.encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        for piece in (self.body, b""):
            await send({"type": "http.response.body", "body": piece, "more_body": bool(piece)})


class Broken:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise ConnectionResetError(CANARY)


def call(app: Any, path: str = "/score", method: str = "POST", **more: Any) -> list[dict[str, Any]]:
    """What is sent back."""
    sent: list[dict[str, Any]] = []
    headers = [(name.lower().encode(), value.encode()) for name, value in more.pop("headers", {}).items()]
    scope = {"type": "http", "path": path, "method": method, "headers": headers, "query_string": b"", **more}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 30}

    async def send(message: Any) -> None:
        sent.append(message)

    run_apart(Calls(app)(scope, receive, send))
    return sent


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What our loggers write, as JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(AsJson())
    own = logging.getLogger("povrisk")
    before = own.handlers[:], own.propagate, own.level
    own.handlers[:], own.propagate = [handler], False
    own.setLevel(logging.INFO)
    yield stream
    own.handlers[:], own.propagate = before[:2]
    own.setLevel(before[2])


def last(lines: io.StringIO) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lines.getvalue().splitlines()[-1])
    return found


def test_every_call_has_a_number_of_its_own_that_no_caller_gives(lines: io.StringIO) -> None:
    numbers = set()
    for _ in range(50):
        app = Answering()
        sent = call(app, headers={"X-Request-Id": CANARY})
        [number] = [value.decode() for name, value in sent[0]["headers"] if name.lower() == b"x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{32}", number)
        assert app.scope["state"]["request_id"] == number == last(lines)["request_id"]
        numbers.add(number)
    assert len(numbers) == 50
    assert CANARY not in lines.getvalue()


def test_a_call_has_one_line_that_says_what_became_of_it(lines: io.StringIO) -> None:
    left = {
        "role": "platform",
        "refusal": None,
        "counts": {"households": 3, "events": 60},
        "stages": {"read": 0.001, "assess": 0.02},
    }
    call(Answering(state=left), headers={"X-Purpose": PURPOSES[0]}, **{RULE: RULES["/score"]})
    [line] = [json.loads(each) for each in lines.getvalue().splitlines()]
    assert set(line) == FIELDS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["at"])
    assert {name: line[name] for name in ("address", "method", "status", "role", "purpose", "level")} == {
        "address": "/score",
        "method": "POST",
        "status": 200,
        "role": "platform",
        "purpose": PURPOSES[0],
        "level": "INFO",
    }
    assert (line["households"], line["events"], line["bytes_in"], line["bytes_out"]) == (3, 60, 30, 6)
    assert line["stages"] == left["stages"]
    assert 0 <= line["seconds"] < 1


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/visit/as-0123456789abcdef01234567", "/visit/{assessment_id}"),
        (f"/households/{CANARY}/assessments", "/households/{household_id}/assessments"),
        (f"/{CANARY}", "unknown"),
        ("/score/", "unknown"),
    ],
)
def test_a_line_names_the_pattern_and_never_the_path(lines: io.StringIO, path: str, address: str) -> None:
    # A stranger is refused before the rule is looked for, and the address is told all the same.
    call(Answering(401), path, "GET", query_string=CANARY.encode())
    assert last(lines)["address"] == address
    assert CANARY not in lines.getvalue() and "0123456789" not in lines.getvalue().replace(
        last(lines)["request_id"], ""
    )


@pytest.mark.parametrize("purpose", [CANARY, f"{PURPOSES[0]} {CANARY}", ""])
def test_words_of_the_callers_own_are_not_written(lines: io.StringIO, purpose: str) -> None:
    headers = {"X-Purpose": purpose, "User-Agent": CANARY, "traceparent": CANARY, "Authorization": f"Bearer {CANARY}"}
    call(Answering(405), method=CANARY, headers=headers)
    assert (last(lines)["purpose"], last(lines)["method"]) == (None, "unknown")
    assert CANARY not in lines.getvalue()


def test_probes_are_told_when_they_fail(lines: io.StringIO) -> None:
    for path in PROBES:
        call(Answering(200), path, "GET")
    assert lines.getvalue() == ""
    for path in PROBES:
        call(Answering(503), path, "GET")
    assert [json.loads(each)["level"] for each in lines.getvalue().splitlines()] == ["WARNING"] * len(PROBES)


def test_a_fault_is_an_error_and_a_call_that_breaks_off_has_its_line_too(lines: io.StringIO) -> None:
    call(Answering(500))
    assert last(lines)["level"] == "ERROR"
    with pytest.raises(ConnectionResetError):
        call(Broken())
    assert last(lines)["status"] == 0
    assert CANARY not in lines.getvalue()


def test_calls_and_refusals_are_counted_by_pattern_and_name(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[Any, ...]] = []
    monkeypatch.setattr(metrics, "call_done", lambda address, status, seconds: counted.append((address, status)))
    monkeypatch.setattr(metrics, "refused", lambda name: counted.append((name,)))
    monkeypatch.setattr(metrics, "journal_head_read", lambda: counted.append(("head",)))
    call(Answering())
    call(Answering(422, state={"refusal": "invalid"}))
    call(Answering(403), "/journal/head", "GET")
    call(Answering(200), "/journal/head", "GET")
    assert counted == [
        ("/score", 200),
        ("/score", 422),
        ("invalid",),
        ("/journal/head", 403),
        ("/journal/head", 200),
        ("head",),
    ]


def test_the_pulse_is_taken_while_the_worker_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[float, int]] = []
    monkeypatch.setattr(metrics, "process_state", lambda stop, rss: told.append((stop, rss)))
    monkeypatch.setattr("serving.heartbeat.EVERY_S", 0.005)

    async def alive(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05)
        time.sleep(0.08)
        await asyncio.sleep(0.15)

    run_apart(Calls(alive)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert told[-1][0] >= 0.07
    assert told[-1][1] > 20e6


def test_a_line_costs_little(lines: io.StringIO) -> None:
    app = Answering()
    scope = {"type": "http", "path": "/score", "method": "POST", "headers": [], RULE: RULES["/score"]}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        pass

    async def spent(asked: Any) -> float:
        begun = time.process_time()
        for _ in range(300):
            await asked({**scope, "state": {}}, receive, send)
        return (time.process_time() - begun) / 300

    bare = min(run_apart(spent(app)) for _ in range(5))
    assert min(run_apart(spent(Calls(app))) for _ in range(5)) - bare < 150e-6


# -- the form of the lines


def test_a_line_is_one_line_whatever_is_in_it() -> None:
    for message in ("two\nlines", "\u2028 and \x1b[31m", '{"json": "inside"}'):
        record = logging.LogRecord("povrisk.serving", logging.ERROR, "x.py", 1, "%s", (message,), None)
        record.exc_text = "  a.py:1 in b\nKeyError (message withheld)"
        written = AsJson().format(record)
        assert "\n" not in written
        assert json.loads(written)["message"] == message
        assert json.loads(written)["places"] == record.exc_text


def test_a_terminal_gets_text_and_a_file_json_unless_told_otherwise() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert (form({}, Terminal()), form({}, io.StringIO())) == ("text", "json")
    assert (form({"POVRISK_LOG": "json"}, Terminal()), form({"POVRISK_LOG": "text"}, io.StringIO())) == ("json", "text")
    with pytest.raises(LogRefused, match="POVRISK_LOG must be json or text"):
        form({"POVRISK_LOG": CANARY}, io.StringIO())


def test_a_person_reads_the_same_line_as_text() -> None:
    fields = {
        "address": "/score",
        "method": "POST",
        "status": 422,
        "seconds": 0.0123,
        "refusal": "invalid",
        "role": None,
    }
    assert str(Line(fields)) == "refused 422 on /score: POST, 12.3 ms, refusal=invalid"


# -- what a crash writes

CRASHES = {
    "a thread": "threading.Thread(target=fail).start()",
    "the process": "fail()",
    "an object": "Falling(); import gc; gc.collect()",
    "a task": "asyncio.run(forgotten())",
    "a warning of another thread": "in_thread(lambda: warnings.warn(canary))",
    "a log line of another thread": "in_thread(lambda: logging.getLogger('other').error('%s', canary))",
    "a log line that does not fit": "logging.getLogger('povrisk.x').error('%d', canary)",
    "a chained fault": "chained()",
    "a key press": "os.kill(os.getpid(), signal.SIGINT); time.sleep(5)",
    "a wrong address in memory": "crash(canary)",
    "an abort": "os.abort()",
}
SCRIPT = """
    import asyncio, ctypes, logging, os, signal, sys, threading, time, warnings
    logging.basicConfig(stream=sys.stderr)
    from serving import redaction
    redaction.install()
    canary = "KANA" + "RIE"
    def fail(): raise ValueError(canary)
    class Falling:
        def __del__(self): raise ValueError(canary)
        def __repr__(self): return canary
    async def forgotten():
        async def task(): raise KeyError(canary)
        asyncio.ensure_future(task())
        await asyncio.sleep(0.01)
    def in_thread(job):
        thread = threading.Thread(target=job); thread.start(); thread.join()
    def chained():
        try: fail()
        except ValueError as error: raise RuntimeError(canary + "2") from error
    def crash(value): ctypes.string_at(1)
    asyncio.get_event_loop_policy()
"""


@pytest.mark.parametrize("what", CRASHES)
def test_a_crash_writes_places_and_no_values(what: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{textwrap.dedent(SCRIPT)}\n{CRASHES[what]}"],
        env={"PATH": "", "PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    written = done.stdout + done.stderr
    assert CANARY not in written
    # Something is said of it, with the place.
    assert re.search(r"withheld\)?|Fatal Python error", written) or "does not fit" in what, written
    assert list(tmp_path.iterdir()) == []


def test_a_dying_process_leaves_no_image_of_its_memory_and_no_trace_is_taken_over() -> None:
    script = """
        import resource
        most = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (most, most))
        from serving import redaction; redaction.install()
        from opentelemetry import propagate, trace
        told = {"traceparent": "00-4711beef4711beef4711beef4711beef-4711beef4711beef-01"}
        span = trace.get_current_span(propagate.extract(told)).get_span_context()
        print(0 <= resource.getrlimit(resource.RLIMIT_CORE)[0] <= 1, span.trace_id)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "0"]
