"""The synthetic county: what its tables promise to everyone who learns from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from features.catalogue import CORE, Catalogue, catalogue
from features.command_line import main
from features.dataset import Dataset, read_dataset, read_meta
from features.intake import admit
from features.window import MICROS_PER_DAY, as_of_moment, parsed
from training.county.assumptions import ASSUMPTIONS, SEASONS, Assumptions
from training.county.block import Block, lived_through
from training.county.chance import Chance
from training.county.grid import county_grid
from training.county.hazard import Hazard
from training.county.ledger import Happenings
from training.county.reporting import Names, reported
from training.county.shocks import weather
from training.county.simulate import happenings, known_sources, simulate
from training.labels import label, label_rows
from training.moments import moments

HOUSEHOLDS, MONTHS, SEED = 5_000, 60, 5
REGISTERS = ("DB", "TK", "LIP", "MON", "HKM")
PAID_ON = ("ELD//SUBSIDY", "DIS//SUB_CARE", "DIS//SUB_LIVING")
YEAR_AND_A_HALF = pd.Timedelta(days=550)


@dataclass(frozen=True)
class County:
    """The county under test, with what most tests ask of it."""

    data: Dataset
    until: pd.Timestamp
    visibility: pd.Series

    @property
    def first_reports(self) -> pd.DataFrame:
        """Events as they were first reported."""
        return self.data.events[self.data.events["status"] == "original"]


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> County:
    folder = tmp_path_factory.mktemp("county") / "data"
    told: list[tuple[int, int]] = []
    simulate(folder, households=HOUSEHOLDS, months=MONTHS, seed=SEED, progress=lambda *at: told.append(at))
    assert told[-1] == (HOUSEHOLDS, HOUSEHOLDS)
    data = read_dataset(folder)
    assert data.audit is not None and data.truth is not None
    until = pd.Timestamp(parsed(data.meta.data_until, data.meta.time_zone), unit="us", tz="UTC")
    return County(data, until, data.audit.set_index("household_id")["data_visibility"])


def test_same_arguments_give_the_same_tables_and_another_seed_gives_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate(tmp_path / name, households=150, months=30, seed=seed)
    digests = [read_meta(tmp_path / name).digest for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_departments_that_are_not_connected_send_nothing_and_change_neither_truth_nor_other_rows(
    tmp_path: Path,
) -> None:
    simulate(tmp_path / "all", households=300, months=36, seed=6)
    few = simulate(tmp_path / "few", households=300, months=36, seed=6, sources=["残联", "医保", "残联"])
    whole, thin = read_dataset(tmp_path / "all"), read_dataset(tmp_path / "few")
    assert set(thin.events["source"]) == {"医保", "残联"} == set(few.sources)
    assert few.sources == {name: whole.meta.sources[name] for name in few.sources}
    assert "connected are only 医保, 残联" in few.provenance and "connected" not in whole.meta.provenance
    for name in ("members", "households", "audit", "truth"):
        pd.testing.assert_frame_equal(getattr(thin, name), getattr(whole, name))
    ids = ["event_id", "supersedes"]
    kept = whole.events[whole.events["source"].isin(["医保", "残联"])]
    assert 0.1 * len(whole.events) < len(kept) < 0.5 * len(whole.events)
    pd.testing.assert_frame_equal(thin.events.drop(columns=ids), kept.drop(columns=ids).reset_index(drop=True))
    assert (thin.events["supersedes"].notna().to_numpy() == kept["supersedes"].notna().to_numpy()).all()
    assert set(thin.events["supersedes"].dropna()) <= set(thin.events["event_id"])


def test_all_departments_named_are_the_same_county_as_none_named(tmp_path: Path) -> None:
    written = []
    for sources in (None, known_sources(), known_sources()[::-1]):
        simulate(tmp_path / "county", households=50, months=30, seed=6, sources=sources)
        written.append(read_meta(tmp_path / "county"))
    assert written[0] == written[1] == written[2]


def test_simulate_takes_departments_with_commas_of_either_kind_between_them(tmp_path: Path) -> None:
    given = ["--households", "40", "--months", "36", "--seed", "1", "--out", str(tmp_path / "c")]
    done = CliRunner().invoke(main, ["simulate", *given, "--sources", "医保, 残联，民政"])
    assert done.exit_code == 0, done.output
    assert set(read_meta(tmp_path / "c").sources) == {"医保", "残联", "民政"}


@pytest.mark.parametrize("wrong", ["医保,乡里乡亲", " , "])
def test_simulate_refuses_departments_nobody_knows_and_says_which_it_knows(tmp_path: Path, wrong: str) -> None:
    given = ["--households", "40", "--months", "36", "--seed", "1", "--out", str(tmp_path / "c")]
    done = CliRunner().invoke(main, ["simulate", *given, "--sources", wrong])
    assert done.exit_code == 1
    assert "known are 人社, 住建" in done.stderr
    assert ("乡里乡亲" in done.stderr) == ("乡里乡亲" in wrong)
    assert not (tmp_path / "c").exists()


def test_intake_refuses_nothing_and_knows_every_code(county: County) -> None:
    _, report = admit(county.data, catalogue(CORE))
    assert report.rejects.empty, report.rejects.drop(columns="row").value_counts().head()
    assert report.unknown_codes == {}
    assert report.repeated_events == 0


def test_every_declared_kind_occurs(county: County) -> None:
    declared = set(catalogue(CORE).by_code)
    assert len(declared) == 107
    assert declared - set(county.data.events["code"]) == set()


def _block(assumptions: Assumptions, households: int = 400) -> Block:
    grid = county_grid(assumptions, 30)
    over = weather(assumptions, grid, Chance(4, -1).of("weather"))
    return lived_through(assumptions, grid, Hazard(assumptions, grid), households, Chance(4, 0), over)


def _facts(what: Happenings, of: Catalogue) -> pd.DataFrame:
    """Facts as values, whatever the position of code and text."""
    return pd.DataFrame(
        {
            "code": np.array([kind.code for kind in of.kinds])[what.code],
            "household": what.household,
            "person": what.person,
            "moment": what.moment,
            "value": what.value,
            "text": np.array([*what.texts, None], dtype=object)[what.text],
        }
    )


def test_a_further_code_leaves_the_reports_of_all_others_as_they_are() -> None:
    # One code of a department that has others, and a department with one code only.
    block, whole, extra = _block(ASSUMPTIONS), catalogue(CORE), ("GRD//VISIT", "INR//ANTI_POVERTY_PAY")
    fewer = Catalogue(CORE, tuple(kind for kind in whole.kinds if kind.code not in extra), ())
    what, _ = happenings(block, whole)
    codes = np.array([kind.code for kind in whole.kinds])
    kept = what.taken(np.flatnonzero(~np.isin(codes[what.code], extra)))
    moved = np.array([0 if code in extra else list(fewer.by_code).index(code) for code in codes])
    kept = replace(kept, code=moved[kept.code])
    tables = [
        reported(ASSUMPTIONS, block.grid, of, facts, block.standing.visibility, Names(1, 1, 1), block.chance)
        for of, facts in ((whole, what), (fewer, kept))
    ]
    rows = [table[~table["code"].isin(extra)].drop(columns=["event_id", "supersedes"]) for table in tables]
    assert set(extra) < set(tables[0]["code"])
    pd.testing.assert_frame_equal(rows[0].reset_index(drop=True), rows[1].reset_index(drop=True))


def test_more_or_fewer_traces_disturb_nothing_else() -> None:
    """Other visits, leases and water failures leave truth and all other facts untouched: they cause nothing."""
    traces = replace(
        ASSUMPTIONS.traces,
        visited=(2.0, 2.0, 4.0, 6.0),
        leased_by_others=(0.5, 0.5, 0.5),
        water_fails=2.0,
        fraud_loss=(9.0, 0.1),
    )
    usual, changed = _block(ASSUMPTIONS), _block(replace(ASSUMPTIONS, traces=traces))
    np.testing.assert_array_equal(usual.course.truth, changed.course.truth)
    facts = [_facts(happenings(block, catalogue(CORE))[0], catalogue(CORE)) for block in (usual, changed)]
    touched = ("GRD//VISIT", "GRD//LIVING", "GRD//DIGITAL", "HSG//RENT", "WTR//OUTAGE", "HKM//FRAUD_LOSS")
    assert all(not facts[0][facts[0]["code"] == code].equals(facts[1][facts[1]["code"] == code]) for code in touched)
    others = [table[~table["code"].isin(touched)].reset_index(drop=True) for table in facts]
    assert others[0]["code"].nunique() > 90
    pd.testing.assert_frame_equal(others[0], others[1])


def test_what_happens_to_an_area_reaches_each_of_its_households_once_and_on_one_day(county: County) -> None:
    rows = county.first_reports
    rows = rows[rows["code"].str.startswith("ARE//")].merge(county.data.households, on="household_id")
    assert not rows.duplicated(["household_id", "code", "occurred_at"]).any()
    each = rows.groupby(["township", "code", "occurred_at"]).agg(
        known=("known_at", "nunique"), values=("value", "nunique"), reached=("household_id", "nunique")
    )
    assert (each[["known", "values"]] == 1).all(axis=None)
    living = county.data.households["township"].value_counts().reindex(each.index.get_level_values("township"))
    assert (each["reached"] > 0.8 * living.to_numpy()).all(), "all but those who have left the county"
    assert set(rows.loc[rows["code"] == "ARE//PRICE", "residence"]) == {"rural"}


def test_the_new_records_come_after_what_they_follow(county: County) -> None:
    events = county.first_reports
    moment = {code: rows.groupby("household_id")["occurred_at"] for code, rows in events.groupby("code")}
    for before, after in (
        ("UTL//ARREARS", "UTL//CUTOFF"),
        ("HSG//RENT_SUB", "HSG//RENT_ARREARS"),
        ("BIZ//REGISTER", "BIZ//CLOSE"),
        ("PRI//IMPRISON", "PRI//RELEASE"),
        ("HLT//MAJOR_DX", "CHR//APPEAL"),
    ):
        last = moment[after].max()
        first = moment[before].min().reindex(last.index)
        # What came before the written months, or was not linked, is not on record.
        seen = first.notna()
        assert seen.mean() > 0.6 and len(last) >= 10, after
        assert (first[seen] < last[seen]).mean() > 0.95, after


def test_nobody_is_paid_a_wage_in_prison(county: County) -> None:
    events = county.first_reports
    terms = events[(events["code"] == "PRI//IMPRISON") & (events["occurred_at"] > events["known_at"].min())]
    paid = events[events["code"] == "EMP//WAGE"].merge(terms[["person_id", "occurred_at", "value"]], on="person_id")
    since = (paid["occurred_at_x"] - paid["occurred_at_y"]).dt.days / 30.44
    assert len(terms) > 40 and len(paid) > 0, "some of them earned before"
    assert not ((since > 1.1) & (since < paid["value_y"] - 1.1)).any()


def test_dataset_json_says_what_the_tables_hold(county: County) -> None:
    meta = county.data.meta
    assert (meta.catalogue, meta.currency, meta.time_zone, meta.default_label) == ("core", "CNY", "Asia/Shanghai", "L1")
    assert meta.regions == ("demo",) and set(county.data.households["region"]) == {"demo"}
    assert set(county.data.events["source"]) <= set(meta.sources)
    assert meta.moments.first == "2019-12-31"
    last_outcome = as_of_moment(meta.moments.until, meta.time_zone) + 365 * MICROS_PER_DAY
    spare_days = (parsed(meta.data_until, meta.time_zone) - last_outcome) / MICROS_PER_DAY
    assert 60 <= spare_days <= 60 + 32, "the last outcome is just reported when the data end"


def test_the_extract_holds_what_was_known_by_its_end(county: County) -> None:
    assert (county.data.events["known_at"] <= county.until).all()
    assert (county.data.members["known_at"] <= county.until).all()


def test_only_scheduled_events_are_known_before_they_happen(county: County) -> None:
    events = county.data.events
    early = events.loc[events["known_at"] < events["occurred_at"], "code"]
    scheduled = {kind.code for kind in catalogue(CORE).kinds if kind.is_scheduled}
    assert set(early) <= scheduled
    assert set(early), "a recognition's end is known from its beginning"


@pytest.mark.parametrize(
    "code", ["EMP//WAGE", "SSI//PENSION", "CLM//INPATIENT", "CLM//DRUG", "PRD//SALES", "EDU//FEE", "ENR//PAID"]
)
def test_reporting_lags_are_those_of_the_kind(county: County, code: str) -> None:
    rows = county.first_reports[county.first_reports["code"] == code]
    rows = rows[rows["occurred_at"] < county.until - YEAR_AND_A_HALF]
    days = (rows["known_at"] - rows["occurred_at"]).dt.total_seconds() / 86_400
    median, high = catalogue(CORE).by_code[code].lag_days
    assert len(rows) > 1_000
    for limit, share in ((median, 0.5), (high, 0.95)):
        error = np.sqrt(share * (1 - share) / len(rows))
        assert (days <= limit).mean() == pytest.approx(share, abs=4 * error), f"{limit} days"


def test_corrections_and_withdrawals_replace_an_earlier_row(county: County) -> None:
    events = county.data.events
    later = events[events["status"] != "original"]
    assert 0.006 < (events["status"] == "corrected").mean() < 0.012
    assert 0.0015 < (events["status"] == "retracted").mean() < 0.004
    both = later.merge(events, left_on="supersedes", right_on="event_id", suffixes=("", "_before"))
    assert len(both) == len(later)
    for column in ("household_id", "person_id", "code", "occurred_at", "unit"):
        same = (both[column] == both[f"{column}_before"]) | (both[column].isna() & both[f"{column}_before"].isna())
        assert same.all(), column
    assert (both["known_at"] > both["known_at_before"]).all()
    corrected = both[both["status"] == "corrected"]
    assert (corrected["value"] != corrected["value_before"]).mean() > 0.9
    entries = {kind.code for kind in catalogue(CORE).kinds if kind.is_entry}
    assert not set(later["code"]) & entries, "an entry into a status is never in doubt"


def test_some_amounts_are_left_open(county: County) -> None:
    claims = county.first_reports[county.first_reports["code"].str.startswith("CLM//")]
    assert 0.002 < claims["value"].isna().mean() < 0.01


def test_silent_households_leave_traces_only_in_registers(county: County) -> None:
    share = (county.visibility == "none").mean()
    assert share == pytest.approx(ASSUMPTIONS.silent_share, abs=0.015)
    category = county.data.events["code"].str.split("//").str[0]
    # What concerns a whole area is delivered for everyone and shows nobody.
    elsewhere = county.data.events[~category.isin((*REGISTERS, "ARE"))].groupby("household_id").size()
    per_household = elsewhere.reindex(county.visibility.index, fill_value=0).groupby(county.visibility).mean()
    assert per_household["none"] < 0.08 * per_household["full"]
    assert per_household["thin"] < 0.95 * per_household["full"]


def test_silent_households_carry_a_risk_as_real_as_others(county: County) -> None:
    assert county.data.truth is not None
    hazard = county.data.truth.groupby("household_id")["hazard_12m"].mean()
    by_visibility = hazard.groupby(county.visibility.reindex(hazard.index)).mean()
    assert by_visibility["none"] > 0.7 * by_visibility["full"]


def test_authorised_events_exist_only_for_a_selection_and_say_how_long_they_may_be_used(county: County) -> None:
    kinds = catalogue(CORE).kinds
    events = county.data.events
    rows = events[events["code"].isin([kind.code for kind in kinds if kind.is_authorised])]
    signed = set(rows["household_id"])
    assert rows["text"].str.fullmatch(r"授权有效期至20\d\d-\d\d").all()
    assert 0.03 < len(signed) / HOUSEHOLDS < 0.4
    entries = events["code"].isin([kind.code for kind in kinds if kind.is_entry])
    applied = set(events.loc[entries | (events["code"] == "DB//REJECT"), "household_id"])
    others = set(county.data.households["household_id"]) - applied
    assert len(signed & applied) / len(applied) > 2 * len(signed & others) / len(others)


def test_nobody_lives_in_two_homes_at_a_time(county: County) -> None:
    spells = county.data.members.sort_values("known_at").drop_duplicates(
        ["household_id", "person_id", "joined_at"], keep="last"
    )
    spells = spells.sort_values(["person_id", "joined_at"])
    next_joined = spells.groupby("person_id")["joined_at"].shift(-1)
    several = next_joined.notna()
    assert several.sum() > 20, "people move within the county"
    moved = spells[several]
    # Whoever moved has left, unless the report of leaving is still under way.
    late = moved["left_at"].isna() & (next_joined[several] > county.until - YEAR_AND_A_HALF)
    assert (late | (moved["left_at"] <= next_joined[several])).all()
    assert (spells["left_at"].isna() | (spells["left_at"] > spells["joined_at"])).all()


def test_the_dead_leave_their_household(county: County) -> None:
    events, members = county.data.events, county.data.members
    died = events[events["code"] == "FUN//CREMATE"].drop_duplicates("person_id").set_index("person_id")["occurred_at"]
    died = died[died < county.until - YEAR_AND_A_HALF]
    assert len(died) > 50
    left = members.groupby("person_id")["left_at"].max().reindex(died.index)
    after = left - died
    assert left.notna().all()
    assert ((after > pd.Timedelta(0)) & (after < pd.Timedelta(days=1))).all()
    theirs = events[events["person_id"].isin(died.index) & (events["status"] == "original")]
    # A payment booked by mistake may stand after a death until it is withdrawn, and some benefits are paid on until an
    # office learns of the death; nothing else stands there.
    mistaken = theirs["event_id"].isin(events.loc[events["status"] == "retracted", "supersedes"])
    posthumous = theirs["occurred_at"] > died.reindex(theirs["person_id"]).to_numpy()
    posthumous &= ~mistaken & (theirs["known_at"] < county.until - YEAR_AND_A_HALF)
    assert set(theirs.loc[posthumous, "code"]) <= set(PAID_ON)
    assert 0 < theirs.loc[posthumous, "person_id"].nunique() < 0.05 * len(died)


def test_an_entry_is_followed_by_its_exit_unless_it_still_runs(county: County) -> None:
    endings = {"DB//ENTER": "DB//EXIT", "TK//ENTER": "TK//EXIT", "MON//ENTER": "MON//RISK_CLEAR"}
    longest = pd.Timedelta(days=31 * (max(ASSUMPTIONS.spell_months) + 1))
    events = county.first_reports
    gone = county.data.members.groupby("household_id")["left_at"].apply(lambda left: left.notna().any())
    for entry, ending in endings.items():
        begun = events[(events["code"] == entry) & (events["occurred_at"] < county.until - longest - YEAR_AND_A_HALF)]
        ended = events[events["code"] == ending].groupby("household_id")["occurred_at"].max()
        stays = ~begun["household_id"].map(gone)
        after = begun["household_id"].map(ended) > begun["occurred_at"]
        assert len(begun) > 20
        assert after[stays].all(), entry


def test_labels_follow_from_the_events_and_formerly_poor_households_return_more_often(county: County) -> None:
    assert county.data.truth is not None
    rows = label_rows(label("L1", county.data), county.data, moments(county.data.meta))
    rows = rows[rows["outcome"].notna()]
    truth = county.data.truth.assign(as_of=county.data.truth["as_of"].dt.as_unit("us").astype("int64"))
    both = rows.merge(truth, on=["household_id", "as_of"], how="left")
    assert both["hazard_12m"].notna().all(), "every labelled household has a truth"
    expected = both["hazard_12m"].mean()
    # Moments overlap, so a household counts about as often as it has separate years.
    households = both["household_id"].nunique()
    error = np.sqrt(expected * (1 - expected) / (1.5 * households))
    assert abs(both["outcome"].mean() - expected) < 4 * error
    assert 0.04 < both["outcome"].mean() < 0.07
    returns = both.groupby("formerly_poor")["outcome"].mean()
    assert returns[True] > 1.5 * returns[False]


def test_audit_attributes_are_apart_and_come_about_as_documented(county: County) -> None:
    audit = county.data.audit
    assert audit is not None
    assert list(audit["household_id"]) == list(county.data.households["household_id"])
    assert not set(audit.columns) & (set(county.data.households.columns) - {"household_id"})
    assert {"minority", "head_sex", "disability_any", "elderly_headed", "migrant", "data_visibility"} < set(audit)
    for attribute in ("minority", "migrant", "elderly_headed"):
        hidden = (audit["data_visibility"] != "full").groupby(audit[attribute]).mean()
        assert hidden[True] > hidden[False], attribute
    assert 0.05 < audit["minority"].mean() < 0.2


def test_shares_and_seasons_of_the_assumptions_are_whole() -> None:
    a = ASSUMPTIONS
    for shares in (a.residence_shares, a.size_shares, a.spell_shares, a.grade_shares, *a.schooling):
        assert sum(shares) == pytest.approx(1.0)
    assert sum(t.rural_share for t in a.templates) == pytest.approx(1.0, abs=0.01)
    assert sum(t.urban_share for t in a.templates) == pytest.approx(1.0, abs=0.01)
    for name, season in SEASONS.items():
        assert len(season) == 12
        assert np.mean(season) == pytest.approx(1 / 12 if name == "august" else 1.0, abs=0.06), name
    assert a.settling_months >= a.horizon_months, "else the truth would depend on what is not yet known"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"households": 0, "months": 48, "seed": 1}, "at least one household"),
        ({"households": 10, "months": 20, "seed": 1}, "at least 27 months"),
        ({"households": 10, "months": 48, "seed": -1}, "seed is not negative"),
    ],
)
def test_impossible_counties_are_refused_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, int], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        simulate(tmp_path / "county", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "county").exists()


def test_grid_months_are_local_calendar_months() -> None:
    grid = county_grid(ASSUMPTIONS, 30)
    lengths = np.diff(grid.starts) // MICROS_PER_DAY
    assert lengths[grid.warm_up : grid.warm_up + 12].tolist() == [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    assert int(grid.starts[grid.warm_up]) == parsed("2019-01-01", "Asia/Shanghai")
    assert grid.moment(np.array([grid.warm_up]), np.array([0.5]))[0] == parsed("2019-01-16T12:00:00", "Asia/Shanghai")
