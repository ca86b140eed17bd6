"""The one order of a household's rows, compiled: by occurred_at, code, value (none last), person and event id; and
the order in which rows replace each other.

Ids are compared by their UTF-8 bytes where Arrow holds them, which is the order of their code points. Compiled code is
kept on disk with the file that it stands in: a compiled function calls none of another file, so that no change goes
unnoticed.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.keys import Hashes

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ends = npt.NDArray[np.int32]
Letters = npt.NDArray[np.uint8]
# Shorter runs are sorted by insertion, which is quicker there and leaves sorted rows where they are.
SHORT = 24


class Spelling(NamedTuple):
    """The bytes of a column of strings: string i is `letters[ends[i]:ends[i + 1]]`, empty where there is none."""

    ends: Ends
    letters: Letters


def spelling(column: pa.Array) -> Spelling:
    """The bytes of an Arrow string array, not copied.

    >>> ends, letters = spelling(pa.array(["ab", None, "c"]))
    >>> ends.tolist(), bytes(letters)
    ([0, 2, 2, 3], b'abc')
    """
    if len(column) == 0:
        return _unwritable(np.zeros(1, np.int32), np.zeros(1, np.uint8))
    _, ends, letters = column.buffers()
    return _unwritable(
        np.frombuffer(ends, np.int32)[column.offset : column.offset + len(column) + 1],
        np.frombuffer(letters if letters is not None and letters.size else b"\0", np.uint8),
    )


def _unwritable(ends: Ends, letters: Letters) -> Spelling:
    # Some of Arrow's memory is writable and some is not; compiled code should meet one kind.
    for array in (ends, letters):
        array.setflags(write=False)
    return Spelling(ends, letters)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def compared(ends: Ends, letters: Letters, a: int, other_ends: Ends, other_letters: Letters, b: int) -> int:
    """Negative, zero or positive as string a of one column comes before, is, or comes after string b of another."""
    at, after = ends[a], other_ends[b]
    n, m = ends[a + 1] - at, other_ends[b + 1] - after
    for i in range(min(n, m)):
        x, y = letters[at + i], other_letters[after + i]
        if x != y:
            return -1 if x < y else 1
    return int(n - m)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def are_ascending(ends: Ends, letters: Letters) -> bool:
    """Whether each string of a column comes after the one before it."""
    for i in range(1, len(ends) - 1):  # noqa: SIM110
        if compared(ends, letters, i - 1, ends, letters, i) >= 0:
            return False
    return True


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _is_before(
    a: int, b: int, occurred: Ints, code: Ints, value: Floats, person: Ints, row: Ints, ends: Ends, letters: Letters
) -> bool:
    if occurred[a] != occurred[b]:
        return bool(occurred[a] < occurred[b])
    if code[a] != code[b]:
        return bool(code[a] < code[b])
    v, w = value[a], value[b]
    if v < w:
        return True
    if v > w:
        return False
    if np.isnan(v) != np.isnan(w):
        return bool(np.isnan(w))
    if person[a] != person[b]:
        return bool(person[a] < person[b])
    # The same id may stand in two households; then the one filed under the first household comes first.
    sign = compared(ends, letters, row[a], ends, letters, row[b])
    return bool(sign < 0 or (sign == 0 and a < b))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _sort_rows(
    order: Ints, first: int, last: int, spare: Ints,
    occurred: Ints, code: Ints, value: Floats, person: Ints, row: Ints, ends: Ends, letters: Letters,
) -> None:  # fmt: skip
    """Sort `order[first:last]`, to which `spare` is at least as long. Rows in order already are only read."""
    for start in range(first, last, SHORT):
        for i in range(start + 1, min(start + SHORT, last)):
            moving = order[i]
            k = i
            while k > start and _is_before(
                moving, order[k - 1], occurred, code, value, person, row, ends, letters
            ):  # fmt: skip
                order[k] = order[k - 1]
                k -= 1
            order[k] = moving
    width = SHORT
    while width < last - first:
        for start in range(first, last - width, 2 * width):
            middle, end = start + width, min(start + 2 * width, last)
            if not _is_before(
                order[middle], order[middle - 1], occurred, code, value, person, row, ends, letters
            ):  # fmt: skip
                continue
            spare[: middle - start] = order[start:middle]
            left, right, k = 0, middle, start
            while left < middle - start:
                if right < end and _is_before(
                    order[right], spare[left], occurred, code, value, person, row, ends, letters
                ):
                    order[k] = order[right]
                    right += 1
                else:
                    order[k] = spare[left]
                    left += 1
                k += 1
        width *= 2


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def grouped(group: Ints, n: int) -> tuple[Ints, Ints]:
    """Positions by group in the order in which they came: those of group g are `order[starts[g]:starts[g + 1]]`."""
    starts = np.zeros(n + 1, np.int64)
    for i in range(len(group)):
        starts[group[i] + 1] += 1
    for g in range(n):
        starts[g + 1] += starts[g]
    order, at = np.empty(len(group), np.int64), starts[:-1].copy()
    for i in range(len(group)):
        order[at[group[i]]] = i
        at[group[i]] += 1
    return order, starts


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def sort_groups(
    groups: Ints, order: Ints, starts: Ints,
    occurred: Ints, code: Ints, value: Floats, person: Ints, row: Ints, ends: Ends, letters: Letters,
) -> None:  # fmt: skip
    """Put the positions of these groups, `order[starts[g]:starts[g + 1]]`, into the canonical order.

    `row[i]` is where the event id of position i is spelled.
    """
    spare = np.empty(_widest(starts), np.int64)
    for g in groups:
        _sort_rows(order, starts[g], starts[g + 1], spare, occurred, code, value, person, row, ends, letters)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _widest(starts: Ints) -> int:
    widest = 0
    for h in range(len(starts) - 1):
        widest = max(widest, starts[h + 1] - starts[h])
    return widest


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def settle(
    order: Ints, starts: Ints, known_at: Ints, ends: Ends, letters: Letters, id_hash: Hashes,
    target_ends: Ends, target_letters: Letters, target_hash: Hashes, is_replacing: Bools, known_until: Ints,
) -> bool:  # fmt: skip
    """Find repeated rows, which become -1 in `order`, and fill `known_until` from the rows that replace others.

    Returns whether there are repeated rows. Each household has a hash table of its ids, at most half full.
    """
    size = 4
    while size < 2 * _widest(starts):
        size *= 2
    table = np.empty(size, np.int64)
    replacing = np.empty(_widest(starts), np.int64)
    spare = np.empty(_widest(starts), np.int64)
    has_repeats = False
    for h in range(len(starts) - 1):
        k = starts[h + 1] - starts[h]
        size = 4
        while size < 2 * k:
            size *= 2
        mask = np.uint64(size - 1)
        table[:size] = -1
        n_replacing = 0
        for i in range(starts[h], starts[h + 1]):
            row = order[i]
            place = _place(table, mask, id_hash[row], ends, letters, row, id_hash, ends, letters)
            if table[place] >= 0:
                order[i] = -1
                has_repeats = True
                continue
            table[place] = row
            if is_replacing[row]:
                replacing[n_replacing] = row
                n_replacing += 1
        if n_replacing == 0:
            continue
        _sort_replacing(replacing, n_replacing, spare, known_at, ends, letters, target_ends, target_letters)
        for i in range(n_replacing):
            row = replacing[i]
            is_first = (
                i == 0 or compared(target_ends, target_letters, replacing[i - 1], target_ends, target_letters, row) != 0
            )
            if not is_first:
                # Siblings replace each other in the order in which they became known.
                earlier = replacing[i - 1]
                known_until[earlier] = min(known_until[earlier], known_at[row])
                continue
            place = _place(table, mask, target_hash[row], target_ends, target_letters, row, id_hash, ends, letters)
            if table[place] >= 0:
                known_until[table[place]] = min(known_until[table[place]], known_at[row])
    return has_repeats


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _place(
    table: Ints, mask: np.uint64, wanted: np.uint64, ends: Ends, letters: Letters, a: int,
    id_hash: Hashes, id_ends: Ends, id_letters: Letters,
) -> int:  # fmt: skip
    """Where in the table the id spelled as string a is kept, or could be."""
    place = wanted ^ (wanted >> np.uint64(32))
    while True:
        place &= mask
        found = table[np.int64(place)]
        if found < 0:
            return int(place)
        if id_hash[found] == wanted and compared(ends, letters, a, id_ends, id_letters, found) == 0:
            return int(place)
        place += np.uint64(1)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _sort_replacing(
    rows: Ints, n: int, spare: Ints, known_at: Ints, ends: Ends, letters: Letters,
    target_ends: Ends, target_letters: Letters,
) -> None:  # fmt: skip
    """Sort rows by what they replace, when they became known, and id: a merge sort from runs of one."""
    width = 1
    while width < n:
        for start in range(0, n - width, 2 * width):
            middle, end = start + width, min(start + 2 * width, n)
            spare[: middle - start] = rows[start:middle]
            left, right, k = 0, middle, start
            while left < middle - start:
                takes_right = False
                if right < end:
                    a, b = rows[right], spare[left]
                    sign = compared(target_ends, target_letters, a, target_ends, target_letters, b)
                    if sign == 0:
                        sign = -1 if known_at[a] < known_at[b] else (1 if known_at[a] > known_at[b] else 0)
                    if sign == 0:
                        sign = compared(ends, letters, a, ends, letters, b)
                    takes_right = sign < 0
                if takes_right:
                    rows[k] = rows[right]
                    right += 1
                else:
                    rows[k] = spare[left]
                    left += 1
                k += 1
        width *= 2


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def looked_up(
    ends: Ends, letters: Letters, hashed: Hashes, word_ends: Ends, word_letters: Letters, word_hash: Hashes
) -> Ints:
    """Position of each string among distinct words, -1 where it is none of them; a hash of 0 is no string."""
    size = 4
    while size < 2 * len(word_hash):
        size *= 2
    table, mask = np.full(size, -1, np.int64), np.uint64(size - 1)
    for w in range(len(word_hash)):
        table[_place(table, mask, word_hash[w], word_ends, word_letters, w, word_hash, word_ends, word_letters)] = w
    found = np.full(len(hashed), -1, np.int64)
    for i in range(len(hashed)):
        # A household's rows often stand together.
        if i > 0 and hashed[i] == hashed[i - 1] and compared(ends, letters, i, ends, letters, i - 1) == 0:
            found[i] = found[i - 1]
        elif hashed[i] != np.uint64(0):
            found[i] = table[_place(table, mask, hashed[i], ends, letters, i, word_hash, word_ends, word_letters)]
    return found
