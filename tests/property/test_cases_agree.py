"""Reading calls column by column says of every call what reading row by row says: the same rows or the same words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import catalogue
from features.window import NEVER, as_of_moment, from_micros, parsed
from serving.cases import Frame, read_all, read_cases
from serving.codec import Household, document_of
from serving.errors import Invalid
from serving.messages import Batch
from serving.moments import moments
from serving.settings import Settings
from tests.property import plain_cases

ZONE = "Asia/Shanghai"
NOW = parsed("2026-11-20T09:00", ZONE)
FRAME = Frame(catalogue(), "CNY", ZONE, ("demo", "cn-hangzhou-demo"))
SCHEDULED = next(kind.code for kind in FRAME.catalogue.kinds if kind.is_scheduled)
IN_ORDER = [
    *("2026-10-12", "2026-10-12T10:30:00+08:00", "2026-10-11T23:59:59Z", "2026-10-12T10:30", "2025-01-01"),
    *("2026-10-12T10:30:00.25+08:00", "1900-01-01"),
]
MOMENTS = [
    *("2026-02-30", "2026-13-01T00:00:00Z", "2026-11-20", "2026-11-20T09:04:00+08:00", "2026-11-20T09:06:00+08:00"),
    *("2026-11-20T23:00:00+08:00", "2199-12-31", "2026-10-12T24:00:00Z", *IN_ORDER),
]
AS_OF = ["2026-11-01", "2026-11-20", "2026-11-20T23:59:00+08:00", "2026-10-12"]
AS_OF += ["2026-11-21", "2026-11-22", "2026-02-30"]


def maybe(choices: Sequence[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.sampled_from(choices))


def events(is_wild: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Events of which each cell is in order, or anything; even cells in order may contradict each other."""
    moments_of = MOMENTS if is_wild else IN_ORDER
    return st.fixed_dictionaries(
        {
            "event_id": st.sampled_from(["e1", "e2", "e3", "e4", "e5"] if is_wild else [f"e{n}" for n in range(90)]),
            "person_id": maybe(["p1", "p2"]),
            "code": st.sampled_from(["CLM//INPATIENT", SCHEDULED, "NEW//THING", *["clm", "OTHER//THING"] * is_wild]),
            "occurred_at": st.sampled_from(moments_of),
            "known_at": maybe(moments_of) if is_wild else st.sampled_from([None, "2026-10-12", "2026-10-13"]),
            "value": maybe([1.0, 14200.0, 0.0, *[-1.0, 1e13] * is_wild]),
            "unit": st.sampled_from(["CNY", *[None, "万元"] * is_wild]),
            "text": maybe(["I63", ""]),
            "source": st.sampled_from(["医保", "残联", *["网约车平台"] * is_wild]),
            "status": st.sampled_from(["original", *["corrected", "retracted"] * is_wild]),
            "supersedes": maybe(["e1", "e2"]) if is_wild else st.none(),
        }
    )


def members(is_wild: bool) -> st.SearchStrategy[dict[str, Any]]:
    born = ["1955-03-01", "1900-01-01", *["2026-10-12", "2026-10-13", "2026-10-11", "2026-02-30"] * is_wild]
    return st.fixed_dictionaries(
        {
            "person_id": st.sampled_from(["p1", "p2", "p3", "p4", "p5"]),
            "birth_date": maybe(born),
            "sex": maybe(["F", "M"]),
            "role": st.just("head"),
            "joined_at": st.sampled_from(MOMENTS if is_wild else IN_ORDER),
            "left_at": maybe(MOMENTS) if is_wild else st.sampled_from([None, "2026-10-20"]),
            "known_at": maybe(MOMENTS) if is_wild else st.none(),
        }
    )


def rows_with(one: Callable[[bool], st.SearchStrategy[Any]], is_wild: bool, size: int) -> st.SearchStrategy[list[Any]]:
    """Rows in order, and if wild one more that may not be."""
    usual = st.lists(one(False), max_size=size)
    return st.builds(lambda rows, row: [*rows, row], usual, one(True)) if is_wild else usual


def households(wild: str = "") -> st.SearchStrategy[dict[str, Any]]:
    """Households of which one part at most is not in order."""
    is_wild = wild == "household"
    runs = [{"as_of": at, "tier": "red", "tier_computed": "grey"} for at in ("2026-09-01", *AS_OF[: 9 * is_wild])]
    return st.fixed_dictionaries(
        {
            "household_id": st.sampled_from([f"h{n}" for n in range(20)]),
            "as_of": st.sampled_from(AS_OF if is_wild else AS_OF[:4]),
            "region": st.sampled_from(["demo", "cn-hangzhou-demo", *["nowhere"] * is_wild]),
            "residence": st.sampled_from(["rural", "town"]),
            "township": maybe(["T"]),
            "previous": maybe(runs),
            "members": rows_with(members, wild == "member", 2),
            "events": rows_with(events, wild == "event", 3),
        }
    )


HOUSEHOLDS = st.sampled_from(["", "", "household", "member", "event"]).flatmap(households)
CALLS = st.lists(st.lists(HOUSEHOLDS, min_size=1, max_size=3), min_size=1, max_size=4)


def plainly(households: Sequence[Any]) -> plain_cases.Cases | bytes:
    """What the slow reader makes of a call: its rows, or the body of its refusal."""
    try:
        return plain_cases.read_cases(households, FRAME, Settings(), NOW)
    except Invalid as refusal:
        return refusal.body()


