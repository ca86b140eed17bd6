"""Growing the bag: each household is scored by the one member that never saw it; the same rows give the same bag."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.catalogue import catalogue
from training.learning import MAX_TREES, MEMBERS, PATIENCE, LearningRefused, bag_candidate, learn
from training.sample import Sample
from training.splits import household_folds

FEATURES = catalogue().features[:12]
N = 3_000


@pytest.fixture(scope="module")
def sample() -> Sample:
    rng = np.random.default_rng(8)
    values = rng.gamma(1.0, 1.0, (N, len(FEATURES)))
    values[rng.random(values.shape) < 0.1] = np.nan
    margin = np.nan_to_num(values[:, 0]) + np.nan_to_num(values[:, 1]) * 0.5 - 3.0
    outcome = (rng.random(N) < 1 / (1 + np.exp(-margin))) * 1.0
    households = [f"h{i // 3}" for i in range(N)]
    return Sample(values, pd.DataFrame({"household_id": households, "as_of": 0, "outcome": outcome}))


def test_each_row_is_held_out_by_exactly_one_member(sample: Sample) -> None:
    found = learn(sample.values, sample.outcome, sample.rows["household_id"], FEATURES, seed=3)
    fold = household_folds(sample.rows["household_id"], MEMBERS, 3)
    members = found.model.member_margins(sample.values)
    assert members.shape == (N, MEMBERS)
    assert found.held_out_margins == pytest.approx(members[np.arange(N), fold], abs=1e-12)
    assert found.model.margins(sample.values) == pytest.approx(members.mean(axis=1), abs=1e-12)


def test_a_member_scores_its_own_fold_worse_than_the_rest(sample: Sample) -> None:
    # Households of its fold are new to it; were they not, it would fit them as well as the others.
    outcome = np.random.default_rng(1).permutation(sample.outcome)
    found = learn(sample.values, outcome, sample.rows["household_id"], FEATURES, seed=3)
    loss = np.logaddexp(0, -np.where(outcome == 1, 1, -1)[:, np.newaxis] * found.model.member_margins(sample.values))
    fold = household_folds(sample.rows["household_id"], MEMBERS, 3)
    own = np.zeros(loss.shape, bool)
    own[np.arange(N), fold] = True
    assert loss[own].mean() > loss[~own].mean()


def test_the_same_rows_and_seed_give_the_same_file(sample: Sample) -> None:
    first, again = (
        learn(sample.values, sample.outcome, sample.rows["household_id"], FEATURES, seed=5) for _ in range(2)
    )
    assert first.text == again.text
    assert first.calibration == again.calibration


def test_what_was_grown_is_recorded(sample: Sample) -> None:
    found = learn(sample.values, sample.outcome, sample.rows["household_id"], FEATURES, seed=3)
    kept, grown = found.parameters["n_trees"], found.parameters["trees_grown"]
    assert sum(found.model.members) == kept == found.model.booster.num_trees()
    assert kept < grown <= min(kept + MEMBERS * PATIENCE, MEMBERS * MAX_TREES)
    assert found.search.tries == ()


def test_a_candidate_gives_probabilities_of_other_rows(sample: Sample) -> None:
    half = np.arange(N) < N // 2
    learned, asked = sample.taken(np.flatnonzero(half)), sample.taken(np.flatnonzero(~half))
    told = bag_candidate(FEATURES).foretell(learned, asked, 2)
    assert told.shape == (N // 2,) and ((told > 0) & (told < 1)).all()
    assert told[asked.outcome == 1].mean() > told[asked.outcome == 0].mean()


def test_too_few_outcomes_and_too_few_households_are_refused(sample: Sample) -> None:
    with pytest.raises(LearningRefused, match="training rows have the outcome"):
        learn(sample.values, np.zeros(N), sample.rows["household_id"], FEATURES, seed=1)
    with pytest.raises(LearningRefused, match="too few households"):
        learn(sample.values, sample.outcome, ["one"] * N, FEATURES, seed=1)
    with pytest.raises(ValueError, match="do not fit"):
        Sample(sample.values[:5], sample.rows)
