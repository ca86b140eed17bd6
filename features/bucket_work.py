"""The work on one bucket, here or in another process, and the file that keeps its outcome."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from features.buckets import Buckets
from features.tables import Tables

OUTCOME = b"povrisk.outcome"
# One thread a process: the processes are the parallelism.
SINGLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

SECONDS_TO_END = 5.0


class RunStopped(Exception):
    """A run that could not go on through no fault of the rows; the message says what to do."""


@dataclass(frozen=True)
class Done:
    """What a job makes of one bucket: the rows to write, in the columns of the job's schema.

    `rows` counts the rows of all tables that were read, `refused_rows` those of them that intake refused; `stages` are
    CPU seconds by name and `counts` whatever the job wants summed over all buckets.
    """

    table: pa.Table
    stages: Mapping[str, float]
    refused_rows: int
    rows: int
    counts: Mapping[str, int] = field(default_factory=dict)


class Job(Protocol):
    """What is done with each bucket. It travels to other processes, so it holds paths and options, nothing opened."""

    @property
    def schema(self) -> pa.Schema:
        """Columns of the output, with the metadata of the file."""

    @property
    def digest(self) -> str:
        """Decides the bytes of the output, together with the tables: options, moments, bundle, code."""

    def open(self) -> Callable[[Tables], Done]:
        """Called once a process; what it returns is a pure function of a bucket."""


@dataclass(frozen=True)
class Outcome:
    """What is told of a finished bucket, without its rows."""

    rows: int
    refused_rows: int
    stages: dict[str, float]
    counts: dict[str, int]
    peak_mb: float = 0.0


def part_path(place: Path, bucket: int) -> Path:
    """Where the rows of a finished bucket are kept."""
    return place / f"part-{bucket:05d}.arrow"


def found_part(place: Path, bucket: int) -> Outcome | None:
    """The outcome of a bucket that an earlier run has finished, without what it cost then."""
    try:
        with pa.memory_map(str(part_path(place, bucket))) as file:
            told = json.loads(pa.ipc.open_file(file).schema.metadata[OUTCOME])
    except FileNotFoundError:
        return None
    return Outcome(told["rows"], told["refused_rows"], {}, told["counts"])


def finish(buckets: Buckets, bucket: int, run: Callable[[Tables], Done], schema: pa.Schema, place: Path) -> Outcome:
    """Do the work on one bucket and keep its rows in a part file, which appears only when it is whole."""
    began = time.process_time()
    tables = buckets.read(bucket)
    has_read = time.process_time()
    done = run(tables)
    has_run = time.process_time()
    told = {"rows": done.rows, "refused_rows": done.refused_rows, "counts": dict(done.counts)}
    table = done.table.select(schema.names).cast(schema.remove_metadata())
    table = table.replace_schema_metadata({OUTCOME: json.dumps(told)})
    path = part_path(place, bucket)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    with unfinished.open("wb") as file:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    stages = {"read": has_read - began, **done.stages, "keep": time.process_time() - has_run}
    stages["other"] = has_run - has_read - sum(done.stages.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Outcome(done.rows, done.refused_rows, stages, dict(done.counts), peak)


def spread_work(
    buckets: Buckets, job: Job, place: Path, missing: Sequence[int], workers: int
) -> Iterator[tuple[int, int, Outcome]]:
    """Finish the missing buckets in `workers` processes; yields (process, bucket, outcome) as they come.

    An exception in a worker is raised here; a worker that dies without one raises `RunStopped`. No process is left when
    the iteration ends, however it ends.
    """
    # Plain fork after OpenMP threads hangs; the fork server has started none, and pays for the imports once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["features.worker_start", __name__, type(job).__module__])
    waiting = list(reversed(missing))
    at_work: dict[Connection, int] = {}
    processes: dict[Connection, Any] = {}
    try:
        with _environment(SINGLE):
            for _ in range(workers):
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(theirs, buckets, job, place), daemon=True)
                process.start()
                theirs.close()
                processes[ours] = process
        for connection in processes:
            at_work[connection] = waiting.pop()
            connection.send(at_work[connection])
        while at_work:
            for ready in wait(list(at_work)):
                assert isinstance(ready, Connection)
                outcome = _received(ready, at_work[ready], processes[ready])
                bucket = at_work.pop(ready)
                if waiting:
                    at_work[ready] = waiting.pop()
                    ready.send(at_work[ready])
                yield list(processes).index(ready), bucket, outcome
    finally:
        for connection, process in processes.items():
            connection.close()
            process.terminate()
        for process in processes.values():
            process.join()


def _received(connection: Connection, bucket: int, process: Any) -> Outcome:
    try:
        answer = connection.recv()
    except (EOFError, ConnectionResetError):
        process.join(SECONDS_TO_END)
        if process.exitcode is not None and process.exitcode >= 0:
            raise RunStopped(
                "a worker process ended as it started, see the message above; in a script of your own the call stands "
                'under `if __name__ == "__main__":`'
            ) from None
        raise RunStopped(
            f"a worker process died in bucket {bucket}, perhaps for want of memory; the finished buckets are kept: "
            "the same command goes on from there, with fewer --workers if memory is short"
        ) from None
    if isinstance(answer, Outcome):
        return answer
    error, trace = answer
    error.add_note(trace)
    raise error


def _work(connection: Connection, buckets: Buckets, job: Job, place: Path) -> None:
    """The life of a worker: a bucket in, an outcome out, until the other end is closed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pa.set_cpu_count(1)
    began = time.process_time()
    run = None
    while True:
        try:
            bucket = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            opening = 0.0
            if run is None:
                run = job.open()
                opening = time.process_time() - began
            outcome = finish(buckets, bucket, run, job.schema, place)
            outcome.stages["open"] = opening
        except Exception as error:
            _tell(connection, error)
            return
        connection.send(outcome)


def _tell(connection: Connection, error: Exception) -> None:
    trace = traceback.format_exc()
    try:
        connection.send((error, trace))
    except Exception:
        # An error that cannot travel is told by its name.
        connection.send((RuntimeError(f"{type(error).__name__} in a worker process"), trace))


def _end_with_parent() -> None:
    """A worker whose run was killed must not go on beside the next run."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    former = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
