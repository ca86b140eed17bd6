"""Metrics of several forecasts under the same resamples of whole clusters of rows.

Each forecast is sorted once; a resample then only changes how often each row counts. The draws are made anew from
their seed instead of being kept, so that the memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.evaluation import visits_at

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Ids = Sequence[object] | npt.NDArray[np.object_] | pd.Series

RESAMPLES = 400
LEVEL = 0.95
RECALL = "recall"
_NEAREST_TO_CERTAIN = float(np.finfo(np.float64).eps)


class ComparisonRefused(ValueError):
    """Forecasts cannot be compared; the message says which column or row and what is needed."""


class Interval(NamedTuple):
    """A measured value and its interval; the bounds are NaN where it could not be resampled."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Resamples:
    """`n` draws of whole clusters with replacement; the same draws every time they are asked for.

    `cluster` numbers the cluster of each row from 0 on.

    >>> drawn = Resamples.of(["a", "a", "b"], n=50, seed=1)
    >>> all(w[0] == w[1] and w[0] + w[2] == 2 for w in drawn.weights())
    True
    """

    cluster: Ints
    n_clusters: int
    n: int
    seed: int

    @staticmethod
    def of(clusters: Ids, n: int = RESAMPLES, seed: int = 0) -> Resamples:
        """Resamples for rows with these cluster ids. Ids are numbered as they appear in the rows."""
        numbers, unique = pd.factorize(pd.Series(clusters, dtype=object))
        if (numbers < 0).any():
            raise ComparisonRefused(f"row {int(np.flatnonzero(numbers < 0)[0])} has no household or township")
        return Resamples(numbers.astype(np.int64), len(unique), n, seed)

    def weights(self) -> Iterator[Floats]:
        """How often each row was drawn, one array a resample."""
        rng = np.random.default_rng(self.seed)
        for _ in range(self.n):
            drawn = np.bincount(rng.integers(self.n_clusters, size=self.n_clusters), minlength=self.n_clusters)
            yield drawn.astype(np.float64)[self.cluster]


class Measured(NamedTuple):
    """Metrics of several forecasts of the same rows: `value` is forecasts x metrics, `drawn` has the same for every
    resample in front. NaN where a metric does not exist, as for a resample without a positive."""

    value: Floats
    drawn: Floats

    def interval(self, weights: Sequence[float], metric: int, level: float = LEVEL) -> Interval:
        """Of the sum of the forecasts' values with these weights; `[1, -1]` is the first minus the second."""
        factors = np.asarray(weights, np.float64)
        kept = np.flatnonzero(factors)
        drawn = self.drawn[:, kept, metric] @ factors[kept]
        value = float(self.value[kept, metric] @ factors[kept])
        drawn = drawn[np.isfinite(drawn)]
        if not len(drawn):
            return Interval(value, float("nan"), float("nan"))
        tail = (1.0 - level) / 2.0
        low, high = np.quantile(drawn, [tail, 1.0 - tail])
        return Interval(value, float(low), float(high))


def measured(
    outcome: npt.ArrayLike, forecasts: Sequence[npt.ArrayLike], metrics: Sequence[str], resamples: Resamples
) -> Measured:
    """Metrics of forecasts (0..1) of the same rows with outcomes 0 or 1, as they are and under every resample.

    Metrics are `auc`, `average_precision`, `log_loss`, `brier` and `recall_at_5pct` for any share, `recall_at_2_5pct`
    being 2.5 %. The capacity is a share of the resampled rows; ties at its edge count by expectation.
    """
    y = _outcomes(outcome, resamples)
    ranked = [_Ranked(y, _probabilities(forecast, y)) for forecast in forecasts]
    asked = [_asked(metric) for metric in metrics]
    whole = np.ones(len(y))
    value = np.array([one.metrics(whole, asked) for one in ranked]).reshape(len(ranked), len(asked))
    drawn = np.full((resamples.n, *value.shape), np.nan)
    # One cluster, drawn again and again, would say that nothing is uncertain.
    if resamples.n_clusters > 1:
        for i, weight in enumerate(resamples.weights()):
            for j, one in enumerate(ranked):
                drawn[i, j] = one.metrics(weight, asked)
    return Measured(value, drawn)


def _outcomes(outcome: npt.ArrayLike, resamples: Resamples) -> Floats:
    y = np.asarray(outcome, np.float64)
    if y.ndim != 1 or len(y) != len(resamples.cluster) or not len(y):
        raise ComparisonRefused(f"outcomes of shape {y.shape} have {len(resamples.cluster)} cluster ids")
    wrong = np.flatnonzero(~np.isin(y, (0.0, 1.0)))
    if len(wrong):
        raise ComparisonRefused(f"row {wrong[0]}: the outcome is neither 0 nor 1; leave rows without an outcome out")
    return y


