"""Who belongs where at a moment, as far as it is known then; and where a person's events count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.history import History, visible
from features.household import homes
from features.matrix import matrix
from tests.records import Row, at, event, history, household, member

TWO = [household("h1"), household("h2")]


def lives(people: list[Row], as_of: str, person: str = "p1") -> str | None:
    """Where the person lives at the end of the day, as known then."""
    made = history([], people, TWO)
    found = homes(made.members, at(as_of))
    who = sorted({row["person_id"] for row in people}).index(person)
    return made.household_ids[found.household[who]] if found.is_member[who] else None


def counted_for(made: History, as_of: str) -> dict[str, list[str]]:
    """The visible events of each household, oldest first."""
    seen = visible(made, at(as_of))
    return {name: [str(e) for e in made.event_id[seen.of(h)]] for h, name in enumerate(made.household_ids)}


def test_a_member_lives_there_from_the_day_of_joining_once_it_is_known() -> None:
    people = [member(joined="2024-03-10", known="2024-04-01")]
    assert [lives(people, day) for day in ("2024-03-09", "2024-03-31", "2024-04-01")] == [None, "h1", "h1"]
    # Known at the first instant of April, which is the end of March.
    late = [member(joined="2024-03-10", known="2024-04-01T00:00:01")]
    assert lives(late, "2024-03-31") is None


def test_a_leaving_counts_from_the_day_it_is_known() -> None:
    people = [member(), member(left="2024-05-15", known="2024-08-01T12:00:00")]
    assert [lives(people, day) for day in ("2024-06-30", "2024-07-31", "2024-08-01")] == ["h1", "h1", None]


def test_a_leaving_that_lies_ahead_changes_nothing_yet() -> None:
    people = [member(), member(left="2024-05-15", known="2024-04-01")]
    assert lives(people, "2024-05-13") == "h1"
    assert lives(people, "2024-05-14") == "h1"  # the last instant of the stay is the end of this day
    assert lives(people, "2024-05-15") is None


def test_whoever_moves_lives_in_the_new_place_even_before_the_old_one_has_told() -> None:
    people = [member(), member(joined="2024-06-01", household="h2")]
    assert [lives(people, day) for day in ("2024-05-31", "2024-06-01")] == ["h1", "h2"]
    left = [*people, member(left="2024-06-01", known="2024-09-01")]
    assert [lives(left, day) for day in ("2024-05-31", "2024-06-01", "2024-10-01")] == ["h1", "h2", "h2"]


def test_whoever_moved_and_left_again_is_nowhere() -> None:
    people = [member(left="2024-06-01"), member(joined="2024-06-01", left="2024-07-01", household="h2")]
    people = [row | {"known_at": row["joined_at"]} for row in people]
    assert [lives(people, day) for day in ("2024-05-01", "2024-06-15", "2024-08-01")] == ["h1", "h2", None]


def test_a_stay_elsewhere_that_ended_leaves_the_stay_that_still_runs() -> None:
    people = [member(), member(joined="2024-06-01", left="2024-07-01", household="h2", known="2024-06-01")]
    assert [lives(people, day) for day in ("2024-06-15", "2024-07-15")] == ["h2", "h1"]


def test_somebody_who_returns_lives_there_again() -> None:
    first = member(left="2024-02-01", known="2024-02-01")
    people = [member(), first, member(joined="2024-09-01")]
    assert [lives(people, day) for day in ("2024-01-15", "2024-05-01", "2024-09-01")] == ["h1", None, "h1"]


def test_the_latest_known_version_of_a_spell_wins_and_other_spells_stay() -> None:
    left = [member(left="2024-02-01", known="2024-02-01"), member(left="2024-12-01", known="2024-06-01")]
    people = [member(), *left]
    assert [lives(people, day) for day in ("2024-05-30", "2024-06-02", "2024-12-02")] == [None, "h1", None]


def test_a_birth_date_learned_later_is_used_from_then_on() -> None:
    people = [member(born=None), member(born="1950-01-01", known="2024-06-01")]
    made = history([event("EDU//DROPOUT", "2024-01-01")], people)
    assert np.isnan(matrix(made, at("2024-05-01")).column("elders_60")[0])
    assert matrix(made, at("2024-06-02")).column("elders_60")[0] == 1


def test_nobody_knows_of_somebody_who_was_never_listed() -> None:
    made = history([event("EDU//DROPOUT", "2024-01-01", person_id="stranger")], [], TWO)
    found = homes(made.members, at("2024-02-01"))
    assert (found.household.tolist(), found.is_member.tolist()) == ([-1], [False])
    assert counted_for(made, "2024-02-01")["h1"] == ["EDU//DROPOUT 2024-01-01 stranger"]


@settings(max_examples=15)
@given(st.permutations(range(6)))
def test_the_order_of_the_rows_does_not_matter(order: list[int]) -> None:
    people = [
        member(),
        member(left="2024-03-01", known="2024-03-10"),
        member(joined="2024-03-01", household="h2"),
        member(joined="2024-03-01", left="2024-08-01", household="h2", known="2024-08-05"),
        member(joined="2024-09-01"),
        member("p2", household="h2"),
    ]
    for as_of in ("2024-02-01", "2024-03-05", "2024-04-01", "2024-08-20", "2024-10-01"):
        assert lives([people[i] for i in order], as_of) == lives(people, as_of)


# --- events follow their person -----------------------------------------------------------------------------------


def test_events_follow_the_person_wherever_they_were_filed() -> None:
    rows = [
        event("EDU//DROPOUT", "2024-01-10", person_id="p1", event_id="before"),
        event("EDU//DROPOUT", "2024-07-10", person_id="p1", event_id="after", household="h2"),
        event("EDU//DROPOUT", "2024-02-10", person_id="p2", event_id="of another"),
        event("LS//GRANT", "2024-03-10", value=100.0, event_id="of the household"),
    ]
    people = [member(), member("p2"), member(joined="2024-06-01", household="h2")]
    made = history(rows, people, TWO)
    assert counted_for(made, "2024-05-31") == {"h1": ["before", "of another", "of the household"], "h2": []}
    assert counted_for(made, "2024-08-01") == {"h1": ["of another", "of the household"], "h2": ["before", "after"]}


def test_events_of_a_stay_remain_with_the_household_that_lived_through_it_the_last_day_included() -> None:
    rows = [
        event("EDU//DROPOUT", "2024-01-10", person_id="p1", event_id="during"),
        event("EDU//DROPOUT", "2024-06-01", person_id="p1", event_id="on the day"),
        event("EDU//DROPOUT", "2024-06-01T00:00:01", person_id="p1", event_id="after"),
        event("LS//GRANT", "2024-07-01", value=9.0, event_id="of the household"),
    ]
    made = history(rows, [member(), member(left="2024-06-01", known="2024-06-20")], TWO[:1])
    assert counted_for(made, "2024-08-01")["h1"] == ["during", "on the day", "of the household"]
    # Before the leaving is known, nobody could tell that the last event is not this household's.
    assert counted_for(made, "2024-06-18")["h1"] == ["during", "on the day", "after"]


@pytest.mark.parametrize(
    ("code", "value"), [("FUN//CREMATE", 70.0), ("HKM//MEMBER_LEAVE", None), ("MAR//DIVORCE", None)]
)
def test_a_death_or_departure_stays_with_the_household_it_was_filed_for(code: str, value: float | None) -> None:
    rows = [event(code, "2024-06-02", value=value, person_id="p1", event_id="it")]
    gone = [member(), member(left="2024-06-01", known="2024-06-10"), member("p2")]
    assert counted_for(history(rows, gone, TWO), "2024-07-01") == {"h1": ["it"], "h2": []}
    moved = [*gone, member(joined="2024-06-01", household="h2")]
    assert counted_for(history(rows, moved, TWO), "2024-07-01") == {"h1": ["it"], "h2": []}
    feature = {"FUN//CREMATE": "deaths_12m", "HKM//MEMBER_LEAVE": "members_left_24m", "MAR//DIVORCE": "divorces_12m"}
    found = matrix(history(rows, moved, TWO), at("2024-07-01")).column(feature[code])
    assert found[0] == 1
    assert not found[1] > 0
