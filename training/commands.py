"""Commands that make data and models: `simulate`, `panel`, `train`, `evaluate`."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from features.progress import bar
from training.acceptance import Gate
from training.command_frame import refusing, stages
from training.splits import KINDS

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUT = click.Path(file_okay=False, path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


@click.command()
@click.option("--households", type=click.IntRange(1, 2_000_000), required=True, help="How many households.")
@click.option("--months", type=click.IntRange(36, 240), required=True, help="How many months, at least 36.")
@click.option("--seed", type=click.IntRange(0), required=True, help="The same seed gives the same county.")
@click.option("--sources", help="Connected departments, with commas between them; all if not given.")
@click.option(
    "--under-recorded",
    multiple=True,
    metavar="GROUP=SHARE",
    help="A flaw to plant: GROUP's households lose that share of their records of need, such as disability=0.8.",
)
@click.option("--out", type=OUT, required=True, help="Dataset folder to write.")
@as_json
def simulate(
    households: int,
    months: int,
    seed: int,
    sources: str | None,
    under_recorded: tuple[str, ...],
    out: Path,
    as_json: bool,
) -> None:
    """Make a synthetic county with known truth."""
    from training.county.simulate import simulate as simulated
    from training.county.under_recording import under_recorded_shares

    connected = None if sources is None else [name.strip() for name in re.split("[,，]", sources) if name.strip()]
    with refusing(), bar("Simulating households") as advance:
        meta = simulated(
            out,
            households=households,
            months=months,
            seed=seed,
            sources=connected,
            under_recorded=under_recorded_shares(under_recorded),
            progress=advance,
        )
    if as_json:
        click.echo(json.dumps({"folder": str(out), "digest": meta.digest, "data_until": meta.data_until}))
    else:
        click.echo(f"{households:,} synthetic households over {months} months written to {out}")


@click.command()
@click.argument("name", type=click.Choice(["eph", "sipp"]))
@click.argument("raw", type=FOLDER)
@click.option("--out", type=OUT, required=True, help="Dataset folder to write.")
@as_json
def panel(name: str, raw: Path, out: Path, as_json: bool) -> None:
    """Turn a public household panel (raw folder) into a dataset folder."""
    module = importlib.import_module(f"training.panels.{name}")
    with refusing(), bar(f"Reading {name}") as advance:
        meta = module.build(raw, out, progress=advance)
    if as_json:
        click.echo(json.dumps({"folder": str(out), "digest": meta.digest, "label": meta.default_label}))
    else:
        click.echo(f"Dataset {meta.name} written to {out}; default label {meta.default_label}")
        click.echo(meta.provenance)


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--label", help="What to foresee; the dataset's own default if not given.")
@click.option("--train-until", help="Last training moment (a day whose end is the moment).")
@click.option("--test-from", help="First test moment; at least the horizon after --train-until when split by time.")
@click.option("--test-until", help="Last test moment.")
@click.option("--split", type=click.Choice(KINDS), default="time+household", show_default=True)
@click.option("--experiment", default="povrisk", show_default=True, help="MLflow experiment.")
@click.option("--predictions", type=click.Path(dir_okay=False, path_type=Path), help="File for the test rows.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--search", type=click.IntRange(0), default=6, show_default=True, help="Settings to try; 0 for none.")
@click.option(
    "--origins", type=click.IntRange(0), default=3, show_default=True, help="Past moments to select over; 0 for none."
)
@click.option("--challengers", help="Which to compare with, with commas between them; all if not given.")
@as_json
def train(
    folder: Path,
    label: str | None,
    train_until: str | None,
    test_from: str | None,
    test_until: str | None,
    split: str,
    experiment: str,
    predictions: Path | None,
    seed: int,
    search: int,
    origins: int,
    challengers: str | None,
    as_json: bool,
) -> None:
    """Train under MLflow, compare with challengers and the model in use, say whether it may be published."""
    from training.challengers import ALL
    from training.run import summary
    from training.run import train as run
    from training.study import Plan

    which = ALL if not challengers else tuple(name.strip() for name in challengers.split(","))
    dates = (_given(train_until), _given(test_from), _given(test_until))
    plan = Plan(_given(label), *dates, split, seed, tries=search, origins=origins, challengers=which)
    with refusing(), stages() as progress:
        done = run(folder, plan, experiment=experiment, predictions=predictions, progress=progress)
    if as_json:
        click.echo(json.dumps(summary(done)))
    else:
        _print_study(done.run_id, done.store, summary(done), done.study.gates)


@click.command()
@click.argument("bundle", type=FOLDER)
@click.argument("folder", type=FOLDER)
@click.option("--label", help="What it should have foreseen; the bundle's own label if not given.")
@click.option("--since", help="First moment to judge (a day).")
@click.option("--until", help="Last moment to judge (a day).")
@click.option("--experiment", default="povrisk", show_default=True, help="MLflow experiment.")
@as_json
def evaluate(
    bundle: Path, folder: Path, label: str | None, since: str | None, until: str | None, experiment: str, as_json: bool
) -> None:
    """Judge a published bundle on a dataset's labelled rows, under MLflow."""
    from training.judging import judge

    with refusing(), stages() as progress:
        run_id, metrics = judge(
            bundle,
            folder,
            label=_given(label),
            since=_given(since),
            until=_given(until),
            experiment=experiment,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps({"run_id": run_id, "metrics": metrics}))
    else:
        Console().print(_metrics_table({"bundle": metrics}))
        click.echo(f"MLflow run {run_id}")


def _given(text: str | None) -> str | None:
    """An option as given; `mlflow run` can only pass an option that was left out as an empty text."""
    return text or None


SHOWN = {
    "auc": "AUC",
    "average_precision": "AP",
    "recall_at_5pct": "rec. 5 %",
    "recall_at_10pct": "rec. 10 %",
    "log_loss": "log-loss",
    "observed_expected": "obs/exp",
}


def _metrics_table(models: dict[str, dict[str, float]]) -> Table:
    """One line a model, so that ten of them fit a terminal."""
    table = Table("model", *SHOWN.values(), title="On the test rows")
    for name, values in models.items():
        table.add_row(name.replace("_", " "), *(f"{values[m]:.3f}" if m in values else "-" for m in SHOWN))
    return table


def _print_study(run_id: str, store: str, found: dict[str, Any], passed: list[Gate]) -> None:
    console = Console()
    metrics = found["metrics"]
    console.print(found["first_line"], style="bold")
    console.print(_metrics_table({"this model": metrics, **found["baselines"]}))
    console.print(
        f"{found['train_rows']:,} training rows; {metrics['n']:,.0f} test rows, {metrics['positives']:,.0f} with the "
        f"outcome ({metrics['base_rate']:.1%}), {metrics['abstention_share']:.1%} without a score; best single "
        f"feature: {found['best_single_feature']}"
    )
    if "auc_below_truth" in metrics:
        console.print(
            f"AUC of the true hazard {metrics['truth_auc']:.4f}; the model is {metrics['auc_below_truth']:.4f} below"
        )
    for said in (found["search"], found["selection"], *found["notes"]):
        if said:
            console.print(said[0].upper() + said[1:], markup=False)
    words = {(True, True): "pass", (True, False): "open"}
    for gate in passed:
        console.print(f"{words.get((gate.passed, gate.decided), 'FAIL')}  {gate.text}", markup=False)
    console.print(found["why"], style="bold", markup=False)
    click.echo(f"MLflow run {run_id} in {store}")
