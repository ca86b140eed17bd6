"""Drift: nothing is cried when nothing changed, what changed is named, and only outcomes speak about the level."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.special import expit, logit

from features.window import as_of_moment
from models.profile import Profile
from training.drift import Drift, DriftRefused, as_json, drift, latest_rows
from training.drift_commands import drift as drift_command
from training.drift_plots import drift_figure
from training.drift_report import report
from training.level import levels, quarter, ratios

ZONE = "Asia/Shanghai"
HOUSEHOLDS = 3_000
NAMES = ("medical", "income", "light")
IMPORTANCE = np.array([0.6, 0.395, 0.005])
ENDS = ("2022-12-31", "2023-03-31", "2023-06-30", "2023-09-30", "2023-12-31", "2024-03-31")


def vectors(n: int, rng: np.random.Generator) -> np.ndarray:
    values = rng.normal(size=(n, 3))
    values[rng.random(n) < 0.2, 1] = np.nan
    return values


def scores(values: np.ndarray) -> np.ndarray:
    return np.asarray(expit(-2.6 + 0.8 * values[:, 0] - 0.5 * np.nan_to_num(values[:, 1])), np.float64)


def training() -> Profile:
    rng = np.random.default_rng(1)
    values = vectors(20_000, rng)
    months = np.array([f"2021-{1 + i % 12:02d}" for i in range(20_000)], object)
    return Profile.of(values, NAMES, scores(values), months)


PROFILE = training()


def watched(*, level: float = 0.0, seed: int = 5, mature: int = 4) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of six quarters; outcomes of the first four, whose log-odds lie `level` above the probability."""
    rng = np.random.default_rng(seed)
    parts, kept = [], []
    for at, end in enumerate(ENDS):
        values = vectors(HOUSEHOLDS, rng)
        p = scores(values)
        outcome = (rng.random(HOUSEHOLDS) < expit(logit(p) + level)).astype(float)
        parts.append(
            pd.DataFrame(
                {
                    "household_id": [f"h{i}" for i in range(HOUSEHOLDS)],
                    "as_of": as_of_moment(end, ZONE),
                    "outcome": outcome if at < mature else np.nan,
                    "probability": p,
                    "recent": at >= 4,
                }
            )
        )
        if at >= 4:
            kept.append(values)
    return pd.concat(parts, ignore_index=True), np.concatenate(kept)


def found(rows: pd.DataFrame, values: np.ndarray, **more: Any) -> Drift:
    return drift(PROFILE, rows, values, importance=IMPORTANCE, time_zone=ZONE, resamples=100, **more)


def verdicts(one: Drift) -> dict[str, str]:
    return {finding.name: finding.verdict for finding in one.findings}


def test_nothing_is_cried_when_nothing_changed() -> None:
    one = found(*watched())
    assert one.verdict == "fine"
    assert set(verdicts(one).values()) == {"fine"}
    assert not one.may_propose
    assert [level.period for level in one.by_quarter] == ["2022Q4", "2023Q1", "2023Q2", "2023Q3"]


@pytest.mark.parametrize(
    ("level", "verdict", "proposes"),
    [(0.15, "fine", False), (0.35, "recalibrate", True), (-0.35, "recalibrate", True), (0.6, "wording_off", True)],
)
def test_a_level_that_is_off_is_told_by_its_outcomes(level: float, verdict: str, proposes: bool) -> None:
    one = found(*watched(level=level))
    assert verdicts(one)["level"] == verdict
    assert one.verdict == verdict
    assert one.may_propose == proposes
    assert one.latest is not None and one.latest.ratio is not None
    ratio = one.latest.ratio
    assert ratio.low < ratio.value < ratio.high
    # The rest of the evidence knows nothing of outcomes and stays calm.
    assert {name for name, found in verdicts(one).items() if found != "fine"} <= {"level"}


def test_without_outcomes_the_level_is_not_called_fine() -> None:
    rows, values = watched(level=1.0, mature=0)
    one = found(rows, values)
    assert verdicts(one)["level"] == "watch"
    assert (one.latest, one.slope, one.by_quarter, one.may_propose) == (None, None, (), False)


