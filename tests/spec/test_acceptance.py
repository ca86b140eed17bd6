"""Gates: a run is publishable only if everything was measured and everything holds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from training.acceptance import gates, is_publishable
from training.baselines import BEST_SINGLE
from training.evaluation import evaluate

GOOD = {"auc": 0.80, "observed_expected": 1.0, "positives": 120.0, "log_loss": 0.20, "log_loss_base": 0.24}
SINGLE = {BEST_SINGLE: {"auc": 0.70}}


def failed(metrics: dict[str, float], baselines: dict[str, dict[str, float]]) -> set[str]:
    found = gates(metrics, baselines)
    bad = {gate.name for gate in found if not gate.passed}
    assert is_publishable(found) is (not bad)
    return bad


def test_a_good_run_passes_every_gate() -> None:
    assert failed(GOOD, SINGLE) == set()
    assert len(gates(GOOD, SINGLE)) == 4


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"auc": 0.70}, "auc_above_best_single_feature"),
        ({"auc": 0.69}, "auc_above_best_single_feature"),
        ({"observed_expected": 0.799}, "observed_expected"),
        ({"observed_expected": 1.251}, "observed_expected"),
        ({"positives": 49.0}, "positives_in_test"),
        ({"log_loss": 0.24}, "log_loss_below_base_rate"),
    ],
)
def test_each_gate_fails_alone(change: dict[str, float], gate: str) -> None:
    assert failed(GOOD | change, SINGLE) == {gate}


@pytest.mark.parametrize(
    ("metric", "edge"), [("observed_expected", 0.8), ("observed_expected", 1.25), ("positives", 50.0)]
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


def test_a_gate_says_what_was_measured_and_what_was_needed_and_can_be_written_as_json() -> None:
    found = {gate.name: gate for gate in gates(GOOD | {"positives": 12.0}, SINGLE)}
    assert found["positives_in_test"].text == "the number of positives in the test is 12; needed: at least 50"
    assert "0.700" in found["auc_above_best_single_feature"].bound
    assert json.loads(json.dumps([gate._asdict() for gate in found.values()]))[2]["value"] == 12.0


def test_gates_read_the_names_that_the_evaluation_writes() -> None:
    rng = np.random.default_rng(1)
    margin = rng.normal(-2.0, 1.5, 4_000)
    probability = 1 / (1 + np.exp(-margin))
    outcome = (rng.random(4_000) < probability).astype(float)
    single = evaluate(outcome, 1 / (1 + np.exp(-(margin + rng.normal(0, 2, 4_000)))))
    assert failed(evaluate(outcome, probability), {BEST_SINGLE: single}) == set()
    assert failed(evaluate(outcome, probability / 2), {BEST_SINGLE: single}) >= {"observed_expected"}
    assert "auc_above_best_single_feature" in failed(single, {BEST_SINGLE: evaluate(outcome, probability)})
