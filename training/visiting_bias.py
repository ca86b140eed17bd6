"""What it does to a model that needs are recorded only where somebody looks, shown where every outcome is known.

In a synthetic county the outcome of every household is on record. Here that record is taken away from those whom nobody
visited and who did not apply themselves, several ways of learning from what is left are tried, and each is judged on
other households by their true outcomes. All ways spend the same number of visits. Visits go to the highest of a list:
an earlier rule score, blurred; in the feedback loop the model's own forecast, year after year.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from models.calibration import fit_calibration
from training.audit_arm import level_on_arm
from training.capacity import on_list
from training.evaluation import visits_at

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
# From values, outcomes, weights and a seed to a function that gives margins.
Learner = Callable[[Floats, Floats, Floats, int], Callable[[Floats], Floats]]

RECORDS, VISITED, RECORDS_ARM = "records", "visited only", "records, arm level"
WEIGHTED, WEIGHTED_ARM, ORACLE = "weighted", "weighted, arm level", "all outcomes"
ESTIMATORS = {
    RECORDS: "naive: the recorded outcome, 0 where nobody looked and nobody applied",
    VISITED: "only the households that were visited for the list",
    RECORDS_ARM: "the recorded outcomes too, but the level set on the random arm alone",
    WEIGHTED: "list and random arm, the arm with its inverse inclusion probability; the model's own level",
    WEIGHTED_ARM: "the weighted model, its level set on the random arm alone",
    ORACLE: "every true outcome, which no county has: the best that can be",
}
# Those that spend a part of the visits on the arm.
ARMED = (RECORDS_ARM, WEIGHTED, WEIGHTED_ARM)
FOLDS = 2
LEARN_SHARE = 0.6
FEWEST = 10


class BiasRefused(ValueError):
    """The simulation cannot be run as asked; the message says which number or table and what to do."""


@dataclass(frozen=True)
class World:
    """Rows of households with every outcome known.

    `values` is rows x features; `household` and `year` number the household and the yearly round of each row from 0 on;
    `outcome` is true; `list_score` is what earlier visit lists went by; `is_hidden` marks households whose records
    reach the platform in part only or not at all.
    """

    values: Floats
    household: Ints
    year: Ints
    outcome: Floats
    list_score: Floats
    is_hidden: Bools

    def taken(self, rows: Ints | Bools) -> World:
        """Some of the rows."""
        return World(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Settings:
    """`share_visited` of the households are visited in a year; `arm` is how many of all households are drawn by lot,
    out of the same visits. A household with a need that nobody visits applies itself with the chance `applies` (seen
    households, hidden ones), which puts the need on record. `blur` is the noise in the earlier lists, in standard
    deviations of their ranks. `capacity` is the length of the lists that are judged."""

    share_visited: float = 0.15
    arm: float = 0.05
    applies: tuple[float, float] = (0.3, 0.1)
    blur: float = 0.5
    capacity: float = 0.10

    def __post_init__(self) -> None:
        if not 0.0 < self.arm < self.share_visited < 1.0:
            raise BiasRefused("the arm is a part of the visits: 0 < arm < share visited < 1")


class Luck(NamedTuple):
    """What does not depend on any list, by row and alike within a household's year: the lot, and who applies."""

    lot: Floats
    applies: Bools

    @staticmethod
    def of(world: World, settings: Settings, rng: np.random.Generator) -> Luck:
        """Drawn for every household and year."""
        shape = (int(world.household.max()) + 1, int(world.year.max()) + 1)
        lot, will = rng.random(shape)[world.household, world.year], rng.random(shape)[world.household, world.year]
        return Luck(lot, will < np.where(world.is_hidden, settings.applies[1], settings.applies[0]))


