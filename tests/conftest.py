"""Shared fixtures and Hypothesis settings."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from models.bundle import Bundle

settings.register_profile("povrisk", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("povrisk")


@pytest.fixture(scope="session", autouse=True)
def _store_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """MLflow writes into the test run's own folder, never into the checkout."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture(scope="session")
def tiny_county(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic county of 600 households over 48 months. Shared: read it, never write to it."""
    from training.county.simulate import simulate

    return _once(tmp_path_factory, "county", lambda folder: simulate(folder, households=600, months=48, seed=3))


@pytest.fixture(scope="session")
def tiny_bundle(tiny_county: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unsigned bundle trained on the tiny county; too small to be any good. Shared: read it, never write to it."""
    from training.candidate_bundle import write_candidate
    from training.study import Plan, study

    def train(folder: Path) -> None:
        quick = Plan(split="household", tries=0, origins=0, challengers=("best_single_feature",))
        write_candidate(study(tiny_county, quick), folder, {"version": "test", "run_id": "none"})

    return _once(tmp_path_factory, "bundle", train)


@pytest.fixture(scope="session")
def opened_bundle(tiny_bundle: Path) -> Bundle:
    """The tiny bundle, verified and loaded once a process."""
    from models.bundle import read_bundle

    return read_bundle(tiny_bundle)


def _once(tmp_path_factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """The folder that `build` writes, built by the first process of the test run that asks for it."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    folder = place / "shared" / name
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            build(folder)
    return folder
