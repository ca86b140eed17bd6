"""The trees of a LightGBM model file as flat arrays: what the exact contributions are computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_CATEGORICAL, _DEFAULT_LEFT, _MISSING_SHIFT = 1, 2, 2
MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2


class ForestRefused(ValueError):
    """The model file holds trees that `Forest` does not describe; the message says which."""


@dataclass(frozen=True)
class Forest:
    """All trees of a model; the margin of a row is the sum of the leaves it falls into.

    Tree k owns the nodes `first_node[k]:first_node[k + 1]` and the leaves `first_leaf[k]:first_leaf[k + 1]`; a tree
    of one leaf owns no node. A node sends a row left when its feature is at most `threshold`. A child is counted
    within its tree: node i is i and leaf i is ~i; parents come before their children. `missing` is one of
    `MISSING_NONE` (an unknown counts as 0), `MISSING_ZERO` (0 and unknown go the default way) and `MISSING_NAN` (an
    unknown goes the default way). `node_count` and `leaf_count` are training rows, all nodes above zero.
    """

    n_features: int
    first_node: Ints
    first_leaf: Ints
    feature: Ints
    threshold: Floats
    missing: Ints
    default_left: npt.NDArray[np.bool_]
    left: Ints
    right: Ints
    node_count: Floats
    leaf_value: Floats
    leaf_count: Floats

    @property
    def n_trees(self) -> int:
        """How many trees there are."""
        return len(self.first_node) - 1

    @property
    def base(self) -> float:
        """The mean margin of the training rows as the trees counted them: the base of path-dependent SHAP values."""
        total = 0.0
        for a, b in zip(self.first_leaf[:-1], self.first_leaf[1:], strict=True):
            count = self.leaf_count[a:b]
            total += float(self.leaf_value[a] if b - a == 1 else self.leaf_value[a:b] @ (count / count.sum()))
        return total


def forest_of(text: str) -> Forest:
    """The forest in the text of a LightGBM model file.

    Raises `ForestRefused` for several classes, averaged trees (random forests), linear trees, categorical splits, nodes
    that no training row reached, and for any text whose parts do not fit each other.
    """
    head, *blocks = text.split("\nend of trees", 1)[0].split("\nTree=")
    stated = _fields(head)
    for name in ("num_class", "num_tree_per_iteration"):
        if stated.get(name) != "1":
            raise ForestRefused(f"{name} is not 1: the trees score several classes")
    if "average_output" in head.splitlines():
        raise ForestRefused("the trees are averaged, and LightGBM itself does so in some scores and not in others")
    try:
        n_features = int(stated["max_feature_idx"]) + 1
        trees = [_tree(_fields(block), n_features) for block in blocks]
    except ForestRefused:
        raise
    except (KeyError, ValueError) as why:
        raise ForestRefused("the text is not that of a LightGBM model") from why
    if len(trees) != len(stated.get("tree_sizes", "").split()):
        raise ForestRefused("the text does not hold the trees that it announces")
    return _joined(trees, n_features)


def merged(forests: Sequence[Forest]) -> Forest:
    """One forest whose margin is the mean of the margins, so that a bag of models is explained in one pass."""
    if not forests:
        raise ValueError("a mean of no forests does not exist")
    if len({forest.n_features for forest in forests}) > 1:
        raise ForestRefused("the forests do not read the same features")
    scaled = [replace(forest, leaf_value=forest.leaf_value / len(forests)) for forest in forests]
    return _joined(scaled, forests[0].n_features)


def _joined(parts: Sequence[Forest], n_features: int) -> Forest:
    def ends(name: str) -> Ints:
        sizes = [np.diff(getattr(part, name)) for part in parts]
        return np.concatenate([[0], np.cumsum(np.concatenate([*sizes, _ints("")]))]).astype(np.int64)

    def end_to_end(name: str) -> npt.NDArray[np.float64]:
        return np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0)])

    return Forest(
        n_features,
        ends("first_node"),
        ends("first_leaf"),
        end_to_end("feature").astype(np.int64),
        end_to_end("threshold"),
        end_to_end("missing").astype(np.int64),
        end_to_end("default_left").astype(np.bool_),
        end_to_end("left").astype(np.int64),
        end_to_end("right").astype(np.int64),
        end_to_end("node_count"),
        end_to_end("leaf_value"),
        end_to_end("leaf_count"),
    )


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _tree(stated: dict[str, str], n_features: int) -> Forest:
    """One tree as a forest of its own."""
    if stated.get("is_linear", "0") != "0":
        raise ForestRefused("a tree has linear leaves")
    n_leaves = int(stated["num_leaves"])
    n_nodes = n_leaves - 1
    kind = _ints(stated["decision_type"])
    if int(stated["num_cat"]) or (kind & _CATEGORICAL).any():
        raise ForestRefused("a tree splits on a category")
    tree = Forest(
        n_features,
        np.array([0, n_nodes]),
        np.array([0, n_leaves]),
        _ints(stated["split_feature"]),
        _floats(stated["threshold"]),
        kind >> _MISSING_SHIFT & 3,
        (kind & _DEFAULT_LEFT) > 0,
        _ints(stated["left_child"]),
        _ints(stated["right_child"]),
        _floats(stated["internal_count"]),
        _floats(stated["leaf_value"]),
        # A tree of one leaf may come without its count; nothing is divided by it.
        _floats(stated.get("leaf_count", "") or "1"),
    )
    _refuse_misfit(tree, n_nodes, n_leaves)
    return tree


def _refuse_misfit(tree: Forest, n_nodes: int, n_leaves: int) -> None:
    of_nodes = (tree.feature, tree.threshold, tree.missing, tree.left, tree.right, tree.node_count)
    if {len(part) for part in of_nodes} != {n_nodes} or {len(tree.leaf_value), len(tree.leaf_count)} != {n_leaves}:
        raise ForestRefused("the parts of a tree differ in length")
    if not np.isfinite(tree.leaf_value).all() or np.isnan(tree.threshold).any():
        raise ForestRefused("a leaf or a threshold is not a number")
    if ((tree.feature < 0) | (tree.feature >= tree.n_features) | (tree.missing > MISSING_NAN)).any():
        raise ForestRefused("a split asks for a feature that the model does not have")
    if n_nodes == 0:
        return
    children = np.concatenate([tree.left, tree.right])
    if sorted(children.tolist()) != [*range(-n_leaves, 0), *range(1, n_nodes)]:
        raise ForestRefused("the children of a tree do not make a tree")
    if (children <= np.tile(np.arange(n_nodes), 2))[children > 0].any():
        raise ForestRefused("a tree does not list parents before their children")
    if not (tree.node_count > 0).all():
        raise ForestRefused("no training row reached a node, so that its share of rows does not exist")
    if (tree.leaf_count < 0).any():
        raise ForestRefused("a leaf counts fewer than no rows")
    count = np.concatenate([tree.node_count, tree.leaf_count[::-1]])
    if (count[tree.left] + count[tree.right] != tree.node_count).any():
        raise ForestRefused("the rows of two children are not those of their parent")


def _ints(text: str) -> Ints:
    return np.array(text.split(), dtype=np.int64)


def _floats(text: str) -> Floats:
    return np.array(text.split(), dtype=np.float64)
