"""The tutorial service that is handed finished features: no events, no moment, nothing to look up."""

from __future__ import annotations

import os
from pathlib import Path

import bentoml
import lightgbm as lgb
import pandas as pd

from benchmarks.tutorial.messages import Prediction, Vector
from benchmarks.tutorial.prediction import predictions

BUNDLE = "TUTORIAL_BUNDLE"


@bentoml.service
class VectorTutorial:
    """Everything as BentoML has it by default."""

    def __init__(self) -> None:
        self.model = lgb.Booster(model_file=Path(os.environ[BUNDLE]) / "model.txt")

    @bentoml.api
    def score(self, households: list[Vector]) -> list[Prediction]:
        """Only the model."""
        frame = pd.DataFrame([household.features for household in households], columns=self.model.feature_name())
        return predictions(self.model, frame.astype(float), [household.household_id for household in households])
