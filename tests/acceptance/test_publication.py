"""Publication: the first model goes into use, a worse retrain does not, a rollback leads back, a kill does no harm.

Small models over simulated rows, judged by the functions that judge a study, published through the real registry.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from scipy.special import expit

from models.bundle import MANIFEST, SIGNATURE, Bundle, BundleRefused, ProbeLimits, read_bundle, write_bundle
from models.calibration import fit_calibration
from tests.bundles import CORE, FACTS, small_parts
from training import publish as publishing
from training import registry
from training.acceptance import CHAMPION, COMPARED, gates
from training.baselines import BEST_SINGLE
from training.card import card_figures
from training.comparison import comparisons
from training.evaluation import evaluate
from training.publish import PublicationRefused, publish, rollback
from training.publish_commands import publish as publish_command
from training.publish_commands import rollback as rollback_command
from training.run import enter_experiment

NAME = "small"
LEARNED, TESTED, COLUMNS = 6_000, 6_000, 12
KEY = bytes(range(32))


@dataclass(frozen=True)
class Rows:
    """Rows whose outcome depends on the first columns."""

    values: np.ndarray
    outcome: np.ndarray


def rows(n: int, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    values = np.full((n, len(CORE.names)), np.nan)
    values[:, :COLUMNS] = rng.normal(size=(n, COLUMNS))
    log_odds = values[:, :6] @ np.array([1.0, 0.9, -0.8, 0.7, 0.6, -0.5]) - 2.5
    return Rows(values, (rng.random(n) < expit(log_odds)).astype(float))


PARTS = small_parts(had_unknown=np.ones(len(CORE.names), np.bool_))
LEARN, HELD, TEST = rows(LEARNED, 1), rows(LEARNED, 2), rows(TESTED, 3)


def trained(outcome: np.ndarray, columns: int = COLUMNS, trees: int = 120) -> str:
    """A model file that saw only the first columns, learned from the given outcomes."""
    values = LEARN.values.copy()
    values[:, columns:] = np.nan
    parameters = {"objective": "binary", "num_leaves": 7, "learning_rate": 0.1, "verbosity": -1, "num_threads": 1}
    data = lgb.Dataset(values, outcome, feature_name=list(CORE.names))
    return str(lgb.train(parameters, data, num_boost_round=trees).model_to_string())


def margins(text: str, of: Rows) -> np.ndarray:
    return np.asarray(lgb.Booster(model_str=text).predict(of.values, raw_score=True), np.float64)


def judged(text: str, against: Bundle | None) -> tuple[Any, pd.DataFrame]:
    calibration = fit_calibration(margins(text, HELD), HELD.outcome)
    test = pd.DataFrame(
        {
            "household_id": [f"h{i}" for i in range(TESTED)],
            "as_of": 1_600_000_000_000_000,
            "outcome": TEST.outcome,
            "probability": calibration.probability(margins(text, TEST)),
            f"baseline_{BEST_SINGLE}": expit(TEST.values[:, 0] - 1.9),
        }
    )
    if against is not None:
        test[f"baseline_{CHAMPION}"] = against.calibration.probability(against.model.margins(TEST.values))
    return calibration, test


def run_of(text: str, tmp_path: Path, against: Bundle | None, **changed: Any) -> str:
    """What `povrisk train` does once the model is there: judge, write the candidate, log it, register it."""
    calibration, test = judged(text, against)
    metrics = evaluate(test["outcome"], test["probability"])
    baselines = {BEST_SINGLE: evaluate(test["outcome"], test[f"baseline_{BEST_SINGLE}"])}
    pairs = comparisons(test, COMPARED, resamples=100)
    version = None if against is None else against.version
    found = gates(metrics, baselines, comparisons=pairs, abstention_share=0.0, champion=version)
    with mlflow.start_run() as run:
        folder = tmp_path / run.info.run_id / "bundle"
        facts = FACTS | {
            "version": run.info.run_id[:6],
            "run_id": run.info.run_id,
            "data": FACTS["data"] | {"digest": "d1"},
            "training": {"split": {"kind": "household"}, "rows": LEARNED},
            "metrics": metrics,
            "gates": [gate._asdict() for gate in found],
            "card": card_figures(test, "Asia/Shanghai", comparisons=pairs),
            "champion": None if against is None else {"version": version, "bundle_sha256": against.sha256},
        }
        write_bundle(folder, **PARTS | {"model_text": text, "calibration": calibration, "facts": facts | changed})
        mlflow.log_artifacts(str(folder), "bundle")
    registry.register(run.info.run_id, folder)
    return str(run.info.run_id)


@pytest.fixture(scope="module")
def good() -> str:
    return trained(LEARN.outcome)


@pytest.fixture(scope="module")
def as_good() -> str:
    """Another retrain on the same rows, a little longer."""
    return trained(LEARN.outcome, trees=130)


@pytest.fixture(scope="module")
def worse() -> str:
    """A retrain that lost most of its sources."""
    return trained(LEARN.outcome, columns=2)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Making the tables takes a second; every test gets a copy of the empty ones."""
    folder = tmp_path_factory.mktemp("empty")
    with using(folder):
        enter_experiment("publication")
    return folder


