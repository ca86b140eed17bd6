"""Exact path-dependent SHAP values of boosted trees, by Gauss-Legendre quadrature.

On the path to a leaf of value v let o be 1 or 0 as the row satisfies all splits of a feature there or not, and z the
share of training rows that go the path's way at these splits. Then

    phi_i = sum over leaves of v (o_i - z_i) * integral from 0 to 1 of the product over j != i of (t o_j + (1 - t) z_j)

over the distinct features of the path. The integrand is a polynomial of degree below the number D of features, so that
ceil(D / 2) points give the integral exactly. At a point t the two edges of a node have factors g and 1 - g. With P the
product of the factors above a node and R what lies below it, P is passed down and R up:

    P_left = P g,  P_right = P (1 - g),  R = g R_left + (1 - g) R_right,  phi_f += P k (R_left - R_right)

Where the path meets the node's feature for the first time, g = t o + (1 - t) r and k = o - r, for the share r of rows
that goes left and o = 1 where the row does. Where it met it before with share z, and the row satisfied it, both g, with
(1 - t) z r in place of (1 - t) r, and k z are divided by t + (1 - t) z, k z twice; where it did not, g = r and k = 0.
Every P, R and g is between bounds of its own size, and t is never 0, so nothing is lost in deep trees, unlike in the
recurrences that LightGBM and SHAP use. Method: Wettenstein, Mitchell and Yu, arXiv 2605.04497.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.forest import MISSING_NONE, MISSING_ZERO, Forest
from models.shap_kernel import (
    BASIS,
    DECISION,
    EACH,
    LANES,
    LINK,
    NODE_TABLE,
    PASS,
    ROWS,
    SHIFT_LEFT,
    SHIFT_RIGHT,
    SPLIT,
    contributed,
)

Floats = npt.NDArray[np.float64]


class TreeShap:
    """SHAP values of every row under a forest; the tables are made once and the calls share nothing.

    The numbers of a row depend on that row alone, bit for bit, whichever rows it comes with. A call runs on one
    thread and does not hold the interpreter's lock.
    """

    def __init__(self, forest: Forest) -> None:
        self._n_features = forest.n_features
        self._base = forest.base
        tables = _Tables(forest)
        self._read = tables.as_arrays()
        self._n_nodes, self._most_nodes, self._most_slots = len(forest.feature), tables.most_nodes, tables.most_slots

    def contributions(self, values: Floats) -> tuple[Floats, Floats]:
        """SHAP values (rows x features) and the base (one a row, always the same); they sum to the margin.

        `values` is rows x features in the forest's order. A NaN goes where LightGBM sends it; where a feature had no
        NaN in training that is where 0 goes. Raises `ValueError` for another number of features.
        """
        if values.ndim != 2 or values.shape[1] != self._n_features:
            raise ValueError(f"expected rows of {self._n_features} features")
        rows = np.ascontiguousarray(values, np.float64)
        found = np.empty(rows.shape, np.float64)
        state = np.empty(self._n_nodes, np.uint64)
        contributed(
            rows,
            *self._read,
            _aligned(2 * LANES * self._n_features),
            state,
            state.view(np.uint8),
            _aligned(NODE_TABLE * self._most_nodes),
            _aligned(LANES * ROWS * self._most_slots),
            _aligned(LANES * min(LANES, len(rows)) * self._n_features),
            found,
        )
        return found, np.full(len(rows), self._base)


@dataclass
class _Node:
    """A node on its path: `met` is the node that split on the same feature last, None where this one is the first.

    `share` is the share of the feature's rows that the path holds above the node, `features` how many distinct
    features the path has, this one included.
    """

    feature: int
    rows_left: float
    rows_right: float
    depth: int = 0
    above: tuple[int, bool] | None = None
    met: tuple[int, bool] | None = None
    share: float = 1.0
    features: int = 1


class _Tables:
    """The forest laid out as `models.shap_kernel` reads it."""

    def __init__(self, forest: Forest) -> None:
        self._forest = forest
        self._by_zero = forest.missing == MISSING_ZERO
        self._unknown_left = np.where(forest.missing == MISSING_NONE, forest.threshold >= 0, forest.default_left)
        self._decisions: list[tuple[Any, ...]] = []
        self._splits: list[tuple[Any, ...]] = []
        self._links: list[tuple[int, ...]] = []
        self._passes: list[tuple[int, ...]] = []
        self._leaves: list[float] = []
        self._points: list[Floats] = []
        self._basis: list[Floats] = []
        self.most_nodes = 0
        self.most_slots = 1
        for tree in range(forest.n_trees):
            if forest.first_node[tree] < forest.first_node[tree + 1]:
                self._add(tree)

    def as_arrays(self) -> tuple[Any, ...]:
        """What every call reads, in the order of `contributed`."""
        return (
            bool(self._by_zero.any()),
            np.array(self._decisions, DECISION),
            np.array(self._passes, PASS),
            np.array(self._splits, SPLIT),
            np.array(self._links, LINK),
            np.array(self._leaves, np.float64),
            _aligned_copy(self._points),
            _aligned_copy(self._basis),
        )

    def _add(self, tree: int) -> None:
        forest = self._forest
        first, end = int(forest.first_node[tree]), int(forest.first_node[tree + 1])
        leaves = forest.leaf_value[forest.first_leaf[tree] : forest.first_leaf[tree + 1]]
        left: list[int] = forest.left[first:end].tolist()
        right: list[int] = forest.right[first:end].tolist()
        nodes = _paths(forest, tree)
        is_cherry = [left[i] < 0 and right[i] < 0 for i in range(len(nodes))]
        # Level by level: neighbours in the walk do not wait for each other.
        order = sorted(range(len(nodes)), key=lambda i: (is_cherry[i], nodes[i].depth))
        place: dict[int, int] = {i: at for at, i in enumerate(order)}
        n_inner = len(nodes) - sum(is_cherry)
        leaf_slot = 1 + 3 * n_inner + (len(nodes) - n_inner)
        start, first_leaf = len(self._decisions), len(self._leaves)
        bases = {1.0: 0}

        def slot_below(i: int, child: int) -> int:
            if is_cherry[i]:
                return 0
            if child < 0:
                self._leaves.append(float(leaves[~child]))
                return leaf_slot + len(self._leaves) - 1 - first_leaf
            return 1 + 3 * place[child] if not is_cherry[child] else 1 + 2 * n_inner + place[child]

        for i in order:
            node, at = nodes[i], first + i
            column = node.feature + (forest.n_features if self._by_zero[at] else 0)
            met, met_right = node.met or (i, False)
            self._decisions.append(
                (
                    LANES * column,
                    forest.threshold[at],
                    EACH * int(self._unknown_left[at]),
                    start + place[met],
                    SHIFT_RIGHT if met_right else SHIFT_LEFT,
                    EACH * int(node.met is None),
                )
            )
            gap, value = (leaves[~left[i]] - leaves[~right[i]], leaves[~right[i]]) if is_cherry[i] else (0.0, 0.0)
            # A share of 1 that a path really holds has the factors of the first meeting, too.
            basis = bases.setdefault(node.share, len(bases))
            self._splits.append(
                (node.share * node.rows_left, node.share * node.rows_right, node.rows_left, gap, value, BASIS * basis)
            )
            above = 0 if node.above is None else 1 + 3 * place[node.above[0]] + node.above[1]
            self._links.append((above, slot_below(i, left[i]), slot_below(i, right[i]), LANES * node.feature))

        ranges = (start, start + n_inner, start + len(nodes), first_leaf, len(self._leaves), leaf_slot)
        self._add_passes(ranges, max(node.features for node in nodes), np.array(list(bases)))
        self.most_nodes = max(self.most_nodes, len(nodes))
        self.most_slots = max(self.most_slots, leaf_slot + len(self._leaves) - first_leaf)

    def _add_passes(self, ranges: tuple[int, ...], n_features: int, shares: Floats) -> None:
        """The walks through one tree: as many as its points fill registers, the last filled up with weight 0."""
        n_points = (n_features + 1) // 2
        at, weight = np.polynomial.legendre.leggauss(n_points)
        spare = -n_points % LANES
        points = np.pad((1 + at) / 2, (0, spare), constant_values=0.5).reshape(-1, LANES)
        weights = np.pad(weight / 2, (0, spare)).reshape(-1, LANES)
        for t, w in zip(points, weights, strict=True):
            inverse = 1 / (t + np.outer(shares, 1 - t))
            # For a share of 1 the sum is t + (1 - t): 1, whatever it is rounded to.
            inverse[0] = 1.0
            self._passes.append((*ranges, LANES * len(self._points), BASIS * sum(map(len, self._basis))))
            self._points.append(w)
            self._basis.append(np.stack([(1 - t) * inverse, t * inverse, inverse * inverse], axis=1))


def _paths(forest: Forest, tree: int) -> list[_Node]:
    """The nodes of a tree with what lies above them, parents before their children."""
    first, end = forest.first_node[tree], forest.first_node[tree + 1]
    left, right = forest.left[first:end], forest.right[first:end]
    total = forest.node_count[first:end]
    # A leaf's index is negative, so its count is found from the end.
    leaf_count = forest.leaf_count[forest.first_leaf[tree] : forest.first_leaf[tree + 1]]
    count = np.concatenate([total, leaf_count[::-1]])
    share_left, share_right = (count[left] / total).tolist(), (count[right] / total).tolist()
    nodes = [_Node(*given) for given in zip(forest.feature[first:end].tolist(), share_left, share_right, strict=True)]
    for i, children in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        node = nodes[i]
        if node.above is not None:
            above = nodes[node.above[0]]
            node.depth, node.features = above.depth + 1, above.features + 1
        step = node.above
        while step is not None and nodes[step[0]].feature != node.feature:
            step = nodes[step[0]].above
        if step is not None:
            met = nodes[step[0]]
            node.met = step
            node.share = met.share * (met.rows_right if step[1] else met.rows_left)
            node.features -= 1
        for child, is_right in zip(children, (False, True), strict=True):
            if child >= 0:
                nodes[child].above = (i, is_right)
    return nodes


def _aligned(size: int) -> Floats:
    """Zeros that begin where a cache line does: a register across two lines is loaded twice."""
    raw = np.zeros(size + LANES, np.float64)
    skip = -(raw.ctypes.data // 8) % LANES
    return raw[skip : skip + size]


def _aligned_copy(parts: list[Floats]) -> Floats:
    copy = _aligned(sum(part.size for part in parts))
    if parts:
        np.concatenate([part.ravel() for part in parts], out=copy)
    return copy
