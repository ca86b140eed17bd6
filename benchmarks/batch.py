"""A province in one night: `povrisk score` over a synthetic platform to which only some departments are connected.

550,000 people and 1.85 million events in 36 months, with reasons, as one process that starts two workers: what the
caller waits for and what the machine must hold, from the command line to the finished file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.apart import RunFailed, machine
from features.dataset import META_FILE, read_meta

HOUSEHOLDS, MONTHS, SEED = 188_000, 36, 7
# Together about ten rows a household; the whole catalogue of a well connected county writes a hundred.
SOURCES = "民政,残联,住建,公安,卫健,应急,自然资源,公安交管,本人/12345,金融机构"
TRAINED_ON = {"households": 5_000, "months": 60, "seed": 7}

Progress = Callable[[str], None]


def batch_benchmark(
    folder: Path | None = None,
    *,
    bundle: Path | None = None,
    scale: float = 1.0,
    workers: int = 2,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """All figures of `povrisk benchmark batch`.

    `bundle` is any published bundle of the core catalogue; without one a small model is trained first. `scale` makes
    the province smaller, `folder` keeps it for the next time. Only the scoring is measured.
    """
    if folder is None:
        with TemporaryDirectory(prefix="povrisk-benchmark-") as place:
            return batch_benchmark(Path(place), bundle=bundle, scale=scale, workers=workers, progress=progress)
    folder.mkdir(parents=True, exist_ok=True)
    if bundle is None:
        bundle = trained_bundle(folder, progress)
    households = max(1, round(HOUSEHOLDS * scale))
    province = folder / f"province-{households}"
    if not (province / META_FILE).is_file():
        progress(f"Simulating {households:,} households")
        _povrisk(["simulate", *_size(households, MONTHS, SEED), "--sources", SOURCES, "--out", str(province)])
    progress(f"Scoring {households:,} households with {workers} workers")
    with TemporaryDirectory(dir=folder) as place:
        out = Path(place) / "scores.parquet"
        as_of = read_meta(province).data_until
        options = ["--as-of", as_of, "--out", str(out), "--workers", str(workers), "--json"]
        begun = time.perf_counter()
        printed = _povrisk(["score", str(bundle), str(province), *options])
        wall_s = time.perf_counter() - begun
        written = out.stat().st_size
    told = json.loads(printed.splitlines()[-1])
    return _figures(told, province, wall_s, workers) | {"output_mb": written / 1e6, "machine": machine()}


def _figures(told: Mapping[str, Any], province: Path, wall_s: float, workers: int) -> dict[str, Any]:
    """`stages` are processor seconds of all processes; starting them is not in it, but in `wall_s`."""
    stages = {str(name): float(seconds) for name, seconds in told["stages"].items()}
    cpu_s = sum(stages.values())
    return {
        "wall_s": wall_s,
        "households": told["households"],
        "people": len(pc.unique(pq.read_table(province / "members.parquet", columns=["person_id"])["person_id"])),
        "events": pq.read_metadata(province / "events.parquet").num_rows,
        "workers": workers,
        "peak_rss_mb": told["peak_rss_mb"],
        "cpu_s": cpu_s,
        "households_per_s": told["households"] / wall_s,
        "us_per_household": 1e6 * cpu_s / told["households"],
        "stages": stages,
        "shares": {name: seconds / cpu_s for name, seconds in stages.items()},
    }


def trained_bundle(folder: Path, progress: Progress) -> Path:
    """A bundle in this folder, trained on a small simulated county unless it is there already."""
    bundle = folder / "bundle"
    if bundle.is_dir():
        return bundle
    county, store = folder / "training", f"sqlite:///{(folder / 'mlflow.db').resolve().as_posix()}"
    progress("Simulating a county to train on")
    _povrisk(["simulate", *_size(**TRAINED_ON), "--out", str(county)])
    progress("Training a small model")
    run = json.loads(_povrisk(["train", str(county), "--json"], MLFLOW_TRACKING_URI=store))
    _povrisk(["publish", run["run_id"], "--out", str(bundle)], MLFLOW_TRACKING_URI=store)
    return bundle


def _size(households: int, months: int, seed: int) -> list[str]:
    return ["--households", str(households), "--months", str(months), "--seed", str(seed)]


def _povrisk(arguments: Sequence[str], **environment: str) -> str:
    done = subprocess.run(
        _command(arguments), env={**os.environ, **environment}, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        raise RunFailed(f"povrisk {arguments[0]} ended with {done.returncode}:\n{done.stderr.strip()[-800:]}")
    return done.stdout


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "features.command_line", *arguments]
