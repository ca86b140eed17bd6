"""Which rows a model learns from and which it is judged on.

Two kinds of honesty. In time: the outcomes of the training rows are over before the first test moment, as they are
when a model goes into use. By household: nobody the model has seen is in the test. Households are held out by a
hash of their id, so that new households and another row order move nobody across.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.window import NEVER, Micros, as_of_moment, day, horizon_end, months_before

Bools = npt.NDArray[np.bool_]

KINDS = ("time", "household", "time+household")
LATEST_SHARE = 0.25


class SplitRefused(ValueError):
    """The rows cannot be split as asked; the message names the dates and what to choose instead."""


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
) -> Split:
    """Split labelled rows (`household_id`, `as_of` in microseconds, and `outcome` if there is one).

    `time` trains up to `train_until` and tests from `test_from`, at least the horizon later; the same households
    may be on both sides. `household` tests on the `test_share` of the households that the hash draws, at the same
    moments. `time+household` does both, so that rows of the wrong side in the wrong time are used by neither.
    Dates are days whose end is the as-of moment. Without dates the latest quarter of the moments is the test and
    training ends the horizon before it. Rows without an outcome belong to neither side.
    """
    if kind not in KINDS:
        raise SplitRefused(f"no split {kind!r}; known are {', '.join(KINDS)}")
    if not 0.0 < test_share < 1.0:
        raise SplitRefused(f"the share of households in the test must lie between 0 and 1, not at {test_share}")
    as_of = rows["as_of"].to_numpy(np.int64)
    is_labelled = rows["outcome"].notna().to_numpy() if "outcome" in rows else np.ones(len(rows), np.bool_)
    if not is_labelled.any():
        raise SplitRefused("no row has an outcome; choose earlier moments or another label")
    labelled = np.unique(as_of[is_labelled])
    asked = (None if text is None else as_of_moment(text, time_zone) for text in (train_until, test_from, test_until))
    span = _Span(*asked)
    if "time" in kind:
        span = _with_gap(labelled, span, horizon_months, time_zone)
    train, test = is_labelled.copy(), is_labelled.copy()
    if span.train_until is not None:
        train &= as_of <= span.train_until
    if span.test_from is not None:
        test &= as_of >= span.test_from
    if span.test_until is not None:
        test &= as_of <= span.test_until
    if "household" in kind:
        held_out = _shares(rows["household_id"], f"split/{seed}") < test_share
        train, test = train & ~held_out, test & held_out
    for side, chosen in (("training", train), ("test", test)):
        if not chosen.any():
            raise SplitRefused(
                f"the {kind} split leaves no {side} row; labelled moments run from {_last_day(labelled[0], time_zone)} "
                f"to {_last_day(labelled[-1], time_zone)}, {_spoken(span, time_zone)}"
            )
    description: dict[str, Any] = {"kind": kind, "time": _time_text(kind, span, horizon_months, time_zone)}
    description["households"] = _household_text(kind, test_share)
    for side, chosen in (("train", train), ("test", test)):
        moments = np.unique(as_of[chosen])
        description |= {
            f"{side}_rows": int(chosen.sum()),
            f"{side}_households": int(rows["household_id"][chosen].nunique()),
            f"{side}_moments": len(moments),
            f"{side}_first": _last_day(moments[0], time_zone),
            f"{side}_last": _last_day(moments[-1], time_zone),
        }
    return Split(train, test, description | {"seed": seed})


def household_folds(household_ids: Iterable[str], n: int, seed: int) -> npt.NDArray[np.int64]:
    """The fold 0..n-1 of each row, the same for all rows of a household; independent of the split's own draw.

    >>> household_folds(["a", "b", "a"], 5, seed=1)[[0, 2]].tolist() == [int(household_folds(["a"], 5, seed=1)[0])] * 2
    True
    """
    if n < 2:
        raise ValueError("cross-validation needs at least two folds")
    shares = _shares(pd.Series(list(household_ids), dtype=object), f"fold/{seed}")
    return np.minimum((shares * n).astype(np.int64), n - 1)


def _with_gap(labelled: npt.NDArray[np.int64], asked: _Span, horizon_months: int, time_zone: str) -> _Span:
    """Both dates, the missing ones chosen so that the horizon lies between them."""
    train_until, test_from = asked.train_until, asked.test_from
    if test_from is None and train_until is None:
        eligible = labelled[labelled <= (NEVER if asked.test_until is None else asked.test_until)]
        if not len(eligible):
            first = _last_day(labelled[0], time_zone)
            raise SplitRefused(f"the first labelled moment is {first}; choose a --test-until that is not before it")
        n_latest = max(1, round(len(eligible) * LATEST_SHARE))
        test_from = int(eligible[-n_latest])
    elif test_from is None and train_until is not None:
        test_from = horizon_end(train_until, horizon_months, time_zone)
    assert test_from is not None
    if train_until is None:
        train_until = months_before(test_from, horizon_months, time_zone)
        if not (labelled <= train_until).any():
            raise SplitRefused(
                f"a test from {_last_day(test_from, time_zone)} needs training moments up to "
                f"{_last_day(train_until, time_zone)} ({horizon_months} months of outcomes between), but the first "
                f"labelled moment is {_last_day(labelled[0], time_zone)}; choose a later --test-from, more months, or "
                "--split household"
            )
    if horizon_end(train_until, horizon_months, time_zone) > test_from:
        latest = _last_day(months_before(test_from, horizon_months, time_zone), time_zone)
        earliest = _last_day(horizon_end(train_until, horizon_months, time_zone), time_zone)
        raise SplitRefused(
            f"training until {_last_day(train_until, time_zone)} looks {horizon_months} months ahead, into a test from "
            f"{_last_day(test_from, time_zone)}; choose --train-until {latest} or earlier, or --test-from {earliest} "
            "or later"
        )
    if asked.test_until is not None and asked.test_until < test_from:
        raise SplitRefused(
            f"the test ends on {_last_day(asked.test_until, time_zone)}, before it begins on "
            f"{_last_day(test_from, time_zone)}; choose a later --test-until"
        )
    return _Span(train_until, test_from, asked.test_until)


def _shares(household_ids: pd.Series, purpose: str) -> npt.NDArray[np.float64]:
    """A number in [0, 1) per row that depends on nothing but the household, the purpose and its seed."""
    position, unique = pd.factorize(household_ids)
    key = purpose.encode()
    drawn = [
        int.from_bytes(hashlib.blake2b(str(household).encode(), digest_size=8, key=key).digest(), "big") >> 11
        for household in unique
    ]
    return np.array(drawn, np.float64)[position] / 2.0**53


def _last_day(moment: int | np.int64, time_zone: str) -> str:
    return day(int(moment) - 1, time_zone)


def _spoken(span: _Span, time_zone: str) -> str:
    named = (
        ("training until", span.train_until),
        ("test from", span.test_from),
        ("test until", span.test_until),
    )
    said = [f"{word} {_last_day(moment, time_zone)}" for word, moment in named if moment is not None]
    return ", ".join(said) or "no date was given"


def _time_text(kind: str, span: _Span, horizon_months: int, time_zone: str) -> str:
    if "time" in kind:
        return f"{_spoken(span, time_zone)}; {horizon_months} months of outcomes lie between"
    return f"{_spoken(span, time_zone)}; no gap by design: the same moments, other households"


def _household_text(kind: str, test_share: float) -> str:
    if "household" in kind:
        return f"{test_share:.0%} of the households, drawn by a hash of their id, are only in the test"
    return "the same households may be in training and test"
