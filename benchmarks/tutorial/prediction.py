"""The model's answer to a table of features: LightGBM's probability, and its own eight largest contributions."""

from __future__ import annotations

from collections.abc import Sequence

import lightgbm as lgb
import numpy as np
import pandas as pd

from benchmarks.tutorial.messages import Contribution, Prediction

TOLD = 8


def predictions(model: lgb.Booster, frame: pd.DataFrame, household_ids: Sequence[str]) -> list[Prediction]:
    """One prediction a row. `pred_contrib` gives one column a feature, and the base last."""
    probability = model.predict(frame)
    contributions = model.predict(frame, pred_contrib=True)[:, :-1]
    values, found = frame.to_numpy(), []
    for i, household_id in enumerate(household_ids):
        largest = np.argsort(-np.abs(contributions[i]))[:TOLD]
        found.append(
            Prediction(
                household_id=household_id,
                probability=float(probability[i]),
                contributions=[
                    Contribution(
                        feature=frame.columns[k],
                        value=None if np.isnan(values[i, k]) else float(values[i, k]),
                        contribution=float(contributions[i, k]),
                    )
                    for k in largest
                ],
            )
        )
    return found
