"""The household's history page: the chain in order with its gaps in words, and assessments that hide nothing new."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from features.window import as_of_moment
from serving.desk import Visit
from serving.pages import case_stories, chain_view, household, person, training
from serving.pages.chain_view import chain_shown
from serving.pages.household import WORDS, household_view
from serving.pages.rendering import rendered
from serving.pages.shown import Reader
from serving.pages.sparkline import sparkline
from serving.pages.words import WORDS as COMMON
from serving.store.assessments import Row

ZONE = "Asia/Shanghai"
NOW = as_of_moment("2026-11-01", ZONE)
ZH, EN = Reader("zh", NOW, ZONE), Reader("en", NOW, ZONE)
CAUSAL = re.compile(r"导致|因为|造成|由于|引起|because|\bcaus|due to|leads? to", re.IGNORECASE)
MODULES = {"household": household, "person": person, "training": training, "chain": chain_view}


def step(kind: str, at: str, text: str = "大病确诊", **more: Any) -> dict[str, Any]:
    told = {"step": kind, "at": f"{at}T10:00:00+08:00", "known_at": f"{at}T10:00:00+08:00", "id": None, "code": None}
    return {**told, "text": {"zh": text, "en": f"{kind} of {at}"}, "source": "卫健", **more}


def record(name: str = "as-1", as_of: str = "2026-10-31", *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "assessment_id": name,
        "household_id": "h-1",
        "as_of": as_of,
        "status": "scored",
        "abstention": [],
        "assistance_chain": list(steps),
        "change": None,
        "model": {"name": "m", "version": "v7", "bundle_sha256": "ab" * 32},
        **more,
    }


def row(name: str, as_of: str, probability: float | None, **more: Any) -> Row:
    tier, status = ("grey", "abstained") if probability is None else ("red", "scored")
    given: dict[str, Any] = {
        "assessment_id": name,
        "household_id": "h-1",
        "as_of": as_of_moment(as_of, ZONE),
        "origin": "call",
        "purpose": "prepare_visit",
        "region": "demo",
        "township": None,
        "status": status,
        "tier": tier,
        "tier_computed": tier,
        "probability": probability,
        "points": 1.0,
        "coverage": 0.8,
        "months_silent": 1.0,
        "bundle_sha256": "cd" * 32,
        "seq": 1,
        "stored_at": as_of_moment(as_of, ZONE),
        "inputs_sha256": None,
        "has_record": True,
    }
    return Row(**{**given, **more})


def visit(of: dict[str, Any], at: Row, *, hides_score: bool = False) -> Visit:
    return Visit(
        record=of,
        row=at,
        task=None,
        version=0,
        is_latest=True,
        latest_id=at.assessment_id,
        concern=None,
        hides_score=hides_score,
        fact_states={},
    )


def shown(of: dict[str, Any], rows: list[Row], reader: Reader = ZH, **more: Any) -> str:
    view = household_view(visit(of, rows[0], **more), rows, {rows[0].assessment_id: of}, reader)
    return rendered(
        "household.html",
        reader.lang,
        {**COMMON, **WORDS},
        view=view,
        csrf="",
        role="caseworker",
        path="/",
        other_language="/",
    )


# --- the chain ----------------------------------------------------------------------------------------------------


def test_the_days_from_signal_to_visit_are_told_in_words() -> None:
    chain = [step("signal", "2026-07-01"), step("visit", "2026-08-11"), step("aid", "2026-08-12")]
    told = chain_shown(record("as-1", "2026-10-31", *chain), ZH)
    assert [each.gap for each in told.steps] == ["", "从信号到走访 41 天", "从走访到帮扶 1 天"]
    assert told.waits == ("从信号到走访 41 天", "从走访到帮扶 1 天")
    in_english = chain_shown(record("as-1", "2026-10-31", *chain), EN)
    assert in_english.waits == ("41 days from signal to visit", "1 day from visit to help")


def test_the_wait_counts_from_the_first_call_that_no_visit_has_answered() -> None:
    chain = [
        step("visit", "2026-07-01"),
        step("signal", "2026-09-01"),
        step("alert", "2026-10-01"),
        step("call", "2026-10-01"),
    ]
    told = chain_shown(record("as-1", "2026-10-31", *chain), EN)
    assert told.waits == ("60 days since the signal; no visit is on record",)
    assert told.steps[-1].gap == "from alert to call for help: the same day"


def test_a_visit_answers_only_what_came_after_the_visit_before_it() -> None:
    chain = [
        step("signal", "2026-01-01"),
        step("visit", "2026-02-01"),
        step("call", "2026-06-01"),
        step("signal", "2026-06-05"),
        step("visit", "2026-06-21"),
    ]
    assert chain_shown(record("as-1", "2026-10-31", *chain), EN).waits == ("20 days from call for help to visit",)


def test_steps_of_one_kind_are_told_by_the_days_between_them_and_a_later_report_by_its_day() -> None:
    late = step("signal", "2026-03-04", known_at="2026-04-01T10:00:00+08:00")
    told = chain_shown(record("as-1", "2026-10-31", step("signal", "2026-03-01"), late), ZH)
    assert (told.steps[1].gap, told.steps[1].reported, told.steps[0].reported) == ("3 天后", "4月1日得知", "")


def test_a_sealed_step_stays_as_the_record_tells_it() -> None:
    sealed = step("signal", "2026-03-01", "敏感因素", source=None)
    html = shown(record("as-1", "2026-10-31", sealed), [row("as-1", "2026-10-31", 0.2)])
    assert "敏感因素" in html and "法院" not in html and "None" not in html


def test_the_page_lists_the_steps_in_the_order_of_the_record() -> None:
    chain = [step("signal", "2026-07-01"), step("alert", "2026-07-02"), step("visit", "2026-08-11")]
    html = shown(record("as-1", "2026-10-31", *chain), [row("as-1", "2026-10-31", 0.2)])
    assert re.findall(r'data-step="(\w+)"', html) == ["signal", "alert", "visit"]


# --- the assessments ----------------------------------------------------------------------------------------------


def test_the_newest_attempt_stands_first_even_without_a_score() -> None:
    rows = [row("as-3", "2026-10-31", None), row("as-2", "2026-07-31", 0.31), row("as-1", "2026-04-30", 0.004)]
    of = record("as-3", "2026-10-31", status="abstained")
    told = household_view(visit(of, rows[0]), rows, {"as-3": of}, ZH).assessments
    assert [(each.status, each.per_100) for each in told] == [("abstained", ""), ("scored", "31"), ("scored", "0.4")]
    assert [each.model for each in told] == ["v7", "cdcdcdcdcdcd", "cdcdcdcdcdcd"]
    assert [each.is_kept_whole for each in told] == [True, False, False]


def test_a_failed_attempt_shows_no_tier_and_does_not_take_the_chain_away() -> None:
    rows = [row("as-2", "2026-10-31", None, status="error"), row("as-1", "2026-07-31", 0.2)]
    failed, whole = record("as-2", status="error"), record("as-1", "2026-07-31", step("signal", "2026-07-01"))
    view = household_view(visit(failed, rows[0]), rows, {"as-2": failed, "as-1": whole}, EN)
    assert (view.assessments[0].tier, view.assessments[0].status) == (None, "error")
    assert len(view.chain.steps) == 1 and view.chain.known_on == "31 Jul"


def test_a_visit_says_what_it_changed() -> None:
    change = {"text": {"zh": "比上次下降：31 → 12", "en": "Down from last time: 31 to 12"}}
    of = record("as-2", change=change)
    rows = [row("as-2", "2026-10-31", 0.12, origin="visit"), row("as-1", "2026-07-31", 0.31)]
    view = household_view(visit(of, rows[0]), rows, {"as-2": of}, ZH)
    assert [(each.day, each.change) for each in view.visits] == [("11月1日", "比上次下降：31 → 12")]


@pytest.mark.parametrize("why", ["blind", "human_only"])
def test_nothing_of_any_score_is_seen_before_the_visitor_spoke_or_when_the_household_objected(why: str) -> None:
    change = {"text": {"zh": "比上次下降：31 → 77", "en": "Down"}}
    refused = [{"code": "opted_out", "text": {"zh": "", "en": ""}, "todo": {"zh": "", "en": ""}}]
    of = record("as-2", "2026-10-31", step("signal", "2026-07-01"), change=change)
    of |= {"abstention": refused} if why == "human_only" else {}
    rows = [row("as-2", "2026-10-31", 0.77, origin="visit"), row("as-1", "2026-07-31", 0.31)]
    view = household_view(visit(of, rows[0], hides_score=why == "blind"), rows, {"as-2": of}, ZH)
    html = shown(of, rows, hides_score=why == "blind")
    assert view.hides == why and view.line is None
    assert all((each.tier, each.per_100, each.change) == (None, "", "") for each in view.assessments)
    # The head names files by their digests, which may hold any digits.
    assert not re.search(r"77|▲|红色|每100户约|<svg", html.split("<main", 1)[1])


def test_an_objection_hides_the_scores_of_old_assessments_too() -> None:
    refused = [{"code": "opted_out", "text": {"zh": "", "en": ""}, "todo": {"zh": "", "en": ""}}]
    rows = [row("as-2", "2026-10-31", None), row("as-1", "2026-07-31", 0.31)]
    old, new = record("as-1", "2026-07-31"), record("as-2", status="abstained", abstention=refused)
    view = household_view(visit(old, rows[1]), rows, {"as-2": new, "as-1": old}, ZH)
    assert view.hides == "human_only" and view.assessments[1].per_100 == ""


def test_numbers_are_left_out_while_the_service_speaks_none() -> None:
    rows = [row("as-2", "2026-10-31", 0.12), row("as-1", "2026-07-31", 0.31)]
    of = record("as-2")
    view = household_view(visit(of, rows[0]), rows, {"as-2": of}, ZH, speaks_numbers=False)
    assert (view.line, view.assessments[0].per_100) == (None, "")
    assert view.assessments[0].tier is not None


# --- the line over time -------------------------------------------------------------------------------------------


def test_no_line_crosses_a_time_without_a_score() -> None:
    drawn = sparkline([0, 10, 20, 30, 40], [5.0, 10.0, None, 8.0, 9.0], ("",) * 5)
    assert [len(run.split()) for run in drawn.runs] == [2, 2]
    assert (len(drawn.dots), len(drawn.blanks)) == (4, 1)
    assert not any(str(drawn.blanks[0]) in run for run in drawn.runs)


def test_a_lonely_number_is_a_dot_and_low_numbers_stay_low() -> None:
    drawn = sparkline([0, 10, 20], [1.0, None, 2.0], ("",) * 3)
    assert drawn.runs == () and len(drawn.dots) == 2
    assert drawn.top == 10.0 and drawn.dots[1][1] > drawn.height / 2


def test_the_line_says_the_same_in_words() -> None:
    rows = [row("as-3", "2026-10-31", 0.12), row("as-2", "2026-07-31", None), row("as-1", "2026-04-30", 0.31)]
    of = record("as-3")
    html = shown(of, rows, EN)
    title = re.search(r"<title id=\"line-words\">(.*?)</title>", html)
    assert title is not None
    assert title[1].endswith("30 Apr: 31; 31 Jul: no score; 31 Oct: 12")
    assert 'role="img"' in html and "No score does not mean low risk." in html


def test_one_score_alone_is_no_line() -> None:
    rows = [row("as-2", "2026-10-31", 0.12), row("as-1", "2026-07-31", None)]
    of = record("as-2")
    assert household_view(visit(of, rows[0]), rows, {"as-2": of}, ZH).line is None


def test_what_comes_from_outside_is_escaped() -> None:
    rows = [replace(row("as-1", "2026-10-31", 0.12), status="scored")]
    html = shown(record("as-1", "2026-10-31", step("signal", "2026-07-01", "<script>x</script>")), rows)
    assert "<script>x" not in html and "&lt;script&gt;x" in html


# --- the words ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_words_are_whole_in_both_languages_and_speak_of_no_causes(name: str) -> None:
    for key, (zh, en) in MODULES[name].WORDS.items():
        assert re.search(r"[\u4e00-\u9fff]", zh), key
        assert re.search(r"[A-Za-z]{2}", en), key
        assert set(re.findall(r"{\w+}", zh)) == set(re.findall(r"{\w+}", en)), key
        assert not CAUSAL.search(zh + " " + en), key
        assert max(len(re.findall(r"[\u4e00-\u9fff]", part)) for part in re.split("[。！？]", zh)) <= 28, key


def test_no_module_takes_a_word_of_all_pages() -> None:
    for module in MODULES.values():
        assert not set(module.WORDS) & set(COMMON)


def test_the_stories_of_the_cases_speak_of_no_causes() -> None:
    stories = [story for told in case_stories.STORIES.values() for story in told]
    texts = [text for story in stories for text in (story.at_visit, story.lesson) if text is not None]
    assert len(texts) > 30
    for text in texts:
        assert re.search(r"[\u4e00-\u9fff]", text.zh) and re.search(r"[A-Za-z]{3}", text.en)
        assert not CAUSAL.search(" ".join(text))
        assert max(len(re.findall(r"[\u4e00-\u9fff]", part)) for part in re.split("[。！？]", text.zh)) <= 28
