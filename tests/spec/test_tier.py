"""Tiers: bands cut at the share of households that can be visited; the highest of three voices; a slow way down."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tier import CAPACITY_SHARES, Bands, Previous, Standing, Tier, standing

BANDS = Bands(red=0.4, orange=0.3, yellow=0.2)
ATTENTION = [Tier.GREEN, Tier.YELLOW, Tier.ORANGE, Tier.RED]


@pytest.mark.parametrize(
    ("probability", "tier"),
    [
        (1.0, Tier.RED),
        (0.4, Tier.RED),
        (np.nextafter(0.4, 0), Tier.ORANGE),
        (0.3, Tier.ORANGE),
        (np.nextafter(0.3, 0), Tier.YELLOW),
        (0.2, Tier.YELLOW),
        (np.nextafter(0.2, 0), Tier.GREEN),
        (0.0, Tier.GREEN),
    ],
)
def test_a_band_begins_at_its_own_bound(probability: float, tier: Tier) -> None:
    assert BANDS.tier(float(probability)) is tier


def test_a_probability_that_nobody_knows_has_no_band() -> None:
    with pytest.raises(ValueError, match="grey"):
        BANDS.tier(float("nan"))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50))
def test_a_higher_probability_never_gets_less_attention_and_no_score_is_grey(probabilities: list[float]) -> None:
    bands = Bands.from_scores(np.array(probabilities))
    tiers = [ATTENTION.index(bands.tier(p)) for p in sorted(probabilities)]
    assert all(a <= b for a, b in pairwise(tiers))


def test_bands_hold_the_shares_that_can_be_visited() -> None:
    scores = np.random.default_rng(3).beta(1, 20, 50_000)
    bands = Bands.from_scores(scores)
    tiers = np.array([ATTENTION.index(bands.tier(p)) for p in scores])
    for name, share in CAPACITY_SHARES.items():
        assert (tiers >= ATTENTION.index(Tier(name))).mean() == pytest.approx(share, abs=2e-4)


def test_another_capacity_gives_other_bands() -> None:
    scores = np.linspace(0, 1, 1_001)
    assert Bands.from_scores(scores, {"red": 0.1, "orange": 0.2, "yellow": 0.5}) == Bands(0.9, 0.8, 0.5)


def test_tiers_are_named_as_the_contract_names_them() -> None:
    assert [tier.value for tier in Tier] == ["red", "orange", "yellow", "green", "grey"]


def stands(**given: Any) -> Standing:
    """A household about which nothing is said, unless told otherwise."""
    return standing(**{"floors": {}, "points_rank": 0, "probability": None, "bands": BANDS, **given})


@pytest.mark.parametrize(
    ("given", "tier", "basis"),
    [
        ({}, "green", ("nothing_found",)),
        ({"probability": 0.1}, "green", ("probability",)),
        ({"probability": 0.25}, "yellow", ("probability",)),
        ({"points_rank": 2, "probability": 0.25}, "orange", ("points",)),
        ({"floors": {"DIS-01": 2, "MED-05": 1}, "points_rank": 1, "probability": 0.01}, "orange", ("trigger:DIS-01",)),
        ({"floors": {"SHK-01": 3, "HSG-01": 3, "MED-05": 1}}, "red", ("trigger:HSG-01", "trigger:SHK-01")),
        (
            {"floors": {"DIS-01": 2}, "points_rank": 2, "probability": 0.3},
            "orange",
            ("trigger:DIS-01", "points", "probability"),
        ),
        ({"floors": {"MED-05": 1}, "probability": 0.9}, "red", ("probability",)),
    ],
)
def test_the_tier_is_the_highest_voice_and_names_every_one_as_high(
    given: dict[str, Any], tier: str, basis: tuple[str, ...]
) -> None:
    found = stands(**given)
    assert (found.tier.value, found.computed.value, found.basis) == (tier, tier, basis)


def test_without_bands_the_probability_decides_nothing_and_is_not_named() -> None:
    assert stands(probability=0.99, bands=None).basis == ("nothing_found",)
    assert stands(floors={"MED-05": 1}, probability=0.99, bands=None).basis == ("trigger:MED-05",)


def test_grey_is_only_for_who_would_be_green() -> None:
    silent = ("trigger:SOC-01",)
    assert (stands(grey=silent).tier, stands(grey=silent).basis) == (Tier.GREY, silent)
    assert stands(grey=silent, probability=0.01).tier is Tier.GREY
    raised = stands(grey=silent, floors={"MED-05": 1})
    assert (raised.tier, raised.basis) == (Tier.YELLOW, ("trigger:MED-05",))


def test_a_tier_falls_after_two_runs_that_say_so() -> None:
    first = stands(floors={"SHK-01": 3})
    second = stands(previous=Previous(first.tier, first.computed))
    assert (second.tier, second.computed) == (Tier.RED, Tier.GREEN)
    assert second.basis == ("nothing_found", "held:red")
    third = stands(previous=Previous(second.tier, second.computed))
    assert (third.tier, third.basis) == (Tier.GREEN, ("nothing_found",))


def test_it_falls_only_as_far_as_is_computed_and_rises_at_once() -> None:
    held = stands(floors={"MED-05": 1}, previous=Previous(Tier.RED, Tier.RED))
    assert (held.tier, held.computed) == (Tier.RED, Tier.YELLOW)
    fallen = stands(floors={"MED-05": 1}, previous=Previous(held.tier, held.computed))
    assert (fallen.tier, fallen.basis) == (Tier.YELLOW, ("trigger:MED-05",))
    risen = stands(floors={"SHK-01": 3}, previous=Previous(Tier.YELLOW, Tier.YELLOW))
    assert (risen.tier, risen.basis) == (Tier.RED, ("trigger:SHK-01",))


def test_a_second_run_that_says_more_than_the_first_starts_the_wait_again() -> None:
    """Red, then computed yellow, then computed red again: the next lower run is a first one."""
    back = stands(floors={"SHK-01": 3}, previous=Previous(Tier.RED, Tier.YELLOW))
    assert stands(previous=Previous(back.tier, back.computed)).tier is Tier.RED


def test_a_visit_lets_it_fall_at_once() -> None:
    assert stands(previous=Previous(Tier.RED, Tier.RED), visited_since=True).tier is Tier.GREEN


def test_a_household_that_falls_silent_is_not_held_for_ever() -> None:
    silent = ("trigger:SOC-01",)
    second = stands(grey=silent, previous=Previous(Tier.RED, Tier.RED))
    assert (second.tier, second.computed) == (Tier.RED, Tier.GREY)
    assert stands(grey=silent, previous=Previous(second.tier, second.computed)).tier is Tier.GREY


@pytest.mark.parametrize("before", [Tier.GREY, Tier.GREEN])
def test_nothing_lower_than_green_holds_anything_up(before: Tier) -> None:
    assert stands(grey=("no_events",), previous=Previous(before, before)).tier is Tier.GREY
    assert stands(previous=Previous(before, before)).tier is Tier.GREEN
