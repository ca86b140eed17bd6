"""The Survey of Income and Program Participation (SIPP, United States) as a dataset folder.

What it has: monthly family income against the official poverty threshold, and the size of the family, over up to four
years. What it lacks: everything else. No result on this panel says anything about work, health, schooling,
disability, disasters, assistance or coping. The files list no persons, so the one known member of a household is its
reference person, whom every household has; sex and birth date are unknown.

A wave is four months that one interview reports. Only whole waves count: an event sums one up and is dated at the
last day of its last month. The four rotation groups end their waves in different months, so the as-of grid has every
month, and a household is at risk only at the end of a wave of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from features.dataset import Dataset, DatasetMeta, DatasetRefused, DatasetWriter, Moments, read_meta
from features.definition import Text
from features.panels.sipp import KINDS, SURVEY, WAVE_MONTHS
from features.window import Micros, as_of_moment, written
from training.labels import HORIZON_MONTHS, Label
from training.panels.outcomes import ALREADY_POOR, NOT_MATURE, Reports, is_immature, judged, reports, visit_day
from training.panels.visits import event_rows, last_days, raw_table, refuse_repeated

CURRENCY, REGION, TIME_ZONE = "USD", "us", "UTC"
PROVENANCE = (
    "U.S. Census Bureau, Survey of Income and Program Participation, core waves; a work of the U.S. Government, in the "
    "public domain in the United States. Derived events of whole four-month waves. Income and family size only."
)
UNKNOWN_LATER = "a wave of the next 12 months was not observed"

_COLUMNS = ("panel", "wave", "household_id", "ym", "family_income", "poverty_threshold", "family_size", "n_families")
_WAVE = ["household_id", "wave"]
_AHEAD = range(WAVE_MONTHS, HORIZON_MONTHS + 1, WAVE_MONTHS)


def build(raw: Path, out: Path, *, progress: Callable[[int, int], None] | None = None) -> DatasetMeta:
    """Write the dataset folder `out` from the panel's files in `raw`, wave by wave.

    `progress` is told how many waves are done, and of how many. Refuses (`DatasetRefused`) a raw folder without the
    files or columns, with a household twice in a month, or without a single whole wave.
    """
    reported = _reported(_months(raw))
    if reported.empty:
        raise DatasetRefused("the raw folder has no whole wave of four months")
    first, until = (day.date().isoformat() for day in (reported["seen_on"].min(), reported["seen_on"].max()))
    meta = DatasetMeta(
        name="sipp",
        catalogue="sipp",
        currency=CURRENCY,
        time_zone=TIME_ZONE,
        default_label="any",
        regions=(REGION,),
        sources={SURVEY.source: (0, 0)},
        provenance=PROVENANCE,
        data_until=written(as_of_moment(until, TIME_ZONE), TIME_ZONE),
        moments=Moments(first=first, until=until, step_months=1),
    )
    with DatasetWriter(out, meta) as writer:
        writer.append("members", _reference_persons(reported))
        writer.append("households", _households(reported))
        waves = sorted(reported["wave"].unique())
        for done, wave in enumerate(waves, start=1):
            writer.append("events", event_rows(reported[reported["wave"] == wave], KINDS, CURRENCY))
            if progress is not None:
                progress(done, len(waves))
    return read_meta(out)


def _months(raw: Path) -> pd.DataFrame:
    """Household-months in time order; a household is known by its panel and number."""
    months = raw_table(raw, "sipp_household_month*.parquet", _COLUMNS)
    months["household_id"] = "s" + months["panel"].astype(str) + "-" + months["household_id"].astype(str)
    refuse_repeated(months, ["household_id", "ym"], "household-month")
    return months.sort_values(["household_id", "ym"], ignore_index=True)


def _reported(months: pd.DataFrame) -> pd.DataFrame:
    """What each whole wave reports: household_id, wave, period, seen_on, and a column for each kind of event.

    A wave with a month that has no threshold says nothing about poverty and is left out like a partial one.
    """
    income, threshold = months["family_income"].astype(np.float64), months["poverty_threshold"].astype(np.float64)
    measured = months[_WAVE].assign(
        ym=months["ym"],
        income=income,
        threshold=threshold,
        ratio=income / threshold.where(threshold > 0),
        below=(income < threshold).astype(np.float64),
        family_size=months["family_size"],
        families=months["n_families"],
    )
    waves = measured.groupby(_WAVE, as_index=False).agg(
        n=("ym", "size"),
        begins=("ym", "min"),
        ends=("ym", "max"),
        lowest_threshold=("threshold", "min"),
        INCOME=("income", "sum"),
        THRESHOLD=("threshold", "sum"),
        LOWEST_MONTH=("ratio", "min"),
        LAST_MONTH=("ratio", "last"),
        MONTHS_POOR=("below", "sum"),
        spread=("income", "std"),
        FAMILY_SIZE=("family_size", "last"),
        FAMILIES=("families", "max"),
    )
    is_whole = (waves["n"] == WAVE_MONTHS) & (waves["ends"] - waves["begins"] == WAVE_MONTHS - 1)
    waves = waves[is_whole & (waves["lowest_threshold"] > 0)].reset_index(drop=True)
    waves["INCOME_TO_THRESHOLD"] = waves["INCOME"] / waves["THRESHOLD"]
    waves["VOLATILITY"] = waves["spread"] / (waves["INCOME"] / WAVE_MONTHS).where(waves["INCOME"] > 0)
    before = waves[[*_WAVE, "INCOME_TO_THRESHOLD"]].assign(wave=waves["wave"] + 1)
    earlier = waves[_WAVE].merge(before, on=_WAVE, how="left")["INCOME_TO_THRESHOLD"]
    waves["CHANGE"] = waves["INCOME_TO_THRESHOLD"] - earlier
    return waves.assign(period="w" + waves["wave"].astype(str), seen_on=last_days(waves["ends"]))


def _reference_persons(reported: pd.DataFrame) -> pd.DataFrame:
    first = reported.sort_values(["household_id", "seen_on"]).drop_duplicates("household_id")
    return pd.DataFrame(
        {
            "household_id": first["household_id"],
            "person_id": first["household_id"] + "-reference",
            "birth_date": None,
            "sex": None,
            "role": "head",
            "joined_at": first["seen_on"],
            "left_at": pd.NaT,
            "known_at": first["seen_on"],
        }
    )


def _households(reported: pd.DataFrame) -> pd.DataFrame:
    households = reported["household_id"].unique()
    return pd.DataFrame({"household_id": households, "region": REGION, "residence": None, "township": None})


def _label_rows(is_poor: Callable[[Waves], pd.Series], dataset: Dataset, as_ofs: Sequence[Micros]) -> pd.DataFrame:
    """Rows of the households that end a wave at each moment; others have none. `is_poor` judges the next waves."""
    incomes, thresholds = (reports(dataset, f"SIPP//{name}") for name in ("INCOME", "THRESHOLD"))
    poverty = _poverty(incomes, thresholds)
    pieces = []
    for as_of in as_ofs:
        today, known = visit_day(as_of), poverty.known_by(as_of)
        now, earlier = known.on(today), known.before(today)
        households = now.index
        ahead = Waves(
            *(
                pd.concat([told.on(visit_day(as_of, later)).reindex(households) for later in _AHEAD], axis=1)
                for told in (incomes, thresholds)
            )
        )
        null_because = {
            ALREADY_POOR: now == 1,
            NOT_MATURE: pd.Series(is_immature(dataset, as_of, HORIZON_MONTHS), index=households),
            UNKNOWN_LATER: ahead.incomes.isna().any(axis=1),
        }
        formerly_poor = pd.Series(households.isin(earlier.household[earlier.value == 1]), index=households)
        pieces.append(judged(as_of, is_poor(ahead), formerly_poor, null_because))
    return pd.concat(pieces, ignore_index=True)


@dataclass(frozen=True)
class Waves:
    """Income and threshold of the next three waves, households x waves, NaN where a wave was not observed."""

    incomes: pd.DataFrame
    thresholds: pd.DataFrame


def _poor_in_any_wave(ahead: Waves) -> pd.Series:
    return (ahead.incomes < ahead.thresholds).any(axis=1)


def _poor_over_the_year(ahead: Waves) -> pd.Series:
    return ahead.incomes.sum(axis=1) < ahead.thresholds.sum(axis=1)


def _poverty(incomes: Reports, thresholds: Reports) -> Reports:
    """1.0 for each poor wave, 0.0 for each other. Every wave reports both amounts, at one time."""
    line = pd.Series(thresholds.value, index=pd.MultiIndex.from_arrays([thresholds.household, thresholds.occurred]))
    below = incomes.value < line.reindex(pd.MultiIndex.from_arrays([incomes.household, incomes.occurred])).to_numpy()
    return Reports(incomes.household, incomes.occurred, incomes.known, below.astype(np.float64))


def _label(name: str, is_poor: Callable[[Waves], pd.Series], zh: str, en: str) -> Label:
    return Label(name, Text(zh, en), HORIZON_MONTHS, partial(_label_rows, is_poor))


LABELS = {
    label.name: label
    for label in (
        _label(
            "any",
            _poor_in_any_wave,
            "目前不贫困的住户在随后12个月中至少有一个四个月期低于贫困线",
            "household not poor now is below the threshold in at least one of the next three waves",
        ),
        _label(
            "annual",
            _poor_over_the_year,
            "目前不贫困的住户随后12个月收入合计低于贫困线合计",
            "household not poor now has less than the threshold over the next 12 months together",
        ),
    )
}
