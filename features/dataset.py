"""A dataset folder: events, members and households in Parquet, and `dataset.json` that says what they are."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.event import TABLES
from features.placing import put_in_place
from features.window import as_of_moment

META_FILE = "dataset.json"
REQUIRED = ("events", "members", "households")
OPTIONAL = ("audit", "truth", "audit_arm")


class DatasetRefused(Exception):
    """The folder cannot be used; the message says which file or column and what to do."""


@dataclass(frozen=True)
class Moments:
    """The as-of grid: ends of calendar months from `first` to `until` (dates, inclusive), every `step_months`."""

    first: str
    until: str
    step_months: int = 1


@dataclass(frozen=True)
class DatasetMeta:
    """What `dataset.json` says. `sources` maps a source to its usual lag in days, median and 95th percentile."""

    name: str
    catalogue: str
    currency: str
    time_zone: str
    default_label: str
    regions: tuple[str, ...]
    sources: Mapping[str, tuple[int, int]]
    provenance: str
    data_until: str
    moments: Moments
    digest: str = ""

    def as_json(self) -> dict[str, Any]:
        """The content of `dataset.json`."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(written: Mapping[str, Any]) -> DatasetMeta:
        """Read back; a missing or unknown field is refused by name.

        >>> DatasetMeta.from_json({"name": "x"})
        Traceback (most recent call last):
        ...
        features.dataset.DatasetRefused: dataset.json lacks catalogue, currency, data_until, default_label, moments, \
provenance, regions, sources, time_zone
        """
        known = {f.name for f in dataclasses.fields(DatasetMeta)}
        missing = sorted(known - set(written) - {"digest"})
        if missing:
            raise DatasetRefused(f"{META_FILE} lacks {', '.join(missing)}")
        unknown = sorted(set(written) - known)
        if unknown:
            raise DatasetRefused(f"{META_FILE} has unknown fields: {', '.join(unknown)}")
        fields = dict(written)
        try:
            fields["moments"] = Moments(**written["moments"])
            fields["regions"] = tuple(written["regions"])
            fields["sources"] = {name: (int(lag[0]), int(lag[1])) for name, lag in written["sources"].items()}
            as_of_moment(written["data_until"], written["time_zone"])
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            raise DatasetRefused(
                f"{META_FILE} has data_until, moments, regions, sources or time_zone in a form that cannot be read"
            ) from error
        return DatasetMeta(**fields)


@dataclass(frozen=True)
class Dataset:
    """One dataset folder in memory."""

    meta: DatasetMeta
    events: pd.DataFrame
    members: pd.DataFrame
    households: pd.DataFrame
    audit: pd.DataFrame | None = None
    truth: pd.DataFrame | None = None
    audit_arm: pd.DataFrame | None = None


def read_meta(folder: Path) -> DatasetMeta:
    """Only `dataset.json`."""
    path = folder / META_FILE
    if not path.is_file():
        raise DatasetRefused(f"{folder.name} is no dataset folder: it has no {META_FILE}")
    try:
        written = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DatasetRefused(f"{META_FILE} is not valid JSON") from error
    if not isinstance(written, dict):
        raise DatasetRefused(f"{META_FILE} is not a JSON object")
    return DatasetMeta.from_json(written)


def read_table(folder: Path, name: str) -> pa.Table:
    """One table with the columns of its schema, refused if a column is missing or of another type."""
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise DatasetRefused(f"{name}.parquet is missing from the dataset folder")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DatasetRefused(f"{name}.parquet is damaged or no Parquet file") from error
    return shaped(table, name)


def read_dataset(folder: Path) -> Dataset:
    """The whole folder. Every table is checked for its columns; rows are checked by `features.intake`."""
    meta = read_meta(folder)
    is_whole = all((folder / f"{name}.parquet").is_file() for name in REQUIRED)
    if meta.digest and is_whole and folder_digest(folder) != meta.digest:
        raise tables_changed()
    tables = {name: read_table(folder, name).to_pandas() for name in REQUIRED}
    for name in OPTIONAL:
        if (folder / f"{name}.parquet").is_file():
            tables[name] = read_table(folder, name).to_pandas()
    return Dataset(meta, **tables)


