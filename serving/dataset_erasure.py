"""Households erased from a dataset folder: every table written anew without them, or nothing changed."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.dataset import META_FILE, DatasetRefused, read_meta
from features.placing import put_in_place
from features.table_files import TableFiles

HOUSEHOLD = "household_id"


def erase_from(folder: Path, household_ids: Collection[str]) -> dict[str, Any]:
    """Take all rows of these households out of every table of the folder; how many households and rows went.

    Persons who live elsewhere as well keep their rows there. The folder is replaced as a whole, and the digest in
    `dataset.json` is that of the new tables. Raises `DatasetRefused` for a folder that holds anything else than Parquet
    files: what is in there could not be told.
    """
    read_meta(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / META_FILE)
    others = sum(path.suffix != ".parquet" for path in files)
    if others:
        raise DatasetRefused(f"the folder holds {others} file(s) that are no Parquet; move them away first")
    names = pa.array(sorted(household_ids), pa.string())
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        rows: dict[str, int] = {}
        found: set[str] = set()
        for path in files:
            place = path.relative_to(folder)
            count, of = _without(path, unfinished / place, names)
            table = place.parts[0].removesuffix(".parquet")
            rows[table] = rows.get(table, 0) + count
            found |= of
        if found:
            _write_meta(folder, unfinished)
            put_in_place(unfinished, folder)
        return {"households": len(found), "rows": rows}
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _without(path: Path, out: Path, names: pa.Array) -> tuple[int, set[str]]:
    """Copy a file but for the rows of these households; how many rows those were, and whose."""
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with pq.ParquetFile(path) as file:
            if HOUSEHOLD not in file.schema_arrow.names:
                raise DatasetRefused(f"{path.name} has no column {HOUSEHOLD}, so nobody can tell whose rows it holds")
            count, found = 0, set[str]()
            with pq.ParquetWriter(out, file.schema_arrow, compression="zstd") as writer:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group)
                    gone = pc.is_in(table[HOUSEHOLD].cast(pa.string()), names)
                    if pc.any(gone).as_py():
                        found.update(pc.unique(table[HOUSEHOLD].filter(gone)).to_pylist())
                        count += table.num_rows
                        table = table.filter(pc.invert(gone))
                        count -= table.num_rows
                    writer.write_table(table)
    except pa.ArrowException:
        raise DatasetRefused(f"{path.name} is damaged or no Parquet file") from None
    return count, found


def _write_meta(folder: Path, unfinished: Path) -> None:
    """`dataset.json` as it was, with the digest of the new tables where it had one."""
    written = json.loads((folder / META_FILE).read_text("utf-8"))
    had_digest = bool(written.get("digest"))
    target = unfinished / META_FILE
    target.write_text(json.dumps({**written, "digest": ""}, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    if had_digest:
        written["digest"] = TableFiles.of(unfinished).digest()
        target.write_text(json.dumps(written, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
