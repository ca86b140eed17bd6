"""Growing the boosted model: how many trees, which trees, and the calibration, all from training rows only.

Households are dealt into folds. Each fold's model says when to stop and scores the households it has not seen; those
held-out margins fit the calibration. The final model grows the average number of trees on all training rows.
No class weights and no resampling: they wreck the probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from features.definition import Feature
from models.boosted import BoostedModel
from models.calibration import Calibration, fit_calibration
from training.splits import household_folds

Floats = npt.NDArray[np.float64]

FOLDS = 4
MAX_TREES = 1_500
PATIENCE = 50
TWO_THREADS_FROM_CELLS = 30_000_000
# Small trees: two retrains then agree far more often on whom to visit than with large ones.
PARAMETERS: Mapping[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 100,
    "lambda_l2": 20.0,
    "feature_fraction": 0.25,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "max_bin": 127,
    "monotone_constraints_method": "intermediate",
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


class LearningRefused(ValueError):
    """The rows cannot teach a model; the message says what is missing."""


@dataclass(frozen=True)
class Learned:
    """A grown model, its calibration, and the held-out margins of every training row."""

    model: BoostedModel
    calibration: Calibration
    held_out_margins: Floats
    parameters: dict[str, Any]

    @property
    def text(self) -> str:
        """The model in LightGBM's text format."""
        return str(self.model.booster.model_to_string())


def learn(
    values: Floats,
    outcome: Floats,
    household_ids: Iterable[str],
    features: Sequence[Feature],
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Learned:
    """Grow a model from rows x features in canonical order, with outcomes 0 and 1."""
    positives = int(outcome.sum())
    if positives < 2 * FOLDS or positives == len(outcome):
        raise LearningRefused(
            f"{positives} of {len(outcome):,} training rows have the outcome; choose more moments, more households or "
            "another label"
        )
    names = [feature.name for feature in features]
    parameters = {
        **PARAMETERS,
        "seed": seed,
        "num_threads": _threads(values),
        "monotone_constraints": [feature.direction.value for feature in features],
    }
    fold = household_folds(household_ids, FOLDS, seed)
    if len(np.unique(fold)) < FOLDS:
        raise LearningRefused(
            f"the training rows come from too few households for {FOLDS} folds; choose more households"
        )
    held_out, best = np.zeros(len(outcome)), []
    for k in range(FOLDS):
        inside = fold != k
        train = lgb.Dataset(values[inside], outcome[inside], feature_name=names, params=parameters)
        valid = lgb.Dataset(values[~inside], outcome[~inside], reference=train)
        booster = lgb.train(
            dict(parameters),
            train,
            num_boost_round=MAX_TREES,
            valid_sets=[valid],
            callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
        )
        best.append(max(1, booster.best_iteration))
        held_out[~inside] = booster.predict(values[~inside], raw_score=True, num_iteration=best[-1])
        if progress is not None:
            progress(k + 1, FOLDS + 1)
    n_trees = round(float(np.mean(best)))
    whole = lgb.Dataset(values, outcome, feature_name=names, params=parameters)
    grown = lgb.train(dict(parameters), whole, num_boost_round=n_trees)
    if progress is not None:
        progress(FOLDS + 1, FOLDS + 1)
    model = BoostedModel.from_text(
        grown.model_to_string(), tuple(names), np.asarray(np.isnan(values).any(axis=0), np.bool_)
    )
    shown = {name: value for name, value in parameters.items() if name != "monotone_constraints"}
    constrained = sum(feature.direction.value != 0 for feature in features)
    return Learned(
        model,
        fit_calibration(held_out, outcome),
        held_out,
        {**shown, "n_trees": n_trees, "folds": FOLDS, "monotone_features": constrained},
    )


def _threads(values: Floats) -> int:
    """Fixed by the size of the data alone, because the number is part of the model's text.

    Two threads that wait for each other on small data cost many times what they save as soon as a core is busy.
    """
    return 1 if values.size < TWO_THREADS_FROM_CELLS else 2
