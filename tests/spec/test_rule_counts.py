"""How much the rules cover: event codes, indicators, policy items; what is in force; where each one is from."""

from __future__ import annotations

import csv
import os
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from features.catalogue import catalogue
from features.codes import matches
from features.rules.files import RuleFileRefused
from features.rules.indicator import FOLDER, Indicator
from features.rules.parameter import parameters
from features.rules.policy_item import PolicyItem
from features.rules.rulebook import Rulebook, rulebook
from features.rules.syntax import Call, Tree, walked

ROOT = Path(__file__).parents[2]
BOOK = rulebook()
CORE = catalogue()
DAY = date(2026, 11, 1)
PREFIXES = {
    "AID": 8, "ARE": 4, "AST": 6, "DIS": 8, "EDU": 6, "FAM": 10, "HSG": 6, "INC": 16, "INS": 5, "MED": 15, "MIG": 5,
    "MPI": 3, "SHK": 9, "SOC": 8, "VER": 8,
}  # fmt: skip
CODE_OPTIONS = ("ended_by", "then", "to")


def reference(name: str) -> list[dict[str, str]]:
    found = ROOT / os.environ.get("POVRISK_SHARED", "../shared") / "reference" / name
    if not found.is_file():
        pytest.skip("the reference is not here; set POVRISK_SHARED to the folder that holds reference/")
    with found.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def active(book: Rulebook, region: str, on: date) -> list[Indicator]:
    """Indicators in force in a region on a day."""
    off = book.packs.in_force(region, on).indicators_off
    return [each for each in book.in_force(on).indicators if each.id not in off]


def conditions(of: Indicator | PolicyItem) -> list[Tree]:
    if isinstance(of, Indicator):
        return [level.when for level in of.levels]
    asked = (of.when, of.likely_when, of.against_when, of.against_unless, of.receiving_when)
    return [tree for tree in (*asked, *(check.known_when for check in of.checks)) if tree is not None]


def codes_named(tree: Tree) -> set[str]:
    """Event code patterns of a condition, those in its keywords too."""
    found: set[str] = set()
    for part in walked(tree, BOOK.language):
        if isinstance(part, Call):
            found |= set(part.codes)
            for name in CODE_OPTIONS:
                option = part.option(name)
                found |= set(option) if isinstance(option, tuple) else set()
    return found


def test_the_taxonomy_has_its_categories_and_codes() -> None:
    assert len({kind.department.category for kind in CORE.kinds}) == 36
    assert len(CORE.kinds) == len(CORE.by_code) == 107


def test_there_are_117_indicators_of_three_modes() -> None:
    ids = {each.id: each.mode for each in BOOK.indicators}
    assert Counter(ids.values()) == {"trigger": 51, "points": 58, "verification": 8}
    assert Counter(name.split("-")[0] for name in ids) == PREFIXES
    for prefix, n in PREFIXES.items():
        assert {name for name in ids if name.startswith(prefix)} == {f"{prefix}-{i:02d}" for i in range(1, n + 1)}


@pytest.mark.parametrize("region", ["demo", "national", "cn-hangzhou-demo", "a region without a pack"])
@pytest.mark.parametrize("on", [date(2021, 9, 30), date(2025, 6, 30), DAY])
def test_at_least_75_are_in_force_by_default(region: str, on: date) -> None:
    assert len(active(BOOK, region, on)) >= 75


def test_an_indicator_that_a_pack_turns_off_is_not_in_force(tmp_path: Path) -> None:
    (tmp_path / "quiet.yaml").write_text(
        "region: quiet\nname: {zh: 静, en: quiet}\nbased_on: demo\n"
        "versions:\n  - effective_from: 2020-01-01\n    values: {}\n    indicators: {off: [MED-01, SHK-06]}\n",
        encoding="utf-8",
    )
    book = rulebook(tmp_path)
    missing = {each.id for each in active(book, "demo", DAY)} - {each.id for each in active(book, "quiet", DAY)}
    assert missing == {"MED-01", "SHK-06"}


