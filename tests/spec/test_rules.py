"""What the rules say beside the tier: dimensions, kinds of poverty, the monitored type, deprivation."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.rules.indicator import DIMENSIONS, POVERTY_TYPES
from features.rules.number import NOT_EVALUABLE
from models.rules import CUTS, MOST_BY_POINTS, SEVERITY, SHOWN_DIMENSIONS, rank_so_far
from tests.drawn import some_household
from tests.situations import Happening, Person, Situation, rule_ranks, under_rules

ADULT = (Person("p1", 45, "head"),)
CERTIFICATE = Happening("DIS//CERT_NEW", 30, 2, "p1")
DIAGNOSIS = Happening("HLT//MAJOR_DX", 30, None, "p1", "C50")
LOW = Happening("MON//INCOME_SURVEY", 60, 9_000)
FORMERLY = Happening("MON//OUT_OF_POVERTY", 3000, 2018)
ITEMS = ("income", "housing", "disease", "disability", "education", "employment", "social_security",
         "social_participation", "child_burden", "child_environment")  # fmt: skip


def home(*happenings: Happening, residence: str = "rural") -> Situation:
    return Situation(ADULT, happenings, residence)


def test_there_are_eight_dimensions_and_more() -> None:
    assert set(SHOWN_DIMENSIONS) == set(DIMENSIONS) - {"data"}
    assert len(SHOWN_DIMENSIONS) == 15


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1).map(Random))
def test_shares_and_dimensions_keep_their_bounds(rng: Random) -> None:
    of = under_rules([some_household(rng) for _ in range(8)])
    for values in of.dimensions.values():
        assert ((values >= 0) & (values < 1) | np.isnan(values)).all()
    shares = np.stack(list(of.poverty_types.values()))
    assert (shares >= 0).all()
    says_something = np.stack(
        [
            of.severity[each.id]
            for each in of.states.book.indicators
            if each.poverty_types and each.mode != "verification"
        ]
    )
    total = shares.sum(axis=0)
    assert np.allclose(total, np.where(says_something.sum(axis=0) > 0, 1, 0))
    assert (of.deprivation.lo <= of.deprivation.hi + 1e-12).all()
    assert ((of.deprivation.lo >= 0) & (of.deprivation.hi <= 1)).all()
    assert set(of.monitored_type_hint.tolist()) <= {0, 1, 2, 3}


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1).map(Random))
def test_a_household_among_many_is_told_as_it_is_alone(rng: Random) -> None:
    homes = [some_household(rng) for _ in range(5)]
    together = under_rules(homes)
    for i, each in enumerate(homes):
        alone = under_rules([each])
        assert alone.points[0] == pytest.approx(together.points[i])
        assert (alone.floor[0], alone.points_rank[0]) == (together.floor[i], together.points_rank[i])
        assert alone.monitored_type_hint[0] == together.monitored_type_hint[i]
        for name in SHOWN_DIMENSIONS:
            assert alone.dimensions[name][0] == pytest.approx(together.dimensions[name][i], nan_ok=True)
        for indicator in together.states.book.indicators:
            assert alone.states.state(indicator.id)[0] == together.states.state(indicator.id)[i], indicator.id


def test_several_signs_come_nearer_to_one_and_never_there() -> None:
    one, two = home(DIAGNOSIS), home(DIAGNOSIS, Happening("CLM//INPATIENT", 30, 12_000, "p1"))
    found = under_rules([home(), one, two]).dimensions["health"]
    assert found[1] == pytest.approx(SEVERITY["orange"])
    stay_and_points = (1 - SEVERITY["orange"]) * (1 - SEVERITY["yellow"]) * (1 - 8 / 20)
    assert found[2] == pytest.approx(1 - stay_and_points)
    assert np.isnan(found[0]) or found[0] == 0


def test_a_dimension_nothing_is_known_about_is_unknown_and_not_zero() -> None:
    of = under_rules([home()])
    open_ = [name for name in SHOWN_DIMENSIONS if np.isnan(of.dimensions[name][0])]
    for name in SHOWN_DIMENSIONS:
        members = [
            each.id for each in of.states.book.indicators if each.dimension == name and each.mode != "verification"
        ]
        unknown = all(of.states.state(each)[0] == NOT_EVALUABLE for each in members)
        assert (name in open_) == unknown, name


def test_severity_follows_tier_and_points() -> None:
    of = under_rules([home(CERTIFICATE, Happening("MON//RISK_CLEAR", 10))])
    assert of.severity["DIS-01"][0] == SEVERITY["orange"]
    assert of.severity["AID-02"][0] == 8 / 20
    assert of.severity["SHK-01"][0] == 0
    assert max(MOST_BY_POINTS, *SEVERITY.values()) < 1


def test_kinds_are_set_against_what_all_their_signs_would_bring() -> None:
    of = under_rules([home(LOW, DIAGNOSIS)])
    shares = {name: float(values[0]) for name, values in of.poverty_types.items()}
    most, found = dict.fromkeys(POVERTY_TYPES, 0.0), dict.fromkeys(POVERTY_TYPES, 0.0)
    for each in (*of.of_mode("trigger"), *of.of_mode("points")):
        strongest = max(
            SEVERITY.get(level.tier, 0) if each.mode == "trigger" else min(level.points / 20, 0.75)
            for level in each.levels
        )
        for name in each.poverty_types:
            most[name] += strongest / len(each.poverty_types)
            found[name] += float(of.severity[each.id][0]) / len(each.poverty_types)
    total = sum(found[name] / most[name] for name in POVERTY_TYPES)
    assert shares == pytest.approx({name: found[name] / most[name] / total for name in POVERTY_TYPES})
    assert {name for name, share in shares.items() if share > 0} == {"income", "expenditure", "temporary"}


@pytest.mark.parametrize(
    ("happenings", "hint"),
    [
        ([], 0),
        ([LOW], 2),
        ([LOW, FORMERLY], 1),
        ([FORMERLY], 0),
        ([DIAGNOSIS], 3),
        ([Happening("MON//INCOME_SURVEY", 60, 60_000), DIAGNOSIS], 3),
        ([LOW, FORMERLY, DIAGNOSIS], 3),
        ([Happening("CLM//INPATIENT", 30, 12_000, "p1")], 0),
        # Asking for help, or a visitor's worry, does not say what happened.
        ([Happening("SLF//APPLY", 5)], 0),
        ([LOW, Happening("SLF//HOTLINE", 5)], 2),
        ([LOW, FORMERLY, Happening("GRD//RISK_FLAG", 5, 1)], 1),
    ],
)
def test_the_hint_follows_the_three_types(happenings: list[Happening], hint: int) -> None:
    assert under_rules([home(*happenings)]).monitored_type_hint[0] == hint


def deprivation(*happenings: Happening, residence: str = "city") -> tuple[float, float]:
    found = under_rules([home(*happenings, residence=residence)]).deprivation
    return float(found.lo[0]), float(found.hi[0])


@pytest.mark.parametrize(("item", "weight"), [(i, 1 / 6 if i < 2 else 1 / 12) for i in range(10)], ids=ITEMS)
def test_a_visit_shows_each_item_with_its_weight(item: int, weight: float) -> None:
    least, most = deprivation(Happening("GRD//LIVING", 30, float(2**item)))
    assert least == pytest.approx(weight)
    assert most >= least


def test_what_nobody_looked_at_is_open_and_not_zero() -> None:
    assert deprivation() == pytest.approx((0, 1), abs=0.3)
    least, most = deprivation()
    assert least == 0 and most > CUTS[-1]
    known = (
        Happening("GRD//LIVING", 30, 0),
        Happening("MON//INCOME_SURVEY", 60, 60_000),
        Happening("EMP//HIRE", 30, None, "p1"),
        Happening("ENR//PAID", 60, 400, "p1"),
    )
    assert deprivation(*known) == pytest.approx((0, 0))


@settings(max_examples=40)
@given(st.integers(0, 1023), st.integers(0, 9))
def test_one_more_item_never_lowers_the_score(bits: int, item: int) -> None:
    fewer = deprivation(Happening("GRD//LIVING", 30, float(bits & ~(1 << item))))
    more = deprivation(Happening("GRD//LIVING", 30, float(bits | (1 << item))))
    assert more[0] >= fewer[0] - 1e-12 and more[1] >= fewer[1] - 1e-12


def test_the_record_shows_an_item_that_no_visit_saw() -> None:
    least, _ = deprivation(Happening("HSG//DANGER", 100, 4), CERTIFICATE, DIAGNOSIS)
    assert least == pytest.approx(1 / 6 + 1 / 12 + 1 / 12)


def test_floors_name_only_triggers_that_raise_somebody() -> None:
    of = under_rules([home(CERTIFICATE), home()])
    assert set(of.floors) == {"DIS-01", "DIS-04", "DIS-05", "AID-05"}
    assert of.floor.tolist() == [2, 0]
    assert rule_ranks(of).tolist() == [2, 0]


def test_a_visit_overdue_is_a_task_and_silence_is_grey_and_neither_raises_anybody() -> None:
    of = under_rules([home(CERTIFICATE), home()])
    assert of.flagged["task"]["SOC-04"].tolist() == [True, False]
    assert of.flagged["grey"]["SOC-01"].tolist() == [True, True]
    assert not {"SOC-01", "SOC-04"} & set(of.floors)


def test_what_asks_for_the_tier_sees_triggers_and_points_alone() -> None:
    of = under_rules(
        [home(CERTIFICATE), home(Happening("MON//RISK_CLEAR", 5), Happening("TUN//HARDSHIP", 5, 1, "p1")), home()]
    )
    assert rank_so_far(of.states).tolist() == [2, 1, 0]
    assert of.states.book.about_the_tier == {"SOC-04"}


def test_two_blows_in_two_dimensions_are_red_together_and_orange_alone() -> None:
    of = under_rules([home(CERTIFICATE), home(DIAGNOSIS), home(CERTIFICATE, DIAGNOSIS)])
    assert of.floor.tolist() == [2, 2, 3]
    assert of.floors["SHK-06"].tolist() == [0, 0, 3]


def test_a_region_without_lines_leaves_income_open_and_answers_the_rest() -> None:
    of = under_rules([replace(home(LOW, CERTIFICATE), region="national")])
    assert {of.states.state(name)[0] for name in ("INC-01", "INC-02", "INC-03")} == {NOT_EVALUABLE}
    assert of.floor.tolist() == [2]
