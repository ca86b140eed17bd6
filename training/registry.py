"""Versions of a model in MLflow's registry: which is in use, which was before, and when and why that changed.

One registered model a dataset and label. Every training run adds a version, which becomes `challenger`. Which version
is in use is decided by the acts: an append-only list of publications and rollbacks, one tag of the registered model
each. Writing that one tag is the moment at which the model in use changes; the aliases `champion` and `previous` follow
it, so that MLflow's own pages show it, and are set again by the next act if a process died in between.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from models.bundle import MANIFEST
from training.acceptance import Gate, is_publishable, why

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

BUNDLE_ARTIFACT = "bundle"
CHALLENGER, CHAMPION, PREVIOUS = "challenger", "champion", "previous"
MAIN_METRICS = ("auc", "average_precision", "recall_at_5pct", "recall_at_10pct", "log_loss", "observed_expected")
MOST_REASON = 500
_ACT = "act."
# The registry takes no tag value beyond 5,000 bytes; a Chinese character has three.
_MOST_TAG = 1_500


class RegistryRefused(ValueError):
    """The registry cannot do what was asked; the message says what is missing."""


class Act(NamedTuple):
    """One change of the model in use: what was done, when (UTC), to which version, from which, and the reason given."""

    act: Literal["publish", "rollback"]
    at: str
    version: int
    former: int | None
    reason: str


@dataclass(frozen=True)
class Registered:
    """A version: `number` is the registry's, `model_version` the bundle's own. `registered_at` is UTC; `why` the
    sentence about its gates; `metrics` the main ones on its test rows."""

    name: str
    number: int
    run_id: str
    aliases: tuple[str, ...]
    registered_at: str
    model_version: str
    bundle_sha256: str
    publishable: bool
    why: str
    metrics: dict[str, float]


def registered_name(name: str) -> str:
    """A model's name as the registry accepts it.

    >>> registered_name("county/2026: east-L1")
    'county-2026- east-L1'
    """
    return re.sub(r"[^\w .()+-]", "-", name)


def register(run_id: str, bundle: Path) -> int:
    """Add the bundle of a run, which must have been logged as its artifact, as the next version and challenger.

    Returns the version's number. A run that is registered already keeps its number. Nothing else changes.
    """
    content = (bundle / MANIFEST).read_bytes()
    manifest = json.loads(content)
    name, client = registered_name(str(manifest["name"])), _client()
    known = version_of_run(run_id, name)
    if known is None:
        if _model(name) is None:
            client.create_registered_model(name, description=str(manifest["label"]["en"]))
        source = f"runs:/{run_id}/{BUNDLE_ARTIFACT}"
        made = client.create_model_version(name, source, run_id, tags=_facts(manifest, content))
        known = int(made.version)
    client.set_registered_model_alias(name, CHALLENGER, str(known))
    return known


def version_of_run(run_id: str, name: str) -> int | None:
    """The number under which a run's bundle is registered, or None."""
    found = [one for one in _versions(registered_name(name)) if one.run_id == run_id]
    return int(found[0].version) if found else None


