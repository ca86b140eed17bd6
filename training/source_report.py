"""The values of the sources for machines, for a page, for a terminal and as a figure.

All numbers that people read are in points of 100: recall that falls from 0.31 to 0.28 loses 3 points.
"""

from __future__ import annotations

import math
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.table import Table

from features.dataset import DatasetMeta
from training.plots import BLUE, GREY
from training.resampling import LEVEL
from training.source_value import Loss, SourceValue, SourceValues

NAME_WIDTH = 28
SHORT = {"average precision": "avg prec"}


def as_json(found: SourceValues, meta: DatasetMeta) -> dict[str, Any]:
    """JSON values: losses as shares (0..1), with `low`, `high` and `detectable`; None where there is no number."""
    return {
        "dataset": meta.name,
        "digest": meta.digest,
        "label": found.label,
        "repeats": found.repeats,
        "train_rows": found.train_rows,
        "test_rows": found.test_rows,
        "positives": found.positives,
        "clusters": found.clusters,
        "level": LEVEL,
        "all_sources": {metric: _number(value) for metric, value in found.whole.items()},
        "retraining": found.retraining,
        "sources": [
            {
                "source": one.source,
                "meaning": one.meaning,
                "households": one.households,
                "features": one.features,
                "says": {metric: one.says(metric) for metric in found.metrics},
                "losses": {
                    metric: {
                        **{name: _number(value) for name, value in loss.interval._asdict().items()},
                        "detectable": _number(loss.detectable),
                    }
                    for metric, loss in one.losses.items()
                },
            }
            for one in found.sources
        ],
    }


def sentence(found: SourceValues) -> str:
    """One sentence: which sources add something that could be measured, by the first metric."""
    first = found.metrics[0]
    adding = [one.meaning for one in found.sources if one.says(first) == "adds"]
    read = [one for one in found.sources if one.losses]
    if adding:
        return f"Without {_listed(adding)} the {_words(first)} falls by more than chance explains."
    if not read:
        return "No source changes anything that the model reads."
    sizes = sorted({f"{100.0 * one.losses[first].detectable:.1f}" for one in read}, key=float)
    span = sizes[0] if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    said = f"No single source has a measurable value by {_words(first)} here"
    return f"{said}; losses below {span} points stay unnoticed."


def table(found: SourceValues) -> Table:
    """The table for a terminal of 80 columns: the sources that the model reads."""
    first = found.metrics[0]
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown.caption = "Points of 100 lost without a source; * = not by chance"
    shown.add_column("source", no_wrap=True, max_width=NAME_WIDTH, overflow="ellipsis")
    shown.add_column("reads", justify="right")
    shown.add_column(_words(first), justify="right", no_wrap=True)
    shown.add_column("interval", justify="right", no_wrap=True)
    for metric in found.metrics[1:]:
        words = _words(metric)
        shown.add_column(SHORT.get(words, words.removeprefix("recall ")), justify="right", no_wrap=True)
    for one in found.sources:
        if one.losses:
            cells = [_points(one.losses[metric]) for metric in found.metrics]
            shown.add_row(one.meaning, str(one.features), cells[0], _span(one.losses[first]), *cells[1:])
    return shown


def unread(found: SourceValues) -> str:
    """A sentence that names the sources without any effect on what the model reads; empty if there is none."""
    names = sorted(one.meaning for one in found.sources if not one.losses)
    return f"No feature reads: {'; '.join(names)}." if names else ""


def page(found: SourceValues, meta: DatasetMeta) -> str:
    """The values in Markdown, the answer first."""
    head = "| source | households | features | " + " | ".join(map(_words, found.metrics)) + " | says | found from |"
    lines = [
        f"# {sentence(found)}",
        "",
        f"Data: {meta.name}, digest {meta.digest[:12]}. Foreseen: {found.label}. {found.train_rows:,} training rows; "
        f"{found.test_rows:,} test rows, {found.positives:,} with the outcome.",
        f"{meta.provenance}",
        "",
        "With all sources: "
        + ", ".join(f"{_words(metric)} {100 * value:.1f}" for metric, value in found.whole.items())
        + ". The columns tell how many points of 100 are lost without a source, with an interval of "
        f"{LEVEL:.0%} over whole {found.clusters}s of the test. {_retraining(found)}",
        "",
        head,
        "|---|---:|---:|" + "---:|" * len(found.metrics) + "---|---:|",
        *(_row(found, one) for one in found.sources if one.losses),
        "",
        unread(found),
        "",
        f'"Says" and "found from" speak of {_words(found.metrics[0])}. "No measurable value here" is no proof that a '
        'source is worth nothing: "found from" is the smallest loss that would have been told from 0 four times out of '
        "five. What two sources both tell is lost with neither, so the losses do not add up.",
    ]
    return "\n".join(lines) + "\n"


def figure(found: SourceValues) -> Figure:
    """One bar a source that the model reads, with its interval, by the first metric."""
    first = found.metrics[0]
    read = [one for one in found.sources if one.losses][::-1]
    drawn = Figure(figsize=(10.0, 1.6 + 0.34 * max(1, len(read))), dpi=100, layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.subplots()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(visible=True, axis="x", color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)
    for place, one in enumerate(read):
        value, low, high = (100.0 * number for number in one.losses[first].interval)
        is_told = one.says(first) != "no measurable value here"
        axes.barh(place, value, color=BLUE if is_told else "#C9D6DF", height=0.62)
        if math.isfinite(low):
            axes.hlines(place, low, high, color="black" if is_told else GREY, linewidth=1.8)
    axes.axvline(0.0, color="black", linewidth=1.0)
    axes.set_yticks(range(len(read)), [one.meaning for one in read], fontsize=9)
    axes.set(
        title=f"What is lost without a source: {_words(first)}",
        xlabel=f"points of 100 lost, with {LEVEL:.0%} interval; pale where it could be chance",
    )
    return drawn


def _row(found: SourceValues, one: SourceValue) -> str:
    cells = [f"{_points(loss)} ({_span(loss)})" for loss in one.losses.values()]
    least = f"{100 * one.losses[found.metrics[0]].detectable:.1f}"
    says = one.says(found.metrics[0])
    return f"| {one.meaning} | {one.households} | {one.features} | {' | '.join(cells)} | {says} | {least} |"


def _points(loss: Loss) -> str:
    return f"{100.0 * loss.interval.value:+.1f}" + ("" if loss.says == "no measurable value here" else "*")


def _span(loss: Loss) -> str:
    _, low, high = loss.interval
    return f"{100.0 * low:+.1f} to {100.0 * high:+.1f}" if math.isfinite(low) else "not known"


def _retraining(found: SourceValues) -> str:
    if found.retraining is None:
        return "One training each: what another seed would move is not in the interval."
    spread = found.retraining[found.metrics[0]]
    return (
        f"Means of {found.repeats} trainings; a loss moves by {100 * spread:.1f} points (standard deviation) from seed "
        "to seed, which is in the interval."
    )


def _words(metric: str) -> str:
    if metric.startswith("recall_at_"):
        return f"recall at {metric.removeprefix('recall_at_').removesuffix('pct').replace('_', '.')} %"
    return metric.replace("_", " ")


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
