"""Buckets of households: every row in exactly one, nobody's household apart, whatever the files look like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import features.buckets as buckets_module
from features.buckets import Buckets, bucket_count, partition
from features.dataset import DatasetRefused, folder_digest, write_dataset
from features.event import EVENTS, HOUSEHOLDS, MEMBERS
from features.keys import hashes
from features.links import Links, edges_of, joined
from features.table_files import TableFiles
from tests.records import META, dataset, event, household, member

TABLES = ("events", "members", "households")
Pair = tuple[str, str]


def write(folder: Path, pairs: list[Pair], event_pairs: list[Pair] = [], **more: Any) -> Path:  # noqa: B006
    """A dataset: each person of `pairs` lives in the household, each of `event_pairs` has an event there."""
    ids = sorted({h for _, h in pairs + event_pairs})
    events = [event("EMP//WAGE", "2025-03-01", value=float(i), household=h, person_id=p) | {"event_id": f"e{i}"} | more
              for i, (p, h) in enumerate(event_pairs)]  # fmt: skip
    made = dataset(events, [member(p, household=h) for p, h in pairs], [household(h) for h in ids])
    write_dataset(folder, events=made.events, members=made.members, households=made.households, meta=META)
    return folder


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(3)
    homes = [f"h{i:03d}" for i in range(80)]
    pairs = [(f"p{i}", homes[i % 80]) for i in range(160)] + [("p7", "h050"), ("p150", "h003")]
    events = [(f"p{rng.integers(160)}", "") for _ in range(500)]
    events = [(p, homes[int(p[1:]) % 80]) for p, _ in events] + [("p9", "h077")]
    return write(tmp_path_factory.mktemp("data") / "county", pairs, events)


def rows(table: pa.Table) -> list[str]:
    return [json.dumps(row, default=str, sort_keys=True) for row in table.to_pylist()]


def all_rows(buckets: Buckets) -> dict[str, list[str]]:
    read = [buckets.read(i) for i in range(buckets.n)]
    return {name: sorted(row for tables in read for row in rows(getattr(tables, name))) for name in TABLES}


def test_hashes_do_not_depend_on_how_arrow_holds_the_strings() -> None:
    ids = pa.array(["冯家", "", None, "h-1", "冯家"])
    expected = hashes(ids)
    assert expected[0] == expected[4] != expected[3]
    assert expected[2] == 0
    forms = [
        ids.dictionary_encode(),
        pa.chunked_array([ids.slice(0, 2), ids.slice(2)]),
        pa.concat_arrays([pa.array(["x"]), ids]).slice(1),
        ids.cast(pa.large_string()),
    ]
    for form in forms:
        assert np.array_equal(hashes(form), expected)
    assert len(hashes(pa.array([], pa.string()))) == 0


@pytest.mark.parametrize("n", [1, 2, 7, 300])
def test_every_row_lies_in_exactly_one_bucket(n: int, county: Path, tmp_path: Path) -> None:
    expected = {name: sorted(rows(pq.read_table(county / f"{name}.parquet"))) for name in TABLES}
    buckets = partition(county, tmp_path / "spill", n=n)
    assert all_rows(buckets) == expected
    assert sum(buckets.households) == 80
    assert [buckets.read(i).households.num_rows for i in range(n)] == list(buckets.households)
    assert buckets.rows == {name: len(expected[name]) for name in TABLES}


def test_a_bucket_has_the_types_of_the_schema_with_words_numbered(county: Path, tmp_path: Path) -> None:
    for n in (1, 2):
        read = partition(county, tmp_path / "spill", n=n).read(0)
        for table, schema in ((read.events, EVENTS), (read.members, MEMBERS), (read.households, HOUSEHOLDS)):
            for field in schema:
                found = table.schema.field(field.name).type
                assert found in (field.type, pa.dictionary(pa.int32(), pa.string()))
        assert pa.types.is_dictionary(read.events.schema.field("code").type)


def test_one_bucket_copies_nothing(county: Path, tmp_path: Path) -> None:
    buckets = partition(county, tmp_path / "spill")
    assert buckets.n == 1
    assert not (tmp_path / "spill").exists()
    with pytest.raises(IndexError):
        buckets.read(1)


def test_the_number_of_buckets_follows_from_the_rows() -> None:
    assert bucket_count(0, 0) == 1
    assert bucket_count(250_000, 25_000) == 1
    assert bucket_count(250_001, 1) == 2
    assert bucket_count(1, 75_001) == 4


def groups_of(pairs: list[Pair]) -> list[set[str]]:
    """Slow and plain: merge sets until nothing merges."""
    groups = [{h for p, h in pairs if p == person} for person in {p for p, _ in pairs}]
    merged = True
    while merged:
        merged = False
        for i, a in enumerate(groups):
            for b in groups[i + 1 :]:
                if a & b:
                    a |= b
                    groups.remove(b)
                    merged = True
                    break
    return groups


few_pairs = st.lists(st.tuples(st.sampled_from("pqrstuvw"), st.sampled_from([f"h{i}" for i in range(12)])), min_size=1)


@settings(max_examples=60)
@given(members=few_pairs, events=few_pairs)
def test_households_that_share_a_person_share_a_bucket(
    members: list[Pair], events: list[Pair], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = write(tmp_path_factory.mktemp("drawn") / "data", members, events)
    buckets = partition(folder, folder.parent / "spill", n=5)
    at = {h: i for i in range(5) for h in buckets.read(i).households["household_id"].to_pylist()}
    for group in groups_of(members + events):
        assert len({at[h] for h in group}) == 1
    # Who shares nobody stands where the id alone puts it.
    linked = {h for group in groups_of(members + events) if len(group) > 1 for h in group}
    alone = Links(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
    for h in set(at) - linked:
        assert at[h] == alone.buckets(hashes(pa.array([h])), 5)[0]


def test_a_long_chain_of_moves_is_one_group() -> None:
    edges = np.array([[i, i + 1] for i in range(100, 5000)], np.uint64)
    np.random.default_rng(0).shuffle(edges)
    assert set(joined(edges).representatives.tolist()) == {100}


def test_more_people_than_expected_are_still_all_met() -> None:
    persons = np.concatenate([np.arange(1, 20_001), np.arange(1, 20_001)]).astype(np.uint64)
    homes = np.concatenate([np.full(20_000, 7), np.arange(10, 20_010)]).astype(np.uint64)
    passes = []

    def pairs() -> list[tuple[Any, Any]]:
        passes.append(1)
        return [(persons[:5000], homes[:5000]), (persons[5000:], homes[5000:])]

    found = edges_of(pairs, 10)
    assert len(passes) > 1
    assert sorted(found[:, 1].tolist()) == list(range(10, 20_010))
    assert set(found[:, 0].tolist()) == {7}


def test_nobody_links_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", [("p1", "a"), ("p2", "b")], [("x", "a"), ("y", "b")], person_id=None)
    assert len(buckets_module.dataset_links(TableFiles.of(folder)).households) == 0


def test_buckets_are_the_same_whatever_order_the_rows_have(county: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "dataset.json").write_text(json.dumps(META.as_json()))
    for name in TABLES:
        table = pq.read_table(county / f"{name}.parquet")
        shuffled = table.take(pa.array(np.random.default_rng(1).permutation(len(table))))
        pq.write_table(shuffled, other / f"{name}.parquet", row_group_size=37)
    one, two = partition(county, tmp_path / "a", n=6), partition(other, tmp_path / "b", n=6)
    assert one.households == two.households
    for i in range(6):
        for name in TABLES:
            assert sorted(rows(getattr(one.read(i), name))) == sorted(rows(getattr(two.read(i), name)))


def as_tree(county: Path, place: Path, region: str = "0330") -> Path:
    """The same dataset as a tree of files; the region stands in the path alone, as Spark writes it."""
    place.mkdir()
    (place / "dataset.json").write_text(json.dumps(META.as_json()))
    for name in TABLES:
        table = pq.read_table(county / f"{name}.parquet")
        half = len(table) // 2
        for i, part in enumerate((table.slice(0, half), table.slice(half))):
            key = f"region={region}" if name == "households" else f"part={i}"
            tree = place / (f"{name}.parquet" if name == "members" else name) / key
            tree.mkdir(parents=True, exist_ok=True)
            pq.write_table(part.drop_columns(["region"]) if name == "households" else part, tree / f"{i}.parquet")
        (tree.parent / "_SUCCESS").touch()
    return place


@pytest.mark.parametrize("n", [1, 3])
def test_a_tree_of_files_reads_as_one_table(n: int, county: Path, tmp_path: Path) -> None:
    tree = as_tree(county, tmp_path / "tree")
    flat, found = (all_rows(partition(at, tmp_path / f"{at.name}-spill", n=n)) for at in (county, tree))
    assert found["events"] == flat["events"]
    assert found["members"] == flat["members"]
    # Digits in a path are words: the leading zero stays.
    assert {json.loads(row)["region"] for row in found["households"]} == {"0330"}
    assert [json.loads(row)["household_id"] for row in found["households"]] == [
        json.loads(row)["household_id"] for row in flat["households"]
    ]


def test_a_row_group_is_in_one_split(county: Path, tmp_path: Path) -> None:
    tree = as_tree(county, tmp_path / "tree")
    source = TableFiles.of(tree)
    splits = source.splits(1)
    read = [batch for split in splits for batch in source.batches(split.name, split=split)]
    assert sum(len(batch) for batch in read) == sum(source.rows.values())
    assert len(splits) == 6


def test_the_digest_is_that_of_the_folder_and_guards_a_tree_too(county: Path, tmp_path: Path) -> None:
    assert TableFiles.of(county).digest() == folder_digest(county)
    tree = as_tree(county, tmp_path / "tree")
    before = TableFiles.of(tree).digest()
    (tree / "events" / "part=0" / "0.parquet").rename(tree / "events" / "part=1" / "0.parquet")
    after = TableFiles.of(tree).digest()
    assert before != after
    (tree / "dataset.json").write_text(json.dumps(META.as_json() | {"digest": before}))
    with pytest.raises(DatasetRefused, match="not the ones"):
        TableFiles.of(tree).digest()


def test_free_text_is_no_dictionary(county: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets_module, "WORDS_KEPT", 3)
    monkeypatch.setattr(buckets_module, "ROWS_AT_ONCE", (16, 16))
    monkeypatch.setattr(buckets_module, "ROWS_A_WRITE", 1)
    other = tmp_path / "other"
    other.mkdir()
    (other / "dataset.json").write_text(json.dumps(META.as_json()))
    for name in TABLES:
        table = pq.read_table(county / f"{name}.parquet")
        if name == "events":
            texts = [f"text {max(0, i - 100)}" if i % 5 else None for i in range(len(table))]
            table = table.set_column(table.schema.get_field_index("text"), "text", pa.array(texts))
        pq.write_table(table, other / f"{name}.parquet", row_group_size=64)
    expected = sorted(rows(pq.read_table(other / "events.parquet")))
    assert all_rows(partition(other, tmp_path / "spill", n=3))["events"] == expected


def test_a_finished_partition_is_taken_as_it_is_and_no_other(county: Path, tmp_path: Path) -> None:
    spill = tmp_path / "spill"
    partition(county, spill, n=3)
    written = (spill / "events.rows").stat().st_mtime_ns
    assert partition(county, spill, n=3).n == 3
    assert (spill / "events.rows").stat().st_mtime_ns == written
    with (spill / "events.rows").open("ab") as file:
        file.truncate(100)
    again = partition(county, spill, n=3)
    assert (spill / "events.rows").stat().st_mtime_ns != written
    assert sum(again.read(i).events.num_rows for i in range(3)) == 501
    assert partition(county, spill, n=4).n == 4
    again.remove()
    assert not spill.exists()
    assert (county / "events.parquet").exists()


def copy(county: Path, place: Path) -> Path:
    place.mkdir()
    for path in county.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    return place


@pytest.mark.parametrize("n", [1, 3])
def test_what_cannot_be_read_is_refused_in_the_words_of_the_dataset(n: int, county: Path, tmp_path: Path) -> None:
    def refused(folder: Path, reason: str) -> None:
        with pytest.raises(DatasetRefused, match=reason):
            partition(folder, tmp_path / "spill", n=n).read(0)

    lacking = copy(county, tmp_path / "lacking")
    pq.write_table(pq.read_table(county / "events.parquet").drop_columns(["unit"]), lacking / "events.parquet")
    refused(lacking, r"events lacks the column\(s\) unit")
    without_id = copy(county, tmp_path / "without-id")
    pq.write_table(
        pq.read_table(county / "members.parquet").drop_columns(["person_id"]), without_id / "members.parquet"
    )
    refused(without_id, r"members lacks the column\(s\) person_id")
    mistyped = copy(county, tmp_path / "mistyped")
    table = pq.read_table(county / "events.parquet")
    column = table.schema.get_field_index("value")
    wrong = table.set_column(column, "value", pa.array(["much"] * len(table)))
    pq.write_table(wrong, mistyped / "events.parquet")
    refused(mistyped, "events.value cannot be read as double")
    broken = copy(county, tmp_path / "broken")
    (broken / "members.parquet").write_bytes((county / "members.parquet").read_bytes()[:-20])
    refused(broken, "members.parquet is damaged or no Parquet file")
    (broken / "members.parquet").unlink()
    refused(broken, "members.parquet is missing from the dataset folder")
    double = copy(county, tmp_path / "double")
    (double / "events").mkdir()
    refused(double, "leave one of them")


def test_rows_without_a_household_are_kept_for_intake_to_refuse(county: Path, tmp_path: Path) -> None:
    loose = copy(county, tmp_path / "loose")
    table = pq.read_table(county / "events.parquet")
    ids = pa.array([None, *table["household_id"].to_pylist()[1:]], pa.string())
    pq.write_table(table.set_column(1, "household_id", ids), loose / "events.parquet")
    buckets = partition(loose, tmp_path / "spill", n=3)
    assert sum(buckets.read(i).events["household_id"].null_count for i in range(3)) == 1


def test_tables_without_rows_are_buckets_without_rows(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", [])
    for n in (1, 3):
        buckets = partition(folder, tmp_path / "spill", n=n)
        assert [buckets.read(i).events.num_rows for i in range(n)] == [0] * n
        assert buckets.households == (0,) * n
