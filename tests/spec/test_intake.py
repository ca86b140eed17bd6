"""Intake: every row is admitted, or refused by row and field with a reason that never repeats what was written."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from features.command_line import main
from features.dataset import Dataset, DatasetRefused, write_dataset
from features.event import EVENTS, HOUSEHOLDS, MEMBERS
from features.intake import (
    MAX_REFUSED_SHARE,
    admit,
    admit_tables,
    admitted,
    admitted_tables,
    event_problems,
    read_for_check,
    refuse_if_too_many,
)
from features.matrix import matrix
from features.tables import Tables
from features.window import NEVER
from tests.records import CORE, META, at, dataset, event, history, household, member
from training.rows import dataset_history

LATEST = 1_000
PAID: dict[str, Any] = {
    "event_id": "e1",
    "person_id": "p1",
    "code": "CLM//INPATIENT",
    "occurred_at": 10,
    "known_at": 20,
    "value": 1_420.0,
    "unit": "CNY",
    "status": "original",
    "supersedes": None,
    "source": "医保",
}
LOW, HIGH = CORE.by_code["CLM//INPATIENT"].bounds or (0.0, 0.0)
ENDS: dict[str, Any] = {"code": "DIS//CERT_EXPIRE", "value": None, "unit": None}
UNVALUED: dict[str, Any] = {"code": "EDU//DROPOUT", "value": None, "unit": None}


def fields(*rows: dict[str, Any], currency: str = "CNY") -> list[tuple[int, str]]:
    columns = {name: [(PAID | row)[name] for row in rows] for name in PAID}
    return [(p.row, p.field) for p in event_problems(columns, CORE, currency=currency, latest=LATEST)]


@pytest.mark.parametrize(
    ("wrong", "field", "right"),
    [
        ({"event_id": ""}, "event_id", {"event_id": "x"}),
        ({"event_id": None}, "event_id", {"event_id": "0"}),
        ({"source": ""}, "source", {"source": "民政"}),
        ({"source": None}, "source", {"source": "民政"}),
        ({"code": "inpatient"}, "code", {"code": "NEW//THING"}),
        ({"code": "CLM//inpatient"}, "code", {"code": "CLM//NEVER_HEARD_OF"}),
        ({"code": None, "unit": None}, "code", {}),
        ({"occurred_at": NEVER}, "occurred_at", {"occurred_at": 20}),
        ({"known_at": NEVER}, "known_at", {"known_at": 10}),
        ({"known_at": LATEST + 1}, "known_at", {"known_at": LATEST}),
        ({"known_at": 9}, "known_at", {"known_at": 10}),
        ({"value": HIGH * 1.0001}, "value", {"value": HIGH}),
        ({"value": LOW - 0.01}, "value", {"value": LOW}),
        ({"value": -0.01} if LOW == 0 else {"value": LOW - 1}, "value", {"value": None, "unit": None}),
        ({"code": "NEW//THING", "value": float("inf")}, "value", {"code": "NEW//THING", "value": 1e300}),
        ({"unit": "万元"}, "unit", {"unit": "CNY"}),
        ({"unit": None}, "unit", {"unit": None, "value": float("nan")}),
        ({"unit": "USD"}, "unit", {"unit": "CNY"}),
        ({"status": "final"}, "status", {"status": "original"}),
        ({"status": None}, "status", {"status": "original"}),
        ({"status": "corrected"}, "supersedes", {"status": "corrected", "supersedes": "e0"}),
        ({"status": "retracted"}, "supersedes", {"status": "retracted", "supersedes": "e0"}),
        ({"supersedes": "e0"}, "supersedes", {"supersedes": None}),
        ({"status": "corrected", "supersedes": "e1"}, "supersedes", {"status": "corrected", "supersedes": "e2"}),
        (UNVALUED | {"occurred_at": 30}, "known_at", UNVALUED | {"occurred_at": 20}),
        ({"code": "CLM//DAYS", "value": 5.0, "unit": "mo"}, "unit", {"code": "CLM//DAYS", "value": 5.0, "unit": "d"}),
        ({"code": "CLM//DAYS", "value": 5.0, "unit": None}, "unit", {"code": "MON//ENTER", "value": 3.0, "unit": None}),
        (
            {"code": "DIS//CERT_NEW", "value": 4.5, "unit": "1"},
            "value",
            {"code": "DIS//CERT_NEW", "value": 4.0, "unit": "1"},
        ),
    ],
)
def test_a_wrong_cell_is_named_and_the_right_one_beside_it_is_admitted(
    wrong: dict[str, Any], field: str, right: dict[str, Any]
) -> None:
    assert fields({"event_id": "before"}, wrong) == [(1, field)]
    assert fields(right) == []


def test_what_lies_in_the_future_is_refused_from_one_microsecond_on() -> None:
    assert fields({"occurred_at": LATEST, "known_at": LATEST}) == []
    assert fields({"occurred_at": LATEST + 1, "known_at": LATEST + 1}) == [(0, "known_at"), (0, "occurred_at")]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [({"code": 5}, [(1, "code")]), ({"status": 1.5}, [(1, "status")]), ({"event_id": "\ud800"}, [])],
)
def test_cells_that_no_text_column_can_hold_are_judged_too(
    wrong: dict[str, Any], expected: list[tuple[int, str]]
) -> None:
    assert fields({"event_id": "before"}, wrong) == expected


def test_infinity_is_no_number() -> None:
    assert {field for _, field in fields({"value": float("inf")}, {"event_id": "e2", "value": -float("inf")})} == {
        "value"
    }


def test_a_scheduled_event_may_be_known_before_it_happens_and_lie_ahead_but_not_be_known_ahead() -> None:
    assert fields(ENDS | {"occurred_at": LATEST + 500, "known_at": 20}) == []
    assert fields(ENDS | {"occurred_at": LATEST + 500, "known_at": LATEST + 1}) == [(0, "known_at")]
    other = {"code": "EDU//DROPOUT", "value": None, "unit": None, "occurred_at": LATEST + 500}
    assert fields(other) == [(0, "known_at"), (0, "occurred_at")]


def test_money_is_taken_in_the_datasets_currency_only() -> None:
    assert fields({"unit": "ARS"}, currency="ARS") == []
    assert fields({"unit": "CNY"}, currency="ARS") == [(0, "unit")]


def test_problems_come_in_the_order_of_the_rows() -> None:
    wrong = [{"event_id": f"e{i}", "source": ""} for i in range(3)]
    assert fields(wrong[0], {"event_id": "good"}, wrong[1], wrong[2]) == [(0, "source"), (2, "source"), (3, "source")]


# Letters that no reason of ours is written with.
garbage = st.text(alphabet="ΞΨЖЩ§☃\x07\n{}%", min_size=2, max_size=20)
odd_numbers = st.floats(1e9, 1e15).map(lambda v: v + 0.123) | st.floats(-1e15, -1e9).map(lambda v: v - 0.123)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(["event_id", "code", "unit", "status", "supersedes", "source"]), garbage))
def test_no_reason_repeats_what_was_written(written: dict[str, str]) -> None:
    columns = {name: [value, written.get(name, value)] for name, value in (PAID | {"event_id": "e0"}).items()}
    for problem in event_problems(columns, CORE, currency="CNY", latest=LATEST):
        assert not any(text in f"{problem.field} {problem.reason}" for text in written.values())


@settings(max_examples=60)
@given(odd_numbers)
def test_no_reason_repeats_a_number(value: float) -> None:
    columns = {name: [cell] for name, cell in (PAID | {"value": value}).items()}
    problems = event_problems(columns, CORE, currency="CNY", latest=LATEST)
    assert [p.field for p in problems] == ["value"]
    assert not any(f"{value:{shape}}" in problems[0].reason for shape in ("g", ".0f", ".3f", ""))


@settings(max_examples=60)
@given(garbage, garbage, garbage)
def test_no_reason_about_members_and_households_repeats_what_was_written(one: str, two: str, three: str) -> None:
    made = dataset(
        [event("EDU//DROPOUT", "2025-01-01", household=one)],
        [member(two, household=three, role=one, sex=two)],
        [household(region=one, residence=three)],
    )
    _, report = admit(made, CORE)
    assert len(report.rejects) >= 5
    for text in (one, two, three):
        assert not report.rejects["reason"].str.contains(text, regex=False).any()


def test_an_id_used_for_two_contents_is_refused_in_every_row_that_uses_it() -> None:
    rows = [
        event("CLM//DRUG", "2025-01-01", value=90.0, event_id="twice"),
        event("CLM//DRUG", "2025-01-01", value=90.0, event_id="once"),
        event("CLM//DRUG", "2025-01-01", value=91.0, event_id="twice"),
        event("CLM//DRUG", "2025-01-01", value=90.0, event_id="twice"),
        event("CLM//DRUG", "2025-01-01", value=91.0, event_id="twice", household="h2"),
    ]
    clean, report = admit(dataset(rows), CORE)
    assert report.rejects[["table", "row", "field"]].to_numpy().tolist() == [
        ["events", 0, "event_id"], ["events", 2, "event_id"], ["events", 3, "event_id"],
    ]  # fmt: skip
    assert clean.events["event_id"].tolist() == ["once", "twice"]


@pytest.mark.parametrize(
    ("column", "one", "other"),
    [
        ("text", None, "I63"),
        ("person_id", "p1", None),
        ("value", 90.0, None),
        ("value", None, 90.0),
        ("source", "a", "b"),
    ],
)
def test_a_cell_that_is_empty_in_one_of_two_rows_of_an_id_is_other_content(column: str, one: Any, other: Any) -> None:
    row = event("CLM//DRUG", "2025-01-01", value=90.0, event_id="twice")
    for pair in ((one, other), (other, one)):
        report = admit(dataset([row | {column: cell} for cell in pair]), CORE)[1]
        assert report.rejects[["row", "field"]].to_numpy().tolist() == [[0, "event_id"], [1, "event_id"]]
    assert admit(dataset([row | {column: one}] * 2), CORE)[1].repeated_events == 1


def test_a_row_that_repeats_an_earlier_one_is_kept_counted_and_changes_nothing() -> None:
    rows = [event("CLM//DRUG", "2025-01-01", value=90.0), event("CLM//DRUG", "2025-02-01", value=80.0)]
    clean, report = admit(dataset([*rows, rows[0], rows[0]]), CORE)
    assert (report.repeated_events, len(report.rejects), len(clean.events)) == (2, 0, 4)
    once, often = (matrix(history(made), at("2025-03-01")).values for made in (rows, [*rows, rows[0], rows[0]]))
    assert once.tobytes() == often.tobytes()


def test_an_unknown_code_is_kept_and_counted_and_never_scored() -> None:
    known = [event("CLM//DRUG", "2025-01-01", value=90.0)]
    unknown = [event("NEW//THING", f"2025-01-0{day}", value=1e12, unit="furlong") for day in (1, 2)]
    clean, report = admit(dataset([*known, *unknown]), CORE)
    assert report.unknown_codes == {"NEW//THING": 2}
    assert len(clean.events) == 3
    assert report.rejects.empty
    without, with_them = (matrix(history(rows), at("2025-03-01")) for rows in (known, [*known, *unknown]))
    assert without.values.tobytes() == with_them.values.tobytes()
    assert without.n_events.tolist() == with_them.n_events.tolist() == [1]


MEMBERS_WRONG = [
    ({"person_id": ""}, "person_id"),
    ({"role": "aunt"}, "role"),
    ({"sex": "X"}, "sex"),
    ({"joined_at": None}, "joined_at"),
    ({"known_at": None}, "known_at"),
    ({"left_at": pd.Timestamp("2009-12-30", tz="UTC")}, "left_at"),
    ({"birth_date": date(2010, 1, 2)}, "birth_date"),
    ({"household_id": "elsewhere"}, "household_id"),
]


@pytest.mark.parametrize(("wrong", "field"), MEMBERS_WRONG)
def test_a_wrong_cell_of_a_member_is_named(wrong: dict[str, Any], field: str) -> None:
    good = member("good", sex=None, born=None)
    made = dataset([], [good, {**member("bad"), **wrong}])
    clean, report = admit(made, CORE)
    assert report.rejects[["table", "row", "field"]].to_numpy().tolist() == [["members", 1, field]]
    assert clean.members["person_id"].tolist() == ["good"]


def test_a_child_that_joins_on_the_day_of_its_birth_is_admitted_in_every_time_zone() -> None:
    born_today = member("baby", joined="2025-03-01", born="2025-03-01")
    assert admit(dataset([], [born_today]), CORE)[1].rejects.empty
    born_tomorrow = member("baby", joined="2025-03-01T23:59:59", born="2025-03-02")
    assert admit(dataset([], [born_tomorrow]), CORE)[1].rejects["field"].tolist() == ["birth_date"]


def test_a_birth_after_the_day_on_which_it_was_known_is_refused_west_of_utc_as_well() -> None:
    west = replace(META, time_zone="America/Argentina/Buenos_Aires")
    for born, refused in (("2025-03-01", []), ("2025-03-02", ["birth_date"])):
        # Two in the morning of the second in UTC is the evening of the first there.
        people = [member("baby", born=born, known_at=pd.Timestamp("2025-03-02T02:00Z"))]
        assert admit(dataset([], people, meta=west), CORE)[1].rejects["field"].tolist() == refused


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"region": "mars"}, "region"), ({"region": None}, "region"), ({"residence": "castle"}, "residence")],
)
def test_a_refused_household_takes_its_rows_along_and_leaves_a_dataset_that_works(
    wrong: dict[str, Any], field: str
) -> None:
    rows = [event("CLM//DRUG", "2025-01-01", value=90.0, household=name) for name in ("h1", "h2")]
    made = dataset(rows, [member("p1"), member("p2", household="h2")], [household(), {**household("h2"), **wrong}])
    clean, report = admit(made, CORE)
    assert report.rejects[["table", "row", "field"]].to_numpy().tolist() == [
        ["events", 1, "household_id"], ["members", 1, "household_id"], ["households", 1, field],
    ]  # fmt: skip
    assert dataset_history(clean, CORE).household_ids == ("h1",)


def test_a_household_stands_in_one_row_and_may_have_no_residence() -> None:
    made = dataset([], [], [household(residence=None), household("h2"), household("h2", residence="city")])
    clean, report = admit(made, CORE)
    assert report.rejects[["table", "row", "field"]].to_numpy().tolist() == [["households", 2, "household_id"]]
    assert clean.households["residence"].isna().tolist() == [True, False]


def test_a_last_day_given_as_a_date_is_whole() -> None:
    made = dataset([event("CLM//DRUG", "2026-12-31T23:59:59", value=90.0)])
    assert admit(made, CORE)[1].rejects.empty
    early = replace(made, meta=replace(META, data_until="2026-12-31T23:59:58"))
    assert set(admit(early, CORE)[1].rejects["field"]) == {"known_at", "occurred_at"}


def with_bad_rows(bad: int) -> Dataset:
    rows = [event("CLM//DRUG", "2025-01-01", value=90.0, event_id=f"e{i}") for i in range(98)]
    for row in rows[:bad]:
        row["unit"] = "万元"
    return dataset(rows)


def test_a_run_goes_on_with_five_percent_of_bad_rows_and_not_with_more() -> None:
    assert round(MAX_REFUSED_SHARE * 100) == 5
    five = with_bad_rows(5)
    assert len(five.events) + len(five.members) + len(five.households) == 100
    assert len(admitted(five, CORE).events) == 93
    with pytest.raises(DatasetRefused, match=r"6\.0% of the rows are refused.*povrisk check"):
        admitted(with_bad_rows(6), CORE)


def test_buckets_are_summed_before_it_is_decided_whether_too_much_is_refused() -> None:
    total = [0, 0]
    for bad in (10, 0):
        made = with_bad_rows(bad)
        tables = Tables.from_frames(made.events, made.members, made.households)
        clean, refused, rows = admitted_tables(tables, made.meta, CORE)
        assert (clean.events.num_rows, refused, rows) == (98 - bad, bad, 100)
        total = [total[0] + refused, total[1] + rows]
    with pytest.raises(DatasetRefused, match=r"10\.0% of the rows are refused.*povrisk check"):
        refuse_if_too_many(10, 100)
    refuse_if_too_many(*total)
    refuse_if_too_many(0, 0)


def test_tables_in_which_nothing_is_wrong_are_handed_back_as_they_are() -> None:
    made = with_bad_rows(0)
    tables = Tables.from_frames(made.events, made.members, made.households)
    clean, report = admit_tables(tables, made.meta, CORE)
    assert report.rejects.empty
    assert clean.events is tables.events and clean.members is tables.members and clean.households is tables.households


def test_rejected_rows_are_numbered_as_in_the_given_tables() -> None:
    made = with_bad_rows(3)
    tables = Tables.from_frames(made.events, made.members, made.households)
    turned = Tables(tables.events.take(list(range(97, -1, -1))), tables.members, tables.households)
    clean, report = admit_tables(turned, made.meta, CORE)
    assert report.rejects[["table", "row", "field"]].to_numpy().tolist() == [
        ["events", 95, "unit"], ["events", 96, "unit"], ["events", 97, "unit"],
    ]  # fmt: skip
    assert clean.events["event_id"].to_pylist() == [f"e{i}" for i in range(97, 2, -1)]


def test_empty_tables_are_admitted() -> None:
    tables = Tables(EVENTS.empty_table(), MEMBERS.empty_table(), HOUSEHOLDS.empty_table())
    assert admitted_tables(tables, META, CORE)[1:] == (0, 0)
    assert admit_tables(tables, META, CORE)[1].refused_share == 0.0


def test_a_row_with_two_faults_counts_once() -> None:
    made = dataset([event("CLM//DRUG", "2025-01-01", value=90.0, unit="万元", status="final")])
    report = admit(made, CORE)[1]
    assert len(report.rejects) == 2
    assert report.refused_share == pytest.approx(1 / 3)


# --- `povrisk check` ---------------------------------------------------------------------------------------------


def good() -> Dataset:
    rows = [
        event("CLM//INPATIENT", "2025-03-01", "2025-03-05", 14_200.0, person_id="p1", text="I63, 急性"),
        event("EMP//WAGE", "2025-02-28T12:30:00.123456", "2025-03-10", 2_500.0, person_id="p2"),
        event("NEW//THING", "2025-03-02"),
    ]
    people = [member("p1", born="1955-03-01", left="2025-06-01"), member("p2", born=None, sex=None)]
    return dataset(rows, people, [household(), household("h2", residence=None)])


def csv_folder(folder: Path, made: Dataset, **written: str) -> Path:
    """The dataset as three CSV files; `written` replaces whole files."""
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps(made.meta.as_json(), ensure_ascii=False), encoding="utf-8")
    for name, schema in (("events", EVENTS), ("members", MEMBERS), ("households", HOUSEHOLDS)):
        table = getattr(made, name)[schema.names].copy()
        for column in table.columns:
            if column.endswith("_at"):
                # Not every cell has microseconds, as in files that people make.
                table[column] = [None if pd.isna(cell) else cell.isoformat() for cell in table[column]]
        text = written.get(name, table.to_csv(index=False))
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def run(folder: Path, *options: str) -> Result:
    result = CliRunner().invoke(main, ["check", str(folder), *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


def test_check_of_a_good_folder_in_csv_ends_with_0_and_leaves_no_rejects(tmp_path: Path) -> None:
    folder = csv_folder(tmp_path / "d", good())
    (folder / "rejects.parquet").write_bytes(b"of an earlier run")
    result = run(folder, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["rows"] == {"events": 3, "members": 2, "households": 2}
    assert found["unknown_codes"] == {"NEW//THING": 1}
    assert found["rejects"] == []
    assert not (folder / "rejects.parquet").exists()


def test_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    made = good()
    write_dataset(tmp_path / "p", events=made.events, members=made.members, households=made.households, meta=made.meta)
    from_csv, unreadable = read_for_check(csv_folder(tmp_path / "c", made))
    from_parquet, _ = read_for_check(tmp_path / "p")
    assert unreadable == []
    one, other = (
        matrix(dataset_history(admit(read, CORE)[0], CORE), at("2025-12-31")) for read in (from_csv, from_parquet)
    )
    assert one.values.tobytes() == other.values.tobytes()
    assert one.column("inpatient_out_of_pocket_amount_12m")[0] == 14_200
    for name in ("events", "members"):
        for column in ("occurred_at", "known_at", "joined_at", "left_at"):
            if column in getattr(from_csv, name):
                left, right = getattr(from_csv, name)[column], getattr(from_parquet, name)[column]
                assert (left.isna() == right.isna()).all()
                assert (left.dropna() == right.dropna()).all()


def test_a_cell_that_cannot_be_read_is_told_by_row_and_field_and_not_repeated(tmp_path: Path) -> None:
    folder = csv_folder(tmp_path / "d", good())
    path = folder / "events.csv"
    path.write_text(
        path.read_text("utf-8").replace("14200.0", "十四千").replace("2025-03-09T16:00:00+00:00", "SECRET-DAY"),
        encoding="utf-8",
    )
    people = folder / "members.csv"
    people.write_text(people.read_text("utf-8").replace("1955-03-01", "1955-02-30"), encoding="utf-8")
    result = run(folder, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    told = {(r["table"], r["row"], r["field"]): r["reason"] for r in found["rejects"]}
    assert set(told) == {("events", 0, "value"), ("events", 1, "known_at"), ("members", 0, "birth_date")}
    assert all("cannot be read" in reason for reason in told.values())
    assert found["refused_rows"] == {"events": 2, "members": 1}
    for secret in ("十四千", "SECRET-DAY", "1955-02-30"):
        assert secret not in result.output
    rejects = pq.read_table(folder / "rejects.parquet").to_pandas()
    assert rejects.columns.tolist() == ["table", "row", "field", "reason"]
    assert len(rejects) == 3


def test_check_shows_a_person_which_row_and_why(tmp_path: Path) -> None:
    made = good()
    made.events.loc[0, "unit"] = "万元"
    result = run(csv_folder(tmp_path / "d", made))
    assert result.exit_code == 1
    assert "events row 0: unit is not CNY; convert the value at its source" in result.stdout
    assert "rejects.parquet" in result.stdout
    assert "万元" not in result.output


def test_a_csv_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    folder = csv_folder(tmp_path / "d", good())
    for name in ("events", "members", "households"):
        path = folder / f"{name}.csv"
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert run(folder).exit_code == 0


def test_a_day_without_a_time_is_its_first_instant_in_the_datasets_zone(tmp_path: Path) -> None:
    made = good()
    folder = csv_folder(tmp_path / "d", made)
    path = folder / "members.csv"
    path.write_text(path.read_text("utf-8").replace("2009-12-31T16:00:00+00:00", "2010-01-01"), encoding="utf-8")
    read, unreadable = read_for_check(folder)
    assert unreadable == []
    assert (read.members["joined_at"] == made.members["joined_at"]).all()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: (f / "dataset.json").unlink(), "it has no dataset.json"),
        (lambda f: (f / "dataset.json").write_text("{", encoding="utf-8"), "not valid JSON"),
        (lambda f: (f / "dataset.json").write_text("null", encoding="utf-8"), "not a JSON object"),
        (lambda f: (f / "members.csv").unlink(), "members.parquet is missing"),
        (
            lambda f: (f / "events.csv").write_bytes("event_id,医保".encode("gb18030")),
            "events.csv is not a readable CSV",
        ),
        (lambda f: (f / "events.csv").write_text("", encoding="utf-8"), "events.csv is not a readable CSV"),
        (lambda f: (f / "households.csv").write_text("region,township\n", encoding="utf-8"), "household_id, residence"),
        (lambda f: (f / "events.parquet").write_bytes(b"PAR1 no more"), "events.parquet is damaged"),
    ],
)
def test_a_folder_that_is_no_dataset_is_refused_with_what_is_wrong(break_it: Any, message: str, tmp_path: Path) -> None:
    folder = csv_folder(tmp_path / "d", good())
    break_it(folder)
    result = run(folder)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_misuse_ends_with_2(tmp_path: Path) -> None:
    assert run(tmp_path / "nowhere").exit_code == 2
    assert CliRunner().invoke(main, ["check"]).exit_code == 2
    assert CliRunner().invoke(main, ["check", str(tmp_path), "--yaml"]).exit_code == 2


def test_a_folder_in_parquet_is_checked_the_same_way(tmp_path: Path) -> None:
    made = good()
    made.events.loc[1, "value"] = 10.0**12
    write_dataset(tmp_path / "d", events=made.events, members=made.members, households=made.households, meta=made.meta)
    result = run(tmp_path / "d", "--json")
    assert result.exit_code == 1
    assert [(r["table"], r["row"], r["field"]) for r in json.loads(result.stdout)["rejects"]] == [
        ("events", 1, "value")
    ]
