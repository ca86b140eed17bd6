"""Assess a whole dataset folder at one moment and write one row a household."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.dataset import DatasetRefused, read_dataset
from features.intake import admitted
from features.progress import steps
from features.window import Micros, as_of_moment, from_micros, micros_of
from models.assessment import PLAIN, Handling
from models.bundle import Bundle
from models.tier import Previous, Tier
from serving.cases import Tables
from serving.scoring import assess_parts

# Large enough that the work per chunk outweighs its start, small enough that its records fit into memory.
CHUNK_HOUSEHOLDS = 2_000

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
        ("assessment_id", pa.string()),
        ("model_version", pa.string()),
    ]
)
NESTED = tuple(field.name for field in ROWS if pa.types.is_nested(field.type))


@dataclass(frozen=True)
class BatchReport:
    """How many households came out how."""

    households: int
    by_status: dict[str, int]
    by_tier: dict[str, int]


def score_dataset(
    bundle: Bundle,
    folder: Path,
    as_of: str,
    out: Path,
    *,
    reasons: bool = True,
    handling: Handling = PLAIN,
    last_run: Path | None = None,
) -> BatchReport:
    """Assess every household of the folder and write the rows to `out`: Parquet, or CSV if its name ends so.

    `last_run` is the file of the run before: a tier then falls only on the second run that says so, or after a visit.
    The file appears under its name only when it is whole. Raises `DatasetRefused` when the folder cannot be read or
    was made for another catalogue, currency, time zone or region than the bundle.
    """
    dataset = read_dataset(folder)
    bundle.refuse_foreign(dataset.meta)
    try:
        moment = as_of_moment(as_of, bundle.time_zone)
    except (ValueError, OverflowError):
        raise DatasetRefused("--as-of is neither a date nor a time in ISO 8601") from None
    dataset = admitted(dataset, bundle.catalogue)
    tables = Tables(dataset.events, dataset.members, dataset.households)
    previous = handling.previous if last_run is None else previous_of(last_run, moment)
    handling = dataclasses.replace(handling, previous=previous, brief=True)
    chunks = list(chunked(parts_of(tables), CHUNK_HOUSEHOLDS))
    status: Counter[str] = Counter()
    tier: Counter[str] = Counter()
    with _Writer(out) as writer:
        for chunk in steps(chunks, "Assessments"):
            answers = assess_parts(bundle, tables, chunk, moment, reasons=reasons, handling=handling)
            writer.append(rows(answers.values(), moment))
            status.update(answer["status"] for answer in answers.values())
            tier.update(answer["tier"] for answer in answers.values())
    return BatchReport(sum(status.values()), dict(sorted(status.items())), dict(sorted(tier.items())))


def previous_of(file: Path, as_of: Micros) -> dict[str, tuple[Previous, Micros]]:
    """The tiers of an earlier run by household. Raises `DatasetRefused` for a file that is none, or is not earlier."""
    names = ["household_id", "as_of", "tier", "tier_computed"]
    try:
        table = pq.read_table(file, columns=names).to_pandas()
    except (OSError, pa.ArrowException, KeyError):
        raise DatasetRefused(f"--previous must be a Parquet file that `povrisk score` wrote: {file.name}") from None
    moments = micros_of(table["as_of"])
    if len(moments) and moments.max() >= as_of:
        raise DatasetRefused("--previous is not of a moment before --as-of")
    return {
        str(name): (Previous(Tier(tier), Tier(computed)), int(moment))
        for name, tier, computed, moment in zip(
            table["household_id"], table["tier"], table["tier_computed"], moments, strict=True
        )
    }


def parts_of(tables: Tables) -> list[tuple[str, ...]]:
    """Households that share a person belong together, because a person's events follow the person.

    >>> one = pd.DataFrame({"household_id": ["a", "b", "c"], "person_id": ["p", "p", "q"]})
    >>> parts_of(Tables(one, one, one))
    [('a', 'b'), ('c',)]
    """
    household_ids = np.array(sorted(tables.households["household_id"].unique()), dtype=object)
    links = pd.concat([table[["household_id", "person_id"]] for table in (tables.members, tables.events)])
    links = links.dropna().drop_duplicates()
    household = pd.Index(household_ids).get_indexer(links["household_id"])
    person, persons = pd.factorize(links["person_id"])
    n = len(household_ids)
    size = n + len(persons)
    graph = coo_array((np.ones(len(links), np.int8), (household, n + person)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][:n]
    members = pd.Series(household_ids).groupby(component, sort=False)
    return [tuple(names) for _, names in members]


def chunked(parts: Sequence[tuple[str, ...]], at_least: int) -> Iterator[list[tuple[str, ...]]]:
    """Parts in runs of `at_least` households; the last run holds the rest."""
    run: list[tuple[str, ...]] = []
    held = 0
    for part in parts:
        run.append(part)
        held += len(part)
        if held >= at_least:
            yield run
            run, held = [], 0
    if run:
        yield run


def rows(answers: Any, as_of: Micros) -> pa.Table:
    """Assessments as rows of `ROWS`."""
    listed = [
        {
            **{name: answer[name] for name in ROWS.names if name in answer},
            "as_of": from_micros(as_of),
            "dimensions": [{"name": name, "value": value} for name, value in answer["dimensions"].items()],
            "verification": [found["id"] for found in answer["verification"]],
            "coverage": answer["data_quality"]["coverage"],
            "model_version": answer["model"]["version"],
        }
        for answer in answers
    ]
    return pa.Table.from_pylist(listed, schema=ROWS)


class _Writer:
    """Writes beside the final name and takes it when everything is written."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._unfinished = out.with_name(f".{out.name}.{os.getpid()}.part")
        self._writer: Any = None

    def __enter__(self) -> _Writer:
        self._out.parent.mkdir(parents=True, exist_ok=True)
        if self._out.suffix.lower() == ".csv":
            self._writer = pa.csv.CSVWriter(self._unfinished, _flat_schema())
        else:
            self._writer = pq.ParquetWriter(self._unfinished, ROWS, compression="zstd")
        return self

    def append(self, table: pa.Table) -> None:
        self._writer.write_table(_flat(table) if isinstance(self._writer, pa.csv.CSVWriter) else table)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._writer.close()
        if kind is None:
            self._unfinished.rename(self._out)
        else:
            with suppress(FileNotFoundError):
                self._unfinished.unlink()


def _flat_schema() -> pa.Schema:
    return pa.schema([(f.name, pa.string() if f.name in NESTED else f.type) for f in ROWS])


def _flat(table: pa.Table) -> pa.Table:
    """Lists as JSON, for CSV."""
    columns = [
        pa.array([json.dumps(cell, ensure_ascii=False) for cell in table[name].to_pylist()], pa.string())
        if name in NESTED
        else table[name]
        for name in ROWS.names
    ]
    return pa.table(columns, schema=_flat_schema())
