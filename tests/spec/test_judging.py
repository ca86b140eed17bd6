"""A published bundle is judged by the probabilities that the service would tell, the level of each region included."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit

import training.judging
from models.bundle import Bundle
from training.judging import judge


def test_the_level_of_a_region_counts(
    tiny_county: Path, tiny_bundle: Path, opened_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {}
    for name, offsets in {"without": {}, "with": dict.fromkeys(opened_bundle.regions, 1.0)}.items():
        bundle = replace(opened_bundle, calibration=replace(opened_bundle.calibration, offsets=offsets))
        monkeypatch.setattr(training.judging, "read_bundle", lambda folder, bundle=bundle: bundle)
        _, told[name] = judge(tiny_bundle, tiny_county, label=None, since=None, until=None, experiment="judging")
    assert told["with"]["n"] == told["without"]["n"]
    assert told["with"]["auc"] == pytest.approx(told["without"]["auc"])
    assert told["with"]["calibration_intercept"] == pytest.approx(told["without"]["calibration_intercept"] - 1.0)
    # Odds times e: between the probability itself and its upper bound.
    mean = told["without"]["mean_probability"]
    assert mean < told["with"]["mean_probability"] <= expit(logit(mean) + 1.0)
    assert np.isfinite(told["with"]["observed_expected"])
