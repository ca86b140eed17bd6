"""What a person reads after a study: plots, a picture of SHAP values, and a page of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from features.definition import Group
from training.acceptance import why
from training.audit_report import audit_figure
from training.audit_report import headline as audit_headline
from training.comparison import Comparison, first_line
from training.discovery import by_route
from training.fold import FEWEST_TOLD, told
from training.plots import MODEL, TRUTH, calibration_figure, importance_figure, recall_figure, score_figure
from training.risk_coverage import by_code, risk_coverage, risk_coverage_figure

if TYPE_CHECKING:
    from training.study import Study

SHOWN_FEATURES = 20
METRICS = (
    ("auc", "AUC"),
    ("average_precision", "average precision"),
    ("recall_at_2pct", "recall at 2 % capacity"),
    ("recall_at_5pct", "recall at 5 % capacity"),
    ("recall_at_10pct", "recall at 10 % capacity"),
    ("brier", "Brier score"),
    ("log_loss", "log-loss"),
    ("observed_expected", "observed / expected"),
)


def figures(done: Study) -> dict[str, Figure]:
    """The plots of a study by file name."""
    test = done.test
    outcome, probability = test["outcome"].to_numpy(np.float64), test["probability"].to_numpy(np.float64)
    forecasts = {MODEL: probability} | {name: test[f"baseline_{name}"].to_numpy() for name in done.baseline_metrics}
    if "hazard" in test:
        forecasts[TRUTH] = test["hazard"].to_numpy(np.float64)
    by_group: dict[Group, float] = {}
    for feature, weight in zip(done.catalogue.features, done.importance, strict=True):
        by_group[feature.group] = by_group.get(feature.group, 0.0) + float(weight)
    curve = risk_coverage(test, test["coverage"])
    found = {
        "risk_coverage": risk_coverage_figure(curve, chosen=1.0 - float(test["abstained"].mean())),
        "calibration": calibration_figure(outcome, probability),
        "recall_at_capacity": recall_figure(outcome, forecasts),
        "scores": score_figure(outcome, probability),
        "importance_by_domain": importance_figure(by_group),
        "shap_values": shap_figure(done),
    }
    if done.audit is not None and any(group.evidence != "insufficient" for group in done.audit.groups):
        found["groups"] = audit_figure(done.audit)
    return found


def shap_figure(done: Study) -> Figure:
    """SHAP values of a sample of training rows for the features that move the scores most."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import shap

    shap.summary_plot(
        done.contributions,
        done.explained_values,
        feature_names=list(done.catalogue.names),
        max_display=SHOWN_FEATURES,
        plot_size=(10, 8),
        show=False,
        rng=np.random.default_rng(0),
    )
    figure: Figure = plt.gcf()
    figure.axes[0].set_xlabel("SHAP value (calibrated log-odds; right means more risk)")
    figure.tight_layout()
    plt.close(figure)
    return figure


