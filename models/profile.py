"""What training looked like, in counts no household can be read from: the yardstick that drift is measured with.

Quantile bins of every feature and of the score, shares of unknown values, and the mean probability by month. Every
bin and every month holds at least ten households, and the edges of the bins are rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEWEST_HOUSEHOLDS = 10
BINS = 10
MOST_ROWS = 200_000
DIGITS = 3
# A share of 0 has no logarithm; a bin that was empty counts as one in ten thousand.
LEAST_SHARE = 1e-4


class ProfileRefused(ValueError):
    """Rows or a written profile cannot be used; the message says which field and what to do."""


@dataclass(frozen=True)
class Bins:
    """Shares of the known values in bins: up to and including the first edge, ..., above the last edge.

    `unknown` is the share of unknown values among all rows; None where it is above 0 and stands for fewer than ten
    households, which is not told. Without any known value (or with fewer than ten households' worth) there is no
    edge and no share.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    unknown: float | None

    def cells(self, values: Floats) -> Floats:
        """Shares of the given values in the same bins, the unknown ones last; they add up to 1."""
        known = values[~np.isnan(values)]
        counts = np.bincount(np.searchsorted(self.edges, known, side="left"), minlength=len(self.edges) + 1)
        return np.append(counts, len(values) - len(known)) / len(values)

    @property
    def expected(self) -> Floats:
        """The shares of training in the order of `cells`."""
        unknown = self.unknown or 0.0
        known = np.array(self.shares or (0.0,)) * (1.0 - unknown)
        return np.append(known, unknown)


@dataclass(frozen=True)
class MonthMean:
    """Mean probability of the rows of one month, and how many there were."""

    n: int
    probability: float


@dataclass(frozen=True)
class Profile:
    """Training in numbers: `n` rows of `households` households; `features` in the order of the catalogue, the `score`
    in deciles, mean probability overall and by month ("2024-03"), share of rows without a score (None if unknown)."""

    n: int
    households: int
    names: tuple[str, ...]
    features: tuple[Bins, ...]
    score: Bins
    mean_probability: float
    abstained: float | None
    months: Mapping[str, MonthMean]

    @staticmethod
    def of(
        values: Floats,
        names: Sequence[str],
        probability: Floats,
        as_of_month: Sequence[str] | npt.NDArray[np.object_],
        *,
        household: Sequence[str] | npt.NDArray[np.object_] | None = None,
        abstained: npt.NDArray[np.bool_] | None = None,
    ) -> Profile:
        """The profile of training vectors (rows x features, NaN unknown), their probabilities and months.

        Give the probabilities of rows the model had not learned from, or the profile is of a bolder model than the
        one in use. `household` names the household of each row; without it every row counts as a household of its
        own. A household has rows at many moments, so a bin needs ten times the rows of the household that has most.
        Of more than 200,000 rows so many are drawn, always the same.
        """
        n, month = len(values), np.asarray(as_of_month, object)
        if values.ndim != 2 or values.shape[1] != len(names) or not n == len(probability) == len(month):
            raise ProfileRefused("a profile needs rows x features, a name per feature, a probability and month per row")
        households, most = (n, 1) if household is None else _households(household)
        fewest = FEWEST_HOUSEHOLDS * most
        if n < fewest:
            raise ProfileRefused(f"a profile needs rows of {FEWEST_HOUSEHOLDS} households at least; there are fewer")
        drawn = np.arange(n) if n <= MOST_ROWS else np.random.default_rng(0).choice(n, MOST_ROWS, replace=False)
        return Profile(
            n,
            households,
            tuple(names),
            tuple(_bins(column[drawn], fewest) for column in values.T),
            _bins(probability[drawn], fewest),
            float(probability.mean()),
            None if abstained is None else _told(float(abstained.mean()), n, fewest),
            _months(month, probability),
        )

    def moved(self, slope: float, intercept: float) -> Profile:
        """The profile after the log-odds of every probability became `slope * log-odds + intercept`.

        The bins of the score move exactly. The means are moved as if every row had the mean probability, which is a
        little off where the slope is not 1.
        """
        score = Bins(tuple(_moved(edge, slope, intercept) for edge in self.score.edges), self.score.shares, 0.0)
        months = {
            name: MonthMean(mean.n, _moved(mean.probability, slope, intercept)) for name, mean in self.months.items()
        }
        return replace(
            self, score=score, months=months, mean_probability=_moved(self.mean_probability, slope, intercept)
        )

    def as_json(self) -> dict[str, Any]:
        """The profile for a file; `from_json` gives it back to the last digit."""
        return asdict(self)

    @staticmethod
    def from_json(written: Mapping[str, Any]) -> Profile:
        """Read back; a missing or unknown field is refused by name.

        >>> Profile.from_json({"n": 20, "households": 20, "names": [], "features": [], "score": {}})
        Traceback (most recent call last):
        ...
        models.profile.ProfileRefused: a profile lacks abstained, mean_probability, months
        """
        known = {one.name for one in fields(Profile)}
        for said, wrong in (("lacks", known - set(written)), ("has unknown fields:", set(written) - known)):
            if wrong:
                raise ProfileRefused(f"a profile {said} {', '.join(sorted(wrong))}")
        try:
            read = Profile(
                int(written["n"]),
                int(written["households"]),
                tuple(map(str, written["names"])),
                tuple(_read(one) for one in written["features"]),
                _read(written["score"]),
                float(written["mean_probability"]),
                None if written["abstained"] is None else float(written["abstained"]),
                {str(month): MonthMean(**mean) for month, mean in written["months"].items()},
            )
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise ProfileRefused("a profile holds features, months or a score in a form that cannot be read") from error
        if len(read.names) != len(read.features):
            raise ProfileRefused("a profile needs as many names as features")
        return read


def psi(profile: Profile, values: Floats) -> Floats:
    """Population stability index of each feature (rows x features against training); 0 means as in training.

    `sum((now - then) * ln(now / then))` over the bins and the unknown share, each share at least one in ten thousand.
    """
    if values.ndim != 2 or values.shape[1] != len(profile.features) or not len(values):
        raise ProfileRefused(f"values have the {len(profile.features)} columns of the profile and at least one row")
    return np.array([index(bins, column) for bins, column in zip(profile.features, values.T, strict=True)], np.float64)


def index(bins: Bins, values: Floats) -> float:
    """Population stability index of one column.

    >>> round(index(Bins((0.0,), (0.5, 0.5), 0.0), np.array([0.0, 1.0, 1.0, 1.0])), 4)
    0.2747
    """
    then, now = (np.maximum(shares, LEAST_SHARE) for shares in (bins.expected, bins.cells(values)))
    return float(((now - then) * np.log(now / then)).sum())


def _bins(values: Floats, fewest: int) -> Bins:
    known = values[~np.isnan(values)]
    unknown = len(values) - len(known)
    if len(known) < fewest:
        return Bins((), (), 1.0)
    cuts = np.quantile(known, np.linspace(0.0, 1.0, BINS + 1)[1:-1])
    edges = np.unique(_rounded(cuts))
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    while len(edges) and counts.min() < fewest:
        edges, counts = _merged(edges, counts)
    shares = (counts / counts.sum()).tolist()
    return Bins(tuple(edges.tolist()), tuple(shares), _told(unknown / len(values), len(values), fewest))


def _merged(edges: Floats, counts: Ints) -> tuple[Floats, Ints]:
    """The smallest bin joined with the smaller one of its neighbours."""
    at = int(counts.argmin())
    joins_left = at > 0 and (at == len(counts) - 1 or counts[at - 1] <= counts[at + 1])
    left = at - 1 if joins_left else at
    counts = counts.copy()
    counts[left] += counts[left + 1]
    return np.delete(edges, left), np.delete(counts, left + 1)


def _rounded(cuts: Floats) -> Floats:
    """Three digits: an edge must not be the very amount of one household."""
    return np.array([float(f"{cut:.{DIGITS}g}") for cut in cuts.tolist()], np.float64)


def _told(share: float, n: int, fewest: int) -> float | None:
    return None if 0.0 < round(share * n) < fewest else share


def _households(household: Sequence[str] | npt.NDArray[np.object_]) -> tuple[int, int]:
    """How many households there are, and how many rows the one with most rows has."""
    counts = np.bincount(pd.factorize(np.asarray(household, object))[0])
    return len(counts), int(counts.max(initial=1))


def _months(month: npt.NDArray[np.object_], probability: Floats) -> dict[str, MonthMean]:
    code, names = pd.factorize(month, sort=True)
    counts, sums = np.bincount(code), np.bincount(code, weights=probability)
    # A household has one row a moment and a month at most one moment, so rows are households here.
    enough = counts >= FEWEST_HOUSEHOLDS
    return {
        str(name): MonthMean(int(n), float(total / n))
        for name, n, total, told in zip(names, counts, sums, enough, strict=True)
        if told
    }


def _moved(probability: float, slope: float, intercept: float) -> float:
    return float(expit(slope * logit(probability) + intercept))


def _read(written: Mapping[str, Any]) -> Bins:
    bins = Bins(tuple(map(float, written["edges"])), tuple(map(float, written["shares"])), written["unknown"])
    if len(bins.shares) != (len(bins.edges) + 1 if bins.shares else 0):
        raise ValueError("one share more than edges")
    return bins
