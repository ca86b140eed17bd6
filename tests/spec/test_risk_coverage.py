"""Risk against coverage: abstaining is counted as missing, and nothing looks better for being left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluation import evaluate
from training.risk_coverage import FEWEST, by_code, headline, risk_coverage, risk_coverage_figure


def rows(n: int = 400, seed: int = 1, abstained: float = 0.2) -> pd.DataFrame:
    """Households of which the probabilities are right."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(1, 8, n)
    return pd.DataFrame(
        {
            "household_id": [f"h{k}" for k in range(n)],
            "as_of": 0,
            "outcome": (rng.random(n) < probability).astype(float),
            "probability": probability,
            "abstained": rng.random(n) < abstained,
        }
    )


def test_headline_numbers_count_the_abstained_as_missed() -> None:
    test = pd.DataFrame(
        {
            "outcome": [1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            "probability": [0.9, 0.8, 0.7, 0.6, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1],
            "abstained": [True, False, False, False, False, True, False, False, False, False],
        }
    )
    found = headline(test, capacity=(0.3, 0.5))
    assert found["headline_recall_at_30pct"] == 2 / 4
    assert found["headline_precision_at_30pct"] == 2 / 3
    # The fifth visit falls on one of four equal households without the outcome.
    assert found["headline_recall_at_50pct"] == 3 / 4
    assert found["abstention_share"] == pytest.approx(0.2)
    assert found["abstained_share_of_positives"] == 1 / 4
    assert found["scored_observed_expected"] == pytest.approx(3 / 3.0)


def test_without_abstention_the_headline_is_the_plain_metric() -> None:
    test = rows().assign(abstained=False)
    found, plain = headline(test), evaluate(test["outcome"], test["probability"])
    for name in ("recall_at_5pct", "recall_at_10pct", "precision_at_2pct"):
        assert found[f"headline_{name}"] == plain[name]
    assert found["scored_observed_expected"] == plain["observed_expected"]


def test_visits_that_nobody_with_a_score_can_use_reach_nobody() -> None:
    everybody = rows().assign(abstained=True)
    found = headline(everybody)
    assert {name: found[name] for name in found if name.startswith("headline")} == {
        f"headline_{metric}_at_{share}pct": 0.0 for metric in ("recall", "precision") for share in (2, 5, 10)
    }
    assert found["abstention_share"] == 1.0
    assert "scored_observed_expected" not in found
    nobody_affected = headline(rows().assign(outcome=0.0))
    assert not any("recall" in name for name in nobody_affected)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.9))
def test_a_model_cannot_better_its_recall_by_leaving_the_affected_out(seed: int, share: float) -> None:
    """Whoever it leaves out of the affected, recall does not rise."""
    test = rows(200, seed, 0.0)
    rng = np.random.default_rng(seed)
    left_out = test.assign(abstained=(test["outcome"] == 1.0) & (rng.random(len(test)) < share))
    before, after = headline(test), headline(left_out)
    for name in before:
        if "recall" in name:
            assert after[name] <= before[name] + 1e-12


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_a_model_that_knows_the_outcome_loses_with_everybody_it_leaves_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    test = rows(300, seed).assign(probability=lambda table: table["outcome"])
    curve = risk_coverage(test, rng.random(300), capacity=0.3)
    assert curve["coverage"].is_monotonic_increasing
    assert curve["recall"].is_monotonic_increasing
    if len(curve):
        assert curve["coverage"].iloc[-1] == 1.0


def test_the_curve_ends_where_everybody_is_scored() -> None:
    test = rows()
    curve = risk_coverage(test, np.round(np.random.default_rng(3).random(len(test)), 1), capacity=0.1)
    last, plain = curve.iloc[-1], evaluate(test["outcome"], test["probability"])
    assert last["coverage"] == 1.0
    assert last["recall"] == plain["recall_at_10pct"]
    assert last["precision"] == plain["precision_at_10pct"]
    assert last["observed_expected"] == pytest.approx(plain["observed_expected"])
    # Equal certainty enters together: eleven values, eleven points at most.
    assert len(curve) <= 11
    assert curve["certainty"].is_monotonic_decreasing


def test_a_point_of_the_curve_is_the_headline_of_those_scored() -> None:
    test = rows()
    certainty = np.random.default_rng(4).random(len(test))
    for _, point in risk_coverage(test, certainty, capacity=0.05).iterrows():
        as_abstained = test.assign(abstained=certainty < point["certainty"])
        assert point["recall"] == headline(as_abstained, capacity=(0.05,))["headline_recall_at_5pct"]
        assert point["coverage"] == pytest.approx((~as_abstained["abstained"]).mean())


def test_few_households_are_not_told() -> None:
    test = rows(200)
    certainty = np.where(np.arange(200) < FEWEST - 1, 2.0, np.where(np.arange(200) < 200 - FEWEST + 1, 1.0, 0.0))
    # Nine are surer than all others, nine less sure: neither group stands alone.
    assert risk_coverage(test, certainty)["coverage"].tolist() == [1.0]
    flags = test.assign(code_coverage=np.arange(200) < 9, code_no_events=np.arange(200) >= 190)
    flags["abstained"] = flags["code_coverage"] | flags["code_no_events"]
    assert by_code(flags)["code"].tolist() == ["no_events", "scored"]


def test_each_code_is_judged_by_what_came_of_its_rows() -> None:
    n = 100
    test = pd.DataFrame(
        {
            "household_id": [f"h{k}" for k in range(n)],
            "outcome": np.r_[np.ones(10), np.zeros(90)],
            "probability": np.r_[np.full(10, 0.5), np.full(10, 0.6), np.full(80, 0.1)],
            "abstained": np.arange(n) < 20,
            "code_coverage": np.arange(n) < 20,
        }
    )
    table = by_code(test).set_index("code")
    assert table.loc["coverage", "rows"] == 20
    assert table.loc["coverage", "rate"] == 0.5
    assert table.loc["coverage", "expected"] == pytest.approx(0.55)
    assert table.loc["coverage", "observed_expected"] == pytest.approx(10 / 11)
    assert table.loc["scored", "rate"] == 0.0
    assert np.isnan(table.loc["scored", "recall"])


def test_an_unknown_certainty_is_refused() -> None:
    with pytest.raises(ValueError, match="one known certainty"):
        risk_coverage(rows(50), np.full(50, np.nan))
    with pytest.raises(ValueError, match="one known certainty"):
        risk_coverage(rows(50), np.zeros(49))


def test_the_figure_shows_the_curve_and_the_choice() -> None:
    test = rows()
    curve = risk_coverage(test, np.random.default_rng(5).random(len(test)))
    figure = risk_coverage_figure(curve, chosen=0.95)
    recall, level = figure.axes
    assert np.allclose(recall.lines[0].get_ydata(), curve["recall"])
    assert np.allclose(level.lines[0].get_ydata(), curve["observed_expected"], equal_nan=True)
    for axes in (recall, level):
        assert axes.lines[-1].get_xdata()[0] == 0.95
        assert "share of households scored" in axes.get_xlabel()
