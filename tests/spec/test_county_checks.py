"""What checks find in the county: as often as a real check centre found it, within sampling error."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CORE, catalogue
from features.window import MICROS_PER_DAY
from training.county.assumptions import ASSUMPTIONS
from training.county.block import lived_through
from training.county.chance import Chance
from training.county.grid import county_grid
from training.county.hazard import Hazard
from training.county.shocks import weather
from training.county.simulate import happenings

GRID = county_grid(ASSUMPTIONS, 48)
BLOCKS, HOUSEHOLDS, SEED = 4, 5_000, 3
FIRST_YEAR = (int(GRID.starts[GRID.warm_up]), int(GRID.starts[GRID.warm_up + 12]))
MEANS_TESTED = ("A01", "A04", "A05")
# The demo region's own limits: more than two dwellings, a vehicle of 100,000 or more.
MOST_DWELLINGS, VEHICLE = 2, 100_000.0


WANTED = ("SLF//", "PRP//OWN", "TRF//VEH_OWN", "TK//", "DB//", "DIS//SUB", "FUN//", "PRI//", "ELD//SUBSIDY")


@pytest.fixture(scope="module")
def facts() -> pd.DataFrame:
    """What happened to 20,000 households, before anybody reports it."""
    over = weather(ASSUMPTIONS, GRID, Chance(SEED, -1).of("weather"))
    hazard, of = Hazard(ASSUMPTIONS, GRID), catalogue(CORE)
    codes = np.array([kind.code for kind in of.kinds])
    is_wanted = np.array([code.startswith(WANTED) for code in codes])
    parts = []
    for number in range(BLOCKS):
        what, _ = happenings(lived_through(ASSUMPTIONS, GRID, hazard, HOUSEHOLDS, Chance(SEED, number), over), of)
        what = what.taken(np.flatnonzero(is_wanted[what.code]))
        table = {
            "code": codes[what.code],
            "household": what.household + number * HOUSEHOLDS,
            "person": np.where(what.person >= 0, what.person + number * 10 * HOUSEHOLDS, -1),
            "moment": what.moment,
            "value": what.value,
            "text": np.array([*what.texts, None], dtype=object)[what.text],
        }
        parts.append(pd.DataFrame(table))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def checks(facts: pd.DataFrame) -> pd.DataFrame:
    """Applications of the written months that were checked, and whether the records went beyond the limits."""
    of = dict(iter(facts.groupby("code")))
    dwellings = of["PRP//OWN"][["household", "moment", "value"]]
    vehicles = of["TRF//VEH_OWN"][["household", "moment", "value"]]
    found = dwellings.merge(vehicles, on=["household", "moment"], how="left", suffixes=("_dwellings", "_vehicle"))
    both = of["SLF//APPLY"][["household", "moment", "text"]].merge(found, on="household", suffixes=("", "_checked"))
    days = (both["moment_checked"] - both["moment"]) / MICROS_PER_DAY
    low, high = ASSUMPTIONS.traces.check_days
    both = both[(days >= low - 0.01) & (days <= high) & (both["moment_checked"] >= FIRST_YEAR[0])]
    return both.assign(contradicts=(both["value_dwellings"] > MOST_DWELLINGS) | (both["value_vehicle"] >= VEHICLE))


def _agrees(count: int, n: int, share: float) -> None:
    error = np.sqrt(n * share * (1 - share))
    assert n * share > 4 * error, "too few to tell a share from none"
    assert abs(count - n * share) < 4 * error, f"{count / n:.4f} of {n} instead of {share:.4f}"


@pytest.mark.parametrize(
    ("items", "in_first_year", "share"),
    [
        (MEANS_TESTED, True, ASSUMPTIONS.contradicted_first_year),
        (MEANS_TESTED, False, ASSUMPTIONS.contradicted_later),
        (("G02",), None, ASSUMPTIONS.contradicted_housing),
        (("B04",), None, ASSUMPTIONS.contradicted_medical),
    ],
    ids=["first year", "later", "housing", "medical"],
)
def test_checks_contradict_as_often_as_the_check_centre_found(
    checks: pd.DataFrame, items: tuple[str, ...], in_first_year: bool | None, share: float
) -> None:
    rows = checks[checks["text"].isin(items)]
    if in_first_year is not None:
        rows = rows[(rows["moment_checked"] < FIRST_YEAR[1]) == in_first_year]
    _agrees(int(rows["contradicts"].sum()), len(rows), share)


def _open(facts: pd.DataFrame, key: str, entry: str, ending: str, moment: int) -> set[int]:
    """Who is in a status at a moment: the last entry before it has no end after it yet."""
    past = facts[facts["moment"] < moment]
    begun = past[past["code"] == entry].groupby(key)["moment"].max()
    ended = past[past["code"] == ending].groupby(key)["moment"].max().reindex(begun.index)
    return set(begun.index[~(ended > begun)])


def test_as_many_recipients_draw_twice_as_the_comparison_found(facts: pd.DataFrame) -> None:
    """Of those with a disability subsidy in a month, some are in destitute support; a status lasts about two years."""
    recipients = twice = 0
    for month in range(11, GRID.simulated, 24):
        begin, end = int(GRID.starts[month]), int(GRID.starts[month + 1])
        paid = facts[facts["code"].str.startswith("DIS//SUB") & (facts["moment"] >= begin) & (facts["moment"] < end)]
        drawing = set(paid["person"])
        recipients += len(drawing)
        supported = [_open(facts, "person", "TK//ENTER", "TK//EXIT", moment) for moment in (begin, end)]
        twice += len(drawing & supported[0] & supported[1])
    _agrees(twice, recipients, ASSUMPTIONS.duplicate_share)


def test_dibao_is_refused_for_property_where_the_check_found_it_and_only_there(
    facts: pd.DataFrame, checks: pd.DataFrame
) -> None:
    refused = facts[(facts["code"] == "DB//REJECT") & (facts["moment"] > FIRST_YEAR[0] + 60 * MICROS_PER_DAY)]
    both = refused.merge(checks[checks["text"] == "A01"], on="household", suffixes=("", "_asked"))
    days = (both["moment"] - both["moment_asked"]) / MICROS_PER_DAY
    low, high = ASSUMPTIONS.traces.answer_days
    both = both[(days > low - 0.01) & (days < high + 0.01)]
    by_property = both["text"] == "财产超过标准"
    assert by_property.sum() > 30 and (~by_property).sum() > 300
    assert both.loc[by_property, "contradicts"].mean() > 0.97
    assert both.loc[~by_property, "contradicts"].mean() < 0.01


def test_some_benefits_go_on_after_a_death_or_an_imprisonment(facts: pd.DataFrame) -> None:
    died = facts[facts["code"] == "FUN//CREMATE"].groupby("person")["moment"].min()
    paid = facts[facts["code"].str.startswith(("DIS//SUB", "ELD//SUBSIDY")) & facts["person"].isin(died.index)]
    after = (paid["moment"] - paid["person"].map(died)) / MICROS_PER_DAY
    late = paid[after > 0]
    assert 10 <= late["person"].nunique() < 0.1 * paid["person"].nunique()
    assert after.max() < 31 * (ASSUMPTIONS.traces.paid_on_months[1] + 2)
    for event in ("FUN//CREMATE", "PRI//IMPRISON"):
        rows = facts[(facts["code"] == event) & (facts["moment"] >= FIRST_YEAR[0])]
        assert _in_dibao(facts, rows).sum() >= 2, event


def _in_dibao(facts: pd.DataFrame, rows: pd.DataFrame) -> pd.Series[bool]:
    """Whether the household's last dibao entry before each row has no end before it too."""
    whose = rows[["household", "moment"]].sort_values("moment")
    for code in ("DB//ENTER", "DB//EXIT"):
        past = facts.loc[facts["code"] == code, ["household", "moment"]].assign(**{code: facts["moment"]})
        whose = pd.merge_asof(whose, past.sort_values("moment"), on="moment", by="household", allow_exact_matches=False)
    return whose["DB//ENTER"].notna() & ~(whose["DB//EXIT"] > whose["DB//ENTER"])
