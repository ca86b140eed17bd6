"""The random audit arm: drawn by lot with known chances, and what it says of everybody."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from features.dataset import DatasetRefused, folder_digest, read_dataset, read_meta, write_dataset
from features.window import as_of_moment
from models.calibration import fit_calibration
from tests.records import at, dataset, event, household, member
from training import bias_commands
from training.audit_arm import (
    ArmRefused,
    arm_estimates,
    draw_audit_arm,
    inverse_probability_weights,
    keep_audit_arm,
    level_on_arm,
    write_audit_arm,
)
from training.audit_frame import drawable

MOMENT = 1_700_000_000_000_000


def listed(n: int, per_town: int = 50) -> pd.DataFrame:
    return pd.DataFrame(
        {"household_id": [f"h{i}" for i in range(n)], "township": [f"t{i // per_town}" for i in range(n)]}
    )


def drawn(frame: pd.DataFrame, seed: int = 1, **how: object) -> pd.DataFrame:
    return draw_audit_arm(frame, drawn_at=MOMENT, seed=seed, **({"share": 0.1} | how))  # type: ignore[arg-type]


def test_the_draw_follows_from_household_moment_and_seed_alone() -> None:
    frame = listed(300)
    arm = drawn(frame, strata=["township"])
    pd.testing.assert_frame_equal(arm, drawn(frame.sample(frac=1.0, random_state=4), strata=["township"]))
    assert set(drawn(frame, seed=2)["household_id"]) != set(arm["household_id"])
    later = draw_audit_arm(frame, drawn_at=MOMENT + 1, seed=1, share=0.1)
    assert set(later["household_id"]) != set(drawn(frame)["household_id"])


def test_anybody_can_draw_again_with_a_hash_and_the_list() -> None:
    def lot(name: str) -> bytes:
        return hashlib.blake2b(name.encode(), digest_size=8, key=f"audit-arm/1/{MOMENT}".encode()).digest()

    by_lot = sorted((f"h{i}" for i in range(40)), key=lot)
    assert drawn(listed(40))["household_id"].tolist() == sorted(by_lot[:4]) == ["h1", "h31", "h36", "h6"]


def test_nobody_is_put_in_or_left_out_when_other_strata_change() -> None:
    frame = listed(100)
    arm, more = drawn(frame, strata=["township"]), drawn(listed(150), strata=["township"])
    assert set(arm["household_id"]) == set(more.loc[more["stratum"] != "t2", "household_id"])


def test_the_chance_is_the_number_drawn_in_the_stratum_through_its_size() -> None:
    frame = pd.concat([listed(100), pd.DataFrame({"household_id": ["x"], "township": [None]})])
    arm = drawn(frame, share=0.05, strata=["township"])
    assert arm.groupby("stratum").size().to_dict() == {"t0": 3, "t1": 3, "unknown": 1}
    assert arm.groupby("stratum")["inclusion_probability"].unique().map(list).to_dict() == {
        "t0": [0.06],
        "t1": [0.06],
        "unknown": [1.0],
    }
    assert arm["drawn_at"].unique().tolist() == [MOMENT]


def test_every_household_is_drawn_as_often_as_its_chance_says() -> None:
    frame = listed(60, per_town=40)
    times = pd.Series(0, index=frame["household_id"])
    for seed in range(300):
        times[drawn(frame, seed=seed, strata=["township"])["household_id"]] += 1
    # 300 draws at one in ten: 30 expected, a standard deviation of 5.2.
    assert times.between(30 - 4 * 5.2, 30 + 4 * 5.2).all()
    assert times.sum() == 300 * 6


@pytest.mark.parametrize("visits", [3, 4, 7, 50, 119, 120])
def test_visits_are_all_used_and_each_stratum_has_one(visits: int) -> None:
    frame = listed(120, per_town=50)
    arm = drawn(frame, share=None, visits=visits, strata=["township"])
    sizes = arm.groupby("stratum").size()
    assert (len(arm), len(sizes), sizes.min() >= 1) == (visits, 3, True)
    assert (sizes <= [50, 50, 20]).all()
    if visits == 50:
        assert sizes.to_dict() == {"t0": 21, "t1": 21, "t2": 8}


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"share": None}, "either the share or the number of visits"),
        ({"visits": 5}, "either the share or the number of visits"),
        ({"share": 0.0}, "above 0 and up to 1"),
        ({"share": None, "visits": 1, "strata": ["township"]}, "each stratum needs one"),
        ({"share": None, "visits": 101}, "101 visits for 1 strata of 100"),
        ({"strata": ["street"]}, "no column street"),
    ],
)
def test_an_arm_that_cannot_be_drawn_is_refused(how: dict[str, object], why: str) -> None:
    with pytest.raises(ArmRefused, match=why):
        drawn(listed(100), **how)
    with pytest.raises(ArmRefused, match="names a household twice"):
        drawn(pd.concat([listed(5), listed(5)]))
    with pytest.raises(ArmRefused, match="no household"):
        drawn(listed(5).iloc[:0])


def rows(n: int, affected: int) -> pd.DataFrame:
    """`n` households of which the first are affected; probabilities fall from the first to the last."""
    return pd.DataFrame(
        {
            "household_id": [f"h{i}" for i in range(n)],
            "as_of": MOMENT,
            "outcome": [1.0] * affected + [0.0] * (n - affected),
            "probability": np.linspace(0.8, 0.1, n),
        }
    )


def arm_of(names: list[str], chance: float) -> pd.DataFrame:
    return pd.DataFrame({"household_id": names, "drawn_at": MOMENT, "stratum": "all", "inclusion_probability": chance})


def test_weights_are_one_through_the_chance_and_those_visited_for_the_list_stand_for_themselves() -> None:
    arm = arm_of(["h3", "h1"], 0.25)
    assert inverse_probability_weights(rows(4, 1), arm).tolist() == [0.0, 4.0, 0.0, 4.0]
    with_list = rows(4, 1).assign(selected=[True, False, False, False])
    assert inverse_probability_weights(with_list, arm).tolist() == [1.0, 4.0, 0.0, 4.0]
    as_read = arm.assign(drawn_at=pd.to_datetime([MOMENT] * 2, unit="us", utc=True))
    assert inverse_probability_weights(rows(4, 1), as_read).tolist() == [0.0, 4.0, 0.0, 4.0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"inclusion_probability": [0.25, 0.0]}, "inclusion_probability is not a number above 0"),
        ({"inclusion_probability": [0.25, np.nan]}, "inclusion_probability is not a number above 0"),
        ({"household_id": ["h1", "h1"]}, "twice in the draw of one moment"),
        ({"drawn_at": [MOMENT + 1, MOMENT + 2]}, "1 of the rows' moments have no draw"),
    ],
)
def test_an_arm_that_is_not_as_it_was_drawn_is_refused(change: dict[str, list[object]], why: str) -> None:
    with pytest.raises(ArmRefused, match=why):
        inverse_probability_weights(rows(4, 1), arm_of(["h3", "h1"], 0.25).assign(**change))


def test_over_all_samples_the_estimates_are_those_of_everybody() -> None:
    everybody = rows(8, 3)
    found = []
    for chosen in itertools.combinations(everybody["household_id"], 4):
        weight = inverse_probability_weights(everybody, arm_of(list(chosen), 0.5))
        unknown = everybody.assign(outcome=np.where(weight > 0.0, everybody["outcome"], np.nan))
        found.append(arm_estimates(unknown, weight, capacity=(0.25,), resamples=0))
    assert len(found) == 70
    for name in ("base_rate", "base_rate_total"):
        assert np.mean([each[name].value for each in found]) == pytest.approx(3 / 8)
    whole = arm_estimates(everybody, np.ones(8), capacity=(0.25,), resamples=0)
    assert whole["recall_at_25pct"].value == pytest.approx(2 / 3)
    assert whole["observed_expected"].value == pytest.approx(3 / np.linspace(0.8, 0.1, 8).sum())
    # Without an affected household in the sample there is no recall to speak of.
    assert sum("recall_at_25pct" not in each for each in found) == math.comb(5, 4)


def test_estimates_by_hand() -> None:
    sample = rows(6, 2).assign(probability=[0.6, 0.1, 0.5, 0.4, 0.3, 0.2])
    weight = np.array([1.0, 4.0, 0.0, 0.0, 4.0, 0.0])
    found = arm_estimates(sample, weight, capacity=(1 / 3,), resamples=0)
    assert found["base_rate"].value == pytest.approx(5 / 9)
    assert found["base_rate_total"].value == pytest.approx(5 / 6)
    assert found["observed_expected"].value == pytest.approx(5 / (0.6 + 0.4 + 1.2))
    # On the list of two stand h0 and h2; h1 counts four times and is missed.
    assert found["recall_at_33_3333pct"].value == pytest.approx(1 / 5)
    with pytest.raises(ArmRefused, match="row 1 has a weight and no outcome"):
        arm_estimates(sample.assign(outcome=[1.0, np.nan, 0, 0, 0, 0]), weight)


def test_the_interval_holds_the_truth_about_as_often_as_it_promises() -> None:
    rng = np.random.default_rng(5)
    everybody = rows(1_500, 0).assign(probability=rng.uniform(0.02, 0.4, 1_500))
    everybody["outcome"] = (rng.random(1_500) < everybody["probability"]).astype(float)
    truth = arm_estimates(everybody, np.ones(1_500), capacity=(0.1,), resamples=0)
    held = dict.fromkeys(truth, 0)
    for seed in range(100):
        arm = drawn(everybody, seed=seed, share=0.2)
        found = arm_estimates(
            everybody, inverse_probability_weights(everybody, arm), capacity=(0.1,), resamples=100, seed=seed
        )
        for name in truth:
            held[name] += found[name].low <= truth[name].value <= found[name].high
    # The whole county is the truth here, so 95 % intervals for a larger world are a little wide.
    assert all(88 <= times <= 100 for times in held.values()), held


def test_rows_of_one_household_are_one_piece_of_evidence() -> None:
    one = rows(200, 40)
    many = pd.concat([one] * 5, ignore_index=True)
    narrow = arm_estimates(one, np.ones(200), resamples=200)["base_rate"]
    same = arm_estimates(many, np.ones(1_000), resamples=200)["base_rate"]
    assert same.high - same.low == pytest.approx(narrow.high - narrow.low)


def test_the_level_comes_from_the_arm_as_far_as_its_positives_go() -> None:
    rng = np.random.default_rng(3)
    margin = rng.normal(-2.0, 1.0, 3_000)
    outcome = (rng.random(3_000) < 1.0 / (1.0 + np.exp(-margin - 1.0))).astype(float)
    assert level_on_arm(margin, outcome) == fit_calibration(margin, outcome)
    few, told = margin[:200], outcome[:200]
    assert 20 <= told.sum() < 100
    found = level_on_arm(few, told)
    assert found.slope == 1.0
    assert found.probability(few).sum() == pytest.approx(told.sum())
    weight = np.where(told == 1.0, 3.0, 1.0)
    weighted = level_on_arm(few, told, weight)
    assert weight @ weighted.probability(few) == pytest.approx(weight @ told)
    hardly_any = level_on_arm(margin[:50] - 2.0, np.r_[np.ones(19), np.zeros(31)])
    assert (hardly_any.slope, hardly_any.intercept) == (1.0, 0.0)


def folder(path: Path) -> Path:
    """Three households at risk, one of them without any event, one in a status, one that nobody lives in."""
    made = dataset(
        [event("SLF//HOTLINE", "2024-03-01"), event("DB//ENTER", "2024-01-15", household="h2")],
        [
            *(member(f"p{i}", household=f"h{i}") for i in (1, 2, 3, 4)),
            member("p5", household="h5", left="2023-01-01"),
        ],
        [household(f"h{i}") for i in (1, 2, 3, 4, 5)],
    )
    write_dataset(path, events=made.events, members=made.members, households=made.households, meta=made.meta)
    return path


def test_drawn_from_are_all_at_risk_the_silent_included_and_nobody_from_the_list(tmp_path: Path) -> None:
    county = folder(tmp_path / "county")
    frame, moment = drawable(county, "2024-06-30")
    assert (frame["household_id"].tolist(), moment) == (["h1", "h3", "h4"], at("2024-06-30"))
    (tmp_path / "list.csv").write_text("household_id,place\nh3,1\n", encoding="utf-8")
    assert drawable(county, "2024-06-30", tmp_path / "list.csv")[0]["household_id"].tolist() == ["h1", "h4"]
    (tmp_path / "wrong.csv").write_text("id\nh3\n", encoding="utf-8")
    with pytest.raises(ArmRefused, match=r"wrong\.csv has no column household_id"):
        drawable(county, "2024-06-30", tmp_path / "wrong.csv")


def test_the_dataset_keeps_the_arm_under_its_digest_and_a_moment_is_drawn_once(tmp_path: Path) -> None:
    county = folder(tmp_path / "county")
    before = read_dataset(county)
    assert before.audit_arm is None
    frame, moment = drawable(county, "2024-06-30")
    arm = draw_audit_arm(frame, drawn_at=moment, share=0.5, seed=1)
    keep_audit_arm(county, arm)
    kept = read_dataset(county)
    assert kept.audit_arm is not None
    assert kept.audit_arm["household_id"].tolist() == arm["household_id"].tolist()
    assert kept.audit_arm["drawn_at"].tolist() == [pd.Timestamp("2024-06-30T16:00:00Z")] * len(arm)
    assert kept.meta.digest == folder_digest(county) != before.meta.digest
    pd.testing.assert_frame_equal(kept.events, before.events)
    with pytest.raises(ArmRefused, match="a moment is drawn once"):
        keep_audit_arm(county, arm)
    keep_audit_arm(county, draw_audit_arm(frame, drawn_at=moment + 1, share=1.0, seed=1))
    again = read_dataset(county).audit_arm
    assert again is not None
    assert len(again) == len(arm) + 3
    assert sorted(path.name for path in county.iterdir()) == [
        "audit_arm.parquet", "dataset.json", "events.parquet", "households.parquet", "members.parquet",
    ]  # fmt: skip
    write_audit_arm(arm, county / "audit_arm.parquet")
    with pytest.raises(DatasetRefused, match="not the ones"):
        read_dataset(county)


def test_no_feature_can_read_the_arm() -> None:
    sources = Path(__file__).parents[2].glob("features/**/*.py")
    assert {path.name for path in sources if "audit_arm" in path.read_text("utf-8").lower()} == {
        "dataset.py",
        "event.py",
    }


def test_the_command_writes_who_was_drawn_and_says_only_how_many(tmp_path: Path) -> None:
    county, out = folder(tmp_path / "county"), tmp_path / "arm.csv"
    asked = [str(county), "--as-of", "2024-06-30", "--share", "0.5", "--seed", "3", "--out", str(out)]
    done = CliRunner().invoke(bias_commands.audit_arm, [*asked, "--keep", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["households"], told["drawn"], told["strata"]) == (3, 2, 1)
    assert told["least_chance"] == told["greatest_chance"] == pytest.approx(2 / 3)
    written = pd.read_csv(out)
    assert list(written) == ["household_id", "drawn_at", "stratum", "inclusion_probability"]
    assert not any(name in done.output for name in written["household_id"])
    assert read_meta(county).digest == folder_digest(county)
    assert as_of_moment("2024-06-30", "Asia/Shanghai") == at("2024-06-30")
    for more, code, said in (
        (["--visits", "2"], 2, "either --share or --visits"),
        (["--keep"], 1, "a moment is drawn once"),
        (["--strata", "street"], 1, "no column street"),
        (["--as-of", "2009-01-01"], 1, "no household is at risk"),
    ):
        refused = CliRunner().invoke(bias_commands.audit_arm, [*asked, *more])
        assert refused.exit_code == code
        assert said in refused.output
