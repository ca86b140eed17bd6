"""Policy candidates: refused when badly written, found when worth checking, and never more certain than the record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from features.history import visible
from features.rules.facts import Facts
from features.rules.files import RuleFileRefused
from features.rules.indicator import Indicator, read_indicators
from features.rules.pack import Packs, read_packs
from features.rules.parameter import ParameterKind, parameters
from features.rules.policy_item import PolicyCatalogue, read_policies
from features.rules.rulebook import InForce, PackTerms, States, no_standing
from features.rules.syntax import Language
from models.policy import statuses, unlocks
from tests.records import CORE, Row, at, event, history, household, member

DAY = "2026-06-30"
LANGUAGE = Language(CORE, frozenset(n for n, p in parameters().items() if p.kind is ParameterKind.NUMBER), frozenset())
FACTS = [
    {"id": "income", "zh": "收入", "en": "income", "by": "visit"},
    {"id": "bills", "zh": "票据", "en": "bills", "by": "visit"},
    {"id": "identity_class", "zh": "身份", "en": "status", "by": "item"},
]
# Three warnings, one of each strength, and one that an income survey has to answer.
WARNINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "DIS-01": ("trigger", "happened(DIS//CERT_NEW, days=90, at_most=2)", {"tier": "orange"}),
    "MED-05": ("trigger", "largest(CLM//INPATIENT, days=90) > 10000", {"tier": "yellow"}),
    "FAM-03": ("points", "not any_member(age < 60)", {"points": 5}),
    "INC-02": ("trigger", "latest(MON//INCOME_SURVEY, months=12) < 9000", {"tier": "orange"}),
    "SHK-01": ("trigger", "happened(DST//HOUSE_LOSS, days=180)", {"tier": "red"}),
}
CERTIFICATE = event("DIS//CERT_NEW", "2026-06-01", value=2, person_id="p1")
STAY = event("CLM//INPATIENT", "2026-06-02", value=14_200.0, person_id="p1")
DIBAO = event("DB//ENTER", "2026-01-10", value=500.0)
IN_DIBAO = "is_open(DB//ENTER, ended_by=DB//EXIT)"


def item(name: str, **fields: Any) -> dict[str, Any]:
    """An entry that holds together; `when` asks for DIS-01 unless told otherwise."""
    entry: dict[str, Any] = {
        "id": name,
        "name": {"zh": f"项目{name}", "en": f"item {name}"},
        "class": "cash",
        "department": {"zh": "民政", "en": "civil affairs"},
        "to_verify": [],
        "source": "assumption",
        "effective_from": date(2020, 1, 1),
        "effective_to": None,
    }
    if "follows" not in fields:
        entry["when"] = 'indicator("DIS-01")'
    return entry | fields


def policies(folder: Path, *items: dict[str, Any]) -> PolicyCatalogue:
    """The catalogue of these entries, each written to its own line on."""
    (folder / "facts.yaml").write_text(yaml.safe_dump(FACTS, allow_unicode=True), "utf-8")
    (folder / "items.yaml").write_text(yaml.safe_dump(list(items), allow_unicode=True, sort_keys=False), "utf-8")
    return read_policies(LANGUAGE, WARNINGS, folder)


def warnings(folder: Path) -> tuple[Indicator, ...]:
    both = {"zh": "字", "en": "word"}
    entries = [
        {
            "id": name, "name": both, "mode": mode, "dimension": "health", "poverty_types": [], "source": "assumption",
            "owner": "民政", "effective_from": date(2020, 1, 1), "effective_to": None, "text": both,
            "questions": [both], "levels": [{"when": when, **strength}],
        }
        for name, (mode, when, strength) in WARNINGS.items()
    ]  # fmt: skip
    (folder / "warnings").mkdir(exist_ok=True)
    (folder / "warnings" / "all.yaml").write_text(yaml.safe_dump(entries, allow_unicode=True), "utf-8")
    return read_indicators(folder / "warnings", LANGUAGE)


def states(
    folder: Path,
    events: Sequence[Row],
    *items: dict[str, Any],
    packs: Packs | None = None,
    members: Sequence[Row] | None = None,
    households: Sequence[Row] | None = None,
    on: str = DAY,
) -> States:
    """The indicators and items of the test, for a household with these events."""
    made = history(events, members or [member("p1")], households)
    packs = packs or read_packs()
    book = InForce({}, warnings(folder), policies(folder, *items), packs, date.fromisoformat(on), LANGUAGE)
    return States(book, Facts(made, visible(made, at(on))), PackTerms(made, packs, book.on), no_standing)


def found(folder: Path, events: Sequence[Row], *items: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    asked = states(folder, events, *items, **more)
    return statuses(asked.book.policies, asked).records(0)


def standing(records: Sequence[dict[str, Any]]) -> dict[str, str]:
    return {record["item"]: record["status"] for record in records}


def region(folder: Path, **items: Any) -> Packs:
    """Packs with a region `here` that offers what is told."""
    (folder / "packs").mkdir()
    pack = {
        "region": "here",
        "name": {"zh": "此地", "en": "here"},
        "based_on": "national",
        "versions": [{"effective_from": date(2020, 1, 1), "values": {}, "items": items}],
    }
    (folder / "packs" / "here.yaml").write_text(yaml.safe_dump(pack, allow_unicode=True), "utf-8")
    return read_packs(extra=folder / "packs")


HERE = [household(region="here")]


# -- what is written


@pytest.mark.parametrize(
    ("wrong", "field", "reason"),
    [
        ({"depends_on": ["A01", "Z99"]}, "depends_on", "Z99, which is no item"),
        ({"follows": ["Z99"]}, "follows", "Z99, which is no item"),
        ({"depends_on": ["B02"]}, "id", "waits for itself"),
        ({"class": "gift"}, "class", "cash"),
        ({"id": "A1"}, "id", "must read like A01"),
        ({"to_verify": ["mood"]}, "to_verify", "no fact of facts.yaml"),
        ({"to_verify": ["income", "income"]}, "to_verify", "given twice"),
        ({"to_verify": [{"fact": "income", "zh": "收入"}]}, "to_verify", "both languages"),
        ({"beyond_records": ["income"]}, "beyond_records", "to_verify"),
        ({"when": 'indicator("XYZ-09")'}, "when", "XYZ-09 is no indicator"),
        ({"when": "__import__('os')"}, "when", "no word of the language"),
        ({"likely_when": "members"}, "likely_when", "needed"),
        ({"against_unless": IN_DIBAO}, "against_unless", "beside against_when"),
        ({"effective_to": date(2019, 1, 1)}, "effective_to", "before effective_from"),
        ({"amount": 500}, "amount", "no field here"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_line(tmp_path: Path, wrong: dict[str, Any], field: str, reason: str) -> None:
    written = item("B02") | wrong
    with pytest.raises(RuleFileRefused, match=reason) as refused:
        policies(tmp_path, item("A01"), written)
    lines = (tmp_path / "items.yaml").read_text("utf-8").splitlines()
    second = next(i for i, line in enumerate(lines) if line.startswith("- ") and i > 0)
    expected = next(i for i, line in enumerate(lines) if i >= second and line[2:].startswith(f"{field}:"))
    # What is wrong inside a list stands on the list's own line or just below it.
    assert refused.value.file == "items.yaml"
    assert 0 <= refused.value.line - (expected + 1) <= 2


def test_an_item_that_nothing_calls_for_is_refused(tmp_path: Path) -> None:
    silent = item("A01")
    del silent["when"]
    with pytest.raises(RuleFileRefused, match="needs `when` or `follows`"):
        policies(tmp_path, silent)


def test_a_circle_through_several_items_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleFileRefused, match="waits for itself"):
        policies(
            tmp_path, item("A01", depends_on=["C03"]), item("B02", depends_on=["A01"]), item("C03", follows=["B02"])
        )


def test_versions_of_an_item_may_follow_each_other_but_not_overlap(tmp_path: Path) -> None:
    old = item("A01", effective_to=date(2024, 12, 31))
    new = item("A01", effective_from=date(2025, 1, 1), when='indicator("MED-05")')
    read = policies(tmp_path, new, old)
    assert [i.written["when"] for i in read.in_force(date(2024, 12, 31))] == ['indicator("DIS-01")']
    assert [i.written["when"] for i in read.in_force(date(2025, 1, 1))] == ['indicator("MED-05")']
    with pytest.raises(RuleFileRefused, match="overlaps in time"):
        policies(tmp_path, new, old | {"effective_to": date(2025, 1, 1)})


def test_the_digest_follows_what_is_decided(tmp_path: Path) -> None:
    first = policies(tmp_path, item("A01"))
    assert policies(tmp_path, item("A01")).digest == first.digest
    assert policies(tmp_path, item("A01", likely_when=IN_DIBAO)).digest != first.digest


# -- who is a candidate, and how


def test_only_what_is_true_makes_a_candidate(tmp_path: Path) -> None:
    survey = item("A01", when='indicator("INC-02")')
    poor = event("MON//INCOME_SURVEY", "2026-05-01", value=8_000.0)
    assert found(tmp_path, [STAY], survey) == []
    assert standing(found(tmp_path, [poor], survey)) == {"A01": "to_verify"}


def test_an_item_comes_with_the_one_it_follows(tmp_path: Path) -> None:
    entries = [item("Q01", follows=["A01"]), item("A01", receiving_when=IN_DIBAO)]
    assert standing(found(tmp_path, [CERTIFICATE], *entries)) == {"A01": "to_verify", "Q01": "to_verify"}
    assert standing(found(tmp_path, [DIBAO], *entries)) == {"A01": "already_receiving", "Q01": "to_verify"}
    assert found(tmp_path, [STAY], *entries) == []
    packs = region(tmp_path, offered=["Q01"])
    moved_here = found(tmp_path, [DIBAO], *entries, packs=packs, households=HERE)
    assert standing(moved_here) == {"Q01": "to_verify"}


def test_only_what_made_it_a_candidate_is_named(tmp_path: Path) -> None:
    partly = item("Q01", when='indicator("MED-05") and indicator("SHK-01")', follows=["A01"])
    named = {r["item"]: r["triggered_by"] for r in found(tmp_path, [CERTIFICATE, STAY], item("A01"), partly)}
    assert named == {"A01": ["DIS-01"], "Q01": ["DIS-01"]}


def test_an_item_waits_until_one_it_depends_on_is_held(tmp_path: Path) -> None:
    first = item("A01", receiving_when=IN_DIBAO, to_verify=["income"])
    second = item("A10", depends_on=["A01", "B02"], likely_when='indicator("DIS-01")', to_verify=["identity_class"])
    third = item("B02", when='indicator("MED-05")')
    waiting = found(tmp_path, [CERTIFICATE], first, second, third)
    assert standing(waiting) == {"A01": "to_verify", "A10": "conditional"}
    assert waiting[1]["depends_on"] == ["A01", "B02"]
    assert waiting[1]["missing"] == ["identity_class"]
    held = {record["item"]: record for record in found(tmp_path, [CERTIFICATE, DIBAO], first, second, third)}
    assert held["A10"]["status"] == "likely"
    assert held["A10"]["depends_on"] == []
    assert held["A10"]["missing"] == []
    assert held["A01"]["missing"] == []


def test_what_is_likely_passes_on_only_through_a_likely_item(tmp_path: Path) -> None:
    certain = 'indicator("DIS-01")'
    second = item("A10", depends_on=["A01"], likely_when=certain)
    likely = found(tmp_path, [CERTIFICATE], item("A01", likely_when=certain), second)
    assert standing(likely) == {"A01": "likely", "A10": "likely"}
    assert standing(found(tmp_path, [CERTIFICATE], item("A01"), second))["A10"] == "conditional"


def test_what_the_record_answers_is_no_longer_missing(tmp_path: Path) -> None:
    checks = [{"fact": "income", "known_when": "happened(MON//INCOME_SURVEY, months=12)"}, "bills"]
    survey = event("MON//INCOME_SURVEY", "2026-05-01", value=90_000.0)
    assert found(tmp_path, [CERTIFICATE], item("A01", to_verify=checks))[0]["missing"] == ["income", "bills"]
    (record,) = found(tmp_path, [CERTIFICATE, survey], item("A01", to_verify=checks))
    assert record["missing"] == ["bills"]
    assert record["missing_text"] == [{"zh": "票据", "en": "bills"}]


def test_a_region_decides_what_exists_and_what_is_supplied(tmp_path: Path) -> None:
    packs = region(tmp_path, offered=["A01", "A10", "C01"], not_offered=["C01"])
    entries = [
        item("A01"),
        item("A10", depends_on=["A01", "A03"]),
        item("A03"),
        item("C01"),
        item("D01", depends_on=["A01"]),
    ]
    records = found(tmp_path, [CERTIFICATE], *entries, packs=packs, households=HERE)
    assert standing(records) == {"A01": "to_verify", "A10": "conditional", "C01": "not_available_here"}
    assert {record["item"]: record["depends_on"] for record in records}["A10"] == ["A01"]


def test_waiting_for_what_nobody_supplies_is_said(tmp_path: Path) -> None:
    packs = region(tmp_path, offered=["A01", "A10"], not_offered=["A01"])
    entries = [item("A01"), item("A10", depends_on=["A01"], likely_when='indicator("DIS-01")')]
    records = found(tmp_path, [CERTIFICATE], *entries, packs=packs, households=HERE)
    assert standing(records) == {"A01": "not_available_here", "A10": "not_available_here"}


def test_what_is_received_is_said_even_where_nothing_calls_for_it(tmp_path: Path) -> None:
    entry = item("A01", receiving_when=IN_DIBAO, against_when=IN_DIBAO, to_verify=["income"])
    (record,) = found(tmp_path, [DIBAO], entry)
    assert record["status"] == "already_receiving"
    assert record["missing"] == []
    assert record["triggered_by"] == []
    assert not record["against"]


def test_recorded_facts_against_an_item_hold_it_and_its_dependants_back(tmp_path: Path) -> None:
    rich = event("MON//INCOME_SURVEY", "2026-05-01", value=90_000.0)
    certain, over = 'indicator("DIS-01")', "latest(MON//INCOME_SURVEY, months=12) > 50000"
    entries = [
        item("A01", likely_when=certain, against_when=over),
        item("A10", depends_on=["A01"], likely_when=certain),
        item("B01", depends_on=["A01", "B04"]),
        item("B04", when='indicator("MED-05")'),
        item("C01"),
    ]
    records = found(tmp_path, [CERTIFICATE, rich], *entries)
    assert [(r["item"], r["status"], r["against"]) for r in records] == [
        ("C01", "to_verify", False),
        ("A01", "to_verify", True),
        ("B01", "conditional", False),
        ("A10", "conditional", True),
    ]
    assert not any(record["against"] for record in found(tmp_path, [CERTIFICATE], *entries))
    spared = entries[0] | {"against_unless": 'indicator("MED-05")'}
    by_item = {r["item"]: r for r in found(tmp_path, [CERTIFICATE, STAY, rich], spared, *entries[1:])}
    assert by_item["A01"]["status"] == "likely"
    assert not by_item["A10"]["against"]


def test_an_item_is_a_candidate_only_while_it_is_in_force(tmp_path: Path) -> None:
    entry = item("A01", effective_from=date(2026, 6, 2), effective_to=date(2026, 6, 30))
    days = {"2026-06-01": 0, "2026-06-02": 1, "2026-06-30": 1, "2026-07-01": 0}
    assert {day: len(found(tmp_path, [CERTIFICATE], entry, on=day)) for day in days} == days
    # What is not in force yet can be no way to another item, and is not named as one.
    second = item("A10", depends_on=["A01", "B02"])
    waiting = found(tmp_path, [CERTIFICATE], entry, second, item("B02"), on="2026-07-01")
    assert {record["item"]: record["depends_on"] for record in waiting} == {"B02": [], "A10": ["B02"]}


def test_answers_to_a_serious_warning_come_first(tmp_path: Path) -> None:
    elder = [member("p1", born="1950-01-01")]
    either = 'indicator("DIS-01") or indicator("FAM-03")'
    entries = [
        item("A12", when='indicator("FAM-03")', likely_when='indicator("FAM-03")'),
        item("A11", likely_when='indicator("DIS-01")'),
        item("A03", when=either, to_verify=["income"], beyond_records=["income"]),
        item("A10", depends_on=["A01"]),
        item("A01"),
        item("Q01", follows=["A01"], depends_on=["A01"]),
        item("A07", when='indicator("MED-05")'),
        item("E01", receiving_when='indicator("DIS-01")'),
    ]
    records = found(tmp_path, [CERTIFICATE, STAY], *entries, members=elder)
    assert [r["item"] for r in records] == ["A11", "A01", "A10", "Q01", "A12", "A03", "A07", "E01"]
    assert {r["item"]: r["triggered_by"] for r in records if r["item"] in ("Q01", "A03")} == {
        "Q01": ["DIS-01"],
        "A03": ["DIS-01", "FAM-03"],
    }


def test_an_item_for_any_red_trigger_names_the_ones_that_fired(tmp_path: Path) -> None:
    entry = item("A08", when='dimensions_raised("red") >= 1')
    loss = event("DST//HOUSE_LOSS", "2026-06-01", value=3.0)
    assert found(tmp_path, [CERTIFICATE], entry) == []
    assert found(tmp_path, [CERTIFICATE, loss], entry)[0]["triggered_by"] == ["SHK-01"]


def test_a_household_among_many_stands_as_it_does_alone(tmp_path: Path) -> None:
    entries = [
        item("A01", receiving_when=IN_DIBAO, to_verify=["income"]),
        item("A10", depends_on=["A01"], to_verify=["identity_class"]),
        item("B01", when='indicator("MED-05")', likely_when="happened(MAI//GRANT, days=90)"),
    ]
    lives = {"h1": [CERTIFICATE], "h2": [STAY, DIBAO], "h3": [CERTIFICATE, DIBAO], "h4": []}
    events = [
        row | {"household_id": name, "person_id": f"of {name}" if row["person_id"] else None, "event_id": f"{name} {i}"}
        for name, rows in lives.items()
        for i, row in enumerate(rows)
    ]
    people = [member(f"of {name}", household=name) for name in lives]
    homes = [household(name) for name in lives]
    together = states(tmp_path, events, *entries, members=people, households=homes)
    stand = statuses(together.book.policies, together)
    assert stand.records(3) == []
    for i, name in enumerate(lives):
        assert stand.records(i) == found(tmp_path, lives[name], *entries), name


# -- which fact to verify


def test_the_fact_that_most_items_wait_for_comes_first(tmp_path: Path) -> None:
    over = "latest(MON//INCOME_SURVEY, months=12) > 50000"
    entries = [
        item("A01", to_verify=["income"]),
        item("A10", depends_on=["A01"], to_verify=["identity_class"]),
        item("Q01", follows=["A01"], depends_on=["A10"]),
        item("B04", to_verify=["bills"]),
        item("B05", to_verify=["bills"], against_when=over),
        item("B06", to_verify=["bills"], against_when=over),
        item("B07", to_verify=["bills"], receiving_when='indicator("DIS-01")'),
    ]
    catalogue = policies(tmp_path, *entries)
    rich = event("MON//INCOME_SURVEY", "2026-05-01", value=90_000.0)
    facts = unlocks(found(tmp_path, [CERTIFICATE, rich], *entries), catalogue.facts)
    assert facts == [
        {"fact": "income", "text": {"zh": "收入", "en": "income"}, "items": ["A01", "A10", "Q01"]},
        {"fact": "bills", "text": {"zh": "票据", "en": "bills"}, "items": ["B04"]},
    ]
    assert unlocks([], catalogue.facts) == []
