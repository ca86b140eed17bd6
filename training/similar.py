"""What similar households look like, from the training rows: the plausible values of `models.similar`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import Catalogue
from features.definition import Direction
from models.similar import Similar, Spread, strata

Floats = npt.NDArray[np.float64]


def similar_households(
    catalogue: Catalogue, values: Floats, rows: pd.DataFrame, explained: Floats, contributions: Floats
) -> Similar:
    """Spreads of every feature in every stratum, from the newest row of each household.

    `values` are the vectors of `rows` (`household_id`, `as_of`). `contributions` of the vectors `explained` say which
    side of a feature is the worse one where its declaration leaves that open.
    """
    newest = rows.reset_index(drop=True).sort_values("as_of", kind="stable").groupby("household_id").tail(1).index
    latest = values[np.sort(newest.to_numpy(np.int64))]
    members: dict[str, list[int]] = {}
    for place, row in enumerate(latest):
        for stratum in strata(catalogue, row):
            members.setdefault(stratum, []).append(place)
    of = {stratum: _spreads(catalogue, latest[members[stratum]]) for stratum in sorted(members)}
    worse = {
        feature.name: _worse(feature.direction, explained[:, column], contributions[:, column])
        for column, feature in enumerate(catalogue.features)
    }
    return Similar(catalogue, {stratum: spreads for stratum, spreads in of.items() if spreads}, worse)


def _spreads(catalogue: Catalogue, values: Floats) -> dict[str, Spread]:
    found = {}
    for column, feature in zip(values.T, catalogue.features, strict=True):
        # What is made of other features is worked out again from their plausible values.
        if not feature.measure.is_derived:
            spread = Spread.of(column[~np.isnan(column)], feature.bounds)
            if spread is not None:
                found[feature.name] = spread
    return found


def _worse(direction: Direction, values: Floats, contributions: Floats) -> int:
    """1 where larger values go with a higher score, else -1; by the model's own contributions if it may choose."""
    if direction is not Direction.OPEN:
        return int(direction.value)
    known = ~np.isnan(values)
    away = values[known] - values[known].mean() if known.any() else values[known]
    return -1 if float((away * contributions[known]).sum()) < 0.0 else 1
