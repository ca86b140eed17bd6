"""What a person reads about drift: the findings first, then the figures behind them."""

from __future__ import annotations

from training.drift import Drift
from training.drift_findings import PSI_MARKS, moved_most
from training.level import Level

SHOWN_FEATURES = 10
VERDICT_TEXT = {
    "fine": "Fine: nothing asks for attention.",
    "watch": "Watch: somebody should look at what moved. Nothing is changed.",
    "recalibrate": "Recalibrate: the level is off by more than chance. Nothing is changed until a person approves.",
    "wording_off": "Wording off: the level is so far off that only tiers should be shown, and no numbers.",
}


def report(found: Drift, *, bundle: str, dataset: str, label: str, proposal: bool) -> str:
    """The page in Markdown. `bundle` and `dataset` name what was watched; `proposal` says whether one was written."""
    lines = [
        f"# {VERDICT_TEXT[found.verdict]}",
        "",
        f"Bundle {bundle} on {dataset}, label {label}, {found.moments[0]} to {found.moments[1]}: {found.rows:,} "
        f"household rows, {found.recent_rows:,} of them recent.",
        "",
        *(f"- **{finding.verdict}** ({finding.name}): {finding.text}" for finding in found.findings),
        "",
        "## Observed outcomes per outcome foretold",
        "",
        "| quarter | rows | outcomes | foretold | observed / foretold | 95 % interval |",
        "|---|---|---|---|---|---|",
        *map(_level_row, _levels(found)),
        "",
        "Quarters are those of the moment of judgement. The last line is what the verdict rests on. Fewer than ten "
        "affected households are not shown.",
        "",
        f"## The {SHOWN_FEATURES} features that moved most",
        "",
        "| feature | stability index | by chance up to | unknown in training | unknown now | weight in the model |",
        "|---|---|---|---|---|---|",
    ]
    for one in moved_most(found.features, SHOWN_FEATURES):
        then = "few" if one.unknown_then is None else f"{one.unknown_then:.1%}"
        lines.append(
            f"| {one.name} | {one.psi:.3f} | {one.chance:.3f} | {then} | {one.unknown_now:.1%} | {one.weight:.1%} |"
        )
    lines += ["", f"Below {PSI_MARKS[0]} is as in training, above {PSI_MARKS[1]} is far from it."]
    if proposal:
        lines += ["", "`proposal.json` holds a new level. `povrisk recalibrate` applies it when a person approves."]
    return "\n".join(lines) + "\n"


def _levels(found: Drift) -> list[Level]:
    """The quarters, and the last four together where there are several."""
    together = [found.latest] if found.latest is not None and len(found.by_quarter) > 1 else []
    return [*found.by_quarter, *together]


def _level_row(level: Level) -> str:
    if level.ratio is None:
        return f"| {level.period} | {level.rows:,} | fewer than 10 households | {level.foretold:,.1f} | – | – |"
    value, low, high = level.ratio
    return (
        f"| {level.period} | {level.rows:,} | {level.positives:,} | {level.foretold:,.1f} | {value:.2f} "
        f"| {low:.2f} to {high:.2f} |"
    )
