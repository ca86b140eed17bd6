"""A few rows by hand, as the tables of a dataset: what most tests need and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa

from features.catalogue import Catalogue, catalogue
from features.dataset import Dataset, DatasetMeta, Moments
from features.event import EVENTS, HOUSEHOLDS, MEMBERS
from features.history import History, history_from_tables
from features.unit import Unit
from features.window import Micros, as_of_moment, from_micros, parsed

ZONE = "Asia/Shanghai"
CORE = catalogue()
META = DatasetMeta(
    name="by hand",
    catalogue="core",
    currency="CNY",
    time_zone=ZONE,
    default_label="L1",
    regions=("demo",),
    sources={"医保": (5, 120)},
    provenance="written by hand",
    data_until="2026-12-31",
    moments=Moments("2024-01-31", "2025-12-31"),
)
Row = dict[str, Any]


def at(day: str) -> Micros:
    """The end of a day."""
    return as_of_moment(day, ZONE)


def event(
    code: str,
    occurred: str,
    known: str | None = None,
    value: float | None = None,
    *,
    household: str = "h1",
    **more: Any,
) -> Row:
    """One event; its unit and source are what the catalogue wants."""
    kind = CORE.by_code.get(code)
    unit = None
    if kind is not None and value is not None:
        unit = "CNY" if kind.unit is Unit.MONEY else kind.unit.value
    row: Row = {
        "event_id": f"{code} {occurred} {more.get('person_id')}",
        "household_id": household,
        "person_id": None,
        "code": code,
        "occurred_at": from_micros(parsed(occurred, ZONE)),
        "known_at": from_micros(parsed(known or occurred, ZONE)),
        "value": value,
        "unit": unit,
        "text": None,
        "source": "医保" if kind is None else kind.department.source,
        "status": "original",
        "supersedes": None,
    }
    return row | more


def member(
    person: str = "p1",
    joined: str = "2010-01-01",
    left: str | None = None,
    known: str | None = None,
    *,
    household: str = "h1",
    born: str | None = "1970-05-01",
    **more: Any,
) -> Row:
    """One membership row, known since it began unless told otherwise."""
    row: Row = {
        "household_id": household,
        "person_id": person,
        "birth_date": None if born is None else date.fromisoformat(born),
        "sex": "F",
        "role": "other",
        "joined_at": from_micros(parsed(joined, ZONE)),
        "left_at": None if left is None else from_micros(parsed(left, ZONE)),
        "known_at": from_micros(parsed(known or joined, ZONE)),
    }
    return row | more


def household(name: str = "h1", residence: str | None = "rural", region: str = "demo") -> Row:
    """One household."""
    return {"household_id": name, "region": region, "residence": residence, "township": "t01"}


def table(rows: Iterable[Row], schema: pa.Schema) -> pd.DataFrame:
    """Rows with the columns and types that a dataset folder gives."""
    return pa.Table.from_pylist(list(rows), schema=schema).to_pandas()


def dataset(
    events: Sequence[Row],
    members: Sequence[Row] | None = None,
    households: Sequence[Row] | None = None,
    meta: DatasetMeta = META,
) -> Dataset:
    """A dataset; one adult lives in each household unless told otherwise."""
    homes = [household(name) for name in sorted({e["household_id"] for e in events} | {"h1"})]
    homes = homes if households is None else list(households)
    people = [member(f"p of {home['household_id']}", household=home["household_id"]) for home in homes]
    people = people if members is None else list(members)
    return Dataset(meta, table(events, EVENTS), table(people, MEMBERS), table(homes, HOUSEHOLDS))


def history(
    events: Sequence[Row],
    members: Sequence[Row] | None = None,
    households: Sequence[Row] | None = None,
    of: Catalogue = CORE,
) -> History:
    """The same as a history, ready for vectors."""
    made = dataset(events, members, households)
    return history_from_tables(made.events, made.members, made.households, of, time_zone=ZONE)
