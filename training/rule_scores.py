"""The rules as baselines: how well the points, and the best single trigger, rank the rows that a model is judged on.

They are the practice that a model has to beat. Rules learn nothing here but a logistic curve over their ranks and, on
training rows, which trigger is the best. A moment before any rule was in force teaches nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

from features.history import History, visible
from features.rules.number import NOT_EVALUABLE
from features.rules.pack import PackNotInForce
from features.rules.rulebook import RANKS, Rulebook, rulebook
from models.rules import Ruled, ruled
from training.baselines import BEST_TRIGGER, POINTS, by_rank

Floats = npt.NDArray[np.float64]
# Between false and yellow: nobody knows, so somebody looks there before those known to be without.
UNDECIDED = 0.5
# To choose a trigger and fit two curves, the rules of the last moments are enough; each moment costs the whole county.
LEARNED_MOMENTS = 4


@dataclass(frozen=True)
class RuleScores:
    """What the rules say about rows of households at moments.

    `triggers` is rows x `names`: 0 false, 0.5 not evaluable, 1 yellow, 2 orange, 3 red; triggers that bring no tier
    are left out. `is_ruled` marks the rows at whose moment any rule was in force.
    """

    names: tuple[str, ...]
    points: Floats
    triggers: npt.NDArray[np.float32]
    is_ruled: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RuleBaselines:
    """Probabilities of the test rows by baseline name, and the trigger that was the best in training."""

    probabilities: dict[str, Floats]
    best_trigger: str


class RulesLeftOut(Exception):
    """Rules cannot be compared on this dataset; the message says why."""


def rule_baselines(
    history: History,
    train: pd.DataFrame,
    test: pd.DataFrame,
    progress: Callable[[int, int], None] | None = None,
    book: Rulebook | None = None,
) -> RuleBaselines:
    """Baselines from the rules for the rows of `test`; `train` has the `outcome` as well. Rules speak of the core
    catalogue only; they learn from the last four training moments. Raises `RulesLeftOut` where they cannot be asked."""
    latest = np.sort(train["as_of"].unique())[-LEARNED_MOMENTS:]
    train = train[train["as_of"].isin(latest)].reset_index(drop=True)
    every = pd.concat([train, test], ignore_index=True)
    try:
        scores = rule_scores(history, every, book or rulebook(), progress)
    except PackNotInForce as error:
        raise RulesLeftOut(str(error.args[0])) from error
    learns = np.flatnonzero(scores.is_ruled[: len(train)])
    outcome = train["outcome"].to_numpy(np.float64)[learns]
    if not scores.names or not 0.0 < outcome.sum() < len(outcome):
        raise RulesLeftOut("no rule was in force at a training moment with both outcomes")
    asked = slice(len(train), None)
    strengths = [float(roc_auc_score(outcome, column)) for column in scores.triggers[learns].T]
    best = int(np.argmax(strengths))
    found = {POINTS: scores.points, BEST_TRIGGER: scores.triggers[:, best].astype(np.float64)}
    return RuleBaselines(
        {name: _probability(score[learns], outcome, score[asked]) for name, score in found.items()}, scores.names[best]
    )


def rule_scores(
    history: History, rows: pd.DataFrame, book: Rulebook, progress: Callable[[int, int], None] | None = None
) -> RuleScores:
    """Points and triggers of `rows` (`household_id`, `as_of`), each with the rules and the pack in force at its moment.

    Each moment is computed once for everybody and only the asked households are kept. Raises `PackNotInForce`.
    """
    household = np.array([history.index[name] for name in rows["household_id"]], np.int64)
    as_of = rows["as_of"].to_numpy(np.int64)
    names = sorted({i.id for i in book.indicators if any(level.tier in RANKS for level in i.levels)})
    points, is_ruled = np.zeros(len(rows)), np.zeros(len(rows), np.bool_)
    triggers = np.zeros((len(rows), len(names)), np.float32)
    moments = np.unique(as_of)
    for done, moment in enumerate(moments):
        wanted = np.flatnonzero(as_of == moment)
        said = ruled(book, history, visible(history, int(moment)))
        points[wanted] = said.points[household[wanted]]
        is_ruled[wanted] = bool(said.states.book.indicators)
        for column, name in enumerate(names):
            if name in said.states.book.by_id:
                triggers[wanted, column] = _score(said, name)[household[wanted]]
        # What is known of a moment refers to itself in circles, a gigabyte for 40,000 households.
        del said
        gc.collect()
        if progress is not None:
            progress(done + 1, len(moments))
    return RuleScores(tuple(names), points, triggers, is_ruled)


def _score(said: Ruled, name: str) -> Floats:
    """The rank that a trigger brings, by household; a half where it cannot be evaluated."""
    rank = said.states.floor(name).astype(np.float64)
    return np.where(said.states.state(name) == NOT_EVALUABLE, UNDECIDED, rank)


def _probability(learned: Floats, outcome: Floats, asked: Floats) -> Floats:
    """A logistic curve over the ranks of a score. More always means more risk; where training says the opposite,
    the score tells nothing and everybody has the base rate."""
    if roc_auc_score(outcome, learned) <= 0.5:
        return np.full(len(asked), outcome.mean())
    return by_rank(learned, outcome, asked)
