"""Labels agree with their definition, applied by a plain loop to one household after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from features.dataset import Dataset, DatasetMeta, Moments
from features.window import as_of_moment, from_micros, months_before, parsed, to_micros
from training.labels import label, label_rows
from training.statuses import DISSOLVED, ENDINGS, IN_STATUS, NO_MEMBER, NOT_FORMERLY_POOR, NOT_MATURE, REPORTED_LATER

ZONE = "Asia/Shanghai"
EVENT_COLUMNS = (
    "event_id", "household_id", "person_id", "code", "occurred_at", "known_at", "value", "unit", "text", "source",
    "status", "supersedes",
)  # fmt: skip
DAY = 86_400_000_000
START = parsed("2019-01-01", ZONE)
DATA_UNTIL = "2021-12-31"
CLUES = {"SLF//APPLY": "self", "GRD//VISIT": "visit", "DST//FIRE": "push"}
CODES = [*ENDINGS, *(ending.exits[0] for ending in ENDINGS.values()), "MON//OUT_OF_POVERTY", "LS//GRANT", "EMP//WAGE"]
CODES += CLUES
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
        one |= {"source": draw(st.sampled_from(["民政"] * 9 + ["povrisk"])), "status": "original"}
        if events and draw(st.integers(0, 3)) == 0:
            target = draw(st.sampled_from(events))
            one |= {"household_id": target["household_id"], "supersedes": target["event_id"]}
            one |= {"known_at": target["known_at"] + pd.Timedelta(days=draw(st.integers(0, 200)))}
            one |= {"status": draw(st.sampled_from(["corrected", "retracted"]))}
        events.append(one)
    frame = pd.DataFrame(events, columns=list(EVENT_COLUMNS))
    people = pd.DataFrame(spells)
    for table, columns in ((frame, ("occurred_at", "known_at")), (people, ("joined_at", "left_at", "known_at"))):
        for column in columns:
            table[column] = pd.to_datetime(table[column], utc=True)
    frame["value"] = frame["value"].astype("float64")
    households = pd.DataFrame({"household_id": houses, "region": "demo", "residence": "rural", "township": "t"})
    span = Moments("2020-06-30", "2020-06-30")
    meta = DatasetMeta("c", "core", "CNY", ZONE, "L1", ("demo",), {}, "drawn", DATA_UNTIL, span)
    return Dataset(meta, frame, people, households)


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

    def happenings(house: str, wanted: Sequence[str]) -> list[int]:
        return [
            one["occurred_at"]
            for one in events
            if one["household_id"] == house
            and one["code"] in wanted
            and seen(one, until)
            and as_of < one["occurred_at"] <= end
        ]

    def route(house: str, entered: int) -> str:
        """The first clue in the window, self and visit before push, the model before everything."""
        clues = []
        for one in events:
            if one["household_id"] != house or not seen(one, until):
                continue
            if one["source"] == "povrisk" and entered - 180 * DAY <= one["occurred_at"] <= entered:
                return "model"
            kind = CLUES.get(one["code"])
            when = one["known_at" if kind == "push" else "occurred_at"]
            if kind and entered - 90 * DAY <= when <= entered:
                clues.append((kind == "push", when, kind != "visit", kind))
        return min(clues)[-1] if clues else "unknown"

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
        entries = happenings(house, codes)
        enters = bool(entries)
        if at_risk and end + lag > until:
            reason = NOT_MATURE
        elif at_risk and inside(house, until):
            reason = REPORTED_LATER
        elif at_risk and not enters and not inhabited(house, end, until):
            reason = DISSOLVED
        outcome = float(enters) if reason is None else None
        aid = happenings(house, ["LS//GRANT"])
        before = any(not enters or given < min(entries) for given in aid)
        how = route(house, min(entries)) if outcome else None
        rows.append((house, at_risk, outcome, former, bool(aid), before, how, reason))
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
             r.treated_before_entry, r.discovery_route, r.null_reason)
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
