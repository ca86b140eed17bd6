"""Our own way to the vectors of the workload, run and measured as the peers are: `python -m benchmarks.ours FOLDER`.

Buckets of households are spilled, read back, admitted (where `BENCHMARK_INTAKE=1`), encoded, and turned into vectors
block by block at every moment. The clock starts after the imports and after the compiled functions have been loaded.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.peers.running import Block, main, one_thread

one_thread()

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402

pa.set_cpu_count(1)

from benchmarks.workload import ZONE, workload_catalogue  # noqa: E402
from features.buckets import partition  # noqa: E402
from features.dataset import read_meta  # noqa: E402
from features.history import History, history_of  # noqa: E402
from features.intake import admitted_tables  # noqa: E402
from features.matrix import vector_blocks  # noqa: E402

WITH_INTAKE = "BENCHMARK_INTAKE"
_stages: dict[str, float] = {}


def vectors(folder: Path, workload: dict[str, Any]) -> Iterator[Block]:
    """All blocks of all buckets; a bucket's households are positions among all sorted ids."""
    catalogue, meta = workload_catalogue(), read_meta(folder)
    with_intake = os.environ.get(WITH_INTAKE) == "1"
    with tempfile.TemporaryDirectory(dir=folder) as spill:
        with _stage("partition"):
            buckets = partition(folder, Path(spill) / "buckets")
        for number in range(buckets.n):
            with _stage("read"):
                tables = buckets.read(number)
            if with_intake:
                with _stage("intake"):
                    tables, refused, _ = admitted_tables(tables, meta, catalogue)
                    assert refused == 0, "the workload is meant to be clean"
            with _stage("encode"):
                history = history_of(tables, catalogue, time_zone=ZONE)
            with _stage("vectors"):
                # Which household a row belongs to is known without this; only a comparison needs it as a number.
                household = positions(history) if workload.get("is_check") else None
                for moment, as_of in enumerate(workload["as_of"]):
                    for first, values, _ in vector_blocks(history, as_of):
                        rows = None if household is None else household[first : first + len(values)]
                        yield Block(moment, rows, values)


def positions(history: History) -> np.ndarray:
    """Which number each household has; the ids of the workload are numbered."""
    return np.array([int(household_id[1:]) for household_id in history.household_ids])


def warm() -> None:
    """Load every compiled function by running the whole way on a few households."""
    from benchmarks.workload import Size, described, workload_at

    with tempfile.TemporaryDirectory() as place:
        size = Size(households=20)
        folder = workload_at(Path(place), size)
        for _ in vectors(folder, described(size)):
            pass
        # A folder this small is read as it is; the spilling of a larger one is other code.
        spilled = partition(folder, Path(place) / "spill", n=2)
        for number in range(2):
            tables, *_ = admitted_tables(spilled.read(number), read_meta(folder), workload_catalogue())
            history_of(tables, workload_catalogue(), time_zone=ZONE)
    _stages.clear()


@contextmanager
def _stage(name: str) -> Iterator[None]:
    begun = time.process_time()
    yield
    _stages[name] = _stages.get(name, 0.0) + time.process_time() - begun


if __name__ == "__main__":
    main(vectors, before_clock=warm, describe=lambda: {name: round(cpu, 3) for name, cpu in _stages.items()})
