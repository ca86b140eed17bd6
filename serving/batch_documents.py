"""What a batch keeps of each household beside its row: the whole assessment, and the request it was made from."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.dataset import DatasetMeta
from features.event import EVENTS
from features.tables import Tables
from features.window import NEVER, Micros, parsed
from models.assessment import Assessed
from models.bundle import Bundle
from models.tier import Tier
from serving.extract import Requests
from serving.redaction import places
from serving.rows import ROWS
from serving.scoring import error_record, unknown_codes
from serving.store.documents import sealed
from serving.visit_events import Event, fitting, merged

logger = logging.getLogger("povrisk.serving")
LISTED, ALL = "listed", "all"
DOCUMENTS = ("record", "record_sha256", "inputs", "inputs_sha256")
# A row, where the household lives, and its documents in the form in which they lie in the store.
STORED = pa.schema(
    [
        *ROWS,
        ("region", pa.string()),
        ("township", pa.string()),
        *((name, pa.string() if name.endswith("sha256") else pa.binary()) for name in DOCUMENTS),
    ]
)
VISITED = pa.schema([("household_id", pa.string()), ("events", pa.string())])


class Documents:
    """The documents of one bucket. `tables` are its rows as the departments sent them; `keep` is `listed` (everybody
    who is not green) or `all`."""

    def __init__(self, tables: Tables, meta: DatasetMeta, as_of: Micros, keep: str) -> None:
        self._tables, self._keep = tables, keep
        self.requests = Requests(tables, as_of, meta)

    def beside(
        self, table: pa.Table, bundle: Bundle, assessed: Assessed | Sequence[str], numbers: Sequence[int], as_of: Micros
    ) -> pa.Table:
        """The rows `table`, those of these `numbers` in `assessed`, with the other columns of `STORED`."""
        names, tiers = table["household_id"].to_pylist(), table["tier"].to_pylist()
        kept = [self._keep == ALL or tier != Tier.GREEN.value for tier in tiers]
        requests = self.requests.of([name for name, is_kept in zip(names, kept, strict=True) if is_kept])
        unknown = unknown_codes(assessed.history, as_of) if isinstance(assessed, Assessed) else []
        cells: dict[str, list[Any]] = {name: [] for name in STORED.names if name not in ROWS.names}
        for i, name, is_kept in zip(numbers, names, kept, strict=True):
            home = self._homes[name]
            told = {"region": home["region"], "township": home["township"], **dict.fromkeys(DOCUMENTS)}
            if is_kept:
                record = _record(bundle, assessed, i, unknown, name, as_of)
                told |= zip(("record", "record_sha256"), sealed(record), strict=True)
                told |= zip(("inputs", "inputs_sha256"), sealed(requests[name]), strict=True)
            for column, cell in told.items():
                cells[column].append(cell)
        for column, values in cells.items():
            table = table.append_column(STORED.field(column), pa.array(values, STORED.field(column).type))
        return table

    @cached_property
    def _homes(self) -> dict[str, Mapping[str, Any]]:
        return {home["household_id"]: home for home in self._tables.households.to_pylist()}


def write_visited(events: Mapping[str, Sequence[Event]], file: Path) -> None:
    """Keep what visits added, by household, where the processes of a batch find it."""
    rows = [{"household_id": name, "events": json.dumps(events[name], ensure_ascii=False)} for name in sorted(events)]
    pq.write_table(pa.Table.from_pylist(rows, schema=VISITED), file)


def read_visited(file: Path) -> dict[str, list[Event]]:
    """What `write_visited` kept."""
    return {row["household_id"]: json.loads(row["events"]) for row in pq.read_table(file).to_pylist()}


def with_visits(tables: Tables, visited: Mapping[str, Sequence[Event]], requests: Requests, bundle: Bundle) -> Tables:
    """The tables of a bucket with what visits added to its households, as `visit_events.merged` adds it to a request.

    What does not fit the model's catalogue is left out (`visit_events.fitting`).
    """
    here = set(tables.households["household_id"].to_pylist()) & set(visited)
    if not here:
        return tables
    rows, zone = [], bundle.time_zone
    for name, request in sorted(requests.of(here).items()):
        # Whatever is known only later is not seen at the batch's moment.
        fit = fitting(visited[name], bundle.catalogue, currency=bundle.currency, time_zone=zone, latest=NEVER)
        added = merged(request, fit, zone)["events"][len(request["events"]) :]
        for event in added:
            moments = {at: parsed(event[at], zone) for at in ("occurred_at", "known_at")}
            rows.append({**event, **moments, "household_id": name})
    columns = []
    for field in EVENTS:
        cells = [row.get(field.name) for row in rows]
        is_moment = pa.types.is_timestamp(field.type)
        columns.append(pa.array(cells, pa.int64()).cast(field.type) if is_moment else pa.array(cells, field.type))
    plain = tables.events.select(EVENTS.names).cast(EVENTS)
    events = pa.concat_tables([plain, pa.table(columns, schema=EVENTS)])
    return Tables(events.combine_chunks(), tables.members, tables.households)


def _record(
    bundle: Bundle, assessed: Assessed | Sequence[str], i: int, unknown: Sequence[int], name: str, as_of: Micros
) -> dict[str, Any]:
    """The record that a call of `POST /score` would get."""
    if not isinstance(assessed, Assessed):
        return error_record(bundle, name, as_of)
    try:
        record = assessed.record(i)
    except Exception as error:
        logger.error("1 household(s) could not be assessed\n%s", places(error))
        return error_record(bundle, name, as_of)
    record["data_quality"]["unknown_codes"] = unknown[i]
    return record
