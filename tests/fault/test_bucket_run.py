"""A run over buckets: killed anywhere it goes on to the same bytes, and half an output never has the final name."""

from __future__ import annotations

import hashlib
import importlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

import features.bucket_run as bucket_run
from features.bucket_run import RunReport, run_buckets
from features.bucket_work import Done, RunStopped, spread_work
from features.buckets import partition
from features.dataset import DatasetRefused, write_dataset
from features.tables import Tables
from tests.records import META, dataset, event, household, member

BUCKETS = 4
HOUSEHOLDS = [f"h{i:03d}" for i in range(60)]
SCHEMA = pa.schema([("household_id", pa.string()), ("events", pa.int64()), ("sum", pa.float64())], {"made": "here"})


@dataclass(frozen=True)
class CountJob:
    """Counts the events of each household; the options make it misbehave."""

    version: str = "1"
    die_at: str = ""
    fail_at: str = ""
    refuse: int = 0
    wait_s: float = 0.0
    diary: str = ""
    leave: bool = False

    @property
    def schema(self) -> pa.Schema:
        return SCHEMA

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.version.encode()).hexdigest()

    def open(self) -> Callable[[Tables], Done]:
        if self.leave:
            os._exit(3)

        def run(tables: Tables) -> Done:
            ids = tables.households["household_id"].to_pylist()
            if self.diary:
                with Path(self.diary).open("a", encoding="utf-8") as diary:
                    diary.write(f"{os.getpid()} {len(ids)}\n")
            if self.die_at in ids:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fail_at in ids:
                raise ValueError("a bug of the job")
            time.sleep(self.wait_s)
            summed = tables.events.group_by("household_id").aggregate([("value", "count"), ("value", "sum")])
            table = pa.table(
                [summed["household_id"], summed["value_count"], summed["value_sum"]], names=SCHEMA.names
            ).sort_by("household_id")
            rows = tables.events.num_rows + tables.members.num_rows + tables.households.num_rows
            return Done(table, {"count": 0.25}, min(self.refuse, rows), rows, {"homes": len(ids)})

        return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(5)
    made = dataset(
        [
            event("EMP//WAGE", f"2025-0{rng.integers(1, 9)}-11", value=float(rng.integers(1, 9000)), household=each)
            | {"event_id": f"{each} {i}"}
            for each in HOUSEHOLDS
            for i in range(5)
        ],
        [member(f"p {each}", household=each) for each in HOUSEHOLDS],
        [household(each) for each in HOUSEHOLDS],
    )
    place = tmp_path_factory.mktemp("data") / "county"
    write_dataset(place, events=made.events, members=made.members, households=made.households, meta=META)
    return place


def run(folder: Path, out: Path, job: CountJob | None = None, workers: int = 1) -> RunReport:
    return run_buckets(folder, job or CountJob(), out, workers=workers, title="Test", n_buckets=BUCKETS)


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("undisturbed") / "rows.parquet"
    run(folder, out)
    return out.read_bytes()


def first_of_bucket(folder: Path, spill: Path, bucket: int) -> str:
    return str(partition(folder, spill, n=BUCKETS).read(bucket).households["household_id"][0])


def test_two_workers_write_the_bytes_of_one_and_leave_nothing_else(
    folder: Path, tmp_path: Path, undisturbed: bytes
) -> None:
    out = tmp_path / "rows.parquet"
    report = run(folder, out, workers=2)
    assert out.read_bytes() == undisturbed
    assert names(tmp_path) == ["rows.parquet"]
    assert (report.rows, report.buckets, report.resumed_buckets, report.refused_rows) == (60, BUCKETS, 0, 0)
    assert report.input_rows == 60 * 7
    assert report.counts == {"homes": 60}
    assert report.stages["count"] == 0.25 * BUCKETS
    assert {"digest", "partition", "read", "keep", "write", "open"} <= set(report.stages)
    assert report.peak_rss_mb > 50


