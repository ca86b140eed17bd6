"""Small random worlds for property tests: a few households, movers, late, corrected, retracted and unknown events."""

from __future__ import annotations

from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
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
from features.tables import WORDS, Tables
from features.unit import Unit

ZONE = "Asia/Shanghai"
EPOCH = pd.Timestamp("2023-01-01", tz="UTC")
HOUSEHOLD_IDS = ("a", "b", "c")
PERSON_IDS = ("p", "q", "r", "s")
Row = dict[str, Any]


def dense_catalogue() -> Catalogue:
    """Few codes and every measure over every window, so that collisions are common."""
    department = Department("TST", "测试", Text("测试", "test"))
    # Of one moment, an ending may come before a beginning or after it.
    names = ("PAID", "PAID_MORE", "END", "BEGIN", "END_ALL", "STAYS", "SIGNED")
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
            coded_text="letters" if n in ("PAID", "BEGIN") else "",
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

    can_be_none = (
        Measure.COUNT, Measure.SUM, Measure.MAX, Measure.PERSONS, Measure.DISTINCT, Measure.MONTHS_SINCE,
    )  # fmt: skip
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
    some: dict[str, Any] = {"codes": ("TST//PAID",), "linked_by": ("TST//BEGIN", "TST//STAYS")}
    declare(Measure.LAST, 2, when_absent=Absent.NOT_APPLICABLE, **some)
    declare(Measure.RATIO, 2, of=("last_2m", "count_12m"))
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


def in_arrow(world: tuple[list[Row], list[Row], list[Row]]) -> Tables:
    """The world as tables in Arrow."""
    schemas = (EVENTS, MEMBERS, HOUSEHOLDS)
    return Tables(*(pa.Table.from_pylist(rows, schema=schema) for rows, schema in zip(world, schemas, strict=True)))


def in_pieces(tables: Tables, size: int) -> Tables:
    """The same tables as they may come from a file: words numbered, columns in chunks that begin inside others."""

    def cut(table: pa.Table) -> pa.Table:
        for i, name in enumerate(table.column_names):
            if name in WORDS:
                table = table.set_column(i, name, table[name].dictionary_encode())
        pieces = [table.slice(at, size) for at in range(0, len(table), size)]
        return pa.concat_tables([table.slice(0, 0), *pieces])

    return Tables(cut(tables.events), cut(tables.members), cut(tables.households))


# Ids whose order by letters, by bytes and by 16-bit units differs, and one that begins like another.
_IDS = ("", "a", "a\x00", "ab", "e1", "e10", "é", "中", "～", "😀")
_TEXTS = (None, "I63", "Ä", "中", "")


@st.composite
def crowded(draw: st.DrawFn) -> tuple[list[Row], list[Row], list[Row]]:
    """Worlds full of ties: few moments and values, the same ids in every household, rows told twice, texts."""
    event_rows, member_rows, households = draw(worlds())
    random = Random(draw(st.integers(0, 1_000_000)))
    names: dict[tuple[str, str], str] = {}
    for row in event_rows:
        taken = sum(household == row["household_id"] for household, _ in names)
        names[row["household_id"], row["event_id"]] = _IDS[taken % len(_IDS)] + "z" * (taken // len(_IDS))
    made: list[Row] = []
    for row in event_rows:
        target = names.get((row["household_id"], row["supersedes"] or ""))
        if random.random() < 0.2:
            target = random.choice((*_IDS, "no such id"))
        made.append(
            {
                **row,
                "event_id": names[row["household_id"], row["event_id"]],
                "supersedes": target,
                "occurred_at": _moment(random.choice((0, 0, 1, 400))),
                "known_at": _moment(random.choice((1, 1, 2, 500))),
                "value": random.choice((row["value"], None, float("nan"), 0.0, -0.0, 1.0)),
                "text": random.choice(_TEXTS),
                "source": random.choice(("医保", "a", "民政")),
            }
        )
    made += [{**random.choice(made), **random.choice(({}, {"value": 5.0}))} for _ in range(3 if made else 0)]
    for row in member_rows:
        row["sex"], row["role"] = random.choice((None, "F", "M")), random.choice(("head", "child", "unheard of"))
    for rows in (made, member_rows):
        random.shuffle(rows)
    return made, member_rows, [*households, {**households[0], "residence": "city"}]


as_ofs = _days.map(lambda d: _moment(d + 90))
