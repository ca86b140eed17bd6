"""Calls that come in side by side are assessed together: one thread computes, and takes at each turn whatever waits."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from serving import metrics
from serving.call import Call, Scored
from serving.errors import Failed, Overdue, Refusal
from serving.redaction import places
from serving.settings import Settings

logger = logging.getLogger("povrisk.serving")
CLOSES_WITHIN_S = 10.0


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
    least one call; nothing waits for more to come. A call of more households than that has a turn of its own, and such
    calls and the small ones take turns, so that neither keeps the other waiting for long. What has waited longer than
    a call may take, or is no longer wanted, is not computed.
    """

    def __init__(self, desk: Callable[[], Scores | None], settings: Settings) -> None:
        self._desk = desk
        self._settings = settings
        self._small: deque[_Waiting] = deque()
        self._large: deque[_Waiting] = deque()
        self._was_large = False
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    async def answer(self, call: Call) -> Scored:
        """The answer to a call. Raises its refusal, `Overdue` where there is no model yet or no time left, and `Failed`
        where the computation fails."""
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
            self._changed.notify()
        return waiting

    # -- the computing thread

    def _compute(self) -> None:
        while True:
            with self._changed:
                while not (self._small or self._large or self._is_closed):
                    self._changed.wait()
                if not (self._small or self._large):
                    return
                turn = self._next_turn()
            try:
                self._answer(turn)
            except BaseException as error:
                logger.error("a turn failed\n%s", places(error))
                for waiting in turn:
                    _refuse(waiting, Failed("the fault is logged; no result was computed"))

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
