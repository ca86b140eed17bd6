"""A synthetic county as `training.visiting_bias` wants it: every outcome known, rows in yearly rounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import catalogue
from features.dataset import read_dataset
from features.intake import admitted
from features.rules.rulebook import rulebook
from training.labels import label
from training.learning import PARAMETERS
from training.moments import moments
from training.rows import dataset_history, labelled_rows, vectors_of
from training.rule_scores import rule_scores
from training.visiting_bias import BiasRefused, World

Floats = npt.NDArray[np.float64]
Progress = Callable[[str], Callable[[int, int], None]]

YEARS = 3
SEEN = "full"
TREES = 60
# Fewer, larger steps than a model for use takes: dozens of them are grown here.
QUICK = {**PARAMETERS, "learning_rate": 0.1, "max_bin": 63, "min_data_in_leaf": 40, "num_threads": 1}


def world_of(folder: Path, progress: Progress | None = None, years: int = YEARS) -> World:
    """The labelled rows of a synthetic county at every moment at which rules were in force.

    The moments are cut into `years` rounds of equal length; earlier lists went by the points of the rules; hidden are
    the households whose `data_visibility` in the audit table is not full. Raises `BiasRefused` for a dataset whose
    outcomes are not all known.
    """
    bar = progress or (lambda stage: lambda done, total: None)
    dataset = read_dataset(folder)
    if dataset.truth is None or dataset.audit is None or "data_visibility" not in dataset.audit:
        raise BiasRefused(
            "only a synthetic county knows the outcomes that nobody recorded; make one with `povrisk simulate`"
        )
    is_hidden = dataset.audit.set_index("household_id")["data_visibility"] != SEEN
    chosen = catalogue(dataset.meta.catalogue)
    dataset = admitted(dataset, chosen)
    foreseen = label(dataset.meta.default_label, dataset)
    rows = labelled_rows(foreseen, dataset, moments(dataset.meta))
    history = dataset_history(dataset, chosen)
    scores = rule_scores(history, rows, rulebook(), bar("Points of the rules"))
    rows, points = rows[scores.is_ruled].reset_index(drop=True), scores.points[scores.is_ruled]
    known = np.unique(rows["as_of"])
    if len(known) < years:
        raise BiasRefused(f"rules were in force at {len(known)} moments with outcomes; {years} rounds need more months")
    return World(
        values=vectors_of(history, rows, bar("Vectors")),
        household=pd.factorize(rows["household_id"])[0].astype(np.int64),
        year=np.searchsorted(known, rows["as_of"]) * years // len(known),
        outcome=rows["outcome"].to_numpy(np.float64),
        list_score=points,
        is_hidden=is_hidden.reindex(rows["household_id"]).to_numpy(np.bool_),
    )


def boosted(values: Floats, outcome: Floats, weight: Floats, seed: int) -> Callable[[Floats], Floats]:
    """Learn boosted trees with weights; the answer gives margins."""
    parameters = {**QUICK, "seed": seed}
    booster = lgb.train(parameters, lgb.Dataset(values, outcome, weight=weight, params=parameters), TREES)
    return lambda asked: np.asarray(booster.predict(asked, raw_score=True, num_threads=1), np.float64)
