"""The model bundle on disk: its only writer and its only reader.

    model.txt         LightGBM's text format
    calibration.json  affine calibration, base rate, tier bands
    features.json     the catalogue the model was trained with, and what training knew about each feature
    certainty.json    members of the bag, bounds of the probability, training ranges and profile
    similar.json      plausible values of what is unknown, by kind of household; older bundles have none
    manifest.json     SHA-256 of the other files, contract, data, versions, metrics, gates, 32 golden rows
    manifest.sig      HMAC-SHA-256 of manifest.json, when a key was given

LightGBM ends or hangs the process on a damaged model file, and some edits change scores without a word. So nothing is
parsed before its hash has been checked, the first parse happens in a child process with a time limit, and the golden
rows must come out bit for bit.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue, catalogue_from_json
from features.dataset import DatasetMeta, DatasetRefused
from features.placing import put_in_place
from features.rules.pack import read_packs
from models.boosted import BoostedModel, NotAdditive, trees_digest
from models.calibration import FIELDS as CALIBRATION_FIELDS
from models.calibration import Calibration
from models.certainty import Certainty
from models.similar import Similar
from models.tier import Bands
from models.wording import wording_of

SCHEMA = "bundle.v2"
MODEL, CALIBRATION, FEATURES, CERTAINTY, SIMILAR, MANIFEST, SIGNATURE = (
    "model.txt",
    "calibration.json",
    "features.json",
    "certainty.json",
    "similar.json",
    "manifest.json",
    "manifest.sig",
)
HASHED = (MODEL, CALIBRATION, FEATURES, CERTAINTY)
# Part of the bundle only where its manifest names them.
OPTIONAL = (SIMILAR,)
GOLDEN_ROWS = 32
PROBE_SECONDS = 60


class BundleRefused(Exception):
    """The bundle must not be used; the message says which check failed."""


class Check(NamedTuple):
    """One verification step."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Bundle:
    """A verified model with everything that scoring and wording need. Without `similar` no question comes from it."""

    catalogue: Catalogue
    model: BoostedModel
    calibration: Calibration
    certainty: Certainty
    bands: Bands
    base_rate: float
    importance: npt.NDArray[np.float64]
    reference: npt.NDArray[np.float64]
    manifest: Mapping[str, Any]
    sha256: str
    similar: Similar | None = None

    def rank(self, probability: float) -> float:
        """Share of the training county's households that scored lower, from 0 to 1, by the held-out scores."""
        return round(float(np.searchsorted(self.reference, probability, side="left") / len(self.reference)), 4)

    @cached_property
    def columns_used(self) -> npt.NDArray[np.int64]:
        """Places of the features that the trees use."""
        return np.flatnonzero(self.model.booster.feature_importance("split") > 0)

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.manifest["name"])

    @property
    def version(self) -> str:
        """The model's version, decided by its training data's end and its trees."""
        return str(self.manifest["version"])

    @property
    def label(self) -> str:
        """The outcome it foresees."""
        return str(self.manifest["label"]["name"])

    @property
    def time_zone(self) -> str:
        """Where calendar months and bare dates are counted."""
        return str(self.manifest["data"]["time_zone"])

    @property
    def currency(self) -> str:
        """The currency money must be given in."""
        return str(self.manifest["data"]["currency"])

    @property
    def regions(self) -> tuple[str, ...]:
        """Regions it was trained for."""
        return tuple(self.manifest["data"]["regions"])

    def refuse_foreign(self, meta: DatasetMeta) -> None:
        """Refuse data that the model would read without a complaint and misunderstand."""
        for what, theirs, ours in (
            ("catalogue", meta.catalogue, self.catalogue.name),
            ("currency", meta.currency, self.currency),
            ("time zone", meta.time_zone, self.time_zone),
        ):
            if theirs != ours:
                raise DatasetRefused(f"the dataset's {what} is {theirs}, the bundle was trained with {ours}")
        packs = read_packs()
        foreign = sorted(region for region in set(meta.regions) - set(self.regions) if not packs.knows(region))
        if foreign:
            raise DatasetRefused(
                f"the bundle was not trained for the region(s) {', '.join(foreign)}, and no pack of rules is for them"
            )

    @property
    def sources(self) -> Mapping[str, Sequence[int]]:
        """Usual reporting lag of each source in days, median and 95th percentile."""
        return dict(self.manifest["data"]["sources"])


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
        contents[SIGNATURE] = _signature(contents[MANIFEST], key).encode()
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


