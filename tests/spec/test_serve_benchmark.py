"""The load benchmark compares what it says: same bodies, same probabilities, and ratios that are computed right."""

from __future__ import annotations

import doctest
import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

import benchmarks.serve
import benchmarks.serve_figures
from benchmarks.apart import RunFailed
from benchmarks.bodies import Bodies, write_bodies
from benchmarks.commands import benchmark
from benchmarks.load import MARK, Load, put, request
from benchmarks.report import page, rows
from benchmarks.serve import QUICK, serve_benchmark
from benchmarks.serve_check import refuse_difference
from benchmarks.serve_figures import EVENTS, OURS, STORED, TWO, VECTOR, Point, line, ratios
from benchmarks.services import Running, free_port, on_cores, started
from benchmarks.tutorial.feature_frame import feature_frame
from benchmarks.tutorial.messages import Household
from benchmarks.tutorial.prediction import predictions
from models.bundle import Bundle
from serving.messages import Batch
from serving.reading import read_batch
from serving.scoring import Scorer
from serving.settings import Settings
from tests.slow_server import SlowServer, running


@pytest.fixture(scope="module")
def bodies(tiny_county: Path, opened_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bodies:
    folder = tmp_path_factory.mktemp("bodies")
    return write_bodies(folder, tiny_county, opened_bundle, households=40, together=15)


# --- what is asked -------------------------------------------------------------------------------------------------


def test_bodies_are_different_households_near_sixty_events(bodies: Bodies) -> None:
    one = [json.loads(body)["households"] for body in bodies.one.read_bytes().splitlines()]
    assert len(one) == len({households[0]["household_id"] for households in one}) == bodies.households == 40
    counts = [len(households[0]["events"]) for households in one]
    assert (min(counts), max(counts)) == (bodies.events_least, bodies.events_most)
    assert bodies.events == np.mean(counts)
    assert all(households[0]["household_id"].endswith("-" + MARK.decode()) for households in one)
    many = [json.loads(body)["households"] for body in bodies.hundred.read_bytes().splitlines()]
    assert [len(households) for households in many] == [15, 15]
    assert [household for households in many for household in households] == [households[0] for households in one[:30]]


def test_the_tutorial_gives_our_probability_from_events_and_from_vectors(bodies: Bodies, opened_bundle: Bundle) -> None:
    lines = [*bodies.one.read_bytes().splitlines()][:12]
    ours = Scorer(opened_bundle, Settings())
    expected = [ours.score(read_batch(body, Settings(), Batch).households)[0] for body in lines]
    households = [Household.model_validate(json.loads(body)["households"][0]) for body in lines]
    model, names = opened_bundle.model.booster, list(opened_bundle.model.names)
    frame = feature_frame(households, opened_bundle.catalogue, opened_bundle.time_zone)[names]
    told = predictions(model, frame, [household.household_id for household in households])
    vectors = [json.loads(body)["households"][0]["features"] for body in bodies.vector.read_bytes().splitlines()]
    same = [[vector.get(name, np.nan) for name in names] for vector in vectors[:12]]
    np.testing.assert_array_equal(frame.to_numpy(), same)
    n = 0
    for record, found, household in zip(expected, told, households, strict=True):
        assert record["household_id"] == found.household_id
        assert len(found.contributions) == 8
        if record["probability"] is not None:
            raw = np.array([found.probability])
            calibrated = opened_bundle.calibration.probability(np.log(raw / (1 - raw)), [household.region])
            assert calibrated[0] == pytest.approx(record["probability"], abs=1e-12)
            n += 1
    assert n > 0


def told(probability: float | None, *, is_tutorial: bool = False) -> SlowServer:
    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        sent = json.loads(body)["households"] if body else []
        results = [{"household_id": each["household_id"], "probability": probability} for each in sent]
        return 200, json.dumps(results if is_tutorial else {"results": results}).encode()

    return SlowServer(answer=answer)


def test_a_service_with_another_probability_is_not_compared(bodies: Bodies, opened_bundle: Bundle) -> None:
    raw = np.array([0.2])
    region = json.loads(bodies.one.read_bytes().splitlines()[0])["households"][0]["region"]
    right = float(opened_bundle.calibration.probability(np.log(raw / (1 - raw)), [region])[0])
    for ours, fails in ((right, None), (right + 1e-6, "other probabilities"), (None, "none of the households")):
        with running(told(ours)) as one, running(told(0.2, is_tutorial=True)) as other:
            services = {"ours": (one.url, bodies.one), "tutorial": (other.url, bodies.one)}
            if fails is None:
                assert refuse_difference(opened_bundle, services) == "20 of 20 households compared, 0 without a number"
            else:
                with pytest.raises(RunFailed, match=fails):
                    refuse_difference(opened_bundle, services)


def test_a_service_that_fails_is_not_measured(bodies: Bodies, opened_bundle: Bundle) -> None:
    failed = json.dumps({"results": [{"probability": None, "status": "error"}]}).encode()
    for answer, reason in (((200, failed), "could not assess"), ((401, b'{"name": "no_token"}'), "401 .*no_token")):
        server = SlowServer(answer=lambda *_, answer=answer: answer)  # type: ignore[misc]
        with running(server), pytest.raises(RunFailed, match=reason):
            refuse_difference(opened_bundle, {"ours": (server.url, bodies.one)})


# --- figures -------------------------------------------------------------------------------------------------------


def measured(point: Point, per_s: float, p50: float, p99: float, cpu_ms: float = 1.0) -> dict[str, Any]:
    each = {"per_s": per_s, "p50_ms": p50, "p99_ms": p99, "max_ms": p99, "requests": 100, "errors": {}, "wall_s": 1.0}
    return line(
        point, [{**each, "service_cpu_s": cpu_ms / 10, "client_cpu_s": 0, "rss_before_mb": 1, "rss_after_mb": 1}]
    )


LINES = [
    measured(Point(OURS, 1), 50, 10, 30),
    measured(Point(OURS, 16), 500, 20, 30),
    measured(Point(OURS, 64), 600, 100, 400, cpu_ms=1.5),
    measured(Point(OURS, 4, 100), 7, 500, 600, cpu_ms=200.0),
    measured(Point(STORED, 64), 450, 100, 400),
    measured(Point(EVENTS, 64), 100, 600, 700, cpu_ms=9.0),
    measured(Point(VECTOR, 64), 200, 300, 400, cpu_ms=6.0),
    measured(Point(TWO, 64), 900, 300, 400),
    measured(Point(TWO, 4, 100), 12, 300, 400),
]
BARE = {"1": {"1": 60.0, "64": 1_000.0, "100": 1_000.0}, "2": {"1": 110.0, "64": 1_900.0, "100": 2_000.0}}
BARE_CPU_MS = {"1": 16.0, "64": 2.0, "100": 1.6}


def test_every_ratio_is_of_the_two_lines_it_names() -> None:
    found = ratios(LINES, BARE, BARE_CPU_MS, 100)
    assert found["x_tutorial_c64"] == 6.0
    assert found["x_tutorial_c64_cpu"] == pytest.approx(6.0)
    assert found["x_vector_tutorial_c64"] == 3.0
    assert found["x_vector_tutorial_c64_cpu"] == pytest.approx(4.0)
    assert found["share_of_bare_100"] == {"1": 0.7, "2": 0.6}
    assert found["share_of_bare_100_cpu"] == pytest.approx(0.8)
    assert found["share_of_bare_64"] == 0.6
    assert found["p99_over_p50"] == {"1": 3.0, "16": 1.5, "64": 4.0}
    assert found["store_costs"] == {"c64x1": 0.75, "c4x100": None}
    assert found["x_two_workers_c64"] == 1.5


def test_what_was_not_answered_has_no_ratio() -> None:
    silent = measured(Point(EVENTS, 64), 0.0, 1, 1)
    found = ratios([LINES[2], silent], {}, {}, 100)
    assert found["x_tutorial_c64"] is None
    assert found["share_of_bare_100"] == {"1": None, "2": None}


def test_rounds_become_medians_with_the_worst_maximum_and_all_errors() -> None:
    base = {"wall_s": 2.0, "client_cpu_s": 0.1, "rss_before_mb": 5, "rss_after_mb": 6, "requests": 10}
    rounds = [
        {
            **base,
            "per_s": per_s,
            "p50_ms": per_s,
            "p99_ms": None,
            "max_ms": worst,
            "errors": errors,
            "service_cpu_s": 1.0,
        }
        for per_s, worst, errors in ((3.0, 9.0, {"503": 1}), (1.0, 99.0, {}), (2.0, None, {"503": 2, "late": 1}))
    ]
    found = line(Point(OURS, 1, 7), rounds)
    assert (found["per_s"], found["households_per_s"], found["p99_ms"], found["max_ms"]) == (2.0, 14.0, None, 99.0)
    assert found["errors"] == {"503": 3, "late": 1}
    assert found["cpu_ms"] == 100.0
    assert (found["service_cores"], found["client_cores"]) == (0.5, pytest.approx(0.05))


ROW_OF_BARE = "100 households a call beside in process, 1 core(s), households/s"


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({}, set()),
        ({"x_tutorial_c64": 4.9}, {"calls/s beside the tutorial"}),
        ({"share_of_bare_100": {"1": 0.59, "2": 0.5}}, {ROW_OF_BARE}),
        ({"p99_over_p50": {"1": 9.0, "16": 9.0, "64": 5.1}}, {"p99 beside p50, 64 at once, ms"}),
    ],
)  # fmt: skip
def test_the_report_sets_the_bars(changed: dict[str, Any], missed: set[str]) -> None:
    found = {
        **ratios(LINES, BARE, BARE_CPU_MS, 100),
        "lines": LINES,
        "bare_households_per_s": BARE,
        "bare_cpu_ms": BARE_CPU_MS,
        "bodies": {"together": 100},
        "extent": {"probe_s": 60.0},
        "stops_over_50_ms": 2,
        "rss_growth_share": 0.01,
        "soak": {"requests": 3000, "rss_before_mb": 400.0, "rss_after_mb": 404.0},
        **changed,
    }
    lines = rows({"serve": found})
    assert {row.what for row in lines if row.met is False} == missed
    assert sum(row.met is not None for row in lines) == 4
    assert "| calls/s beside the tutorial | 600 | 100 |" in page({"serve": found})


