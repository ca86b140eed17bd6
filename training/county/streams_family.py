"""Registry traces: births, deaths, marriages, divorces, people joining, leaving and missing; and the members table."""

from __future__ import annotations

import numpy as np

from features.window import MICROS_PER_DAY
from training.county.block import CHANGE_OF_HOME, Block
from training.county.grid import SECOND, Ints
from training.county.ledger import Ledger
from training.county.lives import DIED, MOVED_AWAY
from training.county.people import MAN, OTHER, WOMAN
from training.county.stays import Stays


def registry(block: Block, ledger: Ledger) -> Stays:
    """Enter the registry's events and return who lived where from when to when."""
    stays = _stays(block)
    people, lives = block.people, block.lives
    simulated = block.grid.simulated
    born = np.flatnonzero((people.mother >= 0) & (people.joins < simulated))
    first = stays.joined_at[: len(people)]
    ledger.add("HLT//BIRTH", people.household[born], first[born], person=born)
    came = np.flatnonzero((people.joins >= 0) & (people.joins < simulated))
    ledger.add("HKM//MEMBER_JOIN", people.household[came], first[came], person=came)
    came = np.flatnonzero((people.moves < simulated) & (people.next_home >= 0) & (people.moves < people.leaves))
    second = np.full(len(people), -1, np.int64)
    second[stays.person[len(people) :]] = np.arange(len(people), len(stays.person))
    ledger.add("HKM//MEMBER_JOIN", people.next_home[came], stays.joined_at[second[came]], person=came)
    _ends(block, ledger, stays, second)
    _marriages(block, ledger, stays, second)
    missing = np.flatnonzero(lives.absent_from < simulated)
    month = lives.absent_from[missing]
    rng = block.chance.of("registry")
    ledger.add("HKM//MISSING", block.home_in(missing, month), block.sometime(rng, month), person=missing)
    _orphans(block, ledger, rng)
    return stays


def _stays(block: Block) -> Stays:
    """First homes of everyone, then second homes of those who moved within the county."""
    people, grid = block.people, block.grid
    rng = block.chance.of("stays")
    n = len(people)
    joined_part, moved_part = rng.uniform(*CHANGE_OF_HOME, n), rng.uniform(*CHANGE_OF_HOME, n)
    left_part = np.where(block.lives.reason == DIED, rng.uniform(0.08, 0.95, n), rng.uniform(*CHANGE_OF_HOME, n))
    # A household that moves away goes on one day.
    day_of_moving = rng.uniform(*CHANGE_OF_HOME, block.n)[
        np.where(people.next_home >= 0, people.next_home, people.household)
    ]
    left_part = np.where(block.lives.reason == MOVED_AWAY, day_of_moving, left_part)
    since_birth = grid.moment(np.floor(people.born).astype(np.int64), people.born - np.floor(people.born))
    long_ago = grid.moment(-12 * 12 * np.ones(n, np.int64) + np.floor(60 * joined_part).astype(np.int64), joined_part)
    before = np.maximum(since_birth, long_ago)
    joined = np.where(people.joins >= 0, grid.moment(np.minimum(people.joins, grid.reach), joined_part), before)
    moved = grid.moment(np.minimum(people.moves, grid.reach), moved_part)
    left = grid.moment(np.minimum(people.leaves, grid.reach), left_part)
    movers = np.flatnonzero((people.next_home >= 0) & (people.moves < people.leaves))
    went_first = people.moves < people.leaves
    born_at = np.where(people.joins >= 0, np.where(people.mother >= 0, joined, since_birth), since_birth)
    # Days are counted from local midnights, where the months of the grid begin.
    born_on = (born_at - int(grid.starts[0])) // MICROS_PER_DAY + -(-int(grid.starts[0]) // MICROS_PER_DAY)
    return Stays(
        person=np.concatenate([np.arange(n), movers]),
        household=np.concatenate([people.household, people.next_home[movers]]),
        role=np.concatenate([people.role, people.next_role[movers]]),
        joins=np.concatenate([people.joins, people.moves[movers]]),
        leaves=np.concatenate([np.minimum(people.moves, people.leaves), people.leaves[movers]]),
        joined_at=np.concatenate([joined, moved[movers]]),
        left_at=np.concatenate([np.where(went_first, moved, left), left[movers]]),
        born_on=np.concatenate([born_on, born_on[movers]]),
        sex=np.concatenate([people.sex, people.sex[movers]]),
    )


