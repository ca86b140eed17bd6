"""The command over the reviews of the store: `reviews`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

STORE = "POVRISK_STORE"
WIDTH = 100
HIDDEN = "<10"
ALARMS = {"rarely": "nearly never", "often": "more than half"}


@click.command()
@click.option("--store", "url", envvar=STORE, required=True, help=f"Address of the store. [default: {STORE}]")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Only visits made on this day or later.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def reviews(url: str, since: datetime | None, as_json: bool) -> None:
    """Tell how the system is used: what visitors confirm and how often they see it otherwise. Never by person."""
    from serving.store_options import StoreAway, opened_store
    from serving.use_report import use_report

    try:
        with opened_store(url, create=False) as store, store.reading() as connection:
            report = use_report(connection, None if since is None else since.date().isoformat())
    except StoreAway as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
    else:
        _show(report, Console(width=WIDTH))


def _show(report: Mapping[str, Any], console: Console) -> None:
    since = "" if report["since"] is None else f" since {report['since']}"
    console.print(f"{_n(report['reviews'])} reviews of {_n(report['households'])} households{since}")
    console.print("; ".join(f"{each['outcome']} {_n(each['visits'])}" for each in report["outcomes"]) or "no visits")
    wrong = report["wrong_facts"]
    console.print(f"facts checked: {_n(wrong['checked'])}, of them wrong: {_percent(wrong['wrong_share'])}")
    for table in (_templates(report), _overrides(report), _anchoring(report["anchoring"]), _answers(report)):
        console.print(table)
    for line in report["not_told"]:
        console.print(line["en"])


def _templates(report: Mapping[str, Any]) -> Table:
    table = Table("wording", "checked", "confirmed", "wrong", "changed", "", title="What visitors confirm")
    for row in report["templates"]:
        counts = (row["checked"], row["wrong"], row["changed"])
        checked, wrong, changed = (_n(count) for count in counts)
        told = "suspended" if row["suspended"] else ""
        table.add_row(row["template"], checked, _percent(row["confirmed_share"]), wrong, changed, told)
    return table


def _overrides(report: Mapping[str, Any]) -> Table:
    table = Table("tier", "judged", "higher", "about right", "lower", "otherwise", "", title="What visitors think")
    for row in report["overrides"]:
        counts = (_n(row[name]) for name in ("judged", "higher", "about_right", "lower"))
        table.add_row(row["tier"], *counts, _percent(row["override_share"]), ALARMS.get(row["alarm"], ""))
    return table


def _anchoring(told: Mapping[str, Any]) -> Table:
    blind = f"{_n(told['blind_households'])} households ({_percent(told['blind_share'])}) reviewed blind"
    table = Table("", "visits", "agree with the tier", "95 % interval", title="Who saw the number first", caption=blind)
    for name, label in (("first", "own concern first"), ("after", "number first")):
        row = told[name]
        ends = "" if row["interval"] is None else " to ".join(_percent(end) for end in row["interval"])
        table.add_row(label, _n(row["visits"]), _percent(row["share"]), ends)
    return table


def _answers(report: Mapping[str, Any]) -> Table:
    table = Table("question about", "yes", "no", "unknown", "refused", title="What was answered")
    for row in report["answers"]:
        table.add_row(row["kind"], *(_n(row[name]) for name in ("yes", "no", "unknown", "refused")))
    return table


def _n(count: int | None) -> str:
    return HIDDEN if count is None else f"{count:,}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"
