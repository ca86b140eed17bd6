"""An event that cannot be true is refused by its field: never scored, never corrected in silence."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from features.catalogue import catalogue
from features.definition import EventKind, Unit
from tests.abuse.conftest import Inside, changed, problem, with_event

CANARY = "HH-SECRET-0815"
AT = ["households", 0, "events", 0]
VALUED = [kind for kind in catalogue().kinds if kind.bounds is not None]
CURRENCY = "CNY"
# How a platform may well write the unit of an amount that it keeps in ten thousands, in cents or in another money.
OTHER_MONEY = [
    "万元",
    "wan",
    "万",
    "元",
    "yuan",
    "RMB",
    "cny",
    "fen",
    "分",
    "USD",
    "kCNY",
    "1e4 CNY",
    " CNY",
    "CNY ",
    "",
]


def unit_of(kind: EventKind) -> str:
    return CURRENCY if kind.unit is Unit.MONEY else kind.unit.value


def one_of_each(good: dict[str, Any], times: float) -> dict[str, Any]:
    """The call with one event of every kind that carries a value: the largest one allowed, so many times."""
    event = with_event(good)["households"][0]["events"][0]
    events = [
        {
            **event,
            "event_id": f"e{n}",
            "code": kind.code,
            # A reversal is the one kind whose values lie below 0.
            "value": max(kind.bounds, key=abs) * times,
            "unit": unit_of(kind),
        }
        for n, kind in enumerate(VALUED)
        if kind.bounds is not None
    ]
    return changed(good, events=events)


def named(paths: list[list[Any]]) -> list[tuple[int, str]]:
    return [(path[3], path[4]) for path in paths]


def test_every_kind_of_value_is_taken_at_its_largest(inside: Inside, good: dict[str, Any]) -> None:
    assert inside.score(one_of_each(good, 1.0)).status_code == 200


@pytest.mark.parametrize("times", [1.0001, 10_000.0, -1.0, -10_000.0])
def test_every_value_beyond_its_bounds_is_refused(inside: Inside, good: dict[str, Any], times: float) -> None:
    found = named(problem(inside.score(one_of_each(good, times)), 422))
    assert found == [(n, "value") for n in range(len(VALUED))]


@pytest.mark.parametrize("unit", [*OTHER_MONEY, CANARY])
def test_every_amount_in_another_unit_is_refused(inside: Inside, good: dict[str, Any], unit: str) -> None:
    body = one_of_each(good, 0.0001)
    for event in body["households"][0]["events"]:
        event["unit"] = unit
    found = problem(inside.score(body), 422, silent_about=CANARY)
    assert named(found) == [(n, "unit") for n in range(len(VALUED))]


@pytest.mark.parametrize("code", ["CLM//INPATIENT", "EMP//WAGE", "BNK//LOAN_OVERDUE"])
def test_a_value_without_a_unit_is_refused(inside: Inside, good: dict[str, Any], code: str) -> None:
    assert problem(inside.score(with_event(good, code=code, value=1.0, unit=None)), 422) == [[*AT, "unit"]]


def test_unknown_codes_are_counted_and_never_scored(inside: Inside, good: dict[str, Any]) -> None:
    household = good["households"][0]
    strange = [
        {**household["events"][0], "event_id": f"u{n}", "code": f"NEW//KIND_{n}", "value": 1e12, "unit": "parsec"}
        for n in range(7)
    ]
    for event in strange:
        event.pop("status", None)
        event.pop("supersedes", None)
    plain = inside.score(good).json()["results"][0]
    found = inside.score(changed(good, events=[*household["events"], *strange])).json()["results"][0]
    counted = found["data_quality"].pop("unknown_codes")
    assert counted == plain["data_quality"].pop("unknown_codes") + 7
    assert told(found) == told(plain)


def told(record: dict[str, Any]) -> dict[str, Any]:
    """What is told of a household, without what is new at each telling."""
    return {name: value for name, value in record.items() if name not in ("assessment_id", "change")}


@pytest.mark.parametrize(
    "code", ["", "x", "NEW/KIND", "NEW//", "//KIND", "NEW//kind", "NEW//KIND\n", CANARY, "A" * 300]
)
def test_what_is_no_code_at_all_is_refused(inside: Inside, good: dict[str, Any], code: str) -> None:
    assert [*AT, "code"] in problem(inside.score(with_event(good, code=code)), 422, silent_about=CANARY)


@pytest.mark.parametrize("part", ["document", "household", "member", "event"])
@pytest.mark.parametrize("name", ["supercedes", "probability", "is_poor", "_id", "__class__", CANARY])
def test_a_field_that_nobody_knows_is_refused(inside: Inside, good: dict[str, Any], part: str, name: str) -> None:
    household = good["households"][0]
    body = {
        "document": {**good, name: CANARY},
        "household": changed(good, **{name: CANARY}),
        "member": changed(good, members=[{**household["members"][0], name: CANARY}]),
        "event": with_event(good, **{name: CANARY}),
    }[part]
    path = problem(inside.score(body), 422, silent_about=CANARY)[0]
    # A name that could be somebody's data is not repeated, even where it stands for a field.
    assert path[-1] in (name, "(key)")


def moved(good: dict[str, Any], **days_or_hours: float) -> str:
    moment = date.fromisoformat(good["households"][0]["as_of"]) + timedelta(days=1)
    return (datetime.combine(moment, datetime.min.time()) + timedelta(**days_or_hours)).isoformat()


@pytest.mark.parametrize(
    ("occurred", "known", "name"),
    [
        ("2099-01-01", None, "known_at"),
        ("2020-01-01", "2099-01-01", "known_at"),
        ("2020-06-02", "2020-06-01", "known_at"),
        ("2020-06-01T12:00:01", "2020-06-01T12:00:00", "known_at"),
        ("2020-06-01T12:00:00+08:00", "2020-06-01T05:59:59+02:00", "known_at"),
        ("1899-12-31", None, "occurred_at"),
        ("2020-02-30", None, "occurred_at"),
        ("2020-06-01T25:00:00", None, "occurred_at"),
        ("0000-00-00", None, "occurred_at"),
        ("20200601", None, "occurred_at"),
        ("1590969600", None, "occurred_at"),
        ("2020-06-01T12:00:00.1234567", None, "occurred_at"),
    ],
)
def test_an_event_of_the_future_or_known_before_it_happened_is_refused(
    inside: Inside, good: dict[str, Any], occurred: str, known: str | None, name: str
) -> None:
    event = {"code": "CLM//INPATIENT", "value": 100.0, "unit": CURRENCY, "occurred_at": occurred, "known_at": known}
    found = problem(inside.score(with_event(good, **event)), 422)
    assert [*AT, name] in found or [*AT, "occurred_at"] in found


def test_what_became_known_after_the_moment_of_judgement_is_not_seen(inside: Inside, good: dict[str, Any]) -> None:
    late = {"code": "DIS//CERT_NEW", "value": 1.0, "unit": "1", "occurred_at": moved(good, days=-40)}
    early = inside.score(with_event(good, **late, known_at=moved(good, days=-1))).json()["results"][0]
    unseen = inside.score(with_event(good, **late, known_at=moved(good, days=1))).json()["results"][0]
    nothing = inside.score(changed(good, events=[])).json()["results"][0]
    assert told(unseen) == told(nothing)
    assert told(early) != told(nothing)
