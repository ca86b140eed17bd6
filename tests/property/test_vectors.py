"""The vector equals the plain oracle, and nothing it may not see can change it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.history import history_from_tables
from features.matrix import matrix
from features.window import to_micros
from tests.property import oracle
from tests.property.worlds import DENSE, HOUSEHOLD_IDS, ZONE, Row, as_ofs, events, tables, worlds

World = tuple[list[Row], list[Row], list[Row]]


def vectors(world: World, as_of: pd.Timestamp) -> np.ndarray:
    history = history_from_tables(*tables(world), DENSE, time_zone=ZONE)
    return matrix(history, to_micros(as_of.to_pydatetime())).values


@settings(max_examples=150)
@given(worlds(), as_ofs)
def test_equals_the_oracle(world: World, as_of: pd.Timestamp) -> None:
    found = vectors(world, as_of)
    event_rows, member_rows, households = world
    for h, household in enumerate(HOUSEHOLD_IDS):
        expected = oracle.vector(event_rows, member_rows, households[h]["residence"], DENSE, household, as_of, ZONE)
        np.testing.assert_allclose(found[h], expected, rtol=1e-12, atol=1e-9, err_msg=household)


@settings(max_examples=120)
@given(worlds(), as_ofs, events(), st.randoms(use_true_random=False))
def test_the_unknown_future_changes_no_byte(world: World, as_of: pd.Timestamp, others: list[Row], random) -> None:
    event_rows, member_rows, households = world
    past = [e for e in event_rows if e["known_at"] <= as_of]
    scrambled = [
        {
            **e,
            "value": -e["value"],
            "code": random.choice(DENSE.kinds).code,
            "household_id": random.choice(HOUSEHOLD_IDS),
        }
        for e in event_rows
        if e["known_at"] > as_of
    ]
    invented = [{**e, "event_id": "x" + e["event_id"]} for e in others if e["known_at"] > as_of]
    for e in invented:
        e["supersedes"] = random.choice(past)["event_id"] if past else None
        e["status"] = "corrected" if past else "original"
    member_past = [m for m in member_rows if m["known_at"] <= as_of]
    expected = vectors((past, member_past, households), as_of)
    found = vectors((past + scrambled + invented, member_rows, households), as_of)
    assert found.tobytes() == expected.tobytes()


@settings(max_examples=60)
@given(worlds(), as_ofs, st.randoms(use_true_random=False))
def test_order_and_repetition_change_no_byte(world: World, as_of: pd.Timestamp, random) -> None:
    event_rows, member_rows, households = world
    expected = vectors(world, as_of)
    shuffled = list(event_rows) + random.sample(event_rows, k=len(event_rows) // 2)
    people, homes = list(member_rows), list(households)
    for rows in (shuffled, people, homes):
        random.shuffle(rows)
    assert vectors((shuffled, people, homes), as_of).tobytes() == expected.tobytes()


@settings(max_examples=60)
@given(worlds(), as_ofs)
def test_a_retracted_event_leaves_no_trace(world: World, as_of: pd.Timestamp) -> None:
    event_rows, member_rows, households = world
    if not event_rows:
        return
    target = {**event_rows[0], "supersedes": None, "status": "original"}
    without = [e for e in event_rows if e["event_id"] != target["event_id"] and e["supersedes"] != target["event_id"]]
    retraction = {
        **target,
        "event_id": "retraction",
        "status": "retracted",
        "supersedes": target["event_id"],
        "known_at": as_of,
    }
    found = vectors(([*without, target, retraction], member_rows, households), as_of)
    assert found.tobytes() == vectors((without, member_rows, households), as_of).tobytes()
    before = as_of - pd.Timedelta(seconds=1)
    kept = vectors(([*without, target, retraction], member_rows, households), before)
    assert kept.tobytes() == vectors(([*without, target], member_rows, households), before).tobytes()


@settings(max_examples=60)
@given(worlds(), as_ofs)
def test_one_household_alone_has_the_same_vector(world: World, as_of: pd.Timestamp) -> None:
    """A household's vector needs only its own people's events, so a call about one household is enough."""
    event_rows, member_rows, households = world
    whole = vectors(world, as_of)
    people = {m["person_id"] for m in member_rows}
    for h, household in enumerate(HOUSEHOLD_IDS):
        own_people = {
            p for p in people if (place := oracle.home(p, member_rows, as_of)) and place["household_id"] == household
        }
        own_members = [m for m in member_rows if m["person_id"] in own_people and m["household_id"] == household]
        seen = {e["event_id"] for e in oracle.visible(event_rows, as_of)}
        own_events = [
            {**e, "household_id": household, "supersedes": None, "status": "original"}
            for e in event_rows
            if e["event_id"] in seen and oracle.belongs(e, member_rows, household, as_of)
        ]
        # Other spells of the same people elsewhere are not this household's to tell.
        alone = vectors((own_events, own_members, [households[h]]), as_of)
        assert alone.tobytes() == whole[h : h + 1].tobytes()


def test_the_leak_property_catches_a_planted_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the known_at clause the property above must fail: a test that cannot fail proves nothing."""
    monkeypatch.setattr("features.history.is_known", lambda known_from, known_until, as_of: known_from >= 0)

    @settings(max_examples=100, phases=[Phase.generate])
    @given(worlds(), as_ofs, events(), st.randoms(use_true_random=False))
    def leaking(world: World, as_of: pd.Timestamp, others: list[Row], random) -> None:
        test_the_unknown_future_changes_no_byte.hypothesis.inner_test(world, as_of, others, random)

    with pytest.raises(AssertionError):
        leaking()
