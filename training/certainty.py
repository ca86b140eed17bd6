"""What training knows about the limits of its model: bounds of the probability, ranges of the features, a profile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.dataset import Dataset, DatasetMeta
from features.window import as_of_moment, day, horizon_end
from models.calibration import Calibration
from models.certainty import Certainty
from models.interval import fit_venn_abers
from models.profile import Profile, ProfileRefused

Floats = npt.NDArray[np.float64]

# The data a model learned from describe a county for about so long.
VALID_MONTHS = 24
MOST_ROWS = 200_000
# So many households lie beyond each end at least: an end must not be anybody's own amount.
FEWEST_HOUSEHOLDS = 10
BEYOND_SHARE = 0.0005
LEAST_TIMES_BEYOND = 50


def certainty_of(
    values: Floats,
    rows: pd.DataFrame,
    held_out_margins: Floats,
    calibration: Calibration,
    *,
    names: Sequence[str],
    members: tuple[int, ...],
    dataset: Dataset,
    region: npt.NDArray[np.object_] | None = None,
) -> Certainty:
    """From the training rows (`household_id`, `as_of`, `outcome`), their vectors and their held-out margins.

    A model is valid for two years after its data; one of a synthetic county, known by its truth, does not age.
    """
    meta = dataset.meta
    household, _ = pd.factorize(rows["household_id"])
    of_household = np.bincount(household)
    probability = calibration.probability(held_out_margins, region)
    month = np.array([day(int(moment) - 1, meta.time_zone)[:7] for moment in rows["as_of"].unique()], object)
    at = pd.factorize(rows["as_of"])[0]
    try:
        profile = Profile.of(values, names, probability, month[at], household=rows["household_id"].to_numpy(object))
    except ProfileRefused:
        profile = None
    return Certainty(
        members=members,
        # A household with many moments is one household's evidence.
        bounds=fit_venn_abers(
            held_out_margins, rows["outcome"].to_numpy(np.float64), weight=1.0 / of_household[household]
        ),
        ranges=ranges(values, int(of_household.max())),
        profile=profile,
        valid_until=None if dataset.truth is not None else _valid_until(meta),
    )


def _valid_until(meta: DatasetMeta) -> str:
    end = horizon_end(as_of_moment(meta.data_until, meta.time_zone), VALID_MONTHS, meta.time_zone)
    return day(end - 1, meta.time_zone)


def ranges(values: Floats, rows_of_a_household: int = 1) -> Floats:
    """Where nearly all training rows lie, per feature: 2 x features, NaN for a feature that was never known.

    Beyond each end lie one in 2,000 rows and at least as many as ten households can have. Ends are rounded outwards
    to three digits.

    >>> ranges(np.arange(1000.0)[:, np.newaxis])
    array([[ 10.],
           [989.]])
    """
    if len(values) > MOST_ROWS:
        values = values[np.random.default_rng(0).choice(len(values), MOST_ROWS, replace=False)]
    found = np.full((2, values.shape[1]), np.nan)
    for column, known in enumerate(np.sort(values, axis=0).T):
        n = int(len(known) - np.isnan(known).sum())
        beyond = max(FEWEST_HOUSEHOLDS * rows_of_a_household, int(BEYOND_SHARE * n))
        # An end must not be cut from the bulk of a column that is seldom known.
        if n > LEAST_TIMES_BEYOND * beyond:
            found[:, column] = _outwards(float(known[beyond]), -1.0), _outwards(float(known[n - 1 - beyond]), 1.0)
    return found


def _outwards(value: float, way: float) -> float:
    if value == 0.0:
        return 0.0
    unit = 10.0 ** (np.floor(np.log10(abs(value))) - 2)
    return float(np.ceil(way * value / unit - 1e-9) * way * unit)
