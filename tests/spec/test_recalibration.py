"""Recalibration: proposed from outcomes, approved by a role, written beside the former bundle; never by itself."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.special import expit, logit

from models.bundle import MANIFEST, BundleRefused, copy_bundle, read_bundle
from models.calibration import Calibration
from models.certainty import Certainty
from models.interval import fit_venn_abers
from models.profile import Profile
from tests.bundles import CORE, small_bundle, small_values
from training.drift_commands import recalibrate
from training.recalibration import ROLES, Proposal, RecalibrationRefused, proposed, recalibrated

ASKED = Proposal("", 0.9, 0.4, 0.31, 9_000, 3_000, 700, "2023-01", "2023-12", 1.4, 1.01, 0.3, 0.28)


def matured(level: float, n: int = 20_000, slope: float = 1.0, months: int = 4, seed: int = 1) -> pd.DataFrame:
    """Rows of households at several moments whose log-odds are `slope` times the foretold ones plus `level`."""
    rng = np.random.default_rng(seed)
    p = np.repeat(expit(rng.normal(-2.8, 1.0, n // months)), months)
    outcome = (rng.random(len(p)) < expit(slope * logit(p) + level)).astype(float)
    household = np.repeat([f"h{i}" for i in range(n // months)], months)
    return pd.DataFrame({"household_id": household, "outcome": outcome, "probability": p})


def certainty() -> Certainty:
    rng = np.random.default_rng(0)
    margin = rng.normal(-1, 1, 300)
    outcome = (rng.random(300) < expit(margin)).astype(float)
    profile = Profile.of(small_values(3), CORE.names, rng.beta(1, 5, 800), np.full(800, "2022-01", object))
    return Certainty(bounds=fit_venn_abers(margin, outcome), profile=profile)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read it, never write to it."""
    calibration = Calibration(0.8, -0.1, 800, 300, {"demo": 0.2})
    return small_bundle(tmp_path_factory.mktemp("b") / "old", calibration=calibration, certainty=certainty())


@pytest.fixture(scope="module")
def renewed(bundle: Path) -> Path:
    """The bundle once recalibrated, beside a copy of its former files."""
    former = bundle.with_name("former")
    shutil.copytree(bundle, former)
    approved(bundle, bundle.with_name("new"))
    return bundle.with_name("new")


def for_bundle(folder: Path) -> Proposal:
    return replace(ASKED, bundle_sha256=hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest())


def approved(folder: Path, out: Path, **more: Any) -> Any:
    given = {"approved_by": "supervisor", "approved_on": "2026-01-02"} | more
    return recalibrated(folder, for_bundle(folder), out, **given)


@pytest.mark.parametrize(("level", "slope"), [(0.5, 1.0), (-0.5, 1.0), (0.3, 0.8)])
def test_the_proposed_map_is_the_one_the_outcomes_ask_for(level: float, slope: float) -> None:
    rows = matured(level, n=60_000, slope=slope)
    found = proposed("abc", rows, since="2023-01", until="2023-12")
    assert (found.slope, found.intercept) == pytest.approx((slope, level), abs=0.1)
    assert found.observed_expected_before == pytest.approx(rows["outcome"].sum() / rows["probability"].sum())
    assert found.observed_expected_after == pytest.approx(1.0, abs=0.05)
    assert found.log_loss_after < found.log_loss_before
    assert (found.rows, found.households, found.positives) == (60_000, 15_000, int(rows["outcome"].sum()))
    assert found.base_rate == rows["outcome"].mean()
    assert (found.bundle_sha256, found.since, found.until) == ("abc", "2023-01", "2023-12")


def test_the_figures_after_are_of_households_the_map_was_not_fitted_on() -> None:
    # Outcomes are pure chance here and only two folds share the households: no map can foretell the other fold.
    rows = matured(0.0, n=2_400, months=1, seed=3)
    found = proposed("abc", rows, since="a", until="b")
    fitted = expit(found.slope * logit(rows["probability"]) + found.intercept)
    y = rows["outcome"]
    in_sample = float(-(y * np.log(fitted) + (1 - y) * np.log1p(-fitted)).mean())
    assert found.log_loss_after > in_sample


def test_few_outcomes_are_no_ground_for_a_new_level() -> None:
    rows = matured(0.0)
    hit = np.flatnonzero(rows["outcome"])
    with pytest.raises(RecalibrationRefused, match="fewer than 100"):
        proposed("abc", rows.drop(index=rows.index[hit[99:]]), since="a", until="b")


def test_a_proposal_is_written_and_read_to_the_last_digit() -> None:
    assert Proposal.from_json(json.loads(json.dumps(ASKED.as_json()))) == ASKED


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"schema": "drift.v1"}, "proposal.v1"),
        ({"slope": "1.0"}, "slope is of another kind"),
        ({"rows": 1.5}, "rows is of another kind"),
        ({"positives": True}, "positives is of another kind"),
        ({"intercept": float("nan")}, "intercept is not a finite"),
        ({"slope": -1.0}, "slope above 0"),
        ({"base_rate": 1.0}, "base rate"),
        ({"extra": 1}, "unknown fields extra"),
    ],
)
def test_a_damaged_proposal_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(RecalibrationRefused, match=said):
        Proposal.from_json(ASKED.as_json() | wrong)
    with pytest.raises(RecalibrationRefused, match="lacks slope"):
        Proposal.from_json({name: value for name, value in ASKED.as_json().items() if name != "slope"})


