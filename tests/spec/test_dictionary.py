"""The dictionary of events: complete, readable, and the committed page is the one that the catalogue writes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner

from features.catalogue import Catalogue, catalogue
from features.command_line import main
from features.definition import Absent
from features.dictionary import REFRESH, dictionary
from tests.records import CORE

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "events.md"


def rows(page: str) -> dict[str, list[str]]:
    """The cells of every row that shows a code."""
    found = [line.strip("|").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells] for cells in found}


def test_the_committed_page_is_fresh() -> None:
    committed = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    assert committed == dictionary(CORE), f"docs/reference/events.md is stale; refresh it: {REFRESH}"


def test_the_command_that_the_page_names_writes_it() -> None:
    assert REFRESH in dictionary(CORE)
    command = REFRESH.split(" > ")[0].split()
    result = CliRunner().invoke(main, command[1:])
    assert command[0] == "povrisk"
    assert result.exit_code == 0
    assert result.stdout == dictionary(CORE)


def test_markdown_is_written_of_events_alone() -> None:
    for misuse in (["features", "--markdown"], ["events", "--markdown", "--json"]):
        result = CliRunner().invoke(main, ["catalog", *misuse])
        assert result.exit_code == 2
        assert "--markdown" in result.stderr


def test_every_kind_stands_once_with_its_names_under_its_department() -> None:
    page = dictionary(CORE)
    shown = rows(page)
    assert set(shown) == set(CORE.by_code)
    assert sum(line.startswith("| `") for line in page.splitlines()) == len(CORE.kinds)
    sections = re.split(r"^### ", page, flags=re.MULTILINE)[1:]
    assert len(sections) == len({kind.department for kind in CORE.kinds}) == 36
    for section in sections:
        title = section.splitlines()[0]
        for code in rows(section):
            kind = CORE.by_code[code]
            department = kind.department
            assert title == f"{department.category} {department.name.zh} · {department.name.en}"
            assert shown[code][1:3] == list(kind.name)
    assert page.startswith(f"# The events\n\n{len(CORE.kinds)} kinds of events in 36 categories")


def test_every_row_has_as_many_cells_as_its_head_and_none_is_empty() -> None:
    for name in ("core", "eph", "sipp"):
        page = dictionary(catalogue(name))
        for line in page.splitlines():
            if line.startswith("|"):
                cells = line.strip("|").split(" | ")
                assert len(cells) == 9
                assert all(cell.strip() for cell in cells)


def test_silence_rights_and_sensitivity_are_said_in_words() -> None:
    shown = rows(dictionary(CORE))
    assert shown["DST//FIRE"][6:] == ["none", "–", "–"]
    assert shown["GRD//LIVING"][6] == "not known"
    assert shown["EDU//FEE"][6:8] == ["none where linked by `EDU//*`", "about a minor"]
    assert shown["PRP//OWN"][6:] == ["not known", "financial", "authorised, 12 months"]
    assert shown["HKM//DV_WARNING"][7:] == ["judicial", "sealed"]
    assert shown["LIP//EXPIRE"][8] == "scheduled"
    assert shown["DB//ENTER"][8] == "entry"
    assert shown["FUN//CREMATE"][8] == "stays"
    assert shown["DIS//SUB_CARE"][7] == "health, identity or benefit status"
    assert shown["CLM//INPATIENT"][3].endswith("; money, 0 to 5,000,000; text: ICD-10")
    assert shown["MON//OUT_OF_POVERTY"][3].endswith("; scale, 2010 to 2035")
    assert shown["ARE//PRICE"][4] == "area"


def test_any_change_that_a_department_would_notice_changes_the_page() -> None:
    page = dictionary(CORE)
    kind = CORE.by_code["CLM//DRUG"]
    changes = {
        "bounds": (0.0, 400_000.0),
        "value": "something else",
        "lag_days": (1, 31),
        "silence": Absent.UNKNOWN,
        "linked_by": (),
        "sensitivity": "HF",
        "is_sealed": True,
        "is_scheduled": True,
        "is_entry": True,
        "follows": False,
        "coded_text": "ICD-10",
    }
    for name, value in changes.items():
        other = replace(kind, **({name: value} | ({"linked_by": ()} if name == "silence" else {})))
        changed = Catalogue(CORE.name, tuple(other if k is kind else k for k in CORE.kinds), CORE.features)
        assert dictionary(changed) != page, name
