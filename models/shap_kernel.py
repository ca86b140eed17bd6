"""The compiled pass behind `models.tree_shap`: eight quadrature points go through a tree side by side.

`eight` is eight doubles in one register. It exists because LLVM does not vectorise these loops by itself: it cannot
prove that the work arrays do not overlap. Multiply-adds are fused where the code says so and nowhere else, hence the
same bits on every processor.

Offsets and indices are unsigned: numba looks for a negative index at every access of a signed one.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"
from __future__ import annotations

import operator

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model

LANES = 8
ZERO = np.float64(np.float32(1e-35))  # LightGBM takes anything closer to zero for zero
_REGISTER = ir.VectorType(ir.DoubleType(), LANES)
_BYTES = ir.IntType(8 * LANES)


class _Eight(types.Type):
    def __init__(self):
        super().__init__(name="eight_doubles")


eight = _Eight()
register_model(_Eight)(lambda manager, kind: models.PrimitiveModel(manager, kind, _REGISTER))


def _place(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _REGISTER.as_pointer())


@intrinsic
def load(typing, array, index):
    """The eight numbers of a flat array from an index on."""

    def make(context, builder, signature, given):
        return builder.load(_place(context, builder, signature.args[0], *given), align=8)

    return eight(array, types.uintp), make


@intrinsic
def store(typing, array, index, register):
    """Write eight numbers into a flat array from an index on."""

    def make(context, builder, signature, given):
        builder.store(given[2], _place(context, builder, signature.args[0], *given[:2]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.uintp, eight), make


@intrinsic
def all_of(typing, number):
    """One number eight times."""

    def make(context, builder, signature, given):
        empty = ir.Constant(_REGISTER, ir.Undefined)
        one = builder.insert_element(empty, given[0], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(one, empty, zeros)

    return eight(types.float64), make


@intrinsic
def fused(typing, a, b, c):
    """a * b + c, rounded once."""

    def make(context, builder, signature, given):
        kind = ir.FunctionType(_REGISTER, [_REGISTER] * 3)
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.v8f64"), given)

    return eight(eight, eight, eight), make


def _bytes_of(builder, truths):
    wide = builder.zext(truths, ir.VectorType(ir.IntType(8), LANES))
    return builder.bitcast(wide, _BYTES)


@intrinsic
def at_most(typing, register, number):
    """A byte a lane: 1 where the lane is at most the number, 0 where it is more or NaN."""

    def make(context, builder, signature, given):
        return _bytes_of(builder, builder.fcmp_ordered("<=", *given))

    return types.uint64(eight, eight), make


@intrinsic
def is_unknown(typing, register):
    """A byte a lane: 1 where the lane is NaN."""

    def make(context, builder, signature, given):
        return _bytes_of(builder, builder.fcmp_unordered("uno", given[0], given[0]))

    return types.uint64(eight), make


def _arithmetic(symbol, instruction):
    @intrinsic
    def combined(typing, a, b):
        def make(context, builder, signature, given):
            return getattr(builder, instruction)(*given)

        return eight(eight, eight), make

    @overload(symbol)
    def of_eights(a, b):
        if a is eight and b is eight:
            return lambda a, b: combined(a, b)  # noqa: PLW0108 - numba wants a function of its own
        return None


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")


# --- what the pass reads ------------------------------------------------------------------------------------------

U = np.uint64
_WHOLE, _REAL = "u8", "f8"
EACH = 0x0101010101010101  # a byte of 1 a row

# One record a node, in the order in which the tree is walked: inner nodes from the root down, then the cherries, whose
# children are both leaves. `column` is where the rows' values of the feature lie. A row that left the feature's last
# split on the path (`ancestor`) on the other side satisfies the feature no more; `shift` picks the side's bit.
DECISION = np.dtype(
    [
        ("column", _WHOLE), ("threshold", _REAL), ("unknown_left", _WHOLE),
        ("ancestor", _WHOLE), ("shift", _WHOLE), ("first_of_feature", _WHOLE),
    ]
)  # fmt: skip
# `far` = z r and `near` = z (1 - r), for the share r of rows that goes left and the feature's share z so far; `share`
# = r. A cherry has `value`, that of its right leaf, and `gap`, left leaf less right leaf.
SPLIT = np.dtype(
    [("far", _REAL), ("near", _REAL), ("share", _REAL), ("gap", _REAL), ("value", _REAL), ("basis", _WHOLE)]
)
# Slots of the work array that hold the product above and the sums below, and the feature's place among the sums.
LINK = np.dtype([("above", _WHOLE), ("left", _WHOLE), ("right", _WHOLE), ("feature", _WHOLE)])
# A tree under eight of its quadrature points; nodes and leaves as ranges.
PASS = np.dtype(
    [
        ("node", _WHOLE), ("cherry", _WHOLE), ("end", _WHOLE), ("leaf", _WHOLE), ("leaf_end", _WHOLE),
        ("leaf_slot", _WHOLE), ("points", _WHOLE), ("basis", _WHOLE),
    ]
)  # fmt: skip

# In the table of a tree every node has three states of (factor, gain), eight points each.
_STATE = 2 * LANES
NODE_TABLE = 3 * _STATE
BASIS = 3 * LANES
ROWS = 2  # that share one look at a node's links
SHIFT_LEFT, SHIFT_RIGHT = 5, 4


# --- the pass -----------------------------------------------------------------------------------------------------


@numba.njit(cache=True, nogil=True)
def _decided(group, decisions, state):
    """For eight rows and every node a byte: 0 where the feature is satisfied no more, else 16 for right, 32 for left.

    The byte is also the place of the state in the node's table.
    """
    for n in range(U(decisions.shape[0])):
        node = decisions[n]
        x = load(group, node.column)
        left = at_most(x, all_of(node.threshold)) | (is_unknown(x) & node.unknown_left)
        alive = node.first_of_feature | ((state[node.ancestor] >> node.shift) & U(EACH))
        state[n] = (alive + (alive & left)) << U(4)


@numba.njit(cache=True, nogil=True)
def _prepared(tree, splits, basis, table):
    """The factor and the gain of every node in each state, shared by all rows of the group.

    For a cherry the factor is already the value below it and the gain already its contribution.
    """
    at = U(0)
    for n in range(tree.node, tree.end):
        split = splits[n]
        b = tree.basis + split.basis
        gone = all_of(split.share)
        right = load(basis, b) * all_of(split.far)
        left = right + load(basis, b + U(LANES))
        square = load(basis, b + U(2 * LANES))
        right_gain = square * all_of(-split.far)
        left_gain = square * all_of(split.near)
        if n >= tree.cherry:
            gap, value = all_of(split.gap), all_of(split.value)
            gone, right, left = fused(gone, gap, value), fused(right, gap, value), fused(left, gap, value)
            right_gain, left_gain = right_gain * gap, left_gain * gap
        store(table, at, gone)
        store(table, at + U(LANES), all_of(0.0))
        store(table, at + U(_STATE), right)
        store(table, at + U(_STATE + LANES), right_gain)
        store(table, at + U(2 * _STATE), left)
        store(table, at + U(2 * _STATE + LANES), left_gain)
        at += U(NODE_TABLE)


def _walk(rows):
    slot = LANES * rows

    @numba.njit(cache=True, nogil=True)
    def walked(row, count, width, tree, links, leaf_value, points, state, table, work, sums):
        """Take rows `row` to `count` down and up the tree, as many at a time as the function is made for."""
        at = tree.leaf_slot * U(slot)
        for k in range(tree.leaf, tree.leaf_end):
            for _ in range(U(rows)):
                store(work, at, all_of(leaf_value[k]))
                at += U(LANES)
        for j in range(U(rows)):
            store(work, U(LANES) * j, load(points, tree.points))
        while row + U(rows) <= count:
            at, entry = U(slot), U(0)
            for n in range(tree.node, tree.cherry):
                up = links[n].above * U(slot)
                for j in range(U(rows)):
                    e = entry + U(state[U(LANES) * n + row + j])
                    here = at + U(LANES) * j
                    above = load(work, up + U(LANES) * j)
                    left = above * load(table, e)
                    store(work, here, left)
                    store(work, here + U(slot), above - left)
                    store(work, here + U(2 * slot), above * load(table, e + U(LANES)))
                at += U(3 * slot)
                entry += U(NODE_TABLE)
            lowest, lowest_entry = at, entry
            for n in range(tree.cherry, tree.end):
                link = links[n]
                up = link.above * U(slot)
                for j in range(U(rows)):
                    e = entry + U(state[U(LANES) * n + row + j])
                    f = (row + j) * width + link.feature
                    store(sums, f, fused(load(work, up + U(LANES) * j), load(table, e + U(LANES)), load(sums, f)))
                    store(work, at + U(LANES) * j, load(table, e))
                at += U(slot)
                entry += U(NODE_TABLE)
            at, entry = lowest, lowest_entry
            n = tree.cherry
            while n > tree.node:
                n -= U(1)
                at -= U(3 * slot)
                entry -= U(NODE_TABLE)
                link = links[n]
                left_slot, right_slot = link.left * U(slot), link.right * U(slot)
                for j in range(U(rows)):
                    e = entry + U(state[U(LANES) * n + row + j])
                    here = at + U(LANES) * j
                    f = (row + j) * width + link.feature
                    right = load(work, right_slot + U(LANES) * j)
                    gap = load(work, left_slot + U(LANES) * j) - right
                    store(sums, f, fused(load(work, here + U(2 * slot)), gap, load(sums, f)))
                    store(work, here, fused(load(table, e), gap, right))
            row += U(rows)
        return row

    return walked


_walked_together = _walk(ROWS)
_walked_alone = _walk(1)


@numba.njit(cache=True, nogil=True)
def contributed(
    values, zero_too, decisions, passes, splits, links, leaf_value, points, basis,
    group, state, state_of_row, table, work, sums, contributions,
):  # fmt: skip
    """Write the contributions of every row of `values`; the rest are the tables and the work arrays of `TreeShap`.

    No number of a row is ever computed from another row's or in another order because of it.
    """
    n_features = values.shape[1]
    width = U(LANES * n_features)
    for start in range(0, values.shape[0], LANES):
        end = min(start + LANES, values.shape[0])
        for r in range(start, end):
            for f in range(n_features):
                x = values[r, f]
                if abs(x) <= ZERO:
                    x = 0.0
                group[LANES * f + r - start] = x
                if zero_too:
                    group[LANES * (n_features + f) + r - start] = np.nan if x == 0.0 else x
        _decided(group, decisions, state)
        sums[: LANES * n_features * (end - start)] = 0.0
        count = U(end - start)
        for p in range(passes.shape[0]):
            tree = passes[p]
            _prepared(tree, splits, basis, table)
            row = U(0)
            if count >= U(ROWS):
                row = _walked_together(
                    row, count, width, tree, links, leaf_value, points, state_of_row, table, work, sums
                )
            if row < count:
                _walked_alone(row, count, width, tree, links, leaf_value, points, state_of_row, table, work, sums)
        for r in range(start, end):
            for f in range(n_features):
                total = 0.0
                for q in range(LANES):
                    total += sums[LANES * (n_features * (r - start) + f) + q]
                contributions[r, f] = total
