"""Vectors as rows: the rows of the matrix, whatever buckets the households lie in, and only the features asked for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from features.bucket_run import run_buckets
from features.command_line import main
from features.dataset import DatasetRefused, read_dataset, write_dataset
from features.history import history_from_tables
from features.intake import admitted
from features.matrix import matrix
from features.tables import Tables
from features.vector_rows import KEYS, VectorsJob, vector_table
from tests.records import CORE, META, ZONE, at, dataset, event, household, member

DAYS = ("2025-03-31", "2025-12-31")
HOMES = [f"h{i:02d}" for i in range(40)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(8)
    codes = ("CLM//INPATIENT", "EMP//WAGE", "MON//ENTER")
    people = {home: [f"{home} {i}" for i in range(2)] for home in HOMES}
    events = []
    for i in range(400):
        home, month, code = HOMES[rng.integers(40)], int(rng.integers(1, 12)), codes[rng.integers(3)]
        value = None if code == "MON//ENTER" else float(rng.integers(1, 9000))
        known = f"2025-{month + 1:02d}-03"
        who = None if code == "MON//ENTER" else people[home][rng.integers(2)]
        events.append(
            event(code, f"2025-{month:02d}-07", known, value, household=home, person_id=who) | {"event_id": f"e{i}"}
        )
    members = [member(person, household=home) for home in HOMES for person in people[home]]
    # Some move, so that some households hang together.
    members += [member(f"{HOMES[i]} 0", "2025-06-01", household=HOMES[i + 20]) for i in range(0, 20, 4)]
    made = dataset(events, members, [household(home) for home in HOMES])
    place = tmp_path_factory.mktemp("data") / "county"
    write_dataset(place, events=made.events, members=made.members, households=made.households, meta=META)
    return place


def run(*args: Any) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def job(folder: Path, *names: str) -> VectorsJob:
    return VectorsJob(read_dataset(folder).meta, DAYS, names)


def expected(folder: Path) -> dict[tuple[str, int], np.ndarray[Any, Any]]:
    """The vectors of the whole dataset at once, by household and moment."""
    clean = admitted(read_dataset(folder), CORE)
    history = history_from_tables(clean.events, clean.members, clean.households, CORE, time_zone=ZONE)
    found = {}
    for day in DAYS:
        part = matrix(history, at(day))
        found |= {(str(h), at(day)): part.values[i] for i, h in enumerate(part.household_ids)}
    return found


def one_nan(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same numbers with NaN in one spelling, to be compared as bytes."""
    return np.where(np.isnan(values), np.nan, values)


@pytest.mark.parametrize("n", [1, 5])
def test_the_rows_of_any_number_of_buckets_are_those_of_the_whole(n: int, folder: Path, tmp_path: Path) -> None:
    report = run_buckets(folder, job(folder), tmp_path / "v.parquet", title="Test", n_buckets=n)
    table = pq.read_table(tmp_path / "v.parquet")
    assert report.rows == len(table) == 80
    whole = expected(folder)
    keys = zip(table["household_id"].to_pylist(), table["as_of"].cast(pa.int64()).to_pylist(), strict=True)
    values = np.stack([table[name].to_numpy() for name in CORE.names], axis=1)
    for key, row in zip(keys, values, strict=True):
        assert one_nan(row).tobytes() == one_nan(whole.pop(key)).tobytes()
    assert whole == {}


def test_rows_stand_by_moment_and_then_by_household(folder: Path, tmp_path: Path) -> None:
    assert (
        run("vectors", folder, "--as-of", DAYS[0], "--as-of", DAYS[1], "--out", tmp_path / "v.parquet").exit_code == 0
    )
    table = pq.read_table(tmp_path / "v.parquet")
    assert table["household_id"].to_pylist() == HOMES * 2
    assert table["as_of"].cast(pa.int64()).to_pylist() == [at(DAYS[0])] * 40 + [at(DAYS[1])] * 40


def test_unknown_is_empty_and_never_a_nan(folder: Path) -> None:
    found = read_dataset(folder)
    table = vector_table(Tables.from_frames(found.events, found.members, found.households), CORE, [at(DAYS[0])], ZONE)
    values = table.drop_columns([field.name for field in KEYS])
    assert sum(column.null_count for column in values.columns) > 0
    assert not any(np.isnan(column.drop_null().to_numpy()).any() for column in values.columns)


