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
# Rows whose leaves are added side by side, and trees that are gone down side by side.
SIDE_BY_SIDE, TREES_AT_ONCE = 8, 4
# Where a value lies that is not among the thresholds of its feature.
UNKNOWN, NONE = -1, -2

# Of a node beside its threshold: where the row's value lies, and the children, below zero ~leaf. An unknown goes to
# the last one.
PLACE, LEFT, RIGHT, AT_UNKNOWN = range(4)


class TreeSum:
    """Margins of rows under a forest; the tables are made once and the calls share nothing.

    A row's numbers depend on that row alone, bit for bit. A call runs on one thread and does not hold the
    interpreter's lock.
    """

    def __init__(self, forest: Forest, members: tuple[int, ...] = ()) -> None:
        self._n_features = forest.n_features
        self._roots, self._thresholds, self._nodes = _laid_out(forest)
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
        _summed(rows, self._roots, self._thresholds, self._nodes, self._leaves, self._ends, margins, members)
        return margins, members

    def near(self, row: Floats, values: Floats) -> Floats:
        """The margins of rows that differ in few features from `row`: the same bits as `margins`, with less to do."""
        rows, found = self._checked(values), np.empty(len(values))
        trees = (self._roots, self._thresholds, self._nodes, self._leaves)
        _summed_near(self._checked(row[np.newaxis])[0], rows, *trees, *self._moved_by, found)
        return found

    def _checked(self, values: Floats) -> Floats:
        if values.ndim != 2 or values.shape[1] != self._n_features:
            raise ValueError(f"expected rows of {self._n_features} features")
        return np.ascontiguousarray(values, np.float64)


def _laid_out(forest: Forest) -> tuple[Ints, Floats, npt.NDArray[np.int32]]:
    """Where each tree begins (a node, or ~leaf for a tree of one leaf), and the nodes with children counted in all:
    thresholds, and places and children."""
    sizes = np.diff(forest.first_node)
    first_node, first_leaf = (np.repeat(first[:-1], sizes) for first in (forest.first_node, forest.first_leaf))
    # One more, that trees of one leaf may look at.
    nodes = np.zeros((len(forest.feature) + 1, 4), np.int32)
    # Where 0 goes with the unknown, the value is read from a second copy of the row.
    nodes[:-1, PLACE] = forest.feature + forest.n_features * (forest.missing == MISSING_ZERO)
    for side, child in ((LEFT, forest.left), (RIGHT, forest.right)):
        nodes[:-1, side] = np.where(child >= 0, first_node + child, ~(first_leaf + ~child))
    goes_left = np.where(forest.missing == MISSING_NONE, forest.threshold >= 0, forest.default_left)
    nodes[:-1, AT_UNKNOWN] = np.where(goes_left, nodes[:-1, LEFT], nodes[:-1, RIGHT])
    roots = np.where(sizes > 0, forest.first_node[:-1], ~forest.first_leaf[:-1])
    return roots, np.append(forest.threshold, 0.0), nodes


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
def _leaf(place, at, thresholds, nodes, leaves):  # type: ignore[no-untyped-def]
    """The value of the leaf that a row falls into from the node `at` on."""
    while at >= 0:
        x = place[nodes[at, PLACE]]
        if x <= thresholds[at]:
            at = nodes[at, LEFT]
        elif x > thresholds[at]:
            at = nodes[at, RIGHT]
        else:
            at = nodes[at, AT_UNKNOWN]
    return leaves[~at]


@numba.njit(cache=True, nogil=True)
def _step(place, at, thresholds, nodes):  # type: ignore[no-untyped-def]
    """The next node; of a leaf itself. Without a branch, so that several trees are gone down in the time of one."""
    node = max(at, 0)
    x = place[nodes[node, PLACE]]
    child = nodes[node, LEFT + (x > thresholds[node]) + 2 * (x != x)]
    return child if at >= 0 else at


@numba.njit(cache=True, nogil=True)
def _find_leaves(place, trees, roots, thresholds, nodes, leaves, found):  # type: ignore[no-untyped-def]
    """Write the leaves of some trees at their places in `found`."""
    whole = len(trees) - len(trees) % TREES_AT_ONCE
    for k in range(0, whole, TREES_AT_ONCE):
        a, b, c, d = roots[trees[k]], roots[trees[k + 1]], roots[trees[k + 2]], roots[trees[k + 3]]
        while (a >= 0) | (b >= 0) | (c >= 0) | (d >= 0):
            a, b = _step(place, a, thresholds, nodes), _step(place, b, thresholds, nodes)
            c, d = _step(place, c, thresholds, nodes), _step(place, d, thresholds, nodes)
        found[trees[k]], found[trees[k + 1]] = leaves[~a], leaves[~b]
        found[trees[k + 2]], found[trees[k + 3]] = leaves[~c], leaves[~d]
    for t in trees[whole:]:
        found[t] = _leaf(place, roots[t], thresholds, nodes, leaves)


