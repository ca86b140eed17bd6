"""The vectors by Featuretools (deep feature synthesis with cut-off times).

It knows neither corrections nor a time of knowledge: pandas selects the rows known at each moment for it, in the clock,
and it does the windows and the aggregates. It leaves out the months since the last event. It needs pandas below 2.3 and
therefore an environment of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.running import Block, main, one_thread

one_thread()

import pandas as pd  # noqa: E402

warnings.filterwarnings("ignore")

import featuretools as ft  # noqa: E402

NEVER = np.iinfo(np.int64).max
MICROS_PER_HOUR = 3_600_000_000
# Windows are calendar months in the dataset's own time zone, here eight hours ahead all year.
HOURS_AHEAD = 8
PRIMITIVES = ("count", "sum", "max", "mean")
READ = ["event_id", "household_id", "code", "occurred_at", "known_at", "value", "status", "supersedes"]


def versions(folder: Path, workload: dict[str, Any], ids: np.ndarray) -> pd.DataFrame:
    rows = pd.read_parquet(folder / "events.parquet", columns=READ)
    known = rows["known_at"].astype("datetime64[us, UTC]").astype("int64")
    replacing = rows[rows["supersedes"].notna()].assign(known=known)
    replacing = replacing.sort_values(["household_id", "supersedes", "known", "event_id"])
    same_target = replacing.groupby(["household_id", "supersedes"])["known"]
    until = pd.Series(NEVER, index=rows.index)
    until[replacing.index] = same_target.shift(-1, fill_value=NEVER)
    named = rows.loc[rows["event_id"].isin(replacing["supersedes"]), ["household_id", "event_id"]]
    replaced = named.join(same_target.min(), on=["household_id", "event_id"])["known"].dropna().astype("int64")
    until[replaced.index] = np.minimum(until[replaced.index], replaced)
    rows["known_from"], rows["known_until"] = known, until
    rows["group"] = rows["code"].map(workload["group_of_code"])
    rows["household"] = np.searchsorted(ids, rows["household_id"].to_numpy(str))
    occurred = rows["occurred_at"].dt.tz_localize(None).astype("datetime64[us]")
    rows["time"] = (occurred + pd.Timedelta(hours=HOURS_AHEAD)).astype("datetime64[ns]")
    kept = ["event_id", "household", "time", "group", "value", "known_from", "known_until"]
    return rows.loc[rows["status"] != "retracted", kept]


def vectors(folder: Path, workload: dict[str, Any]) -> Iterator[Block]:
    named = pd.read_parquet(folder / "households.parquet", columns=["household_id"])["household_id"]
    ids = np.unique(named.to_numpy(str))
    rows = versions(folder, workload, ids)
    households = pd.DataFrame({"household": np.arange(len(ids))})
    groups, months = range(workload["n_groups"]), workload["window_months"]
    nothing = np.full(len(ids), np.nan)
    per_group = len(PRIMITIVES) * len(months) + 1
    for number, as_of in enumerate(workload["as_of"]):
        known = (rows["known_from"] <= as_of) & (as_of < rows["known_until"])
        seen = rows[known].drop(columns=["known_from", "known_until"])
        local = pd.Timestamp(as_of + HOURS_AHEAD * MICROS_PER_HOUR, unit="us")
        entities = ft.EntitySet()
        entities.add_dataframe(dataframe_name="households", dataframe=households.copy(), index="household")
        entities.add_dataframe(
            dataframe_name="events", dataframe=seen, index="event_id", time_index="time",
            logical_types={"group": "Categorical", "value": "Double"},
        )  # fmt: skip
        entities.add_relationship("households", "household", "events", "household")
        entities.add_interesting_values(dataframe_name="events", values={"group": list(groups)})
        cutoffs = pd.DataFrame({"household": households["household"], "time": local})
        values = np.full((len(ids), workload["n_groups"] * per_group), np.nan)
        link = pd.Timestamp(workload["link_start"][number] + HOURS_AHEAD * MICROS_PER_HOUR, unit="us")
        recent = np.zeros(len(ids), np.bool_)
        recent[seen.loc[(seen["time"] >= link) & (seen["time"] < local), "household"]] = True
        for w, n_months in enumerate(months):
            # Without cutoff_time_in_index it answers in the order of the households.
            found, _ = ft.dfs(
                entityset=entities, target_dataframe_name="households", cutoff_time=cutoffs, include_cutoff_time=False,
                training_window=ft.Timedelta(n_months, "mo"), agg_primitives=list(PRIMITIVES),
                where_primitives=list(PRIMITIVES), trans_primitives=[], max_depth=1, n_jobs=1, verbose=False,
            )  # fmt: skip
            found = found.reindex(np.arange(len(ids)))
            for g in groups:
                for p, primitive in enumerate(PRIMITIVES):
                    read = "events" if primitive == "count" else "events.value"
                    name = f"{primitive.upper()}({read} WHERE group = {g})"
                    # A group nobody has an event of gets no column.
                    cell = found[name].to_numpy(np.float64, na_value=np.nan) if name in found else nothing
                    if p < 2:
                        cell = np.where(recent, np.nan_to_num(cell), np.nan)
                    values[:, g * per_group + p * len(months) + w] = cell
        yield Block(number, np.arange(len(ids)), values)


if __name__ == "__main__":
    main(vectors)
