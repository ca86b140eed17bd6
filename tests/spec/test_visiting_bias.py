"""What visiting bias does to each way of learning, in a small world where every outcome is known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from training import bias_commands, bias_report
from training.capacity import on_list, on_monthly_list
from training.visiting_bias import (
    ESTIMATORS,
    ORACLE,
    RECORDS,
    RECORDS_ARM,
    VISITED,
    WEIGHTED_ARM,
    BiasRefused,
    Looks,
    Luck,
    Settings,
    World,
    compared,
    feedback,
    judged,
    learned,
    summary,
    visited,
)
from training.visiting_world import boosted, world_of

Floats = npt.NDArray[np.float64]
SEEDS = 4
# Whoever is not visited stays unknown; a tenth is visited, a third of that by lot.
SETTINGS = Settings(share_visited=0.12, arm=0.04, applies=(0.1, 0.0), blur=0.3)


def logistic(values: Floats, outcome: Floats, weight: Floats, seed: int) -> Callable[[Floats], Floats]:
    """A learner of no time: what is shown does not depend on trees."""
    model = LogisticRegression(C=1.0).fit(values, outcome, sample_weight=weight)
    return lambda asked: np.asarray(model.decision_function(asked), np.float64)


@pytest.fixture(scope="module")
def world() -> World:
    """8,000 households over three years. A fifth is hidden: in as much need, and never high on the earlier lists.

    The columns are a sign of need that everybody has, one that the hidden lack, and whether the household is hidden.
    """
    rng = np.random.default_rng(11)
    n, years = 8_000, 3
    household, year = np.repeat(np.arange(n), years), np.tile(np.arange(years), n)
    is_hidden = (rng.random(n) < 0.2)[household]
    sign, recorded = rng.normal(size=(2, n * years))
    outcome = (rng.random(n * years) < expit(-3.2 + 0.8 * sign + 0.8 * recorded)).astype(np.float64)
    seen = np.where(is_hidden, 0.0, recorded)
    score = np.where(is_hidden, -3.0, sign + recorded)
    return World(np.c_[sign, seen, is_hidden * 1.0], household, year, outcome, score, is_hidden)


@pytest.fixture(scope="module")
def one_year(world: World) -> pd.DataFrame:
    return summary(pd.DataFrame(compared(world, SETTINGS, logistic, SEEDS)), ["way"]).set_index("way")


@pytest.fixture(scope="module")
def loop(world: World) -> pd.DataFrame:
    return summary(pd.DataFrame(feedback(world, SETTINGS, logistic, SEEDS)), ["way", "year"]).set_index(["way", "year"])


def test_taking_the_unvisited_for_unaffected_foretells_far_too_few(one_year: pd.DataFrame) -> None:
    assert one_year.loc[RECORDS, "observed_expected"] > 1.8
    assert one_year.loc[RECORDS, "hidden_observed_expected"] > 6.0


def test_learning_from_the_visited_alone_takes_their_rate_for_everybodys(world: World) -> None:
    def rate_alone(values: Floats, outcome: Floats, weight: Floats, seed: int) -> Callable[[Floats], Floats]:
        return lambda asked: np.full(len(asked), float(logit(np.average(outcome, weights=weight))))

    luck = Luck.of(world, SETTINGS, np.random.default_rng(2))
    looks = visited(world, world.list_score, luck, SETTINGS.share_visited - SETTINGS.arm, SETTINGS.arm)
    foretold = {way: learned(way, world, looks, SETTINGS, rate_alone, 1)(world.values[:1])[0] for way in ESTIMATORS}
    true = world.outcome.mean()
    assert foretold[ORACLE] == pytest.approx(true, rel=0.01)
    assert foretold[VISITED] == pytest.approx(world.outcome[looks.listed].mean(), rel=0.01)
    assert foretold[VISITED] > 2.5 * true
    assert foretold[RECORDS] == pytest.approx(looks.recorded(world.outcome).mean(), rel=0.01)
    assert foretold[RECORDS] < 0.5 * true
    for way in (RECORDS_ARM, WEIGHTED_ARM):
        assert foretold[way] == pytest.approx(world.outcome[looks.drawn].mean(), rel=0.01)
    assert foretold[WEIGHTED_ARM] == pytest.approx(true, rel=0.15)


def test_the_arm_sets_the_level_right_for_all_and_weights_set_it_right_for_the_hidden_too(
    one_year: pd.DataFrame,
) -> None:
    for way in (RECORDS_ARM, WEIGHTED_ARM, ORACLE):
        assert 0.8 < one_year.loc[way, "observed_expected"] < 1.2
    assert 0.7 < one_year.loc[WEIGHTED_ARM, "hidden_observed_expected"] < 1.4
    # One level for all cannot mend a group that was never on record.
    assert one_year.loc[RECORDS_ARM, "hidden_observed_expected"] > 2.0


def test_the_hidden_in_need_are_reached_only_where_the_arm_is_learned_from(one_year: pd.DataFrame) -> None:
    reached = one_year["hidden_recall"]
    assert reached[RECORDS] < 0.05
    assert reached[RECORDS_ARM] < 0.05
    assert reached[WEIGHTED_ARM] > 0.5 * reached[ORACLE]
    assert one_year.loc[WEIGHTED_ARM, "auc"] > one_year.loc[RECORDS, "auc"] + 0.02
    assert one_year["auc"].max() <= one_year.loc[ORACLE, "auc"] + 0.005


def test_in_the_loop_the_naive_lists_never_find_the_hidden_and_the_armed_ones_do(loop: pd.DataFrame) -> None:
    naive, ours = loop.loc[RECORDS], loop.loc[WEIGHTED_ARM]
    assert naive["list_hidden"].max() < 0.03
    assert naive["hidden_recall"].max() < 0.05
    assert ours["list_hidden"].loc[1] < 0.03
    assert ours["list_hidden"].loc[3] > 0.08
    assert (naive["observed_expected"] > 1.5).all()
    assert 0.8 < ours["observed_expected"].loc[3] < 1.2


def test_where_nobody_is_hidden_and_everybody_applies_nothing_is_lost_by_taking_the_records(world: World) -> None:
    open_world = replace(world, is_hidden=np.zeros(len(world.outcome), np.bool_))
    everybody = replace(SETTINGS, applies=(1.0, 1.0))
    found = summary(pd.DataFrame(compared(open_world, everybody, logistic, 2)), ["way"]).set_index("way")
    assert found.loc[RECORDS, "auc"] == found.loc[ORACLE, "auc"]
    assert found.loc[RECORDS, "observed_expected"] == found.loc[ORACLE, "observed_expected"]


def tiny() -> World:
    """Five households at two moments of one year."""
    household = np.repeat(np.arange(5), 2)
    outcome = np.array([0.0, 1, 0, 0, 1, 1, 0, 0, 1, 0])
    score = np.array([0.9, 0.1, 0.5, 0.6, 0.2, 0.3, 0.8, 0.0, 0.4, 0.4])
    return World(score[:, np.newaxis], household, np.zeros(10, np.int64), outcome, score, household >= 3)


def test_a_household_is_visited_by_its_highest_score_and_for_all_its_rows_of_the_year() -> None:
    luck = Luck(np.repeat([0.5, 0.01, 0.5, 0.5, 0.03], 2), np.repeat([False, False, True, False, False], 2))
    looks = visited(tiny(), tiny().list_score, luck, 0.4, 0.02)
    assert looks.listed[::2].tolist() == looks.listed[1::2].tolist() == [True, False, False, True, False]
    assert looks.drawn[::2].tolist() == [False, True, False, False, False]
    # The first is found on a visit, the third applies, the last one's need stays unrecorded.
    assert looks.recorded(tiny().outcome).tolist() == [0, 1, 0, 0, 1, 1, 0, 0, 0, 0]


def test_luck_is_one_draw_a_household_and_year_with_the_chances_asked_for(world: World) -> None:
    luck = Luck.of(world, SETTINGS, np.random.default_rng(1))
    cell = pd.Series(luck.lot).groupby([world.household, world.year]).nunique()
    assert (cell == 1).all()
    assert (luck.lot < SETTINGS.arm).mean() == pytest.approx(SETTINGS.arm, abs=0.005)
    assert luck.applies[~world.is_hidden].mean() == pytest.approx(0.1, abs=0.01)
    assert not luck.applies[world.is_hidden].any()


def test_weights_and_levels_are_those_of_the_design() -> None:
    given: dict[str, Floats] = {}

    def learner(values: Floats, outcome: Floats, weight: Floats, seed: int) -> Callable[[Floats], Floats]:
        given.setdefault("weight", weight)
        given.setdefault("outcome", outcome)
        return lambda asked: np.full(len(asked), -1.0)

    one = tiny()
    listed, drawn = np.arange(10) < 4, np.isin(np.arange(10), (2, 3, 8, 9))
    looks = Looks(listed, drawn, np.zeros(10, np.bool_))
    for way, weight, outcome in (
        (WEIGHTED_ARM, [1, 1, 1, 1, 25, 25], [0, 1, 0, 0, 1, 0]),
        (VISITED, [1, 1, 1, 1], [0, 1, 0, 0]),
        (RECORDS, [1] * 10, [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]),
        (ORACLE, [1] * 10, one.outcome.tolist()),
    ):
        given.clear()
        forecast = learned(way, one, looks, SETTINGS, learner, 1)
        assert (given["weight"].tolist(), given["outcome"].tolist()) == (weight, outcome)
        # So few positives change no level.
        assert forecast(one.values)[0] == pytest.approx(expit(-1.0))
    with pytest.raises(BiasRefused, match="no way of learning"):
        learned("best", one, looks, SETTINGS, learner, 1)
    nothing = Looks(*np.zeros((3, 10), np.bool_))
    with pytest.raises(BiasRefused, match="one outcome only"):
        learned(RECORDS, one, nothing, SETTINGS, learner, 1)


def test_figures_by_hand_and_none_of_few_hidden_households() -> None:
    one = tiny()
    found = judged(one, np.linspace(0.9, 0.0, 10), 0.3)
    assert found["recall"] == pytest.approx(1 / 4)
    assert found["observed_expected"] == pytest.approx(4 / 4.5)
    assert found["auc"] == pytest.approx(12 / 24)
    assert not [name for name in found if name.startswith("hidden")]


def test_lists_share_the_last_places_among_equals() -> None:
    assert on_list([1.0, 1.0, 1.0, 0.0], 2).tolist() == [2 / 3, 2 / 3, 2 / 3, 0.0]
    assert on_monthly_list([1, 2, 3, 4], np.array([0, 0, 1, 1]), 0.5).tolist() == [0.0, 1.0, 0.0, 1.0]
    for score, visits, why in (([1.0], 2, "not 2"), ([1.0], 0, "not 0"), ([np.nan, 1.0], 1, "row 0 has no score")):
        with pytest.raises(ValueError, match=why):
            on_list(score, visits)


@pytest.mark.parametrize("wrong", [{"arm": 0.15}, {"arm": 0.0}, {"share_visited": 1.0}])
def test_an_arm_is_a_part_of_the_visits(wrong: dict[str, float]) -> None:
    with pytest.raises(BiasRefused, match="a part of the visits"):
        Settings(**wrong)  # type: ignore[arg-type]


def test_the_report_says_where_the_arm_is_worse() -> None:
    ways = [*ESTIMATORS]
    figures = {"auc": 0.8, "observed_expected": 1.0, "recall": 0.4, "found": 0.5}
    rows = pd.DataFrame([{"way": way, "seed": seed, **figures} for way in ways for seed in (0, 1)])
    rows.loc[rows["way"] == RECORDS_ARM, "auc"] = [0.7, 0.79]
    rows.loc[rows["way"] == WEIGHTED_ARM, "auc"] = [0.7, 0.9]
    rows.loc[rows["way"] == WEIGHTED_ARM, "recall"] = [0.5, 0.41]
    rows.loc[rows["way"] == RECORDS, "observed_expected"] = [1.5, 1.7]
    loop = rows[rows["way"] == RECORDS].assign(year=1)
    said = "\n".join(bias_report.sentences(rows, loop))
    assert "AUC: records, arm level is WORSE than the naive records (-0.055)." in said
    assert "AUC: weighted, arm level is neither better nor worse than the naive records (+0.000)." in said
    assert "recall: weighted, arm level is better than the naive records (+0.055)." in said
    assert "records: 1.60 affected for each one foretold, so it promises too little." in said
    assert "At the end of the loop, records: 1.60 affected" in said
    result = bias_report.found(rows, loop, SETTINGS, 2)
    assert "| records | 0.800 ± 0.000 | 1.600 ± 0.141 | 0.400 ± 0.000 | 0.500 ± 0.000 |" in bias_report.markdown(result)
    json.dumps(result, allow_nan=False)


def test_a_county_has_rounds_of_equal_length_and_its_hidden_households(tiny_county: Path) -> None:
    found = world_of(tiny_county, years=3)
    moments = pd.Series(found.year).groupby(found.household).size()
    assert set(np.unique(found.year)) == {0, 1, 2}
    assert moments.max() == 7
    assert 0.05 < found.is_hidden.mean() < 0.4
    assert 0.02 < found.outcome.mean() < 0.15
    assert found.list_score[found.outcome == 1.0].mean() > found.list_score[found.outcome == 0.0].mean()
    margins = boosted(found.values, found.outcome, np.ones(len(found.outcome)), 1)(found.values)
    assert margins[found.outcome == 1.0].mean() > margins[found.outcome == 0.0].mean()


def test_the_command_prints_tables_and_writes_the_report(tiny_county: Path, tmp_path: Path) -> None:
    asked = [str(tiny_county), "--share-visited", "0.4", "--arm", "0.2", "--seeds", "1"]
    done = CliRunner().invoke(bias_commands.visiting_bias, [*asked, "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [row["way"] for row in told["one_year"]] == list(ESTIMATORS)
    assert [(row["way"], row["year"]) for row in told["feedback"]][:3] == [(RECORDS, 1), (RECORDS, 2), (RECORDS, 3)]
    assert told["settings"]["share_visited"] == 0.4
    assert all(row["auc_sd"] is None and not math.isnan(row["auc"]) for row in told["one_year"])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "visiting_bias.json", "visiting_bias.md", "visiting_bias.png",
    }  # fmt: skip
    refused = CliRunner().invoke(bias_commands.visiting_bias, [*asked, "--arm", "0.5"])
    assert (refused.exit_code, "a part of the visits" in refused.output) == (1, True)
