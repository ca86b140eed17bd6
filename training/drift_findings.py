"""What the watched figures mean: one plain sentence and one verdict each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from models.frequency import SPOKEN, is_spoken
from models.profile import Profile
from training.level import Level

Verdict = Literal["fine", "watch", "recalibrate", "wording_off"]

VERDICTS: tuple[Verdict, ...] = ("fine", "watch", "recalibrate", "wording_off")
PSI_MARKS = (0.1, 0.25)
UNKNOWN_CHANGE = 0.10
LEVEL_BOUNDS = (0.8, 1.25)
SLOPE_BOUNDS = (0.8, 1.2)
ABSTAINED_MOST = 0.15
FEWEST_AFFECTED = 30
# A feature below this share of the model's weight can change as it likes.
WEIGHT_COUNTS = 0.01


@dataclass(frozen=True)
class Changed:
    """One feature (or the score) now and in training.

    `psi` is its population stability index, `chance` what it reaches once in a thousand times although nothing
    changed. `unknown_then` is None where training does not tell it. `weight` is its share of the model's importance.
    """

    name: str
    psi: float
    chance: float
    unknown_then: float | None
    unknown_now: float
    weight: float

    def exceeds(self, mark: float) -> bool:
        """Whether it lies above the mark, and not by chance."""
        return self.psi > max(mark, self.chance)


def moved_most(features: Sequence[Changed], n: int) -> list[Changed]:
    """The features that moved most, those that weigh in the model before the others."""
    return sorted(features, key=lambda one: (one.weight < WEIGHT_COUNTS, -one.psi))[:n]


@dataclass(frozen=True)
class Season:
    """Mean probability of one month and of the same month a year before."""

    month: str
    now: float
    year_ago: float


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what it says, in one sentence."""

    name: str
    verdict: Verdict
    text: str


def is_off(level: Level) -> bool:
    """Whether 30 households or more had the outcome, the level is outside 0.8 to 1.25 and its interval excludes 1."""
    if level.ratio is None or level.affected is None or level.affected < FEWEST_AFFECTED:
        return False
    value, low, high = level.ratio
    return not (LEVEL_BOUNDS[0] <= value <= LEVEL_BOUNDS[1]) and not (low <= 1.0 <= high)


def level_finding(level: Level | None) -> Finding:
    """Whether 8 of 100 still means 8 of 100."""
    if level is None:
        return Finding("level", "watch", "No outcome is known yet, so the level of the probabilities is not checked.")
    if level.ratio is None or level.affected is None or level.affected < FEWEST_AFFECTED:
        text = f"Fewer than {FEWEST_AFFECTED} households had the outcome in {level.period}: too few to check the level."
        return Finding("level", "watch", text)
    value, low, high = level.ratio
    found = f"In {level.period}, {value:.2f} outcomes were observed per outcome foretold ({low:.2f} to {high:.2f})"
    if not is_spoken(value):
        ending = "no per-100 sentence may be shown until somebody has looked"
        return Finding("level", "wording_off", f"{found}, outside {SPOKEN[0]} to {SPOKEN[1]}: {ending}.")
    bounds = f"{LEVEL_BOUNDS[0]} to {LEVEL_BOUNDS[1]}"
    if is_off(level):
        return Finding("level", "recalibrate", f"{found}, outside {bounds} and not by chance.")
    if not LEVEL_BOUNDS[0] <= value <= LEVEL_BOUNDS[1]:
        return Finding("level", "watch", f"{found}, outside {bounds}, which may be chance.")
    return Finding("level", "fine", f"{found}, within {bounds}.")


def slope_finding(slope: float | None) -> Finding | None:
    """Whether high and low probabilities lie as far apart as the outcomes say."""
    if slope is None:
        return None
    inside = SLOPE_BOUNDS[0] <= slope <= SLOPE_BOUNDS[1]
    spread = "too far apart" if slope < 1.0 else "too close together"
    text = f"The calibration slope is {slope:.2f}" + ("." if inside else f": probabilities lie {spread}.")
    return Finding("slope", "fine" if inside else "watch", text)


def score_finding(score: Changed) -> Finding:
    """Whether the scores are spread as in training."""
    moved = score.exceeds(PSI_MARKS[0])
    how = "moved" if score.exceeds(PSI_MARKS[1]) else "moved a little" if moved else "are spread as in training"
    return Finding("score", "watch" if moved else "fine", f"The scores {how} (stability index {score.psi:.2f}).")


def feature_finding(features: Sequence[Changed]) -> Finding:
    """Which features that matter have moved."""
    heavy = [one for one in features if one.weight >= WEIGHT_COUNTS]
    moved = sorted((one for one in heavy if one.exceeds(PSI_MARKS[1])), key=lambda one: -one.psi)
    if not moved:
        text = f"None of the {len(heavy)} features that weigh most moved far from training."
        return Finding("features", "fine", text)
    named = ", ".join(f"{one.name} ({one.psi:.2f})" for one in moved[:5])
    text = f"{len(moved)} of the {len(heavy)} features that weigh most moved far from training: {named}."
    return Finding("features", "watch", text)


def unknown_finding(features: Sequence[Changed], n: tuple[int, int]) -> Finding:
    """Which features that matter are unknown more or less often; `n` are the households now and in training."""

    def moved(one: Changed) -> bool:
        if one.unknown_then is None or one.weight < WEIGHT_COUNTS:
            return False
        spread = sum(p * (1.0 - p) / k for p, k in zip((one.unknown_now, one.unknown_then), n, strict=True))
        return bool(abs(one.unknown_now - one.unknown_then) > max(UNKNOWN_CHANGE, 3.3 * spread**0.5))

    found = sorted(filter(moved, features), key=lambda one: -abs(one.unknown_now - (one.unknown_then or 0.0)))
    if not found:
        return Finding("unknown", "fine", "What weighs most is known about as often as in training.")
    named = ", ".join(f"{one.name} ({one.unknown_then or 0.0:.0%} to {one.unknown_now:.0%})" for one in found[:5])
    text = f"Unknown shares changed in {len(found)} features; has a source stopped or joined? {named}."
    return Finding("unknown", "watch", text)


def season_finding(season: Season | None) -> Finding | None:
    """The latest month against the same month a year before, so that seasons are no drift."""
    if season is None:
        return None
    ratio = season.now / season.year_ago if season.year_ago > 0.0 else float("inf")
    inside = LEVEL_BOUNDS[0] <= ratio <= LEVEL_BOUNDS[1]
    text = f"The mean probability of {season.month} is {ratio:.2f} times that of the same month a year before."
    return Finding("season", "fine" if inside else "watch", text)


def abstained_finding(profile: Profile, recent: pd.DataFrame) -> Finding | None:
    """Whether too many households get no score."""
    if "abstained" not in recent or recent.empty:
        return None
    share = float(recent["abstained"].mean())
    known = profile.abstained
    too_many = share > ABSTAINED_MOST or (known is not None and share > known + 0.05)
    then = "" if known is None else f", {known:.1%} in training"
    return Finding("abstained", "watch" if too_many else "fine", f"{share:.1%} of the households get no score{then}.")
