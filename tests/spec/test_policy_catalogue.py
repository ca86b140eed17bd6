"""The shipped policy items: those of the reference, standing as records say, and the worked example."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from features.history import visible
from features.rules.policy_item import SettledBy
from features.rules.policy_page import REFRESH, policy_page
from features.rules.rulebook import rulebook
from models.policy import statuses, unlocks
from models.rules import ruled
from tests.records import Row, at, event, history, household, member

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "policies.md"
BOOK = rulebook()
SHIPPED = BOOK.policies
TODAY = SHIPPED.in_force(date(2026, 11, 1))
# Where the shipped condition is wider than the reference table, and why.
WIDER = {
    "A08": {"SHK-06"},  # asks for any red trigger; this one is counted apart
    "E03": {"DIS-01"},  # a child with a more severe grade is no less in need
}
# Conditions that name no indicator in the reference: a tier, an event, another item.
UNNAMED = {"A17", "C03", "Q01", "Q02", "Q03"}


def reference() -> dict[str, dict[str, str]]:
    path = Path(__file__).parents[2] / os.environ.get("POVRISK_SHARED", "../shared") / "reference" / "policies.csv"
    if not path.is_file():
        pytest.skip("the reference is not here; set POVRISK_SHARED to the folder that holds reference/")
    with path.open(encoding="utf-8", newline="") as lines:
        return {row["code"]: row for row in csv.DictReader(lines)}


def named(fires_on: str) -> set[str]:
    """The indicators that the reference's shorthand stands for: `INC-02/03`, `SHK-01..05`."""
    found: set[str] = set()
    for prefix, first, more in re.findall(r"([A-Z]{3})-(\d\d)((?:\.\.\d\d|(?:/\d\d)*))", fires_on):
        last = int(more[2:]) if more.startswith("..") else int(first)
        found |= {f"{prefix}-{n:02d}" for n in range(int(first), last + 1)}
        found |= {f"{prefix}-{n}" for n in re.findall(r"/(\d\d)", more)}
    return found


def test_the_shorthand_of_the_reference_is_read_right() -> None:
    assert named("INC-02/03, MED-01..03, EDU-01") == {"INC-02", "INC-03", "MED-01", "MED-02", "MED-03", "EDU-01"}


def test_the_catalogue_is_that_of_the_reference() -> None:
    rows, shipped = reference(), {each.id: each for each in TODAY}
    assert len(shipped) == 57
    assert set(shipped) == set(rows)
    for name, row in rows.items():
        each = shipped[name]
        assert each.kind.value == row["class"], name
        assert each.department.zh.split("（")[0] == row["department"].split("(")[0], name
        # The reference writes MON for the status that entry into monitoring brings.
        wanted = {part.replace("MON", "I01") for part in row["depends_on"].split("|") if part}
        assert set(each.depends_on) == wanted, name
        assert name in UNNAMED or set(each.indicators) - WIDER.get(name, set()) == named(row["fires_on"]), name
        assert bool(each.checks) == (row["verify_before_offer"] not in ("", "—")), name
    assert shipped["A17"].written["when"] == "tier_rank >= 1"
    assert shipped["A08"].raised == "red"
    assert {each.id for each in TODAY if each.follows == ("A01",)} == {"Q01", "Q02", "Q03"}


def test_every_shared_fact_is_used_and_an_approval_is_asked_only_of_what_depends() -> None:
    used = {check.fact.id for each in SHIPPED.items for check in each.checks}
    assert used == set(SHIPPED.facts)
    waiting = {each.id for each in SHIPPED.items for check in each.checks if check.fact.by is SettledBy.ITEM}
    assert waiting <= {each.id for each in SHIPPED.items if each.depends_on}


def test_an_item_of_which_nothing_may_be_open_can_become_likely() -> None:
    for each in SHIPPED.items:
        answered = [
            check.known_when is not None or (check.fact.by is SettledBy.ITEM and bool(each.depends_on))
            for check in each.checks
        ]
        assert each.likely_when is not None or not all(answered), each.id


