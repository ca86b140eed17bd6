"""Nothing about a household leaves the service but the answer to the caller: not in logs, metrics or errors."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from features.dataset import read_dataset
from serving.extract import request_of
from tests.server import TOKENS, RunningService, running_service

# One word in every place that a caller can fill; each use gets a number of its own.
CANARY = "KANARIE"


@pytest.fixture(scope="module")
def service(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tiny_bundle, tmp_path_factory.mktemp("watched")) as running:
        yield running


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


def test_a_canary_in_every_field_is_seen_by_nobody(service: RunningService, marked: dict[str, Any]) -> None:
    answer = service.post(json=marked)
    assert answer.status_code == 200
    assert f"{CANARY}-household" in answer.text

    headers = {**service.headers(), "Content-Type": "application/json"}
    n_refused = 0
    with httpx.Client(headers=headers, timeout=60) as client:
        for document in spoiled(marked):
            reply = client.post(service.url + "/score", content=json.dumps(document).encode())
            assert reply.status_code in (200, 400, 422), reply.text
            if reply.status_code != 200:
                n_refused += 1
                assert CANARY not in reply.text
        truncated = client.post(service.url + "/score", content=json.dumps(marked).encode()[:-9])
        elsewhere = [
            client.get(f"{service.url}/{CANARY}"),
            client.get(f"{service.url}/households/{CANARY}-nobody/assessments"),
            client.post(f"{service.url}/score?{CANARY}={CANARY}", json=marked),
            client.post(f"{service.url}/score?lang={CANARY}", json=marked),
            client.post(f"{service.url}/score?token={CANARY}", json=marked),
            client.post(service.url + "/score", json=marked, headers={"X-Purpose": CANARY}),
            client.post(service.url + "/score", json=marked, headers={"Authorization": f"Bearer {CANARY}"}),
            client.post(service.url + "/score", json=marked, headers={"Content-Type": f"text/{CANARY}"}),
            client.post(service.url + "/score", json=marked, headers={"traceparent": CANARY, "User-Agent": CANARY}),
        ]
    assert n_refused > 50
    assert [reply.status_code for reply in [truncated, *elsewhere]] == [
        400,
        404,
        404,
        422,
        422,
        401,
        403,
        401,
        415,
        200,
    ]
    for reply in [truncated, *elsewhere[:-1]]:
        assert CANARY not in reply.text

    kept = service.get(f"/households/{CANARY}-household/assessments")
    assert (kept.status_code, kept.json()["household_id"]) == (200, f"{CANARY}-household")
    name = kept.json()["assessments"][0]["assessment_id"]
    assert service.get(f"/assessments/{name}").status_code == 200

    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(f"{CANARY} /{CANARY} NOT-HTTP\r\n{CANARY}: {CANARY}\r\n\r\n".encode())
        assert CANARY.encode() not in connection.recv(65_536)

    metrics = service.get("/metrics").text
    assert "/score" in metrics
    assert CANARY not in metrics
    log = service.log.read_text()
    assert "refused 422 on /score" in log
    assert CANARY not in log
    assert name not in log + metrics
    for token in TOKENS.values():
        assert token not in log + metrics
