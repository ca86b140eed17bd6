"""How good probabilities are when few households are affected and few can be visited.

Accuracy says nothing at a base rate of a few percent. What counts: who is reached at the visiting capacity, whether
"8 of 100" means 8 of 100, and what the forecast adds to knowing the base rate alone. A metric that cannot be
computed (no positive, one class only) is left out of the answer; it is never reported as 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

Floats = npt.NDArray[np.float64]

CAPACITY = (0.02, 0.05, 0.10)
TOP_SHARE = 0.10
RESAMPLES = 200
_NEAREST_TO_CERTAIN = 1e-12


class Reached(NamedTuple):
    """Affected households among those visited: with the ties in the worst, a random and the best order."""

    worst: float
    expected: float
    best: float


def evaluate(
    outcome: npt.ArrayLike, probability: npt.ArrayLike, capacity: Sequence[float] = CAPACITY
) -> dict[str, float]:
    """Metrics of probabilities (0..1) against outcomes (0 or 1) of the same rows, by names fit for a tracker.

    `recall_at_5pct` and `precision_at_5pct` are expectations over the order of ties, `_worst` and `_best` their
    bounds. `observed_expected` is outcomes per outcome foretold, also within the top decile. `calibration_slope` is
    the slope of the outcome's log-odds on the foretold ones (1 is right, below 1 overconfident);
    `calibration_intercept` the shift of log-odds that would set the level right (0 is right). `brier_base` and
    `log_loss_base` belong to a forecast of the rows' own base rate.

    >>> found = evaluate([0, 0, 1, 0, 1, 0, 0, 0, 0, 0], [.1, .1, .8, .2, .3, .3, .1, .1, .1, .1], capacity=(0.2,))
    >>> found["recall_at_20pct"], found["recall_at_20pct_worst"], found["recall_at_20pct_best"]
    (0.75, 0.5, 1.0)
    """
    y, p = _checked(outcome, probability)
    n, positives = len(y), float(y.sum())
    base = positives / n
    found: dict[str, float] = {"n": float(n), "positives": positives, "base_rate": base}
    found["mean_probability"] = float(p.mean())
    found["brier"], found["brier_base"] = float(brier_score_loss(y, p)), base * (1.0 - base)
    found["log_loss"] = float(log_loss(y, p, labels=[0.0, 1.0]))
    found["log_loss_base"] = float(log_loss(y, np.full(n, base), labels=[0.0, 1.0]))
    if p.sum() > 0.0:
        found["observed_expected"] = positives / float(p.sum())
    top_observed, top_expected = _top(y, p, TOP_SHARE)
    if top_expected > 0.0:
        found["observed_expected_top_decile"] = top_observed / top_expected
    for share in capacity:
        visits, name = visits_at(share, n), _percent(share)
        for bound, hits in zip(("_worst", "", "_best"), reached(y, p, visits), strict=True):
            found[f"precision_at_{name}{bound}"] = hits / visits
            if positives:
                found[f"recall_at_{name}{bound}"] = hits / positives
    if 0.0 < positives < n:
        found["auc"] = float(roc_auc_score(y, p))
        found["average_precision"] = float(average_precision_score(y, p))
        found |= _calibration(y, p)
    return found


def evaluate_rows(
    rows: pd.DataFrame, *, capacity: Sequence[float] = CAPACITY, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, float]:
    """Everything about the test rows: `household_id`, `as_of`, `outcome`, `probability`, and where known
    `formerly_poor` and `treated_before_entry` (bool) and `hazard` (the true probability; NaN where it is not given).

    Adds to `evaluate` the recall at capacity per moment (visit lists are made month by month; the mean over the
    moments that have a positive), a 95 % interval of the AUC from resampling households, the same metrics by
    subset (`formerly_poor_`, `never_poor_`, `treated_`, `untreated_`), and the distance to the truth. Treated are those
    who got aid before the outcome, or without one: aid that follows an entry would sort the rows by what is foreseen.
    """
    y, p = _checked(rows["outcome"], rows["probability"])
    found = evaluate(y, p, capacity)
    found |= by_moment(y, p, rows["as_of"].to_numpy(np.int64), capacity)
    found |= auc_interval(y, p, rows["household_id"].to_numpy(object), resamples=resamples, seed=seed)
    for column, (inside, outside) in {
        "formerly_poor": ("formerly_poor", "never_poor"),
        "treated_before_entry": ("treated", "untreated"),
    }.items():
        if column in rows:
            belongs = rows[column].to_numpy(bool)
            for prefix, part in ((inside, belongs), (outside, ~belongs)):
                if part.any():
                    found |= {f"{prefix}_{name}": value for name, value in evaluate(y[part], p[part], capacity).items()}
    if "hazard" in rows:
        found |= distance_to_truth(y, p, rows["hazard"].to_numpy(np.float64))
    return found


def by_moment(
    outcome: npt.ArrayLike,
    probability: npt.ArrayLike,
    as_of: npt.NDArray[np.int64],
    capacity: Sequence[float] = CAPACITY,
) -> dict[str, float]:
    """Recall and precision with the capacity spent anew at each moment, as means over the moments with a positive."""
    y, p = _checked(outcome, probability)
    parts = [as_of == moment for moment in np.unique(as_of)]
    parts = [part for part in parts if y[part].any()]
    found = {"moments": float(len(parts))}
    for share in capacity if parts else ():
        visits = [visits_at(share, int(part.sum())) for part in parts]
        hits = [reached(y[part], p[part], k).expected for part, k in zip(parts, visits, strict=True)]
        recalls = [hit / y[part].sum() for hit, part in zip(hits, parts, strict=True)]
        found[f"recall_at_{_percent(share)}_by_moment"] = float(np.mean(recalls))
        found[f"precision_at_{_percent(share)}_by_moment"] = float(np.mean(np.divide(hits, visits)))
    return found


def visits_at(share: float, n: int) -> int:
    """How many of `n` households a capacity reaches: whole visits, never more than the share, at least one.

    >>> visits_at(0.05, 199), visits_at(0.1, 30), visits_at(0.02, 10)
    (9, 3, 1)
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"a capacity is a share above 0 and up to 1, not {share}")
    return max(1, int(share * n + 1e-9))