def test_no_amount_stands_in_the_catalogue() -> None:
    # Days, months, ages, grades and counts are small; money is not.
    for each in SHIPPED.items:
        numbers = re.findall(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w-])", " ".join(each.written.values()))
        assert all(float(number) <= 365 for number in numbers), each.id


def test_every_pack_offers_only_known_items() -> None:
    known = {each.id for each in SHIPPED.items}
    for name in BOOK.packs.regions:
        for version in BOOK.packs.versions(name):
            assert (version.offered or frozenset()) | version.not_offered <= known


def test_the_committed_page_is_fresh() -> None:
    committed = PAGE.read_text("utf-8") if PAGE.is_file() else ""
    assert committed == policy_page(SHIPPED), f"docs/reference/policies.md is stale; refresh it: {REFRESH}"


def test_an_item_reads_the_same_as_json() -> None:
    (first,) = [each for each in TODAY if each.id == "A10"]
    written = first.as_json()
    assert json.loads(json.dumps(written)) == written
    assert written["depends_on"] == ["A01"]
    assert [check["fact"] for check in written["to_verify"]] == ["certificate", "identity_class"]
    assert set(written) >= {"id", "name", "class", "department", "when", "source", "effective_from"}


def shipped(events: Sequence[Row], members: Sequence[Row] | None = None) -> dict[str, dict[str, Any]]:
    """Candidates in the simulated county, where every item is offered."""
    made = history(events, members or [member("p1", born="1980-05-01")], [household("h1", "rural")])
    rules = ruled(BOOK, made, visible(made, at("2026-11-01")))
    return {record["item"]: record for record in statuses(SHIPPED, rules.states).records(0)}


DIBAO = event("DB//ENTER", "2026-01-10", value=500.0)
ADULT = member("p1", born="1980-05-01", sex="F", role="head")
STUDENT = member("p2", born="2007-05-01", role="child")
SISTER = member("p3", born="2005-05-01", role="child")
CHILD = member("p4", born="2018-05-01", role="child")
BIG_STAY = event("CLM//INPATIENT", "2026-09-20", value=60_000.0, person_id="p1")
EDGE = event("LIP//EDGE_ENTER", "2026-03-01")
GRADE_2_NOW = event("DIS//CERT_NEW", "2026-10-01", value=2, person_id="p1")
ORPHAN = event("CHD//ORPHAN", "2026-09-01", value=0.0, person_id="p4")