class Looks(NamedTuple):
    """Who was looked at, by row: visited for the list, drawn by lot, and whose need is on record without a visit."""

    listed: Bools
    drawn: Bools
    applied: Bools

    def recorded(self, outcome: Floats) -> Floats:
        """Outcomes as a register shows them: 1 where a need was found or brought forward, 0 everywhere else."""
        return np.where(self.listed | self.drawn | self.applied, outcome, 0.0)


def compared(world: World, settings: Settings, learner: Learner, seeds: int) -> Iterator[dict[str, object]]:
    """One year's lists by the earlier score: each way of learning, judged by true outcomes; a row a way and seed."""
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 1])
        learn, asked = _sides(world, rng)
        score, luck = _blurred(learn.list_score, settings.blur, rng), Luck.of(learn, settings, rng)
        all_listed = visited(learn, score, luck, settings.share_visited, 0.0)
        with_arm = visited(learn, score, luck, settings.share_visited - settings.arm, settings.arm)
        for name in ESTIMATORS:
            looks = with_arm if name in ARMED else all_listed
            forecast = learned(name, learn, looks, settings, learner, seed)(asked.values)
            yield {"way": name, "seed": seed, **judged(asked, forecast, settings.capacity)}


def feedback(world: World, settings: Settings, learner: Learner, seeds: int) -> Iterator[dict[str, object]]:
    """The loop: in the first year lists by the earlier score, then each way's own forecasts make its next lists.

    A row a way, seed and year: the figures of `judged` after learning from the years so far; `found`, the share of the
    year's affected whom visits or applications brought on record; `list_hidden`, the share of hidden ones on the list.
    """
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 2])
        learn, asked = _sides(world, rng)
        first_score, luck = _blurred(learn.list_score, settings.blur, rng), Luck.of(learn, settings, rng)
        for name in (RECORDS, RECORDS_ARM, WEIGHTED_ARM):
            arm = settings.arm if name in ARMED else 0.0
            score, looks = first_score, Looks(*np.zeros((3, len(learn.outcome)), np.bool_))
            for year in range(int(world.year.max()) + 1):
                seen = visited(learn, score, luck, settings.share_visited - arm, arm)
                now, so_far = np.flatnonzero(learn.year == year), np.flatnonzero(learn.year <= year)
                # What was looked at in earlier years stays as it was.
                looks = Looks(*(np.where(learn.year == year, new, old) for new, old in zip(seen, looks, strict=True)))
                known = Looks(*(each[so_far] for each in looks))
                forecast = learned(name, learn.taken(so_far), known, settings, learner, seed)
                score, y = forecast(learn.values), learn.outcome[now]
                yield {
                    "way": name,
                    "seed": seed,
                    "year": year + 1,
                    **judged(asked, forecast(asked.values), settings.capacity),
                    "found": float(looks.recorded(learn.outcome)[now].sum() / max(1.0, y.sum())),
                    "list_hidden": float(learn.is_hidden[now][looks.listed[now]].mean()),
                }


def learned(
    name: str, world: World, looks: Looks, settings: Settings, learner: Learner, seed: int
) -> Callable[[Floats], Floats]:
    """Learn in one of the ways of `ESTIMATORS`; the answer gives probabilities of other rows' values."""
    outcome, rows = world.outcome, np.arange(len(world.outcome))
    if name in (RECORDS, RECORDS_ARM):
        outcome = looks.recorded(outcome)
    elif name == VISITED:
        rows = np.flatnonzero(looks.listed)
    elif name in (WEIGHTED, WEIGHTED_ARM):
        rows = np.flatnonzero(looks.listed | looks.drawn)
    elif name != ORACLE:
        raise BiasRefused(f"no way of learning {name!r}; known are {', '.join(ESTIMATORS)}")
    y, values = outcome[rows], world.values[rows]
    is_weighted = name in (WEIGHTED, WEIGHTED_ARM)
    weight = np.where(is_weighted & ~looks.listed[rows], 1.0 / settings.arm, 1.0)
    if len(np.unique(y)) < 2:
        raise BiasRefused(f"{name}: what was looked at holds one outcome only; take more households or more visits")
    margins = learner(values, y, weight, seed)
    if name == WEIGHTED:
        return lambda asked: np.asarray(expit(margins(asked)), np.float64)
    held_out = _held_out(values, y, weight, world.household[rows], learner, seed)
    drawn = np.flatnonzero(looks.drawn[rows])
    calibration = level_on_arm(held_out[drawn], y[drawn]) if name in ARMED else fit_calibration(held_out, y)
    return lambda asked: calibration.probability(margins(asked))


