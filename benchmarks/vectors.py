"""Household vectors: processor time and memory beside a floor and beside peers that must give the same numbers."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.apart import ROOT, RunFailed, machine, median, run_apart
from benchmarks.workload import N_MOMENTS, Size, workload_at

OURS, FLOOR = "benchmarks.ours", "benchmarks.peers.floor"
PEERS = {
    "pandas": "benchmarks.peers.pandas_peer",
    "polars": "benchmarks.peers.polars_peer",
    "duckdb": "benchmarks.peers.duckdb_peer",
}
FEATURETOOLS = "benchmarks.peers.featuretools_peer"
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
FEATURETOOLS_HOUSEHOLDS = 20_000
COLUMNS_A_GROUP = 13
GROWTH = 5

Progress = Callable[[str], None]


class PeersDisagree(Exception):
    """A peer gave other numbers than we did, so its time says nothing."""


def vectors_benchmark(
    folder: Path | None = None,
    *,
    households: int = 200_000,
    rounds: int = 3,
    peers: Sequence[str] = tuple(PEERS),
    featuretools_households: int = FEATURETOOLS_HOUSEHOLDS,
    growth: bool = False,
    full: bool = True,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """All figures of `povrisk benchmark vectors`.

    Every peer first proves that it gives our numbers, untimed; then all ways run one after the other, `rounds` times,
    and medians are told. `folder` keeps the invented data for the next time.
    """
    if folder is None:
        with TemporaryDirectory(prefix="povrisk-benchmark-") as place:
            return vectors_benchmark(
                Path(place), households=households, rounds=rounds, peers=peers, growth=growth, full=full,
                featuretools_households=featuretools_households, progress=progress,
            )  # fmt: skip
    size = Size(households)
    progress(f"Writing {size.events:,} invented events")
    data = workload_at(folder / f"workload-{households}", size)
    modules = {name: PEERS[name] for name in peers}
    checked = agreement(data, modules, progress)
    runs: dict[str, list[dict[str, Any]]] = {
        "floor": [],
        "ours": [],
        "ours_with_intake": [],
        **{n: [] for n in modules},
    }
    # The two that the first ratio is made of take seconds, so they run twice in a round.
    turns = [*runs, *(("floor", "ours") if rounds > 1 else ())]
    for number in range(rounds):
        for name in turns:
            progress(f"Round {number + 1} of {rounds}: {name.replace('_', ' ')}")
            runs[name].append(_timed(name, data))
    found = _figures(runs, size)
    found["agreement"] = checked
    found |= _featuretools(folder, featuretools_households, found, progress)
    if growth:
        found["growth"] = _growth(folder, households, found, progress)
    if full:
        found |= _full(folder, progress)
    found["machine"] = machine()
    return found


def agreement(data: Path, modules: Mapping[str, str], progress: Progress) -> dict[str, str]:
    """Compare every peer with us; raises `PeersDisagree` on the first difference."""
    with TemporaryDirectory() as place:

        def checked(name: str, module: str) -> Mapping[str, np.ndarray]:
            progress(f"Checking the numbers of {name}")
            path = Path(place) / f"{name}.npz"
            run_apart(module, [str(data), "--check", str(path)], python=_python(module))
            return dict(np.load(path))

        own = checked("ours", OURS)
        found = {}
        for name, module in modules.items():
            refuse_difference(name, own, checked(name, module), without_months=module == FEATURETOOLS)
            n = own["sample"].shape[1]
            found[name] = (
                f"sums and gaps of {own['rows'].sum():,} vectors equal; {n} households at every moment bit for bit"
            )
        return found


def refuse_difference(
    name: str, own: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], *, without_months: bool = False
) -> None:
    """Raise `PeersDisagree` unless rows and gaps are the same, sample rows bit for bit, and sums to 1 part in 10^9.

    Counts, sums and maxima add up without rounding; means and months are added up in another order.
    """
    columns = np.ones(own["sums"].shape[1], np.bool_)
    if without_months:
        columns[COLUMNS_A_GROUP - 1 :: COLUMNS_A_GROUP] = False
    if not np.array_equal(own["rows"], other["rows"]):
        raise PeersDisagree(f"{name} gives another number of vectors than ours")
    if not np.array_equal(own["gaps"][:, columns], other["gaps"][:, columns]):
        raise PeersDisagree(f"{name} leaves other cells empty than ours")
    if not np.allclose(own["sums"][:, columns], other["sums"][:, columns], rtol=1e-9, atol=0.0):
        raise PeersDisagree(f"{name} gives other column sums than ours")
    if not np.array_equal(own["sample"][..., columns], other["sample"][..., columns], equal_nan=True):
        raise PeersDisagree(f"{name} gives other values for single households than ours")


def _python(module: str) -> Path:
    return PEERS_PYTHON if module == FEATURETOOLS else Path(sys.executable)


def _timed(name: str, data: Path) -> dict[str, Any]:
    module = {"floor": FLOOR, "ours": OURS, "ours_with_intake": OURS, **PEERS}[name]
    environment = {"BENCHMARK_INTAKE": "1" if name == "ours_with_intake" else "0"}
    return run_apart(module, [str(data)], environment=environment)


def _figures(runs: Mapping[str, Sequence[dict[str, Any]]], size: Size) -> dict[str, Any]:
    cpu = {name: median(done, "cpu_s") for name, done in runs.items()}
    vectors = N_MOMENTS * size.households
    last = runs["ours_with_intake"][-1]["stages"]
    return {
        "ratio_to_floor": cpu["ours"] / cpu["floor"],
        "ratio_to_floor_with_intake": cpu["ours_with_intake"] / cpu["floor"],
        **{f"x_{name}": cpu[name] / cpu["ours"] if name in cpu else None for name in PEERS},
        "us_per_vector": 1e6 * cpu["ours"] / vectors,
        "us_per_vector_with_intake": 1e6 * cpu["ours_with_intake"] / vectors,
        "peak_rss_mb": max(done["peak_rss_mb"] for done in (*runs["ours"], *runs["ours_with_intake"])),
        "us_per_event": {name: 1e6 * cpu_s / size.events for name, cpu_s in last.items() if name != "vectors"},
        "cpu_s": cpu,
        "wall_s": {name: median(done, "wall_s") for name, done in runs.items()},
        "peak_rss_mb_of": {name: median(done, "peak_rss_mb") for name, done in runs.items()},
        "workload": {**dataclasses.asdict(size), "events": size.events, "moments": N_MOMENTS, "vectors": vectors},
        "rounds": len(runs["ours_with_intake"]),
    }


def _featuretools(folder: Path, households: int, found: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Featuretools on a smaller workload of the same kind, scaled by the number of vectors."""
    if not PEERS_PYTHON.is_file():
        why = "needs pandas below 2.3 in an environment of its own; `make bench` makes it"
        return {"x_featuretools": None, "featuretools": {"why_not": why}}
    data = workload_at(folder / f"workload-{households}", Size(households))
    try:
        agreement(data, {"featuretools": FEATURETOOLS}, progress)
        progress("Timing featuretools")
        done = run_apart(FEATURETOOLS, [str(data)], python=_python(FEATURETOOLS))
    except RunFailed as error:
        return {"x_featuretools": None, "featuretools": {"why_not": str(error).splitlines()[-1]}}
    us = 1e6 * done["cpu_s"] / done["vectors"]
    return {
        "x_featuretools": us / found["us_per_vector"],
        "featuretools": {
            "us_per_vector": us,
            "cpu_s": done["cpu_s"],
            "vectors": done["vectors"],
            "households": households,
            "leaves_out": "months since the last event",
        },
    }


def _growth(folder: Path, households: int, found: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """What so many times the households and events cost."""
    progress(f"{GROWTH} times the events")
    data = workload_at(folder / f"workload-{GROWTH * households}", Size(GROWTH * households))
    done = run_apart(OURS, [str(data)])
    return {
        "x_events": GROWTH,
        "x_cpu": done["cpu_s"] / found["cpu_s"]["ours"],
        "cpu_s": done["cpu_s"],
        "peak_rss_mb": done["peak_rss_mb"],
        "x_peak_rss": done["peak_rss_mb"] / found["peak_rss_mb_of"]["ours"],
        "stages": done["stages"],
    }


def _full(folder: Path, progress: Progress) -> dict[str, Any]:
    """The shipped catalogue on a simulated county, and one household alone."""
    progress("The shipped catalogue on a simulated county")
    done = run_apart("benchmarks.shipped", [str(folder)])
    return {
        "us_per_vector_full": done["us_per_vector"],
        "us_per_vector_per_column_full": done["us_per_vector_per_column"],
        "one_household_us": done["one_household_us"],
        "full": done,
    }
