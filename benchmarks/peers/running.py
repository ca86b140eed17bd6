"""How one way of making the vectors is run and measured, in a process that does nothing else.

A way is a function `(folder, workload) -> iterator of blocks`. A block is the number of a moment, positions of
households in the order of their ids, and their rows of 130 numbers. Blocks are used and forgotten, as a model or a file
would use them; nobody has to keep 2.4 million vectors at once. With `--check FILE` the run is not a measurement: sums,
gaps and sample rows are written for comparison.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

# One thread each, whatever a library takes for granted; set before any of them is imported.
SINGLE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
}
SAMPLED = 199


class Block(NamedTuple):
    """Rows of one moment. `household` are positions among all sorted household ids; `values` is rows x columns.

    Without a comparison (`is_check` in the workload) nobody asks for the positions.
    """

    moment: int
    household: np.ndarray | None
    values: np.ndarray


Way = Callable[[Path, dict[str, Any]], Iterator[Block]]


def main(
    way: Way, *, before_clock: Callable[[], object] | None = None, describe: Callable[[], Any] | None = None
) -> None:
    """Run one way as a program and print what it took as JSON. `before_clock` loads compiled code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", type=Path, help="write sums and sample rows here")
    given = parser.parse_args()
    workload = json.loads((given.folder / "workload.json").read_text("utf-8"))
    if before_clock is not None:
        before_clock()
    if given.check is not None:
        found = summed(way(given.folder, {**workload, "is_check": True}), workload)
        np.savez(given.check, sums=found["sums"], gaps=found["gaps"], rows=found["rows"], sample=found["sample"])
        print(json.dumps({}))
        return
    cpu, wall = cpu_seconds(), time.perf_counter()
    vectors = sum(len(block.values) for block in way(given.folder, workload))
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    took: dict[str, Any] = {"cpu_s": cpu, "wall_s": wall, "vectors": vectors, "peak_rss_mb": peak_rss_mb()}
    if describe is not None:
        took["stages"] = describe()
    print(json.dumps(took))


def summed(blocks: Iterator[Block], workload: dict[str, Any]) -> dict[str, np.ndarray]:
    """Per moment and column the sum and the number of gaps, and the whole rows of every n-th household."""
    shape = (len(workload["as_of"]), len(workload["columns"]))
    sums, gaps = np.zeros(shape), np.zeros(shape, np.int64)
    rows = np.zeros(shape[0], np.int64)
    every = max(1, workload["size"]["households"] // SAMPLED)
    sample = np.full((shape[0], -(-workload["size"]["households"] // every), shape[1]), np.inf)
    for block in blocks:
        assert block.household is not None, "a comparison needs to know whose rows these are"
        values = np.asarray(block.values, np.float64)
        sums[block.moment] += np.nansum(values, axis=0)
        gaps[block.moment] += np.isnan(values).sum(axis=0)
        rows[block.moment] += len(values)
        chosen = block.household % every == 0
        sample[block.moment, block.household[chosen] // every] = values[chosen]
    return {"sums": sums, "gaps": gaps, "rows": rows, "sample": sample}


def cpu_seconds() -> float:
    """Processor time of this process and of the children that have ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def peak_rss_mb() -> float:
    """The most memory this process has held so far, in MB."""
    try:
        # Where it can be had: ru_maxrss also remembers the parent that started us.
        status = Path("/proc/self/status").read_text("utf-8")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one_thread() -> None:
    """Hold every library of this process to one thread; call it before they are imported."""
    os.environ.update(SINGLE_THREAD)


class Layout:
    """Turns the long result of a moment into rows of households, in one array that is used again and again."""

    def __init__(self, households: int, workload: dict[str, Any]) -> None:
        self._columns = len(workload["columns"]) // workload["n_groups"]
        self._rows = np.empty((households * workload["n_groups"], self._columns))
        self._n_groups = workload["n_groups"]

    def rows(self, key: np.ndarray, cells: list[np.ndarray], is_recent: np.ndarray) -> np.ndarray:
        """`cells` are the 13 columns of each key, `household * groups + group`, NaN where there is nothing.

        Counts and sums are 0 where a household has none, provided that some event of the last 24 months (`is_recent`,
        one a key) proves that it is seen; everything else stays empty.
        """
        n_zero = (self._columns - 1) // 2
        rows = self._rows
        household = key // self._n_groups
        seen = np.zeros(len(rows) // self._n_groups, np.bool_)
        seen[household[is_recent]] = True
        rows.fill(np.nan)
        rows[:, :n_zero][np.repeat(seen, self._n_groups)] = 0.0
        long = np.stack(cells, axis=1)
        none = seen[household]
        for cell in range(n_zero):
            column = long[:, cell]
            column[none & np.isnan(column)] = 0.0
        rows[key] = long
        return rows.reshape(len(seen), -1)
