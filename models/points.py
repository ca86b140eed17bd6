"""The points model (积分式): weights of true indicators, capped by family, halving with age, added up.

It is the familiar scheme of the platforms, kept as a baseline, as a floor of attention, and as what still answers when
no boosted model may be used. Its columns are the points indicators in force and, last, the cap of one family.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from features.rules.rulebook import States
from features.window import ALWAYS, MICROS_PER_DAY

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
CAP = "points_cap"
BANDS = ("points_yellow", "points_orange", "points_red")


@dataclass(frozen=True)
class PointsModel:
    """Adds points up. `names` are the indicators and then `points_cap`; every family's sum is held at the cap.

    >>> model = PointsModel(("MED-07", "MED-11", "FAM-03", CAP))
    >>> model.margins(np.array([[12.0, 6.0, 5.0, 15.0]])).tolist()
    [20.0]
    """

    names: tuple[str, ...]

    def margins(self, values: Floats) -> Floats:
        """The points of each row."""
        given, base = self.contributions(values)
        return np.asarray(given.sum(axis=1) + base, np.float64)

    def contributions(self, values: Floats) -> tuple[Floats, Floats]:
        """What each indicator added: a family over its cap is scaled down as a whole. The base is zero."""
        items, cap = values[:, :-1], values[:, -1]
        given = np.zeros_like(values)
        for of in _families(self.names[:-1]):
            total = items[:, of].sum(axis=1)
            share = np.where(total > cap, cap / np.where(total > 0, total, 1.0), 1.0)
            given[:, of] = items[:, of] * share[:, np.newaxis]
        return given, np.zeros(len(values))


@lru_cache(maxsize=64)
def _families(names: tuple[str, ...]) -> tuple[Ints, ...]:
    """The columns of each family of indicators."""
    families = np.array([name.split("-", 1)[0] for name in names])
    return tuple(np.flatnonzero(families == family) for family in dict.fromkeys(families))


def points_model(states: States) -> PointsModel:
    """The model of the points indicators in force."""
    return PointsModel((*(each.id for each in states.book.by_mode["points"]), CAP))


def points_given(states: States) -> Floats:
    """Points by household and indicator, after caps; not to be changed."""
    if "points" not in states.kept:
        states.kept["points"] = points_model(states).contributions(point_values(states))[0]
    return np.asarray(states.kept["points"], np.float64)


def point_values(states: States) -> Floats:
    """The columns of the points model for every household: the level's points, halved for every half-life since the
    newest event behind an indicator that decays; 0 where it is false or cannot be evaluated."""
    n = states.facts.n_households
    half_life = states.terms.number("half_life_days")
    columns: list[Floats] = []
    for indicator in states.book.by_mode["points"]:
        reached = states.level(indicator.id)
        points = np.array([level.points for level in indicator.levels] + [0.0])[reached]
        if indicator.decays and (reached >= 0).any():
            newest = states.newest(indicator.id)
            # An event that lies ahead is as fresh as one of today.
            days = np.maximum(states.facts.as_of - newest, 0) / MICROS_PER_DAY
            ages = (newest > ALWAYS) & ~np.isnan(half_life)
            points = np.where(ages, points * 0.5 ** (days / np.where(ages, half_life, 1.0)), points)
        columns.append(points)
    cap = states.terms.number("points_cap")
    columns.append(np.where(np.isnan(cap), np.inf, cap))
    return np.stack(columns, axis=1) if columns else np.zeros((n, 0))


def points_rank(states: States, points: Floats) -> Ints:
    """The band of the points: 0 green, 1 yellow, 2 orange, 3 red. A band without a line in the pack is not reached."""
    rank = np.zeros(len(points), np.int64)
    for i, name in enumerate(BANDS, start=1):
        with np.errstate(invalid="ignore"):
            rank[points >= states.terms.number(name)] = i
    return rank
