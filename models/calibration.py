"""From the model's margin to a probability that means what it says: an affine map of the log-odds.

Because the map is affine, contributions scaled by the slope add up exactly to the calibrated log-odds; what a region
adds is one more constant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from features.definition import Text
from models.region_shift import region_shifts

Floats = npt.NDArray[np.float64]
Regions = npt.NDArray[np.object_] | Sequence[str]

MIN_POSITIVES = 100
FREE_POSITIVES = 300
SLOPE_BOUNDS = (0.5, 1.5)
PRIOR_SLOPE_SD = 0.15
PRIOR_INTERCEPT_SD = 0.5
ROUNDS = 4
FIELDS = ("slope", "intercept", "n", "positives", "offsets")
ON_THE_WHOLE = Text("本地区数据不足，按全部地区校准", "calibrated on the whole: too few outcomes in this region alone")


class CalibrationRefused(ValueError):
    """Rows or a written calibration cannot be used; the message says which field and what to do."""


@dataclass(frozen=True)
class Calibration:
    """`log_odds = slope * margin + intercept + offset of the region`, fitted on `n` held-out rows with `positives`
    outcomes.

    `offsets` holds only the regions with enough outcomes of their own; every other region has offset 0.
    """

    slope: float
    intercept: float
    n: int
    positives: int
    offsets: Mapping[str, float] = field(default_factory=dict)

    def log_odds(self, margin: Floats, region: Regions | None = None) -> Floats:
        """Calibrated log-odds, one per row. `region` names the region of each row; without it no offset is added."""
        whole = self.slope * margin + self.intercept
        return whole if region is None or not self.offsets else whole + self.offset(region)

    def probability(self, margin: Floats, region: Regions | None = None) -> Floats:
        """Calibrated probability, one per row.

        >>> Calibration(1.0, 0.0, 0, 0).probability(np.array([0.0]))
        array([0.5])
        >>> Calibration(1.0, 0.0, 0, 0, {"hill": 1.0}).log_odds(np.array([0.0, 0.0]), ["hill", "elsewhere"])
        array([1., 0.])
        """
        return np.asarray(expit(self.log_odds(margin, region)), np.float64)

    def offset(self, region: Regions) -> Floats:
        """What is added to the log-odds of each row for its region; 0 for a region without an offset."""
        return np.array([self.offsets.get(name, 0.0) for name in region], np.float64)

    def note(self, region: str) -> Text | None:
        """What a reader must know about the level of a region's probabilities, if there is anything to know.

        >>> Calibration(1.0, 0.0, 0, 0, {"hill": 1.0}).note("elsewhere").en
        'calibrated on the whole: too few outcomes in this region alone'
        """
        return ON_THE_WHOLE if self.offsets and region not in self.offsets else None

    def then(self, later: Calibration) -> Calibration:
        """This calibration followed by another one that was fitted on this one's log-odds.

        >>> Calibration(0.5, 1.0, 90, 9).then(Calibration(2.0, 3.0, 80, 8))
        Calibration(slope=1.0, intercept=5.0, n=80, positives=8, offsets={})
        """
        shifts = {
            name: later.slope * self.offsets.get(name, 0.0) + later.offsets.get(name, 0.0)
            for name in sorted({*self.offsets, *later.offsets})
        }
        intercept = later.slope * self.intercept + later.intercept
        return Calibration(later.slope * self.slope, intercept, later.n, later.positives, shifts)

    def as_json(self) -> dict[str, Any]:
        """The calibration for a file; `from_json` gives it back to the last digit."""
        return {name: getattr(self, name) for name in FIELDS} | {"offsets": dict(self.offsets)}

    @staticmethod
    def from_json(written: Mapping[str, Any]) -> Calibration:
        """Read back; nothing may be missing, unknown or infinite, not even the offsets where there are none.

        >>> Calibration.from_json({"slope": 1.0, "intercept": 0.0, "n": 0, "positives": 0})
        Traceback (most recent call last):
        ...
        models.calibration.CalibrationRefused: a calibration lacks offsets
        """
        missing, unknown = [name for name in FIELDS if name not in written], sorted(set(written) - set(FIELDS))
        if missing or unknown:
            said = f"lacks {', '.join(missing)}" if missing else f"has unknown fields: {', '.join(unknown)}"
            raise CalibrationRefused(f"a calibration {said}")
        try:
            read = Calibration(
                float(written["slope"]),
                float(written["intercept"]),
                int(written["n"]),
                int(written["positives"]),
                {str(name): float(shift) for name, shift in written["offsets"].items()},
            )
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CalibrationRefused("a calibration holds something that is no number") from error
        if not all(map(math.isfinite, (read.slope, read.intercept, *read.offsets.values()))) or read.slope <= 0.0:
            raise CalibrationRefused("a calibration needs finite numbers and a slope above 0")
        return read


def fit_calibration(
    margin: Floats,
    outcome: Floats,
    region: Regions | None = None,
    weight: Floats | None = None,
    *,
    household: npt.NDArray[np.object_] | None = None,
) -> Calibration:
    """Logistic calibration on the margin of rows the model has not learned from.

    Below 100 positives the map stays the identity: a calibrator learned from so few is itself the error. Between 100
    and 300 it is drawn towards the identity; the slope is always held in [0.5, 1.5]. With weights, which only count
    relative to each other (inverse inclusion probabilities of a random audit), the positives that decide this are
    the effective ones, `(sum w)^2 / sum w^2`, because a few heavy rows are few.

    `region` adds a shift of the log-odds for each region with at least 30 positives of its own (`models.region_shift`);
    with `household`, rows of one household count as one piece of evidence there.

    >>> rng = np.random.default_rng(1)
    >>> truth = rng.normal(-1, 1, 20_000)
    >>> fitted = fit_calibration(truth / 1.25, (rng.random(20_000) < expit(truth)).astype(float))
    >>> 1.15 < fitted.slope < 1.35
    True
    """
    relative = _relative(margin, outcome, weight)
    positives = int(outcome.sum())
    slope, intercept = _affine(margin, outcome, relative, np.zeros(len(outcome)))
    if region is None:
        return Calibration(slope, intercept, len(outcome), positives)
    _refuse_length("region", len(region), len(outcome))
    names = np.asarray(region, object)
    fitted = Calibration(slope, intercept, len(outcome), positives)
    # Where regions differ, a slope fitted without them is too flat, and their shifts then are too.
    for _ in range(ROUNDS):
        offsets = region_shifts(
            replace(fitted, offsets={}).log_odds(margin), outcome, names, relative, household=household
        )
        if not offsets:
            break
        fitted = replace(fitted, offsets=offsets)
        slope, intercept = _affine(margin, outcome, relative, fitted.offset(names))
        fitted = replace(fitted, slope=slope, intercept=intercept)
    return fitted


def _affine(margin: Floats, outcome: Floats, weight: Floats, offset: Floats) -> tuple[float, float]:
    """Slope and intercept beside the rows' offsets; the identity where evidence is too thin for anything else."""
    positive = weight[outcome == 1.0]
    evidence = float(positive.sum() ** 2 / (positive**2).sum()) if positive.any() else 0.0
    # The sums of equal weights are off by a last digit; 100 positives are 100.
    if round(evidence, 6) < MIN_POSITIVES:
        return 1.0, 0.0
    pull = 1.0 if round(evidence, 6) < FREE_POSITIVES else 0.0

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slope, intercept = parameters
        z = slope * margin + intercept + offset
        residual = weight * (expit(z) - outcome)
        prior = pull * np.array([(slope - 1) / PRIOR_SLOPE_SD**2, intercept / PRIOR_INTERCEPT_SD**2])
        value = (weight * (np.logaddexp(0, z) - z * outcome)).sum()
        value += 0.5 * (prior * np.array([slope - 1, intercept])).sum()
        return float(value), np.array([(residual * margin).sum(), residual.sum()]) + prior

    fitted = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=[SLOPE_BOUNDS, (None, None)], method="L-BFGS-B")
    return float(fitted.x[0]), float(fitted.x[1])


def _relative(margin: Floats, outcome: Floats, weight: Floats | None) -> Floats:
    """Weights whose mean is 1; refuses rows that cannot calibrate anything."""
    _refuse_length("margin", len(margin), len(outcome))
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise CalibrationRefused("an outcome is neither 0 nor 1; leave rows without an outcome out")
    if not np.isfinite(margin).all():
        raise CalibrationRefused("a margin is not a finite number")
    if weight is None:
        return np.ones(len(outcome))
    _refuse_length("weight", len(weight), len(outcome))
    if not (np.isfinite(weight) & (weight >= 0.0)).all() or not weight.any():
        raise CalibrationRefused("weights are numbers from 0 on, and not all of them 0")
    return np.asarray(weight / weight.mean(), np.float64)


def _refuse_length(what: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise CalibrationRefused(f"{found} values of {what} for {wanted} outcomes; one per row is needed")
