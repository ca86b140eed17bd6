"""Pages of the queue: the open tasks in the order of `models.visit_list`, dealt as they are read.

Nothing about the order is kept besides each task's keys. A page reads, in order and by index, as many ids as the list
is long up to its end, so the first page costs the same whether 2,000 or 200,000 households wait.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from sqlalchemy import ColumnElement, Connection, func, select

from models.visit_list import BY_TIER, KEYS, MANUAL, RESERVED_SHARE, SCORED, URGENCY, dealt
from serving.store.tables import TASKS
from serving.store.task import Task, task_columns

GREY = "grey"
Place = Literal["visit", "waiting", "unknown"]
QUEUES = (SCORED, MANUAL, GREY)
MAX_LIMIT = 500
AT_A_TIME = 5_000


class PageRefused(ValueError):
    """A page that cannot be given; the message says which argument and what to do."""


@dataclass(frozen=True)
class Entry:
    """A task and its place: `place` is visit, waiting, or unknown where the number of visits is not told; `because` is
    tier, reserved or reserved_grey. `position` counts from 1 within what was asked for."""

    position: int
    place: Place
    because: str
    task: Task


@dataclass(frozen=True)
class Counts:
    """Open tasks, of the township if one was asked for: all, by tier, and by queue (grey ones are manual too)."""

    total: int
    by_tier: dict[str, int]
    by_queue: dict[str, int]


@dataclass(frozen=True)
class Page:
    """Some entries in order, the cursor of the next page (None at the end), and what there is to choose from.

    `total` counts the tasks that the filter lets through, `townships` names all that have open tasks.
    """

    entries: list[Entry]
    next_cursor: str | None
    total: int
    counts: Counts
    townships: list[str]


def page(
    connection: Connection,
    *,
    tier: str | None = None,
    township: str | None = None,
    queue: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
    visits: int = 0,
) -> Page:
    """Open tasks in the order to visit them; `cursor` goes on where another page of the same filter ended.

    Within a township the reserve is dealt as on the whole list. A tier or a queue (scored, manual, grey) is shown
    plainly, by tier and score, without any reserve. `place` always tells of the whole list: the first `visits` of it
    are visits. A task that is closed between two pages lets those behind it move up by one.
    """
    _refuse(tier, queue, limit)
    asked = _digest(tier, township, queue)
    start = _start(cursor, asked)
    end = start + limit
    if tier or queue:
        ids = _ids(connection, _conditions(tier, township, queue), limit + 1, start)
        found = [(task_id, BY_TIER) for task_id in ids]
    else:
        found = _dealt(connection, end + 1, township)[start:]
    # Only the whole list knows who is visited; unfiltered, that is who stands on its first places.
    listed = dict(_dealt(connection, visits) if tier or township or queue else found[: max(0, visits - start)])
    tasks = _tasks(connection, [task_id for task_id, _ in found[:limit]])
    entries = []
    for position, (task_id, because) in enumerate(found[:limit], start + 1):
        place: Place = "unknown" if visits == 0 else "visit" if task_id in listed else "waiting"
        why = listed.get(task_id, because) if tier or queue else because
        entries.append(Entry(position, place, why, tasks[task_id]))
    following = _cursor(end, asked) if len(found) > limit else None
    counts, total, townships = _counts(connection, tier, township, queue)
    return Page(entries, following, total, counts, townships)


def visit_order(
    connection: Connection,
    first: int | None = None,
    township: str | None = None,
    *,
    reserved_share: float = RESERVED_SHARE,
) -> list[tuple[Task, str]]:
    """The first tasks of the list (all without `first`), of a township if one is named, and what brought each there."""
    n = connection.scalar(select(func.count()).where(TASKS.c.is_open)) or 0
    found = _dealt(connection, n if first is None else min(first, n), township, reserved_share)
    tasks: dict[int, Task] = {}
    for begin in range(0, len(found), AT_A_TIME):
        tasks |= _tasks(connection, [task_id for task_id, _ in found[begin : begin + AT_A_TIME]])
    return [(tasks[task_id], because) for task_id, because in found]


def _dealt(
    connection: Connection, n: int, township: str | None = None, reserved_share: float = RESERVED_SHARE
) -> list[tuple[int, str]]:
    """Ids and reasons of the first n places."""
    of = TASKS.c
    here = [] if township is None else [of.township == township]
    # Within a township the rows are few enough to be looked through.
    people = [*here, of.is_manual if township is None else of.key_manual > 0]
    silent = [*people, of.key_urgency == URGENCY[GREY]]
    by_tier, manual, grey = (_ids(connection, conditions, n) for conditions in (here, people, silent))
    return list(islice(dealt(by_tier, manual, grey, reserved_share), n))


def _conditions(tier: str | None, township: str | None, queue: str | None) -> list[ColumnElement[bool]]:
    of, found = TASKS.c, list[ColumnElement[bool]]()
    if township is not None:
        found.append(of.township == township)
    if tier is not None:
        found.append(of.key_urgency == URGENCY[tier])
    if queue is not None:
        found.append(of.is_manual if queue != SCORED else ~of.is_manual)
    if queue == GREY:
        found.append(of.key_urgency == URGENCY[GREY])
    return found


def _ids(connection: Connection, conditions: Sequence[ColumnElement[bool]], n: int, start: int = 0) -> list[int]:
    of = TASKS.c
    wanted = select(of.task_id).where(of.is_open, *conditions).order_by(*(of[key] for key in KEYS))
    return list(connection.scalars(wanted.limit(n).offset(start)))


def _tasks(connection: Connection, task_ids: Sequence[int]) -> dict[int, Task]:
    found = connection.execute(task_columns().where(TASKS.c.task_id.in_(task_ids)))
    return {each.task_id: Task(**each._mapping) for each in found}


def _counts(
    connection: Connection, tier: str | None, township: str | None, queue: str | None
) -> tuple[Counts, int, list[str]]:
    of = TASKS.c
    cell = (of.township, of.key_urgency, of.key_manual)
    tiers = {rank: name for name, rank in URGENCY.items()}
    by_tier, by_queue = dict.fromkeys(URGENCY, 0), dict.fromkeys(QUEUES, 0)
    total, townships = 0, set()
    for place, urgency, manual, n in connection.execute(select(*cell, func.count()).where(of.is_open).group_by(*cell)):
        townships.add(place)
        if township not in (None, place):
            continue
        kinds = {MANUAL if manual else SCORED, *([GREY] if tiers[urgency] == GREY else [])}
        by_tier[tiers[urgency]] += n
        for kind in kinds:
            by_queue[kind] += n
        if tier in (None, tiers[urgency]) and (queue is None or queue in kinds):
            total += n
    return Counts(sum(by_tier.values()), by_tier, by_queue), total, sorted(townships - {None})


def _refuse(tier: str | None, queue: str | None, limit: int) -> None:
    if tier is not None and tier not in URGENCY:
        raise PageRefused(f"tier is none of {', '.join(URGENCY)}")
    if queue is not None and queue not in QUEUES:
        raise PageRefused(f"queue is none of {', '.join(QUEUES)}")
    if not 1 <= limit <= MAX_LIMIT:
        raise PageRefused(f"limit must lie between 1 and {MAX_LIMIT}")


def _digest(*asked: str | None) -> str:
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12]


def _cursor(start: int, asked: str) -> str:
    return base64.urlsafe_b64encode(f"{start}.{asked}".encode()).decode().rstrip("=")


def _start(cursor: str | None, asked: str) -> int:
    """How many entries come before the page."""
    if cursor is None:
        return 0
    try:
        start, _, filter_of = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition(".")
        if len(cursor) <= 40 and filter_of == asked and start.isdecimal():
            return int(start)
    except (binascii.Error, ValueError):
        pass
    raise PageRefused("cursor is none of this filter; begin again without one")
