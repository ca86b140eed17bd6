"""Assessments as they were told, the inputs they were made from, and the row that lists and orders them.

A household's assessments are ordered by the moment they judge and, at the same moment, by when they came in. What is
kept stays: the same assessment again changes nothing, except that one kept only as a row gets its record. Whatever is
kept has a line in an entry of the journal (`serving.store.assessment_lines`), and so has what was told again.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Any, Literal

from sqlalchemy import Connection, Insert, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import Table

from features.window import Micros, as_of_moment
from serving.store import journal
from serving.store.assessment_lines import AGAIN, KEPT, Line, line
from serving.store.documents import sealed, unpacked
from serving.store.journal import Entry, New
from serving.store.tables import ASSESSMENTS, INPUTS

Origin = Literal["call", "batch", "visit"]
SCORE = "score"
AT_A_TIME = 10_000


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


def packed(kept: Kept) -> Packed:
    """An assessment with its documents as they will lie in the store."""
    record = None if kept.record is None else sealed(kept.record)
    inputs = None if kept.inputs is None else sealed(kept.inputs)
    return Packed(
        **{name: getattr(kept, name) for name in _SUMMARY},
        record=None if record is None else record.body,
        record_sha256=None if record is None else record.sha256,
        inputs=None if inputs is None else inputs.body,
        inputs_sha256=None if inputs is None else inputs.sha256,
    )


def keep(connection: Connection, kept: Sequence[Kept], at: Micros, new: New | None = None) -> Entry:
    """Keep assessments that came in at `at`, with one entry of the journal. What is kept already stays as it is."""
    new = New(SCORE, secrets.token_hex(16), {}) if new is None else new
    return keep_all(connection, [(new, [packed(each) for each in kept])], at)[0]


def keep_all(connection: Connection, told: Sequence[tuple[New, Sequence[Packed]]], at: Micros) -> list[Entry]:
    """Keep what several calls were told, each with an entry of its own; of two that hold the same assessment the first
    brings it. The body of an entry is completed with the number of assessments and their lines."""
    key, last = journal.secret(connection), journal.head(connection).seq
    there = _has_record(connection, {each.assessment_id for _, kept in told for each in kept})
    entries, rows, records = [], list[dict[str, Any]](), list[dict[str, Any]]()
    for seq, (new, kept) in enumerate(told, last + 1):
        lines: dict[str, list[Line]] = {KEPT: [], AGAIN: []}
        for each in kept:
            is_row, is_record = _brings(each, there)
            row = _columns(each, at) if is_row else None
            said = line(key, each.assessment_id, row, each.inputs_sha256, each.record_sha256)
            lines[KEPT if is_row or is_record else AGAIN].append(said)
            if row is not None:
                rows.append({**row, "journal_seq": seq, "record_seq": seq if is_record else None})
            elif is_record:
                records.append(
                    {"of": each.assessment_id, "record_seq": seq, **{n: getattr(each, n) for n in _DOCUMENTS}}
                )
        found = {name: of for name, of in lines.items() if of}
        entries.append(New(new.kind, new.subject, {**new.body, "n": len(kept), **found}))
    _write(connection, [each for _, kept in told for each in kept], rows, records)
    return journal.append_all(connection, entries, at)


def _brings(kept: Packed, there: dict[str, bool]) -> tuple[bool, bool]:
    """Whether an assessment brings its row, and whether its record; `there` is told that they are there now."""
    had = there.get(kept.assessment_id)
    is_record = kept.record is not None and not had
    there[kept.assessment_id] = bool(had) or is_record
    return had is None, is_record


def _has_record(connection: Connection, names: Collection[str]) -> dict[str, bool]:
    """Those of the assessments that are kept, and whether with their record."""
    named, found = sorted(names), dict[str, bool]()
    of = ASSESSMENTS.c
    for first in range(0, len(named), AT_A_TIME):
        chosen = of.assessment_id.in_(named[first : first + AT_A_TIME])
        rows = connection.execute(select(of.assessment_id, of.record_sha256.is_not(None)).where(chosen))
        found.update((row[0], bool(row[1])) for row in rows)
    return found


def _write(
    connection: Connection, kept: Sequence[Packed], rows: list[dict[str, Any]], records: list[dict[str, Any]]
) -> None:
    wanted = {each["inputs_sha256"] for each in (*rows, *records)} - {None}
    inputs = {
        each.inputs_sha256: {"sha256": each.inputs_sha256, "household_id": each.household_id, "body": each.inputs}
        for each in kept
        if each.inputs is not None and each.inputs_sha256 in wanted
    }
    if inputs:
        connection.execute(_insert(connection, INPUTS).on_conflict_do_nothing(), list(inputs.values()))
    if rows:
        connection.execute(ASSESSMENTS.insert(), rows)
    if records:
        # A row that a batch kept without its record takes the record of a later call.
        names: dict[str, Any] = {name: bindparam(name) for name in (*_DOCUMENTS, "record_seq")}
        connection.execute(
            update(ASSESSMENTS).where(ASSESSMENTS.c.assessment_id == bindparam("of")).values(names), records
        )


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


def _columns(kept: Packed, at: Micros) -> dict[str, Any]:
    return {name: getattr(kept, name) for name in (*_SUMMARY, *_DOCUMENTS)} | {"stored_at": at}


_SUMMARY = tuple(field.name for field in fields(Summary))
_DOCUMENTS = ("record", "record_sha256", "inputs_sha256")
