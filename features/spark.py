"""The same buckets and the same job on Spark, for datasets beyond one machine. Needs the extra `[spark]` and Java.

Spark hands out the files, brings together what belongs together and writes the output; the reading, the hashing and the
job are what `features.bucket_run` calls, so the rows are the same bit for bit.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from features.bucket_run import RunReport, own_peak_mb
from features.bucket_work import Done, Job, RunStopped
from features.buckets import bucket_count, gathered, pieces, rows_at_once
from features.dataset import REQUIRED, DatasetRefused
from features.event import TABLES
from features.intake import refuse_if_too_many
from features.keys import Hashes, hashes
from features.links import Links, distinct_pairs, edges_of, joined
from features.placing import put_in_place
from features.table_files import Split, TableFiles
from features.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MASTER = "POVRISK_SPARK_MASTER"
DEFAULT_MASTER = "local[2]"
REFUSED = "features.dataset.DatasetRefused: "
# Rows of one bucket on their way: an Arrow message of one table's rows.
PIECES = "key long, bucket int, name string, rows binary"
PAIRS = "key long, rows binary"
NOBODY = (np.zeros(0, np.uint64), np.zeros(0, np.uint64))
ROWS_A_TASK = 500_000
# Of the job at work in this process.
OPENED: dict[str, Callable[[Tables], Done]] = {}


def session() -> SparkSession:
    """The session that runs, or a new one.

    Started by `spark-submit` it has the settings given there; otherwise `POVRISK_SPARK_MASTER` names the master
    (`local[2]` without it), and a local one listens on the loopback address only. Raises `RunStopped` if Spark is not
    installed or does not start.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise RunStopped("--engine spark needs the extra: pip install 'povrisk[spark]', and Java 17 or newer") from None
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("povrisk")
    if not is_running():
        master = os.environ.get(MASTER, DEFAULT_MASTER)
        builder = builder.master(master)
        if master.startswith("local"):
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
            for name in ("spark.driver.host", "spark.driver.bindAddress"):
                builder = builder.config(name, "127.0.0.1")
        quiet = {"spark.log.level": "ERROR", "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
        for name, value in (quiet | {"spark.executorEnv.OMP_NUM_THREADS": "1"}).items():
            builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except Exception as error:
        raise RunStopped("Spark does not start; is Java 17 or newer installed, and the master reachable?") from error


def is_running() -> bool:
    """Whether this process has a session, or was started by `spark-submit`, which has one for it."""
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return True
    running = sys.modules.get("pyspark.sql")
    return running is not None and running.SparkSession.getActiveSession() is not None


def run_on_spark(folder: Path, job: Job, out: Path, *, n_buckets: int | None = None) -> RunReport:
    """`features.bucket_run.run_buckets` on Spark; `out` becomes a folder of Parquet files, whole or not at all.

    The dataset folder and `out` lie where the driver and all executors reach them by the same path, and povrisk is
    installed on all of them. Row order is Spark's. Raises as `run_buckets` does. `stages` of the report are CPU
    seconds of the Python processes, `peak_rss_mb` is the driver's Python process alone.
    """
    began = time.perf_counter()
    if out.exists() and not (out / "_SUCCESS").is_file():
        raise DatasetRefused(f"{out.name} exists and is no output of Spark; choose another place")
    source = TableFiles.of(folder.absolute())
    source.digest()
    for name in REQUIRED:
        next(source.batches(name, rows=1), None)
    n = bucket_count(source.rows["events"], source.rows["households"]) if n_buckets is None else n_buckets
    is_ours, spark = not is_running(), session()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    told = _outcomes(spark)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        splits = source.splits(ROWS_A_TASK)
        placed = _placed(spark, source, splits, _links(spark, source, splits), n)
        rows = placed.mapInArrow(_work(job, told), _spark_schema(job.schema))
        rows.write.mode("overwrite").parquet(str(unfinished.absolute()))
        outcomes: dict[int, dict[str, Any]] = told.value
        refused = sum(each["refused_rows"] for each in outcomes.values())
        refuse_if_too_many(refused, sum(source.rows.values()))
        metadata = {key.decode(): value.decode() for key, value in (job.schema.metadata or {}).items()}
        (unfinished / "_povrisk.json").write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
        put_in_place(unfinished, out)
    except (DatasetRefused, RunStopped):
        raise
    except Exception as error:
        raise _refusal(error) or error from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        if is_ours:
            spark.stop()
    return RunReport(
        rows=sum(each["written"] for each in outcomes.values()),
        input_rows=sum(each["rows"] for each in outcomes.values()),
        refused_rows=refused,
        buckets=n,
        resumed_buckets=0,
        stages=_summed([each["stages"] for each in outcomes.values()]),
        wall_s=time.perf_counter() - began,
        peak_rss_mb=own_peak_mb(),
        counts=dict(sorted(Counter(_summed([each["counts"] for each in outcomes.values()])).items())),
    )


def _links(spark: SparkSession, source: TableFiles, splits: list[Split]) -> Links:
    """Who belongs together: all pairs of one person meet in one partition, and the driver joins the few edges."""
    n = len(splits)
    keys = partition_keys(n)

    def spread(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for split in _given(batches, splits):
            persons, households = _pairs(source, split)
            # Not by the bits that place a person in the table of the partition, which would crowd its people there.
            place = persons % np.uint64(n)
            for at in np.unique(place):
                met = np.stack([persons[place == at], households[place == at]])
                yield _row(PAIRS, keys[at], met.tobytes())

    def meet(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        met = [
            np.frombuffer(pairs.as_buffer(), np.uint64).reshape(2, -1) for batch in batches for pairs in batch["rows"]
        ]
        edges = edges_of(lambda: [(each[0], each[1]) for each in met], sum(each.shape[1] for each in met))
        yield _row("rows binary", edges.tobytes())

    found = _tasks(spark, splits).mapInArrow(spread, PAIRS).repartition(n, "key").mapInArrow(meet, "rows binary")
    return joined(np.frombuffer(b"".join(row.rows for row in found.collect()), np.uint64).reshape(-1, 2))


def _pairs(source: TableFiles, split: Split) -> tuple[Hashes, Hashes]:
    if split.name == "households":
        return NOBODY
    parts = [
        distinct_pairs(hashes(batch["person_id"]), hashes(batch["household_id"]))
        for batch in source.batches(split.name, ("person_id", "household_id"), split=split)
    ]
    return distinct_pairs(*(np.concatenate([NOBODY[0], *(part[i] for part in parts)]) for i in (0, 1)))


def _placed(spark: SparkSession, source: TableFiles, splits: list[Split], links: Links, n: int) -> DataFrame:
    """All rows as pieces, each with the key by which Spark puts its bucket in a partition of its own."""
    keys = partition_keys(n)
    together = spark.sparkContext.broadcast((links.households, links.representatives))

    def place(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        known = Links(*together.value)
        for split in _given(batches, splits):
            for rows in source.batches(split.name, rows=rows_at_once(n), split=split):
                # A dictionary does not travel in a piece.
                plain = rows.cast(TABLES[split.name]).combine_chunks()
                for bucket, piece in pieces(plain, known, n):
                    yield _row(PIECES, keys[bucket], bucket, split.name, piece.serialize().to_pybytes())

    return _tasks(spark, splits).mapInArrow(place, PIECES).repartition(n, "key")


def _tasks(spark: SparkSession, splits: list[Split]) -> DataFrame:
    """The positions of the splits, a partition each."""
    return spark.range(0, len(splits), 1, len(splits))


def _given(batches: Iterator[pa.RecordBatch], splits: list[Split]) -> Iterator[Split]:
    pa.set_cpu_count(1)
    for batch in batches:
        for at in batch["id"].to_pylist():
            yield splits[at]


def _row(shape: str, *values: object) -> pa.RecordBatch:
    kinds = {"long": pa.int64(), "int": pa.int32(), "string": pa.string(), "binary": pa.binary()}
    names, types = zip(*(field.split() for field in shape.split(", ")), strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array([value], kinds[kind]) for value, kind in zip(values, types, strict=True)], names=names
    )


def partition_keys(n: int) -> list[int]:
    """For each partition of n the smallest number that Spark's own hash puts there.

    >>> partition_keys(4)
    [2, 0, 14, 3]
    """
    found: dict[int, int] = {}
    number = 0
    while len(found) < n:
        found.setdefault(_murmur(number) % n, number)
        number += 1
    return [found[partition] for partition in range(n)]


def _murmur(number: int) -> int:
    """Spark's `hash` of a long: Murmur3 (32 bit, signed) with seed 42."""
    state = 42
    for word in (number & 0xFFFFFFFF, number >> 32):
        mixed = (word * 0xCC9E2D51) & 0xFFFFFFFF
        mixed = ((mixed << 15 | mixed >> 17) * 0x1B873593) & 0xFFFFFFFF
        state ^= mixed
        state = ((state << 13 | state >> 19) & 0xFFFFFFFF) * 5 + 0xE6546B64 & 0xFFFFFFFF
    state ^= 8
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        state = ((state ^ state >> shift) * factor) & 0xFFFFFFFF
    return state - (1 << 32) if state >= 1 << 31 else state


def _work(job: Job, told: Any) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The job as a function of a Spark partition, which holds whole buckets."""

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        pa.set_cpu_count(1)
        held: dict[int, dict[str, list[pa.Table]]] = {}
        for batch in batches:
            for bucket, name, rows in zip(*(batch[column] for column in ("bucket", "name", "rows")), strict=True):
                piece = pa.ipc.read_record_batch(rows.as_buffer(), TABLES[name.as_py()])
                held.setdefault(bucket.as_py(), {}).setdefault(name.as_py(), []).append(pa.Table.from_batches([piece]))
        if not held:
            return
        run = _opened(job)
        for bucket in sorted(held):
            parts = held.pop(bucket)
            done = run(Tables(*(gathered(name, parts.get(name, [])) for name in REQUIRED)))
            told.add({bucket: _told(done)})
            table = done.table.select(job.schema.names).cast(job.schema.remove_metadata()).replace_schema_metadata(None)
            yield from table.to_batches()

    return work


def _opened(job: Job) -> Callable[[Tables], Done]:
    """The job's function, opened once a process, which Spark keeps for several partitions."""
    digest = job.digest
    if digest not in OPENED:
        OPENED.clear()
        OPENED[digest] = job.open()
    return OPENED[digest]


def _told(done: Done) -> dict[str, Any]:
    return {
        "written": len(done.table),
        "rows": done.rows,
        "refused_rows": done.refused_rows,
        "stages": dict(done.stages),
        "counts": dict(done.counts),
    }


def _outcomes(spark: SparkSession) -> Any:
    """Collects what is told of each bucket; a bucket that Spark runs twice counts once."""
    from pyspark.accumulators import AccumulatorParam

    class ByBucket(AccumulatorParam):  # type: ignore[misc]
        def zero(self, value: dict[int, Any]) -> dict[int, Any]:
            return {}

        def addInPlace(self, value1: dict[int, Any], value2: dict[int, Any]) -> dict[int, Any]:  # noqa: N802
            return {**value1, **value2}

    return spark.sparkContext.accumulator({}, ByBucket())


def _spark_schema(schema: pa.Schema) -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema)


def _summed(parts: list[dict[str, Any]]) -> dict[str, Any]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)


def _refusal(error: Exception) -> DatasetRefused | None:
    """The refusal that an executor raised, out of the error that Spark makes of it."""
    for line in str(error).splitlines():
        if REFUSED in line:
            return DatasetRefused(line.split(REFUSED, 1)[1])
    return None
