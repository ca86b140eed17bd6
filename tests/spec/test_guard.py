"""Who may call and how, in front of an application that only records what reaches it."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from serving.errors import Invalid
from serving.guard import guarded
from serving.guard.problems import note
from serving.guard.rules import RULES, rule_of
from serving.redaction import Redaction, request_is_running
from serving.sessions import Sessions
from serving.settings import SettingRefused, Settings, bundle_key, settings_from
from serving.tokens import TokensRefused, demo_tokens, read_tokens, tokens_from
from tests.loops import run as run_apart

TOKENS = read_tokens("platform:pp,caseworker:cc,supervisor:ss,researcher:rr")
SESSIONS = Sessions(b"k" * 32, TOKENS, hours=9.0)
SMALL = Settings(max_body_bytes=64, body_read_s=0.2, call_s=0.2)
JSON = {"content-type": "application/json"}
SCORE = {"authorization": "Bearer pp", "x-purpose": "prepare_visit", **JSON}


@dataclass
class Reply:
    """What the caller got."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def problem(self) -> dict[str, Any]:
        """The problem document, checked for its media type."""
        assert self.headers["content-type"] == "application/problem+json"
        found: dict[str, Any] = json.loads(self.body)
        assert set(found) == {"type", "title", "status", "detail", "errors"}
        assert found["status"] == self.status
        return found


class Recorder:
    """An application that answers 200 and keeps the bodies it was given."""

    def __init__(self, status: int = 200, error: Exception | None = None, wait_s: float = 0.0) -> None:
        self.status, self.error, self.wait_s = status, error, wait_s
        self.bodies: list[bytes] = []
        self.finished = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.bodies.append((await receive())["body"] if scope["method"] == "POST" else b"")
        await asyncio.sleep(self.wait_s)
        if self.error:
            raise self.error
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"x-inner", b"1")]})
        await send({"type": "http.response.body", "body": b"inner"})
        self.finished += 1


def ask(
    app: Any,
    path: str = "/score",
    *,
    method: str = "POST",
    headers: dict[str, str] | list[tuple[str, str]] = SCORE,
    body: list[bytes] | None = None,
    query: str = "",
    settings: Settings = SMALL,
    pause_s: float = 0.0,
) -> Reply:
    """One call through the guard; the body arrives in pieces with pauses between them."""
    listed = headers if isinstance(headers, list) else list(headers.items())
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in listed],
    }
    pieces = [b"{}"] if body is None else body
    reply = Reply()

    async def run() -> None:
        left = list(pieces)

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(pause_s)
            if not left:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                reply.body += message.get("body", b"")

        await guarded(app, TOKENS, SESSIONS, settings)(scope, receive, send)

    run_apart(run())
    return reply


def test_a_good_call_reaches_the_service_with_its_whole_body() -> None:
    app = Recorder()
    reply = ask(app, body=[b'{"a"', b": 1}"])
    assert (reply.status, reply.body, app.bodies) == (200, b"inner", [b'{"a": 1}'])


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "pp",
        "Bearer",
        "Bearer ",
        "Bearer p",
        "Bearer ppp",
        "Basic pp",
        "Bearer pp x",
        "Bearer \xff",
        "Bearer PP",
    ],
)
@pytest.mark.parametrize("path", ["/score", "/model", "/metrics", "/docs.json", "/schema.json", "/nothing", "/"])
def test_without_a_known_token_nothing_is_told(authorization: str | None, path: str) -> None:
    app = Recorder()
    headers = JSON if authorization is None else {**JSON, "authorization": authorization}
    reply = ask(app, path, headers=headers)
    assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert reply.problem()["errors"] == []
    assert app.bodies == []


def test_two_tokens_are_none() -> None:
    twice = [("authorization", "Bearer pp"), ("authorization", "Bearer cc"), *JSON.items()]
    assert ask(Recorder(), headers=twice).status == 401


@pytest.mark.parametrize("query", ["token=pp", "access_token=x", "q=pp", "API_KEY=1", "lang=zh&x=rr"])
def test_a_token_in_the_address_is_refused(query: str) -> None:
    reply = ask(Recorder(), query=query)
    assert reply.status == 401
    assert b"pp" not in reply.body.replace(b"application", b"")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_need_no_token(path: str) -> None:
    assert ask(Recorder(), path, method="GET", headers={}).status == 200


@pytest.mark.parametrize(("token", "status"), [("pp", 200), ("cc", 200), ("ss", 200), ("rr", 403)])
def test_roles_that_may_score(token: str, status: int) -> None:
    assert ask(Recorder(), headers={**SCORE, "authorization": f"Bearer {token}"}).status == status


@pytest.mark.parametrize("token", ["pp", "cc", "ss", "rr"])
def test_every_role_may_read_the_card_without_a_purpose(token: str) -> None:
    assert ask(Recorder(), "/model", method="GET", headers={"authorization": f"Bearer {token}"}).status == 200


