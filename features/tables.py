"""The three tables of some households in Arrow: the form in which rows travel from a file, a call or Spark.

A `Tables` is closed: it holds all rows of every household in it and of every household that shares a person with one of
them, because a person's events follow the person.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.event import EVENTS, HOUSEHOLDS, MEMBERS

# Columns with few distinct words; they may be dictionary-encoded, which is a tenth of the memory.
WORDS = ("code", "unit", "text", "source", "status")


@dataclass(frozen=True)
class Tables:
    """Events, members and households with the columns of `features.event`, in any row order."""

    events: pa.Table
    members: pa.Table
    households: pa.Table

    @staticmethod
    def from_frames(events: pd.DataFrame, members: pd.DataFrame, households: pd.DataFrame) -> Tables:
        """The same rows out of pandas; columns that a schema does not name are left behind."""
        frames = ((events, EVENTS), (members, MEMBERS), (households, HOUSEHOLDS))
        return Tables(*(_arrow(frame, schema) for frame, schema in frames))

    def of(self, household_ids: Collection[str]) -> Tables:
        """The rows filed under these households."""
        wanted = pa.array(sorted(household_ids), pa.string())
        parts = (self.events, self.members, self.households)
        return Tables(*(part.filter(pc.is_in(part["household_id"], value_set=wanted)) for part in parts))


def _arrow(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    # A frame may leave out what it has nothing to say about.
    columns = [
        pa.Array.from_pandas(frame[field.name], type=field.type)
        if field.name in frame
        else pa.nulls(len(frame), field.type)
        for field in schema
    ]
    return pa.table([pa.chunked_array([c]) if isinstance(c, pa.Array) else c for c in columns], names=schema.names)
