"""On whom blows fall, and what deaths, divorces and disappearances do to the household.

A blow's effect on the hazard is settled before; here it finds its person. Where nobody is left whom it could befall (a
divorce after the spouse has died), it is recorded as an emergency without further trace, see `streams_hardship.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from training.county.assumptions import Assumptions
from training.county.chance import one_of_each, rank_within
from training.county.grid import FAR, Floats, Grid, Ints
from training.county.people import CHILD, HEAD, SPOUSE, People
from training.county.shocks import Shocks
from training.county.standing import Places, mortality

STAYED, GREW_UP, DIED, DIVORCED, MOVED_AWAY = range(5)
FAMILY_KINDS = ("death", "divorce", "missing")
Weigh = Callable[[Ints, Ints], Floats]


@dataclass(frozen=True)
class Lives:
    """People as their lives went. `reason` says why each left; `absent_from` is the month someone went missing.

    `befell` is the person on whom each blow fell, -1 where it befell the whole household or nobody was left for it.
    """

    people: People
    reason: Ints
    absent_from: Ints
    befell: Ints


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


def live(
    assumptions: Assumptions, grid: Grid, people: People, shocks: Shocks, places: Places, rng: np.random.Generator
) -> Lives:
    """Let family blows happen in the order of time; the people given are changed."""
    ends = places.ends
    n = len(ends)
    residents = Residents(people, n)
    last_home = np.where(people.next_home >= 0, people.next_home, people.household)
    reason = np.where(people.leaves < grid.simulated, GREW_UP, STAYED)
    reason[people.leaves == ends[last_home]] = MOVED_AWAY
    reason[(people.leaves == ends[last_home]) & places.dies_out[last_home]] = DIED
    reason[people.leaves == FAR] = STAYED
    absent = np.full(len(people), FAR, np.int64)
    befell = np.full(len(shocks.household), -1, np.int64)
    kinds = [kind.name for kind in assumptions.shocks]
    family = np.flatnonzero(np.isin(shocks.kind, [kinds.index(name) for name in FAMILY_KINDS]))
    family = family[np.lexsort((shocks.kind[family], shocks.month[family], shocks.household[family]))]
    turn = rank_within(shocks.household[family])
    shelters = _parents_homes(people, ends)
    for round_number in range(int(turn.max(initial=-1)) + 1):
        now = family[turn == round_number]
        for name in FAMILY_KINDS:
            at = now[shocks.kind[now] == kinds.index(name)]
            person = _whom(assumptions, name, people, residents, shocks.household[at], shocks.month[at], ends, absent, rng)
            at, person = at[person >= 0], person[person >= 0]
            month = shocks.month[at]
            befell[at] = person
            if name == "death":
                people.leaves[person], reason[person] = month, DIED
            elif name == "missing":
                absent[person] = month
            else:
                _separate(people, reason, person, month, shelters, rng)
    _unborn(people)
    return Lives(people, reason, absent, befell)


def placed(lives: Lives, at: Ints, person: Ints) -> Lives:
    """The same lives with the blows at positions `at` falling on these persons."""
    befell = lives.befell.copy()
    befell[at] = person
    return replace(lives, befell=befell)


def _whom(
    assumptions: Assumptions,
    name: str,
    people: People,
    residents: Residents,
    households: Ints,
    months: Ints,
    ends: Ints,
    absent: Ints,
    rng: np.random.Generator,
) -> Ints:
    at, person = residents.of(households, months)
    month = months[at]
    age = (month - people.born[person]) / 12.0
    free = (age >= 18.0) & (absent[person] > month)
    # Whoever has a marriage ahead lives to see it: the other household counts on it.
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
    people: People, reason: Ints, person: Ints, month: Ints, shelters: Ints, rng: np.random.Generator
) -> None:
    """After a divorce one goes back to parents in the county, or away."""
    home = shelters[rng.integers(0, len(shelters), len(person))] if len(shelters) else np.full(len(person), -1)
    returns = (rng.random(len(person)) < 0.4) & (people.moves[person] == FAR) & (home != people.household[person])
    returns &= home >= 0
    back, away = person[returns], person[~returns]
    people.moves[back], people.next_home[back] = month[returns], home[returns]
    people.next_role[back] = CHILD
    people.leaves[back] = FAR
    people.leaves[away], reason[away] = month[~returns], DIVORCED
    reason[back] = STAYED


def _parents_homes(people: People, ends: Ints) -> Ints:
    """Households that could take a grown child back."""
    old = (people.role == HEAD) & (people.born < -12.0 * 55) & (ends[people.household] == FAR)
    return np.unique(people.household[old])


def _unborn(people: People) -> None:
    """No birth in a household that the mother has left."""
    children = np.flatnonzero(people.mother >= 0)
    mother, month = people.mother[children], people.joins[children]
    home = np.where(month < people.moves[mother], people.household[mother], people.next_home[mother])
    absent = (home != people.household[children]) | (month >= people.leaves[mother])
    never = children[absent]
    people.joins[never] = people.leaves[never] = people.moves[never] = FAR
    people.next_home[never] = -1