@pytest.mark.parametrize(
    ("name", "expected", "events", "members"),
    [
        ("A02", "likely", [EDGE, GRADE_2_NOW], [ADULT]),
        ("A02", None, [GRADE_2_NOW], [ADULT]),
        ("A07", "to_verify", [BIG_STAY], [ADULT]),
        ("A07", "already_receiving", [BIG_STAY, event("LS//GRANT", "2026-10-10", value=2_000.0)], [ADULT]),
        ("A07", "to_verify", [BIG_STAY, event("LS//GRANT", "2026-09-10", value=2_000.0)], [ADULT]),
        ("A08", "to_verify", [BIG_STAY], [ADULT]),
        ("A08", None, [GRADE_2_NOW], [ADULT]),
        ("A09", "likely", [ORPHAN], [ADULT, CHILD]),
        ("A09", "already_receiving", [ORPHAN | {"value": 1_200.0}], [ADULT, CHILD]),
        ("A16", "conditional", [DIBAO, event("DB//EXIT", "2026-06-01", value=0.0)], [ADULT]),
        ("A16", "already_receiving", [DIBAO, event("DB//EXIT", "2026-06-01", value=6.0)], [ADULT]),
        ("B01", "likely", [DIBAO, BIG_STAY], [ADULT]),
        ("B01", "already_receiving", [BIG_STAY, event("MAI//GRANT", "2026-09-20", value=9_000.0)], [ADULT]),
        ("B01", "conditional", [BIG_STAY, event("MAI//GRANT", "2026-08-20", value=9_000.0)], [ADULT]),
        (
            "D01",
            "likely",
            [EDGE, event("EDU//ADMIT_HE", "2026-08-20", value=9_000.0, person_id="p2")],
            [ADULT, STUDENT],
        ),
        (
            "D01",
            "likely",
            [
                EDGE,
                event("EDU//ADMIT_HE", "2026-08-20", value=9_000.0, person_id="p2"),
                event("EDU//AID_GRADE", "2026-09-20", value=1, person_id="p3"),
            ],
            [ADULT, STUDENT, SISTER],
        ),
        (
            "D01",
            "already_receiving",
            [
                EDGE,
                event("EDU//ADMIT_HE", "2026-08-20", value=9_000.0, person_id="p2"),
                event("EDU//AID_GRADE", "2026-09-20", value=1, person_id="p2"),
            ],
            [ADULT, STUDENT],
        ),
        ("E03", None, [GRADE_2_NOW], [ADULT, CHILD]),
        ("E03", "to_verify", [GRADE_2_NOW | {"person_id": "p4"}], [ADULT, CHILD]),
        ("F06", "conditional", [GRADE_2_NOW], [ADULT]),
        ("F06", None, [GRADE_2_NOW], [ADULT | {"birth_date": date(1955, 5, 1)}]),
        ("M01", "to_verify", [event("HLT//MAJOR_DX", "2026-10-01", person_id="p1", text="C50.9")], [ADULT]),
        ("M01", None, [event("HLT//MAJOR_DX", "2026-10-01", person_id="p1", text="C34")], [ADULT]),
        ("M01", None, [event("HLT//MAJOR_DX", "2026-10-01", person_id="p1", text="C50")], [ADULT | {"sex": "M"}]),
        ("A13", None, [GRADE_2_NOW], [ADULT]),
    ],
)
def test_a_shipped_item_stands_as_its_records_say(
    name: str, expected: str | None, events: list[Row], members: list[Row]
) -> None:
    assert shipped(events, members).get(name, {"status": None})["status"] == expected


# -- the worked example: an elderly couple, a stroke, then a certificate

COUPLE = [
    member("p1", born="1953-03-01", sex="M", role="head"),
    member("p2", born="1955-08-01", sex="F", role="spouse"),
    # A grown daughter who left home: a supporter on record.
    member("p3", born="1980-01-01", sex="F", role="child", left="2005-01-01"),
]
STROKE = event("CLM//INPATIENT", "2026-10-01", "2026-10-03", 14_200.0, person_id="p1", text="I63")
GRADE_2 = event("DIS//CERT_NEW", "2026-10-19", "2026-10-22", 2, person_id="p1")
GRADE_3 = GRADE_2 | {"value": 3.0}
SEVEN = {"A01", "A10", "A11", "B01", "Q01", "Q02", "Q03"}


def couple(*events: Row, region: str = "cn-hangzhou-demo", on: str = "2026-11-01") -> dict[str, dict[str, Any]]:
    made = history([STROKE, *events], COUPLE, [household("h1", "city", region)])
    rules = ruled(BOOK, made, visible(made, at(on)))
    return {record["item"]: record for record in statuses(SHIPPED, rules.states).records(0)}


def paid(records: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, record in records.items() if record["class"] in ("cash", "fee")}


