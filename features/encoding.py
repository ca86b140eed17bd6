"""From Arrow columns to the numbers of a `History`: names become positions, rows find what replaces them, and each
household's rows stand together in one order. The loops are compiled and read strings where Arrow holds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.catalogue import Catalogue
from features.event import MOMENT, Status
from features.keys import hashes
from features.ordering import Floats, Ints, are_ascending, grouped, looked_up, settle, sort_groups, spelling
from features.window import MICROS_PER_MONTH, NEVER


@dataclass(frozen=True)
class Encoded:
    """Events in canonical order; `row` is where each stands in the table. The rest is as `History` describes it."""

    row: Ints
    household: Ints
    person: Ints
    code: Ints
    occurred: Ints
    known_at: Ints
    known_from: Ints
    known_until: Ints
    value: Floats
    text: Ints
    texts: tuple[str, ...]


def encoded(events: pa.Table, catalogue: Catalogue, household_ids: pa.Array, persons: Ints) -> Encoded:
    """The rows of an events table as numbers.

    `household_ids` are sorted and distinct, `persons` holds the number of each row's person. Rows that repeat
    (household_id, event_id) count once, the first of them. Raises ValueError for a household that is not listed.
    """
    household = positions(events["household_id"], household_ids)
    if (household < 0).any():
        raise ValueError("an event names a household that is not in the households table; run `povrisk check`")
    code = positions(events["code"], pa.array([kind.code for kind in catalogue.kinds], pa.string()))
    occurred, known_at = micros(events["occurred_at"]), micros(events["known_at"])
    value = _floats(events["value"])
    ids, replaced = whole(events["event_id"]), whole(events["supersedes"])
    known_until = np.full(len(events), NEVER, np.int64)
    order, starts = grouped(household, len(household_ids))
    is_replacing = np.zeros(len(events), np.bool_)
    if replaced.null_count < len(events):
        is_replacing |= replaced.is_valid().to_numpy(zero_copy_only=False)
    has_repeats = settle(
        order, starts, known_at, *spelling(ids), hashes(ids),
        *spelling(replaced), hashes(replaced), is_replacing, known_until,
    )  # fmt: skip
    if has_repeats:
        order = order[order >= 0]
        starts = np.searchsorted(household[order], np.arange(len(household_ids) + 1))
    sort_groups(
        np.arange(len(household_ids)), order, starts,
        occurred, code, value, persons, np.arange(len(events)), *spelling(ids),
    )  # fmt: skip

    code, known_at = code[order], known_at[order]
    text, texts = _coded_texts(catalogue, code, events["text"], order)
    retracted = positions(events["status"], pa.array([Status.RETRACTED.value])) == 0
    return Encoded(
        row=order,
        household=household[order],
        person=persons[order],
        code=code,
        occurred=occurred[order],
        known_at=known_at,
        known_from=np.where(retracted[order], NEVER, known_at) if retracted.any() else known_at,
        known_until=np.minimum(known_until[order], _authorised_until(catalogue, code, known_at)),
        value=value[order],
        text=text,
        texts=texts,
    )


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece, as plain strings where it is dictionary-encoded.

    >>> whole(pa.chunked_array([pa.array(["a"]).dictionary_encode(), pa.array(["b"]).dictionary_encode()])).to_pylist()
    ['a', 'b']
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.nulls(0, column.type)])


def positions(column: pa.ChunkedArray, words: pa.Array) -> Ints:
    """Position of each string among distinct words, -1 where it is none of them or there is no string.

    >>> positions(pa.chunked_array([["b", None], ["x", "a"]]), pa.array(["a", "b"])).tolist()
    [1, -1, -1, 0]
    """
    found = np.empty(len(column), np.int64)
    at = 0
    for chunk in column.chunks:
        here = found[at : at + len(chunk)]
        if pa.types.is_dictionary(chunk.type):
            # The entry past the last word is for rows without one.
            known = np.append(_index(chunk.dictionary, words), -1)
            here[:] = known[without_gaps(chunk.indices, len(known) - 1)]
        else:
            here[:] = _index(chunk, words)
        at += len(chunk)
    return found


def _index(strings: pa.Array, words: pa.Array) -> Ints:
    if len(words) == 0 or pa.types.is_null(strings.type):
        return np.full(len(strings), -1, np.int64)
    return np.asarray(looked_up(*spelling(strings), hashes(strings), *spelling(words), hashes(words)), np.int64)


def without_gaps(numbers: pa.Array, instead: float) -> npt.NDArray[Any]:
    """A numeric array with another number where there is none.

    >>> without_gaps(pa.array([1, None]), -1).tolist()
    [1, -1]
    """
    found: npt.NDArray[Any] = (numbers.fill_null(instead) if numbers.null_count else numbers).to_numpy()
    return found


def numbered(strings: pa.Array) -> tuple[Ints, pa.Array]:
    """The distinct strings in order of their letters, and which of them each string is; -1 where there is none.

    >>> numbers, words = numbered(pa.array(["b", "a", None, "b"]))
    >>> numbers.tolist(), words.to_pylist()
    ([1, 0, -1, 1], ['a', 'b'])
    """
    if pa.types.is_null(strings.type):
        strings = strings.cast(pa.string())
    coded = strings if pa.types.is_dictionary(strings.type) else strings.dictionary_encode()
    words = coded.dictionary
    found = without_gaps(coded.indices, -1).astype(np.int64)
    if not are_ascending(*spelling(words)):
        order = pc.array_sort_indices(words)
        rank = np.empty(len(words) + 1, np.int64)
        rank[order.to_numpy()] = np.arange(len(words))
        rank[-1] = -1
        return rank[found], words.take(order)
    return found, words


def micros(column: pa.ChunkedArray) -> Ints:
    """Timestamps as microseconds since 1970-01-01 UTC, `NEVER` where there is none."""
    moments = whole(column if column.type == MOMENT else column.cast(MOMENT)).view(pa.int64())
    # A copy, because arrays over Arrow memory cannot be written to, and compiled code is compiled once for each kind.
    return np.array(without_gaps(moments, NEVER))


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.array(without_gaps(whole(column), np.nan))


def _authorised_until(catalogue: Catalogue, code: Ints, known_at: Ints) -> Ints:
    """When the right to use an authorised row ends; `NEVER` for all others."""
    months = [kind.authorised_months for kind in catalogue.kinds]
    spans = np.array([0 if m is None else round(m * MICROS_PER_MONTH) for m in (*months, None)], np.int64)
    rows = np.flatnonzero(spans[code])
    until = np.full(len(code), NEVER, np.int64)
    until[rows] = known_at[rows] + spans[code[rows]]
    return until


def _coded_texts(catalogue: Catalogue, code: Ints, text: pa.ChunkedArray, order: Ints) -> tuple[Ints, tuple[str, ...]]:
    """The texts of kinds whose text is a code, numbered in order of their letters."""
    coded = np.array([bool(kind.coded_text) for kind in catalogue.kinds] + [False], np.bool_)
    rows = np.flatnonzero(coded[code])
    found = np.full(len(code), -1, np.int64)
    numbers, texts = numbered(whole(text.take(pa.array(order[rows]))))
    found[rows] = numbers
    return found, tuple(texts.to_pylist())