def test_few_outcomes_propose_nothing() -> None:
    rows, values = watched(level=1.5)
    hit = rows.index[rows["outcome"] == 1.0]
    rows.loc[hit[29:], "outcome"] = np.nan
    one = found(rows, values)
    assert verdicts(one)["level"] == "watch" and not one.may_propose
    assert "too few" in one.findings[0].text


def test_the_verdict_rests_on_the_last_four_quarters() -> None:
    rows, values = watched(level=0.0, mature=6)
    early = rows["as_of"] <= as_of_moment(ENDS[1], ZONE)
    rows.loc[early, "outcome"] = 1.0
    one = found(rows, values)
    assert one.verdict == "fine"
    assert one.by_quarter[0].ratio is not None and one.by_quarter[0].ratio.value > 5
    assert sorted(latest_rows(rows, ZONE)["as_of"].unique()) == sorted(rows.loc[~early, "as_of"].unique())


def test_a_feature_that_moved_is_named_if_it_matters() -> None:
    rows, values = watched()
    values[:, 0] += 0.8
    values[:, 2] += 3.0
    one = found(rows, values)
    finding = {f.name: f for f in one.findings}["features"]
    assert finding.verdict == "watch" and "medical" in finding.text
    assert "light" not in finding.text and "income" not in finding.text
    assert {f.name: f.psi > 0.25 for f in one.features} == {"medical": True, "income": False, "light": True}


def test_a_source_that_stops_is_told_by_its_unknowns() -> None:
    rows, values = watched()
    values[::2, 1] = np.nan
    finding = {f.name: f for f in found(rows, values).findings}["unknown"]
    assert finding.verdict == "watch"
    assert "income (20% to 60%)" in finding.text


def test_scores_that_moved_are_told() -> None:
    rows, values = watched()
    rows["probability"] = expit(logit(rows["probability"]) + 0.7)
    assert verdicts(found(rows, values))["score"] == "watch"


def test_a_handful_of_households_is_not_drift() -> None:
    rows, values = watched()
    some = np.flatnonzero(rows["recent"].to_numpy())[:40]
    keep = np.sort(np.concatenate([np.flatnonzero(~rows["recent"].to_numpy()), some]))
    one = found(rows.iloc[keep], values[:40])
    assert max(feature.psi for feature in one.features) > 0.1
    assert verdicts(one)["features"] == verdicts(one)["score"] == "fine"


def test_a_month_is_compared_with_the_same_month_a_year_before() -> None:
    rows, values = watched()
    latest, year_ago = (as_of_moment(end, ZONE) for end in (ENDS[5], ENDS[1]))
    rows.loc[rows["as_of"] == latest, "probability"] *= 0.7
    one = found(rows, values)
    assert one.season is not None
    assert one.season.month == "2024-03"
    assert one.season.year_ago == pytest.approx(rows.loc[rows["as_of"] == year_ago, "probability"].mean())
    assert verdicts(one)["season"] == "watch"


def test_the_year_before_may_lie_in_training() -> None:
    rows, values = watched()
    back = as_of_moment("2022-12-31", ZONE)
    rows, values = rows[rows["as_of"] == back].assign(recent=True), values[:HOUSEHOLDS]
    one = found(rows, values)
    assert one.season is not None and one.season.year_ago == PROFILE.months["2021-12"].probability


def test_households_without_a_score_count_as_such_and_for_nothing_else() -> None:
    rows, values = watched()
    wild = rows["household_id"].isin([f"h{i}" for i in range(600)])
    plain = found(rows[~wild], values[~wild[rows["recent"]].to_numpy()])
    rows["abstained"] = wild
    rows.loc[wild, "probability"] = 0.9
    one = found(rows, values)
    assert verdicts(one)["abstained"] == "watch" and "20.0%" in one.findings[-1].text
    assert one.latest == plain.latest and one.score.psi == plain.score.psi


