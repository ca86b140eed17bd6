"""The whole path through the public commands: county, MLflow project, gates, bundle, batch, one household, judging."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from features.dataset import read_dataset

ROOT = Path(__file__).resolve().parents[2]
HOUSEHOLD = re.compile(rb"h-\d{7}")


@dataclass(frozen=True)
class Place:
    """Where the path leaves its things."""

    folder: Path

    def run(self, *command: str, expect: int = 0) -> str:
        """Run a command of the environment from this folder; the answer is what it printed."""
        binary = Path(sys.executable).parent
        # MLflow leaves its current experiment in the environment of a process that used it; a user's shell has none.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")} | {
            "PATH": f"{binary}{os.pathsep}{os.environ['PATH']}",
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder / 'mlflow.db'}",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        done = subprocess.run(
            [str(binary / command[0]), *command[1:]],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=400,
            check=False,
        )
        assert done.returncode == expect, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout if expect == 0 else done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("whole-path"))
    place.run("povrisk", "simulate", "--households", "2400", "--months", "60", "--seed", "11", "--out", "county")
    return place


@pytest.fixture(scope="module")
def run_id(place: Place) -> str:
    """A run of the MLflow project, from the checkout, in the environment that is there."""
    printed = place.run(
        "mlflow", "run", str(ROOT), "-e", "train", "--env-manager", "local",
        "--experiment-name", "whole-path", "-P", f"data={place.folder / 'county'}",
    )  # fmt: skip
    found = re.search(r"MLflow run ([0-9a-f]{32})", printed)
    assert found is not None, printed
    return found.group(1)


@pytest.fixture(scope="module")
def bundle(place: Place, run_id: str) -> Path:
    place.run("povrisk", "publish", run_id, "--out", "bundle")
    return place.folder / "bundle"


def test_the_run_holds_metrics_plots_report_booster_and_bundle(place: Place, run_id: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{place.folder / 'mlflow.db'}")
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert 0.6 < run.data.metrics["auc"] < run.data.metrics["truth_auc"]
    assert {"recall_at_5pct_worst", "log_loss_base", "all_logistic_auc"} <= set(run.data.metrics)
    assert run.data.tags["dataset_digest"] == read_dataset(place.folder / "county").meta.digest
    artifacts = {artifact.path for artifact in client.list_artifacts(run_id)}
    assert {
        "report.md",
        "plots",
        "bundle",
        "split.json",
        "search.json",
        "audit.json",
        "audit.zh.md",
        "card",
    } <= artifacts
    plots = {Path(artifact.path).stem for artifact in client.list_artifacts(run_id, "plots")}
    drawn = {"calibration", "recall_at_capacity", "scores", "importance_by_domain", "shap_values", "risk_coverage"}
    assert plots - {"groups"} == drawn
    [logged] = client.search_logged_models(run.info.experiment_id and [run.info.experiment_id])
    assert logged.source_run_id == run_id


def test_nothing_logged_is_a_pickle_or_names_a_household(place: Place, run_id: str) -> None:
    with sqlite3.connect(place.folder / "mlflow.db") as store:
        uri = store.execute("select artifact_uri from runs where run_uuid = ?", [run_id]).fetchone()[0]
        dump = "\n".join(store.iterdump()).encode()
    roots = [Path(uri.removeprefix("file://")).parents[1], place.folder]
    logged = [
        path
        for root in roots
        for path in root.rglob("*")
        if path.is_file()
        and "county" not in path.parts
        and path.name not in ("mlflow.db", "scores.parquet", "one.json")
    ]
    assert any(path.name == "model.lgb" for path in logged), "the Booster must be logged as text"
    assert not [path.name for path in logged if path.suffix in (".pkl", ".pickle", ".joblib", ".skops", ".cloudpickle")]
    assert HOUSEHOLD.search(dump) is None
    assert not [path.name for path in logged if HOUSEHOLD.search(path.read_bytes())]


def test_a_published_bundle_verifies_and_carries_its_gates(place: Place, bundle: Path) -> None:
    checks = json.loads(place.run("povrisk", "verify", str(bundle), "--json"))
    assert "golden rows" in json.dumps(checks)
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    assert len(manifest["gates"]) >= 9
    assert all(gate["passed"] for gate in manifest["gates"])


def test_a_run_with_a_failed_gate_is_not_published(place: Place, run_id: str, tmp_path: Path) -> None:
    from mlflow.artifacts import download_artifacts

    store = f"sqlite:///{place.folder / 'mlflow.db'}"
    fetched = Path(
        download_artifacts(run_id=run_id, artifact_path="bundle", dst_path=str(tmp_path), tracking_uri=store)
    )
    manifest = json.loads((fetched / "manifest.json").read_text("utf-8"))
    manifest["gates"][1]["passed"] = False
    from mlflow import MlflowClient

    client = MlflowClient(store)
    failed = client.create_run(client.get_run(run_id).info.experiment_id)
    (fetched / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    client.log_artifacts(failed.info.run_id, str(fetched), "bundle")
    said = place.run("povrisk", "publish", failed.info.run_id, "--out", "refused", expect=1)
    assert "not publishable" in said and "observed/expected" in said
    assert not (place.folder / "refused").exists()


def test_score_assess_and_evaluate_with_the_bundle(place: Place, bundle: Path) -> None:
    county = read_dataset(place.folder / "county")
    as_of = county.meta.moments.until
    place.run("povrisk", "score", str(bundle), "county", "--as-of", as_of, "--out", "scores.parquet")
    scores = pq.read_table(place.folder / "scores.parquet").to_pandas()
    assert sorted(scores["household_id"]) == sorted(county.households["household_id"])
    assert "green" not in set(scores.loc[scores["probability"].isna(), "tier"])
    top = scores.nlargest(1, "probability").iloc[0]
    asked = place.run("povrisk", "request", "county", "--household", str(top["household_id"]), "--as-of", as_of)
    (place.folder / "one.json").write_text(asked, "utf-8")
    answer = json.loads(place.run("povrisk", "assess", str(bundle), "one.json", "--json"))
    assert answer["probability"] == top["probability"]
    zh = place.run("povrisk", "assess", str(bundle), "one.json", "--lang", "zh")
    assert "12个月" in zh and "Records that go with" not in zh
    judged = json.loads(place.run("povrisk", "evaluate", str(bundle), "county", "--since", "2022-06-30", "--json"))
    assert judged["metrics"]["auc"] > 0.5
