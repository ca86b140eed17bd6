"""Commands over the rules: `rules check`, `rules diff`, `rules report`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from features.catalogue import CORE, catalogue
from features.dataset import Dataset, DatasetRefused, read_dataset
from features.intake import admitted
from features.progress import bar
from features.rules.indicator import MODES
from features.rules.pack import PackNotInForce
from features.rules.policy_item import FACTS
from features.rules.policy_item import FOLDER as POLICIES
from features.window import Micros, as_of_moment
from training.rows import dataset_history
from training.rule_files import RulesRead, read_rules

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
as_of = click.option("--as-of", "as_of", required=True, help="Moment of judgement; a day means its end.")
packs = click.option("--packs", type=FOLDER, help="Folder of your own parameter packs, laid over the shipped ones.")
indicators = click.option(
    "--indicators", type=FOLDER, help="Folder of your own indicator files, laid over the shipped ones."
)
ARROW = " → "


@contextmanager
def _refusing() -> Iterator[None]:
    """Refusals of input end with their reason on standard error and exit code 1, never with a traceback."""
    try:
        yield
    except PackNotInForce as error:
        raise click.ClickException(str(error.args[0])) from error
    except (DatasetRefused, ValueError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{Path(str(error.filename)).name} cannot be read: {error.strerror}") from error


@click.group()
def rules() -> None:
    """Check the rule files, see what a change does, report what they say (each with --json).

    A file in your own folder that is named like a shipped one takes its place; others stand beside.
    """


@rules.command()
@packs
@indicators
@as_json
def check(packs: Path | None, indicators: Path | None, as_json: bool) -> None:
    """Read every rule file and ask every example; a wrong one is named with its file and line."""
    from training.rule_examples import wrong_examples

    with _refusing(), bar("Asking examples") as advance:
        read = read_rules(packs, indicators)
        wrong = wrong_examples(read.book, advance)
    found = _checked(read) | {"wrong": [vars(each) for each in wrong]}
    for each in wrong:
        mode = next(i.mode for i in read.book.indicators if i.id == each.indicator)
        found["indicators"][mode]["wrong"] += 1
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        _print_check(found)
        for each in wrong:
            click.echo(str(each))
    if wrong:
        raise click.exceptions.Exit(1)


@rules.command()
@click.argument("folder", type=FOLDER)
@as_of
@packs
@indicators
@as_json
def diff(folder: Path, as_of: str, packs: Path | None, indicators: Path | None, as_json: bool) -> None:
    """Say what your own rule files would change for the households of a dataset; nothing is written."""
    if packs is None and indicators is None:
        raise click.UsageError("give --packs, --indicators or both: the folders that hold your changed files")
    from training.rule_report import differences, told

    with _refusing():
        changed, shipped = read_rules(packs, indicators), read_rules()
        dataset, moment = _dataset(folder, as_of)
        history = dataset_history(dataset, catalogue())
        found = differences(told(shipped.book, history, moment), told(changed.book, history, moment))
    if as_json:
        click.echo(json.dumps({"as_of": as_of, **found}, ensure_ascii=False))
    else:
        _print_differences(found)


@rules.command()
@click.argument("folder", type=FOLDER)
@as_of
@click.option("--bundle", type=FOLDER, help="Also the tiers with this bundle's model, beside those of the rules alone.")
@packs
@indicators
@as_json
def report(
    folder: Path, as_of: str, bundle: Path | None, packs: Path | None, indicators: Path | None, as_json: bool
) -> None:
    """Say what the rules find in a dataset: tiers, indicators, kinds of poverty, findings to verify."""
    from training.rule_report import beside_model, told
    from training.rule_report import report as reported

    with _refusing():
        read = read_rules(packs, indicators)
        dataset, moment = _dataset(folder, as_of)
        of = told(read.book, dataset_history(dataset, catalogue()), moment)
        found: dict[str, Any] = {"as_of": as_of, **reported(of)}
        if bundle is not None:
            found["model"] = beside_model(of, _opened(bundle, dataset), read.book)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        _print_report(found)


def _dataset(folder: Path, as_of: str) -> tuple[Dataset, Micros]:
    """The admitted dataset and the moment. Raises `DatasetRefused` where no rules speak about it."""
    dataset = read_dataset(folder)
    if dataset.meta.catalogue != CORE:
        raise DatasetRefused(f"rules speak of the {CORE} catalogue; this dataset has {dataset.meta.catalogue}")
    return admitted(dataset, catalogue()), as_of_moment(as_of, dataset.meta.time_zone)


def _opened(folder: Path, dataset: Dataset) -> Any:
    from models.bundle import BundleRefused, read_bundle

    try:
        bundle = read_bundle(folder)
        bundle.refuse_foreign(dataset.meta)
    except BundleRefused as error:
        raise click.ClickException(str(error)) from error
    return bundle


def _checked(read: RulesRead) -> dict[str, Any]:
    """What was read, by folder and mode."""
    book = read.book
    by_mode = {mode: [each for each in book.indicators if each.mode == mode] for mode in MODES}
    policy_files = [path.name for path in POLICIES.glob("*.yaml") if path.name != FACTS]
    return {
        "files": {
            "packs": {"files": len(read.files["packs"]), "regions": len(book.packs.regions)},
            "indicators": {"files": len(read.files["indicators"]), "quantities": len(book.language.quantities)},
            "policies": {"files": len(policy_files) + 1, "items": len({item.id for item in book.policies.items})},
        },
        "replaced": read.replaced,
        "indicators": {
            mode: {
                "indicators": len({each.id for each in of}),
                "examples": sum(len(each.cases) for each in of),
                "wrong": 0,
            }
            for mode, of in by_mode.items()
        },
        "without_examples": sorted({each.id for each in book.indicators if not each.cases}),
    }


def _print_check(found: dict[str, Any]) -> None:
    files = Table("folder", Column("files", justify="right"), "holds", title="Rule files")
    for folder, holds in found["files"].items():
        counts = ", ".join(f"{n} {what}" for what, n in holds.items() if what != "files")
        files.add_row(folder, str(holds["files"]), counts)
    modes = Table("mode", *(Column(name, justify="right") for name in ("indicators", "examples", "wrong")))
    for mode, counts in found["indicators"].items():
        modes.add_row(mode, *(f"{counts[name]:,}" for name in ("indicators", "examples", "wrong")))
    console = Console()
    console.print(files)
    console.print(modes)
    if found["replaced"]:
        click.echo(f"In place of the shipped files: {', '.join(found['replaced'])}")
    if found["without_examples"]:
        click.echo(f"Without any example: {', '.join(found['without_examples'])}")


def _print_differences(found: dict[str, Any]) -> None:
    if not found["indicators"] and not found["tiers"] and not found["moves"] and not found["points_changed"]:
        click.echo(f"Nothing changes for these {found['households']:,} households.")
        return
    console = Console()
    head = ("true", "not evaluable", "new", "gone", "level")
    table = _table("Indicators that change", "id", "indicator", *head)
    for each in found["indicators"]:
        pairs = [f"{a:,}{ARROW}{b:,}" for a, b in (each["true"], each["not_evaluable"])]
        counts = [f"{each[name]:,}" for name in ("appears", "disappears", "other_level")]
        table.add_row(each["id"], _names(each), *pairs, *counts)
    console.print(table)
    tiers = _table("Tiers from triggers and points that change", "tier", "households")
    for name, (old, new) in found["tiers"].items():
        tiers.add_row(name, f"{old:,}{ARROW}{new:,}")
    console.print(tiers)
    click.echo(
        f"Of {found['households']:,} households {found['raised']:,} are raised and {found['lowered']:,} lowered; "
        f"points change for {found['points_changed']:,}."
    )
    for move in found["moves"]:
        click.echo(f"  {move['from']}{ARROW}{move['to']}: {move['households']:,}")


def _print_report(found: dict[str, Any]) -> None:
    console = Console()
    model = found.get("model")
    tiers = _table(
        f"{found['households']:,} households by tier", "tier", "rules", "share", *["with model"] * bool(model)
    )
    for name, n in found["tiers"].items():
        share = f"{n / max(1, found['households']):.1%}"
        tiers.add_row(name, f"{n:,}", share, *([f"{model['tiers'][name]:,}"] if model else []))
    console.print(tiers)
    if model:
        click.echo(f"The model raises {model['raised']:,} households and lowers {model['lowered']:,}.")
    for mode in MODES:
        console.print(_indicator_table(mode, [each for each in found["indicators"] if each["mode"] == mode]))
    click.echo(f"{found['to_verify']:,} households have something to verify; that never changes a tier.")
    types = _table("Kinds of poverty", "kind", "mainly", "also")
    for name, counts in found["poverty_types"].items():
        types.add_row(name, f"{counts['main']:,}", f"{counts['any'] - counts['main']:,}")
    types.add_row("none", f"{found['without_poverty_type']:,}", "")
    console.print(types)
    click.echo(f"Grey, and to be visited: {found['tiers']['grey']:,} ({found['grey_share']:.1%}).")
    if found["opted_out"]:
        click.echo(f"{found['opted_out']:,} households opted out; no rule speaks of them.")


def _indicator_table(mode: str, listed: list[dict[str, Any]]) -> Table:
    title = {"trigger": "Triggers", "points": "Points indicators", "verification": "Findings to verify"}[mode]
    table = _table(title, "id", "indicator", "households", "true", "not evaluable")
    for each in listed:
        shares = [f"{each[name]:.1%}" for name in ("true_share", "not_evaluable_share")]
        table.add_row(each["id"], _names(each), f"{each['true']:,}", *shares)
    return table


def _table(title: str, *head: str) -> Table:
    """A table whose numbers stand on the right and are never torn."""
    words = {"indicator", "tier", "kind"}
    columns = [
        Column(name, overflow="fold")
        if name in words
        else Column(name, justify="left" if name == "id" else "right", no_wrap=True)
        for name in head
    ]
    return Table(*columns, title=title)


def _names(each: dict[str, Any]) -> str:
    return escape(f"{each['name']['zh']} {each['name']['en']}")
