"""What a run of `training.visiting_bias` found, as tables, sentences and a figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.plots import BLUE, GREEN, GREY, ORANGE, PURPLE
from training.visiting_bias import (
    ESTIMATORS,
    ORACLE,
    RECORDS,
    RECORDS_ARM,
    VISITED,
    WEIGHTED,
    WEIGHTED_ARM,
    Settings,
    summary,
)

FIGURES = {
    "auc": "AUC",
    "observed_expected": "observed / expected",
    "recall": "recall",
    "hidden_recall": "recall, hidden",
    "hidden_observed_expected": "observed / expected, hidden",
    "found": "on record",
    "list_hidden": "hidden on the list",
}
COLOURS = {RECORDS: ORANGE, VISITED: PURPLE, RECORDS_ARM: GREEN, WEIGHTED: GREY, WEIGHTED_ARM: BLUE, ORACLE: "black"}
MARKS = {RECORDS: "s", VISITED: "v", RECORDS_ARM: "D", WEIGHTED: "^", WEIGHTED_ARM: "o", ORACLE: "*"}
Cell = tuple[float, float]


def found(one_year: pd.DataFrame, loop: pd.DataFrame, settings: Settings, seeds: int) -> dict[str, Any]:
    """All figures as JSON values: means and standard deviations over the seeds, and what they say in words."""
    table, yearly = summary(one_year, ["way"]), summary(loop, ["way", "year"])
    return {
        "settings": {name: getattr(settings, name) for name in settings.__dataclass_fields__} | {"seeds": seeds},
        "ways": dict(ESTIMATORS),
        "one_year": _records(table),
        "feedback": _records(yearly),
        "sentences": sentences(one_year, loop),
    }


def sentences(one_year: pd.DataFrame, loop: pd.DataFrame) -> list[str]:
    """What the figures say, against the arm where they do.

    A way is better or worse than the naive records only where it is so under every seed.
    """
    said = []
    by_seed = {name: one_year.pivot(index="seed", columns="way", values=name) for name in FIGURES if name in one_year}
    for way in (RECORDS, VISITED, RECORDS_ARM, WEIGHTED, WEIGHTED_ARM):
        ratio = float(by_seed["observed_expected"][way].mean())
        said.append(f"{way}: {ratio:.2f} affected for each one foretold{_judgement(ratio)}.")
    for way in (RECORDS_ARM, WEIGHTED_ARM):
        for name in ("auc", "recall", "hidden_recall"):
            gap = (by_seed[name][way] - by_seed[name][RECORDS]).dropna() if name in by_seed else pd.Series(dtype=float)
            if len(gap):
                verdict = (
                    "better" if (gap > 0.0).all() else "WORSE" if (gap < 0.0).all() else "neither better nor worse"
                )
                # A mean of nearly 0 is no negative 0.
                mean = round(float(gap.mean()), 3) + 0.0
                said.append(f"{FIGURES[name]}: {way} is {verdict} than the naive records ({mean:+.3f}).")
    last = loop[loop["year"] == loop["year"].max()].groupby("way", sort=False)[["observed_expected", "auc", "found"]]
    for row in last.mean().reset_index().to_dict("records"):
        said.append(
            f"At the end of the loop, {row['way']}: {row['observed_expected']:.2f} affected for each one foretold, AUC "
            f"{row['auc']:.3f}; {row['found']:.0%} of the last year's affected came on record."
        )
    return said


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    settings = result["settings"]
    lines = [
        "# What visiting bias does",
        "",
        f"{settings['share_visited']:.0%} of the households are visited in a year, with an arm {settings['arm']:.0%} "
        "of all by lot and the rest for the list; a need that nobody visits is brought forward by the household with a "
        f"chance of {settings['applies'][0]:.0%} (hidden households {settings['applies'][1]:.0%}). Judged on other "
        f"households by their true outcomes, with lists of {settings['capacity']:.0%}; mean ± standard deviation "
        f"over {settings['seeds']} seeds. Synthetic: it shows how the ways of learning fail, not how much they fail in "
        "a real county.",
        "",
        *(f"* **{way}**: {text}" for way, text in result["ways"].items()),
        "",
        "## One year of lists by the earlier score",
        "",
        *_table(result["one_year"], ["way"]),
        "",
        "## The loop: each way makes its own next lists",
        "",
        *_table(result["feedback"], ["way", "year"]),
        "",
        "## In words",
        "",
        *(f"* {sentence}" for sentence in result["sentences"]),
    ]
    return "\n".join(lines) + "\n"


def figure(result: dict[str, Any]) -> Figure:
    """The level and the ranking of each way, and the level over the years of the loop."""
    drawn = Figure(figsize=(10.0, 4.2), dpi=100, layout="constrained")
    FigureCanvasAgg(drawn)
    level, ranking, years = drawn.subplots(1, 3)
    ways = [row["way"] for row in result["one_year"]]
    for axes, name in ((level, "observed_expected"), (ranking, "auc")):
        for at, row in enumerate(result["one_year"]):
            mean, spread = row[name], row[f"{name}_sd"] or 0.0
            axes.errorbar(mean, at, xerr=spread, fmt=MARKS[row["way"]], color=COLOURS[row["way"]], capsize=3)
        axes.set_yticks(range(len(ways)), ways if axes is level else [""] * len(ways))
        axes.invert_yaxis()
        axes.set_xlabel(FIGURES[name])
    level.axvline(1.0, color=GREY, linewidth=0.8, linestyle=":")
    for way in dict.fromkeys(row["way"] for row in result["feedback"]):
        rows = [row for row in result["feedback"] if row["way"] == way]
        years.plot(
            [row["year"] for row in rows],
            [row["observed_expected"] for row in rows],
            marker=MARKS[way],
            color=COLOURS[way],
            label=way,
        )
    years.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
    years.set_xticks(sorted({row["year"] for row in result["feedback"]}))
    years.set_xlabel("year of the loop")
    years.set_ylabel(FIGURES["observed_expected"])
    years.legend(fontsize=8, frameon=False)
    return drawn


def write(result: dict[str, Any], folder: Path) -> None:
    """`visiting_bias.md`, `.json` and `.png` into a folder, made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "visiting_bias.md").write_text(markdown(result), encoding="utf-8")
    written = json.dumps(result, ensure_ascii=False, indent=2, allow_nan=False)
    (folder / "visiting_bias.json").write_text(written + "\n", encoding="utf-8")
    figure(result).savefig(folder / "visiting_bias.png")


def cells(row: dict[str, Any], *, with_spread: bool = True) -> dict[str, str]:
    """The figures of one row as they are shown, `—` where there is none."""
    shown = {}
    for name, title in FIGURES.items():
        if name in row:
            value, spread = row[name], row[f"{name}_sd"] if with_spread else None
            shown[title] = "—" if value is None else f"{value:.3f}" + ("" if spread is None else f" ± {spread:.3f}")
    return shown


def _table(rows: list[dict[str, Any]], by: list[str]) -> list[str]:
    titles = [*by, *cells(rows[0])]
    body = ["| " + " | ".join([*(str(row[name]) for name in by), *cells(row).values()]) + " |" for row in rows]
    return ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles), *body]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain values; what cannot be said is None."""
    return [
        {
            str(name): None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in row.items()
        }
        for row in table.to_dict("records")
    ]


def _judgement(ratio: float) -> str:
    if ratio > 1.1:
        return ", so it promises too little"
    return ", so it promises too much" if ratio < 1.0 / 1.1 else ", which is right within a tenth"
