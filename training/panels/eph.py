"""Argentina's Permanent Household Survey (EPH) as a dataset folder.

What it has: income by source against the official poverty line, work, health cover, schooling, housing, borrowing and
other coping, of households in 32 cities that are visited in two quarters, left alone for two, and visited in two
more. What it lacks: illness and its costs, the costs of education, graded disability, disasters, villages, and dates
finer than the quarter. No result on this panel says anything about those.

Every event is dated at the last day of the visit's quarter. Income that was not reported (`DECIFR` 12, a fifth of the
visits) is unknown: none of its amounts becomes an event. The poverty line is the household's adult equivalents times
the total basket of Greater Buenos Aires (mean of the quarter) times the region's basket of 2016Q4 over Buenos Aires's.
A person keeps their number in the household; they are a member from the first visit that lists them until the first
that does not. A birth date is the day of the first visit less the age in whole years and half a year.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from features.dataset import Dataset, DatasetMeta, DatasetRefused, DatasetWriter, Moments, read_meta
from features.definition import Text
from features.panels.eph import FEATURES, KINDS, SURVEY
from features.window import Micros, as_of_moment, written
from training.labels import HORIZON_MONTHS, Label
from training.panels.eph_answers import HOUSEHOLD_COLUMNS, PERSON_COLUMNS, facts
from training.panels.outcomes import ALREADY_POOR, INCOME_UNKNOWN, NOT_MATURE, is_immature, judged, reports, visit_day
from training.panels.visits import changes_only, event_rows, last_days, raw_csv, raw_table, refuse_repeated

CURRENCY, REGION, TIME_ZONE = "ARS", "ar", "UTC"
PROVENANCE = (
    "Fuente: INDEC, Encuesta Permanente de Hogares (EPH), public-use files. Derived events, dated at the last day of "
    "the visit's quarter. Cities only; no illness, medical or education spending, graded disability or disasters."
)
UNKNOWN_LATER = "not visited 12 months later, or income not reported then"

_INCOME_NOT_REPORTED = 12
_FACTOR_PERIOD, _BUENOS_AIRES = 2016.4, 1
_AMOUNTS = ("WORK", "TOP_EARNER", "PENSION", "AID", "KIN")
_SEX = {1: "M", 2: "F"}
_ROLES = {1: "head", 2: "spouse", 3: "child", 6: "parent", 7: "parent"}
_VISIT = ["household_id", "quarter"]


def build(raw: Path, out: Path, *, progress: Callable[[int, int], None] | None = None) -> DatasetMeta:
    """Write the dataset folder `out` from the survey's files in `raw`, quarter by quarter.

    `progress` is told how many quarters are done, and of how many. Refuses (`DatasetRefused`) a raw folder that lacks
    a file or a column, or that lists a household or a person twice in a quarter.
    """
    visits, persons = _read(raw)
    reported = _reported(visits, persons)
    quarters = sorted(reported["quarter"].unique())
    first, until = (day.date().isoformat() for day in (reported["seen_on"].min(), reported["seen_on"].max()))
    meta = DatasetMeta(
        name="eph",
        catalogue="eph",
        currency=CURRENCY,
        time_zone=TIME_ZONE,
        default_label=POOR_12M.name,
        regions=(REGION,),
        sources={SURVEY.source: (0, 0)},
        provenance=PROVENANCE,
        data_until=written(as_of_moment(until, TIME_ZONE), TIME_ZONE),
        moments=Moments(first=first, until=until, step_months=3),
    )
    with DatasetWriter(out, meta) as writer:
        writer.append("members", _members(visits, persons))
        writer.append("households", _households(visits))
        for done, quarter in enumerate(quarters, start=1):
            writer.append("events", event_rows(reported[reported["quarter"] == quarter], KINDS, CURRENCY))
            if progress is not None:
                progress(done, len(quarters))
    return read_meta(out)


def poverty_rates(raw: Path) -> pd.DataFrame:
    """Share of persons in poor households by half-year, beside the published share.

    Columns semester (such as "2016S2"), households (visits with known income), rate, and official (NaN where the
    publisher gave none). A half-year of which only one quarter is in the files has a rate, but not the published one.
    """
    visits, _ = _read(raw)
    known = visits[visits["DECIFR"] != _INCOME_NOT_REPORTED]
    weight = known["PONDIH"] * known["IX_TOT"]
    quarter = known["quarter"]
    counted = pd.DataFrame(
        {
            "semester": (quarter // 4).astype(str) + np.where(quarter % 4 < 2, "S1", "S2"),
            "weight": weight,
            "poor": weight.where(known["ITF"] < known["line"], 0.0),
        }
    )
    by_semester = counted.groupby("semester").agg(
        households=("weight", "size"), weight=("weight", "sum"), poor=("poor", "sum")
    )
    rates = by_semester.assign(rate=by_semester["poor"] / by_semester["weight"]).reset_index()
    official = raw_csv(raw, "official_rates.csv", ["semester", "official_person_poverty"])
    joined = rates.merge(official, on="semester", how="left").rename(columns={"official_person_poverty": "official"})
    return joined[["semester", "households", "rate", "official"]]


def _read(raw: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Visits (with their poverty line in pesos of the month) and persons, raw columns as floats, in time order."""
    tables = []
    for pattern, columns, keys in (
        ("eph_household*.parquet", HOUSEHOLD_COLUMNS, _VISIT),
        ("eph_person*.parquet", PERSON_COLUMNS, [*_VISIT, "COMPONENTE"]),
    ):
        table = raw_table(raw, pattern, columns)
        named = pd.DataFrame(
            {
                "household_id": "e" + table["dwelling_id"].astype(str) + "-" + table["NRO_HOGAR"].astype(str),
                "quarter": table["ANO4"].astype(np.int64) * 4 + table["TRIMESTRE"].astype(np.int64) - 1,
            }
        )
        numbers = table.drop(columns=["ANO4", "TRIMESTRE", "dwelling_id", "NRO_HOGAR"]).astype(np.float64)
        rows = pd.concat([named, numbers], axis=1)
        refuse_repeated(rows, keys, pattern)
        tables.append(rows.sort_values(keys, ignore_index=True))
    visits, persons = tables
    equivalents = raw_csv(raw, "adult_equivalent.csv", ["sex_CH04", "age_CH06", "adult_equivalent"])
    needs = persons.merge(equivalents, left_on=["CH04", "CH06"], right_on=["sex_CH04", "age_CH06"], how="left")
    adults = needs.groupby(_VISIT)["adult_equivalent"].sum(skipna=False)
    visits["line"] = (
        adults.reindex(pd.MultiIndex.from_frame(visits[_VISIT])).to_numpy()
        * visits["quarter"].map(_basket(raw))
        * visits["REGION"].map(_regional_factor(raw))
    )
    if visits["line"].isna().all():
        raise DatasetRefused("no visit has a poverty line; the basket tables do not fit the survey's quarters")
    return visits, persons


