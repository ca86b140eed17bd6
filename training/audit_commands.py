"""The command `audit`: a published bundle's service to each group of a dataset's households."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from training.command_frame import refusing, stages

if TYPE_CHECKING:
    from training.audit import Audit

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUT = click.Path(file_okay=False, path_type=Path)
SHORT = {"block": "BLOCKS", "warn": "warns", "ok": "ok", "insufficient": "too few", "reference": "-"}


@click.command()
@click.argument("bundle", type=FOLDER)
@click.argument("folder", type=FOLDER)
@click.option("--label", help="What it should have foreseen; the bundle's own label if not given.")
@click.option("--since", help="First moment to audit (a day).")
@click.option("--until", help="Last moment to audit (a day).")
@click.option(
    "--capacity",
    "capacities",
    type=click.FloatRange(0.0, 1.0, min_open=True),
    multiple=True,
    help="Share of households that can be visited, such as 0.05; may be given more than once. [default: 0.02 0.05 0.1]",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the resamples.")
@click.option("--out", type=OUT, help="Folder for audit.json, a page in Chinese and in English, and a picture.")
@click.option(
    "--no-reserve",
    is_flag=True,
    help="No visits are kept for households the data see badly or who have no score; then they can block too.",
)
@click.option("--report-only", is_flag=True, help="Exit 0 whatever is found.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def audit(
    bundle: Path,
    folder: Path,
    label: str | None,
    since: str | None,
    until: str | None,
    capacities: tuple[float, ...],
    seed: int,
    out: Path | None,
    no_reserve: bool,
    report_only: bool,
    as_json: bool,
) -> None:
    """Audit a bundle for fairness on a dataset's labelled rows.

    Each group is compared with all others: who is reached, whether the probabilities are true for them, whether the
    rules reached more of them. Exit 1 when something blocks.
    """
    from training.audit_report import as_json as written
    from training.audit_report import write_report
    from training.auditing import bundle_audit
    from training.evaluation import CAPACITY

    with refusing(), stages() as progress:
        found, title = bundle_audit(
            bundle,
            folder,
            label=label,
            since=since,
            until=until,
            capacities=capacities or CAPACITY,
            seed=seed,
            has_reserve=not no_reserve,
            progress=progress,
        )
    if out is not None:
        write_report(found, out, title=title)
    if as_json:
        click.echo(json.dumps(written(found), ensure_ascii=False, allow_nan=False))
    else:
        _print(found, title)
        if out is not None:
            click.echo(f"Report written to {out}")
    failed = [gate.text for gate in found.gates() if not gate.passed]
    if failed and not report_only:
        raise click.ClickException("the audit blocks: " + "; ".join(failed))


def _print(found: Audit, title: str) -> None:
    """A table of at most 80 columns, and which gates are passed."""
    from training.audit_groups import group_text
    from training.audit_report import headline, interval_text, main_capacity

    k = main_capacity(found)
    table = Table(
        box=None, pad_edge=False, collapse_padding=True, title=f"Reached at {100 * k:g} %", title_justify="left"
    )
    table.add_column("group", max_width=32, no_wrap=True)
    for name in ("affected", "recall", "gap, points", "obs/exp"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for group in found.groups:
        recall, level = group.find("recall", k), group.find("observed_expected")
        table.add_row(
            group_text(group.name).en,
            "<10" if group.positive_households is None else f"{group.positive_households:,}",
            "–" if recall is None else f"{recall.value:.0%}",
            interval_text(group.find("recall_gap", k), signed=True),
            "–" if level is None else f"{level.value:.2f}",
            SHORT[group.verdict],
        )
    console = Console()
    console.print(title, markup=False, highlight=False)
    console.print(table)
    console.print(headline(found, "en"), markup=False)
    for gate in found.gates():
        verdict = "FAIL" if not gate.passed else "pass" if gate.decided else "open"
        console.print(f"{verdict}  {gate.name}", markup=False, highlight=False)
