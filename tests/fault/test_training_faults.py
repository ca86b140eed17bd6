"""Training under faults: a dead store costs seconds or nothing, a killed run leaves no half model, a rerun the same."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.exceptions import MlflowException

from models.bundle import BundleRefused, read_bundle
from training.run import train
from training.study import Plan
from training.unlogged import StoreLost

# How often the training is killed; the figures in docs/results.md are of 20.
KILLS = int(os.environ.get("POVRISK_TEST_TRAINING_KILLS", "1"))
# The plan of the fixture `tiny_bundle`, so that its trees are what a finished run must give.
QUICK = Plan(split="household", tries=0, origins=0, challengers=("best_single_feature",))

TRAIN = """
import sys, tempfile
from pathlib import Path
import mlflow
from models.bundle import copy_bundle
from tests.fault.test_training_faults import QUICK
from training import registry
from training.run import train

done = train(Path(sys.argv[1]), QUICK)
fetched = mlflow.artifacts.download_artifacts(run_id=done.run_id, artifact_path=registry.BUNDLE_ARTIFACT,
                                              dst_path=tempfile.mkdtemp(dir="."))
copy_bundle(Path(fetched), Path("published"))
"""


def test_a_store_that_is_away_at_the_start_is_told_before_anything_is_trained(
    tiny_county: Path, tmp_path: Path
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", "from training.commands import train; train()", str(tiny_county)],
            env={**_plain(), "MLFLOW_TRACKING_URI": address},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert "MLflow's store refused" in done.stderr
    assert time.monotonic() - started < 30
    assert not list(tmp_path.iterdir())


def test_a_store_that_is_lost_after_training_costs_no_study(
    tiny_county: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*given: Any, **named: Any) -> None:
        raise MlflowException("gone")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setattr(mlflow, "log_metrics", lost)
    with pytest.raises(StoreLost, match="the same data and seed give the same trees") as told:
        train(tiny_county, QUICK)
    (kept,) = (tmp_path / "unlogged").iterdir()
    assert kept.name in str(told.value)
    assert {path.name for path in kept.iterdir()} == {"bundle", "report.md", "metrics.json"}
    bundle, expected = read_bundle(kept / "bundle"), read_bundle(tiny_bundle)
    assert bundle.manifest["trees_sha256"] == expected.manifest["trees_sha256"]


def test_training_killed_anywhere_leaves_a_whole_bundle_or_none_and_goes_again(
    tiny_county: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    started = time.monotonic()
    whole = _start(tiny_county, tmp_path / "whole")
    assert whole.wait(300) == 0, whole.stderr and whole.stderr.read()
    lasts = time.monotonic() - started
    expected = read_bundle(tmp_path / "whole" / "published").manifest["trees_sha256"]
    assert expected == read_bundle(tiny_bundle).manifest["trees_sha256"]
    # Most kills fall where something is written: late.
    fractions = 1 - np.random.default_rng(7).random(KILLS) ** 2
    for number, fraction in enumerate(fractions):
        place = tmp_path / f"killed-{number}"
        process = _start(tiny_county, place)
        try:
            process.wait(lasts * fraction)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for folder in place.rglob("manifest.json"):
            try:
                found = read_bundle(folder.parent)
            except BundleRefused:
                # Half a copy inside the store; never where a bundle is published to.
                assert folder.parent.name != "published"
            else:
                assert found.manifest["trees_sha256"] == expected


def _start(county: Path, place: Path) -> subprocess.Popen[str]:
    place.mkdir()
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(county)],
        env={
            **_plain(),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "MLFLOW_TRACKING_URI": f"sqlite:///{place / 'mlflow.db'}",
        },
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
