"""Why a row is refused, in words: every check of every table, row by row, on tables of rows in doubt.

A reason says what to do and never repeats what was written in the field. `features.screen` finds the rows to ask about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.banned import why_code_banned, why_source_banned
from features.catalogue import Catalogue
from features.codes import is_code
from features.definition import EventKind
from features.event import EVENTS, RESIDENCES, ROLES, SEXES, Status
from features.window import NEVER, Micros, micros_of

Mask = npt.NDArray[np.bool_]


class Problem(NamedTuple):
    """Why one row is refused. `reason` says what to do and never holds the value."""

    row: int
    field: str
    reason: str


def event_refusals(
    table: pd.DataFrame,
    occurred: npt.NDArray[np.int64],
    known: npt.NDArray[np.int64],
    catalogue: Catalogue,
    currency: str,
    latest: Micros,
) -> list[Problem]:
    """Every reason against the rows of an events table, in row order.

    `occurred` and `known` are its times in microseconds, `NEVER` where missing; `latest` is the last moment that rows
    may speak of. Rows that share their ids must be in the table together.
    """
    if table.empty:
        return []
    kinds = catalogue.by_code
    code = table["code"].to_numpy(object)
    value = pd.to_numeric(table["value"]).to_numpy(np.float64, na_value=np.nan)
    status, supersedes = table["status"], table["supersedes"]
    is_original = (status == Status.ORIGINAL.value).to_numpy()
    replaces = supersedes.notna().to_numpy()
    scheduled = np.isin(code.astype(str), [kind.code for kind in catalogue.kinds if kind.is_scheduled])
    has_occurred, has_known = occurred != NEVER, known != NEVER
    checks: list[tuple[str, Mask, str]] = [
        ("event_id", _blank(table["event_id"]), "is empty; every event needs an id of its own"),
        ("source", _blank(table["source"]), "is empty; name the department that sent the event"),
        ("code", ~_each(code, is_code), "is no event code; codes read CATEGORY//NAME, see `povrisk catalog events`"),
        ("occurred_at", ~has_occurred, "is missing or unreadable; give a date or an ISO 8601 time"),
        ("known_at", ~has_known, "is missing or unreadable; give a date or an ISO 8601 time"),
        ("occurred_at", has_occurred & (occurred > latest) & ~scheduled, "lies in the future"),
        ("known_at", has_known & (known > latest), "lies in the future"),
        (
            "known_at",
            has_occurred & has_known & (known < occurred) & ~scheduled,
            "is before occurred_at; nothing can be known before it happens",
        ),
        ("value", np.isinf(value), "is not a finite number"),
        ("status", ~status.isin([s.value for s in Status]).to_numpy(), "is none of original, corrected, retracted"),
        (
            "supersedes",
            status.isin([Status.CORRECTED.value, Status.RETRACTED.value]).to_numpy() & ~replaces,
            "is missing; a corrected or retracted row names the event it replaces",
        ),
        ("supersedes", is_original & replaces, "is given on an original row; set status to corrected or retracted"),
        (
            "supersedes",
            replaces & (supersedes.to_numpy(object) == table["event_id"].to_numpy(object)),
            "names the row itself; give the correction an event_id of its own",
        ),
    ]
    problems = [Problem(int(row), name, reason) for name, wrong, reason in checks for row in np.flatnonzero(wrong)]
    problems += _reasoned("code", code, why_code_banned)
    problems += _reasoned("source", table["source"].to_numpy(object), why_source_banned)
    problems += _value_problems(table["unit"], code, value, kinds, currency)
    problems += _conflicts(table)
    return sorted(problems)


def _value_problems(
    unit: pd.Series,
    code: npt.NDArray[np.object_],
    value: npt.NDArray[np.float64],
    kinds: dict[str, EventKind],
    currency: str,
) -> list[Problem]:
    valued = np.flatnonzero(~np.isnan(value))
    pairs = pd.DataFrame({"code": code[valued], "unit": unit.to_numpy(object)[valued], "row": valued})
    problems: list[Problem] = []
    for (name, written), rows in pairs.groupby(["code", "unit"], dropna=False)["row"]:
        kind = kinds.get(str(name))
        if kind is None or kind.bounds is None:
            continue
        at = rows.to_numpy()
        if not kind.unit.accepts(written if isinstance(written, str) else None, currency):
            wanted = currency if kind.unit.value == "money" else kind.unit.value
            problems += [Problem(int(r), "unit", f"is not {wanted}; convert the value at its source") for r in at]
            continue
        low, high = kind.bounds
        outside = at[(value[at] < low) | (value[at] > high)]
        reason = f"is outside {low:g} to {high:g} for this code; check its unit and its column"
        problems += [Problem(int(r), "value", reason) for r in outside]
    return problems


def _conflicts(table: pd.DataFrame) -> list[Problem]:
    """Rows that reuse an event id with other content. Which one is right nobody can tell, so none is taken."""
    key = [name for name in ("household_id", "event_id") if name in table]
    shared = table[table.duplicated(subset=key, keep=False)]
    if shared.empty:
        return []
    content = [name for name in EVENTS.names if name in shared]
    versions = shared.drop_duplicates(subset=content)
    conflicting = versions[versions.duplicated(subset=key, keep=False)]
    clashing = shared.merge(conflicting[key].drop_duplicates(), on=key, how="left", indicator=True)["_merge"] == "both"
    reason = "is used by another row with other content; send a correction that supersedes it"
    return [Problem(int(row), "event_id", reason) for row in shared.index[clashing.to_numpy()]]


def member_refusals(table: pd.DataFrame, time_zone: str) -> list[Problem]:
    """Every reason against the rows of a members table, check by check."""
    joined, left, known = (micros_of(table[name]) for name in ("joined_at", "left_at", "known_at"))
    # Compared as days, because a child joins on the day of its birth, at an hour nobody writes down.
    known_on = pd.to_datetime(table["known_at"], utc=True).dt.tz_convert(time_zone).dt.tz_localize(None)
    is_unborn = (pd.to_datetime(table["birth_date"]) > known_on).to_numpy()
    checks: list[tuple[str, Mask, str]] = [
        ("person_id", _blank(table["person_id"]), "is empty"),
        ("role", ~table["role"].isin(ROLES).to_numpy(), f"is none of {', '.join(ROLES)}"),
        (
            "sex",
            (table["sex"].notna() & ~table["sex"].isin(SEXES)).to_numpy(),
            f"is none of {', '.join(SEXES)} or empty",
        ),
        ("joined_at", joined == NEVER, "is missing or unreadable"),
        ("known_at", known == NEVER, "is missing or unreadable"),
        ("left_at", (left != NEVER) & (left < joined), "is before joined_at"),
        ("birth_date", is_unborn, "is later than known_at"),
    ]
    return [Problem(int(row), name, reason) for name, wrong, reason in checks for row in np.flatnonzero(wrong)]


def stray_refusal(row: int) -> Problem:
    """The reason against a row of a household that nobody admitted."""
    reason = "is missing or refused in the households table; mend the household or leave the row out"
    return Problem(row, "household_id", reason)


def household_refusals(table: pd.DataFrame, regions: Sequence[str]) -> list[Problem]:
    """Every reason against the rows of a households table, check by check; rows of one id must be in it together."""
    residence = table["residence"]
    checks: list[tuple[str, Mask, str]] = [
        ("household_id", _blank(table["household_id"]), "is empty"),
        ("household_id", table.duplicated("household_id").to_numpy(), "stands in an earlier row; one row a household"),
        ("region", ~table["region"].isin(list(regions)).to_numpy(), "is none of the regions of dataset.json"),
        (
            "residence",
            (residence.notna() & ~residence.isin(RESIDENCES)).to_numpy(),
            f"is none of {', '.join(RESIDENCES)}",
        ),
    ]
    return [Problem(int(row), name, reason) for name, wrong, reason in checks for row in np.flatnonzero(wrong)]


def _blank(cells: pd.Series) -> Mask:
    return (cells.isna() | (cells == "")).to_numpy()


def _reasoned(field: str, cells: npt.NDArray[np.object_], why: Callable[[object], str | None]) -> list[Problem]:
    """A problem for each row against whose cell a reason stands."""
    codes, distinct = pd.factorize(cells, use_na_sentinel=False)
    reasons = [why(cell) for cell in distinct]
    return [
        Problem(int(row), field, reason)
        for place, reason in enumerate(reasons)
        if reason is not None
        for row in np.flatnonzero(codes == place)
    ]


def _each(cells: npt.NDArray[np.object_], test: Any) -> Mask:
    """The test on every distinct cell only: a column of millions has few distinct codes."""
    codes, distinct = pd.factorize(cells, use_na_sentinel=False)
    return np.array([test(cell) for cell in distinct], np.bool_)[codes]
