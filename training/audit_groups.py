"""Whose service an audit compares: protected attributes, places, households by their members, visibility in the data.

Protected attributes come from `audit.parquet` alone and are never features. A group is a nullable column: where it is
not known whether a household belongs, the row is neither in the group nor among the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import catalogue
from features.dataset import Dataset
from features.definition import Level, Text
from features.event import RESIDENCES
from features.history import History, Visible, visible
from features.household import NO_BIRTH
from features.kernel import DAYS_PER_YEAR
from features.window import MICROS_PER_DAY, is_not_before, last

Floats = npt.NDArray[np.float64]

LOW_COVERAGE, OLD_RECORDS, FEW_SOURCES, SILENT = "low_coverage", "old_records", "few_sources", "silent"
# Whom a reserve of the visiting capacity is for.
LOW_VISIBILITY = (LOW_COVERAGE, SILENT)
# How well households are seen: no model reaches whom the data do not show, only visits kept for them do.
VISIBILITY = (LOW_COVERAGE, OLD_RECORDS, FEW_SOURCES, SILENT, "data_visibility_none", "data_visibility_thin")
# How much such households need is what sets them apart; they are described and not tested.
DESCRIBED = ("residence_town", "residence_city", "single_labour", "no_labour", "large_family")
MOST_CATEGORIES = 8
FIFTHS = 5
LARGE_FAMILY = 5
WORKING_AGE, ELDERLY = (16.0, 60.0), 60.0
SEEN_MONTHS = 24
# Each side by the first name that the groups have.
INTERSECTIONS: tuple[tuple[Sequence[str], Sequence[str]], ...] = (
    (("disability_any", "disability"), ("elderly_headed", "elderly_alone")),
    (("minority",), ("remote", "residence_rural")),
    ((LOW_COVERAGE,), ("elderly_headed", "elderly_alone")),
)
TEXTS = {
    "disability_any": Text("有残疾成员", "member with a disability"),
    "minority": Text("少数民族", "minority"),
    "elderly_headed": Text("老年户主", "elderly-headed"),
    "migrant": Text("流动人口", "migrant"),
    "head_sex_F": Text("女性户主", "headed by a woman"),
    "head_sex_M": Text("男性户主", "headed by a man"),
    "data_visibility_full": Text("部门资料齐全", "well seen by departments"),
    "data_visibility_thin": Text("部门资料较少", "thinly seen by departments"),
    "data_visibility_none": Text("部门几乎无资料", "unseen by departments"),
    "residence_rural": Text("农村", "rural"),
    "residence_town": Text("集镇", "town"),
    "residence_city": Text("城市", "city"),
    "elderly_alone": Text("仅有老年人", "elderly alone"),
    "single_labour": Text("单一劳动力", "one of working age"),
    "no_labour": Text("无劳动力", "nobody of working age"),
    "large_family": Text("五人及以上", "five or more members"),
    LOW_COVERAGE: Text("资料最少的五分之一", "least known fifth"),
    "coverage_fifth_2": Text("资料第二少的五分之一", "second least known fifth"),
    "coverage_fifth_3": Text("资料居中的五分之一", "middle fifth by knowledge"),
    "coverage_fifth_4": Text("资料第二多的五分之一", "second best known fifth"),
    "coverage_fifth_5": Text("资料最多的五分之一", "best known fifth"),
    OLD_RECORDS: Text("记录最旧的五分之一", "oldest records (fifth)"),
    FEW_SOURCES: Text("来源最少的五分之一", "fewest sources (fifth)"),
    SILENT: Text("数据沉默户", "silent in the data"),
}  # fmt: skip


class GroupsRefused(ValueError):
    """The audit table cannot be used; the message names the column and what to do."""


def group_text(name: str) -> Text:
    """What a group is called in both languages.

    >>> group_text("disability_any & elderly_headed").en
    'member with a disability & elderly-headed'
    """
    if " & " in name:
        parts = [group_text(part) for part in name.split(" & ")]
        return Text(" & ".join(part.zh for part in parts), " & ".join(part.en for part in parts))
    plain = name.replace("_", " ")
    return TEXTS.get(name, Text(plain, plain))


def record_quality(history: History, rows: pd.DataFrame, coverage: npt.ArrayLike) -> pd.DataFrame:
    """How visible the household of each row was in the data at its moment.

    `coverage` (0 to 1, weighted by importance) is passed through; `newest_days` is the age of what was learned last
    and `sources` the number of sources heard from in the last 24 months, both without what departments say about a
    whole area. `newest_days` is NaN where nothing was ever heard.
    """
    household = np.array([history.index[name] for name in rows["household_id"]], np.int64)
    as_of = rows["as_of"].to_numpy(np.int64)
    newest, sources = np.full(len(rows), np.nan), np.zeros(len(rows))
    for moment in np.unique(as_of):
        wanted = np.flatnonzero(as_of == moment)
        age, many = _heard(history, visible(history, int(moment)))
        newest[wanted], sources[wanted] = age[household[wanted]], many[household[wanted]]
    return pd.DataFrame({"coverage": np.asarray(coverage, np.float64), "newest_days": newest, "sources": sources})


def groups(dataset: Dataset, rows: pd.DataFrame, quality: pd.DataFrame, history: History | None = None) -> pd.DataFrame:
    """One nullable bool column a group, in the order of `rows`; groups of nobody or of everybody are left out.

    `quality` is what `record_quality` gives. With a `history`, groups by the members known at each moment are added.
    Raises `GroupsRefused` for an audit table that cannot be read as groups.
    """
    found = _protected(dataset, rows)
    home = dataset.households.drop_duplicates("household_id").set_index("household_id")["residence"]
    residence = home.reindex(rows["household_id"]).to_numpy(object)
    for place in RESIDENCES:
        found[f"residence_{place}"] = _nullable(residence == place, pd.isna(residence))
    if history is not None:
        found |= _by_members(history, rows)
    found |= _by_visibility(rows, quality)
    for one, other in INTERSECTIONS:
        pair = [next((name for name in names if name in found), None) for names in (one, other)]
        if pair[0] and pair[1]:
            found[f"{pair[0]} & {pair[1]}"] = found[pair[0]] & found[pair[1]]
    known = {name: column for name, column in found.items() if column.eq(True).any() and column.eq(False).any()}
    return pd.DataFrame(known).reset_index(drop=True)


def references(of: pd.DataFrame, dataset: Dataset) -> tuple[str, ...]:
    """Groups that others are compared with and that are reported without gates: the commonest word of each audit
    column, town and city, the better known fifths, and households set apart by what they need."""
    named = [*DESCRIBED, *(f"coverage_fifth_{fifth + 1}" for fifth in range(1, FIFTHS))]
    audit = pd.DataFrame() if dataset.audit is None else dataset.audit.drop(columns="household_id")
    for column in audit:
        family = [f"{column}_{word}" for word in audit[column].dropna().unique() if isinstance(word, str)]
        present = [name for name in family if name in of]
        named += (
            [max(present, key=lambda name: float(np.sum(of[name].to_numpy(np.float64, na_value=0.0))))]
            if present
            else []
        )
    return tuple(name for name in of if name in named)


def _protected(dataset: Dataset, rows: pd.DataFrame) -> dict[str, pd.Series]:
    if dataset.audit is None:
        return {}
    table = dataset.audit
    if "household_id" not in table or table["household_id"].duplicated().any():
        raise GroupsRefused("audit.parquet needs a column household_id with one row a household")
    features = set(catalogue(dataset.meta.catalogue).names)
    at = table.set_index("household_id").reindex(rows["household_id"])
    found: dict[str, pd.Series] = {}
    for name in (str(column) for column in at.columns):
        if name in features:
            raise GroupsRefused(f"audit.parquet: {name} is a feature; a protected attribute must not be one")
        cells, unknown = at[name].to_numpy(object), at[name].isna().to_numpy(np.bool_)
        words = set(cells[~unknown])
        if words <= {True, False}:
            found[name] = _nullable((cells == 1) & ~unknown, unknown)
        elif len(words) <= MOST_CATEGORIES and all(isinstance(word, str) for word in words):
            found |= {f"{name}_{word}": _nullable(cells == word, unknown) for word in sorted(words)}
        else:
            raise GroupsRefused(
                f"audit.parquet: {name} is neither true/false nor one of at most {MOST_CATEGORIES} words; "
                "put its values into classes or leave it out"
            )
    return found


def _by_members(history: History, rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Groups by the ages of the members at home; not known where a needed birth date is missing."""
    household = np.array([history.index[name] for name in rows["household_id"]], np.int64)
    as_of = rows["as_of"].to_numpy(np.int64)
    people, unborn, elders, labour = (np.zeros(len(rows)) for _ in range(4))
    for moment in np.unique(as_of):
        wanted = np.flatnonzero(as_of == moment)
        at_home = visible(history, int(moment)).homes
        here = np.flatnonzero(at_home.is_member)
        has_date = at_home.birth[here] != NO_BIRTH
        age = np.where(has_date, (int(moment) / MICROS_PER_DAY - at_home.birth[here]) / DAYS_PER_YEAR, np.nan)
        working = (age >= WORKING_AGE[0]) & (age < WORKING_AGE[1])
        counted = (np.ones(len(here)), ~has_date, age >= ELDERLY, working)
        for total, weight in zip((people, unborn, elders, labour), counted, strict=True):
            n = np.bincount(at_home.household[here], weight, minlength=len(history.household_ids))
            total[wanted] = n[household[wanted]]
    nobody = people == 0
    # One missing date leaves open what it could change, and nothing else.
    return {
        "elderly_alone": _nullable(elders == people, nobody | ((unborn > 0) & (elders + unborn == people))),
        "single_labour": _nullable(labour == 1, nobody | ((unborn > 0) & (labour <= 1))),
        "no_labour": _nullable(labour == 0, nobody | ((unborn > 0) & (labour == 0))),
        "large_family": _nullable(people >= LARGE_FAMILY, nobody),
    }


