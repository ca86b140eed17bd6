"""Commands about whose outcomes are known: `audit-arm`, `visiting-bias`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from features.dataset import DatasetRefused
from features.progress import bar

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
SHARE = click.FloatRange(0.0, 1.0, min_open=True)


@contextmanager
def _refusing() -> Iterator[None]:
    """Refusals of input end with their reason on standard error and exit code 1, never with a traceback."""
    try:
        yield
    except (DatasetRefused, ValueError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{Path(str(error.filename)).name} cannot be read: {error.strerror}") from error


@click.command(name="audit-arm")
@click.argument("folder", type=FOLDER)
@click.option("--as-of", "as_of", required=True, help="Moment of the draw; a day means its end.")
@click.option("--share", type=SHARE, help="Share of the households to draw; 0.02 to 0.05 is usual.")
@click.option("--visits", type=click.IntRange(1), help="How many to draw, instead of a share.")
@click.option("--seed", type=click.IntRange(0), required=True, help="The same seed draws the same households.")
@click.option("--strata", default="township", show_default=True, help="Columns of the households with commas, or none.")
@click.option(
    "--listed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV or Parquet file with a column household_id: who is on the visit list already and is not drawn.",
)
@click.option("--out", type=FILE, required=True, help="File to write, CSV or Parquet by its name.")
@click.option("--keep", is_flag=True, help="Lay the draw into the dataset folder as well.")
@as_json
def audit_arm(
    folder: Path,
    as_of: str,
    share: float | None,
    visits: int | None,
    seed: int,
    strata: str,
    listed: Path | None,
    out: Path,
    keep: bool,
    as_json: bool,
) -> None:
    """Draw households by lot, to be visited whatever any list says.

    Drawn are households where somebody lives and that are in no status then, the ones without enough data for a score
    included. The file says who was drawn and with which chance; with it, outcomes of the drawn speak for all.
    """
    if (share is None) == (visits is None):
        raise click.UsageError("give either --share or --visits")
    from training.audit_arm import draw_audit_arm, keep_audit_arm, write_audit_arm
    from training.audit_frame import drawable

    columns = [] if strata == "none" else [name.strip() for name in strata.split(",") if name.strip()]
    with _refusing():
        frame, moment = drawable(folder, as_of, listed)
        arm = draw_audit_arm(frame, drawn_at=moment, seed=seed, share=share, visits=visits, strata=columns)
        if keep:
            keep_audit_arm(folder, arm)
        write_audit_arm(arm, out)
    chance = arm["inclusion_probability"]
    told = {
        "households": len(frame),
        "drawn": len(arm),
        "strata": int(arm["stratum"].nunique()),
        "least_chance": float(chance.min()),
        "greatest_chance": float(chance.max()),
        "out": str(out),
    }
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        click.echo(
            f"{told['drawn']:,} of {told['households']:,} households drawn in {told['strata']} strata, with chances of "
            f"{told['least_chance']:.4f} to {told['greatest_chance']:.4f}; written to {out.name}"
        )


@click.command(name="visiting-bias")
@click.argument("county", type=FOLDER)
@click.option("--share-visited", type=SHARE, default=0.15, show_default=True, help="Share visited in a year.")
@click.option("--arm", type=SHARE, default=0.05, show_default=True, help="Share of all drawn by lot, of these visits.")
@click.option(
    "--applies",
    type=(click.FloatRange(0.0, 1.0), click.FloatRange(0.0, 1.0)),
    default=(0.3, 0.1),
    show_default=True,
    help="Chance that a need without a visit is brought forward: by seen households, by hidden ones.",
)
@click.option("--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="Repetitions.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the report and its figure.")
@as_json
def visiting_bias(
    county: Path,
    share_visited: float,
    arm: float,
    applies: tuple[float, float],
    seeds: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Show in a synthetic county what it does to a model that needs are recorded only where somebody looks.

    The report in --out has the spread between the seeds as well.
    """
    import pandas as pd

    from training.bias_report import found, write
    from training.visiting_bias import ESTIMATORS, Settings, compared, feedback
    from training.visiting_world import YEARS, boosted, world_of

    with _refusing(), ExitStack() as stack:
        settings = Settings(share_visited=share_visited, arm=arm, applies=applies)
        world = world_of(county, lambda stage: stack.enter_context(bar(stage)))
        with bar("Learning from one year's lists") as advance:
            one_year = pd.DataFrame(
                _counted(compared(world, settings, boosted, seeds), advance, seeds * len(ESTIMATORS))
            )
        with bar("Learning in the loop") as advance:
            loop = pd.DataFrame(_counted(feedback(world, settings, boosted, seeds), advance, seeds * YEARS * 3))
        result = found(one_year, loop, settings, seeds)
        if out is not None:
            write(result, out)
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False, allow_nan=False))
    else:
        _print(result)


def _counted(
    rows: Iterator[dict[str, Any]], advance: Callable[[int, int], None], total: int
) -> Iterator[dict[str, Any]]:
    for done, row in enumerate(rows, start=1):
        yield row
        advance(done, total)


def _print(result: dict[str, Any]) -> None:
    from training.bias_report import cells

    console = Console()
    for title, name, by in (("One year of lists", "one_year", ["way"]), ("The loop", "feedback", ["way", "year"])):
        table = Table(*by, *cells(result[name][0]), title=f"{title}, means over the seeds")
        for row in result[name]:
            table.add_row(*(str(row[each]) for each in by), *cells(row, with_spread=False).values())
        console.print(table)
    for sentence in result["sentences"]:
        click.echo(sentence)