def reached(outcome: Floats, probability: Floats, visits: int) -> Reached:
    """Positives among the `visits` highest probabilities. Only the tie at the edge leaves room.

    Of the T tied rows with P positives, m are visited: at worst m - (T - P) positives, at best P, and in a random
    order m P / T, the mean of the hypergeometric distribution.
    """
    edge = np.partition(probability, len(probability) - visits)[len(probability) - visits]
    is_above, is_tied = probability > edge, probability == edge
    certain, tied_positives = float(outcome[is_above].sum()), float(outcome[is_tied].sum())
    tied, room = int(is_tied.sum()), visits - int(is_above.sum())
    return Reached(
        certain + max(0.0, room - (tied - tied_positives)),
        certain + room * tied_positives / tied,
        certain + min(float(room), tied_positives),
    )


def auc_interval(
    outcome: npt.ArrayLike,
    probability: npt.ArrayLike,
    household_ids: npt.NDArray[np.object_],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, float]:
    """`auc_low` and `auc_high`: percentiles of the AUC when whole households are drawn with replacement.

    Rows of one household at several moments are no independent evidence; drawing rows would feign certainty.
    """
    y, p = _checked(outcome, probability)
    if not 0.0 < y.sum() < len(y):
        return {}
    household, unique = pd.factorize(household_ids)
    order = np.argsort(p, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(p[order]) > 0.0))
    y, household = y[order], household[order]
    rng = np.random.default_rng(seed)
    drawn = [
        _weighted_auc(
            y, np.bincount(rng.integers(len(unique), size=len(unique)), minlength=len(unique))[household], starts
        )
        for _ in range(resamples)
    ]
    tail = (1.0 - level) / 2.0
    low, high = np.nanquantile(drawn, [tail, 1.0 - tail])
    return {"auc_low": float(low), "auc_high": float(high)}


