"""A published bundle judged on a dataset: the same rows, metrics and tracker as a study, without training."""

from __future__ import annotations

from pathlib import Path

import mlflow

from features.dataset import DatasetRefused, read_dataset
from features.intake import admitted
from models.bundle import read_bundle
from training.evaluation import evaluate_rows
from training.judged import regions
from training.labels import label as label_of
from training.moments import moments
from training.rows import dataset_history, labelled_rows, vectors_of
from training.run import enter_experiment, use_store
from training.study import Progress


def judge(
    bundle_folder: Path,
    folder: Path,
    *,
    label: str | None,
    since: str | None,
    until: str | None,
    experiment: str,
    progress: Progress | None = None,
) -> tuple[str, dict[str, float]]:
    """Metrics of the bundle on every labelled row from `since` to `until`; returns the run id and the metrics.

    Refused when the dataset's catalogue or currency is not the bundle's.
    """
    bar = progress or (lambda stage: lambda done, total: None)
    bundle = read_bundle(bundle_folder)
    dataset = read_dataset(folder)
    bundle.refuse_foreign(dataset.meta)
    dataset = admitted(dataset, bundle.catalogue)
    foreseen = label_of(label or bundle.label, dataset)
    rows = labelled_rows(foreseen, dataset, moments(dataset.meta, since=since, until=until))
    if rows.empty:
        raise DatasetRefused("no row has an outcome in that time; choose earlier moments or another label")
    values = vectors_of(dataset_history(dataset, bundle.catalogue), rows, bar("Vectors"))
    rows["probability"] = bundle.calibration.probability(bundle.model.margins(values), regions(dataset, rows))
    metrics = evaluate_rows(rows)
    use_store()
    enter_experiment(experiment)
    with mlflow.start_run() as run:
        mlflow.set_tags(
            {
                "bundle_sha256": bundle.sha256,
                "dataset": dataset.meta.name,
                "dataset_digest": dataset.meta.digest,
                "label": foreseen.name,
            }
        )
        mlflow.log_metrics(metrics)
        return run.info.run_id, metrics
