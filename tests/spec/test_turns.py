"""Calls that wait are computed together in whole calls, in order, within bounds; nobody pays for another's fault."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from serving.call import Call, Scored
from serving.errors import Failed, Invalid, Overdue, Refusal
from serving.messages import Household
from serving.settings import Settings
from serving.turns import Turns
from tests.loops import run as run_apart

LIMITS = Settings(households_at_once=4, call_s=5.0)
HOUSEHOLD = Household(household_id="h", as_of="2026-11-01", region="demo", residence="rural", members=[], events=[])


def call(name: str, households: int = 1) -> Call:
    return Call([HOUSEHOLD] * households, "platform", "actor", "prepare_visit", name, "")


class SlowDesk:
    """Answers when the gate is open; remembers which calls it was given together."""

    def __init__(self) -> None:
        self.gate, self.begun = threading.Event(), threading.Semaphore(0)
        self.turns: list[list[str]] = []

    def score_all(self, calls: Sequence[Call]) -> list[Scored | Refusal]:
        self.turns.append([each.request_id for each in calls])
        self.begun.release()
        assert self.gate.wait(20)
        return [self.answer(each) for each in calls]

    def answer(self, each: Call) -> Scored | Refusal:
        if each.request_id.startswith("raises"):
            raise ValueError("HH-SECRET")
        if each.request_id.startswith("exits"):
            raise SystemExit
        if each.request_id.startswith("refused"):
            return Invalid("no", [])
        return Scored([{"name": each.request_id}], True)


@pytest.fixture
def desk() -> SlowDesk:
    return SlowDesk()


@pytest.fixture
def turns(desk: SlowDesk) -> Iterator[Turns]:
    made = Turns(lambda: desk, LIMITS)
    yield made
    desk.gate.set()
    made.close()


def outcome(turns: Turns, each: Call) -> Any:
    try:
        return turns.answer_blocking(each).records[0]["name"]
    except Refusal as refusal:
        return type(refusal)


def waiting(turns: Turns, desk: SlowDesk, *calls: Call) -> list[Any]:
    """Outcomes of calls that all wait, in this order, while another one is being computed."""
    with ThreadPoolExecutor(len(calls) + 1) as callers:
        callers.submit(outcome, turns, call("first"))
        assert desk.begun.acquire(timeout=20)
        found = []
        for n, each in enumerate(calls, 1):
            found.append(callers.submit(outcome, turns, each))
            until = time.monotonic() + 20
            while len(turns._small) + len(turns._large) < n and time.monotonic() < until:
                time.sleep(0.001)
        desk.gate.set()
        return [each.result(20) for each in found]


def test_what_waits_is_taken_together_in_whole_calls_up_to_the_bound(turns: Turns, desk: SlowDesk) -> None:
    answers = waiting(turns, desk, call("a"), call("b", 2), call("c", 2), call("d", 2), call("e", 4))
    assert answers == ["a", "b", "c", "d", "e"]
    assert desk.turns == [["first"], ["a", "b"], ["c", "d"], ["e"]]


def test_large_and_small_calls_take_turns(turns: Turns, desk: SlowDesk) -> None:
    waiting(turns, desk, call("A", 50), call("B", 50), call("a", 3), call("b", 3), call("C", 5))
    assert desk.turns == [["first"], ["A"], ["a"], ["B"], ["b"], ["C"]]


def test_a_fault_costs_the_call_at_fault_and_no_other(turns: Turns, desk: SlowDesk) -> None:
    answers = waiting(turns, desk, call("a"), call("raises"), call("refused"), call("exits"))
    assert answers == ["a", Failed, Invalid, Failed]
    assert outcome(turns, call("after")) == "after"


def test_the_thread_outlives_whatever_is_raised(turns: Turns, desk: SlowDesk, caplog: pytest.LogCaptureFixture) -> None:
    desk.gate.set()
    for name in ("raises", "exits", "raises 2", "exits 2"):
        assert outcome(turns, call(name)) is Failed
    assert outcome(turns, call("after")) == "after"
    assert "could not be answered" in caplog.text
    assert "HH-SECRET" not in caplog.text


def test_what_has_waited_too_long_is_refused_and_not_computed(desk: SlowDesk) -> None:
    turns = Turns(lambda: desk, Settings(call_s=0.05))
    with ThreadPoolExecutor(2) as callers:
        first = callers.submit(outcome, turns, call("first"))
        assert desk.begun.acquire(timeout=20)
        late = callers.submit(outcome, turns, call("late"))
        time.sleep(0.2)
        desk.gate.set()
        assert (first.result(20), late.result(20)) == ("first", Overdue)
    turns.close()
    assert desk.turns == [["first"]]


def test_a_call_that_is_no_longer_wanted_is_not_computed(turns: Turns, desk: SlowDesk) -> None:
    async def calls() -> list[Any]:
        first = asyncio.ensure_future(turns.answer(call("first")))
        await asyncio.to_thread(desk.begun.acquire, timeout=20)
        given_up = asyncio.ensure_future(turns.answer(call("given up")))
        other = asyncio.ensure_future(turns.answer(call("other")))
        await asyncio.sleep(0.05)
        given_up.cancel()
        await asyncio.sleep(0.05)
        desk.gate.set()
        return [(await each).records[0]["name"] for each in (first, other)]

    assert run_apart(calls()) == ["first", "other"]
    assert desk.turns == [["first"], ["other"]]


def test_closing_answers_what_waits_and_refuses_what_comes_later(turns: Turns, desk: SlowDesk) -> None:
    with ThreadPoolExecutor(3) as callers:
        first = callers.submit(outcome, turns, call("first"))
        assert desk.begun.acquire(timeout=20)
        second = callers.submit(outcome, turns, call("second"))
        while not turns._small:
            time.sleep(0.001)
        closing = callers.submit(turns.close)
        while not turns._is_closed:
            time.sleep(0.001)
        assert outcome(turns, call("later")) is Overdue
        desk.gate.set()
        closing.result(20)
        assert (first.result(20), second.result(20)) == ("first", "second")
    assert not any(thread.name == "povrisk-turns" and thread.is_alive() for thread in [turns._thread] if thread)


def test_before_the_model_is_loaded_calls_are_told_so() -> None:
    turns = Turns(lambda: None, LIMITS)
    assert outcome(turns, call("early")) is Overdue
    turns.close()


class Busy:
    """Takes 40 ms whatever it is given; remembers how many calls it was given together."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def score_all(self, calls: Sequence[Call]) -> list[Scored | Refusal]:
        self.sizes.append(len(calls))
        time.sleep(0.04)
        return [Scored([], True) for _ in calls]


def sizes(callers: int, each: int, pause_s: float = 0.0) -> list[int]:
    """The sizes of the turns when so many callers ask again as soon as they are answered, or a pause later."""
    desk = Busy()
    turns = Turns(lambda: desk, Settings(households_at_once=64))

    async def ask() -> None:
        for _ in range(each):
            await turns.answer(call("again"))
            await asyncio.sleep(pause_s)

    async def everybody() -> None:
        await asyncio.gather(*(ask() for _ in range(callers)))

    run_apart(everybody())
    turns.close()
    return desk.sizes


def test_callers_who_ask_again_at_once_come_to_share_every_turn() -> None:
    """Taken as they come, they would fall into two groups that take turns, and pay the price of a turn twice."""
    found = sizes(callers=8, each=12)
    assert sum(found) == 8 * 12
    assert len(found) <= 12 + 4


def test_a_call_that_finds_the_thread_idle_is_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stood_back: list[float] = []
    monkeypatch.setattr(Turns, "_stand_back", lambda turns, took_s: stood_back.append(took_s))
    assert sizes(callers=1, each=10, pause_s=0.02) == [1] * 10
    assert stood_back == []
    assert max(sizes(callers=4, each=3)) > 1
    assert stood_back
