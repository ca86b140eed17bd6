"""What is told about one household: in order, with evidence, with what is not known, and nothing sealed."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.rules.rulebook import RANKS, Rulebook, rulebook
from models.rule_record import MAX_EVENTS, RuleRecord
from tests.drawn import some_household
from tests.situations import Happening, Person, Situation, monthly, under_rules

ADULT = (Person("p1", 45, "head"),)
CERTIFICATE = Happening("DIS//CERT_NEW", 30, 2, "p1")
DIAGNOSIS = Happening("HLT//MAJOR_DX", 25, None, "p1", "C50")
WARNING = Happening("HKM//DV_WARNING", 20, None, "p1")
PRISON = Happening("PRI//IMPRISON", 20, 12, "p1")
SEALED_WORDS = (
    *("FAM-09", "FAM-06", "VER-02", "AST-03", "DV_WARNING", "IMPRISON", "ENFORCED"),
    *("家暴", "家庭暴力", "服刑", "被执行", "violence", "prison", "court"),
)


def record(
    *happenings: Happening, residence: str = "rural", region: str = "demo", book: Rulebook | None = None, **more: Any
) -> RuleRecord:
    return RuleRecord(under_rules([Situation(ADULT, happenings, residence, region)], book=book), 0, **more)


def everything(told: RuleRecord) -> dict[str, Any]:
    return {
        "triggers": told.triggers(), "points_items": told.points_items(), "verification": told.verification(),
        "questions": told.questions(), "tasks": told.tasks(), "silent": told.silent(), "economics": told.economics(),
        "dimensions": told.dimensions(), "types": told.poverty_types(), "multidimensional": told.multidimensional(),
    }  # fmt: skip


def test_true_triggers_come_first_the_strongest_before_the_others() -> None:
    found = record(CERTIFICATE, DIAGNOSIS, Happening("CLM//INPATIENT", 20, 12_000, "p1")).triggers()
    told = [(each["state"], each["tier"]) for each in found]
    true = [RANKS.get(tier, 0) for state, tier in told if state == "true"]
    assert true == sorted(true, reverse=True)
    assert true[0] == 3 and true[-1] == 0
    assert [state for state, _ in told] == ["true"] * len(true) + ["not_evaluable"] * (len(told) - len(true))
    assert "false" not in {state for state, _ in told}
    open_ = {each["id"] for each in found if each["state"] == "not_evaluable"}
    assert {"INC-01", "INC-02", "INC-03"} <= open_


def test_what_fired_says_what_it_found_and_what_did_not_only_its_name() -> None:
    found = {each["id"]: each for each in record(Happening("MON//INCOME_SURVEY", 60, 11_000)).triggers()}
    near = found["INC-02"]
    assert (near["state"], near["tier"]) == ("true", "yellow")
    assert "just above" in near["text"]["en"]
    assert found["MED-02"]["text"]["en"].startswith("own medical payment")
    assert found["MED-02"]["evidence"] == [] and found["MED-02"]["n_events"] == 0


def test_evidence_is_the_newest_three_and_counts_them_all() -> None:
    bills = monthly("CLM//DRUG", 3_000, "p1", 10)
    found = {each["id"]: each for each in record(*bills).triggers()}["MED-02"]
    assert found["n_events"] == 10
    assert len(found["evidence"]) == MAX_EVENTS
    assert [each["event_id"] for each in found["evidence"]] == ["e0002", "e0001", "e0000"]
    assert {each["code"] for each in found["evidence"]} == {"CLM//DRUG"}
    assert all(each["known_at"] >= each["occurred_at"] and each["source"] == "医保" for each in found["evidence"])


def test_points_items_add_up_to_the_points() -> None:
    told = record(
        Happening("MON//RISK_CLEAR", 10),
        Happening("TUN//HARDSHIP", 100, 2, "p1"),
        Happening("ARE//RESETTLE_SITE", 900, 1),
    )
    items = told.points_items()
    assert [each["id"] for each in items][:3] == ["AID-02", "SOC-08", "ARE-04"]
    assert [each["points"] for each in items] == sorted((each["points"] for each in items), reverse=True)
    assert sum(each["points"] for each in items) == pytest.approx(float(told.ruled.points[0]), abs=1e-3)
    assert all(each["state"] == "true" and each["points"] > 0 for each in items)


def test_what_is_to_be_verified_is_asked_and_brings_no_tier() -> None:
    told = record(Happening("BIZ//REGISTER", 60, 500_000, "p1"))
    assert [each["id"] for each in told.verification()] == ["VER-05"]
    assert told.verification()[0]["questions"]
    assert told.floors() == {}
    assert record().verification() == []


def test_silence_and_overdue_visits_are_told_apart_from_the_floors() -> None:
    told = record(CERTIFICATE)
    assert told.silent() == ("trigger:SOC-01",)
    assert told.tasks() == ["SOC-04"]
    assert told.floors() == {"AID-05": 1, "DIS-01": 2, "DIS-04": 2, "DIS-05": 1}
    assert record(CERTIFICATE, Happening("GRD//VISIT", 10, 0)).tasks() == []


def test_questions_of_the_strongest_come_first_and_each_once() -> None:
    told = record(Happening("DST//HOUSE_LOSS", 10, 2), Happening("CLM//INPATIENT", 20, 12_000, "p1"))
    asked = told.questions()
    assert asked[0]["text"]["en"].startswith("Where do people live now")
    assert len({each["question_id"] for each in asked}) == len(asked) > 8
    assert {"zh", "en"} == set().union(*(each["text"] for each in asked))
    fired = {each["id"] for each in (*told.triggers(), *told.points_items()) if each["state"] == "true"}
    is_true = [each["about"] in fired for each in asked]
    assert is_true == sorted(is_true, reverse=True)
    assert [not each["may_change_tier"] for each in asked] == is_true
    ranks = [told.floors().get(each["about"], 0) for each, true in zip(asked, is_true, strict=True) if true]
    assert ranks == sorted(ranks, reverse=True) and ranks[0] == 3


def test_what_cannot_be_evaluated_asks_only_where_it_could_bring_a_higher_tier() -> None:
    told = record()
    left = [{each["about"] for each in told.questions(rank)} for rank in range(4)]
    assert left[0] > left[1] > left[2]
    open_ = {each.id: max(RANKS.get(level.tier, 0) for level in each.levels) for each in told.ruled.of_mode("trigger")}
    true = {each["id"] for each in told.triggers() if each["state"] == "true"}
    for rank, names in enumerate(left):
        assert all(open_[name] > rank for name in names - true if name in open_)
    assert left[3] <= {*true, *(each["id"] for each in told.points_items())}


# -- sealed


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1).map(Random))
def test_nothing_sealed_reaches_who_may_not_read_it(rng: Random) -> None:
    home = some_household(rng)
    home = home.plus(*(each._replace(person=home.people[0].name) for each in (WARNING, PRISON)))
    home = home.plus(Happening("JUD//ENFORCED", 30, 90_000, home.people[0].name), Happening("DB//ENTER", 300, 500))
    ruled = under_rules([home])
    written = json.dumps(everything(RuleRecord(ruled, 0)), ensure_ascii=False)
    assert not [word for word in SEALED_WORDS if word in written]
    hidden = [each for each in RuleRecord(ruled, 0).triggers() if each["sealed"]]
    assert hidden
    for each in hidden:
        assert (each["id"], each["state"], each["evidence"], each["n_events"]) == ("sealed", "true", [], 0)


def test_who_may_read_it_reads_everything() -> None:
    told = {each["id"]: each for each in record(WARNING, may_read_sealed=True).triggers()}
    assert told["FAM-09"]["sealed"] and told["FAM-09"]["state"] == "true"
    assert [each["code"] for each in told["FAM-09"]["evidence"]] == ["HKM//DV_WARNING"]
    assert "warning" in told["FAM-09"]["text"]["en"]


def test_a_sealed_gap_is_not_listed_either() -> None:
    """A sealed trigger that cannot be evaluated would tell by its place in the list what it is about."""
    assert not any(each["sealed"] for each in record().triggers())
    assert any(each["sealed"] for each in record(may_read_sealed=True).triggers())


def test_reading_rights_change_no_tier_no_points_and_no_dimension() -> None:
    closed, open_ = record(WARNING, PRISON), record(WARNING, PRISON, may_read_sealed=True)
    assert closed.floors() == open_.floors()
    assert closed.dimensions() == open_.dimensions()
    assert len([each for each in closed.triggers() if each["state"] == "true"]) == len(
        [each for each in open_.triggers() if each["state"] == "true"]
    )
    assert (closed.shown("FAM-09"), open_.shown("FAM-09"), closed.shown("DIS-01")) == ("sealed", "FAM-09", "DIS-01")


def test_a_sealed_event_is_no_evidence_of_an_open_trigger() -> None:
    """AST-05 asks for a sale near a blow; no sealed code may be cited even where an open rule read it."""
    told = record(WARNING, CERTIFICATE, DIAGNOSIS)
    cited = {each["code"] for trigger in told.triggers() for each in trigger["evidence"]}
    assert cited and "HKM//DV_WARNING" not in cited


# -- amounts


def amounts(*happenings: Happening, **more: Any) -> dict[str, Any]:
    return record(*happenings, **more).economics()["amounts"]


def test_an_amount_is_known_none_at_least_or_unknown() -> None:
    assert amounts()["income_12m"] == {"state": "unknown", "value": None, "at_least": 0.0, "at_most": None}
    insured = amounts(Happening("ENR//PAID", 60, 400, "p1"))
    assert insured["out_of_pocket_12m"] == {"state": "known_none", "value": 0.0, "at_least": 0.0, "at_most": 0.0}
    billed = amounts(Happening("CLM//INPATIENT", 30, 14_200, "p1"))
    assert billed["out_of_pocket_12m"] == {"state": "known", "value": 14200.0, "at_least": 14200.0, "at_most": 14200.0}
    paid = amounts(*monthly("EMP//WAGE", 1_000, "p1", 5))
    assert (paid["income_12m"]["state"], paid["income_12m"]["at_least"]) == ("at_least", 5000.0)
    assert paid["income_12m"]["at_most"] is None


def test_evidence_of_one_income_stands_side_by_side() -> None:
    found = amounts(Happening("MON//INCOME_SURVEY", 60, 9_000), Happening("TAX//PIT_INCOME", 60, 20_000, "p1"))
    assert found["income_surveyed_12m"]["value"] == 9000
    assert (found["income_taxed_12m"]["state"], found["income_taxed_12m"]["at_least"]) == ("at_least", 20000)
    assert found["income_recorded_12m"]["state"] == "unknown"
    assert found["income_12m"]["value"] == 20000


def test_no_income_is_imputed() -> None:
    """A second adult nobody reported about leaves the income open upwards, whatever the first one earns."""
    couple = Situation((*ADULT, Person("p2", 43, "spouse")), tuple(monthly("EMP//WAGE", 1_000, "p1", 27)), "city")
    found = RuleRecord(under_rules([couple]), 0).economics()["amounts"]["income_12m"]
    assert (found["state"], found["at_least"], found["at_most"]) == ("at_least", 12_000, None)


@pytest.mark.parametrize(
    ("per_head", "distances"),
    [
        (9_000, {"dibao": 150, "edge": -150, "monitoring": 600}),
        (7_200, {"dibao": 0, "edge": -300, "monitoring": -1200}),
    ],
)
def test_the_distance_to_each_line_is_that_of_the_region(per_head: float, distances: dict[str, float]) -> None:
    lines = record(Happening("MON//INCOME_SURVEY", 60, per_head)).economics()["lines"]
    assert {name: each["line"] for name, each in lines.items()} == {"dibao": 600, "edge": 900, "monitoring": 8400}
    assert {name: each["distance"]["value"] for name, each in lines.items()} == pytest.approx(distances)
    assert {each["distance"]["state"] for each in lines.values()} == {"known"}


def test_a_line_nobody_set_is_null_and_its_distance_unknown() -> None:
    lines = record(Happening("MON//INCOME_SURVEY", 60, 9_000), region="national").economics()["lines"]
    assert {each["line"] for each in lines.values()} == {None}
    assert {each["distance"]["state"] for each in lines.values()} == {"unknown"}


# -- dimensions, kinds, deprivation


def test_dimensions_are_numbers_or_null() -> None:
    found = record(CERTIFICATE).dimensions()
    assert len(found) == 15
    assert found["disability"] == pytest.approx(1 - 0.3 * 0.3 * 0.6 * 0.7, abs=1e-4)
    assert found["living"] is None


def test_kinds_come_with_the_largest_share_first() -> None:
    found = record(CERTIFICATE, Happening("MON//INCOME_SURVEY", 60, 9_000)).poverty_types()
    weights = [each["weight"] for each in found]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) == pytest.approx(1, abs=1e-3)
    assert record().poverty_types() == []


def test_deprivation_is_an_interval_against_each_cut() -> None:
    found = record(Happening("GRD//LIVING", 30, 3)).multidimensional()
    assert found["score"][0] == pytest.approx(1 / 3, abs=1e-4)
    assert found["cut"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["poor_at"]["0.20"] == found["poor_at"]["0.33"] == "true"
    assert found["poor_at"]["0.50"] in ("false", "not_evaluable")
    assert set(found["poor_at"]) == {"0.20", "0.25", "0.30", "0.33", "0.40", "0.50"}
    assert set(record().multidimensional()["poor_at"].values()) == {"not_evaluable"}


def test_a_region_may_leave_the_cut_open(tmp_path: Path) -> None:
    (tmp_path / "here.yaml").write_text(
        "region: here\nname: {zh: 此地, en: here}\nbased_on: demo\n"
        "versions:\n  - effective_from: 2020-01-01\n    values: {af_cut: {value: null, source: x}}\n",
        encoding="utf-8",
    )
    book = rulebook(tmp_path)
    assert record(region="here", book=book).multidimensional()["cut"] is None


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1).map(Random), st.booleans())
def test_whatever_is_told_is_json_and_agrees_with_itself(rng: Random, may_read_sealed: bool) -> None:
    told = RuleRecord(under_rules([some_household(rng)]), 0, may_read_sealed)
    found = everything(told)
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    floors = told.floors()
    true = [each for each in found["triggers"] if each["state"] == "true"]
    assert max(floors.values(), default=0) == max((RANKS.get(each["tier"], 0) for each in true), default=0)
    assert all(each["kind"] == "indicator" and each["if_known"] is None for each in found["questions"])
    for each in (*found["triggers"], *found["points_items"], *found["verification"]):
        assert len(each["evidence"]) == min(each["n_events"], MAX_EVENTS)
    for amount in found["economics"]["amounts"].values():
        assert (amount["value"] is not None) == (amount["state"] in ("known", "known_none"))
        assert amount["at_least"] is None or amount["at_most"] is None or amount["at_least"] <= amount["at_most"]