@numba.njit(cache=True, nogil=True)
def _summed(rows, roots, thresholds, nodes, leaves, ends, margins, members):  # type: ignore[no-untyped-def]
    """Write the margin of every row and the sum of each member; both begin with 0 and add one tree at a time."""
    place, features = np.empty(2 * rows.shape[1]), np.arange(rows.shape[1])
    for r in range(len(rows)):
        _read(rows[r], features, place)
        margin, first = 0.0, 0
        for m in range(len(ends)):
            member = 0.0
            for t in range(first, ends[m]):
                leaf = _leaf(place, roots[t], thresholds, nodes, leaves)
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
def _side(x, splits, by_zero):  # type: ignore[no-untyped-def]
    """Where a value lies among the splits on its feature: how many thresholds are below it, or `UNKNOWN` or `NONE`."""
    if x != x:
        return UNKNOWN
    if abs(x) <= ZERO:
        if by_zero:
            return NONE
        x = 0.0
    low, high = 0, len(splits)
    while low < high:
        middle = (low + high) // 2
        if splits[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True, nogil=True)
def _between(a, b, n):  # type: ignore[no-untyped-def]
    """Which of a feature's n splits send values at two sides different ways, or may: from the first to before the
    second."""
    if a == b:
        return 0, 0
    if a < 0 or b < 0:
        return 0, n
    return min(a, b), max(a, b)


@numba.njit(cache=True, nogil=True)
def _crossed(one, other, sizes):  # type: ignore[no-untyped-def]
    """How many splits may send two rows different ways."""
    count = 0
    for j in range(len(one)):
        start, end = _between(one[j], other[j], sizes[j])
        count += end - start
    return count


@numba.njit(cache=True, nogil=True)
def _find_moved(was, now, features, first, trees, is_moved, moved):  # type: ignore[no-untyped-def]
    """List the trees with a split on one of the features that may send two rows different ways; how many there are."""
    count = 0
    for j in range(len(features)):
        start, end = first[features[j]], first[features[j] + 1]
        low, high = _between(was[j], now[j], end - start)
        for t in trees[start + low : start + high]:
            if not is_moved[t]:
                is_moved[t] = True
                moved[count] = t
                count += 1
    is_moved[moved[:count]] = False
    return count


@numba.njit(cache=True, nogil=True)
def _find_sides(row, like, sides, features, first, splits, by_zero, found):  # type: ignore[no-untyped-def]
    """Write where the row's values lie among the splits on some features; `sides` says it of another row, `like`."""
    for j in range(len(features)):
        f = features[j]
        if _differs(row[f], like[f]):
            found[j] = _side(row[f], splits[first[f] : first[f + 1]], by_zero[f])
        else:
            found[j] = sides[j]


@numba.njit(cache=True, nogil=True)
def _summed_near(row, rows, roots, thresholds, nodes, leaves, first, splits, trees, by_zero, margins):  # type: ignore[no-untyped-def]
    """Write the margins of rows that are like `row`, or like the one before, in most features.

    Only the leaves of trees are found anew that may be others there. All are added in the order of the trees, several
    rows side by side: one addition waits for the one before.
    """
    n_trees, place = len(roots), np.empty(2 * len(row))
    of_row, told = np.empty(n_trees), np.zeros((SIDE_BY_SIDE, n_trees))
    is_moved, moved = np.zeros(n_trees, np.bool_), np.empty(n_trees, np.int64)
    _read(row, np.arange(len(row)), place)
    _find_leaves(place, np.arange(n_trees), roots, thresholds, nodes, leaves, of_row)
    features = _varying(row, rows)
    sizes, sides = first[features + 1] - first[features], np.empty((3, len(features)), np.int64)
    for j in range(len(features)):
        f = features[j]
        sides[:, j] = _side(row[f], splits[first[f] : first[f + 1]], by_zero[f])
    for r in range(len(rows)):
        here, now, was, leaves_then = told[r % SIDE_BY_SIDE], sides[r % 2], sides[2], of_row
        before = sides[1 - r % 2]
        _find_sides(rows[r], rows[r - 1] if r else row, before, features, first, splits, by_zero, now)
        if r > 0 and _crossed(before, now, sizes) <= _crossed(was, now, sizes):
            was, leaves_then = before, told[(r - 1) % SIDE_BY_SIDE]
        here[:] = leaves_then
        count = _find_moved(was, now, features, first, trees, is_moved, moved)
        if count:
            _read(rows[r], features, place)
            _find_leaves(place, moved[:count], roots, thresholds, nodes, leaves, here)
        if r % SIDE_BY_SIDE == SIDE_BY_SIDE - 1 or r == len(rows) - 1:
            _add(told, margins[r - r % SIDE_BY_SIDE : r + 1])


@numba.njit(cache=True, nogil=True)
def _add(told, margins):  # type: ignore[no-untyped-def]
    """Write the sums of the first rows of `told`, each in its order."""
    a, b, c, d, e, f, g, h = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for t in range(told.shape[1]):
        a += told[0, t]
        b += told[1, t]
        c += told[2, t]
        d += told[3, t]
        e += told[4, t]
        f += told[5, t]
        g += told[6, t]
        h += told[7, t]
    sums = (a, b, c, d, e, f, g, h)
    for k in range(len(margins)):
        margins[k] = sums[k]
