"""The model bundle on disk, and its only reader; `models.bundle_writer` writes it.

    model.txt         LightGBM's text format
    calibration.json  affine calibration, base rate, tier bands
    features.json     the catalogue the model was trained with, and what training knew about each feature
    certainty.json    members of the bag, bounds of the probability, training ranges and profile
    similar.json      plausible values of what is unknown, by kind of household; older bundles have none
    manifest.json     SHA-256 of the other files, contract, data, versions, metrics, gates, 32 golden rows
    manifest.sig      HMAC-SHA-256 of manifest.json, when a key was given

LightGBM ends or hangs the process on a damaged model file, and some edits change scores without a word. So nothing is
parsed before its hash has been checked (`models.bundle_contents`), the first parse happens in a child process with
little time and memory (`models.probe`), and the golden rows must come out bit for bit, there and here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue, catalogue_from_json
from features.dataset import DatasetMeta, DatasetRefused
from features.rules.pack import read_packs
from models.boosted import BoostedModel, NotAdditive
from models.bundle_contents import (
    CALIBRATION,
    CERTAINTY,
    FEATURES,
    HASHED,
    MANIFEST,
    MODEL,
    SIGNATURE,
    SIMILAR,
    BundleRefused,
    Check,
    Checks,
    Contents,
    contents_of,
)
from models.bundle_writer import copy_bundle, write_bundle
from models.calibration import FIELDS as CALIBRATION_FIELDS
from models.calibration import Calibration
from models.certainty import Certainty
from models.model_text import ModelTextRefused, refuse_damaged
from models.probe import ProbeLimits, margins_in_child
from models.similar import Similar
from models.tier import Bands

__all__ = [
    "CALIBRATION",
    "CERTAINTY",
    "FEATURES",
    "GOLDEN_ROWS",
    "HASHED",
    "MANIFEST",
    "MODEL",
    "PATIENT",
    "SIGNATURE",
    "SIMILAR",
    "Bundle",
    "BundleRefused",
    "Check",
    "Contents",
    "ProbeLimits",
    "bundle_of",
    "contents_of",
    "copy_bundle",
    "read_bundle",
    "verify_bundle",
    "write_bundle",
]

GOLDEN_ROWS = 32
# A command that somebody waits for on a busy machine; the service gives a new model less.
PATIENT = ProbeLimits()


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

    def scores_golden_rows(self) -> bool:
        """Whether margins and probabilities of the golden rows are, to the last bit, those of the publication."""
        golden = self.manifest["golden"]
        margins = self.model.margins(np.array(golden["values"], np.float64))
        probabilities = self.calibration.probability(margins).tolist()
        return bool(margins.tolist() == golden["margins"] and probabilities == golden["probabilities"])


def read_bundle(
    folder: Path, *, key: bytes | None = None, proven: str | None = None, limits: ProbeLimits = PATIENT
) -> Bundle:
    """Verify and load. Raises `BundleRefused` naming the first failed check; never parses unverified bytes.

    `proven` is the hash of a manifest whose bundle this program has read before: then it must be that very bundle, and
    the first parse in a child process is not repeated. `limits` are those of the child.
    """
    return _opened(folder, key, proven, limits, Checks())


def verify_bundle(folder: Path, *, key: bytes | None = None, limits: ProbeLimits = PATIENT) -> list[Check]:
    """Every check in order, up to the first that fails."""
    checks = Checks()
    with suppress(BundleRefused):
        _opened(folder, key, None, limits, checks)
    return list(checks)


def _opened(folder: Path, key: bytes | None, proven: str | None, limits: ProbeLimits, checks: Checks) -> Bundle:
    contents = contents_of(folder, key=key, proven=proven, checks=checks)
    return bundle_of(contents, is_proven=proven is not None, limits=limits, checks=checks)


def bundle_of(
    contents: Contents, *, is_proven: bool = False, limits: ProbeLimits = PATIENT, checks: Checks | None = None
) -> Bundle:
    """The bundle in files that fit their hashes. Raises `BundleRefused`.

    `is_proven`: a child process has read this very manifest's model before, and golden rows came out right.
    """
    checks = Checks() if checks is None else checks
    try:
        return _parsed(contents, is_proven, limits, checks)
    except BundleRefused:
        raise
    except Exception as error:
        # Files that fit their hashes are still nonsense when somebody without the key wrote both. Only the kind of
        # error is told: its text may hold the file.
        checks.append(Check("content", False, f"cannot be read ({type(error).__name__})"))
        raise BundleRefused(f"content: {checks[-1].detail}", "content") from None


def _parsed(contents: Contents, is_proven: bool, limits: ProbeLimits, checks: Checks) -> Bundle:
    manifest, golden = contents.manifest, contents.manifest["golden"]
    features = json.loads(contents.files[FEATURES])
    catalogue = catalogue_from_json(features["catalogue"])
    checks.need(
        "contract",
        catalogue.digest == features["digest"] == manifest["features_digest"]
        and len(catalogue.features) == len(features["importance"]) == len(features["had_unknown"]),
        f"{len(catalogue.features)} features",
        "the feature contract does not match its digest",
    )
    if not is_proven:
        text = contents.files[MODEL].decode()
        try:
            refuse_damaged(text)
        except ModelTextRefused as damaged:
            checks.need("parse", False, "", str(damaged))
        found = margins_in_child(text, golden["values"], limits)
        checks.need("parse", found is not None, "read in a child process", "a child process could not read the model")
        if found != golden["margins"]:
            checks.need("golden rows", False, "", "scores differ")
    bundle = _loaded(contents, catalogue, features)
    margins = bundle.model.margins(np.array(golden["values"], np.float64)).tolist()
    told = f"{len(golden['margins'])} rows bit-equal"
    checks.need("golden rows", margins == golden["margins"], told, "scores differ")
    checks.need("contributions", _add_up(bundle.model, golden), "add up to the scores", "do not add up to the scores")
    checks.need("calibration", bundle.scores_golden_rows(), "bit-equal", "probabilities differ")
    return bundle


def _loaded(contents: Contents, catalogue: Catalogue, features: Mapping[str, Any]) -> Bundle:
    fitted = json.loads(contents.files[CALIBRATION])
    certainty = Certainty.from_json(json.loads(contents.files[CERTAINTY]))
    had_unknown = np.array(features["had_unknown"], np.bool_)
    similar = contents.files.get(SIMILAR)
    bundle = Bundle(
        catalogue=catalogue,
        model=BoostedModel.from_text(contents.files[MODEL].decode(), catalogue.names, had_unknown, certainty.members),
        calibration=Calibration.from_json({name: fitted[name] for name in CALIBRATION_FIELDS}),
        certainty=certainty,
        bands=Bands(**fitted["bands"]),
        base_rate=float(fitted["base_rate"]),
        importance=np.array(features["importance"], np.float64),
        reference=np.array(fitted["reference"], np.float64),
        manifest=contents.manifest,
        sha256=contents.sha256,
        similar=None if similar is None else Similar.from_json(json.loads(similar), catalogue),
    )
    # What scoring and wording will ask for must be there now, not at the first household.
    _ = (bundle.name, bundle.version, bundle.label, bundle.currency, bundle.time_zone, bundle.regions, bundle.sources)
    _ = [bundle.manifest["label"][name] for name in ("horizon_months", "zh", "en")]
    return bundle


def _add_up(model: BoostedModel, golden: Mapping[str, Any]) -> bool:
    """Whether the contributions of the golden rows that may be explained are their margins, to 1e-6."""
    values, margins = np.array(golden["values"], np.float64), np.array(golden["margins"], np.float64)
    explained = ~model.unlearned_unknowns(values)
    try:
        found, base = model.contributions(values[explained])
    except NotAdditive:
        return False
    return bool(np.allclose(base + found.sum(axis=1), margins[explained], rtol=0, atol=1e-6))