def _by_visibility(rows: pd.DataFrame, quality: pd.DataFrame) -> dict[str, pd.Series]:
    moment = rows["as_of"].to_numpy(np.int64)
    coverage, sources = quality["coverage"].to_numpy(np.float64), quality["sources"].to_numpy(np.float64)
    # Never heard of is older than any record.
    age = np.nan_to_num(quality["newest_days"].to_numpy(np.float64), nan=np.inf)
    nothing = np.zeros(len(rows), np.bool_)
    fifths = _fifth(coverage, moment)
    found = {LOW_COVERAGE: _nullable(fifths == 0, nothing)}
    found |= {f"coverage_fifth_{fifth + 1}": _nullable(fifths == fifth, nothing) for fifth in range(1, FIFTHS)}
    found[OLD_RECORDS] = _nullable(_fifth(-age, moment) == 0, nothing)
    found[FEW_SOURCES] = _nullable(_fifth(sources, moment) == 0, nothing)
    found[SILENT] = _nullable(sources == 0, nothing)
    return found


def _fifth(values: Floats, moment: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The fifth 0 (lowest) to 4 of each row among the rows of its moment; equal values stay together, in the fifth of
    their middle."""
    rank = pd.Series(values).groupby(moment).rank(method="average", pct=True).to_numpy()
    return np.minimum(np.ceil(rank * FIFTHS).astype(np.int64) - 1, FIFTHS - 1)


def _heard(history: History, seen: Visible) -> tuple[Floats, Floats]:
    """By household: days since anything was learned, NaN for never, and sources heard from in the last months."""
    n = len(history.household_ids)
    of_area = np.array([kind.level is Level.AREA for kind in history.catalogue.kinds], np.bool_)
    household = np.repeat(np.arange(n), np.diff(seen.starts))
    own = ~of_area[history.code[seen.rows]]
    household, rows = household[own], seen.rows[own]
    newest = np.full(n, -1, np.int64)
    np.maximum.at(newest, household, history.known_at[rows])
    days = np.where(newest >= 0, (seen.as_of - newest) / MICROS_PER_DAY, np.nan)
    start = last(months=SEEN_MONTHS).start(seen.as_of, history.time_zone)
    recent = is_not_before(history.known_at[rows], start)
    many = len(history.sources) + 1
    pairs = np.unique(household[recent] * many + history.source_number[rows[recent]] + 1)
    return days, np.bincount(pairs // many, minlength=n).astype(np.float64)


def _nullable(belongs: npt.ArrayLike, unknown: npt.ArrayLike) -> pd.Series:
    return pd.Series(pd.arrays.BooleanArray(np.asarray(belongs, np.bool_), np.asarray(unknown, np.bool_)))
