"""Margins are summed to the last bit as LightGBM sums them, whichever way: all trees, by member, or only what moved."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from models.boosted import BoostedModel
from models.forest import forest_of
from models.tree_sum import TreeSum

N, FEATURES, MEMBERS = 10_000, 12, (50, 3, 37)
QUIET: dict[str, Any] = {"objective": "binary", "num_leaves": 9, "verbosity": -1, "num_threads": 1, "seed": 4}
UNKNOWN_HANDLED: dict[str, dict[str, Any]] = {
    "unknown goes its way": {},
    "zero is unknown": {"zero_as_missing": True},
    "unknown is zero": {"use_missing": False},
}


def drawn(seed: int, n: int = N) -> np.ndarray:
    """Rows with unknowns, zeros, what LightGBM takes for zero, infinities, and few distinct values in some columns."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, FEATURES)) * 10.0 ** rng.integers(-3, 6, FEATURES)
    values[:, :4] = rng.integers(-2, 3, (n, 4))
    for share, number in ((0.15, np.nan), (0.05, 0.0), (0.02, -0.0), (0.02, 1e-36), (0.01, np.inf), (0.01, -np.inf)):
        values[rng.random(values.shape) < share] = number
    return values


@pytest.fixture(scope="module", params=UNKNOWN_HANDLED)
def booster(request: pytest.FixtureRequest) -> lgb.Booster:
    values = drawn(1, 3_000)
    values[~np.isfinite(values)] = np.nan
    values[np.random.default_rng(0).random(len(values)) < 0.5, 5] = np.nan
    outcome = (np.nan_to_num(values[:, 0]) + np.isnan(values[:, 5]) + np.random.default_rng(2).normal(size=3_000)) > 0.6
    parameters = {**QUIET, **UNKNOWN_HANDLED[request.param]}
    return lgb.train(parameters, lgb.Dataset(values, outcome * 1.0, params=parameters), sum(MEMBERS))


def predicted(booster: lgb.Booster, values: np.ndarray, **trees: int) -> np.ndarray:
    return np.asarray(booster.predict(values, raw_score=True, num_threads=1, **trees))


def bits(numbers: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(numbers).view(np.int64)


def test_ten_thousand_margins_are_lightgbm_s_to_the_last_bit(booster: lgb.Booster) -> None:
    values = drawn(3)
    found = TreeSum(forest_of(booster.model_to_string())).margins(values)
    assert np.array_equal(bits(found), bits(predicted(booster, values)))
    assert len(np.unique(found)) > 1_000


def test_each_member_is_summed_alone_and_all_are_summed_through(booster: lgb.Booster) -> None:
    values = drawn(4, 1_000)
    margins, members = TreeSum(forest_of(booster.model_to_string()), MEMBERS).with_members(values)
    assert np.array_equal(bits(margins), bits(predicted(booster, values)))
    first = 0
    for k, n in enumerate(MEMBERS):
        alone = predicted(booster, values, start_iteration=first, num_iteration=n)
        assert np.array_equal(bits(members[:, k].copy()), bits(alone))
        first += n


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 203])
def test_rows_near_another_get_the_margins_they_get_by_themselves(booster: lgb.Booster, n: int) -> None:
    rng = np.random.default_rng(n)
    of = TreeSum(forest_of(booster.model_to_string()))
    for row in drawn(5, 20):
        others = np.repeat(row[np.newaxis], n, axis=0)
        # Runs of rows that change the same few features, as the levels of one question do, and some that change none.
        for first in range(0, n, 7):
            columns = rng.choice(FEATURES, rng.integers(0, 4), replace=False)
            others[first : first + 7, columns] = rng.choice(drawn(6, 50).ravel(), (len(others[first : first + 7]), 1))
            others[first + 2 : first + 7, columns] += rng.random()
        assert np.array_equal(bits(of.near(row, others)), bits(predicted(booster, others)))


def test_a_model_of_single_leaves_and_one_without_rows_are_summed_too() -> None:
    flat = lgb.train(QUIET, lgb.Dataset(np.zeros((50, FEATURES)), np.arange(50) % 2 * 1.0), 3)
    of, values = TreeSum(forest_of(flat.model_to_string())), drawn(7, 9)
    assert np.array_equal(of.margins(values), predicted(flat, values))
    assert np.array_equal(of.near(values[0], values), predicted(flat, values))
    assert of.margins(values[:0]).shape == of.near(values[0], values[:0]).shape == (0,)


def test_rows_of_another_width_are_refused(booster: lgb.Booster) -> None:
    of = TreeSum(forest_of(booster.model_to_string()))
    for call in (lambda: of.margins(np.zeros((2, 3))), lambda: of.near(np.zeros(FEATURES), np.zeros((2, 3)))):
        with pytest.raises(ValueError, match=f"rows of {FEATURES} features"):
            call()


def test_trees_that_are_not_known_are_left_to_lightgbm_one_call_at_a_time() -> None:
    values = np.random.default_rng(8).integers(0, 6, (400, 3)).astype(float)
    data = lgb.Dataset(values, (values[:, 0] % 2 == 0) * 1.0, categorical_feature=[0])
    booster = lgb.train({**QUIET, "min_data_per_group": 1, "cat_smooth": 1.0}, data, 30)
    model = BoostedModel(booster, ("a", "b", "c"), np.ones(3, np.bool_), (10, 20))
    margins, members = model.with_members(values)
    assert model.explained_by == "pred_contrib"
    assert np.array_equal(margins, predicted(booster, values))
    assert np.array_equal(model.margins_near(values[0], values), margins)
    assert np.array_equal(members[:, 1], 2 * predicted(booster, values, start_iteration=10, num_iteration=20))
    # LightGBM keeps the range of trees to predict with in the Booster, where another thread finds it.
    rows = values[:50]
    with ThreadPoolExecutor(2) as threads:
        of_members = threads.submit(lambda: [model.member_margins(rows) for _ in range(300)])
        of_model = [model.margins(rows) for _ in range(600)]
    assert all(np.array_equal(each, margins[:50]) for each in of_model)
    assert all(np.array_equal(each, members[:50]) for each in of_members.result())
