"""The bounds of recall at capacity hold for every order of the ties, and are met; the expectation is their mean."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluation import evaluate, reached


@st.composite
def lists(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    n = draw(st.integers(1, 7))
    outcome = np.array(draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n)))
    probability = np.array(draw(st.lists(st.sampled_from([0.1, 0.2, 0.7]), min_size=n, max_size=n)))
    return outcome, probability, draw(st.integers(1, n))


@settings(max_examples=150, deadline=None)
@given(lists())
def test_bounds_and_expectation_equal_the_enumeration_of_all_orders(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    outcome, probability, visits = case
    hits = []
    for order in permutations(range(len(outcome))):
        ranked = sorted(order, key=lambda row: -probability[row])  # stable: ties stay in the order of the permutation
        hits.append(sum(outcome[row] for row in ranked[:visits]))
    found = reached(outcome, probability, visits)
    assert (found.worst, found.best) == (min(hits), max(hits))
    assert found.expected == pytest.approx(np.mean(hits), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=5, max_size=60), st.randoms(use_true_random=False)
)
def test_metrics_do_not_depend_on_the_order_of_rows(rows: list[tuple[bool, int]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (
        evaluate(np.array([float(a) for a, _ in part]), np.array([b / 8 for _, b in part]), (0.1, 0.4))
        for part in (rows, shuffled)
    )
    assert one == pytest.approx(other, abs=1e-8)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=5, max_size=60))
def test_recall_never_falls_with_capacity_and_lies_within_its_bounds(rows: list[tuple[bool, int]]) -> None:
    y, p = np.array([float(a) for a, _ in rows]), np.array([b / 10 for _, b in rows])
    for visits in range(1, len(rows)):
        now, more = reached(y, p, visits), reached(y, p, visits + 1)
        assert now.worst <= now.expected + 1e-12
        assert now.expected <= now.best + 1e-12
        assert all(a <= b + 1e-12 for a, b in zip(now, more, strict=True))
        assert max(more) <= y.sum()
