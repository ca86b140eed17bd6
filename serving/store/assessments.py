"""Assessments as they were told, the inputs they were made from, and the row that lists and orders them.

A household's assessments are ordered by the moment they judge and, at the same moment, by when they came in. What is
kept stays: the same assessment again changes nothing, except that one kept only as a row gets its record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from sqlalchemy import Connection, Insert, and_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import Table

from features.window import Micros, as_of_moment
from serving.store.documents import digest, packed, unpacked
from serving.store.tables import ASSESSMENTS, INPUTS

Origin = Literal["call", "batch", "visit"]


@dataclass(frozen=True)
class Summary:
    """What every kept assessment says in columns; `as_of` in microseconds."""

    assessment_id: str
    household_id: str
    as_of: Micros
    origin: str
    purpose: str
    region: str
    township: str | None
    status: str
    tier: str
    tier_computed: str
    probability: float | None
    points: float | None
    coverage: float | None
    months_silent: float | None
    bundle_sha256: str


@dataclass(frozen=True)
class Kept(Summary):
    """An assessment to keep. `inputs` is the household of the request it was made from, as a dict, without what visits
    added. Without a `record` only the row is kept."""

    record: Mapping[str, Any] | None
    inputs: Mapping[str, Any] | None


@dataclass(frozen=True)
class Row(Summary):
    """A kept assessment without its documents. `stored_at` is when it came in; `inputs_sha256` is None, and
    `has_record` false, where a batch kept only the row."""

    seq: int
    stored_at: Micros
    inputs_sha256: str | None
    has_record: bool


@dataclass(frozen=True)
class Packed(Summary):
    """An assessment with its documents in the form in which they lie in the store."""

    record: bytes | None
    record_sha256: str | None
    inputs: bytes | None
    inputs_sha256: str | None


def kept_of(
    record: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    origin: Origin,
    purpose: str,
    time_zone: str,
    months_silent: float | None = None,
) -> Kept:
    """What to keep of a record and the household it was made from, a dict in the form of the request.

    Without `months_silent` the newest report of any source stands for it; it only orders equals of the manual queue.
    """
    quality = record["data_quality"]
    ages = [float(source["age_months"]) for source in quality["sources"]]
    return Kept(
        assessment_id=record["assessment_id"],
        household_id=record["household_id"],
        as_of=as_of_moment(record["as_of"], time_zone),
        origin=origin,
        purpose=purpose,
        region=inputs["region"],
        township=inputs.get("township"),
        status=record["status"],
        tier=record["tier"],
        tier_computed=record["tier_computed"],
        probability=record["probability"],
        points=record["points"],
        coverage=quality["coverage"],
        months_silent=min(ages, default=None) if months_silent is None else months_silent,
        bundle_sha256=record["model"]["bundle_sha256"],
        record=record,
        inputs=inputs,
    )


def keep(connection: Connection, kept: Sequence[Kept], at: Micros) -> None:
    """Keep assessments that came in at `at`. What is kept already stays as it is."""
    keep_packed(connection, [_packed(each) for each in kept], at)


def keep_packed(connection: Connection, kept: Sequence[Packed], at: Micros) -> None:
    """The same for documents that are packed already."""
    inputs = [
        {"sha256": each.inputs_sha256, "household_id": each.household_id, "body": each.inputs}
        for each in kept
        if each.inputs is not None
    ]
    if inputs:
        connection.execute(_insert(connection, INPUTS).on_conflict_do_nothing(), inputs)
    if kept:
        new = _insert(connection, ASSESSMENTS)
        # A row that a batch kept without its record takes the record of a later call.
        gets_record = new.on_conflict_do_update(
            index_elements=["assessment_id"],
            set_={name: getattr(new.excluded, name) for name in ("record", "record_sha256", "inputs_sha256")},
            where=and_(ASSESSMENTS.c.record.is_(None), new.excluded.record.is_not(None)),
        )
        connection.execute(gets_record, [_columns(each, at) for each in kept])


def record(connection: Connection, assessment_id: str) -> dict[str, Any] | None:
    """The whole assessment; None if it is not kept, or only as a row."""
    found = connection.scalar(select(ASSESSMENTS.c.record).where(ASSESSMENTS.c.assessment_id == assessment_id))
    return None if found is None else unpacked(found)


def inputs(connection: Connection, assessment_id: str) -> dict[str, Any] | None:
    """The household of the request that the assessment was made from."""
    joined = ASSESSMENTS.join(INPUTS, ASSESSMENTS.c.inputs_sha256 == INPUTS.c.sha256)
    found = connection.scalar(
        select(INPUTS.c.body).select_from(joined).where(ASSESSMENTS.c.assessment_id == assessment_id)
    )
    return None if found is None else unpacked(found)


def row(connection: Connection, assessment_id: str) -> Row | None:
    """One assessment without its documents."""
    found = connection.execute(_rows().where(ASSESSMENTS.c.assessment_id == assessment_id)).first()
    return None if found is None else Row(**found._mapping)


def of_household(connection: Connection, household_id: str, limit: int = 50) -> list[Row]:
    """The assessments of a household, newest first."""
    of = _newest_first().where(ASSESSMENTS.c.household_id == household_id).limit(limit)
    return [Row(**found._mapping) for found in connection.execute(of)]


def latest(connection: Connection, household_id: str, before: str | None = None) -> Row | None:
    """The newest assessment of a household, or the one that came before the assessment `before`."""
    found = connection.execute(_newest_first().where(ASSESSMENTS.c.household_id == household_id))
    rows = (Row(**each._mapping) for each in found)
    with closing(found):
        if before is not None:
            any(each.assessment_id == before for each in rows)
        return next(rows, None)


def _rows() -> Any:
    of = ASSESSMENTS.c
    names = [field.name for field in fields(Row) if field.name != "has_record"]
    return select(*(of[name] for name in names), of.record.is_not(None).label("has_record"))


def _newest_first() -> Any:
    return _rows().order_by(ASSESSMENTS.c.as_of.desc(), ASSESSMENTS.c.seq.desc())


def _insert(connection: Connection, table: Table) -> Any:
    """An INSERT that may say what to do with rows that are there already; both databases write it alike."""
    made: Insert = sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
    return made


def _packed(kept: Kept) -> Packed:
    summary = {field.name: getattr(kept, field.name) for field in fields(Summary)}
    return Packed(
        **summary,
        record=None if kept.record is None else packed(kept.record),
        record_sha256=None if kept.record is None else digest(kept.record),
        inputs=None if kept.inputs is None else packed(kept.inputs),
        inputs_sha256=None if kept.inputs is None else digest(kept.inputs),
    )


def _columns(kept: Packed, at: Micros) -> dict[str, Any]:
    columns = asdict(kept)
    del columns["inputs"]
    return columns | {"stored_at": at}
