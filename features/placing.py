"""Put a finished folder in its place: whoever reads there finds the former one or the new one, never half of either."""

from __future__ import annotations

import shutil
from pathlib import Path


def put_in_place(unfinished: Path, folder: Path) -> None:
    """Rename `unfinished`, which lies beside `folder`, to `folder`; a former one is moved aside first, then deleted.

    If the rename fails, the former folder is put back.
    """
    former = unfinished.with_name(unfinished.name + "-former")
    unfinished.chmod(0o755)
    if folder.exists():
        folder.rename(former)
    try:
        unfinished.rename(folder)
    except OSError:
        if former.exists():
            former.rename(folder)
        raise
    shutil.rmtree(former, ignore_errors=True)
