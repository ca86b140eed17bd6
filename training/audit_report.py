"""What people read of an audit: a page in Chinese, one in English, a picture, and JSON for machines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from features.definition import Text
from training.audit import Audit, GroupAudit
from training.audit_groups import group_text
from training.audit_judgement import FEWEST_TO_GATE, FEWEST_TO_WARN, Concern, Finding, sentence
from training.audit_sums import Estimate
from training.plots import BLUE, GREY, ORANGE

LANGUAGES = ("zh", "en")
MOST_WARNINGS = 12
VERDICTS = {
    "block": Text("不通过", "blocks"),
    "warn": Text("提醒", "warns"),
    "ok": Text("未见问题", "nothing found"),
    "insufficient": Text("证据不足", "insufficient evidence"),
    "reference": Text("仅供对照", "for comparison"),
}
HEADS = Text(
    "| 群体 | 户数 | 有结果户 | 覆盖率 | 与其他户之差 | 可见最小差 | 实际/预测 | 结论 |",
    "| group | households | affected | recall | against the others | smallest seen | observed/expected | verdict |",
)
MEANING = Text(
    f"“覆盖率”指按走访能力 {{capacity}} 走访时，有结果的户中被走访的比例；未评分的户按未走访计。括号内为95%区间，"
    f"按{{clusters}}重抽样{{resamples}}次。有结果户不足{FEWEST_TO_GATE}户的群体只提醒，不足{FEWEST_TO_WARN}户的不下结论；"
    "少于10户的数目不公布。“未见问题”只说明大于“可见最小差”的差别很可能会被看到。",
    "Recall is the share of the affected who are visited when {capacity} can be visited; households without a score "
    "count as not visited. In brackets the 95 % interval from drawing each {clusters} anew {resamples} times. Groups "
    f"with fewer than {FEWEST_TO_GATE} affected households only warn, with fewer than {FEWEST_TO_WARN} nothing is "
    "concluded; counts below ten are not told. 'Nothing found' means that a difference above the smallest one would "
    "probably have been seen.",
)
REMEDIES = Text(
    "处理顺序：先查数据对接，再增数据来源，再为资料少和未评分的户预留走访，再按群体校准；按群体分配走访能力须有当地书面决定。"
    "不得为了看起来均等而去掉反映困难的数据。",
    "What to do, in this order: mend the links of the data, add sources, reserve visits for those the data see badly "
    "or who have no score, recalibrate by group; capacity by group needs a written local decision. Never drop a sign "
    "of need to look equal.",
)
CLUSTERS = {"household": Text("户", "household"), "township": Text("乡镇", "township")}


def as_json(of: Audit) -> dict[str, Any]:
    """The audit as JSON values; what is not a number or not told is null."""
    return {
        "schema": "audit.v1",
        "rows": of.rows,
        "households": of.households,
        "positives": of.positives,
        "capacities": list(of.capacities),
        "clusters": {"by": of.clusters, "n": of.n_clusters, "resamples": of.resamples, "seed": of.seed},
        "compared": list(of.compared),
        "gates": [gate._asdict() for gate in of.gates()],
        "groups": [_group_json(group) for group in of.groups],
        "reserves": [reserve._asdict() for reserve in of.reserves],
    }


def page(of: Audit, language: str, *, title: str) -> str:
    """One page of Markdown in `zh` or `en`. `title` says what was audited on which data."""
    k = main_capacity(of)
    blocks = [c for c in of.concerns if c.level == "block"]
    warnings = _without_repeats(of, k)
    zh = language == "zh"
    clusters = getattr(CLUSTERS.get(of.clusters, Text(of.clusters, of.clusters)), language)
    meaning = getattr(MEANING, language).format(
        capacity=f"{100 * k:g} %", clusters=clusters, resamples=f"{of.resamples:,}"
    )
    lines = [
        f"# {'公平性审查' if zh else 'Fairness audit'}: {title}",
        "",
        f"**{headline(of, language)}**",
        "",
        meaning,
        "",
        getattr(HEADS, language),
        "|---|--:|--:|--:|--:|--:|--:|---|",
        *(_line(group, k, language) for group in of.groups),
    ]
    for name, listed in ((Text("不通过", "Blocks"), blocks), (Text("提醒", "Warnings"), warnings)):
        lines += ["", f"## {getattr(name, language)} ({len(listed)})", ""]
        shown = listed if name.en == "Blocks" else listed[:MOST_WARNINGS]
        lines += [f"- {sentence(c.finding, language)}" for c in shown] or ["- 无" if zh else "- none"]
        if len(listed) > len(shown):
            more = len(listed) - len(shown)
            lines.append(f"- 另有{more}条，见 audit.json" if zh else f"- {more} more in audit.json")
    if of.reserves:
        lines += ["", "## 预留走访" if zh else "## With reserved visits", "", *_reserve_lines(of, k, zh)]
    return "\n".join([*lines, "", getattr(REMEDIES, language), ""])


def headline(of: Audit, language: str) -> str:
    """What the audit comes to, in a sentence."""
    blocked = [getattr(group_text(g.name), language) for g in of.groups if g.verdict == "block"]
    tested = sum(g.evidence == "gates" and not g.is_reference for g in of.groups)
    if language == "zh":
        return f"不通过：{'、'.join(blocked)}" if blocked else f"检验了{tested}个群体，没有不通过的"
    return f"Blocked by: {', '.join(blocked)}" if blocked else f"{tested} group(s) tested, none blocks"


def main_capacity(of: Audit) -> float:
    """The capacity that pages and pictures show: 5 % where it was audited, else the middle one."""
    return 0.05 if 0.05 in of.capacities else of.capacities[len(of.capacities) // 2]


def audit_figure(of: Audit) -> Figure:
    """Recall at the visiting capacity by group with 95 % intervals; groups with too few outcomes are not drawn."""
    k = main_capacity(of)
    drawn = [(group, recall) for group in of.groups if (recall := group.find("recall", k)) is not None]
    figure = Figure(figsize=(10.0, max(5.6, 1.6 + 0.27 * len(drawn))), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for place, (group, recall) in enumerate(reversed(drawn)):
        colour = ORANGE if group.verdict == "block" else GREY if group.is_reference else BLUE
        axes.plot([recall.low, recall.high], [place, place], color=colour, linewidth=2.0)
        mark = "s" if group.verdict == "block" else "o"
        axes.plot([recall.value], [place], mark, color=colour, markersize=7)
    axes.set_yticks(range(len(drawn)), [_ascii(group.name) for group, _ in reversed(drawn)], fontsize=9)
    for verdict, colour, mark in (
        ("blocks", ORANGE, "s"),
        ("tested or warns", BLUE, "o"),
        ("for comparison", GREY, "o"),
    ):
        axes.plot([], [], mark, color=colour, label=verdict)
    axes.set_xlim(0.0, min(1.0, max([0.1, *(1.1 * recall.high for _, recall in drawn)])))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(visible=True, axis="x", color="#DDDDDD", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(f"share of the affected who are visited at {100 * k:g} %, with 95 % intervals")
    axes.set_ylabel("group")
    axes.set_title(f"Who is reached, by group ({of.positives:,} rows with the outcome)")
    axes.legend(loc="lower right", fontsize=9)
    return figure


def write_report(of: Audit, folder: Path, *, title: str) -> None:
    """Write `audit.json`, `audit.zh.md`, `audit.en.md` and `audit.png` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(as_json(of), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    (folder / "audit.json").write_text(text, encoding="utf-8")
    for language in LANGUAGES:
        (folder / f"audit.{language}.md").write_text(page(of, language, title=title), encoding="utf-8")
    audit_figure(of).savefig(folder / "audit.png")


def interval_text(estimate: Estimate | None, *, signed: bool = False, ratio: bool = False) -> str:
    """A figure with its interval for a table; a dash where there is none.

    >>> interval_text(Estimate(0.25, 0.1, 0.4)), interval_text(Estimate(-0.1, -0.2, 0.0), signed=True)
    ('25 % (10–40)', '-10 (-20–+0)')
    >>> interval_text(Estimate(1.2, 0.9, 1.5), ratio=True), interval_text(None)
    ('1.20 (0.90–1.50)', '–')
    """
    if estimate is None or not math.isfinite(estimate.value):
        return "–"
    if ratio:
        return f"{estimate.value:.2f} ({estimate.low:.2f}–{estimate.high:.2f})"
    value, low, high = (100.0 * number for number in estimate[:3])
    if signed:
        return f"{value:+.0f} ({low:+.0f}–{high:+.0f})"
    return f"{value:.0f} % ({low:.0f}–{high:.0f})"


def _line(group: GroupAudit, k: float, language: str) -> str:
    gap = group.find("recall_gap", k)
    seen = f"{100 * gap.smallest:.0f}" if gap is not None and math.isfinite(gap.smallest) else "–"
    cells = [
        getattr(group_text(group.name), language),
        *("<10" if count is None else f"{count:,}" for count in (group.households, group.positive_households)),
        interval_text(group.find("recall", k)),
        interval_text(gap, signed=True),
        seen,
        interval_text(group.find("observed_expected"), ratio=True),
        getattr(VERDICTS[group.verdict], language),
    ]
    return f"| {' | '.join(cells)} |"


def _without_repeats(of: Audit, k: float) -> list[Concern]:
    """Warnings, one a group and measure: at the main capacity where it warns there."""
    found: dict[tuple[str, str], Concern] = {}
    for concern in of.concerns:
        key = (concern.finding.group, concern.finding.measure)
        if concern.level == "warn" and (key not in found or concern.finding.capacity == k):
            found[key] = concern
    return list(found.values())


def _reserve_lines(of: Audit, k: float, zh: bool) -> list[str]:
    head = (
        "| 预留比例 | 总覆盖率 | 资料少或未评分户的覆盖率 |"
        if zh
        else "| reserved | recall | recall of those badly seen |"
    )
    rows = [r for r in of.reserves if r.capacity == k]
    return [
        head,
        "|--:|--:|--:|",
        *(f"| {r.reserved:.0%} | {r.recall:.1%} | {r.recall_of_reserved:.1%} |" for r in rows),
    ]


def _group_json(group: GroupAudit) -> dict[str, Any]:
    return {
        "name": group.name,
        **group_text(group.name)._asdict(),
        "households": group.households,
        "positives": group.positives,
        "positive_households": group.positive_households,
        "evidence": group.evidence,
        "verdict": group.verdict,
        "is_reference": group.is_reference,
        "findings": [_finding_json(finding) for finding in group.findings],
        "concerns": [
            {
                "level": c.level,
                **_finding_json(c.finding),
                "p_corrected": _number(c.p),
                "text": {"zh": sentence(c.finding, "zh"), "en": c.text},
            }
            for c in group.concerns
        ],
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    numbers = {name: _number(value) for name, value in finding.estimate._asdict().items()}
    return {"measure": finding.measure, "capacity": finding.capacity, "against": finding.against, **numbers}


def _number(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None


def _ascii(name: str) -> str:
    """A name that every font can draw."""
    text = group_text(name).en
    return text if text.isascii() else text.encode("ascii", "replace").decode()
