"""What each department's data adds: the model is learned again without it and judged on the same rows.

How a source is left out is told in `training.source_rows`. What two departments both tell is lost with neither:
values do not add up to what all the data is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from scipy.special import expit
from scipy.stats import norm

from features.dataset import Dataset
from features.definition import Feature
from training.comparison import clusters_of
from training.fold import told
from training.held_out import held_out
from training.learning import PARAMETERS
from training.resampling import LEVEL, RESAMPLES, Interval, Measured, Resamples, measured, recall_at
from training.sample import Sample
from training.source_rows import Question, SourceValueRefused, households_of, meaning, readers, sources_of, without

if TYPE_CHECKING:
    from training.study import Plan

Floats = npt.NDArray[np.float64]
Learn = Callable[[Sample, Sample, int], Floats]
Says = Literal["adds", "no measurable value here", "better without it here", "no feature reads it"]

CAPACITY = (0.05, 0.10)
REPEATS = 2
POWER = 0.8
# Twice the full model's rate: half the trees, for a question that is asked once a source.
RATE = 0.1
# What one training differs from the next by would be counted in the loss of every source.
MEMBERS = 3
MOST_TREES = 600
PATIENCE = 30
HELD_OUT = 0.2


class Loss(NamedTuple):
    """How much a metric falls without a source (above 0: the source adds), and the smallest fall that would have been
    told from 0 four times out of five."""

    interval: Interval
    detectable: float

    @property
    def says(self) -> Says:
        """What the interval says. It holding 0 is no proof that the source is worth nothing."""
        if self.interval.low > 0.0:
            return "adds"
        return "better without it here" if self.interval.high < 0.0 else "no measurable value here"


@dataclass(frozen=True)
class SourceValue:
    """One source: its name in the data and in English, the households it tells of (fewer than ten are not counted), how
    many features read it, and what is lost by metric; `losses` is empty where nothing the model reads changes."""

    source: str
    meaning: str
    households: int | str
    features: int
    losses: dict[str, Loss]

    def says(self, metric: str) -> Says:
        """What was found by one metric."""
        return self.losses[metric].says if self.losses else "no feature reads it"


@dataclass(frozen=True)
class SourceValues:
    """All sources, the greatest loss of the first metric first. `whole` has the metrics with all sources, meaned over
    the repeats; `retraining` how much a loss varies from seed to seed (standard deviation), None with one repeat."""

    label: str
    metrics: tuple[str, ...]
    repeats: int
    train_rows: int
    test_rows: int
    positives: int
    clusters: str
    whole: dict[str, float]
    retraining: dict[str, float] | None
    sources: tuple[SourceValue, ...]


def source_values(
    dataset: Dataset,
    plan: Plan,
    *,
    learn: Learn | None = None,
    capacity: Sequence[float] = CAPACITY,
    repeats: int = REPEATS,
    resamples: int = RESAMPLES,
    progress: Callable[[int, int], None] | None = None,
) -> SourceValues:
    """Leave out one source at a time. Losses are in recall at each capacity and in average precision.

    `learn(learned, asked, seed)` gives probabilities; by default small trees, as many as the whole data wants. It runs
    with `repeats` seeds and the metrics are meaned, because two trainings differ by more than many sources add. The
    interval is over whole households or townships of the test and includes what retraining still moves. Above
    `MOST_ROWS` on a side whole households are drawn. Raises `SourceValueRefused`, and what splitting and labels refuse.
    """
    asked = Question.of(dataset, plan)
    sources = sources_of(asked.tables)
    metrics = (*map(recall_at, capacity), "average_precision")
    whole = asked.samples(asked.tables, asked.catalogue)
    grown = learn or small_trees(whole[0], asked.catalogue.features, plan.seed)
    seeds = range(plan.seed, plan.seed + repeats)
    forecasts = [[grown(*whole, seed) for seed in seeds]]
    read: list[str] = []
    for i, source in enumerate(sources):
        part = asked.samples(*without(asked.tables, asked.catalogue, source))
        if not _are_equal(whole, part):
            read.append(source)
            forecasts.append([grown(*part, seed) for seed in seeds])
        if progress is not None:
            progress(i + 1, len(sources))
    clusters, kind = clusters_of(asked.test)
    flat = [forecast for of_one in forecasts for forecast in of_one]
    found = measured(whole[1].outcome, flat, metrics, Resamples.of(clusters, resamples, plan.seed))
    losses, retraining = _losses(found, metrics, len(forecasts) - 1, repeats)
    of_source = dict(zip(read, losses, strict=True))
    values = [
        SourceValue(
            source,
            meaning(asked.catalogue, source),
            told(households_of(asked.tables, source)),
            len(readers(asked.tables, asked.catalogue, source)),
            of_source.get(source, {}),
        )
        for source in sources
    ]
    return SourceValues(
        label=asked.label.name,
        metrics=metrics,
        repeats=repeats,
        train_rows=len(asked.train),
        test_rows=len(asked.test),
        positives=int(whole[1].outcome.sum()),
        clusters=kind,
        whole={metric: float(found.value[:repeats, j].mean()) for j, metric in enumerate(metrics)},
        retraining=retraining,
        sources=tuple(sorted(values, key=lambda one: (-_size(one, metrics[0]), one.source))),
    )


def small_trees(sample: Sample, features: Sequence[Feature], seed: int) -> Learn:
    """Small bags of LightGBM with the settings of the full model at twice its rate, and one number of trees for every
    question: that which held-out households of `sample` approve."""
    parameters = {
        **PARAMETERS,
        "learning_rate": RATE,
        "num_threads": 1,
        "monotone_constraints": [feature.direction.value for feature in features],
    }
    outside = held_out(sample.rows["household_id"], HELD_OUT, f"source_value/{seed}")
    if min(np.ptp(sample.outcome[part]) if part.any() else 0.0 for part in (outside, ~outside)) == 0.0:
        raise SourceValueRefused("too few training households have the outcome; choose more moments or another label")
    data = lgb.Dataset(sample.values, sample.outcome, params=dict(parameters), free_raw_data=False).construct()
    stopped = lgb.train(
        {**parameters, "seed": seed},
        data.subset(np.flatnonzero(~outside)),
        num_boost_round=MOST_TREES,
        valid_sets=[data.subset(np.flatnonzero(outside))],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
    )
    n_trees = max(1, stopped.best_iteration)

    def learn(learned: Sample, asked: Sample, seed: int) -> Floats:
        rows = lgb.Dataset(learned.values, learned.outcome, params=dict(parameters)).construct()
        margin = np.zeros(len(asked.values))
        for member in range(MEMBERS):
            grown = lgb.train({**parameters, "seed": seed * MEMBERS + member}, rows, num_boost_round=n_trees)
            margin += np.asarray(grown.predict(asked.values, raw_score=True, num_threads=1), np.float64) / MEMBERS
        return np.asarray(expit(margin), np.float64)

    return learn


def _are_equal(whole: tuple[Sample, Sample], part: tuple[Sample, Sample]) -> bool:
    return all(np.array_equal(a.values, b.values, equal_nan=True) for a, b in zip(whole, part, strict=True))


def _losses(
    found: Measured, metrics: Sequence[str], n_sources: int, repeats: int
) -> tuple[list[dict[str, Loss]], dict[str, float] | None]:
    """Losses of each source, and their variation from seed to seed. The first `repeats` forecasts are the whole data's,
    then those of each source follow.

    The interval of resampled test rows says nothing about another training: that variation, which is much the same
    for all sources and so is taken from all of them together, widens it.
    """
    by_seed = found.value.reshape(n_sources + 1, repeats, len(metrics))
    apart = by_seed[:1] - by_seed[1:]
    measurable = repeats > 1 and n_sources > 0
    spread = np.sqrt(apart.var(axis=1, ddof=1).mean(axis=0)) if measurable else np.zeros(len(metrics))
    z, power = norm.ppf((1.0 + LEVEL) / 2.0), norm.ppf(POWER)
    losses: list[dict[str, Loss]] = []
    for i in range(1, n_sources + 1):
        weights = np.zeros((n_sources + 1, repeats))
        weights[0], weights[i] = 1.0 / repeats, -1.0 / repeats
        of_one = {}
        for j, metric in enumerate(metrics):
            value, low, high = found.interval(weights.ravel().tolist(), j)
            more = z * spread[j] / np.sqrt(repeats)
            below, above = float(np.hypot(value - low, more)), float(np.hypot(high - value, more))
            interval = Interval(value, value - below, value + above)
            of_one[metric] = Loss(interval, (interval.high - interval.low) / 2.0 * float((z + power) / z))
        losses.append(of_one)
    return losses, dict(zip(metrics, spread.tolist(), strict=True)) if measurable else None


def _size(one: SourceValue, metric: str) -> float:
    return one.losses[metric].interval.value if one.losses else -np.inf
