"""From an MLflow run to a bundle folder, if the run passed its gates."""

from __future__ import annotations

import tempfile
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from models.bundle import Bundle, copy_bundle, read_bundle
from training.run import BUNDLE_ARTIFACT, use_store


class PublicationRefused(Exception):
    """The run may not be published; the message says which gate failed, or what is missing."""


def publish(run_id: str, out: Path, *, key: bytes | None = None) -> Bundle:
    """Copy the run's bundle to `out` after checking it, signed if a key is given.

    Refused when a gate failed: the model may not replace what is in use.
    """
    use_store()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            fetched = Path(
                mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=BUNDLE_ARTIFACT, dst_path=scratch)
            )
        except (MlflowException, OSError) as error:
            raise PublicationRefused(
                "the store holds no such run with a bundle; check the run id and MLFLOW_TRACKING_URI"
            ) from error
        candidate = read_bundle(fetched)
        failed = [gate for gate in candidate.manifest["gates"] if not gate["passed"]]
        if failed:
            raise PublicationRefused("not publishable: " + "; ".join(gate["text"] for gate in failed))
        copy_bundle(fetched, out, key=key)
    return read_bundle(out, key=key)