def _probabilities(forecast: npt.ArrayLike, y: Floats) -> Floats:
    p = np.asarray(forecast, np.float64)
    if p.shape != y.shape:
        raise ComparisonRefused(f"forecasts of shape {p.shape} do not fit {len(y)} outcomes")
    wrong = np.flatnonzero(~((p >= 0.0) & (p <= 1.0)))
    if len(wrong):
        raise ComparisonRefused(f"row {wrong[0]}: the probability is not a number from 0 to 1")
    return p


def recall_at(capacity: float) -> str:
    """The name of the metric recall at a capacity, a share of the rows.

    >>> recall_at(0.05), recall_at(0.025)
    ('recall_at_5pct', 'recall_at_2_5pct')
    """
    return f"{RECALL}_at_{f'{100.0 * capacity:.12g}'.replace('.', '_')}pct"


class _Asked(NamedTuple):
    kind: str
    capacity: float


def _asked(metric: str) -> _Asked:
    if metric in ("auc", "average_precision", "log_loss", "brier"):
        return _Asked(metric, float("nan"))
    if metric.startswith(f"{RECALL}_at_") and metric.endswith("pct"):
        try:
            share = float(metric.removeprefix(f"{RECALL}_at_").removesuffix("pct").replace("_", ".")) / 100.0
        except ValueError as error:
            raise ComparisonRefused(f"no share can be read from metric {metric!r}; write recall_at_5pct") from error
        visits_at(share, 1)
        return _Asked(RECALL, share)
    raise ComparisonRefused(f"no metric {metric!r}; known are auc, average_precision, log_loss, brier, recall_at_5pct")


class _Ranked:
    """One forecast, sorted once from the highest on; rows of equal probability form one step."""

    def __init__(self, outcome: Floats, probability: Floats) -> None:
        self.order = np.argsort(-probability, kind="stable")
        y, p = outcome[self.order], probability[self.order]
        self.y = y
        self.ends = np.flatnonzero(np.append(np.diff(p) < 0.0, True))
        held = np.clip(p, _NEAREST_TO_CERTAIN, 1.0 - _NEAREST_TO_CERTAIN)
        self.losses = {"log_loss": -np.log(np.where(y == 1.0, held, 1.0 - held)), "brier": (p - y) ** 2}

    def metrics(self, weight: Floats, asked: Sequence[_Asked]) -> list[float]:
        """The metrics with each row counted `weight` times (whole numbers)."""
        w = weight[self.order]
        total = float(w.sum())
        found: list[float] = []
        steps: _Steps | None = None
        for kind, capacity in asked:
            if kind in self.losses:
                found.append(float(w @ self.losses[kind]) / total)
                continue
            steps = steps or _Steps.of(w, self.y, self.ends)
            found.append(steps.recall(capacity) if kind == RECALL else getattr(steps, kind)())
        return found


class _Steps(NamedTuple):
    """Weighted rows and positives down to the end of each step, which steps have rows, from the highest on."""

    rows: Floats
    positives: Floats

    @staticmethod
    def of(w: Floats, y: Floats, ends: Ints) -> _Steps:
        rows, positives = np.cumsum(w)[ends], np.cumsum(w * y)[ends]
        # A step that was not drawn has no rows; the ones above it are then counted already.
        drawn = np.diff(rows, prepend=0.0) > 0.0
        return _Steps(rows[drawn], positives[drawn])

    def average_precision(self) -> float:
        if self.positives[-1] == 0.0:
            return float("nan")
        return float((np.diff(self.positives, prepend=0.0) * (self.positives / self.rows)).sum() / self.positives[-1])

    def auc(self) -> float:
        negatives = self.rows - self.positives
        pairs = self.positives[-1] * negatives[-1]
        if pairs == 0.0:
            return float("nan")
        below = negatives[-1] - negatives
        step_positives, step_negatives = np.diff(self.positives, prepend=0.0), np.diff(negatives, prepend=0.0)
        return float((step_positives * (below + step_negatives / 2.0)).sum() / pairs)

    def recall(self, capacity: float) -> float:
        if self.positives[-1] == 0.0:
            return float("nan")
        visits = visits_at(capacity, int(self.rows[-1]))
        edge = int(np.searchsorted(self.rows, visits))
        above, hits = (self.rows[edge - 1], self.positives[edge - 1]) if edge else (0.0, 0.0)
        share = (visits - above) / (self.rows[edge] - above)
        return float((hits + share * (self.positives[edge] - hits)) / self.positives[-1])
