"""Hostile and broken calls to the real service: the right refusal, in time, and the service lives on."""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from features.dataset import read_dataset
from serving.extract import request_of
from tests.server import TOKENS, RunningService, running_service

CANARY = "HH-SECRET-0815"


@pytest.fixture(scope="module")
def service(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tiny_bundle, tmp_path_factory.mktemp("abused")) as running:
        yield running


@pytest.fixture(scope="module")
def good(tiny_county: Path) -> dict[str, Any]:
    county = read_dataset(tiny_county)
    busiest = county.events["household_id"].value_counts().index[0]
    return request_of(county, busiest, county.meta.moments.until)


@pytest.fixture(autouse=True)
def lives_on(service: RunningService, good: dict[str, Any]) -> Iterator[None]:
    yield
    assert service.post(json=good).status_code == 200


def changed(good: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The good request with household fields changed."""
    return {"households": [{**good["households"][0], **fields}]}


def with_event(good: dict[str, Any], **fields: Any) -> dict[str, Any]:
    event = {name: v for name, v in good["households"][0]["events"][0].items() if name not in ("status", "supersedes")}
    return changed(good, events=[{**event, **fields}])


def problem(reply: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of a refusal, checked for its form and for silence about what was sent."""
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert CANARY not in reply.text
    found: dict[str, Any] = reply.json()
    assert set(found) == {"type", "title", "status", "detail", "errors"}
    assert found["status"] == status
    return found


def raw(service: RunningService, *pieces: bytes, pause_s: float = 0.0, wait_s: float = 10.0) -> bytes:
    """What comes back for bytes written straight to the socket."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=wait_s) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause_s)
        received = b""
        try:
            while piece := connection.recv(65_536):
                received += piece
        except (TimeoutError, ConnectionResetError):
            pass
        return received


def head(length: int | None, extra: str = "") -> bytes:
    lines = [
        "POST /score HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {TOKENS['platform']}",
        "X-Purpose: prepare_visit",
        "Content-Type: application/json",
        "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}",
    ]
    return ("\r\n".join(lines) + "\r\n" + extra + "\r\n").encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"households": [' + CANARY.encode(),
        b"[" * 100_000,
        b'{"households": [], "households": []}',
    ],
)
def test_what_is_no_json_is_400(service: RunningService, body: bytes) -> None:
    headers = {**service.headers(), "Content-Type": "application/json"}
    assert problem(service.post(content=body, headers=headers), 400)["errors"] == []


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "true", '"12"', "1" + "0" * 400])
def test_what_is_no_number_is_422_and_named(service: RunningService, good: dict[str, Any], number: str) -> None:
    body = json.dumps(with_event(good, value=0.125)).replace("0.125", number)
    reply = service.post(content=body, headers={**service.headers(), "Content-Type": "application/json"})
    assert [e["path"] for e in problem(reply, 422)["errors"]] == [["households", 0, "events", 0, "value"]]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"known_at": "2099-01-01"}, ["households", 0, "events", 0, "known_at"]),
        ({"occurred_at": "2099-01-01", "known_at": "2099-01-01"}, ["households", 0, "events", 0, "known_at"]),
        ({"code": "CLM//INPATIENT", "value": 1.42, "unit": "万元"}, ["households", 0, "events", 0, "unit"]),
        ({"code": "CLM//INPATIENT", "value": 1e13, "unit": "CNY"}, ["households", 0, "events", 0, "value"]),
        ({"code": CANARY}, ["households", 0, "events", 0, "code"]),
        ({CANARY: 1}, ["households", 0, "events", 0, "(key)"]),
        ({"note": CANARY}, ["households", 0, "events", 0, "note"]),
        ({"status": CANARY}, ["households", 0, "events", 0, "status"]),
    ],
)
def test_a_wrong_event_is_422_and_named(
    service: RunningService, good: dict[str, Any], fields: dict[str, Any], path: list[str | int]
) -> None:
    assert path in [e["path"] for e in problem(service.post(json=with_event(good, **fields)), 422)["errors"]]


def test_a_region_or_moment_out_of_reach_is_422(service: RunningService, good: dict[str, Any]) -> None:
    region = problem(service.post(json=changed(good, region=CANARY)), 422)["errors"]
    assert region[0]["path"] == ["households", 0, "region"]
    assert problem(service.post(json=changed(good, as_of="2099-01-01")), 422)["errors"][0]["path"][-1] == "as_of"
    assert problem(service.post(json=changed(good, household_id="")), 422)
    assert problem(service.post(json={**good, "extra": CANARY}), 422)["errors"][0]["path"] == ["extra"]


def test_too_many_households_or_events_are_422(service: RunningService, good: dict[str, Any]) -> None:
    many = [{**good["households"][0], "household_id": f"h{i}", "events": [], "members": []} for i in range(501)]
    assert "500 households" in problem(service.post(json={"households": many}), 422)["detail"]
    short = {"event_id": "e", "code": "A", "occurred_at": "2020-01-01", "source": "x"}
    crowded = changed(good, events=[short] * 20_001)
    assert "20000 events" in problem(service.post(json=crowded), 422)["detail"]


def test_strangers_and_wrong_roles_and_purposes(service: RunningService, good: dict[str, Any]) -> None:
    for path in ("/score", "/model", "/metrics", "/docs.json", "/schema.json", "/", f"/households/{CANARY}"):
        reply = httpx.post(service.url + path, json=good, timeout=30)
        problem(reply, 401)
        assert reply.headers["www-authenticate"] == "Bearer"
    problem(service.post(json=good, headers={"Authorization": f"Bearer {CANARY}"}), 401)
    problem(service.post(f"/score?token={TOKENS['platform']}", json=good), 401)
    problem(service.post(json=good, headers=service.headers("researcher")), 403)
    problem(service.post(json=good, headers=service.headers(purpose=None)), 403)
    problem(service.post(json=good, headers=service.headers(purpose=CANARY)), 403)


def test_addresses_and_methods_that_are_not_there(service: RunningService) -> None:
    problem(service.get(f"/{CANARY}"), 404)
    problem(service.get("/healthz"), 404)
    problem(service.get("/score"), 405)
    problem(service.post("/model", json={}), 405)


@pytest.mark.parametrize(
    "media_type",
    ["application/vnd.bentoml+pickle", "multipart/form-data; boundary=x", "text/plain", "application/octet-stream"],
)
def test_only_json_is_read(service: RunningService, media_type: str) -> None:
    headers = {**service.headers(), "Content-Type": media_type}
    problem(service.post(content=b"cos\nsystem\n(S'exit'\ntR.", headers=headers), 415)


@pytest.mark.parametrize("megabytes", [5, 10, 100])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_large_body_is_413_at_once_and_takes_no_memory(
    service: RunningService, megabytes: int, is_chunked: bool
) -> None:
    piece = b"[" * 1_000_000
    if is_chunked:
        head_of, pieces = head(None), [b"%x\r\n%s\r\n" % (len(piece), piece)] * megabytes
    else:
        head_of, pieces = head(megabytes * len(piece)), [piece] * megabytes
    with _memory(service) as memory:
        replies = [_answer(service, head_of, pieces) for _ in range(3)]
    assert [reply[:12] for reply, _ in replies] == [b"HTTP/1.1 413"] * 3
    assert min(seconds for _, seconds in replies) < 0.5
    assert memory.grown_mb < 20


def test_a_slow_body_is_408_after_three_seconds(service: RunningService) -> None:
    started = time.monotonic()
    reply = raw(service, head(1000), *[b"{"] * 5, pause_s=0.5)
    assert reply.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in reply
    assert 2.5 < time.monotonic() - started < 8


def test_a_length_that_lies_is_refused(service: RunningService) -> None:
    assert raw(service, head(10_000), b"{}", wait_s=8).startswith(b"HTTP/1.1 408")
    assert raw(service, head(-5), b"{}", wait_s=3).startswith(b"HTTP/1.1 400")
    assert raw(service, head(None), b"zz\r\n{}", wait_s=8).startswith(b"HTTP/1.1 4")
    # Two lengths, or a length beside chunks: a proxy and the service could see two different calls in them.
    assert raw(service, head(2, "Content-Length: 40\r\n"), b"{}", wait_s=3).startswith(b"HTTP/1.1 400")
    assert raw(service, head(2, "Transfer-Encoding: chunked\r\n"), b"{}", wait_s=3).startswith(b"HTTP/1.1 400")


def test_a_body_longer_than_its_length_is_no_second_call(service: RunningService) -> None:
    inner = b"GET /model HTTP/1.1\r\nHost: localhost\r\n\r\n"
    received = raw(service, head(2), b"{}" + inner, wait_s=2)
    # The rest is a call of its own, and as such without a token.
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"422", b"401"]


def test_four_hundred_half_open_calls_do_not_stop_others(service: RunningService, good: dict[str, Any]) -> None:
    """Half of them have not ended their headers; the others send their body one byte a second."""
    address = urlsplit(service.url)

    def healthy_s() -> list[float]:
        seconds = []
        with httpx.Client(headers=service.headers(), timeout=30) as client:
            for _ in range(40):
                started = time.perf_counter()
                assert client.post(service.url + "/score", json=good).status_code == 200
                seconds.append(time.perf_counter() - started)
        return sorted(seconds)

    healthy_s()
    idle = healthy_s()
    held = [socket.create_connection((address.hostname, address.port), timeout=10) for _ in range(400)]
    slow = held[::4] + held[1::4]
    slow_head = head(1000).replace(TOKENS["platform"].encode(), TOKENS["caseworker"].encode())
    done = threading.Event()

    def drip() -> None:
        while not done.wait(1.0):
            for connection in slow:
                with contextlib.suppress(OSError):
                    connection.sendall(b"[")

    dripping = threading.Thread(target=drip)
    try:
        for connection in held:
            connection.sendall(slow_head if connection in slow else b"POST /score HTTP/1.1\r\nHost: localhost\r\n")
        opened = time.monotonic()
        dripping.start()
        busy = healthy_s()
        assert slow[-1].recv(12) == b"HTTP/1.1 408"
        assert 2.5 < time.monotonic() - opened < 8
        assert {connection.recv(12) for connection in slow[:-1]} == {b"HTTP/1.1 408"}
    finally:
        done.set()
        dripping.join()
        for connection in held:
            connection.close()
    # The last but one of forty: the slowest is as often the machine's doing. A hundredth of a second is its noise.
    assert busy[-2] <= 2 * idle[-2] + 0.01, (idle[-2], busy[-2])


def test_the_metrics_tell_how_often_each_role_called_and_no_token(service: RunningService) -> None:
    metrics = service.get("/metrics").text
    assert re.search(r'^povrisk_asked_total\{rationed="no",role="platform"\} [1-9]', metrics, re.MULTILINE)
    assert not [token for token in TOKENS.values() if token in metrics]


def test_a_body_of_nothing_but_errors_is_answered_in_time(service: RunningService, good: dict[str, Any]) -> None:
    wrong: dict[str, Any] = {name: [] for name in ("event_id", "code", "occurred_at", "source", "value", "unit")}
    started = time.monotonic()
    found = problem(service.post(json=changed(good, events=[wrong] * 20_000)), 422)
    assert len(found["errors"]) == 100
    assert time.monotonic() - started < 8


class _Memory:
    """How much the processes of the service have grown, at most."""

    def __init__(self, service: RunningService) -> None:
        psutil = pytest.importorskip("psutil")
        root = psutil.Process(service.process.pid)
        self._processes = [root, *root.children(recursive=True)]
        self._before = self._now()
        self.grown_mb = 0.0

    def _now(self) -> float:
        return float(sum(each.memory_info().rss for each in self._processes) / 1e6)

    def look(self) -> None:
        self.grown_mb = max(self.grown_mb, self._now() - self._before)


@contextlib.contextmanager
def _memory(service: RunningService) -> Iterator[_Memory]:
    """Looks at the memory all the while, so that what is given back at the end counts as well."""
    memory, done = _Memory(service), threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            memory.look()

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield memory
    finally:
        done.set()
        watching.join()
        memory.look()


def _answer(service: RunningService, head_of: bytes, pieces: Sequence[bytes]) -> tuple[bytes, float]:
    """The beginning of the reply to a body that is sent for as long as there is none, and how long it took."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        started = time.monotonic()
        connection.sendall(head_of)
        for piece in pieces:
            if select.select([connection], [], [], 0)[0]:
                break
            try:
                connection.sendall(piece)
            except OSError:
                break
        return connection.recv(4096), time.monotonic() - started
