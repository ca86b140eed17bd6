"""The floor: DuckDB reads the events once and adds them up per household and code, as an Arrow table, on one thread.

It makes no vector, knows no moment, no window and no correction. Whoever wants vectors must at least do this much.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.running import Block, main, one_thread

one_thread()

import duckdb  # noqa: E402


def scanned(folder: Path, workload: dict[str, Any]) -> Iterator[Block]:
    con = duckdb.connect()
    con.execute("SET threads = 1")
    con.sql(
        "SELECT household_id, code, count(*), sum(value), max(value) FROM read_parquet($1) GROUP BY household_id, code",
        params=[str(folder / "events.parquet")],
    ).to_arrow_table()
    return iter(())


if __name__ == "__main__":
    main(scanned)