def test_no_moments_and_no_households_are_no_rows(folder: Path) -> None:
    made = dataset([], [], [])
    empty = Tables.from_frames(made.events, made.members, made.households)
    assert vector_table(empty, CORE, [at(DAYS[0])], ZONE).num_rows == 0
    assert vector_table(empty, CORE, [], ZONE).schema.names == ["household_id", "as_of", *CORE.names]


def test_chosen_features_stand_alone_in_the_order_asked_for(folder: Path, tmp_path: Path) -> None:
    names = (CORE.names[9], CORE.names[2])
    args = [part for name in names for part in ("--features", name)]
    all_of, some = tmp_path / "all.parquet", tmp_path / "some.parquet"
    assert run("vectors", folder, "--as-of", DAYS[1], "--out", all_of).exit_code == 0
    said = run("vectors", folder, "--as-of", DAYS[1], "--out", some, *args, "--json")
    assert json.loads(said.stdout)["features"] == 2
    table = pq.read_table(some)
    assert table.column_names == ["household_id", "as_of", *names]
    assert table.equals(pq.read_table(all_of).select(table.column_names))


def test_a_name_or_a_moment_that_does_not_exist_is_refused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.parquet"
    for args, reason in (
        (["--as-of", DAYS[1], "--features", "wages"], "wages: no such feature"),
        (["--as-of", DAYS[1], "--features", CORE.names[0], "--features", CORE.names[0]], "named twice"),
        (["--as-of", "yesterday"], "Error"),
    ):
        result = run("vectors", folder, *args, "--out", out)
        assert result.exit_code == 1
        assert reason in result.stderr
        assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_file_says_by_which_definitions_and_from_which_data(folder: Path, tmp_path: Path) -> None:
    run_buckets(folder, job(folder), tmp_path / "v.parquet", title="Test")
    metadata = pq.read_schema(tmp_path / "v.parquet").metadata
    assert metadata[b"features_digest"].decode() == CORE.digest
    assert metadata[b"dataset_digest"].decode() == read_dataset(folder).meta.digest != ""


def test_the_report_counts_what_is_unknown_at_the_last_moment(folder: Path, tmp_path: Path) -> None:
    args = ["--as-of", DAYS[0], "--as-of", DAYS[1], "--out", tmp_path / "v.parquet", "--workers", "1"]
    said = json.loads(run("vectors", folder, *args, "--json").stdout)
    last = [row for (_, moment), row in expected(folder).items() if moment == at(DAYS[1])]
    assert said["unknown_share_last"] == np.isnan(last).mean()
    assert said["rows"] == 80
    assert {"intake", "vectors", "write"} <= set(said["stages"])


def test_the_digest_changes_with_whatever_changes_the_rows(folder: Path) -> None:
    one = job(folder)
    others = [
        dataclasses.replace(one, as_ofs=DAYS[:1]),
        dataclasses.replace(one, names=(CORE.names[0],)),
        dataclasses.replace(one, meta=dataclasses.replace(one.meta, time_zone="UTC")),
        dataclasses.replace(one, meta=dataclasses.replace(one.meta, data_until="2025-10-31")),
    ]
    assert len({each.digest for each in (one, *others)}) == len(others) + 1
    assert one.digest == job(folder).digest


def test_refused_rows_are_left_out_and_too_many_stop_the_run(folder: Path, tmp_path: Path) -> None:
    made = read_dataset(folder)
    events = made.events.copy()
    events.loc[[3, 7], "unit"] = "万元"
    events.loc[[3, 7], "value"] = 1.5
    for name, n, bad in (("few", 1, [3, 7]), ("many", 4, list(range(40)))):
        events.loc[bad, "status"] = "mended"
        place = tmp_path / name
        write_dataset(place, events=events, members=made.members, households=made.households, meta=META)
        if name == "few":
            report = run_buckets(place, job(place), tmp_path / "v.parquet", title="Test", n_buckets=n)
            assert (report.refused_rows, report.input_rows) == (2, 400 + 85 + 40)
        else:
            with pytest.raises(DatasetRefused, match="of the rows are refused"):
                run_buckets(place, job(place), tmp_path / "w.parquet", title="Test", n_buckets=n)
            assert not (tmp_path / "w.parquet").exists()
