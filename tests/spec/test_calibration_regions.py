"""Regional levels: no further from the whole than a region's own outcomes prove. Weights: a random audit's rows."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit

from models.calibration import ON_THE_WHOLE, Calibration, CalibrationRefused, fit_calibration
from models.region_shift import best_shift, between_regions, region_shifts


def regions(shifts: dict[str, float], n: int = 8_000, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Margins, outcomes and regions; the true log-odds are margin + the region's shift."""
    rng = np.random.default_rng(seed)
    region = np.repeat(np.array(list(shifts), object), n)
    margin = rng.normal(-2.5, 1.0, len(region))
    shift = np.array([shifts[name] for name in region])
    return margin, (rng.random(len(region)) < expit(margin + shift)).astype(float), region


def test_regions_that_differ_get_their_own_level() -> None:
    margin, outcome, region = regions({"a": -0.8, "b": 0.0, "c": 0.8})
    fitted = fit_calibration(margin, outcome, region)
    # Without the regions the slope would come out near 0.9.
    assert fitted.slope == pytest.approx(1.0, abs=0.05)
    level = fitted.log_odds(np.full(3, -2.5), ["a", "b", "c"])
    assert level == pytest.approx([-3.3, -2.5, -1.7], abs=0.12)
    for name in "abc":
        inside = region == name
        foretold = fitted.probability(margin[inside], region[inside]).sum()
        assert foretold == pytest.approx(outcome[inside].sum(), rel=0.03)


