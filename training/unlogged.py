"""What becomes of a finished study when MLflow's store is lost before the run is written: it is kept beside.

A study may have taken hours; the store is another program, and may be gone when it is needed.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from features.placing import put_in_place
from training.candidate_bundle import write_candidate
from training.report import report
from training.study import Study

FOLDER = "unlogged"


class StoreLost(ValueError):
    """The store took the beginning of a run and then no more; the message says where the study lies."""


def keep_unlogged(done: Study, facts: dict[str, Any], place: Path) -> Path:
    """Write bundle, report and metrics of a study under `place`, whole or not at all; returns their folder.

    The folder is named by the model's version: the same data and seed come to lie in the same place.
    """
    folder = place / FOLDER / str(facts["version"]).replace("+", "-")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    try:
        write_candidate(done, unfinished / "bundle", facts)
        (unfinished / "report.md").write_text(report(done), "utf-8")
        (unfinished / "metrics.json").write_text(json.dumps(done.metrics, indent=1), "utf-8")
        put_in_place(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder
