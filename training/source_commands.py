"""`value`: what each department's data adds to a model on this dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from features.dataset import DatasetRefused, read_dataset
from features.progress import bar

if TYPE_CHECKING:
    from features.dataset import DatasetMeta
    from training.source_value import SourceValues


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--label", help="What to foresee; the dataset's own default if not given.")
@click.option(
    "--capacity",
    type=click.FloatRange(0.0, 1.0, min_open=True),
    multiple=True,
    default=(0.05, 0.10),
    show_default=True,
    help="Share of the households that is visited; may be given several times, the first decides the order.",
)
@click.option("--repeats", type=click.IntRange(1, 20), default=2, show_default=True, help="Trainings, by seed.")
@click.option(
    "--split", type=click.Choice(["time", "household", "time+household"]), default="time+household", show_default=True
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for value.json, value.md, value.png."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def value(
    folder: Path,
    label: str | None,
    capacity: tuple[float, ...],
    repeats: int,
    split: str,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Leave out one department at a time and tell what the model loses.

    The model learns again without the department's events, with small trees, and is judged on the same held-out rows.
    """
    from rich.console import Console

    from training.source_report import as_json as written
    from training.source_report import sentence, table, unread
    from training.source_value import source_values
    from training.study import Plan

    try:
        dataset = read_dataset(folder)
        with bar("Leaving out sources") as advance:
            plan = Plan(label=label or None, split=split, seed=seed)
            found = source_values(dataset, plan, capacity=capacity, repeats=repeats, progress=advance)
    except (DatasetRefused, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if out is not None:
        _write(out, found, dataset.meta)
    if as_json:
        click.echo(json.dumps(written(found, dataset.meta), ensure_ascii=False))
        return
    Console().print(table(found))
    click.echo(sentence(found))
    click.echo(unread(found))
    if out is not None:
        click.echo(f"value.json, value.md and value.png written to {out}")


def _write(out: Path, found: SourceValues, meta: DatasetMeta) -> None:
    from training.source_report import as_json, figure, page

    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(as_json(found, meta), ensure_ascii=False, indent=2) + "\n"
    (out / "value.json").write_text(text, encoding="utf-8")
    (out / "value.md").write_text(page(found, meta), encoding="utf-8")
    figure(found).savefig(out / "value.png")
