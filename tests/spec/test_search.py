"""The search for settings stays inside its budget and its rows, and keeps the defaults unless noise is ruled out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training import search
from training.learning import PARAMETERS
from training.search import SPACE, searched

PLAIN: dict[str, Any] = {**PARAMETERS, "num_threads": 1}


def rows(n: int = 3_000, seed: int = 1, signal: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 8))
    outcome = (rng.random(n) < 1 / (1 + np.exp(-(signal * values[:, 0] - 1)))) * 1.0
    return values, outcome, np.array([f"h{i // 2}" for i in range(n)], object)


def test_without_tries_nothing_is_searched() -> None:
    found = searched(*rows(50), PLAIN, seed=1, tries=1)
    assert (found.chosen, found.tries, found.rows) == ({}, (), 0)


def test_every_try_is_recorded_and_the_defaults_come_first() -> None:
    found = searched(*rows(), PLAIN, seed=1, tries=3)
    assert len(found.tries) == 3
    assert found.tries[0].settings == {name: float(PLAIN.get(name, 0.0)) for name in SPACE}
    assert (found.tries[0].above_default, found.tries[0].standard_error) == (0.0, 0.0)
    assert all(one.settings[name] in SPACE[name] for one in found.tries[1:] for name in SPACE)
    assert "3 tries on 3,000 training rows" in found.text


def test_the_same_seed_tries_the_same() -> None:
    first, again = (searched(*rows(), PLAIN, seed=4, tries=2) for _ in range(2))
    assert first == again
    assert searched(*rows(), PLAIN, seed=5, tries=2).tries[1].settings != first.tries[1].settings


def test_pure_noise_keeps_the_defaults() -> None:
    found = searched(*rows(signal=0.0), PLAIN, seed=2, tries=4)
    assert found.chosen == {}
    assert "kept" in found.text


def test_defaults_that_learn_nothing_are_left_behind() -> None:
    blind = {**PLAIN, "min_data_in_leaf": 2_900}
    found = searched(*rows(signal=2.0), blind, seed=3, tries=3)
    best = min(found.tries, key=lambda tried: tried.log_loss)
    assert best.above_default < -2 * best.standard_error
    assert found.chosen["min_data_in_leaf"] == best.settings["min_data_in_leaf"]
    assert isinstance(found.chosen["min_data_in_leaf"], int)


def test_whole_households_are_sampled_and_no_more_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_ROWS", 1_000)
    owners = rows()[2]
    kept = search._sampled(owners, 1)
    assert 800 < len(kept) < 1_200
    assert all(count == 2 for count in np.unique(owners[kept].astype(str), return_counts=True)[1])


def test_the_seconds_end_the_search_after_the_defaults() -> None:
    assert len(searched(*rows(), PLAIN, seed=1, tries=5, seconds=0.0).tries) == 1
