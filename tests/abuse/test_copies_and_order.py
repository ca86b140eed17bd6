"""Events sent twice or in another order change nothing; a household of which nothing is known gets no number."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from tests.abuse.conftest import Inside, changed, problem

HOUSEHOLDS = 12
Body = dict[str, Any]


def told(inside: Inside, body: Body) -> bytes:
    """The records, without what is new at each telling, as the same records are the same bytes."""
    reply = inside.score(body)
    assert reply.status_code == 200, reply.text[:300]
    records = [
        {name: value for name, value in record.items() if name not in ("assessment_id", "change")}
        for record in reply.json()["results"]
    ]
    return json.dumps(records, ensure_ascii=False).encode()


@pytest.fixture(scope="module", params=range(HOUSEHOLDS))
def body(request: pytest.FixtureRequest, request_for: Callable[[int], Body]) -> Body:
    return request_for(5 * request.param)


def test_the_order_of_events_and_members_changes_no_byte(inside: Inside, body: Body) -> None:
    household, rng = body["households"][0], Random(7)
    expected = told(inside, body)
    for _ in range(3):
        events, members = list(household["events"]), list(household["members"])
        rng.shuffle(events)
        rng.shuffle(members)
        assert told(inside, changed(body, events=events, members=members)) == expected
    assert told(inside, changed(body, events=household["events"][::-1])) == expected


def test_events_sent_twice_change_no_byte(inside: Inside, body: Body) -> None:
    household, rng = body["households"][0], Random(8)
    expected = told(inside, body)
    copies = rng.sample(household["events"], len(household["events"]) // 2)
    mixed = [*household["events"], *copies, *copies]
    rng.shuffle(mixed)
    assert told(inside, changed(body, events=mixed)) == expected


def test_an_event_left_out_would_be_seen(inside: Inside, request_for: Callable[[int], Body]) -> None:
    body = request_for(0)
    assert told(inside, changed(body, events=body["households"][0]["events"][::2])) != told(inside, body)


def test_an_id_that_stands_for_two_events_is_refused(inside: Inside, good: Body) -> None:
    events = good["households"][0]["events"]
    twin = {**events[1], "event_id": events[0]["event_id"]}
    for event in (twin, {**events[0], "source": "elsewhere"}):
        found = problem(inside.score(changed(good, events=[*events, event])), 422)
        assert any(path[-1] == "event_id" for path in found)


def test_a_household_sent_twice_in_a_call_is_refused(inside: Inside, good: Body) -> None:
    household = good["households"][0]
    assert problem(inside.score({"households": [household, household]}), 422)


def test_the_company_of_other_households_changes_nothing(inside: Inside, request_for: Callable[[int], Body]) -> None:
    bodies = [request_for(rank) for rank in range(8)]
    together = json.loads(told(inside, {"households": [body["households"][0] for body in bodies]}))
    alone = [json.loads(told(inside, body))[0] for body in bodies]
    assert together == alone


def test_a_household_of_which_nothing_is_known_gets_no_number(inside: Inside, good: Body) -> None:
    for fields in ({"events": []}, {"events": [], "members": []}):
        record = inside.score(changed(good, household_id="nobody", **fields)).json()["results"][0]
        assert (record["status"], record["tier"], record["probability"]) == ("abstained", "grey", None)
        assert record["contributions"] is None or record["contributions"]["groups"] == {}


def test_a_call_about_no_household_at_all_is_refused(inside: Inside) -> None:
    assert problem(inside.score({"households": []}), 422) == [["households"]]
    assert problem(inside.score({}), 422) == [["households"]]


@pytest.mark.parametrize("path", ["/assessments/as-" + "0" * 24, "/households/nobody-knows/assessments"])
def test_what_is_not_kept_is_not_found(inside: Inside, path: str) -> None:
    problem(inside.client.get(path, headers=inside.headers()), 404)


def test_a_household_split_between_two_dates_is_judged_by_who_lived_there_then(inside: Inside, good: Body) -> None:
    household = good["households"][0]
    person = household["members"][0]
    left = {**person, "joined_at": "2000-01-01", "left_at": household["as_of"]}
    stays = {**person, "joined_at": "2000-01-01", "left_at": None}
    for member in (left, stays):
        assert inside.score(changed(good, members=[member], events=[])).status_code == 200
    backwards = {**person, "joined_at": "2021-01-01", "left_at": "2020-01-01"}
    assert problem(inside.score(changed(good, members=[backwards], events=[])), 422)
