"""A run over all buckets of a dataset that can be killed at any moment and goes on where it was.

The outcome of each bucket is kept in a hidden folder beside the output until the output is whole. The next call with
the same plan (the same job, tables and versions) takes the finished buckets as they are and ends in the same bytes; any
other plan starts afresh.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import resource
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from features.bucket_work import Done, Job, Outcome, RunStopped, finish, found_part, part_path, spread_work
from features.buckets import Buckets, bucket_count, partition
from features.dataset import DatasetRefused
from features.intake import refuse_if_too_many
from features.progress import bar
from features.table_files import TableFiles

__all__ = ["Done", "Job", "RunReport", "RunStopped", "TableWriter", "parquet", "run_buckets"]

VERSIONS = ("povrisk", "pyarrow", "numpy", "numba")


class TableWriter(Protocol):
    """What writes the output: `pyarrow.parquet.ParquetWriter` and `pyarrow.csv.CSVWriter` are such."""

    def write_table(self, table: pa.Table) -> None:
        """Append rows."""

    def close(self) -> None:
        """Finish the file."""


def parquet(path: Path, schema: pa.Schema) -> TableWriter:
    """A Parquet file."""
    writer: TableWriter = pq.ParquetWriter(path, schema, compression="zstd")
    return writer


@dataclass(frozen=True)
class RunReport:
    """What a run wrote and what it cost.

    `rows` were written, `input_rows` read, `refused_rows` of them left out. `stages` are CPU seconds of this run by
    name, all processes together; `peak_rss_mb` adds up the peaks of all its processes, so that pages which they share
    count more than once. `counts` are the sums of what the job counted.
    """

    rows: int
    input_rows: int
    refused_rows: int
    buckets: int
    resumed_buckets: int
    stages: dict[str, float]
    wall_s: float
    peak_rss_mb: float
    counts: dict[str, int] = field(default_factory=dict)


def run_buckets(
    folder: Path,
    job: Job,
    out: Path,
    *,
    workers: int = 1,
    title: str,
    writer: Callable[[Path, pa.Schema], TableWriter] = parquet,
    n_buckets: int | None = None,
) -> RunReport:
    """Run the job over every bucket of a dataset folder and write its rows to `out`, bucket by bucket.

    With one worker everything happens in this process; with more, in so many processes that are started afresh, so the
    caller's main module must be importable without running (`if __name__ == "__main__"`). `out` appears under its name
    only when it is whole. Raises `DatasetRefused` when the folder cannot be used or more than 5 % of its rows are
    refused, and `RunStopped` when another run writes `out` or a worker died; what was finished by then is kept.
    """
    if workers < 1:
        raise ValueError("there is at least one worker")
    began = time.perf_counter()
    stages: dict[str, float] = defaultdict(float)
    with _work_folder(out) as work:
        with _timed(stages, "digest"):
            plan = _plan(folder, job, n_buckets)
        place = _fresh_place(work, plan)
        with _timed(stages, "partition"):
            buckets = partition(folder, place / "buckets", n=plan["buckets"])
        try:
            run = _Run(buckets, job, place, stages)
            run.all(workers, title, writer)
        except DatasetRefused:
            # The same rows are refused the next time: nothing to go on from.
            shutil.rmtree(work, ignore_errors=True)
            raise
        (place / "whole").replace(out)
        shutil.rmtree(work, ignore_errors=True)
    return RunReport(
        rows=run.rows,
        input_rows=run.input_rows,
        refused_rows=run.refused_rows,
        buckets=buckets.n,
        resumed_buckets=run.resumed,
        stages={name: round(seconds, 6) for name, seconds in stages.items()},
        wall_s=time.perf_counter() - began,
        peak_rss_mb=own_peak_mb() + sum(run.peaks.values()),
        counts=dict(sorted(run.counts.items())),
    )


def own_peak_mb() -> float:
    """The most memory that this process has held so far, in MB of 2**20 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class _Run:
    """One pass over the buckets, in the order in which they get ready; the output grows in the order of the buckets."""

    def __init__(self, buckets: Buckets, job: Job, place: Path, stages: dict[str, float]) -> None:
        self._buckets, self._job, self._place, self._stages = buckets, job, place, stages
        self._ready: set[int] = set()
        self._next = 0
        self.rows = self.input_rows = self.refused_rows = self.resumed = 0
        self.counts: Counter[str] = Counter()
        self.peaks: dict[int, float] = {}

    def all(self, workers: int, title: str, open_writer: Callable[[Path, pa.Schema], TableWriter]) -> None:
        with ExitStack() as stack:
            advance = stack.enter_context(bar(title, per_second="households"))
            self._writer = open_writer(self._place / "whole", self._job.schema)
            stack.callback(self._writer.close)
            missing = []
            for bucket in range(self._buckets.n):
                outcome = found_part(self._place, bucket)
                if outcome is None:
                    missing.append(bucket)
                else:
                    self.resumed += 1
                    self._take(bucket, outcome, advance)
            if workers == 1 or len(missing) <= 1:
                self._here(missing, advance)
            else:
                self._elsewhere(missing, min(workers, len(missing)), advance)
        with (self._place / "whole").open("rb") as file:
            os.fsync(file.fileno())

    def _here(self, missing: list[int], advance: Callable[[int, int], None]) -> None:
        self._append()
        if not missing:
            return
        with _timed(self._stages, "open"):
            run = self._job.open()
        for bucket in missing:
            outcome = finish(self._buckets, bucket, run, self._job.schema, self._place)
            self._spent(outcome.stages)
            self._take(bucket, outcome, advance)
            self._append()

    def _elsewhere(self, missing: list[int], workers: int, advance: Callable[[int, int], None]) -> None:
        with ThreadPoolExecutor(1) as appending:
            # The output grows while the workers go on; it frees the interpreter while it compresses.
            appended: list[Future[None]] = [appending.submit(self._append)]
            for process, bucket, outcome in spread_work(self._buckets, self._job, self._place, missing, workers):
                self._spent(outcome.stages)
                self.peaks[process] = max(self.peaks.get(process, 0.0), outcome.peak_mb)
                self._take(bucket, outcome, advance)
                appended.append(appending.submit(self._append))
            for each in appended:
                each.result()

    def _take(self, bucket: int, outcome: Outcome, advance: Callable[[int, int], None]) -> None:
        self._ready.add(bucket)
        self.input_rows += outcome.rows
        self.refused_rows += outcome.refused_rows
        self.counts.update(outcome.counts)
        refuse_if_too_many(self.refused_rows, sum(self._buckets.rows.values()))
        advance(sum(self._buckets.households[each] for each in self._ready), sum(self._buckets.households))

    def _spent(self, stages: Mapping[str, float]) -> None:
        for name, seconds in stages.items():
            self._stages[name] += seconds

    def _append(self) -> None:
        """Write the parts that are ready, as far as no earlier one is missing."""
        while self._next in self._ready:
            began = time.thread_time()
            with pa.memory_map(str(part_path(self._place, self._next))) as mapped:
                table = pa.ipc.open_file(mapped).read_all().replace_schema_metadata(self._job.schema.metadata)
                self._writer.write_table(table)
            self.rows += len(table)
            self._next += 1
            self._stages["write"] += time.thread_time() - began


