"""What a run must show on its test rows before its model may be published.

A number that is missing or not finite fails its gate: what could not be measured was not passed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from training.baselines import BEST_SINGLE

FEWEST_POSITIVES = 50
OBSERVED_EXPECTED = (0.8, 1.25)


class Gate(NamedTuple):
    """One requirement: its name, whether it was met, what was measured (None if it could not be), what was needed,
    and a sentence that says both."""

    name: str
    passed: bool
    value: float | None
    bound: str
    text: str


def gates(metrics: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> list[Gate]:
    """The gates of one run.

    `metrics` are the model's on the test rows, as `evaluate` names them; `baselines` holds the same of each baseline
    on the same rows, by the names of `training.baselines`.

    >>> good = {"auc": 0.8, "observed_expected": 1.1, "positives": 90.0, "log_loss": 0.20, "log_loss_base": 0.24}
    >>> is_publishable(gates(good, {"best_single_feature": {"auc": 0.7}}))
    True
    >>> [gate.text for gate in gates(good | {"observed_expected": 1.4}, {}) if not gate.passed]
    ['AUC is 0.800; needed: above that of the best single feature, which is not known', \
'observed/expected is 1.400; needed: 0.8 to 1.25']
    """
    single = _finite(baselines.get(BEST_SINGLE, {}), "auc")
    base_loss = _finite(metrics, "log_loss_base")
    low, high = OBSERVED_EXPECTED
    auc, ratio = _finite(metrics, "auc"), _finite(metrics, "observed_expected")
    positives, loss = _finite(metrics, "positives"), _finite(metrics, "log_loss")
    return [
        _gate(
            "auc_above_best_single_feature",
            "AUC",
            auc,
            "above that of the best single feature, "
            + (_shown(single) if single is not None else "which is not known"),
            passed=auc is not None and single is not None and auc > single,
        ),
        _gate(
            "observed_expected",
            "observed/expected",
            ratio,
            f"{low:g} to {high:g}",
            passed=ratio is not None and low <= ratio <= high,
        ),
        _gate(
            "positives_in_test",
            "the number of positives in the test",
            positives,
            f"at least {FEWEST_POSITIVES}",
            passed=positives is not None and positives >= FEWEST_POSITIVES,
        ),
        _gate(
            "log_loss_below_base_rate",
            "log-loss",
            loss,
            "below that of the base rate, " + (_shown(base_loss) if base_loss is not None else "which is not known"),
            passed=loss is not None and base_loss is not None and loss < base_loss,
        ),
    ]


def is_publishable(passed_or_not: Sequence[Gate]) -> bool:
    """Whether every gate was passed, and there was at least one."""
    return bool(passed_or_not) and all(gate.passed for gate in passed_or_not)


def _gate(name: str, what: str, value: float | None, bound: str, *, passed: bool) -> Gate:
    measured = "was not measured" if value is None else f"is {_shown(value)}"
    return Gate(name, passed, value, bound, f"{what} {measured}; needed: {bound}")


def _finite(metrics: Mapping[str, float], name: str) -> float | None:
    value = metrics.get(name)
    return float(value) if value is not None and math.isfinite(value) else None


def _shown(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() and value >= 2 else f"{value:.3f}"
