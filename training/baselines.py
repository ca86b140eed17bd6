"""What simpler models achieve on the same rows: the bar that a boosted model has to clear.

The best single feature, a logistic regression on income alone, and one on all features. They learn on the training
rows only, the choice of the single feature included.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from features.definition import Feature, Group
from training.fold_columns import ColumnsRefused, FoldColumns
from training.splits import household_folds

Floats = npt.NDArray[np.float64]
Ids = Sequence[str] | npt.NDArray[np.object_] | pd.Series

BEST_SINGLE = "best_single_feature"
INCOME_LOGISTIC = "income_logistic"
ALL_LOGISTIC = "all_logistic"
BASELINES = (BEST_SINGLE, INCOME_LOGISTIC, ALL_LOGISTIC)
# From the rules, where the dataset has them; see `training.rule_scores`.
POINTS = "points"
BEST_TRIGGER = "best_trigger"

# Beyond this many rows a logistic regression on a few hundred columns gains little but time and memory.
MOST_ROWS = 100_000
MOST_TUNING_ROWS = 20_000
BLOCK_ROWS = 50_000
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
FOLDS = 3
UNUSED = -1


@dataclass(frozen=True)
class Baselines:
    """Probabilities of the test rows by baseline name, and which single feature was the best in training (empty if
    that was not asked)."""

    probabilities: dict[str, Floats]
    best_single_feature: str


def baselines(
    train_values: Floats,
    train_outcome: npt.ArrayLike,
    test_values: Floats,
    features: Sequence[Feature],
    seed: int,
    *,
    household_ids: Ids | None = None,
    which: Collection[str] = BASELINES,
) -> Baselines:
    """Fit on the training rows (n x features, NaN = unknown; outcomes 0 or 1), foretell the test rows.

    `income_logistic` is left out when no feature belongs to the income group. With more than `MOST_ROWS` training
    rows a random part, drawn with `seed`, is used, so that no large table is ever copied. The strength of the logistic
    penalty is chosen on held-out folds; give the training rows' `household_ids` when a household has several of them,
    so that folds hold whole households. `which` names the baselines that are wanted; each comes out the same whatever
    others are.
    """
    outcome = np.asarray(train_outcome, np.float64)
    for name, values in (("training", train_values), ("test", test_values)):
        if values.ndim != 2 or values.shape[1] != len(features):
            raise ValueError(f"{name} values have shape {values.shape}, but there are {len(features)} features")
    if len(outcome) != len(train_values):
        raise ValueError(f"{len(train_values)} training rows have {len(outcome)} outcomes")
    if not 0.0 < outcome.sum() < len(outcome):
        raise ValueError("baselines need training rows of both outcomes")
    owners = pd.Series(range(len(outcome)) if household_ids is None else household_ids).astype(str).to_numpy(object)
    if len(owners) != len(outcome):
        raise ValueError(f"{len(outcome)} training rows have {len(owners)} household ids")
    rng = np.random.default_rng(seed)
    if len(outcome) > MOST_ROWS:
        drawn = np.sort(rng.choice(len(outcome), MOST_ROWS, replace=False))
        train_values, outcome, owners = train_values[drawn], outcome[drawn], owners[drawn]
    fold = household_folds(owners, FOLDS, seed)
    fold[rng.permutation(len(fold))[MOST_TUNING_ROWS:]] = UNUSED
    income = np.array([i for i, feature in enumerate(features) if feature.group is Group.INCOME], np.int64)
    found, single = {}, ""
    # These matrices are too small for several threads to pay; with one, the sums do not depend on the machine either.
    with threadpool_limits(limits=1, user_api="blas"):
        if BEST_SINGLE in which:
            best = _best_single(train_values, outcome)
            single = features[best].name
            found[BEST_SINGLE] = by_rank(train_values[:, best], outcome, test_values[:, best])
        if INCOME_LOGISTIC in which and len(income):
            found[INCOME_LOGISTIC] = _logistic(train_values[:, income], outcome, fold, test_values, income)
        if ALL_LOGISTIC in which:
            found[ALL_LOGISTIC] = _logistic(train_values, outcome, fold, test_values, slice(None))
    return Baselines(found, single)


def _best_single(train: Floats, outcome: Floats) -> int:
    """The column that ranks the training rows best in either direction.

    An unknown value ranks with the median household: it is evidence for neither side.
    """
    strengths = np.full(train.shape[1], 0.5)
    for i in range(train.shape[1]):
        is_unknown = np.isnan(train[:, i])
        if not is_unknown.all():
            filled = np.where(is_unknown, np.median(train[~is_unknown, i]), train[:, i])
            strengths[i] = float(roc_auc_score(outcome, filled))
    return int(np.argmax(np.abs(strengths - 0.5)))


def by_rank(train: Floats, outcome: Floats, asked: Floats) -> Floats:
    """Probabilities of `asked` from a logistic curve over where its values stand among the training ones."""
    learned, placed = (_ranks(train, values)[:, np.newaxis] for values in (train, asked))
    model = LogisticRegression(C=1e6, solver="newton-cholesky").fit(learned, outcome)
    return _positive_class(model, placed)


def _ranks(train: Floats, values: Floats) -> Floats:
    """Where values stand among the known training ones, from 0 to 1; unknown ones stand at the median.

    Ranks keep the order, so that a logistic curve over them has the ranking of the feature itself.
    """
    known = np.sort(train[~np.isnan(train)])
    if not len(known):
        return np.zeros(len(values))
    distinct, first, counts = np.unique(known, return_index=True, return_counts=True)
    filled = np.where(np.isnan(values), np.median(known), values)
    return np.asarray(np.interp(filled, distinct, (first + (counts - 1) / 2.0) / len(known)), np.float64)


def _logistic(
    train: Floats, outcome: Floats, fold: npt.NDArray[np.int64], test: Floats, used: npt.NDArray[np.int64] | slice
) -> Floats:
    """Ridge-penalised logistic regression on clipped, standardised columns with marks for unknown values.

    `train` has the `used` columns only, `test` all; it is read in blocks.
    """
    columns, scale = FoldColumns(), StandardScaler()
    try:
        learned = scale.fit_transform(columns.fit(train).transform(train))
    except ColumnsRefused:
        return np.full(len(test), outcome.mean())
    model = _ridge(_strength(learned, outcome, fold)).fit(learned, outcome)
    blocks = (test[first : first + BLOCK_ROWS, used] for first in range(0, len(test), BLOCK_ROWS))
    told = [_positive_class(model, scale.transform(columns.transform(block))) for block in blocks]
    return np.concatenate([np.zeros(0), *told])


def _strength(learned: Floats, outcome: Floats, fold: npt.NDArray[np.int64]) -> float:
    """The `C` whose held-out log-loss is the lowest: a logistic model left to overfit would be an easy opponent.

    From the strongest penalty on, until the loss rises again.
    """
    sides = [((fold != held_out) & (fold != UNUSED), fold == held_out) for held_out in range(FOLDS)]
    sides = [(inside, outside) for inside, outside in sides if outside.any() and np.ptp(outcome[inside]) > 0.0]
    models = [_ridge(STRENGTHS[0]).set_params(warm_start=True) for _ in sides]
    best, lowest = STRENGTHS[0], np.inf
    for strength in STRENGTHS:
        loss = 0.0
        for model, (inside, outside) in zip(models, sides, strict=True):
            model.set_params(C=strength).fit(learned[inside], outcome[inside])
            foretold = _positive_class(model, learned[outside])
            loss += float(log_loss(outcome[outside], foretold, labels=[0.0, 1.0], normalize=False))
        if loss >= lowest:
            break
        best, lowest = strength, loss
    return best


def _ridge(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=1_000)


def _positive_class(model: Any, values: Floats) -> Floats:
    return np.asarray(model.predict_proba(values)[:, 1], np.float64)
