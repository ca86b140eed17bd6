"""What a visitor thinks of a household before tier and number are shown: told once for each version of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, select

from serving.store import journal
from serving.store.tables import CONCERNS

if TYPE_CHECKING:
    from features.window import Micros

Concern = Literal["low", "medium", "high"]


def concern_of(connection: Connection, task_id: int, version: int) -> Concern | None:
    """The concern told about this version of a task, None where none was."""
    of = CONCERNS.c
    found: Concern | None = connection.scalar(select(of.concern).where(of.task_id == task_id, of.version == version))
    return found


def write_concern(
    connection: Connection, task_id: int, version: int, assessment_id: str, concern: Concern, at: Micros
) -> journal.Entry | None:
    """Keep a concern. The first one stays, since the second may have been told with the tier in view: then None.

    The caller has checked that the task is open at this version.
    """
    if concern_of(connection, task_id, version) is not None:
        return None
    told = {"task_id": task_id, "version": version, "assessment_id": assessment_id, "concern": concern}
    rows = {CONCERNS: [{**told, "recorded_at": at}]}
    return journal.append(connection, "concern", f"task {task_id}", {}, at, rows)
