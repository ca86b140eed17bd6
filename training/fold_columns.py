"""Columns for models that cannot do without numbers: what they are is learned on the training rows of a fold alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

Floats = npt.NDArray[np.float64]


class ColumnsRefused(ValueError):
    """No column of the training rows says anything; the message says how many rows and columns there were."""


class FoldColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Clipped columns with their gaps filled, and a mark of 0 or 1 beside each that had gaps in training.

    `fit` takes rows x columns of numbers, NaN where unknown, and learns per column its limits, the quantiles
    `clip` and `1 - clip` (0 does not clip), its median, and whether it had gaps. Left out are columns that are
    unknown in every training row or constant in all of them, and all but the last of those whose standardised
    training values are identical: features of one source are unknown together, so that one mark speaks for all.

    `transform` adds nothing to that. A value beyond the limits is held at them, a gap where training had none gets
    the median without a mark, and a column that began to be filled after the fold stays out.

    `names` are the names of the columns when they come without (scikit-learn's own, `x0`, `x1`, if not given).

    >>> known, gap = 1.0, np.nan
    >>> train = np.array([[1.0, gap, 5.0, gap], [2.0, gap, 5.0, 8.0], [9.0, gap, 5.0, 7.0], [4.0, gap, 5.0, gap]])
    >>> columns = FoldColumns(clip=0.0).fit(train)
    >>> columns.get_feature_names_out().tolist()
    ['x0', 'x3', 'unknown(x3)']
    >>> columns.transform([[20.0, 1.0, 6.0, gap]]).tolist()
    [[9.0, 7.5, 1.0]]
    """

    def __init__(self, clip: float = 0.005, names: Sequence[str] | None = None) -> None:
        self.clip = clip
        self.names = names

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:
        """Learn which columns there are, from training rows only."""
        if not 0.0 <= self.clip < 0.5:
            raise ValueError("clip must be at least 0 and below 0.5")
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        if self.names is not None and len(self.names) != values.shape[1]:
            raise ValueError(f"{len(self.names)} names were given for {values.shape[1]} columns")
        self.known_ = np.flatnonzero(~np.isnan(values).all(axis=0))
        if len(self.known_):
            values = values[:, self.known_]
            self.low_, self.high_ = np.nanquantile(values, [self.clip, 1.0 - self.clip], axis=0)
            self.imputer_ = SimpleImputer(strategy="median", add_indicator=True)
            self.columns_ = _telling(self.imputer_.fit_transform(np.clip(values, self.low_, self.high_)))
        if not len(self.known_) or not len(self.columns_):
            raise ColumnsRefused(
                f"no column says anything in these rows (n_samples={len(values)}): each is unknown or constant in all "
                "of them; choose more rows or a later origin"
            )
        return self

    def transform(self, X: npt.ArrayLike) -> Floats:
        """The learned columns of any rows, in the order of `get_feature_names_out`."""
        check_is_fitted(self, "columns_")
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        held = np.clip(values[:, self.known_], self.low_, self.high_)
        return np.asarray(self.imputer_.transform(held)[:, self.columns_], np.float64)

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> npt.NDArray[np.object_]:
        """Names of the columns that `transform` gives; a mark is called `unknown(name)`."""
        check_is_fitted(self, "columns_")
        given = self.names if input_features is None else input_features
        if given is None:
            given = getattr(self, "feature_names_in_", [f"x{i}" for i in range(self.n_features_in_)])
        if len(given) != self.n_features_in_:
            raise ValueError("input_features should have length equal to number of features")
        names = np.asarray(given, dtype=object)[self.known_]
        marks = [f"unknown({names[i]})" for i in self.imputer_.indicator_.features_]
        return np.array([*names, *marks], dtype=object)[self.columns_]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _telling(learned: Floats) -> npt.NDArray[np.int64]:
    """Positions of the columns that vary, the last one of each group that standardising makes identical."""
    varying = np.flatnonzero(np.ptp(learned, axis=0) > 0.0)
    if not len(varying):
        return varying
    standard = StandardScaler().fit_transform(learned[:, varying])
    last = {standard[:, i].tobytes(): int(position) for i, position in enumerate(varying)}
    return np.array(sorted(last.values()), np.int64)
