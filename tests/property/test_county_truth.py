"""The county's truth: the probability in `truth.parquet` is the chance with which entries really happen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.county.assumptions import ASSUMPTIONS
from training.county.block import Block, lived_through
from training.county.chance import Chance, drawn
from training.county.grid import county_grid
from training.county.hazard import NEVER_CLEARED, Hazard, State
from training.county.people import JOINED_BEFORE
from training.county.shocks import Shocks, weather
from training.county.status import live_through

GRID = county_grid(ASSUMPTIONS, 40)
HAZARD = Hazard(ASSUMPTIONS, GRID)
KINDS = [kind.name for kind in ASSUMPTIONS.shocks]
NOW = GRID.warm_up + 20
Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    """Four blocks of 4,000 households under one weather."""
    over = weather(ASSUMPTIONS, GRID, Chance(11, -1).of("weather"))
    return [lived_through(ASSUMPTIONS, GRID, HAZARD, 4_000, Chance(11, number), over) for number in range(4)]


def _outcomes(blocks: list[Block], month: int) -> tuple[Floats, Floats]:
    """Truth and outcome of everyone at risk at the end of a month who stays in the county for the horizon."""
    truth, outcome = [], []
    for block in blocks:
        spells = block.course.spells
        inside = (spells.enters > month) & (spells.enters <= month + GRID.horizon)
        enters = np.zeros(block.n, np.bool_)
        enters[spells.household[inside]] = True
        rows = ~np.isnan(block.course.truth[:, month]) & (block.places.ends > month + GRID.horizon)
        truth.append(block.course.truth[rows, month])
        outcome.append(enters[rows].astype(np.float64))
    return np.concatenate(truth), np.concatenate(outcome)


def _state(block: Block, month: int, cleared: npt.NDArray[np.int64]) -> State:
    """Everyone at the end of a month, as if never entered since the month given in `cleared`."""
    state = HAZARD.start(block.n)
    state.cleared = cleared
    for at in range(month + 1):
        HAZARD.strike_month(state, block.exposure, block.shocks, np.flatnonzero(block.shocks.month == at), at)
    return state


def _continued(block: Block, state: State, household: int, copies: int, rng: np.random.Generator) -> Floats:
    """Chance of an entry in each of many drawn futures of one household after NOW."""
    rows = np.full(copies, household)
    ours, future = block.exposure.taken(rows), state.taken(rows)
    total = np.zeros(copies)
    for month in range(NOW + 1, NOW + 1 + GRID.horizon):
        total += HAZARD.intensity(future, ours, month)
        for kind, what in enumerate(ASSUMPTIONS.shocks):
            struck = np.flatnonzero(rng.random(copies) < ours.chances[kind][:, month])
            size = np.array(ASSUMPTIONS.sizes)[drawn(rng, ASSUMPTIONS.size_shares, len(struck))]
            reach = np.array(ASSUMPTIONS.aid_reach)[ours.aid_class[struck]]
            HAZARD.add(future, ours, month, kind, struck, size, rng.random(len(struck)) < what.aided * reach)
    return np.asarray(-np.expm1(-total))


def test_drawn_futures_agree_with_the_closed_form(blocks: list[Block]) -> None:
    block, rng = blocks[0], np.random.default_rng(3)
    cleared = np.where(np.arange(block.n) % 3 == 0, NOW - np.arange(block.n) % 40, NEVER_CLEARED)
    state = _state(block, NOW, cleared)
    exact = HAZARD.probability(state, block.exposure, NOW)
    by_risk = np.argsort(exact)
    chosen = by_risk[np.linspace(0, block.n - 1, 24).astype(np.int64)]
    surprises = []
    for household in chosen:
        drawn_chance = _continued(block, state, int(household), 8_000, rng)
        error = max(float(drawn_chance.std()) / np.sqrt(len(drawn_chance)), 1e-12)
        surprises.append((drawn_chance.mean() - exact[household]) / error)
    assert np.abs(surprises).max() < 4.5
    assert np.mean(np.square(surprises)) < 2.0
    assert exact[chosen[0]] < 0.02 < 0.5 < exact[chosen[-1]], "the households span the range of risks"


def test_truth_is_a_probability_and_is_calibrated_in_every_tenth(blocks: list[Block]) -> None:
    for month in (GRID.warm_up + 11, GRID.simulated - GRID.horizon - 1):
        truth, outcome = _outcomes(blocks, month)
        assert ((truth > 0) & (truth < 1)).all()
        spread = np.sqrt((truth * (1 - truth)).sum())
        assert abs(outcome.sum() - truth.sum()) < 4 * spread
        for tenth in np.array_split(np.argsort(truth), 10):
            spread = np.sqrt((truth[tenth] * (1 - truth[tenth])).sum())
            assert abs(outcome[tenth].sum() - truth[tenth].sum()) < 4 * spread


def test_truth_ranks_well_but_chance_remains(blocks: list[Block]) -> None:
    truth, outcome = _outcomes(blocks, GRID.warm_up + 20)
    assert 0.04 < outcome.mean() < 0.07
    entered, stayed = truth[outcome == 1], truth[outcome == 0]
    above = np.searchsorted(np.sort(stayed), entered).mean() / len(stayed)
    assert 0.78 < above < 0.86


def test_the_yearly_share_of_entries_is_steady(blocks: list[Block]) -> None:
    shares = []
    for year in range(GRID.warm_up, GRID.simulated - 11, 12):
        entries = at_risk = 0.0
        for block in blocks:
            spells, months = block.course.spells, np.arange(year, year + 12)
            entries += ((spells.enters >= year) & (spells.enters < year + 12)).sum()
            free = ~block.course.in_status[:, months] & (block.places.ends[:, np.newaxis] > months)
            at_risk += free.sum() / 12
        shares.append(entries / at_risk)
    assert len(shares) == 3
    assert max(abs(share / np.mean(shares) - 1) for share in shares) < 0.15


def test_truth_does_not_know_the_blows_to_come(blocks: list[Block]) -> None:
    """The same draws without any blow after a month give the same truth up to that month, and another one later."""
    block = blocks[0]
    past = np.flatnonzero(block.shocks.month <= NOW)
    known = Shocks(*(getattr(block.shocks, name)[past] for name in ("household", "month", "kind", "size", "aided")))
    args = (ASSUMPTIONS, GRID, HAZARD, block.exposure)
    again = live_through(*args, known, block.places.ends, block.chance.of("status"))
    np.testing.assert_array_equal(again.truth[:, : NOW + 1], block.course.truth[:, : NOW + 1])
    assert not np.array_equal(again.truth, block.course.truth, equal_nan=True)


def test_what_decides_the_next_year_is_settled_before_it(blocks: list[Block]) -> None:
    """Losses after a month change exposure and vulnerability only from the same month of the next year on."""
    block, month = blocks[0], GRID.warm_up + 5
    lives = block.lives
    undone = replace(lives, lost=np.where(lives.lost > month, 10**6, lives.lost))
    delay = ASSUMPTIONS.settling_months
    first, last = month + 1, month + 1 + GRID.horizon
    np.testing.assert_array_equal(undone.settled_homes(first, last, delay), lives.settled_homes(first, last, delay))
    assert not np.array_equal(
        undone.settled_homes(last, last + 6, delay), lives.settled_homes(last, last + 6, delay)
    ), "later they do"


def test_the_plans_and_the_people_differ_only_by_losses(blocks: list[Block]) -> None:
    lives = blocks[0].lives
    changed = (lives.planned.leaves != lives.people.leaves) | (lives.planned.moves != lives.people.moves)
    assert (lives.lost[changed] < GRID.simulated).all()
    assert (lives.planned.joins[lives.planned.mother < 0] >= JOINED_BEFORE).all()


def test_every_household_has_somebody_until_it_ends(blocks: list[Block]) -> None:
    for block in blocks:
        there = block.places.ends[:, np.newaxis] > np.arange(GRID.simulated)
        assert (block.members[there] > 0).all()
        assert (block.members[~there] == 0).all()


@settings(max_examples=30)
@given(
    kind=st.integers(0, len(KINDS) - 1),
    household=st.integers(0, 3_999),
    months_ago=st.integers(0, 10),
    size=st.sampled_from(ASSUMPTIONS.sizes),
)
def test_a_blow_raises_the_truth_and_aid_takes_part_of_it_back(
    blocks: list[Block], kind: int, household: int, months_ago: int, size: float
) -> None:
    exposure = blocks[0].exposure.taken(np.array([household]))

    def after(struck: bool, aided: bool, how_hard: float) -> float:
        state = HAZARD.start(1)
        if struck:
            HAZARD.add(state, exposure, NOW - months_ago, kind, np.array([0]), np.array([how_hard]), np.array([aided]))
        return float(HAZARD.probability(state, exposure, NOW)[0])

    untouched, alone, aided = after(False, False, size), after(True, False, size), after(True, True, size)
    assert untouched < aided < alone
    assert alone < after(True, False, size + 0.5)
