"""The command over the journal of the store: `journal verify`, `journal head`, `journal export`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from sqlalchemy import Connection

from features.progress import bar
from serving.store import append_only, verification
from serving.store import journal as entries_of
from serving.store_options import StoreAway, opened_store

STORE = "POVRISK_STORE"
FILE = click.Path(dir_okay=False, path_type=Path)
store = click.option("--store", "url", envvar=STORE, required=True, help=f"Address of the store. [default: {STORE}]")
as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


@click.group()
def journal() -> None:
    """Show that no review and no assessment was changed, added or removed since it was recorded (each with --json)."""


@journal.command()
@store
@click.option(
    "--head",
    "exported",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A head that `journal head` wrote and that was kept elsewhere: also finds a cut or rewritten end.",
)
@as_json
def verify(url: str, exported: Path | None, as_json: bool) -> None:
    """Recompute every hash and the digest of every recorded row. Exit code 1 names the first wrong entry."""
    kept = None if exported is None else _head_of(exported)
    with _open(url) as connection, bar("verify", per_second="entries") as advance:
        found = verification.verify(connection, kept, progress=advance)
        erased = verification.erasures(connection)
        unguarded = len(append_only.missing(connection))
    if as_json:
        told = {"verified": found.problem is None, **found._asdict(), "triggers_missing": unguarded}
        click.echo(json.dumps(told | {"erasures": erased.times, "erased_rows": erased.rows}))
    elif found.problem is None:
        click.echo(f"{found.entries} entries and all rows they brought are as they were recorded")
        if erased.times:
            click.echo(f"but for {erased.rows} rows that {erased.times} erasures took away, as the journal tells")
    if unguarded:
        click.echo(
            f"{unguarded} triggers against changes are missing; the service puts them back at its start", err=True
        )
    if found.problem is not None:
        if not as_json:
            click.echo(f"Error: first bad entry {found.first_bad}: {found.problem}", err=True)
        raise click.exceptions.Exit(1)


@journal.command()
@store
@click.option("--out", type=FILE, help="File to write; without it, standard output.")
@as_json
def head(url: str, out: Path | None, as_json: bool) -> None:
    """Print the last entry's number, hash and moment, to be kept where the store's owner cannot change it."""
    with _open(url) as connection:
        last = entries_of.head(connection)
    at = _moment(last.at)
    told = json.dumps({"seq": last.seq, "hash": last.hash, "at": at})
    if out is not None:
        _write(out, iter([told + "\n"]))
    if as_json or out is None:
        click.echo(told)
    else:
        click.echo(f"head {last.seq} of {at} written to {out}")


@journal.command()
@store
@click.option("--out", type=FILE, required=True, help="File of one JSON object an entry.")
@as_json
def export(url: str, out: Path, as_json: bool) -> None:
    """Write every entry as a line of JSON; anybody can compute the hashes again from it."""
    with _open(url) as connection, bar("export", per_second="entries") as advance:
        written = _write(out, _lines(connection, advance))
    click.echo(json.dumps({"entries": written, "out": str(out)}) if as_json else f"{written} entries written to {out}")


def _lines(connection: Connection, advance: Callable[[int, int], None]) -> Iterator[str]:
    total = entries_of.head(connection).seq
    for done, entry in enumerate(entries_of.entries(connection), 1):
        yield json.dumps({**entry._mapping, "body": json.loads(entry.body)}, ensure_ascii=False) + "\n"
        if done % entries_of.CHUNK == 0:
            advance(done, total)


def _write(out: Path, lines: Iterator[str]) -> int:
    """A whole file or none: what was there stays until all lines are written."""
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            count = sum(bool(file.write(line)) for line in lines)
        unfinished.replace(out)
    except OSError as failure:
        raise click.ClickException(f"{out} cannot be written: {failure.strerror}") from None
    return count


def _head_of(file: Path) -> entries_of.Head:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return entries_of.Head(int(told["seq"]), str(told["hash"]), 0)
    except (OSError, ValueError, KeyError, TypeError):
        raise click.ClickException(f"{file} is not a head that `povrisk journal head` wrote") from None


def _moment(at: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).isoformat()


@contextmanager
def _open(url: str) -> Iterator[Connection]:
    try:
        with opened_store(url, create=False) as opened, opened.reading() as connection:
            yield connection
    except StoreAway as error:
        raise click.ClickException(str(error)) from None
