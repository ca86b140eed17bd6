"""What the figures of an audit mean: which block, which warn, and what too few outcomes cannot say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from features.definition import Text
from training.acceptance import Gate
from training.audit_groups import VISIBILITY, group_text
from training.audit_sums import Estimate, holm

if TYPE_CHECKING:
    from training.audit import GroupAudit

Evidence = Literal["gates", "warns", "insufficient"]
Verdict = Literal["block", "warn", "ok", "insufficient", "reference"]

# Households with the outcome: from here on a group may block, from here on it may warn.
FEWEST_TO_GATE, FEWEST_TO_WARN = 50, 20
SIGNIFICANT = 0.05
GAP_BLOCKS, GAP_WARNS = -0.10, -0.05
MISSED_BLOCKS, MISSED_WARNS = 1.5, 1.25
EXPECTED_BLOCKS, EXPECTED_WARNS = (0.75, 1.33), (0.85, 1.18)
DROP_BLOCKS = -0.05
ABSTENTION_BLOCKS, ABSTENTION_WARNS = 2.0, 1.5
DATA_GAP_WARNS, PRECISION_WARNS = 1.5, 0.8
ARM_BLOCKS = 0.05

_EXPECTED = f"{EXPECTED_BLOCKS[0]:g} to {EXPECTED_BLOCKS[1]:g}, or not told from 1 after Holm's correction"
# Measure: its gate and what it needs.
GATED: Mapping[str, tuple[str, str]] = {
    "recall_gap": (
        "audit_recall_gap",
        f"above {GAP_BLOCKS:+.2f}, or not told from 0 after Holm's correction, or visits kept",
    ),
    "missed_ratio": (
        "audit_missed_rate",
        f"up to {MISSED_BLOCKS:g}, or not told from 1 after Holm's correction, or reached less by under {-GAP_WARNS:g}",
    ),
    "observed_expected": ("audit_observed_expected", _EXPECTED),
    "observed_expected_selected": ("audit_observed_expected_selected", _EXPECTED),
    "recall_over": (
        "audit_against_rules",
        f"above {DROP_BLOCKS:+.2f}, or not told from 0 after Holm's correction, or visits kept",
    ),
    "abstention_ratio": (
        "audit_abstention",
        f"up to {ABSTENTION_BLOCKS:g}, or not told from 1 after Holm's correction, or visits kept",
    ),
    "random_arm": ("audit_random_arm", f"within {ARM_BLOCKS:g}, or not told from 0 after Holm's correction"),
}
WORDS: Mapping[str, Text] = {
    "recall_gap": Text("覆盖率与其他户之差", "recall against the others"),
    "missed_ratio": Text("未走访户中漏掉率与其他户之比", "missed rate against the others"),
    "observed_expected": Text("实际/预测", "observed/expected"),
    "observed_expected_selected": Text("走访名单内实际/预测", "observed/expected among the visited"),
    "recall_over": Text("覆盖率与以往做法之差", "recall against the practice so far"),
    "abstention_ratio": Text("未评分比例与全体之比", "abstention against all households"),
    "data_gap_ratio": Text("资料缺失与全体之比", "missing data against all households"),
    "precision_ratio": Text("走访命中率与其他户之比", "precision against the others"),
    "random_arm": Text("随机核查与已登记结果的覆盖率之差", "recall in the random audit against the recorded outcomes"),
    "random_arm_small": Text(
        "随机核查（户数较少）与已登记结果的覆盖率之差", "recall in the small random audit against the recorded outcomes"
    ),
}
ALWAYS = ("recall_gap", "observed_expected")


class Finding(NamedTuple):
    """One figure of a group, at a capacity and against another list or group where it has one."""

    group: str
    measure: str
    capacity: float | None
    against: str | None
    estimate: Estimate


class Concern(NamedTuple):
    """A figure that blocks or warns; `p` is corrected for the number of groups, NaN where it needs none."""

    level: Literal["block", "warn"]
    finding: Finding
    p: float
    text: str


def evidence_of(positive_households: int) -> Evidence:
    """What so many households with the outcome can say.

    >>> evidence_of(50), evidence_of(49), evidence_of(19)
    ('gates', 'warns', 'insufficient')
    """
    if positive_households >= FEWEST_TO_GATE:
        return "gates"
    return "warns" if positive_households >= FEWEST_TO_WARN else "insufficient"


def judged(
    measured: Mapping[str, tuple[Evidence, Sequence[Finding]]], *, has_reserve: bool = False
) -> dict[str, tuple[Concern, ...]]:
    """The concerns of each group; `has_reserve` says that visits are kept for those whom the
    data see badly or who have no score: what only such visits can mend then warns.

    A figure blocks when it is beyond its bound, its interval excludes no difference, and it stays significant after
    Holm's correction for all groups that are tested on the same measure, capacity and comparison.
    """
    gated = [f for evidence, found in measured.values() if evidence == "gates" for f in found if f.measure in GATED]
    corrected: dict[tuple[object, ...], float] = {}
    for family in {f[1:4] for f in gated}:
        together = [f for f in gated if f[1:4] == family]
        corrected |= dict(zip((f[:4] for f in together), holm([f.estimate.p for f in together]).tolist(), strict=True))
    concerns: dict[str, tuple[Concern, ...]] = {}
    for name, (_, found) in measured.items():
        gaps = {f.capacity: f.estimate.value for f in found if f.measure == "recall_gap"}
        of_truth = {f.capacity: f.estimate.value for f in found if f.measure == "recall_gap_of_truth"}
        raised = []
        for finding in found:
            gap = gaps.get(finding.capacity, 0.0)
            p = corrected.get(finding[:4], float("nan"))
            blocks = _blocks(finding, gap=gap, has_reserve=has_reserve) and p < SIGNIFICANT
            if blocks or _warns(finding, gap=gap):
                text = sentence(finding)
                if finding.measure == "recall_gap" and finding.capacity in of_truth:
                    text += f"; with the true probabilities it would be {of_truth[finding.capacity]:+.3f}"
                raised.append(Concern("block" if blocks else "warn", finding, p, text))
        concerns[name] = tuple(raised)
    return concerns


def verdict_of(evidence: Evidence, concerns: Sequence[Concern], *, is_reference: bool) -> Verdict:
    """One word for a group."""
    if is_reference:
        return "reference"
    if evidence == "insufficient":
        return "insufficient"
    if any(concern.level == "block" for concern in concerns):
        return "block"
    # Without a concern, but with too few to have shown one.
    return "warn" if concerns else "ok" if evidence == "gates" else "insufficient"


def gates_of(groups: Sequence[GroupAudit]) -> list[Gate]:
    """A gate for each measure that some group could be tested on. It names the groups that fail, or else what the
    test could have seen. Where no group has the outcomes to be tested, the level and the recall stay undecided."""
    found = []
    for measure, (name, bound) in GATED.items():
        what = WORDS[measure].en
        tested = [
            f
            for group in groups
            if group.evidence == "gates" and not group.is_reference
            for f in group.findings
            if f.measure == measure and np.isfinite(f.estimate.value)
        ]
        if not tested:
            if measure in ALWAYS:
                text = f"{what}: no group has {FEWEST_TO_GATE} households with the outcome; insufficient evidence"
                found.append(Gate(name, True, None, bound, f"{text}; needed: {bound}", decided=False))
            continue
        failed = [
            c
            for group in groups
            for c in group.concerns
            if c.finding.measure == measure and c.level == "block" and not group.is_reference
        ]
        worst = max((c.finding for c in failed), key=_badness, default=max(tested, key=_badness))
        found.append(
            Gate(name, not failed, worst.estimate.value, bound, _gate_text(what, bound, failed, tested, groups))
        )
    return found


def sentence(finding: Finding, language: str = "en") -> str:
    """A figure in words (`en` or `zh`), with its interval.

    >>> sentence(Finding("minority", "recall_gap", 0.05, None, Estimate(-0.12, -0.2, -0.04)))
    'minority: recall against the others at 5 % is -0.120 (95 % -0.200 to -0.040)'
    """
    group, what = (getattr(text, language) for text in (group_text(finding.group), WORDS[finding.measure]))
    share = "" if finding.capacity is None else f"{100 * finding.capacity:g} %"
    against = "" if finding.against is None else finding.against.replace("_", " ")
    if language == "zh":
        where = "，".join(part for part in (share and f"走访{share}", against) if part)
        return f"{group}：{what}{f'（{where}）' if where else ''}为 {shown(finding, '至')}"
    return f"{group}: {what}{f' ({against})' if against else ''}{f' at {share}' if share else ''} is {shown(finding)}"


def shown(finding: Finding, to: str = "to") -> str:
    """The value with its interval; differences carry their sign."""
    is_ratio = finding.measure.startswith("observed_expected") or finding.measure.endswith("_ratio")
    value, low, high = (f"{number:.2f}" if is_ratio else f"{number:+.3f}" for number in finding.estimate[:3])
    return f"{value} (95 % {low} {to} {high})"


def _blocks(finding: Finding, *, gap: float, has_reserve: bool) -> bool:
    value, low, high = finding.estimate[:3]
    is_served = has_reserve and finding.group in VISIBILITY
    match finding.measure:
        case "recall_gap":
            return value <= GAP_BLOCKS and high < 0.0 and not is_served
        case "missed_ratio":
            # Where need is greater, even the true probabilities leave more of it unvisited; it counts against the
            # list only where the group is also reached clearly less.
            return value > MISSED_BLOCKS and low > 1.0 and gap <= GAP_WARNS and not is_served
        case "observed_expected" | "observed_expected_selected":
            return (value > EXPECTED_BLOCKS[1] and low > 1.0) or (value < EXPECTED_BLOCKS[0] and high < 1.0)
        case "recall_over":
            # Who is hardly on record gets no score or a low one; the manual queue's visits are for them, not the list.
            return value <= DROP_BLOCKS and high < 0.0 and not is_served
        case "abstention_ratio":
            return value > ABSTENTION_BLOCKS and low > 1.0 and not has_reserve
        case "random_arm":
            return abs(value) > ARM_BLOCKS and (low > 0.0 or high < 0.0)
    return False


def _warns(finding: Finding, *, gap: float) -> bool:
    value, low, _ = finding.estimate[:3]
    match finding.measure:
        case "recall_gap":
            return value <= GAP_WARNS or low < GAP_BLOCKS
        case "missed_ratio":
            return value > MISSED_WARNS and gap < 0.0
        case "observed_expected" | "observed_expected_selected":
            return not EXPECTED_WARNS[0] <= value <= EXPECTED_WARNS[1]
        case "recall_over":
            return value < 0.0
        case "abstention_ratio":
            return value > ABSTENTION_WARNS
        case "data_gap_ratio":
            return value > DATA_GAP_WARNS and finding.group not in VISIBILITY
        case "precision_ratio":
            return value < PRECISION_WARNS
        case "random_arm" | "random_arm_small":
            return abs(value) > ARM_BLOCKS
    return False


def _badness(finding: Finding) -> float:
    """How far a figure lies on its bad side: below for recall, above for rates, either side for the level."""
    value = finding.estimate.value
    if finding.measure in ("recall_gap", "recall_over"):
        return -value
    if finding.measure.startswith("observed_expected"):
        return float(abs(np.log(value))) if value > 0.0 else float("inf")
    return abs(value)


def _gate_text(
    what: str, bound: str, failed: Sequence[Concern], tested: Sequence[Finding], groups: Sequence[GroupAudit]
) -> str:
    if failed:
        # Of each group the worst, the worst group first.
        worst_of: dict[str, Concern] = {}
        for concern in sorted(failed, key=lambda c: -_badness(c.finding)):
            worst_of.setdefault(concern.finding.group, concern)
        told = "; ".join(concern.text for concern in worst_of.values())
        return f"{told}; needed: {bound}"
    worst = max(tested, key=_badness)
    smallest = [f.estimate.smallest for f in tested if np.isfinite(f.estimate.smallest)]
    seen = f"; the smallest that could be seen is {min(smallest):.2f} to {max(smallest):.2f}" if smallest else ""
    untested = sum(group.evidence != "gates" and not group.is_reference for group in groups)
    without = f"; not tested for want of outcomes: {untested} group(s)" if untested else ""
    many = len({f.group for f in tested})
    return f"{what}: {many} group(s) tested, the farthest is {sentence(worst)}{seen}{without}; needed: {bound}"
