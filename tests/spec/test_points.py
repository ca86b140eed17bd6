"""The points model: weights, family caps, half-lives and bands, under the parameters of the region."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.rules.rulebook import Rulebook, rulebook
from models.points import BANDS, CAP, PointsModel, point_values, points_rank
from models.rules import Ruled
from models.score import RiskModel
from tests.situations import Happening, Person, Situation, under_rules

NAMES = ("MED-07", "MED-11", "FAM-03", "FAM-04", "INC-14", CAP)
ADULT = (Person("p1", 45, "head"),)
HALF_LIFE = 180
WEIGHTS = st.just(0.0) | st.floats(0.01, 40)


def pack(folder: Path, values: str) -> Rulebook:
    """The shipped rules with a region `here` that differs from the simulated county in some values."""
    (folder / "here.yaml").write_text(
        "region: here\nname: {zh: 此地, en: here}\nbased_on: demo\n"
        f"versions:\n  - effective_from: 2020-01-01\n    values: {{{values}}}\n",
        encoding="utf-8",
    )
    return rulebook(folder)


def only(of: Ruled, name: str, household: int = 0) -> float:
    """What one indicator added."""
    return float(of.point_contributions[household, of.model.names.index(name)])


def held(*happenings: Happening, book: Rulebook | None = None, region: str = "demo") -> Ruled:
    return under_rules([Situation(ADULT, happenings, region=region)], book=book)


def test_it_is_a_model_of_risk_over_named_columns() -> None:
    model: RiskModel = PointsModel(NAMES)
    values = np.array([[12.0, 6.0, 5.0, 0.0, 3.0, 15.0]])
    given_, base = model.contributions(values)
    assert model.names == NAMES
    assert base.tolist() == [0.0]
    assert given_.shape == values.shape
    assert model.margins(values).tolist() == [23.0]


@given(
    arrays(np.float64, (4, 5), elements=WEIGHTS),
    arrays(np.float64, (4, 1), elements=st.floats(1, 60)),
)
def test_no_family_fills_more_than_its_cap_and_nothing_is_lost_below_it(items: np.ndarray, cap: np.ndarray) -> None:
    model = PointsModel(NAMES)
    given_, base = model.contributions(np.hstack([items, cap]))
    assert np.allclose(model.margins(np.hstack([items, cap])), given_.sum(axis=1) + base)
    assert (given_ >= 0).all() and (given_[:, :-1] <= items + 1e-9).all() and (given_[:, -1] == 0).all()
    for family in ([0, 1], [2, 3], [4]):
        total = items[:, family].sum(axis=1)
        assert np.allclose(given_[:, family].sum(axis=1), np.minimum(total, cap[:, 0]))
        over = total > cap[:, 0]
        # A family over its cap is scaled as a whole, so that no member is favoured.
        assert np.allclose(given_[over][:, family] * total[over, None], items[over][:, family] * cap[over])


@given(arrays(np.float64, (1, 5), elements=WEIGHTS), st.integers(0, 4), st.floats(0, 20))
def test_more_of_an_indicator_never_makes_fewer_points(items: np.ndarray, which: int, more: float) -> None:
    model, cap = PointsModel(NAMES), np.array([[15.0]])
    raised = items.copy()
    raised[0, which] += more
    assert model.margins(np.hstack([raised, cap]))[0] >= model.margins(np.hstack([items, cap]))[0] - 1e-9


@pytest.mark.parametrize("days", [1, 90, 180, 360])
def test_points_of_an_event_halve_with_every_half_life(days: float) -> None:
    of = held(Happening("MON//RISK_CLEAR", days))
    assert only(of, "AID-02") == pytest.approx(8 * 0.5 ** (days / HALF_LIFE))


def test_the_newest_event_says_how_old_it_is() -> None:
    of = held(Happening("MON//RISK_CLEAR", 300), Happening("MON//RISK_CLEAR", 20))
    assert only(of, "AID-02") == pytest.approx(8 * 0.5 ** (20 / HALF_LIFE))


def test_a_standing_circumstance_does_not_age() -> None:
    of = held(Happening("ARE//RESETTLE_SITE", 900, 1))
    assert only(of, "ARE-04") == 2


def test_what_lies_ahead_is_as_fresh_as_today() -> None:
    assert only(held(Happening("DIS//CERT_EXPIRE", -60, None, "p1")), "DIS-08") == 2


def test_what_is_false_or_unknown_brings_nothing() -> None:
    of = held()
    values = dict(zip(of.model.names, point_values(of.states)[0], strict=True))
    assert values.pop(CAP) == 15
    assert set(values.values()) == {0.0}
    assert (of.states.state("INC-14")[0], of.states.state("AID-02")[0]) == (-1, 0)


def test_the_highest_true_level_counts_alone() -> None:
    sold = Happening("PRD//SALES", 500, 10_000)
    assert only(held(sold, Happening("PRD//SALES", 100, 6_500)), "INC-11") == 8
    assert only(held(sold, Happening("PRD//SALES", 100, 2_500)), "INC-11") == 12


def test_the_region_sets_cap_and_half_life(tmp_path: Path) -> None:
    book = pack(tmp_path, "points_cap: {value: 4, source: x}, half_life_days: {value: 30, source: x}")
    cleared = Happening("MON//RISK_CLEAR", 60)
    assert only(held(cleared, book=book), "AID-02") == pytest.approx(8 * 0.5 ** (60 / HALF_LIFE))
    assert only(held(cleared, book=book, region="here"), "AID-02") == pytest.approx(8 * 0.5**2)
    assert only(held(Happening("MON//RISK_CLEAR", 1), book=book, region="here"), "AID-02") == pytest.approx(4)


def test_without_a_half_life_nothing_ages_and_without_a_cap_nothing_is_cut(tmp_path: Path) -> None:
    book = pack(tmp_path, "points_cap: {value: null, source: x}, half_life_days: {value: null, source: x}")
    out, cleared = Happening("DB//EXIT", 300, 3), Happening("MON//RISK_CLEAR", 300)
    assert held(out, cleared, book=book, region="here").points[0] == 16
    assert held(out, cleared, book=book).points[0] == pytest.approx(16 * 0.5 ** (300 / HALF_LIFE))


@pytest.mark.parametrize(
    ("points", "rank"), [(0, 0), (11.99, 0), (12, 1), (24.99, 1), (25, 2), (39.99, 2), (40, 3), (200, 3)]
)
def test_a_band_begins_at_its_own_line(points: float, rank: int) -> None:
    assert points_rank(held().states, np.array([float(points)])).tolist() == [rank]


@pytest.mark.parametrize("band", BANDS)
def test_a_band_without_a_line_is_not_reached(tmp_path: Path, band: str) -> None:
    book = pack(tmp_path, f"{band}: {{value: null, source: x}}")
    at_line = {"points_yellow": 12.0, "points_orange": 25.0, "points_red": 40.0}[band]
    of = held(book=book, region="here")
    assert points_rank(of.states, np.array([at_line])).tolist() == [BANDS.index(band)]
    assert points_rank(held(book=book).states, np.array([at_line])).tolist() == [BANDS.index(band) + 1]


def test_points_add_up_over_families(tmp_path: Path) -> None:
    of = held(
        Happening("MON//RISK_CLEAR", 10),
        Happening("TUN//HARDSHIP", 10, 2, "p1"),
        Happening("BIZ//CLOSE", 10, None, "p1"),
    )
    fresh = 0.5 ** (10 / HALF_LIFE)
    assert of.points[0] == pytest.approx((8 + 5 + 4) * fresh)
    assert of.points_rank[0] == 1
    assert of.points[0] == pytest.approx(of.model.margins(point_values(of.states))[0])
