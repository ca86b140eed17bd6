"""The benchmarks measure what they say: the workload is as described, and a peer with other numbers has no time."""

from __future__ import annotations

import doctest
import json
import platform
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import benchmarks.apart
import benchmarks.report
import benchmarks.vectors
import benchmarks.workload
from benchmarks.batch import batch_benchmark
from benchmarks.commands import benchmark
from benchmarks.report import Row, page, printed, rows, write
from benchmarks.rules import measured as rules_measured
from benchmarks.vectors import PeersDisagree, refuse_difference, vectors_benchmark
from benchmarks.workload import MONTHS, Size, described, moments, workload_at, workload_catalogue
from features.dataset import read_dataset
from features.intake import admit
from features.window import MICROS_PER_DAY

HOUSEHOLDS = 400
SIZE = Size(HOUSEHOLDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workload_at(tmp_path_factory.mktemp("workload") / "small", SIZE)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One small measurement of everything that needs no environment of its own."""
    there = benchmarks.vectors.PEERS_PYTHON
    benchmarks.vectors.PEERS_PYTHON = Path("/nowhere/python")
    try:
        return vectors_benchmark(tmp_path_factory.mktemp("bench"), households=HOUSEHOLDS, rounds=1, full=False)
    finally:
        benchmarks.vectors.PEERS_PYTHON = there


# --- the workload --------------------------------------------------------------------------------------------------


def test_the_workload_declares_ten_groups_of_thirteen_columns_over_26_codes() -> None:
    of = workload_catalogue()
    assert (len(of.kinds), len(of.features)) == (26, 130)
    assert of.names[:13] == (
        *(f"g0_{measure}_{months}m" for measure in ("count", "sum", "max", "mean") for months in (3, 6, 12)),
        "g0_since",
    )
    assert described(SIZE)["columns"] == list(of.names)


def test_the_moments_are_the_last_twelve_month_ends_of_the_data() -> None:
    first, last = moments()[0], moments()[-1]
    assert len(moments()) == 12
    occurred = (described(SIZE)["window_start"][0][2], last)
    assert occurred[0] < first
    assert MONTHS == 36


def test_the_workload_has_the_rows_it_promises(folder: Path) -> None:
    events = pq.read_table(folder / "events.parquet")
    assert len(events) == SIZE.events == 10 * HOUSEHOLDS
    status = {row["values"]: row["counts"] for row in events["status"].value_counts().to_pylist()}
    assert status["original"] == round(0.96 * SIZE.events)
    assert 0.02 < status["corrected"] / SIZE.events < 0.04
    assert 0.005 < status["retracted"] / SIZE.events < 0.015
    original = events.filter(pc.equal(events["status"], "original"))
    lag = pc.subtract(original["known_at"].cast("int64"), original["occurred_at"].cast("int64")).to_numpy()
    assert lag.min() >= 0
    assert 55 * MICROS_PER_DAY < lag.max() <= 60 * MICROS_PER_DAY
    targets = events["supersedes"].drop_null()
    assert len(targets) > len(targets.unique()) > 0.9 * len(targets), "some rows are corrected twice, most once"


def test_intake_refuses_nothing_of_the_workload(folder: Path) -> None:
    _, report = admit(read_dataset(folder), workload_catalogue())
    assert report.rejects.empty
    assert report.unknown_codes == {}


def test_the_same_size_and_seed_give_the_same_files(folder: Path, tmp_path: Path) -> None:
    again, other = workload_at(tmp_path / "again", SIZE), workload_at(tmp_path / "other", Size(HOUSEHOLDS, seed=2))
    names = ("events.parquet", "members.parquet", "households.parquet", "dataset.json")
    assert all((again / name).read_bytes() == (folder / name).read_bytes() for name in names)
    assert (other / "events.parquet").read_bytes() != (folder / "events.parquet").read_bytes()


def test_a_workload_that_is_there_is_taken_and_another_one_written_anew(tmp_path: Path) -> None:
    place = workload_at(tmp_path / "kept", Size(200))
    before = (place / "events.parquet").stat().st_mtime_ns
    workload_at(place, Size(200))
    assert (place / "events.parquet").stat().st_mtime_ns == before
    workload_at(place, Size(300))
    assert pq.read_metadata(place / "households.parquet").num_rows == 300


# --- agreement -----------------------------------------------------------------------------------------------------


def test_every_peer_proved_our_numbers_before_it_was_timed(found: dict[str, Any]) -> None:
    assert set(found["agreement"]) == {"pandas", "polars", "duckdb"}
    assert all(f"{12 * HOUSEHOLDS:,} vectors" in told for told in found["agreement"].values())


def summary() -> dict[str, np.ndarray]:
    values = np.random.default_rng(1).random((2, 3, 26))
    values[0, 0, 0] = np.nan
    return {
        "rows": np.array([3, 3]),
        "sums": np.nansum(values, axis=1),
        "gaps": np.isnan(values).sum(axis=1),
        "sample": values,
    }


@pytest.mark.parametrize(
    ("what", "reason"),
    [("rows", "number of vectors"), ("gaps", "cells empty"), ("sums", "column sums"), ("sample", "single households")],
)
def test_any_difference_of_a_peer_is_refused(what: str, reason: str) -> None:
    own, other = summary(), summary()
    refuse_difference("peer", own, other)
    changed = other[what].astype(np.float64)
    changed[(-1,) * changed.ndim] += 1e-6
    with pytest.raises(PeersDisagree, match=f"peer .*{reason}"):
        refuse_difference("peer", own, {**other, what: changed})


def test_only_the_months_since_may_differ_where_a_peer_leaves_them_out() -> None:
    own, other = summary(), summary()
    for part in ("sums", "gaps", "sample"):
        other[part][..., [12, 25]] += 1
    refuse_difference("peer", own, other, without_months=True)
    with pytest.raises(PeersDisagree):
        refuse_difference("peer", own, other)
    other["sample"][..., 11] += 1
    with pytest.raises(PeersDisagree):
        refuse_difference("peer", own, other, without_months=True)


# --- figures -------------------------------------------------------------------------------------------------------


def test_the_promised_figures_are_told(found: dict[str, Any]) -> None:
    for name in ("ratio_to_floor", "x_pandas", "x_polars", "x_duckdb", "us_per_vector", "peak_rss_mb"):
        assert found[name] > 0, name
    cpu = found["cpu_s"]
    assert found["ratio_to_floor"] == cpu["ours"] / cpu["floor"]
    assert found["x_pandas"] == cpu["pandas"] / cpu["ours"]
    assert found["us_per_vector"] == 1e6 * cpu["ours"] / (12 * HOUSEHOLDS)
    assert found["workload"]["vectors"] == 12 * HOUSEHOLDS
    json.dumps(found)


def test_a_peer_that_is_not_installed_is_empty_with_the_reason(found: dict[str, Any]) -> None:
    assert found["x_featuretools"] is None
    assert "make bench" in found["featuretools"]["why_not"]


def test_the_results_name_the_machine_but_neither_its_name_nor_a_place(found: dict[str, Any]) -> None:
    told = json.dumps(found)
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["versions"]["numba"]
    assert platform.node() not in told.split('"')
    assert str(Path.cwd()) not in told
    assert str(Path.home()) not in told


def test_the_rules_are_measured_beside_the_vectors(tmp_path: Path) -> None:
    from training.county.simulate import simulate

    simulate(tmp_path / "county", households=60, months=36, seed=1)
    told = rules_measured(tmp_path / "county", None)
    assert told["households"] == 60
    assert told["visible_events"] > 0
    assert told["ratio_to_vectors"] > 0


def test_a_province_is_scored_through_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command is another test's matter; here it is the arguments and what becomes of its answer."""
    given: list[list[str]] = []

    def povrisk(arguments: list[str], **_: str) -> str:
        given.append(arguments)
        out = Path(arguments[arguments.index("--out") + 1])
        if arguments[0] == "simulate":
            workload_at(out, Size(200))
            return ""
        out.write_bytes(b"x" * 1000)
        return json.dumps({"households": 200, "peak_rss_mb": 300.0, "stages": {"read": 1.0, "score": 3.0}}) + "\n"

    monkeypatch.setattr("benchmarks.batch._povrisk", povrisk)
    told = batch_benchmark(tmp_path / "kept", bundle=tmp_path, scale=200 / 188_000)
    assert [arguments[0] for arguments in given] == ["simulate", "score"]
    assert given[0][1:3] == ["--households", "200"]
    assert "--no-reasons" not in given[1]
    assert given[1][given[1].index("--workers") + 1] == "2"
    assert (told["households"], told["people"], told["events"]) == (200, 200, 2000)
    assert told["peak_rss_mb"] == 300.0
    assert told["cpu_s"] == 4.0
    assert told["shares"] == {"read": 0.25, "score": 0.75}
    batch_benchmark(tmp_path / "kept", bundle=tmp_path, scale=200 / 188_000)
    assert [arguments[0] for arguments in given] == ["simulate", "score", "score"], "a province that is there is taken"


# --- the report ----------------------------------------------------------------------------------------------------


def test_a_bar_is_met_only_on_its_own_side() -> None:
    assert [Row("", "", "", ratio, "≤ 4").met for ratio in (3.9, 4.0, 4.1)] == [True, True, False]
    assert [Row("", "", "", ratio, "≥ 4").met for ratio in (3.9, 4.0, 4.1)] == [False, True, True]
    assert Row("", "", "", None, "≥ 4").met is None
    assert Row("", "", "", 4.0, "").met is None


EXPLAINED = {
    "models": {
        "good": {
            "us_per_row": {b: {"ours": 10.0, "pred_contrib": 900.0} for b in ("1", "64", "1000")},
            "x_pred_contrib": {"1": 90.0, "64": 90.0, "1000": 90.0},
        },
        "bad": {
            "us_per_row": {b: {"ours": 20.0, "pred_contrib": 180.0} for b in ("1", "64", "1000")},
            "x_pred_contrib": {"1": 9.0, "64": 9.0, "1000": 9.5},
        },
    },
    "x_pred_contrib_batch": 9.0,
    "x_pred_contrib_one": 5.0,
    "max_abs_diff": 1e-12,
    "deep_additivity_error": 1e-12,
    "deep_pred_contrib_additivity_error": 2e7,
}


def test_the_report_says_which_bars_are_missed(found: dict[str, Any], tmp_path: Path) -> None:
    measured = {"vectors": found, "explain": EXPLAINED}
    told = {row.what: row for row in rows(measured)}
    assert told["contributions, batches, a row"].met is False
    assert told["contributions, one row"].met is True
    assert told["a vector by featuretools"].met is None
    written = page(measured)
    assert "| contributions, batches, a row | 20 µs | 180 µs | 9 | ≥ 10 | NO |" in written
    assert found["machine"]["processor"] in written
    assert printed(measured).row_count == len(told)
    write(measured, tmp_path)
    assert json.loads((tmp_path / "results.json").read_text("utf-8")) == measured
    assert (tmp_path / "results.md").read_text("utf-8") == written


def test_the_command_prints_json_or_a_table(monkeypatch: pytest.MonkeyPatch, found: dict[str, Any]) -> None:
    monkeypatch.setattr("benchmarks.vectors.vectors_benchmark", lambda *_, **__: found)
    as_json = CliRunner().invoke(benchmark, ["vectors", "--json"])
    assert json.loads(as_json.stdout) == found
    as_table = CliRunner().invoke(benchmark, ["vectors"])
    assert "the same by pandas" in as_table.stdout


def test_a_measurement_that_fails_ends_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def disagreeing(*_: Any, **__: Any) -> None:
        raise PeersDisagree("pandas gives other column sums than ours")

    monkeypatch.setattr("benchmarks.vectors.vectors_benchmark", disagreeing)
    done = CliRunner().invoke(benchmark, ["vectors", "--json"])
    assert done.exit_code == 1
    assert "pandas gives other column sums" in done.stderr


@pytest.mark.parametrize("module", [benchmarks.apart, benchmarks.report, benchmarks.workload])
def test_the_examples_hold(module: ModuleType) -> None:
    done = doctest.testmod(module)
    assert done.failed == 0 < done.attempted


# --- the queue -----------------------------------------------------------------------------------------------------


def test_the_queue_is_measured_on_every_database_that_is_there() -> None:
    from benchmarks.queue import measured

    found = measured((120, 300), deep=100)
    assert set(found["databases"]) == {"sqlite", "postgresql"}
    for pages in found["databases"].values():
        assert pages["growth"] > 0
        assert all(pages[size][name] > 0 for size in ("120", "300") for name in ("first_ms", "deep_ms", "township_ms"))
    lines = rows({"queue": found})
    assert len(lines) == 6
    assert [line.bar for line in lines] == ["≤ 100", "", ""] * 2
