"""How long the whole rule layer takes beside building the household vectors alone, on one dataset in one run.

Measured bucket by bucket for all households: the vectors; and every indicator's state, points, floors, dimensions,
poverty types, the deprivation score and the policy items' statuses. Wording and evidence of single households are not
part of it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.apart import machine, run_apart
from benchmarks.peers.running import one_thread, peak_rss_mb
from features.buckets import partition
from features.catalogue import catalogue
from features.dataset import META_FILE, read_meta
from features.history import History, history_of, visible
from features.matrix import matrix_of
from features.rules.rulebook import rulebook
from features.window import Micros, as_of_moment
from models.policy import statuses
from models.rules import ruled
from training.county.simulate import simulate

HOUSEHOLDS, MONTHS, SEED = 5_000, 60, 7


def rules_benchmark(
    dataset: Path | None = None,
    as_of: str | None = None,
    *,
    folder: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """All figures of `povrisk benchmark rules`; without a dataset, on a simulated county."""
    if dataset is not None:
        progress("Rules beside vectors")
        return run_apart("benchmarks.rules", [str(dataset), *([] if as_of is None else ["--as-of", as_of])])
    with tempfile.TemporaryDirectory(prefix="povrisk-benchmark-") as place:
        county = (folder or Path(place)) / f"county-{HOUSEHOLDS}"
        if not (county / META_FILE).is_file():
            progress("Simulating a county")
            county.parent.mkdir(parents=True, exist_ok=True)
            simulate(county, households=HOUSEHOLDS, months=MONTHS, seed=SEED)
        return rules_benchmark(county, as_of, progress=progress)


def measured(dataset: Path, as_of: str | None) -> dict[str, Any]:
    """Processor seconds for the visible events, the vectors and the rules of all households."""
    meta = read_meta(dataset)
    moment = as_of_moment(as_of or meta.moments.until, meta.time_zone)
    cpu = {"encode": 0.0, "visible": 0.0, "vectors": 0.0, "rules": 0.0}
    events = households = 0
    with tempfile.TemporaryDirectory() as spill:
        buckets = partition(dataset, Path(spill) / "buckets")
        few = buckets.read(0)
        few = few.of(set(few.households["household_id"].slice(0, 50).to_pylist()))
        _work(history_of(few, catalogue(), time_zone=meta.time_zone), moment, dict(cpu))
        for number in range(buckets.n):
            tables = buckets.read(number)
            begun = time.process_time()
            history = history_of(tables, catalogue(), time_zone=meta.time_zone)
            cpu["encode"] += time.process_time() - begun
            events += _work(history, moment, cpu)
            households += len(history.household_ids)
    return {
        "ratio_to_vectors": (cpu["visible"] + cpu["rules"]) / (cpu["visible"] + cpu["vectors"]),
        "us_per_household": 1e6 * cpu["rules"] / max(1, households),
        "households": households,
        "visible_events": events,
        "cpu_s": cpu,
        "peak_rss_mb": peak_rss_mb(),
        "machine": machine(),
    }


def _work(history: History, moment: Micros, cpu: dict[str, float]) -> int:
    start = time.process_time()
    seen = visible(history, moment)
    after_visible = time.process_time()
    matrix_of(history, seen)
    after_vectors = time.process_time()
    found = ruled(rulebook(), history, seen)
    for indicator in found.states.book.indicators:
        found.states.state(indicator.id)
    _ = (found.points_rank, found.floor, found.dimensions, found.poverty_types, found.monitored_type_hint)
    _ = found.deprivation
    statuses(found.states.book.policies, found.states)
    cpu["visible"] += after_visible - start
    cpu["vectors"] += after_vectors - after_visible
    cpu["rules"] += time.process_time() - after_vectors
    return len(seen.rows)


def main() -> None:
    """Measure one dataset folder and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--as-of")
    given = parser.parse_args()
    one_thread()
    print(json.dumps(measured(given.dataset, given.as_of)))


if __name__ == "__main__":
    main()