def read_bundle(folder: Path, *, key: bytes | None = None, proven: str | None = None) -> Bundle:
    """Verify and load. Raises `BundleRefused` naming the first failed check; never parses unverified bytes.

    `proven` is the hash of a manifest whose bundle this program has read before: then it must be that very bundle, and
    the first parse in a child process is not repeated.
    """
    checks, bundle = _checked(folder, key, proven)
    if bundle is None:
        failed = next(check for check in checks if not check.passed)
        raise BundleRefused(f"{failed.name}: {failed.detail}")
    return bundle


def verify_bundle(folder: Path, *, key: bytes | None = None) -> list[Check]:
    """Every check in order, up to the first that fails."""
    return _checked(folder, key, None)[0]


def _checked(folder: Path, key: bytes | None, proven: str | None) -> tuple[list[Check], Bundle | None]:
    checks: list[Check] = []
    try:
        return checks, _opened(folder, key, proven, checks)
    except Exception as error:
        # Files that fit their hashes are still nonsense when somebody without the key wrote both. Only the kind of
        # error is told: its text may hold the file.
        checks.append(Check("content", False, f"cannot be read ({type(error).__name__})"))
        return checks, None


def _opened(folder: Path, key: bytes | None, proven: str | None, checks: list[Check]) -> Bundle | None:
    def passes(name: str, passed: bool, good: str, bad: str) -> bool:
        checks.append(Check(name, passed, good if passed else bad))
        return passed

    wanted = (*HASHED, MANIFEST)
    missing = [name for name in wanted if not (folder / name).is_file()]
    if not passes("files", not missing, "all present", f"missing {', '.join(missing)}"):
        return None
    contents = {name: (folder / name).read_bytes() for name in wanted}
    if key is not None:
        path = folder / SIGNATURE
        written = path.read_text("ascii", errors="replace").strip() if path.is_file() else ""
        signed = hmac.compare_digest(written.encode(), _signature(contents[MANIFEST], key).encode())
        if not passes("signature", signed, "matches the key", "is missing or does not match the key"):
            return None
    sha256 = hashlib.sha256(contents[MANIFEST]).hexdigest()
    if proven is not None and not passes("identity", sha256 == proven, "as before", "is another bundle than before"):
        return None
    try:
        manifest = json.loads(contents[MANIFEST])
        hashed = (*HASHED, *(name for name in OPTIONAL if name in manifest["files"]))
        hashes = {name: manifest["files"][name] for name in hashed}
        schema = manifest["schema"]
    except (ValueError, KeyError, TypeError):
        passes("manifest", False, "", "is not a readable bundle manifest")
        return None
    if not passes("manifest", schema == SCHEMA, f"schema {SCHEMA}", f"schema is not {SCHEMA}"):
        return None
    missing = [name for name in hashed if not (folder / name).is_file()]
    if missing:
        passes("hashes", False, "", f"missing {', '.join(missing)}")
        return None
    contents |= {name: (folder / name).read_bytes() for name in hashed if name not in contents}
    wrong = [name for name in hashed if hashlib.sha256(contents[name]).hexdigest() != hashes[name]]
    if not passes("hashes", not wrong, "all files unchanged", f"changed since publication: {', '.join(wrong)}"):
        return None
    features = json.loads(contents[FEATURES])
    catalogue = catalogue_from_json(features["catalogue"])
    if not passes(
        "contract",
        catalogue.digest == features["digest"] == manifest["features_digest"]
        and len(catalogue.features) == len(features["importance"]) == len(features["had_unknown"]),
        f"{len(catalogue.features)} features",
        "the feature contract does not match its digest",
    ):
        return None
    golden = manifest["golden"]
    answer = (
        _read_here(contents, catalogue, features, golden)
        if proven is not None
        else _probe(contents[MODEL].decode(), golden["values"])
    )
    if not passes("parse", answer is not None, "read in a child process", "a child process could not read the model"):
        return None
    if not passes(
        "golden rows", answer == golden["margins"], f"{len(golden['margins'])} rows bit-equal", "scores differ"
    ):
        return None
    fitted = json.loads(contents[CALIBRATION])
    certainty = Certainty.from_json(json.loads(contents[CERTAINTY]))
    bundle = Bundle(
        catalogue=catalogue,
        model=BoostedModel.from_text(
            contents[MODEL].decode(), catalogue.names, np.array(features["had_unknown"], np.bool_), certainty.members
        ),
        calibration=Calibration.from_json({name: fitted[name] for name in CALIBRATION_FIELDS}),
        certainty=certainty,
        bands=Bands(**fitted["bands"]),
        base_rate=float(fitted["base_rate"]),
        importance=np.array(features["importance"], np.float64),
        reference=np.array(fitted["reference"], np.float64),
        manifest=manifest,
        sha256=sha256,
        similar=Similar.from_json(json.loads(contents[SIMILAR]), catalogue) if SIMILAR in hashed else None,
    )
    # What scoring and wording will ask for must be there now, not at the first household.
    _ = (bundle.name, bundle.version, bundle.label, bundle.currency, bundle.time_zone, bundle.regions, bundle.sources)
    _ = (manifest["label"]["horizon_months"], manifest["label"]["zh"], manifest["label"]["en"])
    if not passes(
        "contributions", _add_up(bundle.model, golden), "add up to the scores", "do not add up to the scores"
    ):
        return None
    probabilities = bundle.calibration.probability(np.array(golden["margins"])).tolist()
    if not passes("calibration", probabilities == golden["probabilities"], "bit-equal", "probabilities differ"):
        return None
    return bundle


