"""What a run must show on its test rows before its model may be published.

A number that is missing or not finite fails its gate: what could not be measured was not passed. Where a range must be
kept and the test is too small to say on which side of its edge the model lies, the gate is passed as undecided, and
says so. `docs/reference/gates.md` gives the reason of every limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from training.baselines import BEST_SINGLE

if TYPE_CHECKING:
    from training.comparison import Comparison

FEWEST_POSITIVES = 50
MOST_ABSTAINED = 0.15
CHAMPION = "champion"
# By these every challenger and the champion must have been compared.
COMPARED = ("average_precision", "auc", "log_loss", "recall_at_5pct", "recall_at_10pct")


class Range(NamedTuple):
    """Where a figure must lie, and beyond which limits no width of its interval excuses it."""

    low: float
    high: float
    never_below: float
    never_above: float


OBSERVED_EXPECTED = Range(0.9, 1.1, 0.8, 1.25)
TOP_DECILE = Range(0.8, 1.25, 0.67, 1.5)
SLOPE = Range(0.8, 1.2, 0.67, 1.5)


class Loss(NamedTuple):
    """How far a new model may fall behind the champion when chance cannot be ruled out; `is_share` of its figure."""

    most: float
    is_share: bool
    less_is_better: bool
    what: str


LOSSES = {
    "auc": Loss(0.02, False, False, "AUC"),
    "average_precision": Loss(0.10, True, False, "average precision"),
    "recall_at_5pct": Loss(0.05, False, False, "recall at 5 % capacity"),
    "recall_at_10pct": Loss(0.05, False, False, "recall at 10 % capacity"),
    "log_loss": Loss(0.02, True, True, "log-loss"),
}


# A sentence with every figure of ten failed gates would be read by nobody; the gates themselves are all listed.
SPOKEN = 3


class Gate(NamedTuple):
    """One requirement: its name, whether it was met, what was measured (None if it could not be), what was needed,
    and a sentence that says both. `decided` is false where it passes only because the test was too small to say."""

    name: str
    passed: bool
    value: float | None
    bound: str
    text: str
    decided: bool = True


def gates(
    metrics: Mapping[str, float],
    baselines: Mapping[str, Mapping[str, float]],
    *,
    comparisons: Sequence[Comparison] = (),
    audit: Sequence[Gate] = (),
    abstention_share: float | None = None,
    champion: str | None = None,
) -> list[Gate]:
    """The gates of one run.

    `metrics` are the model's on the test rows, as `evaluate` names them, with the limits of their 95 % intervals as
    `<name>_low` and `<name>_high`; `baselines` holds the same of each baseline on the same rows, by the names of
    `training.baselines`; `comparisons` are the paired ones on those rows, by each metric of `COMPARED`. `audit` are
    the gates of the fairness audit, `abstention_share` the share of the test rows that would get no score. `champion`
    is the version of the model in use, if there is one: then it must be among the comparisons.

    >>> good = {"auc": 0.8, "observed_expected": 1.05, "positives": 90.0, "log_loss": 0.20, "log_loss_base": 0.24}
    >>> [gate.text for gate in gates(good, {}) if gate.name in ("observed_expected", "calibration_slope")]
    ['observed/expected is 1.050; needed: 0.9 to 1.1', 'the calibration slope was not measured; needed: 0.8 to 1.2']
    """
    return [
        *_own(metrics, baselines),
        *_calibrated(metrics),
        *_compared(comparisons),
        _abstained(abstention_share),
        *audit,
        *(() if champion is None else _against_champion(comparisons, champion)),
    ]


def is_publishable(passed_or_not: Sequence[Gate]) -> bool:
    """Whether every gate was passed, and there was at least one."""
    return bool(passed_or_not) and all(gate.passed for gate in passed_or_not)


def why(passed_or_not: Sequence[Gate]) -> str:
    """One sentence: whether the model may be published, and what speaks against it.

    >>> why([Gate("a", True, 1.0, "at least 1", "a is 1; needed: at least 1")])
    'May be published: all 1 gates are passed.'
    >>> why([Gate("b", False, None, "at least 1", "b was not measured; needed: at least 1")])
    'May not be published: b was not measured; needed: at least 1.'
    """
    if not passed_or_not:
        return "May not be published: nothing was judged."
    failed = [gate for gate in passed_or_not if not gate.passed]
    if failed:
        told = "; ".join(gate.text.removesuffix(".") for gate in failed[:SPOKEN])
        more = ", ".join(gate.name for gate in failed[SPOKEN:])
        return f"May not be published: {told}{f'; failed as well: {more}' if more else ''}."
    open_ones = [gate.name for gate in passed_or_not if not gate.decided]
    said = f"May be published: all {len(passed_or_not)} gates are passed"
    if open_ones:
        said += f", {len(open_ones)} of them undecided, the test being too small to say ({', '.join(open_ones)})"
    return said + "."


def _own(metrics: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> list[Gate]:
    single = _finite(baselines.get(BEST_SINGLE, {}), "auc")
    base_loss, loss = _finite(metrics, "log_loss_base"), _finite(metrics, "log_loss")
    auc, positives = _finite(metrics, "auc"), _finite(metrics, "positives")
    return [
        _gate(
            "auc_above_best_single_feature",
            "AUC",
            auc,
            f"above that of the best single feature, {_shown(single)}",
            passed=auc is not None and single is not None and auc > single,
        ),
        _within("observed_expected", "observed/expected", metrics, OBSERVED_EXPECTED),
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
            f"below that of the base rate, {_shown(base_loss)}",
            passed=loss is not None and base_loss is not None and loss < base_loss,
        ),
    ]


def _calibrated(metrics: Mapping[str, float]) -> list[Gate]:
    return [
        _within("calibration_slope", "the calibration slope", metrics, SLOPE),
        _within("observed_expected_top_decile", "observed/expected of the top decile", metrics, TOP_DECILE),
    ]


def _within(name: str, what: str, metrics: Mapping[str, float], wanted: Range) -> Gate:
    """A figure in a range. Outside it, the gate stays undecided if the interval reaches into the range and is wider
    than the range itself: such a test could not have shown a right model to be right."""
    value = _finite(metrics, name)
    bound = f"{wanted.low:g} to {wanted.high:g}"
    if value is None or wanted.low <= value <= wanted.high:
        return _gate(name, what, value, bound, passed=value is not None)
    low, high = _finite(metrics, f"{name}_low"), _finite(metrics, f"{name}_high")
    failed = _gate(name, what, value, bound, passed=False)
    if low is None or high is None:
        return failed
    interval = f"95 % interval {low:.3f} to {high:.3f}"
    failed = failed._replace(text=f"{what} is {value:.3f} ({interval}); needed: {bound}")
    if not wanted.never_below <= value <= wanted.never_above:
        return failed
    if high < wanted.low or low > wanted.high or high - low <= wanted.high - wanted.low:
        return failed
    text = f"{failed.text}; undecided, because the test is too small: judge again when more outcomes are known"
    return failed._replace(passed=True, decided=False, text=text)


def _compared(comparisons: Sequence[Comparison]) -> list[Gate]:
    """Not behind the simple models where it matters most: the level by log-loss, the list by average precision."""
    others = [one for one in comparisons if one.name != CHAMPION and one.metric == "log_loss"]
    behind = [one for one in others if not one.difference.low <= 0.0]
    worst = max((one.difference.value for one in others), default=None)
    by_loss = _gate(
        "log_loss_against_challengers",
        "the log-loss beyond that of the best challenger",
        worst,
        "no challenger better beyond chance",
        passed=bool(others) and not behind,
    )
    if behind:
        by_loss = by_loss._replace(text=f"{by_loss.text}; better are {', '.join(_spoken(one) for one in behind)}")
    single = _one(comparisons, BEST_SINGLE, "average_precision")
    return [
        by_loss,
        _gate(
            "average_precision_against_best_single_feature",
            "the average precision beyond that of the best single feature",
            None if single is None else single.difference.value,
            "not below 0 beyond chance",
            passed=single is not None and single.difference.high >= 0.0,
        ),
    ]


def _abstained(share: float | None) -> Gate:
    known = share if share is not None and math.isfinite(share) else None
    return _gate(
        "abstention_share",
        "the share of households without a score",
        known,
        f"at most {MOST_ABSTAINED:g}",
        passed=known is not None and 0.0 <= known <= MOST_ABSTAINED,
    )


def _against_champion(comparisons: Sequence[Comparison], version: str) -> list[Gate]:
    """A retrain that is worse is not published: not beyond chance, and by chance only so far."""
    return [_not_behind(_one(comparisons, CHAMPION, metric), metric, version) for metric in LOSSES]


def _not_behind(one: Comparison | None, metric: str, version: str) -> Gate:
    loss = LOSSES[metric]
    name, what = f"champion_{metric}", f"the {loss.what} beyond that of the model in use ({version})"
    most = f"{100 * loss.most:g} % of its figure" if loss.is_share else f"{loss.most:g}"
    side = "above" if loss.less_is_better else "below"
    bound = f"not {side} 0 beyond chance, and not {side} it by more than {most}"
    if one is None:
        return _gate(name, what, None, bound, passed=False)
    value, low, high = one.difference
    if not all(map(math.isfinite, (value, low, high, one.theirs))):
        return _gate(name, what, None, bound, passed=False)
    allowed = loss.most * (abs(one.theirs) if loss.is_share else 1.0)
    lost, surely_lost = (value, low) if loss.less_is_better else (-value, -high)
    gate = _gate(name, what, value, bound, passed=surely_lost <= 0.0 and lost <= allowed)
    return gate._replace(text=f"{what} is {value:+.4f} (95 % interval {low:+.4f} to {high:+.4f}); needed: {bound}")


def _one(comparisons: Sequence[Comparison], name: str, metric: str) -> Comparison | None:
    return next((one for one in comparisons if (one.name, one.metric) == (name, metric)), None)


def _spoken(one: Comparison) -> str:
    value, low, high = one.difference
    return f"{one.name} by {value:.4f} (95 % interval {low:.4f} to {high:.4f})"


def _gate(name: str, what: str, value: float | None, bound: str, *, passed: bool) -> Gate:
    known = value if value is not None and math.isfinite(value) else None
    measured = "was not measured" if known is None else f"is {_shown(known)}"
    return Gate(name, passed and known is not None, known, bound, f"{what} {measured}; needed: {bound}")


def _finite(metrics: Mapping[str, float], name: str) -> float | None:
    value = metrics.get(name)
    return float(value) if value is not None and math.isfinite(value) else None


def _shown(value: float | None) -> str:
    if value is None:
        return "which is not known"
    return f"{value:.0f}" if float(value).is_integer() and abs(value) >= 2 else f"{value:.3f}"
