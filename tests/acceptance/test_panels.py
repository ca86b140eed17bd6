"""The two public panels become dataset folders that say what their publishers say, and nothing that nobody answered.

The rules are shown on raw panels of a few made-up rows. The published figures need the real files, which are never
part of this project; `POVRISK_SHARED` names the folder that holds them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.catalogue import catalogue
from features.dataset import Dataset, DatasetRefused, read_dataset
from features.history import history_from_tables
from features.intake import admit
from features.matrix import matrix
from features.window import as_of_moment
from training.labels import LabelRefused, label, label_rows
from training.moments import moments
from training.panels import eph, sipp
from training.panels.eph_answers import HOUSEHOLD_COLUMNS, PERSON_COLUMNS

SHARED = Path(os.environ.get("POVRISK_SHARED", "../shared"))
LINE = 1000.0


def _real(panel: str) -> Path:
    raw = SHARED / "data" / panel
    if not raw.is_dir():
        pytest.skip("panel data not found under POVRISK_SHARED; panel checks did not run")
    return raw


# --- the real files ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_eph(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("eph") / "dataset"
    eph.build(_real("eph"), out)
    return read_dataset(out)


@pytest.fixture(scope="module")
def real_sipp(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("sipp") / "dataset"
    sipp.build(_real("sipp"), out)
    return read_dataset(out)


def test_published_poverty_rates_are_reproduced() -> None:
    rates = eph.poverty_rates(_real("eph")).set_index("semester")
    for semester in ("2016S2", "2017S1", "2017S2"):
        assert rates.loc[semester, "rate"] == pytest.approx(rates.loc[semester, "official"], abs=0.001)
    assert np.isnan(rates.loc["2016S1", "official"])


@pytest.mark.parametrize("panel", ["real_eph", "real_sipp"])
def test_nothing_is_reported_twice(panel: str, request: pytest.FixtureRequest) -> None:
    dataset: Dataset = request.getfixturevalue(panel)
    assert dataset.events["event_id"].is_unique
    assert dataset.households["household_id"].is_unique
    assert not dataset.members.duplicated(["household_id", "person_id", "joined_at", "known_at"]).any()


def test_unreported_income_is_no_amount_at_all(real_eph: Dataset) -> None:
    raw = pd.read_parquet(_real("eph") / "eph_household.parquet")
    names = raw["dwelling_id"].astype(str) + "-" + raw["NRO_HOGAR"].astype(str)
    raw["visit"] = "e" + names + "." + raw["ANO4"].astype(str) + "Q" + raw["TRIMESTRE"].astype(str)
    silent = set(raw.loc[raw["DECIFR"] == 12, "visit"])
    assert len(silent) / len(raw) == pytest.approx(0.2175, abs=0.001)
    amounts = real_eph.events[real_eph.events["code"].str.endswith("_TO_LINE")]
    assert not set(amounts["event_id"].str.rsplit(".", n=1).str[0]) & silent
    income = amounts[amounts["code"] == "EPH//INCOME_TO_LINE"]
    assert len(income) == (raw["DECIFR"] != 12).fillna(True).sum()
    # A household that did report, and had none, is a true zero.
    assert (income["value"] == 0).sum() == ((raw["ITF"] == 0) & (raw["DECIFR"] == 0)).sum() == 663


def test_the_label_of_eph_is_the_documented_one(real_eph: Dataset) -> None:
    rows = label_rows(label("poor_12m", real_eph), real_eph, moments(real_eph.meta))
    labelled = rows[rows["outcome"].notna()]
    assert len(rows) == 130_915
    assert len(labelled) == 11_784
    assert labelled["outcome"].mean() == pytest.approx(0.0836, abs=0.0001)
    assert labelled["as_of"].nunique() == 3
    assert set(rows.loc[rows["as_of"] > as_of_moment("2016-12-31", "UTC"), "null_reason"]) == {
        "already poor",
        "income not reported",
        "not mature",
    }


def test_the_labels_of_sipp_need_three_whole_waves_ahead(real_sipp: Dataset) -> None:
    grid = moments(real_sipp.meta)
    some = label_rows(label("any", real_sipp), real_sipp, grid)
    annual = label_rows(label("annual", real_sipp), real_sipp, grid)
    labelled = some["outcome"].notna()
    assert (annual["outcome"].notna() == labelled).all()
    assert labelled.sum() == 185_940
    assert some["outcome"].mean() == pytest.approx(0.0809, abs=0.0001)
    assert annual["outcome"].mean() == pytest.approx(0.0287, abs=0.0001)
    # Four rotation groups: every month some wave ends, and a household stands in every fourth month only.
    assert len(grid) == some["as_of"].nunique() == 48
    steps = some.sort_values(["household_id", "as_of"]).groupby("household_id")["as_of"].diff().dropna()
    assert steps.min() >= 120 * 86_400_000_000


# --- made-up raw panels -----------------------------------------------------------------------------------------

HOUSEHOLD = dict.fromkeys(HOUSEHOLD_COLUMNS, 2) | {
    "ANO4": 2016, "TRIMESTRE": 2, "dwelling_id": 7, "NRO_HOGAR": 1, "REGION": 1, "AGLOMERADO": 33, "DECIFR": 5,
    "PONDIH": 10, "IX_TOT": 1, "ITF": 3000, "IV3": 1, "IV4": 1, "IV6": 1, "IV7": 1, "IV8": 1, "IV11": 1, "II1": 3,
    "II7": 1, "II8": 1,
}  # fmt: skip
PERSON = dict.fromkeys(PERSON_COLUMNS, 0) | {
    "ANO4": 2016, "TRIMESTRE": 2, "dwelling_id": 7, "NRO_HOGAR": 1, "COMPONENTE": 1, "CH03": 1, "CH04": 1, "CH06": 40,
    "CH08": 1, "CH10": 2, "NIVEL_ED": 4, "ESTADO": 1, "CAT_OCUP": 3, "INTENSI": 2, "PP3E_TOT": 40, "PP04A": 2,
    "PP04B_COD": 4502, "PP07A": 5, "PP07C": 2, "PP07H": 1, "P21": 3000,
}  # fmt: skip
OUT_OF_WORK = {"ESTADO": 2, "CAT_OCUP": 0, "PP07H": 0, "PP07A": 0, "P21": 0, "PP3E_TOT": None, "PP10A": 4}

Visit = dict[str, Any]
Build = Callable[..., Dataset]


@pytest.fixture
def raw_eph(tmp_path: Path) -> Callable[[list[Visit], list[Visit]], Path]:
    """Writes a raw folder in which every adult needs 1,000 pesos, in every quarter and region."""

    def write(visits: list[Visit], persons: list[Visit]) -> Path:
        raw = tmp_path / "raw"
        raw.mkdir()
        pd.DataFrame([HOUSEHOLD | visit for visit in visits]).to_parquet(raw / "eph_household.parquet")
        pd.DataFrame([PERSON | person for person in persons]).to_parquet(raw / "eph_person.parquet")
        months = pd.period_range("2016-04", "2017-12", freq="M").astype(str)
        pd.DataFrame({"month": months, "cbt_gba_per_adult_equivalent": LINE}).to_csv(raw / "cbt_2016_2019.csv")
        pd.DataFrame({"region": ["GBA"], "periodo": [2016.4], "CBA": [1.0], "CBT": [9.0], "codigo": [1.0]}).to_csv(
            raw / "regional_baskets_2016q3_q4.csv"
        )
        ages = [(sex, age, 1.0) for sex in (1.0, 2.0) for age in (-1.0, *np.arange(1.0, 100.0))]
        pd.DataFrame(ages, columns=["sex_CH04", "age_CH06", "adult_equivalent"]).to_csv(raw / "adult_equivalent.csv")
        pd.DataFrame({"semester": ["2016S2"], "official_person_poverty": [0.5]}).to_csv(raw / "official_rates.csv")
        return raw

    return write


@pytest.fixture
def built_eph(raw_eph: Callable[[list[Visit], list[Visit]], Path], tmp_path: Path) -> Build:
    def build(visits: list[Visit], persons: list[Visit]) -> Dataset:
        told: list[tuple[int, int]] = []
        eph.build(raw_eph(visits, persons), tmp_path / "out", progress=lambda done, total: told.append((done, total)))
        assert told[-1] == (len(told), len(told))
        dataset = read_dataset(tmp_path / "out")
        _, report = admit(dataset, catalogue("eph"))
        assert report.rejects.empty
        assert not report.unknown_codes
        return dataset

    return build


def _value(dataset: Dataset, name: str, day: str) -> float | None:
    events = dataset.events
    found = events[events["code"].str.endswith("//" + name) & (events["occurred_at"] == pd.Timestamp(day, tz="UTC"))]
    assert len(found) <= 1
    return None if found.empty else float(found["value"].iloc[0])


def _quarters(*quarters: tuple[int, int], **changes: Any) -> list[Visit]:
    return [{"ANO4": year, "TRIMESTRE": quarter, **changes} for year, quarter in quarters]


def test_income_stands_against_the_households_own_line(built_eph: Build) -> None:
    dataset = built_eph(_quarters((2016, 2), ITF=3000), [{}, {"COMPONENTE": 2, "CH03": 2, "CH06": 38, "P21": -9}])
    assert _value(dataset, "INCOME_TO_LINE", "2016-06-30") == pytest.approx(3000 / (2 * LINE))
    assert _value(dataset, "EMPLOYED", "2016-06-30") == 2
    # One earner's amount was not reported, so nobody knows the household's.
    assert _value(dataset, "WORK_TO_LINE", "2016-06-30") is None
    assert _value(dataset, "PENSION_TO_LINE", "2016-06-30") == 0


def test_unreported_income_and_unanswered_questions_make_no_event(built_eph: Build) -> None:
    dataset = built_eph(
        _quarters((2016, 2), ITF=0, DECIFR=12, V13=9, V14=1, V3=9, V4=2, II1=99), [{"CH08": 9, "P21": -9, "ESTADO": 0}]
    )
    assert not dataset.events["code"].str.endswith("_TO_LINE").any()
    for name in ("SAVINGS_SPENT", "JOB_LOSS_PAY", "ROOMS", "UNCOVERED", "EMPLOYED", "HEAD_WORKS", "INCOME_CHANGE"):
        assert _value(dataset, name, "2016-06-30") is None
    assert _value(dataset, "KIN_LOAN", "2016-06-30") == 1
    history = history_from_tables(
        dataset.events, dataset.members, dataset.households, catalogue("eph"), time_zone="UTC"
    )
    vector = matrix(history, as_of_moment("2016-06-30", "UTC"))
    assert np.isnan(vector.column("income_to_line_3m")[0])
    assert np.isnan(vector.column("savings_spent_3m")[0])
    assert vector.column("kin_loan_3m")[0] == 1
    assert vector.column("members")[0] == vector.column("members_3m")[0] == 1


def test_what_seldom_changes_is_reported_when_it_does(built_eph: Build) -> None:
    visits = [*_quarters((2016, 2), II7=1), *_quarters((2016, 3), II7=1), *_quarters((2017, 2), II7=3)]
    dataset = built_eph(visits, _quarters((2016, 2), (2016, 3), (2017, 2)))
    owns = [_value(dataset, "OWNS_HOME", day) for day in ("2016-06-30", "2016-09-30", "2017-06-30")]
    assert owns == [1, None, 0]


def test_changes_are_told_between_visits_a_quarter_apart_only(built_eph: Build) -> None:
    persons = [
        *_quarters((2016, 2), (2016, 3)),
        *_quarters((2016, 3), (2017, 2), COMPONENTE=2, CH03=3, CH06=19, CH10=1, **OUT_OF_WORK),
        *_quarters((2017, 2), **OUT_OF_WORK),
        *_quarters((2017, 3), **OUT_OF_WORK),
    ]
    visits = [*_quarters((2016, 2), ITF=3000), *_quarters((2016, 3), (2017, 2), ITF=4000), *_quarters((2017, 3), ITF=0)]
    dataset = built_eph(visits, persons)
    days = ("2016-06-30", "2016-09-30", "2017-06-30", "2017-09-30")
    assert [_value(dataset, "JOINED", day) for day in days] == [None, 1, None, 0]
    assert [_value(dataset, "LEFT", day) for day in days] == [None, 0, None, 1]
    assert [_value(dataset, "JOBS_LOST", day) for day in days] == [None, 0, None, 0]
    assert [_value(dataset, "INCOME_CHANGE", day) for day in days] == [None, 2 - 3, None, 0 - 2]


def test_a_member_is_known_from_the_first_visit_until_the_first_without_them(built_eph: Build) -> None:
    persons = [
        *_quarters((2016, 2), (2016, 3), (2017, 2)),
        *_quarters((2016, 2), (2017, 2), COMPONENTE=2, CH03=6, CH06=70),
    ]
    dataset = built_eph(_quarters((2016, 2), (2016, 3), (2017, 2)), persons)
    mother = dataset.members[dataset.members["role"] == "parent"].sort_values("known_at")
    assert [str(day)[:10] for day in mother["joined_at"]] == ["2016-06-30", "2016-06-30", "2017-06-30"]
    assert [str(day)[:10] for day in mother["left_at"]] == ["NaT", "2016-09-30", "NaT"]
    assert [str(day)[:10] for day in mother["known_at"]] == ["2016-06-30", "2016-09-30", "2017-06-30"]
    history = history_from_tables(
        dataset.events, dataset.members, dataset.households, catalogue("eph"), time_zone="UTC"
    )
    counted = [
        matrix(history, as_of_moment(day, "UTC")).column("members_over_64")[0]
        for day in ("2016-06-30", "2016-09-30", "2017-06-30")
    ]
    assert counted == [1, 0, 1]


def test_the_label_of_eph_says_null_where_nobody_knows(built_eph: Build) -> None:
    incomes: dict[int, list[tuple[int, int, int, int]]] = {
        1: [(2016, 2, 500, 5), (2016, 3, 3000, 5), (2017, 3, 500, 5)],  # was poor, is not, will be
        2: [(2016, 3, 3000, 5), (2017, 3, 3000, 5)],  # stays out
        3: [(2016, 3, 3000, 5), (2017, 3, 0, 12)],  # later income not reported
        4: [(2016, 3, 3000, 5)],  # not visited again
        5: [(2016, 3, 500, 5), (2017, 3, 500, 5)],  # poor now
        6: [(2016, 3, 0, 12), (2017, 3, 500, 5)],  # income not reported now
        7: [(2017, 2, 3000, 5)],  # a year later lies beyond the files
    }
    visits = [
        {"dwelling_id": d, "ANO4": year, "TRIMESTRE": quarter, "ITF": income, "DECIFR": decile}
        for d, told in incomes.items()
        for year, quarter, income, decile in told
    ]
    dataset = built_eph(visits, [{k: v for k, v in visit.items() if k not in ("ITF", "DECIFR")} for visit in visits])
    rows = label_rows(label("poor_12m", dataset), dataset, moments(dataset.meta))
    assert len(rows) == len(visits)
    at = rows[rows["as_of"] == as_of_moment("2016-09-30", "UTC")].set_index("household_id").sort_index()
    assert list(at.index) == [f"e{d}-1" for d in range(1, 7)]
    assert at["outcome"].tolist() == pytest.approx([1, 0, np.nan, np.nan, np.nan, np.nan], nan_ok=True)
    assert at["at_risk"].tolist() == [True, True, True, True, False, False]
    assert at["formerly_poor"].tolist() == [True, False, False, False, False, False]
    late = rows[rows["as_of"] == as_of_moment("2017-06-30", "UTC")]
    assert late["null_reason"].tolist() == ["not mature"]
    with pytest.raises(LabelRefused, match=r"no label 'L1'.*known are poor_12m"):
        label("L1", dataset)


def test_a_damaged_raw_folder_is_refused_without_naming_a_household(
    raw_eph: Callable[[list[Visit], list[Visit]], Path], tmp_path: Path
) -> None:
    raw = raw_eph(_quarters((2016, 2), (2016, 2), dwelling_id=4711), [{"dwelling_id": 4711}])
    with pytest.raises(DatasetRefused, match="row 1 repeats") as refused:
        eph.build(raw, tmp_path / "out")
    assert "4711" not in str(refused.value)
    (raw / "cbt_2016_2019.csv").unlink()
    pd.DataFrame([HOUSEHOLD]).to_parquet(raw / "eph_household.parquet")
    with pytest.raises(DatasetRefused, match=r"cbt_2016_2019\.csv is missing"):
        eph.build(raw, tmp_path / "out")
    (raw / "eph_person.parquet").unlink()
    with pytest.raises(DatasetRefused, match="no file eph_person"):
        eph.build(raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _sipp_months(household: int, incomes: list[int | None], begins: int = 24045, first_wave: int = 1) -> list[Visit]:
    return [
        {
            "panel": 2004, "wave": first_wave + i // 4, "household_id": household, "ym": begins + i,
            "family_income": income, "poverty_threshold": 1000, "family_size": 2, "n_families": 1,
        }
        for i, income in enumerate(incomes)
        if income is not None
    ]  # fmt: skip


@pytest.fixture
def built_sipp(tmp_path: Path) -> Build:
    def build(months: list[Visit]) -> Dataset:
        raw = tmp_path / "raw"
        raw.mkdir()
        pd.DataFrame(months).to_parquet(raw / "sipp_household_month_2004.parquet")
        sipp.build(raw, tmp_path / "out")
        dataset = read_dataset(tmp_path / "out")
        _, report = admit(dataset, catalogue("sipp"))
        assert report.rejects.empty
        return dataset

    return build


def test_a_wave_is_summed_up_at_its_end(built_sipp: Build) -> None:
    dataset = built_sipp(_sipp_months(1, [2000, 0, 2000, 2000, 1000, 1000, 1000, 1000]))
    assert _value(dataset, "INCOME", "2004-01-31") == 6000
    assert _value(dataset, "INCOME_TO_THRESHOLD", "2004-01-31") == 1.5
    assert _value(dataset, "LOWEST_MONTH", "2004-01-31") == 0
    assert _value(dataset, "MONTHS_POOR", "2004-01-31") == 1
    assert _value(dataset, "CHANGE", "2004-01-31") is None
    assert _value(dataset, "CHANGE", "2004-05-31") == -0.5
    assert _value(dataset, "VOLATILITY", "2004-05-31") == 0
    assert dataset.members["role"].tolist() == ["head"]
    assert dataset.members[["birth_date", "sex", "left_at"]].isna().all(axis=None)


def test_partial_waves_and_waves_without_a_threshold_are_left_out(built_sipp: Build) -> None:
    no_threshold = _sipp_months(2, [2000] * 4)
    no_threshold[1]["poverty_threshold"] = 0
    dataset = built_sipp(_sipp_months(1, [2000] * 4 + [2000, None, 2000, 2000]) + no_threshold)
    assert set(dataset.events["household_id"]) == {"s2004-1"}
    assert dataset.events["occurred_at"].nunique() == 1


def test_a_number_used_by_two_panels_is_two_households(built_sipp: Build) -> None:
    later = [month | {"panel": 2008} for month in _sipp_months(1, [500] * 4, begins=24104)]
    dataset = built_sipp(_sipp_months(1, [2000] * 4) + later)
    assert list(dataset.households["household_id"]) == ["s2004-1", "s2008-1"]
    assert _value(dataset, "INCOME_TO_THRESHOLD", "2008-12-31") == 0.5


def test_the_labels_of_sipp(built_sipp: Build) -> None:
    poor, fair = [500] * 4, [1500] * 4
    dataset = built_sipp(
        [
            *_sipp_months(1, poor + fair + fair + poor + fair),  # poor before; one poor wave ahead, not a poor year
            *_sipp_months(2, fair + fair + poor + poor + poor),  # a poor year ahead
            *_sipp_months(3, fair + fair + fair + fair + fair),
            *_sipp_months(4, [*fair, *fair, None, None, None, None, *poor, *fair]),  # a wave is missing
            *_sipp_months(5, fair + poor + fair + fair + fair),
            *_sipp_months(6, fair + fair + fair + fair, begins=24046),  # another rotation group
        ]
    )
    found = {}
    for name in ("any", "annual"):
        rows = label_rows(label(name, dataset), dataset, moments(dataset.meta))
        found[name] = rows[rows["as_of"] == as_of_moment("2004-05-31", "UTC")].set_index("household_id").sort_index()
    some = found["any"]
    assert list(some.index) == [f"s2004-{n}" for n in range(1, 6)]
    assert some["outcome"].tolist() == pytest.approx([1, 1, 0, np.nan, np.nan], nan_ok=True)
    assert found["annual"]["outcome"].tolist() == pytest.approx([0, 1, 0, np.nan, np.nan], nan_ok=True)
    assert some["at_risk"].tolist() == [True, True, True, True, False]
    assert some["formerly_poor"].tolist() == [True, False, False, False, False]
    assert some["null_reason"].tolist()[3:] == ["a wave of the next 12 months was not observed", "already poor"]
