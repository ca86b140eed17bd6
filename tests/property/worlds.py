"""Small random worlds for property tests: a few households, movers, late, corrected, retracted and unknown events."""

from __future__ import annotations

from typing import Any

import pandas as pd
from hypothesis import strategies as st

from features.catalogue import Catalogue
from features.definition import (
    Absent,
    Department,
    Direction,
    EventKind,
    Feature,
    Group,
    Level,
    Measure,
    Text,
    ever,
    last,
)
from features.event import EVENTS, HOUSEHOLDS, MEMBERS
from features.unit import Unit

ZONE = "Asia/Shanghai"
EPOCH = pd.Timestamp("2023-01-01", tz="UTC")
HOUSEHOLD_IDS = ("a", "b", "c")
PERSON_IDS = ("p", "q", "r", "s")
Row = dict[str, Any]


def dense_catalogue() -> Catalogue:
    """Few codes and every measure over every window, so that collisions are common."""
    department = Department("TST", "测试", Text("测试", "test"))
    names = ("PAID", "PAID_MORE", "BEGIN", "END", "END_ALL", "STAYS", "SIGNED")
    kinds = tuple(
        EventKind(
            f"TST//{n}",
            Text(n, n),
            department,
            Unit.SCALE,
            Level.HOUSEHOLD if n == "END_ALL" else Level.PERSON,
            "any",
            (1, 9),
            (-1e6, 1e6),
            follows=n != "STAYS",
            is_authorised=n == "SIGNED",
            authorised_months=5 if n == "SIGNED" else None,
            silence=Absent.UNKNOWN if n == "SIGNED" else Absent.KNOWN_NONE,
        )
        for n in names
    )
    features: list[Feature] = []

    def declare(measure: Measure, months: int | None, **more: Any) -> None:
        window = ever() if months is None else last(months=months)
        features.append(
            Feature(
                f"{measure.value}_{window.suffix}",
                Text("数", "number"),
                Group.INCOME,
                measure,
                Unit.SCALE,
                window=window,
                bounds=(-1e9, 1e9),
                direction=Direction.OPEN,
                **more,
            )
        )

    can_be_none = {Measure.COUNT, Measure.SUM, Measure.MAX, Measure.PERSONS, Measure.MONTHS_SINCE}
    for months in (1, 3, 12, 24, None):
        for measure in (*can_be_none, Measure.MIN, Measure.MEAN, Measure.LAST, Measure.FIRST):
            if measure is Measure.MONTHS_SINCE and months is None:
                continue
            absent = Absent.KNOWN_NONE if measure in can_be_none or measure is Measure.MIN else Absent.UNKNOWN
            linked: dict[str, Any] = {"linked_by": ("TST//BEGIN",)} if absent is Absent.KNOWN_NONE else {}
            if measure is Measure.MIN:
                linked["none_is"] = 7.0
            declare(measure, months, codes=("TST//PAID", "TST//PAID_MORE", "TST//STAYS"), when_absent=absent, **linked)
        for measure in (Measure.OPEN, Measure.MONTHS_OPEN):
            declare(
                measure,
                months,
                codes=("TST//BEGIN",),
                closed_by=("TST//END", "TST//END_ALL"),
                when_absent=Absent.KNOWN_NONE,
                linked_by=("*",),
            )
    declare(Measure.RATIO, 1, of=("sum_3m", "sum_12m"), scale=4.0)
    declare(Measure.DIFFERENCE, 1, of=("sum_12m", "max_3m"))
    declare(Measure.MEMBERS, None)
    declare(Measure.MEMBERS_AGED, None, ages=(0, 18))
    declare(Measure.RESIDENCE, None, residence="rural")
    return Catalogue("dense", kinds, tuple(sorted(features, key=lambda f: f.measure.is_derived)))


DENSE = dense_catalogue()
_days = st.integers(0, 900)
_values = st.one_of(st.just(float("nan")), st.integers(-3, 3).map(float), st.floats(-1e5, 1e5).map(lambda v: v or 0.0))


def _moment(day: int) -> pd.Timestamp:
    return EPOCH + pd.Timedelta(days=day)


@st.composite
def events(draw: st.DrawFn, codes: tuple[str, ...] = tuple(k.code for k in DENSE.kinds), most: int = 25) -> list[Row]:
    """Event rows; some correct or retract an earlier one, known later or even earlier than it."""
    rows: list[Row] = []
    for i in range(draw(st.integers(0, most))):
        occurred = draw(_days)
        replaces = draw(st.integers(0, 4)) == 0 and bool(rows)
        target = rows[draw(st.integers(0, len(rows) - 1))] if replaces else None
        rows.append(
            {
                "event_id": f"e{i}",
                "household_id": target["household_id"] if target else draw(st.sampled_from(HOUSEHOLD_IDS)),
                "person_id": draw(st.sampled_from((*PERSON_IDS, None))),
                "code": draw(st.sampled_from((*codes, "TST//NOBODY_KNOWS"))),
                "occurred_at": _moment(occurred),
                "known_at": _moment(occurred + draw(st.sampled_from([0, 0, 1, 30, 60, 300]))),
                "value": draw(_values),
                "unit": None,
                "text": None,
                "source": "测试",
                "status": draw(st.sampled_from(["corrected", "retracted"])) if target else "original",
                "supersedes": target["event_id"] if target else None,
            }
        )
    return rows


@st.composite
def members(draw: st.DrawFn) -> list[Row]:
    """Membership rows; people move, come back, and some leavings are learned of later."""
    rows: list[Row] = []
    for person in PERSON_IDS:
        birth = draw(
            st.one_of(st.none(), st.dates(pd.Timestamp("1940-01-01").date(), pd.Timestamp("2022-12-31").date()))
        )
        for _ in range(draw(st.integers(0, 2))):
            joined = draw(_days)
            left = draw(st.one_of(st.none(), st.integers(joined, 1000)))
            row = {
                "household_id": draw(st.sampled_from(HOUSEHOLD_IDS)),
                "person_id": person,
                "birth_date": birth,
                "sex": None,
                "role": "other",
                "joined_at": _moment(joined),
                "left_at": None,
                "known_at": _moment(joined + draw(st.sampled_from([0, 20]))),
            }
            if any(r["person_id"] == person and r["joined_at"] == row["joined_at"] for r in rows):
                continue
            rows.append(row)
            if left is not None:
                rows.append(
                    {**row, "left_at": _moment(left), "known_at": _moment(left + draw(st.sampled_from([25, 90])))}
                )
    return rows


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Row], list[Row], list[Row]]:
    """Events, members, households."""
    residences = [draw(st.sampled_from(["rural", "town", None])) for _ in HOUSEHOLD_IDS]
    households = [
        {"household_id": h, "region": "demo", "residence": r, "township": None}
        for h, r in zip(HOUSEHOLD_IDS, residences, strict=True)
    ]
    return draw(events()), draw(members()), households


def tables(world: tuple[list[Row], list[Row], list[Row]]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The world as the three tables of a dataset."""
    schemas = (EVENTS, MEMBERS, HOUSEHOLDS)
    frames = [pd.DataFrame(rows, columns=schema.names) for rows, schema in zip(world, schemas, strict=True)]
    for frame in frames:
        for name in ("occurred_at", "known_at", "joined_at", "left_at"):
            if name in frame:
                frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    frames[0]["value"] = frames[0]["value"].astype(float)
    return frames[0], frames[1], frames[2]


as_ofs = _days.map(lambda d: _moment(d + 90))
