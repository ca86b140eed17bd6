"""Assessments as rows of a table: the columns of a batch, in Parquet and in CSV."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from features.window import Micros

TEXT = pa.struct([("zh", pa.string()), ("en", pa.string())])
CITED = pa.struct([(name, pa.string()) for name in ("event_id", "code", "occurred_at", "known_at", "source")])
FACT = pa.struct([("feature", pa.string()), ("text", TEXT), ("events", pa.list_(CITED)), ("n_events", pa.int64())])
REASON = pa.struct(
    [("group", pa.string()), ("direction", pa.string()), ("strength", pa.string()), ("facts", pa.list_(FACT))]
)
GAP = pa.struct(
    [
        ("group", pa.string()),
        ("kind", pa.string()),
        ("share_unknown", pa.float64()),
        ("weight_in_model", pa.float64()),
        ("text", TEXT),
    ]
)
TRIGGER = pa.struct(
    [
        ("id", pa.string()),
        ("state", pa.string()),
        ("tier", pa.string()),
        ("text", TEXT),
        ("evidence", pa.list_(CITED)),
        ("n_events", pa.int64()),
    ]
)
POVERTY_TYPE = pa.struct([("code", pa.string()), ("weight", pa.float64())])
DIMENSION = pa.struct([("name", pa.string()), ("value", pa.float64())])
CANDIDATE = pa.struct(
    [
        ("item", pa.string()),
        ("status", pa.string()),
        ("depends_on", pa.list_(pa.string())),
        ("missing", pa.list_(pa.string())),
    ]
)
ROWS = pa.schema(
    [
        ("household_id", pa.string()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        ("status", pa.string()),
        ("probability", pa.float64()),
        ("interval", pa.list_(pa.float64())),
        ("tier", pa.string()),
        ("tier_computed", pa.string()),
        ("tier_basis", pa.list_(pa.string())),
        ("points", pa.float64()),
        ("per_100", pa.float64()),
        ("rank_in_county", pa.float64()),
        ("reasons", pa.list_(REASON)),
        ("triggers", pa.list_(TRIGGER)),
        ("poverty_types", pa.list_(POVERTY_TYPE)),
        ("dimensions", pa.list_(DIMENSION)),
        ("verification", pa.list_(pa.string())),
        ("policy_candidates", pa.list_(CANDIDATE)),
        ("data_gaps", pa.list_(GAP)),
        ("coverage", pa.float64()),
        ("months_silent", pa.float64()),
        ("abstention_codes", pa.list_(pa.string())),
        ("assessment_id", pa.string()),
        ("model_version", pa.string()),
    ]
)
NESTED = tuple(field.name for field in ROWS if pa.types.is_nested(field.type))


def rows_table(rows: Sequence[Mapping[str, Any]], as_of: Micros) -> pa.Table:
    """Rows of `Assessed.row` as a table with the columns `ROWS`."""
    columns = [_column(rows, field, as_of) for field in ROWS]
    return pa.table(columns, schema=ROWS)


def _column(rows: Sequence[Mapping[str, Any]], field: pa.Field, as_of: Micros) -> pa.Array:
    if field.name == "as_of":
        return pa.repeat(pa.scalar(as_of, pa.int64()), len(rows)).cast(field.type)
    cells = [row[field.name] for row in rows]
    if field.name == "dimensions":
        cells = [[{"name": name, "value": value} for name, value in each.items()] for each in cells]
    return pa.array(cells, field.type)


def flat_schema() -> pa.Schema:
    """`ROWS` for CSV: lists are text."""
    return pa.schema([(f.name, pa.string() if f.name in NESTED else f.type) for f in ROWS])


def flat(table: pa.Table) -> pa.Table:
    """Lists as JSON, for CSV."""
    flattened = [
        pa.array([json.dumps(cell, ensure_ascii=False) for cell in table[name].to_pylist()], pa.string())
        if name in NESTED
        else table[name]
        for name in ROWS.names
    ]
    return pa.table(flattened, schema=flat_schema())
