"""What may enter: every row is admitted, or refused with its row number, the field and what to do.

A reason never repeats what was written in the field. The same checks serve a dataset folder, a bucket of one and a call
to the scoring service: `features.screen` finds the rows in doubt, `features.refusals` says what is wrong with them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features import screen
from features.catalogue import Catalogue
from features.dataset import REQUIRED, Dataset, DatasetMeta, DatasetRefused, read_meta, read_table
from features.event import EVENTS, TABLES
from features.refusals import Problem, event_refusals, household_refusals, member_refusals, stray_refusal
from features.tables import Tables
from features.window import Micros, as_of_moment, micros_of, parsed

__all__ = [
    "MAX_REFUSED_SHARE",
    "IntakeReport",
    "Problem",
    "admit",
    "admit_tables",
    "admitted",
    "admitted_tables",
    "event_problems",
    "read_for_check",
    "refuse_if_too_many",
    "rows_in_doubt",
]

EventColumns = Mapping[str, Sequence[Any]]
Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
MAX_REFUSED_SHARE = 0.05


@dataclass(frozen=True)
class IntakeReport:
    """What happened at the door. `rejects` has the columns table, row, field, reason."""

    rows: dict[str, int]
    rejects: pd.DataFrame
    repeated_events: int
    unknown_codes: dict[str, int]

    @property
    def refused_share(self) -> float:
        """Refused rows as a share of all rows."""
        refused = len(self.rejects.drop_duplicates(["table", "row"]))
        return refused / max(1, sum(self.rows.values()))


def event_problems(columns: EventColumns, catalogue: Catalogue, *, currency: str, latest: Micros) -> list[Problem]:
    """Every reason against the rows of an events table, in row order.

    `columns` holds event_id, person_id, code, occurred_at and known_at (microseconds, `NEVER` where missing), value
    (None or NaN where missing), unit, status, supersedes, source and, for many households, household_id. `latest` is
    the last moment that rows may speak of.

    >>> from features.catalogue import catalogue
    >>> row = dict(event_id=["e1"], person_id=["p1"], code=["CLM//INPATIENT"], occurred_at=[10], known_at=[20],
    ...            value=[1.42], unit=["万元"], status=["original"], supersedes=[None], source=["医保"])
    >>> [p.field for p in event_problems(row, catalogue(), currency="CNY", latest=30)]
    ['unit']
    """
    try:
        rows, *_ = _rows_in_doubt(_as_arrow(columns), catalogue, currency, latest)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        # Cells that no column of strings and numbers can hold are looked at one by one.
        rows = np.arange(len(columns["event_id"]))
    if len(rows) == 0:
        return []
    some = {name: pd.Series([cells[row] for row in rows], dtype=object) for name, cells in columns.items()}
    occurred, known = some["occurred_at"].to_numpy(np.int64), some["known_at"].to_numpy(np.int64)
    return _placed(event_refusals(pd.DataFrame(some), occurred, known, catalogue, currency, latest), rows)


def rows_in_doubt(events: pa.Table, catalogue: Catalogue, *, currency: str, latest: Micros) -> Ints:
    """Rows of an events table, in row order, against which `event_problems` may have something; against no others."""
    return _rows_in_doubt(events, catalogue, currency, latest)[0]


def admit(dataset: Dataset, catalogue: Catalogue) -> tuple[Dataset, IntakeReport]:
    """The dataset without its refused rows, and what was refused."""
    tables = Tables.from_frames(dataset.events, dataset.members, dataset.households)
    findings = _findings(tables, dataset.meta, catalogue)
    kept = {name: getattr(dataset, name).reset_index(drop=True)[findings.kept[name]] for name in REQUIRED}
    return dataclasses.replace(dataset, **kept), _report(tables, findings, catalogue)


def admit_tables(tables: Tables, meta: DatasetMeta, catalogue: Catalogue) -> tuple[Tables, IntakeReport]:
    """The tables without their refused rows, and what was refused, by position in the given tables."""
    findings = _findings(tables, meta, catalogue)
    return findings.applied(tables), _report(tables, findings, catalogue)


def admitted_tables(tables: Tables, meta: DatasetMeta, catalogue: Catalogue) -> tuple[Tables, int, int]:
    """The tables without their refused rows, how many rows are refused, and how many there were.

    A caller with several buckets adds the numbers up and asks `refuse_if_too_many`.
    """
    findings = _findings(tables, meta, catalogue)
    refused = sum(int(np.count_nonzero(~kept)) for kept in findings.kept.values())
    return findings.applied(tables), refused, sum(len(kept) for kept in findings.kept.values())


def admitted(dataset: Dataset, catalogue: Catalogue) -> Dataset:
    """The dataset for a run that must not stop at a few bad rows; refused when more than 5 % are bad."""
    clean, report = admit(dataset, catalogue)
    refuse_if_too_many(len(report.rejects.drop_duplicates(["table", "row"])), sum(report.rows.values()))
    return clean


def refuse_if_too_many(refused: int, rows: int) -> None:
    """Raise `DatasetRefused` where more than 5 % of the rows are refused.

    >>> refuse_if_too_many(5, 100)
    >>> refuse_if_too_many(6, 100)
    Traceback (most recent call last):
    ...
    features.dataset.DatasetRefused: 6.0% of the rows are refused, over 5%; run `povrisk check`
    """
    share = refused / max(1, rows)
    if share > MAX_REFUSED_SHARE:
        raise DatasetRefused(f"{share:.1%} of the rows are refused, over {MAX_REFUSED_SHARE:.0%}; run `povrisk check`")


@dataclass(frozen=True)
class _Findings:
    """What the checks found: problems and a mask of the rows that stay, by table.

    `repeated` are the events that share their ids with another row, id by id, `of_id` the number of each one's ids.
    """

    problems: dict[str, list[Problem]]
    kept: dict[str, Mask]
    repeated: Ints
    of_id: Ints

    def applied(self, tables: Tables) -> Tables:
        """The rows that stay; a table that loses none is not copied."""
        parts = {name: getattr(tables, name) for name in REQUIRED}
        return Tables(
            **{name: part if self.kept[name].all() else part.filter(self.kept[name]) for name, part in parts.items()}
        )


def _findings(tables: Tables, meta: DatasetMeta, catalogue: Catalogue) -> _Findings:
    latest = as_of_moment(meta.data_until, meta.time_zone)
    problems: dict[str, list[Problem]] = {}
    kept: dict[str, Mask] = {}

    def take(name: str, found: list[Problem]) -> None:
        problems[name] = found
        kept[name] = np.ones(getattr(tables, name).num_rows, np.bool_)
        kept[name][[problem.row for problem in found]] = False

    rows = np.flatnonzero(screen.doubtful_households(tables.households, meta.regions))
    take("households", _placed(household_refusals(_frame(tables.households, rows), meta.regions), rows))
    homes = tables.households["household_id"].filter(kept["households"])

    rows = np.flatnonzero(screen.doubtful_members(tables.members))
    found = _placed(member_refusals(_frame(tables.members, rows), meta.time_zone), rows)
    take("members", found + _strays(tables.members, homes))

    rows, repeated, of_id = _rows_in_doubt(tables.events, catalogue, meta.currency, latest)
    some = _frame(tables.events, rows)
    occurred, known = micros_of(some["occurred_at"]), micros_of(some["known_at"])
    found = _placed(event_refusals(some, occurred, known, catalogue, meta.currency, latest), rows)
    take("events", found + _strays(tables.events, homes))
    return _Findings(problems, kept, repeated, of_id)


def _rows_in_doubt(events: pa.Table, catalogue: Catalogue, currency: str, latest: Micros) -> tuple[Ints, Ints, Ints]:
    """Rows to look at closely; beside them all rows that share their ids with another, and the number of their ids."""
    doubtful = screen.doubtful_events(events, catalogue, currency=currency, latest=latest)
    repeated, of_id = screen.repeats(screen.event_keys(events))
    content = [name for name in EVENTS.names if name in events.column_names]
    # A clash is judged among all rows of one id; equal rows of one id are all in doubt or none is.
    doubtful[repeated[screen.clashing(events.select(content), repeated, of_id)]] = True
    return np.flatnonzero(doubtful), repeated, of_id


def _strays(table: pa.Table, homes: pa.ChunkedArray) -> list[Problem]:
    return [stray_refusal(int(row)) for row in np.flatnonzero(~screen.is_among(table["household_id"], homes))]


def _placed(problems: list[Problem], rows: Ints) -> list[Problem]:
    """The problems of some rows under the numbers that these rows have in their table."""
    return [problem._replace(row=int(rows[problem.row])) for problem in problems]


def _report(tables: Tables, findings: _Findings, catalogue: Catalogue) -> IntakeReport:
    kept = findings.kept["events"]
    unknown: dict[str, int] = {}
    for each in pc.value_counts(tables.events["code"].filter(kept)).to_pylist():
        if each["values"] not in catalogue.by_code:
            unknown[each["values"]] = each["counts"]
    is_kept = kept[findings.repeated]
    again = findings.repeated[is_kept]
    ids = _frame(tables.events.select(["household_id", "event_id"]), again)
    return IntakeReport(
        rows={name: len(findings.kept[name]) for name in REQUIRED},
        rejects=pd.DataFrame(
            [(name, *problem) for name in REQUIRED for problem in sorted(findings.problems[name])],
            columns=["table", "row", "field", "reason"],
        ),
        repeated_events=int(ids.duplicated().sum()),
        unknown_codes=dict(sorted(unknown.items(), key=lambda code: -code[1])),
    )


def _frame(table: pa.Table, rows: Ints) -> pd.DataFrame:
    """Some rows in pandas, words written out."""
    some = table.take(pa.array(rows))
    frame: pd.DataFrame = some.cast(
        pa.schema([(field.name, _written_out(field.type)) for field in some.schema])
    ).to_pandas()
    return frame


def _written_out(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _as_arrow(columns: EventColumns) -> pa.Table:
    types = {"occurred_at": pa.int64(), "known_at": pa.int64(), "value": pa.float64()}
    return pa.table(
        {name: pa.array(cells, types.get(name, pa.string()), from_pandas=True) for name, cells in columns.items()}
    )


def read_for_check(folder: Path) -> tuple[Dataset, list[tuple[str, Problem]]]:
    """A folder in Parquet or CSV, with the cells that could not be read.

    A CSV cell that does not fit its column becomes empty and is reported with its row.
    """
    meta = read_meta(folder)
    tables: dict[str, pd.DataFrame] = {}
    unreadable: list[tuple[str, Problem]] = []
    for name in REQUIRED:
        csv = folder / f"{name}.csv"
        if (folder / f"{name}.parquet").is_file() or not csv.is_file():
            tables[name] = read_table(folder, name).to_pandas()
            continue
        tables[name], problems = _read_csv(csv, name, meta.time_zone)
        unreadable += [(name, problem) for problem in problems]
    return Dataset(meta, **tables), unreadable


def _read_csv(path: Path, name: str, time_zone: str) -> tuple[pd.DataFrame, list[Problem]]:
    try:
        raw = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8-sig")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DatasetRefused(f"{path.name} is not a readable CSV file in UTF-8") from error
    schema = TABLES[name]
    missing = [column for column in schema.names if column not in raw]
    if missing:
        raise DatasetRefused(f"{path.name} lacks the column(s) {', '.join(missing)}")
    problems: list[Problem] = []
    columns: dict[str, pd.Series] = {}
    for field in schema:
        cells = raw[field.name]
        if str(field.type) == "double":
            columns[field.name] = pd.to_numeric(cells, errors="coerce")
        elif str(field.type).startswith("timestamp"):
            moments = [_moment(cell, time_zone) for cell in cells]
            columns[field.name] = pd.to_datetime(pd.Series(moments, dtype="Int64"), unit="us", utc=True)
        elif str(field.type).startswith("date"):
            columns[field.name] = pd.to_datetime(cells, errors="coerce", format="%Y-%m-%d").dt.date
        else:
            columns[field.name] = cells.astype(object).where(cells.notna(), None)
            continue
        bad = np.flatnonzero(cells.notna() & pd.Series(columns[field.name]).isna())
        problems += [Problem(int(row), field.name, f"cannot be read as {field.type}") for row in bad]
    return pd.DataFrame(columns), problems


def _moment(cell: object, time_zone: str) -> int | None:
    try:
        return parsed(cell, time_zone) if isinstance(cell, str) else None
    except ValueError:
        return None