@contextmanager
def using(folder: Path) -> Iterator[MlflowClient]:
    """Work with the store of a folder."""
    before, uri = mlflow.get_tracking_uri(), f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        mlflow.set_tracking_uri(uri)
        yield MlflowClient(uri)
    mlflow.set_tracking_uri(before)


@pytest.fixture(autouse=True)
def store(empty_store: Path, tmp_path: Path) -> Iterator[MlflowClient]:
    shutil.copy(empty_store / "mlflow.db", tmp_path)
    with using(tmp_path) as client:
        mlflow.set_experiment("publication")
        yield client


@pytest.fixture(autouse=True)
def parsed_here(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Parse model files here: the child process has tests of its own, and would take most of the time."""
    if "first_good" not in request.node.name:
        monkeypatch.setattr("models.bundle.margins_in_child", parsed)


def parsed(model_text: str, values: list[list[float | None]], limits: ProbeLimits) -> list[float]:
    booster = lgb.Booster(model_str=model_text)
    return np.asarray(booster.predict(np.array(values, np.float64), raw_score=True, num_threads=1)).tolist()


@dataclass(frozen=True)
class Ready:
    """A store with a model in use and a good retrain that waits, each by its run."""

    folder: Path
    first: str
    second: str


@pytest.fixture(scope="module")
def ready(empty_store: Path, tmp_path_factory: pytest.TempPathFactory, good: str, as_good: str) -> Ready:
    folder = tmp_path_factory.mktemp("ready")
    shutil.copy(empty_store / "mlflow.db", folder)
    with using(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.bundle.margins_in_child", parsed)
        mlflow.set_experiment("publication")
        first = run_of(good, folder, None)
        second = run_of(as_good, folder, publish(first, folder / "bundle"))
    return Ready(folder, first, second)


@pytest.fixture
def out(ready: Ready, tmp_path: Path, store: MlflowClient) -> Path:
    """The folder of the model in use, in a store like the one that is ready."""
    shutil.copy(ready.folder / "mlflow.db", tmp_path)
    shutil.copytree(ready.folder / "bundle", tmp_path / "out" / "bundle")
    return tmp_path / "out" / "bundle"


def aliases(client: MlflowClient) -> dict[str, int]:
    return {alias: int(number) for alias, number in client.get_registered_model(NAME).aliases.items()}


def run_in(folder: Path) -> str:
    return str(json.loads((folder / MANIFEST).read_text("utf-8"))["run_id"])


def test_the_first_good_model_goes_into_use_with_its_card(store: MlflowClient, tmp_path: Path, good: str) -> None:
    run_id, out = run_of(good, tmp_path, None), tmp_path / "out" / "bundle"
    bundle = publish(run_id, out, key=KEY, reason="first")
    assert read_bundle(out, key=KEY).sha256 == bundle.sha256 == registry.version(NAME, 1).bundle_sha256
    assert (aliases(store), run_in(out)) == ({"challenger": 1, "champion": 1}, run_id)
    assert [(act.act, act.version, act.reason) for act in registry.acts(NAME)] == [("publish", 1, "first")]
    assert {file.name for file in (out / "card").iterdir()} == {
        "card.json", "card.zh.md", "card.en.md", "calibration.png",
    }  # fmt: skip
    card = json.loads((out / "card" / "card.json").read_text("utf-8"))
    assert (card["bundle_sha256"], [gate["passed"] for gate in card["gates"]]) == (bundle.sha256, [True] * 9)
    assert [path.name for path in out.parent.iterdir()] == ["bundle"]


def test_a_worse_retrain_is_refused_and_the_model_in_use_stays(
    store: MlflowClient, tmp_path: Path, good: str, worse: str
) -> None:
    out = tmp_path / "bundle"
    champion = publish(run_of(good, tmp_path, None), out)
    before = (out / MANIFEST).read_bytes()
    run_id = run_of(worse, tmp_path, champion)
    result = CliRunner().invoke(publish_command, [run_id, "--out", str(out)])
    assert result.exit_code == 1
    assert "not publishable" in result.output and "of the model in use" in result.output
    assert "average precision" in result.output and "Traceback" not in result.output
    assert aliases(store) == {"challenger": 2, "champion": 1}
    assert (out / MANIFEST).read_bytes() == before
    assert [act.version for act in registry.acts(NAME)] == [1]
    newest = registry.versions(NAME)[-1]
    assert (newest.publishable, newest.why.startswith("May not be published: ")) == (False, True)


def test_a_model_of_permuted_outcomes_fails_before_any_champion_is_asked(tmp_path: Path) -> None:
    shuffled = trained(np.random.default_rng(5).permutation(LEARN.outcome), trees=10)
    with pytest.raises(PublicationRefused, match="AUC is 0"):
        publish(run_of(shuffled, tmp_path, None), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    assert registry.in_use(NAME) == ()


def test_a_retrain_as_good_replaces_the_model_and_a_rollback_brings_it_back(
    store: MlflowClient, ready: Ready, out: Path
) -> None:
    first, second = ready.first, ready.second
    publish(second, out)
    assert (run_in(out), aliases(store)) == (second, {"challenger": 2, "champion": 2, "previous": 1})
    done = CliRunner().invoke(rollback_command, [NAME, "--out", str(out), "--reason", "too many visits in vain"])
    assert done.exit_code == 0, done.output
    assert (run_in(out), aliases(store)) == (first, {"challenger": 2, "champion": 1})
    assert registry.acts(NAME)[-1][0:1] + registry.acts(NAME)[-1][2:] == ("rollback", 1, 2, "too many visits in vain")
    with pytest.raises(PublicationRefused, match="no model that was in use before"):
        rollback(NAME, out, reason="again")
    assert (run_in(out), len(registry.acts(NAME))) == (first, 3)


def test_a_second_machine_gets_the_rolled_back_model_without_a_second_rollback(
    ready: Ready, out: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    publish(ready.second, out)
    publish(ready.second, there)
    for place in (out, there):
        rollback(NAME, place, key=KEY, reason="one reason")
        assert run_in(place) == ready.first
        assert (place / SIGNATURE).is_file()
    assert [act.act for act in registry.acts(NAME)] == ["publish", "publish", "rollback"]


def test_a_run_judged_before_todays_model_was_in_use_is_compared_on_equal_rows_only(
    tmp_path: Path, good: str, as_good: str, worse: str
) -> None:
    runs = {name: run_of(text, tmp_path, None) for name, text in (("good", good), ("worse", worse), ("as", as_good))}
    elsewhere = run_of(as_good, tmp_path, None, data=FACTS["data"] | {"digest": "d2"})
    publish(runs["good"], tmp_path / "bundle")
    with pytest.raises(PublicationRefused, match=r"worse than .*, which is in use: AUC is 0\.\d+, there 0\.\d+"):
        publish(runs["worse"], tmp_path / "bundle")
    with pytest.raises(PublicationRefused, match="on other test rows; train again"):
        publish(elsewhere, tmp_path / "bundle")
    publish(runs["as"], tmp_path / "bundle")
    assert registry.in_use(NAME) == (1, 3)


def test_a_place_that_holds_something_else_is_refused_before_anything_changes(tmp_path: Path, good: str) -> None:
    out = tmp_path / "photographs"
    out.mkdir()
    (out / "one.txt").write_text("mine")
    with pytest.raises(BundleRefused, match="is no bundle"):
        publish(run_of(good, tmp_path, None), out)
    assert ([file.name for file in out.iterdir()], registry.acts(NAME)) == (["one.txt"], [])
    with pytest.raises(PublicationRefused, match="no such run"):
        publish("0" * 32, tmp_path / "bundle")


# --- killed in between -----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Not an `Exception`, so that no code that handles errors handles it."""


def dying(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, after: bool) -> None:
    """Let the call of a function kill the process, before or after it has done its work."""
    real: Callable[..., Any] = getattr(owner, name)

    def fatal(*args: Any, **kwargs: Any) -> None:
        if after:
            real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(owner, name, fatal)


# Where: the copy, its card, the act, each alias, the renaming; and whether the act was written down by then.
MOMENTS = [
    (publishing, "copy_bundle", True, False),
    (publishing, "write_card", True, False),
    (MlflowClient, "set_registered_model_tag", False, False),
    (MlflowClient, "set_registered_model_tag", True, True),
    (MlflowClient, "set_registered_model_alias", True, True),
    (publishing, "put_in_place", False, True),
    (publishing, "put_in_place", True, True),
]


@pytest.mark.parametrize(("owner", "name", "after", "recorded"), MOMENTS)
@pytest.mark.parametrize("is_rollback", [False, True], ids=["publish", "rollback"])
def test_a_kill_leaves_one_champion_and_a_whole_bundle_and_the_command_can_be_given_again(
    store: MlflowClient, ready: Ready, out: Path, is_rollback: bool, owner: Any, name: str, after: bool, recorded: bool
) -> None:
    former, coming = ready.first, ready.second
    if is_rollback:
        publish(ready.second, out)
        former, coming = coming, former

    def act() -> None:
        _ = rollback(NAME, out, reason="r") if is_rollback else publish(ready.second, out)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        dying(patch, owner, name, after=after)
        act()
    assert read_bundle(out).manifest["run_id"] == (coming if name == "put_in_place" and after else former)
    assert registry.version(NAME, registry.in_use(NAME)[-1]).run_id == (coming if recorded else former)
    assert store.get_model_version_by_alias(NAME, "champion").run_id in (former, coming)
    if run_in(out) == former:
        act()
    assert run_in(out) == coming == store.get_model_version_by_alias(NAME, "champion").run_id
    assert aliases(store).get("previous") == (None if is_rollback else 1)
    assert [done.act for done in registry.acts(NAME)] == ["publish", "publish", "rollback"][: 3 if is_rollback else 2]
    assert [path.name for path in out.parent.iterdir()] == ["bundle"]
