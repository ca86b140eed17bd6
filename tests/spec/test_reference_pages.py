"""The pages on the rule language and the indicators: fresh, complete, and every example on them is one that reads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from features.definition import Text
from features.rules.files import Node, RuleFileRefused
from features.rules.indicator import FOLDER, QUANTITIES, Indicator
from features.rules.parameter import parameters
from features.rules.reference import (
    EXAMPLES,
    INDICATORS,
    KEYWORDS,
    LANGUAGE,
    REFRESH,
    conditions,
    indicator_as_json,
    indicators_page,
    language_page,
)
from features.rules.rulebook import rulebook
from features.rules.syntax import Call, read_condition, walked
from features.rules.words import WORDS

DOCS = Path(__file__).parents[2] / "docs" / "reference"
BOOK = rulebook()
PAGES = {LANGUAGE: language_page(), INDICATORS: indicators_page(BOOK.indicators)}
WITH_LEVELS = next(each for each in BOOK.indicators if each.mode == "trigger" and len(each.levels) > 1)


def condition(text: str) -> Node:
    return Node("page", 1, text)


def rows(page: str) -> list[list[str]]:
    return [line[2:-2].split(" | ") for line in page.splitlines() if line.startswith("| ") and "---" not in line]


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_fresh(name: str) -> None:
    committed = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert committed == PAGES[name], f"docs/reference/{name}.md is stale; refresh it: {REFRESH.format(page=name)}"


def test_the_command_that_a_page_names_writes_it() -> None:
    command, _, place = REFRESH.format(page=LANGUAGE).partition(" > ")
    assert command in PAGES[LANGUAGE]
    assert (DOCS.parents[1] / place) == DOCS / f"{LANGUAGE}.md"
    arguments = [sys.executable, "-P", *command.split()[1:]]
    done = subprocess.run(arguments, capture_output=True, timeout=120, check=True)
    assert done.stdout.decode() == PAGES[LANGUAGE]
    misused = subprocess.run([*arguments[:-1], "novel"], capture_output=True, timeout=120, check=False)
    assert misused.returncode == 1
    assert LANGUAGE in misused.stderr.decode()


@pytest.mark.parametrize("word", WORDS)
def test_every_word_has_an_example_that_reads_and_uses_it(word: str) -> None:
    tree = read_condition(condition(EXAMPLES[word]), BOOK.language)
    assert word in {part.word for part in walked(tree, BOOK.language) if isinstance(part, Call)}
    told = [cells for cells in rows(PAGES[LANGUAGE]) if cells[0].startswith(f"`{word}`") and len(cells) == 5]
    assert len(told) == 1
    assert told[0][-1] == f"`{EXAMPLES[word]}`"
    assert told[0][1].startswith(WORDS[word].meaning)


def test_an_example_that_does_not_read_would_be_noticed() -> None:
    for wrong in ("happened(DST//FLOODS)", "total(CLM//DRUG)", "any_member(members > 3)", "pack.no_such_line > 3"):
        with pytest.raises(RuleFileRefused):
            read_condition(condition(wrong), BOOK.language)


def test_every_keyword_is_explained_and_none_besides() -> None:
    assert set(EXAMPLES) == set(WORDS)
    assert set(KEYWORDS) == {name for word in WORDS.values() for name in word.keywords}
    for name in KEYWORDS:
        told = [cells for cells in rows(PAGES[LANGUAGE]) if cells[0] == f"`{name}`" and len(cells) == 3]
        assert len(told) == 1
        known_to = re.findall(r"`(\w+)`", told[0][-1])
        assert known_to == [word.name for word in WORDS.values() if name in word.keywords]


def test_every_parameter_and_quantity_stands_on_the_page() -> None:
    shown = {cells[0].strip("`"): cells for cells in rows(PAGES[LANGUAGE])}
    assert set(shown) >= set(parameters()) | set(BOOK.language.quantities)
    for name, declared in parameters().items():
        assert tuple(shown[name][1:3]) == declared.name
        assert shown[name][3].split(",")[0] == declared.unit


def test_a_changed_quantity_changes_the_page(tmp_path: Path) -> None:
    written = (FOLDER / QUANTITIES).read_text(encoding="utf-8")
    (tmp_path / QUANTITIES).write_text(written.replace("is_open(DB//ENTER", "is_open(TK//ENTER", 1), "utf-8")
    assert language_page(tmp_path) != PAGES[LANGUAGE]


@pytest.mark.parametrize("name", PAGES)
def test_every_row_has_as_many_cells_as_its_head_and_none_is_empty(name: str) -> None:
    width = 0
    for line in PAGES[name].splitlines():
        if not line.startswith("| "):
            width = 0
            continue
        cells = line[2:-2].split(" | ")
        width = width or len(cells)
        assert len(cells) == width
        assert all(cell.strip() for cell in cells)


def test_every_indicator_stands_once_with_its_names_and_the_conditions_that_are_asked() -> None:
    sections = {part.split()[0]: part for part in re.split(r"^### ", PAGES[INDICATORS], flags=re.MULTILINE)[1:]}
    assert set(sections) == {each.id for each in BOOK.indicators}
    for each in BOOK.indicators:
        section = sections[each.id]
        assert section.startswith(f"{each.id} {each.name.zh} · {each.name.en}\n")
        assert each.source in section
        assert all(f"* {question.zh} · {question.en}" in section for question in each.questions)
        told = rows(section)[1:]
        assert [read_condition(condition(cells[1].strip("`")), BOOK.language) for cells in told] == [
            level.when for level in each.levels
        ]
        for cells, level in zip(told, each.levels, strict=True):
            assert cells[0] == (level.tier or (f"{level.points:g} points" if each.mode == "points" else "verify"))
        assert ("sealed" in section.splitlines()[2].split(".")[0]) == each.sealed


def changed_levels(of: Indicator) -> Indicator:
    return replace(
        of, levels=(replace(of.levels[0], tier="red" if of.levels[0].tier != "red" else "orange"), *of.levels[1:])
    )


def test_any_change_that_an_office_would_notice_changes_the_page() -> None:
    each = WITH_LEVELS
    changes: dict[str, object] = {
        "name": Text("别的", "something else"),
        "mode": "points",
        "dimension": "living",
        "poverty_types": (),
        "decays": not each.decays,
        "source": "somewhere else",
        "owner": "别的部门",
        "effective_from": date(2019, 1, 1),
        "effective_to": date(2030, 1, 1),
        "questions": each.questions[:-1],
        "sealed": not each.sealed,
    }
    page = indicators_page([each])
    for name, value in changes.items():
        assert indicators_page([replace(each, **{name: value})]) != page, name
    assert indicators_page([changed_levels(each)]) != page
    ended = replace(each, effective_from=date(2019, 1, 1), effective_to=date(2030, 1, 1))
    assert f"{each.owner}, from 2019-01-01 to 2030-01-01. " in indicators_page([ended])


def test_an_indicator_written_as_json_says_all_that_the_file_says() -> None:
    for each in BOOK.indicators:
        written = json.loads(json.dumps(indicator_as_json(each), ensure_ascii=False))
        assert (written["id"], written["mode"], written["source"], written["owner"]) == (
            each.id, each.mode, each.source, each.owner,
        )  # fmt: skip
        assert written["name"] == {"zh": each.name.zh, "en": each.name.en}
        assert written["effective_from"] == str(each.effective_from)
        assert written["effective_to"] is None or written["effective_to"] == str(each.effective_to)
        assert [q["en"] for q in written["questions"]] == [q.en for q in each.questions]
        for i, (level, declared) in enumerate(zip(written["levels"], each.levels, strict=True)):
            assert read_condition(condition(level["when"]), BOOK.language) == declared.when
            assert level["when"] == conditions(each)[i]
            assert level["tier"] == declared.tier
            assert level["points"] == (declared.points if each.mode == "points" else None)
            assert level["text"]["en"] == each.text_of(i).en
