"""Contributions of `models.boosted` beside LightGBM's `pred_contrib` and SHAP's `TreeExplainer`, on one thread.

    python -m benchmarks.explain [--json] [--quick]

Processor time of the same rows in the same process, in rounds that take turns; medians over the rounds. `ours` is what
callers get, the check against LightGBM's margins included; `kernel` is the contributions alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, NamedTuple

import lightgbm as lgb
import numpy as np
import shap

from models.boosted import BoostedModel
from models.forest import forest_of
from models.tree_shap import TreeShap

COLUMNS = 250
BATCHES = (1, 64, 1000)
CHECKED_ROWS = 200


class Size(NamedTuple):
    trees: int
    leaves: int


SIZES = (Size(200, 31), Size(400, 63))
QUICK_SIZES = (Size(40, 31), Size(40, 63))


def explain_benchmark(quick: bool = False) -> dict[str, Any]:
    """Ratios (above 1: ours takes less) and errors, each that of the worse model, and microseconds a row."""
    values, outcome = rows_of(6_000 if quick else 20_000)
    found: dict[str, Any] = {"columns": COLUMNS, "models": {}}
    for size in QUICK_SIZES if quick else SIZES:
        found["models"][f"{size.trees}x{size.leaves}"] = _measured(values, outcome, size, rounds=3 if quick else 7)
    of = list(found["models"].values())
    found |= {
        "x_pred_contrib_batch": min(min(m["x_pred_contrib"][str(n)] for n in BATCHES[1:]) for m in of),
        "x_pred_contrib_one": min(m["x_pred_contrib"]["1"] for m in of),
        "x_kernel_batch": min(min(m["x_kernel"][str(n)] for n in BATCHES[1:]) for m in of),
        "x_kernel_one": min(m["x_kernel"]["1"] for m in of),
        "max_abs_diff": max(m["max_abs_diff"] for m in of),
    }
    return found | _deep()


def rows_of(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns of which up to a half is unknown, and an outcome of one in twenty."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n, COLUMNS))
    risk = values[:, :40] @ rng.normal(size=40) / 2 + values[:, 40] * values[:, 41] + rng.logistic(size=n)
    values[rng.random(values.shape) < np.linspace(0, 0.5, COLUMNS)] = np.nan
    return values, (risk > np.quantile(risk, 0.95)).astype(np.float64)


def _measured(values: np.ndarray, outcome: np.ndarray, size: Size, rounds: int) -> dict[str, Any]:
    parameters = {"objective": "binary", "num_leaves": size.leaves, "learning_rate": 0.05} | _QUIET
    booster = lgb.train(parameters, lgb.Dataset(values, outcome), size.trees)
    had_unknown = np.isnan(values).any(axis=0)
    model = BoostedModel.from_text(booster.model_to_string(), tuple(booster.feature_name()), had_unknown)
    forest = forest_of(booster.model_to_string())
    started = time.process_time()
    kernel = TreeShap(forest)
    tables_s = time.process_time() - started
    peer = shap.TreeExplainer(booster)
    runs: Mapping[str, Callable[[np.ndarray], Any]] = {
        "pred_contrib": lambda rows: booster.predict(rows, pred_contrib=True, num_threads=1),
        "ours": model.contributions,
        "kernel": kernel.contributions,
        "margins": lambda rows: booster.predict(rows, raw_score=True, num_threads=1),
        "shap": lambda rows: peer.shap_values(rows, check_additivity=False),
    }
    us: dict[str, dict[str, float]] = {}
    for n in BATCHES:
        took: dict[str, list[float]] = {name: [] for name in runs}
        for round_ in range(-1, rounds):
            for name, run in runs.items():
                is_slow = name in ("pred_contrib", "shap")
                # The peers need so long for a thousand rows that two rounds say enough.
                if is_slow and n == BATCHES[-1] and (round_ > 1 or round_ < 0 or name == "shap"):
                    continue
                repeats = max(1, (3 if is_slow else 50) // n) if round_ >= 0 else 1
                started = time.process_time()
                for k in range(repeats):
                    run(values[k * n : (k + 1) * n])
                if round_ >= 0:
                    took[name].append((time.process_time() - started) / (repeats * n) * 1e6)
        us[str(n)] = {name: median(each) for name, each in took.items() if each}
    few = values[:CHECKED_ROWS]
    theirs = np.asarray(runs["pred_contrib"](few))
    ours, base = model.contributions(few)
    return {
        "us_per_row": us,
        "x_pred_contrib": {n: of["pred_contrib"] / of["ours"] for n, of in us.items()},
        "x_kernel": {n: of["pred_contrib"] / of["kernel"] for n, of in us.items()},
        "max_abs_diff": float(np.abs(np.c_[ours, base] - theirs).max()),
        "nodes": len(forest.feature),
        "tables_s": tables_s,
    }


def _deep() -> dict[str, float]:
    """Rare outcomes on rare facts grow paths of many features; how far the sums then miss the margins."""
    rng = np.random.default_rng(0)
    values = np.where(rng.random((8_000, 600)) < 0.997, 0.0, rng.exponential(size=(8_000, 600)))
    facts = (values > 0).sum(axis=1) + 0.3 * rng.normal(size=8_000)
    outcome = (facts >= np.sort(facts)[-160]).astype(np.float64)
    parameters = {"objective": "binary", "num_leaves": 96, "min_data_in_leaf": 5} | _QUIET
    booster = lgb.train(parameters, lgb.Dataset(values, outcome), 5)
    rows = values[np.argsort(-outcome, kind="stable")[:200]]
    margins = np.asarray(booster.predict(rows, raw_score=True, num_threads=1))
    found, base = TreeShap(forest_of(booster.model_to_string())).contributions(rows)
    theirs = np.asarray(booster.predict(rows, pred_contrib=True, num_threads=1))
    return {
        "deep_additivity_error": float(np.abs(base + found.sum(axis=1) - margins).max()),
        "deep_pred_contrib_additivity_error": float(np.abs(theirs.sum(axis=1) - margins).max()),
    }


_QUIET: dict[str, Any] = {"verbosity": -1, "num_threads": 1, "seed": 1, "deterministic": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--quick", action="store_true", help="small models and few rounds, to try it out")
    given = parser.parse_args()
    found = explain_benchmark(quick=given.quick)
    print(json.dumps(found, indent=None if given.json else 2))


if __name__ == "__main__":
    main()
