"""What a bundle knows about the limits of its own scores: `certainty.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from models.abstention import Limits
from models.calibration import Calibration
from models.interval import VennAbers, interval
from models.profile import Profile

Floats = npt.NDArray[np.float64]

FIELDS = ("members", "bounds", "ranges", "profile", "valid_until", "limits")


@dataclass(frozen=True)
class Certainty:
    """How sure the model may be.

    `members` is how many trees of the model file belong to each member of the bag, in order; one member or none means
    a single model. `bounds` are Venn-Abers bounds by margin, `ranges` the lowest and the highest value that each
    feature had in training (2 x features, NaN where it was never known), `profile` what training looked like, and
    `valid_until` the day after which the model must not be used. None stands for what was not determined; a check
    that needs it is not made. `limits` say from where on a household is not scored.
    """

    members: tuple[int, ...] = ()
    bounds: VennAbers | None = None
    ranges: Floats | None = None
    profile: Profile | None = None
    valid_until: str | None = None
    limits: Limits = field(default_factory=Limits)

    def interval(
        self,
        margin: Floats,
        member_margins: Floats,
        calibration: Calibration,
        region: npt.NDArray[np.object_] | Sequence[str] | None = None,
    ) -> Floats | None:
        """Lower and upper end of each row's probability (rows x 2); None where no bounds were determined."""
        if self.bounds is None:
            return None
        low, high = self.bounds.bounds(margin)
        if region is not None and calibration.offsets:
            offset = calibration.offset(region)
            with np.errstate(divide="ignore"):
                low, high = expit(logit(low) + offset), expit(logit(high) + offset)
        members = [calibration.probability(column, region) for column in member_margins.T]
        return interval(calibration.probability(margin, region), np.stack(members, axis=1), (low, high))

    def moved(self, slope: float, intercept: float) -> Certainty:
        """The same after the log-odds of every probability became `slope * log-odds + intercept`."""
        bounds = None if self.bounds is None else self.bounds.moved(slope, intercept)
        profile = None if self.profile is None else self.profile.moved(slope, intercept)
        return replace(self, bounds=bounds, profile=profile)

    def as_json(self) -> dict[str, Any]:
        """For a file; `from_json` gives it back to the last digit."""
        unknown_as_null = None
        if self.ranges is not None:
            unknown_as_null = [[None if v != v else v for v in row] for row in self.ranges.tolist()]
        return {
            "members": list(self.members),
            "bounds": None if self.bounds is None else self.bounds.as_json(),
            "ranges": unknown_as_null,
            "profile": None if self.profile is None else self.profile.as_json(),
            "valid_until": self.valid_until,
            "limits": self.limits.as_json(),
        }

    @staticmethod
    def from_json(written: Mapping[str, Any]) -> Certainty:
        """Read back; every field must be there, even where it is null.

        >>> Certainty.from_json({"members": []})
        Traceback (most recent call last):
        ...
        ValueError: certainty.json lacks bounds, ranges, profile, valid_until, limits
        """
        missing = [name for name in FIELDS if name not in written]
        if missing:
            raise ValueError(f"certainty.json lacks {', '.join(missing)}")
        bounds, ranges, profile = (written[name] for name in ("bounds", "ranges", "profile"))
        return Certainty(
            tuple(int(n) for n in written["members"]),
            None if bounds is None else VennAbers.from_json(bounds),
            None if ranges is None else np.array(ranges, np.float64),
            None if profile is None else Profile.from_json(profile),
            None if written["valid_until"] is None else str(written["valid_until"]),
            Limits.from_json(written["limits"]),
        )
