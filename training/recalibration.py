"""A new level for a model in use: proposed from matured outcomes, approved by a person, written as a new bundle.

Trees and reasons stay as they are. What moves, moves together: calibration, bands, reference scores and average, all
by the same map of the log-odds, so that nobody's place in the list changes.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from models.bundle import MODEL, Bundle, copy_bundle, read_bundle, write_bundle
from models.calibration import MIN_POSITIVES, Calibration, fit_calibration
from models.tier import Bands
from training.splits import household_folds

Floats = npt.NDArray[np.float64]

SCHEMA = "proposal.v1"
ROLES = ("supervisor", "data_officer", "department_head")
FOLDS = 2
WRITTEN_BY_BUNDLE = ("schema", "trees_sha256", "features_digest", "files", "golden")


class RecalibrationRefused(ValueError):
    """A recalibration cannot be proposed or applied; the message says why."""


@dataclass(frozen=True)
class Proposal:
    """`log_odds_new = slope * log_odds_old + intercept`, for the one bundle whose manifest has this SHA-256.

    Fitted on `rows` rows of `households` households with `positives` outcomes, judged at moments from `since` to
    `until`. The four figures before and after are of households the map was not fitted on (two folds of households).
    """

    bundle_sha256: str
    slope: float
    intercept: float
    base_rate: float
    rows: int
    households: int
    positives: int
    since: str
    until: str
    observed_expected_before: float
    observed_expected_after: float
    log_loss_before: float
    log_loss_after: float

    def as_json(self) -> dict[str, Any]:
        """The content of `proposal.json`."""
        return {"schema": SCHEMA, **asdict(self)}

    @staticmethod
    def from_json(written: Mapping[str, Any]) -> Proposal:
        """Read back; a missing or unknown field is refused by name.

        >>> Proposal.from_json({"schema": "proposal.v1", "slope": 1.0, "intercept": 0.0, "rows": 1, "positives": 1})
        Traceback (most recent call last):
        ...
        training.recalibration.RecalibrationRefused: the proposal lacks base_rate, bundle_sha256, households, \
