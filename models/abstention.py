"""When a household gets no probability, and when it gets one that is told with care: named codes, each with what to do.

A model answers every row of numbers. Where it is known to answer badly, or what it is told cannot be right, saying
nothing is the better answer, and a person visits instead. The limits and what was measured for them stand in
docs/adr/0014-when-not-to-score.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from features.definition import Group, Text
from models.tier import Bands

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# The domains whose silence makes a score stale, where the model weighs them at all.
KEY_DOMAINS = (Group.INCOME.value, Group.MEDICAL.value)


class LimitsRefused(ValueError):
    """Written limits cannot be used; the message says which field."""


@dataclass(frozen=True)
class Limits:
    """From where on a household is not scored, or scored with low confidence.

    `coverage`: least share of the model's weight on known features; below `thin_coverage` the score is of low
    confidence. `key_months`: how old the newest income and the newest medical row may be, in months. `key_weight`:
    least share of the model's weight that makes one of these two domains count. `important`: least share of the weight
    that makes a feature's range count; so many of them as `out_of_range` may not lie further outside it than `beyond`
    times its width. `wide`: how wide an interval may be, or as wide as the probability itself if that is more.
    """

    coverage: float = 0.5
    thin_coverage: float = 0.6
    key_months: float = 12.0
    key_weight: float = 0.05
    important: float = 0.01
    out_of_range: int = 2
    beyond: float = 10.0
    wide: float = 0.10

    def __post_init__(self) -> None:
        for name in ("coverage", "thin_coverage", "key_weight", "important"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise LimitsRefused(f"the limit {name} is a share and must lie between 0 and 1")
        for name, least in (("key_months", 0.0), ("out_of_range", 1.0), ("beyond", 0.0), ("wide", 0.0)):
            if not getattr(self, name) >= least:
                raise LimitsRefused(f"the limit {name} must be at least {least:g}")

    def as_json(self) -> dict[str, float]:
        """For a file; `from_json` gives it back."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(written: Mapping[str, Any]) -> Limits:
        """Read back; every field must be there.

        >>> Limits.from_json(Limits(coverage=0.4).as_json()) == Limits(coverage=0.4)
        True
        """
        names = [f.name for f in dataclasses.fields(Limits)]
        missing = [name for name in names if name not in written]
        if missing:
            raise LimitsRefused(f"the limits of scoring lack {', '.join(missing)}")
        numbers = {name: float(written[name]) for name in names}
        return Limits(**{**numbers, "out_of_range": int(numbers["out_of_range"])})  # type: ignore[arg-type]


@dataclass(frozen=True)
class RecordState:
    """What the records of n households are like at one moment, as far as scoring depends on it.

    `values` and `unknown` are rows x features as in `features.matrix.Matrix`, so are `n_events` (of the last 24
    months) and `n_members`. `coverage` is the share of the model's weight on known features. `months_silent` holds for
    each domain of `KEY_DOMAINS` the months since its newest row, infinite where there is none. `unlearned`: unknown
    where the model never learned to be (`BoostedModel.unlearned_unknowns`). `in_conflict`: who lives there cannot be
    right. `opted_out`: refused to be assessed by a machine.
    """

    values: Floats
    unknown: Bools
    coverage: Floats
    n_events: Ints
    n_members: Ints
    months_silent: Mapping[str, Floats]
    unlearned: Bools
    in_conflict: Bools
    opted_out: Bools


def codes(
    state: RecordState,
    importance: Floats,
    groups: tuple[str, ...],
    *,
    limits: Limits,
    ranges: Floats | None = None,
    expired: bool = False,
    judged: Bools | None = None,
) -> dict[str, Bools]:
    """Why each household gets no probability: for every code of `ABSTAINING`, whom it concerns.

    `importance` and `groups` belong to the features, `ranges` (2 x features) are the ends between which nearly all
    training values lie, NaN or None where that is not checked. `expired`: the model must not be used at that moment any
    more. Where `judged` is false the model is not asked at all, so its own limits are not looked at. About whom nothing
    is known only that is said.
    """
    asked = np.ones(len(state.values), np.bool_) if judged is None else judged
    silent = state.opted_out | (state.n_events == 0) | (state.n_members == 0)
    speaks = asked & ~silent
    return {
        "opted_out": state.opted_out,
        "no_events": state.n_events == 0,
        "no_members": state.n_members == 0,
        "unknown_never_learned": state.unlearned,
        "expired_model": asked & np.bool_(expired),
        "identity_conflict": speaks & state.in_conflict,
        "coverage": speaks & (state.coverage < limits.coverage),
        "stale_key_sources": speaks & _is_stale(state, importance, groups, limits),
        "out_of_range": speaks & (_outside(state.values, importance, ranges, limits) >= limits.out_of_range),
    }


def interval_over_tiers(probability: Floats, interval: Floats | None, bands: Bands | None, limits: Limits) -> Bools:
    """Whose interval (rows x 2) reaches into another band of the probability, or is too wide to act upon.

    >>> interval_over_tiers(np.array([0.30, 0.30, 0.30]), np.array([[0.26, 0.34], [0.26, 0.36], [0.1, 0.41]]),
    ...                     Bands(red=0.6, orange=0.35, yellow=0.1), Limits()).tolist()
    [False, True, True]
    """
    if interval is None:
        return np.zeros(len(probability), np.bool_)
    low, high = interval.T
    # Seven decimals: a width of .35 - .25 is .1 and no wider.
    found = np.round(high - low, 7) > np.maximum(limits.wide, probability)
    if bands is not None:
        cuts = np.array([bands.yellow, bands.orange, bands.red])
        found |= np.searchsorted(cuts, low, side="right") != np.searchsorted(cuts, high, side="right")
    return np.asarray(found, np.bool_)


