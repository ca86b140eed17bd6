"""From an MLflow run to a bundle folder, if the run passed its gates; and back to the model that was in use before.

The order of every change: the bundle is fetched, verified and copied beside its place together with its card; the
registry writes down the act; the copy is renamed to its place. A kill before the act leaves everything as it was. A
kill after it leaves the old folder in its place whole, and the same command, given again, finishes what is written down
without writing it twice. At no moment are there two champions or half a bundle.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.placing import put_in_place
from models.bundle import MANIFEST, Bundle, BundleRefused, copy_bundle, read_bundle
from training import registry
from training.acceptance import LOSSES, Gate, why
from training.card import write_card
from training.run import use_store


class PublicationRefused(ValueError):
    """The run may not be published; the message says which gate failed, or what is missing."""


def publish(run_id: str, out: Path, *, key: bytes | None = None, reason: str = "") -> Bundle:
    """Put the run's model in use: make it champion and copy its bundle and card to `out`, signed if a key is given.

    Refused when a gate failed, or when it was not judged against the champion of today: a model that is worse may not
    replace the one in use. Given again for the champion itself it only copies the bundle out again.
    """
    use_store()
    with tempfile.TemporaryDirectory() as scratch:
        fetched = _fetched(run_id, Path(scratch))
        candidate = read_bundle(fetched)
        _refuse_failed(candidate.manifest)
        number = registry.version_of_run(run_id, candidate.name) or registry.register(run_id, fetched)
        with _staged(fetched, out, key, candidate.sha256) as place:
            if registry.in_use(candidate.name)[-1:] == (number,):
                registry.set_aliases(candidate.name)
            else:
                _refuse_worse_than_todays(candidate)
                registry.record(candidate.name, "publish", number, reason)
            place()
    return read_bundle(out, key=key, proven=candidate.sha256)


def rollback(name: str, out: Path, *, key: bytes | None = None, reason: str) -> Bundle:
    """Put the model in use that was in use before, and copy its bundle to `out`; refused when there was none.

    `out` that still holds the model which the last rollback took out of use only gets the champion's bundle: that is
    what is left to do after a kill, and on the second of several machines.
    """
    use_store()
    numbers = registry.in_use(name)
    finishing = _is_left_over(name, out)
    if len(numbers) < (1 if finishing else 2):
        raise PublicationRefused("there is no model that was in use before this one; publish another run instead")
    target = registry.version(name, numbers[-1] if finishing else numbers[-2])
    with tempfile.TemporaryDirectory() as scratch:
        fetched = _fetched(target.run_id, Path(scratch))
        if read_bundle(fetched).sha256 != target.bundle_sha256:
            raise PublicationRefused("the former model's bundle in the store is not the one that was registered")
        with _staged(fetched, out, key, target.bundle_sha256) as place:
            if finishing:
                registry.set_aliases(name)
            else:
                registry.record(name, "rollback", target.number, reason)
            place()
    return read_bundle(out, key=key, proven=target.bundle_sha256)


def _fetched(run_id: str, scratch: Path) -> Path:
    try:
        return registry.fetched(run_id, scratch)
    except registry.RegistryRefused as refused:
        raise PublicationRefused(str(refused)) from refused


def _refuse_failed(manifest: Mapping[str, Any]) -> None:
    judged = [Gate(**gate) for gate in manifest["gates"]]
    if any(not gate.passed for gate in judged):
        raise PublicationRefused("not publishable. " + why(judged))


def _refuse_worse_than_todays(candidate: Bundle) -> None:
    """The gates have compared with the champion of the training's day. If there is another one since then, figures of
    the same test rows must do; on other rows there is nothing to go by."""
    numbers = registry.in_use(candidate.name)
    against = (candidate.manifest.get("champion") or {}).get("bundle_sha256")
    if not numbers or registry.version(candidate.name, numbers[-1]).bundle_sha256 == against:
        return
    with tempfile.TemporaryDirectory() as scratch:
        todays = read_bundle(_fetched(registry.version(candidate.name, numbers[-1]).run_id, Path(scratch)))
    if _judged_on(candidate.manifest) != _judged_on(todays.manifest):
        raise PublicationRefused(
            f"not publishable: {todays.version} was put in use after this run was judged, and on other test rows; "
            "train again, so that the two are compared"
        )
    worse = _worse(candidate.manifest.get("metrics", {}), todays.manifest.get("metrics", {}))
    if worse:
        raise PublicationRefused(f"not publishable: worse than {todays.version}, which is in use: {'; '.join(worse)}")


def _judged_on(manifest: Mapping[str, Any]) -> tuple[object, ...]:
    """What decides the test rows of a run."""
    return manifest["data"].get("digest"), manifest.get("training", {}).get("split"), manifest["label"]["name"]


def _worse(ours: Mapping[str, float], theirs: Mapping[str, float]) -> list[str]:
    """By which figures one model is worse than another by more than chance may excuse, each in words."""
    found = []
    for metric, loss in LOSSES.items():
        if metric not in theirs:
            continue
        if metric not in ours:
            found.append(f"{loss.what} was not measured")
            continue
        lost = (ours[metric] - theirs[metric]) * (1 if loss.less_is_better else -1)
        if not lost <= loss.most * (abs(theirs[metric]) if loss.is_share else 1.0):
            found.append(f"{loss.what} is {ours[metric]:.4f}, there {theirs[metric]:.4f}")
    return found


def _is_left_over(name: str, out: Path) -> bool:
    """Whether `out` holds the model that the last act, a rollback, took out of use."""
    done = registry.acts(name)
    if not done or done[-1].act != "rollback" or done[-1].former is None or not (out / MANIFEST).is_file():
        return False
    held = hashlib.sha256((out / MANIFEST).read_bytes()).hexdigest()
    return held == registry.version(name, done[-1].former).bundle_sha256


@contextmanager
def _staged(fetched: Path, out: Path, key: bytes | None, proven: str) -> Iterator[Callable[[], None]]:
    """A finished copy with its card beside `out`; what is given back renames it to its place."""
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise BundleRefused(f"{out.name} exists and is no bundle; choose another place")
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        copy = beside / "bundle"
        copy_bundle(fetched, copy, key=key)
        write_card(read_bundle(copy, key=key, proven=proven), copy)
        yield lambda: put_in_place(copy, out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
