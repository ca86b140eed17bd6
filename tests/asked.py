"""A small world for questions: drawn households, a few trees that learned from them, and what similar ones look like.

Made in memory, so that no file and no training stands between a test and the question it asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from random import Random

import lightgbm as lgb
import numpy as np
import pandas as pd

from features.definition import Direction
from features.history import visible
from features.matrix import matrix_of
from models.asking import Asking
from models.assessment import Assessed, assess
from models.boosted import BoostedModel
from models.bundle import Bundle
from models.calibration import Calibration
from models.certainty import Certainty
from models.handling import PLAIN, Handling
from models.tier import Bands
from tests.bundles import FACTS
from tests.drawn import some_household
from tests.situations import CORE, Situation, moment, told
from training.similar import similar_households

HOUSEHOLDS = 400
NAMES = CORE.names


@lru_cache(maxsize=1)
def county() -> tuple[Situation, ...]:
    """The drawn households."""
    rng = Random(5)
    return tuple(some_household(rng) for _ in range(HOUSEHOLDS))


@lru_cache(maxsize=1)
def bundle() -> Bundle:
    """Trees over the county's vectors, of outcomes that follow income, work and medical costs."""
    history = told(county())
    values = matrix_of(history, visible(history, moment())).values
    income, costs = (values[:, NAMES.index(f"{name}_amount_12m")] for name in ("recorded_income", "out_of_pocket"))
    odds = 1.0 - np.nan_to_num(income, nan=9e3) / 3e4 + np.nan_to_num(costs, nan=4e3) / 2e4
    odds = odds + 0.3 * np.isnan(values[:, NAMES.index("wage_records_12m")])
    noise = np.random.default_rng(2).logistic(size=len(values))
    constraints = [0 if f.direction is Direction.OPEN else f.direction.value for f in CORE.features]
    parameters = {
        "objective": "binary", "num_leaves": 6, "min_data_in_leaf": 15, "verbosity": -1, "seed": 3, "num_threads": 1,
        "monotone_constraints": constraints, "feature_fraction": 0.4,
    }  # fmt: skip
    outcome = (odds + noise > 0.8).astype(float)
    booster = lgb.train(parameters, lgb.Dataset(values, outcome, feature_name=list(NAMES)), num_boost_round=60)
    model = BoostedModel.from_text(booster.model_to_string(), NAMES, np.isnan(values).any(axis=0))
    known = values[~model.unlearned_unknowns(values)]
    contributions = model.contributions(known)[0]
    rows = pd.DataFrame({"household_id": [str(i) for i in range(len(values))], "as_of": moment()})
    calibration = Calibration(0.9, -1.5, 800, 300, {"demo": 0.25})
    scores = calibration.probability(model.margins(values), list(history.region))
    facts = {**FACTS, "data": {**FACTS["data"], "regions": ["demo", "cn-hangzhou-demo"]}}
    return Bundle(
        catalogue=CORE,
        model=model,
        calibration=calibration,
        certainty=Certainty(),
        bands=Bands(*np.quantile(scores, [0.95, 0.85, 0.7]).tolist()),
        base_rate=0.2,
        importance=np.abs(contributions).mean(axis=0),
        reference=np.sort(scores),
        manifest=facts,
        sha256="0" * 64,
        similar=similar_households(CORE, values, rows, known, contributions),
    )


def asking(situations: Sequence[Situation], of: Bundle | None = None) -> Asking:
    """What the model asks of these households."""
    of, history = of or bundle(), told(situations)
    seen = visible(history, moment())
    return Asking(of, history, seen, matrix_of(history, seen))


def assessed(situations: Sequence[Situation], of: Bundle | None = None, handling: Handling = PLAIN) -> Assessed:
    """The whole assessment of these households."""
    return assess(of or bundle(), told(situations), moment(), handling=handling)


def without_similar() -> Bundle:
    """The bundle as an older one is: nothing is known of similar households."""
    return replace(bundle(), similar=None)