def judged(asked: World, probability: Floats, capacity: float) -> dict[str, float]:
    """Against the true outcomes: ranking, level, and who is reached when `capacity` of each year's rows are visited.

    The figures of the hidden ones are left out where fewer than ten of their households are affected.
    """
    y, hidden = asked.outcome, asked.is_hidden
    listed = np.zeros(len(y))
    for year in np.unique(asked.year):
        now = np.flatnonzero(asked.year == year)
        listed[now] = on_list(probability[now], visits_at(capacity, len(now)))
    found = {
        "auc": float(roc_auc_score(y, probability)),
        "mean_probability": float(probability.mean()),
        "true_rate": float(y.mean()),
        "observed_expected": float(y.sum() / probability.sum()),
        "recall": float(listed @ y / y.sum()),
    }
    if len(np.unique(asked.household[hidden & (y == 1.0)])) >= FEWEST:
        found["hidden_recall"] = float(listed[hidden] @ y[hidden] / y[hidden].sum())
        found["hidden_observed_expected"] = float(y[hidden].sum() / probability[hidden].sum())
    return found


def summary(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Mean and standard deviation over the seeds (NaN of one): a column a figure, and `<figure>_sd`."""
    figures = rows.drop(columns=["seed"]).groupby(by, sort=False)
    return figures.mean().join(figures.std(ddof=1).add_suffix("_sd")).reset_index()


def _sides(world: World, rng: np.random.Generator) -> tuple[World, World]:
    """Households to learn from, and others to be judged on."""
    is_learned = rng.random(int(world.household.max()) + 1)[world.household] < LEARN_SHARE
    return world.taken(is_learned), world.taken(~is_learned)


def _blurred(score: Floats, blur: float, rng: np.random.Generator) -> Floats:
    ranks = rankdata(score)
    return np.asarray((ranks - ranks.mean()) / ranks.std() + blur * rng.standard_normal(len(score)), np.float64)


def visited(world: World, score: Floats, luck: Luck, listed: float, arm: float) -> Looks:
    """Who is looked at in each year when a share of the households is visited for a list and a share by lot.

    A household is listed by its highest score of the year, and then looked at for all of that year's rows. The lot
    falls on all alike, listed or not, so that the arm alone stands for everybody; who is both is visited once, and the
    visits are that much fewer than asked for.
    """
    cell = world.household * (int(world.year.max()) + 1) + world.year
    _, first, at = np.unique(cell, return_index=True, return_inverse=True)
    best = np.full(len(first), -np.inf)
    np.maximum.at(best, at, score)
    is_listed = np.zeros(len(first), np.bool_)
    for year in np.unique(world.year):
        now = np.flatnonzero(world.year[first] == year)
        is_listed[now[np.argsort(-best[now], kind="stable")[: visits_at(listed, len(now))]]] = True
    return Looks(is_listed[at], luck.lot < arm, luck.applies)


def _held_out(values: Floats, outcome: Floats, weight: Floats, household: Ints, learner: Learner, seed: int) -> Floats:
    """Margins of rows from models that have not learned from their households."""
    fold = np.random.default_rng([seed, 5]).integers(FOLDS, size=int(household.max()) + 1)[household]
    margins = np.zeros(len(outcome))
    for k in range(FOLDS):
        inside = fold != k
        margins[~inside] = learner(values[inside], outcome[inside], weight[inside], seed)(values[~inside])
    return margins