def distance_to_truth(outcome: npt.ArrayLike, probability: npt.ArrayLike, hazard: npt.ArrayLike) -> dict[str, float]:
    """What the true probability would have scored on the same rows, where it is known (not NaN)."""
    y, p = _checked(outcome, probability)
    truth = np.asarray(hazard, np.float64)
    known = np.isfinite(truth)
    y, p, truth = y[known], p[known], truth[known]
    if not 0.0 < y.sum() < len(y):
        return {}
    best, ours = float(roc_auc_score(y, truth)), float(roc_auc_score(y, p))
    return {
        "truth_n": float(len(y)),
        "truth_auc": best,
        "auc_below_truth": best - ours,
        "truth_log_loss": float(log_loss(y, truth, labels=[0.0, 1.0])),
        "truth_mean_difference": float(np.abs(p - truth).mean()),
    }


def _checked(outcome: npt.ArrayLike, probability: npt.ArrayLike) -> tuple[Floats, Floats]:
    y, p = np.asarray(outcome, np.float64), np.asarray(probability, np.float64)
    if y.ndim != 1 or y.shape != p.shape or not len(y):
        raise ValueError(f"one outcome per probability is needed, not shapes {y.shape} and {p.shape}")
    wrong = np.flatnonzero(~np.isin(y, (0.0, 1.0)))
    if len(wrong):
        raise ValueError(f"row {wrong[0]}: the outcome is neither 0 nor 1; leave rows without an outcome out")
    wrong = np.flatnonzero(~((p >= 0.0) & (p <= 1.0)))
    if len(wrong):
        raise ValueError(f"row {wrong[0]}: the probability is not a number from 0 to 1")
    return y, p


def _top(y: Floats, p: Floats, share: float) -> tuple[float, float]:
    """Expected outcomes and sum of probabilities among the highest, ties in random order."""
    visits = visits_at(share, len(y))
    ranked = np.sort(p)[len(p) - visits :]
    return reached(y, p, visits).expected, float(ranked.sum())


def _calibration(y: Floats, p: Floats) -> Mapping[str, float]:
    held = np.clip(p, _NEAREST_TO_CERTAIN, 1.0 - _NEAREST_TO_CERTAIN)
    margin = np.log(held) - np.log1p(-held)
    found = {"calibration_intercept": _level_shift(margin, float(y.sum()))}
    positive, negative = margin[y == 1.0], margin[y == 0.0]
    # Where one number separates the classes, no finite slope is the best one.
    if negative.max() > positive.min() and positive.max() > negative.min():
        line = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-9).fit(margin[:, np.newaxis], y)
        found["calibration_slope"] = float(line.coef_[0, 0])
    return found


def _level_shift(margin: Floats, positives: float) -> float:
    """The number to add to every margin so that as many positives are foretold as there were, by halving a range.

    scikit-learn's logistic regression takes no offset; the foretold number rises with the shift, so halving finds it.
    """
    reach = float(np.abs(margin).max()) + 50.0
    low, high = -reach, reach
    for _ in range(80):
        middle = (low + high) / 2.0
        if float((1.0 / (1.0 + np.exp(-np.clip(margin + middle, -700.0, 700.0)))).sum()) < positives:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def _weighted_auc(y: Floats, weight: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> float:
    """AUC of rows sorted by score with whole-number weights; `starts` begins each run of equal scores."""
    positive = np.add.reduceat(weight * y, starts)
    negative = np.add.reduceat(weight * (1.0 - y), starts)
    pairs = positive.sum() * negative.sum()
    if pairs == 0.0:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2.0)).sum() / pairs)


def _percent(share: float) -> str:
    return f"{100 * share:g}pct".replace(".", "_")
