"""How sure the level and the slope of probabilities are, with whole households (or townships) as the evidence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.evaluation import TOP_SHARE, visits_at
from training.level import ratios

Floats = npt.NDArray[np.float64]

RESAMPLES = 500
NORMAL_95 = 1.959963984540054
_NEAREST_TO_CERTAIN = 1e-12


def level_intervals(
    outcome: npt.ArrayLike,
    probability: npt.ArrayLike,
    clusters: npt.NDArray[np.object_],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, float]:
    """95 % intervals (`_low`, `_high`) of `observed_expected`, `observed_expected_top_decile` and `calibration_slope`.

    The two ratios are percentiles over draws of whole clusters with replacement; the top decile is that of the rows
    as they are. The slope's is normal, with the sandwich variance over clusters. What does not exist is left out.
    """
    y, p = np.asarray(outcome, np.float64), np.asarray(probability, np.float64)
    cluster, unique = pd.factorize(clusters)
    n = len(unique)
    found: dict[str, float] = {}
    top = np.zeros(len(p), np.bool_)
    top[np.argsort(-p, kind="stable")[: visits_at(TOP_SHARE, len(p))]] = True
    every = np.ones(len(p), np.bool_)
    for name, rows in (("observed_expected", every), ("observed_expected_top_decile", top)):
        whole = np.zeros(int(rows.sum()), np.int64)
        [found_ratio] = ratios(y[rows], p[rows], whole, clusters[rows], resamples, seed)
        if np.isfinite(found_ratio.low) and np.isfinite(found_ratio.high):
            found |= {f"{name}_low": found_ratio.low, f"{name}_high": found_ratio.high}
    return found | _slope_interval(y, p, cluster, n)


def _slope_interval(y: Floats, p: Floats, cluster: npt.NDArray[np.int64], n: int) -> dict[str, float]:
    held = np.clip(p, _NEAREST_TO_CERTAIN, 1.0 - _NEAREST_TO_CERTAIN)
    margin = np.log(held) - np.log1p(-held)
    positive, negative = margin[y == 1.0], margin[y == 0.0]
    if not len(positive) or not len(negative):
        return {}
    if negative.max() <= positive.min() or positive.max() <= negative.min():
        return {}
    design = np.stack([np.ones(len(margin)), margin], axis=1)
    beta = np.zeros(2)
    for _ in range(100):
        fitted, information = _fitted(design, beta)
        step = np.linalg.solve(information, design.T @ (y - fitted))
        beta = beta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-10:
            break
    fitted, information = _fitted(design, beta)
    residual = y - fitted
    score = np.stack([np.bincount(cluster, weights=residual * column, minlength=n) for column in design.T], axis=1)
    bread = np.linalg.inv(information)
    error = float(np.sqrt((bread @ (score.T @ score) @ bread)[1, 1]))
    slope = float(beta[1])
    return {"calibration_slope_low": slope - NORMAL_95 * error, "calibration_slope_high": slope + NORMAL_95 * error}


def _fitted(design: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """Probabilities of a logistic line, and the information it is fitted with."""
    fitted = 1.0 / (1.0 + np.exp(-np.clip(design @ beta, -700.0, 700.0)))
    return fitted, (design * (fitted * (1.0 - fitted))[:, np.newaxis]).T @ design
