"""More of what is certainly bad never lowers the score of a trained bag, and more of what is certainly good never
raises it, whatever else is on record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.catalogue import catalogue
from features.dataset import read_dataset
from features.definition import Direction
from features.intake import admitted
from features.matrix import matrix
from models.bundle import Bundle
from training.moments import moments
from training.rows import dataset_history

STEPS = 7


@pytest.fixture(scope="module")
def known(tiny_county: Path) -> np.ndarray:
    """Vectors of the tiny county's households at one moment."""
    dataset = read_dataset(tiny_county)
    core = catalogue()
    history = dataset_history(admitted(dataset, core), core)
    return matrix(history, moments(dataset.meta)[-1]).values


def test_the_margin_follows_every_declared_direction(opened_bundle: Bundle, known: np.ndarray) -> None:
    model, checked = opened_bundle.model, 0
    used = model.booster.feature_importance("split") > 0
    rows = known[:: max(1, len(known) // 60)]
    for column, feature in enumerate(opened_bundle.catalogue.features):
        seen = known[:, column][~np.isnan(known[:, column])]
        if feature.direction is Direction.OPEN or not used[column] or len(np.unique(seen)) < 2:
            continue
        asked = np.repeat(rows, STEPS, axis=0)
        asked[:, column] = np.tile(np.quantile(seen, np.linspace(0, 1, STEPS)), len(rows))
        steps = np.diff(model.margins(asked).reshape(len(rows), STEPS), axis=1) * feature.direction.value
        assert (steps >= -1e-12).all(), feature.name
        checked += 1
    assert checked >= 20


def test_the_check_sees_a_model_that_breaks_a_direction(opened_bundle: Bundle, known: np.ndarray) -> None:
    declared = [f.direction.value for f in opened_bundle.catalogue.features]
    used = opened_bundle.model.booster.feature_importance("split") > 0
    column = next(i for i, way in enumerate(declared) if way != 0 and used[i] and len(np.unique(known[:, i])) > 3)
    low, high = known.copy(), known.copy()
    low[:, column], high[:, column] = np.nanmin(known[:, column]), np.nanmax(known[:, column])
    moved = opened_bundle.model.margins(high) - opened_bundle.model.margins(low)
    assert (moved * -declared[column] < -1e-6).any()
