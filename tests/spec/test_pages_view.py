"""What a visit page shows of a record, state by state, and that nothing from outside gets through unescaped."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from features.catalogue import catalogue
from features.window import MICROS_PER_DAY, parsed
from serving.desk import FactState
from serving.pages import forms
from serving.pages.queue_view import address, queue_row, tier_choices
from serving.pages.receipt_view import receipt_view
from serving.pages.rendering import other_language, rendered
from serving.pages.routes import report_variables
from serving.pages.sheet import sheet_html
from serving.pages.shown import Reader, dots
from serving.pages.view import error_html, state_of, visit_view
from serving.store.people import Asked
from serving.store.queue import Counts, Entry, Page
from serving.store.task import Task

ZONE = "Asia/Shanghai"
NOW = parsed("2026-11-06T10:00:00", ZONE)
BILL = next(kind.code for kind in catalogue("core").kinds if kind.unit.value == "money")
BARE = next(kind.code for kind in catalogue("core").kinds if kind.unit.value == "none")
SCORE_WORDS = ("约31户", "31", "红色", "▲", "强", "住院自付超过预警线")


def text(zh: str, en: str = "") -> dict[str, str]:
    return {"zh": zh, "en": en or f"English of {len(zh)}"}


def event(name: str, day: str, source: str = "医保") -> dict[str, str]:
    return {
        "event_id": name,
        "code": BILL,
        "occurred_at": f"{day}T08:00:00+08:00",
        "known_at": f"{day}T20:00:00+08:00",
        "source": source,
    }


def fact(name: str, zh: str, *events: dict[str, str]) -> dict[str, Any]:
    return {
        "fact_id": name,
        "feature": name,
        "template": f"{name}.1",
        "text": text(zh),
        "public_text": text("略"),
        "events": list(events),
        "n_events": len(events) + 2,
        "question": None,
    }


def reason(group: str, direction: str, strength: str, *facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "group": group,
        "group_text": text(group),
        "direction": direction,
        "strength": strength,
        "mixed": False,
        "facts": list(facts),
    }


def record() -> dict[str, Any]:
    """A household of tier red with a number, three reasons, a rule, questions and policies."""
    model = {"name": "povrisk", "version": "1", "bundle_sha256": "ab" * 32}
    trigger = {
        "id": "MED-04",
        "state": "true",
        "text": text("住院自付超过预警线"),
        "evidence": [event("e9", "2026-10-08")],
        "n_events": 1,
        "sealed": False,
        "tier": "orange",
    }
    return {
        "schema": "assessment.v1",
        "assessment_id": "as-0123456789abcdef01234567",
        "household_id": "h-4711",
        "as_of": "2026-11-04T00:00:00+08:00",
        "valid_until": "2027-02-02T00:00:00+08:00",
        "status": "scored",
        "abstention": [],
        "low_confidence": [],
        "probability": 0.312,
        "interval": [0.241, 0.385],
        "per_100": 31,
        "base_rate_per_100": 3,
        "frequency": text(
            "记录相似的100户中，约31户出现过这一情况（大致24–39户；全县平均约3户）",
            "Of 100 households with similar records, about 31 had this outcome (roughly 24–39; county average about 3)",
        ),
        "tier": "red",
        "tier_basis": ["trigger:MED-04", "points", "probability"],
        "reasons": [
            reason("医疗", "raises", "strong", fact("stay", "9月12日起住院18天", event("e1", "2026-10-08"))),
            reason(
                "收入",
                "raises",
                "medium",
                fact("wage", "工资少了约四成", event("e2", "2026-09-30"), event("e3", "2026-08-30")),
            ),
            reason("就业", "lowers", "slight", fact("job", "一人在县内务工", event("e4", "2026-10-30"))),
        ],
        "reason_note": None,
        "change": None,
        "triggers": [trigger, {**trigger, "id": "INC-01", "state": "not_evaluable", "text": text("收入低于监测线")}],
        "verification": [],
        "data_gaps": [{"group": "debt", "kind": "missing", "text": text("不知道外债")}],
        "questions": [
            {
                "question_id": f"q{i}",
                "text": text(f"问题{i}"),
                "kind": "missing",
                "about": "x",
                "code": BILL,
                "unit": "CNY",
                "if_known": [18.4, 40.2] if i == 0 else None,
                "may_change_tier": i == 0,
            }
            for i in range(5)
        ],
        "policy_candidates": [
            {
                "item": "A01",
                "class": "cash",
                "text": text("临时救助"),
                "department": text("民政"),
                "status": "likely",
                "depends_on": [],
                "missing": ["m"],
                "missing_text": [text("家庭财产")],
                "against": False,
                "triggered_by": [],
            },
            {
                "item": "A02",
                "class": "cash",
                "text": text("低保"),
                "department": text("民政"),
                "status": "already_receiving",
                "depends_on": [],
                "missing": [],
                "missing_text": [],
                "against": False,
                "triggered_by": [],
            },
        ],
        "assistance_chain": [{"step": "signal"}, {"step": "visit"}],
        "limits": [text("不是决定。")],
        "model": model,
    }


def task(**changed: Any) -> Task:
    of = Task(
        task_id=1,
        household_id="h-4711",
        assessment_id="as-0123456789abcdef01234567",
        is_open=True,
        version=3,
        township="青山镇",
        status="scored",
        tier="red",
        probability=0.3,
        points=1.0,
        is_manual=False,
        is_grey=False,
        is_blind=False,
        is_human_only=False,
        opened_at=NOW - 3 * MICROS_PER_DAY,
        updated_at=NOW,
        closed_at=None,
    )
    return replace(of, **changed)


def visit(of: dict[str, Any] | None = None, **changed: Any) -> Any:
    """All that the desk tells of a visit."""
    parts: dict[str, Any] = {
        "record": record() if of is None else of,
        "row": SimpleNamespace(township="青山镇"),
        "task": task(),
        "version": 3,
        "is_latest": True,
        "latest_id": "as-0123456789abcdef01234567",
        "concern": None,
        "hides_score": False,
        "fact_states": {},
        "requests": (),
    }
    return SimpleNamespace(**{**parts, **changed})


def reader(lang: str = "zh", **changed: Any) -> Reader:
    return Reader(lang, **{"now": NOW, "time_zone": ZONE, "kinds": catalogue("core").by_code, **changed})


def html(found: Any, lang: str = "zh", **changed: Any) -> str:
    """The whole page, as a caseworker gets it."""
    of = reader(lang, **changed)
    view = visit_view(found, of)
    frame = {"csrf": "c", "role": "caseworker", "path": "/visit/x", "other_language": other_language("/visit/x", lang)}
    variables = report_variables(view, forms.prefilled(of.today), of, [])
    return rendered("visit.html", lang, **frame, view=view, problems=[], may_report=True, **variables)


def seen(page: str) -> str:
    """The text of the main part of a page."""
    main = page[page.index("<main") : page.index("</main>")]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))


def parts(page: str) -> list[str]:
    return re.findall(r'data-part="([a-z-]+)"', page)


def test_the_parts_stand_in_the_order_in_which_they_are_read() -> None:
    found = parts(html(visit()))
    wanted = ["clock", "tier", "frequency", "reasons", "lowers", "questions", "rules", "policies", "limits", "chain"]
    assert [each for each in found if each in wanted] == wanted
    assert found.index("chain") < found.index("feedback") < found.index("judgement") < found.index("submit")


def test_a_scored_household_is_told_by_tier_decider_number_reasons_and_clock() -> None:
    view = visit_view(visit(), reader())
    assert (view.state, view.tier and view.tier.label, view.clock and (view.clock.day, view.clock.of)) == (
        "scored",
        "红色",
        (4, 15),
    )
    assert view.frequency == ("记录相似的100户中，", "约31户", "出现过这一情况（大致24–39户；全县平均约3户）")
    assert [(each.group, each.strength_word, len(each.facts)) for each in view.raises] == [
        ("医疗", "强", 1),
        ("收入", "中", 1),
    ]
    assert [fact.number for fact in (*view.facts, *view.rules)] == [1, 2, 3, 4]
    assert view.basis == "规则1条 · 积分 · 模型分数"
    assert "由人核实后决定" in seen(html(visit()))


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_both_languages_show_the_same_facts_in_the_same_order(lang: str) -> None:
    found = re.findall(r'data-fact="([^"]+)"', html(visit(), lang))
    assert found == ["stay", "wage", "job", "MED-04"]


def test_a_page_shows_at_most_three_reasons_up_two_down_and_two_facts_each() -> None:
    facts = [fact(f"f{i}", f"情况{i}", event(f"e{i}", "2026-10-08")) for i in range(4)]
    many = {
        **record(),
        "reasons": [reason(f"组{i}", d, "slight", *facts) for d in ("raises", "lowers") for i in range(5)],
    }
    view = visit_view(visit(many), reader())
    assert [len(view.raises), len(view.lowers), {len(each.facts) for each in (*view.raises, *view.lowers)}] == [
        3,
        2,
        {2},
    ]


def test_a_hundred_dots_hold_the_number_its_range_and_the_average() -> None:
    found = dots(record())
    assert found is not None and (found.n, found.low, found.high, found.base) == (31, 24, 39, 3)
    lengths = [float(path.partition("h")[2]) for path in found.rows(found.n)]
    assert lengths == [240, 50]
    assert sum(round(length / 10) + 1 for length in lengths) == 31


def test_no_number_is_told_where_none_is_to_be_spoken() -> None:
    page = html(visit({**record(), "frequency": None}))
    assert "目前不报具体数字" in page and "<svg" not in page
    assert "31" not in seen(page) and "问清后" not in page


def test_a_change_is_split_in_whole_points_that_add_up() -> None:
    before = {
        "assessment_id": "as-1",
        "as_of": "2026-08-05T00:00:00+08:00",
        "status": "scored",
        "tier": "yellow",
        "per_100": 12.0,
    }
    split = {"model_changed": 0.4, "time_passing": 1.3, "data_repaired": 2.0, "new_events": 15.3}
    changed = {
        "previous": before,
        "per_100": 19.0,
        "split": split,
        "steady": False,
        "text": text("比上次上升。"),
        "new_events": [{**event("e1", "2026-10-08"), "text": text("住院")}],
        "n_new_events": 3,
        "repaired_events": [],
        "n_repaired_events": 0,
    }
    shown = visit_view(visit({**record(), "change": changed}), reader()).change
    assert shown is not None and (shown.text, shown.before, shown.hidden) == ("比上次上升。", "8月4日", 2)
    assert sum(int(part.rsplit(" ", 1)[1]) for part in shown.parts) == 19
    assert shown.parts[0] == "新情况 +15"
    steady = visit_view(visit({**record(), "change": {**changed, "steady": True}}), reader()).change
    assert steady is not None and steady.parts == ()


def test_an_abstained_household_has_no_number_and_is_not_called_low_risk() -> None:
    codes = [{"code": "coverage", "text": text("资料大半未知"), "todo": text("走访补问")}]
    found = {
        **record(),
        "status": "abstained",
        "tier": "grey",
        "abstention": codes,
        "reasons": [],
        "frequency": None,
        "per_100": None,
        "probability": None,
        "interval": None,
    }
    told = seen(html(visit(found)))
    assert "这不表示风险低" in told and "资料大半未知" in told and "走访补问" in told
    assert "约" not in told and "frequency" not in parts(html(visit(found)))


def test_a_failed_computation_shows_neither_tier_nor_number_nor_form_for_a_judgement() -> None:
    failed = {
        **record(),
        "status": "error",
        "tier": "grey",
        "reasons": [],
        "triggers": [],
        "frequency": None,
        "per_100": None,
        "probability": None,
        "interval": None,
    }
    view = visit_view(visit(failed), reader())
    page = html(visit(failed))
    assert view.tier is None and view.dots is None
    assert "计算失败，没有分数" in page and "按人工名单走访" in page
    assert not {"frequency", "rules", "judgement", "reasons"} & set(parts(page))


@pytest.mark.parametrize("by", ["task", "record"])
def test_a_household_that_objected_is_shown_without_anything_the_system_concluded(by: str) -> None:
    of = record()
    if by == "record":
        of |= {"abstention": [{"code": "opted_out", "text": text("x"), "todo": text("y")}], "status": "abstained"}
    found = visit(of, task=task(is_human_only=by == "task"))
    page = html(found)
    assert state_of(found) == "human_only"
    assert [each for each in SCORE_WORDS if each in seen(page)] == []
    assert not {"tier", "frequency", "reasons", "rules", "policies", "judgement", "change"} & set(parts(page))
    assert "feedback" in parts(page)


def test_what_the_family_asked_for_stands_before_everything_the_system_says() -> None:
    asked = (Asked("contact", (), NOW), Asked("correction", ("a", "b"), NOW - 3 * MICROS_PER_DAY))
    page, sheet = html(visit(requests=asked)), sheet_html(visit(requests=asked), "zh", reader=reader())
    for words in ("家人希望有人联系", "家人请求更正2条记录"):
        assert words in page and words in sheet
    assert page.index("家人希望") < page.index('data-part="tier"')
    assert "the family asked to be contacted" in html(visit(requests=asked), "en")
    assert "family" not in parts(html(visit()))


def test_who_is_asked_first_sees_the_records_without_direction_strength_rules_or_number() -> None:
    found = visit(hides_score=True)
    page = html(found)
    view = visit_view(found, reader())
    assert [each for each in SCORE_WORDS if each in seen(page)] == []
    assert set(parts(page)) <= {"clock", "blind", "recorded", "concern"}
    assert [fact.fact_id for fact in view.recorded] == ["job", "stay", "wage"], "by date, not by weight"
    assert re.findall(r'name="concern" value="(\w+)"', page) == ["low", "medium", "high"]
    for lang in ("zh", "en"):
        sheet = sheet_html(found, lang, reader=reader(lang))
        assert "31" not in re.sub(r"<style>.*?</style>", "", sheet, flags=re.S) and "▲" not in sheet


def test_after_the_own_view_the_whole_page_is_shown_with_it() -> None:
    page = html(visit(concern="high"))
    assert "您先前的判断：高" in page and "tier" in parts(page)


def test_an_old_assessment_leads_to_the_latest_and_takes_no_report() -> None:
    page = html(visit(is_latest=False, latest_id="as-ffffffffffffffffffffffff"))
    assert 'href="/visit/as-ffffffffffffffffffffffff"' in page and "feedback" not in parts(page)


def test_an_assessment_past_its_date_says_so() -> None:
    for until, is_expired in (("2026-11-06T10:00:00+08:00", True), ("2026-11-06T10:00:01+08:00", False)):
        assert visit_view(visit({**record(), "valid_until": until}), reader()).is_expired is is_expired


def test_a_suspended_wording_gives_way_to_the_events_it_rests_on() -> None:
    page = html(visit(), suspended=frozenset({"stay.1"}))
    assert "住院18天" not in page and "请核对这些记录" in page and "发生10月8日" in page
    assert 'data-fact="stay"' in page, "it can still be answered"


def test_what_an_earlier_visit_found_stands_beside_the_fact() -> None:
    found = visit(
        fact_states={
            "stay": FactState("wrong", "2026-09-01", None),
            "MED-04": FactState("confirmed", "2026-09-01", None),
        }
    )
    view = visit_view(found, reader())
    assert (view.facts[0].last_answer, view.rules[0].last_answer) == ("9月1日走访：不属实", "9月1日走访：属实")


def test_an_amount_is_asked_for_only_where_an_event_has_one() -> None:
    of = record()
    of["reasons"][0]["facts"][0]["events"][0]["code"] = BARE
    view = visit_view(visit(of), reader())
    assert [fact.unit for fact in view.facts] == ["", "元", "元"]
    page = html(visit(of))
    assert 'name="value.stay"' not in page and 'name="value.wage"' in page
    assert 'name="event.stay"' not in page and 'name="event.wage"' in page


def test_questions_say_where_the_number_may_go() -> None:
    first = visit_view(visit(), reader()).questions[0]
    assert (first.effect, first.unit, first.takes_amount) == ("问清后：每100户约18–40户，等级可能变", "元", True)


def test_policies_are_no_promise_and_only_open_ones_can_be_set_in_motion() -> None:
    view = visit_view(visit(), reader())
    assert [(each.name, each.status_word, each.missing) for each in view.policies] == [
        ("临时救助", "可能符合", ("家庭财产",)),
        ("低保", "已在享受", ()),
    ]
    assert [each.item for each in view.helps] == ["A01"]


def test_texts_from_outside_are_escaped_and_cannot_turn_the_line_around() -> None:
    evil = '<img src=x onerror=alert(1)>"\u202e\u0000\ud800&'
    of = record()
    of |= {"household_id": evil, "limits": [text(evil, evil)], "questions": []}
    of["reasons"][0]["facts"][0] |= {"text": text(evil, evil), "fact_id": evil}
    of["reasons"][0]["facts"][0]["events"][0] |= {"source": evil, "event_id": evil}
    of["reasons"][0]["group_text"] = text(evil, evil)
    of["policy_candidates"][0] |= {"text": text(evil, evil), "item": evil, "missing_text": [text(evil, evil)]}
    of["model"]["name"] = evil
    found = visit(of, row=SimpleNamespace(township=evil))
    for page in (html(found), html(found, "en"), sheet_html(found, "zh", reader=reader())):
        page.encode()
        assert "<img" not in page and "\u202e" not in page and "\u0000" not in page
        assert "&lt;img" in page
    row = queue_row(Entry(1, "visit", "tier", task(household_id=evil, township=evil)), reader(), of)
    assert "\u202e" not in row.household + row.township + row.line
    assert "<img" not in error_html(404, evil, evil, "zh")


def test_the_sheet_needs_nothing_from_outside() -> None:
    page = sheet_html(visit(), "zh")
    assert not re.search(r"(src|href|url\()", page) and "<script" not in page
    assert "住院18天" in page and "约31户" in page and "由人核实后决定" in page
    served = sheet_html(visit(), "zh", is_served=True)
    assert "<style" not in served and "/static/sheet.css" in served


def test_every_state_renders_in_both_languages_with_one_form_field_a_name() -> None:
    failed = {**record(), "status": "error", "reasons": [], "triggers": [], "questions": []}
    states = [
        visit(),
        visit(task=None),
        visit(hides_score=True),
        visit(failed),
        visit({**record(), "status": "rules_only"}),
    ]
    for found in states:
        for lang in ("zh", "en"):
            page = html(found, lang)
            ids = re.findall(r'\bid="([^"]+)"', page)
            assert len(ids) == len(set(ids))
            labelled = set(re.findall(r'<label[^>]* for="([^"]+)"', page))
            fields = set(re.findall(r'<(?:input|select)(?![^>]*type="hidden")[^>]*\bid="([^"]+)"', page))
            assert fields <= labelled
            assert page.count("<fieldset") == page.count("<legend")


def entry(place: str = "visit", because: str = "tier", **of: Any) -> Entry:
    return Entry(1, place, because, task(**of))  # type: ignore[arg-type]


def test_a_row_of_the_queue_tells_the_first_reason_in_one_line() -> None:
    row = queue_row(entry(), reader(), record())
    assert (row.tier and row.tier.label, row.line, row.note, row.day, row.is_late) == (
        "红色",
        "9月12日起住院18天",
        "",
        4,
        False,
    )
    without = {**record(), "reasons": []}
    assert queue_row(entry(), reader(), without).line == "住院自付超过预警线"
    assert queue_row(entry(), reader(), {**without, "triggers": []}).line == "没有突出的记录"
    assert queue_row(entry(status="abstained"), reader()).line == "资料不足，没有分数"


def test_a_row_hides_the_tier_of_who_is_looked_at_first_or_by_people_only() -> None:
    for of, line in (({"is_blind": True}, "先看后评"), ({"is_human_only": True}, "只由人来了解")):
        row = queue_row(entry(**of), reader(), record())
        assert (row.tier, row.line) == (None, line)


def test_a_reserved_place_says_why_and_only_who_is_to_be_visited_can_be_overdue() -> None:
    assert queue_row(entry(because="reserved_grey"), reader()).note == "资料少户保留名额"
    old = NOW - 20 * MICROS_PER_DAY
    assert queue_row(entry(opened_at=old), reader()).is_late
    assert not queue_row(entry(place="waiting", opened_at=old), reader()).is_late


def test_a_filter_keeps_the_others_and_begins_on_the_first_page() -> None:
    asked = {"tier": "red", "township": "青山镇", "queue": "", "cursor": "abc"}
    assert address(asked) == "/?tier=red&township=%E9%9D%92%E5%B1%B1%E9%95%87"
    assert address(asked, "next").endswith("&cursor=next") and address({}) == "/"
    page = Page([], None, 3, Counts(3, {"red": 1, "grey": 2}, {"scored": 1}), [])
    choices = tier_choices(page, reader(), asked)
    assert [(each.label, each.count, each.is_chosen) for each in choices[:2]] == [
        ("各等级", 3, False),
        ("▲ 红色", 1, True),
    ]


def test_a_receipt_says_what_was_added_and_what_became_of_it() -> None:
    added = {**event("visit-1", "2026-10-08"), "status": "retracted", "supersedes": "e1", "text": text("住院")}
    receipt = {
        "review_id": "rv-1",
        "version": 4,
        "journal_seq": 7,
        "journal_hash": "ab" * 32,
        "events": [added],
        "assessment_id": None,
        "rescored": "human_only",
    }
    shown = receipt_view(receipt, None, reader())
    assert [(each.text, each.day, each.note) for each in shown.events] == [("住院", "10月8日", "撤回原记录")]
    assert (shown.rescored, shown.change, shown.journal_hash) == ("今后这户只由人来了解", "", "ab" * 6)


def test_the_same_visit_gives_the_same_page_to_the_letter() -> None:
    key = re.compile(r'name="key" value="[^"]+"')
    one, two = (key.sub("", html(visit(copy.deepcopy(record())))) for _ in range(2))
    assert one == two
