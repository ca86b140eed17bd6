"""The twenty training cases: the mix that teaches when to disagree, without a trace of the county or of the trainee."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from features.dataset import read_dataset
from models.bundle import Bundle
from serving.errors import UnknownAddress
from serving.pages import case_choice, case_making, training
from serving.pages.case_choice import KINDS, CasesRefused
from serving.pages.case_making import EMPTIED, KEPT, MOST_EVENTS, MOST_STEPS, PLACE, SCHEMA, as_written
from serving.pages.case_stories import STORIES
from serving.pages.shown import Reader
from serving.pages.training import HIGH, Case, case_view, cases, sums
from tests.records import CORE, ZONE, at
from tests.spec.test_person_view import FakeDesk, case_of

WRITTEN: dict[str, Any] = json.loads(PLACE.read_text("utf-8"))
READERS = {lang: Reader(lang, at("2026-11-01"), ZONE, CORE.by_code) for lang in ("zh", "en")}
CAUSAL = re.compile(r"导致|因为|造成|由于|引起|because|\bcaus|due to|leads? to", re.IGNORECASE)


def texts(value: Any) -> list[dict[str, str]]:
    """Every text in two languages in a value."""
    if isinstance(value, dict):
        if "zh" in value and isinstance(value["zh"], str):
            return [value]
        return [text for each in value.values() for text in texts(each)]
    return [text for each in value for text in texts(each)] if isinstance(value, list) else []


# --- the mix ------------------------------------------------------------------------------------------------------


def test_there_are_twenty_and_neither_score_nor_outcome_can_be_guessed_from_the_other() -> None:
    found = Counter((case.is_high, case.happened) for case in cases())
    assert sum(found.values()) == 20
    assert found[True, False] >= 5
    assert found[False, True] >= 5
    assert found[True, True] >= 3 and found[False, False] >= 3


def test_a_high_case_has_a_high_number_and_a_low_one_a_low_number() -> None:
    for case in cases():
        record = case.record
        if record["status"] == "scored":
            ratio = record["per_100"] / record["base_rate_per_100"]
            assert ratio >= 2 if case.is_high else ratio <= 1
        else:
            assert (record["status"], record["tier"], record["per_100"]) == ("abstained", "grey", None)


def test_some_records_are_wrong_and_the_number_falls_once_they_are_put_right() -> None:
    wrong = [case for case in cases() if case.corrected is not None]
    assert len(wrong) >= 3
    for case in wrong:
        assert case.corrected is not None and case.at_visit is not None
        assert case.corrected["per_100"] < case.record["per_100"]
        assert case.corrected["tier"] not in HIGH and case.record["tier"] in HIGH
        assert not case.happened


def test_some_have_no_score_and_some_hold_what_only_the_visitor_can_know() -> None:
    assert sum(case.record["status"] == "abstained" for case in cases()) >= 3
    told = [case for case in cases() if case.at_visit is not None]
    assert 10 <= len(told) < 20
    # A story alone gives nothing away.
    assert {(case.is_high, case.happened) for case in told} == {(a, b) for a in (True, False) for b in (True, False)}
    assert {case.happened for case in cases() if case.at_visit is None} == {True, False}


def test_the_order_does_not_go_by_kind() -> None:
    happened = [case.happened for case in cases()]
    assert [case.number for case in cases()] == list(range(1, 21))
    assert sum(a != b for a, b in pairwise(happened)) >= 6


# --- the file -----------------------------------------------------------------------------------------------------


def test_the_file_is_as_the_script_writes_it() -> None:
    assert PLACE.read_text("utf-8") == as_written(WRITTEN)
    assert PLACE.stat().st_size <= 400 * 1024
    assert WRITTEN["schema"] == SCHEMA
    assert set(WRITTEN["made_from"]) == {"dataset", "dataset_digest", "bundle_sha256", "as_of"}
    assert Counter(each["kind"] for each in WRITTEN["cases"]) == {kind: len(told) for kind, told in STORIES.items()}
    for each in WRITTEN["cases"]:
        assert set(each) == {"case", "kind", "record", "at_visit", "outcome", "corrected", "lesson"}
        assert set(each["outcome"]) == {"happened", "months", "text"}
        assert set(each["record"]) == {*KEPT, *EMPTIED, "assessment_id", "household_id"}
        assert each["outcome"]["happened"] is (each["outcome"]["months"] is not None)
        assert each["outcome"]["happened"] is KINDS[each["kind"]][1]
        assert (each["outcome"]["months"] or 1) in range(1, 13)
        assert len(each["record"]["assistance_chain"]) <= MOST_STEPS
        assert all(len(fact["events"]) <= MOST_EVENTS for r in each["record"]["reasons"] for fact in r["facts"])


def test_no_id_of_the_county_and_nothing_sealed_is_in_the_file() -> None:
    written = PLACE.read_text("utf-8")
    assert not re.search(r'"(h|p)-\d{5,}"|"e-\d{6,}"|"as-[0-9a-f]{24}"|stray', written)
    for each in WRITTEN["cases"]:
        name = f"case-{each['case']}"
        assert each["record"]["household_id"] == each["record"]["assessment_id"] == name
        assert not any(trigger["sealed"] for trigger in each["record"]["triggers"])
        ids = re.findall(r'"event_id": "([^"]*)"', json.dumps(each))
        assert all(re.fullmatch(rf"{name}-\d+", found) for found in ids)


def test_every_text_is_there_in_both_languages_and_speaks_of_no_causes() -> None:
    found = texts(WRITTEN["cases"])
    assert len(found) > 400
    for text in found:
        assert set(text) >= {"zh", "en"} and text["zh"] and text["en"]
    told = [text for each in WRITTEN["cases"] for text in texts({**each, "record": {**each["record"], "limits": []}})]
    assert [text for text in told if CAUSAL.search(text["zh"] + " " + text["en"])] == []


# --- the script ---------------------------------------------------------------------------------------------------


def test_the_script_makes_the_same_cases_twice_and_refuses_a_county_that_is_too_small(
    tiny_county: Path, opened_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = read_dataset(tiny_county).events["code"].isin({k.code for k in CORE.kinds if k.is_entry})
    assert entries.any()
    kinds = {"low_nothing": KINDS["low_nothing"]}
    monkeypatch.setattr(case_choice, "KINDS", kinds)
    made = case_making.cases(tiny_county, opened_bundle, "2021-12-31")
    assert as_written(made) == as_written(case_making.cases(tiny_county, opened_bundle, "2021-12-31"))
    assert [each["kind"] for each in made["cases"]] == ["low_nothing"] * 2
    assert set(made["cases"][0]["record"]) == set(WRITTEN["cases"][0]["record"])
    monkeypatch.setattr(case_choice, "CANDIDATES", 1)
    with pytest.raises(CasesRefused, match="kind low_nothing; give a larger county"):
        case_making.cases(tiny_county, opened_bundle, "2021-12-31")


def test_the_script_takes_synthetic_counties_only(tiny_county: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    for path in tiny_county.iterdir():
        (real / path.name).symlink_to(path)
    meta = json.loads((tiny_county / "dataset.json").read_text("utf-8"))
    (real / "dataset.json").unlink()
    (real / "dataset.json").write_text(json.dumps({**meta, "provenance": "a real one"}), "utf-8")
    out = tmp_path / "cases.json"
    done = CliRunner().invoke(case_making.main, [str(real), str(tiny_bundle), "--out", str(out)])
    assert done.exit_code == 1 and "synthetic counties only" in done.output
    assert not out.exists()


# --- the page -----------------------------------------------------------------------------------------------------


def call(method: str, path: str, lang: str = "zh", **form: str) -> httpx.Response:
    app = Starlette(routes=training.ROUTES)
    app.state.desk = FakeDesk(case_of({}))

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"lang": lang, "csrf": "s3cret", "role": "caseworker", "actor": "a"}
        await app(scope, receive, send)

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, path, data=form or None)

    return anyio.run(asked)


@pytest.mark.parametrize("case", cases(), ids=lambda case: str(case.number))
def test_before_the_trainee_speaks_nothing_gives_score_or_outcome_away(case: Case) -> None:
    for lang, reader in READERS.items():
        before = case_view(case, reader, is_told=False)
        assert before.told is None and before.corrected_tier is None
        assert (before.outcome, before.lesson, before.corrected, before.asked) == ("", "", "", None)
        assert all(fact.tier is None for fact in (*before.facts, *before.rules))
        assert all(not question.effect for question in before.questions)
        html = call("GET", f"/training/{case.number}", lang).text
        hidden = [case.outcome[lang], case.lesson[lang], (case.record["frequency"] or {}).get(lang), "▲", "◆"]
        assert not [text for text in hidden if text and text in html]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_after_it_the_page_tells_score_outcome_and_what_to_take_away(lang: str) -> None:
    case = next(case for case in cases() if case.corrected is not None)
    question = case.record["questions"][0]
    html = call(
        "POST", f"/training/{case.number}", lang, concern="high", question=question["question_id"], answers="lm"
    ).text
    assert case.outcome[lang] in html and case.lesson[lang].replace("“", "“") in html
    assert html.count(question["text"][lang].replace("'", "&#39;")) == 1
    assert 'data-part="reveal"' in html and 'data-part="door"' in html
    carried = "lm".ljust(case.number - 1, "-")[: case.number - 1] + "h"
    assert f'/training/{case.number + 1}?answers={carried}"' in html


def test_progress_is_carried_by_address_and_form_only() -> None:
    html = call("GET", "/training/3?answers=hl").text
    assert 'name="answers" value="hl"' in html and 'value="3" max="20"' in html
    for path in ("/training", "/training/3"):
        assert "set-cookie" not in call("GET", path).headers
    reply = call("POST", "/training/3", concern="low", answers="<x>")
    assert "set-cookie" not in reply.headers and "?answers=---l" not in reply.text and "?answers=--l" in reply.text


def test_without_a_concern_the_case_is_shown_again() -> None:
    reply = call("POST", "/training/2", answers="h")
    assert reply.status_code == 422
    assert training.WORDS["training_missing"][0] in reply.text and 'data-part="reveal"' not in reply.text


def test_the_last_case_counts_all_twenty() -> None:
    happened = sum(case.happened for case in cases())
    high = sum(case.is_high and case.happened for case in cases())
    assert sums("h" * 20).happened == (happened, happened, high)
    assert sums("l" * 20).nothing == (20 - happened, 0, sum(case.is_high and not case.happened for case in cases()))
    html = call("POST", "/training/20", concern="low", answers="h" * 19).text
    assert training.WORDS["training_sum_note"][0] in html and "/training/21" not in html


@pytest.mark.parametrize("n", [0, 21])
def test_other_numbers_are_no_cases(n: int) -> None:
    with pytest.raises(UnknownAddress):
        call("GET", f"/training/{n}")
