"""A bag in one model file: its margin, contributions and members are those of the boosters it was made of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from models.bag import bagged
from models.boosted import BoostedModel, ColumnsRefused
from models.forest import forest_of, merged

NAMES = tuple(f"f{i}" for i in range(9))


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    drawn = np.random.default_rng(5).normal(size=(900, len(NAMES)))
    drawn[np.random.default_rng(6).random(drawn.shape) < 0.2] = np.nan
    return drawn


@pytest.fixture(scope="module")
def members(values: np.ndarray) -> list[lgb.Booster]:
    outcome = (np.nansum(values[:, :3], axis=1) + np.random.default_rng(7).normal(size=len(values)) > 1.0) * 1.0
    parameters = {"objective": "binary", "num_leaves": 6, "verbosity": -1, "num_threads": 1, "feature_fraction": 0.6}
    data = lgb.Dataset(values, outcome, feature_name=list(NAMES), params=parameters)
    return [lgb.train({**parameters, "seed": n}, data, trees) for n, trees in enumerate((12, 1, 30))]


@pytest.fixture(scope="module")
def bag(members: list[lgb.Booster]) -> BoostedModel:
    text, sizes = bagged([member.model_to_string() for member in members])
    return BoostedModel.from_text(text, NAMES, np.ones(len(NAMES), np.bool_), sizes)


def test_the_margin_is_the_mean_of_the_members(
    bag: BoostedModel, members: list[lgb.Booster], values: np.ndarray
) -> None:
    each = np.stack([member.predict(values, raw_score=True) for member in members], axis=1)
    assert bag.members == (12, 1, 30)
    assert bag.margins(values) == pytest.approx(each.mean(axis=1), abs=1e-13)
    assert bag.member_margins(values) == pytest.approx(each, abs=1e-12)


def test_one_pass_over_the_file_explains_the_mean(
    bag: BoostedModel, members: list[lgb.Booster], values: np.ndarray
) -> None:
    found, base = bag.contributions(values[:50])
    each = [member.predict(values[:50], pred_contrib=True) for member in members]
    expected = np.mean(each, axis=0)
    assert bag.explained_by == "quadrature"
    assert found == pytest.approx(expected[:, :-1], abs=1e-12)
    assert base == pytest.approx(expected[:, -1], abs=1e-12)


def test_the_file_is_the_merged_forest(bag: BoostedModel, members: list[lgb.Booster]) -> None:
    ours = forest_of(bag.booster.model_to_string())
    theirs = merged([forest_of(member.model_to_string()) for member in members])
    assert np.array_equal(ours.threshold, theirs.threshold)
    assert np.array_equal(ours.leaf_count, theirs.leaf_count)
    assert ours.leaf_value == pytest.approx(theirs.leaf_value, rel=1e-15)


def test_the_file_survives_being_read_and_written(members: list[lgb.Booster]) -> None:
    text, _ = bagged([member.model_to_string() for member in members])
    assert lgb.Booster(model_str=text).model_to_string() == text


def test_a_single_model_is_its_only_member(members: list[lgb.Booster], values: np.ndarray) -> None:
    alone = BoostedModel(members[0], NAMES, np.ones(len(NAMES), np.bool_))
    assert alone.member_margins(values).shape == (len(values), 1)
    assert np.array_equal(alone.member_margins(values)[:, 0], alone.margins(values))


def test_members_of_other_columns_and_other_texts_are_refused(members: list[lgb.Booster], values: np.ndarray) -> None:
    text = members[0].model_to_string()
    other = lgb.train(
        {"objective": "binary", "verbosity": -1, "num_threads": 1}, lgb.Dataset(values, (values[:, 0] > 0) * 1.0), 2
    )
    with pytest.raises(ValueError, match="other columns or bins"):
        bagged([text, other.model_to_string()])
    with pytest.raises(ValueError, match="not the text of a LightGBM model"):
        bagged([text, text[:400]])
    with pytest.raises(ValueError, match="at least one member"):
        bagged([])


@pytest.mark.parametrize("sizes", [(12, 1, 29), (43, 0), (42, 1, 1)])
def test_members_that_are_not_the_trees_of_the_file_are_refused(bag: BoostedModel, sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="members of the bag"):
        BoostedModel.from_text(bag.booster.model_to_string(), NAMES, bag.had_unknown, sizes)


def test_a_table_is_scored_only_with_its_columns_in_order(bag: BoostedModel, values: np.ndarray) -> None:
    table = pd.DataFrame(values, columns=list(NAMES))
    assert np.array_equal(bag.margins(table), bag.margins(values))
    with pytest.raises(ColumnsRefused, match="column 3 should be f2"):
        bag.margins(table[["f0", "f1", "f3", "f2", *NAMES[4:]]])
    with pytest.raises(ColumnsRefused, match="column 9 should be f8"):
        bag.margins(table.drop(columns="f8"))
    with pytest.raises(ColumnsRefused, match="column 10 should be no further column"):
        bag.margins(table.assign(more=1.0))


def test_threads_that_ask_for_the_model_and_for_its_members_get_their_own(
    bag: BoostedModel, values: np.ndarray
) -> None:
    """LightGBM keeps the range of trees to predict with in the Booster, where another thread finds it."""
    rows = values[:50]
    margins, members = bag.margins(rows), bag.member_margins(rows)
    with ThreadPoolExecutor(2) as threads:
        of_members = threads.submit(lambda: [bag.member_margins(rows) for _ in range(1_500)])
        of_model = [bag.margins(rows) for _ in range(1_500)]
    assert all(np.array_equal(each, margins) for each in of_model)
    assert all(np.array_equal(each, members) for each in of_members.result())