def test_there_are_57_policy_items_of_at_least_17_departments() -> None:
    items = BOOK.policies.in_force(DAY)
    assert len({item.id for item in items}) == 57
    assert len({item.department.zh for item in items}) >= 17


@pytest.mark.parametrize("rule", [*BOOK.indicators, *BOOK.policies.items], ids=lambda rule: rule.id)
def test_every_code_a_condition_names_exists(rule: Indicator | PolicyItem) -> None:
    for tree in conditions(rule):
        for pattern in codes_named(tree):
            assert any(matches(pattern, kind.code) for kind in CORE.kinds), pattern


def test_a_code_that_does_not_exist_is_refused_with_its_line(tmp_path: Path) -> None:
    for path in FOLDER.glob("*.yaml"):
        text = path.read_text(encoding="utf-8").replace(
            "happened(HLT//MAJOR_DX, days=90)", "happened(HLT//MAJOR, days=90)"
        )
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    with pytest.raises(RuleFileRefused, match=r"medical\.yaml.*HLT//MAJOR"):
        rulebook(None, tmp_path)


def test_no_code_is_declared_for_nothing() -> None:
    rules = (*BOOK.indicators, *BOOK.policies.items)
    read = set().union(*(codes_named(tree) for rule in rules for tree in conditions(rule))) | {"GRD//LIVING"}
    unread = {kind.code for kind in CORE.kinds if not any(matches(pattern, kind.code) for pattern in read)}
    # An amount the economics tell, two records that are no sign of need, and the refusal to be assessed.
    assert unread <= {"DB//ADJUST", "JUD//MAINTENANCE", "MAR//MARRY", "SLF//OPTOUT"}


@pytest.mark.parametrize("rule", [*BOOK.indicators, *BOOK.policies.items], ids=lambda rule: rule.id)
def test_every_rule_says_where_it_is_from(rule: Indicator | PolicyItem) -> None:
    assert len(rule.source.strip()) >= 8
    assert rule.effective_from <= DAY


@pytest.mark.parametrize("region", BOOK.packs.regions)
def test_every_value_of_a_pack_says_where_it_is_from(region: str) -> None:
    for version in BOOK.packs.versions(region):
        for name in parameters():
            assert version.sources.get(name, "").strip(), f"{region} {version.effective_from} {name}"


@pytest.mark.parametrize("indicator", BOOK.indicators, ids=lambda each: each.id)
def test_every_indicator_shows_by_example_when_it_is_true_and_when_not(indicator: Indicator) -> None:
    states = {case.state for case in indicator.cases}
    assert "true" in states and states & {"false", "not_evaluable"}
    words = [indicator.text_of(i) for i in range(len(indicator.levels))]
    assert len(set(words)) == len(words), "each level says what it found"


def test_the_ids_are_those_of_the_reference() -> None:
    rows = {row["id"]: row for row in reference("indicators.csv")}
    assert {each.id for each in BOOK.indicators} == set(rows)
    modes = {"T": "trigger", "P": "points", "V": "verification"}
    assert {each.id: each.mode for each in BOOK.indicators} == {name: modes[row["mode"]] for name, row in rows.items()}


def test_a_rule_sourced_in_the_reference_is_not_called_an_assumption() -> None:
    rows = {row["id"]: row["source"] for row in reference("indicators.csv")}
    for each in BOOK.indicators:
        if rows[each.id].startswith("A"):
            assert "assumption" in each.source or "[" in each.source, each.id
        else:
            assert each.source.strip() != "assumption", each.id


def test_the_items_are_those_of_the_reference() -> None:
    rows = {row["code"]: row["class"] for row in reference("policies.csv")}
    assert {item.id: item.kind.value for item in BOOK.policies.in_force(DAY)} == rows
