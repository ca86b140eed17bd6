"""By which route a positive came to be seen, which aid came before it, and how long one waits until it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.catalogue import catalogue
from features.dataset import Dataset
from features.window import MICROS_PER_DAY
from tests.records import at, dataset, event, member
from training.discovery import CODES, DAYS, MODEL, PUSH, SELF, VISIT, Clues, by_route, discovery_routes
from training.labels import label, label_rows
from training.panels import eph
from training.statuses import NOT_MATURE, TREATMENTS

AS_OF = "2024-06-30"
ENTRY = event("DB//ENTER", "2025-01-15", "2025-02-10")
DAY = MICROS_PER_DAY
NOBODY = Clues(np.zeros(0, np.int64), np.zeros(0, np.int64))


def row(events: Sequence[dict[str, Any]], name: str = "L1") -> pd.Series:
    made = dataset(list(events), [member("p1")])
    return label_rows(label(name, made), made, [at(AS_OF)]).iloc[0]


def route(*events: dict[str, Any]) -> str | None:
    found: str | None = row([ENTRY, *events])["discovery_route"]
    return found


def clues(**moments: int) -> dict[str, Clues]:
    given = {name: Clues(np.array([0]), np.array([moment])) for name, moment in moments.items()}
    return dict.fromkeys(DAYS, NOBODY) | given


def test_who_asked_for_help_before_the_entry_was_found_by_itself() -> None:
    for code in ("SLF//APPLY", "SLF//HOTLINE", "CHR//APPEAL"):
        assert route(event(code, "2024-12-20", person_id="p1")) == "self"


def test_a_visit_before_the_application_found_the_household_and_one_after_it_only_checked_it() -> None:
    applied = event("SLF//APPLY", "2024-12-20")
    assert route(applied, event("GRD//VISIT", "2024-12-10")) == "visit"
    assert route(applied, event("GRD//VISIT", "2024-12-28")) == "self"
    assert route(event("GRD//RISK_FLAG", "2024-12-28")) == "visit"


def test_a_department_is_the_route_only_where_its_row_arrived_in_time_and_nobody_else_was_there() -> None:
    fire = event("DST//FIRE", "2024-12-01", "2024-12-20")
    assert route(fire) == "push"
    assert route(fire, event("SLF//APPLY", "2025-01-02")) == "self"
    assert route(event("DST//FIRE", "2024-12-01", "2025-01-20")) == "unknown"
    # What happened long before and arrived lately can have been passed on.
    assert route(event("DST//FIRE", "2024-03-01", "2024-12-20")) == "push"


def test_a_label_that_followed_this_models_own_list_is_feedback_whatever_else_happened() -> None:
    task = event("GRD//VISIT", "2024-09-01", source="povrisk")
    assert route(task, event("SLF//APPLY", "2024-12-20"), event("DST//FIRE", "2024-12-20")) == "model"
    assert route(event("GRD//VISIT", "2024-06-01", source="povrisk")) == "unknown"


def test_nothing_in_time_means_unknown_and_no_entry_means_no_route() -> None:
    assert route() == "unknown"
    assert route(event("SLF//APPLY", "2025-01-16")) == "unknown"
    assert row([event("SLF//APPLY", "2024-12-20")])["discovery_route"] is None
    withdrawn = event("SLF//APPLY", "2024-12-20", "2025-03-01", event_id="x", status="retracted",
                      supersedes="SLF//APPLY 2024-12-20 None")  # fmt: skip
    assert route(event("SLF//APPLY", "2024-12-20"), withdrawn) == "unknown"


def test_only_the_first_entry_within_the_horizon_has_a_route() -> None:
    later = event("MON//ENTER", "2025-05-01")
    assert row([ENTRY, later, event("SLF//APPLY", "2025-04-20")])["discovery_route"] == "unknown"


@pytest.mark.parametrize("name", [SELF, VISIT, PUSH, MODEL])
def test_each_window_is_closed_on_both_sides(name: str) -> None:
    entered = 1_000 * DAY
    edge = entered - DAYS[name] * DAY
    told = {moment: discovery_routes(np.array([0]), np.array([entered]), clues(**{name: moment}))[0]
            for moment in (edge - 1, edge, entered, entered + 1)}  # fmt: skip
    assert list(told.values()) == ["unknown", name, name, "unknown"]


def test_at_the_same_moment_a_visit_comes_before_an_application_and_anothers_clue_counts_for_nobody_else() -> None:
    entered = np.array([1_000 * DAY])
    assert discovery_routes(np.array([0]), entered, clues(self=990 * DAY, visit=990 * DAY))[0] == "visit"
    assert discovery_routes(np.array([0]), entered, clues(self=990 * DAY - 1, visit=990 * DAY))[0] == "self"
    assert discovery_routes(np.array([1]), entered, clues(self=990 * DAY))[0] == "unknown"


def test_every_code_of_a_route_is_declared_and_no_feature_is_called_like_a_label_column() -> None:
    declared = set(catalogue().by_code)
    assert {code for codes in CODES.values() for code in codes} <= declared
    assert not {"discovery_route", "treated", "treated_before_entry"} & set(catalogue().names)


def judged(routes: dict[str, int], unaffected: int = 100) -> pd.DataFrame:
    """One row a household: the affected of each route, all above the unaffected, in the order given."""
    found = [name for name, count in routes.items() for _ in range(count)]
    n = len(found) + unaffected
    return pd.DataFrame(
        {
            "household_id": [f"h{i}" for i in range(n)],
            "as_of": 0,
            "outcome": [1.0] * len(found) + [0.0] * unaffected,
            "probability": np.linspace(0.9, 0.1, n),
            "discovery_route": found + [None] * unaffected,
        }
    )


def test_recall_by_route_counts_who_stands_on_the_list() -> None:
    table = by_route(judged({"visit": 20, "self": 30}, unaffected=50), (0.25,)).set_index("route")
    assert table.loc["visit", ["positives", "households", "recall_at_25pct"]].tolist() == [20, 20, 1.0]
    assert table.loc["self", "recall_at_25pct"] == pytest.approx(5 / 30)
    assert table["share"].to_dict() == {"self": 0.6, "visit": 0.4}


def test_ties_at_the_edge_count_by_expectation_and_each_moment_has_its_own_list() -> None:
    one = judged({"self": 20}, unaffected=20).assign(probability=0.5)
    two = one.assign(as_of=1, probability=np.linspace(0.9, 0.1, 40))
    table = by_route(pd.concat([one, two], ignore_index=True), (0.5,))
    assert table["recall_at_50pct"].tolist() == [pytest.approx((0.5 + 1.0) / 2)]


def test_routes_of_few_households_are_told_together_so_that_none_follows_from_the_rest() -> None:
    assert by_route(judged({"self": 30, "visit": 6, "push": 7}))["route"].tolist() == ["self", "other"]
    # Four alone would follow from the total less the others.
    assert by_route(judged({"self": 30, "visit": 12, "push": 4}))["route"].tolist() == ["self", "other"]
    assert by_route(judged({"self": 30, "visit": 12}))["route"].tolist() == ["self", "visit"]
    assert by_route(judged({"self": 5, "visit": 4})).empty
    with pytest.raises(ValueError, match="no column discovery_route"):
        by_route(judged({"self": 20}).drop(columns="discovery_route"))


@pytest.mark.parametrize(
    ("occurred", "treated"),
    [
        ("2024-07-01T00:00:00", False),
        ("2024-07-01T00:00:01", True),
        ("2025-07-01T00:00:00", True),
        ("2025-07-01T00:00:01", False),
    ],
)
def test_aid_counts_from_just_after_the_moment_to_the_end_of_the_horizon(occurred: str, treated: bool) -> None:
    for code in TREATMENTS:
        found = row([event(code, occurred, "2025-08-01", person_id="p1")])
        assert (found["outcome"], found["treated"], found["treated_before_entry"]) == (0.0, treated, treated)


def test_aid_that_was_withdrawn_or_is_not_on_record_yet_is_no_aid() -> None:
    given = event("LS//GRANT", "2024-12-01", event_id="g")
    back = event("LS//GRANT", "2024-12-01", "2025-03-01", event_id="r", status="retracted", supersedes="g")
    assert bool(row([given])["treated"]) is True
    assert bool(row([given, back])["treated"]) is False
    assert bool(row([event("LS//GRANT", "2024-12-01", "2027-01-02")])["treated"]) is False


def test_aid_that_follows_the_entry_did_not_come_before_it() -> None:
    for occurred, before in (("2025-01-14", True), ("2025-01-15", False), ("2025-03-01", False)):
        found = row([ENTRY, event("LS//GRANT", occurred)])
        assert (found["outcome"], found["treated"], found["treated_before_entry"]) == (1.0, True, before)


def lag(name: str, **sources: tuple[int, int]) -> int:
    made = with_sources(dataset([], [member("p1")]), **sources)
    return label(name, made).publication_lag_days(made)


def with_sources(made: Dataset, **sources: tuple[int, int]) -> Dataset:
    return replace(made, meta=replace(made.meta, sources=sources))


def test_the_publication_lag_is_that_of_the_slowest_entry() -> None:
    # Entries of civil affairs take 45 days, into monitoring 60.
    assert (lag("L1"), lag("L2"), lag("L5")) == (60, 60, 45)
    assert eph.POOR_12M.publication_lag_days(dataset([], [member("p1")])) == 0


def test_a_source_slower_than_the_catalogue_knows_lengthens_the_lag_and_a_faster_one_never_shortens_it() -> None:
    # The slowest kind of civil affairs takes 60 days, the agriculture office's 120.
    assert lag("L1", 民政=(15, 60), 农业农村=(25, 120)) == 60
    assert lag("L1", 民政=(15, 90)) == 90
    assert lag("L5", 民政=(15, 61), 农业农村=(25, 365)) == 61
    assert lag("L1", 民政=(1, 2), 农业农村=(1, 2)) == 60


def test_a_moment_within_the_lag_of_a_slow_source_is_null_even_for_the_positives() -> None:
    made = dataset([event("DB//ENTER", "2025-01-15")], [member("p1")])
    for until, reason in (("2025-09-27", NOT_MATURE), ("2025-09-28", None)):
        slow = replace(made, meta=replace(made.meta, sources={"民政": (15, 90)}, data_until=until))
        found = label_rows(label("L1", slow), slow, [at(AS_OF)]).iloc[0]
        assert found["null_reason"] == reason
        assert np.isnan(found["outcome"]) == (reason is not None)