def report(done: Study) -> str:
    """The study in Markdown: first whether the bag wins, then whether it may be published, then the figures."""
    parts = [
        _head(done),
        _comparison(done),
        _level(done),
        _selection(done),
        _abstention(done),
        _groups(done),
        _gates(done),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _head(done: Study) -> list[str]:
    meta, metrics = done.dataset.meta, done.metrics
    lines = [
        f"# {first_line(done.comparisons)}",
        "",
        why(done.gates),
        "",
        f"Foreseen: {done.label.meaning.en} ({done.label.name}). Data: {meta.name}, digest {meta.digest[:12]}.",
        f"{meta.provenance}",
        "",
        f"Training rows {done.train_rows:,} until {done.train_until}; test rows {metrics['n']:,.0f}, "
        f"{metrics['positives']:,.0f} with the outcome ({metrics['base_rate']:.2%}).",
        f"Split: {done.split.description['time']}. {done.split.description['households']}. An outcome counts as known "
        f"{done.publication_lag_days} days after its horizon.",
        f"Settings: {done.learned.search.text}.",
    ]
    return lines + [f"Note: {note}." for note in done.notes]


def _comparison(done: Study) -> list[str]:
    """Every challenger on the same rows, and by how much the bag is ahead of each with the interval of that."""
    columns = {"this model": done.metrics, **done.baseline_metrics}
    lines = ["## The same rows, the same capacity", ""]
    lines.append("| model | " + " | ".join(words for _, words in METRICS) + " |")
    lines.append("|---|" + "---|" * len(METRICS))
    for name, values in columns.items():
        cells = [f"{values[metric]:.4f}" if metric in values else "–" for metric, _ in METRICS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    shown = [(metric, words) for metric, words in METRICS if any(one.metric == metric for one in done.comparisons)]
    lines += ["", "This model minus the other, 95 % interval of the paired difference:", ""]
    lines += ["| other | " + " | ".join(words for _, words in shown) + " |", "|---|" + "---|" * len(shown)]
    for name in done.baseline_metrics:
        of = {one.metric: one for one in done.comparisons if one.name == name}
        lines.append(f"| {name} | " + " | ".join(_difference(of.get(metric)) for metric, _ in shown) + " |")
    lines += ["", f"Best single feature: `{done.best_single_feature}`."]
    if done.best_trigger is not None:
        lines.append(
            f"The rules on the same rows: `points` ranks by the points in force at each moment, `best_trigger` by "
            f"{done.best_trigger}, which ranks the training rows best. Both became probabilities by a logistic curve "
            "over their ranks."
        )
    lines.append(
        "The recall of this model counts households without a score as missed; the others score everybody. If "
        f"everybody were scored: {_all_scored(done.metrics)}."
    )
    if "truth_auc" in done.metrics:
        lines.append(
            f"The true hazard of this synthetic county scores {done.metrics['truth_auc']:.4f}; the model stays "
            f"{done.metrics['auc_below_truth']:.4f} below it."
        )
    return lines


def _level(done: Study) -> list[str]:
    metrics = done.metrics
    lines = ["## Do the probabilities mean what they say", ""]
    for name, words in (
        ("observed_expected", "observed / expected"),
        ("observed_expected_top_decile", "observed / expected of the top decile"),
        ("calibration_slope", "calibration slope"),
    ):
        if name in metrics:
            lines.append(f"- {words}: {metrics[name]:.3f} {_interval(metrics, name)}")
    routes = by_route(done.test) if "discovery_route" in done.test else None
    if routes is not None and len(routes):
        lines += ["", "How those with the outcome came to be seen, and who of them the list reaches:", ""]
        lines += _markdown(routes)
    return lines


def _selection(done: Study) -> list[str]:
    if done.selection is None:
        return []
    lines = ["## Which model earlier years would have chosen", "", done.selection.text]
    if done.selection.rows:
        lines += ["", "| candidate | mean | mean regret | worst regret | within noise |", "|---|---|---|---|---|"]
        for row in done.selection.rows:
            cells = [_figure(row[name]) for name in ("mean", "mean_regret", "max_regret")]
            lines.append(
                f"| {row['candidate']} | " + " | ".join(cells) + f" | {'yes' if row['within_noise'] else 'no'} |"
            )
    return lines


def _abstention(done: Study) -> list[str]:
    lines = ["## Households without a score", ""]
    households = int(done.test.loc[done.test["abstained"].to_numpy(bool), "household_id"].nunique())
    if households < FEWEST_TOLD:
        # The share and the rows of the others would tell how few they are.
        return [*lines, f"{told(households)} of the test households get no score; such go to the manual queue."]
    share = done.metrics["abstention_share"]
    lines.append(f"{share:.1%} of the test rows get no score and go to the manual queue.")
    return [*lines, "", *_markdown(by_code(done.test))]


def _groups(done: Study) -> list[str]:
    if done.audit is None:
        return []
    return [
        "## Groups",
        "",
        audit_headline(done.audit, "en"),
        "",
        "The whole audit is in `audit.en.md` and `audit.zh.md`.",
    ]


def _gates(done: Study) -> list[str]:
    said = {(True, True): "pass", (True, False): "open"}
    return ["## Gates", "", *(f"- {said.get((g.passed, g.decided), 'FAIL')}: {g.text}" for g in done.gates)]


def _difference(one: Comparison | None) -> str:
    if one is None:
        return "–"
    value, low, high = one.difference
    mark = {"ahead": "**", "behind": "_"}.get(one.verdict, "")
    return f"{mark}{value:+.4f}{mark} ({low:+.4f} to {high:+.4f})"


def _interval(metrics: Mapping[str, float], name: str) -> str:
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    return "" if low is None or high is None else f"(95 % interval {low:.3f} to {high:.3f})"


def _all_scored(metrics: Mapping[str, float]) -> str:
    found = [
        f"{words} {metrics[f'{name}_if_all_scored']:.4f}"
        for name, words in METRICS
        if f"{name}_if_all_scored" in metrics
    ]
    return ", ".join(found) or "not measured"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _markdown(table: pd.DataFrame) -> list[str]:
    lines = [
        "| " + " | ".join(str(name).replace("_", " ") for name in table) + " |",
        "|---|" + "---|" * (table.shape[1] - 1),
    ]
    for row in table.itertuples(index=False):
        cells = [f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row]
        lines.append("| " + " | ".join("–" if cell in ("nan", "None", "<NA>") else cell for cell in cells) + " |")
    return lines
