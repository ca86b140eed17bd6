"""The command `povrisk benchmark`: what takes how long, as ratios of processor time in one run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console

from features.dataset import DatasetRefused

FOLDER = click.Path(file_okay=False, path_type=Path)
GIVEN = click.Path(exists=True, file_okay=False, path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
keep = click.option("--folder", type=FOLDER, help="Keep the invented data here for the next time.")


@click.group()
def benchmark() -> None:
    """Measure speed and memory beside peers, on this machine, now. Each part takes --json."""


@benchmark.command()
@keep
@click.option("--households", type=click.IntRange(200), default=200_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 99), default=3, show_default=True, help="Medians are over these.")
@click.option("--growth", is_flag=True, help="Measure five times the events, too.")
@as_json
def vectors(folder: Path | None, households: int, rounds: int, growth: bool, as_json: bool) -> None:
    """Household vectors beside a scan of the same file, pandas, Polars, DuckDB and Featuretools."""
    from benchmarks.vectors import vectors_benchmark

    with _measuring() as progress:
        found = vectors_benchmark(folder, households=households, rounds=rounds, growth=growth, progress=progress)
    _tell("vectors", found, as_json)


@benchmark.command()
@click.option("--quick", is_flag=True, help="Fewer rows and rounds.")
@as_json
def explain(quick: bool, as_json: bool) -> None:
    """Contributions of every feature to a score beside LightGBM's own."""
    from benchmarks.apart import machine
    from benchmarks.explain import explain_benchmark

    with _measuring() as progress:
        progress("Contributions beside LightGBM's")
        found = {**explain_benchmark(quick=quick), "machine": machine()}
    _tell("explain", found, as_json)


@benchmark.command()
@keep
@click.option("--bundle", type=GIVEN, help="A published bundle; without it a small model is trained first.")
@click.option("--scale", type=click.FloatRange(0.0001, 20.0), default=1.0, show_default=True, help="Of 188,000.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True)
@as_json
def batch(folder: Path | None, bundle: Path | None, scale: float, workers: int, as_json: bool) -> None:
    """`povrisk score` over a synthetic province, with reasons."""
    from benchmarks.batch import batch_benchmark

    with _measuring() as progress:
        found = batch_benchmark(folder, bundle=bundle, scale=scale, workers=workers, progress=progress)
    _tell("batch", found, as_json)


@benchmark.command()
@keep
@click.argument("dataset", type=GIVEN, required=False)
@click.option("--as-of", "as_of", help="Moment of judgement; the dataset's last one if not given.")
@as_json
def rules(folder: Path | None, dataset: Path | None, as_of: str | None, as_json: bool) -> None:
    """The rule layer beside the vectors alone, on a dataset folder or a simulated county."""
    from benchmarks.rules import rules_benchmark

    with _measuring() as progress:
        found = rules_benchmark(dataset, as_of, folder=folder, progress=progress)
    _tell("rules", found, as_json)


@benchmark.command()
@click.option("--quick", is_flag=True, help="Few households.")
@as_json
def queue(quick: bool, as_json: bool) -> None:
    """A page of the queue of visits while 20,000 and 200,000 households wait."""
    from benchmarks.queue import queue_benchmark

    with _measuring() as progress:
        found = queue_benchmark(quick=quick, progress=progress)
    _tell("queue", found, as_json)


@benchmark.command()
@keep
@click.option("--bundle", type=GIVEN, help="A published bundle; without it a small model is trained first.")
@click.option("--seconds", type=click.FloatRange(0.2, 600.0), help="Of each line and round [default: 4].")
@click.option("--rounds", type=click.IntRange(1, 99), help="Medians are over these [default: 3].")
@click.option("--probe", type=click.FloatRange(0.2, 3600.0), help="Seconds of GET /livez under load [default: 60].")
@click.option("--soak", type=click.IntRange(1), help="Requests before memory is looked at again [default: 3,000].")
@click.option("--client", type=click.Choice(["own", "wrk"]), default="own", show_default=True, help="Who asks.")
@click.option("--quick", is_flag=True, help="A moment of everything; the figures mean little.")
@as_json
def serve(
    folder: Path | None,
    bundle: Path | None,
    seconds: float | None,
    rounds: int | None,
    probe: float | None,
    soak: int | None,
    client: Literal["own", "wrk"],
    quick: bool,
    as_json: bool,
) -> None:
    """The service under load, beside a tutorial's service and beside the same work without HTTP. About 10 minutes."""
    from benchmarks.serve import QUICK, Extent, serve_benchmark

    told = {"seconds": seconds, "rounds": rounds, "probe_s": probe, "soak": soak}
    given: dict[str, Any] = {name: value for name, value in told.items() if value is not None}
    extent = dataclasses.replace(QUICK if quick else Extent(), **given)
    with _measuring() as progress:
        found = serve_benchmark(folder, bundle=bundle, extent=extent, client=client, progress=progress)
    _tell("serve", found, as_json)


@contextmanager
def _measuring() -> Iterator[Callable[[str], None]]:
    """Says on a terminal what is being measured; a run that fails ends with its reason and exit code 1."""
    from benchmarks.apart import RunFailed
    from benchmarks.vectors import PeersDisagree

    console = Console(stderr=True)
    try:
        with console.status("Measuring") as status:
            yield status.update
    except (RunFailed, PeersDisagree, DatasetRefused, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _tell(name: str, found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    from benchmarks.report import printed

    Console().print(printed({name: found}))
