"""The commands that take something away for good: `erase` households, `retain` what is young enough."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from serving.store.engine import Store
    from serving.store.erasure import Gone

STORE = "POVRISK_STORE"
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
MAX_ID = 128
SERVER = "run VACUUM in the database, and think of its backups: they are the operator's"
NOT_ANEW = "others use the file, which may still hold bytes of what went; run this again when the service is down"


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--store", "url", envvar=STORE, help=f"Erase in this store. [default: {STORE}]")
@click.option("--data", type=FOLDER, help="Erase in this dataset folder as well; it is written anew.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def erase(file: TextIO, url: str | None, data: Path | None, yes: bool, as_json: bool) -> None:
    """Erase households everywhere: FILE has one household id a line (- reads standard input).

    Ids are never given as arguments, which a shell writes into its history. The journal keeps digests of what went and
    an entry that says how much. Backups, trained models, files that were written out and paper are not reached.
    """
    from features.dataset import DatasetRefused
    from serving.dataset_erasure import erase_from
    from serving.store.erasure import ErasureRefused
    from serving.store_options import StoreAway, opened_store

    if url is None and data is None:
        raise click.UsageError("name a --store, a folder with --data, or both")
    names = _names(file)
    if not yes:
        click.confirm(f"Erase {len(names)} household(s) for good?", abort=True, err=True)
    told: dict[str, Any] = {"households": len(names)}
    try:
        if data is not None:
            told["data"] = erase_from(data, names)
        if url is not None:
            with opened_store(url, create=False) as store:
                told["store"] = _erased(store, names)
    except (DatasetRefused, StoreAway, ErasureRefused, OSError) as error:
        raise click.ClickException(str(error)) from error
    _say(told, as_json)


@click.command()
@click.option("--store", "url", envvar=STORE, required=True, help=f"Address of the store. [default: {STORE}]")
@click.option("--days", type=click.IntRange(1), help="How long assessments are kept. [default: POVRISK_KEEP_DAYS]")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def retain(url: str, days: int | None, as_json: bool) -> None:
    """Remove assessments that are older than so many days and on which no open task rests. Reviews stay."""
    from serving.settings import SettingRefused, settings_from
    from serving.store_options import StoreAway, opened_store

    try:
        settings = settings_from(os.environ)
        days = days or settings.keep_days
        if not days:
            raise click.UsageError("say --days, or set POVRISK_KEEP_DAYS")
        with opened_store(url, create=False) as store:
            told = _retained(store, days)
    except (StoreAway, SettingRefused) as error:
        raise click.ClickException(str(error)) from error
    _say({"days": days, "store": told}, as_json)


def _names(file: TextIO) -> list[str]:
    """The ids in a file, one a line; the place of a wrong one is told, never the id."""
    names = [line.rstrip("\r\n") for line in file]
    for number, name in enumerate(names, 1):
        if len(name) > MAX_ID or (name and not name.isprintable()):
            raise click.ClickException(f"line {number} is no household id: at most {MAX_ID} printable characters")
    found = sorted({name for name in names if name})
    if not found:
        raise click.ClickException("the file names no household")
    return found


def _erased(store: Store, names: list[str]) -> dict[str, Any]:
    from serving.clock import now
    from serving.settings import current
    from serving.store.erasure import erase as erase_rows

    with store.writing() as connection:
        gone = erase_rows(connection, names, getpass.getuser(), now(current()))
    return _told(gone, store.scrub())


def _retained(store: Store, days: int) -> dict[str, Any]:
    """In several transactions, so that the service can write between them."""
    from features.progress import bar
    from features.window import days_before
    from serving.clock import now
    from serving.settings import current
    from serving.store.erasure import NOTHING
    from serving.store.erasure import retain as retain_rows

    at, whole = now(current()), NOTHING
    with bar("Removed", per_second="assessments") as advance:
        while True:
            with store.writing() as connection:
                gone = retain_rows(connection, days_before(at, days), getpass.getuser(), at)
            if gone == NOTHING:
                break
            whole += gone
            advance(whole.rows["assessments"], whole.rows["assessments"])
    return _told(whole, store.scrub())


def _told(gone: Gone, is_anew: bool) -> dict[str, Any]:
    return {"households": gone.households, "rows": dict(gone.rows), "written_anew": is_anew}


def _say(told: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(told))
        return
    for place in ("data", "store"):
        if place in told:
            rows = ", ".join(f"{n:,} of {name}" for name, n in sorted(told[place]["rows"].items()) if n) or "nothing"
            click.echo(f"{place}: {told[place]['households']:,} households; rows removed: {rows}")
    if "store" in told and not told["store"]["written_anew"]:
        click.echo(f"In SQLite: {NOT_ANEW}. In PostgreSQL: {SERVER}.", err=True)
