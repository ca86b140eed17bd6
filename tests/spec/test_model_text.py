"""A model file that is not whole is told apart before LightGBM reads it."""

from __future__ import annotations

import re
from collections.abc import Callable

import lightgbm as lgb
import numpy as np
import pytest

from models.model_text import ModelTextRefused, refuse_damaged
from tests.bundles import small_booster

TEXT = small_booster().model_to_string()


def with_list(name: str, change: Callable[[list[str]], object]) -> str:
    """The model with one list of its third tree changed, and the tree's size in the header made to fit."""
    blocks = TEXT.split("Tree=")
    found = re.search(rf"^{name}=(.*)$", blocks[3], re.M)
    assert found is not None
    numbers = found[1].split(" ")
    change(numbers)
    line = f"{name}={' '.join(numbers)}"
    blocks[3] = blocks[3].replace(found[0], line)
    return resized("Tree=".join(blocks), 2, len(line) - len(found[0]))


def resized(text: str, tree: int, by: int) -> str:
    sizes = re.findall(r"^tree_sizes=(.*)$", text, re.M)[0].split(" ")
    sizes[tree] = str(int(sizes[tree]) + by)
    return re.sub(r"^tree_sizes=.*$", f"tree_sizes={' '.join(sizes)}", text, flags=re.M)


def assign(at: int, value: str) -> Callable[[list[str]], object]:
    return lambda numbers: numbers.__setitem__(at, value)


def test_whole_models_are_let_through() -> None:
    refuse_damaged(TEXT)
    refuse_damaged(lgb.Booster(model_str=TEXT).model_to_string())
    refuse_damaged(with_list("leaf_value", assign(0, "-1e-05")))


def test_trees_without_a_split_are_let_through() -> None:
    values, outcome = np.zeros((50, 2)), np.arange(50) % 2
    data = lgb.Dataset(values, outcome, feature_name=["a", "b"])
    stump = lgb.train({"objective": "binary", "verbosity": -1}, data, num_boost_round=1).model_to_string()
    assert "num_leaves=1\n" in stump
    refuse_damaged(stump)


@pytest.mark.parametrize(
    "text",
    [
        with_list("leaf_value", lambda numbers: numbers.pop()),
        with_list("threshold", lambda numbers: numbers.append("0.5")),
        with_list("leaf_count", lambda numbers: numbers.pop()),
        with_list("threshold", assign(1, "half")),
        with_list("threshold", assign(1, "0.5x")),
        with_list("threshold", assign(1, "")),
        with_list("leaf_value", assign(1, "1_0")),
        with_list("split_feature", assign(0, "184")),
        with_list("split_feature", assign(0, "-1")),
        with_list("left_child", assign(0, "0")),
        with_list("left_child", assign(0, "7")),
        with_list("left_child", assign(0, "900000000")),
        with_list("right_child", assign(0, "-9")),
        with_list("num_leaves", assign(0, "8")),
        with_list("num_leaves", assign(0, "6")),
        with_list("num_leaves", assign(0, "0")),
        with_list("num_cat", assign(0, "1")),
        with_list("is_linear", assign(0, "1")),
    ],
)
def test_lists_that_do_not_make_a_tree_are_refused(text: str) -> None:
    with pytest.raises(ModelTextRefused):
        refuse_damaged(text)


def test_a_second_line_of_the_same_name_is_refused() -> None:
    """LightGBM takes the last one, a person who reads the file sees the first."""
    line = re.findall(r"^leaf_value=.*\n", TEXT, re.M)[2]
    twice = resized(TEXT.replace(line, line * 2), 2, len(line))
    lgb.Booster(model_str=twice)  # without a word
    with pytest.raises(ModelTextRefused, match="twice"):
        refuse_damaged(twice)


@pytest.mark.parametrize("kept", np.linspace(0, TEXT.index("end of trees"), 60).astype(int))
def test_a_file_cut_before_the_end_of_its_trees_is_refused(kept: int) -> None:
    with pytest.raises(ModelTextRefused):
        refuse_damaged(TEXT[:kept])


def test_a_tree_left_out_or_put_in_is_refused() -> None:
    first, second = TEXT.index("Tree=2\n"), TEXT.index("Tree=3\n")
    for text in (TEXT[:first] + TEXT[second:], TEXT[:second] + TEXT[first:], TEXT.replace("tree_sizes", "tree_size")):
        with pytest.raises(ModelTextRefused):
            refuse_damaged(text)
