"""Where the tables of a dataset folder lie: a file each, or a tree of files with partition values in its paths."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from features.dataset import REQUIRED, DatasetRefused, folder_digest, read_meta, shaped, tables_changed
from features.event import TABLES
from features.tables import WORDS

BATCH_ROWS = 1 << 16
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


class Split(NamedTuple):
    """Row groups `first` to `last` - 1 of one file of the table `name`."""

    name: str
    path: Path
    first: int
    last: int


@dataclass(frozen=True)
class TableFiles:
    """The Parquet files of events, members and households, in order of their paths below the folder.

    A table is `events.parquet`, or a folder `events.parquet` or `events` of files such as
    `region=330100/part-0.parquet`; what a path says of a column stands for all rows of the file. Files whose names
    begin with a dot or an underscore are no part of a table.
    """

    folder: Path
    files: dict[str, tuple[Path, ...]]
    rows: dict[str, int]

    @staticmethod
    def of(folder: Path) -> TableFiles:
        """The files of a folder with their numbers of rows. Raises `DatasetRefused` if one is missing or damaged."""
        files = {name: _files(folder, name) for name in REQUIRED}
        rows = {name: sum(_opened(path, name).metadata.num_rows for path in paths) for name, paths in files.items()}
        return TableFiles(folder, files, rows)

    @property
    def is_flat(self) -> bool:
        """Whether every table is one file."""
        return all(paths == (self.folder / f"{name}.parquet",) for name, paths in self.files.items())

    def digest(self) -> str:
        """SHA-256 of the tables, checked against `dataset.json` where that names one."""
        found = folder_digest(self.folder) if self.is_flat else self._tree_digest()
        meta = read_meta(self.folder)
        if meta.digest and meta.digest != found:
            raise tables_changed()
        return found

    def _tree_digest(self) -> str:
        digest = hashlib.sha256()
        for name, paths in self.files.items():
            for path in paths:
                digest.update(f"{name}/{path.relative_to(self.folder).as_posix()}\n".encode())
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def splits(self, at_least: int) -> list[Split]:
        """All tables in runs of row groups, each of `at_least` rows where its file has so many."""
        found = []
        for name, paths in self.files.items():
            for path in paths:
                written = _opened(path, name).metadata
                first, held = 0, 0
                for group in range(written.num_row_groups):
                    held += written.row_group(group).num_rows
                    if held >= at_least or group == written.num_row_groups - 1:
                        found.append(Split(name, path, first, group + 1))
                        first, held = group + 1, 0
        return found

    def may_hold(self, split: Split, column: str) -> bool:
        """Whether the column may have a value anywhere in the split; False only where the file itself says no."""
        written = _opened(split.path, split.name).metadata
        for group in (written.row_group(at) for at in range(split.first, split.last)):
            kept = {group.column(at).path_in_schema: group.column(at).statistics for at in range(group.num_columns)}
            told = kept.get(column)
            if told is None or not told.has_null_count or told.null_count < group.num_rows:
                return True
        return False

    def batches(
        self,
        name: str,
        columns: Collection[str] | None = None,
        *,
        rows: int = BATCH_ROWS,
        split: Split | None = None,
    ) -> Iterator[pa.Table]:
        """The rows of one table or of one split of it, at most `rows` at a time, in the order of the files.

        With `columns` only those, as they are written; otherwise all columns of the schema, checked as `read_table`
        does, where the columns in `WORDS` stay dictionary-encoded.
        """
        schema = TABLES[name].names
        wanted = list(schema if columns is None else columns)
        for path in self.files[name] if split is None else (split.path,):
            told = told_by(path.relative_to(self.folder))
            file = _opened(path, name, words=[word for word in WORDS if word in wanted and word not in told])
            missing = [column for column in schema if column not in told and column not in file.schema_arrow.names]
            if missing:
                raise DatasetRefused(f"{name} lacks the column(s) {', '.join(missing)}")
            groups = range(file.metadata.num_row_groups) if split is None else range(split.first, split.last)
            within = [column for column in wanted if column not in told]
            try:
                for batch in _batches(file, groups, rows, within):
                    table = pa.Table.from_batches([batch])
                    for column in wanted:
                        if column in told:
                            table = table.append_column(column, _repeated(told[column], batch.num_rows))
                    yield shaped(table, name, words=WORDS) if columns is None else table
            except (pa.ArrowInvalid, OSError) as error:
                raise damaged(name) from error


def told_by(path: Path) -> dict[str, str | None]:
    """What the folders of a path say of its rows.

    >>> told_by(Path("events/region=330100/year=2025/part-0.parquet"))
    {'region': '330100', 'year': '2025'}
    """
    pairs = [part.split("=", 1) for part in path.parts[:-1] if "=" in part]
    return {unquote(key): None if value == NO_VALUE else unquote(value) for key, value in pairs}


def damaged(name: str) -> DatasetRefused:
    """The refusal of a file that cannot be read."""
    return DatasetRefused(f"{name}.parquet is damaged or no Parquet file")


def _files(folder: Path, name: str) -> tuple[Path, ...]:
    single, tree = folder / f"{name}.parquet", folder / name
    if single.is_file() and tree.is_dir():
        raise DatasetRefused(f"{name}.parquet and a folder {name} both lie in the dataset folder; leave one of them")
    if single.is_file():
        return (single,)
    tree = single if single.is_dir() else tree
    found = [path for path in tree.rglob("*.parquet") if path.is_file() and not _is_hidden(path.relative_to(tree))]
    if not found:
        raise DatasetRefused(f"{name}.parquet is missing from the dataset folder")
    return tuple(sorted(found, key=lambda path: path.relative_to(folder).as_posix()))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) and "=" not in part for part in path.parts)


def _batches(file: Any, groups: Sequence[int], rows: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows of some row groups. One pass over all of them would keep what it read of each until its end."""
    run: list[int] = []
    held = 0
    for group in groups:
        run.append(group)
        held += file.metadata.row_group(group).num_rows
        if held >= rows or group == groups[-1]:
            yield from file.iter_batches(rows, run, columns=columns, use_threads=False)
            run, held = [], 0


def _opened(path: Path, name: str, words: Sequence[str] = ()) -> Any:
    try:
        file = pq.ParquetFile(path)
        texts = [word for word in words if word in file.schema_arrow.names and _is_text(file.schema_arrow.field(word))]
        return pq.ParquetFile(path, read_dictionary=texts) if texts else file
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(name) from error


def _is_text(field: pa.Field) -> bool:
    return field.type in (pa.string(), pa.large_string())


def _repeated(value: str | None, n: int) -> pa.Array:
    return pa.nulls(n, pa.string()) if value is None else pa.repeat(pa.scalar(value, pa.string()), n)
