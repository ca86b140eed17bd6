"""Which rows may have to be refused: a compiled pass over Arrow columns that never misses a wrong row.

Each word is judged once, each number against the limits of its code. A row that falls under a suspicion is not yet
refused: `features.refusals` says what is wrong with it, in words, and may find nothing. Arrays of suspicions are masks
over the rows of a table.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.banned import why_code_banned, why_source_banned
from features.catalogue import Catalogue
from features.codes import is_code
from features.event import MOMENT, RESIDENCES, ROLES, SEXES, Status
from features.keys import Hashes, hashes
from features.unit import Unit
from features.window import MICROS_PER_DAY, NEVER, Micros

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Words = list[str | None]

_ORIGINAL, _REPLACING, _NO_STATUS = 0, 1, 2
_UNITS = {unit: number for number, unit in enumerate(Unit)}
_UNMEASURED = -1
_NO_BIRTH = np.iinfo(np.int32).min
# What pandas and numpy write for a moment that is missing.
_NO_TIME = np.iinfo(np.int64).min
# No clock is further from UTC, so a birth that lies at least as far before it became known is in order anywhere.
_WIDEST_ZONE = np.int64(MICROS_PER_DAY)
# What `features.keys.hashes` makes of a missing id and of an empty one.
_NONE, _EMPTY = np.uint64(0), np.uint64(0xCBF29CE484222325)


def doubtful_events(table: pa.Table, catalogue: Catalogue, *, currency: str, latest: Micros) -> Mask:
    """Rows of an events table that may hold something wrong by themselves; `repeats` finds those that clash.

    `occurred_at` and `known_at` are timestamps or microseconds with `NEVER` where missing. `latest` is the last moment
    that rows may speak of.
    """
    code, codes = _numbered(table["code"])
    source, sources = _numbered(table["source"])
    status, statuses = _numbered(table["status"])
    unit, units = _numbered(table["unit"])
    kinds = [catalogue.by_code.get(word) if word is not None else None for word in codes]
    measured = [kind if kind is not None and kind.bounds is not None else None for kind in kinds]
    bounds = [(0.0, 0.0) if kind is None or kind.bounds is None else kind.bounds for kind in measured]
    found = np.empty(table.num_rows, np.bool_)
    _events(
        code,
        np.array([kind is None and _is_bad_code(word) for word, kind in zip(codes, kinds, strict=True)], np.bool_),
        np.array([kind is not None and kind.is_scheduled for kind in kinds], np.bool_),
        np.array([_UNMEASURED if kind is None else _UNITS[kind.unit] for kind in measured], np.int64),
        np.array(bounds, np.float64),
        unit,
        np.array([[each.accepts(word, currency) for word in units] for each in Unit], np.bool_),
        source,
        np.array([_is_bad_source(word) for word in sources], np.bool_),
        status,
        np.array([_status_class(word) for word in statuses], np.int64),
        _micros(table["occurred_at"]),
        _micros(table["known_at"]),
        _numbers(table["value"]),
        hashes(table["event_id"]),
        hashes(table["supersedes"]),
        np.int64(latest),
        found,
    )
    return found


def doubtful_members(table: pa.Table) -> Mask:
    """Rows of a members table that may hold something wrong."""
    role, roles = _numbered(table["role"])
    sex, sexes = _numbered(table["sex"])
    birth = _whole(table["birth_date"].cast(pa.date32())).view(pa.int32()).fill_null(_NO_BIRTH).to_numpy()
    found = np.empty(table.num_rows, np.bool_)
    _members(
        hashes(table["person_id"]),
        role,
        _outside(roles, ROLES),
        sex,
        _outside(sexes, (*SEXES, None)),
        _micros(table["joined_at"]),
        _micros(table["left_at"]),
        _micros(table["known_at"]),
        birth,
        found,
    )
    return found


def doubtful_households(table: pa.Table, regions: Collection[str]) -> Mask:
    """Rows of a households table that may hold something wrong, with all rows that share an id."""
    region, places = _numbered(table["region"])
    residence, residences = _numbered(table["residence"])
    ids = hashes(table["household_id"])
    found: Mask = _outside(places, regions)[region] | _outside(residences, (*RESIDENCES, None))[residence]
    found |= (ids == _NONE) | (ids == _EMPTY)
    found[repeats(ids)[0]] = True
    return found


def event_keys(table: pa.Table) -> Hashes:
    """One number for each row that follows from its household and event id; both may be missing."""
    household = hashes(table["household_id"]) if "household_id" in table.column_names else np.uint64(1)
    with np.errstate(over="ignore"):
        keys: Hashes = household * np.uint64(0x9E3779B97F4A7C15) + hashes(table["event_id"])
    return keys


def repeats(keys: Hashes) -> tuple[Ints, Ints]:
    """The rows whose key is not theirs alone, key by key and in row order, and the number of each one's key.

    >>> rows, key = repeats(np.array([7, 3, 7, 5, 3, 7], np.uint64))
    >>> rows.tolist(), key.tolist()
    ([1, 4, 0, 2, 5], [0, 0, 1, 1, 1])
    """
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = np.argsort(keys, kind="stable")
    begins = np.append(True, keys[order[1:]] != keys[order[:-1]])
    is_shared = ~(begins & np.append(begins[1:], True))
    return order[is_shared], np.cumsum(begins[is_shared]) - 1


def clashing(table: pa.Table, rows: Ints, key: Ints) -> Mask:
    """Which of these rows, as `repeats` gives them, share their key with a row that may have other content."""
    if len(rows) == 0:
        return np.zeros(0, np.bool_)
    of_one = np.flatnonzero(key[1:] == key[:-1])
    differs = np.zeros(len(of_one), np.bool_)
    for name in table.column_names:
        cells = table[name]
        differs |= _differ(_taken(cells, rows[of_one]), _taken(cells, rows[of_one + 1]))
    apart = np.zeros(int(key[-1]) + 1, np.bool_)
    apart[key[of_one[differs]]] = True
    return apart[key]


def is_among(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> Mask:
    """Which ids are among the known ones; a missing id is not."""
    found = pc.is_in(ids, value_set=known.drop_null(), skip_nulls=True)
    return np.asarray(_whole(found).to_numpy(zero_copy_only=False), np.bool_)


def _differ(one: pa.Array, other: pa.Array) -> Mask:
    missing = pc.xor(one.is_null(), other.is_null())
    if pa.types.is_floating(one.type):
        a, b = _numbers(one), _numbers(other)
        return np.asarray((a != b) & ~(np.isnan(a) & np.isnan(b)), np.bool_)
    found = pc.or_(missing, pc.not_equal(one, other).fill_null(False))
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def _taken(cells: pa.ChunkedArray, rows: Ints) -> pa.Array:
    some = _whole(cells.take(pa.array(rows)))
    return some.cast(some.type.value_type) if pa.types.is_dictionary(some.type) else some


def _whole(cells: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(cells, pa.Array):
        return cells
    return cells.chunk(0) if cells.num_chunks == 1 else cells.combine_chunks()


def _numbered(cells: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], Words]:
    """Each cell as the number of its word; the last word is None and stands for a missing one."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.unify_dictionaries() if cells.num_chunks > 1 else cells
    else:
        cells = cells.cast(pa.string()).dictionary_encode()
    encoded = _whole(cells)
    words = [*encoded.dictionary.to_pylist(), None]
    numbers = encoded.indices.cast(pa.int32()).fill_null(len(words) - 1)
    return numbers.to_numpy(), words


