"""A study judges every model on the same rows, counts households without a score as missed, and says first who won."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import training.past_origins
from models.bundle import Bundle, read_bundle
from training.abstained import CODE
from training.acceptance import why
from training.candidate_bundle import write_candidate
from training.challengers import CHAMPION
from training.comparison import first_line
from training.evaluation import reached, visits_at
from training.metrics import headline_metrics
from training.report import figures, report
from training.selection import Selection
from training.study import Plan, Study, study

QUICK = Plan(split="household", tries=0, origins=0, challengers=("best_single_feature", "all_logistic"))


@pytest.fixture(scope="module")
def done(tiny_county: Path) -> Study:
    return study(tiny_county, QUICK)


def test_every_challenger_foretells_the_same_rows(done: Study) -> None:
    names = ["best_single_feature", "all_logistic", "points", "best_trigger"]
    assert list(done.baseline_metrics) == names
    assert all(done.test[f"baseline_{name}"].between(0, 1).all() for name in names)
    assert {one.name for one in done.comparisons} == set(names)
    assert {"average_precision", "recall_at_5pct", "recall_at_10pct", "log_loss"} <= {
        c.metric for c in done.comparisons
    }


def test_households_without_a_score_are_counted_as_missed(done: Study) -> None:
    test = done.test
    marked = test.assign(abstained=test["outcome"] == 1.0)
    found = headline_metrics(marked, test["household_id"].to_numpy(object), seed=1)
    assert found["recall_at_10pct"] == 0.0
    assert found["recall_at_10pct_if_all_scored"] > 0.0
    assert found["abstention_share"] == pytest.approx(test["outcome"].mean())
    scored = ~test["abstained"].to_numpy(bool)
    visits = visits_at(0.10, len(test))
    hits = reached(test["outcome"].to_numpy()[scored], test["probability"].to_numpy()[scored], visits).expected
    assert done.metrics["recall_at_10pct"] == pytest.approx(hits / test["outcome"].sum())


def test_who_gets_no_score_stands_by_code(done: Study) -> None:
    codes = done.test.filter(like=CODE)
    assert {"code_coverage", "code_no_events", "code_identity_conflict"} <= set(codes)
    assert (codes.any(axis=1) == done.test["abstained"]).all()
    assert done.test["coverage"].between(0, 1).all()


def test_the_first_line_says_who_won_and_the_second_whether_it_may_be_used(done: Study) -> None:
    page = report(done).splitlines()
    assert page[0] == f"# {first_line(done.comparisons)}"
    assert page[2] == why(done.gates)


def test_no_household_and_no_small_number_is_in_the_report(done: Study) -> None:
    page = report(done)
    assert not [name for name in done.test["household_id"] if name in page]
    few = done.test.assign(abstained=done.test["household_id"].isin(done.test["household_id"].unique()[:3]))
    told = report(replace(done, test=few))
    assert "fewer than 10 of the test households get no score" in told


def test_the_figures_can_be_drawn(done: Study) -> None:
    drawn = figures(done)
    assert {"calibration", "recall_at_capacity", "risk_coverage", "shap_values"} <= set(drawn)


@pytest.fixture(scope="module")
def bundle(done: Study, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("candidate") / "bundle"
    write_candidate(done, folder, {"version": "first", "run_id": "none"})
    return read_bundle(folder)


def test_the_candidate_holds_the_bag_its_limits_and_its_verdict(done: Study, bundle: Bundle) -> None:
    assert len(bundle.model.members) == 5
    assert bundle.certainty.bounds is not None and bundle.certainty.profile is not None
    assert [gate["name"] for gate in bundle.manifest["gates"]] == [gate.name for gate in done.gates]
    assert bundle.manifest["card"]["abstention"]["share"] == pytest.approx(done.metrics["abstention_share"])


def test_the_model_in_use_is_judged_on_the_same_rows(done: Study, bundle: Bundle, tiny_county: Path) -> None:
    again = study(tiny_county, QUICK, champion=bundle)
    assert np.array_equal(again.test[f"baseline_{CHAMPION}"], again.test["probability"])
    against = [c for c in again.comparisons if c.name == CHAMPION]
    assert against and all(c.difference == (0.0, 0.0, 0.0) for c in against)
    assert any("model in use" in note for note in again.notes)
    assert {"champion_average_precision", "champion_recall_at_10pct"} <= {gate.name for gate in again.gates}


def test_both_ends_of_the_gap_may_be_given_and_the_lag_is_then_noted(tiny_county: Path) -> None:
    rows = Plan(train_until="2020-06-30", test_from="2021-06-30", tries=0, origins=0, challengers=QUICK.challengers)
    found = study(tiny_county, rows)
    assert found.split.description["train_last"] == "2020-06-30"
    assert any("both ends of the gap" in note for note in found.notes)


def test_the_selection_never_sees_a_test_household(tiny_county: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def watched(every: Any, sample: Any, splitter: Any, seed: int, progress: Any) -> str:
        seen["rows"], seen["names"] = sample.rows, [candidate.name for candidate in every]
        return "table"

    monkeypatch.setattr(training.past_origins, "over_origins", watched)
    monkeypatch.setattr(training.past_origins, "selection", lambda table: Selection(None, f"of {table}"))
    found = study(tiny_county, replace(QUICK, origins=2))
    assert found.selection is not None and found.selection.text == "of table"
    assert seen["names"] == ["best_single_feature", "all_logistic", "bag"]
    assert not set(seen["rows"]["household_id"]) & set(found.test["household_id"])
    assert len(seen["rows"]) >= found.train_rows
