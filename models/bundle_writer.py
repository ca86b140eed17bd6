"""Writing and copying a bundle, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue
from features.placing import put_in_place
from models.boosted import BoostedModel, trees_digest
from models.bundle_contents import (
    CALIBRATION,
    CERTAINTY,
    FEATURES,
    HASHED,
    MANIFEST,
    MODEL,
    OPTIONAL,
    SCHEMA,
    SIGNATURE,
    SIMILAR,
    BundleRefused,
    signature,
)
from models.calibration import Calibration
from models.certainty import Certainty
from models.similar import Similar
from models.tier import Bands
from models.wording import wording_of


def write_bundle(
    folder: Path,
    *,
    model_text: str,
    catalogue: Catalogue,
    calibration: Calibration,
    bands: Bands,
    base_rate: float,
    importance: npt.NDArray[np.float64],
    reference: npt.NDArray[np.float64],
    had_unknown: npt.NDArray[np.bool_],
    golden_values: npt.NDArray[np.float64],
    facts: Mapping[str, Any],
    certainty: Certainty | None = None,
    similar: Similar | None = None,
) -> str:
    """Write an unsigned bundle whole or not at all; returns its SHA-256. `facts` go into the manifest as they are.

    Raises `WordingRefused` for a catalogue with a feature that no sentence tells.
    """
    certainty = certainty or Certainty()
    # A model that cannot be put into words does not leave.
    wording_of(catalogue)
    model = BoostedModel.from_text(model_text, catalogue.names, had_unknown, certainty.members)
    margins = model.margins(golden_values)
    contents = {
        MODEL: model_text.encode(),
        CALIBRATION: _json_bytes(
            {
                **calibration.as_json(),
                "base_rate": base_rate,
                "bands": {"red": bands.red, "orange": bands.orange, "yellow": bands.yellow},
                "reference": reference.tolist(),
            }
        ),
        FEATURES: _json_bytes(
            {
                "catalogue": catalogue.as_json(),
                "digest": catalogue.digest,
                "importance": importance.tolist(),
                "had_unknown": [bool(flag) for flag in had_unknown],
            }
        ),
        CERTAINTY: _json_bytes(certainty.as_json()),
    }
    if similar is not None:
        contents[SIMILAR] = _json_bytes(similar.as_json())
    manifest = {
        "schema": SCHEMA,
        **facts,
        "trees_sha256": trees_digest(model_text),
        "features_digest": catalogue.digest,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        "golden": {
            "values": [[None if math.isnan(v) else v for v in row] for row in golden_values.tolist()],
            "margins": margins.tolist(),
            "probabilities": calibration.probability(margins).tolist(),
        },
    }
    contents[MANIFEST] = _json_bytes(manifest)
    _placed(folder, contents)
    return hashlib.sha256(contents[MANIFEST]).hexdigest()


def copy_bundle(source: Path, target: Path, *, key: bytes | None = None) -> None:
    """Copy a bundle's files unchanged, whole or not at all, and sign the copy if a key is given."""
    names = (*HASHED, *(name for name in OPTIONAL if (source / name).is_file()), MANIFEST)
    contents = {name: (source / name).read_bytes() for name in names}
    if key is not None:
        contents[SIGNATURE] = signature(contents[MANIFEST], key).encode()
    _placed(target, contents)


def _placed(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write beside the final place and rename, so that nobody ever reads half a bundle."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise BundleRefused(f"{folder.name} exists and is no bundle; choose another place")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, content in contents.items():
            (unfinished / name).write_bytes(content)
        put_in_place(unfinished, folder)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _json_bytes(value: Any) -> bytes:
    # allow_nan=False: a NaN in a manifest would be read as a number by some and refused by others.
    return (json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()
