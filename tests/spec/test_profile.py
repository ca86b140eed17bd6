"""The profile of training: right shares, no cell in which a household could be recognised, an index of what moved."""

from __future__ import annotations

import json

import numpy as np
import pytest

from models.profile import Bins, Profile, ProfileRefused, index, psi

N = 4_000


def columns(seed: int = 1) -> np.ndarray:
    """A continuous column, a count that is mostly 0, one with gaps, one never known, one almost never known."""
    rng = np.random.default_rng(seed)
    gaps = np.where(rng.random(N) < 0.3, np.nan, rng.normal(size=N))
    rare = np.full(N, np.nan)
    rare[:4] = 1.0
    return np.stack([rng.lognormal(9, 1, N), rng.poisson(0.1, N), gaps, np.full(N, np.nan), rare], axis=1)


NAMES = ("amount", "count", "gaps", "never", "rare")


def made(values: np.ndarray | None = None, **more: object) -> Profile:
    rng = np.random.default_rng(2)
    months = np.array([f"2024-{1 + i % 12:02d}" for i in range(N)], object)
    return Profile.of(columns() if values is None else values, NAMES, rng.beta(1, 20, N), months, **more)  # type: ignore[arg-type]


def test_training_has_not_moved_from_itself() -> None:
    # The four values that are not told count as unknown then and as known now.
    assert psi(made(), columns()) == pytest.approx([0.0] * 5, abs=3e-3)


def test_continuous_values_lie_in_deciles_and_counts_in_their_own_bins() -> None:
    amount, count, gaps, never, rare = made().features
    assert len(amount.edges) == 9 and amount.shares == pytest.approx([0.1] * 10, abs=0.006)
    assert count.edges == (0.0,)
    assert count.shares[0] == pytest.approx((columns()[:, 1] == 0).mean())
    assert gaps.unknown == pytest.approx(np.isnan(columns()[:, 2]).mean())
    assert never == Bins((), (), 1.0)
    # Four households with a value are not told from none.
    assert rare == Bins((), (), 1.0)


def test_no_bin_holds_fewer_than_ten_households() -> None:
    values = columns()
    # Ten equal shares of 95 rows would be fewer than ten each.
    few = Profile.of(values[:95], NAMES, np.linspace(0, 1, 95), np.full(95, "2024-01", object))
    for bins in (*few.features, few.score):
        counts = np.array(bins.shares) * (1.0 - (bins.unknown or 0.0)) * 95
        assert not len(counts) or round(float(counts.min()), 6) >= 10


def test_a_household_with_many_months_counts_once() -> None:
    household = np.repeat([f"h{i}" for i in range(N // 40)], 40).astype(object)
    one = made(household=household)
    assert (one.n, one.households) == (N, N // 40)
    for bins in (*one.features, one.score):
        counts = np.array(bins.shares) * (1.0 - (bins.unknown or 0.0)) * N
        assert not len(counts) or round(float(counts.min()), 6) >= 400


def test_few_unknowns_are_not_told() -> None:
    for unknown, told in ((0, 0.0), (1, None), (9, None), (10, 10 / N)):
        values = columns()
        values[:unknown, 0] = np.nan
        assert made(values).features[0].unknown == told


def test_months_with_fewer_than_ten_households_are_left_out() -> None:
    month = np.array(["2024-01"] * (N - 9) + ["2024-02"] * 9, object)
    probability = np.linspace(0.0, 0.2, N)
    found = Profile.of(columns(), NAMES, probability, month).months
    assert set(found) == {"2024-01"}
    assert found["2024-01"].n == N - 9
    assert found["2024-01"].probability == pytest.approx(probability[: N - 9].mean())


def test_edges_are_nobody_s_own_amount() -> None:
    values = columns()
    edges = made(values).features[0].edges
    assert not set(edges) & set(values[:, 0])
    assert all(float(f"{edge:.3g}") == edge for edge in edges)


def test_the_index_of_a_worked_example() -> None:
    # 90 % known, halves; now 60 % known and all above the edge.
    bins = Bins((0.0,), (0.5, 0.5), 0.1)
    now = np.array([np.nan] * 4 + [1.0] * 6)
    then, after = np.array([0.45, 0.45, 0.1]), np.array([1e-4, 0.6, 0.4])
    assert bins.cells(now).tolist() == [0.0, 0.6, 0.4]
    assert index(bins, now) == pytest.approx(((after - then) * np.log(after / then)).sum())


def test_a_source_that_stops_is_seen_although_the_known_values_are_as_before() -> None:
    values = columns(seed=3)
    values[:, 0] = np.where(np.arange(N) % 2 == 0, np.nan, values[:, 0])
    found = psi(made(), values)
    assert found[0] > 1.0
    assert (found[1:3] < 0.02).all()


def test_a_recalibration_moves_the_score_and_nothing_else() -> None:
    one = made()
    moved = one.moved(1.0, 0.5)
    assert moved.features == one.features and moved.score.shares == one.score.shares
    odds = np.array(one.score.edges) / (1 - np.array(one.score.edges)) * np.exp(0.5)
    assert moved.score.edges == pytest.approx((odds / (1 + odds)).tolist())
    assert moved.mean_probability > one.mean_probability


def test_a_file_gives_it_back_and_leaves_nothing_to_guess() -> None:
    one = made(abstained=np.arange(N) < 400)
    assert one.abstained == pytest.approx(0.1)
    assert made().abstained is None
    written = json.loads(json.dumps(one.as_json()))
    assert Profile.from_json(written) == one
    for name in written:
        with pytest.raises(ProfileRefused, match=name):
            Profile.from_json({key: value for key, value in written.items() if key != name})
    for wrong, said in (
        ({"more": 1}, "more"),
        ({"names": ["one"]}, "as many names"),
        ({"score": {"edges": [1.0], "shares": [1.0], "unknown": 0.0}}, "cannot be read"),
    ):
        with pytest.raises(ProfileRefused, match=said):
            Profile.from_json(written | wrong)


def test_nothing_of_a_household_is_in_it() -> None:
    household = np.array([f"secret{i}" for i in range(N)], object)
    assert "secret" not in json.dumps(made(household=household).as_json())


def test_what_cannot_be_profiled_is_refused() -> None:
    with pytest.raises(ProfileRefused, match="10 households"):
        Profile.of(columns()[:9], NAMES, np.zeros(9), np.full(9, "2024-01", object))
    with pytest.raises(ProfileRefused, match="name per feature"):
        Profile.of(columns(), NAMES[:2], np.zeros(N), np.full(N, "2024-01", object))
    with pytest.raises(ProfileRefused, match="5 columns"):
        psi(made(), columns()[:, :2])
