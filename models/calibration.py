"""From the model's margin to a probability that means what it says: an affine map of the log-odds.

Because the map is affine, contributions scaled by the slope add up exactly to the calibrated log-odds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

Floats = npt.NDArray[np.float64]

MIN_POSITIVES = 100
FREE_POSITIVES = 300
SLOPE_BOUNDS = (0.5, 1.5)
PRIOR_SLOPE_SD = 0.15
PRIOR_INTERCEPT_SD = 0.5


@dataclass(frozen=True)
class Calibration:
    """`log_odds = slope * margin + intercept`, fitted on `n` held-out rows with `positives` outcomes."""

    slope: float
    intercept: float
    n: int
    positives: int

    def log_odds(self, margin: Floats) -> Floats:
        """Calibrated log-odds."""
        return self.slope * margin + self.intercept

    def probability(self, margin: Floats) -> Floats:
        """Calibrated probability.

        >>> Calibration(1.0, 0.0, 0, 0).probability(np.array([0.0]))
        array([0.5])
        """
        return np.asarray(expit(self.log_odds(margin)), np.float64)


def fit_calibration(margin: Floats, outcome: Floats) -> Calibration:
    """Logistic calibration on the margin of rows the model has not learned from.

    Below 100 positives the map stays the identity: a calibrator learned from so few is itself the error. Between 100
    and 300 it is drawn towards the identity; the slope is always held in [0.5, 1.5].

    >>> rng = np.random.default_rng(1)
    >>> truth = rng.normal(-1, 1, 20_000)
    >>> fitted = fit_calibration(truth / 1.25, (rng.random(20_000) < expit(truth)).astype(float))
    >>> 1.15 < fitted.slope < 1.35
    True
    """
    positives = int(outcome.sum())
    if positives < MIN_POSITIVES:
        return Calibration(1.0, 0.0, len(outcome), positives)
    pull = 1.0 if positives < FREE_POSITIVES else 0.0

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slope, intercept = parameters
        z = slope * margin + intercept
        residual = expit(z) - outcome
        prior = pull * np.array([(slope - 1) / PRIOR_SLOPE_SD**2, intercept / PRIOR_INTERCEPT_SD**2])
        value = np.logaddexp(0, z).sum() - (z * outcome).sum()
        value += 0.5 * (prior * np.array([slope - 1, intercept])).sum()
        return float(value), np.array([(residual * margin).sum(), residual.sum()]) + prior

    fitted = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=[SLOPE_BOUNDS, (None, None)], method="L-BFGS-B")
    return Calibration(float(fitted.x[0]), float(fitted.x[1]), len(outcome), positives)
