"""The household's own page: only what it may read, everything it may ask for, and nothing left on the phone."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from features.window import as_of_moment
from serving.desk import PersonCase, PersonRequest
from serving.errors import UnknownCase
from serving.pages import person, training
from serving.pages.person_view import person_view
from serving.pages.shown import Reader
from serving.settings import Settings
from tests.records import CORE, ZONE

READER = Reader("zh", as_of_moment("2022-11-09", ZONE), ZONE, CORE.by_code)
CODE = "ABCDEFGHJK"
CANARY, NUMBER = "CANARY", 987654321
# What of a record may reach the page, by path; `*` is any place of a list. Everything else is stuffed with canaries.
ALLOWED = re.compile(
    r"as_of|status|tier|frequency\.(zh|en)|abstention\.\*\.code"
    r"|reasons\.\*\.group_text\.(zh|en)"
    r"|reasons\.\*\.facts\.\*\.(fact_id|n_events|text\.(zh|en)|events\.\*\.(occurred_at|known_at|source))"
    r"|triggers\.\*\.(id|state|tier|sealed|n_events|text\.(zh|en)|evidence\.\*\.(occurred_at|known_at|source))"
)


def told() -> dict[str, Any]:
    """A record with reasons of both directions and true triggers."""
    found = [case.record for case in training.cases() if case.record["reasons"] and case.record["triggers"]]
    return copy.deepcopy(max(found, key=lambda record: len(record["reasons"])))


def stuffed(value: Any, path: str = "") -> Any:
    """The same with a canary in every field that is not allowed, and a new field in every object."""
    if isinstance(value, dict):
        inside = {name: stuffed(each, f"{path}.{name}".lstrip(".")) for name, each in value.items()}
        return {**inside, "brand_new": CANARY}
    if isinstance(value, list):
        return [stuffed(each, f"{path}.*") for each in value] or ([CANARY] if path in ("tasks",) else [])
    if ALLOWED.fullmatch(path):
        return value
    return NUMBER if isinstance(value, int | float) and not isinstance(value, bool) else f"{CANARY} {path}"


class FakeDesk:
    """A desk with one case behind one code."""

    def __init__(self, case: PersonCase) -> None:
        self.case = case
        self.settings = Settings(today="2022-11-09")
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.scorer = SimpleNamespace(
            bundle=SimpleNamespace(time_zone=ZONE, currency="CNY", catalogue=SimpleNamespace(by_code=CORE.by_code))
        )

    def suspended_templates(self) -> frozenset[str]:
        return frozenset()

    def person(self, code: str, client: str = "") -> PersonCase:
        if code.upper() != CODE:
            raise UnknownCase
        return self.case

    def person_request(self, code: str, what: str, facts: Sequence[str], client: str = "") -> None:
        self.asked.append((what, tuple(facts)))

    def person_code(self, assessment_id: str, *, role: str, actor: str) -> str:
        return CODE


def case_of(record: dict[str, Any], **more: Any) -> PersonCase:
    given: dict[str, Any] = {"expires_on": "2022-12-09", "is_human_only": False, "requests": ()}
    return PersonCase(record=record, row=None, **{**given, **more})  # type: ignore[arg-type]


@pytest.fixture
def desk() -> Iterator[FakeDesk]:
    yield FakeDesk(case_of(told()))


def call(desk: FakeDesk, method: str, path: str, lang: str = "zh", **form: Any) -> httpx.Response:
    """One call of the pages of this module, as they stand behind the guard."""
    app = Starlette(routes=person.ROUTES)
    app.state.desk = desk

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"lang": lang, "csrf": "s3cret", "role": None, "actor": None}
        await app(scope, receive, send)

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, path, data=form or None)

    return anyio.run(asked)


def opened(desk: FakeDesk, lang: str = "zh") -> str:
    return call(desk, "POST", "/person", lang, code=CODE).text


# --- what may be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_no_field_outside_the_list_reaches_the_page(lang: str) -> None:
    record = stuffed(told())
    html = opened(FakeDesk(case_of(record)), lang)
    assert str(record).count(CANARY) > 150
    assert CANARY not in html and str(NUMBER) not in html
    for each in record["reasons"]:
        assert each["facts"][0]["text"][lang].split("（")[0][:12] in html


def test_every_fact_and_every_true_rule_is_told_with_its_day_and_department() -> None:
    record = told()
    view = person_view(record, READER)
    expected = {fact["fact_id"] for reason in record["reasons"] for fact in reason["facts"]}
    expected |= {trigger["id"] for trigger in record["triggers"]}
    assert view.fact_ids == expected
    entries = [entry for subject in view.subjects for each in subject.sentences for entry in each.entries]
    assert entries and all(entry.happened and entry.reported and entry.source for entry in entries)


def test_what_lowers_a_score_is_told_like_what_raises_it() -> None:
    record = told()
    for reason in record["reasons"]:
        reason["direction"], reason["strength"], reason["mixed"] = "lowers", "strong", True
    assert person_view(record, READER) == person_view(told(), READER)


def test_sealed_matters_leave_no_trace(desk: FakeDesk) -> None:
    html = opened(desk)
    sealed = {"id": "DV-01", "state": "true", "sealed": True, "tier": "red", "n_events": 1, "evidence": []}
    record = told()
    record["triggers"].append({**sealed, "text": {"zh": "敏感因素", "en": "a sensitive matter"}})
    assert opened(FakeDesk(case_of(record))) == html
    assert "敏感因素" not in html


def test_what_the_office_is_late_with_is_no_record_about_the_family() -> None:
    record = told()
    record["triggers"] = [{**each, "tier": "task"} for each in record["triggers"]]
    assert all(subject.title for subject in person_view(record, READER).subjects)


def test_no_tier_colour_no_shape_and_no_strength_is_shown(desk: FakeDesk) -> None:
    for lang, words in (
        ("zh", "红色|橙色|黄色|绿色|灰色|（强）|积分"),
        ("en", r"\b(red|orange|yellow|grey|strong|points)\b"),
    ):
        html = re.sub(r"<[^>]+>", " ", opened(desk, lang))
        assert not re.search(rf"[▲◆●○□]|{words}", html, re.IGNORECASE)


def test_the_number_stands_behind_a_summary_and_goes_with_an_objection(desk: FakeDesk) -> None:
    html = opened(desk)
    said = desk.case.record["frequency"]["zh"]
    assert said in re.findall(r"<details>(.*?)</details>", html, re.DOTALL)[0]
    assert html.count(said) == 1
    people_only = opened(FakeDesk(case_of(told(), is_human_only=True)))
    assert said not in people_only
    assert "只由人来" in people_only and "建议最先走访" not in people_only


@pytest.mark.parametrize(
    ("status", "tier", "priority"),
    [
        ("scored", "red", "red"),
        ("abstained", "grey", "grey"),
        ("error", "grey", "grey"),
        ("rules_only", "green", "green"),
    ],
)
def test_every_state_has_its_words_and_only_a_score_a_number(status: str, tier: str, priority: str) -> None:
    record = {**told(), "status": status, "tier": tier}
    view = person_view(record, READER)
    assert view.priority == priority
    assert f"person_priority_{priority}" in person.WORDS
    assert bool(view.frequency) is (status == "scored")


def test_a_wording_that_visitors_rejected_gives_way_to_its_entries() -> None:
    record = told()
    template = record["reasons"][0]["facts"][0]["template"]
    reader = Reader("zh", READER.now, ZONE, CORE.by_code, suspended=frozenset({template}))
    first = person_view(record, reader).subjects[0].sentences[0]
    assert first.text == "请核对这些记录" and first.entries


# --- what may be asked --------------------------------------------------------------------------------------------


def test_a_correction_keeps_what_was_marked_and_nothing_that_was_not_offered(desk: FakeDesk) -> None:
    fact = next(iter(sorted(person_view(desk.case.record, READER).fact_ids)))
    facts = [fact, "somebody-elses", fact]
    reply = call(desk, "POST", "/person/request", code=CODE, what="correction", facts=facts)
    assert (reply.status_code, desk.asked) == (200, [("correction", (fact,))])
    assert person.WORDS["person_done_correction"][0] in reply.text


def test_a_correction_of_nothing_says_what_to_do(desk: FakeDesk) -> None:
    reply = call(desk, "POST", "/person/request", "en", code=CODE, what="correction")
    assert (reply.status_code, desk.asked) == (422, [])
    assert person.WORDS["person_none_marked"][1] in reply.text


@pytest.mark.parametrize("what", ["contact", "objection"])
def test_contact_and_objection_carry_no_facts_and_get_a_receipt(desk: FakeDesk, what: str) -> None:
    reply = call(desk, "POST", "/person/request", "en", code=CODE, what=what, facts=["x"])
    assert (reply.status_code, desk.asked) == (200, [(what, ())])
    assert person.WORDS[f"person_done_{what}"][1].replace("'", "&#39;") in reply.text


def test_a_request_of_another_kind_is_not_taken(desk: FakeDesk) -> None:
    assert call(desk, "POST", "/person/request", code=CODE, what="delete").status_code == 422
    assert desk.asked == []


def test_what_was_asked_before_is_shown_and_stays_marked() -> None:
    record = told()
    fact = record["reasons"][0]["facts"][0]["fact_id"]
    requests = (PersonRequest("correction", (fact,), "2022-11-01"), PersonRequest("contact", (), "2022-11-01"))
    html = opened(FakeDesk(case_of(record, requests=requests)))
    assert html.count(" checked>") == 1
    assert person.WORDS["person_contact_asked"][0] in html and person.WORDS["person_contact_send"][0] not in html


# --- the code -----------------------------------------------------------------------------------------------------


def test_a_code_is_read_as_people_type_it(desk: FakeDesk) -> None:
    for typed in (" abcde-fghjk ", "ABCDE FGHJK", "abcde–fghjk"):
        assert call(desk, "POST", "/person", code=typed).status_code == 200


@pytest.mark.parametrize("path", ["/person", "/person/request"])
def test_a_wrong_code_opens_nothing_and_says_so(desk: FakeDesk, path: str) -> None:
    reply = call(desk, "POST", path, code="WRONG", what="contact")
    assert (reply.status_code, desk.asked) == (404, [])
    assert person.WORDS["person_wrong"][0] in reply.text and "WRONG" not in reply.text


def test_the_code_stands_in_no_address_and_nothing_is_kept_on_the_phone(desk: FakeDesk) -> None:
    for method, path in (("GET", "/person"), ("POST", "/person"), ("POST", "/person/request")):
        form = {"code": CODE, "what": "contact"} if method == "POST" else {}
        reply = call(desk, method, path, **form)
        assert not [part for part in re.findall(r'(?:href|action|src)="([^"]*)"', reply.text) if CODE in part]
        assert "set-cookie" not in reply.headers and reply.headers["cache-control"] == "no-store"
        assert "localStorage" not in reply.text


def test_every_form_carries_the_secret_of_the_page(desk: FakeDesk) -> None:
    html = opened(desk)
    forms = re.findall(r"<form method=\"post\".*?</form>", html, re.DOTALL)
    assert len(forms) == 4
    assert all('name="csrf" value="s3cret"' in form for form in forms)


def test_a_new_code_is_shown_in_groups_and_is_never_kept(desk: FakeDesk) -> None:
    reply = call(desk, "POST", "/visit/as-000000000000000000000001/code")
    assert "ABCDE-FGHJK" in reply.text and reply.headers["cache-control"] == "no-store"
