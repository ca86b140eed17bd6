"""SHAP values of small forests said slowly and plainly, in two ways that share nothing with the pass they test."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import factorial

import numpy as np

from models.forest import MISSING_NONE, MISSING_ZERO, Forest

LIKE_ZERO = float(np.float32(1e-35))


def by_subsets(forest: Forest, row: np.ndarray) -> list[float]:
    """Shapley values by their definition, in exact fractions: the mean of every subset of the features of a tree."""
    phi = [Fraction(0)] * forest.n_features
    for tree in range(forest.n_trees):
        nodes = range(forest.first_node[tree], forest.first_node[tree + 1])
        features = sorted({int(forest.feature[n]) for n in nodes})
        mean = {
            subset: expected(forest, tree, 0, row, subset)
            for size in range(len(features) + 1)
            for subset in map(frozenset, combinations(features, size))
        }
        for feature in features:
            for subset, without in mean.items():
                if feature not in subset:
                    others = len(features) - len(subset) - 1
                    weight = Fraction(factorial(len(subset)) * factorial(others), factorial(len(features)))
                    phi[feature] += weight * (mean[subset | {feature}] - without)
    return [float(value) for value in phi]


def expected(forest: Forest, tree: int, node: int, row: np.ndarray, known: frozenset[int]) -> Fraction:
    """The value below a node when the row decides at known features and training rows by their number elsewhere."""
    if not len(range(forest.first_node[tree], forest.first_node[tree + 1])) or node < 0:
        leaf = ~node if node < 0 else 0
        return Fraction(float(forest.leaf_value[forest.first_leaf[tree] + leaf]))
    at = forest.first_node[tree] + node
    left, right = int(forest.left[at]), int(forest.right[at])
    if int(forest.feature[at]) in known:
        return expected(forest, tree, left if goes_left(forest, at, row) else right, row, known)
    total = Fraction(int(forest.node_count[at]))
    return sum(
        (
            rows(forest, tree, child) / total * expected(forest, tree, child, row, known)
            for child in (left, right)
            if rows(forest, tree, child)
        ),
        Fraction(0),
    )


def by_leaves(forest: Forest, row: np.ndarray, points: int = 128) -> np.ndarray:
    """The integral of every leaf on its own, with far more points than it needs and no walk shared between leaves."""
    at, weight = np.polynomial.legendre.leggauss(points)
    t, weight = (1 + at) / 2, weight / 2
    phi = np.zeros(forest.n_features)
    for tree in range(forest.n_trees):
        for leaf, path in paths(forest, tree):
            satisfied: dict[int, bool] = {}
            share: dict[int, float] = {}
            for node, is_left in path:
                place = forest.first_node[tree] + node
                feature = int(forest.feature[place])
                child = int((forest.left if is_left else forest.right)[place])
                agrees = goes_left(forest, place, row) == is_left
                satisfied[feature] = satisfied.get(feature, True) and agrees
                ratio = float(rows(forest, tree, child) / Fraction(int(forest.node_count[place])))
                share[feature] = share.get(feature, 1.0) * ratio
            value = float(forest.leaf_value[forest.first_leaf[tree] + leaf])
            for feature in share:
                product = np.ones(points)
                for other in share:
                    if other != feature:
                        product *= t * satisfied[other] + (1 - t) * share[other]
                phi[feature] += value * (satisfied[feature] - share[feature]) * float(weight @ product)
    return phi


def paths(forest: Forest, tree: int) -> list[tuple[int, list[tuple[int, bool]]]]:
    """Every leaf with the nodes above it and the side taken at each."""
    if forest.first_node[tree] == forest.first_node[tree + 1]:
        return [(0, [])]
    found, open_ = [], [(0, [])]  # type: ignore[var-annotated]
    while open_:
        node, path = open_.pop()
        if node < 0:
            found.append((~node, path))
            continue
        at = forest.first_node[tree] + node
        open_.append((int(forest.left[at]), [*path, (node, True)]))
        open_.append((int(forest.right[at]), [*path, (node, False)]))
    return found


def rows(forest: Forest, tree: int, child: int) -> Fraction:
    """Training rows of a node or, for a negative number, of a leaf."""
    if child < 0:
        return Fraction(int(forest.leaf_count[forest.first_leaf[tree] + ~child]))
    return Fraction(int(forest.node_count[forest.first_node[tree] + child]))


def goes_left(forest: Forest, at: int, row: np.ndarray) -> bool:
    """LightGBM's rule, in its own order of questions."""
    value = float(row[forest.feature[at]])
    missing = forest.missing[at]
    if np.isnan(value) and missing in (MISSING_NONE, MISSING_ZERO):
        value = 0.0
    if abs(value) <= LIKE_ZERO:
        value = 0.0
    if (missing == MISSING_ZERO and value == 0.0) or np.isnan(value):
        return bool(forest.default_left[at])
    return value <= float(forest.threshold[at])