def test_regions_that_do_not_differ_get_none_worth_mentioning() -> None:
    fitted = fit_calibration(*regions({"a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0}, n=3_000))
    assert all(abs(shift) < 0.05 for shift in fitted.offsets.values())


def test_a_region_with_few_outcomes_is_calibrated_on_the_whole() -> None:
    margin, outcome, region = regions({"a": -0.5, "b": 0.5})
    few = np.flatnonzero(outcome == 1.0)[:29]
    margin, outcome = np.append(margin, margin[few]), np.append(outcome, outcome[few])
    fitted = fit_calibration(margin, outcome, np.append(region, ["few"] * 29))
    assert set(fitted.offsets) == {"a", "b"}
    assert fitted.note("few") == fitted.note("never heard of") == ON_THE_WHOLE
    assert fitted.note("a") is None
    asked = np.array([0.3, 0.3])
    assert fitted.log_odds(asked, ["few", "elsewhere"]).tolist() == fitted.log_odds(asked).tolist()


def test_thirty_outcomes_are_enough_to_have_a_level() -> None:
    for positives, expected in ((29, set()), (30, {"a", "b"})):
        margin, region = np.zeros(2_000), np.repeat(np.array(["a", "b"], object), 1_000)
        outcome = np.zeros(2_000)
        outcome[:positives] = outcome[1_000 : 1_000 + 200] = 1.0
        assert set(fit_calibration(margin, outcome, region).offsets) == expected


def test_one_region_alone_is_the_whole() -> None:
    margin, outcome, region = regions({"a": 0.4})
    fitted = fit_calibration(margin, outcome, region)
    assert fitted == fit_calibration(margin, outcome)
    assert fitted.offsets == {} and fitted.note("a") is None


def test_a_shift_and_its_variance_are_those_of_a_share_of_equal_rows() -> None:
    # 20 of 100 at margin 0: the shift is the log-odds of 0.2, its variance 1 / (n p (1 - p)).
    outcome = np.repeat([1.0, 0.0], [20, 80])
    shift, variance = best_shift(np.zeros(100), outcome, np.ones(100), None)
    assert shift == pytest.approx(np.log(0.2 / 0.8), abs=1e-10)
    assert variance == pytest.approx(1 / 16, abs=1e-10)


def test_a_household_with_twelve_months_is_one_piece_of_evidence() -> None:
    outcome = np.repeat([1.0, 0.0], [20, 80])
    once = best_shift(np.zeros(100), outcome, np.ones(100), np.arange(100).astype(object))
    often = best_shift(
        np.zeros(1_200), np.repeat(outcome, 12), np.ones(1_200), np.repeat(np.arange(100), 12).astype(object)
    )
    assert often == pytest.approx(once, rel=1e-9)
    assert once[1] == pytest.approx(1 / 16, rel=1e-9)
    # 40 outcomes of four households are four.
    region = np.repeat(np.array(["a", "b"], object), 400)
    outcome = np.tile(np.repeat([1.0, 0.0], [40, 360]), 2)
    household = np.repeat(np.arange(80), 10).astype(object)
    flat = np.zeros(800)
    assert region_shifts(flat, outcome, region, np.ones(800), household=household) == {}
    assert set(region_shifts(flat, outcome, region, np.ones(800))) == {"a", "b"}


def test_shifts_are_drawn_towards_the_whole_by_the_share_of_chance() -> None:
    # Two groups of 400 at margin 0 with 40 and 160 outcomes.
    region = np.repeat(np.array(["a", "b"], object), 400)
    outcome = np.zeros(800)
    outcome[:40] = outcome[400:560] = 1.0
    shift, variance = np.log([1 / 9, 2 / 3]), np.array([1 / 36, 1 / 96])
    w = 1 / variance
    q = (w * (shift - (w * shift).sum() / w.sum()) ** 2).sum()
    tau2 = (q - 1) / (w.sum() - (w**2).sum() / w.sum())
    assert between_regions(shift, variance) == pytest.approx(tau2)
    found = region_shifts(np.zeros(800), outcome, region, np.ones(800))
    assert [found["a"], found["b"]] == pytest.approx((shift * tau2 / (tau2 + variance)).tolist(), abs=1e-8)


def test_weights_set_the_level_of_the_whole_population() -> None:
    rng = np.random.default_rng(3)
    margin = rng.normal(-2.0, 1.0, 60_000)
    outcome = (rng.random(60_000) < expit(margin - 0.4)).astype(float)
    # Affected households are found three times as often: their rows weigh a third.
    chosen = rng.random(60_000) < np.where(outcome == 1.0, 0.6, 0.2)
    weight = np.where(outcome == 1.0, 1 / 0.6, 1 / 0.2)[chosen]
    plain = fit_calibration(margin[chosen], outcome[chosen])
    weighted = fit_calibration(margin[chosen], outcome[chosen], weight=weight)
    assert plain.intercept > 0.4
    assert weighted.intercept == pytest.approx(-0.4, abs=0.08) and weighted.slope == pytest.approx(1.0, abs=0.05)
    assert weighted.positives == int(outcome[chosen].sum())


def test_only_the_ratio_of_weights_counts() -> None:
    margin, outcome, _ = regions({"a": 0.3}, n=2_000)
    same, tenfold = fit_calibration(margin, outcome), fit_calibration(margin, outcome, weight=np.full(2_000, 10.0))
    assert (same.slope, same.intercept) == pytest.approx((tenfold.slope, tenfold.intercept), abs=1e-9)


def test_a_few_heavy_rows_are_few() -> None:
    margin, outcome, _ = regions({"a": -1.5}, n=20_000)
    weight = np.ones(20_000)
    heavy = np.flatnonzero(outcome == 1.0)[:5]
    assert outcome.sum() > 300
    weight[heavy] = 1_000.0
    assert fit_calibration(margin, outcome, weight=weight).slope == 1.0
    assert fit_calibration(margin, outcome).slope != 1.0


def test_a_calibration_after_another_is_both() -> None:
    first = Calibration(0.8, -0.2, 100, 10, {"a": 0.5})
    later = Calibration(1.2, 0.3, 200, 20, {"b": -0.1})
    margin, region = np.array([0.4, -1.0, 2.0]), ["a", "b", "c"]
    assert first.then(later).log_odds(margin, region) == pytest.approx(
        later.log_odds(first.log_odds(margin, region), region), abs=1e-12
    )
    assert (first.then(later).n, first.then(later).positives) == (200, 20)


def test_a_file_gives_it_back_and_leaves_nothing_to_guess() -> None:
    made = Calibration(0.1 + 0.2, -1 / 3, 100, 10, {"a": 0.1, "甲": -0.7})
    assert Calibration.from_json(json.loads(json.dumps(made.as_json()))) == made
    for name in made.as_json():
        with pytest.raises(CalibrationRefused, match=name):
            Calibration.from_json({key: value for key, value in made.as_json().items() if key != name})
    for wrong, said in (
        ({"extra": 1}, "extra"),
        ({"slope": "steep"}, "no number"),
        ({"slope": float("nan")}, "finite"),
        ({"slope": 0.0}, "above 0"),
        ({"offsets": {"a": float("inf")}}, "finite"),
        ({"offsets": [1]}, "no number"),
    ):
        with pytest.raises(CalibrationRefused, match=said):
            Calibration.from_json(made.as_json() | wrong)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"margin": np.array([0.0, np.nan])}, "margin"),
        ({"outcome": np.array([0.0, np.nan])}, "outcome"),
        ({"outcome": np.array([0.0])}, "margin for 1 outcomes"),
        ({"region": ["a"]}, "1 values of region"),
        ({"weight": np.array([1.0, -1.0])}, "weights"),
        ({"weight": np.array([0.0, 0.0])}, "weights"),
        ({"weight": np.array([1.0])}, "1 values of weight"),
    ],
)
def test_rows_that_cannot_calibrate_are_refused(changed: dict[str, object], said: str) -> None:
    given: dict[str, object] = {"margin": np.array([0.0, 1.0]), "outcome": np.array([0.0, 1.0])}
    with pytest.raises(CalibrationRefused, match=said):
        fit_calibration(**(given | changed))  # type: ignore[arg-type]
