"""The workload of `povrisk benchmark vectors`: a declared catalogue of 130 columns and a seeded dataset folder for it.

26 event codes in 10 groups; for every group the count, sum, maximum and mean over 3, 6 and 12 calendar months, and the
months since the last event; asked at the ends of the last 12 of 36 months. Ten rows a household. A row becomes known up
to 60 days after what it tells. Some rows correct or retract an earlier one, and a few correct what was corrected
already.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.catalogue import Catalogue
from features.dataset import META_FILE, DatasetMeta, Moments, folder_digest
from features.definition import Absent, Department, EventKind, Feature, Group, Level, Measure, Text, over_windows
from features.event import EVENTS, HOUSEHOLDS, MEMBERS, Status
from features.unit import Unit
from features.window import (
    MICROS_PER_DAY,
    MICROS_PER_MONTH,
    Micros,
    as_of_moment,
    last,
    month_ends,
    months_before,
    parsed,
    written,
)

ZONE = "Asia/Shanghai"
BEGUN, DATA_UNTIL = "2020-01-01", "2023-03-31"
MONTHS, N_MOMENTS = 36, 12
WINDOWS = (3, 6, 12)
# Within so many months an event of any kind proves that the household is seen, so that no event then means none.
LINK_MONTHS = 24
N_GROUPS, N_CODES = 10, 26
EVENTS_A_HOUSEHOLD = 10
CORRECTED_SHARE, RETRACTED_SHARE, TWICE_SHARE = 0.03, 0.01, 0.05
LONGEST_LAG_DAYS, LONGEST_CORRECTION_DAYS = 60, 30
ROWS_A_GROUP = 1_000_000
DESCRIPTION = "workload.json"

Ints = npt.NDArray[np.int64]
_AGGREGATES = (Measure.COUNT, Measure.SUM, Measure.MAX, Measure.MEAN)


@dataclass(frozen=True)
class Size:
    """How large a workload is; the same size and seed give the same files."""

    households: int = 200_000
    seed: int = 1
    events_a_household: int = EVENTS_A_HOUSEHOLD

    @property
    def events(self) -> int:
        """Rows of the events table, corrections and retractions included."""
        return self.households * self.events_a_household


def workload_catalogue() -> Catalogue:
    """The 26 kinds and 130 features, declared as any other catalogue is.

    >>> found = workload_catalogue()
    >>> len(found.kinds), len(found.features), found.names[:2], found.names[-1]
    (26, 130, ('g0_count_3m', 'g0_count_6m'), 'g9_since')
    """
    departments = [Department(f"G{g}", f"来源{g}", Text(f"来源{g}", f"source {g}")) for g in range(N_GROUPS)]
    kinds = tuple(
        EventKind(
            f"G{c % N_GROUPS}//K{c:02d}",
            Text(f"事件{c}", f"event {c}"),
            departments[c % N_GROUPS],
            Unit.MONEY,
            Level.HOUSEHOLD,
            "amount",
            (15, 57),
            (0.0, 1e6),
        )
        for c in range(N_CODES)
    )
    features: list[Feature] = []
    for g in range(N_GROUPS):
        codes, group = (f"G{g}//*",), Group.INCOME
        for measure in _AGGREGATES:
            can_be_none: dict[str, Any] = (
                {"when_absent": Absent.KNOWN_NONE, "linked_by": ("*",)}
                if measure in (Measure.COUNT, Measure.SUM)
                else {}
            )
            unit = Unit.COUNT if measure is Measure.COUNT else Unit.MONEY
            name = Text(f"来源{g}{measure.value}", f"{measure.value} of source {g}")
            stem = f"g{g}_{measure.value}"
            features += over_windows(
                stem, name, WINDOWS, group=group, measure=measure, unit=unit, codes=codes, **can_be_none
            )
        features.append(
            Feature(
                f"g{g}_since",
                Text(f"来源{g}距今月数", f"months since source {g}"),
                group,
                Measure.MONTHS_SINCE,
                Unit.MONTHS,
                codes=codes,
                window=last(months=MONTHS),
            )
        )
    return Catalogue("workload", kinds, tuple(features))


def moments() -> list[Micros]:
    """The twelve moments: the ends of the last twelve of the 36 months."""
    begun = parsed(BEGUN, ZONE)
    first = months_before(begun, -(MONTHS - N_MOMENTS), ZONE)
    return month_ends(first, months_before(begun, -MONTHS, ZONE), 1, ZONE)


def described(size: Size) -> dict[str, Any]:
    """The workload in plain numbers, for peers that import nothing of ours; all times in microseconds.

    Column `g * 13 + a * 3 + w` is aggregate a (count, sum, max, mean) of group g over window w, and `g * 13 + 12` the
    months since the group's last event, a month being `micros_per_month`.
    """
    of = workload_catalogue()
    return {
        "size": dataclasses.asdict(size),
        "digest": of.digest,
        "columns": list(of.names),
        "group_of_code": {kind.code: int(kind.code[1]) for kind in of.kinds},
        "n_groups": N_GROUPS,
        "window_months": list(WINDOWS),
        "as_of": moments(),
        "window_start": [[months_before(moment, months, ZONE) for months in WINDOWS] for moment in moments()],
        "link_start": [months_before(moment, LINK_MONTHS, ZONE) for moment in moments()],
        "micros_per_month": MICROS_PER_MONTH,
    }


def workload_at(folder: Path, size: Size) -> Path:
    """The dataset folder of that size; written, or taken as it is if it was written before."""
    wanted = described(size)
    place = folder / DESCRIPTION
    if place.is_file() and json.loads(place.read_text("utf-8")) == wanted:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    # A folder that was left half-written has no description and is written anew.
    place.unlink(missing_ok=True)
    _write_households(folder, size)
    _write_events(folder, size)
    _write_meta(folder, size)
    place.write_text(json.dumps(wanted, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return folder


def _write_households(folder: Path, size: Size) -> None:
    number = np.arange(size.households)
    households = {
        "household_id": _ids("h", number),
        "region": _same("demo", size.households),
        "residence": _same("rural", size.households),
        "township": pa.nulls(size.households, pa.string()),
    }
    joined = np.full(size.households, parsed("2015-01-01", ZONE))
    members = {
        "household_id": households["household_id"],
        "person_id": _ids("p", number),
        "birth_date": pa.array((number % 15_000).astype(np.int32), pa.int32()).cast(pa.date32()),
        "sex": pa.nulls(size.households, pa.string()),
        "role": _same("head", size.households),
        "joined_at": pa.array(joined).cast(MEMBERS.field("joined_at").type),
        "left_at": pa.nulls(size.households, MEMBERS.field("left_at").type),
        "known_at": pa.array(joined).cast(MEMBERS.field("known_at").type),
    }
    pq.write_table(pa.table(households, schema=HOUSEHOLDS), folder / "households.parquet", compression="zstd")
    pq.write_table(pa.table(members, schema=MEMBERS), folder / "members.parquet", compression="zstd")


def _write_events(folder: Path, size: Size) -> None:
    """In the order in which the rows became known, as a platform receives them."""
    rng = np.random.default_rng(size.seed)
    n_replacing = round(size.events * (CORRECTED_SHARE + RETRACTED_SHARE))
    n = size.events - n_replacing
    begun, ended = parsed(BEGUN, ZONE), months_before(parsed(BEGUN, ZONE), -MONTHS, ZONE)
    household = rng.integers(size.households, size=n)
    code = rng.integers(N_CODES, size=n)
    occurred = begun + rng.integers((ended - begun) // 1_000_000, size=n) * 1_000_000
    known = occurred + rng.integers(LONGEST_LAG_DAYS * 86_400 + 1, size=n) * 1_000_000
    # Quarters add up without rounding, so that every order of adding gives the same sum and peers must agree exactly.
    value = np.round(rng.lognormal(6.0, 1.0, n).clip(1, 1e5) * 4) / 4

    target = rng.permutation(n)[:n_replacing]
    n_twice = round(n_replacing * TWICE_SHARE)
    target[:n_twice] = target[n_replacing - n_twice :]
    after = 1 + rng.integers(LONGEST_CORRECTION_DAYS * 86_400, size=n_replacing)
    retracts = rng.random(n_replacing) < RETRACTED_SHARE / (CORRECTED_SHARE + RETRACTED_SHARE)
    changed = np.round(rng.lognormal(6.0, 1.0, n_replacing).clip(1, 1e5) * 4) / 4

    household, code, occurred = (np.concatenate([each, each[target]]) for each in (household, code, occurred))
    known = np.concatenate([known, known[target] + after * 1_000_000])
    value = np.concatenate([value, np.where(retracts, np.nan, changed)])
    status = np.concatenate([np.zeros(n, np.int64), np.where(retracts, 2, 1)])
    replaced = np.concatenate([np.full(n, -1), target])
    order = np.argsort(known, kind="stable")
    # Numbered as they came in, so that the file says nothing of which rows belong together.
    number = np.empty(size.events, np.int64)
    number[order] = np.arange(size.events)
    codes = np.array([kind.code for kind in workload_catalogue().kinds])
    sources = np.array([kind.department.source for kind in workload_catalogue().kinds])
    with pq.ParquetWriter(folder / "events.parquet", EVENTS, compression="zstd") as writer:
        for first in range(0, size.events, ROWS_A_GROUP):
            rows = order[first : first + ROWS_A_GROUP]
            has_value, replaces = status[rows] != 2, replaced[rows] >= 0
            columns = {
                "event_id": _ids("e", number[rows]),
                "household_id": _ids("h", household[rows]),
                "person_id": pa.nulls(len(rows), pa.string()),
                "code": _word(code[rows], codes),
                "occurred_at": pa.array(occurred[rows]).cast(EVENTS.field("occurred_at").type),
                "known_at": pa.array(known[rows]).cast(EVENTS.field("known_at").type),
                "value": pa.array(value[rows], mask=~has_value),
                "unit": pc.if_else(pa.array(has_value), "CNY", pa.scalar(None, pa.string())),
                "text": pa.nulls(len(rows), pa.string()),
                "source": _word(code[rows], sources),
                "status": _word(status[rows], np.array([each.value for each in Status])),
                "supersedes": pc.if_else(
                    pa.array(replaces),
                    _ids("e", number[np.where(replaces, replaced[rows], 0)]),
                    pa.scalar(None, pa.string()),
                ),
            }
            writer.write_table(pa.table(columns, schema=EVENTS))


def _write_meta(folder: Path, size: Size) -> None:
    days = [written(moment - MICROS_PER_DAY, ZONE)[:10] for moment in moments()]
    meta = DatasetMeta(
        name=f"workload-{size.households}x{size.events_a_household}-seed{size.seed}",
        catalogue="workload",
        currency="CNY",
        time_zone=ZONE,
        default_label="none",
        regions=("demo",),
        sources={f"来源{g}": (15, 57) for g in range(N_GROUPS)},
        provenance="random numbers for measuring speed; they mean nothing",
        data_until=written(as_of_moment(DATA_UNTIL, ZONE), ZONE),
        moments=Moments(days[0], days[-1]),
    )
    meta = dataclasses.replace(meta, digest=folder_digest(folder))
    (folder / META_FILE).write_text(json.dumps(meta.as_json(), ensure_ascii=False, indent=2) + "\n", "utf-8")


def _ids(letter: str, number: Ints) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(number).cast(pa.string()), 8, "0")
    return pc.binary_join_element_wise(letter, digits, "")


def _word(position: Ints, words: npt.NDArray[np.str_]) -> pa.Array:
    return pa.array(words.tolist(), pa.string()).take(pa.array(position))


def _same(word: str, n: int) -> pa.Array:
    return pa.array([word], pa.string()).take(pa.array(np.zeros(n, np.int64)))
