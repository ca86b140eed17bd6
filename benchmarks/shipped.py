"""The shipped core catalogue on a simulated county, and one household of about 300 events alone.

Nothing else computes these features, so there is no peer; the figures are for comparison with themselves over time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import timeit
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.peers.running import one_thread

one_thread()

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402

pa.set_cpu_count(1)

from features.buckets import partition  # noqa: E402
from features.catalogue import catalogue  # noqa: E402
from features.dataset import META_FILE, read_meta  # noqa: E402
from features.history import History, history_of, visible  # noqa: E402
from features.intake import admitted_tables  # noqa: E402
from features.matrix import matrix_of, vector_blocks  # noqa: E402
from features.tables import Tables  # noqa: E402
from features.window import Micros, as_of_moment, month_ends, months_before  # noqa: E402
from training.county.simulate import simulate  # noqa: E402

COUNTY_MONTHS, SEED = 60, 7
EVENTS_WANTED = 300
REPEATS, CALLS = 7, 200


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--households", type=int, default=5_000)
    given = parser.parse_args()
    print(json.dumps(measured(given.folder, given.households)))


def measured(folder: Path, households: int) -> dict[str, Any]:
    """Microseconds of processor time a vector, a vector's column and an event; and for one household alone."""
    county = folder / f"county-{households}"
    if not (county / META_FILE).is_file():
        simulate(county, households=households, months=COUNTY_MONTHS, seed=SEED)
    meta, core = read_meta(county), catalogue()
    zone, until = meta.time_zone, as_of_moment(meta.data_until, meta.time_zone)
    moments = month_ends(months_before(until, 13, zone), until, 1, zone)[:12]
    cpu = dict.fromkeys(("partition", "read", "intake", "encode", "vectors"), 0.0)
    with tempfile.TemporaryDirectory(dir=folder) as spill:
        # Once for nothing, so that every compiled function is loaded.
        few = partition(county, Path(spill) / "warm", n=64)
        tables, *_ = admitted_tables(few.read(0), meta, core)
        history = history_of(tables, core, time_zone=zone)
        _drained(history, moments[:1])
        with _stage(cpu, "partition"):
            buckets = partition(county, Path(spill) / "buckets")
        for number in range(buckets.n):
            with _stage(cpu, "read"):
                tables = buckets.read(number)
            with _stage(cpu, "intake"):
                tables, *_ = admitted_tables(tables, meta, core)
            with _stage(cpu, "encode"):
                history = history_of(tables, core, time_zone=zone)
            with _stage(cpu, "vectors"):
                _drained(history, moments)
        events = buckets.rows["events"]
        alone, n_events = _alone(tables, history, zone)
    vectors = households * len(moments)
    seen = visible(alone, moments[-1])
    seconds = timeit.repeat(
        lambda: matrix_of(alone, visible(alone, moments[-1])), repeat=REPEATS, number=CALLS, timer=time.process_time
    )
    return {
        "households": households,
        "events": events,
        "columns": len(core.features),
        "us_per_vector": 1e6 * cpu["vectors"] / vectors,
        "us_per_vector_per_column": 1e6 * cpu["vectors"] / vectors / len(core.features),
        "us_per_event": {name: 1e6 * seconds / events for name, seconds in cpu.items() if name != "vectors"},
        "one_household_us": 1e6 * statistics.median(seconds) / CALLS,
        "one_household_events": n_events,
        "one_household_events_visible": len(seen.rows),
    }


@contextmanager
def _stage(cpu: dict[str, float], name: str) -> Iterator[None]:
    begun = time.process_time()
    yield
    cpu[name] += time.process_time() - begun


def _drained(history: History, moments: list[Micros]) -> None:
    for moment in moments:
        for _ in vector_blocks(history, moment):
            pass


def _alone(tables: Tables, history: History, zone: str) -> tuple[History, int]:
    """A history of the one household whose number of rows is nearest to the wanted one."""
    counts = np.bincount(history.household, minlength=len(history.household_ids))
    nearest = int(np.abs(counts - EVENTS_WANTED).argmin())
    its = tables.of([history.household_ids[nearest]])
    return history_of(its, catalogue(), time_zone=zone), int(counts[nearest])


if __name__ == "__main__":
    main()
