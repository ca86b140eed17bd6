"""The figure of a drift report: what moved, what became of it, and where the scores lie now."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from training.drift import Drift
from training.drift_findings import LEVEL_BOUNDS, PSI_MARKS, moved_most
from training.plots import BLUE, GREEN, GREY, ORANGE, SKY

SHOWN_FEATURES = 10
RATIOS = (0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)


def drift_figure(found: Drift) -> Figure:
    """Three panels: the features that moved most, the level by quarter, the scores in the bins of training."""
    figure = Figure(figsize=(14.0, 5.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    features, level, scores = figure.subplots(1, 3, width_ratios=[1.3, 1.0, 0.9])
    for axes in (features, level, scores):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, color="#DDDDDD", linewidth=0.7)
        axes.set_axisbelow(True)
    _features_panel(features, found)
    _level_panel(level, found)
    _scores_panel(scores, found)
    return figure


def _features_panel(axes: Any, found: Drift) -> None:
    moved = moved_most(found.features, SHOWN_FEATURES)[::-1]
    colours = [ORANGE if one.exceeds(PSI_MARKS[1]) else BLUE for one in moved]
    axes.barh([one.name for one in moved], [one.psi for one in moved], color=colours)
    for mark in PSI_MARKS:
        axes.axvline(mark, color=GREY, linewidth=1.2, linestyle="--")
    axes.tick_params(axis="y", labelsize=8)
    axes.set(title="Features that moved most", xlabel=f"stability index (marks at {PSI_MARKS[0]} and {PSI_MARKS[1]})")


def _level_panel(axes: Any, found: Drift) -> None:
    told = [(one.period, one.ratio) for one in found.by_quarter if one.ratio is not None and one.ratio.value > 0.0]
    axes.set(title="Observed / foretold", xlabel="quarter of the judgement")
    if not told:
        axes.text(0.5, 0.5, "no outcome is known yet", ha="center", va="center", transform=axes.transAxes)
        return
    place, value = np.arange(len(told)), np.array([ratio.value for _, ratio in told])
    # A logarithmic axis has no place for an interval that touches zero.
    low = np.array([np.nanmax([ratio.low, 0.05]) for _, ratio in told])
    high = np.array([np.nanmax([ratio.high, ratio.value]) for _, ratio in told])
    axes.axhspan(*LEVEL_BOUNDS, color=GREEN, alpha=0.12, label=f"{LEVEL_BOUNDS[0]} to {LEVEL_BOUNDS[1]}")
    axes.axhline(1.0, color=GREY, linewidth=1.2, linestyle="--")
    axes.vlines(place, low, high, color=BLUE, linewidth=1.8)
    axes.plot(place, value, "o", color=BLUE, markersize=6, label="with 95% interval")
    axes.set_yscale("log")
    axes.set_ylim(min(0.6, float(low.min())) * 0.95, max(1.7, float(high.max())) * 1.05)
    axes.yaxis.set_major_locator(FixedLocator(RATIOS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xticks(place, [period for period, _ in told], rotation=60, fontsize=8)
    axes.legend(fontsize=8)


def _scores_panel(axes: Any, found: Drift) -> None:
    then, now = found.score_shares
    place = np.arange(len(then))
    axes.bar(place - 0.2, then, 0.38, color=SKY, label="training")
    axes.bar(place + 0.2, now, 0.38, color=ORANGE, label="now")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xticks(place, [str(at + 1) for at in place], fontsize=8)
    axes.set(title="Where the scores lie", xlabel="bins of the training scores, lowest first", ylabel="share of rows")
    axes.legend(fontsize=8)
