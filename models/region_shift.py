"""How far a region's level lies from the whole, no further than its own outcomes prove: empirical Bayes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Floats = npt.NDArray[np.float64]
Objects = npt.NDArray[np.object_]

REGION_POSITIVES = 30
STEPS = 60


def region_shifts(
    log_odds: Floats, outcome: Floats, region: Objects, weight: Floats, *, household: Objects | None = None
) -> dict[str, float]:
    """Shift in log-odds of each region that has at least 30 positives (households, where they are given).

    Each region's best shift and its variance come from its own rows; how much regions truly differ (tau squared)
    comes from comparing the shifts (DerSimonian and Laird); what is used is the mean of both after Bayes,
    `shift * tau2 / (tau2 + variance)`. Empty unless two regions or more have the outcomes: one alone cannot tell how
    much regions differ, and it is the whole anyway.
    """
    found: dict[str, tuple[float, float]] = {}
    for name in sorted(set(region.tolist())):
        inside = region == name
        positive = inside & (outcome == 1.0) & (weight > 0.0)
        evidence = positive.sum() if household is None else len(set(household[positive].tolist()))
        if evidence >= REGION_POSITIVES and not positive[inside].all():
            cluster = None if household is None else household[inside]
            found[str(name)] = best_shift(log_odds[inside], outcome[inside], weight[inside], cluster)
    if len(found) < 2:
        return {}
    shift, variance = (np.array(column) for column in zip(*found.values(), strict=True))
    tau2 = between_regions(shift, variance)
    return dict(zip(found, (shift * tau2 / (tau2 + variance)).tolist(), strict=True))


def best_shift(log_odds: Floats, outcome: Floats, weight: Floats, household: Objects | None) -> tuple[float, float]:
    """The shift that foretells as many (weighted) positives as there were, and its variance.

    Without weights and households the variance is the inverse information; with households it is the sandwich's,
    because a household's months repeat each other.
    """
    shift = 0.0
    for _ in range(STEPS):
        p = expit(log_odds + shift)
        information = float((weight * p * (1.0 - p)).sum())
        # Newton may leap where p is near 0 or 1; the score only falls with the shift, so short steps arrive as well.
        step = float(np.clip((weight * (outcome - p)).sum() / max(information, 1e-300), -1.0, 1.0))
        shift += step
        if abs(step) < 1e-12:
            break
    p = expit(log_odds + shift)
    information = float((weight * p * (1.0 - p)).sum())
    if household is None:
        spread = float((weight**2 * p * (1.0 - p)).sum())
    else:
        code = np.unique(household.astype(str), return_inverse=True)[1]
        spread = float((np.bincount(code, weights=weight * (outcome - p)) ** 2).sum())
    return shift, spread / information**2


def between_regions(shift: Floats, variance: Floats) -> float:
    """Variance of the true shifts between regions after DerSimonian and Laird; 0 where chance explains them.

    >>> between_regions(np.array([-1.0, 1.0]), np.array([0.5, 0.5]))
    1.5
    >>> between_regions(np.array([-0.1, 0.1]), np.array([0.5, 0.5]))
    0.0
    """
    w = 1.0 / variance
    centre = float((w * shift).sum() / w.sum())
    q = float((w * (shift - centre) ** 2).sum())
    return max(0.0, (q - (len(shift) - 1)) / float(w.sum() - (w**2).sum() / w.sum()))
