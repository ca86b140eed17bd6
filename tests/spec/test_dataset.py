"""Dataset folders: written whole or not at all, read only when they are what they say."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.dataset import (
    REQUIRED,
    Dataset,
    DatasetMeta,
    DatasetRefused,
    DatasetWriter,
    Moments,
    folder_digest,
    read_dataset,
    read_meta,
)
from features.dataset import write_dataset as write
from tests.records import META, dataset, event, member

MADE = dataset(
    [
        event("CLM//INPATIENT", "2025-03-01T10:00:00.123457", "2025-03-05", 14_200.0, person_id="p1", text="I63"),
        event("EDU//DROPOUT", "2025-04-01"),
    ],
    [member("p1", left="2025-06-01"), member("p2", born=None, sex=None)],
)
TRUTH = pd.DataFrame(
    {"household_id": ["h1"], "as_of": pd.to_datetime(["2025-01-31T16:00:00Z"]), "hazard_12m": [0.03125]}
)


def written(folder: Path, made: Dataset = MADE, **more: Any) -> Path:
    write(folder, events=made.events, members=made.members, households=made.households, meta=made.meta, **more)
    return folder


def only(folder: Path) -> list[str]:
    """Everything that lies in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def with_meta(folder: Path, **changed: Any) -> Path:
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changed), encoding="utf-8")
    return folder


def test_what_was_written_is_read(tmp_path: Path) -> None:
    audit = pd.DataFrame({"household_id": ["h1"], "minority": [True]})
    read = read_dataset(written(tmp_path / "d", audit=audit, truth=TRUTH))
    for name in REQUIRED:
        pd.testing.assert_frame_equal(getattr(read, name), getattr(MADE, name))
    assert read.audit is not None
    assert read.audit["minority"].tolist() == [True]
    assert read.truth is not None
    assert read.truth["hazard_12m"].tolist() == [0.03125]
    assert dataclasses.replace(read.meta, digest="") == META
    assert isinstance(read.meta.moments, Moments)
    assert read.meta.sources == {"医保": (5, 120)}


def test_a_missing_value_stays_missing_and_a_moment_keeps_its_microsecond(tmp_path: Path) -> None:
    read = read_dataset(written(tmp_path / "d"))
    assert read.events["value"].isna().tolist() == [False, True]
    assert read.members["birth_date"].isna().tolist() == [False, True]
    assert read.members["left_at"].isna().tolist() == [False, True]
    assert read.events["occurred_at"][0] == pd.Timestamp("2025-03-01T02:00:00.123457Z")


def test_audit_and_truth_may_be_absent(tmp_path: Path) -> None:
    read = read_dataset(written(tmp_path / "d"))
    assert (read.audit, read.truth) == (None, None)


def test_the_digest_is_the_contents_and_nothing_elses(tmp_path: Path) -> None:
    one = written(tmp_path / "one")
    digest = read_meta(one).digest
    assert digest == folder_digest(one)
    assert len(digest) == 64
    assert read_meta(written(tmp_path / "other")).digest == digest
    changed = MADE.events.assign(value=[14_200.01, None])
    assert read_meta(written(tmp_path / "c", dataclasses.replace(MADE, events=changed))).digest != digest
    moved = MADE.households.assign(township="t02")
    assert read_meta(written(tmp_path / "h", dataclasses.replace(MADE, households=moved))).digest != digest
    assert read_meta(written(tmp_path / "t", truth=TRUTH)).digest != digest


def test_pieces_make_the_same_dataset(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "d", META) as writer:
        for i in range(2):
            writer.append("events", MADE.events[i : i + 1])
            writer.append("members", MADE.members[i : i + 1])
        writer.append("households", MADE.households)
    read = read_dataset(tmp_path / "d")
    for name in REQUIRED:
        pd.testing.assert_frame_equal(getattr(read, name), getattr(MADE, name))


class Stop(Exception):
    pass


def breaking_off(folder: Path) -> None:
    with DatasetWriter(folder, META) as writer:
        writer.append("events", MADE.events)
        raise Stop


def leaving_out(folder: Path) -> None:
    with DatasetWriter(folder, META) as writer:
        writer.append("events", MADE.events)
        writer.append("members", MADE.members)


def lacking_a_column(folder: Path) -> None:
    written(folder, dataclasses.replace(MADE, members=MADE.members.drop(columns="role")))


def with_a_text_for_a_number(folder: Path) -> None:
    written(folder, dataclasses.replace(MADE, events=MADE.events.assign(value="many")))


def with_words_that_cannot_be_written(folder: Path) -> None:
    written(folder, dataclasses.replace(MADE, meta=dataclasses.replace(META, provenance="\ud800")))


FAILURES = [breaking_off, leaving_out, lacking_a_column, with_a_text_for_a_number, with_words_that_cannot_be_written]


@pytest.mark.parametrize("fail", FAILURES)
def test_a_failed_write_leaves_nothing(fail: Callable[[Path], None], tmp_path: Path) -> None:
    with pytest.raises((Stop, DatasetRefused, KeyError, pa.ArrowInvalid, UnicodeEncodeError)):
        fail(tmp_path / "d")
    assert only(tmp_path) == []


@pytest.mark.parametrize("fail", FAILURES)
def test_a_failed_write_leaves_the_dataset_that_was_there(fail: Callable[[Path], None], tmp_path: Path) -> None:
    before = read_meta(written(tmp_path / "d")).digest
    with pytest.raises((Stop, DatasetRefused, KeyError, pa.ArrowInvalid, UnicodeEncodeError)):
        fail(tmp_path / "d")
    assert only(tmp_path) == ["d"]
    assert read_meta(tmp_path / "d").digest == before == folder_digest(tmp_path / "d")