@pytest.mark.parametrize("purpose", [None, "", "credit_check", "prepare_visit, credit_check", "PREPARE_VISIT"])
def test_a_missing_or_forbidden_purpose_is_refused(purpose: str | None) -> None:
    headers = {name: value for name, value in SCORE.items() if name != "x-purpose"}
    app = Recorder()
    assert ask(app, headers=headers if purpose is None else {**headers, "x-purpose": purpose}).status == 403
    assert app.bodies == []


def test_an_address_without_a_rule_is_not_served() -> None:
    app = Recorder()
    for path in (
        "/healthz",
        "/score/",
        "/SCORE",
        "/static_content/x.js",
        "/score/submit",
        "/households/h-1",
        "/visit/x",
    ):
        assert ask(app, path).status == 404
    assert app.bodies == []


def test_another_method_is_named() -> None:
    reply = ask(Recorder(), method="GET")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert ask(Recorder(), "/model", method="DELETE", headers=SCORE).headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/vnd.bentoml+pickle",
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/json; charset=gbk",
        "application/jsonp",
        "application/vnd.apache.arrow.stream",
    ],
)
def test_only_json_is_read(content_type: str | None) -> None:
    app = Recorder()
    headers = {name: value for name, value in SCORE.items() if name != "content-type"}
    reply = ask(app, headers=headers if content_type is None else {**headers, "content-type": content_type})
    assert (reply.status, app.bodies) == (415, [])


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_in_utf8_is_read(content_type: str) -> None:
    assert ask(Recorder(), headers={**SCORE, "content-type": content_type}).status == 200


def test_a_packed_body_is_not_unpacked() -> None:
    assert ask(Recorder(), headers={**SCORE, "content-encoding": "gzip"}).status == 415


@pytest.mark.parametrize(
    ("declared", "pieces"),
    [("65", [b"x"]), (None, [b"x" * 65]), (None, [b"x" * 40, b"x" * 40]), ("3", [b"x" * 65]), ("9" * 30, [b"x"])],
)
def test_a_body_over_the_limit_is_refused_whatever_its_length_header_says(
    declared: str | None, pieces: list[bytes]
) -> None:
    app = Recorder()
    headers = SCORE if declared is None else {**SCORE, "content-length": declared}
    assert ask(app, headers=headers, body=pieces).status == 413
    assert app.bodies == []


def test_a_body_at_the_limit_passes() -> None:
    assert ask(Recorder(), body=[b"x" * 64]).status == 200


def test_a_slow_body_is_refused_and_its_connection_closed() -> None:
    app = Recorder()
    reply = ask(app, body=[b"x"] * 10, pause_s=0.05)
    assert (reply.status, reply.headers["connection"], app.bodies) == (408, "close", [])


def test_a_caller_who_leaves_gets_nothing() -> None:
    app = Recorder()
    assert ask(app, body=[]).status == 0
    assert app.bodies == []


def test_a_late_answer_is_refused() -> None:
    reply = ask(Recorder(wait_s=0.4))
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    reply.problem()


@pytest.mark.parametrize(("inner", "outer"), [(400, 400), (404, 404), (405, 500), (422, 422), (500, 500), (504, 503)])
def test_error_bodies_of_others_are_replaced(inner: int, outer: int) -> None:
    reply = ask(Recorder(status=inner))
    assert reply.status == outer
    assert "inner" not in reply.problem()["detail"] + reply.headers.get("x-inner", "")


def test_a_fault_becomes_a_problem_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        reply = ask(Recorder(error=KeyError("HH-SECRET")))
    assert reply.status == 500
    assert b"HH-SECRET" not in reply.body
    assert "HH-SECRET" not in caplog.text
    assert "KeyError (message withheld)" in caplog.text


def test_a_refusal_noted_behind_somebody_elses_error_body_is_the_reply() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        note(Invalid.because([]))
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"traceback"})

    assert ask(app).problem()["type"] == "urn:povrisk:problem:invalid"


def test_a_websocket_is_closed() -> None:
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    run_apart(guarded(Recorder(), TOKENS, SESSIONS, SMALL)({"type": "websocket"}, None, send))  # type: ignore[arg-type]
    assert said == [{"type": "websocket.close", "code": 1008}]


def test_everything_about_households_needs_a_purpose_and_a_token() -> None:
    public = {"/livez", "/readyz", "/login", "/logout", "/person", "/person/request", "/card", "/static/{file}"}
    assert {path for path, rule in RULES.items() if not rule.roles} == public
    assert {path for path, rule in RULES.items() if rule.needs_purpose} == {
        "/score",
        "/queue",
        "/assessments/{assessment_id}",
        "/assessments/{assessment_id}/replay",
        "/assessments/{assessment_id}/feedback",
        "/assessments/{assessment_id}/concern",
        "/assessments/{assessment_id}/outcome",
        "/households/{household_id}/assessments",
    }


CASE = "as-0123456789abcdef01234567"
READERS = {"platform", "caseworker", "supervisor"}


