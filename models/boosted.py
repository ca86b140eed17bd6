"""LightGBM boosted trees: margins and exact additive contributions from household vectors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SMALL_CALL_ROWS = 256


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

    def margins(self, values: Floats) -> Floats:
        """Uncalibrated log-odds, one per row; `values` is rows x features in contract order."""
        predicted = self.booster.predict(values, raw_score=True, num_threads=_threads(values))
        return np.asarray(predicted, np.float64)

    def contributions(self, values: Floats) -> tuple[Floats, Floats]:
        """Exact path-dependent SHAP values (rows x features) and the base of every row; they sum to the margin."""
        predicted = np.asarray(
            self.booster.predict(values, pred_contrib=True, num_threads=_threads(values)), np.float64
        )
        return predicted[:, :-1], predicted[:, -1]

    def unlearned_unknowns(self, values: Floats) -> npt.NDArray[np.bool_]:
        """Rows that are unknown in a feature that the trees use but never saw unknown."""
        used = self.booster.feature_importance("split") > 0
        return np.asarray(np.isnan(values[:, used & ~self.had_unknown]).any(axis=1), np.bool_)


def trees_digest(model_text: str) -> str:
    """SHA-256 of the trees alone: equal for equal trees, whatever the recorded parameters say."""
    return hashlib.sha256(model_text.split("\nparameters:", 1)[0].encode()).hexdigest()


def _threads(values: Floats) -> int:
    # More than one thread makes a small call slower: the threads wait for each other longer than they work.
    return 1 if len(values) <= SMALL_CALL_ROWS else 0
