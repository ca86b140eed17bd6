"""Columns of a fold: what they are is learned on its training rows and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from training.fold_columns import ColumnsRefused, FoldColumns

GAP = np.nan
Floats = npt.NDArray[np.float64]


@parametrize_with_checks([FoldColumns()])
def test_it_is_a_transformer_as_scikit_learn_wants_them(estimator: Any, check: Any) -> None:
    check(estimator)


def test_gaps_get_the_training_median_and_values_beyond_the_training_limits_are_held() -> None:
    train = np.array([[1.0, 10.0], [2.0, GAP], [6.0, 30.0], [7.0, 50.0]])
    columns = FoldColumns(clip=0.0).fit(train)
    assert columns.get_feature_names_out(["income", "debt"]).tolist() == ["income", "debt", "unknown(debt)"]
    asked = np.array([[GAP, 70.0], [-5.0, GAP], [3.0, 20.0]])
    assert columns.transform(asked).tolist() == [[4.0, 50.0, 0.0], [1.0, 30.0, 1.0], [3.0, 20.0, 0.0]]


def test_the_limits_are_quantiles_of_the_known_training_values() -> None:
    values = np.append(np.arange(1_001.0), [GAP] * 9)[:, np.newaxis]
    assert FoldColumns().fit(values).transform([[-1.0], [2_000.0], [GAP]])[:, 0].tolist() == [5.0, 995.0, 500.0]
    assert FoldColumns(clip=0.1).fit(values).transform([[-1.0], [2_000.0]])[:, 0].tolist() == [100.0, 900.0]


def test_a_column_that_was_unknown_or_constant_in_training_never_becomes_one() -> None:
    train = np.array([[1.0, GAP, 5.0, 3.0], [2.0, GAP, 5.0, GAP], [3.0, GAP, 5.0, 3.0]])
    columns = FoldColumns().fit(train)
    # The last column has one known value; only whether it is known says something.
    assert columns.get_feature_names_out().tolist() == ["x0", "unknown(x3)"]
    new = np.array([[2.0, 77.0, 9.0, 8.0]])
    assert columns.transform(new).tolist() == [[2.0, 0.0]]


def test_a_gap_where_training_had_none_has_no_mark() -> None:
    columns = FoldColumns().fit(np.array([[1.0], [2.0], [3.0]]))
    assert columns.transform([[GAP]]).tolist() == [[2.0]]


def test_marks_and_columns_that_say_the_same_are_one() -> None:
    rng = np.random.default_rng(1)
    first = rng.normal(size=8)
    gone = np.array([True, False] * 4)
    train = np.column_stack([first, rng.normal(size=8), rng.normal(size=8), first, 4.0 * first, rng.normal(size=8)])
    train[np.ix_(gone, [1, 2])] = GAP
    train[0, 5] = GAP
    names = FoldColumns().fit(train).get_feature_names_out()
    assert names.tolist() == ["x1", "x2", "x4", "x5", "unknown(x2)", "unknown(x5)"]


def test_it_sees_nothing_of_the_rows_it_transforms() -> None:
    rng = np.random.default_rng(2)
    train, asked = rng.normal(size=(200, 4)), 1_000.0 * rng.normal(size=(50, 4))
    train[rng.random(train.shape) < 0.2] = GAP
    asked[rng.random(asked.shape) < 0.5] = GAP
    columns = FoldColumns().fit(train)
    whole = columns.transform(asked)
    assert np.array_equal(whole[7:8], columns.transform(asked[7:8]))
    assert np.array_equal(FoldColumns().fit(train).transform(train), columns.transform(train))


def test_it_gives_what_the_steps_it_bundles_give_one_by_one() -> None:
    rng = np.random.default_rng(3)
    train, asked = rng.normal(size=(3_000, 12)), rng.normal(size=(500, 12))
    source = rng.random((3_000, 2)) < 0.2
    for i in range(8):
        train[source[:, i % 2], i] = GAP
    train[:, 8], train[:, 9], train[:, 10] = GAP, 3.1, train[:, 11]
    asked[rng.random(asked.shape) < 0.1] = GAP

    def plainly(train: Floats, asked: Floats) -> tuple[Floats, Floats]:
        known = ~np.isnan(train).all(axis=0)
        train, asked = train[:, known], asked[:, known]
        low, high = np.nanquantile(train, [0.005, 0.995], axis=0)
        steps = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
        train, asked = steps.fit_transform(np.clip(train, low, high)), steps.transform(np.clip(asked, low, high))
        kept = sorted({train[:, i].tobytes(): i for i in range(train.shape[1])}.values())
        return train[:, kept], asked[:, kept]

    steps = make_pipeline(FoldColumns(), StandardScaler()).fit(train)
    learned, placed = plainly(train, asked)
    varies = np.ptp(learned, axis=0) > 1e-9
    assert varies.sum() == len(varies) - 1 == 11
    assert np.array_equal(steps.transform(train), learned[:, varies])
    assert np.array_equal(steps.transform(asked), placed[:, varies])


def test_it_names_the_columns_of_tables_and_refuses_one_that_came_later() -> None:
    train = pd.DataFrame({"income": [1.0, 2.0, 3.0], "debt": [GAP, 5.0, 6.0]})
    columns = FoldColumns().set_output(transform="pandas").fit(train)
    assert columns.transform(train).columns.tolist() == ["income", "debt", "unknown(debt)"]
    with pytest.raises(ValueError, match="unseen at fit time"):
        columns.transform(train.assign(later=1.0))
    given = FoldColumns(names=("income", "debt")).fit(train.to_numpy())
    assert given.get_feature_names_out().tolist() == ["income", "debt", "unknown(debt)"]


def test_it_works_in_a_pipeline_with_gaps() -> None:
    rng = np.random.default_rng(4)
    X = rng.normal(size=(400, 3))
    y = X[:, 0] > 0.0
    X[rng.random(X.shape) < 0.3] = GAP
    assert make_pipeline(FoldColumns(), LogisticRegression()).fit(X, y).score(X, y) > 0.8


@pytest.mark.parametrize(
    ("columns", "values", "problem"),
    [
        (FoldColumns(), [[GAP], [GAP]], r"n_samples=2.* unknown or constant in all"),
        (FoldColumns(), [[1.0], [1.0]], r"n_samples=2.* unknown or constant in all"),
        (FoldColumns(clip=0.5), [[1.0], [2.0]], "below 0.5"),
        (FoldColumns(clip=-0.1), [[1.0], [2.0]], "at least 0"),
        (FoldColumns(names=["a", "b"]), [[1.0], [2.0]], "2 names were given for 1 columns"),
        (FoldColumns(), [[np.inf], [2.0]], "infinity"),
    ],
)
def test_what_teaches_nothing_is_refused(columns: FoldColumns, values: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        columns.fit(values)
    assert issubclass(ColumnsRefused, ValueError)