@pytest.mark.parametrize(
    ("path", "method", "roles"),
    [
        ("/queue", "GET", READERS),
        (f"/assessments/{CASE}", "GET", READERS),
        ("/households/h/assessments", "GET", READERS),
        (f"/assessments/{CASE}/replay", "GET", {"platform", "supervisor"}),
        (f"/assessments/{CASE}/feedback", "POST", {"caseworker", "supervisor"}),
        (f"/assessments/{CASE}/concern", "POST", {"caseworker", "supervisor"}),
        (f"/assessments/{CASE}/outcome", "POST", {"supervisor"}),
        ("/journal/head", "GET", {*READERS, "researcher"}),
        ("/", "GET", READERS),
        (f"/visit/{CASE}", "GET", READERS),
        (f"/visit/{CASE}/feedback", "POST", {"caseworker", "supervisor"}),
        (f"/visit/{CASE}/code", "POST", {"caseworker", "supervisor"}),
        (f"/household/{CASE}", "GET", READERS),
        ("/training", "GET", {*READERS, "researcher"}),
    ],
)
def test_each_address_is_for_its_roles(path: str, method: str, roles: set[str]) -> None:
    for role in ("platform", "caseworker", "supervisor", "researcher"):
        rule = rule_of(path)
        assert rule is not None
        form = {"content-type": "application/x-www-form-urlencoded"} if rule.is_page else JSON
        headers = {"authorization": f"Bearer {role[0] * 2}", "x-purpose": "prepare_visit", **form}
        assert ask(Recorder(), path, method=method, headers=headers).status == (200 if role in roles else 403)


@pytest.mark.parametrize(
    "path",
    [
        *("/visit/as-1", f"/visit/{CASE}x", f"/visit/{CASE}/", "/visit/{assessment_id}", "/static/../service.py"),
        *(
            "/training/x",
            "/training/1234",
            "/households//assessments",
            "/households/h\x00/assessments",
            "/assessments/",
        ),
        f"/households/{'h' * 129}/assessments",
    ],
)
def test_names_in_an_address_are_checked_for_their_form(path: str) -> None:
    assert rule_of(path) is None


def test_a_household_may_have_any_name() -> None:
    for name in ("h-1", "户/1", "a b", "h" * 128, "/assessments"):
        found = rule_of(f"/households/{name}/assessments")
        assert found is not None
        assert found.pattern == "/households/{household_id}/assessments"


@pytest.mark.parametrize(
    "written", ["", "platform", "platform:", "boss:x", "platform:a,caseworker:a", "platform:a b", " , "]
)
def test_tokens_that_cannot_be_used_are_refused(written: str) -> None:
    with pytest.raises(TokensRefused) as caught:
        read_tokens(written)
    assert "a b" not in str(caught.value)


def test_tokens_come_from_a_variable_or_a_file(tmp_path: Any) -> None:
    path = tmp_path / "tokens"
    path.write_text("# who\nplatform:one\nresearcher:two,caseworker:three\n")
    for environment in ({"POVRISK_TOKENS_FILE": str(path)}, {"POVRISK_TOKENS": path.read_text()}):
        tokens = tokens_from(environment)
        assert tokens is not None
        assert [tokens.role(t) is not None for t in ("one", "two", "three", "four")] == [True, True, True, False]
    assert tokens_from({}) is None
    with pytest.raises(TokensRefused, match="cannot be read"):
        tokens_from({"POVRISK_TOKENS_FILE": str(tmp_path / "none")})


def test_demo_tokens_are_never_the_same() -> None:
    assert len({token for _ in range(20) for token in demo_tokens().values()}) == 80


def test_settings_refuse_what_is_no_limit() -> None:
    assert settings_from({"POVRISK_MAX_EVENTS": "7"}).max_events == 7
    for value in ("0", "-1", "x", "nan"):
        with pytest.raises(SettingRefused, match="POVRISK_CALL_S"):
            settings_from({"POVRISK_CALL_S": value})
    assert bundle_key({"POVRISK_BUNDLE_KEY": "0aff"}) == b"\x0a\xff"
    with pytest.raises(SettingRefused):
        bundle_key({"POVRISK_BUNDLE_KEY": "no hex"})


def _record(name: str, message: str, *args: Any, error: BaseException | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord(name, logging.ERROR, "somewhere.py", 7, message, args, info)


def test_logs_of_other_libraries_lose_their_words_during_a_request() -> None:
    running = request_is_running.set(True)
    try:
        for name in ("bentoml.serve", "pandas", "root"):
            record = _record(name, "Exception on %s", "HH-SECRET", error=ValueError("HH-SECRET"))
            assert Redaction().filter(record)
            assert "HH-SECRET" not in logging.Formatter().format(record)
        own = _record("povrisk.serving", "refused %s", 422)
        assert Redaction().filter(own)
        assert own.getMessage() == "refused 422"
        assert not Redaction().filter(_record("bentoml.serve", "Exception", error=Invalid("x")))
    finally:
        request_is_running.reset(running)
    outside = _record("uvicorn.error", "started on %s", 3000)
    assert Redaction().filter(outside)
    assert outside.getMessage() == "started on 3000"
