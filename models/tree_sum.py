"""The margin of a row: the sum of the leaves it falls into, tree after tree, to the last bit as LightGBM adds them.

A household is scored at once with the members of the bag, and again with every answer it could give to a question
(`models.asking`). LightGBM spends longer on being called than on such a call, keeps the range of trees to predict with
in the Booster itself, and has no way to look only at the trees that a changed feature moves. It remains what the
numbers are held against: no bit may differ.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from models.forest import MISSING_NONE, MISSING_ZERO, Forest
from models.shap_kernel import ZERO

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
SIDE_BY_SIDE = 4

# Of a node in one look: where the row's value lies, the threshold, and the children, below zero ~leaf. An unknown goes
# to `unknown`.
NODE = np.dtype([("threshold", "f8"), ("place", "i4"), ("left", "i4"), ("right", "i4"), ("unknown", "i4")], align=True)


class TreeSum:
    """Margins of rows under a forest; the tables are made once and the calls share nothing.

    A row's numbers depend on that row alone, bit for bit. A call runs on one thread and does not hold the
    interpreter's lock.
    """

    def __init__(self, forest: Forest, members: tuple[int, ...] = ()) -> None:
        self._n_features = forest.n_features
        self._roots, self._nodes = _laid_out(forest)
        self._leaves = forest.leaf_value
        self._ends = np.cumsum(members or (forest.n_trees,), dtype=np.int64)
        self._moved_by = _moved_by(forest)

    def margins(self, values: Floats) -> Floats:
        """The margin of each row of `values` (rows x features); raises `ValueError` for another number of features."""
        return self.with_members(values)[0]

    def with_members(self, values: Floats) -> tuple[Floats, Floats]:
        """The margin of each row, and the sum over the trees of each member alone (rows x members)."""
        rows = self._checked(values)
        margins, members = np.empty(len(rows)), np.empty((len(rows), len(self._ends)))
        _summed(rows, self._roots, self._nodes, self._leaves, self._ends, margins, members)
        return margins, members

    def near(self, row: Floats, values: Floats) -> Floats:
        """The margins of rows that differ in few features from `row`: the same bits as `margins`, with less to do."""
        rows, found = self._checked(values), np.empty(len(values))
        _summed_near(
            self._checked(row[np.newaxis])[0], rows, self._roots, self._nodes, self._leaves, *self._moved_by, found
        )  # fmt: skip
        return found

    def _checked(self, values: Floats) -> Floats:
        if values.ndim != 2 or values.shape[1] != self._n_features:
            raise ValueError(f"expected rows of {self._n_features} features")
        return np.ascontiguousarray(values, np.float64)


def _laid_out(forest: Forest) -> tuple[Ints, npt.NDArray[np.void]]:
    """Where each tree begins (a node, or ~leaf for a tree of one leaf), and the nodes with children counted in all."""
    sizes = np.diff(forest.first_node)
    first_node, first_leaf = (np.repeat(first[:-1], sizes) for first in (forest.first_node, forest.first_leaf))
    nodes = np.zeros(len(forest.feature), NODE)
    nodes["threshold"] = forest.threshold
    # Where 0 goes with the unknown, the value is read from a second copy of the row.
    nodes["place"] = forest.feature + forest.n_features * (forest.missing == MISSING_ZERO)
    for side, child in (("left", forest.left), ("right", forest.right)):
        nodes[side] = np.where(child >= 0, first_node + child, ~(first_leaf + ~child))
    goes_left = np.where(forest.missing == MISSING_NONE, forest.threshold >= 0, forest.default_left)
    nodes["unknown"] = np.where(goes_left, nodes["left"], nodes["right"])
    return np.where(sizes > 0, forest.first_node[:-1], ~forest.first_leaf[:-1]), nodes


def _moved_by(forest: Forest) -> tuple[Ints, Floats, Ints, Bools]:
    """The splits on feature f, from the lowest threshold up: thresholds `at[first[f]:first[f + 1]]` and their trees;
    and whether 0 counts as unknown in one of them."""
    tree = np.repeat(np.arange(forest.n_trees), np.diff(forest.first_node))
    order = np.lexsort((tree, forest.threshold, forest.feature))
    first = np.searchsorted(forest.feature[order], np.arange(forest.n_features + 1)).astype(np.int64)
    by_zero = np.zeros(forest.n_features, np.bool_)
    by_zero[forest.feature[forest.missing == MISSING_ZERO]] = True
    return first, forest.threshold[order], tree[order], by_zero


@numba.njit(cache=True, nogil=True)
def _read(row, features, place):  # type: ignore[no-untyped-def]
    """Some features of a row as the nodes read them: twice, the second time with unknown in place of 0."""
    n = len(row)
    for f in features:
        x = 0.0 if abs(row[f]) <= ZERO else row[f]
        place[f] = x
        place[n + f] = np.nan if x == 0.0 else x


@numba.njit(cache=True, nogil=True)
def _leaf(place, at, nodes, leaves):  # type: ignore[no-untyped-def]
    """The value of the leaf that a row falls into from the node `at` on."""
    while at >= 0:
        node = nodes[at]
        x = place[node.place]
        if x <= node.threshold:
            at = node.left
        elif x > node.threshold:
            at = node.right
        else:
            at = node.unknown
    return leaves[~at]


@numba.njit(cache=True, nogil=True)
def _summed(rows, roots, nodes, leaves, ends, margins, members):  # type: ignore[no-untyped-def]
    """Write the margin of every row and the sum of each member; both begin with 0 and add one tree at a time."""
    place, features = np.empty(2 * rows.shape[1]), np.arange(rows.shape[1])
    for r in range(len(rows)):
        _read(rows[r], features, place)
        margin, first = 0.0, 0
        for m in range(len(ends)):
            member = 0.0
            for t in range(first, ends[m]):
                leaf = _leaf(place, roots[t], nodes, leaves)
                margin += leaf
                member += leaf
            members[r, m] = member
            first = ends[m]
        margins[r] = margin


@numba.njit(cache=True, nogil=True)
def _differs(a, b):  # type: ignore[no-untyped-def]
    """Whether two numbers differ; an unknown is like an unknown."""
    return (a != b) & ((a == a) | (b == b))


@numba.njit(cache=True, nogil=True)
def _varying(row, rows):  # type: ignore[no-untyped-def]
    """The features in which any of the rows differs from `row`."""
    varies = np.zeros(len(row), np.bool_)
    for r in range(len(rows)):
        for f in range(len(row)):
            varies[f] |= _differs(row[f], rows[r, f])
    return np.flatnonzero(varies)


@numba.njit(cache=True, nogil=True)
def _differences(one, other, features):  # type: ignore[no-untyped-def]
    """In how many of the features two rows differ."""
    count = 0
    for f in features:
        count += _differs(one[f], other[f])
    return count


@numba.njit(cache=True, nogil=True)
def _find_moved(was, row, features, first, thresholds, trees, by_zero, is_moved, moved):  # type: ignore[no-untyped-def]
    """List the trees in which a split on one of the features sends the two rows different ways; how many there are."""
    count = 0
    for f in features:
        a, b = was[f], row[f]
        if not _differs(a, b):
            continue
        a, b = 0.0 if abs(a) <= ZERO else a, 0.0 if abs(b) <= ZERO else b
        start, end = first[f], first[f + 1]
        if a == a and b == b and not (by_zero[f] and (a == 0.0 or b == 0.0)):
            of_feature = thresholds[start:end]
            # At most the threshold is left: what lies from the smaller one on, but not from the larger one on.
            start, end = (
                start + np.searchsorted(of_feature, min(a, b)),
                start + np.searchsorted(of_feature, max(a, b)),
            )
        for k in range(start, end):
            if not is_moved[trees[k]]:
                is_moved[trees[k]] = True
                moved[count] = trees[k]
                count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _summed_near(row, rows, roots, nodes, leaves, first, thresholds, trees, by_zero, margins):  # type: ignore[no-untyped-def]
    """Write the margins of rows that are like `row`, or like the one before, in most features.

    Only the leaves of trees are found anew that may be others there. All are added in the order of the trees, four rows
    side by side: one addition waits for the one before.
    """
    n_trees, place = len(roots), np.empty(2 * len(row))
    of_row, told = np.empty(n_trees), np.zeros((SIDE_BY_SIDE, n_trees))
    is_moved, moved = np.zeros(n_trees, np.bool_), np.empty(n_trees, np.int64)
    _read(row, np.arange(len(row)), place)
    features = _varying(row, rows)
    for t in range(n_trees):
        of_row[t] = _leaf(place, roots[t], nodes, leaves)
    for r in range(len(rows)):
        here, was, leaves_then = told[r % SIDE_BY_SIDE], row, of_row
        if r > 0 and _differences(rows[r - 1], rows[r], features) <= _differences(row, rows[r], features):
            was, leaves_then = rows[r - 1], told[(r - 1) % SIDE_BY_SIDE]
        here[:] = leaves_then
        _read(rows[r], features, place)
        for k in range(_find_moved(was, rows[r], features, first, thresholds, trees, by_zero, is_moved, moved)):
            here[moved[k]] = _leaf(place, roots[moved[k]], nodes, leaves)
            is_moved[moved[k]] = False
        if r % SIDE_BY_SIDE == SIDE_BY_SIDE - 1 or r == len(rows) - 1:
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            for t in range(n_trees):
                a += told[0, t]
                b += told[1, t]
                c += told[2, t]
                d += told[3, t]
            start = r - r % SIDE_BY_SIDE
            for k, margin in enumerate((a, b, c, d)):
                if start + k <= r:
                    margins[start + k] = margin
