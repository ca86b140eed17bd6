"""Who is to be visited: one open task a household, kept in step with its newest assessment.

A newer assessment moves the task; the day on which it was opened stays, and so does whether it is blind. A task that a
visit closed comes back with the first assessment of a moment after the visit. `serving.store.queue` reads the tasks in
the order of the visit list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from features.window import ALWAYS, Micros, is_after
from models.tier import Tier
from models.visit_list import KEYS, is_grey, is_manual, sort_keys
from serving.store.consent import is_human_only
from serving.store.queue import Entry, Page, PageRefused, page
from serving.store.tables import ABOUT, ASSESSMENTS, TASKS
from serving.store.task import Task, TaskRow, task_columns

__all__ = [
    "Entry",
    "Page",
    "PageRefused",
    "Taken",
    "Task",
    "TaskRow",
    "by_id",
    "close",
    "leave_to_people",
    "open_or_update",
    "page",
    "task_of",
    "touch",
]

# Of so many new tasks one is blind: the visitor says what they think before tier and number are shown.
BLIND_IN = 10
AT_A_TIME = 2_000
# A newer assessment that says the same of these leaves the task as it is.
_COMPARED = ("assessment_id", "status", "tier", "is_human_only")


@dataclass(frozen=True)
class Taken:
    """What became of the rows: tasks opened, tasks that moved, and households left as they were."""

    opened: int = 0
    updated: int = 0
    left: int = 0

    def __add__(self, other: Taken) -> Taken:
        return Taken(self.opened + other.opened, self.updated + other.updated, self.left + other.left)


def open_or_update(connection: Connection, rows: Sequence[TaskRow], at: Micros) -> Taken:
    """Open a task for every household that has none, and give the others the newer assessment.

    The assessment that came in last counts, however little it knows; only one of an earlier moment than the task's own,
    or of a moment before the household's last task was closed, changes nothing. Of two rows of one household the last
    counts. What a household decided about itself (`serving.store.consent`) is looked up here.
    """
    key = _key(connection)
    by_household = list({row.household_id: row for row in rows}.values())
    taken = Taken()
    for first in range(0, len(by_household), AT_A_TIME):
        taken += _take(connection, by_household[first : first + AT_A_TIME], at, key)
    return taken


def task_of(connection: Connection, household_id: str) -> Task | None:
    """The open task of a household."""
    found = connection.execute(task_columns().where(TASKS.c.household_id == household_id, TASKS.c.is_open)).first()
    return None if found is None else Task(**found._mapping)


def by_id(connection: Connection, task_id: int) -> Task | None:
    """A task, open or closed."""
    found = connection.execute(task_columns().where(TASKS.c.task_id == task_id)).first()
    return None if found is None else Task(**found._mapping)


def touch(connection: Connection, task_id: int, at: Micros) -> None:
    """Something about the task changed: whoever still sees the version before is told so."""
    _change(connection, task_id, at, {})


def close(connection: Connection, task_id: int, at: Micros) -> None:
    """Nothing is left to do. The next assessment of a later moment opens a new task."""
    _change(connection, task_id, at, {"is_open": False, "closed_at": at})


def leave_to_people(connection: Connection, household_id: str, at: Micros) -> None:
    """Put the household's open task into the manual queue, without a tier, number or points. Where a household wants to
    be assessed again, its next assessment brings them back."""
    task = task_of(connection, household_id)
    if task is None:
        return
    mine = pd.DataFrame([{field.name: getattr(task, field.name, None) for field in fields(TaskRow)}])
    _change(connection, task.task_id, at, _columns(mine, {household_id})[0])


def _take(connection: Connection, rows: list[TaskRow], at: Micros, key: bytes) -> Taken:
    names = [row.household_id for row in rows]
    open_, after = _standing(connection, names)
    table = pd.DataFrame([row.__dict__ for row in rows])
    earliest = np.array([after.get(name, ALWAYS) for name in names], np.int64)
    is_late = is_after(earliest, table["as_of"].to_numpy(np.int64))
    new, moved = [], []
    for row, late in zip(_columns(table, is_human_only(connection, names)), is_late.tolist(), strict=True):
        task = open_.get(row["household_id"])
        if late or (task is not None and all(row[name] == task[name] for name in _COMPARED)):
            continue
        if task is not None:
            moved.append(row | {"of": task["task_id"], "version": task["version"] + 1, "updated_at": at})
        else:
            opened = {"opened_at": at, "updated_at": at, "closed_at": None, "version": 1, "is_open": True}
            new.append(row | opened | {"is_blind": _is_blind(key, row["household_id"], at)})
    if new:
        connection.execute(insert(TASKS), new)
    if moved:
        connection.execute(update(TASKS).where(TASKS.c.task_id == bindparam("of")), moved)
    return Taken(len(new), len(moved), len(rows) - len(new) - len(moved))


def _standing(connection: Connection, household_ids: Sequence[str]) -> tuple[dict[str, RowMapping], dict[str, Micros]]:
    """The open task of each household, and the moment before which an assessment comes too late."""
    of = TASKS.c
    names = (of.household_id, of.task_id, of.is_open, of.version, of.closed_at)
    found = connection.execute(
        select(*names, *(of[name] for name in _COMPARED), ASSESSMENTS.c.as_of)
        .outerjoin_from(TASKS, ASSESSMENTS, of.assessment_id == ASSESSMENTS.c.assessment_id)
        .where(of.household_id.in_(household_ids))
    )
    open_: dict[str, RowMapping] = {}
    after: dict[str, Micros] = {}
    for task in found.mappings():
        name, moment = task["household_id"], task["as_of"] if task["is_open"] else task["closed_at"]
        if task["is_open"]:
            open_[name] = task
        after[name] = max(after.get(name, ALWAYS), ALWAYS if moment is None else moment)
    return open_, after


def _columns(table: pd.DataFrame, human_only: set[str]) -> list[dict[str, Any]]:
    """What the tasks of these rows hold, the keys of the order included."""
    by_people = table["household_id"].isin(human_only)
    shown = table.assign(
        status=table["status"].mask(by_people, "abstained"),
        tier=table["tier"].mask(by_people, Tier.GREY.value),
        **{name: table[name].astype(float).mask(by_people) for name in ("probability", "points")},
        is_human_only=by_people,
    )
    shown["is_manual"], shown["is_grey"] = is_manual(shown), is_grey(shown)
    shown[list(KEYS)] = sort_keys(shown)
    rows = shown.drop(columns=["as_of", "coverage", "months_silent"]).to_dict("records")
    # To a database, a number that is missing is None.
    return [{str(name): None if value != value else value for name, value in row.items()} for row in rows]


def _change(connection: Connection, task_id: int, at: Micros, values: Mapping[str, Any]) -> None:
    more = {"version": TASKS.c.version + 1, "updated_at": at}
    connection.execute(update(TASKS).where(TASKS.c.task_id == task_id).values(**values, **more))


def _key(connection: Connection) -> bytes:
    """The store's own key, made with it: nobody can tell beforehand who will be drawn."""
    return bytes.fromhex(connection.execute(select(ABOUT.c.value).where(ABOUT.c.name == "key")).scalar_one())


def _is_blind(key: bytes, household_id: str, opened_at: Micros) -> bool:
    drawn = hashlib.blake2b(f"{household_id}|{opened_at}".encode(), digest_size=8, key=key, person=b"blind").digest()
    return int.from_bytes(drawn, "big") % BLIND_IN == 0
