"""Commands over events and vectors: `check`, `catalog`, `vectors`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Column, Table

from features.bucket_run import RunReport, RunStopped, run_buckets
from features.catalogue import CORE, Catalogue, catalogue
from features.dataset import DatasetRefused, read_meta
from features.dictionary import dictionary
from features.intake import admit, read_for_check
from features.rules.policy_item import CONDITIONS
from features.rules.reference import in_force, indicator_as_json
from features.rules.rulebook import Rulebook, rulebook
from features.vector_rows import KEYS, VectorsJob

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


def refuse(error: Exception) -> click.ClickException:
    """A refusal of input: its reason on standard error, exit code 1, no traceback."""
    return click.ClickException(str(error))


@click.command()
@click.argument("folder", type=FOLDER)
@as_json
def check(folder: Path, as_json: bool) -> None:
    """Validate a dataset folder; refused rows go to rejects.parquet."""
    try:
        dataset, unreadable = read_for_check(folder)
        _, report = admit(dataset, catalogue(dataset.meta.catalogue))
    except (DatasetRefused, ValueError) as error:
        raise refuse(error) from error
    cells = pd.DataFrame([(name, *problem) for name, problem in unreadable], columns=report.rejects.columns)
    # An unreadable cell is empty by now, so the row may be refused for that too: the first reason is the true one.
    rejects = pd.concat([cells, report.rejects]).drop_duplicates(["table", "row", "field"])
    place = folder / "rejects.parquet"
    if len(rejects):
        pq.write_table(pa.Table.from_pandas(rejects, preserve_index=False), place)
    else:
        place.unlink(missing_ok=True)
    refused = {
        str(name): int(n) for name, n in rejects.drop_duplicates(["table", "row"])["table"].value_counts().items()
    }
    if as_json:
        found = {
            "rows": report.rows,
            "refused_rows": refused,
            "repeated_events": report.repeated_events,
            "unknown_codes": report.unknown_codes,
            "rejects": rejects.head(1000).to_dict("records"),
        }
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        _print_check(report.rows, refused, rejects, report.repeated_events, report.unknown_codes)
    if len(rejects):
        raise click.exceptions.Exit(1)


def _print_check(
    rows: dict[str, int], refused: dict[str, int], rejects: pd.DataFrame, repeated: int, unknown: dict[str, int]
) -> None:
    console = Console()
    table = Table("table", "rows", "refused", title="Dataset check")
    for name, n in rows.items():
        table.add_row(name, f"{n:,}", f"{refused.get(name, 0):,}")
    console.print(table)
    if repeated:
        console.print(f"{repeated:,} event rows repeat an earlier row and count once.")
    for code, n in unknown.items():
        console.print(f"Code {code} is not in the catalogue: {n:,} rows kept, never scored.")
    if len(rejects):
        for _, reject in rejects.head(20).iterrows():
            console.print(
                f"{reject['table']} row {reject['row']}: {reject['field']} {reject['reason']}", soft_wrap=True
            )
        more = len(rejects) - 20
        console.print((f"... and {more:,} more, " if more > 0 else "All ") + "written to rejects.parquet.")


@click.command()
@click.argument("what", type=click.Choice(["events", "features", "indicators", "policies"]))
@click.option("--catalogue", "name", default=CORE, show_default=True, help="core, or a panel's name.")
@click.option("--markdown", "as_markdown", is_flag=True, help="The dictionary of events as a page.")
@as_json
def catalog(what: str, name: str, as_markdown: bool, as_json: bool) -> None:
    """Show what is declared: event kinds, features, indicators or policy items, with names in both languages."""
    if as_markdown and (as_json or what != "events"):
        raise click.UsageError("--markdown writes the dictionary of events; give it with `catalog events` alone")
    if what in ("indicators", "policies") and name != CORE:
        raise click.ClickException(f"{what} speak of the core catalogue; leave --catalogue {name} out")
    try:
        if what in ("indicators", "policies"):
            _show_rules(what, rulebook(), as_json)
            return
        chosen = catalogue(name)
    except ValueError as error:
        raise refuse(error) from error
    if as_markdown:
        click.echo(dictionary(chosen), nl=False)
        return
    written = chosen.as_json()
    if as_json:
        click.echo(json.dumps(written["kinds" if what == "events" else "features"], ensure_ascii=False))
        return
    Console().print(_events_table(chosen) if what == "events" else _features_table(chosen))


def _show_rules(what: str, book: Rulebook, as_json: bool) -> None:
    if what == "indicators":
        written = [indicator_as_json(each) for each in book.indicators]
    else:
        written = [item.as_json() for item in book.policies.items]
    if as_json:
        click.echo(json.dumps(written, ensure_ascii=False))
        return
    for each in written:
        name, days = each["name"], in_force(each["effective_from"], each["effective_to"])
        told = _indicator_lines(each, days) if what == "indicators" else _item_lines(each, days)
        click.echo("\n    ".join([f"{each['id']}  {name['zh']} · {name['en']}", *told]) + "\n")
    n = len({each["id"] for each in written})
    click.echo(f"{n} indicators" if what == "indicators" else f"{n} policy items")


def _indicator_lines(written: dict[str, Any], days: str) -> list[str]:
    return [
        f"{written['mode']}, {written['dimension']}; {written['owner']}; {days}; source: {written['source']}",
        *(f"{level['brings']}: {level['when']}" for level in written["levels"]),
        *(f"ask: {question['zh']} · {question['en']}" for question in written["questions"]),
    ]


def _item_lines(written: dict[str, Any], days: str) -> list[str]:
    department, facts = written["department"], [check["fact"] for check in written["to_verify"]]
    lists = {"comes with": written["follows"], "one of these first": written["depends_on"], "verify": facts}
    return [
        f"{written['class']}; {department['zh']} · {department['en']}; {days}; source: {written['source']}",
        *(f"{name.replace('_', ' ')}: {written[name]}" for name in CONDITIONS if written[name] is not None),
        *(f"{name}: {', '.join(ids)}" for name, ids in lists.items() if ids),
    ]


def _events_table(chosen: Catalogue) -> Table:
    table = Table(
        Column("code", no_wrap=True),
        "中文",
        "English",
        "unit",
        "source",
        "lag d",
        title=f"{len(chosen.kinds)} event kinds",
    )
    for kind in chosen.kinds:
        lag = f"{kind.lag_days[0]}/{kind.lag_days[1]}"
        table.add_row(kind.code, kind.name.zh, kind.name.en, kind.unit.value, kind.department.source, lag)
    return table


def _features_table(chosen: Catalogue) -> Table:
    table = Table(
        Column("name", no_wrap=True),
        "中文",
        "English",
        "group",
        "when absent",
        title=f"{len(chosen.features)} features",
    )
    for feature in chosen.features:
        table.add_row(
            feature.name, feature.meaning.zh, feature.meaning.en, feature.group.value, feature.when_absent.value
        )
    return table


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--as-of", "as_ofs", multiple=True, required=True, help="Moment of judgement; may be repeated.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Parquet file to write; with Spark a folder of them."
)
@click.option("--features", "names", multiple=True, metavar="NAME", help="Only this feature; may be repeated.")
@click.option("--engine", type=click.Choice(["local", "spark"]), default="local", show_default=True)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes of the local engine.")
@as_json
def vectors(
    folder: Path, as_ofs: tuple[str, ...], out: Path, names: tuple[str, ...], engine: str, workers: int, as_json: bool
) -> None:
    """Write household vectors: one row per household and moment, empty where unknown.

    A run that was killed goes on where it was when the same command is given again.
    """
    try:
        job = VectorsJob(read_meta(folder), as_ofs, names)
        if engine == "spark":
            report = _on_spark(folder, job, out)
        else:
            report = run_buckets(folder, job, out, workers=workers, title="Vectors")
    except (DatasetRefused, RunStopped, ValueError) as error:
        raise refuse(error) from error
    n_features = len(job.schema) - len(KEYS)
    if as_json:
        said = {
            **dataclasses.asdict(report),
            "features": n_features,
            "unknown_share_last": report.counts["unknown_last"] / max(1, report.counts["cells_last"]),
        }
        click.echo(json.dumps(said))
    else:
        click.echo(f"{report.rows:,} vectors of {n_features} features written to {out}")


def _on_spark(folder: Path, job: VectorsJob, out: Path) -> RunReport:
    # Spark is an extra: whoever works on one machine does without.
    from features.spark import run_on_spark

    return run_on_spark(folder, job, out)
