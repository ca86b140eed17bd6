"""The vectors by pandas: versions resolved once by a merge, then a groupby for each moment and window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.running import Block, Layout, main, one_thread

one_thread()

import pandas as pd  # noqa: E402

NEVER = np.iinfo(np.int64).max
READ = ["event_id", "household_id", "code", "occurred_at", "known_at", "value", "status", "supersedes"]


def versions(folder: Path, workload: dict[str, Any], ids: pd.Index) -> pd.DataFrame:
    rows = pd.read_parquet(folder / "events.parquet", columns=READ)
    known = rows["known_at"].astype("int64")
    replacing = rows.loc[rows["supersedes"].notna(), ["household_id", "supersedes", "event_id"]]
    replacing = replacing.assign(known=known[replacing.index]).sort_values(
        ["household_id", "supersedes", "known", "event_id"]
    )
    same_target = replacing.groupby(["household_id", "supersedes"])["known"]
    until = pd.Series(NEVER, index=rows.index)
    until[replacing.index] = same_target.shift(-1, fill_value=NEVER)
    first = same_target.min().rename("replaced_at")
    # Only rows that something names can be replaced; merging all of them would cost more.
    named = rows.loc[rows["event_id"].isin(replacing["supersedes"]), ["household_id", "event_id"]]
    replaced = named.join(first, on=["household_id", "event_id"])["replaced_at"].dropna().astype("int64")
    until[replaced.index] = np.minimum(until[replaced.index], replaced)
    counts = rows["status"] != "retracted"
    return pd.DataFrame(
        {
            "household": ids.get_indexer(rows["household_id"]),
            "group": rows["code"].map(workload["group_of_code"]).astype("int64"),
            "occurred": rows["occurred_at"].astype("int64"),
            "known_from": known,
            "known_until": until,
            "value": rows["value"],
        }
    )[counts]


def vectors(folder: Path, workload: dict[str, Any]) -> Iterator[Block]:
    ids = pd.Index(pd.read_parquet(folder / "households.parquet", columns=["household_id"])["household_id"].unique())
    ids = ids.sort_values()
    rows = versions(folder, workload, ids)
    rows["key"] = rows["household"] * workload["n_groups"] + rows["group"]
    layout = Layout(len(ids), workload)
    for number, as_of in enumerate(workload["as_of"]):
        seen = rows[(rows["known_from"] <= as_of) & (as_of < rows["known_until"]) & (rows["occurred"] < as_of)]
        newest = seen.groupby("key")["occurred"].max()
        parts = [
            seen[seen["occurred"] >= start].groupby("key")["value"].agg(["count", "sum", "max", "mean"])
            for start in workload["window_start"][number]
        ]
        cells = [part[name].reindex(newest.index).to_numpy(np.float64) for name in ("count", "sum", "max", "mean")
                 for part in parts]  # fmt: skip
        since = (as_of - newest.to_numpy()) / workload["micros_per_month"]
        is_recent = newest.to_numpy() >= workload["link_start"][number]
        yield Block(number, np.arange(len(ids)), layout.rows(newest.index.to_numpy(), [*cells, since], is_recent))


if __name__ == "__main__":
    main(vectors)