def test_intervals_are_over_households_not_rows() -> None:
    rng = np.random.default_rng(1)
    y, p = (rng.random(400) < 0.2).astype(float), np.full(400, 0.2)
    once = ratios(y, p, np.zeros(400, np.int64), [f"h{i}" for i in range(400)])[0]
    months = ratios(np.tile(y, 9), np.tile(p, 9), np.zeros(3_600, np.int64), [f"h{i}" for i in range(400)] * 9)[0]
    assert months == pytest.approx(once, abs=1e-9)
    blind = ratios(np.tile(y, 9), np.tile(p, 9), np.zeros(3_600, np.int64), list(range(3_600)))[0]
    assert blind.high - blind.low < 0.5 * (once.high - once.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p = rng.beta(1, 9, 800)
        found = ratios((rng.random(800) < p).astype(float), p, np.zeros(800, np.int64), list(range(800)), seed=seed)[0]
        hits += found.low <= 1.0 <= found.high
    assert hits >= 52


def test_fewer_than_ten_affected_households_are_not_told() -> None:
    rows = pd.DataFrame({"household_id": [f"h{i}" for i in range(100)] * 2, "outcome": 0.0, "probability": 0.1})
    for affected, told in ((0, 0), (1, None), (9, None), (10, 20)):
        rows["outcome"] = [1.0 if i % 100 < affected else 0.0 for i in range(200)]
        (level,) = levels(rows, ["2024Q1"] * 200, rows["household_id"], resamples=5)
        assert level.positives == told and (level.ratio is None) == (told is None)
        assert level.affected == (None if told is None else affected)


def test_quarters_are_those_of_the_day_that_ends() -> None:
    assert [quarter(as_of_moment(end, ZONE), ZONE) for end in ENDS[:3]] == ["2022Q4", "2023Q1", "2023Q2"]


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda rows, values: (rows.drop(columns="as_of"), values), "lack as_of"),
        (lambda rows, values: (rows.iloc[:0], values), "no row"),
        (lambda rows, values: (rows.assign(recent=False), values), "no row"),
        (lambda rows, values: (rows, values[:-1]), "vectors"),
        (lambda rows, values: (rows.assign(probability=np.nan), values), "no probability"),
        (lambda rows, values: (rows.assign(abstained=True), values), "abstained"),
    ],
)
def test_rows_that_cannot_be_watched_are_refused(break_it: Any, said: str) -> None:
    with pytest.raises(DriftRefused, match=said):
        found(*break_it(*watched()))


def test_the_report_says_first_what_to_do_and_names_no_household() -> None:
    one = found(*watched(level=0.35))
    page = report(one, bundle="county-L1 7", dataset="county", label="L1", proposal=True)
    assert page.startswith("# Recalibrate: ")
    assert "proposal.json" in page and "| 2023Q1 |" in page and "medical" in page
    written = json.dumps(as_json(one), allow_nan=False)
    assert json.loads(written)["verdict"] == "recalibrate"
    for text in (page, written):
        assert "h12" not in text
    assert len(drift_figure(one).axes) == 3
    assert len(drift_figure(found(*watched(mature=0))).axes) == 3


def test_the_command_watches_a_bundle_after_its_training(tiny_bundle: Path, tiny_county: Path, tmp_path: Path) -> None:
    asked = [str(tiny_bundle), str(tiny_county), "--since", "2020-01-01", "--json", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(drift_command, asked)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["schema"] == "drift.v1" and said["verdict"] in {"fine", "watch", "recalibrate", "wording_off"}
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"drift.json", "drift.md", "drift.png"} <= files
    assert ("proposal.json" in files) == (said["proposal"] is not None)
    households = pd.read_parquet(tiny_county / "households.parquet")["household_id"]
    everything = (tmp_path / "out" / "drift.json").read_text("utf-8") + (tmp_path / "out" / "drift.md").read_text(
        "utf-8"
    )
    assert not any(name in everything for name in households)
    refused = CliRunner().invoke(drift_command, [str(tiny_bundle), str(tiny_county), "--since", "2099-01-01"])
    assert refused.exit_code == 1 and "2099-01-01" in refused.stderr
