"""Comparing two forecasts: the paired interval is the one that repeating rows by hand would give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from training.comparison import (
    Comparison,
    ComparisonRefused,
    Interval,
    clusters_of,
    comparisons,
    first_line,
    paired_difference,
)
from training.evaluation import reached, visits_at
from training.resampling import Resamples, measured


def recall(y: np.ndarray, p: np.ndarray) -> float:
    return float(reached(y, p, visits_at(0.1, len(y))).expected / y.sum())


ORACLES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "auc": roc_auc_score,
    "average_precision": average_precision_score,
    "log_loss": lambda y, p: log_loss(y, p, labels=[0.0, 1.0]),
    "brier": brier_score_loss,
    "recall_at_10pct": recall,
}


def judged(n: int = 300, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, two forecasts (the second with many ties and certainties), and households of several rows."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1.5, 1.5, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(float)
    a = 1 / (1 + np.exp(-(margin + rng.normal(0, 0.5, n))))
    b = np.round(1 / (1 + np.exp(-(margin + rng.normal(0, 1.0, n)))), 1)
    return y, a, b, np.array([f"h{i}" for i in rng.integers(0, n // 4, n)], object)


@pytest.mark.parametrize("metric", ORACLES)
def test_every_resample_scores_what_sklearn_scores_on_the_repeated_rows(metric: str) -> None:
    y, a, b, ids = judged()
    drawn = Resamples.of(ids, n=60, seed=5)
    found = measured(y, [a, b], [metric], drawn)
    oracle = ORACLES[metric]
    for j, p in enumerate((a, b)):
        assert found.value[j, 0] == pytest.approx(oracle(y, p), rel=1e-12)
    differences = []
    for i, weight in enumerate(drawn.weights()):
        rows = np.repeat(np.arange(len(y)), weight.astype(int))
        ours, theirs = oracle(y[rows], a[rows]), oracle(y[rows], b[rows])
        assert found.drawn[i, :, 0] == pytest.approx([ours, theirs], rel=1e-12)
        differences.append(ours - theirs)
    name, capacity = ("recall", 0.1) if metric == "recall_at_10pct" else (metric, None)
    interval = paired_difference(y, a, b, ids, metric=name, capacity=capacity, resamples=60, seed=5)
    assert interval == pytest.approx(
        (oracle(y, a) - oracle(y, b), *np.quantile(differences, [0.025, 0.975])), rel=1e-9, abs=1e-12
    )


def test_whole_clusters_are_drawn_as_many_as_there_are() -> None:
    _, _, _, ids = judged()
    for weight in Resamples.of(ids, n=20, seed=1).weights():
        by_household = pd.DataFrame({"id": ids, "w": weight}).groupby("id")["w"]
        assert (by_household.nunique() == 1).all()
        assert by_household.first().sum() == len(np.unique(ids))


def test_the_same_forecast_differs_by_nothing_and_swapping_turns_the_interval_round() -> None:
    y, a, b, ids = judged()
    assert paired_difference(y, a, a, ids) == Interval(0.0, 0.0, 0.0)
    value, low, high = paired_difference(y, a, b, ids)
    assert paired_difference(y, b, a, ids) == pytest.approx((-value, -high, -low), abs=1e-12)


def test_copied_rows_of_a_household_make_the_interval_no_narrower() -> None:
    y, a, b, _ = judged()
    ids = np.array([f"h{i}" for i in range(len(y))], object)
    once = paired_difference(y, a, b, ids, metric="auc")
    fivefold = paired_difference(*(np.repeat(x, 5) for x in (y, a, b, ids)), metric="auc")
    assert fivefold == pytest.approx(once, abs=1e-12)


def test_pairing_is_narrower_than_two_intervals_side_by_side() -> None:
    y, a, _, ids = judged(2_000)
    near = np.clip(a + np.random.default_rng(0).normal(0, 0.01, len(a)), 0, 1)
    paired = paired_difference(y, a, near, ids, metric="auc")
    apart = measured(y, [a], ["auc"], Resamples.of(ids)).interval([1.0], 0)
    assert paired.high - paired.low < (apart.high - apart.low) / 3


@pytest.mark.parametrize(("n_towns", "kind"), [(19, "household"), (20, "township")])
def test_townships_are_the_clusters_where_there_are_twenty(n_towns: int, kind: str) -> None:
    town = [f"t{i}" for i in range(n_towns)]
    test = pd.DataFrame(
        {
            "household_id": ["moved", *town, "moved", "homeless", "homeless"],
            "as_of": [1, *[1] * n_towns, 2, 1, 2],
            "township": ["t0", *town, "t1", None, None],
        }
    )
    ids, found = clusters_of(test)
    assert found == kind
    assert ids[0] == ids[-3]
    assert ids[-1] == ids[-2]
    assert len(set(ids[1:-3])) == n_towns
    if kind == "township":
        assert ids[0] == ids[2]
        assert ids[-1] not in set(ids[:-2])
    else:
        assert ids[0] == "moved"


def rows(**forecasts: np.ndarray) -> pd.DataFrame:
    y, _, _, ids = judged(1_500)
    return pd.DataFrame({"household_id": ids, "as_of": 0, "outcome": y, **forecasts})


def test_ahead_tied_and_behind_know_which_metrics_want_to_be_small() -> None:
    _, a, b, _ = judged(1_500)
    clear = {(c.name, c.metric): c.verdict for c in comparisons(rows(probability=a, baseline_b=b, baseline_same=a))}
    assert {clear["b", metric] for metric in ("average_precision", "auc", "log_loss", "brier")} == {"ahead"}
    assert {verdict for (name, _), verdict in clear.items() if name == "same"} == {"tied"}
    turned = {c.metric: c.verdict for c in comparisons(rows(probability=b, baseline_a=a))}
    assert {turned[metric] for metric in ("average_precision", "auc", "log_loss", "brier")} == {"behind"}


def test_a_comparison_is_the_paired_difference_of_its_columns() -> None:
    y, a, b, ids = judged(1_500)
    found = [c for c in comparisons(rows(probability=a, baseline_a=a, baseline_b=b), seed=4) if c.name == "b"]
    for one in found:
        name, capacity = ("recall", 0.05) if one.metric == "recall_at_5pct" else (one.metric, None)
        assert one.difference == pytest.approx(paired_difference(y, a, b, ids, metric=name, capacity=capacity, seed=4))
        assert one.ours - one.theirs == pytest.approx(one.difference.value)


def compared(name: str, verdict: str, value: float) -> Comparison:
    low, high = {"ahead": (0.001, 0.5), "tied": (-0.1, 0.1), "behind": (-0.5, -0.001)}[verdict]
    return Comparison(name, "average_precision", 0.3, 0.3 - value, Interval(value, low, high), verdict)


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (
            [compared("ebm", "ahead", 0.02), compared("points", "ahead", 0.1)],
            "The LightGBM bag wins by average precision: the closest of 2 others is ebm (+0.020, 95 % interval +0.001 "
            "to +0.500).",
        ),
        (
            [
                compared("ebm", "behind", -0.02),
                compared("all_logistic", "tied", 0.01),
                compared("points", "ahead", 0.1),
            ],
            "The LightGBM bag does not win by average precision: it is behind ebm (-0.020, 95 % interval -0.500 to "
            "-0.001); tied with all_logistic (+0.010, 95 % interval -0.100 to +0.100); ahead of points.",
        ),
        ([], "The LightGBM bag was compared with no other model by average precision."),
    ],
)
def test_the_first_line_says_whether_the_model_wins(found: list[Comparison], line: str) -> None:
    other = compared("ebm", "behind", -0.02)._replace(metric="auc")
    assert first_line([*found, other]) == line


def test_one_household_gives_a_value_without_an_interval_and_no_verdict() -> None:
    y, a, b, _ = judged()
    value, low, high = paired_difference(y, a, b, ["only"] * len(y), metric="auc")
    assert value == pytest.approx(roc_auc_score(y, a) - roc_auc_score(y, b))
    assert np.isnan([low, high]).all()
    one = rows(probability=judged(1_500)[1], baseline_b=judged(1_500)[2]).assign(household_id="only")
    assert {c.verdict for c in comparisons(one)} == {"tied"}
    assert "too few households for an interval" in first_line(comparisons(one))


def test_without_a_positive_only_the_losses_are_compared() -> None:
    test = rows(probability=judged(1_500)[1], baseline_b=judged(1_500)[2]).assign(outcome=0.0)
    assert {c.metric for c in comparisons(test)} == {"log_loss", "brier"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"a": [0.1, np.nan]}, "row 1: the probability is not a number"),
        ({"a": [0.1]}, "do not fit 2 outcomes"),
        ({"outcome": [0.0, 0.5]}, "row 1: the outcome is neither 0 nor 1"),
        ({"clusters": ["h", None]}, "row 1 has no household"),
        ({"clusters": ["h"]}, "1 cluster ids"),
        ({"metric": "accuracy"}, "no metric 'accuracy'"),
        ({"metric": "recall"}, "a capacity is needed"),
        ({"metric": "recall_at_everypct"}, "no share can be read"),
    ],
)
def test_forecasts_that_cannot_be_compared_are_refused(change: dict[str, object], problem: str) -> None:
    told = {"outcome": [0.0, 1.0], "a": [0.1, 0.2], "b": [0.1, 0.2], "clusters": ["h", "g"]} | change
    with pytest.raises(ComparisonRefused, match=problem):
        paired_difference(**told)
