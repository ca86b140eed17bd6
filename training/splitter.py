"""Rolling origins: at each origin a model may learn only what was known then, and is judged on what came after.

An outcome is known when its horizon is over and the publication lag has passed. A row teaches at an origin if its
outcome was known by then; a row is judged if its moment lies in the block that begins at the origin and its own
outcome is known today. An outcome that is not known yet is null, whatever stands in its column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import BaseCrossValidator

from features.window import (
    ALWAYS,
    NEVER,
    Micros,
    as_of_moment,
    is_after,
    is_between,
    micros_of,
    months_before,
    to_micros,
)
from training.fold import Bools, Fold, Ints, SplitRefused, lag_text, last_day, outcome_known, side_text, told
from training.held_out import held_out, households_text

__all__ = ["Fold", "SplitRefused", "TemporalSplitter"]

Moment = str | datetime | Micros


@dataclass(frozen=True)
class _Seen:
    """The rows as arrays: `due` is when horizon and lag are over, `known` when the outcome is known."""

    household_ids: pd.Series
    as_of: Ints
    due: Ints
    known: Ints
    is_mature: Bools
    is_usable: Bools
    is_held_out: Bools | None


class TemporalSplitter(BaseCrossValidator):  # type: ignore[misc]
    """Folds over rolling origins, as scikit-learn's cross-validators: `split(X, y, groups=rows)`.

    `rows` has `household_id` and `as_of` (microseconds, or timestamps with a zone), one row a row of `X`. Optional:
    `outcome`, NaN where it is null, used when no `y` is given; `known_at`, when the outcome was registered, which
    counts where it is later than the lag.

    `origins` is how many there are, `step_months` apart, the last one so that its block ends with the last mature
    moment; or the origins themselves. A block lasts `test_months` (a step if not given). Training rows are all whose
    outcome was known at the origin, with `window_months` only those whose horizon and lag were over in so many months
    before it. `household_share` of the households, drawn by a hash of their id, are judged and never taught; 0 lets
    the same households do both; a splitter inside another one needs another `seed`. `data_until` is up to when the
    data are complete; without it every outcome that is given counts as known. Moments are days whose end is meant,
    zoned timestamps or microseconds.

    >>> days = ("2019-12-31", "2020-06-30", "2020-12-31", "2021-06-30")
    >>> rows = pd.DataFrame({"household_id": "a", "as_of": [as_of_moment(text, "UTC") for text in days]})
    >>> splitter = TemporalSplitter(time_zone="UTC", origins=1, step_months=6, data_until="2021-12-31")
    >>> [(fold.train.tolist(), fold.test.tolist()) for fold in splitter.folds(rows)]
    [([0], [2])]
    >>> splitter.mature(rows).tolist()
    [True, True, True, False]
    """

    # With scikit-learn's metadata routing switched on, the rows still arrive as `groups`.
    __metadata_request__split = {"groups": True}  # noqa: RUF012

    def __init__(
        self,
        *,
        time_zone: str,
        horizon_months: int = 12,
        publication_lag_days: float = 0,
        origins: int | Sequence[Moment] = 3,
        step_months: int = 3,
        test_months: int | None = None,
        household_share: float = 0.0,
        data_until: Moment | None = None,
        window_months: int | None = None,
        seed: int = 1,
    ) -> None:
        months = (horizon_months, step_months, test_months, window_months)
        if any(number is not None and number < 1 for number in months):
            raise SplitRefused("horizon, step, test block and window must be at least one month long")
        if publication_lag_days < 0:
            raise SplitRefused("the publication lag must not be negative")
        if not 0.0 <= household_share < 1.0:
            raise SplitRefused("the share of held-out households must be at least 0 and below 1")
        if (origins if isinstance(origins, int) else len(origins)) < 1 or isinstance(origins, str):
            raise SplitRefused("origins must be a number from 1 on, or a list of at least one day")
        self.time_zone = time_zone
        self.horizon_months = horizon_months
        self.publication_lag_days = publication_lag_days
        self.origins = origins
        self.step_months = step_months
        self.test_months = test_months
        self.household_share = household_share
        self.data_until = data_until
        self.window_months = window_months
        self.seed = seed

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """How many origins there are."""
        return self.origins if isinstance(self.origins, int) else len(self.origins)

    def split(self, X: object, y: Any = None, groups: pd.DataFrame | None = None) -> Iterator[tuple[Ints, Ints]]:
        """Training and test positions per origin, the earliest first."""
        if groups is None:
            raise SplitRefused("give the rows with household_id and as_of: split(X, y, groups=rows)")
        for fold in self.folds(groups, y):
            yield fold.train, fold.test

    def folds(self, rows: pd.DataFrame, outcome: Any = None, *, skip_empty: bool = False) -> list[Fold]:
        """The folds, the earliest first. An origin without a row on each side is refused; with `skip_empty` it is
        left out, so that there may be no fold at all."""
        seen = self._seen(rows, outcome)
        if not seen.is_usable.any():
            if skip_empty:
                return []
            raise SplitRefused(self._nothing_known(seen))
        sides = {origin: self._sides(seen, origin) for origin in self._origins(seen)}
        whole = [origin for origin, (train, test) in sides.items() if train.any() and test.any()]
        if not skip_empty and len(whole) < len(sides):
            origin = next(origin for origin in sides if origin not in whole)
            raise SplitRefused(self._empty(seen, origin, has_training=bool(sides[origin][0].any()), n=len(whole)))
        folds = []
        for origin in whole:
            train, test = sides[origin]
            said = self._described(seen, origin, train, test)
            folds.append(Fold(origin, np.flatnonzero(train), np.flatnonzero(test), said))
        return folds

    def mature(self, rows: pd.DataFrame) -> Bools:
        """Which rows have an outcome that is known by `data_until`; that of the others is null, never 0."""
        return self._seen(rows, None).is_mature

    def _seen(self, rows: pd.DataFrame, outcome: Any) -> _Seen:
        missing = [column for column in ("household_id", "as_of") if column not in rows]
        if missing:
            raise SplitRefused(f"the rows lack {' and '.join(missing)}")
        if rows["household_id"].isna().any():
            raise SplitRefused(f"row {int(rows['household_id'].isna().to_numpy().argmax())} has no household_id")
        if outcome is None and "outcome" in rows:
            outcome = rows["outcome"]
        if outcome is None and self.data_until is None:
            raise SplitRefused("give outcomes (y), or data_until, the day up to which the data are complete")
        if outcome is not None and len(outcome) != len(rows):
            raise SplitRefused(f"{len(outcome)} outcomes do not fit {len(rows)} rows")
        as_of = _micros(rows["as_of"], "as_of")
        moments, position = np.unique(as_of, return_inverse=True)
        due = np.array([self._due(moment) for moment in moments.tolist()], np.int64)[position]
        known = due
        if "known_at" in rows:
            known = np.maximum(due, _micros(rows["known_at"], "known_at", if_null=ALWAYS))
        is_labelled = np.ones(len(rows), np.bool_) if outcome is None else ~np.asarray(pd.isna(outcome), np.bool_)
        is_mature = is_labelled
        if self.data_until is not None:
            is_mature = ~is_after(known, self._moment(self.data_until))
        out = None
        if self.household_share > 0.0:
            out = held_out(rows["household_id"], self.household_share, f"origin/{self.seed}")
        return _Seen(rows["household_id"], as_of, due, known, is_mature, is_labelled & is_mature, out)

    def _origins(self, seen: _Seen) -> list[Micros]:
        if not isinstance(self.origins, int):
            asked = {self._moment(origin) for origin in self.origins}
            if len(asked) < len(self.origins):
                raise SplitRefused("an origin is given twice; give each of them once")
            return sorted(asked)
        moments = np.unique(seen.as_of[seen.is_usable])
        last = moments[is_after(moments, months_before(int(moments[-1]), self._block_months, self.time_zone))][0]
        backwards = range(self.origins - 1, -1, -1)
        return [months_before(int(last), step * self.step_months, self.time_zone) for step in backwards]

    def _sides(self, seen: _Seen, origin: Micros) -> tuple[Bools, Bools]:
        train = seen.is_usable & ~is_after(seen.known, origin)
        if self.window_months is not None:
            train &= is_after(seen.due, months_before(origin, self.window_months, self.time_zone))
        test = seen.is_usable & self._is_in_block(seen, origin)
        if seen.is_held_out is not None:
            train, test = train & ~seen.is_held_out, test & seen.is_held_out
        return train, test

    def _is_in_block(self, seen: _Seen, origin: Micros) -> Bools:
        return is_between(seen.as_of, origin, months_before(origin, -self._block_months, self.time_zone))

    @property
    def _block_months(self) -> int:
        return self.step_months if self.test_months is None else self.test_months

    def _due(self, as_of: Micros) -> Micros:
        return outcome_known(as_of, self.horizon_months, self.publication_lag_days, self.time_zone)

    def _moment(self, given: Moment) -> Micros:
        if isinstance(given, str):
            return as_of_moment(given, self.time_zone)
        return to_micros(given) if isinstance(given, datetime) else int(given)

    def _described(self, seen: _Seen, origin: Micros, train: Bools, test: Bools) -> dict[str, Any]:
        zone, at = self.time_zone, last_day(origin, self.time_zone)
        window = "" if self.window_months is None else f", and over in the {self.window_months} months before"
        known = "given" if self.data_until is None else f"known by {last_day(self._moment(self.data_until), zone)}"
        immature = self._is_in_block(seen, origin) & ~seen.is_mature
        return {
            "origin": at,
            "taught": f"outcomes of {self.horizon_months} months{lag_text(self.publication_lag_days)}, "
            f"known by {at}{window}",
            "judged": f"moments from {at} on, {self._block_months} months long, with outcomes {known}",
            "households": households_text(self.household_share),
            **side_text("train", train, seen.as_of, seen.household_ids, zone),
            **side_text("test", test, seen.as_of, seen.household_ids, zone),
            "households_not_mature": told(int(seen.household_ids[immature].nunique())),
        }

    def _nothing_known(self, seen: _Seen) -> str:
        if not len(seen.as_of):
            return "there are no rows to split"
        if self.data_until is None:
            return "no row has an outcome; choose earlier moments or another label"
        zone, first = self.time_zone, int(seen.as_of.min())
        return (
            f"no row has an outcome that is known by {last_day(self._moment(self.data_until), zone)}; that of the "
            f"first moment, {last_day(first, zone)}, is known from {last_day(self._due(first), zone)} on; choose "
            "earlier moments, a shorter horizon or later data"
        )

    def _empty(self, seen: _Seen, origin: Micros, *, has_training: bool, n: int) -> str:
        zone = self.time_zone
        first, last = (int(moment) for moment in np.unique(seen.as_of[seen.is_usable])[[0, -1]])
        choices = [f"origins={n}"] if isinstance(self.origins, int) and n else []
        if has_training:
            choices += [f"an origin up to {last_day(last, zone)}", "a longer test block"]
        else:
            choices += [f"an origin from {last_day(self._due(first), zone)} on", "a longer window"]
        choices += ["another household_share or seed"] if self.household_share else []
        return (
            f"the origin {last_day(origin, zone)} has no {'test' if has_training else 'training'} row; known outcomes "
            f"belong to moments from {last_day(first, zone)} to {last_day(last, zone)}, and are known after "
            f"{self.horizon_months} months{lag_text(self.publication_lag_days)}; choose {', '.join(choices[:-1])} or "
            f"{choices[-1]}"
        )


def _micros(column: pd.Series, name: str, *, if_null: Micros | None = None) -> Ints:
    """A column of moments as microseconds; nulls are refused unless there is something to put in their place."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        found = micros_of(column)
        if if_null is not None:
            found = np.where(found == NEVER, if_null, found)
        elif (found == NEVER).any():
            raise SplitRefused(f"row {int((found == NEVER).argmax())} has no {name}")
        return np.asarray(found, np.int64)
    if pd.api.types.is_integer_dtype(column.dtype) and not column.isna().any():
        return column.to_numpy(np.int64)
    raise SplitRefused(f"{name} must hold whole microseconds since 1970 UTC, or timestamps with a time zone")