def tables_changed() -> DatasetRefused:
    """The refusal of tables that are not the ones `dataset.json` speaks of."""
    return DatasetRefused(
        f"the tables are not the ones {META_FILE} was written with; write the folder again, or take the digest out "
        f"of {META_FILE} if they were changed on purpose"
    )


def write_dataset(
    folder: Path,
    *,
    events: pd.DataFrame,
    members: pd.DataFrame,
    households: pd.DataFrame,
    meta: DatasetMeta,
    audit: pd.DataFrame | None = None,
    truth: pd.DataFrame | None = None,
    audit_arm: pd.DataFrame | None = None,
) -> None:
    """Write a folder whole or not at all."""
    with DatasetWriter(folder, meta) as writer:
        writer.append("events", events)
        writer.append("members", members)
        writer.append("households", households)
        if audit is not None:
            writer.append("audit", audit)
        if truth is not None:
            writer.append("truth", truth)
        if audit_arm is not None:
            writer.append("audit_arm", audit_arm)


class DatasetWriter:
    """Writes a dataset folder in pieces, beside its final place, and renames it when it is whole.

    An existing dataset folder of that name is replaced; any other existing folder is refused.
    """

    def __init__(self, folder: Path, meta: DatasetMeta) -> None:
        if folder.exists() and not (folder / META_FILE).is_file() and any(folder.iterdir()):
            raise DatasetRefused(f"{folder.name} exists and is no dataset folder; choose another place")
        self._folder = folder
        self._meta = meta
        self._writers: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> Self:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._unfinished = Path(tempfile.mkdtemp(prefix=f".{self._folder.name}-", dir=self._folder.parent))
        return self

    def append(self, name: str, rows: pd.DataFrame) -> None:
        """Add rows to one table."""
        if name not in (*REQUIRED, *OPTIONAL):
            raise ValueError(f"a dataset has no table {name!r}")
        schema = TABLES.get(name)
        table = pa.Table.from_pandas(
            rows if schema is None else rows[schema.names], schema=schema, preserve_index=False
        ).replace_schema_metadata(None)
        if name not in self._writers:
            path = self._unfinished / f"{name}.parquet"
            self._writers[name] = pq.ParquetWriter(path, table.schema, compression="zstd")
        self._writers[name].write_table(table)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for writer in self._writers.values():
                writer.close()
            if error is None:
                self._place()
        finally:
            # It has got its name by now, or nothing of it may stay.
            shutil.rmtree(self._unfinished, ignore_errors=True)

    def _place(self) -> None:
        if not set(REQUIRED) <= set(self._writers):
            raise DatasetRefused("a dataset needs events, members and households")
        meta = dataclasses.replace(self._meta, digest=folder_digest(self._unfinished))
        (self._unfinished / META_FILE).write_text(
            json.dumps(meta.as_json(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
        put_in_place(self._unfinished, self._folder)


def folder_digest(folder: Path) -> str:
    """SHA-256 over the tables of a folder: the identity of the data a model learned from."""
    digest = hashlib.sha256()
    for name in (*REQUIRED, *OPTIONAL):
        path = folder / f"{name}.parquet"
        if path.is_file():
            digest.update(name.encode())
            with path.open("rb") as file:
                for piece in iter(lambda: file.read(1 << 20), b""):
                    digest.update(piece)
    return digest.hexdigest()


def shaped(table: pa.Table, name: str, *, words: Collection[str] = ()) -> pa.Table:
    """The columns of the schema in its order and types; columns named in `words` may stay dictionary-encoded.

    Raises `DatasetRefused` if a column is missing or of a type that cannot be read as the wanted one.
    """
    schema = TABLES.get(name)
    if schema is None:
        return table
    missing = [column for column in schema.names if column not in table.column_names]
    if missing:
        raise DatasetRefused(f"{name} lacks the column(s) {', '.join(missing)}")
    columns = []
    for field in schema:
        found = table.column(field.name)
        wanted = pa.dictionary(pa.int32(), field.type) if field.name in words and is_words(found.type) else field.type
        try:
            columns.append(found if found.type == wanted else found.cast(wanted))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DatasetRefused(f"{name}.{field.name} cannot be read as {field.type}") from error
    return pa.table(columns, names=schema.names)


def is_words(kind: pa.DataType) -> bool:
    """Whether a column is dictionary-encoded text."""
    return bool(pa.types.is_dictionary(kind)) and kind.value_type in (pa.string(), pa.large_string())
