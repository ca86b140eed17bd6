"""Household vectors at one moment: one row per household, the same function for one household and for many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.definition import Feature, Measure
from features.history import History, Visible, visible
from features.household import NO_BIRTH
from features.kernel import event_values, plan
from features.window import MICROS_PER_DAY, Micros

Floats = npt.NDArray[np.float64]
DAYS_PER_YEAR = 365.2425


@dataclass(frozen=True)
class Matrix:
    """Vectors of n households at their moments.

    `values` is n x features in catalogue order, NaN where there is no number; `unknown` marks those of them that
    somebody could still tell, as against numbers that do not exist for this household. `n_events` counts the events
    of the last 24 months, `n_members` the people known to live there.
    """

    household_ids: npt.NDArray[np.object_]
    as_of: npt.NDArray[np.int64]
    values: Floats
    unknown: npt.NDArray[np.bool_]
    names: tuple[str, ...]
    n_events: npt.NDArray[np.int64]
    n_members: npt.NDArray[np.int64]

    def column(self, name: str) -> Floats:
        """One feature of every row."""
        return self.values[:, self.names.index(name)]

    def rows(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Matrix:
        """A part of the rows."""
        return Matrix(
            self.household_ids[chosen],
            self.as_of[chosen],
            self.values[chosen],
            self.unknown[chosen],
            self.names,
            self.n_events[chosen],
            self.n_members[chosen],
        )


def matrix(history: History, as_of: Micros, household_ids: Sequence[str] | None = None) -> Matrix:
    """The vectors at `as_of` of all households of the history, or of those named, in that order."""
    whole = matrix_of(history, visible(history, as_of))
    if household_ids is None:
        return whole
    return whole.rows(np.array([history.index[h] for h in household_ids], np.int64))


def matrix_of(history: History, seen: Visible) -> Matrix:
    """The vectors from what is visible, for callers that also need the events behind them."""
    catalogue, layout = history.catalogue, plan(history.catalogue)
    n = len(history.household_ids)
    rows = seen.rows
    slots, slots_unknown, n_events = event_values(
        layout,
        seen.starts,
        history.code[rows],
        history.person[rows],
        history.occurred[rows],
        history.value[rows],
        seen.as_of,
        history.time_zone,
    )
    values = np.full((n, len(catalogue.features)), np.nan)
    values[:, layout.column] = slots
    unknown = np.zeros(values.shape, np.bool_)
    unknown[:, layout.column] = slots_unknown
    residents = seen.homes.is_member
    n_members = np.bincount(seen.homes.household[residents], minlength=n)
    columns = {name: i for i, name in enumerate(catalogue.names)}
    for i, feature in enumerate(catalogue.features):
        if feature.measure.is_derived:
            a, b = (columns[name] for name in feature.of)
            values[:, i] = _derived(feature, values[:, a], values[:, b])
            unknown[:, i] = unknown[:, a] | unknown[:, b]
        elif not feature.measure.is_of_events:
            values[:, i] = _of_members(feature, history, seen, n_members)
            unknown[:, i] = np.isnan(values[:, i])
        np.clip(values[:, i], *feature.bounds, out=values[:, i])
    return Matrix(
        np.array(history.household_ids, dtype=object),
        np.full(n, seen.as_of, np.int64),
        values,
        unknown,
        catalogue.names,
        n_events,
        n_members,
    )


def stacked(parts: Sequence[Matrix]) -> Matrix:
    """Several matrices below each other."""
    return Matrix(
        np.concatenate([part.household_ids for part in parts]),
        np.concatenate([part.as_of for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.unknown for part in parts]),
        parts[0].names,
        np.concatenate([part.n_events for part in parts]),
        np.concatenate([part.n_members for part in parts]),
    )


def _derived(feature: Feature, a: Floats, b: Floats) -> Floats:
    """A ratio with an unknown or zero denominator is unknown."""
    if feature.measure is Measure.DIFFERENCE:
        return a * feature.scale - b
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = a * feature.scale / b
    return np.where(b == 0, np.nan, ratio)


def _of_members(feature: Feature, history: History, seen: Visible, n_members: npt.NDArray[np.int64]) -> Floats:
    """Counts of people who live there. One unknown birth date makes a count by age unknown."""
    n = len(history.household_ids)
    if feature.measure is Measure.RESIDENCE:
        known = np.array([isinstance(place, str) for place in history.residence], np.bool_)
        return np.where(known, (history.residence == feature.residence).astype(np.float64), np.nan)
    empty = n_members == 0
    if feature.measure is Measure.MEMBERS:
        return np.where(empty, np.nan, n_members.astype(np.float64))
    assert feature.ages is not None
    residents = seen.homes.is_member
    household, birth = seen.homes.household[residents], seen.homes.birth[residents]
    without_birth = np.bincount(household[birth == NO_BIRTH], minlength=n)
    years = (seen.as_of / MICROS_PER_DAY - birth.astype(np.float64)) / DAYS_PER_YEAR
    within = (birth != NO_BIRTH) & (years >= feature.ages[0]) & (years < feature.ages[1])
    counts = np.bincount(household[within], minlength=n).astype(np.float64)
    return np.where(empty | (without_birth > 0), np.nan, counts)
