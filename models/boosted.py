"""LightGBM boosted trees: margins and exact additive contributions from household vectors.

LightGBM grows the trees and sums them up. The contributions come from `models.tree_shap`, because LightGBM's own lose
every digit in deep trees; LightGBM gives them only for trees that `models.forest` does not describe.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, zip_longest
from typing import Literal

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from models.forest import Forest, ForestRefused, forest_of
from models.tree_shap import TreeShap
from models.tree_sum import TreeSum

Floats = npt.NDArray[np.float64]
SMALL_CALL_ROWS = 256
TOLERANCE = 1e-9
# LightGBM writes the range of trees to predict with into the Booster itself, so two threads that ask one Booster for
# different ranges (the model, one member of the bag) get each other's.
_TURN = threading.Lock()


class UnknownNeverLearned(ValueError):
    """A feature is unknown that never was in training: LightGBM would take the unknown for a 0."""


class ColumnsRefused(ValueError):
    """A table's columns are not those of the model in its order: LightGBM would score them without a word."""


class NotAdditive(ArithmeticError):
    """Contributions do not add up to the margin; no number may leave."""


@dataclass(frozen=True)
class BoostedModel:
    """A Booster with the column names it was trained on.

    `had_unknown[i]` says whether feature i was ever unknown in training. LightGBM reads an unknown as 0 where it
    never met one, so a row that is unknown there must not be scored (`unlearned_unknowns`). `members` is how many
    trees belong to each member of a bag (`models.bag`); a single model has none.
    """

    booster: lgb.Booster
    names: tuple[str, ...]
    had_unknown: npt.NDArray[np.bool_]
    members: tuple[int, ...] = ()

    @staticmethod
    def from_text(
        text: str, names: tuple[str, ...], had_unknown: npt.NDArray[np.bool_], members: tuple[int, ...] = ()
    ) -> BoostedModel:
        """Parse a model file. A damaged text can end the process, so only text with a verified hash may come here."""
        booster = lgb.Booster(model_str=text)
        if tuple(booster.feature_name()) != names:
            raise ValueError("the model's columns are not the columns of its feature contract")
        if members and (min(members) < 1 or sum(members) != booster.num_trees()):
            raise ValueError("the members of the bag do not have the model's trees between them")
        return BoostedModel(booster, names, had_unknown, members)

    @property
    def explained_by(self) -> Literal["quadrature", "pred_contrib"]:
        """Whether the contributions come from `models.tree_shap` or, for trees it does not know, from LightGBM."""
        return "pred_contrib" if self._shap is None else "quadrature"

    def margins(self, values: Floats | pd.DataFrame) -> Floats:
        """Uncalibrated log-odds, one per row; `values` is rows x features in contract order.

        A pandas table is taken too, if its columns are the model's names in the model's order; otherwise
        `ColumnsRefused`.
        """
        values = self._in_contract_order(values)
        return self._predicted(values) if self._sum is None else self._sum.margins(values)

    def margins_near(self, row: Floats, values: Floats) -> Floats:
        """`margins` of rows that differ from `row` in few features, found sooner."""
        return self._predicted(values) if self._sum is None else self._sum.near(row, values)

    def with_members(self, values: Floats) -> tuple[Floats, Floats]:
        """The margins, and each member's own (rows x members); their mean is the margin. A single model is its only
        member."""
        if len(self.members) < 2:
            margins = self.margins(values)
            return margins, margins[:, np.newaxis]
        if self._sum is None:
            ends = np.cumsum([0, *self.members])
            found = [
                self._predicted(values, start_iteration=int(a), num_iteration=int(b - a)) for a, b in pairwise(ends)
            ]
            margins, members = self._predicted(values), np.stack(found, axis=1)
        else:
            margins, members = self._sum.with_members(values)
        # The leaves hold each member's share of the mean.
        return margins, members * len(self.members)

    def member_margins(self, values: Floats) -> Floats:
        """The members' margins alone (`with_members`)."""
        return self.with_members(values)[1]

    def contributions(self, values: Floats, *, margins: Floats | None = None) -> tuple[Floats, Floats]:
        """Exact path-dependent SHAP values (rows x features) and the base of every row; they sum to the margin.

        `margins` are those of the rows where the caller has them already. Raises `UnknownNeverLearned` when a row is
        unknown where no unknown was learned (`unlearned_unknowns` tells such rows apart), and `NotAdditive` when the
        sum misses the margin by more than 1e-9 of it (of 1 for small margins).
        """
        self._refuse_unlearned(values)
        if self._shap is None:
            predicted = self._predicted(values, raw_score=False, pred_contrib=True)
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

    def _in_contract_order(self, values: Floats | pd.DataFrame) -> Floats:
        if isinstance(values, pd.DataFrame):
            pairs = zip_longest(values.columns, self.names)
            at = next((n for n, (theirs, ours) in enumerate(pairs) if theirs != ours), None)
            if at is not None:
                expected = self.names[at] if at < len(self.names) else "no further column"
                raise ColumnsRefused(f"column {at + 1} should be {expected}; give the columns in the model's order")
            values = values.to_numpy(np.float64)
        return values

    @cached_property
    def _never_unknown(self) -> npt.NDArray[np.int64]:
        """Columns that the trees use and that were known in every training row."""
        used = self.booster.feature_importance("split") > 0
        return np.flatnonzero(used & ~self.had_unknown)

    def _predicted(self, values: Floats, *, raw_score: bool = True, **asked: int | bool) -> Floats:
        """What LightGBM says: about trees that `models.forest` does not know."""
        with _TURN:
            told = self.booster.predict(values, raw_score=raw_score, num_threads=_threads(values), **asked)
        return np.asarray(told, np.float64)

    @cached_property
    def _forest(self) -> Forest | None:
        try:
            return forest_of(self.booster.model_to_string())
        except ForestRefused:
            return None

    @cached_property
    def _sum(self) -> TreeSum | None:
        return None if self._forest is None else TreeSum(self._forest, self.members)

    @cached_property
    def _shap(self) -> TreeShap | None:
        # Made at the first question: a model that is only trained and scored never pays for it.
        return None if self._forest is None else TreeShap(self._forest)

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
