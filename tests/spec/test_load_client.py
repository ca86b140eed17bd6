"""The load client tells what happened: every answer, every failure, how long each took, and nothing of its own."""

from __future__ import annotations

import doctest
import json
import re
import time
from collections import Counter
from pathlib import Path

import pytest

import benchmarks.load
from benchmarks.load import MARK, Load, Tally, put, request
from benchmarks.wrk import is_installed, put_by_wrk
from tests.slow_server import SlowServer, running

DELAY_S = 0.04


def load(server: SlowServer, *messages: bytes, **how: float) -> Load:
    given = {"connections": 4, "seconds": 0.6, **how}
    sent = messages or (request("/score", b'{"n": 1}'),)
    return Load(host="127.0.0.1", port=server.port, requests=sent, **given)  # type: ignore[arg-type]


def test_every_answer_is_timed_from_sending_to_its_last_byte() -> None:
    with running(SlowServer(delay_s=DELAY_S)) as server:
        told = put(load(server))
    assert not told.errors
    assert len(told.latency_s) == len(server.asked)
    assert min(told.latency_s) >= DELAY_S
    assert sorted(told.latency_s)[len(told.latency_s) // 2] < 5 * DELAY_S
    assert told.bytes_in > 0


def test_as_many_are_asked_at_once_as_there_are_connections_and_each_is_kept() -> None:
    with running(SlowServer(delay_s=DELAY_S)) as server:
        put(load(server, connections=9))
    assert server.most_in_flight == 9
    assert server.connections == 9
    assert len(server.asked) > 2 * 9


def test_answers_a_second_count_the_last_ones_in_part() -> None:
    with running(SlowServer(delay_s=0.2)) as server:
        told = put(load(server, connections=3, seconds=0.5))
    assert told.in_time == pytest.approx(7.5, abs=1.0), "two answers of each connection, and half of the third"
    assert len(told.latency_s) == 9
    assert told.wall_s == pytest.approx(0.5, abs=0.1)
    assert told.as_json()["per_s"] == told.in_time / told.wall_s


@pytest.mark.parametrize(
    ("fault", "reason"), [("503", "503"), ("500", "500"), ("close", "broken"), ("silence", "late")]
)
def test_a_failed_call_is_counted_by_its_reason_and_has_no_time(
    fault: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.load.ANSWER_WITHIN_S", 0.15)
    with running(SlowServer(fault=fault, faulty_every=5)) as server:
        told = put(load(server, connections=1, limit=20, seconds=5))
    assert told.errors == Counter({reason: 4})
    assert len(told.latency_s) == 16


def test_a_server_that_closes_after_each_answer_is_asked_over_new_connections() -> None:
    with running(SlowServer(keeps_alive=False)) as server:
        told = put(load(server, connections=2, limit=10, seconds=5))
    assert not told.errors
    assert len(told.latency_s) == server.connections == 10


def test_nobody_there_is_counted_and_not_asked_without_end() -> None:
    with running(SlowServer()) as server:
        pass
    told = put(load(server, connections=1, seconds=0.2))
    assert set(told.errors) == {"broken"}
    assert 0 < told.errors["broken"] <= 21


def test_a_limit_ends_the_load_before_its_time() -> None:
    with running(SlowServer()) as server:
        begun = time.perf_counter()
        told = put(load(server, connections=4, limit=30, seconds=20))
        assert time.perf_counter() - begun < 10
    assert len(server.asked) == len(told.latency_s) == 30
    assert told.in_time == 30
    assert told.wall_s < 10


def test_requests_go_out_in_turns_and_every_mark_is_another_number() -> None:
    bodies = [b'{"households": ["%s-%s"]}' % (name, MARK) for name in (b"a", b"b", b"c")]
    with running(SlowServer()) as server:
        put(load(server, *(request("/score", body) for body in bodies), connections=1, limit=9, seconds=5))
    told = [json.loads(body)["households"][0] for _, body in server.asked]
    assert [name[0] for name in told] == list("abcabcabc")
    assert all(re.fullmatch(r"[abc]-\d{12}", name) for name in told)
    assert len({name[2:] for name in told}) == 9


def test_a_probe_keeps_its_distance_and_sees_one_stop_once() -> None:
    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        if len(server.asked) == 10:
            time.sleep(0.15)
        return 200, b"{}"

    with running(SlowServer(answer=answer)) as server:
        told = put(load(server, request("/livez"), connections=1, seconds=0.6, every_s=0.01)).as_json()
    assert 12 <= told["requests"] <= 61
    assert 1 <= told["over_50_ms"] <= 4, "fifteen, if it asked again while it waits"
    assert told["max_ms"] >= 150
    assert server.asked[0] == ("/livez", b"")


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org", "10.0.0.1", ""])
def test_load_is_put_on_this_machine_only(host: str) -> None:
    with pytest.raises(ValueError, match="this machine"):
        put(Load(host=host, port=80, requests=[request("/")], connections=1, seconds=1))


def test_the_percentiles_are_those_of_the_answers_themselves() -> None:
    told = Tally([0.001 * n for n in range(1, 201)], in_time=200, wall_s=1.0).as_json()
    assert (told["p50_ms"], told["p99_ms"], told["max_ms"]) == pytest.approx((100, 198, 200))
    assert told["over_50_ms"] == 150
    assert Tally().as_json()["p99_ms"] is None


@pytest.mark.skipif(not is_installed(), reason="wrk is not installed")
def test_wrk_and_our_client_tell_the_same_of_the_same_server(tmp_path: Path) -> None:
    bodies = tmp_path / "bodies.jsonl"
    bodies.write_bytes(b'{"households": ["a-%s"]}\n{"households": ["b-%s"]}' % (MARK, MARK))
    with running(SlowServer(delay_s=DELAY_S)) as server:
        theirs = put_by_wrk(f"{server.url}/score", bodies, "token", connections=8, seconds=1)
        asked = [json.loads(body)["households"][0] for _, body in server.asked]
        messages = [request("/score", body) for body in bodies.read_bytes().splitlines()]
        ours = put(load(server, *messages, connections=8, seconds=1.0)).as_json()
    assert len(set(asked)) == len(asked)
    assert all(re.fullmatch(r"[ab]-\d{12}", name) for name in asked)
    assert ours["errors"] == theirs["errors"] == {}
    for name in ("per_s", "p50_ms"):
        assert ours[name] == pytest.approx(theirs[name], rel=0.4), name


@pytest.mark.skipif(not is_installed(), reason="wrk is not installed")
def test_wrk_counts_what_is_not_answered_with_200(tmp_path: Path) -> None:
    bodies = tmp_path / "bodies.jsonl"
    bodies.write_bytes(b"{}")
    with running(SlowServer(delay_s=0.01, fault="503", faulty_every=2)) as server:
        told = put_by_wrk(f"{server.url}/score", bodies, "token", connections=2, seconds=1)
    assert told["errors"]["status"] == pytest.approx(told["requests"], abs=2)


def test_the_examples_hold() -> None:
    done = doctest.testmod(benchmarks.load)
    assert done.failed == 0 < done.attempted
