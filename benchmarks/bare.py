"""Assessments without a service: what one process does with households that are read already, on one core.

Groups of 1 and 64 are as many calls of one household, a group of 100 is one call of a hundred. Run as a module it
prints households a second, by wall and by processor time; the bodies' JSON has been read before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.peers.running import one_thread

one_thread()

from models.bundle import read_bundle  # noqa: E402
from serving.clock import now  # noqa: E402
from serving.messages import Batch  # noqa: E402
from serving.reading import read_batch  # noqa: E402
from serving.scoring import Scorer  # noqa: E402
from serving.settings import Settings  # noqa: E402

GROUPS = (1, 64, 100)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("bodies", type=Path, help="one body of one household a line")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--groups", type=int, nargs="+", default=list(GROUPS))
    given = parser.parse_args()
    print(json.dumps(measured(given.bundle, given.bodies, given.groups, given.seconds)))


def measured(bundle: Path, bodies: Path, groups: list[int], seconds: float) -> dict[str, Any]:
    """Households a second by size of the group."""
    settings = Settings()
    scorer = Scorer(read_bundle(bundle), settings)
    households = [read_batch(line, settings, Batch).households[0] for line in bodies.read_bytes().splitlines()]
    found: dict[str, Any] = {}
    for n in groups:
        turns = cycle(households)
        together = min(n, len(households))

        def group(turns: Any = turns, n: int = n, together: int = together) -> None:
            chosen = list(islice(turns, together))
            calls = [chosen] if n >= 100 else [[each] for each in chosen]
            scorer.score_all(calls, now(settings), may_read_sealed=[False] * len(calls))

        found[str(n)] = _rate(group, together, seconds)
    return found


def _rate(group: Callable[[], None], households: int, seconds: float) -> dict[str, float]:
    for _ in range(2):
        group()
    n, cpu, began = 0, time.process_time(), time.perf_counter()
    while (wall := time.perf_counter() - began) < seconds:
        group()
        n += households
    return {"households_per_s": n / wall, "cpu_ms": 1e3 * (time.process_time() - cpu) / n}


if __name__ == "__main__":
    main()
