"""The same data and seed give the same county, the same trees and the same file, wherever they are grown."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import training.learning
from features.catalogue import catalogue
from features.dataset import read_dataset, read_meta
from features.intake import admitted
from models.boosted import trees_digest
from training.county.simulate import simulate
from training.labels import label, label_rows
from training.learning import Learned, LearningRefused, learn
from training.moments import moments
from training.rows import dataset_history, in_canonical_order, vectors_of

CORE = catalogue()
Rows = tuple[pd.DataFrame, np.ndarray]


def rows_of(folder: Path) -> Rows:
    """Labelled rows of a few moments and their vectors."""
    read = admitted(read_dataset(folder), CORE)
    rows = label_rows(label("L1", read), read, moments(read.meta)[::6])
    rows = in_canonical_order(rows[rows["at_risk"] & rows["outcome"].notna()])
    return rows, vectors_of(dataset_history(read, CORE), rows)


def learned(rows: Rows, seed: int = 1) -> Learned:
    table, values = rows
    return learn(values, table["outcome"].to_numpy(np.float64), table["household_id"], CORE.features, seed=seed)


def told(made: Learned) -> dict[str, Any]:
    """Everything that a run keeps of a model."""
    return {
        "text": hashlib.sha256(made.text.encode()).hexdigest(),
        "margins": hashlib.sha256(made.held_out_margins.tobytes()).hexdigest(),
        "calibration": [made.calibration.slope, made.calibration.intercept],
        "trees": made.parameters["n_trees"],
    }


@pytest.fixture(scope="module")
def rows(tiny_county: Path) -> Rows:
    return rows_of(tiny_county)


@pytest.fixture(scope="module")
def first(rows: Rows) -> Learned:
    return learned(rows)


def test_the_same_rows_and_seed_give_the_same_file(rows: Rows, first: Learned) -> None:
    again = learned(rows)
    assert again.text == first.text
    assert told(again) == told(first)
    assert first.parameters["n_trees"] >= 2


def test_another_seed_gives_other_trees(rows: Rows, first: Learned) -> None:
    assert trees_digest(learned(rows, seed=2).text) != trees_digest(first.text)


def test_rows_in_another_order_give_the_same_file_once_they_are_in_order_again(rows: Rows, first: Learned) -> None:
    table, values = rows
    turned = np.random.default_rng(3).permutation(len(table))
    mixed = table.iloc[turned].assign(position=turned)
    back = in_canonical_order(mixed)
    assert back["position"].tolist() == list(range(len(table)))
    assert learned((back, values[back["position"].to_numpy()])).text == first.text
    # It is the order that makes the difference: as they are, they grow other trees.
    assert trees_digest(learned((mixed.reset_index(drop=True), values[turned])).text) != trees_digest(first.text)


def test_another_number_of_threads_gives_the_same_trees(
    rows: Rows, first: Learned, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = int(first.parameters["num_threads"])
    monkeypatch.setattr(training.learning, "_threads", lambda values: number % 2 + 1)
    alone = learned(rows)
    assert alone.parameters["num_threads"] != number
    assert alone.text != first.text  # the file records the number
    assert trees_digest(alone.text) == trees_digest(first.text)
    assert alone.held_out_margins.tobytes() == first.held_out_margins.tobytes()


CHILD = """
import json, sys
from pathlib import Path
from tests.agreement.test_determinism import learned, rows_of, told
print(json.dumps(told(learned(rows_of(Path(sys.argv[1]))))))
"""


def test_another_process_place_and_hour_give_the_same_file(tiny_county: Path, first: Learned, tmp_path: Path) -> None:
    elsewhere = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONHASHSEED": "12345",
        "TZ": "America/New_York",
        "LC_ALL": "C",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", CHILD, str(tiny_county)],
        env={**os.environ, **elsewhere},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == told(first)


def test_the_same_seed_gives_the_same_county_and_another_one_another(tiny_county: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "again", households=600, months=48, seed=3)
    simulate(tmp_path / "other", households=600, months=48, seed=4)
    digests = [read_meta(folder).digest for folder in (tiny_county, tmp_path / "again", tmp_path / "other")]
    assert digests[0] == digests[1] != digests[2]


def test_rows_are_sorted_by_household_and_moment() -> None:
    rows = pd.DataFrame({"household_id": ["b", "a", "b", "a"], "as_of": [1, 2, 0, 1], "was": range(4)})
    assert in_canonical_order(rows)["was"].tolist() == [3, 1, 2, 0]


@pytest.mark.parametrize("positives", [0, 7, 400])
def test_rows_that_cannot_teach_anything_are_refused(positives: int) -> None:
    outcome = np.zeros(400)
    outcome[:positives] = 1.0
    with pytest.raises(LearningRefused, match=f"^{positives} of 400 training rows have the outcome"):
        learn(np.zeros((400, 184)), outcome, [f"h{i}" for i in range(400)], CORE.features, seed=1)


def test_too_few_households_to_deal_into_folds_are_refused() -> None:
    rng = np.random.default_rng(0)
    outcome = (rng.random(200) < 0.2).astype(float)
    values = rng.normal(size=(200, len(CORE.features)))
    with pytest.raises(LearningRefused, match="households"):
        learn(values, outcome, ["only one"] * 200, CORE.features, seed=1)
