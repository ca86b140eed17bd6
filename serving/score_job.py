"""Scoring as work on buckets of households: what a process needs to be told, and what it does with one bucket."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.bucket_work import Done
from features.dataset import DatasetMeta
from features.history import history_of
from features.intake import admitted_tables
from features.kernel import warm_up
from features.rules.rulebook import Rulebook, rulebook
from features.tables import Tables
from features.window import Micros
from models.assessment import Assessed, assess
from models.bundle import Bundle, read_bundle
from models.handling import Handling
from models.record_frame import failed_row
from serving.batch_documents import STORED, Documents, read_visited, with_visits
from serving.last_run import previous_of
from serving.parts import parts_of
from serving.redaction import places
from serving.rows import ROWS, rows_table
from serving.scoring import assessed_parts
from serving.settings import bundle_key
from serving.visit_events import Event

logger = logging.getLogger("povrisk.serving")
# The records of that many households are held at a time: enough to fill columns, little beside the bucket itself.
ROWS_AT_A_TIME = 2_000
# Files of a job: what is in them counts, not where they lie.
FILES = ("previous", "visited", "only")
# How a run counts households.
STATUS, TIER = "status ", "tier "


@dataclass(frozen=True)
class ScoreJob:
    """Assess the households of a dataset at one moment with one bundle.

    `bundle_sha256` is the manifest's hash as the caller verified it: a process that meets another bundle in the folder
    stops. `previous` is the file of the run before, `packs` a folder with own packs of rules.

    With `keep` the rows carry the documents of a store (`serving.batch_documents`): of everybody who is not green
    (`listed`) or of `all`. `visited` is a file of what visits added, `only` one of the households to tell of.
    """

    bundle: str
    bundle_sha256: str
    meta: DatasetMeta
    as_of: Micros
    reasons: bool = True
    rules_only: bool = False
    packs: str | None = None
    previous: str | None = None
    keep: str | None = None
    visited: str | None = None
    only: str | None = None

    @property
    def schema(self) -> pa.Schema:
        """The columns of the output."""
        return ROWS if self.keep is None else STORED

    @property
    def digest(self) -> str:
        """SHA-256 over everything besides the data that decides the output."""
        told = {name: value for name, value in asdict(self).items() if name not in ("bundle", "packs", *FILES)}
        told["version"] = version("povrisk")
        told["rules"] = [self._book.packs.digest, self._book.at(self.as_of, self.meta.time_zone).digest]
        for name in FILES:
            path = getattr(self, name)
            told[name] = None if path is None else _digest(Path(path))
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    @property
    def _book(self) -> Rulebook:
        return rulebook(Path(self.packs)) if self.packs else rulebook()

    def open(self) -> Callable[[Tables], Done]:
        """Load bundle and rules, once in a process."""
        bundle = read_bundle(Path(self.bundle), key=bundle_key(os.environ), proven=self.bundle_sha256)
        previous = {} if self.previous is None else previous_of(Path(self.previous), self.as_of)
        visited = {} if self.visited is None else read_visited(Path(self.visited))
        only = None if self.only is None else set(pq.read_table(self.only)["household_id"].to_pylist())
        warm_up()
        # What is loaded by now stays; only what a bucket leaves behind is to be searched.
        gc.collect()
        gc.freeze()
        handling = Handling(rules_only=self.rules_only, previous=previous, book=self._book)
        return _Scoring(self, bundle, handling, visited, only)


@dataclass
class _Scoring:
    """A job at work in one process."""

    job: ScoreJob
    bundle: Bundle
    handling: Handling
    visited: Mapping[str, Sequence[Event]]
    only: Collection[str] | None
    stages: dict[str, float] = field(default_factory=dict)

    def __call__(self, tables: Tables) -> Done:
        """One bucket: its rows in order of the household, CPU seconds by stage, and how many rows were refused."""
        self.stages = {}
        # Records are made and dropped by the thousand and hold no circles; looking for some would take longer. What the
        # rules worked out does, with all the arrays of the bucket, and goes at its end.
        gc.disable()
        try:
            with self._timed("intake"):
                clean, refused, n = admitted_tables(tables, self.job.meta, self.bundle.catalogue)
            documents = None
            if self.job.keep is not None:
                with self._timed("requests"):
                    documents = Documents(clean, self.job.meta, self.job.as_of, self.job.keep)
                    clean = with_visits(clean, self.visited, documents.requests, self.bundle)
            table = self._table(clean, documents)
            return Done(table, self.stages, refused, n, _counts(table))
        finally:
            gc.enable()
            gc.collect()

    def _table(self, tables: Tables, documents: Documents | None) -> pa.Table:
        parts = [self.job.schema.empty_table()]
        for assessed in self._assessed(tables):
            numbers = self._told_of(assessed)
            for first in range(0, len(numbers), ROWS_AT_A_TIME):
                places_ = numbers[first : first + ROWS_AT_A_TIME]
                with self._timed("reasons"):
                    rows = [self._row(assessed, i) for i in places_]
                with self._timed("columns"):
                    part = rows_table(rows, self.job.as_of)
                if documents is not None:
                    with self._timed("records"):
                        part = documents.beside(part, self.bundle, assessed, places_, self.job.as_of)
                parts.append(part)
        table = pa.concat_tables(parts)
        # Only after a failure are the parts out of order.
        return table if len(parts) <= 1 + -(-len(table) // ROWS_AT_A_TIME) else table.sort_by("household_id")

    def _told_of(self, assessed: Assessed | list[str]) -> Sequence[int]:
        """The households to tell of, by their number."""
        names = assessed.history.household_ids if isinstance(assessed, Assessed) else assessed
        return [i for i, name in enumerate(names) if self.only is None or name in self.only]

    def _assessed(self, tables: Tables) -> Iterator[Assessed | list[str]]:
        """The bucket at once, or, when that fails, in the pieces that do not."""
        try:
            with self._timed("encoding"):
                history = history_of(tables, self.bundle.catalogue, time_zone=self.bundle.time_zone)
            with self._timed("vectors"):
                whole = assess(self.bundle, history, self.job.as_of, reasons=self.job.reasons, handling=self.handling)
            with self._timed("rules"):
                whole.settle_rules()
            with self._timed("scores and contributions"):
                whole.settle_scores()
        except Exception as error:
            logger.error("a bucket is assessed in parts\n%s", places(error))
            yield from assessed_parts(
                self.bundle, tables, parts_of(tables), self.job.as_of,
                reasons=self.job.reasons, handling=self.handling,
            )  # fmt: skip
        else:
            yield whole

    def _row(self, assessed: Assessed | list[str], i: int) -> dict[str, Any]:
        if not isinstance(assessed, Assessed):
            return failed_row(self.bundle, assessed[i], self.job.as_of)
        try:
            return assessed.row(i)
        except Exception as error:
            logger.error("1 household(s) could not be assessed\n%s", places(error))
            return failed_row(self.bundle, assessed.history.household_ids[i], self.job.as_of)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.stages[stage] = self.stages.get(stage, 0.0) + time.process_time() - start


def _counts(table: pa.Table) -> dict[str, int]:
    """Households by status and by tier."""
    found = {}
    for what, name in ((STATUS, "status"), (TIER, "tier")):
        for each in table[name].value_counts().to_pylist():
            found[what + each["values"]] = each["counts"]
    return found


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
