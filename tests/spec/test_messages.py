"""What `POST /score` accepts, and that a refusal names the field and repeats nothing."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import catalogue
from features.window import from_micros, parsed, to_micros
from serving.cases import Cases, Frame, read_cases
from serving.errors import MAX_ERRORS, Invalid, Malformed, Refusal
from serving.messages import Batch
from serving.reading import read_batch
from serving.settings import Settings

ZONE = "Asia/Shanghai"
NOW = parsed("2026-11-20T09:00", ZONE)
FRAME = Frame(catalogue(), "CNY", ZONE, ("demo", "cn-hangzhou-demo"))
CANARY = "HH-SECRET-4711"

EVENT: dict[str, Any] = {
    "event_id": "e1",
    "person_id": "p1",
    "code": "CLM//INPATIENT",
    "occurred_at": "2026-10-12",
    "known_at": "2026-10-14",
    "value": 14200,
    "unit": "CNY",
    "text": "I63",
    "source": "医保",
}
MEMBER: dict[str, Any] = {
    "person_id": "p1",
    "birth_date": "1955-03-01",
    "sex": "M",
    "role": "head",
    "joined_at": "2000-01-01",
}
HOUSEHOLD: dict[str, Any] = {
    "household_id": "h-1",
    "as_of": "2026-11-01",
    "region": "demo",
    "residence": "rural",
    "members": [MEMBER],
    "events": [EVENT],
}


def call(**changes: Any) -> dict[str, Any]:
    """The example of the contract with changed household fields."""
    return {"households": [{**deepcopy(HOUSEHOLD), **changes}]}


def with_event(**changes: Any) -> dict[str, Any]:
    return call(events=[{**EVENT, **changes}])


def with_member(**changes: Any) -> dict[str, Any]:
    return call(members=[{**MEMBER, **changes}])


def read(document: Any, settings: Settings | None = None) -> Batch:
    body = document if isinstance(document, bytes) else json.dumps(document, ensure_ascii=False).encode()
    return read_batch(body, settings or Settings(), Batch)


def cases(document: Any, now: int = NOW) -> Cases:
    return read_cases(read(document).households, FRAME, Settings(), now)


def refused(document: Any, now: int = NOW) -> list[tuple[tuple[str | int, ...], str]]:
    """Where and why a document is refused."""
    with pytest.raises(Invalid) as caught:
        cases(document, now)
    return [(error.path, error.reason) for error in caught.value.errors]


def test_the_example_of_the_contract_is_read() -> None:
    tables = cases(call()).tables
    assert tables.events["value"].to_pylist() == [14200.0]
    assert tables.events["known_at"][0].as_py().isoformat() == "2026-10-13T16:00:01+00:00"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1,]",
        b'{"households": []} x',
        '{"households": "\xe4"}'.encode("latin-1"),
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"households": [], "households": []}',
        b'{"households": [{"as_of": 1, "as_of": 2}]}',
        b'{"value": ' + b"1" * 5000 + b"}",
        json.dumps({f"k{i}": 1 for i in range(65)}).encode(),
    ],
)
def test_what_is_no_json_document_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read(body)


@pytest.mark.parametrize("document", [None, [], "x", 3, {}, {"households": None}, {"households": []}, {"x": 1}])
def test_another_document_is_invalid(document: Any) -> None:
    with pytest.raises(Invalid) as caught:
        read(document)
    assert caught.value.errors


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "true", '"12"', "1" + "0" * 400, "[]"])
def test_a_value_is_a_finite_number_or_nothing(number: str) -> None:
    body = json.dumps(with_event(value=0)).replace('"value": 0', f'"value": {number}').encode()
    with pytest.raises(Invalid) as caught:
        read(body)
    assert [e.path for e in caught.value.errors] == [("households", 0, "events", 0, "value")]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (call(household_id=""), ("households", 0, "household_id")),
        (call(household_id="h\u202e1"), ("households", 0, "household_id")),
        (call(household_id=7), ("households", 0, "household_id")),
        (call(as_of="yesterday"), ("households", 0, "as_of")),
        (call(as_of="1066-10-14"), ("households", 0, "as_of")),
        (call(as_of=20261101), ("households", 0, "as_of")),
        (call(residence="island"), ("households", 0, "residence")),
        (call(colour="x"), ("households", 0, "colour")),
        (with_member(sex="X"), ("households", 0, "members", 0, "sex")),
        (with_member(role="boss"), ("households", 0, "members", 0, "role")),
        (with_member(birth_date="1955"), ("households", 0, "members", 0, "birth_date")),
        (with_event(event_id=None), ("households", 0, "events", 0, "event_id")),
        (with_event(status="maybe"), ("households", 0, "events", 0, "status")),
        (with_event(source=""), ("households", 0, "events", 0, "source")),
        (with_event(text="x" * 2001), ("households", 0, "events", 0, "text")),
        (call(events="none"), ("households", 0, "events")),
        (call(members=[MEMBER] * 201), ("households", 0, "members")),
    ],
)
def test_a_wrong_field_is_named(document: Any, path: tuple[str | int, ...]) -> None:
    with pytest.raises(Invalid) as caught:
        read(document)
    assert [e.path for e in caught.value.errors] == [path]


def test_a_missing_field_is_named() -> None:
    document = call()
    del document["households"][0]["events"][0]["source"]
    with pytest.raises(Invalid) as caught:
        read(document)
    assert caught.value.errors == ((("households", 0, "events", 0, "source"), "is missing"),)


def test_every_wrong_event_is_named_up_to_what_a_reply_holds() -> None:
    with pytest.raises(Invalid) as caught:
        read(call(events=[{**EVENT, "value": "1"}, EVENT, {**EVENT, "unit": 3}]))
    assert [e.path[3:] for e in caught.value.errors] == [(0, "value"), (2, "unit")]
    with pytest.raises(Invalid) as caught:
        read(call(events=[{} for _ in range(5_000)]))
    assert len(caught.value.errors) == MAX_ERRORS


def test_counts_are_limited() -> None:
    small = Settings(max_households=2, max_events=3)
    two = [{**HOUSEHOLD, "household_id": f"h{i}"} for i in range(3)]
    with pytest.raises(Invalid, match="2 households"):
        read({"households": two}, small)
    with pytest.raises(Invalid, match="3 events"):
        read(call(events=[EVENT] * 4), small)
    assert len(read({"households": two[:2]}, small).households) == 2


junk = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.just(CANARY),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*HOUSEHOLD, CANARY]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(junk, st.sampled_from(["top", "household", "member", "event"]), st.sampled_from([*HOUSEHOLD, *MEMBER, *EVENT]))
def test_no_refusal_repeats_what_was_sent(value: Any, where: str, field: str) -> None:
    document: Any = {
        "top": value,
        "household": call(**{field: value}),
        "member": with_member(**{field: value}),
        "event": with_event(**{field: value}),
    }[where]
    try:
        cases(document)
    except Refusal as refusal:
        assert refusal.status in (400, 422)
        assert CANARY.encode() not in refusal.body()


@pytest.mark.parametrize(
    ("document", "path", "reason"),
    [
        (call(region=CANARY), ("region",), "known are demo, cn-hangzhou-demo"),
        (call(as_of="2026-11-22"), ("as_of",), "future"),
        (call(as_of="2026-02-30"), ("as_of",), "exists"),
        (with_event(unit="万元"), ("events", 0, "unit"), "CNY"),
        (with_event(unit=None), ("events", 0, "unit"), "CNY"),
        (with_event(value=9e12), ("events", 0, "value"), "outside"),
        (with_event(code="inpatient"), ("events", 0, "code"), "CATEGORY//NAME"),
        (with_event(known_at="2026-10-11"), ("events", 0, "known_at"), "before it happens"),
        (with_event(known_at="2026-11-20T09:06"), ("events", 0, "known_at"), "future"),
        (with_event(occurred_at="2026-13-01"), ("events", 0, "occurred_at"), "exist"),
        (with_event(status="retracted"), ("events", 0, "supersedes"), "names the event"),
        (with_event(supersedes="e0"), ("events", 0, "supersedes"), "original"),
        (with_member(left_at="1999-01-01"), ("members", 0, "left_at"), "before joined_at"),
        (with_member(joined_at="2027-01-01"), ("members", 0, "joined_at"), "future"),
        (with_member(birth_date="2001-02-03"), ("members", 0, "birth_date"), "later"),
        (with_member(birth_date="1955-02-30"), ("members", 0, "birth_date"), "exist"),
        (call(members=[MEMBER, MEMBER]), ("members", 1, "person_id"), "same time"),
    ],
)
def test_a_contradiction_is_named(document: Any, path: tuple[str | int, ...], reason: str) -> None:
    found = refused(document)
    assert [at for at, _ in found] == [("households", 0, *path)]
    assert reason in found[0][1]
    assert CANARY not in found[0][1]


def test_an_event_without_known_at_is_refused_once() -> None:
    document = with_event(occurred_at="2026-11-21")
    del document["households"][0]["events"][0]["known_at"]
    assert refused(document) == [(("households", 0, "events", 0, "occurred_at"), "lies in the future")]


def test_one_household_is_asked_once_in_a_call() -> None:
    assert refused({"households": [HOUSEHOLD, HOUSEHOLD]}) == [
        (("households", 1, "household_id"), "is given twice in this call")
    ]


def test_an_event_id_used_for_two_contents_is_refused_and_a_plain_repeat_is_not() -> None:
    assert {at for at, _ in refused(call(events=[EVENT, {**EVENT, "value": 1.0}]))} == {
        ("households", 0, "events", 0, "event_id"),
        ("households", 0, "events", 1, "event_id"),
    }
    cases(call(events=[EVENT, EVENT]))


def test_ids_of_persons_and_events_belong_to_their_household() -> None:
    two = cases({"households": [HOUSEHOLD, {**HOUSEHOLD, "household_id": "h-2"}]})
    assert len(two.tables.members["person_id"].unique()) == 2
    assert len(two.tables.of(["h-2"]).events) == 1


def test_somebody_may_leave_and_come_back() -> None:
    spells = [{**MEMBER, "left_at": "2010-01-01"}, {**MEMBER, "joined_at": "2012-01-01"}]
    assert len(cases(call(members=spells)).tables.members) == 2


def test_a_bare_as_of_is_the_end_of_its_day_in_the_models_time_zone() -> None:
    found = cases(call()).as_of[0]
    assert from_micros(found).isoformat() == "2026-11-01T16:00:00+00:00"
    cases(call(as_of="2026-11-20"))


def test_an_old_moment_can_be_asked_again_with_everything_known_since() -> None:
    replay = call(
        as_of="2024-06-30",
        events=[EVENT, {**EVENT, "event_id": "e0", "occurred_at": "2024-05-01", "known_at": "2024-05-02"}],
    )
    assert len(cases(replay).tables.events) == 2


def test_a_report_dated_by_its_day_is_not_before_an_event_of_that_day() -> None:
    table = cases(with_event(occurred_at="2026-10-14T15:30", known_at="2026-10-14")).tables.events
    assert table["known_at"][0] == table["occurred_at"][0]


def test_a_scheduled_event_may_be_known_before_it_happens() -> None:
    scheduled = next(kind for kind in FRAME.catalogue.kinds if kind.is_scheduled)
    event = {
        "event_id": "s",
        "code": scheduled.code,
        "occurred_at": "2027-01-15",
        "known_at": "2026-10-01",
        "source": "x",
    }
    cases(call(events=[event]))


def test_an_unknown_code_is_kept() -> None:
    assert cases(with_event(code="XYZ//NEW", unit="whatever")).tables.events["code"].to_pylist() == ["XYZ//NEW"]


def test_a_clock_ahead_by_minutes_is_forgiven() -> None:
    soon = from_micros(NOW + 240 * 1_000_000).isoformat()
    cases(with_event(occurred_at=soon, known_at=soon))
    late = from_micros(NOW + 360 * 1_000_000)
    assert to_micros(late) > NOW
    assert refused(with_event(known_at=late.isoformat()))
