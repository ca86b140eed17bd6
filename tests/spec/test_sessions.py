"""Logins on pages: the cookie, the secrets of forms, the way to the login and back, languages and headers."""

from __future__ import annotations

import logging
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import pytest

from serving.errors import TooManyCalls
from serving.guard.language import language_of
from serving.guard.pages import SECURITY_HEADERS
from serving.sessions import Attempts, Sessions, client_of
from serving.tokens import Role, read_tokens
from tests.spec.test_guard import CASE, SESSIONS, SMALL, TOKENS, Recorder, Reply, ask

HTML = {"accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
FORM = {**HTML, "content-type": "application/x-www-form-urlencoded", "host": "here"}
VISIT = f"/visit/{CASE}/feedback"


def cookie(token: str = "cc", sessions: Sessions = SESSIONS) -> str:
    opened = sessions.opened(token)
    assert opened is not None
    return opened


def csrf(value: str, sessions: Sessions = SESSIONS) -> str:
    found = sessions.session(value)
    assert found is not None
    return found.csrf


def post(path: str, fields: dict[str, str], **headers: str) -> Reply:
    sent = {**FORM, **{name.replace("_", "-"): value for name, value in headers.items()}}
    room = SMALL.__class__(max_body_bytes=4096, body_read_s=0.2, call_s=0.2)
    return ask(Recorder(), path, headers=sent, body=[urlencode(fields).encode()], settings=room)


class States:
    """An application that keeps what the guard told it about each call."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(dict(scope["state"]))
        await Recorder()(scope, receive, send)


def test_a_session_names_its_role_and_actor_and_no_token() -> None:
    value = cookie("ss")
    session = SESSIONS.session(value)
    assert session is not None
    assert (session.role, session.actor) == (Role.SUPERVISOR, SESSIONS.actor("ss"))
    assert len(session.actor) == 32
    assert SESSIONS.opened("guess") is None


def test_a_cookie_that_is_forged_old_or_of_a_withdrawn_token_opens_nothing() -> None:
    value = cookie()
    for forged in ("", "x", value[:-1], value[1:], value + "x", value.replace(".", ",")):
        assert SESSIONS.session(forged) is None
    other = Sessions(b"o" * 32, TOKENS, hours=9.0)
    assert other.session(value) is None
    assert Sessions(b"k" * 32, read_tokens("caseworker:new"), hours=9.0).session(value) is None
    over = Sessions(b"k" * 32, TOKENS, hours=9.0)
    over.max_age_s = -1
    assert over.session(value) is None


def test_actors_are_stable_under_one_key_and_tell_nothing_without_it() -> None:
    assert Sessions(b"k" * 32, TOKENS, hours=1.0).actor("cc") == SESSIONS.actor("cc")
    assert Sessions(b"x" * 32, TOKENS, hours=1.0).actor("cc") != SESSIONS.actor("cc")
    assert SESSIONS.actor("cc") != SESSIONS.actor("ss")


def test_a_page_without_a_login_leads_to_it_and_back() -> None:
    reply = ask(Recorder(), f"/visit/{CASE}", method="GET", headers=HTML)
    assert (reply.status, reply.headers["location"]) == (303, f"/login?next=/visit/{CASE}")
    assert ask(Recorder(), "/", method="GET", headers=HTML).headers["location"] == "/login?next=/"


@pytest.mark.parametrize("path", ["/nothing", "/score", "/model", "/households/h/assessments", f"/visit/{CASE}/done"])
def test_to_a_stranger_with_a_browser_every_address_looks_the_same(path: str) -> None:
    assert ask(Recorder(), path, method="GET", headers=HTML).status == 303
    assert ask(Recorder(), path, method="GET", headers={}).status == 401


@pytest.mark.parametrize("path", ["/a\nb", "//elsewhere", "/?x", "/" + "x" * 200, "/%0d", "/户"])
def test_the_way_back_repeats_only_plain_paths(path: str) -> None:
    assert ask(Recorder(), path, method="GET", headers=HTML).headers["location"] == "/login?next=/"


def test_a_session_opens_pages_and_no_address_for_machines() -> None:
    headers = {**HTML, "cookie": f"povrisk_session={cookie()}"}
    app = States()
    assert ask(app, "/", method="GET", headers=headers).status == 200
    assert (app.seen[0]["role"], app.seen[0]["actor"]) == ("caseworker", SESSIONS.actor("cc"))
    machines = {**headers, "accept": "application/json", "x-purpose": "prepare_visit"}
    for path in ("/queue", f"/assessments/{CASE}", "/model"):
        assert ask(app, path, method="GET", headers=machines).status == 401
    assert ask(app, "/nothing", method="GET", headers=headers).status == 404


def test_a_form_must_carry_the_secret_of_its_session() -> None:
    mine, other = cookie(), cookie()
    sent = {"cookie": f"povrisk_session={mine}"}
    assert post(VISIT, {"csrf": csrf(mine)}, **sent).status == 200
    for fields in ({}, {"csrf": ""}, {"csrf": csrf(other)}, {"csrf": csrf(mine) + "x"}):
        assert post(VISIT, fields, **sent).status == 403
    twice = urlencode([("csrf", csrf(mine)), ("csrf", csrf(mine))]).encode()
    room = SMALL.__class__(max_body_bytes=4096)
    assert ask(Recorder(), VISIT, headers={**FORM, **sent}, body=[twice], settings=room).status == 403
    assert post(VISIT, {"csrf": csrf(mine)}).status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://here"}, 200),
        ({"origin": "https://here"}, 200),
        ({"origin": "http://elsewhere"}, 403),
        ({"origin": "null"}, 403),
        ({"referer": "http://here/visit"}, 200),
        ({"referer": "http://elsewhere/here"}, 403),
        ({"origin": "http://proxied", "sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
    ],
)
def test_a_form_of_another_site_is_refused(headers: dict[str, str], status: int) -> None:
    mine = cookie()
    assert post(VISIT, {"csrf": csrf(mine)}, cookie=f"povrisk_session={mine}", **headers).status == status


@pytest.mark.parametrize("path", ["/login", "/person", "/person/request"])
def test_forms_without_a_login_need_the_secret_of_their_own_cookie(path: str) -> None:
    secret = SESSIONS.form_secret()
    assert post(path, {"csrf": secret}, cookie=f"povrisk_form={secret}").status == 200
    assert post(path, {"csrf": secret}).status == 403
    assert post(path, {"csrf": "made-up"}, cookie="povrisk_form=made-up").status == 403
    assert post(path, {"csrf": ""}, cookie=f"povrisk_form={secret}").status == 403


def test_a_token_in_the_header_needs_no_secret_of_a_form() -> None:
    assert post(VISIT, {}, authorization="Bearer cc").status == 200
    assert post(VISIT, {}, authorization="Bearer rr").status == 403
    assert post("/person", {}, authorization="Bearer cc").status == 403


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/plain"])
def test_a_page_takes_forms_and_nothing_else(kind: str) -> None:
    headers = {"authorization": "Bearer cc", "content-type": kind}
    assert ask(Recorder(), VISIT, headers=headers).status == 415
    assert ask(Recorder(), "/score", headers={**headers, "x-purpose": "prepare_visit", **FORM}).status == 415


def test_a_form_has_at_most_64_kilobytes() -> None:
    headers = {**FORM, "authorization": "Bearer cc"}
    room = SMALL.__class__()
    assert ask(Recorder(), VISIT, headers=headers, body=[b"x" * 65_537], settings=room).status == 413
    assert ask(Recorder(), VISIT, headers=headers, body=[b"x" * 65_536], settings=room).status == 200


def test_every_page_and_every_error_of_one_is_closed_to_other_sites() -> None:
    session = {**HTML, "cookie": f"povrisk_session={cookie('rr')}"}
    replies = [
        ask(Recorder(), "/card", method="GET", headers=HTML),
        ask(Recorder(), "/training", method="GET", headers=session),
        ask(Recorder(), "/", method="GET", headers=session),
        ask(Recorder(), "/nothing", method="GET", headers=session),
        ask(Recorder(), "/", method="GET", headers=HTML),
    ]
    assert [reply.status for reply in replies] == [200, 200, 403, 404, 303]
    for reply in replies:
        assert {name.lower(): reply.headers[name.lower()] for name in SECURITY_HEADERS} == {
            name.lower(): value for name, value in SECURITY_HEADERS.items()
        }
        assert reply.headers["cache-control"] == "no-store"
    assert ask(Recorder(), "/static/a.css", method="GET", headers={}).headers["cache-control"].startswith("public")


def test_an_error_on_a_page_is_a_page_and_for_a_machine_a_document(caplog: pytest.LogCaptureFixture) -> None:
    headers = {"cookie": f"povrisk_session={cookie('rr')}"}
    shown = ask(Recorder(), "/", method="GET", headers={**headers, **HTML})
    assert (shown.status, shown.headers["content-type"].partition(";")[0]) == (403, "text/html")
    ask(Recorder(), "/", method="GET", headers=headers).problem()
    with caplog.at_level(logging.INFO):
        ask(Recorder(status=404), f"/visit/{CASE}", method="GET", headers={"cookie": f"povrisk_session={cookie()}"})
    assert CASE not in caplog.text
    assert "/visit/{assessment_id}" in caplog.text


def test_a_page_may_show_what_is_wrong_by_itself() -> None:
    class Own(Recorder):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            kind = (b"content-type", b"text/html; charset=utf-8")
            await send({"type": "http.response.start", "status": self.status, "headers": [kind]})
            await send({"type": "http.response.body", "body": b"<p>the form again"})

    headers = {**HTML, "cookie": f"povrisk_session={cookie()}"}
    assert ask(Own(status=409), f"/visit/{CASE}", method="GET", headers=headers).body == b"<p>the form again"
    assert ask(Own(status=500), f"/visit/{CASE}", method="GET", headers=headers).body != b"<p>the form again"


def test_cookies_are_for_this_site_only_and_secure_behind_https() -> None:
    from serving.guard.pages import cookie as made

    for scheme, secure in (("https", True), ("http", "")):
        jar: SimpleCookie = SimpleCookie(made("povrisk_session", "v", {"scheme": scheme}, 60))
        found = jar["povrisk_session"]
        assert (found["httponly"], found["samesite"], found["path"], found["secure"]) == (True, "Strict", "/", secure)


@pytest.mark.parametrize(
    ("query", "headers", "language"),
    [
        ("", {}, "zh"),
        ("", {"accept-language": "en-US,en;q=0.9"}, "en"),
        ("", {"accept-language": "fr, zh-CN;q=0.8, en;q=0.7"}, "zh"),
        ("", {"accept-language": "en;q=0, zh;q=x"}, "zh"),
        ("", {"accept-language": "en", "cookie": "lang=zh"}, "zh"),
        ("lang=en", {"cookie": "lang=zh"}, "en"),
        ("lang=fr", {"cookie": "lang=en"}, "en"),
        ("", {"cookie": "lang=<script>"}, "zh"),
    ],
)
def test_the_language_is_what_was_asked_chosen_or_preferred(query: str, headers: dict[str, str], language: str) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert language_of({"query_string": query.encode(), "headers": raw}) == language


def test_a_language_asked_for_is_remembered() -> None:
    app = States()
    reply = ask(
        app,
        "/card",
        method="GET",
        query="lang=en",
        headers={**HTML, "cookie": f"povrisk_form={SESSIONS.form_secret()}"},
    )
    assert app.seen[0]["lang"] == "en"
    assert reply.headers["set-cookie"].startswith("lang=en;")


def test_too_many_wrong_entries_in_a_minute_close_the_door_for_the_rest_of_it() -> None:
    clock = [0.0]
    tries = Attempts(limit=5, clock=lambda: clock[0])
    for second in range(5):
        tries.check()
        clock[0] = float(second)
        tries.failed()
    with pytest.raises(TooManyCalls) as caught:
        tries.check()
    assert caught.value.headers["Retry-After"] == "57"
    clock[0] = 60.1
    tries.check()


def test_a_stranger_who_guesses_shuts_out_nobody_elsewhere() -> None:
    clock = [0.0]
    tries = Attempts(limit=3, from_all=20, clock=lambda: clock[0])
    for _ in range(3):
        tries.failed("10.0.0.1")
    for client in ("10.0.0.2", "", "2001:db8::"):
        tries.check(client)
    with pytest.raises(TooManyCalls):
        tries.check("10.0.0.1")


def test_guesses_from_very_many_addresses_are_bounded_together_and_in_memory() -> None:
    clock = [0.0]
    tries = Attempts(limit=3, from_all=20, most=50, clock=lambda: clock[0])
    for n in range(20):
        tries.check(f"a{n}")
        tries.failed(f"a{n}")
    with pytest.raises(TooManyCalls):
        tries.check("somebody else")
    clock[0] = 61.0
    tries.check("somebody else")
    for n in range(1000):
        tries.failed(f"b{n}")
    assert len(tries._failures) == 50


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_of_the_newer_kind_counts_by_its_network(host: str, client: str) -> None:
    assert client_of({"client": (host, 5000)}) == client
    assert client_of({"client": None}) == client_of({}) == ""


@pytest.mark.parametrize(
    "hidden", ["%00", "%0a", "%1b[2J", "%e2%80%ae", "%e2%80%8b", "%ef%bb%bf", "%e2%80%a8", "%c2%ad"]
)
def test_an_address_of_a_page_holds_no_character_that_nobody_sees(hidden: str) -> None:
    headers = {**HTML, "cookie": f"povrisk_session={cookie()}"}
    for path in ("/", "/card", "/login"):
        assert ask(Recorder(), path, method="GET", headers=headers, query=f"township=a{hidden}b").status == 400
        assert (
            ask(Recorder(), path, method="GET", headers=headers, query="township=%e9%95%87+%e3%80%80a%20b").status
            == 200
        )
