"""A study under MLflow: parameters, metrics, plots, report, Booster and candidate bundle of one run.

Nothing that identifies a household goes to the tracker.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from features.dataset import read_meta
from features.window import from_micros
from models.bundle import Bundle, read_bundle
from training import registry
from training.acceptance import why
from training.audit_report import as_json as audit_json
from training.audit_report import page as audit_page
from training.candidate_bundle import write_candidate
from training.card import CARD, write_card
from training.comparison import first_line
from training.report import figures, report
from training.study import Plan, Progress, Study, study
from training.unlogged import StoreLost, keep_unlogged

# Before mlflow is imported: no telemetry, no unpickling of whatever lies in a store, and minutes of silent retrying
# against a dead tracking server turned into seconds.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
import mlflow.lightgbm
from git import InvalidGitRepositoryError, NoSuchPathError, Repo
from mlflow.exceptions import MlflowException

SQLITE = "sqlite:///"
DEFAULT_STORE = f"{SQLITE}mlflow.db"
DEFAULT_EXPERIMENT = "povrisk"


@dataclass(frozen=True)
class Trained:
    """A finished run."""

    run_id: str
    store: str
    study: Study


def use_store() -> str:
    """Point MLflow at the store: `MLFLOW_TRACKING_URI`, or a SQLite file in the working directory."""
    store = os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_STORE
    # Its talk of migrations and new experiments would drown a refusal.
    for talker in ("mlflow.store.db.utils", "mlflow.tracking.fluent", "alembic"):
        logging.getLogger(talker).setLevel(logging.WARNING)
    mlflow.set_tracking_uri(store)
    return store


def enter_experiment(name: str) -> None:
    """Make `name` the current experiment; a new one in a SQLite store keeps its artifacts beside the store.

    Inside `mlflow run` the run exists already and belongs to its experiment.
    """
    if "MLFLOW_RUN_ID" in os.environ:
        return
    store = mlflow.get_tracking_uri()
    if store.startswith(SQLITE) and mlflow.get_experiment_by_name(name) is None:
        beside = Path(store.removeprefix(SQLITE)).resolve().parent / "mlartifacts"
        mlflow.create_experiment(name, artifact_location=beside.as_uri())
    mlflow.set_experiment(name)


def train(
    folder: Path,
    plan: Plan,
    *,
    experiment: str = DEFAULT_EXPERIMENT,
    predictions: Path | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Run a study on a dataset folder and log it. `predictions` names a file for the test rows (Parquet or CSV)."""
    meta = read_meta(folder)
    store = use_store()
    # Before the study: a store that cannot be reached must not cost its hours.
    enter_experiment(experiment)
    champion = _champion(f"{meta.name}-{plan.label or meta.default_label}")
    done = study(folder, plan, progress, champion)
    if predictions is not None:
        write_predictions(done, predictions)
    try:
        with mlflow.start_run() as run, tempfile.TemporaryDirectory() as scratch:
            _log(done, plan, run.info.run_id, Path(scratch), champion)
            return Trained(run.info.run_id, store, done)
    except (MlflowException, OSError) as error:
        facts = {"version": candidate_version(done), "run_id": "none", "champion": None}
        kept = keep_unlogged(done, facts, Path())
        raise StoreLost(
            f"MLflow's store was lost after training. Bundle, report and metrics lie in {kept}. To publish, bring the "
            "store back and train again: the same data and seed give the same trees"
        ) from error


def _champion(name: str) -> Bundle | None:
    """The bundle in use for this dataset and label, which the new model must not be behind; None if there is none."""
    with tempfile.TemporaryDirectory() as scratch:
        fetched = registry.champion(name, Path(scratch))
        return None if fetched is None else read_bundle(fetched)


