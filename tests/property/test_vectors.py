"""The vector equals the plain oracle, and nothing it may not see can change it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import features.history
from features.history import history_of, visible
from features.matrix import Matrix, matrix, matrix_of, vector_blocks
from features.window import ALWAYS, NEVER, to_micros
from tests.property import oracle
from tests.property.worlds import DENSE, HOUSEHOLD_IDS, ZONE, Row, as_ofs, events, in_arrow, worlds

World = tuple[list[Row], list[Row], list[Row]]


def matrix_at(world: World, as_of: pd.Timestamp) -> Matrix:
    return matrix(history_of(in_arrow(world), DENSE, time_zone=ZONE), to_micros(as_of.to_pydatetime()))


def vectors(world: World, as_of: pd.Timestamp) -> np.ndarray:
    return matrix_at(world, as_of).values


@settings(max_examples=1_000)
@given(worlds(), as_ofs)
def test_equals_the_oracle(world: World, as_of: pd.Timestamp) -> None:
    found = matrix_at(world, as_of)
    event_rows, member_rows, households = world
    for h, household in enumerate(HOUSEHOLD_IDS):
        place = households[h]["residence"]
        expected, unknown = oracle.vector(event_rows, member_rows, place, DENSE, household, as_of, ZONE)
        np.testing.assert_allclose(found.values[h], expected, rtol=1e-12, atol=1e-9, err_msg=household)
        assert found.unknown[h].tolist() == unknown, household


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


@settings(max_examples=100)
@given(worlds(), as_ofs, st.lists(st.sampled_from(DENSE.names), unique=True), st.integers(1, 4))
def test_some_columns_or_some_rows_at_a_time_are_the_same_bytes(
    world: World, as_of: pd.Timestamp, names: list[str], block: int
) -> None:
    history, moment = history_of(in_arrow(world), DENSE, time_zone=ZONE), to_micros(as_of.to_pydatetime())
    whole, some = matrix(history, moment), matrix_of(history, visible(history, moment), names)
    columns = [DENSE.names.index(name) for name in names]
    assert some.names == tuple(names)
    assert some.values.tobytes() == whole.values[:, columns].tobytes()
    assert some.unknown.tobytes() == whole.unknown[:, columns].tobytes()
    assert (some.n_events.tolist(), some.n_members.tolist()) == (whole.n_events.tolist(), whole.n_members.tolist())
    for first, values, unknown in vector_blocks(history, moment, names=names, block=block):
        assert values.tobytes() == some.values[first : first + block].tobytes()
        assert unknown.tobytes() == some.unknown[first : first + block].tobytes()
    assert first + block >= len(HOUSEHOLD_IDS)


def test_the_leak_property_catches_a_planted_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the known_at clause the property above must fail: a test that cannot fail proves nothing."""
    known_rows = features.history._known_rows

    def rows_of_any_time(as_of, household, person, code, occurred, known_from, *rest):
        return known_rows(
            as_of, household, person, code, occurred, np.where(known_from == NEVER, NEVER, ALWAYS), *rest
        )  # fmt: skip

    monkeypatch.setattr("features.history._known_rows", rows_of_any_time)

    @settings(max_examples=100, phases=[Phase.generate])
    @given(worlds(), as_ofs, events(), st.randoms(use_true_random=False))
    def leaking(world: World, as_of: pd.Timestamp, others: list[Row], random) -> None:
        test_the_unknown_future_changes_no_byte.hypothesis.inner_test(world, as_of, others, random)

    with pytest.raises(AssertionError):
        leaking()
