"""Why the score is what it is: contributions on the scale of the calibrated log-odds, additive to the last digit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.bundle import Bundle

Floats = npt.NDArray[np.float64]
TOLERANCE = 1e-6
NOT_KNOWN = "not_known"


class ExplanationFailed(Exception):
    """Contributions do not add up to the score; no number may leave."""


@dataclass(frozen=True)
class Explanation:
    """Calibrated scores of n rows and what each feature contributed.

    `log_odds = base + contributions.sum(axis=1)` for every row, checked to 1e-6; `probability` is its logistic.
    """

    values: Floats
    unknown: npt.NDArray[np.bool_]
    log_odds: Floats
    probability: Floats
    base: Floats
    contributions: Floats

    def groups(self, bundle: Bundle, row: int) -> dict[str, float]:
        """Contributions of one row summed by domain.

        What comes from features that are unknown for this household is summed as `not_known`: it is a gap in the
        record, not a fact about the household.
        """
        sums: dict[str, float] = {}
        for feature, is_unknown, phi in zip(
            bundle.catalogue.features, self.unknown[row], self.contributions[row], strict=True
        ):
            name = NOT_KNOWN if is_unknown else feature.group.value
            sums[name] = sums.get(name, 0.0) + float(phi)
        return sums


def explain(bundle: Bundle, values: Floats, unknown: npt.NDArray[np.bool_]) -> Explanation:
    """Score and explain rows of the feature contract (`Matrix.values`, `Matrix.unknown`).

    Raises `ExplanationFailed` when the sum is not the score.
    """
    margin = bundle.model.margins(values)
    log_odds = bundle.calibration.log_odds(margin)
    contributions, expected = bundle.model.contributions(values)
    slope = bundle.calibration.slope
    scaled, base = contributions * slope, expected * slope + bundle.calibration.intercept
    if not np.allclose(base + scaled.sum(axis=1), log_odds, rtol=0, atol=TOLERANCE):
        raise ExplanationFailed("contributions do not add up to the score")
    return Explanation(values, unknown, log_odds, bundle.calibration.probability(margin), base, scaled)
