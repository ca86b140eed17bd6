"""Figures of one run, 1000 pixels wide, in colours and marks that people who see few colours can tell apart.

Built on `Figure` objects without pyplot: nothing is kept between calls and no display is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator, PercentFormatter

from features.definition import GROUP_TEXT, Group
from training.baselines import ALL_LOGISTIC, BEST_SINGLE, BEST_TRIGGER, INCOME_LOGISTIC, POINTS
from training.challengers import CHAMPION, EBM, ONE_LIGHTGBM
from training.evaluation import CAPACITY

Floats = npt.NDArray[np.float64]

MODEL, TRUTH = "model", "truth"
CURVE_TEXT = {
    MODEL: "this model",
    TRUTH: "true probability",
    BEST_SINGLE: "best single feature",
    INCOME_LOGISTIC: "logistic, income only",
    ALL_LOGISTIC: "logistic, all features",
    POINTS: "points of the rules",
    BEST_TRIGGER: "best single trigger",
    EBM: "EBM",
    ONE_LIGHTGBM: "one plain LightGBM",
    CHAMPION: "model in use",
}
# Okabe and Ito's palette.
BLUE, ORANGE, GREEN, PURPLE, SKY, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#595959"
YELLOW = "#B8860B"
CURVE_STYLES = {
    MODEL: {"color": BLUE, "linewidth": 2.6, "linestyle": "-"},
    TRUTH: {"color": "black", "linewidth": 1.8, "linestyle": (0, (1, 1))},
    ALL_LOGISTIC: {"color": ORANGE, "linewidth": 1.8, "linestyle": "--"},
    INCOME_LOGISTIC: {"color": GREEN, "linewidth": 1.8, "linestyle": "-."},
    BEST_SINGLE: {"color": PURPLE, "linewidth": 1.8, "linestyle": (0, (5, 1, 1, 1, 1, 1))},
    POINTS: {"color": SKY, "linewidth": 1.8, "linestyle": (0, (8, 2))},
    BEST_TRIGGER: {"color": GREY, "linewidth": 1.8, "linestyle": (0, (3, 2))},
    EBM: {"color": YELLOW, "linewidth": 1.8, "linestyle": (0, (6, 1))},
    ONE_LIGHTGBM: {"color": SKY, "linewidth": 1.6, "linestyle": (0, (1, 2))},
    CHAMPION: {"color": "black", "linewidth": 1.8, "linestyle": "--"},
}
TICKS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.95, 0.99)
LEAST_SHOWN, MOST_SHOWN = 1e-4, 0.995


def calibration_figure(outcome: npt.ArrayLike, probability: npt.ArrayLike, *, groups: int = 10) -> Figure:
    """Foretold against observed shares in groups of equal size with 95% intervals, and the counts behind them."""
    y, p = np.asarray(outcome, np.float64), np.asarray(probability, np.float64)
    # Equal scores stay in one group, so there may be fewer groups than asked for.
    edges = np.unique(np.quantile(p, np.linspace(0.0, 1.0, groups + 1)[1:-1]))
    group = np.unique(np.searchsorted(edges, p, side="right"), return_inverse=True)[1]
    rows = np.bincount(group)
    foretold, observed = (np.asarray(np.bincount(group, each), np.float64) for each in (p, y))
    low, high = _wilson(observed, rows)
    figure, (shares, counts) = _figure(1, 2, width_ratios=[1.0, 1.15])

    floor = max(LEAST_SHOWN, min(0.01, float((foretold / rows).min())) / 2.0)
    ceiling = min(1.0, 1.6 * float(max((foretold / rows).max(), high.max())))
    x, share = np.maximum(foretold / rows, floor), observed / rows
    shares.plot(
        [floor, ceiling], [floor, ceiling], color=GREY, linewidth=1.2, linestyle="--", label="foretold = observed"
    )
    # An interval that touches zero has no place on a logarithmic axis; it is drawn down to the edge.
    shares.vlines(x, np.maximum(low, floor), np.maximum(high, floor), color=BLUE, linewidth=1.6)
    some = observed > 0.0
    shares.plot(x[some], share[some], "o", color=BLUE, markersize=7, label="observed share, 95% interval")
    if not some.all():
        shares.plot(
            x[~some], np.full((~some).sum(), floor * 1.08), "v", color=BLUE, markerfacecolor="white", markersize=7,
            clip_on=False, zorder=3, label="no outcome observed",
        )  # fmt: skip
    for axis, scale in ((shares.xaxis, shares.set_xscale), (shares.yaxis, shares.set_yscale)):
        scale("log")
        _percent_ticks(axis, floor, ceiling)
    shares.set(xlim=(floor, ceiling), ylim=(floor, ceiling))
    shares.set(xlabel="mean foretold probability", ylabel="observed share", title="Foretold and observed shares")
    # Below the axes: inside, it would hide the wide intervals of small groups.
    shares.legend(loc="upper left", bbox_to_anchor=(0.0, -0.12), fontsize=9, frameon=False)

    place = np.arange(len(rows))
    counts.bar(place - 0.2, foretold, 0.38, color=SKY, label=f"foretold ({foretold.sum():,.0f})")
    counts.bar(place + 0.2, observed, 0.38, color=ORANGE, label=f"observed ({observed.sum():,.0f})")
    counts.set_xticks(place, [f"{n:,}" for n in rows], rotation=90 if rows.max() >= 10_000 else 45, fontsize=9)
    counts.set(ylabel="rows with the outcome", title=f"Counts in {len(rows)} groups by score, lowest to highest")
    counts.set_xlabel("rows in the group")
    counts.yaxis.set_major_locator(MaxNLocator(integer=True))
    counts.legend(loc="upper left", fontsize=9)
    return figure


def recall_figure(
    outcome: npt.ArrayLike, probabilities: Mapping[str, npt.ArrayLike], *, highest: float = 0.25
) -> Figure:
    """Who is reached at a visiting capacity, up to the share `highest`: the model, the baselines, the truth if known.

    Keys are `MODEL`, `TRUTH` and names of baselines. Rows where one of them is NaN are left out of all curves. Ties
    are in random order.
    """
    curves = {name: np.asarray(values, np.float64) for name, values in probabilities.items()}
    known = np.logical_and.reduce([np.isfinite(values) for values in curves.values()])
    y = np.asarray(outcome, np.float64)[known]
    figure, (axes,) = _figure(1, 1)
    if y.sum() > 0.0:
        for name in sorted(curves, key=lambda name: list(CURVE_STYLES).index(name) if name in CURVE_STYLES else 99):
            visited, found = _reach(y, curves[name][known])
            style = CURVE_STYLES.get(name, {"color": SKY, "linewidth": 1.6})
            label = CURVE_TEXT.get(name, name.replace("_", " "))
            at_five = np.interp(0.05, visited, found)
            axes.plot(visited, found, label=f"{label} ({at_five:.0%} at 5%)", **style)
    axes.plot([0.0, 1.0], [0.0, 1.0], color=GREY, linewidth=1.2, linestyle=":", label="visits at random (5% at 5%)")
    top = max([1e-9, *(float(line.get_ydata()[line.get_xdata() <= highest].max()) for line in axes.lines[:-1])])
    for capacity in CAPACITY:
        axes.axvline(capacity, color=GREY, linewidth=1.0, linestyle=(0, (2, 4)), zorder=1)
    axes.set(xlim=(0.0, highest), ylim=(0.0, min(1.02, max(highest, top) * 1.05)))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("visiting capacity: share of household rows visited, highest scores first")
    axes.set_ylabel("share of the rows with the outcome that is reached")
    axes.set_title(f"Who is reached at a visiting capacity ({len(y):,} rows, {y.sum():,.0f} with the outcome)")
    axes.legend(loc="lower right", fontsize=10)
    return figure


def score_figure(outcome: npt.ArrayLike, probability: npt.ArrayLike) -> Figure:
    """Where the scores of rows with and without the outcome lie; each of the two adds up to 100 %."""
    y, p = np.asarray(outcome, np.float64), np.asarray(probability, np.float64)
    held = np.clip(p, LEAST_SHOWN, MOST_SHOWN)
    margin = np.log(held) - np.log1p(-held)
    figure, (axes,) = _figure(1, 1)
    span = (float(margin.min()), max(float(margin.max()), float(margin.min()) + 0.1))
    bins = np.linspace(*span, 41)
    for wanted, words, colour, hatch in (
        (0.0, "without the outcome", SKY, ""),
        (1.0, "with the outcome", ORANGE, "///"),
    ):
        part = margin[y == wanted]
        if len(part):
            axes.hist(
                part, bins, weights=np.full(len(part), 1.0 / len(part)), histtype="stepfilled", alpha=0.55,
                facecolor=colour, edgecolor=colour, linewidth=1.8, hatch=hatch, label=f"{words} ({len(part):,})",
            )  # fmt: skip
    base = float(np.clip(y.mean(), LEAST_SHOWN, MOST_SHOWN))
    axes.axvline(
        np.log(base) - np.log1p(-base), color=GREY, linestyle="--", linewidth=1.4, label=f"base rate ({y.mean():.1%})"
    )
    shown = [tick for tick in TICKS if span[0] <= np.log(tick / (1.0 - tick)) <= span[1]]
    axes.set_xticks([np.log(tick / (1.0 - tick)) for tick in shown], [f"{100 * tick:g}%" for tick in shown])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("foretold probability (axis even in log-odds)")
    axes.set_ylabel("share of the rows of that outcome")
    axes.set_title("Scores by outcome")
    axes.legend(loc="upper right", fontsize=10)
    return figure


def importance_figure(importance: Mapping[Group, float]) -> Figure:
    """How much each domain moves the scores: mean absolute contribution per household row, in log-odds."""
    ranked = sorted(importance.items(), key=lambda item: item[1])
    figure, (axes,) = _figure(1, 1)
    bars = axes.barh([GROUP_TEXT[group].en for group, _ in ranked], [value for _, value in ranked], color=BLUE)
    axes.bar_label(bars, fmt="%.3f", padding=4, fontsize=10)
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("mean absolute contribution, log-odds")
    axes.set_ylabel("domain")
    axes.set_title("What moves the scores, by domain")
    return figure


def _figure(rows: int, columns: int, **grid: Any) -> tuple[Figure, list[Any]]:
    """A figure 1000 x 560 pixels with its axes in one list."""
    figure = Figure(figsize=(10.0, 5.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(np.ravel(figure.subplots(rows, columns, gridspec_kw=grid or None)))
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(visible=True, color="#DDDDDD", linewidth=0.7)
        one.set_axisbelow(True)
    return figure, axes


def _percent_ticks(axis: Any, floor: float, ceiling: float) -> None:
    """Ticks in percent on a logarithmic axis: 1, 2, 5, 10 ..., or only 1, 10 ... where those would touch."""
    series = TICKS if ceiling / floor < 400.0 else TICKS[::3]
    axis.set_major_locator(FixedLocator([tick for tick in series if floor <= tick <= ceiling]))
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _reach(y: Floats, p: Floats) -> tuple[Floats, Floats]:
    """Shares visited and reached where the score changes; the straight line between is a random order of the ties."""
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    found = np.cumsum(y[order])[ends]
    return np.append(0.0, (ends + 1) / len(p)), np.append(0.0, found / y.sum())


def _wilson(hits: Floats, n: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The 95% interval of a share after Wilson; it stays within 0 and 1 at few hits."""
    z = 1.959964
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return np.maximum(0.0, centre - half), np.minimum(1.0, centre + half)