def _plan(folder: Path, job: Job, n: int | None) -> dict[str, Any]:
    source = TableFiles.of(folder)
    return {
        "job": job.digest,
        "dataset": source.digest(),
        "buckets": bucket_count(source.rows["events"], source.rows["households"]) if n is None else n,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}},
    }


def _fresh_place(work: Path, plan: Mapping[str, Any]) -> Path:
    """The folder of this plan; what other plans have left is taken away.

    It bears the plan's digest, so that a worker which outlives its run for a moment cannot write into another plan's.
    """
    written = json.dumps(plan, sort_keys=True, indent=2)
    place = work / hashlib.sha256(written.encode()).hexdigest()[:16]
    for other in work.iterdir():
        if other.is_dir() and other != place:
            shutil.rmtree(other)
    place.mkdir(exist_ok=True)
    (place / "plan.json").write_text(written + "\n", encoding="utf-8")
    return place


@contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """The hidden folder beside the output, held by this process alone."""
    work = out.with_name(f".{out.name}.parts")
    with ExitStack() as stack:
        while True:
            work.mkdir(parents=True, exist_ok=True)
            try:
                lock = stack.enter_context((work / "lock").open("a"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The run before may have taken the folder away between our opening and our locking.
                if os.fstat(lock.fileno()).st_ino == (work / "lock").stat().st_ino:
                    break
            except BlockingIOError:
                raise RunStopped(
                    f"another run is writing {out.name}; wait for its end or choose another --out"
                ) from None
            except FileNotFoundError:
                continue
        yield work


@contextmanager
def _timed(stages: dict[str, float], name: str) -> Iterator[None]:
    began = time.process_time()
    yield
    stages[name] += time.process_time() - began
