"""One training study, without any tracker: data in, model, test rows, comparison and candidate bundle out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import CORE, Catalogue, catalogue
from features.dataset import Dataset, read_dataset
from features.intake import admitted
from features.window import micros_of
from models.bundle import GOLDEN_ROWS, write_bundle
from models.tier import Bands
from training.acceptance import Gate, gates
from training.baselines import Baselines, baselines
from training.evaluation import evaluate, evaluate_rows
from training.labels import Label, label, label_rows
from training.learning import Learned, learn
from training.moments import last_day, moments
from training.rows import dataset_history, in_canonical_order, vectors_of
from training.rule_scores import RulesLeftOut, rule_baselines
from training.splits import Split, split

Floats = npt.NDArray[np.float64]
IMPORTANCE_ROWS = 4_000
# Enough to place a household to a tenth of a percent, and too few to be anybody's score.
REFERENCE_SCORES = 1_001


@dataclass(frozen=True)
class Plan:
    """What the user asked for; `None` takes the dataset's own default. Dates are days whose end is the moment."""

    label: str | None = None
    train_until: str | None = None
    test_from: str | None = None
    test_until: str | None = None
    split: str = "time+household"
    seed: int = 1


@dataclass(frozen=True)
class Study:
    """Everything a study found.

    `test` has household_id, as_of, outcome, probability and one `baseline_<name>` column a baseline; it stays on the
    user's machine. All else is free of household identifiers. `rules_left_out` says why a dataset of the core
    catalogue is not compared with its rules.
    """

    dataset: Dataset
    catalogue: Catalogue
    label: Label
    split: Split
    learned: Learned
    train_rows: int
    test: pd.DataFrame
    metrics: dict[str, float]
    baseline_metrics: dict[str, dict[str, float]]
    best_single_feature: str
    best_trigger: str | None
    rules_left_out: str | None
    gates: list[Gate]
    bands: Bands
    reference: Floats
    base_rate: float
    importance: Floats
    golden_values: Floats
    explained_values: Floats
    contributions: Floats
    train_until: str

    @property
    def is_publishable(self) -> bool:
        """Whether every gate is passed."""
        return all(gate.passed for gate in self.gates)


Progress = Callable[[str], Callable[[int, int], None]]


def study(folder: Path, plan: Plan, progress: Progress | None = None) -> Study:
    """Run the study on a dataset folder. `progress(stage)` gives the bar of a stage."""
    bar = progress or (lambda stage: lambda done, total: None)
    dataset = read_dataset(folder)
    chosen = catalogue(dataset.meta.catalogue)
    dataset = admitted(dataset, chosen)
    foreseen = label(plan.label or dataset.meta.default_label, dataset)
    grid = moments(dataset.meta, until=plan.test_until)
    bar("Labels")(0, 1)
    rows = label_rows(foreseen, dataset, grid)
    rows = in_canonical_order(rows[rows["at_risk"] & rows["outcome"].notna()])
    divided = split(
        rows,
        kind=plan.split,
        train_until=plan.train_until,
        test_from=plan.test_from,
        test_until=plan.test_until,
        horizon_months=foreseen.horizon_months,
        time_zone=dataset.meta.time_zone,
        seed=plan.seed,
    )
    bar("Labels")(1, 1)
    history = dataset_history(dataset, chosen)
    train, test = rows[divided.train].reset_index(drop=True), rows[divided.test].reset_index(drop=True)
    train_values = vectors_of(history, train, bar("Vectors (training)"))
    test_values = vectors_of(history, test, bar("Vectors (test)"))
    outcome = train["outcome"].to_numpy(np.float64)
    learned = learn(
        train_values, outcome, train["household_id"], chosen.features, seed=plan.seed, progress=bar("Growing trees")
    )
    probability = learned.calibration.probability(learned.model.margins(test_values))
    bar("Baselines")(0, 1)
    compared = baselines(
        train_values, outcome, test_values, chosen.features, plan.seed, household_ids=train["household_id"]
    )
    bar("Baselines")(1, 1)
    best_trigger, left_out = None, None
    if chosen.name == CORE:
        try:
            by_rules = rule_baselines(history, train, test, bar("Rules"))
            best_trigger = by_rules.best_trigger
            compared = replace(compared, probabilities=compared.probabilities | by_rules.probabilities)
        except RulesLeftOut as why:
            left_out = str(why)
    judged = _judged(test, probability, compared, dataset)
    metrics = evaluate_rows(judged, seed=plan.seed)
    baseline_metrics = {
        name: evaluate(judged["outcome"], forecast) for name, forecast in compared.probabilities.items()
    }
    held_out = learned.calibration.probability(learned.held_out_margins)
    sample = np.random.default_rng(plan.seed).permutation(len(train_values))[:IMPORTANCE_ROWS]
    contributions = learned.model.contributions(train_values[sample])[0] * learned.calibration.slope
    return Study(
        dataset=dataset,
        catalogue=chosen,
        label=foreseen,
        split=divided,
        learned=learned,
        train_rows=len(train),
        test=judged,
        metrics=metrics,
        baseline_metrics=baseline_metrics,
        best_single_feature=compared.best_single_feature,
        best_trigger=best_trigger,
        rules_left_out=left_out,
        gates=gates(metrics, baseline_metrics),
        bands=Bands.from_scores(held_out),
        reference=np.quantile(held_out, np.linspace(0.0, 1.0, REFERENCE_SCORES)),
        base_rate=float(outcome.mean()),
        importance=np.abs(contributions).mean(axis=0),
        golden_values=_golden(train_values, plan.seed),
        explained_values=train_values[sample],
        contributions=contributions,
        train_until=last_day(int(train["as_of"].max()), dataset.meta),
    )