def _micros(cells: pa.ChunkedArray) -> Ints:
    whole = _whole(cells)
    whole = whole if pa.types.is_integer(whole.type) else whole.cast(MOMENT).view(pa.int64())
    moments: Ints = whole.fill_null(NEVER).to_numpy()
    return moments


def _numbers(cells: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = _whole(cells).cast(pa.float64()).fill_null(np.nan).to_numpy()
    return values


def _outside(words: Words, allowed: Collection[str | None]) -> Mask:
    return np.array([word not in allowed for word in words], np.bool_)


def _status_class(word: str | None) -> int:
    replacing = (Status.CORRECTED.value, Status.RETRACTED.value)
    return _ORIGINAL if word == Status.ORIGINAL.value else _REPLACING if word in replacing else _NO_STATUS


# Words come back bucket by bucket; what is written wrong may be anything, so the memory is bounded.
@lru_cache(maxsize=4096)
def _is_bad_code(word: str | None) -> bool:
    return not is_code(word) or why_code_banned(word) is not None


@lru_cache(maxsize=4096)
def _is_bad_source(word: str | None) -> bool:
    return not word or why_source_banned(word) is not None


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _events(
    code: npt.NDArray[np.int32],
    bad_code: Mask,
    scheduled: Mask,
    measured_in: Ints,
    bounds: npt.NDArray[np.float64],
    unit: npt.NDArray[np.int32],
    accepts: Mask,
    source: npt.NDArray[np.int32],
    bad_source: Mask,
    status: npt.NDArray[np.int32],
    status_class: Ints,
    occurred: Ints,
    known: Ints,
    value: npt.NDArray[np.float64],
    event_id: Hashes,
    supersedes: Hashes,
    latest: np.int64,
    found: Mask,
) -> None:
    for i in range(len(found)):
        c, at, then = code[i], occurred[i], known[i]
        doubt = bad_code[c] or bad_source[source[i]]
        doubt |= at in (NEVER, _NO_TIME) or then in (NEVER, _NO_TIME) or then > latest
        # What happened after the latest moment became known after it as well, or else before it happened.
        doubt |= not scheduled[c] and then < at
        doubt |= event_id[i] == _NONE or event_id[i] == _EMPTY
        replaces = supersedes[i] != _NONE
        standing = status_class[status[i]]
        doubt |= standing == _NO_STATUS or replaces != (standing == _REPLACING)
        doubt |= replaces and supersedes[i] == event_id[i]
        v = value[i]
        if not np.isnan(v):
            doubt |= np.isinf(v)
            u = measured_in[c]
            if u != _UNMEASURED:
                doubt |= not accepts[u, unit[i]] or v < bounds[c, 0] or v > bounds[c, 1]
        found[i] = doubt


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _members(
    person: Hashes,
    role: npt.NDArray[np.int32],
    bad_role: Mask,
    sex: npt.NDArray[np.int32],
    bad_sex: Mask,
    joined: Ints,
    left: Ints,
    known: Ints,
    birth: npt.NDArray[np.int32],
    found: Mask,
) -> None:
    for i in range(len(found)):
        doubt = person[i] == _NONE or person[i] == _EMPTY or bad_role[role[i]] or bad_sex[sex[i]]
        doubt |= joined[i] in (NEVER, _NO_TIME) or known[i] in (NEVER, _NO_TIME)
        doubt |= left[i] < joined[i]
        if birth[i] != _NO_BIRTH:
            doubt |= np.int64(birth[i]) * MICROS_PER_DAY > known[i] - _WIDEST_ZONE
        found[i] = doubt
