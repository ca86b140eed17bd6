"""What every model of risk keeps to, whichever it is: one score a row, and contributions that add up to it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from models.boosted import BoostedModel
from models.points import CAP, PointsModel
from models.score import RiskModel
from tests.bundles import CORE, small_booster, small_values

Floats = npt.NDArray[np.float64]


def boosted() -> tuple[RiskModel, Floats]:
    return BoostedModel(small_booster(), CORE.names, np.ones(len(CORE.names), np.bool_)), small_values(7, 50)


def points() -> tuple[RiskModel, Floats]:
    rng = np.random.default_rng(7)
    values = rng.choice([0.0, 3.0, 6.0, 12.0], (50, 6))
    values[:, -1] = 15.0
    return PointsModel(("MED-07", "MED-09", "MED-11", "FAM-01", "FAM-03", CAP)), values


@pytest.mark.parametrize("made", [boosted, points])
class TestEveryModel:
    def test_one_score_a_row(self, made: object) -> None:
        assert callable(made)
        model, values = made()
        assert model.margins(values).shape == (len(values),)
        assert len(model.names) == values.shape[1]

    def test_contributions_add_up(self, made: object) -> None:
        assert callable(made)
        model, values = made()
        given, base = model.contributions(values)
        assert given.shape == values.shape
        np.testing.assert_allclose(base + given.sum(axis=1), model.margins(values), atol=1e-9)

    def test_a_row_alone_scores_as_among_many(self, made: object) -> None:
        assert callable(made)
        model, values = made()
        assert np.array_equal(model.margins(values)[:3], np.concatenate([model.margins(values[[i]]) for i in range(3)]))


def test_points_are_capped_by_family_and_shared_fairly() -> None:
    model = PointsModel(("MED-07", "MED-09", "FAM-01", CAP))
    given, base = model.contributions(np.array([[12.0, 8.0, 6.0, 15.0], [12.0, 0.0, 6.0, 15.0]]))
    assert given[0].tolist() == [9.0, 6.0, 6.0, 0.0]
    assert given[1].tolist() == [12.0, 0.0, 6.0, 0.0]
    assert base.tolist() == [0.0, 0.0]
