"""A task: a household to be visited, as it lies in the store."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Select, select

from features.window import Micros
from serving.store.assessments import Summary
from serving.store.tables import TASKS


@dataclass(frozen=True)
class TaskRow:
    """What a task takes from an assessment; `as_of` in microseconds."""

    household_id: str
    assessment_id: str
    as_of: Micros
    township: str | None
    status: str
    tier: str
    probability: float | None
    points: float | None
    coverage: float | None
    months_silent: float | None

    @staticmethod
    def of(assessment: Summary) -> TaskRow:
        """The row of an assessment that is kept."""
        return TaskRow(**{field.name: getattr(assessment, field.name) for field in fields(TaskRow)})


@dataclass(frozen=True)
class Task:
    """A task. `version` goes up with every change. `is_human_only`: the household chose to be looked at by people
    alone, so it has no tier, number or points. `is_blind`: the visitor says what they think before those are shown."""

    task_id: int
    household_id: str
    assessment_id: str
    is_open: bool
    version: int
    township: str | None
    status: str
    tier: str
    probability: float | None
    points: float | None
    is_manual: bool
    is_grey: bool
    is_blind: bool
    is_human_only: bool
    opened_at: Micros
    updated_at: Micros
    closed_at: Micros | None


def task_columns() -> Select[Any]:
    """SELECT of everything that a `Task` holds."""
    return select(*(TASKS.c[field.name] for field in fields(Task)))
