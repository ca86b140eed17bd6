"""Which settings of the trees suit a county: a small random search on held-out households of the training rows.

On every dataset we have, the settings matter less than the noise of the comparison. So the defaults stand unless
another try is better beyond that noise; a search that always takes the luckiest try would only add to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import log_expit

from training.splits import household_folds

Floats = npt.NDArray[np.float64]

SPACE: Mapping[str, Sequence[float]] = {
    "num_leaves": (4, 8, 15),
    "learning_rate": (0.03, 0.05),
    "min_data_in_leaf": (30, 100, 300),
    "lambda_l2": (5.0, 20.0, 100.0),
    "feature_fraction": (0.1, 0.25, 0.5),
    "path_smooth": (0.0, 50.0),
}
TRIES = 6
SECONDS = 120.0
# More rows would make the comparison finer than the differences that are left.
MOST_ROWS = 20_000
FOLDS = 3
MAX_TREES = 600
PATIENCE = 30
BEYOND_NOISE = 2.0


@dataclass(frozen=True)
class Tried:
    """One try: its settings, its mean held-out log-loss, and by how much that is above the defaults' (with the
    standard error over households)."""

    settings: dict[str, float]
    log_loss: float
    above_default: float
    standard_error: float
    n_trees: int


@dataclass(frozen=True)
class Searched:
    """The settings to use, every try, and the budget that was spent."""

    chosen: dict[str, float]
    tries: tuple[Tried, ...]
    rows: int
    text: str


def searched(
    values: Floats,
    outcome: Floats,
    household_ids: npt.NDArray[np.object_],
    parameters: Mapping[str, Any],
    *,
    seed: int,
    tries: int = TRIES,
    seconds: float = SECONDS,
    progress: Callable[[int, int], None] | None = None,
) -> Searched:
    """Try the defaults in `parameters` and `tries - 1` draws from `SPACE` on rows x features, within `seconds`.

    Only training rows may come here. Fewer than two tries search nothing. A draw replaces the defaults when its
    log-loss on held-out households is lower by more than two standard errors of the paired difference. The seconds
    end a search early, never change what a try found; what was tried is in the answer.
    """
    defaults = {name: float(parameters.get(name, 0.0)) for name in SPACE}
    if tries < 2:
        return Searched({}, (), 0, "the default settings were used; no search was asked for")
    rows = _sampled(household_ids, seed)
    values, outcome, household_ids = values[rows], outcome[rows], household_ids[rows]
    cluster, _ = pd.factorize(household_ids)
    data = lgb.Dataset(values, outcome, params=dict(parameters), free_raw_data=False).construct()
    fold = household_folds(household_ids, FOLDS, seed)
    began, found = time.monotonic(), []
    base: Floats | None = None
    for number, settings in enumerate(_draws(defaults, tries, seed)):
        if base is not None and time.monotonic() - began > seconds:
            break
        losses, n_trees = _held_out_losses(data, values, outcome, fold, {**parameters, **_typed(settings)})
        base = losses if base is None else base
        difference = np.bincount(cluster, weights=losses - base)
        found.append(
            Tried(
                settings,
                float(losses.mean()),
                float(difference.sum() / len(losses)),
                float(np.sqrt((difference**2).sum()) / len(losses)),
                n_trees,
            )
        )
        if progress is not None:
            progress(number + 1, tries)
    best = min(found, key=lambda tried: tried.log_loss)
    is_better = best.above_default < -BEYOND_NOISE * best.standard_error
    chosen = {k: v for k, v in _typed(best.settings).items() if v != defaults[k]} if is_better else {}
    said = f"{len(found)} tries on {len(rows):,} training rows: "
    said += (
        f"better than the defaults beyond noise with {chosen}"
        if chosen
        else "none is better than the defaults beyond noise, which were kept"
    )
    return Searched(chosen, tuple(found), len(rows), said)


def _sampled(household_ids: npt.NDArray[np.object_], seed: int) -> npt.NDArray[np.int64]:
    """Positions of the rows of so many whole households that about `MOST_ROWS` are left."""
    if len(household_ids) <= MOST_ROWS:
        return np.arange(len(household_ids))
    unique, of = np.unique(household_ids.astype(str), return_inverse=True)
    kept = np.random.default_rng(seed).random(len(unique)) < MOST_ROWS / len(household_ids)
    return np.flatnonzero(kept[of])


def _draws(defaults: dict[str, float], tries: int, seed: int) -> list[dict[str, float]]:
    rng, drawn = np.random.default_rng(seed), [defaults]
    while len(drawn) < tries:
        settings = {name: float(rng.choice(np.asarray(options))) for name, options in SPACE.items()}
        if settings not in drawn:
            drawn.append(settings)
    return drawn


def _typed(settings: Mapping[str, float]) -> dict[str, Any]:
    whole = {"num_leaves", "min_data_in_leaf"}
    return {name: int(value) if name in whole else value for name, value in settings.items()}


def _held_out_losses(
    data: lgb.Dataset, values: Floats, outcome: Floats, fold: npt.NDArray[np.int64], parameters: Mapping[str, Any]
) -> tuple[Floats, int]:
    losses, trees = np.zeros(len(outcome)), []
    for k in range(FOLDS):
        out = np.flatnonzero(fold == k)
        inside, outside = data.subset(np.flatnonzero(fold != k)), data.subset(out)
        booster = lgb.train(
            dict(parameters),
            inside,
            num_boost_round=MAX_TREES,
            valid_sets=[outside],
            callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
        )
        trees.append(max(1, booster.best_iteration))
        margin = np.asarray(booster.predict(values[out], raw_score=True, num_iteration=trees[-1]), np.float64)
        losses[out] = -log_expit(np.where(outcome[out] == 1.0, margin, -margin))
    return losses, round(float(np.mean(trees)))