def test_the_examples_hold() -> None:
    done = doctest.testmod(benchmarks.serve_figures)
    assert done.failed == 0 < done.attempted


# --- the run -------------------------------------------------------------------------------------------------------


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """Servers that answer at once in place of the services, and our client in this process: what is left is the run."""
    asked: list[tuple[Any, ...]] = []

    @contextmanager
    def service(name: str, is_tutorial: bool, *how: Any) -> Iterator[Running]:
        with running(told(0.5, is_tutorial=is_tutorial)) as server:
            asked.append((name, *how))
            yield Running(server.url, os.getpid())

    def load(address: str, bodies: Path | None, **how: Any) -> dict[str, Any]:
        messages = [request(address[-6:], body) for body in bodies.read_bytes().splitlines()] if bodies else []
        port = int(address.split(":")[2].split("/")[0])
        how["seconds"] = min(how["seconds"], 0.05) if "limit" not in how else 5.0
        return put(Load("127.0.0.1", port, messages or [request("/livez")], **how)).as_json()

    of = benchmarks.serve
    monkeypatch.setattr(
        of, "our_service", lambda b, s, *, workers, store, cores: service("ours", False, workers, store, cores)
    )
    monkeypatch.setattr(of, "tutorial_service", lambda v, b, s, *, cores: service(v, True, cores))
    monkeypatch.setattr(of, "_load", load)
    monkeypatch.setattr(
        of, "run_apart", lambda *_: {str(n): {"households_per_s": 10.0 * n, "cpu_ms": 0.5} for n in (1, 64, 100)}
    )
    monkeypatch.setattr(of, "refuse_difference", lambda *_: "compared")
    yield asked


