"""The compiled encoding gives the arrays that pandas gives, whatever the tables are laid out like."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings

from features.event import EVENTS, HOUSEHOLDS, MEMBERS
from features.history import History, history_of, visible
from features.tables import Tables
from features.window import Micros, to_micros
from tests.property.plain_history import PlainHistory, PlainHomes, plain_history, plain_homes, plain_visible
from tests.property.worlds import DENSE, ZONE, Row, as_ofs, crowded, in_arrow, in_pieces, tables, worlds

World = tuple[list[Row], list[Row], list[Row]]


def assert_same(found: History, expected: PlainHistory) -> None:
    for field in dataclasses.fields(expected):
        a, b = getattr(found, field.name, None), getattr(expected, field.name)
        if field.name in ("catalogue", "time_rank"):
            continue
        if field.name == "members":
            for column in dataclasses.fields(b):
                assert np.array_equal(getattr(a, column.name), getattr(b, column.name)), column.name
        elif isinstance(b, tuple) or b.dtype == object:
            assert [None if pd.isna(x) else x for x in a] == [None if pd.isna(x) else x for x in b], field.name
        else:
            assert (a.dtype, a.tobytes()) == (b.dtype, b.tobytes()), field.name


def assert_sees_the_same(found: History, expected: PlainHistory, as_of: Micros) -> None:
    seen, (rows, starts) = visible(found, as_of), plain_visible(expected, as_of)
    assert seen.rows.tolist() == rows.tolist()
    assert seen.starts.tolist() == starts.tolist()
    at_home = plain_homes(expected.members, as_of)
    for column in dataclasses.fields(PlainHomes):
        assert getattr(seen.homes, column.name).tolist() == getattr(at_home, column.name).tolist(), column.name


@settings(max_examples=200)
@given(worlds(), as_ofs)
def test_a_world_is_encoded_and_seen_as_by_pandas(world: World, as_of: pd.Timestamp) -> None:
    expected, moment = plain_history(*tables(world), DENSE), to_micros(as_of.to_pydatetime())
    found = history_of(in_arrow(world), DENSE, time_zone=ZONE)
    assert_same(found, expected)
    assert_sees_the_same(found, expected, moment)


@settings(max_examples=300)
@given(crowded(), as_ofs)
def test_ties_repeated_ids_and_replaced_rows_are_settled_as_by_pandas(world: World, as_of: pd.Timestamp) -> None:
    expected, moment = plain_history(*tables(world), DENSE), to_micros(as_of.to_pydatetime())
    whole = in_arrow(world)
    for form in (whole, in_pieces(whole, 3)):
        found = history_of(form, DENSE, time_zone=ZONE)
        assert_same(found, expected)
        assert_sees_the_same(found, expected, moment)


def large(seed: int, sizes: tuple[int, ...]) -> Tables:
    """Households of these many rows: few moments, many corrections, ids in no order, some rows twice."""
    rng = np.random.default_rng(seed)
    household = np.repeat(np.arange(len(sizes)), sizes)
    n = len(household)
    ids = rng.permutation(n)
    target = rng.integers(0, n, n)
    replaces = (rng.random(n) < 0.3) & (household[target] == household)
    days = rng.integers(0, 40, (2, n)) * 86_400_000_000
    columns = {
        "event_id": [f"é{i}" for i in ids],
        "household_id": [f"h{h}" for h in household],
        "person_id": [None if p == 0 else f"p{p}" for p in rng.integers(0, 30, n)],
        "code": [DENSE.kinds[c].code for c in rng.integers(0, len(DENSE.kinds), n)],
        "occurred_at": pa.array(days[0]).cast(EVENTS.field("occurred_at").type),
        "known_at": pa.array(days[1]).cast(EVENTS.field("known_at").type),
        "value": rng.choice([np.nan, 1.0, 2.0], n),
        "unit": pa.nulls(n, pa.string()),
        "text": rng.choice(["x", "y"], n),
        "source": rng.choice(["a", "b"], n),
        "status": np.where(replaces, rng.choice(["corrected", "retracted"], n), "original"),
        "supersedes": [f"é{ids[t]}" if r else None for t, r in zip(target, replaces, strict=True)],
    }
    table = pa.table(columns, schema=EVENTS)
    order = rng.permutation(np.concatenate([np.arange(n), rng.integers(0, n, n // 10)]))
    people = [
        {"household_id": f"h{rng.integers(len(sizes))}", "person_id": f"p{p}", "role": "child", "birth_date": None,
         "sex": None, "joined_at": 0, "left_at": None, "known_at": 0}
        for p in range(1, 20)
    ]  # fmt: skip
    homes = [{"household_id": f"h{h}", "region": "demo"} for h in range(len(sizes))]
    return Tables(
        table.take(pa.array(order)),
        pa.Table.from_pylist(people, schema=MEMBERS),
        pa.Table.from_pylist([{"residence": None, "township": None, **home} for home in homes], schema=HOUSEHOLDS),
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_large_households_are_encoded_and_seen_as_by_pandas(seed: int) -> None:
    made = large(seed, (700, 0, 25, 3_000, 1, 49))
    expected = plain_history(*(part.to_pandas() for part in (made.events, made.members, made.households)), DENSE)
    found = history_of(made, DENSE, time_zone=ZONE)
    assert_same(found, expected)
    for day in (5, 20, 200):
        assert_sees_the_same(found, expected, day * 86_400_000_000)