def test_one_worker_stays_in_this_process(folder: Path, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    run(folder, tmp_path / "rows.parquet", CountJob(diary=str(diary)))
    assert {line.split()[0] for line in diary.read_text().splitlines()} == {str(os.getpid())}


def test_the_rows_stand_in_order_of_their_buckets(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.parquet"
    run(folder, out)
    read = pa.parquet.read_table(out)
    buckets = partition(folder, tmp_path / "spill", n=BUCKETS)
    expected = [
        each
        for bucket in range(BUCKETS)
        for each in sorted(buckets.read(bucket).households["household_id"].to_pylist())
    ]
    assert read["household_id"].to_pylist() == expected
    assert read.schema.metadata == {b"made": b"here"}


def test_a_worker_that_dies_is_told_and_the_next_call_goes_on(folder: Path, tmp_path: Path, undisturbed: bytes) -> None:
    out, diary = tmp_path / "rows.parquet", tmp_path / "diary"
    last = first_of_bucket(folder, tmp_path / "spill", BUCKETS - 1)
    with pytest.raises(RunStopped, match=r"a worker process died in bucket 3.*fewer --workers"):
        run(folder, out, CountJob(die_at=last), workers=2)
    assert not out.exists()
    report = run(folder, out, CountJob(diary=str(diary)), workers=2)
    assert report.resumed_buckets >= 2
    assert len(diary.read_text().splitlines()) == BUCKETS - report.resumed_buckets
    assert out.read_bytes() == undisturbed
    assert report.input_rows == 60 * 7
    assert report.counts == {"homes": 60}


def test_an_error_in_a_worker_arrives_as_itself(folder: Path, tmp_path: Path) -> None:
    first = first_of_bucket(folder, tmp_path / "spill", 0)
    with pytest.raises(ValueError, match="a bug of the job") as caught:
        run(folder, tmp_path / "rows.parquet", CountJob(fail_at=first), workers=2)
    assert "in run" in caught.value.__notes__[0]
    assert multiprocessing.active_children() == []


def test_a_worker_that_ends_by_itself_is_not_told_to_want_memory(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunStopped, match="ended as it started"):
        run(folder, tmp_path / "rows.parquet", CountJob(leave=True), workers=2)


def test_another_job_starts_afresh(folder: Path, tmp_path: Path, undisturbed: bytes) -> None:
    out, diary = tmp_path / "rows.parquet", tmp_path / "diary"
    last = first_of_bucket(folder, tmp_path / "spill", BUCKETS - 1)
    with pytest.raises(ValueError, match="a bug"):
        run(folder, out, CountJob(fail_at=last))
    report = run(folder, out, CountJob(version="2", diary=str(diary)))
    assert (report.resumed_buckets, len(diary.read_text().splitlines())) == (0, BUCKETS)
    assert out.read_bytes() == undisturbed


def test_other_tables_start_afresh(folder: Path, tmp_path: Path) -> None:
    out, changed = tmp_path / "rows.parquet", tmp_path / "changed"
    last = first_of_bucket(folder, tmp_path / "spill", BUCKETS - 1)
    with pytest.raises(ValueError, match="a bug"):
        run(folder, out, CountJob(fail_at=last))
    made = dataset([event("EMP//WAGE", "2025-03-01", value=5.0, household=each) for each in HOUSEHOLDS[:30]])
    write_dataset(changed, events=made.events, members=made.members, households=made.households, meta=META)
    assert run(changed, out).resumed_buckets == 0


def test_too_many_refused_rows_stop_the_run_early_and_leave_nothing(folder: Path, tmp_path: Path) -> None:
    out, diary = tmp_path / "rows.parquet", tmp_path / "diary"
    with pytest.raises(DatasetRefused, match="over 5%"):
        run(folder, out, CountJob(refuse=30, diary=str(diary)))
    assert len(diary.read_text().splitlines()) == 1
    assert names(tmp_path) == ["diary"]
    report = run(folder, out, CountJob(refuse=5))
    assert report.refused_rows == 5 * BUCKETS


def test_only_one_run_writes_an_output(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.parquet"
    with bucket_run._work_folder(out), pytest.raises(RunStopped, match=r"another run is writing rows\.parquet"):
        run(folder, out)
    assert run(folder, out).rows == 60


def test_the_output_may_be_csv(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    run_buckets(folder, CountJob(), out, title="Test", writer=pa.csv.CSVWriter, n_buckets=BUCKETS)
    lines = out.read_text().splitlines()
    assert lines[0] == '"household_id","events","sum"'
    assert len(lines) == 61


def test_workers_are_forked_from_a_process_without_threads(folder: Path, tmp_path: Path) -> None:
    buckets = partition(folder, tmp_path / "spill", n=BUCKETS)
    for _ in spread_work(buckets, CountJob(), tmp_path, [0], 1):
        server = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
        threads = sorted(path.read_text().strip() for path in Path(f"/proc/{server}/task").glob("*/comm"))
        # Arrow's allocator has a thread that lives through a fork by its own care.
        assert [name for name in threads if name != "jemalloc_bg_thd"] == ["python"]


def _deadly(where: str, nth: int, folder: Path, out: Path, workers: int) -> None:
    """Runs in a process of its own, which is killed as it calls the named function for the nth time."""
    module, name = where.split(":")
    owner: Any = importlib.import_module(module)
    *path, name = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    inner, calls = getattr(owner, name), 0

    def deadly(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(*args, **more)

    setattr(owner, name, deadly)
    run(folder, out, CountJob(wait_s=0.02), workers)


def started(target: Callable[..., object], *args: object) -> Any:
    """A process that is not one of ours once it runs: it may be killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["features.worker_start", "features.bucket_run", __name__])
    process = context.Process(target=target, args=args)
    process.start()
    return process


PLACES = [
    ("features.bucket_run:partition", 1, 1),
    ("features.buckets:_Spill.append", 1, 1),
    ("features.buckets:_Spill.append", 3, 1),
    ("features.buckets:_write_durably", 6, 1),
    ("features.buckets:_write_durably", 7, 1),
    ("features.bucket_run:finish", 1, 1),
    ("features.bucket_work:os.fsync", 8, 1),
    ("features.bucket_run:finish", 3, 1),
    ("features.bucket_run:part_path", 2, 1),
    ("features.bucket_run:part_path", 3, 2),
    ("features.bucket_run:Path.replace", 1, 1),
    ("features.bucket_run:shutil.rmtree", 2, 1),
]


@pytest.mark.parametrize(("where", "nth", "workers"), PLACES)
def test_a_killed_run_goes_on_to_the_same_bytes(
    where: str, nth: int, workers: int, folder: Path, tmp_path: Path, undisturbed: bytes
) -> None:
    out = tmp_path / "rows.parquet"
    killed = started(_deadly, where, nth, folder, out, workers)
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    assert not out.exists() or out.read_bytes() == undisturbed
    run(folder, out)
    assert out.read_bytes() == undisturbed
    assert names(tmp_path) == ["rows.parquet"]


def test_no_worker_outlives_a_killed_run(folder: Path, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    child = started(run, folder, tmp_path / "rows.parquet", CountJob(wait_s=30, diary=str(diary)), 2)
    deadline = time.monotonic() + 60
    while not diary.exists() or len(diary.read_text().splitlines()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.kill()
    child.join()
    workers = [int(line.split()[0]) for line in diary.read_text().splitlines()]
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
