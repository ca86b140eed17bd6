"""Whether the text of a model file is whole, told without LightGBM.

LightGBM believes what a model file says of itself: it reads past the end of a list that is too short and follows a
child that is not there. What then happens depends on what lies in memory, so a child process that survived proves
nothing for the next one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_OF_NODES = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
_MORE_OF_NODES = ("split_gain", "internal_value", "internal_weight", "internal_count")
_OF_LEAVES = ("leaf_value",)
_MORE_OF_LEAVES = ("leaf_weight", "leaf_count")
_NUMBER = re.compile(r"-?(\d+(\.\d*)?(e[-+]?\d+)?|inf|nan)")
_INTEGER = re.compile(r"-?\d{1,9}")


class ModelTextRefused(ValueError):
    """The text is not that of a whole model; the message says what does not fit."""


def refuse_damaged(text: str) -> None:
    """Refuse a text whose trees are not as long as it says, or whose numbers, lists and children do not make trees.

    Any other text may still be nonsense, but nonsense that LightGBM reads the same way every time.

    >>> refuse_damaged("tree\\nnum_class=1\\n")
    Traceback (most recent call last):
    ...
    models.model_text.ModelTextRefused: the model file announces no trees
    """
    head, found, trees = text.partition("\n\nTree=0\n")
    stated = _lines(head)
    if not found or "tree_sizes" not in stated or not _INTEGER.fullmatch(stated.get("max_feature_idx", "")):
        raise ModelTextRefused("the model file announces no trees")
    trees, at = f"Tree=0\n{trees}", 0
    for i, size in enumerate(_integers(stated["tree_sizes"])):
        tree = trees[at : at + size]
        at += size
        if size < 1 or len(tree) < size or not tree.startswith(f"Tree={i}\n") or not tree.endswith("\n\n"):
            raise ModelTextRefused("a tree is not as long as the model file says")
        _refuse_tree(_lines(tree), int(stated["max_feature_idx"]))
    if not trees[at:].startswith("end of trees\n"):
        raise ModelTextRefused("the trees do not end where the model file says")


def _refuse_tree(stated: dict[str, str], last_feature: int) -> None:
    leaves = _integers(stated.get("num_leaves", "0"))
    if len(leaves) != 1 or leaves[0] < 1 or stated.get("num_cat") != "0" or stated.get("is_linear", "0") != "0":
        raise ModelTextRefused("a tree is not one of plain splits")
    n_leaves, n_nodes = leaves[0], leaves[0] - 1
    if n_nodes == 0:
        return _refuse_lists(stated, _OF_LEAVES, (), 1)
    _refuse_lists(stated, _OF_NODES, _MORE_OF_NODES, n_nodes)
    _refuse_lists(stated, _OF_LEAVES, _MORE_OF_LEAVES, n_leaves)
    if any(not 0 <= feature <= last_feature for feature in _integers(stated["split_feature"])):
        raise ModelTextRefused("a split asks for a feature that the model does not have")
    children = _integers(stated["left_child"]) + _integers(stated["right_child"])
    # Every node but the root, and every leaf (~0, ~1, ...), is the child of one node that comes before it.
    is_tree = sorted(children) == [*range(-n_leaves, 0), *range(1, n_nodes)]
    if not is_tree or any(0 < child <= place % n_nodes for place, child in enumerate(children)):
        raise ModelTextRefused("the children of a tree do not make a tree")


def _refuse_lists(stated: dict[str, str], needed: Sequence[str], others: Sequence[str], n: int) -> None:
    for name in (*needed, *(each for each in others if each in stated)):
        numbers = stated.get(name, "").split(" ")
        if len(numbers) != n or not all(map(_NUMBER.fullmatch, numbers)):
            raise ModelTextRefused("a list of a tree is too short, too long, or not of numbers")


def _integers(written: str) -> list[int]:
    numbers = written.split(" ")
    if not all(map(_INTEGER.fullmatch, numbers)):
        raise ModelTextRefused("a whole number is not one")
    return [int(number) for number in numbers]


def _lines(text: str) -> dict[str, str]:
    lines = [line for line in text.split("\n") if "=" in line]
    stated = dict(line.split("=", 1) for line in lines)
    if len(stated) < len(lines):
        raise ModelTextRefused("a line is there twice")
    return stated
