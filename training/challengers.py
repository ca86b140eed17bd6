"""Every model that ours must beat, on the same rows: from one feature to what somebody would grow in an afternoon.

The rules are challengers as well; they need the events and stay in `training.rule_scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import NamedTuple

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue
from features.definition import Feature, Group
from models.bundle import Bundle
from training.baselines import ALL_LOGISTIC, BEST_SINGLE, INCOME_LOGISTIC, Baselines, baselines
from training.ebm import ebm_probability, some_households
from training.held_out import held_out
from training.sample import Candidate, Sample

Floats = npt.NDArray[np.float64]

EBM = "ebm"
ONE_LIGHTGBM = "one_lightgbm"
CHAMPION = "champion"
ALL = (BEST_SINGLE, INCOME_LOGISTIC, ALL_LOGISTIC, EBM, ONE_LIGHTGBM)

MOST_TREES = 1_000
MOST_ROWS = 300_000
PATIENCE = 50
HELD_OUT = 0.2
TWO_THREADS_FROM_CELLS = 30_000_000


class ChallengersRefused(ValueError):
    """The challengers cannot learn from these rows, or are not known; the message says why."""


class Champion(NamedTuple):
    """What the published model says of some rows, and how many of them it could only give its base rate."""

    probability: Floats
    n_at_base_rate: int


def candidates(features: Sequence[Feature], which: Collection[str] = ALL) -> tuple[Candidate, ...]:
    """The challengers named in `which`, the simplest first; `features` are the columns of every sample.

    Without a feature of the income group there is no `income_logistic`.

    >>> [candidate.name for candidate in candidates([])]
    ['best_single_feature', 'all_logistic', 'ebm', 'one_lightgbm']
    """
    unknown = sorted(set(which) - set(ALL))
    if unknown:
        raise ChallengersRefused(f"no challenger {', '.join(unknown)}; known are {', '.join(ALL)}")
    has_income = any(feature.group is Group.INCOME for feature in features)
    ways: dict[str, Callable[[Sample, Sample, int], Floats]] = {
        name: partial(_baseline, name, tuple(features)) for name in (BEST_SINGLE, INCOME_LOGISTIC, ALL_LOGISTIC)
    }
    ways |= {EBM: _ebm, ONE_LIGHTGBM: one_lightgbm}
    return tuple(
        Candidate(name, complexity, ways[name])
        for complexity, name in enumerate(ALL)
        if name in which and (has_income or name != INCOME_LOGISTIC)
    )


def challengers(
    train: Sample,
    test: Sample,
    features: Sequence[Feature],
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    which: Collection[str] = ALL,
) -> Baselines:
    """Let the challengers learn from `train` and foretell `test`: their probabilities, and the best single feature."""
    _refuse(train, test, features)
    found: dict[str, Floats] = {}
    single = ""
    asked = candidates(features, which)
    for i, candidate in enumerate(asked):
        if candidate.name == BEST_SINGLE:
            one = _baselines(train, test, tuple(features), BEST_SINGLE, seed)
            found[BEST_SINGLE], single = one.probabilities[BEST_SINGLE], one.best_single_feature
        else:
            found[candidate.name] = candidate.foretell(train, test, seed)
        if progress is not None:
            progress(i + 1, len(asked))
    return Baselines(found, single)


def one_lightgbm(learned: Sample, asked: Sample, seed: int) -> Floats:
    """One LightGBM with its own defaults (31 leaves, rate 0.1), and no more trees than held-out households approve.

    It then grows that many on all rows. Of more than 300,000 rows whole households are drawn: a comparison must not
    cost more than what it is compared with.
    """
    if len(learned.rows) > MOST_ROWS:
        learned = learned.taken(some_households(learned.rows["household_id"], MOST_ROWS, f"one_lightgbm/rows/{seed}"))
    outcome, size = learned.outcome, learned.values.size
    parameters = {
        "objective": "binary",
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1 if size < TWO_THREADS_FROM_CELLS else 2,
        "verbosity": -1,
    }
    outside = held_out(learned.rows["household_id"], HELD_OUT, f"one_lightgbm/{seed}")
    if min(np.ptp(outcome[part]) if part.any() else 0.0 for part in (outside, ~outside)) == 0.0:
        return np.full(len(asked.values), outcome.mean())
    # Both sides share one set of bins, so that no part of a large table is copied; bins know no outcome.
    data = lgb.Dataset(
        learned.values, outcome, params={**parameters, "feature_pre_filter": False}, free_raw_data=False
    ).construct()
    stopped = lgb.train(
        dict(parameters),
        data.subset(np.flatnonzero(~outside)),
        num_boost_round=MOST_TREES,
        valid_sets=[data.subset(np.flatnonzero(outside))],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )
    grown = lgb.train(dict(parameters), data, num_boost_round=max(1, stopped.best_iteration))
    return np.asarray(grown.predict(asked.values, num_threads=1), np.float64)


def champion_probability(
    bundle: Bundle,
    values_of: Callable[[Catalogue], Floats],
    regions: npt.NDArray[np.object_] | None = None,
) -> Champion:
    """What a published model says of the judged rows.

    `values_of` computes the rows' vectors by the champion's own catalogue, in the order of the rows; `regions` names
    the region of each. A row that is unknown where the champion never learned an unknown has its base rate.
    """
    values = values_of(bundle.catalogue)
    cannot = bundle.model.unlearned_unknowns(values)
    margins = bundle.model.margins(values)
    found = bundle.calibration.probability(margins, regions)
    return Champion(np.where(cannot, bundle.base_rate, found), int(cannot.sum()))


def _ebm(learned: Sample, asked: Sample, seed: int) -> Floats:
    return ebm_probability(learned.values, learned.outcome, learned.rows["household_id"], asked.values, seed)


def _baseline(name: str, features: tuple[Feature, ...], learned: Sample, asked: Sample, seed: int) -> Floats:
    return _baselines(learned, asked, features, name, seed).probabilities[name]


def _baselines(learned: Sample, asked: Sample, features: tuple[Feature, ...], name: str, seed: int) -> Baselines:
    return baselines(
        learned.values,
        learned.outcome,
        asked.values,
        features,
        seed,
        household_ids=learned.rows["household_id"],
        which=(name,),
    )


def _refuse(train: Sample, test: Sample, features: Sequence[Feature]) -> None:
    for name, sample in (("training", train), ("test", test)):
        if sample.values.shape[1] != len(features):
            raise ChallengersRefused(
                f"{name} rows have {sample.values.shape[1]} values, but there are {len(features)} features"
            )
    positives = train.outcome.sum()
    if not 0.0 < positives < len(train.outcome):
        raise ChallengersRefused("challengers need training rows of both outcomes")
