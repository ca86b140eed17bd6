"""Runs of single measurements in processes of their own, and what machine they ran on."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.peers.running import SINGLE_THREAD

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("numpy", "numba", "pyarrow", "pandas", "lightgbm", "shap", "duckdb", "polars")


class RunFailed(Exception):
    """A measurement ended with an error; the message holds the last lines it wrote."""


def run_apart(
    module: str,
    arguments: Sequence[str] = (),
    *,
    python: str | Path = sys.executable,
    environment: Mapping[str, str] | None = None,
    single_thread: bool = True,
) -> dict[str, Any]:
    """Run a module in a fresh process and read the JSON of its last line."""
    own = SINGLE_THREAD if single_thread else {}
    done = subprocess.run(
        [str(python), "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **own, **(environment or {})},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        raise RunFailed(f"{module} ended with {done.returncode}:\n" + "\n".join(done.stderr.splitlines()[-8:]))
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def median(runs: Sequence[Mapping[str, Any]], key: str) -> float:
    """The median of one figure over the runs.

    >>> median([{"cpu_s": 3.0}, {"cpu_s": 1.0}, {"cpu_s": 2.0}], "cpu_s")
    2.0
    """
    return float(statistics.median(run[key] for run in runs))


def machine() -> dict[str, Any]:
    """What a reader needs to compare figures: processor, cores, versions; no name and no place."""
    found: dict[str, str | None] = {}
    for package in VERSIONS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": found,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
