"""A batch that also fills the store: every household's row and task, and the documents of those who may be visited.

The store is read once before the batch, for what visits added, and written once after it, in one transaction: whoever
looks meanwhile sees the queue of before, and then all of the new one. Other writers wait as long. A run that was
stopped goes on where it was; what is loaded already is not loaded again. The journal gets an entry of the kind `batch`
for every few hundred households.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, delete, insert, select, union

from features.bucket_run import run_buckets
from features.progress import bar
from features.rules.rulebook import rulebook
from features.table_files import TableFiles
from features.window import Micros, written
from models.handling import Handling
from models.tier import Tier
from models.visit_list import COLUMNS, VISIT, visit_list
from serving.batch import BatchReport, batch_report, writer_of
from serving.batch_documents import ALL, LISTED, STORED, write_visited
from serving.keeping import own_word
from serving.rows import ROWS
from serving.score_job import ScoreJob
from serving.store import consent, journal
from serving.store.assessments import Packed, keep_all
from serving.store.engine import Store
from serving.store.tables import ABOUT, CONSENT, VISIT_EVENTS
from serving.store.tasks import Taken, TaskRow, open_or_update
from serving.store.visits import visit_events

PURPOSE = "prioritise_visit"
DOCUMENTS_AT_A_TIME, AN_ENTRY = 2_000, 500


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What went into the store: rows of assessments, how many with their whole record, and what became of the tasks.

    `already`: this very run was loaded before, and nothing was changed.
    """

    assessments: int
    records: int
    opened: int
    updated: int
    left: int
    already: bool
    wall_s: float


def score_into_store(
    job: ScoreJob,
    folder: Path,
    out: Path,
    store: Store,
    *,
    at: Micros,
    visits: int = 0,
    keep: str = LISTED,
    workers: int = 1,
) -> tuple[BatchReport, Loaded]:
    """Assess every household of the folder, write the rows to `out`, and put all of it into the store.

    Each household gets a row and a task. With `keep` `listed` the whole assessment and the request it was made from are
    kept for everybody who is not green or stands within the first `visits` of the visit list; with `all` for everybody.
    What visits added is taken into the assessments, and stays out of the requests. `at` is now.

    Raises what `score_dataset` raises, and `StoreDown`. Work that is done lies beside `out` until all of it is in the
    store.
    """
    work = out.with_name(f".{out.name}.store")
    work.mkdir(parents=True, exist_ok=True)
    visited, seen = _visited(store, job)
    write_visited(visited, work / "visited.parquet")
    job = dataclasses.replace(job, keep=keep, visited=str((work / "visited.parquet").resolve()))
    plan = hashlib.sha256(f"{job.digest} {TableFiles.of(folder).digest()}".encode()).hexdigest()
    report = _scored(job, folder, work, plan, workers)
    _write_rows(work / "whole.parquet", out)
    green = _documents_of_green(job, folder, work, visits, workers) if keep == LISTED and visits else None
    run = _Run(f"{plan} {keep} {visits}", visits, seen, at)
    loaded = _load(store, work / "whole.parquet", green, job, run)
    shutil.rmtree(work)
    return report, loaded


@dataclasses.dataclass(frozen=True)
class _Run:
    """What one load is of (`what`), the visits that can be made, the last entry of the journal that was known when the
    batch began, and now."""

    what: str
    visits: int
    seen: int
    at: Micros


def _visited(store: Store, job: ScoreJob) -> tuple[dict[str, list[dict[str, Any]]], int]:
    """What visits added, and who wants no machine, by household; and the last entry of the journal by then."""
    with store.reading() as connection:
        named = union(select(VISIT_EVENTS.c.household_id), select(CONSENT.c.household_id))
        names = sorted(connection.scalars(named))
        events = visit_events(connection, names)
        human_only = consent.is_human_only(connection, names)
        seen = journal.head(connection).seq
    as_of = written(job.as_of, job.meta.time_zone)
    found = {name: own_word(events.get(name, []), name in human_only, as_of) for name in names}
    return {name: list(of) for name, of in found.items() if of}, seen


def _scored(job: ScoreJob, folder: Path, work: Path, plan: str, workers: int) -> BatchReport:
    """The rows and documents of all households in `whole.parquet`, made now or found as an earlier run left them."""
    whole, told = work / "whole.parquet", work / "report.json"
    if told.exists() and whole.exists():
        earlier = json.loads(told.read_text(encoding="utf-8"))
        if earlier.pop("plan") == plan:
            return BatchReport(**earlier)
    told.unlink(missing_ok=True)
    report = batch_report(run_buckets(folder, job, whole, workers=workers, title="Assessments"))
    unfinished = told.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({**dataclasses.asdict(report), "plan": plan}), encoding="utf-8")
    unfinished.replace(told)
    return report


