"""LightGBM boosted trees: margins and exact additive contributions from household vectors.

LightGBM grows the trees and sums them up. The contributions come from `models.tree_shap`, because LightGBM's own lose
every digit in deep trees; LightGBM gives them only for trees that `models.forest` does not describe.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from models.forest import ForestRefused, forest_of
from models.tree_shap import TreeShap

Floats = npt.NDArray[np.float64]
SMALL_CALL_ROWS = 256
TOLERANCE = 1e-9


class UnknownNeverLearned(ValueError):
    """A feature is unknown that never was in training: LightGBM would take the unknown for a 0."""


class NotAdditive(ArithmeticError):
    """Contributions do not add up to the margin; no number may leave."""


@dataclass(frozen=True)
class BoostedModel:
    """A Booster with the column names it was trained on.

    `had_unknown[i]` says whether feature i was ever unknown in training. LightGBM reads an unknown as 0 where it
    never met one, so a row that is unknown there must not be scored (`unlearned_unknowns`).
    """

    booster: lgb.Booster
    names: tuple[str, ...]
    had_unknown: npt.NDArray[np.bool_]

    @staticmethod
    def from_text(text: str, names: tuple[str, ...], had_unknown: npt.NDArray[np.bool_]) -> BoostedModel:
        """Parse a model file. A damaged text can end the process, so only text with a verified hash may come here."""
        booster = lgb.Booster(model_str=text)
        if tuple(booster.feature_name()) != names:
            raise ValueError("the model's columns are not the columns of its feature contract")
        return BoostedModel(booster, names, had_unknown)

    @property
    def explained_by(self) -> Literal["quadrature", "pred_contrib"]:
        """Whether the contributions come from `models.tree_shap` or, for trees it does not know, from LightGBM."""
        return "pred_contrib" if self._shap is None else "quadrature"

    def margins(self, values: Floats) -> Floats:
        """Uncalibrated log-odds, one per row; `values` is rows x features in contract order."""
        predicted = self.booster.predict(values, raw_score=True, num_threads=_threads(values))
        return np.asarray(predicted, np.float64)

    def contributions(self, values: Floats, *, margins: Floats | None = None) -> tuple[Floats, Floats]:
        """Exact path-dependent SHAP values (rows x features) and the base of every row; they sum to the margin.

        `margins` are those of the rows where the caller has them already. Raises `UnknownNeverLearned` when a row is
        unknown where no unknown was learned (`unlearned_unknowns` tells such rows apart), and `NotAdditive` when the
        sum misses the margin by more than 1e-9 of it (of 1 for small margins).
        """
        self._refuse_unlearned(values)
        if self._shap is None:
            predicted = np.asarray(
                self.booster.predict(values, pred_contrib=True, num_threads=_threads(values)), np.float64
            )
            return predicted[:, :-1], predicted[:, -1]
        found, base = self._shap.contributions(values)
        expected = self.margins(values) if margins is None else margins
        off = np.abs(base + found.sum(axis=1) - expected)
        # Written so that a NaN fails.
        if not (off <= TOLERANCE * np.maximum(1.0, np.abs(expected))).all():
            raise NotAdditive("contributions do not add up to the margin")
        return found, base

    def unlearned_unknowns(self, values: Floats) -> npt.NDArray[np.bool_]:
        """Rows that are unknown in a feature that the trees use but never saw unknown."""
        return np.asarray(np.isnan(values[:, self._never_unknown]).any(axis=1), np.bool_)

    @cached_property
    def _never_unknown(self) -> npt.NDArray[np.int64]:
        """Columns that the trees use and that were known in every training row."""
        used = self.booster.feature_importance("split") > 0
        return np.flatnonzero(used & ~self.had_unknown)

    @cached_property
    def _shap(self) -> TreeShap | None:
        # Made at the first question: a model that is only trained and scored never pays for it.
        try:
            return TreeShap(forest_of(self.booster.model_to_string()))
        except ForestRefused:
            return None

    def _refuse_unlearned(self, values: Floats) -> None:
        columns = self._never_unknown
        unknown = np.isnan(values[:, columns]).any(axis=0)
        if unknown.any():
            names = ", ".join(self.names[column] for column in columns[unknown])
            raise UnknownNeverLearned(f"unknown in a row, but in no row of the training: {names}")


def trees_digest(model_text: str) -> str:
    """SHA-256 of the trees alone: equal for equal trees, whatever the recorded parameters say."""
    return hashlib.sha256(model_text.split("\nparameters:", 1)[0].encode()).hexdigest()


def _threads(values: Floats) -> int:
    # More than one thread makes a small call slower: the threads wait for each other longer than they work.
    return 1 if len(values) <= SMALL_CALL_ROWS else 0
