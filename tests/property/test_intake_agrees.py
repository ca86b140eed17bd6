"""The fast intake says of every table, however dirty, what the slow and plain one says: same rows, fields and words."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.dataset import REQUIRED, Dataset, read_meta
from features.event import EVENTS, HOUSEHOLDS, MEMBERS
from features.intake import IntakeReport, admit, admit_tables, admitted_tables, event_problems
from features.keys import hashes
from features.screen import clashing, repeats
from features.tables import WORDS, Tables
from features.window import NEVER, as_of_moment, from_micros
from tests.property import plain_intake
from tests.records import CORE, META, ZONE, event, household, member, table

UNTIL = as_of_moment(META.data_until, ZONE)
DAY = 86_400_000_000
MOMENTS = [None, *(from_micros(UNTIL + shift) for shift in (-400 * DAY, -DAY, -1, 0, 1, DAY))]
IDS = [None, "", "e1", "e2", "e3", "e" * 40]
HOMES = [None, "", "h1", "h2", "h3", "h"]
PEOPLE = [None, "", "p1", "p2"]

# Cells that are often right and often wrong; what a row is made of is drawn cell by cell.
EVENT_CELLS: dict[str, list[Any]] = {
    "event_id": IDS,
    "household_id": HOMES,
    "person_id": PEOPLE,
    "code": [
        *("CLM//DRUG", "CLM//DAYS", "DIS//CERT_EXPIRE", "DIS//CERT_NEW", "EDU//DROPOUT", "MON//ENTER", "NEW//THING"),
        *("OTHER//THING", "RIDE//TRIP", "clm", "", None, "nan"),
    ],
    "occurred_at": MOMENTS,
    "known_at": MOMENTS,
    "value": [None, float("nan"), 0.0, -0.0, 1.0, 4.5, 90.0, -1.0, 1e15, float("inf"), -float("inf")],
    "unit": [None, "", "CNY", "d", "1", "n", "万元", "nan"],
    "text": [None, "", "I63"],
    "source": [None, "", "医保", "残联", "网约车平台", "nan"],
    "status": [None, "", "original", "corrected", "retracted", "final"],
    "supersedes": [None, None, "", "e1", "e2", "elsewhere"],
}
MEMBER_CELLS: dict[str, list[Any]] = {
    "household_id": HOMES,
    "person_id": PEOPLE,
    "birth_date": [None, date(1970, 5, 1), date(2026, 12, 30), date(2026, 12, 31), date(2027, 1, 1), date(2027, 1, 2)],
    "sex": [None, "F", "M", "X", ""],
    "role": [None, "head", "other", "aunt", ""],
    "joined_at": MOMENTS,
    "left_at": MOMENTS,
    "known_at": MOMENTS,
}
HOUSEHOLD_CELLS: dict[str, list[Any]] = {
    "household_id": HOMES,
    "region": [None, "demo", "mars", ""],
    "residence": [None, "rural", "city", "castle", ""],
    "township": [None, "t01"],
}


def rows_of(right: dict[str, Any], cells: dict[str, list[Any]], most: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows that begin right, with an id of their own, and have some cells overwritten; some rows come again."""
    wrong = st.dictionaries(st.sampled_from(sorted(cells)), st.integers(0, 10**6), max_size=3)
    own = next(name for name in ("event_id", "person_id", "household_id") if name in cells)

    @st.composite
    def drawn(draw: st.DrawFn) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for number in range(draw(st.integers(0, most))):
            row = right | {own: f"{own[0]}{number}"}
            row |= {name: cells[name][at % len(cells[name])] for name, at in draw(wrong).items()}
            rows.append(dict(draw(st.sampled_from(rows))) if rows and draw(st.integers(0, 3)) == 0 else row)
        return rows

    return drawn()


events = rows_of(event("CLM//DRUG", "2025-01-01", value=90.0), EVENT_CELLS, 24)
members = rows_of(member(), MEMBER_CELLS, 12)
households = rows_of(household(), HOUSEHOLD_CELLS, 8)


# Tables are small as drawn; to make a failing one smaller would take minutes.
phases = [Phase.explicit, Phase.generate]


def in_chunks(whole: pa.Table, cut: int, words: tuple[str, ...]) -> pa.Table:
    """The same rows in pieces, each with dictionaries of its own."""
    pieces = [whole.slice(0, cut % (len(whole) + 1)), whole.slice(cut % (len(whole) + 1))]
    for at, piece in enumerate(pieces):
        for name in words:
            place = piece.column_names.index(name)
            piece = piece.set_column(place, name, piece[name].combine_chunks().dictionary_encode())
        pieces[at] = piece
    return pa.concat_tables(pieces)


def assert_same(one: IntakeReport, other: IntakeReport) -> None:
    pd.testing.assert_frame_equal(one.rejects, other.rejects)
    assert (one.rows, one.repeated_events, one.unknown_codes) == (
        other.rows,
        other.repeated_events,
        other.unknown_codes,
    )


