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
# Came from another province and lives on one wage there: low-income, on the list of the place they left, unseen where
# they live, and so without any aid.
MIGRANT = Situation(
    FAMILY,
    (
        Happening("HKM//RES_PERMIT", 100, None, "p1", "320500"),
        Happening("HKM//RES_PERMIT", 100, None, "p2", "320500"),
        Happening("MON//INCOME_SURVEY", 150, 12_000),
        Happening("MON//ENTER", 700, 2),
        Happening("ENR//SUBSIDISED", 250, 380, "p1"),
        *monthly("EMP//WAGE", 3_000, "p1", 9),
    ),
    "city",
)
# Others on the move: not on any list, in informal work, or with their income not on record at all.
ALSO_ON_THE_MOVE = (
    Situation(
        FAMILY,
        (Happening("HKM//RES_PERMIT", 100, None, "p1", "320500"), Happening("MON//INCOME_SURVEY", 40, 9_500)),
        "city",
    ),
    Situation(
        (Person("p1", 30, "head", "M"),),
        (Happening("HKM//RES_PERMIT", 100, None, "p1", "320500"), *monthly("EMP//WAGE", 2_600, "p1", 8)),
        "city",
    ),
    Situation(
        COUPLE, tuple(Happening("HKM//RES_PERMIT", days, None, "p1", "310000") for days in (20, 120, 300)), "town"
    ),
)
TEXTBOOK = {"income": EDGE_INCOME, "expenditure": HIGH_BILLS, "temporary": FLOOD, "mobility": MIGRANT}


@pytest.fixture(scope="module")
def rules() -> Ruled:
    return under_rules([*TEXTBOOK.values(), *ALSO_ON_THE_MOVE])


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


@pytest.mark.parametrize("i", range(len(ALSO_ON_THE_MOVE)))
def test_a_household_on_the_move_shows_mobility_first(rules: Ruled, i: int) -> None:
    assert RuleRecord(rules, len(TEXTBOOK) + i).poverty_types()[0]["code"] == "mobility"


def test_low_income_at_home_is_no_mobility_poverty(rules: Ruled) -> None:
    assert [each["code"] for each in RuleRecord(rules, 0).poverty_types()] == ["income"]


def test_the_hint_names_the_monitored_type(rules: Ruled) -> None:
    """Sudden hardship is type 3 whatever the income; low income alone is type 2 here, for nobody was listed as poor."""
    hints = [RuleRecord(rules, i).ruled.monitored_type_hint[i] for i in range(len(TEXTBOOK))]
    assert hints == [2, 3, 3, 2]


def test_the_whole_assessment_tells_the_same(bundle: Bundle) -> None:
    records = assessments(bundle, told(list(TEXTBOOK.values())), moment())
    assert [record["poverty_types"][0]["code"] for record in records] == list(TEXTBOOK)
    assert [record["monitored_type_hint"] for record in records] == [2, 3, 3, 2]
