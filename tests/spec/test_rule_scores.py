"""The rules as baselines: asked at each row's own moment, learned on training rows, compared in every core study."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import training.study
from features.dataset import read_dataset
from features.history import History, visible
from features.rules.rulebook import rulebook
from models.rules import ruled
from tests.records import CORE, Row, at, event, history, household
from training.baselines import BEST_TRIGGER, POINTS
from training.report import METRICS, figures, report
from training.rule_scores import RulesLeftOut, rule_baselines, rule_scores
from training.study import Plan, Study, study

DAYS = ("2024-06-30", "2025-06-30")
N = 120
NAMES = [f"h{i:03d}" for i in range(N)]


def ill(i: int) -> bool:
    """Who has a grave diagnosis: the first third."""
    return i < N // 3


def events() -> list[Row]:
    """A month before each moment: a grave diagnosis and a costly stay for the first third, a stay for some others."""
    made = []
    for i, name in enumerate(NAMES):
        for day, every in (("2024-06-01", 2), ("2025-06-01", 3)):
            if ill(i):
                made.append(event("HLT//MAJOR_DX", day, household=name, person_id=f"p of {name}"))
            if ill(i) or i % every == 0:
                made.append(event("CLM//INPATIENT", day, value=12_000.0, household=name, person_id=f"p of {name}"))
    return made


def county(more: list[Row] | None = None) -> History:
    return history([*events(), *(more or [])], households=[household(name) for name in NAMES])


def rows(days: tuple[str, ...], names: list[str] = NAMES, noise: float = 0.1, seed: int = 0) -> pd.DataFrame:
    """Labelled rows whose outcome follows the diagnosis, but for a share that is turned round."""
    found = pd.DataFrame([(name, at(day)) for name in names for day in days], columns=["household_id", "as_of"])
    follows = np.array([ill(NAMES.index(name)) for name in found["household_id"]])
    turned = np.random.default_rng(seed).random(len(found)) < noise
    return found.assign(outcome=(follows ^ turned).astype(float))


COUNTY = county()


def test_each_row_is_asked_with_what_the_rules_say_at_its_own_moment() -> None:
    asked = rows(DAYS).sample(frac=1.0, random_state=3)
    found = rule_scores(COUNTY, asked, rulebook())
    for day in DAYS:
        said = ruled(rulebook(), COUNTY, visible(COUNTY, at(day)))
        at_day = np.flatnonzero(asked["as_of"] == at(day))
        homes = [COUNTY.index[name] for name in asked["household_id"].iloc[at_day]]
        assert np.array_equal(found.points[at_day], said.points[homes])
        for column, name in enumerate(found.names):
            state, floor = said.states.state(name)[homes], said.states.floor(name)[homes]
            expected = np.where(state == 1, floor, np.where(state == -1, 0.5, 0.0))
            assert np.array_equal(found.triggers[at_day, column], expected)
    scores = dict(zip(found.names, found.triggers.T, strict=True))
    assert set(np.unique(scores["MED-10"])) == {0.0, 2.0}
    assert 0.5 in np.unique(scores["MED-05"])
    assert found.is_ruled.all()


def test_every_trigger_that_brings_a_tier_is_a_candidate_and_no_other_indicator() -> None:
    found = rule_scores(COUNTY, rows(DAYS[:1]), rulebook()).names
    tiers = {each.id: {level.tier for level in each.levels} for each in rulebook().indicators}
    assert set(found) == {name for name, brought in tiers.items() if brought & {"yellow", "orange", "red"}}
    assert "SOC-01" not in found
    assert not any(name.startswith("VER") for name in found)


def test_what_becomes_known_later_changes_nothing() -> None:
    later = [
        event("HLT//MAJOR_DX", "2025-06-01", "2025-07-02", household=name, person_id=f"p of {name}")
        for name in NAMES[60:]
    ]
    before, after = (rule_scores(of, rows(DAYS), rulebook()) for of in (COUNTY, county(later)))
    assert np.array_equal(before.points, after.points)
    assert np.array_equal(before.triggers, after.triggers)


def test_the_best_trigger_is_chosen_and_fitted_on_training_rows_alone() -> None:
    train, test = rows(DAYS[:1]), rows(DAYS[1:], seed=1)
    found = rule_baselines(COUNTY, train, test)
    assert found.best_trigger == "MED-10"
    assert set(found.probabilities) == {POINTS, BEST_TRIGGER}
    for probability in found.probabilities.values():
        assert probability.shape == (len(test),)
        assert ((probability > 0) & (probability < 1)).all()
    # The diagnosis is as frequent in the test as in training.
    assert found.probabilities[BEST_TRIGGER].mean() == pytest.approx(train["outcome"].mean(), abs=1e-6)
    assert roc_auc_score(test["outcome"], found.probabilities[BEST_TRIGGER]) > 0.85
    again = rule_baselines(COUNTY, train, test.assign(outcome=1.0 - test["outcome"]))
    assert again.best_trigger == "MED-10"
    for name, probability in found.probabilities.items():
        assert np.array_equal(again.probabilities[name], probability)


def test_probabilities_rank_as_the_scores_do() -> None:
    train, test = rows(DAYS[:1]), rows(DAYS[1:])
    found = rule_baselines(COUNTY, train, test)
    scores = rule_scores(COUNTY, test, rulebook())
    best = scores.triggers[:, scores.names.index(found.best_trigger)]
    for score, name in ((scores.points, POINTS), (best, BEST_TRIGGER)):
        order = np.argsort(score, kind="stable")
        assert (np.diff(found.probabilities[name][order]) >= 0).all()
        assert roc_auc_score(test["outcome"], score) == roc_auc_score(test["outcome"], found.probabilities[name])


def test_where_training_says_the_opposite_a_score_tells_nothing() -> None:
    train, test = rows(DAYS[:1]), rows(DAYS[1:])
    turned = train.assign(outcome=1.0 - train["outcome"])
    found = rule_baselines(COUNTY, turned, test)
    assert found.best_trigger != "MED-10"
    assert np.unique(found.probabilities[POINTS]).tolist() == [turned["outcome"].mean()]


def test_a_moment_before_any_rule_teaches_nothing() -> None:
    unruled = rows(("2019-06-30",), noise=0.0)
    train, test = rows(DAYS[:1]), rows(DAYS[1:])
    both = pd.concat([unruled.assign(outcome=1.0 - unruled["outcome"]), train], ignore_index=True)
    alone, beside = rule_baselines(COUNTY, train, test), rule_baselines(COUNTY, both, test)
    for name, probability in alone.probabilities.items():
        assert np.array_equal(beside.probabilities[name], probability)
    assert not rule_scores(COUNTY, unruled, rulebook()).is_ruled.any()
    with pytest.raises(RulesLeftOut, match="no rule was in force"):
        rule_baselines(COUNTY, unruled, test)


def test_a_day_without_a_pack_leaves_the_rules_out_with_the_reason() -> None:
    with pytest.raises(RulesLeftOut, match="no version of the pack demo"):
        rule_baselines(COUNTY, rows(("1999-06-30",)), rows(DAYS[1:]))


QUICK = Plan(split="household", tries=0, origins=0, challengers=("best_single_feature",))


@pytest.fixture(scope="module")
def done(tiny_county: Path) -> Study:
    return study(tiny_county, QUICK)


def test_a_core_study_compares_with_the_rules_on_the_same_rows(done: Study, tiny_county: Path) -> None:
    assert list(done.baseline_metrics)[-2:] == [POINTS, BEST_TRIGGER]
    assert done.notes == ()
    history = training.study.dataset_history(read_dataset(tiny_county), CORE)
    points = rule_scores(history, done.test, rulebook()).points
    for name in (POINTS, BEST_TRIGGER):
        metrics = done.baseline_metrics[name]
        assert metrics["n"] == done.metrics["n"] == len(done.test)
        assert metrics["positives"] == done.metrics["positives"]
        assert {"recall_at_5pct", "auc", "brier"} <= set(metrics)
        assert done.test[f"baseline_{name}"].notna().all()
    auc = roc_auc_score(done.test["outcome"], points)
    # Beyond the most points of a training row all are placed alike.
    assert done.baseline_metrics[POINTS]["auc"] == pytest.approx(auc, abs=1e-3)
    assert auc > 0.6


def test_the_report_shows_the_rules_at_the_same_capacity(done: Study) -> None:
    page = report(done)
    head = next(line for line in page.splitlines() if line.startswith("| model |"))
    place = head.split(" | ").index("recall at 5 % capacity")
    for name in (POINTS, BEST_TRIGGER):
        row = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
        assert row.split(" | ")[place] == f"{done.baseline_metrics[name]['recall_at_5pct']:.4f}"
    assert f"`best_trigger` by {done.best_trigger}" in page.replace("\n", " ")
    assert "recall_at_5pct" in dict(METRICS)
    drawn = [line.get_label() for line in figures(done)["recall_at_capacity"].axes[0].lines]
    assert any(label.startswith("points of the rules (") for label in drawn)
    assert any(label.startswith("best single trigger (") for label in drawn)


def test_a_study_goes_on_where_rules_cannot_be_asked(done: Study) -> None:
    note = "not compared with the rules: no version of the pack x covers 1999-01-01"
    without = dataclasses.replace(done, best_trigger=None, notes=(note,))
    assert f"Note: {note}." in report(without)


def test_a_panel_has_no_rules_and_no_word_of_them(
    tiny_county: Path, done: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[str] = []

    def progress(stage: str) -> object:
        stages.append(stage)
        return lambda finished, total: None

    foreign = dataclasses.replace(CORE, name="panel")
    monkeypatch.setattr(training.study, "catalogue", lambda name: foreign)
    found = study(tiny_county, QUICK, progress)
    assert POINTS not in found.baseline_metrics
    assert BEST_TRIGGER not in found.baseline_metrics
    assert found.best_trigger is None
    assert "Rules" not in stages
    assert "best_trigger" not in report(found)
    assert found.metrics == done.metrics
