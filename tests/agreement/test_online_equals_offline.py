"""What a call computes about one household is, bit for bit, its row in a run over the whole dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from features.dataset import Dataset, read_dataset
from features.history import history_of
from features.intake import admitted
from features.matrix import Matrix, matrix
from features.window import as_of_moment
from models.bundle import Bundle
from serving.cases import Frame, read_cases
from serving.extract import request_of
from serving.messages import Batch
from serving.reading import read_batch
from serving.settings import Settings
from training.rows import dataset_history

AS_OF = "2021-09-30"


@pytest.fixture(scope="module")
def county(tiny_county: Path, opened_bundle: Bundle) -> Dataset:
    return admitted(read_dataset(tiny_county), opened_bundle.catalogue)


def online(county: Dataset, bundle: Bundle, household_id: str) -> Matrix:
    """The vector that a call about one household leads to: request, JSON, message, tables, history."""
    body = json.dumps(request_of(county, household_id, AS_OF), ensure_ascii=False, allow_nan=False).encode()
    frame = Frame(bundle.catalogue, bundle.currency, bundle.time_zone, bundle.regions)
    moment = as_of_moment(AS_OF, bundle.time_zone)
    cases = read_cases(read_batch(body, Settings(), Batch).households, frame, Settings(), now=moment)
    assert cases.as_of == (moment,)
    alone = history_of(cases.tables, bundle.catalogue, time_zone=bundle.time_zone)
    assert alone.household_ids == (household_id,)
    return matrix(alone, moment)


def test_every_household_of_a_county_has_the_same_vector_online_and_offline(
    county: Dataset, opened_bundle: Bundle
) -> None:
    offline = matrix(dataset_history(county, opened_bundle.catalogue), as_of_moment(AS_OF, opened_bundle.time_zone))
    different = []
    for row, household_id in enumerate(offline.household_ids):
        found = online(county, opened_bundle, household_id)
        expected = offline.rows(np.array([row]))
        same = all(
            getattr(found, name).tobytes() == getattr(expected, name).tobytes()
            for name in ("values", "unknown", "as_of", "n_events", "n_members")
        )
        if not same:
            different.append(household_id)
    assert different == []
    assert len(offline.household_ids) == 600
    assert np.isfinite(offline.values).sum() > 30_000


def test_the_county_has_what_makes_it_hard(county: Dataset, opened_bundle: Bundle) -> None:
    """Late reports, corrections, people who moved: without them the agreement above would prove little."""
    moment = as_of_moment(AS_OF, opened_bundle.time_zone)
    events, members = county.events, county.members
    known = events["known_at"].dt.as_unit("us").astype("int64") <= moment
    happened = events["occurred_at"].dt.as_unit("us").astype("int64") < moment
    assert (happened & ~known).sum() > 50
    assert (events["supersedes"].notna() & known).sum() > 20
    assert members["left_at"].notna().sum() > 20
    homes = members.groupby("person_id")["household_id"].nunique()
    assert (homes > 1).any()
