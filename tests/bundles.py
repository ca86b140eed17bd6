"""A bundle of a few small trees over the core catalogue, made in a moment, and ways to tamper with one."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from features.catalogue import catalogue
from models.bundle import MANIFEST, write_bundle
from models.calibration import Calibration
from models.tier import Bands

CORE = catalogue()
ROWS = 800
FACTS: dict[str, Any] = {
    "name": "small",
    "version": "1",
    "label": {"name": "L1", "horizon_months": 12, "zh": "返贫", "en": "returns"},
    "data": {
        "currency": "CNY", "time_zone": "Asia/Shanghai", "regions": ["demo"], "sources": {"医保": [5, 120]},
    },
    "gates": [],
}  # fmt: skip

# What `POST /score` takes: a household of which a `scoring_bundle` tells a probability.
HOUSEHOLD: dict[str, Any] = {
    "household_id": "h-1",
    "as_of": "2026-11-01",
    "region": "demo",
    "residence": "rural",
    "members": [{"person_id": "p1", "birth_date": "1955-03-01", "role": "head", "joined_at": "2000-01-01"}],
    "events": [
        {
            "event_id": "e1", "person_id": "p1", "code": "CLM//INPATIENT", "occurred_at": "2026-10-12",
            "value": 14200.0, "unit": "CNY", "text": "I63", "source": "医保",
        }
    ],
}  # fmt: skip


def small_booster(seed: int = 1, trees: int = 6) -> lgb.Booster:
    """Trees over random columns with gaps."""
    values = small_values(seed)
    outcome = (np.nan_to_num(values[:, :20]).sum(axis=1) + np.random.default_rng(seed).normal(size=ROWS) > 0) * 1.0
    parameters = {"objective": "binary", "num_leaves": 7, "verbosity": -1, "seed": seed, "num_threads": 1}
    return lgb.train(parameters, lgb.Dataset(values, outcome, feature_name=list(CORE.names)), num_boost_round=trees)


def small_values(seed: int = 1, n: int = ROWS) -> np.ndarray:
    """Random rows of the core catalogue, one in five cells unknown."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, len(CORE.names)))
    values[rng.random(values.shape) < 0.2] = np.nan
    return values


def small_parts(seed: int = 1, **changed: Any) -> dict[str, Any]:
    """What `write_bundle` is given."""
    parts: dict[str, Any] = {
        "model_text": small_booster(seed).model_to_string(),
        "catalogue": CORE,
        "calibration": Calibration(0.9, -0.1, 800, 300),
        "bands": Bands(0.7, 0.6, 0.55),
        "base_rate": 0.25,
        "importance": np.linspace(0, 1, len(CORE.names)),
        "reference": np.linspace(0.01, 0.9, 11),
        "had_unknown": np.arange(len(CORE.names)) % 2 == 0,
        "golden_values": small_values(seed + 100, 32),
        "facts": FACTS,
    }
    return parts | changed


def small_bundle(folder: Path, seed: int = 1, **changed: Any) -> Path:
    """A written bundle."""
    write_bundle(folder, **small_parts(seed, **changed))
    return folder


def scoring_bundle(folder: Path, **changed: Any) -> Path:
    """A bundle that has met every feature unknown, and so tells a probability of any household with an event."""
    return small_bundle(folder, had_unknown=np.ones(len(CORE.names), np.bool_), **changed)


def tampered(source: Path, target: Path, files: dict[str, bytes], manifest: dict[str, Any] | None = None) -> Path:
    """A copy with other files whose hashes fit again, as somebody without the key would make it."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    written = json.loads((target / MANIFEST).read_text("utf-8"))
    for name, content in files.items():
        (target / name).write_bytes(content)
        written["files"][name] = hashlib.sha256(content).hexdigest()
    written |= manifest or {}
    (target / MANIFEST).write_text(json.dumps(written, ensure_ascii=False), encoding="utf-8")
    return target
