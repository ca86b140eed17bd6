"""Labels: who was at risk at a moment, what became of them, and when nobody can say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import catalogue
from features.dataset import Dataset, DatasetMeta, Moments
from features.definition import Department, EventKind, Level, Text
from features.unit import Unit
from features.window import as_of_moment, from_micros, months_before, parsed, to_micros
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


# ---- the same by a plain loop over households --------------------------------------------------------------------

DAY = 86_400_000_000
START = parsed("2019-01-01", ZONE)
DATA_UNTIL = "2021-12-31"
CODES = [*ENDINGS, *(ending.exits[0] for ending in ENDINGS.values()), "MON//OUT_OF_POVERTY", "LS//GRANT", "EMP//WAGE"]
OF_PERSON = {"TK//ENTER", "TK//EXIT", "EMP//WAGE"}


@st.composite
def counties(draw: st.DrawFn) -> Dataset:
    days, lags = st.integers(0, 1_050), st.sampled_from([0, 0, 20, 70, 400])
    houses, persons = ["h1", "h2"], ["p1", "p2", "p3"]
    members = []
    for person in persons:
        joined = -draw(st.integers(1, 2_000))
        for home in draw(st.lists(st.sampled_from(houses), min_size=1, max_size=2, unique=True)):
            length = draw(st.one_of(st.none(), st.integers(1, 2_500)))
            members.append((person, home, joined, None, joined + draw(lags)))
            if length is None:
                break
            members.append((person, home, joined, joined + length, joined + length + 500 + draw(lags)))
            joined += length
    spells = [
        {
            "household_id": home, "person_id": person, "birth_date": None, "sex": None, "role": "other",
            "joined_at": at(joined), "left_at": None if left is None else at(left), "known_at": at(known),
        }
        for person, home, joined, left, known in members
    ]  # fmt: skip
    events: list[dict[str, Any]] = []
    for i in range(draw(st.integers(0, 14))):
        code, occurred = draw(st.sampled_from(CODES)), draw(days)
        person = draw(st.sampled_from([None, *persons])) if code in OF_PERSON else None
        one = dict.fromkeys(EVENT_COLUMNS) | {"event_id": f"e{i}", "household_id": draw(st.sampled_from(houses))}
        one |= {"person_id": person, "code": code, "occurred_at": at(occurred), "known_at": at(occurred + draw(lags))}
        one |= {"source": "民政", "status": "original"}
        if events and draw(st.integers(0, 3)) == 0:
            target = draw(st.sampled_from(events))
            one |= {"household_id": target["household_id"], "supersedes": target["event_id"]}
            one |= {"known_at": target["known_at"] + pd.Timedelta(days=draw(st.integers(0, 200)))}
            one |= {"status": draw(st.sampled_from(["corrected", "retracted"]))}
        events.append(one)
    anchors = [member("p9", household=house, joined="2020-01-01", left="2020-01-02") for house in houses]
    return county(events, [*spells, *anchors], until=DATA_UNTIL)


def at(days: int) -> pd.Timestamp:
    return pd.Timestamp(from_micros(START + days * DAY))


def in_micros(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows with their moments as whole numbers, None where there is none."""
    rows = frame.to_dict("records")
    for row in rows:
        for name in {"occurred_at", "known_at", "joined_at", "left_at"} & set(row):
            row[name] = None if pd.isna(row[name]) else to_micros(row[name].to_pydatetime())
    return rows


