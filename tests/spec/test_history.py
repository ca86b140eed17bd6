"""What a history holds: every row version in one order, when it could be seen, and who told it."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest

import features.history
import features.household
import features.kernel
import features.ordering
from features.event import EVENTS, HOUSEHOLDS, MEMBERS
from features.history import UNKNOWN_CODE, History, history_from_tables, history_of, visible
from features.kernel import warm_up
from features.matrix import matrix
from features.tables import Tables
from tests.property.worlds import in_pieces
from tests.records import CORE, ZONE, Row, at, dataset, event, household, member

FIRST = event("CLM//INPATIENT", "2024-03-01", "2024-03-10", 900.0, person_id="p1", event_id="first")


def replacing(name: str, target: str, known: str, value: float, status: str = "corrected") -> Row:
    """A row that replaces another one."""
    return event(
        "CLM//INPATIENT", "2024-03-01", known, value,
        person_id="p1", event_id=name, supersedes=target, status=status,
    )  # fmt: skip


def in_tables(events: list[Row], members: list[Row] | None = None, households: list[Row] | None = None) -> Tables:
    made = dataset(events, members, households)
    return Tables.from_frames(made.events, made.members, made.households)


def encoded(events: list[Row], members: list[Row] | None = None, households: list[Row] | None = None) -> History:
    return history_of(in_tables(events, members, households), CORE, time_zone=ZONE)


def seen(made: History, day: str) -> list[str]:
    return [str(each) for each in made.event_id[visible(made, at(day)).rows]]


def test_rows_stand_by_household_moment_code_value_person_and_id() -> None:
    people = [member("p1"), member("p2")]
    same = {"person_id": "p1", "event_id": "b"}
    rows = [
        event("CLM//DRUG", "2024-05-01", value=None, **same | {"event_id": "no value"}),
        event("CLM//DRUG", "2024-05-01", value=2.0, **same),
        event("CLM//DRUG", "2024-05-01", value=2.0, **same | {"event_id": "a"}),
        event("CLM//DRUG", "2024-05-01", value=2.0, **same | {"event_id": "B"}),
        event("CLM//DRUG", "2024-05-01", value=2.0, person_id="p2", event_id="0"),
        event("CLM//DRUG", "2024-05-01", value=1.0, **same | {"event_id": "z"}),
        event("CLM//DRUG", "2024-04-30", value=9.0, **same | {"event_id": "before"}),
        event("CLM//DRUG", "2024-06-30", value=9.0, household="a", event_id="of the first household"),
    ]
    expected = ["of the first household", "before", "z", "B", "a", "b", "0", "no value"]
    homes = [household("h1"), household("a")]
    assert encoded(rows, people, homes).event_id.tolist() == expected
    assert encoded(rows[::-1], people, homes).event_id.tolist() == expected


def test_a_row_is_visible_until_the_row_that_replaces_it_is_known() -> None:
    made = encoded([FIRST, replacing("second", "first", "2024-04-10", 950.0)])
    days = ("2024-03-08", "2024-03-10", "2024-04-08", "2024-04-10")
    assert [seen(made, day) for day in days] == [[], ["first"], ["first"], ["second"]]


def test_rows_that_replace_the_same_row_replace_each_other_as_they_become_known() -> None:
    rows = [
        FIRST,
        replacing("late", "first", "2024-06-10", 3.0),
        replacing("early", "first", "2024-04-10", 1.0),
        replacing("z of the same moment", "first", "2024-05-10", 2.0),
        replacing("a of the same moment", "first", "2024-05-10", 2.5),
    ]
    made = encoded(rows)
    assert [seen(made, day) for day in ("2024-03-12", "2024-04-12", "2024-05-12", "2024-06-12")] == [
        ["first"], ["early"], ["z of the same moment"], ["late"],
    ]  # fmt: skip


def test_a_retraction_ends_what_it_names_and_is_never_seen() -> None:
    made = encoded([FIRST, replacing("gone", "first", "2024-04-10", 900.0, "retracted")])
    assert [seen(made, day) for day in ("2024-03-12", "2024-04-12")] == [["first"], []]


def test_a_correction_reaches_only_rows_of_its_own_household() -> None:
    elsewhere = {**replacing("second", "first", "2024-04-10", 1.0), "household_id": "h2"}
    made = encoded([FIRST, elsewhere], [], [household("h1"), household("h2")])
    assert seen(made, "2024-05-01") == ["first", "second"]


def test_a_row_told_twice_counts_once_and_the_first_telling_is_kept() -> None:
    again = {**FIRST, "value": 1.0}
    made = encoded([FIRST, again, FIRST])
    assert (made.event_id.tolist(), made.value.tolist(), made.row.tolist()) == (["first"], [900.0], [0])
    other = {**FIRST, "household_id": "h2"}
    assert len(encoded([FIRST, other], [], [household("h1"), household("h2")]).event_id) == 2


def test_a_code_that_nobody_declared_is_kept_and_never_seen() -> None:
    made = encoded([FIRST, {**FIRST, "code": "XXX//NEW", "event_id": "unheard of"}])
    assert sorted(made.code.tolist()) == [UNKNOWN_CODE, [k.code for k in CORE.kinds].index("CLM//INPATIENT")]
    assert seen(made, "2025-01-01") == ["first"]


@pytest.mark.parametrize("table", ["an event", "a member"])
def test_a_household_that_is_not_listed_is_refused_without_being_named(table: str) -> None:
    rows = [{**FIRST, "household_id": "h-secret"}] if table == "an event" else []
    people = [member(household="h-secret")] if table == "a member" else []
    with pytest.raises(ValueError, match=f"{table} names a household") as refused:
        encoded(rows, people, [household("h1")])
    assert "secret" not in str(refused.value)


def test_who_told_a_row_and_where_a_household_lies_are_read_when_asked_for() -> None:
    rows = [{**FIRST, "source": "b"}, {**FIRST, "event_id": "x", "source": "a"}, {**FIRST, "event_id": "y"}]
    made = encoded(rows, [], [household("h2", None, "east"), household("h1", "town")])
    assert made.source.tolist() == ["b", "a", "医保"]
    assert made.sources == ("a", "b", "医保")
    assert made.source_number.tolist() == [1, 0, 2]
    assert made.household_ids == ("h1", "h2")
    assert made.ids_of_households.tolist() == ["h1", "h2"]
    assert (made.region.tolist(), made.residence.tolist()) == (["demo", "east"], ["town", None])
    assert (made.residences[0].tolist(), made.residences[1]) == ([0, -1], ("town",))


def test_texts_are_numbered_in_order_of_their_letters_where_the_kind_has_codes() -> None:
    coded = [event("HLT//CHRONIC_REG", "2024-03-01", text=text, event_id=f"e{text}") for text in ("M06", "E11", None)]
    uncoded = event("CLM//DRUG", "2024-04-01", value=1.0, text="free words")
    made = encoded([*coded, uncoded])
    assert made.texts == ("E11", "M06")
    told = dict(zip(made.event_id.tolist(), made.text.tolist(), strict=True))
    assert told == {"eM06": 1, "eE11": 0, "eNone": -1, uncoded["event_id"]: -1}


def test_without_events_without_people_and_without_households_there_is_an_empty_history() -> None:
    for rows, people, homes in (([], [], [household()]), ([FIRST], [], [household()]), ([], [], [])):
        made = encoded(rows, people, homes)
        found = matrix(made, at("2025-01-01"))
        assert (len(made.code), len(made.members.person)) == (len(rows), 0)
        assert found.values.shape == (len(homes), len(CORE.features))
        assert (made.source.tolist(), made.sources) == ((["医保"], ("医保",)) if rows else ([], ()))
        assert (len(made.region), len(made.residence), len(made.event_id)) == (len(homes), len(homes), len(rows))


def many(n: int) -> Tables:
    """One household with n rows in no order, a tenth of them replacing another one."""
    rng = np.random.default_rng(n)
    day = pa.array(rng.integers(0, 3_000, n) * 86_400_000_000).cast(EVENTS.field("occurred_at").type)
    ids = [f"e{i}" for i in rng.permutation(n)]
    columns = {name: pa.nulls(n, EVENTS.field(name).type) for name in EVENTS.names} | {
        "event_id": pa.array(ids),
        "household_id": pa.array(["h"] * n),
        "code": pa.array(["CLM//DRUG"] * n),
        "occurred_at": day,
        "known_at": day,
        "source": pa.array(["医保"] * n),
        "status": pa.array(["original"] * n),
        "supersedes": pa.array([ids[i - 1] if i % 10 == 1 else None for i in range(n)]),
    }
    homes = pa.Table.from_pylist([{**household("h"), "township": None}], schema=HOUSEHOLDS)
    return Tables(pa.table(columns, schema=EVENTS), MEMBERS.empty_table(), homes)


def test_a_household_with_very_many_rows_costs_little_more_for_each_of_them() -> None:
    warm_up()

    def cost(tables: Tables) -> float:
        started = time.process_time()
        made = history_of(tables, CORE, time_zone=ZONE)
        matrix(made, at("2025-01-01"))
        return (time.process_time() - started) / len(tables.events)

    few, most = many(2_000), many(60_000)
    # Thirty times the rows: what grows with the square would cost thirty times as much for each.
    assert min(cost(most) for _ in range(3)) < 8 * min(cost(few) for _ in range(3))


def test_every_compiled_function_meets_one_kind_of_arguments_so_warming_up_is_enough() -> None:
    warm_up()
    rows = [FIRST, FIRST, replacing("second", "first", "2024-04-10", 950.0)]
    people = [member("p1"), member("p1", "2024-05-01", household="h2")]
    homes = [household("h1"), household("h2")]
    whole = in_tables(rows, people, homes)
    read_back = Tables(
        *(pa.table(part.to_pydict(), schema=part.schema) for part in (whole.events, whole.members, whole.households))
    )
    for tables in (whole, read_back, in_pieces(whole, 2), in_tables([], [], []), many(5)):
        made = history_of(tables, CORE, time_zone=ZONE)
        matrix(made, at("2024-06-01"))
        assert made.sources == made.sources
    made_by_pandas = dataset(rows, people, homes)
    history_from_tables(
        made_by_pandas.events, made_by_pandas.members, made_by_pandas.households, CORE, time_zone=ZONE
    )  # fmt: skip
    entered = {
        features.ordering: ("are_ascending", "grouped", "settle", "sort_groups"),
        features.household: ("_sort_rows", "_settle"),
        features.history: ("_known_rows",),
        features.kernel: ("people", "pass_over"),
    }
    kinds = {name: len(getattr(module, name).signatures) for module, names in entered.items() for name in names}
    assert kinds == dict.fromkeys(kinds, 1)
