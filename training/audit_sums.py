"""Sums over rows, and the same sums when whole clusters are drawn with replacement.

Every figure of an audit is made of sums, so one draw of clusters serves all groups and capacities at once and figures
of two groups stay comparable draw by draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array
from scipy.stats import norm

Floats = npt.NDArray[np.float64]

BATCH = 100
TAIL = 0.025
# Found four times in five: 1.96 + 0.84 standard errors.
SURE = float(norm.ppf(1.0 - TAIL) + norm.ppf(0.8))


class Estimate(NamedTuple):
    """A figure with its 95 % interval from the resamples. `p` is two-sided, against `null`; NaN where nothing is
    compared. `smallest` is the difference from `null` (on a ratio: the factor) that such data would show as one with
    a probability of 80 %."""

    value: float
    low: float
    high: float
    p: float = float("nan")
    smallest: float = float("nan")


class Sums:
    """Sums of row weights under masks: `sums(mask, weight)` holds the sum itself and then one sum a resample."""

    def __init__(
        self,
        weights: Mapping[str, Floats],
        masks: Mapping[str, npt.NDArray[np.bool_]],
        clusters: npt.ArrayLike,
        *,
        resamples: int,
        seed: int,
    ) -> None:
        number, unique = pd.factorize(np.asarray(clusters, object), use_na_sentinel=False)
        self.n_clusters = n = len(unique)
        self._mask = {name: place for place, name in enumerate(masks)}
        self._weight = {name: place for place, name in enumerate(weights)}
        stacked, width = np.stack(list(weights.values()), axis=1), len(weights)
        membership = csr_array((np.ones(len(number)), (number, np.arange(len(number)))), shape=(n, len(number)))
        by_cluster = np.empty((n, len(masks) * width))
        for place, mask in enumerate(masks.values()):
            by_cluster[:, place * width : (place + 1) * width] = membership @ (stacked * mask[:, np.newaxis])
        sums = np.empty((1 + resamples, len(masks) * width))
        sums[0] = by_cluster.sum(axis=0)
        rng = np.random.default_rng(seed)
        for first in range(0, resamples, BATCH):
            many = min(BATCH, resamples - first)
            # Draws of each resample in a row of its own of one long count.
            drawn = rng.integers(n, size=(many, n)) + n * np.arange(many)[:, np.newaxis]
            times = np.bincount(drawn.ravel(), minlength=many * n).reshape(many, n)
            sums[1 + first : 1 + first + many] = times.astype(np.float64) @ by_cluster
        self._sums = sums.reshape(1 + resamples, len(masks), width)

    def __call__(self, mask: str, weight: str) -> Floats:
        """The sum of a weight over the rows of a mask, and the same of each resample."""
        return np.asarray(self._sums[:, self._mask[mask], self._weight[weight]])

    def __contains__(self, weight: str) -> bool:
        return weight in self._weight


def share(part: Floats, whole: Floats) -> Floats:
    """`part / whole`, NaN where there is no whole.

    >>> share(np.array([1.0, 1.0]), np.array([4.0, 0.0])).tolist()
    [0.25, nan]
    """
    return np.asarray(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0.0))


def estimate(values: Floats) -> Estimate:
    """A figure from its value and its resamples, compared with nothing."""
    low, high = _interval(values[1:])
    return Estimate(float(values[0]), low, high)


def difference(values: Floats) -> Estimate:
    """A difference compared with 0, as if its resamples were normal."""
    low, high = _interval(values[1:])
    spread = _spread(values[1:])
    return Estimate(float(values[0]), low, high, _p(float(values[0]), spread), SURE * spread)


def ratio(values: Floats) -> Estimate:
    """A ratio compared with 1, as if its resamples were normal on the logarithmic scale."""
    logs = np.log(values, out=np.full(len(values), np.nan), where=values > 0.0)
    low, high = _interval(values[1:])
    spread = _spread(logs[1:])
    return Estimate(float(values[0]), low, high, _p(float(logs[0]), spread), float(np.exp(SURE * spread)))


def holm(p: npt.ArrayLike) -> Floats:
    """P-values corrected for how many there are, after Holm; NaN stays and does not count.

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p, np.float64)
    adjusted = np.full(len(given), np.nan)
    order = np.argsort(given, kind="stable")
    order = order[np.isfinite(given[order])]
    factor = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factor * given[order]))
    return adjusted


def _interval(drawn: Floats) -> tuple[float, float]:
    finite = drawn[np.isfinite(drawn)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [TAIL, 1.0 - TAIL])
    return float(low), float(high)


def _spread(drawn: Floats) -> float:
    finite = drawn[np.isfinite(drawn)]
    return float(finite.std(ddof=1)) if len(finite) > 1 else float("nan")


def _p(distance: float, spread: float) -> float:
    if not np.isfinite(distance) or not np.isfinite(spread):
        return float("nan")
    if spread == 0.0:
        return 1.0 if distance == 0.0 else 0.0
    return float(2.0 * norm.sf(abs(distance) / spread))
