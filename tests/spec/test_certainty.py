"""What a bundle says about the limits of its scores: kept to the last digit, and no household's own number in it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from features.dataset import Dataset, DatasetMeta, Moments
from models.calibration import Calibration
from models.certainty import Certainty
from models.interval import fit_venn_abers
from training.certainty import certainty_of, ranges

META = DatasetMeta(
    "a", "core", "CNY", "Asia/Shanghai", "L1", (), {}, "", "2023-03-31", Moments("2020-01-31", "2022-01-31")
)

EMPTY = pd.DataFrame()


@pytest.fixture(scope="module")
def found() -> tuple[Certainty, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    n = 2_000
    margin = rng.normal(-2, 1, n)
    rows = pd.DataFrame(
        {
            "household_id": [f"h{i // 2}" for i in range(n)],
            "as_of": np.tile([1_580_486_400_000_000, 1_596_211_200_000_000], n // 2),
            "outcome": (rng.random(n) < 1 / (1 + np.exp(-margin))) * 1.0,
        }
    )
    values = np.stack([rng.normal(size=n), np.full(n, np.nan), np.round(rng.gamma(1, 9_000, n), 2)], axis=1)
    made = certainty_of(
        values,
        rows,
        margin,
        Calibration(1.0, 0.0, n, 300),
        names=["a", "b", "c"],
        members=(3, 4),
        dataset=Dataset(META, EMPTY, EMPTY, EMPTY),
    )
    return made, margin, values


def test_it_comes_back_from_its_file_to_the_last_digit(found: tuple[Certainty, np.ndarray, np.ndarray]) -> None:
    made = found[0]
    again = Certainty.from_json(json.loads(json.dumps(made.as_json(), allow_nan=False)))
    assert again.as_json() == made.as_json()
    assert made.ranges is not None
    assert np.array_equal(again.ranges, made.ranges, equal_nan=True)


def test_ends_of_a_range_are_nobodys_number(found: tuple[Certainty, np.ndarray, np.ndarray]) -> None:
    made, _, values = found
    assert made.ranges is not None
    low, high = made.ranges[:, 2]
    assert not np.isin([low, high], values[:, 2]).any()
    # Two rows a household: twenty rows are ten households at least.
    assert 20 <= (values[:, 2] > high).sum() + (values[:, 2] == high).sum() <= 25
    assert np.isnan(made.ranges[:, 1]).all()


def test_a_model_expires_two_years_after_its_data(found: tuple[Certainty, np.ndarray, np.ndarray]) -> None:
    assert found[0].valid_until == "2025-03-31"


def test_too_few_rows_have_no_range() -> None:
    assert np.isnan(ranges(np.arange(20.0)[:, np.newaxis])).all()


def test_the_interval_holds_the_point_the_bounds_and_the_members() -> None:
    rng = np.random.default_rng(3)
    margin = rng.normal(-2, 1, 4_000)
    outcome = (rng.random(4_000) < 1 / (1 + np.exp(-margin))) * 1.0
    calibration = Calibration(0.9, 0.1, 4_000, 600, {"hill": 0.5})
    made = Certainty((1, 1), fit_venn_abers(margin, outcome))
    members = np.stack([margin - 0.8, margin + 0.8], axis=1)
    for region, offset in ((["hill"] * 4_000, 0.5), (["elsewhere"] * 4_000, 0.0)):
        got = made.interval(margin, members, calibration, region)
        assert got is not None
        p = calibration.probability(margin, region)
        assert (got[:, 0] <= p).all() and (p <= got[:, 1]).all()
        # The 10th percentile of two members lies a tenth of the way from the lower to the upper one.
        ends = [calibration.probability(column, region) for column in members.T]
        assert (got[:, 0] <= ends[0] + 0.1 * (ends[1] - ends[0]) + 1e-12).all()
        lower = made.bounds.bounds(margin)[0]  # type: ignore[union-attr]
        inside = lower > 0
        shifted = 1 / (1 + np.exp(-(np.log(lower[inside] / (1 - lower[inside])) + offset)))
        assert (got[inside, 0] <= shifted + 1e-12).all()


def test_without_bounds_there_is_no_interval() -> None:
    assert Certainty().interval(np.zeros(2), np.zeros((2, 1)), Calibration(1.0, 0.0, 0, 0)) is None
