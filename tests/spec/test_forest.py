"""A model file is read to the last digit, and trees that the contributions cannot describe are refused."""

from __future__ import annotations

import re
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from models.forest import MISSING_NAN, MISSING_NONE, Forest, ForestRefused, forest_of, merged

TEXT = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=2
objective=binary sigmoid:1
feature_names=a b c
feature_infos=[0:1] [0:1] [0:1]
tree_sizes=1 1

Tree=0
num_leaves=3
num_cat=0
split_feature=0 2
split_gain=2 1
threshold=0.30000000000000004 -1.5
decision_type=10 0
left_child=1 -2
right_child=-1 -3
leaf_value=0.10000000000000001 -2 0.5
leaf_weight=1 1 1
leaf_count=40 50 10
internal_value=0 0
internal_weight=2 1
internal_count=100 60
is_linear=0
shrinkage=1


Tree=1
num_leaves=1
num_cat=0
split_feature=
split_gain=
threshold=
decision_type=
left_child=
right_child=
leaf_value=0.25
leaf_weight=
leaf_count=100
internal_value=
internal_weight=
internal_count=
is_linear=0
shrinkage=1


end of trees

parameters:
[num_leaves: 3]
end of parameters
"""


def test_every_number_is_the_one_in_the_file() -> None:
    forest = forest_of(TEXT)
    assert (forest.n_features, forest.n_trees) == (3, 2)
    assert forest.first_node.tolist() == [0, 2, 2]
    assert forest.first_leaf.tolist() == [0, 3, 4]
    assert forest.feature.tolist() == [0, 2]
    assert forest.threshold.tolist() == [0.1 + 0.2, -1.5]
    assert forest.missing.tolist() == [MISSING_NAN, MISSING_NONE]
    assert forest.default_left.tolist() == [True, False]
    assert forest.left.tolist() == [1, -2]
    assert forest.right.tolist() == [-1, -3]
    assert forest.node_count.tolist() == [100, 60]
    assert forest.leaf_value.tolist() == [0.1, -2.0, 0.5, 0.25]
    assert forest.leaf_count.tolist() == [40, 50, 10, 100]


def test_the_base_is_the_mean_of_the_training_rows() -> None:
    assert forest_of(TEXT).base == pytest.approx(0.4 * 0.1 + 0.5 * -2 + 0.1 * 0.5 + 0.25, abs=1e-15)


@pytest.mark.parametrize(
    ("line", "instead", "reason"),
    [
        ("num_class=1", "num_class=3", "num_class is not 1"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=3", "num_tree_per_iteration is not 1"),
        ("objective=", "average_output\nobjective=", "averaged"),
        ("is_linear=0", "is_linear=1", "linear leaves"),
        ("num_cat=0", "num_cat=1", "splits on a category"),
        ("decision_type=10 0", "decision_type=10 1", "splits on a category"),
        ("decision_type=10 0", "decision_type=10 12", "a feature that the model does not have"),
        ("split_feature=0 2", "split_feature=0 3", "a feature that the model does not have"),
        ("split_feature=0 2", "split_feature=0", "differ in length"),
        ("leaf_count=40 50 10", "leaf_count=40 50", "differ in length"),
        ("threshold=0.30000000000000004 -1.5", "threshold=0.3 nan", "not a number"),
        ("leaf_value=0.10000000000000001 -2 0.5", "leaf_value=0.1 inf 0.5", "not a number"),
        ("left_child=1 -2", "left_child=1 -1", "do not make a tree"),
        ("left_child=1 -2", "left_child=-2 1", "parents before their children"),
        ("internal_count=100 60", "internal_count=100 0", "no training row reached a node"),
        ("internal_count=100 60", "internal_count=100 61", "not those of their parent"),
        ("leaf_count=40 50 10", "leaf_count=40 70 -10", "fewer than no rows"),
        ("tree_sizes=1 1", "tree_sizes=1 1 1", "the trees that it announces"),
        ("num_leaves=3", "num_leaves=many", "not that of a LightGBM model"),
        ("max_feature_idx=2\n", "", "not that of a LightGBM model"),
    ],
)
def test_what_is_not_described_is_refused_with_its_reason(line: str, instead: str, reason: str) -> None:
    changed = TEXT.replace(line, instead, 1)
    assert changed != TEXT
    with pytest.raises(ForestRefused, match=reason):
        forest_of(changed)


def test_a_text_that_is_no_model_is_refused() -> None:
    for text in ("", "tree\n", "no model"):
        with pytest.raises(ForestRefused):
            forest_of(text)


def test_a_leaf_that_no_training_row_reached_is_accepted() -> None:
    text = TEXT.replace("leaf_count=40 50 10", "leaf_count=40 60 0", 1)
    assert forest_of(text).leaf_count[2] == 0


@pytest.mark.parametrize("mean", [0.0, 50.0])
@pytest.mark.parametrize("boosting", ["gbdt", "dart"])
def test_the_trees_hold_the_start_that_the_boosting_began_from(boosting: str, mean: float) -> None:
    rng = np.random.default_rng(1)
    values, outcome = rng.normal(size=(300, 4)), mean + rng.normal(size=300)
    parameters: dict[str, Any] = {
        "objective": "regression", "boosting": boosting, "verbosity": -1, "num_threads": 1, "num_leaves": 6, "seed": 1,
    }  # fmt: skip
    booster = lgb.train(parameters, lgb.Dataset(values, outcome), 5)
    forest = forest_of(booster.model_to_string())
    margins = booster.predict(values, raw_score=True)
    np.testing.assert_allclose([margin(forest, row) for row in values], margins, rtol=0, atol=1e-12)


def test_the_margin_of_a_merged_forest_is_the_mean_of_the_margins() -> None:
    one = forest_of(TEXT)
    other = forest_of(TEXT.replace("leaf_value=0.25", "leaf_value=8.25"))
    both = merged([one, other, one, other])
    assert both.n_trees == 8
    for row in np.random.default_rng(2).normal(size=(20, 3)):
        assert margin(both, row) == pytest.approx((margin(one, row) + margin(other, row)) / 2, abs=1e-15)
    assert both.base == pytest.approx((one.base + other.base) / 2, abs=1e-15)


def test_forests_of_other_features_and_no_forests_are_not_merged() -> None:
    one = forest_of(TEXT)
    with pytest.raises(ForestRefused, match="same features"):
        merged([one, forest_of(re.sub("max_feature_idx=2", "max_feature_idx=3", TEXT))])
    with pytest.raises(ValueError, match="no forests"):
        merged([])


def margin(forest: Forest, row: np.ndarray) -> float:
    """The sum of the leaves that a row without unknowns falls into."""
    total = 0.0
    for tree in range(forest.n_trees):
        node = 0 if forest.first_node[tree] < forest.first_node[tree + 1] else -1
        while node >= 0:
            at = forest.first_node[tree] + node
            node = int((forest.left if row[forest.feature[at]] <= forest.threshold[at] else forest.right)[at])
        total += float(forest.leaf_value[forest.first_leaf[tree] + ~node])
    return total
