"""Groups of an audit: who belongs, who does not, and of whom it is not known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CORE, catalogue
from features.dataset import Dataset, read_dataset
from features.history import History
from tests.records import at, dataset, event, history, household, member
from training.audit_groups import (
    GroupsRefused,
    group_text,
    groups,
    record_quality,
    references,
)

MOMENT = "2025-06-30"
NAMES = [f"h{i}" for i in range(10)]


def rows(names: list[str] = NAMES) -> pd.DataFrame:
    return pd.DataFrame({"household_id": names, "as_of": at(MOMENT)})


def quality(coverage: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"coverage": coverage, "newest_days": 10.0, "sources": 3.0})


def made(audit: pd.DataFrame | None = None, residence: list[str | None] | None = None) -> Dataset:
    homes = [household(name, place) for name, place in zip(NAMES, residence or ["rural"] * 10, strict=True)]
    return replace(dataset([], households=homes), audit=audit)


def told(column: pd.Series) -> list[bool | None]:
    return [None if pd.isna(cell) else bool(cell) for cell in column]


def test_true_and_false_words_and_blanks_of_the_audit_table_become_groups() -> None:
    audit = pd.DataFrame(
        {
            "household_id": NAMES[:9],
            "minority": [True, False, None] * 3,
            "language": ["a", "b", None] * 3,
        }
    )
    found = groups(made(audit), rows(), quality([0.5] * 10))
    assert told(found["minority"]) == [True, False, None] * 3 + [None]
    assert told(found["language_a"]) == [True, False, None] * 3 + [None]
    assert told(found["language_b"]) == [False, True, None] * 3 + [None]


def test_every_group_is_aligned_with_the_rows_and_not_with_the_audit_table() -> None:
    audit = pd.DataFrame({"household_id": NAMES[::-1], "minority": [name in ("h3", "h7") for name in NAMES[::-1]]})
    asked = ["h7", "h1", "h3", "h7"]
    found = groups(made(audit), rows(asked), quality([0.5] * 4))
    assert told(found["minority"]) == [True, False, True, True]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"income": np.arange(10.0)}, "income is neither true/false nor one of at most 8 words"),
        ({"name": [f"{i}" for i in range(10)]}, "name is neither"),
        ({"members": [True, False] * 5}, "members is a feature"),
    ],
)
def test_an_audit_table_that_holds_no_groups_is_refused_without_its_values(
    cells: dict[str, object], message: str
) -> None:
    with pytest.raises(GroupsRefused, match=message) as refused:
        groups(made(pd.DataFrame({"household_id": NAMES, **cells})), rows(), quality([0.5] * 10))
    assert "7" not in str(refused.value)


def test_two_rows_of_one_household_are_refused() -> None:
    twice = pd.DataFrame({"household_id": ["h1", "h1"], "minority": [True, False]})
    with pytest.raises(GroupsRefused, match="one row a household"):
        groups(made(twice), rows(), quality([0.5] * 10))


def test_groups_of_nobody_and_of_everybody_are_left_out() -> None:
    audit = pd.DataFrame({"household_id": NAMES, "minority": False, "migrant": [True] + [False] * 9})
    found = groups(made(audit), rows(), quality([0.5] * 10))
    assert "minority" not in found
    assert "residence_rural" not in found
    assert "migrant" in found


def test_the_fifths_are_taken_at_each_moment_and_keep_equal_values_together() -> None:
    two = pd.concat([rows(), rows().assign(as_of=at("2025-09-30"))], ignore_index=True)
    found = groups(made(), two, quality([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0] + [0.9] * 8 + [0.95] * 2))
    assert told(found["low_coverage"])[:10] == [True, True] + [False] * 8
    assert told(found["coverage_fifth_5"])[:10] == [False] * 8 + [True, True]
    assert not any(told(found["low_coverage"])[10:])
    assert told(found["coverage_fifth_5"])[10:] == [False] * 8 + [True, True]


def test_residence_and_intersections_follow_from_both_sides() -> None:
    audit = pd.DataFrame({"household_id": NAMES, "minority": [True, True, False, None, *[False] * 6]})
    found = groups(made(audit, ["rural", "city", "rural", "rural", None, *["town"] * 5]), rows(), quality([0.5] * 10))
    assert told(found["residence_rural"])[:5] == [True, False, True, True, None]
    both = told(found["minority & residence_rural"])
    assert both[:5] == [True, False, False, None, False]


def test_members_make_groups_as_far_as_their_ages_are_known() -> None:
    people = {
        "h0": ["1940-01-01", "1950-01-01"],
        "h1": ["1940-01-01", "1990-01-01"],
        "h2": ["1940-01-01", None],
        "h3": ["1990-01-01", None],
        "h4": ["1980-01-01", "1985-01-01", None],
        "h5": ["1980-01-01", "1982-01-01", "2010-01-01", "2012-01-01", "2014-01-01"],
    }
    members = [
        member(f"{name}-{i}", household=name, born=born)
        for name, dates in people.items()
        for i, born in enumerate(dates)
    ]
    homes = [household(name) for name in NAMES]
    of = history([], members, homes)
    data = dataset([], members, homes)
    found = groups(data, rows(), quality([0.5] * 10), of)
    assert told(found["elderly_alone"])[:6] == [True, False, None, False, False, False]
    assert told(found["single_labour"])[:6] == [False, True, None, None, False, False]
    assert told(found["no_labour"])[:6] == [True, False, None, False, False, False]
    assert told(found["large_family"])[:6] == [False] * 5 + [True]
    assert told(found["large_family"])[6:] == [None] * 4


def test_visibility_counts_what_was_known_at_the_moment_and_not_what_concerns_an_area() -> None:
    events = [
        event("CLM//INPATIENT", "2025-05-01", "2025-05-31", 900.0, household="h0"),
        event("DIS//CERT_NEW", "2025-05-01", "2025-06-20", 2.0, household="h0"),
        event("DIS//CERT_NEW", "2025-06-20", "2025-07-20", 2.0, household="h1"),
        event("ARE//PRICE", "2025-06-01", "2025-06-01", 1.0, household="h2"),
        event("CLM//INPATIENT", "2020-01-01", "2020-01-01", 900.0, household="h3"),
    ]
    of = history(events, households=[household(name) for name in NAMES])
    found = record_quality(of, rows(NAMES[:5]), [0.5] * 5)
    assert found["sources"].tolist() == [2.0, 0.0, 0.0, 0.0, 0.0]
    assert found["newest_days"].round(2).tolist()[0] == 11.0
    assert found["newest_days"].isna().tolist() == [False, True, True, False, True]
    silent = groups(made(), rows(NAMES[:5]), found)["silent"]
    assert told(silent) == [False, True, True, True, True]


@pytest.fixture(scope="module")
def county(tiny_county: Path) -> tuple[Dataset, History]:
    from training.rows import dataset_history

    data = read_dataset(tiny_county)
    return data, dataset_history(data, catalogue(CORE))


def test_in_a_county_the_commonest_word_is_for_comparison_and_the_protected_are_tested(
    county: tuple[Dataset, History],
) -> None:
    data, of = county
    asked = pd.DataFrame({"household_id": data.households["household_id"], "as_of": at("2021-06-30")})
    found = groups(data, asked, record_quality(of, asked, np.linspace(0.1, 1.0, len(asked))), of)
    described = set(references(found, data))
    assert {"head_sex_M", "data_visibility_full", "residence_city", "coverage_fifth_5", "no_labour"} <= described
    tested = {"minority", "disability_any", "head_sex_F", "residence_rural", "elderly_alone", "low_coverage", "silent"}
    assert tested <= set(found) - described
    assert data.audit is not None
    hidden = data.audit.set_index("household_id").reindex(asked["household_id"])["data_visibility"] == "none"
    assert found.loc[hidden.to_numpy(), "silent"].mean() > 5 * found["silent"].mean()


def test_every_group_of_a_county_has_a_name_in_both_languages(county: tuple[Dataset, History]) -> None:
    data, of = county
    asked = pd.DataFrame({"household_id": data.households["household_id"], "as_of": at("2021-06-30")})
    for name in groups(data, asked, record_quality(of, asked, [0.5] * len(asked)), of):
        zh, en = group_text(str(name))
        assert "_" not in en
        assert any("一" <= letter <= "鿿" for letter in zh), name