def test_an_unfinished_dataset_is_not_in_its_place(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "d", META) as writer:
        for name in REQUIRED:
            writer.append(name, getattr(MADE, name))
            assert not (tmp_path / "d").exists()
    assert only(tmp_path) == ["d"]
    assert only(tmp_path / "d") == ["dataset.json", "events.parquet", "households.parquet", "members.parquet"]


def test_a_dataset_replaces_a_dataset_whole(tmp_path: Path) -> None:
    written(tmp_path / "d", truth=TRUTH)
    assert read_dataset(written(tmp_path / "d")).truth is None


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(DatasetRefused, match="thesis exists and is no dataset folder"):
        written(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    assert read_meta(written(tmp_path / "empty")).name == "by hand"


def test_a_table_that_no_dataset_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no table 'visits'"), DatasetWriter(tmp_path / "d", META) as writer:
        writer.append("visits", MADE.events)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_table_is_named(name: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "d")
    (folder / f"{name}.parquet").unlink()
    with pytest.raises(DatasetRefused, match=rf"{name}\.parquet is missing"):
        read_dataset(folder)


def without_digest(folder: Path) -> Path:
    """The folder as somebody hands it over who writes no digest."""
    meta = json.loads((folder / "dataset.json").read_text("utf-8"))
    (folder / "dataset.json").write_text(json.dumps(meta | {"digest": ""}), "utf-8")
    return folder


def test_tables_other_than_the_digest_says_are_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "d")
    pq.write_table(pq.read_table(folder / "events.parquet").slice(1), folder / "events.parquet")
    with pytest.raises(DatasetRefused, match=r"not the ones dataset\.json was written with"):
        read_dataset(folder)
    assert len(read_dataset(without_digest(folder)).events) == len(MADE.events) - 1


def test_missing_columns_are_named(tmp_path: Path) -> None:
    folder = without_digest(written(tmp_path / "d"))
    pq.write_table(
        pq.read_table(folder / "events.parquet").drop_columns(["known_at", "unit"]), folder / "events.parquet"
    )
    with pytest.raises(DatasetRefused, match=r"events lacks the column\(s\) known_at, unit"):
        read_dataset(folder)


def test_a_column_of_another_kind_is_named(tmp_path: Path) -> None:
    folder = without_digest(written(tmp_path / "d"))
    table = pq.read_table(folder / "events.parquet").drop_columns(["occurred_at"])
    pq.write_table(table.append_column("occurred_at", pa.array(["in spring", "later"])), folder / "events.parquet")
    with pytest.raises(
        DatasetRefused, match=r"events\.occurred_at cannot be read as timestamp\[us, tz=UTC\]"
    ) as refused:
        read_dataset(folder)
    assert "spring" not in str(refused.value)


def test_columns_beyond_the_schema_and_another_order_do_no_harm(tmp_path: Path) -> None:
    folder = without_digest(written(tmp_path / "d"))
    table = pq.read_table(folder / "events.parquet")
    turned = table.select(table.column_names[::-1]).append_column("note", pa.array(["a", "b"]))
    pq.write_table(turned, folder / "events.parquet")
    pd.testing.assert_frame_equal(read_dataset(folder).events, MADE.events)


def test_moments_in_another_zone_or_precision_are_the_same_moments(tmp_path: Path) -> None:
    folder = without_digest(written(tmp_path / "d"))
    table = pq.read_table(folder / "members.parquet")
    at = table.column_names.index("joined_at")
    local = table.column("joined_at").cast(pa.timestamp("ns", tz="Asia/Shanghai"))
    pq.write_table(table.set_column(at, "joined_at", local), folder / "members.parquet")
    pd.testing.assert_frame_equal(read_dataset(folder).members, MADE.members)


def test_a_truncated_table_is_refused_at_every_length(tmp_path: Path) -> None:
    folder = without_digest(written(tmp_path / "d"))
    whole = (folder / "events.parquet").read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        (folder / "events.parquet").write_bytes(whole[:length])
        with pytest.raises(DatasetRefused, match=r"events\.parquet is damaged or no Parquet file"):
            read_dataset(folder)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"surprise": 1}, "unknown fields: surprise"),
        ({"moments": {"first": "2024-01-31"}}, "in a form that cannot be read"),
        ({"moments": "monthly"}, "in a form that cannot be read"),
        ({"sources": {"医保": 5}}, "in a form that cannot be read"),
        ({"sources": ["医保"]}, "in a form that cannot be read"),
        ({"regions": None}, "in a form that cannot be read"),
        ({"data_until": "the day before yesterday"}, "in a form that cannot be read"),
        ({"data_until": 20261231}, "in a form that cannot be read"),
        ({"time_zone": "Mars/Olympus"}, "in a form that cannot be read"),
    ],
)
def test_a_description_that_cannot_be_read_is_refused(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = with_meta(written(tmp_path / "d"), **changed)
    with pytest.raises(DatasetRefused, match=message):
        read_meta(folder)


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(DatasetMeta) if f.name != "digest"])
def test_a_description_without_a_field_is_refused_by_its_name(name: str) -> None:
    fields = META.as_json()
    del fields[name]
    with pytest.raises(DatasetRefused, match=f"dataset.json lacks {name}$"):
        DatasetMeta.from_json(fields)


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b'"text"', b"\xff\xfe", b'{"name": '])
def test_a_description_that_is_no_object_is_refused(content: bytes, tmp_path: Path) -> None:
    folder = written(tmp_path / "d")
    (folder / "dataset.json").write_bytes(content)
    with pytest.raises(DatasetRefused, match=r"dataset\.json"):
        read_dataset(folder)


def test_a_folder_without_a_description_is_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetRefused, match=r"has no dataset\.json"):
        read_dataset(tmp_path)
