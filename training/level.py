"""Observed outcomes per outcome foretold, by quarter, with intervals over whole households or townships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.window import day_of
from training.resampling import RESAMPLES, Ids, Interval

Floats = npt.NDArray[np.float64]
FEWEST_TOLD = 10


@dataclass(frozen=True)
class Level:
    """How many outcomes were observed per outcome foretold in `period`.

    `positives` counts rows, `affected` the households behind them. Where the affected are fewer than ten, both and
    the ratio are None: they would tell about single households.
    """

    period: str
    rows: int
    households: int
    foretold: float
    positives: int | None
    affected: int | None
    ratio: Interval | None


def quarter(as_of: int, time_zone: str) -> str:
    """The calendar quarter that a moment ends or lies in.

    >>> from features.window import as_of_moment
    >>> quarter(as_of_moment("2025-12-31", "Asia/Shanghai"), "Asia/Shanghai")
    '2025Q4'
    """
    day = day_of(as_of, time_zone)
    return f"{day.year}Q{(day.month + 2) // 3}"


def month(as_of: int, time_zone: str) -> str:
    """The calendar month that a moment ends or lies in, "2025-12"."""
    return f"{day_of(as_of, time_zone):%Y-%m}"


def of_moments(as_of: pd.Series, name: object, time_zone: str) -> pd.Series:
    """`quarter` or `month` of each row's moment; computed once a moment."""
    assert callable(name)
    named = {moment: name(int(moment), time_zone) for moment in as_of.unique()}
    return as_of.map(named)


def levels(
    rows: pd.DataFrame, period: Sequence[str], clusters: Ids, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Level]:
    """The level of each period, in order. `rows` have household_id, outcome (0.0 or 1.0) and probability.

    >>> rows = pd.DataFrame({"household_id": [f"h{i}" for i in range(40)], "outcome": 20 * [0.0, 1.0],
    ...                      "probability": 0.4})
    >>> [(one.period, one.positives, one.ratio.value) for one in levels(rows, 40 * ["2025Q1"], rows["household_id"])]
    [('2025Q1', 20, 1.25)]
    """
    of_row, names = pd.factorize(pd.Series(list(period), dtype=object), sort=True)
    intervals = ratios(rows["outcome"].to_numpy(), rows["probability"].to_numpy(), of_row, clusters, resamples, seed)
    found = []
    for at, name in enumerate(names):
        inside = rows[of_row == at]
        hit = inside[inside["outcome"] == 1.0]
        affected = int(hit["household_id"].nunique())
        # No affected household at all is no household that could be recognised.
        told = affected == 0 or affected >= FEWEST_TOLD
        found.append(
            Level(
                str(name),
                len(inside),
                int(inside["household_id"].nunique()),
                float(inside["probability"].sum()),
                len(hit) if told else None,
                affected if told else None,
                intervals[at] if told else None,
            )
        )
    return found


def ratios(
    outcome: Floats,
    probability: Floats,
    part: npt.NDArray[np.int64],
    clusters: Ids,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> list[Interval]:
    """Observed per expected outcomes of each part 0, 1, ... of the rows, with percentile intervals.

    Whole clusters are drawn with replacement, the same ones for all parts. NaN bounds where there is one cluster.

    >>> ratios(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([0, 0]), ["a", "b"], resamples=1)[0].value
    1.0
    """
    of_cluster, unique = pd.factorize(pd.Series(clusters, dtype=object))
    n_parts, n = int(part.max()) + 1, len(unique)
    cell = part + n_parts * of_cluster
    observed, expected = (
        np.bincount(cell, weights=each, minlength=n * n_parts).reshape(n, n_parts) for each in (outcome, probability)
    )
    rng = np.random.default_rng(seed)
    drawn = np.full((resamples, n_parts), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        if n > 1:
            for row in drawn:
                weight = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
                row[:] = (weight @ observed) / (weight @ expected)
        value = observed.sum(axis=0) / expected.sum(axis=0)
    tail = (1.0 - level) / 2.0
    found = []
    for at in range(n_parts):
        known = drawn[np.isfinite(drawn[:, at]), at]
        low, high = np.quantile(known, [tail, 1.0 - tail]) if len(known) else (np.nan, np.nan)
        found.append(Interval(float(value[at]), float(low), float(high)))
    return found
