"""Why the score is what it is: contributions on the scale of the calibrated log-odds, additive to the last digit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue, made_once
from features.definition import Group
from models.bundle import Bundle

Floats = npt.NDArray[np.float64]
TOLERANCE = 1e-6
NOT_KNOWN = "not_known"
DOMAINS = (*(group.value for group in Group), NOT_KNOWN)


class ExplanationFailed(Exception):
    """Contributions do not add up to the score; no number may leave."""


@dataclass(frozen=True)
class Explanation:
    """Calibrated scores of n rows and what each feature contributed.

    `log_odds = base + contributions.sum(axis=1)` for every row, checked to 1e-6; `probability` is its logistic.
    `interval` is its range (rows x 2), None where the bundle has no bounds.
    """

    catalogue: Catalogue
    values: Floats
    unknown: npt.NDArray[np.bool_]
    log_odds: Floats
    probability: Floats
    base: Floats
    contributions: Floats
    interval: Floats | None = None

    @cached_property
    def domains(self) -> tuple[list[list[float]], list[list[int]]]:
        """Contributions summed by domain, and the number of features behind each sum; rows x `DOMAINS`.

        What comes from features that are unknown for this household is summed as `not_known`: it is a gap in the
        record, not a fact about the household.
        """
        n = len(self.contributions)
        domain = np.where(self.unknown, len(DOMAINS) - 1, _domains(self.catalogue))
        cell = (domain + len(DOMAINS) * np.arange(n)[:, np.newaxis]).ravel()
        # Counted cell by cell in the order of the features, so a row's sums do not depend on its neighbours.
        sums = np.bincount(cell, weights=self.contributions.ravel(), minlength=n * len(DOMAINS))
        counts = np.bincount(cell, minlength=n * len(DOMAINS))
        return _rows(sums.astype(np.float64), n), counts.reshape(n, len(DOMAINS)).tolist()

    def groups(self, row: int) -> dict[str, float]:
        """Contributions of one row summed by domain."""
        sums, counts = self.domains
        return {name: total for name, total, count in zip(DOMAINS, sums[row], counts[row], strict=True) if count}


@made_once
def _domains(catalogue: Catalogue) -> npt.NDArray[np.int64]:
    return np.array([DOMAINS.index(feature.group.value) for feature in catalogue.features], np.int64)


def _rows(cells: Floats, n: int) -> list[list[float]]:
    rows: list[list[float]] = cells.reshape(n, len(DOMAINS)).tolist()
    return rows


def explain(
    bundle: Bundle,
    values: Floats,
    unknown: npt.NDArray[np.bool_],
    region: npt.NDArray[np.object_] | None = None,
) -> Explanation:
    """Score and explain rows of the feature contract (`Matrix.values`, `Matrix.unknown`), each of a region.

    Raises `ExplanationFailed` when the sum is not the score.
    """
    calibration, (margin, members) = bundle.calibration, bundle.model.with_members(values)
    log_odds = calibration.log_odds(margin, region)
    contributions, expected = bundle.model.contributions(values, margins=margin)
    scaled, base = contributions * calibration.slope, calibration.log_odds(expected, region)
    if not np.allclose(base + scaled.sum(axis=1), log_odds, rtol=0, atol=TOLERANCE):
        raise ExplanationFailed("contributions do not add up to the score")
    return Explanation(
        bundle.catalogue,
        values,
        unknown,
        log_odds,
        calibration.probability(margin, region),
        base,
        scaled,
        bundle.certainty.interval(margin, members, calibration, region),
    )