def rows(tables: Any, name: str) -> list[dict[str, Any]]:
    """The rows of a table without what households and persons are called."""
    table: pa.Table = getattr(tables, name)
    listed = table.to_pylist()
    return [
        {k: v.partition("/")[2] if k == "person_id" and v else v for k, v in row.items() if k != "household_id"}
        for row in listed
    ]


@settings(max_examples=100)
@given(CALLS)
def test_all_calls_are_read_as_each_is_read_alone_row_by_row(documents: list[list[dict[str, Any]]]) -> None:
    calls = [Batch.model_validate({"households": households}).households for households in documents]
    expected = [plainly(call) for call in calls]
    refusals, found = read_all(calls, FRAME, Settings(), NOW)
    assert [each if each is None else each.body() for each in refusals] == [
        each if isinstance(each, bytes) else None for each in expected
    ]
    sound = [each for each in expected if not isinstance(each, bytes)]
    assert list(found.household_ids) == [name for each in sound for name in each.household_ids]
    assert list(found.as_of) == [moment for each in sound for moment in each.as_of]
    for name in ("events", "members", "households"):
        assert rows(found.tables, name) == [row for each in sound for row in rows(each.tables, name)]
        assert getattr(found.tables, name).schema == getattr(plain_cases, name.upper())
    of_name = dict(zip(found.names, found.household_ids, strict=True))
    assert len(of_name) == len(found.names)
    assert [(of_name[name], last) for name, last in found.previous.items()] == [
        pair for each in sound for pair in each.previous.items()
    ]
    filed = found.tables.events["household_id"].to_pylist()
    own = [h for each in sound for h in each.tables.events["household_id"].to_pylist()]
    assert [of_name[name] for name in filed] == own


@settings(max_examples=30)
@given(st.lists(HOUSEHOLDS, min_size=1, max_size=3, unique_by=lambda h: h["household_id"]))
def test_one_call_by_itself_keeps_the_names_of_its_households(documents: list[dict[str, Any]]) -> None:
    call = Batch.model_validate({"households": documents}).households
    expected = plainly(call)
    if isinstance(expected, bytes):
        with pytest.raises(Invalid) as caught:
            read_cases(call, FRAME, Settings(), NOW)
        assert caught.value.body() == expected
        return
    found = read_cases(call, FRAME, Settings(), NOW)
    assert found.names == found.household_ids == expected.household_ids
    assert (found.as_of, dict(found.previous)) == (expected.as_of, expected.previous)
    for name in ("events", "members", "households"):
        assert getattr(found.tables, name).equals(getattr(expected.tables, name))


@pytest.mark.parametrize("read", [parsed, as_of_moment])
@pytest.mark.parametrize("zone", [ZONE, "America/New_York"])
def test_a_column_of_moments_is_read_as_each_text_is(read: Any, zone: str) -> None:
    days = ["1900-01-01", "1999-02-28", "2000-02-29", "1900-02-29", "2023-02-29", "2024-02-29", "2199-12-31"]
    days += ["2026-00-10", "2026-13-10", "2026-04-31", "2026-04-00", "2026-11-01", "0001-01-01", "9999-12-31"]
    times = ["", "T00:00", "T23:59:59", " 10:30:00", "T10:30:00.5", "T24:00:00", "T10:60:00", "T10:30:60", "T1x:30:00"]
    offsets = ["", "Z", "+08:00", "-11:30", "+23:59", "+24:00", "-00:60", "+0800", "x08:00", "+08;00"]
    texts: list[str | None] = [day + time + offset for day in days for time in times for offset in offsets]
    texts += [None, "", "x" * 20, "x" * 25, "2026-11-01T10:30:0\u0660Z", "２０２６-11-01"]

    def alone(text: str | None) -> int:
        try:
            return NEVER if text is None else read(text, zone)
        except (ValueError, OverflowError):
            return NEVER

    assert moments(texts, zone, read).tolist() == [alone(text) for text in texts]


def test_structs_and_messages_are_the_same_rows() -> None:
    event = {"event_id": "e1", "code": "CLM//INPATIENT", "occurred_at": "2026-10-12", "source": "医保"}
    document = {
        **{"household_id": "h", "as_of": "2026-11-01", "region": "demo", "residence": "rural"},
        **{"members": [], "events": [event]},
    }
    import msgspec

    message = Batch.model_validate({"households": [document]}).households[0]
    struct = msgspec.convert(document, Household)
    one, other = (read_cases([each], FRAME, Settings(), NOW).tables.events for each in (message, struct))
    assert one.equals(other)
    assert document_of(message) == document_of(struct)
    assert from_micros(one["known_at"][0].value).isoformat() == "2026-10-11T16:00:01+00:00"


def test_each_household_is_judged_by_its_own_last_moment() -> None:
    event = {"event_id": "e1", "code": "CLM//INPATIENT", "occurred_at": "2026-11-20T20:00:00+08:00", "source": "医保"}
    shared = {"region": "demo", "residence": "rural", "members": [], "events": [event]}
    documents = [{**shared, "household_id": at, "as_of": at} for at in ("2026-11-20", "2026-11-19")]
    calls = [Batch.model_validate({"households": [each]}).households for each in documents]
    refusals, found = read_all(calls, FRAME, Settings(), NOW)
    assert [each is None for each in refusals] == [True, False]
    assert found.household_ids == ("2026-11-20",)
