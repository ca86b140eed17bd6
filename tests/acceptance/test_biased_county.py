"""A county that does not record what one group needs: the audit finds that group, and not in the county beside it.

Both counties lived the same lives; in one, most rows about health and disability of households with a disabled member
were never written. Half of the households judge a model that learned from the other half.
"""

from __future__ import annotations

from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from features.catalogue import CORE, catalogue
from features.dataset import Dataset, read_dataset
from training.audit import Audit, study_audit
from training.county.simulate import simulate
from training.county.under_recording import under_recorded_shares
from training.labels import label, label_rows
from training.moments import moments
from training.rows import dataset_history, in_canonical_order, vectors_of
from training.splits import household_folds

SEED, HOUSEHOLDS, MONTHS, TREES = 7, 4_000, 48, 150
LOST = 0.8
# The test's own, so that it asks about the audit and not about today's settings of the trainer.
PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 100,
    "lambda_l2": 20.0,
    "feature_fraction": 0.25,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
    "num_threads": 1,
    "seed": SEED,
}


def audited(data: Dataset) -> Audit:
    """The audit of probabilities that each half of the households got from a model of the other half."""
    rows = label_rows(label("L1", data), data, moments(data.meta))
    rows = in_canonical_order(rows[rows["at_risk"] & rows["outcome"].notna()])
    history = dataset_history(data, catalogue(CORE))
    values, outcome = vectors_of(history, rows), rows["outcome"].to_numpy(float)
    half = household_folds(rows["household_id"], 2, SEED)
    rows["probability"] = 0.0
    for k in (0, 1):
        learns = lgb.Dataset(values[half != k], outcome[half != k])
        grown = lgb.train(dict(PARAMETERS), learns, num_boost_round=TREES)
        rows.loc[half == k, "probability"] = grown.predict(values[half == k])
    found = study_audit(data, rows, 1.0 - np.isnan(values).mean(axis=1), SEED, history=history)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def counties(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Dataset]:
    """The fair county and the biased one."""
    place = tmp_path_factory.mktemp("twins")
    simulate(place / "fair", households=HOUSEHOLDS, months=MONTHS, seed=SEED)
    simulate(place / "biased", households=HOUSEHOLDS, months=MONTHS, seed=SEED, under_recorded={"disability": LOST})
    return read_dataset(place / "fair"), read_dataset(place / "biased")


def test_the_audit_finds_the_group_whose_needs_were_not_recorded(counties: tuple[Dataset, Dataset]) -> None:
    fair, biased = (audited(data) for data in counties)

    blocked = biased.group("disability_any")
    assert blocked.verdict == "block"
    level = next(c for c in blocked.concerns if c.finding.measure == "observed_expected")
    assert level.level == "block"
    assert level.p < 0.02
    assert level.finding.estimate.value > 1.33
    assert level.finding.estimate.low > 1.0

    gates = {gate.name: gate for gate in biased.gates()}
    refused = gates["audit_observed_expected"]
    assert not refused.passed
    assert "member with a disability" in refused.text
    low, high = (f"{number:.2f}" for number in level.finding.estimate[1:3])
    assert f"(95 % {low} to {high})" in refused.text

    spared = fair.group("disability_any")
    assert spared.evidence == "gates"
    assert spared.verdict != "block"
    assert all("member with a disability" not in gate.text for gate in fair.gates() if not gate.passed)


def test_nothing_but_the_needs_of_that_group_is_missing(counties: tuple[Dataset, Dataset]) -> None:
    fair, biased = counties
    for name in ("members", "households", "audit", "truth"):
        pd.testing.assert_frame_equal(getattr(fair, name), getattr(biased, name))
    assert fair.audit is not None
    disabled = fair.audit.loc[fair.audit["disability_any"], "household_id"]
    of_need = ("DIS//", "HLT//", "CLM//", "MAI//", "ELD//LTC_GRADE")

    def parts(data: Dataset) -> tuple[pd.DataFrame, pd.DataFrame]:
        may_go = data.events["household_id"].isin(disabled) & data.events["code"].str.startswith(of_need)
        return data.events[may_go], data.events[~may_go].reset_index(drop=True)

    (needs, rest), (left, same) = parts(fair), parts(biased)
    pd.testing.assert_frame_equal(rest, same)
    assert set(left["event_id"]) < set(needs["event_id"])
    assert len(left) == pytest.approx((1.0 - LOST) * len(needs), rel=0.05)
    assert set(left["supersedes"].dropna()) <= set(needs["event_id"])
    assert "80% of the disability rows left out on purpose" in biased.meta.provenance
    assert "left out" not in fair.meta.provenance
    entries = biased.events[biased.events["code"].isin(["DB//ENTER", "TK//ENTER", "MON//ENTER"])]
    assert entries["household_id"].isin(disabled).any()


def test_a_group_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="known are disability"):
        simulate(tmp_path / "c", households=40, months=36, seed=1, under_recorded={"rich": 0.5})
    with pytest.raises(ValueError, match="between 0 and 1"):
        simulate(tmp_path / "c", households=40, months=36, seed=1, under_recorded={"disability": 1.5})
    assert not (tmp_path / "c").exists()
    for wrong in ("disability", "disability=much", "=", "0.8"):
        with pytest.raises(ValueError, match="group=share"):
            under_recorded_shares([wrong])