def _is_stale(state: RecordState, importance: Floats, groups: tuple[str, ...], limits: Limits) -> Bools:
    """Whether every key domain that the model weighs has been silent for too long; nobody's where it weighs none."""
    total = float(importance.sum()) or 1.0
    of = np.array(groups)
    key = [name for name in KEY_DOMAINS if float(importance[of == name].sum()) / total >= limits.key_weight]
    found = np.full(len(state.values), bool(key))
    for name in key:
        found &= state.months_silent[name] > limits.key_months
    return found


def _outside(values: Floats, importance: Floats, ranges: Floats | None, limits: Limits) -> Ints:
    """In how many important features each row lies far outside its training."""
    if ranges is None:
        return np.zeros(len(values), np.int64)
    low, high = ranges
    # A range without width was cut from a feature that hardly varied: it says nothing about other values.
    is_checked = (high > low) & (importance >= limits.important * float(importance.sum()))
    chosen = np.flatnonzero(is_checked)
    reach = limits.beyond * (high - low)[chosen]
    # An unknown value is neither below nor above.
    outside = (values[:, chosen] < low[chosen] - reach) | (values[:, chosen] > high[chosen] + reach)
    return np.asarray(outside.sum(axis=1), np.int64)


class Wording(NamedTuple):
    """What a code means and what a person does about it."""

    text: Text
    todo: Text


NOT_LOW_RISK = Text("这不表示风险低", "This does not mean low risk")

ABSTAINING: Mapping[str, Wording] = {
    "opted_out": Wording(
        Text("本户不同意由系统评估", "The household refused to be assessed by a machine"),
        Text(f"由人走访了解，不看分数；{NOT_LOW_RISK.zh}", f"A person visits, without any score. {NOT_LOW_RISK.en}"),
    ),
    "no_events": Wording(
        Text("近两年没有任何记录", "Nothing on record in the last two years"),
        Text(f"按人工名单走访；{NOT_LOW_RISK.zh}", f"Visit from the manual list. {NOT_LOW_RISK.en}"),
    ),
    "no_members": Wording(
        Text("名册上没有现住成员", "Nobody is known to live there"),
        Text(f"核对户籍和现住人口；{NOT_LOW_RISK.zh}", f"Check who lives there. {NOT_LOW_RISK.en}"),
    ),
    "unknown_never_learned": Wording(
        Text("缺少模型训练时每户都有的资料", "Something is unknown that was known of everybody in training"),
        Text(f"先走访，补齐资料再评；{NOT_LOW_RISK.zh}", f"Visit and complete the record. {NOT_LOW_RISK.en}"),
    ),
    "expired_model": Wording(
        Text("模型已过有效期", "The model is past its last day"),
        Text(f"按规则和名单走访，更新模型；{NOT_LOW_RISK.zh}", f"Visit by the rules. {NOT_LOW_RISK.en}"),
    ),
    "identity_conflict": Wording(
        Text("家庭成员记录互相矛盾", "The records of who lives there contradict each other"),
        Text(f"先核对户主和成员；{NOT_LOW_RISK.zh}", f"Check head and members first. {NOT_LOW_RISK.en}"),
    ),
    "coverage": Wording(
        Text("模型所用资料大半未知", "Less than half of what the model uses is known"),
        Text(f"走访补问收入和医疗等情况；{NOT_LOW_RISK.zh}", f"Visit and ask what is missing. {NOT_LOW_RISK.en}"),
    ),
    "stale_key_sources": Wording(
        Text("收入、医疗等关键记录都已陈旧", "The key records (income, health costs) are all old"),
        Text(f"走访核实近一年收支；{NOT_LOW_RISK.zh}", f"Visit; ask about the last year. {NOT_LOW_RISK.en}"),
    ),
    "out_of_range": Wording(
        Text("多项数值远超模型所见范围", "Several values lie far outside what the model has seen"),
        Text(f"先核对数值和单位，再走访；{NOT_LOW_RISK.zh}", f"Check values and units, then visit. {NOT_LOW_RISK.en}"),
    ),
}  # fmt: skip

LOW_CONFIDENCE: Mapping[str, Wording] = {
    "low_coverage": Wording(
        Text("模型所用资料已知不足六成", "Less than 60 % of what the model uses is known"),
        Text("先问清缺少的资料，再看分数", "Ask what is missing before relying on the score"),
    ),
    "borrowed_model": Wording(
        Text("模型来自另一个地区", "The model was trained for another region"),
        Text("以规则和走访为准", "Go by the rules and the visit"),
    ),
    "interval_over_tiers": Wording(
        Text("概率范围宽或跨越等级", "The probability's range is wide or reaches into another tier"),
        Text("先问清所列问题，再看等级", "Ask the listed questions before relying on the tier"),
    ),
}


def told(names: list[str]) -> list[dict[str, Any]]:
    """Codes with their words, as a record holds them.

    >>> told(["no_events"])[0]["text"]["en"]
    'Nothing on record in the last two years'
    """
    wording = {**ABSTAINING, **LOW_CONFIDENCE}
    return [
        {"code": name, "text": wording[name].text._asdict(), "todo": wording[name].todo._asdict()} for name in names
    ]
