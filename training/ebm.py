"""The challenger that anybody can read: an Explainable Boosting Machine, a sum of curves of one feature each.

It is meant to win where it can. Its own early stopping holds out rows; here whole households are held out, because
with rows of one household on both sides it stops too late (on 30,000 rows of the SIPP panel pairs of features then cost
0.013 of average precision, and gain with whole households). It leaves the library's defaults only where the time asked
for it: 4 bags and 10 pairs in place of 14 and three per feature, a faster rate, coarser bins, less patience. Tried one
after the other on a panel or a synthetic county, none cost more than 0.003 of average precision. 30,000 rows x 184
features take 14 seconds of one core.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.held_out import held_out, shares

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_ROWS = 30_000
HELD_OUT = 0.15
# With fewer households of an outcome there is nothing to draw curves from.
FEWEST_HOUSEHOLDS = 10
SETTINGS: dict[str, Any] = {
    "interactions": 10,
    "outer_bags": 4,
    "learning_rate": 0.04,
    "max_bins": 256,
    "early_stopping_rounds": 25,
    "n_jobs": 1,
}


def ebm_probability(
    values: Floats, outcome: Floats, household_ids: Sequence[str] | pd.Series, asked: Floats, seed: int
) -> Floats:
    """Learn from rows x features (NaN = unknown) with outcomes 0 and 1; probabilities of the rows `asked`.

    Above `MOST_ROWS` whole households are drawn, by a hash of their id and the seed. Unknown values have a place of
    their own on every curve. Features without two different values (NaN being one) are left out; with fewer than 10
    households of either outcome everybody has the base rate.
    """
    owners = pd.Series(household_ids).astype(str).reset_index(drop=True)
    if not len(values) == len(outcome) == len(owners) or values.shape[1] != asked.shape[1]:
        raise ValueError(
            f"{values.shape} values have {len(outcome)} outcomes and {len(owners)} household ids, and {asked.shape} "
            "are asked; rows and features must agree"
        )
    base_rate = float(outcome.mean())
    drawn = some_households(owners, MOST_ROWS, f"ebm/{seed}")
    y, owners = outcome[drawn], owners.iloc[drawn]
    learned = values if len(drawn) == len(values) else values[drawn]
    telling = _telling(learned)
    fewest = min(owners[y == told].nunique() for told in (0.0, 1.0))
    if fewest < FEWEST_HOUSEHOLDS or not len(telling):
        return np.full(len(asked), base_rate)
    model = _machine(len(telling), seed)
    with warnings.catch_warnings():
        # That its own drawings do not show unknown values.
        warnings.filterwarnings("ignore", message="Missing values detected")
        model.fit(learned[:, telling], y.astype(np.int64), bags=_bags(owners, seed))
        return np.asarray(model.predict_proba(asked[:, telling])[:, 1], np.float64)


def some_households(household_ids: pd.Series, most_rows: int, purpose: str) -> Ints:
    """Positions of the rows of as many whole households as `most_rows` has room for, in the order of the rows.

    >>> ids = pd.Series(["a", "b", "a", "c"])
    >>> len(some_households(ids, 4, "x/1")), {2, 3} >= {len(some_households(ids, 3, "x/1"))}
    (4, True)
    """
    if len(household_ids) <= most_rows:
        return np.arange(len(household_ids))
    share = shares(household_ids, purpose)
    # The households in the order of their draw, as long as all their rows fit.
    edge = np.sort(share)[most_rows]
    return np.flatnonzero(share < edge)


def _telling(values: Floats) -> Ints:
    is_unknown = np.isnan(values)
    low, high = (np.where(is_unknown, filler, values) for filler in (np.inf, -np.inf))
    varies = low.min(axis=0) < high.max(axis=0)
    partly = is_unknown.any(axis=0) & ~is_unknown.all(axis=0)
    return np.flatnonzero(varies | partly)


def _bags(owners: pd.Series, seed: int) -> npt.NDArray[np.int8]:
    """rows x bags: 1 where a row teaches, -1 where it says when to stop."""
    outside = [held_out(owners, HELD_OUT, f"ebm/{seed}/{bag}") for bag in range(SETTINGS["outer_bags"])]
    return np.stack([np.where(out, -1, 1).astype(np.int8) for out in outside], axis=1)


def _machine(n_features: int, seed: int) -> Any:
    # Loading it takes as long as fitting a small one.
    from interpret.glassbox import ExplainableBoostingClassifier  # type: ignore[import-untyped]

    return ExplainableBoostingClassifier(feature_types=["continuous"] * n_features, random_state=seed, **SETTINGS)
