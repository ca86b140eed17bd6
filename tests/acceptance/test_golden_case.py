"""The worked example of the contract, 冯大爷: an elderly couple, a stroke, then a certificate. In Python and over HTTP.

Every sentence of the contract's section is a test here. Dates are written as a user writes them: as days.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.bundle import Bundle
from serving.errors import Invalid
from serving.messages import Batch
from serving.reading import read_batch
from serving.scoring import Scorer
from serving.settings import Settings
from tests.server import RunningService, running_service

HANGZHOU = "cn-hangzhou-demo"
UNSCORED = "cn-quiet-demo"
SEVEN = {"A01", "A10", "A11", "B01", "Q01", "Q02", "Q03"}
BY_INCOME = ("INC-01", "INC-02", "INC-03", "INC-15", "INC-16")
RANK = {"grey": 0, "green": 0, "yellow": 1, "orange": 2, "red": 3}

Record = dict[str, Any]
Ask = Callable[..., Record]

COUPLE = [
    {"person_id": "p1", "birth_date": "1953-03-01", "sex": "M", "role": "head", "joined_at": "2000-01-01"},
    {"person_id": "p2", "birth_date": "1955-06-01", "sex": "F", "role": "spouse", "joined_at": "2000-01-01"},
]
# The children who owe them support lived there once and left.
CHILD = {
    "person_id": "p3", "birth_date": "1980-05-01", "sex": "F", "role": "child",
    "joined_at": "2000-01-01", "left_at": "2004-09-01", "known_at": "2004-09-01",
}  # fmt: skip


def told(
    event_id: str, code: str, occurred: str, known: str, source: str, value: float | None = None, **more: Any
) -> Record:
    person = more.pop("person_id", "p1")
    event = {"event_id": event_id, "code": code, "occurred_at": occurred, "known_at": known, "source": source, **more}
    return event | ({} if person is None else {"person_id": person}) | ({} if value is None else {"value": value})


STAY = told("ev-stay", "CLM//INPATIENT", "2026-10-12", "2026-10-14", "医保", 14_200, unit="CNY", text="I63")
CERTIFICATE = told("ev-certificate", "DIS//CERT_NEW", "2026-10-25", "2026-10-28", "残联", 2, text="肢体")


def couple(*more: Record, as_of: str = "2026-11-01", region: str = HANGZHOU, **fields: Any) -> Record:
    """The household of the example after the stay."""
    return {
        "household_id": "feng", "as_of": as_of, "region": region, "residence": "rural",
        "members": [*COUPLE, CHILD], "events": [STAY, *more], **fields,
    }  # fmt: skip


def in_python(scorer: Scorer) -> Ask:
    def ask(household: Record, role: str = "platform") -> Record:
        body = json.dumps({"households": [household]}).encode()
        asked = read_batch(body, scorer.settings, Batch).households
        return json.loads(json.dumps(scorer.score(asked, may_read_sealed=role == "supervisor")[0]))

    return ask


def over_http(service: RunningService) -> Ask:
    def ask(household: Record, role: str = "platform") -> Record:
        reply = service.post(json={"households": [household]}, headers=service.headers(role))
        assert reply.status_code == 200, reply.text
        found: Record = reply.json()["results"][0]
        return found

    return ask


@pytest.fixture(scope="module")
def own_packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A region with a pack of rules for which no model was trained or may stand in."""
    folder = tmp_path_factory.mktemp("packs")
    (folder / "quiet.yaml").write_text(
        f"region: {UNSCORED}\nname: {{zh: 无模型示例, en: no model}}\nbased_on: {HANGZHOU}\n"
        "versions:\n  - effective_from: 2022-01-01\n    values: {}\n",
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="module")
def scorer(opened_bundle: Bundle, own_packs: Path) -> Scorer:
    return Scorer(opened_bundle, Settings(packs=str(own_packs)))


