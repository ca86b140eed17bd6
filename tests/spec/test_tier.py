"""Tiers: bands cut at the share of households that can be visited."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tier import CAPACITY_SHARES, Bands, Tier

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
