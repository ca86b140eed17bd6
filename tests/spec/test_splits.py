"""Splits: training outcomes are over before the test begins, and held-out households are never seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.window import as_of_moment, horizon_end, month_ends, parsed
from training.splits import KINDS, Split, SplitRefused, household_folds, split

ZONE = "Asia/Shanghai"


def grid(first: str, until: str, n_households: int = 40, step: int = 1) -> pd.DataFrame:
    moments = month_ends(parsed(first, ZONE), as_of_moment(until, ZONE), step, ZONE)
    ids = [f"h{i}" for i in range(n_households)]
    rows = pd.DataFrame([(house, moment) for moment in moments for house in ids], columns=["household_id", "as_of"])
    return rows.assign(outcome=(np.arange(len(rows)) % 7 == 0).astype(float))


def divide(rows: pd.DataFrame, **asked: Any) -> Split:
    return split(rows, **({"horizon_months": 12, "time_zone": ZONE, "seed": 1} | asked))


def test_training_that_looks_into_the_test_is_refused_with_both_dates_and_a_way_out() -> None:
    rows = grid("2018-01-31", "2021-12-31")
    with pytest.raises(SplitRefused) as refusal:
        divide(rows, train_until="2020-03-31", test_from="2020-12-31")
    for text in ("2020-03-31", "2020-12-31", "12 months", "--train-until 2019-12-31", "--test-from 2021-03-31"):
        assert text in str(refusal.value)
    divide(rows, train_until="2019-12-31", test_from="2020-12-31")


@pytest.mark.parametrize("kind", ["time", "time+household"])
def test_without_dates_the_latest_quarter_is_the_test_and_the_horizon_lies_between(kind: str) -> None:
    told = divide(grid("2018-01-31", "2020-12-31"), kind=kind).description
    assert (told["test_first"], told["test_last"], told["test_moments"]) == ("2020-04-30", "2020-12-31", 9)
    assert (told["train_first"], told["train_last"], told["train_moments"]) == ("2018-01-31", "2019-04-30", 16)


def test_one_date_decides_the_other() -> None:
    rows = grid("2018-01-31", "2021-12-31")
    assert divide(rows, test_from="2021-01-31").description["train_last"] == "2020-01-31"
    assert divide(rows, train_until="2019-06-30").description["test_first"] == "2020-06-30"
    assert divide(rows, train_until="2019-06-30", test_until="2020-09-30").description["test_last"] == "2020-09-30"


def test_rows_without_an_outcome_move_no_date_and_belong_to_neither_side() -> None:
    rows = grid("2018-01-31", "2022-12-31")
    rows.loc[rows["as_of"] > as_of_moment("2020-12-31", ZONE), "outcome"] = np.nan
    done = divide(rows)
    assert done.description["test_last"] == "2020-12-31"
    assert not rows["outcome"][done.train | done.test].isna().any()


def test_a_publication_lag_lies_between_as_well() -> None:
    rows = grid("2018-01-31", "2020-12-31")
    told = divide(rows, publication_lag_days=90).description
    assert (told["test_first"], told["train_last"]) == ("2020-04-30", "2019-01-31")
    assert "12 months of outcomes and 90 days until they are published lie between" in told["time"]
    assert divide(rows, train_until="2019-06-30", publication_lag_days=90).description["test_first"] == "2020-09-30"
    with pytest.raises(SplitRefused) as refusal:
        divide(rows, train_until="2019-06-30", test_from="2020-07-31", publication_lag_days=90)
    for text in ("--train-until 2019-05-02", "--test-from 2020-09-28", "90 days until they are published"):
        assert text in str(refusal.value)


def test_fewer_than_ten_households_are_not_counted_in_the_description() -> None:
    told = divide(grid("2018-01-31", "2021-12-31", n_households=20), kind="household").description
    assert (told["test_rows"], told["test_households"]) == ("fewer than 10", "fewer than 10")
    assert told["train_households"] >= 10 and told["train_rows"] == 48 * told["train_households"]


def test_the_household_split_has_no_gap_and_says_so() -> None:
    rows = grid("2018-03-31", "2018-09-30", step=3)
    done = divide(rows, kind="household")
    assert done.description["train_moments"] == done.description["test_moments"] == 3
    assert "no gap by design" in done.description["time"]
    only = divide(rows, kind="household", train_until="2018-06-30", test_from="2018-09-30").description
    assert (only["train_last"], only["test_first"]) == ("2018-06-30", "2018-09-30")


@pytest.mark.parametrize("kind", ["household", "time+household"])
def test_no_household_is_on_both_sides(kind: str) -> None:
    rows = grid("2018-01-31", "2021-12-31", n_households=200)
    done = divide(rows, kind=kind)
    train, test = (set(rows["household_id"][side]) for side in (done.train, done.test))
    assert train and test and not train & test
    assert train | test == set(rows["household_id"])
    assert 0.2 < len(test) / 200 < 0.4


def test_the_time_split_alone_is_told_to_keep_the_same_households() -> None:
    rows = grid("2018-01-31", "2021-12-31")
    done = divide(rows, kind="time")
    assert set(rows["household_id"][done.train]) & set(rows["household_id"][done.test])
    assert "same households may be in training and test" in done.description["households"]


def test_the_draw_of_households_ignores_row_order_and_new_households_and_follows_the_seed() -> None:
    rows = grid("2018-01-31", "2021-12-31", n_households=100)

    def held_out(of: pd.DataFrame, **asked: Any) -> set[str]:
        return set(of["household_id"][divide(of, kind="household", **asked).test])

    shuffled = rows.sample(frac=1.0, random_state=3).reset_index(drop=True)
    assert held_out(shuffled) == held_out(rows)
    more = pd.concat([grid("2018-01-31", "2021-12-31", n_households=150), rows]).reset_index(drop=True)
    assert held_out(more) & set(rows["household_id"]) == held_out(rows)
    assert held_out(rows, seed=2) != held_out(rows)
    assert held_out(rows, test_share=0.1) < held_out(rows, test_share=0.5)


def test_the_draw_never_changes_between_versions() -> None:
    rows = pd.DataFrame({"household_id": list("abcdefgh"), "as_of": as_of_moment("2020-01-31", ZONE)})
    done = divide(rows, kind="household", seed=7, test_share=0.5)
    assert "".join(rows["household_id"][done.test]) == "abdefg"


def test_a_gap_that_leaves_no_training_row_is_refused_with_the_alternatives() -> None:
    with pytest.raises(SplitRefused, match=r"first labelled moment is 2020-01-31; .*--split household"):
        divide(grid("2020-01-31", "2020-12-31"))
    with pytest.raises(SplitRefused, match="leaves no test row; labelled moments run from 2018-01-31 to 2018-12-31"):
        divide(grid("2018-01-31", "2018-12-31"), train_until="2018-06-30")
    with pytest.raises(SplitRefused, match="before it begins"):
        divide(grid("2018-01-31", "2021-12-31"), test_from="2020-01-31", test_until="2019-10-31")


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"kind": "random"}, "known are time, household, time[+]household"),
        ({"test_share": 1.0}, "between 0 and 1"),
        ({"test_until": "2017-06-30"}, "first labelled moment is 2018-01-31"),
    ],
)
def test_misuse_is_refused(asked: dict[str, Any], problem: str) -> None:
    with pytest.raises(SplitRefused, match=problem):
        divide(grid("2018-01-31", "2021-12-31"), **asked)
    unlabelled = grid("2018-01-31", "2021-12-31").assign(outcome=np.nan)
    with pytest.raises(SplitRefused, match="no row has an outcome"):
        divide(unlabelled)


def test_the_description_names_no_household() -> None:
    rows = grid("2018-01-31", "2021-12-31")
    rows["household_id"] = "secret-" + rows["household_id"]
    assert "secret-" not in str(divide(rows).description)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    train=st.one_of(st.none(), st.integers(0, 40)),
    test=st.one_of(st.none(), st.integers(0, 40)),
    horizon=st.sampled_from([3, 6, 12]),
    step=st.sampled_from([1, 3]),
)
def test_no_training_outcome_reaches_into_the_test(
    kind: str, train: int | None, test: int | None, horizon: int, step: int
) -> None:
    rows = grid("2018-01-31", "2021-06-30", n_households=12, step=step)
    days = [f"{2018 + month // 12}-{month % 12 + 1:02}-28" for month in range(41)]
    dates = {"train_until": None if train is None else days[train], "test_from": None if test is None else days[test]}
    try:
        done = divide(rows, kind=kind, horizon_months=horizon, **dates)
    except SplitRefused:
        return
    assert not (done.train & done.test).any()
    if "time" in kind:
        last_train, first_test = rows["as_of"][done.train].max(), rows["as_of"][done.test].min()
        assert horizon_end(int(last_train), horizon, ZONE) <= first_test
    if "household" in kind:
        assert not set(rows["household_id"][done.train]) & set(rows["household_id"][done.test])


def test_folds_keep_households_whole_and_are_drawn_apart_from_the_test() -> None:
    ids = [f"h{i}" for i in range(3_000)]
    folds = household_folds(ids * 2, 5, seed=1)
    assert (folds[:3_000] == folds[3_000:]).all()
    assert np.bincount(folds[:3_000], minlength=5).min() > 500
    rows = pd.DataFrame({"household_id": ids, "as_of": as_of_moment("2020-01-31", ZONE)})
    training = divide(rows, kind="household", seed=1).train
    # Drawn from the same numbers, the training households would fill the folds unevenly.
    assert np.bincount(folds[:3_000][training], minlength=5).min() > 0.85 * training.sum() / 5
    with pytest.raises(ValueError, match="two folds"):
        household_folds(ids, 1, seed=1)
