"""Four households as the textbooks draw them, and the kind of poverty each is found to have (s3, R17)."""

from __future__ import annotations

import pytest

from features.rules.indicator import POVERTY_TYPES
from models.assessment import assessments
from models.bundle import Bundle, read_bundle
from models.rule_record import RuleRecord
from models.rules import Ruled
from tests.bundles import small_bundle
from tests.situations import Happening, Person, Situation, moment, monthly, told, under_rules

COUPLE = (Person("p1", 45, "head", "M"), Person("p2", 43, "spouse", "F"))
FAMILY = (*COUPLE, Person("p3", 14, "child", "F"))

# Farm work and odd jobs, all of it on record: a little above dibao, below the edge line. Nothing has happened.
EDGE_INCOME = Situation(
    FAMILY,
    (
        Happening("MON//INCOME_SURVEY", 50, 8_900),
        Happening("ENR//PAID", 200, 380, "p1"),
        Happening("ENR//PAID", 200, 380, "p2"),
        Happening("ENR//PAID", 200, 380, "p3"),
        Happening("EDU//ENROL", 60, 3, "p3"),
        Happening("GRD//VISIT", 60, 0),
    ),
)
# Two wages around the county's mean, and an illness that eats more than half of them.
HIGH_BILLS = Situation(
    FAMILY,
    (
        Happening("MON//INCOME_SURVEY", 50, 20_000),
        *monthly("EMP//WAGE", 2_600, "p1", 27),
        *monthly("EMP//WAGE", 2_200, "p2", 27),
        Happening("CLM//INPATIENT", 40, 19_000, "p2", "C50", 10),
        Happening("CLM//INPATIENT", 120, 13_500, "p2", "C50", 10),
        Happening("CLM//DRUG", 60, 2_500, "p2"),
        Happening("ENR//PAID", 200, 380, "p1"),
        Happening("GRD//VISIT", 60, 0),
    ),
    "town",
)
# A farm that went well until the river came.
FLOOD = Situation(
    FAMILY,
    (
        Happening("MON//INCOME_SURVEY", 200, 22_000),
        Happening("PRD//SALES", 400, 38_000),
        Happening("PRD//SALES", 35, 36_000),
        Happening("DST//HOUSE_LOSS", 20, 2),
        Happening("DST//RELOCATE", 20, 3),
        Happening("DST//CROP_LOSS", 18, 15_000),
        Happening("ARE//DISASTER_LEVEL", 21, 3),
        Happening("ENR//PAID", 200, 380, "p1"),
        Happening("GRD//VISIT", 60, 0),
    ),
)
# Came from another province, registered again and again where work was, earn enough to be above every line here and
# hold a status at home that nobody here knows of. No aid of this place reaches them, and nobody has seen them.
MIGRANT = Situation(
    FAMILY,
    (
        Happening("HKM//RES_PERMIT", 320, None, "p1", "320500"),
        Happening("HKM//RES_PERMIT", 210, None, "p1", "310000"),
        Happening("HKM//RES_PERMIT", 100, None, "p1", "320500"),
        Happening("HKM//RES_PERMIT", 100, None, "p2", "320500"),
        Happening("MON//ENTER", 700, 2),
        Happening("ENR//SUBSIDISED", 250, 380, "p1"),
        *monthly("EMP//WAGE", 3_800, "p1", 9),
        Happening("EMP//HIRE", 290, None, "p1"),
    ),
    "city",
)
# The same on the move, but with little income: neither the income nor the moving may hide the other.
POOR_MIGRANT = Situation(
    MIGRANT.people,
    (*(each for each in MIGRANT.happenings if each.code != "EMP//WAGE"), Happening("MON//INCOME_SURVEY", 40, 9_500)),
    "city",
)
TEXTBOOK = {"income": EDGE_INCOME, "expenditure": HIGH_BILLS, "temporary": FLOOD, "mobility": MIGRANT}


@pytest.fixture(scope="module")
def rules() -> Ruled:
    return under_rules([*TEXTBOOK.values(), POOR_MIGRANT])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(small_bundle(tmp_path_factory.mktemp("textbook") / "bundle"))


@pytest.mark.parametrize(("i", "kind"), list(enumerate(TEXTBOOK)))
def test_each_textbook_household_has_its_kind_of_poverty(rules: Ruled, i: int, kind: str) -> None:
    found = RuleRecord(rules, i).poverty_types()
    assert found[0]["code"] == kind
    assert sum(each["weight"] for each in found) == pytest.approx(1, abs=1e-3)
    assert {each["code"] for each in found} <= set(POVERTY_TYPES)


@pytest.mark.parametrize(("i", "kind"), list(enumerate(TEXTBOOK)))
def test_each_is_noticed_and_says_why(rules: Ruled, i: int, kind: str) -> None:
    record = RuleRecord(rules, i)
    floors = record.floors()
    assert rules.floor[i] >= {"income": 2, "expenditure": 2, "temporary": 3, "mobility": 1}[kind], floors
    fired = {each["id"]: each for each in record.triggers() if each["state"] == "true"}
    by_kind = {each.id for each in rules.of_mode("trigger") if kind in each.poverty_types}
    assert by_kind & set(fired)
    assert record.questions()


def test_a_poor_migrant_is_poor_and_away(rules: Ruled) -> None:
    found = {each["code"]: each["weight"] for each in RuleRecord(rules, len(TEXTBOOK)).poverty_types()}
    assert list(found)[0] == "income"
    assert found["mobility"] >= 0.15


def test_the_hint_names_the_monitored_type(rules: Ruled) -> None:
    """Sudden hardship is type 3 whatever the income; low income alone is type 2 here, for nobody was listed as poor."""
    hints = [RuleRecord(rules, i).ruled.monitored_type_hint[i] for i in range(len(TEXTBOOK))]
    assert hints == [2, 3, 3, 0]


def test_the_whole_assessment_tells_the_same(bundle: Bundle) -> None:
    records = assessments(bundle, told(list(TEXTBOOK.values())), moment())
    assert [record["poverty_types"][0]["code"] for record in records] == list(TEXTBOOK)
    assert [record["monitored_type_hint"] for record in records] == [2, 3, 3, None]
