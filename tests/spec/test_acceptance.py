"""Gates: a run is publishable only if everything was measured and everything holds."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.acceptance import CHAMPION, COMPARED, LOSSES, Gate, gates, is_publishable, why
from training.baselines import BEST_SINGLE
from training.comparison import Comparison, Interval, comparisons
from training.evaluation import evaluate

GOOD = {
    "auc": 0.80,
    "observed_expected": 1.0,
    "observed_expected_top_decile": 1.0,
    "calibration_slope": 1.0,
    "positives": 120.0,
    "log_loss": 0.20,
    "log_loss_base": 0.24,
}
SINGLE = {BEST_SINGLE: {"auc": 0.70}}
OWN_GATES = [
    "auc_above_best_single_feature",
    "observed_expected",
    "positives_in_test",
    "log_loss_below_base_rate",
    "calibration_slope",
    "observed_expected_top_decile",
    "log_loss_against_challengers",
    "average_precision_against_best_single_feature",
    "abstention_share",
]
CHAMPION_GATES = [f"champion_{metric}" for metric in LOSSES]


def compared(name: str, metric: str, low: float, high: float, theirs: float = 0.2) -> Comparison:
    value = (low + high) / 2
    return Comparison(name, metric, theirs + value, theirs, Interval(value, low, high), "tied")


AHEAD = [
    compared(BEST_SINGLE, "average_precision", 0.02, 0.08),
    compared(BEST_SINGLE, "log_loss", -0.03, -0.01),
    compared("ebm", "log_loss", -0.001, 0.002),
]
TIED_WITH_CHAMPION = [compared(CHAMPION, metric, -0.01, 0.01) for metric in LOSSES]


def failed(
    metrics: dict[str, float],
    baselines: dict[str, dict[str, float]],
    pairs: list[Comparison] | None = None,
    share: float | None = 0.05,
    champion: str | None = None,
) -> set[str]:
    pairs = AHEAD if pairs is None else pairs
    found = gates(metrics, baselines, comparisons=pairs, abstention_share=share, champion=champion)
    bad = {gate.name for gate in found if not gate.passed}
    assert is_publishable(found) is (not bad)
    return bad


def only(name: str, metrics: dict[str, float]) -> Gate:
    return next(gate for gate in gates(GOOD | metrics, SINGLE) if gate.name == name)


def test_a_good_run_passes_every_gate() -> None:
    assert failed(GOOD, SINGLE) == set()
    assert [gate.name for gate in gates(GOOD, SINGLE)] == OWN_GATES
    assert all(gate.decided for gate in gates(GOOD, SINGLE))


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"auc": 0.70}, "auc_above_best_single_feature"),
        ({"auc": 0.69}, "auc_above_best_single_feature"),
        ({"observed_expected": 0.899}, "observed_expected"),
        ({"observed_expected": 1.101}, "observed_expected"),
        ({"observed_expected_top_decile": 0.799}, "observed_expected_top_decile"),
        ({"observed_expected_top_decile": 1.251}, "observed_expected_top_decile"),
        ({"calibration_slope": 0.799}, "calibration_slope"),
        ({"calibration_slope": 1.201}, "calibration_slope"),
        ({"positives": 49.0}, "positives_in_test"),
        ({"log_loss": 0.24}, "log_loss_below_base_rate"),
    ],
)
def test_each_gate_fails_alone(change: dict[str, float], gate: str) -> None:
    assert failed(GOOD | change, SINGLE) == {gate}


@pytest.mark.parametrize(
    ("metric", "edge"),
    [
        ("observed_expected", 0.9),
        ("observed_expected", 1.1),
        ("observed_expected_top_decile", 0.8),
        ("observed_expected_top_decile", 1.25),
        ("calibration_slope", 0.8),
        ("calibration_slope", 1.2),
        ("positives", 50.0),
    ],
)
def test_the_bounds_themselves_pass(metric: str, edge: float) -> None:
    assert failed(GOOD | {metric: edge}, SINGLE) == set()


@pytest.mark.parametrize("metric", sorted(GOOD))
def test_what_was_not_measured_was_not_passed(metric: str) -> None:
    without = {name: value for name, value in GOOD.items() if name != metric}
    assert len(failed(without, SINGLE)) == 1
    assert failed(without | {metric: float("nan")}, SINGLE) == failed(without, SINGLE)


def test_without_a_baseline_there_is_nothing_to_publish() -> None:
    assert failed(GOOD, {}) == {"auc_above_best_single_feature"}
    assert is_publishable([]) is False


def test_without_paired_comparisons_or_a_share_of_abstentions_there_is_nothing_to_publish() -> None:
    pairs = {"log_loss_against_challengers", "average_precision_against_best_single_feature"}
    assert failed(GOOD, SINGLE, []) == pairs
    assert failed(GOOD, SINGLE, TIED_WITH_CHAMPION) == pairs
    nan = [one._replace(difference=Interval(math.nan, math.nan, math.nan)) for one in AHEAD]
    assert failed(GOOD, SINGLE, nan) == pairs
    assert failed(GOOD, SINGLE, share=None) == failed(GOOD, SINGLE, share=math.nan) == {"abstention_share"}


# --- a test too small to decide --------------------------------------------------------------------------------------


def ranged(name: str, value: float, low: float, high: float) -> dict[str, float]:
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def test_a_test_too_small_to_decide_passes_undecided_and_says_so() -> None:
    gate = only("observed_expected", ranged("observed_expected", 0.87, 0.75, 1.00))
    assert (gate.passed, gate.decided) == (True, False)
    assert gate.text == (
        "observed/expected is 0.870 (95 % interval 0.750 to 1.000); needed: 0.9 to 1.1; undecided, because the test is "
        "too small: judge again when more outcomes are known"
    )
    for name in ("observed_expected_top_decile", "calibration_slope"):
        assert only(name, ranged(name, 0.75, 0.5, 1.05))[1::4] == (True, False)


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        (0.87, 0.80, 0.95),  # narrow enough to have shown a right model to be right
        (0.80, 0.68, 0.89),  # does not reach the range
        (1.20, 1.11, 1.35),
        (0.79, 0.60, 1.02),  # too far away, however wide
        (1.26, 1.02, 1.60),
        (0.87, math.nan, math.nan),
    ],
)
def test_a_test_that_could_decide_or_a_figure_far_away_fails(value: float, low: float, high: float) -> None:
    gate = only("observed_expected", ranged("observed_expected", value, low, high))
    assert (gate.passed, gate.decided) == (False, True)


def test_the_interval_never_fails_a_figure_that_lies_in_the_range() -> None:
    gate = only("observed_expected", ranged("observed_expected", 0.95, 0.5, 1.6))
    assert (gate.passed, gate.decided) == (True, True)


# --- challengers, abstention, audit ----------------------------------------------------------------------------------


def test_a_challenger_that_is_better_beyond_chance_is_named_and_blocks() -> None:
    worse = [*AHEAD, compared("all_logistic", "log_loss", 0.001, 0.005)]
    assert failed(GOOD, SINGLE, worse) == {"log_loss_against_challengers"}
    [gate] = [g for g in gates(GOOD, SINGLE, comparisons=worse) if g.name == "log_loss_against_challengers"]
    assert gate.text.endswith("better are all_logistic by 0.0030 (95 % interval 0.0010 to 0.0050)")
    assert failed(GOOD, SINGLE, [*AHEAD, compared("all_logistic", "log_loss", 0.0, 0.005)]) == set()
    # Only the level is judged against all; by the list a simple model may be as good.
    assert failed(GOOD, SINGLE, [*AHEAD, compared("ebm", "average_precision", -0.05, -0.01)]) == set()


def test_a_list_worse_than_that_of_one_feature_blocks() -> None:
    worse = [compared(BEST_SINGLE, "average_precision", -0.05, -0.001), *AHEAD[1:]]
    assert failed(GOOD, SINGLE, worse) == {"average_precision_against_best_single_feature"}


@pytest.mark.parametrize(("share", "passes"), [(0.0, True), (0.15, True), (0.151, False), (-0.1, False)])
def test_at_most_fifteen_in_a_hundred_may_stay_without_a_score(share: float, passes: bool) -> None:
    assert failed(GOOD, SINGLE, share=share) == (set() if passes else {"abstention_share"})


def test_gates_of_the_audit_are_the_runs_own() -> None:
    audit = Gate("audit_recall_gap", False, -0.12, "above -0.1", "recall of a group is 0.12 lower; needed: above -0.1")
    found = gates(GOOD, SINGLE, comparisons=AHEAD, abstention_share=0.0, audit=[audit])
    assert audit in found
    assert not is_publishable(found)
    assert why(found) == "May not be published: recall of a group is 0.12 lower; needed: above -0.1."


# --- champion and challenger -----------------------------------------------------------------------------------------


def test_a_retrain_as_good_as_the_champion_passes_and_one_that_was_not_compared_fails() -> None:
    assert failed(GOOD, SINGLE, AHEAD + TIED_WITH_CHAMPION, champion="v1") == set()
    assert failed(GOOD, SINGLE, AHEAD, champion="v1") == set(CHAMPION_GATES)
    without_one = [one for one in TIED_WITH_CHAMPION if one.metric != "auc"]
    assert failed(GOOD, SINGLE, AHEAD + without_one, champion="v1") == {"champion_auc"}
    # Nobody is in use yet: there is nothing to be compared with.
    assert failed(GOOD, SINGLE, AHEAD, champion=None) == set()


@pytest.mark.parametrize(
    ("metric", "low", "high", "passes"),
    [
        ("auc", -0.012, -0.002, False),  # a little, but surely
        ("auc", -0.049, 0.011, True),  # .019, perhaps by chance
        ("auc", -0.062, 0.020, False),  # .021: too much even if by chance
        ("auc", 0.01, 0.05, True),
        ("average_precision", -0.06, 0.022, True),  # .019 of .2
        ("average_precision", -0.07, 0.028, False),  # .021 of .2
        ("recall_at_5pct", -0.10, 0.002, True),
        ("recall_at_5pct", -0.11, 0.008, False),
        ("recall_at_10pct", -0.02, -0.001, False),
        ("log_loss", 0.0005, 0.002, False),  # less is better
        ("log_loss", -0.002, 0.009, True),
        ("log_loss", -0.002, 0.012, False),  # .005 of .2
        ("log_loss", -0.02, -0.01, True),
    ],
)
def test_a_retrain_may_not_be_worse_than_the_champion(metric: str, low: float, high: float, passes: bool) -> None:
    pairs = [one for one in TIED_WITH_CHAMPION if one.metric != metric] + [compared(CHAMPION, metric, low, high)]
    # .01 of a log-loss of .2 would itself be too much.
    pairs = [one._replace(difference=Interval(0.0, -0.01, 0.01)) if one.metric != metric else one for one in pairs]
    assert failed(GOOD, SINGLE, AHEAD + pairs, champion="v1") == (set() if passes else {f"champion_{metric}"})


def test_a_champion_without_an_interval_was_not_compared() -> None:
    nan = [one._replace(difference=Interval(0.0, math.nan, math.nan)) for one in TIED_WITH_CHAMPION]
    assert failed(GOOD, SINGLE, AHEAD + nan, champion="v1") == set(CHAMPION_GATES)


# --- words -----------------------------------------------------------------------------------------------------------


def test_a_gate_says_what_was_measured_and_what_was_needed_and_can_be_written_as_json() -> None:
    found = {gate.name: gate for gate in gates(GOOD | {"positives": 12.0}, SINGLE)}
    assert found["positives_in_test"].text == "the number of positives in the test is 12; needed: at least 50"
    assert "0.700" in found["auc_above_best_single_feature"].bound
    assert json.loads(json.dumps([gate._asdict() for gate in found.values()], allow_nan=False))[2]["value"] == 12.0


def test_one_sentence_says_why() -> None:
    assert why([]) == "May not be published: nothing was judged."
    good = gates(GOOD, SINGLE, comparisons=AHEAD, abstention_share=0.0)
    assert why(good) == "May be published: all 9 gates are passed."
    metrics = GOOD | ranged("calibration_slope", 0.75, 0.5, 1.05)
    assert why(gates(metrics, SINGLE, comparisons=AHEAD, abstention_share=0.0)) == (
        "May be published: all 9 gates are passed, 1 of them undecided, the test being too small to say "
        "(calibration_slope)."
    )
    bad = gates(GOOD | {"positives": 12.0}, SINGLE, comparisons=AHEAD, abstention_share=0.4)
    assert why(bad) == (
        "May not be published: the number of positives in the test is 12; needed: at least 50; "
        "the share of households without a score is 0.400; needed: at most 0.15."
    )


def test_every_gate_is_explained_in_the_reference() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/gates.md").read_text("utf-8")
    assert not [name for name in OWN_GATES + CHAMPION_GATES if f"`{name}`" not in page]


# --- with the functions that measure ---------------------------------------------------------------------------------


def simulated(shift: float = 0.0, slope: float = 1.0, noise: float = 0.0, seed: int = 2) -> pd.DataFrame:
    """Judged rows whose truth is known, with a forecast that is off by a shift, a slope or noise."""
    rng = np.random.default_rng(1)
    margin = rng.normal(-2.0, 1.5, 6_000)
    own = np.random.default_rng(seed)
    blurred = margin + own.normal(0, 1, len(margin)) * noise
    return pd.DataFrame(
        {
            "household_id": [f"h{i}" for i in range(len(margin))],
            "as_of": 0,
            "outcome": (rng.random(len(margin)) < 1 / (1 + np.exp(-margin))).astype(float),
            "probability": 1 / (1 + np.exp(-(slope * blurred + shift))),
            f"baseline_{BEST_SINGLE}": 1 / (1 + np.exp(-(0.3 * margin - 1.8 + rng.normal(0, 0.5, len(margin))))),
            f"baseline_{CHAMPION}": 1 / (1 + np.exp(-(margin + rng.normal(0, 0.1, len(margin))))),
        }
    )


def gates_of(rows: pd.DataFrame) -> set[str]:
    metrics = evaluate(rows["outcome"], rows["probability"])
    baselines = {BEST_SINGLE: evaluate(rows["outcome"], rows[f"baseline_{BEST_SINGLE}"])}
    found = gates(
        metrics, baselines, comparisons=comparisons(rows, COMPARED, resamples=100), abstention_share=0.0, champion="v1"
    )
    assert [gate.name for gate in found] == OWN_GATES + CHAMPION_GATES
    return {gate.name for gate in found if not gate.passed}


def test_gates_read_the_names_that_the_evaluation_and_the_comparison_write() -> None:
    assert gates_of(simulated()) == set()


def test_a_miscalibrated_model_fails() -> None:
    too_high = gates_of(simulated(shift=0.4))
    assert too_high >= {"observed_expected", "champion_log_loss"}
    assert "champion_auc" not in too_high
    assert gates_of(simulated(slope=1.6, shift=0.9)) >= {"calibration_slope"}


def test_a_retrain_that_learned_from_noise_fails_against_the_champion() -> None:
    assert gates_of(simulated(noise=1.0)) >= {"champion_auc", "champion_average_precision", "champion_log_loss"}
