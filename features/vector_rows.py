"""Household vectors as rows of a table: one row a household and moment, empty where unknown."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import pyarrow as pa

from features.bucket_work import Done
from features.catalogue import Catalogue, catalogue
from features.dataset import DatasetMeta
from features.event import MOMENT
from features.history import history_of, visible
from features.intake import admitted_tables
from features.matrix import matrix_of
from features.tables import Tables
from features.window import Micros, as_of_moment

KEYS = (pa.field("household_id", pa.string()), pa.field("as_of", MOMENT))


def vector_schema(chosen: Catalogue, names: Sequence[str], dataset_digest: str) -> pa.Schema:
    """Columns of the file of vectors; its metadata say by which definitions and from which data they are."""
    fields = [*KEYS, *(pa.field(name, pa.float64()) for name in names)]
    return pa.schema(fields, {"features_digest": chosen.digest, "dataset_digest": dataset_digest})


def vector_table(
    tables: Tables,
    chosen: Catalogue,
    moments: Sequence[Micros],
    time_zone: str,
    *,
    names: Sequence[str] | None = None,
    dataset_digest: str = "",
) -> pa.Table:
    """The vectors of admitted tables: all households at the first moment, then at the next.

    `names` chooses the features and their order; without it, all of the catalogue. Sharing a person is the only thing
    that ties households together, so closed parts of a dataset give the rows that the whole gives.
    """
    history = history_of(tables, chosen, time_zone=time_zone)
    schema = vector_schema(chosen, chosen.names if names is None else names, dataset_digest)
    household_ids = pa.array(history.household_ids, pa.string())
    parts = []
    for moment in moments:
        part = matrix_of(history, visible(history, moment), names)
        as_of = pa.array(np.full(len(household_ids), moment, np.int64)).cast(pa.timestamp("us")).cast(MOMENT)
        columns = [pa.array(part.values[:, i], from_pandas=True) for i in range(len(part.names))]
        parts.append(pa.table([household_ids, as_of, *columns], schema=schema))
    return pa.concat_tables(parts) if parts else schema.empty_table()


@dataclass(frozen=True)
class VectorsJob:
    """`features.bucket_work.Job` of `povrisk vectors`: intake, encoding and vectors of a bucket.

    `as_ofs` are dates or times as written; `names` are features of the catalogue, none for all. Raises `ValueError` for
    a moment or a name that does not exist. Counted are the cells of the last moment and those of them that are empty.
    """

    meta: DatasetMeta
    as_ofs: tuple[str, ...]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.moments()
        unknown = [name for name in self.names if name not in self.catalogue().names]
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no such feature; `povrisk catalog features` lists them")
        if len(set(self.names)) < len(self.names):
            raise ValueError("a feature is named twice")

    def catalogue(self) -> Catalogue:
        """The definitions that the dataset is written for."""
        return catalogue(self.meta.catalogue)

    def moments(self) -> list[Micros]:
        """The moments of judgement."""
        return [as_of_moment(text, self.meta.time_zone) for text in self.as_ofs]

    @property
    def schema(self) -> pa.Schema:
        """Columns of the output."""
        chosen = self.catalogue()
        return vector_schema(chosen, self.names or chosen.names, self.meta.digest)

    @property
    def digest(self) -> str:
        """What decides the rows besides the tables."""
        told = (self.meta, self.moments(), self.names, self.catalogue().digest, version("povrisk"))
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def open(self) -> Callable[[Tables], Done]:
        """The function of one bucket."""
        chosen, moments = self.catalogue(), self.moments()

        def run(tables: Tables) -> Done:
            began = time.process_time()
            clean, refused, rows = admitted_tables(tables, self.meta, chosen)
            admitted = time.process_time()
            table = vector_table(
                clean,
                chosen,
                moments,
                self.meta.time_zone,
                names=self.names or None,
                dataset_digest=self.meta.digest,
            )
            stages = {"intake": admitted - began, "vectors": time.process_time() - admitted}
            last = table.slice(len(table) - len(clean.households))
            n_empty = sum(column.null_count for column in last.columns)
            counts = {"cells_last": len(last) * (last.num_columns - len(KEYS)), "unknown_last": n_empty}
            return Done(table, stages, refused, rows, counts)

        return run