def acts(name: str) -> list[Act]:
    """Every publication and rollback of a model, oldest first."""
    model = _model(registered_name(name))
    tags = {} if model is None else model.tags
    return [Act(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(_ACT)]


def in_use(name: str) -> tuple[int, ...]:
    """Numbers of the versions that were put in use and not rolled back, oldest first: the last is the champion."""
    numbers: list[int] = []
    for act in acts(name):
        if act.act == "publish":
            numbers.append(act.version)
        elif numbers:
            numbers.pop()
    return tuple(numbers)


def champion(name: str, into: Path) -> Path | None:
    """Fetch the bundle of the model in use to a folder below `into`; None if none was ever published.

    The bundle is as it was logged: verify it with `read_bundle`.
    """
    numbers = in_use(name)
    return fetched(version(name, numbers[-1]).run_id, into) if numbers else None


def fetched(run_id: str, into: Path) -> Path:
    """Fetch a run's bundle to a folder below `into`; refused if the store has no such run or bundle."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        return Path(download_artifacts(run_id=run_id, artifact_path=BUNDLE_ARTIFACT, dst_path=str(into)))
    except (MlflowException, OSError) as error:
        raise RegistryRefused(
            "the store holds no such run with a bundle; check the run id and MLFLOW_TRACKING_URI"
        ) from error


def record(name: str, act: Literal["publish", "rollback"], number: int, reason: str) -> None:
    """Write down that a version is in use from now on, then let the aliases follow.

    The one tag is the whole change: a process killed before it has changed nothing, one killed after it has changed
    everything but the aliases, which the next act sets.
    """
    if len(reason) > MOST_REASON:
        raise RegistryRefused(f"a reason has at most {MOST_REASON} characters")
    name, client = registered_name(name), _client()
    numbers = in_use(name)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    done = Act(act, at, number, numbers[-1] if numbers else None, reason)
    # The end keeps two acts apart, in their order, that two processes number alike.
    key = f"{_ACT}{len(acts(name)) + 1:06d}.{time.time_ns()}"
    client.set_registered_model_tag(name, key, json.dumps(done._asdict(), ensure_ascii=False))
    set_aliases(name)


def set_aliases(name: str) -> None:
    """Let the aliases `champion` and `previous` say what the acts say."""
    name, client = registered_name(name), _client()
    model, numbers = _model(name), in_use(name)
    wanted = dict(zip((CHAMPION, PREVIOUS), map(str, reversed(numbers)), strict=False))
    has = {} if model is None else {alias: str(number) for alias, number in model.aliases.items()}
    for alias in (CHAMPION, PREVIOUS):
        if alias in wanted and has.get(alias) != wanted[alias]:
            client.set_registered_model_alias(name, alias, wanted[alias])
        elif alias not in wanted and alias in has:
            client.delete_registered_model_alias(name, alias)


def version(name: str, number: int) -> Registered:
    """One version of a model; refused if it was deleted from the registry."""
    for one in versions(name):
        if one.number == number:
            return one
    raise RegistryRefused(f"version {number} of {registered_name(name)} is no longer in the registry")


def versions(name: str | None = None) -> list[Registered]:
    """The versions of a model, or of every model, by name and number; refused for a name that is not registered."""
    client = _client()
    if name is None:
        return [one for model in client.search_registered_models() for one in versions(model.name)]
    model = _model(registered_name(name))
    if model is None:
        raise RegistryRefused(
            f"no model {registered_name(name)!r} is registered; `povrisk models` lists those that are"
        )
    found = [_registered(one, model) for one in _versions(model.name) if "bundle_sha256" in one.tags]
    return sorted(found, key=lambda one: one.number)


def _registered(one: ModelVersion, model: RegisteredModel) -> Registered:
    aliases = tuple(sorted(alias for alias, number in model.aliases.items() if str(number) == str(one.version)))
    return Registered(
        name=str(one.name),
        number=int(one.version),
        run_id=str(one.run_id),
        aliases=aliases,
        registered_at=datetime.fromtimestamp(one.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
        model_version=one.tags["model_version"],
        bundle_sha256=one.tags["bundle_sha256"],
        publishable=one.tags["publishable"] == "true",
        why=one.tags["why"],
        metrics=json.loads(one.tags["metrics"]),
    )


def _facts(manifest: Mapping[str, Any], content: bytes) -> dict[str, str]:
    """What the registry says of a version: nothing that is not in the manifest, and nothing about any household."""
    judged = [Gate(**gate) for gate in manifest["gates"]]
    metrics = manifest.get("metrics", {})
    return {
        "model_version": str(manifest["version"]),
        "bundle_sha256": hashlib.sha256(content).hexdigest(),
        "publishable": str(is_publishable(judged)).lower(),
        "why": why(judged)[:_MOST_TAG],
        "metrics": json.dumps({metric: metrics[metric] for metric in MAIN_METRICS if metric in metrics}),
    }


def _versions(name: str) -> list[ModelVersion]:
    return list(_client().search_model_versions(f"name='{name}'"))


def _model(name: str) -> RegisteredModel | None:
    from mlflow.exceptions import RESOURCE_DOES_NOT_EXIST, ErrorCode, MlflowException

    try:
        return _client().get_registered_model(name)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return None
        raise


def _client() -> MlflowClient:
    # Imported late: `training.run` settles MLflow's environment before it imports it.
    from mlflow import MlflowClient

    return MlflowClient()
