"""A past assessment comes out again bit for bit, whatever was learned, written or decreed since."""

from __future__ import annotations

import json
from typing import Any

import pytest

from features.history import History
from features.rules.indicator import FOLDER
from features.rules.rulebook import Rulebook, rulebook
from models.assessment import assessments
from models.bundle import Bundle, read_bundle
from models.handling import Handling
from tests.bundles import small_bundle
from tests.records import Row, at, event, household, member
from tests.records import history as by_hand

THEN, LATER = "2025-06-30", "2027-06-30"
HOMES = [household("h1"), household("h2", "city"), household("h3", region="cn-hangzhou-demo")]
PEOPLE = [member(f"{home['household_id']}/p", household=home["household_id"]) for home in HOMES]
EVENTS: list[Row] = [
    row
    for home in ("h1", "h2", "h3")
    for row in (
        event("MON//INCOME_SURVEY", "2025-02-10", value=6_900, household=home),
        event("CLM//INPATIENT", "2025-05-02", "2025-05-20", 9_000, household=home, person_id=f"{home}/p"),
        event("DIS//CERT_NEW", "2025-06-01", "2025-06-09", 2, household=home, person_id=f"{home}/p"),
        event("ENR//PAID", "2025-01-05", value=380, household=home, person_id=f"{home}/p"),
        event("DB//ENTER", "2024-11-01", value=400, household=home),
    )
]
# What came in afterwards: news about the years before and after the moment, a correction, and a departure.
SINCE: list[Row] = [
    event("CLM//INPATIENT", "2025-04-01", "2025-07-15", 60_000, household="h1", person_id="h1/p"),
    event("MON//INCOME_SURVEY", "2026-02-10", value=900, household="h2"),
    event(
        "MON//INCOME_SURVEY", "2025-02-10", "2025-08-01", 40_000, household="h1", event_id="corrected",
        status="corrected", supersedes=EVENTS[0]["event_id"],
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(small_bundle(tmp_path_factory.mktemp("replay") / "bundle"))


@pytest.fixture(scope="module")
def history() -> History:
    return by_hand(EVENTS, PEOPLE, HOMES)


@pytest.fixture(scope="module")
def decreed(tmp_path_factory: pytest.TempPathFactory) -> Rulebook:
    """The shipped rules with packs of 2027 beside them: other lines, other items, an indicator turned off."""
    folder = tmp_path_factory.mktemp("packs")
    for region in ("demo", "cn-hangzhou-demo"):
        (folder / f"{region}.yaml").write_text(
            f"region: {region}\nname: {{zh: 新标准, en: new lines}}\nbased_on: national\nversions:\n"
            "  - effective_from: 2027-01-01\n    continues: true\n    values:\n"
            "      dibao_month: {value: 5000, source: decree of 2027}\n"
            "      single_stay_listed: {value: 1000, source: decree of 2027}\n"
            "      points_yellow: {value: 1, source: decree of 2027}\n"
            "    items: {offered: [A01, A11], not_offered: []}\n    indicators: {off: [AID-05]}\n",
            encoding="utf-8",
        )
    return rulebook(folder)


@pytest.fixture(scope="module")
def rewritten(tmp_path_factory: pytest.TempPathFactory) -> Rulebook:
    """The shipped rules with another version of one indicator from 2026 on."""
    folder = tmp_path_factory.mktemp("indicators")
    for path in FOLDER.glob("*.yaml"):
        (folder / path.name).write_bytes(path.read_bytes())
    disability = (folder / "disability.yaml").read_text(encoding="utf-8")
    first, rest = disability.split("- id: DIS-02", 1)
    head, old = first.split("- id: DIS-01", 1)
    old = "- id: DIS-01" + old
    ended = old.replace("effective_to: null", "effective_to: 2025-12-31")
    new = old.replace("effective_from: 2020-01-01", "effective_from: 2026-01-01").replace("tier: orange", "tier: red")
    new = new.split("  cases:")[0] + "\n"
    text = head + ended + new + "- id: DIS-02" + rest
    (folder / "disability.yaml").write_text(text, encoding="utf-8")
    return rulebook(None, folder)


def told(bundle: Bundle, history: History, day: str, book: Rulebook | None = None) -> list[str]:
    records = assessments(bundle, history, at(day), handling=Handling(book=book))
    return [json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records]


def read(written: list[str]) -> list[dict[str, Any]]:
    return [json.loads(each) for each in written]


def test_a_decree_of_2027_changes_no_assessment_of_2025(bundle: Bundle, history: History, decreed: Rulebook) -> None:
    assert told(bundle, history, THEN, decreed) == told(bundle, history, THEN)
    last_day = "2026-12-30"
    assert told(bundle, history, last_day, decreed) == told(bundle, history, last_day)


def test_it_changes_those_of_2027(bundle: Bundle, history: History, decreed: Rulebook) -> None:
    before, after = read(told(bundle, history, LATER)), read(told(bundle, history, LATER, decreed))
    for old, new in zip(before, after, strict=True):
        assert old["rules"]["pack_sha256"] != new["rules"]["pack_sha256"]
        assert new["rules"]["pack_effective_from"] == "2027-01-01"
        assert new["economics"]["lines"]["dibao"]["line"] == 5000 != old["economics"]["lines"]["dibao"]["line"]
        assert old["assessment_id"] != new["assessment_id"]
        assert {each["item"] for each in new["policy_candidates"]} <= {"A01", "A11"}
        assert old["probability"] == new["probability"]


def test_the_lines_are_those_of_the_day(bundle: Bundle, history: History) -> None:
    lines = {day: read(told(bundle, history, day))[0]["economics"]["lines"]["dibao"]["line"]
             for day in ("2020-06-30", "2025-06-30", "2025-12-30", "2026-06-30")}  # fmt: skip
    assert lines == {"2020-06-30": 420, "2025-06-30": 500, "2025-12-30": 500, "2026-06-30": 600}


def test_a_new_version_of_an_indicator_speaks_only_from_its_day_on(
    bundle: Bundle, history: History, rewritten: Rulebook
) -> None:
    for day, brings in (("2025-06-30", "orange"), ("2026-01-31", None)):
        found = read(told(bundle, history, day, rewritten))[0]["triggers"]
        assert next((each["tier"] for each in found if each["id"] == "DIS-01"), None) == brings
    before = read(told(bundle, history, THEN))
    after = read(told(bundle, history, THEN, rewritten))
    for old, new in zip(before, after, strict=True):
        # The old version now says when it ended, so its digest differs; what it says does not.
        for name in ("rules", "assessment_id"):
            old.pop(name), new.pop(name)
        assert old == new


def test_what_became_known_since_changes_nothing(bundle: Bundle, history: History) -> None:
    left = [*PEOPLE, member("h2/p", left="2025-06-01", known="2025-07-20", household="h2")]
    today = by_hand([*EVENTS, *SINCE], left, HOMES)
    assert told(bundle, today, THEN) == told(bundle, history, THEN)
    later = "2025-09-30"
    assert all(a != b for a, b in zip(told(bundle, today, later)[:2], told(bundle, history, later)[:2], strict=True))


def test_the_same_question_gets_the_same_bytes(bundle: Bundle, history: History) -> None:
    again = by_hand(EVENTS[::-1], PEOPLE[::-1], HOMES[::-1])
    assert told(bundle, again, THEN) == told(bundle, history, THEN)
    assert told(bundle, history, THEN) == told(bundle, history, THEN)
