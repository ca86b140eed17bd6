"""Time and memory of a whole `povrisk train`, beside bare LightGBM growing as many trees on the same matrix.

    python -m benchmarks.training DIR [--json] [-- options of povrisk train]

The study runs in a process of its own. The bare peer gets the finished training matrix for nothing: its time is one
`lightgbm.Dataset` and one `lightgbm.train` with the same settings and as many trees as the study grew for its members
(those that early stopping threw away included). `--bare-trees N` grows only N of them and counts the others as slow.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from features.catalogue import catalogue
from features.dataset import read_dataset
from features.intake import admitted
from training.labels import label
from training.learning import PARAMETERS, TWO_THREADS_FROM_CELLS
from training.moments import moments
from training.rows import dataset_history, labelled_rows, vectors_of
from training.splits import split


def studied(folder: Path, options: list[str]) -> dict[str, Any]:
    """Wall time, processor time and peak memory of the command, and what it said."""
    with tempfile.TemporaryDirectory() as place:
        store = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlflow.db"}
        timed = ["/usr/bin/time", "-f", "%e %U %S %M", str(Path(sys.executable).parent / "povrisk"), "train"]
        done = subprocess.run([*timed, str(folder), "--json", *options], env=store, capture_output=True, check=True)
    wall, user, system, peak = map(float, done.stderr.split()[-4:])
    said = json.loads(done.stdout)
    return {"wall_s": wall, "cpu_s": user + system, "peak_rss_mb": peak / 1000.0, "said": said}


def bare(folder: Path, found: dict[str, Any], trees: int, most_trees: int) -> dict[str, float]:
    """LightGBM alone on the study's training rows."""
    dataset = read_dataset(folder)
    of = catalogue(dataset.meta.catalogue)
    dataset = admitted(dataset, of)
    foreseen = label(found["label"], dataset)
    told = found["split"]
    until = re.search(r"test until (\S+?)[,;]", told["time"] + ";")
    grid = moments(dataset.meta, until=until.group(1) if until else None)
    rows = labelled_rows(foreseen, dataset, grid)
    parts = split(
        rows,
        kind=told["kind"],
        train_until=None if told["kind"] == "household" else told["train_last"],
        test_from=None if told["kind"] == "household" else told["test_first"],
        test_until=until.group(1) if until else None,
        horizon_months=foreseen.horizon_months,
        time_zone=dataset.meta.time_zone,
        seed=told["seed"],
    )
    train = rows[parts.train].reset_index(drop=True)
    history = dataset_history(dataset, of)
    del dataset, rows
    values, outcome = vectors_of(history, train), train["outcome"].to_numpy(np.float64)
    parameters = {
        **PARAMETERS,
        "num_threads": 1 if values.size < TWO_THREADS_FROM_CELLS else 2,
        "monotone_constraints": [feature.direction.value for feature in of.features],
    }
    began, cpu = time.perf_counter(), time.process_time()
    data = lgb.Dataset(values, outcome, feature_name=list(of.names), params=parameters).construct()
    binned, binned_cpu = time.perf_counter() - began, time.process_time() - cpu
    grown = min(trees, most_trees)
    began, cpu = time.perf_counter(), time.process_time()
    lgb.train(parameters, data, num_boost_round=grown)
    times = trees / grown
    return {
        "rows": len(values),
        "wall_s": binned + times * (time.perf_counter() - began),
        "cpu_s": binned_cpu + times * (time.process_time() - cpu),
    }


def main() -> None:
    """Print both and their ratio."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--json", action="store_true")
    asked.add_argument("--bare-trees", type=int, default=10**9, help="grow so many for the peer, count the rest alike")
    given, options = asked.parse_known_args()
    ours = studied(given.folder, [option for option in options if option != "--"])
    trees = int(ours["said"]["trees_grown"])
    # Before the peer: an hour's measurement must not be lost to what comes after it.
    print(json.dumps({**ours, "said": {"trees_grown": trees}}), file=sys.stderr)
    theirs = bare(given.folder, ours["said"], trees, given.bare_trees)
    found = {
        "train_rows": ours["said"]["train_rows"],
        "trees": trees,
        **{name: ours[name] for name in ("wall_s", "cpu_s", "peak_rss_mb")},
        "bare_wall_s": theirs["wall_s"],
        "bare_cpu_s": theirs["cpu_s"],
        "x_bare_wall": ours["wall_s"] / theirs["wall_s"],
        "x_bare_cpu": ours["cpu_s"] / theirs["cpu_s"],
    }
    assert theirs["rows"] == found["train_rows"], "the bare peer was given other rows"
    print(json.dumps(found) if given.json else "\n".join(f"{name:14} {value:,.2f}" for name, value in found.items()))


if __name__ == "__main__":
    main()