def _write_rows(whole: Path, out: Path) -> None:
    """The file that a batch without a store writes, part by part."""
    unfinished = out.with_name(f".{out.name}.unfinished")
    writer = writer_of(out)(unfinished, ROWS)
    with pq.ParquetFile(whole) as file:
        for group in range(file.num_row_groups):
            writer.write_table(file.read_row_group(group, columns=ROWS.names).cast(ROWS))
    writer.close()
    unfinished.replace(out)


def _documents_of_green(job: ScoreJob, folder: Path, work: Path, visits: int, workers: int) -> Path | None:
    """The documents of green households within the visits. The visits rarely reach so far; then they are assessed once
    more, because who is listed is known only at the end."""
    table = pq.read_table(work / "whole.parquet", columns=list(COLUMNS)).to_pandas()
    listed = visit_list(table, visits)
    green = listed.loc[(listed["place"] == VISIT) & (listed["tier"] == Tier.GREEN.value), "household_id"]
    if green.empty:
        return None
    pq.write_table(pa.table({"household_id": pa.array(sorted(green), pa.string())}), work / "only.parquet")
    again = dataclasses.replace(job, keep=ALL, only=str((work / "only.parquet").resolve()))
    run_buckets(folder, again, work / "green.parquet", workers=workers, title="Green ones on the list")
    return work / "green.parquet"


def _load(store: Store, whole: Path, green: Path | None, job: ScoreJob, run: _Run) -> Loaded:
    """All of it in one transaction."""
    began = time.perf_counter()
    name, told = f"load-{hashlib.sha256(run.what.encode()).hexdigest()[:32]}", _told(job, run.seen)
    rows = records = 0
    taken = Taken()
    with store.writing() as connection:
        already = connection.scalar(select(ABOUT.c.name).where(ABOUT.c.name == name)) is not None
        if not already:
            with bar("Into the store", per_second="households") as advance:
                total = pq.read_metadata(whole).num_rows
                for kept in _kept(whole, job):
                    _keep(connection, kept, told, run.at)
                    taken += open_or_update(connection, [TaskRow.of(each) for each in kept], run.at)
                    rows += len(kept)
                    records += sum(each.record is not None for each in kept)
                    advance(rows, total)
                for kept in () if green is None else _kept(green, job):
                    _keep(connection, kept, told, run.at)
                    records += len(kept)
            _tell(connection, name, str(run.at))
            _tell(connection, "visits", str(run.visits))
    return Loaded(rows, records, **dataclasses.asdict(taken), already=already, wall_s=time.perf_counter() - began)


def _kept(path: Path, job: ScoreJob) -> Iterator[list[Packed]]:
    """Rows of a file for the store, a few at a time."""
    names = [name for name in STORED.names if name not in ROWS.names]
    names += ["assessment_id", "tier_computed", *COLUMNS]
    whole: dict[str, Any] = {"as_of": job.as_of, "origin": "batch", "purpose": PURPOSE}
    whole["bundle_sha256"] = job.bundle_sha256
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(DOCUMENTS_AT_A_TIME, columns=names):
            yield [Packed(**row, **whole) for row in batch.to_pylist()]


def _told(job: ScoreJob, seen: int) -> dict[str, Any]:
    """What the entries of the journal say of the run."""
    book = rulebook(Path(job.packs)) if job.packs else rulebook()
    return {
        "purpose": PURPOSE,
        "seen": seen,
        "bundle_sha256": job.bundle_sha256,
        "rules": [[book.at(job.as_of, job.meta.time_zone).digest, book.packs.digest]],
        "rules_only": job.rules_only,
        "speaks_numbers": Handling().speaks_numbers,
        "previous": job.previous is not None,
    }


def _keep(connection: Connection, kept: list[Packed], told: dict[str, Any], at: Micros) -> None:
    """Into the store, with an entry for every few hundred."""
    pieces = [kept[first : first + AN_ENTRY] for first in range(0, len(kept), AN_ENTRY)]
    keep_all(connection, [(journal.New("batch", secrets.token_hex(16), told), piece) for piece in pieces], at)


def _tell(connection: Connection, name: str, value: str) -> None:
    connection.execute(delete(ABOUT).where(ABOUT.c.name == name))
    connection.execute(insert(ABOUT).values(name=name, value=value))