def test_the_whole_run_measures_every_line_and_prints_it(
    pretended: list[tuple[Any, ...]],
    tiny_bundle: Path,
    tiny_county: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = serve_benchmark(tmp_path, bundle=tiny_bundle, county=tiny_county, extent=QUICK)
    assert [each[0] for each in pretended] == ["ours", "ours", "events", "vector", "ours"]
    assert [each[1] for each in pretended if each[0] == "ours"] == [1, 1, 2]
    assert pretended[0][2] == "none"
    assert pretended[1][2].startswith("sqlite:///")
    assert {each[-1] for each in pretended[:4]} == {(0,)}, "all with one worker on the same core"
    points = {(each["service"], each["connections"], each["households"]) for each in found["lines"]}
    assert points == {
        *((name, c, 1) for name in (OURS, EVENTS, VECTOR, TWO) for c in (1, 16, 64)),
        *((name, c, 10) for name in (OURS, TWO) for c in (1, 4)),
        (STORED, 64, 1), (STORED, 4, 10), (EVENTS, 4, 10),
    }  # fmt: skip
    assert all(each["requests"] > 0 and not each["errors"] for each in found["lines"])
    assert found["bare_households_per_s"] == {
        "1": {"1": 10.0, "64": 640.0, "100": 1000.0},
        "2": {"1": 20.0, "64": 1280.0, "100": 2000.0},
    }
    assert found["bare_cpu_ms"] == {"1": 0.5, "64": 0.5, "100": 0.5}
    assert found["soak"]["requests"] == QUICK.soak
    assert found["client"] == "own"
    assert len(rows({"serve": found})) == 15
    assert str(tmp_path) not in json.dumps(found)
    monkeypatch.setattr("benchmarks.serve.serve_benchmark", lambda *_, **__: found)
    assert json.loads(CliRunner().invoke(benchmark, ["serve", "--quick", "--json"]).stdout) == json.loads(
        json.dumps(found)
    )
    assert "calls/s beside the tutorial" in CliRunner().invoke(benchmark, ["serve"]).stdout


def test_options_change_the_extent(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("benchmarks.serve.serve_benchmark", lambda *_, **how: given.update(how) or {"lines": []})
    CliRunner().invoke(benchmark, ["serve", "--soak", "100000", "--seconds", "9", "--client", "wrk", "--json"])
    assert (given["extent"].soak, given["extent"].seconds, given["client"]) == (100_000, 9.0, "wrk")
    assert given["extent"].rounds == 3


SERVER = """
import http.server, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_service_is_watched_and_stopped_with_all_its_children(tmp_path: Path) -> None:
    port = free_port()
    with started(["-c", SERVER, str(port)], tmp_path, (0,), {}, port) as service:
        assert urllib.request.urlopen(service.url + "/readyz").status == 200
        child = int((tmp_path / f"service-{port}.log").read_text())
        assert lives(child)
        assert service.cpu_s() > 0
        assert service.rss_mb() > 1
        if hasattr(os, "sched_getaffinity"):
            assert os.sched_getaffinity(service.pid) == {0}
    assert not lives(service.pid)
    assert not lives(child)


def test_a_service_that_does_not_start_ends_the_run_with_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(RunFailed, match="no such bundle"),
        started(["-c", "raise SystemExit('no such bundle')"], tmp_path, (0,), {}, free_port()),
    ):
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="cores are chosen on Linux only")
def test_cores_are_given_back() -> None:
    before = os.sched_getaffinity(0)
    with on_cores((min(before),)):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before
    with on_cores((10_000,)):
        assert os.sched_getaffinity(0) == before, "a machine without that core uses what it has"