log_loss_after, log_loss_before, observed_expected_after, observed_expected_before, since, until
        """
        if not isinstance(written, Mapping) or written.get("schema") != SCHEMA:
            raise RecalibrationRefused(f"the file is no {SCHEMA}; give the proposal.json that povrisk drift wrote")
        known = {one.name: one.type for one in fields(Proposal)}
        for said, wrong in (
            ("lacks", set(known) - set(written)),
            ("has unknown fields", set(written) - {*known, "schema"}),
        ):
            if wrong:
                raise RecalibrationRefused(f"the proposal {said} {', '.join(sorted(wrong))}")
        kinds = {"str": str, "int": int, "float": int | float}
        for name, kind in known.items():
            value = written[name]
            if not isinstance(value, kinds[str(kind)]) or isinstance(value, bool):
                raise RecalibrationRefused(f"the proposal's {name} is of another kind than it was written as")
            if isinstance(value, int | float) and not math.isfinite(value):
                raise RecalibrationRefused(f"the proposal's {name} is not a finite number")
        read = Proposal(**{name: written[name] for name in known})
        if not read.slope > 0.0 or not 0.0 < read.base_rate < 1.0:
            raise RecalibrationRefused("the proposal needs a slope above 0 and a base rate between 0 and 1")
        return read


def proposed(bundle_sha256: str, rows: pd.DataFrame, *, since: str, until: str, seed: int = 0) -> Proposal:
    """A proposal from rows with outcomes: household_id, outcome (0.0 or 1.0), and the probability now in use.

    Refused below 100 outcomes: a map learned from fewer is itself the error. From 100 to 300 it is drawn towards
    leaving everything as it is (`models.calibration`).
    """
    y, p = rows["outcome"].to_numpy(np.float64), rows["probability"].to_numpy(np.float64)
    if y.sum() < MIN_POSITIVES:
        raise RecalibrationRefused(
            f"fewer than {MIN_POSITIVES} outcomes are known; wait for more before changing the level"
        )
    now = np.asarray(logit(np.clip(p, 1e-12, 1.0 - 1e-12)), np.float64)
    fold = household_folds(rows["household_id"], FOLDS, seed)
    after = np.empty(len(y))
    for k in range(FOLDS):
        inside = fold != k
        after[~inside] = fit_calibration(now[inside], y[inside]).probability(now[~inside])
    fitted = fit_calibration(now, y)
    return Proposal(
        bundle_sha256,
        fitted.slope,
        fitted.intercept,
        float(y.mean()),
        len(y),
        int(rows["household_id"].nunique()),
        int(y.sum()),
        since,
        until,
        float(y.sum() / p.sum()),
        float(y.sum() / after.sum()),
        float(log_loss(y, p, labels=[0.0, 1.0])),
        float(log_loss(y, after, labels=[0.0, 1.0])),
    )


def recalibrated(
    bundle_folder: Path, proposal: Proposal, out: Path, *, approved_by: str, approved_on: str, key: bytes | None = None
) -> Bundle:
    """Write the bundle with the proposed level to `out`, signed if a key is given, and read it back.

    `approved_by` is a role, never a person's name. Refused when the proposal was made for another bundle, or `out`
    is the bundle itself: the former level must stay at hand.
    """
    if approved_by not in ROLES:
        raise RecalibrationRefused(f"approved by whom? Name a role, not a person: {', '.join(ROLES)}")
    if out.resolve() == bundle_folder.resolve():
        raise RecalibrationRefused("write the new bundle to another place; the former one must stay at hand")
    bundle = read_bundle(bundle_folder, key=key)
    if bundle.sha256 != proposal.bundle_sha256:
        raise RecalibrationRefused("the proposal was made for another bundle; run povrisk drift on this one")
    write_bundle(out, **_parts(bundle, bundle_folder, proposal, approved_by, approved_on))
    if key is not None:
        copy_bundle(out, out, key=key)
    return read_bundle(out, key=key)


def next_version(version: str) -> str:
    """The version of a bundle after one more recalibration.

    >>> next_version("2024-06-30-1a2b"), next_version("2024-06-30-1a2b+r1")
    ('2024-06-30-1a2b+r1', '2024-06-30-1a2b+r2')
    """
    found = re.fullmatch(r"(.*)\+r(\d+)", version)
    return f"{version}+r1" if found is None else f"{found[1]}+r{int(found[2]) + 1}"


def moved(probability: Floats, slope: float, intercept: float) -> Floats:
    """Probabilities after the map of the log-odds; 0 and 1 stay.

    >>> moved(np.array([0.0, 0.5, 1.0]), 1.0, 0.0)
    array([0. , 0.5, 1. ])
    """
    return np.asarray(expit(slope * logit(probability) + intercept), np.float64)


def _parts(bundle: Bundle, folder: Path, proposal: Proposal, approved_by: str, approved_on: str) -> dict[str, Any]:
    """What `write_bundle` is given: everything as it was, but for the level and what depends on it."""
    slope, intercept = proposal.slope, proposal.intercept
    calibration = bundle.calibration.then(Calibration(slope, intercept, proposal.rows, proposal.positives))
    cuts = moved(np.array([bundle.bands.red, bundle.bands.orange, bundle.bands.yellow]), slope, intercept)
    golden = bundle.manifest["golden"]["values"]
    facts = {name: value for name, value in bundle.manifest.items() if name not in WRITTEN_BY_BUNDLE}
    change = {
        "from_version": bundle.version,
        "approved_by": approved_by,
        "approved_on": approved_on,
        "before": bundle.calibration.as_json() | {"base_rate": bundle.base_rate},
        "after": calibration.as_json() | {"base_rate": proposal.base_rate},
        "proposal": proposal.as_json(),
        "proposal_sha256": hashlib.sha256(json.dumps(proposal.as_json(), sort_keys=True).encode()).hexdigest(),
        "note": "metrics and gates of this manifest were measured before the level was changed",
    }
    return {
        "model_text": (folder / MODEL).read_text("utf-8"),
        "catalogue": bundle.catalogue,
        "calibration": calibration,
        "bands": Bands(*cuts.tolist()),
        "base_rate": proposal.base_rate,
        "importance": bundle.importance * slope,
        "reference": moved(bundle.reference, slope, intercept),
        "had_unknown": bundle.model.had_unknown,
        "golden_values": np.array(golden, np.float64),
        "certainty": bundle.certainty.moved(slope, intercept),
        "similar": bundle.similar,
        "facts": {
            **facts,
            "version": next_version(bundle.version),
            "recalibrations": [*facts.get("recalibrations", []), change],
        },
    }