def _log(done: Study, plan: Plan, run_id: str, scratch: Path, champion: Bundle | None) -> None:
    meta = done.dataset.meta
    mlflow.set_tags(
        {
            "dataset": meta.name,
            "dataset_digest": meta.digest,
            "features_digest": done.catalogue.digest,
            "label": done.label.name,
            "split": str(done.split.description["kind"]),
            "publishable": str(done.is_publishable).lower(),
            "code_version": code_version(),
        }
    )
    # Names of our own: `mlflow run` has logged the entry point's parameters already, and none may change.
    mlflow.log_params(
        {
            **{f"lightgbm_{name}": value for name, value in done.learned.parameters.items()},
            "study_seed": plan.seed,
            "train_rows": done.train_rows,
            "trained_until": done.train_until,
            "best_single_feature": done.best_single_feature,
            **({"best_trigger": done.best_trigger} if done.best_trigger else {}),
            "n_features": len(done.catalogue.features),
        }
    )
    mlflow.log_metrics(done.metrics)
    for name, metrics in done.baseline_metrics.items():
        mlflow.log_metrics({f"{name}_{metric}": value for metric, value in metrics.items()})
    for name, figure in figures(done).items():
        mlflow.log_figure(figure, f"plots/{name}.png")
    mlflow.log_text(report(done), "report.md")
    mlflow.log_dict(done.split.description, "split.json")
    mlflow.log_dict({"tries": [asdict(tried) for tried in done.learned.search.tries]}, "search.json")
    if done.audit is not None:
        mlflow.log_dict(audit_json(done.audit), "audit.json")
        for lang in ("zh", "en"):
            page = audit_page(done.audit, lang, title=f"{meta.name} · {done.label.name} · {done.train_until}")
            mlflow.log_text(page, f"audit.{lang}.md")
    mlflow.lightgbm.log_model(
        done.learned.model.booster, name="model", pip_requirements=[f"lightgbm=={version('lightgbm')}"]
    )
    bundle = scratch / registry.BUNDLE_ARTIFACT
    judged_against = None if champion is None else {"version": champion.version, "bundle_sha256": champion.sha256}
    sha256 = write_candidate(
        done, bundle, {"version": candidate_version(done), "run_id": run_id, "champion": judged_against}
    )
    mlflow.set_tag("bundle_sha256", sha256)
    mlflow.log_artifacts(str(bundle), registry.BUNDLE_ARTIFACT)
    mlflow.log_artifacts(str(write_card(read_bundle(bundle), scratch)), CARD)
    registry.register(run_id, bundle)


def candidate_version(done: Study) -> str:
    """The end of the training data and the trees: the same data and seed give the same version."""
    from models.boosted import trees_digest

    return f"{done.train_until}+{trees_digest(done.learned.text)[:10]}"


def code_version() -> str:
    """The commit the code is at, marked if it was changed since; the package version outside a repository."""
    try:
        repository = Repo(Path(__file__).resolve().parent.parent)
        return repository.head.commit.hexsha + ("-changed" if repository.is_dirty() else "")
    except (InvalidGitRepositoryError, NoSuchPathError, ValueError):
        return version("povrisk")


def write_predictions(done: Study, path: Path) -> None:
    """The test rows: household_id, as_of, label, probability, fold, and the baselines' probabilities."""
    test = done.test
    columns: dict[str, Any] = {
        "household_id": pa.array(test["household_id"], pa.string()),
        "as_of": pa.array([from_micros(m) for m in test["as_of"]], pa.timestamp("us", tz="UTC")),
        "label": pa.array(test["outcome"].astype(int), pa.int8()),
        "probability": pa.array(test["probability"], pa.float64()),
        "fold": pa.array(["test"] * len(test), pa.string()),
        **{str(name): pa.array(test[name], pa.float64()) for name in test if str(name).startswith("baseline_")},
    }
    table = pa.table(columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, unfinished)
    else:
        pq.write_table(table, unfinished, compression="zstd")
    unfinished.rename(path)


def summary(done: Trained) -> dict[str, Any]:
    """What a finished run says of itself, for machines."""
    return {
        "run_id": done.run_id,
        "store": done.store,
        "label": done.study.label.name,
        "split": json.loads(json.dumps(done.study.split.description)),
        "train_rows": done.study.train_rows,
        "metrics": done.study.metrics,
        "baselines": done.study.baseline_metrics,
        "best_single_feature": done.study.best_single_feature,
        "best_trigger": done.study.best_trigger,
        "comparisons": [{**one._asdict(), "difference": one.difference._asdict()} for one in done.study.comparisons],
        "first_line": first_line(done.study.comparisons),
        "selection": None if done.study.selection is None else done.study.selection.text,
        "search": done.study.learned.search.text,
        "trees_grown": done.study.learned.parameters["trees_grown"],
        "notes": list(done.study.notes),
        "publishable": done.study.is_publishable,
        "why": why(done.study.gates),
        "gates": [{"name": g.name, "passed": g.passed, "decided": g.decided, "text": g.text} for g in done.study.gates],
    }
