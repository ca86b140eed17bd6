"""The vectors by Polars: versions resolved once by joins, then one group_by a moment, laid out by NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.running import Block, Layout, main, one_thread

one_thread()

import polars as pl  # noqa: E402

NEVER = np.iinfo(np.int64).max


def versions(folder: Path, workload: dict[str, Any], ids: pl.DataFrame) -> pl.DataFrame:
    rows = pl.scan_parquet(folder / "events.parquet").select(
        "event_id", "household_id", "value", "status", "supersedes",
        pl.col("code").replace_strict(workload["group_of_code"], return_dtype=pl.Int64).alias("group"),
        pl.col("occurred_at").dt.epoch("us").alias("occurred"),
        pl.col("known_at").dt.epoch("us").alias("known_from"),
    ).collect()  # fmt: skip
    replacing = (
        rows.filter(pl.col("supersedes").is_not_null())
        .select("household_id", "event_id", "supersedes", pl.col("known_from").alias("known"))
        .sort("household_id", "supersedes", "known", "event_id")
        .with_columns(pl.col("known").shift(-1).over("household_id", "supersedes").alias("next_known"))
    )
    first = replacing.group_by("household_id", pl.col("supersedes").alias("event_id")).agg(pl.col("known").min())
    return (
        rows.join(ids, on="household_id")
        .join(replacing.select("household_id", "event_id", "next_known"), on=["household_id", "event_id"], how="left")
        .join(first, on=["household_id", "event_id"], how="left")
        .filter(pl.col("status") != "retracted")
        .select(
            "household", "group", "occurred", "known_from", "value",
            pl.min_horizontal("next_known", "known").fill_null(NEVER).alias("known_until"),
        )
    )  # fmt: skip


def vectors(folder: Path, workload: dict[str, Any]) -> Iterator[Block]:
    ids = (
        pl.read_parquet(folder / "households.parquet", columns=["household_id"])
        .unique()
        .sort("household_id")
        .with_row_index("household")
    )
    rows = versions(folder, workload, ids)
    rows = rows.with_columns((pl.col("household").cast(pl.Int64) * workload["n_groups"] + pl.col("group")).alias("key"))
    layout = Layout(len(ids), workload)
    value = pl.col("value")
    for number, as_of in enumerate(workload["as_of"]):
        inside = [pl.col("occurred") >= start for start in workload["window_start"][number]]
        count = [within.sum().alias(f"count{w}") for w, within in enumerate(inside)]
        others = [getattr(value.filter(within), f)().alias(f"{f}{w}") for f in ("sum", "max", "mean")
                  for w, within in enumerate(inside)]  # fmt: skip
        long = (
            rows.lazy()
            .filter((pl.col("known_from") <= as_of) & (pl.col("known_until") > as_of) & (pl.col("occurred") < as_of))
            .group_by("key")
            .agg(*count, *others, pl.col("occurred").max().alias("newest"))
            .collect()
        )
        newest, n = long["newest"].to_numpy(), len(inside)
        cells = [long[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in long.columns[1:-1]]
        # An empty window has the count and sum 0 here; whether that is known is decided household by household.
        empty = [cells[w] == 0 for w in range(n)]
        zeros = [np.where(empty[i % n], np.nan, cells[i]) for i in range(2 * n)]
        since = (as_of - newest) / workload["micros_per_month"]
        is_recent = newest >= workload["link_start"][number]
        yield Block(
            number,
            np.arange(len(ids)),
            layout.rows(long["key"].to_numpy(), [*zeros, *cells[2 * n :], since], is_recent),
        )


if __name__ == "__main__":
    main(vectors)