def _read_here(
    contents: Mapping[str, bytes], catalogue: Catalogue, features: Mapping[str, Any], golden: Mapping[str, Any]
) -> list[float]:
    """Margins of the golden rows from a model that another process has read unharmed."""
    model = BoostedModel.from_text(contents[MODEL].decode(), catalogue.names, np.array(features["had_unknown"]))
    found: list[float] = model.margins(np.array(golden["values"], np.float64)).tolist()
    return found


def _add_up(model: BoostedModel, golden: Mapping[str, Any]) -> bool:
    """Whether the contributions of the golden rows that may be explained are their margins, to 1e-6."""
    values, margins = np.array(golden["values"], np.float64), np.array(golden["margins"], np.float64)
    explained = ~model.unlearned_unknowns(values)
    try:
        found, base = model.contributions(values[explained])
    except NotAdditive:
        return False
    return bool(np.allclose(base + found.sum(axis=1), margins[explained], rtol=0, atol=1e-6))


def _probe(model_text: str, values: list[list[float | None]]) -> list[float] | None:
    """Margins of the golden rows from a child process, or None if it failed, died or took too long."""
    question = json.dumps({"model": model_text, "values": values})
    try:
        done = subprocess.run(
            # -P: nothing is imported from the working directory, which may be the very folder under suspicion.
            [sys.executable, "-P", "-m", "models.probe"],
            input=question.encode(),
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent), "OMP_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0:
        return None
    answer: list[float] = json.loads(done.stdout)
    return answer


def _signature(content: bytes, key: bytes) -> str:
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def _json_bytes(value: Any) -> bytes:
    # allow_nan=False: a NaN in a manifest would be read as a number by some and refused by others.
    return (json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()
