"""The contributions are the Shapley values of the trees, for any trees, and of one row alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.forest import MISSING_NAN, MISSING_NONE, MISSING_ZERO, Forest, forest_of, merged
from models.tree_shap import TreeShap
from tests.property.shap_oracle import by_leaves, by_subsets

KINDS = (MISSING_NONE, MISSING_ZERO, MISSING_NAN)
Grown = tuple[lgb.Booster, np.ndarray]


def grown(rng: np.random.Generator, n: int, features: int, trees: int, **parameters: Any) -> Grown:
    """Trees over a few coarse columns, so that paths meet their features again, and rows that were never seen."""
    values = drawn(rng, n, features)
    outcome = (np.nan_to_num(values) @ rng.normal(size=features) + rng.normal(size=n) > 0) * 1.0
    outcome[:2] = 0, 1
    settings = {
        "objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 1, "min_data_in_bin": 1,
        "min_sum_hessian_in_leaf": 0, "seed": 1, "deterministic": True,
    } | parameters  # fmt: skip
    return lgb.train(settings, lgb.Dataset(values, outcome), trees), drawn(rng, 12, features)


def drawn(rng: np.random.Generator, n: int, features: int) -> np.ndarray:
    values = rng.normal(size=(n, features))
    coarse = rng.random(features) < 0.5
    values[:, coarse] = np.round(values[:, coarse])
    values[rng.random(values.shape) < rng.choice([0.0, 0.3], features)] = np.nan
    values[rng.random(values.shape) < 0.2] = 0.0
    values[rng.random(values.shape) < 0.02] = 1e-36
    return values


@st.composite
def models(draw: st.DrawFn) -> Grown:
    features = draw(st.integers(1, 5))
    return grown(
        np.random.default_rng(draw(st.integers(0, 2**32 - 1))),
        draw(st.integers(4, 120)),
        features,
        draw(st.integers(1, 3)),
        num_leaves=draw(st.integers(2, 14)),
        zero_as_missing=draw(st.booleans()),
        use_missing=draw(st.booleans()),
        monotone_constraints=draw(st.lists(st.integers(-1, 1), min_size=features, max_size=features)),
        boosting=draw(st.sampled_from(["gbdt", "gbdt", "dart"])),
    )


@settings(max_examples=200)
@given(models())
def test_they_are_the_shapley_values_by_definition(model: Grown) -> None:
    booster, rows = model
    forest = forest_of(booster.model_to_string())
    found, base = TreeShap(forest).contributions(rows)
    for row in range(0, len(rows), 3):
        np.testing.assert_allclose(found[row], by_subsets(forest, rows[row]), rtol=0, atol=1e-12)
    theirs = booster.predict(rows, pred_contrib=True, num_threads=1)
    np.testing.assert_allclose(np.c_[found, base], theirs, rtol=0, atol=1e-9)
    margins = booster.predict(rows, raw_score=True, num_threads=1)
    np.testing.assert_allclose(base + found.sum(axis=1), margins, rtol=0, atol=1e-12)


@settings(max_examples=40)
@given(models(), st.permutations(range(12)), st.integers(0, 12))
def test_a_row_has_the_same_bits_alone_in_any_company_and_in_any_layout(
    model: Grown, order: list[int], size: int
) -> None:
    booster, rows = model
    shap = TreeShap(forest_of(booster.model_to_string()))
    found, _ = shap.contributions(rows)
    some = order[:size]
    assert shap.contributions(rows[some])[0].tobytes() == found[some].tobytes()
    alone = np.concatenate([shap.contributions(rows[i : i + 1])[0] for i in range(len(rows))])
    assert alone.tobytes() == found.tobytes()
    assert shap.contributions(np.asfortranarray(rows))[0].tobytes() == found.tobytes()
    wide = np.repeat(rows, 2, axis=1)[:, ::2]
    assert not wide.flags.c_contiguous or rows.shape[1] == 1
    assert shap.contributions(wide)[0].tobytes() == found.tobytes()


def test_the_draws_reach_every_kind_of_missing_and_features_met_again() -> None:
    rng = np.random.default_rng(3)
    kinds, again, single = set(), 0, 0
    for use, zero in ((False, False), (True, True), (True, False)):
        booster, _ = grown(rng, 100, 3, 2, num_leaves=12, use_missing=use, zero_as_missing=zero)
        forest = forest_of(booster.model_to_string())
        kinds |= set(forest.missing.tolist())
        again += len(forest.feature) > 2 * 3
    assert kinds == set(KINDS)
    assert again == 3
    booster, rows = grown(rng, 10, 2, 2, min_data_in_leaf=9)
    forest = forest_of(booster.model_to_string())
    single += len(forest.feature) == 0
    found, base = TreeShap(forest).contributions(rows)
    assert single == 1
    assert not found.any()
    assert np.allclose(base, booster.predict(rows, raw_score=True), rtol=0, atol=1e-15)


def test_no_rows_have_no_contributions_and_other_columns_are_refused() -> None:
    booster, rows = grown(np.random.default_rng(4), 50, 3, 2, num_leaves=5)
    shap = TreeShap(forest_of(booster.model_to_string()))
    found, base = shap.contributions(rows[:0])
    assert (found.shape, base.shape) == ((0, 3), (0,))
    for wrong in (rows[:, :2], rows[0]):
        with pytest.raises(ValueError, match="rows of 3 features"):
            shap.contributions(wrong)


def test_calls_from_several_threads_do_not_disturb_each_other() -> None:
    booster, _ = grown(np.random.default_rng(7), 120, 5, 20, num_leaves=14)
    rows = drawn(np.random.default_rng(8), 400, 5)
    shap = TreeShap(forest_of(booster.model_to_string()))
    expected, _ = shap.contributions(rows)
    with ThreadPoolExecutor(4) as threads:
        for found, _ in threads.map(shap.contributions, [rows] * 40):
            assert found.tobytes() == expected.tobytes()


def test_a_bag_of_models_is_explained_by_the_mean_of_their_contributions() -> None:
    rng = np.random.default_rng(5)
    boosters = [grown(rng, 90, 4, trees, num_leaves=9)[0] for trees in (1, 3, 5)]
    rows = drawn(rng, 40, 4)
    forests = [forest_of(booster.model_to_string()) for booster in boosters]
    found, base = TreeShap(merged(forests)).contributions(rows)
    each = [TreeShap(forest).contributions(rows) for forest in forests]
    np.testing.assert_allclose(found, np.mean([phi for phi, _ in each], axis=0), rtol=0, atol=1e-14)
    np.testing.assert_allclose(base, np.mean([b for _, b in each], axis=0), rtol=0, atol=1e-14)
    margins = np.mean([booster.predict(rows, raw_score=True) for booster in boosters], axis=0)
    np.testing.assert_allclose(base + found.sum(axis=1), margins, rtol=0, atol=1e-13)


@pytest.fixture(scope="module")
def deep() -> tuple[lgb.Booster, Forest, np.ndarray]:
    """Rare outcomes on rare facts: every split takes a few rows off, and a path meets 75 features."""
    rng = np.random.default_rng(0)
    values = np.where(rng.random((8_000, 600)) < 0.997, 0.0, rng.exponential(size=(8_000, 600)))
    facts = (values > 0).sum(axis=1) + 0.3 * rng.normal(size=8_000)
    outcome = (facts >= np.sort(facts)[-160]) * 1.0
    parameters = {
        "objective": "binary", "num_leaves": 96, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1, "seed": 1,
    }  # fmt: skip
    booster = lgb.train(parameters, lgb.Dataset(values, outcome), 2)
    return booster, forest_of(booster.model_to_string()), values[np.argsort(-outcome, kind="stable")[:40]]


def test_deep_trees_are_explained_exactly_where_lightgbm_loses_every_digit(
    deep: tuple[lgb.Booster, Forest, np.ndarray],
) -> None:
    booster, forest, rows = deep
    margins = booster.predict(rows, raw_score=True, num_threads=1)
    found, base = TreeShap(forest).contributions(rows)
    assert np.abs(base + found.sum(axis=1) - margins).max() < 1e-12
    theirs = booster.predict(rows, pred_contrib=True, num_threads=1)
    assert np.abs(theirs.sum(axis=1) - margins).max() > 1e-3


def test_every_number_of_a_deep_tree_is_that_of_its_leaves_taken_one_by_one(
    deep: tuple[lgb.Booster, Forest, np.ndarray],
) -> None:
    _, forest, rows = deep
    found, _ = TreeShap(forest).contributions(rows[:2])
    for row in range(2):
        np.testing.assert_allclose(found[row], by_leaves(forest, rows[row]), rtol=0, atol=1e-13)


def test_the_two_oracles_agree() -> None:
    rng = np.random.default_rng(6)
    booster, rows = grown(rng, 80, 4, 2, num_leaves=10)
    forest = forest_of(booster.model_to_string())
    for row in rows:
        np.testing.assert_allclose(by_leaves(forest, row), by_subsets(forest, row), rtol=0, atol=1e-13)
