"""The command `sheets`: visits on paper, or on a device without a network."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from serving.desk import Visit
    from serving.pages.shown import Reader
    from serving.store.queue import Entry

INDEX = "index.html"
MARK = "povrisk sheets"
BOTH = "both"


class SheetsRefused(ValueError):
    """Sheets that cannot be written; the message says what to do."""


@click.command()
@click.option("--store", "url", envvar="POVRISK_STORE", required=True, help="Address of the store. [POVRISK_STORE]")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder; a former one is replaced."
)
@click.option("--lang", type=click.Choice(["zh", "en", BOTH]), default="zh", show_default=True)
@click.option("--township", help="Only the visits of this township.")
@click.option(
    "--first", type=click.IntRange(1, 10_000), help="How many [default: the visits the store was filled for]."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def sheets(url: str, out: Path, lang: str, township: str | None, first: int | None, as_json: bool) -> None:
    """Write the visit list and a sheet for each visit as files to print or to take along.

    Every file stands alone and asks nothing of a network. What a visit finds is recorded with the service afterwards.
    """
    from serving.settings import SettingRefused, settings_from
    from serving.store_options import StoreAway, opened_store

    try:
        settings = settings_from(os.environ)
        with opened_store(url, create=False) as store, store.reading() as connection:
            entries = _entries(connection, township, first)
            languages = ("zh", "en") if lang == BOTH else (lang,)
            written = _write(connection, entries, languages, out, settings)
    except (StoreAway, SettingRefused, SheetsRefused, OSError) as error:
        raise click.ClickException(str(error)) from error
    bare = len(entries) - written
    if as_json:
        click.echo(json.dumps({"listed": len(entries), "sheets": written, "without_record": bare, "out": str(out)}))
        return
    click.echo(f"{written:,} sheets and the list of {len(entries):,} visits are in {out}; begin with {INDEX}")
    if bare:
        click.echo(
            f"{bare:,} of them have no sheet: score with --visits {len(entries)} to keep their assessments", err=True
        )


def _entries(connection: Connection, township: str | None, first: int | None) -> list[Entry]:
    """The visits to make, in order."""
    from sqlalchemy import select

    from serving.store.queue import Entry, visit_order
    from serving.store.tables import ABOUT

    if first is None:
        first = int(connection.scalar(select(ABOUT.c.value).where(ABOUT.c.name == "visits")) or 0)
    if not first:
        raise SheetsRefused("the store was filled without a number of visits; say how many sheets with --first")
    order = visit_order(connection, first, township)
    if not order:
        raise SheetsRefused("nobody waits for a visit there; `povrisk score --store` fills the queue")
    return [Entry(position, "visit", because, task) for position, (task, because) in enumerate(order, 1)]


def _write(connection: Connection, entries: list[Entry], languages: tuple[str, ...], out: Path, settings: Any) -> int:
    """All files, in a folder that appears when the last one is written. How many sheets there are."""
    from features.placing import put_in_place
    from features.progress import steps
    from serving.clock import now
    from serving.pages.queue_view import queue_row
    from serving.pages.sheet import sheet_html
    from serving.pages.shown import Reader

    if out.exists() and any(out.iterdir()) and not _is_ours(out):
        raise SheetsRefused("the folder --out holds other files; name a new one")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        readers = [Reader(language, now(settings)) for language in languages]
        lists: dict[str, list[Any]] = {reader.lang: [] for reader in readers}
        written = 0
        for entry in steps(entries, "Sheets"):
            visit = _visit(connection, entry)
            written += visit is not None
            for reader in readers:
                name = None if visit is None else f"{_name(entry)}.{reader.lang}.html"
                if visit is not None and name is not None:
                    _write_file(unfinished / name, sheet_html(visit, reader.lang, reader=reader))
                row = queue_row(entry, reader, None if visit is None else visit.record)
                lists[reader.lang].append((row, name))
        _write_file(unfinished / INDEX, _index(lists, readers))
        put_in_place(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return written


def _write_file(path: Path, html: str) -> None:
    """For the user alone: households stand in it."""
    path.touch(0o600)
    path.write_text(html, encoding="utf-8")


def _visit(connection: Connection, entry: Entry) -> Visit | None:
    """What a sheet tells; None where only the row of the assessment is kept."""
    from serving.desk import visit_of
    from serving.errors import UnknownCase

    try:
        return visit_of(connection, entry.task.assessment_id)
    except UnknownCase:
        return None


def _index(lists: dict[str, list[Any]], readers: list[Reader]) -> str:
    """The list, in one language or below each other in both."""
    from serving.pages.rendering import rendered

    told = [
        {"lang": each.lang, "today": each.today, "title": each.word("queue_title"), "rows": lists[each.lang]}
        for each in readers
    ]
    return rendered("sheet_index.html", readers[0].lang, lists=told, mark=MARK)


def _name(entry: Entry) -> str:
    """Of the files of one visit: no name and no id of a household."""
    return f"{entry.position:05d}-{entry.task.assessment_id}"


def _is_ours(folder: Path) -> bool:
    index = folder / INDEX
    return index.is_file() and f'content="{MARK}"' in index.read_text(encoding="utf-8", errors="replace")[:500]