def _basket(raw: Path) -> pd.Series:
    """Total basket of Greater Buenos Aires, pesos per adult equivalent and month, by quarter with all three months."""
    months = raw_csv(raw, "cbt_2016_2019.csv", ["month", "cbt_gba_per_adult_equivalent"])
    month = pd.PeriodIndex(months["month"], freq="M")
    prices = months["cbt_gba_per_adult_equivalent"].groupby(np.asarray(month.year * 4 + month.quarter - 1))
    return prices.mean()[prices.size() == 3]


def _regional_factor(raw: Path) -> pd.Series:
    """The region's basket over that of Greater Buenos Aires, by region code, held at the last quarter of 2016."""
    baskets = raw_csv(raw, "regional_baskets_2016q3_q4.csv", ["periodo", "CBT", "codigo"])
    held = baskets[baskets["periodo"] == _FACTOR_PERIOD].set_index("codigo")["CBT"]
    factor: pd.Series = held / held[_BUENOS_AIRES]
    return factor


def _reported(visits: pd.DataFrame, persons: pd.DataFrame) -> pd.DataFrame:
    """What each visit reports: household_id, quarter, period, seen_on, and a column for each kind of event."""
    told = facts(visits, persons)
    told.insert(0, "INCOME", visits["ITF"])
    for name in ("INCOME", *_AMOUNTS):
        known = told.pop(name).where(visits["DECIFR"] != _INCOME_NOT_REPORTED)
        told[f"{name}_TO_LINE"] = known / visits["line"]
    before = visits[_VISIT].assign(quarter=visits["quarter"] + 1, before=told["INCOME_TO_LINE"])
    told["INCOME_CHANGE"] = told["INCOME_TO_LINE"] - visits[_VISIT].merge(before, on=_VISIT, how="left")["before"]
    seldom = _read_as_last_reported()
    told[seldom] = changes_only(told[seldom], visits["household_id"])
    quarter = visits["quarter"]
    period = (quarter // 4).astype(str) + "Q" + (quarter % 4 + 1).astype(str)
    return told.assign(**visits[_VISIT], period=period, seen_on=last_days(quarter * 3 + 2))


def _read_as_last_reported() -> list[str]:
    """Kinds that no feature reads in a window: to repeat what has not changed would add rows, but no knowledge."""
    windowed = {code for feature in FEATURES if feature.window.months is not None for code in feature.codes}
    return [kind.code.removeprefix("EPH//") for kind in KINDS if kind.code not in windowed]


def _members(visits: pd.DataFrame, persons: pd.DataFrame) -> pd.DataFrame:
    """Membership spells: one row when a person is first listed, a further one when a visit finds them gone."""
    numbered = visits[_VISIT].assign(visit=visits.groupby("household_id").cumcount())
    listed = persons.merge(numbered, on=_VISIT).sort_values(["household_id", "COMPONENTE", "quarter"])
    listed["seen_on"] = last_days(listed["quarter"] * 3 + 2)
    person = [listed["household_id"], listed["COMPONENTE"]]
    begins = listed.groupby(["household_id", "COMPONENTE"])["visit"].diff() != 1
    spells = listed[begins].assign(last_visit=listed.groupby([*person, begins.cumsum()])["visit"].transform("max"))
    first_seen = listed.drop_duplicates(["household_id", "COMPONENTE"]).set_index(["household_id", "COMPONENTE"])
    age_days = (first_seen["CH06"].clip(lower=0) + 0.5) * 365.25
    births = (first_seen["seen_on"] - pd.to_timedelta(age_days.round(), unit="D")).dt.date.rename("birth_date")
    spells = spells.join(births, on=["household_id", "COMPONENTE"])
    rows = pd.DataFrame(
        {
            "household_id": spells["household_id"],
            "person_id": spells["household_id"] + "-" + spells["COMPONENTE"].astype(np.int64).astype(str),
            "birth_date": spells["birth_date"],
            "sex": spells["CH04"].map(_SEX),
            "role": spells["CH03"].map(_ROLES).fillna("other"),
            "joined_at": spells["seen_on"],
            "left_at": pd.NaT,
            "known_at": spells["seen_on"],
        }
    )
    numbered["left_at"] = last_days(numbered["quarter"] * 3 + 2)
    missed = numbered.assign(last_visit=numbered["visit"] - 1)[["household_id", "last_visit", "left_at"]]
    gone = rows.drop(columns="left_at").assign(last_visit=spells["last_visit"])
    gone = gone.merge(missed, on=["household_id", "last_visit"])
    return pd.concat([rows, gone.assign(known_at=gone["left_at"])[rows.columns]], ignore_index=True)


def _households(visits: pd.DataFrame) -> pd.DataFrame:
    first = visits.drop_duplicates("household_id")
    township = "ar-" + first["AGLOMERADO"].astype(np.int64).astype(str)
    return pd.DataFrame(
        {"household_id": first["household_id"], "region": REGION, "residence": "city", "township": township}
    )


def _poor_in_a_year(dataset: Dataset, as_ofs: Sequence[Micros]) -> pd.DataFrame:
    """Rows of the households visited in the quarter that ends at each moment; other moments have none."""
    incomes, listed = (reports(dataset, f"EPH//{name}") for name in ("INCOME_TO_LINE", "MEMBERS"))
    pieces = []
    for as_of in as_ofs:
        known = incomes.known_by(as_of)
        visited = listed.known_by(as_of).on(visit_day(as_of)).index
        now, before = (known.on(visit_day(as_of, months)).reindex(visited) for months in (0, -3))
        later = incomes.on(visit_day(as_of, HORIZON_MONTHS)).reindex(visited)
        null_because = {
            INCOME_UNKNOWN: now.isna(),
            ALREADY_POOR: now < 1,
            NOT_MATURE: pd.Series(is_immature(dataset, as_of, HORIZON_MONTHS), index=visited),
            UNKNOWN_LATER: later.isna(),
        }
        pieces.append(judged(as_of, later < 1, before < 1, null_because))
    return pd.concat(pieces, ignore_index=True)


POOR_12M = Label(
    "poor_12m",
    Text("目前不贫困的住户12个月后收入低于贫困线", "household now above the poverty line is below it 12 months later"),
    HORIZON_MONTHS,
    _poor_in_a_year,
)
LABELS = {POOR_12M.name: POOR_12M}
