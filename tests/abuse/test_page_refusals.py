"""What pages and their addresses refuse: strangers, forged forms, guessed codes, names that are no names."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from features.dataset import Dataset, read_dataset
from models.bundle import Bundle
from serving.desk import Desk
from serving.extract import request_of
from serving.messages import Batch
from serving.scoring import Scorer
from serving.settings import Settings
from serving.store.engine import open_store
from tests.front import HTML, TestClient, front, log_in, secret_of
from tests.server import TOKENS

CANARY = "KANARIE"
TODAY = "2021-09-15"
NOBODY = "as-" + "0" * 24


@pytest.fixture(scope="module")
def county(tiny_county: Any) -> Dataset:
    return read_dataset(tiny_county)


@pytest.fixture(scope="module")
def desk(opened_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    settings = Settings(today=TODAY)
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}")
    yield Desk(Scorer(opened_bundle, settings), store, settings)
    store.close()


@pytest.fixture(scope="module")
def record(desk: Desk, county: Dataset) -> dict[str, Any]:
    """A kept assessment of a household that carries a canary for a name and a township."""
    busiest = county.events["household_id"].value_counts().index[0]
    body = request_of(county, busiest, "2021-08-31")["households"][0]
    marked = {**body, "household_id": f"{CANARY}-household", "township": f"<b>{CANARY}</b>"}
    asked = Batch.model_validate({"households": [marked]}).households
    return desk.score_and_keep(asked, role="platform", purpose="prioritise_visit").records[0]


@pytest.fixture
def client(desk: Desk) -> Iterator[TestClient]:
    with front(desk) as made:
        yield made


def bearer(role: str = "caseworker", **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {TOKENS[role]}", "x-purpose": "prepare_visit", **more}


def report(client: TestClient, name: str, body: Any, **headers: str) -> Any:
    return client.post(
        f"/assessments/{name}/feedback", json=body, headers={**bearer(), "idempotency-key": "k", **headers}
    )


def test_a_person_logs_in_sees_the_queue_and_logs_out(client: TestClient, record: Mapping[str, Any]) -> None:
    assert client.get("/", headers=HTML).headers["location"] == "/login?next=/"
    log_in(client, "caseworker", f"/visit/{record['assessment_id']}")
    queue = client.get("/", headers=HTML)
    assert queue.status_code == 200
    assert f"<b>{CANARY}" not in queue.text
    assert client.get(f"/visit/{record['assessment_id']}", headers=HTML).status_code == 200
    out = client.post("/logout", data={"csrf": secret_of(queue.text)}, headers=HTML)
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert client.get("/", headers=HTML).status_code == 303


@pytest.mark.parametrize(
    "following", ["//elsewhere", "https://elsewhere/", "/logout", "/nothing", "/score", "", "/\\e"]
)
def test_a_login_never_leads_elsewhere(client: TestClient, following: str) -> None:
    page = client.get("/login", headers=HTML)
    form = {"csrf": secret_of(page.text), "token": TOKENS["platform"], "next": following}
    assert client.post("/login", data=form, headers=HTML).headers["location"] == "/"


def test_wrong_tokens_are_counted_and_never_repeated(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    secret = secret_of(client.get("/login", headers=HTML).text)
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            reply = client.post("/login", data={"csrf": secret, "token": CANARY, "next": "/"}, headers=HTML)
            assert (reply.status_code, reply.headers["location"]) == (303, "/login?failed=1&next=/")
            assert "povrisk_session" not in reply.headers.get("set-cookie", "")
        right = {"csrf": secret, "token": TOKENS["platform"], "next": "/"}
        late = client.post("/login", data=right, headers=HTML)
    assert (late.status_code, CANARY in late.text) == (429, False)
    assert int(late.headers["retry-after"]) > 0
    assert CANARY not in caplog.text


def test_a_stranger_who_guesses_shuts_out_nobody_elsewhere(client: TestClient) -> None:
    for path, wrong, limit in (("/login", {"token": CANARY, "next": "/"}, 5), ("/person", {"code": CANARY}, 10)):
        statuses = []
        for host in ("10.0.0.8", "10.0.0.9"):
            browser = TestClient(client.app, base_url="http://here", follow_redirects=False, client=(host, 5000))
            form = {"csrf": secret_of(browser.get(path, headers=HTML).text), **wrong}
            statuses += [browser.post(path, data=form, headers=HTML).status_code for _ in range(limit + 1)]
        assert [n for n, status in enumerate(statuses) if status == 429] == [limit, 2 * limit + 1]


def test_a_form_without_its_secret_records_nothing(client: TestClient, desk: Desk, record: Mapping[str, Any]) -> None:
    log_in(client, "caseworker")
    name, seq = record["assessment_id"], desk.journal_head()["seq"]
    for path in ("feedback", "concern", "code"):
        for form in ({}, {"csrf": CANARY}):
            reply = client.post(f"/visit/{name}/{path}", data={"version": "1", **form}, headers=HTML)
            assert (reply.status_code, CANARY in reply.text) == (403, False)
    assert desk.journal_head()["seq"] == seq


def test_codes_cannot_be_tried_one_after_the_other(client: TestClient, record: Mapping[str, Any]) -> None:
    secret = secret_of(client.get("/person", headers=HTML).text)
    statuses = [
        client.post("/person", data={"csrf": secret, "code": f"{CANARY}{n}"}, headers=HTML).status_code
        for n in range(12)
    ]
    assert set(statuses[:10]) <= {404, 422}
    assert statuses[10:] == [429, 429]


@pytest.mark.parametrize("name", [NOBODY, "as-1", CANARY, "as-" + "0" * 23 + "'", "%00", "..%2f..%2fetc"])
def test_names_that_are_not_kept_are_404_everywhere(client: TestClient, name: str) -> None:
    for path in (f"/assessments/{name}", f"/visit/{name}", f"/visit/{name}/sheet", f"/household/{name}"):
        reply = client.get(path, headers=bearer())
        assert (reply.status_code, reply.headers["content-type"]) == (404, "application/problem+json")
        assert CANARY not in reply.text
    assert report(client, name, {"version": 0, "visited_on": TODAY}).status_code == 404
    assert client.get(f"/households/{CANARY}-x/assessments", headers=bearer()).status_code == 404


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, ["version"]),
        ({"version": 1, "visited_on": CANARY}, ["visited_on"]),
        ({"version": 1, "visited_on": "2021-02-31"}, ["visited_on"]),
        ({"version": 1, "visited_on": "2021-09-20"}, ["visited_on"]),
        ({"version": "1", "visited_on": TODAY}, ["version"]),
        ({"version": 1, "visited_on": TODAY, CANARY: 1}, ["(key)"]),
        ({"version": 1, "visited_on": TODAY, "note": CANARY}, ["note"]),
        (
            {"version": 1, "visited_on": TODAY, "facts": [{"fact_id": CANARY, "answer": "wrong"}]},
            ["facts", 0, "fact_id"],
        ),
        (
            {"version": 1, "visited_on": TODAY, "answers": [{"question_id": CANARY, "answer": "no"}]},
            ["answers", 0, "question_id"],
        ),
        (
            {"version": 1, "visited_on": TODAY, "actions": [{"policy": CANARY, "what": "applied"}]},
            ["actions", 0, "policy"],
        ),
        ({"version": 1, "visited_on": TODAY, "facts": [{}] * 61}, ["facts"]),
    ],
)
def test_a_wrong_report_is_named_and_never_repeated(
    client: TestClient, record: Mapping[str, Any], body: Any, path: list[Any]
) -> None:
    reply = report(client, record["assessment_id"], body)
    assert (reply.status_code, CANARY in reply.text) == (422, False)
    assert path in [error["path"] for error in reply.json()["errors"]]


@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 129, "k\tk", b"k\xe9"])
def test_a_report_needs_a_key_of_its_own(client: TestClient, record: Mapping[str, Any], key: Any) -> None:
    body = {"version": 1, "visited_on": TODAY}
    reply = report(client, record["assessment_id"], body, **{"idempotency-key": key})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["path"] == ["header", "Idempotency-Key"]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"version": 1, "version": 2}', b"\xff", b"[" * 50_000])
def test_what_is_no_report_is_refused(client: TestClient, record: Mapping[str, Any], body: bytes) -> None:
    headers = {**bearer(), "idempotency-key": "k", "content-type": "application/json"}
    reply = client.post(f"/assessments/{record['assessment_id']}/feedback", content=body, headers=headers)
    assert reply.status_code in (400, 422)


@pytest.mark.parametrize(
    "query",
    [
        *("tier=pink", "limit=0", "limit=201", "limit=x", "limit=9" + "9" * 40, "cursor=x", "queue=all", "other=1"),
        *("tier=red&tier=red", "township=%00", "township=" + "x" * 201, f"{CANARY}={CANARY}", "cursor=" + "A" * 200),
    ],
)
def test_a_wrong_filter_is_422(client: TestClient, query: str) -> None:
    reply = client.get(f"/queue?{query}", headers=bearer())
    assert (reply.status_code, CANARY in reply.text) == (422, False)


def test_a_filter_of_another_script_finds_nothing(client: TestClient, record: Mapping[str, Any]) -> None:
    for township in ("' OR 1=1 --", "镇", "%"):
        reply = client.get("/queue", params={"township": township}, headers=bearer())
        assert (reply.status_code, reply.json()["entries"]) == (200, [])


def test_nothing_of_a_household_is_logged(
    client: TestClient, record: Mapping[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    name = record["assessment_id"]
    with caplog.at_level(logging.DEBUG, logger="povrisk"):
        client.get(f"/households/{CANARY}-household/assessments", headers=bearer())
        client.get(f"/households/{CANARY}-household/assessments", headers=bearer("researcher"))
        client.get(f"/households/{CANARY}-other/assessments", headers=bearer())
        report(client, name, {"version": 7, "visited_on": TODAY})
        report(client, name, {"version": 1, "visited_on": TODAY, "facts": [{"fact_id": CANARY, "answer": "wrong"}]})
    assert "refused 404 on /households/{household_id}/assessments" in caplog.text
    assert CANARY not in caplog.text
    assert name not in caplog.text


def test_without_a_store_pages_and_reports_say_so(desk: Desk) -> None:
    with front(Desk(desk.scorer, None, desk.settings)) as client:
        for path in ("/queue", f"/assessments/{NOBODY}", "/journal/head"):
            reply = client.get(path, headers=bearer())
            assert (reply.status_code, reply.json()["type"]) == (503, "urn:povrisk:problem:no-store")
        log_in(client, "caseworker")
        page = client.get("/", headers=HTML)
        assert page.status_code == 503
        assert "--store none" in page.text
        assert client.get("/card", headers=HTML).status_code == 200


def test_before_the_bundle_is_loaded_nothing_is_answered() -> None:
    with front(None) as client:
        for path in ("/model", "/queue"):
            reply = client.get(path, headers=bearer())
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")


def test_a_retry_gets_the_same_bytes(client: TestClient, record: Mapping[str, Any]) -> None:
    body = {"version": 1, "visited_on": TODAY, "outcome": "nobody_home"}
    first = report(client, record["assessment_id"], body, **{"idempotency-key": "once"})
    again = report(client, record["assessment_id"], body, **{"idempotency-key": "once"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert json.loads(first.content)["version"] == 2
