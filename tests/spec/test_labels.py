"""Labels: who was at risk at a moment, what became of them, and when nobody can say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.catalogue import catalogue
from features.dataset import Dataset, DatasetMeta, Moments
from features.definition import Department, EventKind, Level, Text
from features.unit import Unit
from features.window import as_of_moment, from_micros, parsed
from training.labels import Label, LabelRefused, label, label_rows, labels, status_labels
from training.statuses import DISSOLVED, ENDINGS, IN_STATUS, NO_MEMBER, NOT_FORMERLY_POOR, NOT_MATURE, REPORTED_LATER

ZONE = "Asia/Shanghai"
AS_OF = "2020-06-30"
EVENT_COLUMNS = (
    "event_id", "household_id", "person_id", "code", "occurred_at", "known_at", "value", "unit", "text", "source",
    "status", "supersedes",
)  # fmt: skip


def moment(text: str) -> pd.Timestamp:
    return pd.Timestamp(from_micros(parsed(text, ZONE)))


def event(
    code: str, occurred: str, known: str | None = None, *, household: str = "h1", person: str | None = None, **more: Any
) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(EVENT_COLUMNS)
    row |= {"event_id": f"{household}/{code}/{occurred}/{known}", "household_id": household, "person_id": person}
    row |= {"code": code, "occurred_at": moment(occurred), "known_at": moment(known or occurred), "source": "民政"}
    return row | {"status": "original"} | more


def member(
    person: str, joined: str = "2010-01-01", left: str | None = None, known: str | None = None, household: str = "h1"
) -> dict[str, Any]:
    return {
        "household_id": household, "person_id": person, "birth_date": None, "sex": None, "role": "head",
        "joined_at": moment(joined), "left_at": None if left is None else moment(left),
        "known_at": moment(known or joined),
    }  # fmt: skip


def county(
    events: Sequence[dict[str, Any]], members: Sequence[dict[str, Any]] | None = None, until: str = "2022-12-31"
) -> Dataset:
    people = [member("p1")] if members is None else list(members)
    frame = pd.DataFrame(list(events), columns=list(EVENT_COLUMNS))
    for column in ("occurred_at", "known_at"):
        frame[column] = pd.to_datetime(frame[column], utc=True)
    frame["value"] = frame["value"].astype("float64")
    spells = pd.DataFrame(people)
    spells["left_at"] = pd.to_datetime(spells["left_at"], utc=True)
    ids = sorted({row["household_id"] for row in [*events, *people]})
    households = pd.DataFrame({"household_id": ids, "region": "demo", "residence": "rural", "township": "t"})
    meta = DatasetMeta("c", "core", "CNY", ZONE, "L1", ("demo",), {}, "made by hand", until, Moments(AS_OF, AS_OF))
    return Dataset(meta, frame, spells, households)


def row(name: str, dataset: Dataset, as_of: str = AS_OF, household: str = "h1") -> pd.Series:
    rows = label_rows(label(name, dataset), dataset, [as_of_moment(as_of, ZONE)])
    return rows[rows["household_id"] == household].iloc[0]


def told(name: str, dataset: Dataset, as_of: str = AS_OF) -> tuple[bool, float | None, str | None]:
    found = row(name, dataset, as_of)
    return bool(found["at_risk"]), None if math.isnan(found["outcome"]) else found["outcome"], found["null_reason"]


@pytest.mark.parametrize("code", sorted(ENDINGS))
def test_any_entry_within_twelve_months_is_the_outcome(code: str) -> None:
    assert told("L1", county([event(code, "2021-03-01", person="p1")])) == (True, 1.0, None)


def test_the_entries_are_exactly_the_kinds_that_the_catalogue_marks_as_entries() -> None:
    assert {kind.code for kind in catalogue().kinds if kind.is_entry} == set(ENDINGS)


@pytest.mark.parametrize(
    ("occurred", "outcome"),
    [
        ("2020-07-01T00:00:01", 1.0),
        ("2021-06-30T23:00:00", 1.0),
        ("2021-07-01T00:00:00", 1.0),
        ("2021-07-01T00:00:01", 0.0),
    ],
)
def test_the_horizon_is_open_at_as_of_and_closed_twelve_months_later(occurred: str, outcome: float) -> None:
    assert told("L1", county([event("MON//ENTER", occurred)])) == (True, outcome, None)


def test_an_entry_at_the_very_moment_is_never_counted_as_no_entry() -> None:
    assert told("L1", county([event("MON//ENTER", "2020-07-01T00:00:00")])) == (False, None, IN_STATUS)
    late = county([event("MON//ENTER", "2020-07-01T00:00:00", "2020-07-20")])
    assert told("L1", late) == (True, None, REPORTED_LATER)


@pytest.mark.parametrize(("entry", "exit_"), [(code, ending.exits[0]) for code, ending in sorted(ENDINGS.items())])
def test_a_household_known_to_be_in_a_status_is_not_at_risk_until_the_exit_is_known(entry: str, exit_: str) -> None:
    entered = event(entry, "2020-02-01", "2020-03-01", person="p1")
    assert told("L1", county([entered])) == (False, None, IN_STATUS)
    left = [entered, event(exit_, "2020-05-01", "2020-06-10", person="p1")]
    assert told("L1", county(left)) == (True, 0.0, None)
    left_unseen = [entered, event(exit_, "2020-05-01", "2020-07-10", person="p1")]
    assert told("L1", county(left_unseen)) == (False, None, IN_STATUS)


def test_an_exit_closes_only_its_own_status() -> None:
    entered = event("DB//ENTER", "2020-02-01")
    assert told("L1", county([entered, event("MON//RISK_CLEAR", "2020-05-01")]))[0] is False
    assert told("L1", county([entered, event("TK//EXIT", "2020-05-01", person="p1")]))[0] is False


def test_a_renewal_on_the_day_of_the_exit_keeps_the_status() -> None:
    renewed = [event("DB//ENTER", "2019-02-01"), event("DB//EXIT", "2020-05-01"), event("DB//ENTER", "2020-05-01")]
    assert told("L1", county(renewed)) == (False, None, IN_STATUS)


def test_rigid_expenditure_recognition_ends_by_itself_after_twelve_months_and_edge_does_not() -> None:
    assert told("L1", county([event("LIP//RIGID_ENTER", "2019-07-15")])) == (False, None, IN_STATUS)
    assert told("L1", county([event("LIP//RIGID_ENTER", "2019-06-15")])) == (True, 0.0, None)
    assert told("L1", county([event("LIP//EDGE_ENTER", "2019-06-15")])) == (False, None, IN_STATUS)


def test_an_entry_that_was_reported_after_as_of_leaves_the_household_at_risk_with_a_null_outcome() -> None:
    late = [event("DB//ENTER", "2020-06-01", "2020-07-15")]
    assert told("L1", county(late)) == (True, None, REPORTED_LATER)
    again = [*late, event("DB//EXIT", "2020-09-01"), event("MON//ENTER", "2021-01-01")]
    assert told("L1", county(again)) == (True, None, REPORTED_LATER)


def test_the_outcome_follows_retractions_and_corrections_and_being_at_risk_does_not() -> None:
    entry = event("DB//ENTER", "2021-03-01", event_id="e1")
    retracted = event("DB//ENTER", "2021-03-01", "2021-05-01", event_id="e2", status="retracted", supersedes="e1")
    assert told("L1", county([entry, retracted])) == (True, 0.0, None)
    moved = event("DB//ENTER", "2022-03-01", "2022-05-01", event_id="e2", status="corrected", supersedes="e1")
    assert told("L1", county([entry, moved])) == (True, 0.0, None)
    another_kind = event("DB//ADJUST", "2021-03-01", "2021-05-01", event_id="e2", status="corrected", supersedes="e1")
    assert told("L1", county([entry, another_kind])) == (True, 0.0, None)
    unknown_yet = event("DB//ENTER", "2021-03-01", "2023-05-01", event_id="e2", status="retracted", supersedes="e1")
    assert told("L1", county([entry, unknown_yet])) == (True, 1.0, None)
    before = event("DB//ENTER", "2020-03-01", event_id="e1")
    withdrawn_later = event("DB//ENTER", "2020-03-01", "2020-09-01", event_id="e2", status="retracted", supersedes="e1")
    assert told("L1", county([before, withdrawn_later])) == (False, None, IN_STATUS)


def test_a_moment_whose_outcomes_may_still_be_unreported_is_null_even_for_the_positives() -> None:
    # The slowest entry is monitoring: 95 % are reported within 60 days, so 2021-06-30 + 60 days is needed.
    entry = [event("DB//ENTER", "2020-12-01")]
    assert told("L1", county(entry, until="2021-08-28")) == (True, None, NOT_MATURE)
    assert told("L1", county(entry, until="2021-08-29")) == (True, 1.0, None)
    # Dibao and destitute support alone are reported within 45 days.
    assert told("L5", county(entry, until="2021-08-13")) == (True, None, NOT_MATURE)
    assert told("L5", county(entry, until="2021-08-14")) == (True, 1.0, None)


def test_a_household_without_members_is_not_at_risk_and_one_that_dissolves_has_no_outcome() -> None:
    gone = [member("p1", left="2020-05-01", known="2020-05-03")]
    assert told("L1", county([], gone)) == (False, None, NO_MEMBER)
    gone_unseen = [member("p1"), member("p1", left="2020-05-01", known="2020-08-03")]
    assert told("L1", county([], gone_unseen)) == (True, None, DISSOLVED)
    dissolves = [member("p1"), member("p1", left="2021-05-01", known="2021-05-03")]
    assert told("L1", county([], dissolves)) == (True, None, DISSOLVED)
    assert told("L1", county([event("DB//ENTER", "2020-09-01")], dissolves)) == (True, 1.0, None)
    one_stays = [*dissolves, member("p2")]
    assert told("L1", county([], one_stays)) == (True, 0.0, None)


def test_a_persons_status_counts_for_the_household_while_they_live_there() -> None:
    entry = event("TK//ENTER", "2020-02-01", person="p1")
    both = [member("p1"), member("p2")]
    assert told("L1", county([entry], both)) == (False, None, IN_STATUS)
    died = [*both, member("p1", left="2020-04-01", known="2020-04-20")]
    assert told("L1", county([entry], died)) == (True, 0.0, None)
    another_person_leaves_it = [entry, event("TK//EXIT", "2020-05-01", person="p2")]
    assert told("L1", county(another_person_leaves_it, both)) == (False, None, IN_STATUS)
    moved = [member("p1"), member("p1", left="2020-04-01", known="2020-04-20"), member("p2")]
    moved += [member("p1", joined="2020-04-01", household="h2"), member("p3", household="h2")]
    dataset = county([entry], moved)
    assert bool(row("L1", dataset, household="h1")["at_risk"]) is True
    assert bool(row("L1", dataset, household="h2")["at_risk"]) is False


@pytest.mark.parametrize("trace", ["MON//OUT_OF_POVERTY", "MON//RISK_CLEAR", "DB//EXIT"])
def test_l2_waits_only_for_households_known_to_be_formerly_poor(trace: str) -> None:
    entry = event("MON//ENTER", "2021-01-01")
    assert told("L2", county([entry])) == (False, None, NOT_FORMERLY_POOR)
    assert told("L2", county([entry, event(trace, "2019-01-01")])) == (True, 1.0, None)
    assert told("L2", county([entry, event(trace, "2019-01-01", "2020-08-01")])) == (False, None, NOT_FORMERLY_POOR)
    assert bool(row("L1", county([event(trace, "2019-01-01")]))["formerly_poor"]) is True
    assert bool(row("L1", county([]))["formerly_poor"]) is False


def test_l5_waits_for_dibao_and_destitute_support_only() -> None:
    monitored = [event("MON//ENTER", "2020-01-01"), event("LIP//EDGE_ENTER", "2021-01-01")]
    assert told("L5", county(monitored)) == (True, 0.0, None)
    assert told("L5", county([*monitored, event("DB//ENTER", "2021-01-01")])) == (True, 1.0, None)
    assert told("L5", county([event("DB//ENTER", "2020-01-01")])) == (False, None, IN_STATUS)


@pytest.mark.parametrize("code", ["MAI//GRANT", "LS//GRANT", "DIS//SUB_LIVING", "DIS//SUB_CARE", "PRD//PUBLIC_POST"])
def test_aid_within_the_horizon_is_kept_for_the_evaluation(code: str) -> None:
    assert bool(row("L1", county([event(code, "2020-12-01", "2021-09-01", person="p1")]))["treated"]) is True
    assert bool(row("L1", county([event(code, "2020-06-01", person="p1")]))["treated"]) is False


def test_an_unknown_label_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LabelRefused, match=r"no label 'L9' .*known are L1, L2, L5"):
        label("L9", county([]))


def test_an_entry_without_a_declared_ending_is_refused() -> None:
    from features.catalogue import Catalogue

    department = Department("XYZ", "民政", Text("某", "some"))
    kind = EventKind("XYZ//ENTER", Text("a", "b"), department, Unit.NONE, Level.HOUSEHOLD, "", (1, 2), is_entry=True)
    with pytest.raises(LabelRefused, match="XYZ//ENTER begins a status"):
        status_labels(Catalogue("x", (kind,), ()))
    assert status_labels(Catalogue("x", (), ())) == {}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"outcome": [0.5, np.nan]}, "outcome other than 0, 1"),
        ({"household_id": ["h1", "h1"]}, "twice at one moment"),
        ({"null_reason": [None, None]}, "no reason for a null"),
        ({"at_risk": [False, False]}, "was not at risk"),
    ],
)
def test_a_label_that_answers_nonsense_is_refused(change: dict[str, list[Any]], problem: str) -> None:
    good = {"household_id": ["h1", "h2"], "as_of": [1, 1], "at_risk": [True, True], "outcome": [1.0, np.nan]}
    good |= {"formerly_poor": [False, False], "null_reason": [None, "unseen"]}
    dataset = county([])
    fine = Label("X", Text("x", "x"), 12, lambda _dataset, _as_ofs: pd.DataFrame(good))
    assert len(label_rows(fine, dataset, [1])) == 2
    wrong = Label("X", Text("x", "x"), 12, lambda _dataset, _as_ofs: pd.DataFrame(good | change))
    with pytest.raises(LabelRefused, match=problem):
        label_rows(wrong, dataset, [1])
    with pytest.raises(LabelRefused, match="at least one moment"):
        label_rows(fine, dataset, [])


def test_labels_of_a_panel_without_statuses_are_only_its_own() -> None:
    for name in ("eph", "sipp"):
        known = labels(name)
        assert known
        assert not {"L1", "L2", "L5"} & set(known)
