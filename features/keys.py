"""Ids as 64-bit numbers, computed from the bytes where Arrow holds them."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]

_OFFSET_BASIS = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def hashes(ids: pa.Array | pa.ChunkedArray) -> Hashes:
    """FNV-1a (64 bit) of the UTF-8 bytes of each string; 0 where there is none, and only there.

    Strings may be dictionary-encoded. Two ids of one hash are possible: whoever needs certainty compares the ids.

    >>> [hex(each) for each in hashes(pa.array(["", "a", None, "foobar"]))]
    ['0xcbf29ce484222325', '0xaf63dc4c8601ec8c', '0x0', '0x85944171f73967e8']
    """
    if isinstance(ids, pa.ChunkedArray):
        found: Hashes = np.empty(len(ids), np.uint64)
        at = 0
        for chunk in ids.chunks:
            found[at : at + len(chunk)] = hashes(chunk)
            at += len(chunk)
        return found
    if len(ids) == 0 or pa.types.is_null(ids.type):
        return np.zeros(len(ids), np.uint64)
    if pa.types.is_dictionary(ids.type):
        known = np.append(hashes(ids.dictionary), np.uint64(0))
        found = known[ids.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)]
        return found
    if ids.type != pa.string():
        ids = ids.cast(pa.string())
    _, offsets, letters = ids.buffers()
    ends = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    found = np.empty(len(ids), np.uint64)
    _fnv(ends, np.frombuffer(letters if letters is not None and letters.size else b"\0", np.uint8), found)
    if ids.null_count:
        found[ids.is_null().to_numpy(zero_copy_only=False)] = 0
    return found


def fnv(text: str) -> int:
    """`hashes` of one string.

    >>> fnv("a") == int(hashes(pa.array(["a"]))[0])
    True
    """
    return int(hashes(pa.array([text], pa.string()))[0])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _fnv(ends: npt.NDArray[np.int32], letters: npt.NDArray[np.uint8], found: Hashes) -> None:
    for i in range(len(found)):
        value = _OFFSET_BASIS
        for at in range(ends[i], ends[i + 1]):
            value = (value ^ np.uint64(letters[at])) * _PRIME
        found[i] = value if value != 0 else np.uint64(1)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def mixed(value: np.uint64) -> np.uint64:
    """The same hash with every bit depending on every bit (the finaliser of SplitMix64)."""
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def share(mixed_value: np.uint64, n: np.uint64) -> np.uint64:
    """A number below `n` (at most 2**32) out of the high half of a mixed hash."""
    return ((mixed_value >> np.uint64(32)) * n) >> np.uint64(32)
