"""Rolling origins: what may be taught and judged at each, in scikit-learn's protocol, with refusals that help."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features.window import NEVER, as_of_moment, from_micros, horizon_end, month_ends, parsed
from training.fold_columns import FoldColumns
from training.splits import split
from training.splitter import Fold, SplitRefused, TemporalSplitter

ZONE = "Asia/Shanghai"


def at(text: str) -> int:
    return as_of_moment(text, ZONE)


def grid(first: str, until: str, n: int = 40, step: int = 1) -> pd.DataFrame:
    moments = month_ends(parsed(first, ZONE), at(until), step, ZONE)
    rows = pd.DataFrame([(f"h{i}", moment) for moment in moments for i in range(n)], columns=["household_id", "as_of"])
    return rows.assign(outcome=(np.arange(len(rows)) % 7 == 0).astype(float))


def splitter(**asked: Any) -> TemporalSplitter:
    return TemporalSplitter(**({"time_zone": ZONE} | asked))


def told(fold: Fold) -> tuple[str, ...]:
    said = fold.description
    return tuple(said[name] for name in ("origin", "train_first", "train_last", "test_first", "test_last"))


def test_origins_are_counted_back_from_the_last_block_of_mature_moments() -> None:
    rows = grid("2017-01-31", "2021-12-31")
    folds = splitter(origins=3, step_months=3, data_until="2021-12-31").folds(rows)
    assert [told(fold) for fold in folds] == [
        ("2020-04-30", "2017-01-31", "2019-04-30", "2020-04-30", "2020-06-30"),
        ("2020-07-31", "2017-01-31", "2019-07-31", "2020-07-31", "2020-09-30"),
        ("2020-10-31", "2017-01-31", "2019-10-31", "2020-10-31", "2020-12-31"),
    ]
    sparse = splitter(origins=2, step_months=3, data_until="2021-12-31").folds(grid("2017-03-31", "2021-12-31", step=3))
    assert [told(fold)[3:] for fold in sparse] == [("2020-09-30", "2020-09-30"), ("2020-12-31", "2020-12-31")]


def test_the_publication_lag_holds_training_back_and_makes_the_latest_rows_immature() -> None:
    rows = grid("2017-01-31", "2021-12-31")
    (fold,) = splitter(origins=1, step_months=1, publication_lag_days=90, data_until="2021-12-31").folds(rows)
    # Ninety days after 2021-09-30 is 2021-12-29; after 2021-10-31 it is 2022.
    assert told(fold) == ("2020-09-30", "2017-01-31", "2019-06-30", "2020-09-30", "2020-09-30")
    assert "12 months and 90 days until they are published, known by 2020-09-30" in fold.description["taught"]


def test_an_outcome_that_becomes_known_at_the_origin_is_taught_and_a_microsecond_later_it_is_not() -> None:
    origin, early = at("2020-12-31"), at("2019-12-31")
    assert horizon_end(early, 12, ZONE) == origin
    rows = pd.DataFrame({"household_id": list("abc"), "as_of": [early, early + 1, origin], "outcome": [0.0, 1.0, 0.0]})
    (fold,) = splitter(origins=["2020-12-31"]).folds(rows)
    assert (fold.train.tolist(), fold.test.tolist()) == ([0], [2])
    until = horizon_end(origin, 12, ZONE)
    assert splitter(data_until=until).mature(rows).tolist() == [True, True, True]
    assert splitter(data_until=until - 1).mature(rows).tolist() == [True, True, False]


def test_a_late_registration_counts_and_an_early_one_does_not() -> None:
    rows = grid("2018-12-31", "2020-12-31", n=3, step=12)
    rows["known_at"] = [at("2021-06-30"), at("2019-01-31"), NEVER] + [0] * 6
    (fold,) = splitter(origins=["2020-12-31"]).folds(rows)
    assert rows["household_id"].iloc[fold.train].tolist() == ["h1", "h0", "h1", "h2"]
    zoned = rows.assign(known_at=[from_micros(at("2021-06-30")), *[pd.NaT] * 8])
    zoned["known_at"] = pd.to_datetime(zoned["known_at"], utc=True)
    (fold,) = splitter(origins=["2020-12-31"]).folds(zoned)
    assert rows["household_id"].iloc[fold.train].tolist() == ["h1", "h2", "h0", "h1", "h2"]


def test_immature_rows_are_null_whatever_stands_in_their_outcome() -> None:
    rows = grid("2018-01-31", "2021-12-31").assign(outcome=1.0)
    splits = splitter(origins=2, data_until="2021-12-31")
    is_mature = splits.mature(rows)
    assert (is_mature == (rows["as_of"] <= at("2020-12-31"))).all()
    for fold in splits.folds(rows):
        assert is_mature[fold.train].all() and is_mature[fold.test].all()
    open_ended = splitter(origins=["2020-11-30"], test_months=6, data_until="2021-12-31").folds(rows)[0]
    assert (open_ended.description["test_last"], open_ended.description["households_not_mature"]) == ("2020-12-31", 40)


def test_rows_without_an_outcome_belong_to_neither_side() -> None:
    rows = grid("2018-01-31", "2021-12-31")
    y = rows["outcome"].to_numpy(copy=True)
    y[::3] = np.nan
    for train, test in splitter().split(np.zeros((len(rows), 1)), y, groups=rows):
        assert not np.isnan(y[train]).any() and not np.isnan(y[test]).any()
        assert len(train) and len(test)


def test_a_window_keeps_the_latest_months_that_could_be_known() -> None:
    rows = grid("2016-01-31", "2020-12-31")
    (fold,) = splitter(origins=["2020-12-31"], window_months=6).folds(rows)
    assert told(fold)[1:3] == ("2019-07-31", "2019-12-31")
    (fold,) = splitter(origins=["2020-12-31"], window_months=6, publication_lag_days=30).folds(rows)
    assert told(fold)[1:3] == ("2019-06-30", "2019-11-30")


def test_held_out_households_are_never_taught_and_drawn_apart_from_those_of_a_split() -> None:
    rows = grid("2017-01-31", "2021-12-31", n=400)
    (fold,) = splitter(origins=["2020-01-31"], household_share=0.3).folds(rows)
    taught, judged = (set(rows["household_id"].iloc[side]) for side in (fold.train, fold.test))
    assert not taught & judged and 0.2 < len(judged) / 400 < 0.4
    # What a split left for training still holds its share of households for the origins.
    left = rows[split(rows, kind="household", horizon_months=12, time_zone=ZONE, seed=1).train].reset_index(drop=True)
    (inner,) = splitter(origins=["2020-01-31"], household_share=0.3).folds(left)
    n = left["household_id"].nunique()
    assert 0.2 < left["household_id"].iloc[inner.test].nunique() / n < 0.4


def test_the_draw_of_households_never_changes_between_versions() -> None:
    rows = pd.concat([grid("2018-01-31", "2018-01-31", n=10), grid("2020-01-31", "2020-01-31", n=10)])
    (fold,) = splitter(origins=["2020-01-31"], household_share=0.4, seed=7).folds(rows.reset_index(drop=True))
    assert "".join(f"{i - 10}" for i in fold.test) == "013689"


def test_a_fold_agrees_with_the_time_split_of_the_same_day() -> None:
    rows = grid("2017-01-31", "2021-12-31")
    for lag in (0, 45):
        (fold,) = splitter(origins=["2021-01-31"], test_months=24, publication_lag_days=lag).folds(rows)
        done = split(
            rows,
            kind="time",
            test_from="2021-01-31",
            horizon_months=12,
            time_zone=ZONE,
            seed=1,
            publication_lag_days=lag,
        )
        assert np.flatnonzero(done.train).tolist() == fold.train.tolist()
        assert np.flatnonzero(done.test).tolist() == fold.test.tolist()


def test_it_serves_cross_validation_and_grid_search_of_a_pipeline() -> None:
    rows = grid("2017-01-31", "2021-12-31", n=30)
    rng = np.random.default_rng(1)
    X = rng.normal(size=(len(rows), 3))
    X[rng.random(X.shape) < 0.2] = np.nan
    y = (rng.random(len(rows)) < 1 / (1 + np.exp(1 - np.nan_to_num(X[:, 0])))).astype(float)
    pipe = make_pipeline(FoldColumns(), StandardScaler(), LogisticRegression())
    cv = splitter(origins=4, household_share=0.3)
    scores = cross_val_score(pipe, X, y, cv=cv, groups=rows, scoring="roc_auc")
    by_hand = [
        clone(pipe).fit(X[fold.train], y[fold.train]).predict_proba(X[fold.test])[:, 1] for fold in cv.folds(rows, y)
    ]
    expected = [
        sklearn.metrics.roc_auc_score(y[fold.test], p) for fold, p in zip(cv.folds(rows, y), by_hand, strict=True)
    ]
    assert scores.tolist() == expected and len(scores) == cv.get_n_splits() == 4
    # Its seed differs, or the households that the outer draw left would all be taught again.
    inner = splitter(origins=2, household_share=0.3, seed=2)
    search = GridSearchCV(pipe, {"logisticregression__C": [0.01, 1.0]}, cv=inner, scoring="roc_auc")
    assert search.fit(X, y, groups=rows).n_splits_ == 2
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_val_score(search, X, y, cv=cv, params={"groups": rows}, scoring="roc_auc")
    assert len(routed) == 4


def test_it_prints_its_parameters_and_its_folds_tell_in_json_and_name_nobody() -> None:
    assert "publication_lag_days=30" in repr(splitter(publication_lag_days=30, origins=["2020-01-31"]))
    rows = grid("2017-01-31", "2021-12-31", n=9)
    rows["household_id"] = "secret-" + rows["household_id"]
    said = json.dumps([dict(fold.description) for fold in splitter().folds(rows)])
    assert "secret-" not in said and "secret-" not in repr(splitter().folds(rows))
    assert '"train_rows": "fewer than 10", "train_households": "fewer than 10"' in said


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (
            {"origins": 9, "step_months": 6},
            r"the origin 2016-07-31 has no training row; .* 2018-01-31 to 2020-12-31, and are known after 12 months; "
            r"choose origins=4, an origin from 2019-01-31 on or a longer window",
        ),
        ({"origins": ["2022-01-31"]}, "the origin 2022-01-31 has no test row; .* choose an origin up to 2020-12-31"),
        (
            {"origins": ["2018-06-30"], "publication_lag_days": 60, "household_share": 0.2},
            "after 12 months and 60 days until they are published; .* from 2019-04-01 on, .* household_share or seed",
        ),
        ({"origins": ["2020-01-31", "2020-01-31"]}, "given twice"),
        ({"data_until": "2018-12-31"}, "known by 2018-12-31; .* first moment, 2018-01-31, is known from 2019-01-31 on"),
    ],
)
def test_an_origin_without_rows_is_refused_with_its_dates_and_a_way_out(asked: dict[str, Any], problem: str) -> None:
    rows = grid("2018-01-31", "2020-12-31")
    with pytest.raises(SplitRefused, match=problem):
        splitter(**asked).folds(rows)


def test_the_number_of_origins_that_a_refusal_advises_works() -> None:
    rows = grid("2018-01-31", "2020-12-31")
    assert len(splitter(origins=4, step_months=6).folds(rows)) == 4
    assert len(splitter(origins=9, step_months=6).folds(rows, skip_empty=True)) == 4


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"as_of": pd.Timestamp("2020-01-31")}, "timestamps with a time zone"),
        ({"as_of": 1.5}, "whole microseconds"),
        ({"as_of": pd.to_datetime([None] * 1_440, utc=True)}, "row 0 has no as_of"),
        ({"household_id": None}, "row 0 has no household_id"),
    ],
)
def test_rows_that_cannot_be_read_are_refused(change: dict[str, Any], problem: str) -> None:
    rows = grid("2018-01-31", "2020-12-31")
    assert len(rows) == 1_440
    with pytest.raises(SplitRefused, match=problem):
        splitter().folds(rows.assign(**change))


def test_missing_rows_columns_and_outcomes_are_refused() -> None:
    rows = grid("2018-01-31", "2020-12-31")
    with pytest.raises(SplitRefused, match="groups=rows"):
        next(splitter().split(rows))
    with pytest.raises(SplitRefused, match="lack as_of"):
        splitter().folds(rows[["household_id"]])
    with pytest.raises(SplitRefused, match="give outcomes"):
        splitter().folds(rows[["household_id", "as_of"]])
    with pytest.raises(SplitRefused, match="3 outcomes do not fit 1440 rows"):
        splitter().folds(rows, [1.0, 0.0, 1.0])
    with pytest.raises(SplitRefused, match="no row has an outcome"):
        splitter().folds(rows.assign(outcome=np.nan))
    with pytest.raises(SplitRefused, match="there are no rows"):
        splitter().folds(rows.iloc[:0])


@pytest.mark.parametrize(
    "asked",
    [
        {"horizon_months": 0},
        {"step_months": 0},
        {"test_months": 0},
        {"window_months": 0},
        {"publication_lag_days": -1},
        {"household_share": 1.0},
        {"origins": 0},
        {"origins": []},
        {"origins": "2020-01-31"},
    ],
)
def test_parameters_that_make_no_sense_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(SplitRefused):
        splitter(**asked)
