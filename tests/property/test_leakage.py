"""`assert_no_leak`: it passes what is honest, and catches each way of looking ahead on data that give it away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.catalogue import Catalogue
from features.dataset import Dataset, read_dataset
from features.definition import Absent, Feature, Group, Measure, Text
from features.history import History
from features.intake import admitted
from features.leakage import Builder, LeakFound, assert_no_leak
from features.matrix import Matrix, matrix
from features.unit import Unit
from features.window import MICROS_PER_DAY, Micros, last
from tests.records import CORE, META, at, dataset, event, member

AS_OF = "2024-06-30"


@pytest.fixture(scope="module")
def county(tiny_county: Path) -> Dataset:
    """The events of 80 households: few enough to be encoded over and over."""
    read = admitted(read_dataset(tiny_county), CORE)
    some = set(read.households["household_id"].iloc[:80])
    tables = {name: getattr(read, name) for name in ("events", "members", "households")}
    return replace(read, **{name: table[table["household_id"].isin(some)] for name, table in tables.items()})


@pytest.fixture(scope="module")
def by_hand() -> Dataset:
    """Drug bills of three households with no lag and no round numbers: nothing in it lies at a boundary."""
    rng = np.random.default_rng(1)
    rows = [
        event("CLM//DRUG", f"2024-{month:02d}-{day:02d}", value=round(float(rng.uniform(1, 500)), 2), household=name)
        for name in ("h1", "h2", "h3")
        for month in range(1, 7)
        for day in (3, 11, 19)
    ]
    return dataset([row | {"event_id": f"e{i}"} for i, row in enumerate(rows)])


def seen(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
    """What an honest researcher starts from: known by then, happened before then, each row once."""
    events = data.events.drop_duplicates(["household_id", "event_id"])
    return events[(events["known_at"] <= as_of) & (events["occurred_at"] < as_of)]


def per_household(values: pd.Series, data: Dataset) -> pd.DataFrame:
    ids = data.households["household_id"].drop_duplicates()
    return pd.DataFrame({"spent": values.reindex(pd.Index(ids, name="household_id"))})


def honest(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
    return per_household(seen(data, as_of).groupby("household_id")["value"].max(), data)


def forgets_known_at(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
    events = data.events.drop_duplicates(["household_id", "event_id"])
    return per_household(events[events["occurred_at"] < as_of].groupby("household_id")["value"].max(), data)


def takes_in_the_moment(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
    events = data.events.drop_duplicates(["household_id", "event_id"])
    events = events[(events["known_at"] <= as_of) & (events["occurred_at"] <= as_of)]
    return per_household(events.groupby("household_id").size(), data)


def counts_what_is_to_come(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
    events = data.events.drop_duplicates(["household_id", "event_id"])
    events = events[(events["known_at"] <= as_of) & (events["occurred_at"] > as_of)]
    return per_household(events.groupby("household_id")["value"].sum(), data)


def adds_up_in_row_order(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
    return per_household(seen(data, as_of).groupby("household_id")["value"].agg(lambda v: sum(v) / len(v)), data)


def takes_the_first_row(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
    return per_household(seen(data, as_of).groupby("household_id")["value"].first(), data)


def counts_repeated_rows(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
    events = data.events[(data.events["known_at"] <= as_of) & (data.events["occurred_at"] < as_of)]
    return per_household(events.groupby("household_id").size(), data)


def counts_who_will_live_there(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
    return per_household(data.members.groupby("household_id")["person_id"].nunique(), data)


def rolls_dice(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
    return per_household(pd.Series(np.random.default_rng().random(3), index=["h1", "h2", "h3"]), data)


def leaves_out_who_is_silent_later(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
    frame = honest(data, as_of)
    return frame[frame.index.isin(data.events.loc[data.events["known_at"] > as_of, "household_id"])]


def test_the_core_catalogue_does_not_look_ahead(county: Dataset) -> None:
    assert_no_leak(CORE, county)


def test_a_kernel_that_looks_ahead_is_caught(county: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def ahead(made: History, as_of: Micros) -> Matrix:
        return matrix(made, as_of + 20 * MICROS_PER_DAY)

    monkeypatch.setattr("features.leakage.matrix", ahead)
    with pytest.raises(LeakFound, match="truncation") as found:
        assert_no_leak(CORE, county)
    assert set(found.value.features) < set(CORE.names)


def test_an_honest_function_passes_whatever_its_types(county: Dataset, by_hand: Dataset) -> None:
    def with_words(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
        frame = honest(data, as_of)
        return frame.assign(word=np.where(frame["spent"] > 200, "much", "little"), any=frame["spent"].notna())

    for data in (county, by_hand):
        assert_no_leak(with_words, data)
    assert_no_leak(honest, by_hand, as_ofs=[AS_OF, at("2024-03-31"), "2024-05-02T12:00:00+08:00"])


def test_features_alone_are_read_over_the_kinds_of_the_datasets_catalogue(county: Dataset) -> None:
    mine = Feature(
        "drug_bills_12m", Text("购药", "drug bills"), Group.MEDICAL, Measure.SUM, Unit.MONEY, codes=("CLM//DRUG",),
        window=last(months=12), when_absent=Absent.KNOWN_NONE, linked_by=("CLM//*",),
    )  # fmt: skip
    assert_no_leak([mine], county)
    with pytest.raises(ValueError, match="which no event kind declares"):
        assert_no_leak([replace(mine, codes=("CLM//NOTHING",))], county)


@pytest.mark.parametrize(
    ("leak", "check"),
    [
        (forgets_known_at, {"truncation", "scrambled future"}),
        (takes_in_the_moment, {"boundary"}),
        (adds_up_in_row_order, {"row order"}),
        (takes_the_first_row, {"row order"}),
        (counts_repeated_rows, {"repetition"}),
        (rolls_dice, {"same again"}),
        (leaves_out_who_is_silent_later, {"truncation", "scrambled future"}),
    ],
)
def test_each_way_of_looking_ahead_is_caught_even_where_no_row_of_the_data_shows_it(
    leak: Builder, check: set[str], by_hand: Dataset
) -> None:
    with pytest.raises(LeakFound) as found:
        assert_no_leak(leak, by_hand, as_ofs=[AS_OF])
    assert found.value.check in check
    assert found.value.as_of == at(AS_OF)
    assert f"as of the end of {AS_OF}" in str(found.value)


@pytest.mark.parametrize(
    "leak",
    [
        forgets_known_at,
        takes_in_the_moment,
        adds_up_in_row_order,
        counts_repeated_rows,
        counts_what_is_to_come,
        counts_who_will_live_there,
    ],
)
def test_each_is_caught_on_a_county_as_well(leak: Builder, county: Dataset) -> None:
    with pytest.raises(LeakFound):
        assert_no_leak(leak, county)


def test_what_is_scheduled_but_still_to_come_counts_for_nothing() -> None:
    planned = event("DIS//CERT_EXPIRE", "2024-12-01", "2024-01-05", household="h1", value=3.0, unit=None)
    with pytest.raises(LeakFound, match="scrambled future"):
        assert_no_leak(counts_what_is_to_come, dataset([planned]), as_ofs=[AS_OF])


def test_a_member_who_is_reported_later_is_a_leak_where_a_feature_sees_it() -> None:
    made = dataset([], [member("p1"), member("p2", known="2024-09-01")])
    with pytest.raises(LeakFound, match="truncation"):
        assert_no_leak(counts_who_will_live_there, made, as_ofs=[AS_OF])


def test_the_message_names_features_check_and_moment_and_no_household_or_value(by_hand: Dataset) -> None:
    def many(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
        spent = forgets_known_at(data, as_of)["spent"]
        return pd.DataFrame({"safe": spent * 0, **{f"f{i}": spent for i in range(7)}})

    with pytest.raises(LeakFound) as found:
        assert_no_leak(many, by_hand, as_ofs=["2024-03-20T12:00:00+08:00"])
    assert found.value.features == tuple(f"f{i}" for i in range(7))
    said = str(found.value)
    assert said == (
        "scrambled future: as of 2024-03-20T12:00:00+08:00, f0, f1, f2, f3, f4 and 2 more changed when rows that "
        "nobody knew yet, and events still to come, say something else"
    )
    assert not any(name in said for name in ("h1", "h2", "h3"))


def test_a_function_may_write_into_what_it_is_given_and_sees_neither_truth_nor_audit(county: Dataset) -> None:
    assert county.truth is not None and county.audit is not None
    before = county.events.copy()

    def careless(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
        assert data.truth is None and data.audit is None
        frame = honest(data, as_of)
        data.events["value"] = 0.0
        data.members.pop("role")
        return frame

    assert_no_leak(careless, county, as_ofs=["2021-12-31"])
    pd.testing.assert_frame_equal(county.events, before)


def test_what_cannot_be_checked_is_refused(by_hand: Dataset) -> None:
    def twice(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
        return pd.concat([honest(data, as_of)] * 2)

    with pytest.raises(ValueError, match="one row a household"):
        assert_no_leak(twice, by_hand)
    with pytest.raises(ValueError, match="no moment to check"):
        assert_no_leak(honest, by_hand, as_ofs=[])


def test_the_same_seed_finds_the_same(by_hand: Dataset) -> None:
    def observed(seed: int) -> list[bytes]:
        given: list[bytes] = []

        def watching(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
            given.append(data.events.to_csv(index=False).encode())
            return honest(data, as_of)

        assert_no_leak(watching, by_hand, as_ofs=[AS_OF], seed=seed)
        return given

    assert observed(1) == observed(1) != observed(2)


def test_without_moments_of_its_own_the_first_middle_and_last_of_the_dataset_are_checked(by_hand: Dataset) -> None:
    asked: list[pd.Timestamp] = []

    def watching(data: Dataset, as_of: pd.Timestamp) -> pd.DataFrame:
        asked.append(as_of)
        return honest(data, as_of)

    assert_no_leak(watching, by_hand)
    days = sorted({(moment.tz_convert(META.time_zone) - pd.Timedelta(1, "us")).date().isoformat() for moment in asked})
    assert days == ["2024-01-31", "2025-01-31", "2025-12-31"]
    assert len(asked) == 3 * 7


def test_an_empty_catalogue_and_empty_tables_hold_no_leak() -> None:
    empty = dataset([], [])
    for definitions in (CORE, Catalogue("none", CORE.kinds, ())):
        assert_no_leak(definitions, empty, as_ofs=[AS_OF])
    assert_no_leak(honest, empty, as_ofs=[AS_OF])


def test_the_how_to_page_works_as_it_is_written(tiny_county: Path, tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "check-your-own-features.md"
    code = page.read_text("utf-8").split("```python\n")[1].split("```")[0]
    code = code.replace('Path("county")', f"Path({str(tiny_county)!r})")
    written: dict[str, Any] = {}
    exec(compile(code, page.name, "exec"), written)
    tests = [name for name in written if name.startswith("test_")]
    assert len(tests) == 2
    for name in tests:
        written[name]()
