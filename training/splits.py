"""Which rows a model learns from and which it is judged on.

Two kinds of honesty. In time: the outcomes of the training rows are over before the first test moment, as they are
when a model goes into use. By household: nobody the model has seen is in the test. Households are held out by a
hash of their id, so that new households and another row order move nobody across.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.window import NEVER, Micros, as_of_moment, days_before, is_after, is_not_before, months_before
from training.fold import Bools, SplitRefused, lag_text, last_day, outcome_known, side_text
from training.held_out import held_out, households_text, shares

__all__ = ["KINDS", "Split", "SplitRefused", "household_folds", "split"]

KINDS = ("time", "household", "time+household")
LATEST_SHARE = 0.25


@dataclass(frozen=True)
class Split:
    """Masks over the rows that were split, and what was done in plain words and numbers (JSON values)."""

    train: Bools
    test: Bools
    description: dict[str, Any]


@dataclass(frozen=True)
class _Span:
    """The moments that training may use up to, and that the test runs over; None where nothing is set."""

    train_until: Micros | None
    test_from: Micros | None
    test_until: Micros | None


@dataclass(frozen=True)
class _Gap:
    """What lies between a moment and the day its outcome is known."""

    horizon_months: int
    publication_lag_days: float
    time_zone: str

    def known(self, moment: Micros) -> Micros:
        return outcome_known(moment, self.horizon_months, self.publication_lag_days, self.time_zone)

    def latest_known(self, moment: Micros) -> Micros:
        """The last moment whose outcome is known at `moment`."""
        return months_before(days_before(moment, self.publication_lag_days), self.horizon_months, self.time_zone)

    def day(self, moment: int | np.int64) -> str:
        return last_day(moment, self.time_zone)

    @property
    def text(self) -> str:
        return f"{self.horizon_months} months of outcomes{lag_text(self.publication_lag_days)}"


def split(
    rows: pd.DataFrame,
    *,
    kind: str = "time+household",
    train_until: str | None = None,
    test_from: str | None = None,
    test_until: str | None = None,
    horizon_months: int,
    time_zone: str,
    seed: int,
    test_share: float = 0.3,
    publication_lag_days: float = 0,
) -> Split:
    """Split labelled rows (`household_id`, `as_of` in microseconds, and `outcome` if there is one).

    `time` trains up to `train_until` and tests from `test_from`, at least the horizon and the publication lag later,
    so that the first test moment is an origin as in `training.splitter`; the same households may be on both sides.
    `household` tests on the `test_share` of the households that the hash draws, at the same moments.
    `time+household` does both, so that rows of the wrong side in the wrong time are used by neither.
    Dates are days whose end is the as-of moment. Without dates the latest quarter of the moments is the test and
    training ends where its outcomes are known by then. Rows without an outcome belong to neither side.
    """
    if kind not in KINDS:
        raise SplitRefused(f"no split {kind!r}; known are {', '.join(KINDS)}")
    if not 0.0 < test_share < 1.0:
        raise SplitRefused(f"the share of households in the test must lie between 0 and 1, not at {test_share}")
    gap = _Gap(horizon_months, publication_lag_days, time_zone)
    as_of = rows["as_of"].to_numpy(np.int64)
    is_labelled = rows["outcome"].notna().to_numpy() if "outcome" in rows else np.ones(len(rows), np.bool_)
    if not is_labelled.any():
        raise SplitRefused("no row has an outcome; choose earlier moments or another label")
    labelled = np.unique(as_of[is_labelled])
    asked = (None if text is None else as_of_moment(text, time_zone) for text in (train_until, test_from, test_until))
    span = _Span(*asked)
    if "time" in kind:
        span = _with_gap(labelled, span, gap)
    train, test = is_labelled.copy(), is_labelled.copy()
    if span.train_until is not None:
        train &= ~is_after(as_of, span.train_until)
    if span.test_from is not None:
        test &= is_not_before(as_of, span.test_from)
    if span.test_until is not None:
        test &= ~is_after(as_of, span.test_until)
    if "household" in kind:
        is_held_out = held_out(rows["household_id"], test_share, f"split/{seed}")
        train, test = train & ~is_held_out, test & is_held_out
    for side, chosen in (("training", train), ("test", test)):
        if not chosen.any():
            raise SplitRefused(
                f"the {kind} split leaves no {side} row; labelled moments run from {gap.day(labelled[0])} "
                f"to {gap.day(labelled[-1])}, {_spoken(span, gap)}"
            )
    between = f"{gap.text} lie between" if "time" in kind else "no gap by design: the same moments, other households"
    description: dict[str, Any] = {
        "kind": kind,
        "time": f"{_spoken(span, gap)}; {between}",
        "households": households_text(test_share if "household" in kind else 0.0),
        **side_text("train", train, as_of, rows["household_id"], time_zone),
        **side_text("test", test, as_of, rows["household_id"], time_zone),
        "seed": seed,
    }
    return Split(train, test, description)


def household_folds(household_ids: Iterable[str], n: int, seed: int) -> npt.NDArray[np.int64]:
    """The fold 0..n-1 of each row, the same for all rows of a household; independent of the split's own draw.

    >>> household_folds(["a", "b", "a"], 5, seed=1)[[0, 2]].tolist() == [int(household_folds(["a"], 5, seed=1)[0])] * 2
    True
    """
    if n < 2:
        raise ValueError("cross-validation needs at least two folds")
    drawn = shares(pd.Series(list(household_ids), dtype=object), f"fold/{seed}")
    return np.minimum((drawn * n).astype(np.int64), n - 1)


def _with_gap(labelled: npt.NDArray[np.int64], asked: _Span, gap: _Gap) -> _Span:
    """Both dates, the missing ones chosen so that the outcomes of training are known when the test begins."""
    train_until, test_from = asked.train_until, asked.test_from
    if test_from is None and train_until is None:
        eligible = labelled[~is_after(labelled, NEVER if asked.test_until is None else asked.test_until)]
        if not len(eligible):
            raise SplitRefused(
                f"the first labelled moment is {gap.day(labelled[0])}; choose a --test-until that is not before it"
            )
        n_latest = max(1, round(len(eligible) * LATEST_SHARE))
        test_from = int(eligible[-n_latest])
    elif test_from is None and train_until is not None:
        test_from = gap.known(train_until)
    assert test_from is not None
    if train_until is None:
        train_until = gap.latest_known(test_from)
        if not (labelled <= train_until).any():
            raise SplitRefused(
                f"a test from {gap.day(test_from)} needs training moments up to {gap.day(train_until)} ({gap.text} "
                f"between), but the first labelled moment is {gap.day(labelled[0])}; choose a later --test-from, more "
                "months, or --split household"
            )
    if gap.known(train_until) > test_from:
        raise SplitRefused(
            f"training until {gap.day(train_until)} looks {gap.horizon_months} months ahead"
            f"{lag_text(gap.publication_lag_days)}, into a test from {gap.day(test_from)}; choose --train-until "
            f"{gap.day(gap.latest_known(test_from))} or earlier, or --test-from {gap.day(gap.known(train_until))} "
            "or later"
        )
    if asked.test_until is not None and asked.test_until < test_from:
        raise SplitRefused(
            f"the test ends on {gap.day(asked.test_until)}, before it begins on {gap.day(test_from)}; choose a later "
            "--test-until"
        )
    return _Span(train_until, test_from, asked.test_until)


def _spoken(span: _Span, gap: _Gap) -> str:
    named = (
        ("training until", span.train_until),
        ("test from", span.test_from),
        ("test until", span.test_until),
    )
    said = [f"{word} {gap.day(moment)}" for word, moment in named if moment is not None]
    return ", ".join(said) or "no date was given"
