"""The pulse of a worker: how long its event loop stands still, how much memory it holds."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from pathlib import Path

from serving import metrics

EVERY_S = 0.1
REMEMBERED_S = 60.0
_STATM = Path("/proc/self/statm")


class Stops:
    """The longest stop of the last minute.

    >>> stops = Stops()
    >>> for moment, stop in ((0.0, 0.5), (1.0, 0.1), (2.0, 0.2)):
    ...     stops.add(moment, stop)
    >>> stops.longest(2.0), stops.longest(60.5), stops.longest(90.0)
    (0.5, 0.2, 0.0)
    """

    def __init__(self) -> None:
        self._falling: deque[tuple[float, float]] = deque()

    def add(self, moment: float, stop: float) -> None:
        """Note a stop; shorter ones before it can never be the longest again."""
        while self._falling and self._falling[-1][1] <= stop:
            self._falling.pop()
        self._falling.append((moment, stop))

    def longest(self, moment: float) -> float:
        """The longest one of the minute before."""
        while self._falling and moment - self._falling[0][0] > REMEMBERED_S:
            self._falling.popleft()
        return self._falling[0][1] if self._falling else 0.0


async def beat() -> None:
    """Measure until cancelled. A sleep that ends late is time in which no call was served."""
    stops, beats = Stops(), 0
    while True:
        begun = time.monotonic()
        await asyncio.sleep(EVERY_S)
        now = time.monotonic()
        stops.add(now, max(now - begun - EVERY_S, 0.0))
        beats += 1
        if beats % 2 == 0:
            metrics.refresh()
        if beats % 10 == 0:
            metrics.process_state(stops.longest(now), rss_bytes())
        if beats % 50 == 1:
            metrics.forget_dead_workers()


def rss_bytes() -> int | None:
    """The memory of this process; None where the system does not tell."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
