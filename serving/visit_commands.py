"""The command over the rows of a batch, or over the store: `visits`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

SHOWN = {"position": "", "household_id": "household", "tier": "tier", "queue": "queue", "because": "place by"}


@click.command()
@click.argument("scores", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--store", "url", help="Take the open tasks of this store instead of a file of rows.")
@click.option("--visits", type=click.IntRange(1), required=True, help="How many visits can be made.")
@click.option(
    "--reserve",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Least share kept for households without a score and for grey ones.",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="All households in order: Parquet, or CSV by name."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def visits(scores: Path | None, url: str | None, visits: int, reserve: float, out: Path | None, as_json: bool) -> None:
    """Make a visit list from the rows that `povrisk score` wrote, or from the open tasks of a store; every household
    not on it is listed as waiting.

    Without --out the households to visit are printed.
    """
    from models.visit_list import VISIT, VisitListRefused, visit_list
    from serving.store_options import StoreAway

    try:
        if scores is not None and url is None:
            listed = visit_list(_rows(scores), visits, reserved_share=reserve)
        elif scores is None and url is not None:
            listed = _of_store(url, visits, reserve)
        else:
            raise click.UsageError("name a file of rows, or a --store")
    except (VisitListRefused, StoreAway) as error:
        raise click.ClickException(str(error)) from error
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished = out.with_name(f".{out.name}.unfinished")
        if out.suffix.lower() == ".csv":
            listed.to_csv(unfinished, index=False)
        else:
            listed.to_parquet(unfinished, index=False)
        unfinished.replace(out)
    on_list = listed[listed["place"] == VISIT]
    counts = _counts(listed)
    if as_json:
        told: dict[str, Any] = {"households": len(listed), "visits": len(on_list), "queues": counts}
        told |= {"list": json.loads(on_list.to_json(orient="records"))} if out is None else {"out": str(out)}
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    _show(on_list, counts, len(listed), out)


def _rows(scores: Path) -> pd.DataFrame:
    """The columns of the rows that a list needs, as far as the file has them."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from models.visit_list import COLUMNS, VisitListRefused

    try:
        if scores.suffix.lower() == ".csv":
            rows: pd.DataFrame = pd.read_csv(scores, usecols=lambda name: name in COLUMNS, dtype={"household_id": str})
        else:
            wanted = [name for name in COLUMNS if name in pq.read_schema(scores).names]
            rows = pq.read_table(scores, columns=wanted).to_pandas()
    except (OSError, ValueError, pa.ArrowException):
        raise VisitListRefused("the file is neither Parquet nor CSV that `povrisk score` wrote") from None
    return rows


def _of_store(url: str, visits: int, reserve: float) -> pd.DataFrame:
    """The open tasks in the order and with the columns of `models.visit_list.visit_list`."""
    import pandas as pd

    from models.visit_list import LISTED, MANUAL, SCORED, VISIT, WAITING
    from serving.store.queue import visit_order
    from serving.store_options import opened_store

    with opened_store(url, create=False) as store, store.reading() as connection:
        order = visit_order(connection, reserved_share=reserve)
    rows = [
        {
            **{name: getattr(task, name) for name in ("household_id", "tier", "status", "probability", "points")},
            "position": position,
            "place": VISIT if position <= visits else WAITING,
            "queue": MANUAL if task.is_manual else SCORED,
            "because": because,
        }
        for position, (task, because) in enumerate(order, 1)
    ]
    return pd.DataFrame(rows, columns=list(LISTED)).astype({"probability": float, "points": float})


def _counts(listed: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Households by queue, to visit and waiting."""
    found = listed.groupby(["queue", "place"]).size()
    return {
        queue: {place: int(found.get((queue, place), 0)) for place in ("visit", "waiting")}
        for queue in ("scored", "manual")
    }


def _show(on_list: pd.DataFrame, counts: dict[str, dict[str, int]], households: int, out: Path | None) -> None:
    console = Console()
    table = Table("queue", "to visit", "waiting", title=f"{len(on_list):,} visits for {households:,} households")
    for queue, found in counts.items():
        table.add_row(queue, f"{found['visit']:,}", f"{found['waiting']:,}")
    console.print(table)
    if out is not None:
        click.echo(f"Written to {out}, first to last")
        return
    names = Table(*SHOWN.values())
    for row in on_list[list(SHOWN)].itertuples(index=False):
        names.add_row(*(str(cell) for cell in row))
    console.print(names)
