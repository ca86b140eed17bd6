"""The way back, over HTTP: assessed, listed, visited, corrected, assessed again; on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from features.dataset import read_dataset
from features.unit import Unit
from models.bundle import Bundle
from serving.extract import request_of
from serving.messages import Batch
from serving.scoring import Scorer
from serving.settings import Settings
from serving.store import journal, verification
from serving.store.engine import open_store
from tests.server import RunningService, running_service
from tests.stores import store_url

__all__ = ["store_url"]

AS_OF, TODAY = "2021-08-31", "2021-09-15"


def cited_amounts(record: Mapping[str, Any], bundle: Bundle) -> dict[str, str]:
    """Events of money that the facts of reasons cite, each with one fact that cites it."""
    kinds = bundle.catalogue.by_code
    return {
        event["event_id"]: fact["fact_id"]
        for reason in record["reasons"]
        for fact in reason["facts"]
        for event in fact["events"]
        if event["code"].startswith("CLM//") and kinds[event["code"]].unit is Unit.MONEY
    }


def patient(tiny_county: Path, bundle: Bundle) -> dict[str, Any]:
    """The request of a household with a score that rests on at least two hospital bills."""
    county = read_dataset(tiny_county)
    scorer = Scorer(bundle, Settings(today=TODAY))
    for name in county.events["household_id"].value_counts().index[:200]:
        body = request_of(county, name, AS_OF)
        record = scorer.score(Batch.model_validate(body).households)[0]
        if record["status"] == "scored" and len(cited_amounts(record, bundle)) >= 2:
            return body
    raise AssertionError("no such household in the county")


class Loop:
    """The service as its callers see it."""

    def __init__(self, service: RunningService) -> None:
        self.service = service

    def get(self, path: str, role: str = "caseworker", status: int = 200, **sent: Any) -> Any:
        reply = self.service.get(path, headers=self.service.headers(role), **sent)
        assert reply.status_code == status, reply.text
        return reply.json()

    def visit(self, name: str, key: str, body: Mapping[str, Any], status: int = 201) -> httpx.Response:
        headers = {**self.service.headers("caseworker"), "Idempotency-Key": key}
        reply = self.service.post(f"/assessments/{name}/feedback", json=body, headers=headers)
        assert reply.status_code == status, reply.text
        return reply

    def score(self, body: Mapping[str, Any]) -> Any:
        reply = self.service.post(json=body, headers=self.service.headers(purpose="prioritise_visit"))
        assert reply.headers["X-Assessment-Kept"] == "yes"
        return reply.json()["results"][0]


def test_a_visit_comes_back_into_the_record(
    store_url: str, tiny_bundle: Path, tiny_county: Path, opened_bundle: Bundle, tmp_path: Path
) -> None:
    body = patient(tiny_county, opened_bundle)
    household_id = body["households"][0]["household_id"]
    with running_service(tiny_bundle, tmp_path, POVRISK_STORE=store_url, POVRISK_TODAY=TODAY) as service:
        assert service.said["store"].startswith(store_url.partition(":")[0])
        loop = Loop(service)

        first = loop.score(body)
        name = first["assessment_id"]
        entry = loop.get("/queue")["entries"][0]
        assert (entry["household_id"], entry["assessment_id"], entry["version"]) == (household_id, name, 1)
        assert loop.get("/queue", params={"tier": first["tier"]})["total"] == 1
        assert loop.get(f"/assessments/{name}") == first

        report = wrong_and_changed(first, opened_bundle)
        receipt = loop.visit(name, "visit-1", report).json()
        assert (receipt["version"], receipt["rescored"]) == (2, "yes")
        statuses = {event["supersedes"]: event["status"] for event in receipt["events"] if event["supersedes"]}
        assert statuses == {report["facts"][0]["event_id"]: "retracted", report["facts"][1]["event_id"]: "corrected"}

        again = loop.get(f"/assessments/{receipt['assessment_id']}")
        check_change(again, first, receipt)
        assert loop.get("/queue")["entries"] == []
        listed = loop.get(f"/households/{household_id}/assessments")["assessments"]
        assert [each["origin"] for each in listed] == ["visit", "call"]

        late = loop.visit(name, "visit-2", {**report, "judgement": None}, status=409).json()
        assert (late["type"], late["current_version"]) == ("urn:povrisk:problem:outdated", 0)
        assert loop.visit(name, "visit-1", report).json() == receipt
        assert loop.visit(name, "visit-1", {**report, "channel": "phone"}, status=422).json()["type"].endswith("reused")

        objection = {"version": 0, "visited_on": TODAY, "channel": "office", "household_said": "objected"}
        said = loop.visit(receipt["assessment_id"], "visit-3", objection).json()
        assert said["rescored"] == "human_only"
        last = loop.get(f"/assessments/{said['assessment_id']}")
        assert (last["status"], last["probability"], last["abstention"][0]["code"]) == ("abstained", None, "opted_out")
        head = loop.get("/journal/head", "researcher")
        assert head["seq"] == 5, "a call, two visits, and the assessment after each"

        seen_by_nobody(service, household_id, name)

    store = open_store(store_url)
    with store.reading() as connection:
        assert verification.verify(connection) == (5, None, None)
        assert journal.head(connection).hash == head["hash"]
    store.close()


def wrong_and_changed(record: Mapping[str, Any], bundle: Bundle) -> dict[str, Any]:
    """A report that one bill is wrong and another was of another amount."""
    (wrong, fact), (changed, other) = list(cited_amounts(record, bundle).items())[:2]
    return {
        "version": 1,
        "visited_on": TODAY,
        "facts": [
            {"fact_id": fact, "answer": "wrong", "event_id": wrong},
            {"fact_id": other, "answer": "changed", "event_id": changed, "value": 123.5},
        ],
        "judgement": {"judgement": "lower", "because": "record_wrong"},
        "actions": [{"policy": "A01", "what": "explained"}],
    }


def check_change(again: Mapping[str, Any], first: Mapping[str, Any], receipt: Mapping[str, Any]) -> None:
    """The new assessment says what is different, rests on the corrected record, and knows of the visit."""
    change = again["change"]
    assert change["previous"]["assessment_id"] == first["assessment_id"]
    assert change["n_repaired_events"] == 2
    assert change["split"]["data_repaired"] != 0
    assert abs(sum(change["split"].values()) - change["per_100"]) < 1e-6
    assert abs(change["per_100"] - 100 * (again["probability"] - first["probability"])) < 1e-6
    withdrawn = {event["supersedes"] for event in receipt["events"] if event["status"] == "retracted"}
    assert not withdrawn & {e["event_id"] for r in again["reasons"] for f in r["facts"] for e in f["events"]}
    assert (again["assistance_chain"][-1]["step"], again["assistance_chain"][-1]["source"]) == ("visit", "visit")


def seen_by_nobody(service: RunningService, *names: str) -> None:
    """No name of an address is in the metrics or in the log."""
    service.get(f"/households/{names[0]}-unknown/assessments")
    metrics, log = service.get("/metrics").text, service.log.read_text()
    assert 'endpoint="/score"' in metrics
    for name in names:
        assert name not in metrics + log
    assert "/households/{household_id}/assessments" in log
    assert json.loads(service.get("/docs.json").text)["paths"]["/queue"]
