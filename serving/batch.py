"""Assess a whole dataset folder at one moment and write one row a household."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.csv

from features.bucket_run import RunReport, TableWriter, parquet, run_buckets
from features.dataset import DatasetRefused, read_meta
from features.window import as_of_moment
from models.bundle import Bundle
from serving.rows import flat, flat_schema
from serving.score_job import STATUS, TIER, ScoreJob


@dataclass(frozen=True)
class BatchReport:
    """How many households came out how, and what it took: CPU seconds by stage, wall time, largest memory."""

    households: int
    by_status: dict[str, int]
    by_tier: dict[str, int]
    stages: dict[str, float]
    wall_s: float
    peak_rss_mb: int
    resumed_buckets: int


def score_job(
    bundle: Bundle,
    bundle_folder: Path,
    folder: Path,
    as_of: str,
    *,
    reasons: bool = True,
    rules_only: bool = False,
    packs: Path | None = None,
    previous: Path | None = None,
) -> ScoreJob:
    """The work to do. Raises `DatasetRefused` when the folder was made for another catalogue, currency, time zone or
    region than the bundle, or when `as_of` or `previous` cannot be read."""
    meta = read_meta(folder)
    bundle.refuse_foreign(meta)
    try:
        moment = as_of_moment(as_of, bundle.time_zone)
    except (ValueError, OverflowError):
        raise DatasetRefused("--as-of is neither a date nor a time in ISO 8601") from None
    return ScoreJob(
        bundle=str(bundle_folder.resolve()),
        bundle_sha256=bundle.sha256,
        meta=meta,
        as_of=moment,
        reasons=reasons,
        rules_only=rules_only,
        packs=None if packs is None else str(packs.resolve()),
        previous=None if previous is None else str(previous.resolve()),
    )


def score_dataset(
    job: ScoreJob, folder: Path, out: Path, *, workers: int = 1, engine: Literal["local", "spark"] = "local"
) -> BatchReport:
    """Assess every household of the folder and write the rows to `out`: Parquet, or CSV if its name ends so; Spark
    writes a folder of Parquet files.

    The file appears under its name only when it is whole; a run that was stopped goes on where it was. Raises
    `DatasetRefused` when the folder cannot be read or too many of its rows are refused, and `RunStopped` when the run
    cannot go on through no fault of the rows.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    if engine == "spark":
        # Spark is an extra: whoever works on one machine does without.
        from features.spark import run_on_spark

        report = run_on_spark(folder, job, out)
    else:
        report = run_buckets(folder, job, out, workers=workers, title="Assessments", writer=writer_of(out))
    return batch_report(report)


def batch_report(report: RunReport) -> BatchReport:
    """What a run over the buckets did, told of households."""
    return BatchReport(
        households=report.rows,
        by_status=_counted(report.counts, STATUS),
        by_tier=_counted(report.counts, TIER),
        stages=report.stages,
        wall_s=report.wall_s,
        peak_rss_mb=round(report.peak_rss_mb),
        resumed_buckets=report.resumed_buckets,
    )


def writer_of(out: Path) -> Callable[[Path, pa.Schema], TableWriter]:
    """What writes rows to a file of that name."""
    return _Csv if out.suffix.lower() == ".csv" else parquet


class _Csv:
    """Rows as CSV; lists are written as JSON."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pyarrow.csv.CSVWriter(path, flat_schema())

    def write_table(self, table: pa.Table) -> None:
        self._writer.write_table(flat(table))

    def close(self) -> None:
        self._writer.close()


def _counted(counts: dict[str, int], what: str) -> dict[str, int]:
    return {name.removeprefix(what): n for name, n in counts.items() if name.startswith(what)}