def assert_same_rows(one: pa.Table, other: pa.Table) -> None:
    assert one.schema == other.schema
    for name in one.column_names:
        left, right = one[name].to_pylist(), other[name].to_pylist()
        assert len(left) == len(right)
        assert all(a == b or (a != a and b != b) for a, b in zip(left, right, strict=True)), name


@settings(max_examples=50, phases=phases)
@given(events, members, households, st.integers(0, 20))
def test_the_fast_intake_refuses_the_same_rows_in_the_same_words(
    e: list[dict[str, Any]], m: list[dict[str, Any]], h: list[dict[str, Any]], cut: int
) -> None:
    made = Dataset(META, table(e, EVENTS), table(m, MEMBERS), table([household(), *h], HOUSEHOLDS))
    expected, report = plain_intake.admit(made, CORE)
    found, found_report = admit(made, CORE)
    assert_same(found_report, report)
    for name in REQUIRED:
        pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name))
    whole = Tables.from_frames(made.events, made.members, made.households)
    pieces = Tables(
        in_chunks(whole.events, cut, WORDS), in_chunks(whole.members, cut, ()), in_chunks(whole.households, cut, ())
    )
    refused = len(report.rejects.drop_duplicates(["table", "row"]))
    for tables in (whole, pieces):
        clean, said = admit_tables(tables, META, CORE)
        assert_same(said, report)
        again, n_refused, n_rows = admitted_tables(tables, META, CORE)
        assert (n_refused, n_rows) == (refused, sum(report.rows.values()))
        for name in REQUIRED:
            stays = np.setdiff1d(
                np.arange(len(getattr(made, name))), report.rejects.loc[report.rejects["table"] == name, "row"]
            )
            for kept in (clean, again):
                assert_same_rows(getattr(kept, name), getattr(tables, name).take(pa.array(stays, pa.int64())))


@settings(max_examples=200, phases=phases)
@given(events, st.booleans())
def test_rows_of_a_call_are_refused_in_the_same_words(e: list[dict[str, Any]], one_household: bool) -> None:
    def micros(moment: Any) -> int:
        return NEVER if moment is None else int(pd.Timestamp(moment).value // 1000)

    columns = {name: [row[name] for row in e] for name in EVENTS.names}
    columns |= {name: [micros(cell) for cell in columns[name]] for name in ("occurred_at", "known_at")}
    if one_household:
        del columns["household_id"]
    arguments = (columns, CORE)
    expected = plain_intake.event_problems(*arguments, currency="CNY", latest=UNTIL)
    assert event_problems(*arguments, currency="CNY", latest=UNTIL) == expected


@given(st.lists(st.integers(0, 6), max_size=30))
def test_repeats_are_the_rows_whose_key_is_not_theirs_alone(keys: list[int]) -> None:
    rows, of = repeats(np.array(keys, np.uint64))
    assert sorted(rows.tolist()) == [i for i, key in enumerate(keys) if keys.count(key) > 1]
    groups = [[int(row) for row in rows[of == each]] for each in np.unique(of)]
    assert groups == [[i for i, k in enumerate(keys) if k == key] for key in sorted(set(keys)) if keys.count(key) > 1]


def test_rows_whose_keys_fall_together_by_chance_are_no_repeats() -> None:
    """Two ids of one hash cannot be had at will, so the clash is staged with one key for all rows."""
    both = table([event("CLM//DRUG", "2025-01-01", value=90.0, event_id=name) for name in ("a", "b")], EVENTS)
    rows, of = repeats(np.zeros(2, np.uint64))
    arrow = pa.Table.from_pandas(both, schema=EVENTS)
    assert clashing(arrow, rows, of).all(), "they are looked at closely, which finds nothing"
    assert (
        plain_intake.event_problems(
            {name: list(both[name]) for name in both} | {name: [10, 10] for name in ("occurred_at", "known_at")},
            CORE,
            currency="CNY",
            latest=UNTIL,
        )
        == []
    )
    assert len(set(hashes(arrow["event_id"]).tolist())) == 2


def test_a_clean_county_is_admitted_many_times_faster_than_row_by_row(tiny_county: Path) -> None:
    meta = read_meta(tiny_county)
    tables = Tables(*(pq.read_table(tiny_county / f"{name}.parquet") for name in REQUIRED))
    made = Dataset(meta, *(getattr(tables, name).to_pandas() for name in REQUIRED))

    def seconds(run: Any) -> float:
        begun = time.process_time()
        run()
        return time.process_time() - begun

    admitted_tables(tables, meta, CORE)
    fast = min(seconds(lambda: admitted_tables(tables, meta, CORE)) for _ in range(3))
    slow = min(seconds(lambda: plain_intake.admit(made, CORE)) for _ in range(2))
    assert slow > 4 * fast
    # The machine's own speed is in both numbers; this bound only catches a pass that has become slow by nature.
    assert fast < 2e-6 * tables.events.num_rows
