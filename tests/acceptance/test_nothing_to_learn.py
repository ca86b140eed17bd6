"""Where there is nothing to learn, nothing is learned: shuffled outcomes give no ranking, and what was written after
the outcome is caught before it can give one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from features.catalogue import catalogue
from features.dataset import read_dataset
from features.intake import admitted
from training.county.simulate import simulate
from training.labels import label, label_rows
from training.learning import learn
from training.moments import moments
from training.rows import dataset_history, in_canonical_order, vectors_of

CORE = catalogue()


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, pd.DataFrame]:
    folder: Path = tmp_path_factory.mktemp("county")
    simulate(folder / "c", households=2_500, months=48, seed=12)
    dataset = admitted(read_dataset(folder / "c"), CORE)
    rows = label_rows(label("L1", dataset), dataset, moments(dataset.meta))
    rows = in_canonical_order(rows[rows["at_risk"] & rows["outcome"].notna()])
    return vectors_of(dataset_history(dataset, CORE), rows), rows


def test_shuffled_outcomes_cannot_be_ranked(county: tuple[np.ndarray, pd.DataFrame]) -> None:
    values, rows = county
    outcome = rows["outcome"].to_numpy(np.float64)
    found = []
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(outcome)
        learned = learn(values, shuffled, rows["household_id"], CORE.features, seed=seed)
        found.append(float(roc_auc_score(shuffled, learned.held_out_margins)))
    assert all(0.47 <= auc <= 0.53 for auc in found), found


def test_true_outcomes_can(county: tuple[np.ndarray, pd.DataFrame]) -> None:
    values, rows = county
    learned = learn(values, rows["outcome"].to_numpy(np.float64), rows["household_id"], CORE.features, seed=0)
    assert roc_auc_score(rows["outcome"], learned.held_out_margins) > 0.7