def slow_rows(name: str, dataset: Dataset, as_of: int) -> list[tuple[Any, ...]]:
    """The label from its definition, one household after the other."""
    events, spells = in_micros(dataset.events), in_micros(dataset.members)
    until, end = as_of_moment(DATA_UNTIL, ZONE), months_before(as_of, -12, ZONE)
    codes = [code for code in ENDINGS if name != "L5" or code[:2] in ("DB", "TK")]
    lag = {"L5": 45}.get(name, 60) * DAY

    def seen(one: dict[str, Any], moment: int) -> bool:
        def replaces(other: dict[str, Any]) -> bool:
            if other["household_id"] != one["household_id"] or not isinstance(other["supersedes"], str):
                return False
            if other["supersedes"] == one["event_id"]:
                return True
            is_later = (other["known_at"], other["event_id"]) > (one["known_at"], one["event_id"])
            return other["supersedes"] == one["supersedes"] and is_later

        if one["status"] == "retracted" or one["known_at"] > moment:
            return False
        return not any(replaces(other) and other["known_at"] <= moment for other in events)

    def home(person: Any, moment: int, known: int) -> tuple[str | None, bool]:
        """Where the person lives, or lived last, and whether they still live there."""
        latest: dict[tuple[Any, ...], dict[str, Any]] = {}
        for spell in sorted(spells, key=lambda spell: spell["known_at"]):
            if spell["person_id"] == person and spell["known_at"] <= known and spell["joined_at"] < moment:
                latest[spell["joined_at"], spell["household_id"]] = spell
        if not latest:
            return None, False
        ranked = [
            (spell["left_at"] is None or spell["left_at"] >= moment, joined, house)
            for (joined, house), spell in latest.items()
        ]
        is_there, _, house = max(ranked)
        return house, is_there

    def inhabited(house: str, moment: int, known: int) -> bool:
        return any(home(person, moment, known) == (house, True) for person in dataset.members["person_id"].unique())

    def inside(house: str, known: int) -> bool:
        for entry in events:
            if entry["code"] not in codes or not seen(entry, known) or entry["occurred_at"] > as_of:
                continue
            ending, person = ENDINGS[entry["code"]], entry["person_id"]
            is_persons = entry["code"] in OF_PERSON and isinstance(person, str)
            if ending.months and months_before(entry["occurred_at"], -ending.months, ZONE) < as_of:
                continue
            if any(
                leaving["code"] in ending.exits
                and seen(leaving, known)
                and entry["occurred_at"] < leaving["occurred_at"] <= as_of
                and (
                    leaving["person_id"] == person
                    if is_persons
                    else leaving["household_id"] == entry["household_id"]
                    and not (entry["code"] in OF_PERSON and isinstance(leaving["person_id"], str))
                )
                for leaving in events
            ):
                continue
            lives_in, is_there = home(person, as_of, known) if is_persons else (None, False)
            if (entry["household_id"] if lives_in is None else lives_in if is_there else None) == house:
                return True
        return False

    def happens(house: str, wanted: Sequence[str]) -> bool:
        return any(
            one["household_id"] == house
            and one["code"] in wanted
            and seen(one, until)
            and as_of < one["occurred_at"] <= end
            for one in events
        )

    rows = []
    for house in sorted(dataset.households["household_id"]):
        former = any(
            one["household_id"] == house
            and one["code"] in ("MON//OUT_OF_POVERTY", "MON//RISK_CLEAR", "DB//EXIT")
            and seen(one, as_of)
            and one["occurred_at"] <= as_of
            for one in events
        )
        reason = None
        if not inhabited(house, as_of, as_of):
            reason = NO_MEMBER
        elif inside(house, as_of):
            reason = IN_STATUS
        elif name == "L2" and not former:
            reason = NOT_FORMERLY_POOR
        at_risk = reason is None
        enters = happens(house, codes)
        if at_risk and end + lag > until:
            reason = NOT_MATURE
        elif at_risk and inside(house, until):
            reason = REPORTED_LATER
        elif at_risk and not enters and not inhabited(house, end, until):
            reason = DISSOLVED
        outcome = float(enters) if reason is None else None
        rows.append((house, at_risk, outcome, former, happens(house, ["LS//GRANT"]), reason))
    return rows


@settings(max_examples=200, deadline=None)
@given(
    counties(), st.sampled_from(["L1", "L2", "L5"]), st.lists(st.integers(0, 800), min_size=1, max_size=3, unique=True)
)
def test_labels_agree_with_a_plain_loop(dataset: Dataset, name: str, days: list[int]) -> None:
    as_ofs = [START + offset * DAY for offset in days]
    rows = label_rows(label(name, dataset), dataset, as_ofs)
    for as_of in as_ofs:
        part = rows[rows["as_of"] == as_of]
        found = [
            (r.household_id, r.at_risk, None if math.isnan(r.outcome) else r.outcome, r.formerly_poor, r.treated,
             r.null_reason)
            for r in part.itertuples()
        ]  # fmt: skip
        assert found == slow_rows(name, dataset, as_of)


@settings(max_examples=50, deadline=None)
@given(counties(), st.randoms(use_true_random=False))
def test_labels_do_not_depend_on_the_order_or_repetition_of_rows(dataset: Dataset, random: Any) -> None:
    as_ofs = [START + offset * DAY for offset in (200, 600)]
    order = list(range(len(dataset.events))) * 2
    random.shuffle(order)
    people = list(range(len(dataset.members)))
    random.shuffle(people)
    shuffled = Dataset(
        dataset.meta,
        dataset.events.iloc[order].reset_index(drop=True),
        dataset.members.iloc[people].reset_index(drop=True),
        dataset.households.iloc[::-1].reset_index(drop=True),
    )
    one = label("L1", dataset)
    pd.testing.assert_frame_equal(label_rows(one, dataset, as_ofs), label_rows(one, shuffled, as_ofs))


def test_labels_of_a_panel_without_statuses_are_only_its_own() -> None:
    for name in ("eph", "sipp"):
        try:
            known = labels(name)
        except ValueError as error:
            pytest.skip(f"catalogue {name} is not there: {error}")
        assert not {"L1", "L2", "L5"} & set(known)
