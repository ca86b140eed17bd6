"""From the events of a body to the model's columns.

A tutorial would group events with pandas here, at a few hundred times the cost, and get other numbers at the edges. It
is given our own tables and kernel instead, so that it pays as little as anybody can for the same features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa

from benchmarks.tutorial.messages import Household
from features.catalogue import Catalogue
from features.event import EVENTS, HOUSEHOLDS, MEMBERS
from features.history import history_of
from features.matrix import matrix
from features.tables import Tables
from features.window import as_of_moment, parsed

MOMENTS = ("occurred_at", "known_at", "joined_at", "left_at")


def feature_frame(households: Sequence[Household], catalogue: Catalogue, time_zone: str) -> pd.DataFrame:
    """One row of features a household, in the order given, with the model's columns."""
    parts = []
    for as_of in sorted({household.as_of for household in households}):
        chosen = [household for household in households if household.as_of == as_of]
        history = history_of(_tables(chosen, time_zone), catalogue, time_zone=time_zone)
        found = matrix(history, as_of_moment(as_of, time_zone))
        parts.append(pd.DataFrame(found.values, columns=list(found.names), index=list(found.household_ids)))
    return pd.concat(parts).loc[[household.household_id for household in households]]


def _tables(households: Sequence[Household], time_zone: str) -> Tables:
    events, members, homes = [], [], []
    for household in households:
        name = household.household_id
        homes.append({**household.model_dump(exclude={"members", "events"}), "household_id": name})
        for event in household.events:
            events.append({**event.model_dump(), "household_id": name, "known_at": event.known_at or event.occurred_at})
        for member in household.members:
            born = member.birth_date
            members.append(
                {
                    **member.model_dump(),
                    "household_id": name,
                    "known_at": member.known_at or member.joined_at,
                    "birth_date": None if born is None else date.fromisoformat(born),
                }
            )
    return Tables(*(_table(rows, schema, time_zone) for rows, schema in
                    ((events, EVENTS), (members, MEMBERS), (homes, HOUSEHOLDS))))  # fmt: skip


def _table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema, time_zone: str) -> pa.Table:
    columns = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        cells = [row[name] for row in rows]
        if name in MOMENTS:
            micros = [None if cell is None else parsed(cell, time_zone) for cell in cells]
            columns.append(pa.array(micros, pa.int64()).cast(kind))
        else:
            columns.append(pa.array(cells, kind))
    return pa.table(columns, schema=schema)