def test_everything_that_hangs_on_the_level_moves_with_it(bundle: Path, renewed: Path) -> None:
    old, new = read_bundle(bundle), read_bundle(renewed)
    values, region = small_values(9, 200), ["demo", "elsewhere"] * 100
    before = old.calibration.log_odds(old.model.margins(values), region)
    after = new.calibration.log_odds(new.model.margins(values), region)
    assert after == pytest.approx(0.9 * before + 0.4, abs=1e-12)
    p_old, p_new = expit(before), expit(after)
    assert [old.rank(p) for p in p_old] == [new.rank(p) for p in p_new]
    assert [old.bands.tier(p) for p in p_old] == [new.bands.tier(p) for p in p_new]
    assert new.base_rate == ASKED.base_rate
    assert (new.calibration.n, new.calibration.positives) == (9_000, 700)
    assert old.certainty.bounds is not None and new.certainty.bounds is not None
    assert new.certainty.bounds.as_json() == old.certainty.bounds.moved(0.9, 0.4).as_json()
    assert new.certainty.profile is not None and old.certainty.profile is not None
    assert new.certainty.profile == old.certainty.profile.moved(0.9, 0.4)
    assert new.importance == pytest.approx(0.9 * old.importance)


def test_trees_and_the_former_bundle_stay_as_they_are(bundle: Path, renewed: Path) -> None:
    for path in bundle.with_name("former").iterdir():
        assert (bundle / path.name).read_bytes() == path.read_bytes()
    assert (renewed / "model.txt").read_bytes() == (bundle / "model.txt").read_bytes()
    assert (renewed / MANIFEST).read_bytes() != (bundle / MANIFEST).read_bytes()


def test_the_manifest_says_what_was_changed_and_by_which_role(bundle: Path, renewed: Path, tmp_path: Path) -> None:
    once = json.loads((renewed / MANIFEST).read_text("utf-8"))
    assert once["version"] == "1+r1"
    (change,) = once["recalibrations"]
    assert (change["approved_by"], change["approved_on"], change["from_version"]) == ("supervisor", "2026-01-02", "1")
    assert change["before"]["slope"] == 0.8 and change["after"]["slope"] == pytest.approx(0.72)
    assert change["before"]["base_rate"] == 0.25 and change["after"]["base_rate"] == ASKED.base_rate
    assert change["proposal"] == for_bundle(bundle).as_json()
    twice = approved(renewed, tmp_path / "newer", approved_by="data_officer")
    assert twice.version == "1+r2"
    assert [each["approved_by"] for each in twice.manifest["recalibrations"]] == ["supervisor", "data_officer"]


def test_a_proposal_is_for_one_bundle_only(bundle: Path, tmp_path: Path) -> None:
    other = small_bundle(tmp_path / "other", seed=2)
    with pytest.raises(RecalibrationRefused, match="another bundle"):
        recalibrated(other, for_bundle(bundle), tmp_path / "new", approved_by="supervisor", approved_on="2026-01-02")
    assert not (tmp_path / "new").exists()


def test_a_person_s_name_approves_nothing(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(RecalibrationRefused, match="role, not a person") as refused:
        approved(bundle, tmp_path / "new", approved_by="Li Ming")
    assert "Li Ming" not in str(refused.value)
    with pytest.raises(RecalibrationRefused, match="another place"):
        approved(bundle, bundle)


def test_a_signed_bundle_is_checked_and_signed_again(bundle: Path, tmp_path: Path) -> None:
    key, other = b"k" * 32, b"x" * 32
    copy_bundle(bundle, tmp_path / "signed", key=key)
    approved(tmp_path / "signed", tmp_path / "new", key=key)
    assert read_bundle(tmp_path / "new", key=key).version == "1+r1"
    with pytest.raises(BundleRefused, match="signature"):
        approved(tmp_path / "signed", tmp_path / "never", key=other)
    assert not (tmp_path / "never").exists()


def test_the_command(bundle: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "proposal.json", tmp_path / "new"
    file.write_text(json.dumps(for_bundle(bundle).as_json()), encoding="utf-8")
    asked = [str(bundle), str(file), "--out", str(out)]
    assert CliRunner().invoke(recalibrate, asked).exit_code == 2
    assert CliRunner().invoke(recalibrate, [*asked, "--approved-by", "Li Ming"]).exit_code == 2
    assert not out.exists()
    done = CliRunner().invoke(recalibrate, [*asked, "--approved-by", ROLES[0], "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["version"] == "1+r1"
    file.write_text("{}", encoding="utf-8")
    refused = CliRunner().invoke(recalibrate, [*asked, "--approved-by", ROLES[0]])
    assert refused.exit_code == 1 and "proposal.v1" in refused.stderr
