"""Hash buckets of households, closed under shared persons: the unit of parallelism and of memory.

A bucket is a pure function of the ids: the same household always lies in the same bucket of n, with everybody who ever
shared a person with it. Only one batch of rows is in memory at a time, beside 16 bytes for each person.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.dataset import REQUIRED
from features.event import TABLES
from features.keys import Hashes, hashes
from features.links import Links, links_of
from features.table_files import TableFiles
from features.tables import WORDS, Tables

EVENTS_A_BUCKET = 250_000
HOUSEHOLDS_A_BUCKET = 25_000
# About a megabyte of events.
ROWS_A_WRITE = 1 << 13
ROWS_AT_ONCE = (1 << 16, 1 << 18)
# A column of more different words than these is free text, and no longer worth a dictionary.
WORDS_KEPT = 1 << 16
INDEX_FILE = "buckets.json"


@dataclass(frozen=True)
class Buckets:
    """n buckets of households on disk, to be read one by one by any process.

    `rows` counts the rows of each table, `households` those of the households table in each bucket. A single bucket is
    read from the files of the dataset themselves; more lie in the folder `spill`.
    """

    n: int
    rows: dict[str, int]
    households: tuple[int, ...]
    source: TableFiles
    spill: Path | None = None

    def read(self, bucket: int) -> Tables:
        """All rows of one bucket. What lies in `spill` is mapped, not copied, and may be chunked."""
        if not 0 <= bucket < self.n:
            raise IndexError(f"there is no bucket {bucket} of {self.n}")
        if self.spill is None:
            return Tables(*(gathered(name, list(self.source.batches(name))) for name in REQUIRED))
        return Tables(*(_Spilled(self.spill, name).read(bucket) for name in REQUIRED))

    def remove(self) -> None:
        """Take the spilled rows away; those of the dataset stay."""
        if self.spill is not None:
            shutil.rmtree(self.spill, ignore_errors=True)


def bucket_count(events: int, households: int) -> int:
    """How many buckets a dataset of so many rows gets.

    >>> bucket_count(2_000_000, 200_000), bucket_count(10, 4)
    (8, 1)
    """
    return max(1, -(-events // EVENTS_A_BUCKET), -(-households // HOUSEHOLDS_A_BUCKET))


def partition(folder: Path, spill: Path, *, n: int | None = None) -> Buckets:
    """The buckets of a dataset folder; with more than one, their rows are copied into `spill`, a folder to be made.

    `n` is `bucket_count` of the rows unless given. A `spill` that a finished partition into as many buckets has left
    is taken as it is: who calls makes sure that it came from the same tables. Raises `DatasetRefused` when a table is
    missing, damaged or lacks a column.
    """
    source = TableFiles.of(folder)
    n = bucket_count(source.rows["events"], source.rows["households"]) if n is None else n
    if n < 1:
        raise ValueError("there is at least one bucket")
    if n == 1:
        return Buckets(1, source.rows, (source.rows["households"],), source)
    finished = _finished(source, spill, n)
    if finished is not None:
        return finished
    shutil.rmtree(spill, ignore_errors=True)
    spill.mkdir(parents=True)
    links = dataset_links(source)
    households = np.zeros(n, np.int64)
    for name in REQUIRED:
        with _Spill(spill, name) as writer:
            for batch in source.batches(name, rows=rows_at_once(n)):
                found = writer.append(batch, links, n)
                if name == "households":
                    households += found
    listed = tuple(int(count) for count in households)
    _write_durably(spill / INDEX_FILE, json.dumps({"n": n, "rows": source.rows, "households": listed}).encode())
    return Buckets(n, source.rows, listed, source, spill)


def dataset_links(source: TableFiles) -> Links:
    """The households of a dataset that belong together."""

    def pairs() -> Iterator[tuple[Hashes, Hashes]]:
        for split in source.splits(1):
            if split.name != "households" and source.may_hold(split, "person_id"):
                for batch in source.batches(split.name, ("person_id", "household_id"), split=split):
                    yield hashes(batch["person_id"]), hashes(batch["household_id"])

    return links_of(pairs, source.rows["members"])


def rows_at_once(n: int) -> int:
    """How many rows are split into n buckets together, so that what is written of each is worth its header."""
    return min(max(n * ROWS_A_WRITE, ROWS_AT_ONCE[0]), ROWS_AT_ONCE[1])


def pieces(batch: pa.Table, links: Links, n: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of each bucket that has any in this batch, in their order."""
    order, starts = _sorted(links.buckets(hashes(batch["household_id"]), n), n)
    placed = batch.take(pa.array(order))
    rows = pa.RecordBatch.from_arrays([_single(column) for column in placed.columns], names=placed.column_names)
    for bucket in np.flatnonzero(np.diff(starts)):
        yield int(bucket), rows.slice(starts[bucket], starts[bucket + 1] - starts[bucket])


