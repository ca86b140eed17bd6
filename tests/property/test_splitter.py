"""Rolling origins agree with their definition, applied row by row by pandas' own calendar, and leak nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from training.held_out import held_out
from training.splitter import Fold, SplitRefused, TemporalSplitter

ZONES = ("UTC", "Asia/Shanghai")
HOUSES = [f"h{i}" for i in range(9)]


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], pd.DataFrame]:
    """A splitter's parameters, and rows at month ends or anywhere between, their outcomes and registrations."""
    zone = draw(st.sampled_from(ZONES))
    step = draw(st.sampled_from([1, 2, 3, 6]))
    grid = pd.date_range("2017-02-01", "2021-02-01", freq=f"{step}MS", tz=zone)
    if draw(st.booleans()):
        grid = grid + pd.to_timedelta([draw(st.integers(0, 700)) for _ in grid], unit="h")
    asked: dict[str, Any] = {
        "time_zone": zone,
        "horizon_months": draw(st.sampled_from([1, 3, 6, 12])),
        "publication_lag_days": draw(st.sampled_from([0, 0, 20, 75.5])),
        "origins": draw(st.one_of(st.integers(1, 4), st.lists(st.sampled_from(list(grid)), max_size=3, unique=True)))
        or 2,
        "step_months": draw(st.integers(1, 6)),
        "test_months": draw(st.one_of(st.none(), st.integers(1, 6))),
        "household_share": draw(st.sampled_from([0.0, 0.0, 0.4])),
        "data_until": draw(st.one_of(st.none(), st.sampled_from(list(grid[len(grid) // 2 :])))),
        "window_months": draw(st.one_of(st.none(), st.integers(1, 18))),
        "seed": draw(st.integers(0, 5)),
    }
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    rows = pd.DataFrame([(house, moment) for moment in grid for house in HOUSES], columns=["household_id", "as_of"])
    rows["outcome"] = rng.choice([0.0, 1.0, np.nan], len(rows), p=[0.6, 0.2, 0.2])
    if draw(st.booleans()):
        late = pd.to_timedelta(rng.integers(0, 900, len(rows)), unit="D")
        rows["known_at"] = (rows["as_of"] + late).where(rng.random(len(rows)) < 0.5).astype(rows["as_of"].dtype)
    rows = rows[rng.random(len(rows)) < 0.8]
    return asked, rows.sample(frac=1.0, random_state=int(rng.integers(1_000))).reset_index(drop=True)


def later(moment: pd.Timestamp, months: int, zone: str) -> pd.Timestamp:
    return (moment.tz_convert(zone).tz_localize(None) + pd.DateOffset(months=months)).tz_localize(zone)


def known(row: Any, asked: dict[str, Any]) -> tuple[pd.Timestamp, pd.Timestamp]:
    """When horizon and lag are over, and when the outcome is known."""
    over = later(row.as_of, asked["horizon_months"], asked["time_zone"])
    over += pd.Timedelta(days=asked["publication_lag_days"])
    registered = getattr(row, "known_at", pd.NaT)
    return over, over if pd.isna(registered) else max(over, registered)


def plain_folds(asked: dict[str, Any], rows: pd.DataFrame) -> list[tuple[pd.Timestamp, set[int], set[int]]]:
    zone, length = asked["time_zone"], asked["test_months"] or asked["step_months"]
    out = set(rows["household_id"][held_out(rows["household_id"], asked["household_share"], f"origin/{asked['seed']}")])
    usable = {
        row.Index: (row, *known(row, asked))
        for row in rows.itertuples()
        if not pd.isna(row.outcome) and (asked["data_until"] is None or known(row, asked)[1] <= asked["data_until"])
    }
    if not usable:
        return []
    origins = asked["origins"]
    if isinstance(origins, int):
        moments = sorted({row.as_of for row, _, _ in usable.values()})
        last = min(moment for moment in moments if moment > later(moments[-1], -length, zone))
        origins = [later(last, -back * asked["step_months"], zone) for back in range(origins)]
    folds = []
    for origin in sorted(origins):
        train, test = set(), set()
        for i, (row, over, at) in usable.items():
            is_out = row.household_id in out
            in_window = asked["window_months"] is None or over > later(origin, -asked["window_months"], zone)
            if at <= origin and in_window and not is_out:
                train.add(i)
            if origin <= row.as_of < later(origin, length, zone) and (is_out or not asked["household_share"]):
                test.add(i)
        if train and test:
            folds.append((origin, train, test))
    return folds


def as_sets(folds: list[Fold]) -> list[tuple[int, set[int], set[int]]]:
    return [(fold.origin, set(fold.train.tolist()), set(fold.test.tolist())) for fold in folds]


def in_micros(moments: pd.Series) -> pd.Series:
    return moments.dt.tz_convert("UTC").dt.as_unit("us").astype("int64")


@settings(max_examples=250)
@given(case=cases())
def test_folds_are_those_of_the_definition(case: tuple[dict[str, Any], pd.DataFrame]) -> None:
    asked, rows = case
    expected = [(moment.value // 1_000, train, test) for moment, train, test in plain_folds(asked, rows)]
    found = TemporalSplitter(**asked).folds(rows, skip_empty=True)
    assert as_sets(found) == expected
    whole = rows.assign(as_of=in_micros(rows["as_of"]))
    assert as_sets(TemporalSplitter(**asked).folds(whole, skip_empty=True)) == expected
    splitter = TemporalSplitter(**asked)
    try:
        strict = list(splitter.split(np.zeros((len(rows), 1)), rows["outcome"], groups=rows))
    except SplitRefused as refusal:
        assert len(expected) < splitter.get_n_splits()
        assert "choose" in str(refusal)
    else:
        assert [(set(train.tolist()), set(test.tolist())) for train, test in strict] == [e[1:] for e in expected]
        assert len(strict) == splitter.get_n_splits()


@settings(max_examples=250)
@given(case=cases())
def test_nothing_of_the_test_is_in_the_training(case: tuple[dict[str, Any], pd.DataFrame]) -> None:
    asked, rows = case
    folds = TemporalSplitter(**asked).folds(rows, skip_empty=True)
    assert [fold.origin for fold in folds] == sorted({fold.origin for fold in folds})
    moments = in_micros(rows["as_of"])
    for fold in folds:
        assert (np.diff(fold.train) > 0).all() and (np.diff(fold.test) > 0).all()
        first_test = rows["as_of"].iloc[fold.test].min()
        for row in rows.iloc[fold.train].itertuples():
            assert known(row, asked)[1] <= first_test
        assert moments.iloc[fold.test].min() >= fold.origin
        assert not rows["outcome"].iloc[np.concatenate([fold.train, fold.test])].isna().any()
        if asked["household_share"]:
            taught, judged = (set(rows["household_id"].iloc[side]) for side in (fold.train, fold.test))
            assert not taught & judged
        if asked["data_until"] is not None:
            for row in rows.iloc[np.concatenate([fold.train, fold.test])].itertuples():
                assert known(row, asked)[1] <= asked["data_until"]


@settings(max_examples=200)
@given(case=cases(), order=st.integers(0, 1_000))
def test_row_order_and_new_households_move_nobody(case: tuple[dict[str, Any], pd.DataFrame], order: int) -> None:
    asked, rows = case
    splitter = TemporalSplitter(**asked)

    def named(of: pd.DataFrame) -> dict[int, tuple[set[Any], set[Any]]]:
        keys = list(zip(of["household_id"], of["as_of"], strict=True))
        return {
            fold.origin: ({keys[i] for i in fold.train}, {keys[i] for i in fold.test})
            for fold in splitter.folds(of, skip_empty=True)
        }

    before = named(rows)
    assert named(rows.sample(frac=1.0, random_state=order).reset_index(drop=True)) == before
    # New households at moments that are judged or taught already: with later ones the last mature moment would move.
    usable = rows[splitter.mature(rows) & rows["outcome"].notna().to_numpy()]
    more = usable.assign(household_id="new-" + usable["household_id"])
    after = named(pd.concat([more, rows], ignore_index=True))
    for origin, (train, test) in before.items():
        assert {key for key in after[origin][0] if not key[0].startswith("new-")} == train
        assert {key for key in after[origin][1] if not key[0].startswith("new-")} == test
