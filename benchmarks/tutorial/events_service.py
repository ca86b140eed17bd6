"""The tutorial service that takes the same body as ours: events in, probability and contributions out."""

from __future__ import annotations

import os
from pathlib import Path

import bentoml
import lightgbm as lgb

from benchmarks.tutorial.feature_frame import feature_frame
from benchmarks.tutorial.messages import Household, Prediction
from benchmarks.tutorial.prediction import predictions
from models.bundle import read_bundle

BUNDLE = "TUTORIAL_BUNDLE"


@bentoml.service
class EventsTutorial:
    """Everything as BentoML has it by default."""

    def __init__(self) -> None:
        folder = Path(os.environ[BUNDLE])
        self.model = lgb.Booster(model_file=folder / "model.txt")
        bundle = read_bundle(folder)
        self.catalogue, self.time_zone = bundle.catalogue, bundle.time_zone

    @bentoml.api
    def score(self, households: list[Household]) -> list[Prediction]:
        """Features of the events, then the model."""
        frame = feature_frame(households, self.catalogue, self.time_zone)[self.model.feature_name()]
        return predictions(self.model, frame, [household.household_id for household in households])