@pytest.fixture(scope="module")
def service(tiny_bundle: Path, own_packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    scratch = tmp_path_factory.mktemp("golden")
    # Without a store no call knows of another, as in Python.
    with running_service(tiny_bundle, scratch, POVRISK_PACKS=str(own_packs), POVRISK_STORE="none") as running:
        yield running


@pytest.fixture(scope="module", params=["python", "http"])
def ask(request: pytest.FixtureRequest) -> Ask:
    if request.param == "python":
        return in_python(request.getfixturevalue("scorer"))
    return over_http(request.getfixturevalue("service"))


def states(record: Record) -> dict[str, str]:
    return {each["id"]: each["state"] for each in record["triggers"]}


def true(record: Record) -> set[str]:
    return {name for name, state in states(record).items() if state == "true"}


def candidates(record: Record) -> dict[str, Record]:
    return {each["item"]: each for each in record["policy_candidates"]}


def paid_out(record: Record) -> set[str]:
    """Candidates that bring money or spare it."""
    return {each["item"] for each in record["policy_candidates"] if each["class"] in ("cash", "fee")}


# -- the case as the contract tells it


def test_after_the_stay_it_is_yellow(ask: Ask) -> None:
    found = ask(couple())
    assert found["tier"] == "yellow"
    assert "trigger:MED-05" in found["tier_basis"]
    assert "DIS-01" not in states(found)
    assert {candidates(found)[name]["status"] for name in paid_out(found)} <= {"conditional", "to_verify"}


def test_with_the_certificate_it_is_orange(ask: Ask) -> None:
    before, found = ask(couple()), ask(couple(CERTIFICATE))
    assert found["tier"] == "orange"
    assert "trigger:DIS-01" in found["tier_basis"]
    assert {"DIS-01", "DIS-05", "MED-05"} <= true(found)
    assert {states(found)[name] for name in BY_INCOME} == {"not_evaluable"}
    assert found["probability"] >= before["probability"]
    assert (found["decision"], found["decision_authority"]) == (None, "human")
    assert found["economics"]["amounts"]["income_12m"]["state"] == "unknown"


def test_what_fired_names_its_events_with_both_dates(ask: Ask) -> None:
    found = {each["id"]: each for each in ask(couple(CERTIFICATE))["triggers"]}
    for name, event in (("DIS-01", CERTIFICATE), ("DIS-05", CERTIFICATE), ("MED-05", STAY)):
        cited = found[name]["evidence"]
        assert [each["event_id"] for each in cited] == [event["event_id"]]
        assert cited[0]["occurred_at"].startswith(event["occurred_at"])
        assert cited[0]["known_at"].startswith(event["known_at"])


def test_the_candidates_are_exactly_the_seven_and_the_care_service(ask: Ask) -> None:
    found = ask(couple(CERTIFICATE))
    assert paid_out(found) == SEVEN
    items = candidates(found)
    assert items["A13"]["class"] == "service"
    assert items["A11"]["status"] == "likely"
    assert items["A01"]["status"] == "to_verify"
    assert {"income", "assets", "members", "maintenance_duty"} <= set(items["A01"]["missing"])
    for name in ("A10", "Q01", "Q02", "Q03"):
        assert (items[name]["status"], items[name]["depends_on"]) == ("conditional", ["A01"])
    assert (items["B01"]["status"], items["B01"]["depends_on"]) == ("conditional", ["A01", "A04", "A05"])
    order = [each["item"] for each in found["policy_candidates"]]
    assert order[0] == "A11"
    assert all(not each["against"] for each in found["policy_candidates"])
    assert found["unlocks"][0]["items"][0] == "A01"
    assert {"A10", "Q01", "Q02", "Q03"} <= set(found["unlocks"][0]["items"])


def test_the_day_before_it_was_known_nobody_knew(ask: Ask) -> None:
    found = ask(couple(CERTIFICATE, as_of="2026-10-27"))
    assert found["tier"] == "yellow"
    assert not {"DIS-01", "DIS-02", "DIS-05"} & true(found)
    assert "ev-certificate" not in json.dumps(found)
    assert found["probability"] == ask(couple(as_of="2026-10-27"))["probability"]
    assert ask(couple(CERTIFICATE, as_of="2026-10-28"))["tier"] == "orange"


def test_a_grade_of_three_is_answered_by_dis_02(ask: Ask) -> None:
    found = ask(couple(CERTIFICATE | {"value": 3}))
    assert found["tier"] == "yellow"
    assert "DIS-02" in true(found)
    assert not {"DIS-01", "DIS-05"} & true(found)
    assert "A11" not in candidates(found)


def taxed(month: int, amount: float) -> Record:
    day, known = f"2026-{month:02d}-15", f"2026-{month + 1:02d}-01"
    return told(f"t{month}", "TAX//PIT_INCOME", day, known, "税务/公积金", amount, unit="CNY", person_id="p2")


RICH = {
    "tax": [taxed(month, 30_000) for month in range(1, 10)],
    "tax of both, and savings": [
        told("t1", "TAX//PIT_INCOME", "2026-08-15", "2026-09-01", "税务/公积金", 90_000, unit="CNY"),
        told("t2", "BNK//DEPOSIT_BAL", "2026-09-15", "2026-09-20", "金融机构", 900_000, unit="CNY"),
    ],
    "savings": [told("t1", "BNK//DEPOSIT_BAL", "2026-09-15", "2026-09-20", "金融机构", 900_000, unit="CNY")],
    "housing fund": [told("t1", "TAX//HF_DEPOSIT", "2026-09-15", "2026-10-01", "税务/公积金", 3_000, unit="CNY")],
    "a car": [told("t1", "TRF//VEH_OWN", "2026-01-15", "2026-02-01", "公安交管", 300_000, unit="CNY")],
    "dwellings": [told("t1", "PRP//OWN", "2026-01-15", "2026-02-01", "自然资源", 4, person_id=None)],
}  # fmt: skip


@pytest.mark.parametrize("way", RICH)
def test_an_authorised_check_that_shows_means_holds_dibao_back_and_no_attention(ask: Ask, way: str) -> None:
    found = ask(couple(CERTIFICATE, *RICH[way]))
    items = candidates(found)
    assert items["A01"]["status"] != "likely"
    assert items["A11"]["status"] == "likely"
    assert found["tier"] == "orange"
    assert "trigger:DIS-01" in found["tier_basis"]
    if way not in ("savings",):
        # No limit of savings is in the pack: a balance alone is for people to judge.
        for name in ("A01", "A10", "Q01", "Q02", "Q03"):
            assert items[name]["against"], name
    if way.startswith("tax"):
        assert {states(found).get(name, "false") for name in ("INC-01", "INC-02", "INC-03")} == {"false"}


# -- afterwards

APPLIED = told("ev-applied", "SLF//APPLY", "2026-10-29", "2026-10-29", "本人/12345", person_id=None, text="A01")
VISITED = told("ev-visit", "GRD//VISIT", "2026-10-31", "2026-10-31", "镇街/村居", 1, person_id=None)
CARE = told("ev-care", "DIS//SUB_CARE", "2026-11-10", "2026-11-11", "残联", 120, unit="CNY")
DIBAO = told("ev-dibao", "DB//ENTER", "2026-11-12", "2026-11-12", "民政", 1_200, unit="CNY", person_id=None)
MEDICAL_AID = told("ev-medical-aid", "MAI//GRANT", "2026-11-13", "2026-11-13", "医保", 5_000, unit="CNY")


def test_once_the_subsidy_is_paid_nothing_is_missing(ask: Ask) -> None:
    assert {"AID-05", "DIS-05"} <= true(ask(couple(CERTIFICATE, as_of="2026-11-15")))
    paid = ask(couple(CERTIFICATE, CARE, as_of="2026-11-15"))
    assert not {"AID-05", "DIS-05"} & (true(paid) | set(states(paid)))
    assert candidates(paid)["A11"]["status"] == "already_receiving"
    # Dibao, entered three days ago, has had no time to bring medical aid.
    entered = ask(couple(CERTIFICATE, CARE, DIBAO, as_of="2026-11-15"))
    assert not {"AID-05", "DIS-05"} & set(states(entered))
    assert candidates(entered)["A01"]["status"] == "already_receiving"


def test_after_the_visit_and_the_aid_the_chain_tells_all_in_order(ask: Ask) -> None:
    found = ask(couple(CERTIFICATE, APPLIED, VISITED, CARE, DIBAO, MEDICAL_AID, as_of="2026-11-15"))
    assert not {"AID-05", "DIS-05"} & true(found)
    items = candidates(found)
    assert {items[name]["status"] for name in ("A01", "A11", "B01")} == {"already_receiving"}
    for name in ("A10", "Q01", "Q02", "Q03"):
        assert items[name]["status"] != "conditional"
        assert items[name]["depends_on"] == []
    chain = found["assistance_chain"]
    assert [each["at"] for each in chain] == sorted(each["at"] for each in chain)
    first = {step: next(i for i, each in enumerate(chain) if each["step"] == step) for step in
             ("signal", "alert", "call", "visit", "aid")}  # fmt: skip
    assert list(first.values()) == sorted(first.values())
    assert {each["code"] for each in chain if each["step"] == "aid"} == {"DIS//SUB_CARE", "DB//ENTER", "MAI//GRANT"}
    assert {"MED-05", "DIS-01"} <= {each["id"] for each in chain if each["step"] == "alert"}


def test_a_tier_falls_after_two_runs_or_a_visit(ask: Ask) -> None:
    def run(*events: Record, tier: str, computed: str) -> tuple[str, str]:
        previous = {"as_of": "2026-10-20", "tier": tier, "tier_computed": computed}
        found = ask(couple(*events, previous=previous))
        return found["tier"], found["tier_computed"]

    assert run(tier="orange", computed="orange") == ("orange", "yellow")
    assert run(tier="orange", computed="yellow") == ("yellow", "yellow")
    assert run(VISITED, tier="orange", computed="orange") == ("yellow", "yellow")
    assert run(CERTIFICATE, tier="yellow", computed="yellow") == ("orange", "orange")


# -- who may read what, and what speaks when

WARNING = told("ev-warning", "HKM//DV_WARNING", "2026-10-20", "2026-10-22", "公安")


def test_sealed_wording_is_for_the_supervisor_only(ask: Ask) -> None:
    seen = ask(couple(WARNING), role="platform"), ask(couple(WARNING), role="caseworker")
    for found in seen:
        written = json.dumps(found, ensure_ascii=False)
        for secret in ("FAM-09", "DV_WARNING", "家庭暴力", "家暴", "violence", "protection order", "ev-warning"):
            assert secret not in written
        assert any(each["sealed"] and each["state"] == "true" for each in found["triggers"])
        assert "敏感因素" in written
    open_ = ask(couple(WARNING), role="supervisor")
    assert "FAM-09" in true(open_)
    assert "trigger:FAM-09" in open_["tier_basis"]
    assert {each["event_id"] for t in open_["triggers"] if t["id"] == "FAM-09" for each in t["evidence"]} == {
        "ev-warning"
    }
    assert {found["tier"] for found in (*seen, open_)} == {"orange"}


def test_switched_off_the_model_says_nothing_and_the_rules_all(scorer: Scorer, own_packs: Path) -> None:
    ruled_only = in_python(Scorer(scorer.bundle, Settings(packs=str(own_packs), rules_only=True)))
    for events, tier in (([], "yellow"), ([CERTIFICATE], "orange")):
        found, with_model = ruled_only(couple(*events)), in_python(scorer)(couple(*events))
        assert (found["status"], found["tier"]) == ("rules_only", tier)
        assert found["probability"] is found["per_100"] is found["contributions"] is found["rank_in_county"] is None
        assert found["reasons"] == []
        for name in ("triggers", "points", "points_items", "policy_candidates", "dimensions"):
            assert found[name] == with_model[name]
        assert {each["kind"] for each in found["questions"]} == {"indicator"}


def test_a_region_with_rules_and_without_a_model_is_assessed_by_the_rules(ask: Ask) -> None:
    found = ask(couple(CERTIFICATE, region=UNSCORED))
    assert (found["status"], found["probability"], found["tier"]) == ("rules_only", None, "orange")
    assert paid_out(found) == SEVEN
    assert found["rules"]["pack"] == UNSCORED


def test_who_opted_out_gets_no_number_at_all(ask: Ask) -> None:
    refused = told("ev-optout", "SLF//OPTOUT", "2026-10-26", "2026-10-26", "本人/12345", person_id=None)
    found = ask(couple(CERTIFICATE, refused))
    assert (found["status"], found["tier"]) == ("abstained", "grey")
    for name in ("probability", "interval", "per_100", "rank_in_county", "points", "contributions", "economics"):
        assert found[name] is None
    for name in ("dimensions", "poverty_types", "reasons", "triggers", "points_items"):
        assert not found[name]


def test_an_unknown_region_is_refused_over_http(service: RunningService) -> None:
    reply = service.post(json={"households": [couple(region="nowhere-at-all")]})
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
    assert [error["path"] for error in reply.json()["errors"]] == [["households", 0, "region"]]
    assert "nowhere-at-all" not in reply.text


def test_an_unknown_region_is_refused_in_python(scorer: Scorer) -> None:
    with pytest.raises(Invalid) as refused:
        in_python(scorer)(couple(region="nowhere-at-all"))
    assert [error.path for error in refused.value.errors] == [("households", 0, "region")]


def test_both_ways_give_the_same_record(scorer: Scorer, service: RunningService) -> None:
    for household in (couple(), couple(CERTIFICATE), couple(CERTIFICATE, *RICH["tax"])):
        assert over_http(service)(household) == in_python(scorer)(household)


def test_the_example_is_no_matter_of_the_model(scorer: Scorer) -> None:
    """The region's visits were never counted when the bands were cut, so a probability decides no tier there."""
    for probability in (0.0, 1.0):
        bands = replace(scorer.bundle.bands, red=probability, orange=probability, yellow=probability)
        ask = in_python(Scorer(replace(scorer.bundle, bands=bands), scorer.settings))
        assert [ask(couple())["tier"], ask(couple(CERTIFICATE))["tier"]] == ["yellow", "orange"]
