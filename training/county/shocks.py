"""Blows to households: how exposed each is, when they strike, how hard, and whether aid follows.

Arrivals are independent of one another and of what has happened before: each kind strikes a household at most once a
month, with a chance known in advance. That is what makes the true hazard exact. What a blow looks like in the data
does depend on what has happened before; see `lives.py` and the streams.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from training.county.assumptions import SEASONS, Assumptions
from training.county.chance import drawn, monthly
from training.county.grid import Bools, Floats, Grid, Ints
from training.county.standing import Composition, Places, Standing, elders_only


@dataclass(frozen=True)
class Shocks:
    """Blows by month, kind and household. `kind` indexes the assumed kinds, `size` multiplies the usual weight."""

    household: Ints
    month: Ints
    kind: Ints
    size: Floats
    aided: Bools

    def of(self, kind: int) -> Ints:
        """Positions of the blows of one kind, in order of time."""
        return np.flatnonzero(self.kind == kind)


def exposures(assumptions: Assumptions, composed: Composition, places: Places) -> dict[str, Floats]:
    """Exposed units of every household in every month, by the name that a shock kind gives; households x months."""
    by_band, members = composed.by_band, np.maximum(composed.members, 1.0)
    sick = 1.0 + (assumptions.illness_if_chronic - 1.0) * np.minimum(composed.chronic / members, 1.0)
    lives_here = (composed.members > 0).astype(np.float64)
    return {
        "illness": np.tensordot(np.array(assumptions.illness_by_age), by_band, 1) * sick,
        "chronic": np.tensordot(np.array(assumptions.chronic_by_age), by_band, 1),
        "disability": np.tensordot(np.array(assumptions.disability_by_age), by_band, 1),
        "job_loss": composed.earner_risk,
        "earners": composed.earners,
        "farm": (places.farm > 0)[:, np.newaxis] * lives_here,
        "house": lives_here,
        # The last one of a household does not die by a blow: that is a way of leaving the county (`Places.ends`).
        "mortality": np.where(composed.adults >= 2, composed.mortality, 0.0),
        "couple": composed.couples,
        "adults": np.where(composed.adults >= 2, composed.adults, 0.0),
        # Certificates of admission come in one month, so a year's chance falls into it.
        "turning_18": 12.0 * composed.turning_18,
        "teenagers": composed.teenagers,
        "pensioners": composed.pensioners,
    }


def arrival_chances(assumptions: Assumptions, exposed: dict[str, Floats], calendar: Ints) -> list[Floats]:
    """Chance that a blow of each kind strikes in a month, one array a kind; `calendar` names the months (0 January)."""
    return [
        monthly(exposed[kind.exposure] * kind.yearly * np.array(SEASONS[kind.season])[calendar]).astype(np.float32)
        for kind in assumptions.shocks
    ]


@dataclass(frozen=True)
class Weather:
    """What comes over whole townships, the same for every block of the county.

    For each regional kind, by its position: whether it comes to a township in a month (townships x months), and the
    chance of that (months).
    """

    comes: dict[int, Bools]
    chance: dict[int, Floats]


def weather(assumptions: Assumptions, grid: Grid, rng: np.random.Generator) -> Weather:
    """Draw the weather of all simulated months."""
    comes, chance = {}, {}
    calendar = grid.calendar()[: grid.simulated]
    for index, kind in enumerate(assumptions.shocks):
        if kind.regional > 0:
            usual = monthly(kind.yearly * np.array(SEASONS[kind.season])[calendar])
            chance[index] = np.minimum(usual / kind.regional, 1.0)
            comes[index] = rng.random((sum(assumptions.townships), grid.simulated)) < chance[index]
    return Weather(comes, chance)


def strike(
    assumptions: Assumptions,
    chances: list[Floats],
    first: int,
    township: Ints,
    aid_class: Ints,
    over_townships: Weather,
    rng: np.random.Generator,
) -> Shocks:
    """Draw the blows of a stretch of months that begins with `first`; `chances` cover the stretch.

    A regional kind strikes where it comes, and passes the township by otherwise, so that each household's own chance
    stays what `chances` says.
    """
    n, months = chances[0].shape
    households, when, kinds = [], [], []
    for index in range(len(assumptions.shocks)):
        chance = chances[index]
        if index in over_townships.comes:
            comes = over_townships.comes[index][:, first : first + months][township]
            usual = np.maximum(over_townships.chance[index][first : first + months], 1e-12)
            chance = np.where(comes, chance / usual, 0.0)
        household, month = np.nonzero(rng.random((n, months), np.float32) < chance)
        households.append(household)
        when.append(month + first)
        kinds.append(np.full(len(household), index))
    household, month, kind_of = (np.concatenate(part).astype(np.int64) for part in (households, when, kinds))
    order = np.lexsort((household, kind_of, month))
    household, month, kind_of = household[order], month[order], kind_of[order]
    size = np.array(assumptions.sizes)[drawn(rng, assumptions.size_shares, len(household))]
    usual_aid = np.array([kind.aided for kind in assumptions.shocks])[kind_of]
    reach = np.array(assumptions.aid_reach)[aid_class[household]]
    return Shocks(household, month, kind_of, size, rng.random(len(household)) < usual_aid * reach)


def joined_up(parts: list[Shocks]) -> Shocks:
    """Blows of consecutive stretches of months as one."""
    return Shocks(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Shocks)))


def weaknesses(composed: Composition, standing: Standing) -> dict[str, Bools]:
    """Which households bear a kind of blow worse, by the name that a shock kind gives; households x months."""
    return {
        "low_buffer": np.broadcast_to(standing.low_buffer[:, np.newaxis], composed.members.shape),
        "elders_alone": elders_only(composed),
        "few_hands": composed.working_age <= 1,
        "one_earner": (composed.earners == 1) & (composed.members >= 3),
    }