def test_the_couple_gets_exactly_the_seven_items() -> None:
    records = couple(GRADE_2)
    assert paid(records) == SEVEN
    assert {name: record["status"] for name, record in records.items()}.items() >= {
        "A11": "likely", "A01": "to_verify", "A10": "conditional", "B01": "conditional",
        "Q01": "conditional", "Q02": "conditional", "Q03": "conditional", "A13": "to_verify",
    }.items()  # fmt: skip
    assert records["A13"]["class"] == "service"
    for name in ("A10", "Q01", "Q02", "Q03"):
        assert records[name]["depends_on"] == ["A01"], name
    assert set(records["B01"]["depends_on"]) == {"A01", "A04", "A05"}
    assert records["A01"]["missing"] == ["income", "assets", "members", "maintenance_duty"]
    assert records["A11"]["missing"] == []
    assert records["Q02"]["triggered_by"] == ["DIS-01"]
    assert not any(record["against"] for record in records.values())


def test_the_income_check_unlocks_most_for_the_couple() -> None:
    (first, *_) = unlocks(list(couple(GRADE_2).values()), SHIPPED.facts)
    assert first["fact"] == "income"
    assert first["items"] == ["A01", "A10", "B01", "Q01", "Q02", "Q03"]


def test_an_authorised_check_that_shows_high_income_speaks_against_dibao_alone() -> None:
    months = [
        event("TAX//PIT_INCOME", f"2026-{m:02d}-15", f"2026-{m:02d}-28", 30_000.0, person_id="p1") for m in range(1, 10)
    ]
    records = couple(GRADE_2, *months)
    assert paid(records) == SEVEN
    assert records["A01"]["status"] == "to_verify"
    assert {name for name in SEVEN if records[name]["against"]} >= {"A01", "A10", "Q01", "Q02", "Q03"}
    assert records["A11"]["status"] == "likely"
    assert not records["A11"]["against"]


def test_one_well_paid_month_is_enough_to_speak_against_dibao() -> None:
    records = couple(GRADE_2, event("TAX//PIT_INCOME", "2026-09-15", "2026-09-28", 20_000.0, person_id="p1"))
    assert records["A01"]["against"]


def test_grade_three_brings_neither_dibao_nor_the_nursing_subsidy() -> None:
    records = couple(GRADE_3)
    assert not {"A01", "A11", "Q01", "Q02", "Q03"} & set(records)
    assert records["A10"]["status"] == "conditional"


def test_nothing_of_it_is_said_before_the_certificate_is_known() -> None:
    records = couple(GRADE_2, on="2026-10-20")
    assert paid(records) == {"B01"}


def test_the_nursing_subsidy_once_paid_is_received_and_no_longer_searched_for() -> None:
    records = couple(GRADE_2, event("DIS//SUB_CARE", "2026-10-28", "2026-10-30", 300.0, person_id="p1"))
    assert records["A11"]["status"] == "already_receiving"
    assert records["A11"]["triggered_by"] == ["DIS-01"]


def test_dibao_once_granted_opens_what_waited_for_it() -> None:
    records = couple(GRADE_2, event("DB//ENTER", "2026-10-28", "2026-10-30", 900.0))
    assert records["A01"]["status"] == "already_receiving"
    assert {records[name]["status"] for name in ("A10", "B01", "Q01", "Q02", "Q03")} == {"likely"}


def test_with_every_item_offered_what_is_added_ranks_after_the_seven_and_names_its_fact() -> None:
    records = couple(GRADE_2, region="demo")
    order = [name for name in records if name in paid(records)]
    assert set(order[:7]) == SEVEN
    for name in order[7:]:
        assert records[name]["status"] in ("to_verify", "not_available_here"), name
        assert records[name]["missing"], name


def test_a_supporter_on_record_keeps_destitute_support_away_and_none_leaves_it_open() -> None:
    assert "A03" not in couple(GRADE_2, region="demo")
    made = history([STROKE, GRADE_2], COUPLE[:2], [household("h1", "city", "demo")])
    rules = ruled(BOOK, made, visible(made, at("2026-11-01")))
    (record,) = [r for r in statuses(SHIPPED, rules.states).records(0) if r["item"] == "A03"]
    assert record["status"] == "to_verify"
    assert "supporter" in record["missing"]
