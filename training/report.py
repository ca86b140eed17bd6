"""What a person reads after a study: four plots, a picture of SHAP values, and a page of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from features.definition import Group
from training.plots import MODEL, TRUTH, calibration_figure, importance_figure, recall_figure, score_figure

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
    return {
        "calibration": calibration_figure(outcome, probability),
        "recall_at_capacity": recall_figure(outcome, forecasts),
        "scores": score_figure(outcome, probability),
        "importance_by_domain": importance_figure(by_group),
        "shap_values": shap_figure(done),
    }


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
    """The study in Markdown: first whether it may be published and what it adds, then the figures."""
    meta, metrics = done.dataset.meta, done.metrics
    best = max(done.baseline_metrics.items(), key=lambda item: item[1].get("auc", 0.0))
    ahead = metrics.get("auc", 0.0) - best[1].get("auc", 0.0)
    verdict = "May be published" if done.is_publishable else "May NOT be published"
    comparison = "ahead of" if ahead > 0 else "NOT ahead of"
    columns = {"LightGBM": metrics, **done.baseline_metrics}
    table = ["| metric | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for name, words in METRICS:
        cells = [f"{values[name]:.4f}" if name in values else "–" for values in columns.values()]
        table.append(f"| {words} | " + " | ".join(cells) + " |")
    lines = [
        f"# {verdict}. LightGBM is {comparison} the best baseline ({best[0]}) by {ahead:+.3f} AUC.",
        "",
        f"Foreseen: {done.label.meaning.en} ({done.label.name}). Data: {meta.name}, digest {meta.digest[:12]}.",
        f"{meta.provenance}",
        "",
        f"Training rows {done.train_rows:,} until {done.train_until}; test rows {metrics['n']:,.0f}, "
        f"{metrics['positives']:,.0f} with the outcome ({metrics['base_rate']:.2%}).",
        f"Split: {done.split.description}",
        "",
        *table,
        "",
        f"AUC, 95 % interval over households: {metrics.get('auc_low', float('nan')):.4f} to "
        f"{metrics.get('auc_high', float('nan')):.4f}. Best single feature: `{done.best_single_feature}`.",
    ]
    if done.best_trigger is not None:
        lines.append(
            f"The rules on the same rows: `points` ranks by the points in force at each moment, `best_trigger` by "
            f"{done.best_trigger}, which ranks the training rows best. Both became probabilities by a logistic curve "
            "over their ranks."
        )
    if done.rules_left_out is not None:
        lines.append(f"Not compared with the rules: {done.rules_left_out}.")
    if "truth_auc" in metrics:
        lines.append(
            f"The true hazard of this synthetic county scores {metrics['truth_auc']:.4f}; the model stays "
            f"{metrics['auc_below_truth']:.4f} below it."
        )
    lines += ["", "## Gates", ""]
    lines += [f"- {'pass' if gate.passed else 'FAIL'}: {gate.text}" for gate in done.gates]
    return "\n".join(lines) + "\n"
