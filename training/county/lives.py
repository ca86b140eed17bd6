"""On whom blows fall, and what deaths, divorces and disappearances do to the household.

A blow's effect on the hazard is settled before; here it finds its person. Where nobody is left whom it could befall (a
divorce after the spouse has died), it is recorded as an emergency without further trace, see `streams_hardship.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.county.assumptions import Assumptions
from training.county.chance import one_of_each, rank_within
from training.county.grid import FAR, Grid, Ints
from training.county.people import CHILD, HEAD, SPOUSE, People
from training.county.shocks import Shocks
from training.county.standing import Places, mortality

STAYED, GREW_UP, DIED, DIVORCED, MOVED_AWAY = range(5)
FAMILY_KINDS = ("death", "divorce", "missing")
Weigh = Callable[[Ints, Ints], npt.NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class Lives:
    """People as they planned and as it went.

    `people` changes as lives go on, `planned` does not. `lost` is the month in which somebody died, left after a
    divorce or went missing, `FAR` for most; `back_to` the household they went back to, else -1. `reason` says why
    somebody leaves; `absent_from` is the month someone went missing. `befell` is the person on whom each blow fell, -1
    where it befell the whole household or nobody was left for it.
    """

    planned: People
    people: People
    lost: Ints
    back_to: Ints
    reason: Ints
    absent_from: Ints
    befell: list[Ints]

    def settled_homes(self, first: int, last: int, delay: int) -> Ints:
        """Homes by the plans, with losses `delay` months after they happened; persons x months."""
        month = np.arange(first, last)[np.newaxis, :]
        gone = month >= (self.lost + delay)[:, np.newaxis]
        return np.where(gone, self.back_to[:, np.newaxis], self.planned.homes(first, last))


def expected(people: People, places: Places, grid: Grid) -> Lives:
    """Lives of which only the plans are known."""
    n, last_home = len(people), np.where(people.next_home >= 0, people.next_home, people.household)
    goes_with_all = people.leaves == places.ends[last_home]
    reason = np.where(people.leaves < grid.simulated, GREW_UP, STAYED)
    reason[goes_with_all] = MOVED_AWAY
    reason[goes_with_all & places.dies_out[last_home]] = DIED
    reason[people.leaves == FAR] = STAYED
    return Lives(
        planned=people.copied(),
        people=people,
        lost=np.full(n, FAR, np.int64),
        back_to=np.full(n, -1, np.int64),
        reason=reason,
        absent_from=np.full(n, FAR, np.int64),
        befell=[],
    )


class Residents:
    """Finds who lives in a household in a month. Follows `people` as they change."""

    def __init__(self, people: People, n_households: int) -> None:
        self._people = people
        movers = np.flatnonzero(people.next_home >= 0)
        person = np.concatenate([np.arange(len(people)), movers])
        home = np.concatenate([people.household, people.next_home[movers]])
        order = np.argsort(home, kind="stable")
        self._person = person[order]
        self._starts = np.searchsorted(home[order], np.arange(n_households + 1))

    def of(self, households: Ints, months: Ints) -> tuple[Ints, Ints]:
        """Pairs (position in `households`, person) of everyone who lives there in that month."""
        counts = self._starts[households + 1] - self._starts[households]
        at = np.repeat(np.arange(len(households)), counts)
        person = self._person[np.repeat(self._starts[households], counts) + rank_within(at)]
        people, month = self._people, months[at]
        home = np.where(month < people.moves[person], people.household[person], people.next_home[person])
        here = (home == households[at]) & (month >= people.joins[person]) & (month < people.leaves[person])
        return at[here], person[here]

    def befallen(self, rng: np.random.Generator, households: Ints, months: Ints, weigh: Weigh) -> Ints:
        """One resident of each household, drawn in proportion to `weigh(person, month)`; -1 where nobody qualifies."""
        at, person = self.of(households, months)
        rows = one_of_each(rng, at, weigh(person, months[at]), len(households))
        return np.where(rows >= 0, person[np.maximum(rows, 0)] if len(person) else -1, -1)


def live(assumptions: Assumptions, lives: Lives, shocks: Shocks, places: Places, rng: np.random.Generator) -> None:
    """Let the family blows of a stretch of months happen in the order of time; `lives` is changed."""
    people = lives.people
    residents = Residents(people, len(places.ends))
    befell = np.full(len(shocks.household), -1, np.int64)
    kinds = [kind.name for kind in assumptions.shocks]
    family = np.flatnonzero(np.isin(shocks.kind, [kinds.index(name) for name in FAMILY_KINDS]))
    family = family[np.lexsort((shocks.kind[family], shocks.month[family], shocks.household[family]))]
    turn = rank_within(shocks.household[family])
    shelters = _parents_homes(people, places.ends)
    for round_number in range(int(turn.max(initial=-1)) + 1):
        now = family[turn == round_number]
        for name in FAMILY_KINDS:
            at = now[shocks.kind[now] == kinds.index(name)]
            person = _whom(
                assumptions, name, lives, residents, shocks.household[at], shocks.month[at], places.ends, rng
            )
            at, person = at[person >= 0], person[person >= 0]
            month = shocks.month[at]
            befell[at] = person
            lives.lost[person] = month
            if name == "death":
                people.leaves[person], lives.reason[person] = month, DIED
            elif name == "missing":
                lives.absent_from[person] = month
            else:
                _separate(assumptions, lives, person, month, shelters, rng)
            _unborn(lives, person, month)
    lives.befell.append(befell)


def _whom(
    assumptions: Assumptions,
    name: str,
    lives: Lives,
    residents: Residents,
    households: Ints,
    months: Ints,
    ends: Ints,
    rng: np.random.Generator,
) -> Ints:
    people = lives.people
    at, person = residents.of(households, months)
    month = months[at]
    age = (month - people.born[person]) / 12.0
    # Nobody is lost twice, and whoever has a marriage ahead lives to see it: the other household counts on it.
    free = (age >= 18.0) & (lives.lost[person] == FAR)
    free &= (people.moves[person] <= month) | (people.moves[person] == FAR)
    settled = free & (people.leaves[person] >= ends[households[at]])
    others = np.bincount(at[settled], minlength=len(households))[at] - settled
    if name == "death":
        weight = mortality(assumptions, age) * free
    elif name == "missing":
        weight = free * 1.0
    else:
        led = np.bincount(at[free & (people.role[person] == HEAD)], minlength=len(households)) > 0
        wed = (people.role[person] == SPOUSE) & (people.moves[person] == FAR) & led[at]
        weight = (free & (wed | (people.moves[person] <= month))) * 1.0
    # A household keeps at least one adult who is there to stay.
    rows = one_of_each(rng, at, weight * (others >= 1), len(households))
    return np.where(rows >= 0, person[np.maximum(rows, 0)] if len(person) else -1, -1)


def _separate(
    assumptions: Assumptions, lives: Lives, person: Ints, month: Ints, shelters: Ints, rng: np.random.Generator
) -> None:
    """After a divorce one goes back to parents in the county, or away."""
    people = lives.people
    home = shelters[rng.integers(0, len(shelters), len(person))] if len(shelters) else np.full(len(person), -1)
    returns = (rng.random(len(person)) < assumptions.returns_to_parents) & (people.moves[person] == FAR)
    returns &= (home >= 0) & (home != people.household[person])
    back, away = person[returns], person[~returns]
    people.moves[back], people.next_home[back] = month[returns], home[returns]
    people.next_role[back] = CHILD
    people.leaves[back] = FAR
    lives.back_to[back] = home[returns]
    people.leaves[away] = month[~returns]
    lives.reason[back], lives.reason[away] = STAYED, DIVORCED


def _parents_homes(people: People, ends: Ints) -> Ints:
    """Households that could take a grown child back."""
    old = (people.role == HEAD) & (people.born < -12.0 * 55) & (ends[people.household] == FAR)
    return np.unique(people.household[old])


def _unborn(lives: Lives, mother: Ints, month: Ints) -> None:
    """No birth in a household after its mother has left it."""
    people = lives.people
    since = np.full(len(people), FAR, np.int64)
    since[mother] = month
    children = np.flatnonzero(people.mother >= 0)
    never = children[since[people.mother[children]] <= lives.planned.joins[children]]
    lives.lost[never] = since[people.mother[never]]
    people.joins[never] = people.leaves[never] = people.moves[never] = FAR
    people.next_home[never] = -1