def gathered(name: str, batches: Sequence[pa.Table]) -> pa.Table:
    """Shaped pieces of one table below each other, with one dictionary for each column in `WORDS`."""
    if not batches:
        return TABLES[name].empty_table()
    return pa.concat_tables([_encoded(batch) for batch in batches]).unify_dictionaries()


def _finished(source: TableFiles, spill: Path, n: int) -> Buckets | None:
    try:
        written = json.loads((spill / INDEX_FILE).read_bytes())
        is_whole = all(_Spilled(spill, name).is_whole() for name in REQUIRED)
    except (OSError, ValueError, pa.ArrowException):
        return None
    if written["n"] != n or written["rows"] != source.rows or not is_whole:
        return None
    return Buckets(n, source.rows, tuple(written["households"]), source, spill)


def _encoded(batch: pa.Table) -> pa.Table:
    # One file may spell the words out where another numbers them.
    columns = [
        column.dictionary_encode() if name in WORDS and not pa.types.is_dictionary(column.type) else column
        for name, column in zip(batch.column_names, batch.columns, strict=True)
    ]
    return pa.table(columns, names=batch.column_names)


class _Spill:
    """Appends sorted batches of one table to one file: a segment for each bucket, and an index of them.

    The words of a column are numbered through all segments, so that a bucket is read with one dictionary.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._words: dict[str, pa.Array] = {word: pa.array([], pa.string()) for word in _words(name)}
        self._plain: set[str] = set()
        self._index: list[tuple[int, int, int, int]] = []
        self._at = 0

    def __enter__(self) -> _Spill:
        self._file: BinaryIO = (self._folder / f"{self._name}.rows").open("wb")
        return self

    def append(self, batch: pa.Table, links: Links, n: int) -> npt.NDArray[np.int64]:
        """Write the rows of a batch; returns how many went to each bucket."""
        for word in self._words:
            at = batch.schema.get_field_index(word)
            batch = batch.set_column(at, word, self._numbered(word, batch[word]))
        which = sum(1 << at for at, word in enumerate(self._words) if word in self._plain)
        found = np.zeros(n, np.int64)
        for bucket, rows in pieces(batch, links, n):
            piece = rows.serialize()
            self._file.write(piece)
            self._index.append((bucket, self._at, piece.size, which))
            self._at += piece.size
            found[bucket] = len(rows)
        return found

    def _numbered(self, word: str, column: pa.ChunkedArray) -> pa.Array:
        if word in self._plain:
            return _single(column.cast(pa.string()))
        encoded = _single(column if pa.types.is_dictionary(column.type) else column.dictionary_encode())
        known, seen = self._words[word], encoded.dictionary
        number = pc.index_in(seen, value_set=known)
        new = seen.filter(pc.and_(number.is_null(), seen.is_valid())).unique()
        if len(known) + len(new) > WORDS_KEPT:
            self._plain.add(word)
            return _single(column.cast(pa.string()))
        if len(new):
            self._words[word] = pa.concat_arrays([known, new])
            number = pc.index_in(seen, value_set=self._words[word])
        return number.take(encoded.indices)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        with self._file as file:
            if kind is not None:
                return
            file.flush()
            os.fsync(file.fileno())
        listed = [[words.to_pylist()] for words in self._words.values()]
        fields = [pa.field(word, pa.list_(pa.string())) for word in self._words]
        index = np.array(self._index, np.int64).reshape(-1, 4)
        parts = {f"{self._name}.words": pa.table(listed, pa.schema(fields)) if fields else pa.table({"none": [0]})}
        parts[f"{self._name}.index"] = pa.table(list(index.T), names=["bucket", "offset", "length", "plain"])
        for name, table in parts.items():
            sink = pa.BufferOutputStream()
            with pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            _write_durably(self._folder / name, sink.getvalue())


class _Spilled:
    """Reads what `_Spill` wrote."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name, self._rows = name, folder / f"{name}.rows"
        with pa.ipc.open_file(folder / f"{name}.index") as file:
            self._index = np.stack([column.to_numpy() for column in file.read_all().columns], axis=1)
        with pa.ipc.open_file(folder / f"{name}.words") as file:
            words = file.read_all()
        self._words = {word: words[word].chunk(0).values for word in _words(name)}

    def is_whole(self) -> bool:
        """Whether the file of rows is as long as the index says."""
        return self._rows.stat().st_size == int(self._index[:, 2].sum())

    def read(self, bucket: int) -> pa.Table:
        """The rows of one bucket with the columns of the schema."""
        index = self._index[self._index[:, 0] == bucket]
        whole = TABLES[self._name]
        if len(index) == 0:
            return whole.empty_table()
        mapped = pa.memory_map(str(self._rows)).read_buffer()
        # A column that turned out to be free text is read as such from all segments.
        plain = {word for at, word in enumerate(self._words) if (index[:, 3] >> at & 1).any()}
        batches = [self._segment(mapped.slice(at, length), int(which), plain) for _, at, length, which in index]
        return pa.Table.from_batches(batches)

    def _segment(self, piece: pa.Buffer, which: int, plain: set[str]) -> pa.RecordBatch:
        written, wanted = [], []
        for field in TABLES[self._name]:
            words = list(self._words)
            is_number = field.name in self._words and not which >> words.index(field.name) & 1
            written.append(pa.field(field.name, pa.int32() if is_number else field.type))
            is_word = field.name in self._words and field.name not in plain
            wanted.append(pa.dictionary(pa.int32(), field.type) if is_word else field.type)
        batch = pa.ipc.read_record_batch(piece, pa.schema(written))
        columns = [
            self._spelled(field.name, column, kind) if field.name in self._words else column
            for field, column, kind in zip(written, batch.columns, wanted, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, names=[field.name for field in written])

    def _spelled(self, word: str, column: pa.Array, wanted: pa.DataType) -> pa.Array:
        if column.type == wanted:
            return column
        spelled = pa.DictionaryArray.from_arrays(column, self._words[word])
        return spelled if spelled.type == wanted else spelled.cast(wanted)


def _words(name: str) -> list[str]:
    return [column for column in TABLES[name].names if column in WORDS]


def _single(column: Any) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column


def _write_durably(path: Path, content: Any) -> None:
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)


def _sorted(buckets: npt.NDArray[np.int64], n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row numbers in order of their buckets, rows of one bucket in their order, and where each bucket starts."""
    order, starts = np.empty(len(buckets), np.int64), np.zeros(n + 1, np.int64)
    _counting_sort(buckets, order, starts)
    return order, starts


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _counting_sort(buckets: npt.NDArray[np.int64], order: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> None:
    for bucket in buckets:
        starts[bucket + 1] += 1
    for bucket in range(len(starts) - 1):
        starts[bucket + 1] += starts[bucket]
    at = starts.copy()
    for row in range(len(buckets)):
        order[at[buckets[row]]] = row
        at[buckets[row]] += 1
