"""Growing the bag: five small-tree boosters, how many trees each needs, and the calibration, from training rows only.

Households are dealt into five folds. Each member learns from four of them; the fifth says when to stop and is scored
by a member that never saw it. Those held-out margins fit the calibration and the interval. The bag is the mean of the
members. No class weights and no resampling: they wreck the probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from features.definition import Feature
from models.bag import bagged
from models.boosted import BoostedModel
from models.calibration import Calibration, fit_calibration
from training.sample import Candidate, Sample
from training.search import Searched, searched
from training.splits import household_folds

Floats = npt.NDArray[np.float64]

MEMBERS = 5
# Beyond every challenger: one that is as good is preferred.
BAG_COMPLEXITY = 9
MAX_TREES = 600
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
    # So that a search over leaf sizes may share one binned dataset.
    "feature_pre_filter": False,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


class LearningRefused(ValueError):
    """The rows cannot teach a model; the message says what is missing."""


@dataclass(frozen=True)
class Learned:
    """A grown bag, its calibration, the held-out margin of every training row, and the search for its settings."""

    model: BoostedModel
    calibration: Calibration
    held_out_margins: Floats
    parameters: dict[str, Any]
    search: Searched

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
    regions: npt.NDArray[np.object_] | None = None,
    tries: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Learned:
    """Grow a bag from rows x features in canonical order, with outcomes 0 and 1.

    `tries` settings are searched first (`training.search`); 0 keeps the defaults. `regions` names the region of each
    row, for calibrations that differ by region.
    """
    positives = int(outcome.sum())
    if positives < 2 * MEMBERS or positives == len(outcome):
        raise LearningRefused(
            f"{positives} of {len(outcome):,} training rows have the outcome; choose more moments, more households or "
            "another label"
        )
    owners = np.asarray(list(household_ids), dtype=object)
    fold = household_folds(owners, MEMBERS, seed)
    if len(np.unique(fold)) < MEMBERS:
        raise LearningRefused(
            f"the training rows come from too few households for {MEMBERS} folds; choose more households"
        )
    names = [feature.name for feature in features]
    parameters = {
        **PARAMETERS,
        "seed": seed,
        "num_threads": _threads(values),
        "monotone_constraints": [feature.direction.value for feature in features],
    }
    steps = MEMBERS + (tries if tries > 1 else 0)
    search = searched(
        values,
        outcome,
        owners,
        parameters,
        seed=seed,
        tries=tries,
        progress=None if progress is None else lambda done, total: progress(done, steps),
    )
    parameters |= search.chosen
    # One set of bins for all members, so that their trees fit into one file; bins know no outcome.
    data = lgb.Dataset(values, outcome, feature_name=names, params=parameters, free_raw_data=False).construct()
    held_out, members, grown = np.zeros(len(outcome)), [], []
    for k in range(MEMBERS):
        out = np.flatnonzero(fold == k)
        booster = lgb.train(
            {**parameters, "seed": _seed(seed, k)},
            data.subset(np.flatnonzero(fold != k)),
            num_boost_round=MAX_TREES,
            valid_sets=[data.subset(out)],
            callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
        )
        kept = max(1, booster.best_iteration)
        held_out[out] = booster.predict(values[out], raw_score=True, num_iteration=kept)
        members.append(str(booster.model_to_string(num_iteration=kept)))
        # LightGBM drops the trees after the best one; they were grown all the same.
        grown.append(min(kept + PATIENCE, MAX_TREES))
        if progress is not None:
            progress(steps - MEMBERS + k + 1, steps)
    text, sizes = bagged(members)
    model = BoostedModel.from_text(text, tuple(names), np.asarray(np.isnan(values).any(axis=0), np.bool_), sizes)
    shown = {name: value for name, value in parameters.items() if name != "monotone_constraints"}
    constrained = sum(feature.direction.value != 0 for feature in features)
    return Learned(
        model,
        fit_calibration(held_out, outcome, regions, household=owners),
        held_out,
        {
            **shown,
            "members": MEMBERS,
            "n_trees": sum(sizes),
            "trees_grown": sum(grown),
            "monotone_features": constrained,
            "search": search.text,
        },
        search,
    )


def bag_candidate(features: Sequence[Feature]) -> Candidate:
    """The bag with its default settings, to be compared with other candidates on the same rows."""

    def foretell(learned: Sample, asked: Sample, seed: int) -> Floats:
        made = learn(learned.values, learned.outcome, learned.rows["household_id"], features, seed=seed)
        return made.calibration.probability(made.model.margins(asked.values))

    return Candidate("bag", BAG_COMPLEXITY, foretell)


def _seed(seed: int, member: int) -> int:
    """A seed of its own for each member: the same folds of another study must not grow the same trees."""
    return (seed * MEMBERS + member) % (2**31 - 1)


def _threads(values: Floats) -> int:
    """Fixed by the size of the data alone, because the number is part of the model's text.

    Two threads that wait for each other on small data cost many times what they save as soon as a core is busy.
    """
    return 1 if values.size < TWO_THREADS_FROM_CELLS else 2
