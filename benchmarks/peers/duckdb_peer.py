"""The vectors by DuckDB: versions resolved once in SQL, then one long query a moment, laid out by NumPy.

One query with 130 filtered aggregates instead takes several times as long and eight gigabytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.running import Block, Layout, main, one_thread

one_thread()

import duckdb  # noqa: E402

VERSIONS = """
CREATE TABLE versions AS
WITH rows AS (
  SELECT household_id, event_id, code, epoch_us(occurred_at) AS occurred, epoch_us(known_at) AS known, value, status,
    supersedes
  FROM read_parquet($1)
),
replacing AS (
  SELECT household_id, event_id, supersedes AS target, known,
    lead(known) OVER (PARTITION BY household_id, supersedes ORDER BY known, event_id) AS next_known
  FROM rows WHERE supersedes IS NOT NULL
),
first_replaced AS (SELECT household_id, target, min(known) AS known FROM replacing GROUP BY household_id, target)
SELECT h.position AS household, c.grp, occurred, rows.known AS known_from, rows.value,
  least(coalesce(s.next_known, 9223372036854775807), coalesce(f.known, 9223372036854775807)) AS known_until
FROM rows
JOIN ids h ON h.household_id = rows.household_id
JOIN codes c ON c.code = rows.code
LEFT JOIN replacing s ON s.household_id = rows.household_id AND s.event_id = rows.event_id
LEFT JOIN first_replaced f ON f.household_id = rows.household_id AND f.target = rows.event_id
WHERE status <> 'retracted'
"""


def vectors(folder: Path, workload: dict[str, Any]) -> Iterator[Block]:
    con = duckdb.connect()
    con.execute("SET threads = 1")
    con.execute(
        "CREATE TABLE ids AS SELECT household_id, row_number() OVER (ORDER BY household_id) - 1 AS position "
        "FROM (SELECT DISTINCT household_id FROM read_parquet($1))",
        [str(folder / "households.parquet")],
    )
    con.execute("CREATE TABLE codes (code VARCHAR, grp INTEGER)")
    con.executemany("INSERT INTO codes VALUES (?, ?)", list(workload["group_of_code"].items()))
    con.execute(VERSIONS, [str(folder / "events.parquet")])
    n = con.execute("SELECT count(*) FROM ids").fetchone()[0]
    windows = range(len(workload["window_months"]))
    aggregates = [f"{f} FILTER (occurred >= $w{w})" for f in ("count(*)", "sum(value)", "max(value)", "avg(value)")
                  for w in windows]  # fmt: skip
    query = (
        f"SELECT household * {workload['n_groups']} + grp AS key, {', '.join(aggregates)}, max(occurred) "
        "FROM versions WHERE known_from <= $as_of AND $as_of < known_until AND occurred < $as_of GROUP BY key"
    )
    layout = Layout(n, workload)
    for number, as_of in enumerate(workload["as_of"]):
        starts = {f"w{w}": start for w, start in enumerate(workload["window_start"][number])}
        key, *columns, newest = con.execute(query, {"as_of": as_of, **starts}).fetchnumpy().values()
        cells = [np.ma.filled(column.astype(np.float64), np.nan) for column in columns]
        # An empty window counts 0 here; whether that is known is decided household by household.
        counts = [np.where(cell == 0, np.nan, cell) for cell in cells[: len(windows)]]
        since = (as_of - newest) / workload["micros_per_month"]
        is_recent = newest >= workload["link_start"][number]
        yield Block(
            number, np.arange(n), layout.rows(key, [*counts, *cells[len(windows) :], since], np.asarray(is_recent))
        )


if __name__ == "__main__":
    main(vectors)
