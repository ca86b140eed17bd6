"""Two forecasts of the same rows: how much better one is, and whether that could be chance.

Both are judged on the same resamples, so that what is hard about a resample is hard for both and falls out of their
difference. Whole households are drawn, or whole townships where there are enough of them, because rows that share a
roof or a village are no independent evidence. Percentile intervals; each comparison stands for itself, none is
corrected for there being several.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.resampling import (
    LEVEL,
    RECALL,
    RESAMPLES,
    ComparisonRefused,
    Ids,
    Interval,
    Resamples,
    measured,
    recall_at,
)

__all__ = [
    "Comparison",
    "ComparisonRefused",
    "Interval",
    "Resamples",
    "clusters_of",
    "comparisons",
    "first_line",
    "paired_difference",
]

Verdict = Literal["ahead", "tied", "behind"]

FEWEST_TOWNSHIPS = 20
METRICS = ("average_precision", "auc", "log_loss", "brier", "recall_at_5pct")
LESS_IS_BETTER = ("log_loss", "brier")
BASELINE = "baseline_"
LEADING = "average_precision"


class Comparison(NamedTuple):
    """Our forecast against the one called `name`, by one metric. `difference` is ours minus theirs.

    "ahead" and "behind" mean that the interval is wholly on one side of 0, ours being better or worse.
    """

    name: str
    metric: str
    ours: float
    theirs: float
    difference: Interval
    verdict: Verdict


def paired_difference(
    outcome: npt.ArrayLike,
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    clusters: Ids,
    *,
    metric: str = LEADING,
    capacity: float | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """How much `a` scores above `b`, two probabilities of the same rows, with an interval over whole clusters.

    With `metric="recall"` the `capacity` is the share of the rows that is visited.

    >>> paired_difference([0, 1, 0, 1], [.1, .9, .2, .8], [.1, .9, .2, .8], ["a", "b", "c", "d"])
    Interval(value=0.0, low=0.0, high=0.0)
    """
    if (metric == RECALL) != (capacity is not None):
        raise ComparisonRefused(f"a capacity is needed for metric {RECALL!r} and for no other")
    name = metric if capacity is None else recall_at(capacity)
    found = measured(outcome, [a, b], [name], Resamples.of(clusters, resamples, seed))
    return found.interval([1.0, -1.0], 0, level)


def clusters_of(test: pd.DataFrame) -> tuple[npt.NDArray[np.object_], Literal["household", "township"]]:
    """The cluster of each judged row, and what it is: the township where at least 20 are known, else the household.

    A household belongs wholly to the township it was last known to live in; one without any is its own cluster.
    """
    households = test["household_id"].astype(str)
    ids: npt.NDArray[np.object_] = households.to_numpy(object)
    if "township" not in test or test["township"].nunique() < FEWEST_TOWNSHIPS:
        return ids, "household"
    last = test.assign(household_id=households).sort_values("as_of", kind="stable")
    town = households.map(last.groupby("household_id")["township"].last())
    return np.where(town.notna(), "t/" + town.astype(str), "h/" + households).astype(object), "township"


def comparisons(
    test: pd.DataFrame, metrics: Sequence[str] = METRICS, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Comparison]:
    """`probability` against every `baseline_<name>` column of the judged rows, by each metric, on the same resamples.

    A metric that does not exist on these rows is left out.
    """
    names = [str(column) for column in test.columns if str(column).startswith(BASELINE)]
    if not names:
        return []
    drawn = Resamples.of(clusters_of(test)[0], resamples, seed)
    columns = [test[name].to_numpy(np.float64) for name in ("probability", *names)]
    found = measured(test["outcome"].to_numpy(np.float64), columns, metrics, drawn)
    compared = []
    for i, name in enumerate(names, start=1):
        for j, metric in enumerate(metrics):
            weights = [1.0] + [-float(other == i) for other in range(1, len(columns))]
            difference = found.interval(weights, j)
            if np.isfinite(difference.value):
                ours, theirs = float(found.value[0, j]), float(found.value[i, j])
                verdict = _verdict(difference, metric in LESS_IS_BETTER)
                compared.append(Comparison(name.removeprefix(BASELINE), metric, ours, theirs, difference, verdict))
    return compared


def first_line(compared: Sequence[Comparison], ours: str = "The LightGBM bag") -> str:
    """One sentence: whether our model wins, is only tied, or does not win, by average precision.

    >>> one = Comparison("ebm", "average_precision", .30, .29, Interval(.01, -.02, .04), "tied")
    >>> first_line([one])
    'The LightGBM bag does not win by average precision: it is first, but not beyond chance: tied with ebm (+0.010, \
95 % interval -0.020 to +0.040).'
    """
    by = {
        verdict: [c for c in compared if c.metric == LEADING and c.verdict == verdict]
        for verdict in ("ahead", "tied", "behind")
    }
    if not any(by.values()):
        return f"{ours} was compared with no other model by average precision."
    if not by["behind"] and not by["tied"]:
        closest = min(by["ahead"], key=lambda c: c.difference.value)
        return f"{ours} wins by average precision: the closest of {len(by['ahead'])} others is {_spoken(closest)}."
    said = []
    if by["behind"]:
        said.append("it is behind " + ", ".join(_spoken(c) for c in by["behind"]))
    if by["tied"]:
        is_first = not said and all(c.difference.value >= 0.0 for c in by["tied"])
        begins = "it is first, but not beyond chance: " if is_first else "" if said else "it is "
        said.append(begins + "tied with " + ", ".join(_spoken(c) for c in by["tied"]))
    if by["ahead"]:
        said.append("ahead of " + ", ".join(c.name for c in by["ahead"]))
    return f"{ours} does not win by average precision: {'; '.join(said)}."


def _spoken(one: Comparison) -> str:
    value, low, high = one.difference
    if not np.isfinite(low):
        return f"{one.name} ({value:+.3f}, too few households for an interval)"
    return f"{one.name} ({value:+.3f}, 95 % interval {low:+.3f} to {high:+.3f})"


def _verdict(difference: Interval, is_less_better: bool) -> Verdict:
    sign = -1.0 if is_less_better else 1.0
    # Written so that a NaN proves nothing.
    if min(sign * difference.low, sign * difference.high) > 0.0:
        return "ahead"
    return "behind" if max(sign * difference.low, sign * difference.high) < 0.0 else "tied"
