"""Which model to use, decided on the past: every candidate learns and is judged at one origin after another.

A model that is the best once and far behind twice is a worse choice than one that is never far behind. What counts is
the regret: how much better the best candidate of an origin was. Among those that are behind the one of the lowest mean
regret by no more than chance, the simplest is chosen. Only the rows given are used; give training rows, so that the
test rows of a study stay unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.fold import last_day, told
from training.held_out import shares
from training.resampling import LEVEL, RESAMPLES, Interval, Resamples, measured
from training.sample import Candidate, Floats, Sample
from training.splitter import TemporalSplitter

LESS_IS_BETTER = ("log_loss", "brier")
MOST_ROWS = 20_000
# With fewer, what a model is worth at an origin is chance, and a resample may hold nobody.
FEWEST_HOUSEHOLDS = 30


class SelectionRefused(ValueError):
    """The candidates cannot be compared; the message says which one and why."""


class Noise(NamedTuple):
    """How noise is measured: by the interval of `level` over `resamples` draws of households."""

    resamples: int = RESAMPLES
    seed: int = 0
    level: float = LEVEL


NOISE = Noise()
UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))
BEHIND = ("behind", "behind_low", "behind_high")


@dataclass(frozen=True)
class Judged:
    """One origin: outcomes (both 0 and 1 occur) and household ids of its test rows, and by name each candidate's
    probabilities of them, or in `could_not` why it could not learn there."""

    origin: str
    outcome: Floats
    household_ids: npt.NDArray[np.object_]
    forecasts: Mapping[str, Floats]
    could_not: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """What the candidates foretold, origin by origin, the earliest first.

    `complexity` holds every candidate's by name; `left_out` says why an origin that was asked for is not there.
    """

    metric: str
    complexity: Mapping[str, int]
    judged: Sequence[Judged]
    left_out: Sequence[str] = ()

    @property
    def rows(self) -> pd.DataFrame:
        """`origin`, `candidate`, `value` of the metric (NaN where it could not learn), `n` and `positives`."""
        values, _ = _values(self, Noise(resamples=0))
        found = [
            (one.origin, name, float(value), len(one.outcome), int(one.outcome.sum()))
            for one, at_origin in zip(self.judged, values, strict=True)
            for name, value in zip(self.complexity, at_origin, strict=True)
        ]
        return pd.DataFrame(found, columns=["origin", "candidate", "value", "n", "positives"])


@dataclass(frozen=True)
class Selection:
    """The chosen candidate's name, or None where none could be chosen, and a sentence that says why.

    `rows` has JSON values per candidate, the lowest mean regret first: `candidate`, `complexity`, `mean` of the
    metric, `mean_regret`, `max_regret`, `behind`, `behind_low` and `behind_high` (how far it is behind the first one,
    with the interval), `within_noise`, `chosen`, `by_origin` (the metric). A candidate that could not learn at every
    origin comes last, with None. `origins` has `origin`, and `n` and `positives` unless they are fewer than ten.
    """

    chosen: str | None
    text: str
    rows: tuple[Mapping[str, Any], ...] = ()
    origins: tuple[Mapping[str, Any], ...] = ()


def over_origins(
    candidates: Sequence[Candidate],
    sample: Sample,
    splitter: TemporalSplitter,
    seed: int,
    metric: str = "average_precision",
    most_rows: int = MOST_ROWS,
    progress: Callable[[int, int], None] | None = None,
) -> Table:
    """Let every candidate learn and foretell at every origin of the splitter.

    Above `most_rows` on a side, whole households are drawn by a hash of their id and the seed. Left out are origins
    without rows, with one outcome only, or with too few test households. Metrics are those of `training.resampling`.
    """
    complexity = {candidate.name: candidate.complexity for candidate in candidates}
    if not complexity or len(complexity) < len(candidates):
        raise SelectionRefused("candidates need different names, and there must be at least one")
    folds = splitter.folds(sample.rows, skip_empty=True)
    missing = splitter.get_n_splits() - len(folds)
    left_out = [f"{missing} without rows on both sides"] if missing else []
    judged: list[Judged] = []
    for i, fold in enumerate(folds):
        origin = last_day(fold.origin, splitter.time_zone)
        learned, asked = (_drawn(sample, side, most_rows, seed) for side in (fold.train, fold.test))
        if min(np.ptp(learned.outcome), np.ptp(asked.outcome)) == 0.0:
            left_out.append(f"{origin} with one outcome only on a side")
        elif asked.rows["household_id"].nunique() < FEWEST_HOUSEHOLDS:
            left_out.append(f"{origin} with fewer than {FEWEST_HOUSEHOLDS} test households")
        else:
            judged.append(_judged(candidates, learned, asked, origin, seed))
        if progress is not None:
            progress(i + 1, len(folds))
    return Table(metric, complexity, judged, left_out)


def selection(table: Table, noise: Noise = NOISE) -> Selection:
    """Choose the simplest candidate that is within the noise of the one with the lowest mean regret.

    The noise is that of their paired difference, meaned over the origins, with the same households drawn for both and
    at all origins; within it means that the interval does not lie wholly on the side of being behind.
    """
    if not table.judged:
        return Selection(None, f"No model was selected over time: no origin can be used{_aside(table.left_out)}.")
    values, drawn = _values(table, noise)
    if table.metric in LESS_IS_BETTER:
        values, drawn = -values, -drawn
    origins = tuple(_origin(one) for one in table.judged)
    is_able = ~np.isnan(values).any(axis=0)
    if not is_able.any():
        text = "No model was selected over time: no candidate could learn at every origin."
        return Selection(None, text, origins=origins)
    regret = np.nanmax(values, axis=1, keepdims=True) - values
    mean, names, complexity = regret.mean(axis=0), list(table.complexity), list(table.complexity.values())
    able = sorted(np.flatnonzero(is_able).tolist(), key=lambda i: (mean[i], complexity[i], names[i]))
    best = able[0]
    behind = {i: _interval(mean[i] - mean[best], drawn[:, best] - drawn[:, i], noise.level) for i in able}
    close = [i for i in able if not behind[i].low > 0.0]
    chosen = min(close, key=lambda i: (complexity[i], mean[i], names[i]))
    rows = tuple(
        {
            "candidate": names[i],
            "complexity": complexity[i],
            "mean": _number(np.abs(values[:, i]).mean()),
            "mean_regret": _number(mean[i]),
            "max_regret": _number(regret[:, i].max()),
            **{name: _number(value) for name, value in zip(BEHIND, behind.get(i, UNKNOWN), strict=True)},
            "within_noise": i in close,
            "chosen": i == chosen,
            "by_origin": [_number(value) for value in np.abs(values[:, i])],
        }
        for i in (*able, *np.flatnonzero(~is_able).tolist())
    )
    return Selection(names[chosen], _sentence(table, names[chosen], names[best], behind[chosen], noise), rows, origins)


def _drawn(sample: Sample, positions: npt.NDArray[np.int64], most_rows: int, seed: int) -> Sample:
    """The rows at the positions, or those of as many whole households as fit, at least one."""
    if len(positions) > most_rows:
        place = shares(sample.rows["household_id"].iloc[positions], f"selection/{seed}")
        # Equal places are one household's rows: each is kept if all rows up to its last one fit.
        ordered = np.sort(place)
        edge = np.searchsorted(ordered, place, side="right")
        positions = positions[edge <= max(most_rows, int(edge.min()))]
    return sample.taken(positions)


def _judged(candidates: Sequence[Candidate], learned: Sample, asked: Sample, origin: str, seed: int) -> Judged:
    forecasts: dict[str, Floats] = {}
    could_not: dict[str, str] = {}
    for candidate in candidates:
        try:
            forecast = np.asarray(candidate.foretell(learned, asked, seed), np.float64)
        except ValueError as refusal:
            could_not[candidate.name] = str(refusal)
            continue
        if forecast.shape != asked.outcome.shape or not ((forecast >= 0.0) & (forecast <= 1.0)).all():
            raise SelectionRefused(
                f"{candidate.name} gave something else than one probability for each row at {origin}"
            )
        forecasts[candidate.name] = forecast
    return Judged(origin, asked.outcome, asked.rows["household_id"].to_numpy(object), forecasts, could_not)


def _values(table: Table, noise: Noise) -> tuple[Floats, Floats]:
    """The metric, origins x candidates, and its mean over the origins in each resample, resamples x candidates.

    A household that is drawn is drawn at every origin, because what is special about it is so at all of them.
    """
    households, unique = pd.factorize(np.concatenate([one.household_ids for one in table.judged] or [np.array([])]))
    values = np.full((len(table.judged), len(table.complexity)), np.nan)
    drawn = np.full((len(table.judged), noise.resamples, len(table.complexity)), np.nan)
    start = 0
    for i, one in enumerate(table.judged):
        end = start + len(one.outcome)
        resamples = Resamples(households[start:end].astype(np.int64), len(unique), noise.resamples, noise.seed)
        able = [j for j, name in enumerate(table.complexity) if name in one.forecasts]
        if able:
            forecasts = [one.forecasts[name] for name in table.complexity if name in one.forecasts]
            found = measured(one.outcome, forecasts, [table.metric], resamples)
            values[i, able], drawn[i][:, able] = found.value[:, 0], found.drawn[:, :, 0]
        start = end
    return values, drawn.mean(axis=0) if len(drawn) else drawn[:0].sum(axis=0)


def _interval(value: float, drawn: Floats, level: float) -> Interval:
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Interval(float(value), float("nan"), float("nan"))
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return Interval(float(value), float(low), float(high))


def _origin(one: Judged) -> dict[str, Any]:
    """Rows and positives of an origin, as far as they may be published."""
    positive = pd.Series(one.household_ids)[one.outcome == 1.0].nunique()
    return {
        "origin": one.origin,
        "n": len(one.outcome),
        "positives": int(one.outcome.sum()) if told(positive) == positive else told(positive),
    }


def _sentence(table: Table, chosen: str, best: str, behind: Interval, noise: Noise) -> str:
    days = ", ".join(one.origin for one in table.judged)
    metric = table.metric.replace("_", " ")
    start = (
        f"Selected over time: {chosen}, at {len(table.judged)} origin(s) ({days}), by {metric}{_aside(table.left_out)}."
    )
    if chosen == best:
        return f"{start} It has the lowest mean regret, and no simpler candidate is within the noise of it."
    return (
        f"{start} It is the simplest within the noise of {best}, which has the lowest mean regret: {behind.value:.4f} "
        f"behind on average, {100 * noise.level:g} % interval {behind.low:+.4f} to {behind.high:+.4f}."
    )


def _aside(left_out: Sequence[str]) -> str:
    return f"; left out: {'; '.join(left_out)}" if left_out else ""


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