def write_candidate(done: Study, folder: Path, facts: dict[str, Any]) -> str:
    """Write the study's model as a bundle; gates and metrics go into its manifest. Returns its SHA-256."""
    meta = done.dataset.meta
    trees = done.learned.text
    return write_bundle(
        folder,
        model_text=trees,
        catalogue=done.catalogue,
        calibration=done.learned.calibration,
        bands=done.bands,
        reference=done.reference,
        base_rate=done.base_rate,
        importance=done.importance,
        had_unknown=done.learned.model.had_unknown,
        golden_values=done.golden_values,
        facts={
            "name": f"{meta.name}-{done.label.name}",
            "label": {
                "name": done.label.name,
                "horizon_months": done.label.horizon_months,
                "zh": done.label.meaning.zh,
                "en": done.label.meaning.en,
            },
            "data": {
                "name": meta.name,
                "digest": meta.digest,
                "provenance": meta.provenance,
                "catalogue": meta.catalogue,
                "currency": meta.currency,
                "time_zone": meta.time_zone,
                "regions": list(meta.regions),
                "sources": {name: list(lag) for name, lag in meta.sources.items()},
            },
            "training": {
                "rows": done.train_rows,
                "train_until": done.train_until,
                "split": done.split.description,
                "parameters": done.learned.parameters,
            },
            "metrics": done.metrics,
            "baselines": done.baseline_metrics,
            "gates": [
                {"name": g.name, "passed": g.passed, "value": g.value, "bound": g.bound, "text": g.text}
                for g in done.gates
            ],
            "libraries": {name: version(name) for name in ("lightgbm", "numpy", "pandas", "scikit-learn")},
            **facts,
        },
    )


def _judged(test: pd.DataFrame, probability: Floats, compared: Baselines, dataset: Dataset) -> pd.DataFrame:
    judged = test.assign(probability=probability)
    for name, forecast in compared.probabilities.items():
        judged[f"baseline_{name}"] = forecast
    if dataset.truth is not None and len(test):
        truth = dataset.truth.assign(as_of=micros_of(dataset.truth["as_of"]))
        joined = test.merge(truth, on=["household_id", "as_of"], how="left", validate="one_to_one")
        judged["hazard"] = joined["hazard_12m"].to_numpy(np.float64)
    return judged


def _golden(values: Floats, seed: int) -> Floats:
    """Rows that test a model file and describe nobody: every column drawn from another household."""
    rng = np.random.default_rng(seed)
    return np.stack([column[rng.integers(0, len(column), GOLDEN_ROWS)] for column in values.T], axis=1)
