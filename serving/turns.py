"""Calls that come in side by side are assessed together: one thread computes, and takes at each turn whatever waits."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from serving import metrics
from serving.call import Call, Scored
from serving.errors import Failed, Overdue, Refusal
from serving.redaction import places
from serving.settings import Settings

logger = logging.getLogger("povrisk.serving")
CLOSES_WITHIN_S = 10.0
# How long the thread stands back between two turns at most, and how long at a time once the event loop has done all
# that lay before it, as shares of what the last turn took. An answer leaves within so many passes of the loop.
STANDS_BACK, LOOKS_AFTER, PASSES = 1 / 2, 1 / 40, 4


class Scores(Protocol):
    """What answers calls: `serving.desk.Desk`."""

    def score_all(self, calls: Sequence[Call]) -> list[Scored | Refusal]:
        """What is answered to calls that came in side by side."""


@dataclass(eq=False)
class _Waiting:
    call: Call
    answer: Future[Scored] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class Turns:
    """The calls that wait for the computing thread of this process.

    A turn takes whole calls in the order in which they came, up to `settings.households_at_once` households and at
    least one call. A call that finds the thread idle is taken at once. After a turn that several calls shared, or while
    calls wait, the thread stands back as long as the event loop goes on bringing more, at most half as long as that
    turn took: the loop has to do that work on the same core anyway, and what it brings shares the next turn.

    A call of more households than that has a turn of its own, and such calls and the small ones take turns, so that
    neither keeps the other waiting for long. What has waited longer than a call may take, or is no longer wanted, is
    not computed.
    """

    def __init__(self, desk: Callable[[], Scores | None], settings: Settings) -> None:
        self._desk = desk
        self._settings = settings
        self._small: deque[_Waiting] = deque()
        self._large: deque[_Waiting] = deque()
        self._was_large = False
        self._is_closed = False
        self._came = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    async def answer(self, call: Call) -> Scored:
        """The answer to a call. Raises its refusal, `Overdue` where there is no model yet or no time left, and `Failed`
        where the computation fails."""
        self._loop = asyncio.get_running_loop()
        waiting = self._enter(call)
        return await asyncio.wrap_future(waiting.answer)

    def answer_blocking(self, call: Call) -> Scored:
        """The same for a caller with a thread of its own."""
        return self._enter(call).answer.result()

    def close(self) -> None:
        """Answer what waits, then end the thread; what comes later is refused."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(CLOSES_WITHIN_S)

    def _enter(self, call: Call) -> _Waiting:
        waiting = _Waiting(call)
        is_large = len(call.households) > self._settings.households_at_once
        with self._changed:
            if self._is_closed:
                raise Overdue("the service is being stopped")
            if self._thread is None:
                # Begun by the first call: a thread does not survive the fork of the process that prepares the workers.
                self._thread = threading.Thread(target=self._compute, name="povrisk-turns", daemon=True)
                self._thread.start()
            (self._large if is_large else self._small).append(waiting)
            self._came += 1
            self._changed.notify()
        return waiting

    # -- the computing thread

    def _compute(self) -> None:
        took_s, was_shared = 0.0, False
        while True:
            if was_shared or self._small:
                self._stand_back(took_s)
            with self._changed:
                while not (self._small or self._large or self._is_closed):
                    self._changed.wait()
                if not (self._small or self._large):
                    return
                turn = self._next_turn()
            began = time.monotonic()
            # What the turn before made is dropped by now, and little is left to go through.
            gc.collect(1)
            try:
                self._answer(turn)
            except BaseException as error:
                logger.error("a turn failed\n%s", places(error))
                for waiting in turn:
                    _refuse(waiting, Failed("the fault is logged; no result was computed"))
            took_s, was_shared = time.monotonic() - began, len(turn) > 1

    def _stand_back(self, took_s: float) -> None:
        """Let the event loop work as long as it brings calls that the next turn has room for."""
        until = time.monotonic() + took_s * STANDS_BACK
        while len(self._small) < self._settings.households_at_once and time.monotonic() < until:
            came = self._came
            for _ in range(PASSES):
                self._let_loop_pass(until)
            time.sleep(took_s * LOOKS_AFTER)
            if self._came == came:
                return

    def _let_loop_pass(self, until: float) -> None:
        passed = threading.Event()
        # A loop that is closed brings no more calls.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(passed.set)
                passed.wait(max(until - time.monotonic(), 0.0))

    def _next_turn(self) -> list[_Waiting]:
        if self._large and not (self._was_large and self._small):
            self._was_large = True
            return [self._large.popleft()]
        self._was_large = False
        turn = [self._small.popleft()]
        households = len(turn[0].call.households)
        while self._small:
            households += len(self._small[0].call.households)
            if households > self._settings.households_at_once:
                break
            turn.append(self._small.popleft())
        return turn

    def _answer(self, turn: Sequence[_Waiting]) -> None:
        """Answer what is still wanted and in time."""
        now = time.monotonic()
        wanted = []
        for waiting in turn:
            if not waiting.answer.set_running_or_notify_cancel():
                continue
            if now - waiting.since > self._settings.call_s:
                _refuse(waiting, Overdue(f"no answer within {self._settings.call_s:g} s; send fewer households"))
                continue
            metrics.stage("wait", now - waiting.since)
            wanted.append(waiting)
        if wanted:
            metrics.batch(len(wanted), sum(len(waiting.call.households) for waiting in wanted))
            self._answer_together(wanted)

    def _answer_together(self, turn: Sequence[_Waiting]) -> None:
        desk = self._desk()
        if desk is None:
            for waiting in turn:
                _refuse(waiting, Overdue("the model is not loaded yet"))
            return
        try:
            answers = desk.score_all([waiting.call for waiting in turn])
        except BaseException as error:
            logger.error("%d call(s) could not be answered\n%s", len(turn), places(error))
            if len(turn) == 1:
                _refuse(turn[0], Failed("the fault is logged; no result was computed"))
                return
            # Whose fault it is shows when each is alone.
            for waiting in turn:
                self._answer_together([waiting])
            return
        for waiting, answer in zip(turn, answers, strict=True):
            if isinstance(answer, Refusal):
                _refuse(waiting, answer)
            else:
                waiting.answer.set_result(answer)


def _refuse(waiting: _Waiting, refusal: Refusal) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(refusal)
