"""The registry: every run a version, one tag the change of the model in use, aliases that follow it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from models.bundle import MANIFEST, read_bundle
from tests.bundles import FACTS, small_bundle
from training import registry
from training.publish_commands import models, rollback
from training.registry import RegistryRefused, acts, champion, in_use, record, register, versions
from training.run import enter_experiment

NAME = "small"
PASSED = {"name": "positives_in_test", "passed": True, "value": 90.0, "bound": "at least 50", "text": "90 positives"}


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Making the tables takes a second; every test gets a copy of the empty ones."""
    before, path = mlflow.get_tracking_uri(), tmp_path_factory.mktemp("empty") / "mlflow.db"
    mlflow.set_tracking_uri(f"sqlite:///{path}")
    enter_experiment("registry")
    mlflow.set_tracking_uri(before)
    return path


@pytest.fixture
def store(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """An empty store of its own."""
    before, uri = mlflow.get_tracking_uri(), f"sqlite:///{tmp_path / 'mlflow.db'}"
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("registry")
    yield MlflowClient(uri)
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("small") / "bundle", facts=FACTS | {"gates": [PASSED]})


def logged(bundle: Path, tmp_path: Path, **changed: Any) -> tuple[str, Path]:
    """A run with the bundle as its artifact, told apart from others by its manifest."""
    with mlflow.start_run() as run:
        folder = tmp_path / run.info.run_id / "bundle"
        folder.mkdir(parents=True)
        for file in bundle.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        manifest = json.loads((folder / MANIFEST).read_text("utf-8")) | {"run_id": run.info.run_id} | changed
        (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False), "utf-8")
        mlflow.log_artifacts(str(folder), "bundle")
    return run.info.run_id, folder


def registered(bundle: Path, tmp_path: Path, times: int) -> list[str]:
    runs = [logged(bundle, tmp_path, metrics={"auc": 0.7 + number / 100}) for number in range(times)]
    assert [register(*run) for run in runs] == list(range(1, times + 1))
    return [run_id for run_id, _ in runs]


def aliases(client: MlflowClient) -> dict[str, int]:
    return {alias: int(number) for alias, number in client.get_registered_model(NAME).aliases.items()}


def test_every_run_becomes_a_version_and_the_newest_is_the_challenger(
    store: MlflowClient, bundle: Path, tmp_path: Path
) -> None:
    runs = registered(bundle, tmp_path, 2)
    found = versions(NAME)
    assert [(one.number, one.run_id, one.aliases) for one in found] == [(1, runs[0], ()), (2, runs[1], ("challenger",))]
    assert [one.metrics for one in found] == [{"auc": 0.7}, {"auc": 0.71}]
    assert [(one.publishable, one.why) for one in found] == [(True, "May be published: all 1 gates are passed.")] * 2
    assert found[1].bundle_sha256 == read_bundle(tmp_path / runs[1] / "bundle").sha256
    assert versions() == found
    assert champion(NAME, tmp_path) is None
    assert in_use(NAME) == ()
    assert store.get_model_version(NAME, "1").source == f"runs:/{runs[0]}/bundle"


def test_a_run_is_registered_once(store: MlflowClient, bundle: Path, tmp_path: Path) -> None:
    run = logged(bundle, tmp_path)
    assert [register(*run), register(*run)] == [1, 1]
    assert len(versions(NAME)) == 1


def test_publications_pile_up_and_a_rollback_takes_the_last_off(
    store: MlflowClient, bundle: Path, tmp_path: Path
) -> None:
    runs = registered(bundle, tmp_path, 3)
    for number in (1, 2, 3):
        record(NAME, "publish", number, f"first of {number}")
    assert aliases(store) == {"challenger": 3, "champion": 3, "previous": 2}
    record(NAME, "rollback", 2, "too many visits in vain")
    assert (in_use(NAME), aliases(store)) == ((1, 2), {"challenger": 3, "champion": 2, "previous": 1})
    # Back again leads further back, never to the model that was just given up.
    record(NAME, "rollback", 1, "still")
    assert (in_use(NAME), aliases(store)) == ((1,), {"challenger": 3, "champion": 1})
    folder = champion(NAME, tmp_path / "fetched")
    assert folder is not None
    assert json.loads((folder / MANIFEST).read_text("utf-8"))["run_id"] == runs[0]


def test_the_record_only_grows_and_says_when_and_why(store: MlflowClient, bundle: Path, tmp_path: Path) -> None:
    registered(bundle, tmp_path, 2)
    record(NAME, "publish", 1, "")
    before = acts(NAME)
    record(NAME, "publish", 2, "年度更新")
    record(NAME, "rollback", 1, "obs / exp 0.6 in March")
    done = acts(NAME)
    assert done[:1] == before
    assert [(act.act, act.version, act.former, act.reason) for act in done] == [
        ("publish", 1, None, ""),
        ("publish", 2, 1, "年度更新"),
        ("rollback", 1, 2, "obs / exp 0.6 in March"),
    ]
    assert all(act.at.endswith("+00:00") for act in done)
    with pytest.raises(RegistryRefused, match="at most 500"):
        record(NAME, "rollback", 1, "x" * 501)
    assert acts(NAME) == done


def test_an_alias_moved_by_hand_or_not_set_does_not_change_which_model_is_in_use(
    store: MlflowClient, bundle: Path, tmp_path: Path
) -> None:
    registered(bundle, tmp_path, 2)
    record(NAME, "publish", 1, "")
    store.set_registered_model_alias(NAME, "champion", "2")
    store.set_registered_model_alias(NAME, "previous", "2")
    assert in_use(NAME) == (1,)
    registry.set_aliases(NAME)
    assert aliases(store) == {"challenger": 2, "champion": 1}


def test_what_is_not_there_is_refused_in_words(store: MlflowClient, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(RegistryRefused, match="povrisk models"):
        versions("unheard-of")
    registered(bundle, tmp_path, 1)
    with pytest.raises(RegistryRefused, match="version 7 of small"):
        registry.version(NAME, 7)
    with pytest.raises(RegistryRefused, match="MLFLOW_TRACKING_URI"):
        registry.fetched("0" * 32, tmp_path)
    assert versions() == versions(NAME)


def test_a_name_that_the_registry_would_refuse_is_changed(store: MlflowClient, bundle: Path, tmp_path: Path) -> None:
    run = logged(bundle, tmp_path, name="东县/2026: 'L1'")
    register(*run)
    [one] = versions("东县/2026: 'L1'")
    assert one.name == "东县-2026- -L1-"


def test_the_table_lists_versions_with_what_is_in_use(store: MlflowClient, bundle: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    assert "No model is registered" in runner.invoke(models).output
    registered(bundle, tmp_path, 2)
    record(NAME, "publish", 1, "the first")
    found = json.loads(runner.invoke(models, [NAME, "--json"]).output)
    assert [(one["number"], one["aliases"]) for one in found["versions"]] == [(1, ["champion"]), (2, ["challenger"])]
    assert [act["reason"] for act in found["acts"]] == ["the first"]
    shown = runner.invoke(models, [NAME], env={"COLUMNS": "200"}).output
    assert "champion" in shown and "0.700" in shown and "the first" in shown
    refused = runner.invoke(models, ["unheard-of"])
    assert (refused.exit_code, "Traceback" in refused.output) == (1, False)
    assert runner.invoke(rollback, [NAME, "--out", str(tmp_path / "o")]).exit_code == 2
