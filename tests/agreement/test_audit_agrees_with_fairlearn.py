"""Recall and selection rate by group are those of fairlearn's MetricFrame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, selection_rate, true_positive_rate
from sklearn.metrics import precision_score

from training.audit import audit
from training.audit_selection import selected


@pytest.mark.parametrize("capacity", [0.02, 0.05, 0.1])
def test_figures_by_group_are_those_of_fairlearn(capacity: float) -> None:
    rng = np.random.default_rng(7)
    n = 12_000
    margin = rng.normal(-2.2, 1.1, n)
    probability = 1 / (1 + np.exp(-margin))
    test = pd.DataFrame(
        {
            "household_id": [f"h{i // 3}" for i in range(n)],
            "as_of": np.arange(n) % 3,
            "outcome": (rng.random(n) < probability).astype(float),
            "probability": probability,
            "abstained": rng.random(n) < 0.05,
        }
    )
    household = np.arange(n) // 3
    of = pd.DataFrame(
        {
            "minority": pd.array(rng.random(n // 3)[household] < 0.2, dtype="boolean"),
            "migrant": pd.array(rng.random(n // 3)[household] < 0.4, dtype="boolean"),
        }
    )
    chance = selected(probability, test["as_of"].to_numpy(), capacity, ~test["abstained"].to_numpy())
    # Scores are all different, so that nobody is selected by halves.
    assert set(np.unique(chance)) == {0.0, 1.0}
    assert not chance[test["abstained"]].any()
    found = audit(test, of, capacities=(capacity,), seed=1, resamples=50)
    for group in found.groups:
        theirs = MetricFrame(
            metrics={"tpr": true_positive_rate, "rate": selection_rate, "precision": precision_score},
            y_true=test["outcome"].astype(int),
            y_pred=chance.astype(int),
            sensitive_features=of[group.name].astype(bool),
        )
        by_group, between = theirs.by_group, theirs.by_group.loc[True] - theirs.by_group.loc[False]
        recall, gap, precise = (group.find(name, capacity) for name in ("recall", "recall_gap", "precision"))
        assert recall is not None and gap is not None and precise is not None
        assert recall.value == pytest.approx(by_group.loc[True, "tpr"], abs=1e-12)
        assert gap.value == pytest.approx(between["tpr"], abs=1e-12)
        assert precise.value == pytest.approx(by_group.loc[True, "precision"], abs=1e-12)
        inside = of[group.name].to_numpy(bool)
        assert chance[inside].mean() == pytest.approx(by_group.loc[True, "rate"], abs=1e-12)
