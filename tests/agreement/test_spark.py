"""Spark and one machine write the same vectors, bit for bit. Needs pyspark and Java: `make spark-test`."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.bucket_run import run_buckets
from features.bucket_work import Done, RunStopped
from features.dataset import DatasetRefused, read_dataset, read_meta
from features.spark import partition_keys, run_on_spark, session
from features.tables import Tables
from features.vector_rows import VectorsJob

needs_spark = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="pyspark or Java is not installed; `make spark-test` runs this",
)
DAYS = ("2024-06-30", "2024-12-31")
BUCKETS = 5


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    running = session()
    yield running
    running.stop()


def sorted_rows(place: Path) -> pa.Table:
    return pq.read_table(place).sort_by([("household_id", "ascending"), ("as_of", "ascending")]).combine_chunks()


def same_bits(one: pa.Table, two: pa.Table) -> bool:
    """Equal names, types and cells; numbers by their bytes, so that -0.0 is not 0.0."""
    if one.schema.remove_metadata() != two.schema.remove_metadata():
        return False
    for a, b in zip(one.columns, two.columns, strict=True):
        if not a.is_null().equals(b.is_null()):
            return False
        a, b = (column.drop_null() for column in (a, b))
        if pa.types.is_floating(a.type):
            if a.to_numpy().tobytes() != b.to_numpy().tobytes():
                return False
        elif not a.equals(b):
            return False
    return True


@needs_spark
def test_the_vectors_of_spark_are_those_of_one_machine(spark: Any, tiny_county: Path, tmp_path: Path) -> None:
    job = VectorsJob(read_meta(tiny_county), DAYS)
    local = run_buckets(tiny_county, job, tmp_path / "local.parquet", title="Test", n_buckets=BUCKETS)
    found = run_on_spark(tiny_county, job, tmp_path / "spark", n_buckets=BUCKETS)
    assert same_bits(sorted_rows(tmp_path / "local.parquet"), sorted_rows(tmp_path / "spark"))
    for name in ("rows", "input_rows", "refused_rows", "buckets", "counts"):
        assert getattr(found, name) == getattr(local, name)
    assert {"intake", "vectors"} <= set(found.stages)
    said = json.loads((tmp_path / "spark" / "_povrisk.json").read_text())
    assert said["features_digest"] == job.catalogue().digest
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@needs_spark
def test_a_tree_with_partition_values_in_its_paths_gives_the_same(
    spark: Any, tiny_county: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    meta = read_meta(tiny_county)
    (tree / "dataset.json").write_text(json.dumps(meta.as_json() | {"digest": ""}))
    for name in ("events", "members", "households"):
        table = pq.read_table(tiny_county / f"{name}.parquet")
        shuffled = table.take(pa.array(np.random.default_rng(4).permutation(len(table))))
        for i in range(3):
            part = shuffled.slice(i * (len(table) // 3), None if i == 2 else len(table) // 3)
            if name != "households":
                (tree / name / f"part={i}").mkdir(parents=True)
                pq.write_table(part, tree / name / f"part={i}" / "0.parquet")
        if name == "households":
            for region in sorted(set(table["region"].to_pylist())):
                place = tree / name / f"region={region}"
                place.mkdir(parents=True)
                rows = shuffled.filter(pa.compute.equal(shuffled["region"], region))
                pq.write_table(rows.drop_columns(["region"]), place / "0.parquet")
    run_buckets(tiny_county, VectorsJob(meta, DAYS), tmp_path / "local.parquet", title="Test")
    run_on_spark(tree, VectorsJob(read_meta(tree), DAYS), tmp_path / "spark", n_buckets=3)
    assert same_bits(sorted_rows(tmp_path / "local.parquet"), sorted_rows(tmp_path / "spark"))


@needs_spark
def test_each_bucket_has_a_partition_of_its_own(spark: Any) -> None:
    for n in (1, 2, 7, 40):
        keys = [(key,) for key in partition_keys(n)]
        placed = spark.createDataFrame(keys, "key long").repartition(n, "key")
        assert [len(rows) for rows in placed.rdd.glom().collect()] == [1] * n
        assert [rows[0].key for rows in placed.rdd.glom().collect()] == [key for (key,) in keys]


@dataclass(frozen=True)
class RefusingJob:
    """Refuses a share of the rows, or the dataset as a whole."""

    share: float
    schema = pa.schema([("household_id", pa.string())])

    @property
    def digest(self) -> str:
        return f"refusing {self.share}"

    def open(self) -> Callable[[Tables], Done]:
        share = self.share

        def run(tables: Tables) -> Done:
            if share > 1:
                raise DatasetRefused("the region is another one")
            rows = tables.events.num_rows + tables.members.num_rows + tables.households.num_rows
            return Done(tables.households.select(["household_id"]), {}, int(share * rows), rows)

        return run


@needs_spark
@pytest.mark.parametrize(
    ("share", "reason"), [(2.0, "^the region is another one$"), (0.06, "rows are refused, over 5%")]
)
def test_what_is_refused_is_refused_on_spark_in_the_same_words(
    share: float, reason: str, spark: Any, tiny_county: Path, tmp_path: Path
) -> None:
    with pytest.raises(DatasetRefused, match=reason):
        run_on_spark(tiny_county, RefusingJob(share), tmp_path / "spark", n_buckets=3)
    assert list(tmp_path.iterdir()) == []


NESTED = pa.schema(
    [
        ("household_id", pa.string()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        ("reasons", pa.list_(pa.struct([("code", pa.string()), ("weights", pa.list_(pa.float64()))]))),
    ]
)


@dataclass(frozen=True)
class NestedJob:
    """Writes lists of records, as scores have them, with empty and missing ones."""

    schema = NESTED
    digest = "nested"

    def open(self) -> Callable[[Tables], Done]:
        def run(tables: Tables) -> Done:
            ids = sorted(tables.households["household_id"].to_pylist())
            kinds = [None, [], [{"code": "a", "weights": [0.1, None]}, {"code": None, "weights": []}]]
            moments = (1_700_000_000_123_456, None)
            rows = [
                {"household_id": h, "as_of": moments[ord(h[-1]) % 2], "reasons": kinds[ord(h[-1]) % 3]} for h in ids
            ]
            return Done(pa.Table.from_pylist(rows, schema=NESTED), {}, 0, len(ids))

        return run


@needs_spark
def test_lists_and_moments_come_through_unchanged(spark: Any, tiny_county: Path, tmp_path: Path) -> None:
    run_buckets(tiny_county, NestedJob(), tmp_path / "local.parquet", title="Test", n_buckets=3)
    run_on_spark(tiny_county, NestedJob(), tmp_path / "spark", n_buckets=3)
    assert sorted_rows(tmp_path / "local.parquet").to_pylist() == sorted_rows(tmp_path / "spark").to_pylist()


@needs_spark
def test_an_output_is_replaced_and_any_other_folder_is_not(spark: Any, tiny_county: Path, tmp_path: Path) -> None:
    out = tmp_path / "spark"
    for _ in range(2):
        assert run_on_spark(tiny_county, RefusingJob(0.0), out, n_buckets=2).rows == 600
    other = tmp_path / "notes"
    other.mkdir()
    (other / "note.txt").write_text("mine")
    with pytest.raises(DatasetRefused, match="no output of Spark"):
        run_on_spark(tiny_county, RefusingJob(0.0), other)
    assert (other / "note.txt").read_text() == "mine"


@pytest.mark.skipif(importlib.util.find_spec("pyspark") is not None, reason="pyspark is installed")
def test_without_the_extra_the_message_names_it() -> None:
    with pytest.raises(RunStopped, match=r"povrisk\[spark\]"):
        session()


def test_the_county_of_these_tests_has_people_who_moved(tiny_county: Path) -> None:
    members = read_dataset(tiny_county).members
    assert (members.groupby("person_id")["household_id"].nunique() > 1).any()
