"""Nothing about a household leaves the service but the answer to the caller: not in logs, metrics or errors.

One word stands in every place that a caller can fill, over every address and method, in good calls and in everything
that was found to go wrong. Then it is looked for wherever the service writes. Elsewhere: the MLflow store of a training
run (tests/acceptance/test_whole_path.py), what a crash writes (tests/spec/test_calls.py).
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from features.dataset import read_dataset
from serving.extract import request_of
from serving.guard.rules import RULES
from serving.metrics import METRICS
from tests.privacy.planted import BOOM, FAULT, SLOW, planted_in
from tests.server import TOKENS, RunningService, running_service

CANARY = "KANARIE"
ROOT = Path(__file__).parents[2]
# A caller may choose the numbers of its traces; these would be somebody's.
TRACE = "4711beef" * 4
HELD_STILL_S = 15.0
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", CANARY)
FILLED = {"household_id": f"{CANARY}-nobody", "n": "1", "file": f"{CANARY.lower()}.css"}


@dataclass
class Watched:
    """The service, where it keeps things, and what it sent back when it refused."""

    service: RunningService
    folder: Path
    refused: list[httpx.Response] = field(default_factory=list)

    def ask(self, method: str, path: str, **sent: Any) -> httpx.Response:
        """One call; what a refusal sends back must not repeat anything."""
        headers = {**self.service.headers(), **sent.pop("headers", {})}
        reply = self.client.request(method, self.service.url + path, headers=headers, **sent)
        if reply.status_code >= 400:
            self.refused.append(reply)
            assert CANARY.lower() not in (reply.text + repr(reply.headers)).lower(), reply.text
        return reply

    def score(self, document: Mapping[str, Any], **sent: Any) -> httpx.Response:
        return self.ask("POST", "/score", json=document, **sent)

    def until(self, what: str, happened: Callable[[], bool]) -> None:
        """Wait for something that the service does by itself."""
        deadline = time.monotonic() + HELD_STILL_S
        while not happened():
            assert time.monotonic() < deadline, f"{what}: not within {HELD_STILL_S} s"
            time.sleep(0.1)

    @property
    def log(self) -> str:
        return self.service.log.read_text()

    def __post_init__(self) -> None:
        # Calls go to whichever worker takes the connection; without keeping it, both are asked.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.Client(timeout=60, limits=limits)


@pytest.fixture(scope="module")
def watched(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Two workers, faults planted, everything that the service writes in one folder."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "tmp").mkdir()
    shutil.copytree(tiny_bundle, folder / "bundle")
    environment = {
        "PYTHONPATH": os.pathsep.join([str(planted_in(folder / "planted")), str(ROOT)]),
        "PLANTED_STORE": str(folder / "store-is-away"),
        "TMPDIR": str(folder / "tmp"),
        "POVRISK_WORKERS": "2",
        "POVRISK_CALL_S": "4",
        "POVRISK_CALLS_IN_RESERVE": "100000",
        "POVRISK_RELOAD_S": "0.3",
        "POVRISK_KILL_SWITCH": str(folder / "model-off"),
        "POVRISK_LOG": "json",
        "OTEL_TRACES_EXPORTER": "console",
    }
    with running_service(folder / "bundle", folder, **environment) as service:
        watched = Watched(service, folder)
        yield watched
        watched.client.close()


@pytest.fixture(scope="module")
def marked(tiny_county: Path) -> dict[str, Any]:
    """A good request in which every name and text is a canary."""
    county = read_dataset(tiny_county)
    busiest = county.events["household_id"].value_counts().index[0]
    household = request_of(county, busiest, county.meta.moments.until)["households"][0]
    household["household_id"] = f"{CANARY}-household"
    household["township"] = f"{CANARY}-township"
    for member in household["members"]:
        member["person_id"] = f"{CANARY}-{member['person_id']}"
    for event in household["events"]:
        event["text"] = f"{CANARY}-text"
        for name in ("person_id", "event_id", "supersedes"):
            if name in event:
                event[name] = f"{CANARY}-{event[name]}"
    return {"households": [household]}


@pytest.fixture(scope="module")
def kept(watched: Watched, marked: dict[str, Any]) -> str:
    """The name of the marked household's assessment; its answer may hold what was sent."""
    reply = watched.score(marked, headers={"X-Purpose": "prioritise_visit"})
    assert reply.status_code == 200
    assert f"{CANARY}-household" in reply.text
    history = watched.ask("GET", f"/households/{CANARY}-household/assessments")
    assert (history.status_code, history.json()["household_id"]) == (200, f"{CANARY}-household")
    return str(history.json()["assessments"][0]["assessment_id"])


