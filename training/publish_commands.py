"""Commands about the model in use: `publish`, `rollback`, `models`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from features.progress import bar
from training.command_frame import refusing

if TYPE_CHECKING:
    from models.bundle import Bundle
    from training.registry import Act, Registered

OUT = click.Path(file_okay=False, path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
KEY_VARIABLE = "POVRISK_BUNDLE_KEY"
SHOWN = {"auc": "AUC", "average_precision": "AP"}


@click.command()
@click.argument("run_id")
@click.option("--out", type=OUT, required=True, help="Bundle folder to write.")
@click.option("--reason", default="", help="Why, for the record; no names of people or households.")
@as_json
def publish(run_id: str, out: Path, reason: str, as_json: bool) -> None:
    """Put a run's model in use, if it passed its gates: make it champion and copy its bundle to a folder."""
    with refusing(), bar("Publishing") as advance:
        from training.publish import publish as published

        bundle = published(run_id, out, key=_key(), reason=reason)
        advance(1, 1)
    _tell(bundle, out, as_json)


@click.command()
@click.argument("name")
@click.option("--out", type=OUT, required=True, help="Bundle folder to write.")
@click.option("--reason", required=True, help="Why, for the record; no names of people or households.")
@as_json
def rollback(name: str, out: Path, reason: str, as_json: bool) -> None:
    """Put the model NAME that was in use before back in use. `povrisk models` lists the names."""
    with refusing(), bar("Rolling back") as advance:
        from training.publish import rollback as rolled_back

        bundle = rolled_back(name, out, key=_key(), reason=reason)
        advance(1, 1)
    _tell(bundle, out, as_json)


@click.command()
@click.argument("name", required=False)
@as_json
def models(name: str | None, as_json: bool) -> None:
    """Registered models: versions, which is in use, main figures, whether each may be published; with NAME the acts."""
    with refusing():
        from training.registry import acts, versions
        from training.run import use_store

        use_store()
        found = versions(name)
        done = [] if name is None else acts(name)
    if as_json:
        click.echo(json.dumps({"versions": [asdict(one) for one in found], "acts": [act._asdict() for act in done]}))
    elif not found:
        click.echo("No model is registered; `povrisk train` registers one")
    else:
        _print(found, done)


def _print(found: Sequence[Registered], done: Sequence[Act]) -> None:
    console = Console()
    for name in sorted({one.name for one in found}):
        table = Table("no.", "version", "in use", "registered", *SHOWN.values(), "gates", title=name)
        for one in (each for each in found if each.name == name):
            figures = [f"{one.metrics[metric]:.3f}" if metric in one.metrics else "-" for metric in SHOWN]
            verdict = "passed" if one.publishable else "FAILED"
            named = (str(one.number), one.model_version, ", ".join(one.aliases), one.registered_at[:10])
            table.add_row(*named, *figures, verdict)
        console.print(table)
    for act in done:
        former = "" if act.former is None else f" after version {act.former}"
        console.print(f"{act.at}  {act.act} of version {act.version}{former}  {act.reason}", markup=False)
    if len({one.name for one in found}) == 1:
        for one in found:
            console.print(f"version {one.number}: {one.why}", markup=False)


def _tell(bundle: Bundle, out: Path, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"bundle": str(out), "version": bundle.version, "sha256": bundle.sha256}))
        return
    signed = "signed" if os.environ.get(KEY_VARIABLE) else f"unsigned (set {KEY_VARIABLE} to sign)"
    click.echo(f"Bundle {bundle.name} {bundle.version} written to {out}, {signed}; its card lies in {out / 'card'}")


def _key() -> bytes | None:
    written = os.environ.get(KEY_VARIABLE)
    return bytes.fromhex(written) if written else None