def _ends(block: Block, ledger: Ledger, stays: Stays, second: Ints) -> None:
    """Deaths and departures. The event stands a second before the membership ends, so that it is still the home's."""
    people, lives, simulated = block.people, block.lives, block.grid.simulated
    gone = np.flatnonzero((people.leaves < simulated) & (people.leaves > people.joins))
    at = np.where(second[gone] >= 0, second[gone], gone)
    moment, home = stays.left_at[at] - SECOND, stays.household[at]
    dead = lives.reason[gone] == DIED
    age = np.clip((people.leaves[gone] - people.born[gone]) / 12.0, 0.0, 110.0)
    ledger.add("FUN//CREMATE", home[dead], moment[dead], person=gone[dead], value=np.floor(age[dead]))
    ledger.add("HKM//MEMBER_LEAVE", home[~dead], moment[~dead], person=gone[~dead])
    moved = np.flatnonzero((second >= 0) & (people.moves < simulated))
    ledger.add("HKM//MEMBER_LEAVE", people.household[moved], stays.left_at[moved] - SECOND, person=moved)


def _marriages(block: Block, ledger: Ledger, stays: Stays, second: Ints) -> None:
    """Marriages, registered for the one who joins the other's household; divorces, for both."""
    people, simulated = block.people, block.grid.simulated
    outside = np.flatnonzero(
        (people.role == OTHER)
        & (people.sex == WOMAN)
        & (people.mother < 0)
        & (people.joins >= 0)
        & (people.joins < simulated)
    )
    ledger.add("MAR//MARRY", people.household[outside], stays.joined_at[outside], person=outside)
    wed = np.flatnonzero((second >= 0) & (people.moves < simulated) & (people.next_role == OTHER))
    ledger.add("MAR//MARRY", people.next_home[wed], stays.joined_at[second[wed]], person=wed)
    at = block.blows("divorce")
    left = block.befell[at]
    at, left = at[left >= 0], left[left >= 0]
    month = block.shocks.month[at]
    moment = block.grid.moment(month, 0.0)
    household = block.shocks.household[at]
    ledger.add("MAR//DIVORCE", np.where(month > 0, household, -1), moment - 3 * MICROS_PER_DAY, person=left)
    kept = block.befallen(block.chance.of("divorced"), at, lambda person, when: (people.sex[person] == MAN) * 1.0)
    ledger.add("MAR//DIVORCE", np.where(kept >= 0, household, -1), moment - 3 * MICROS_PER_DAY, person=kept)


def _orphans(block: Block, ledger: Ledger, rng: np.random.Generator) -> None:
    """Children whom a death or disappearance leaves without a parent who could support them."""
    people, assumptions = block.people, block.assumptions
    at = np.sort(np.concatenate([block.blows("death"), block.blows("missing")]))
    gone = block.befell[at]
    at = at[(gone >= 0) & (people.born[np.maximum(gone, 0)] > -12.0 * 60)]
    at = at[rng.random(len(at)) < assumptions.unsupported_share]
    month = np.minimum(block.shocks.month[at] + 1, block.grid.simulated - 1)
    child = block.residents.befallen(
        rng, block.shocks.household[at], month, lambda person, when: ((when - people.born[person]) < 12.0 * 16) * 1.0
    )
    amount = assumptions.orphan_allowance * rng.uniform(0.9, 1.2, len(at))
    ledger.add("CHD//ORPHAN", block.home_in(child, month), block.sometime(rng, month), person=child, value=amount)