def with_id(marked: dict[str, Any], word: str) -> dict[str, Any]:
    return {"households": [{**marked["households"][0], "household_id": f"{CANARY}-{word}"}]}


def spoiled(marked: dict[str, Any]) -> Iterator[Any]:
    """The same request broken in every place, one at a time."""
    household = marked["households"][0]
    for name in household:
        for value in (CANARY, [CANARY], {CANARY: CANARY}, None, 1e400):
            yield {"households": [{**household, name: value}]}
    for part in ("members", "events"):
        first = household[part][0]
        for name, value in itertools.product((*first, CANARY), (f"{CANARY}\n{CANARY}", {CANARY: 1}, -1e308)):
            yield {"households": [{**household, part: [{**first, name: value}]}]}
    yield {"households": [household, household]}
    yield CANARY


def test_every_field_of_a_call_spoiled(watched: Watched, marked: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/json"}
    replies = [
        watched.ask("POST", "/score", content=json.dumps(each).encode(), headers=headers) for each in spoiled(marked)
    ]
    assert {reply.status_code for reply in replies} <= {200, 400, 422}
    assert sum(reply.status_code != 200 for reply in replies) > 50
    content = json.dumps(marked).encode()
    assert watched.ask("POST", "/score", content=content[:-9], headers=headers).status_code == 400


def test_every_address_by_every_method(watched: Watched, marked: dict[str, Any], kept: str) -> None:
    """With a form, JSON and rubbish as the body, as everybody there is and as a stranger."""
    bodies: tuple[dict[str, Any], ...] = (
        {"json": {**marked, CANARY: CANARY, "what": CANARY, "concern": CANARY, "note": CANARY, "version": 1}},
        {"data": {"token": CANARY, "code": CANARY, "next": f"/{CANARY}", "csrf": CANARY, CANARY: CANARY}},
        {"content": f"{CANARY}\x00{{".encode(), "headers": {"Content-Type": f"text/{CANARY}"}},
    )
    tokens = itertools.cycle([*TOKENS.values(), f"{CANARY}-token"])
    seen = set()
    for pattern, method in itertools.product(RULES, METHODS):
        path = re.sub(r"\{(\w+)\}", lambda part: {**FILLED, "assessment_id": kept}[part[1]], pattern)
        for sent in ({}, *bodies) if method == "POST" else ({},):
            more = {
                "Authorization": f"Bearer {next(tokens)}",
                "Idempotency-Key": f"{CANARY}-key",
                "User-Agent": CANARY,
                "Cookie": f"povrisk_session={CANARY}",
                **sent.get("headers", {}),
            }
            query = "" if method == "POST" else f"?{CANARY}={CANARY}"
            reply = watched.ask(method, path + query, **{**sent, "headers": more})
            seen.add((pattern, method, reply.status_code < 500))
    assert len(seen) >= len(RULES) * len(METHODS)
    assert {ok for _, _, ok in seen} == {True}


def test_every_way_to_ask_wrongly(watched: Watched, marked: dict[str, Any]) -> None:
    asked: dict[str, tuple[int, Callable[[], httpx.Response]]] = {
        "path": (404, lambda: watched.ask("GET", f"/{CANARY}")),
        "household": (404, lambda: watched.ask("GET", f"/households/{CANARY}-nobody/assessments")),
        "query": (422, lambda: watched.score(marked, params={CANARY: CANARY})),
        "language": (422, lambda: watched.score(marked, params={"lang": CANARY})),
        "town": (422, lambda: watched.ask("GET", f"/queue?tier={CANARY}&limit={CANARY}")),
        "token in the address": (401, lambda: watched.score(marked, params={"token": CANARY})),
        "purpose": (403, lambda: watched.score(marked, headers={"X-Purpose": CANARY})),
        "token": (401, lambda: watched.score(marked, headers={"Authorization": f"Bearer {CANARY}"})),
        "media type": (415, lambda: watched.score(marked, headers={"Content-Type": f"text/{CANARY}"})),
        "size": (413, lambda: watched.ask("POST", "/score", content=CANARY.encode() * 700_000, headers=AS_JSON)),
        "trace": (200, lambda: watched.ask("GET", "/docs.json", headers=TRACED)),
        "trace of a score": (200, lambda: watched.score(marked, headers={**TRACED, "X-Request-Id": CANARY})),
    }
    assert {name: call().status_code for name, (_, call) in asked.items()} == {
        name: status for name, (status, _) in asked.items()
    }
    address = urlsplit(watched.service.url)
    for said in (f"{CANARY} /{CANARY} NOT-HTTP\r\n{CANARY}: {CANARY}\r\n\r\n", f"GET /{CANARY} HTTP/1.1\r\n{CANARY}"):
        with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
            connection.sendall(said.encode())
            if "NOT-HTTP" in said:
                assert CANARY.encode() not in connection.recv(65_536)


AS_JSON = {"Content-Type": "application/json"}
TRACED = {
    "traceparent": f"00-{TRACE}-{TRACE[:16]}-01",
    "tracestate": f"{CANARY.lower()}={CANARY}",
    "baggage": f"{CANARY}={CANARY}",
    "b3": f"{TRACE}-{TRACE[:16]}-1",
}


def test_everything_that_fails_inside(watched: Watched, marked: dict[str, Any], kept: str) -> None:
    # A fault of one household costs it its assessment; a fault of an address is an error.
    failed = watched.score(with_id(marked, FAULT))
    assert (failed.status_code, failed.json()["results"][0]["status"]) == (200, "error")
    assert watched.ask("GET", f"/queue?township={CANARY}-{BOOM}").status_code == 500
    assert watched.score(with_id(marked, SLOW)).status_code == 503

    flag = watched.folder / "store-is-away"
    flag.touch()
    try:
        scored = watched.score(marked)
        assert (scored.status_code, scored.headers["X-Assessment-Kept"]) == (200, "no")
        for path in (f"/assessments/{kept}", f"/households/{CANARY}-household/assessments", "/journal/head"):
            assert watched.ask("GET", path).status_code == 503
    finally:
        flag.unlink()
    # Each worker leaves a store that was away alone for a while.
    watched.until("the store is back", lambda: kept_of(watched, marked) == {"yes"})


def kept_of(watched: Watched, marked: dict[str, Any]) -> set[str]:
    return {watched.score(marked).headers["X-Assessment-Kept"] for _ in range(6)}


def test_a_model_that_is_refused_or_switched_off(watched: Watched, marked: dict[str, Any]) -> None:
    switch, manifest = watched.folder / "model-off", watched.folder / "bundle" / "manifest.json"

    def statuses() -> set[str]:
        return {watched.score(marked).json()["results"][0]["status"] for _ in range(6)}

    switch.write_text(CANARY)
    watched.until("the model is off", lambda: statuses() == {"rules_only"})
    switch.unlink()
    watched.until("the model is on again", lambda: "rules_only" not in statuses())

    whole = manifest.read_text()
    manifest.write_text(json.dumps({"name": CANARY, "files": {f"{CANARY}.txt": CANARY}, "schema": CANARY}))
    watched.until("the model is refused", lambda: "povrisk_bundle_refusals_total" in told(watched))
    manifest.write_text(whole)
    assert watched.score(marked).status_code == 200


def told(watched: Watched) -> str:
    return watched.ask("GET", "/metrics").text


def test_the_word_is_nowhere(watched: Watched, marked: dict[str, Any], kept: str) -> None:
    """Runs last, over all that the tests before left behind."""
    metrics, log = told(watched), watched.log
    secret = [CANARY, CANARY.lower(), quote(CANARY), *TOKENS.values(), kept, TRACE, str(int(TRACE, 16))]
    assert len(watched.refused) > 300
    places = {"log": log, "metrics": metrics, "journal": journal(watched.folder)}
    for word, (place, text) in itertools.product(secret, places.items()):
        assert (word in text, place) == (False, place) or (word, place) == (kept, "journal")
    # The faults were there, and each left its line.
    for trace in ("ValueError (message withheld)", "KeyError (message withheld)", "a thread ended", "an object ended"):
        assert trace in log
    assert "somebody.else (" in log and "text withheld" in log
    assert not re.search(r"StoreDown: |RuntimeError: |INSERT INTO", log)

    # What it leaves on disk while it runs, and what would be left of a crash. What the test wrote itself is no leak.
    own = {"planted", "bundle"}
    for path in watched.folder.rglob("*"):
        if path.is_file() and path.relative_to(watched.folder).parts[0] not in own and ".db" not in path.name:
            content = path.read_bytes()
            assert not [word for word in secret if word.encode() in content], path.name
    assert any(path.suffix == ".db" and path.parent.name == "prometheus_multiproc_dir" for path in files(watched))
    for path in files(watched):
        if path.parent.name == "prometheus_multiproc_dir":
            assert not [word for word in secret if word.encode() in path.read_bytes()], path.name
    assert not [path.name for path in files(watched) if path.name.startswith("core")]


def files(watched: Watched) -> list[Path]:
    return [path for path in watched.folder.rglob("*") if path.is_file()]


def journal(folder: Path) -> str:
    """Every cell of the journal, as text. The store beside it holds the households, as it should."""
    [store] = folder.glob("*.db")
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT * FROM journal").fetchall()
    assert rows
    return repr(rows)


def test_every_line_of_a_call_has_the_same_fields_and_no_others(watched: Watched) -> None:
    lines = [json.loads(line) for line in watched.log.splitlines() if '"povrisk.calls"' in line]
    assert len(lines) > 400
    assert len({tuple(line) for line in lines}) == 1
    assert {line["address"] for line in lines} == {*RULES, "unknown"}
    assert {line["method"] for line in lines} <= {*METHODS[:-1], "unknown"}
    assert {line["pid"] for line in lines} == {line["pid"] for line in lines if line["status"] == 200}
    assert len({line["pid"] for line in lines}) == 2
    assert len({line["request_id"] for line in lines}) == len(lines)


def test_labels_are_from_a_list_and_the_workers_are_added_up(watched: Watched) -> None:
    by_status: dict[str, int] = {}
    for line in watched.log.splitlines():
        if '"povrisk.calls"' in line and json.loads(line)["address"] == "/model":
            status = str(json.loads(line)["status"])
            by_status[status] = by_status.get(status, 0) + 1
    families = list(text_string_to_metric_families(told(watched)))
    counted = {
        sample.labels["status"]: sample.value
        for each in families
        for sample in each.samples
        if sample.name == "povrisk_calls_total" and sample.labels["address"] == "/model"
    }
    assert counted == by_status
    ours = {f"{each.name}_total" if each.type == "counter" else each.name for each in families}
    ours = {name for name in ours if name.startswith("povrisk_")}
    assert ours <= set(METRICS)
    theirs = {sample.labels["endpoint"] for each in families for sample in each.samples if "endpoint" in sample.labels}
    assert theirs <= {rule.pattern for rule in RULES.values() if not rule.is_ours}


def test_notebooks_hold_nobody() -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            assert not cell.get("outputs")
