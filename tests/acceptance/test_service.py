"""The real service on loopback: a bundle goes up, households are assessed, and it leaves in order."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.dataset import Dataset, read_dataset
from models.bundle import Bundle, read_bundle
from serving.batch import score_dataset, score_job
from serving.extract import request_of
from serving.feedback import Feedback
from serving.guard.rules import RULES
from serving.messages import Assessment
from tests.server import RunningService, running_service

# Every field that the contract promises, written out, so that losing one is seen here.
FIELDS = {
    *("schema", "assessment_id", "household_id", "as_of", "valid_until", "horizon_months", "status", "probability"),
    *("interval", "per_100", "base_rate_per_100", "tier", "tier_basis", "points", "poverty_types", "dimensions"),
    *("reasons", "contributions", "triggers", "data_gaps", "data_quality", "questions", "policy_candidates", "limits"),
    *("model", "decision", "decision_authority"),
}


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def county(tiny_county: Path) -> Dataset:
    return read_dataset(tiny_county)


@pytest.fixture(scope="module")
def rows(
    bundle: Bundle, tiny_bundle: Path, tiny_county: Path, tmp_path_factory: pytest.TempPathFactory
) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("batch") / "rows.parquet"
    until = read_dataset(tiny_county).meta.moments.until
    score_dataset(score_job(bundle, tiny_bundle, tiny_county, until), tiny_county, out)
    return pq.read_table(out).to_pandas().set_index("household_id")


@pytest.fixture(scope="module")
def service(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tiny_bundle, tmp_path_factory.mktemp("service")) as running:
        yield running


def asked(county: Dataset, *household_ids: str, as_of: str | None = None) -> list[dict[str, Any]]:
    moment = as_of or county.meta.moments.until
    return [request_of(county, name, moment)["households"][0] for name in household_ids]


def assessed(service: RunningService, households: list[dict[str, Any]], query: str = "") -> list[dict[str, Any]]:
    reply = service.post(f"/score{query}", json={"households": households})
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    results: list[dict[str, Any]] = reply.json()["results"]
    return results


def test_ready_means_that_the_bundle_is_loaded(service: RunningService, bundle: Bundle) -> None:
    for path in ("/livez", "/readyz"):
        assert httpx.get(service.url + path, timeout=10).status_code == 200
    assert (service.said["model"], service.said["version"]) == (bundle.name, bundle.version)
    assert service.url.startswith("http://127.0.0.1:")


def test_an_assessment_has_every_field_and_adds_up(
    service: RunningService, county: Dataset, rows: pd.DataFrame, bundle: Bundle
) -> None:
    most_explained = rows["reasons"].map(len).idxmax()
    answer = assessed(service, asked(county, most_explained))[0]
    assert set(answer) >= FIELDS
    assert (answer["schema"], answer["decision"], answer["decision_authority"]) == ("assessment.v1", None, "human")
    assert answer["household_id"] == most_explained
    assert answer["model"] == {"name": bundle.name, "version": bundle.version, "bundle_sha256": bundle.sha256}
    probability, contributions = answer["probability"], answer["contributions"]
    log_odds = math.log(probability / (1 - probability))
    assert abs(contributions["base"] + sum(contributions["groups"].values()) - log_odds) < 1e-6
    assert answer["reasons"]
    for reason in answer["reasons"]:
        for fact in reason["facts"]:
            assert set(fact["text"]) == {"zh", "en"}
            for event in fact["events"]:
                assert {"event_id", "code", "occurred_at", "known_at", "source"} <= set(event)
                assert event["known_at"] <= answer["as_of"]
    assert all(set(limit) == {"zh", "en"} for limit in answer["limits"])


def test_what_is_not_computed_yet_is_empty_and_never_invented(service: RunningService, county: Dataset) -> None:
    answer = assessed(service, asked(county, county.households["household_id"].iloc[0]))[0]
    assert answer["interval"] is None or len(answer["interval"]) == 2
    for question in answer["questions"]:
        assert set(question["text"]) == {"zh", "en"}
        assert question["if_known"] is None or question["kind"] != "indicator"
    assert answer["decision"] is None


def test_online_equals_the_batch_in_the_order_asked(
    service: RunningService, county: Dataset, rows: pd.DataFrame
) -> None:
    ids = county.households["household_id"].iloc[:30].tolist()[::-1]
    answers = assessed(service, asked(county, *ids))
    assert [answer["household_id"] for answer in answers] == ids
    for answer in answers:
        row = rows.loc[answer["household_id"]]
        assert (answer["assessment_id"], answer["status"]) == (row["assessment_id"], row["status"])
        assert answer["probability"] == (None if math.isnan(row["probability"]) else row["probability"])


def test_calls_side_by_side_get_the_answers_they_get_alone(service: RunningService, county: Dataset) -> None:
    ids = county.households["household_id"].iloc[30:42].tolist()
    alone = [assessed(service, asked(county, name)) for name in ids]
    with ThreadPoolExecutor(6) as callers:
        together = list(callers.map(lambda name: assessed(service, asked(county, name)), ids * 3))
    assert together == alone * 3


def test_a_household_without_events_is_grey_and_gets_no_number(service: RunningService, county: Dataset) -> None:
    silent = {**asked(county, county.households["household_id"].iloc[0])[0], "events": []}
    answer = assessed(service, [silent])[0]
    assert (answer["status"], answer["tier"]) == ("abstained", "grey")
    assert answer["probability"] is answer["per_100"] is answer["contributions"] is None
    assert answer["reasons"] == []


def test_what_is_known_later_changes_nothing(service: RunningService, county: Dataset, rows: pd.DataFrame) -> None:
    household_id = rows[rows["status"] == "scored"].index[0]
    household = asked(county, household_id)[0]
    later = {**household["events"][0], "event_id": "later", "known_at": "2026-01-05T08:00:00+08:00"}
    later = {name: value for name, value in later.items() if name not in ("supersedes", "status")}
    withdrawn = {
        **later,
        "event_id": "withdrawn",
        "status": "retracted",
        "supersedes": household["events"][0]["event_id"],
    }
    assert assessed(service, [household]) == assessed(
        service, [{**household, "events": [withdrawn, *household["events"], later]}]
    )


def test_order_and_repeats_of_events_change_nothing(service: RunningService, county: Dataset) -> None:
    household = asked(county, county.events["household_id"].value_counts().index[0])[0]
    shuffled = [*reversed(household["events"]), household["events"][0]]
    assert assessed(service, [household]) == assessed(service, [{**household, "events": shuffled}])


def test_one_language_on_request(service: RunningService, county: Dataset) -> None:
    household = asked(county, county.households["household_id"].iloc[1])
    both, english = assessed(service, household)[0], assessed(service, household, "?lang=en")[0]
    assert [set(limit) for limit in english["limits"]] == [{"en"}] * len(both["limits"])
    assert english["probability"] == both["probability"]
    assert service.post("/score?lang=fr", json={"households": household}).status_code == 422


def test_the_card_says_what_the_model_is_and_is_not_for(service: RunningService, bundle: Bundle) -> None:
    reply = service.get("/model", headers=service.headers("researcher", purpose=None))
    assert reply.status_code == 200
    card = reply.json()
    assert (card["name"], card["version"], card["bundle_sha256"]) == (bundle.name, bundle.version, bundle.sha256)
    assert [feature["name"] for feature in card["features"]] == list(bundle.catalogue.names)
    assert all(set(feature["meaning"]) == {"zh", "en"} for feature in card["features"])
    assert card["metrics"] == bundle.manifest["metrics"]
    assert card["gates"]
    assert card["forbidden_uses"]
    assert card["limits"]


def test_the_description_knows_every_endpoint_and_field(service: RunningService) -> None:
    described = service.get("/docs.json").json()
    assert set(described["paths"]) == {path for path, rule in RULES.items() if not rule.is_page}
    schemas = described["components"]["schemas"]
    assert set(schemas["Assessment"]["properties"]) == set(Assessment.model_json_schema()["properties"]) >= FIELDS
    replies = described["paths"]["/score"]["post"]["responses"]
    assert set(replies) >= {"200", "400", "401", "403", "408", "413", "415", "422", "503"}
    assert "application/problem+json" in replies["422"]["content"]
    assert schemas["Event"]["properties"]["known_at"]
    assert set(schemas["Feedback"]["properties"]) == set(Feedback.model_fields)
    visit = described["paths"]["/assessments/{assessment_id}/feedback"]["post"]
    assert {each["name"] for each in visit["parameters"]} == {"assessment_id", "X-Purpose", "Idempotency-Key"}
    assert set(visit["responses"]) >= {"201", "404", "409", "422", "503"}


def test_what_is_described_is_what_is_answered(service: RunningService, county: Dataset) -> None:
    described = service.get("/docs.json").json()
    household = asked(county, county.households["household_id"].iloc[0])
    name = assessed(service, household)[0]["assessment_id"]
    asked_for = {"assessment_id": name, "household_id": household[0]["household_id"]}
    for path, item in described["paths"].items():
        for method, operation in item.items():
            reply = httpx.request(method, service.url + path.format(**asked_for), headers=service.headers(), timeout=60)
            assert str(reply.status_code) in operation["responses"], (path, method, reply.status_code)
            assert method == "post" or reply.status_code == 200, (path, reply.text)


def test_calls_are_counted_by_address_only(service: RunningService) -> None:
    service.get("/nothing-here")
    metrics = service.get("/metrics").text
    assert 'endpoint="/score"' in metrics
    assert "nothing-here" not in metrics


def _refused(bundle: Path, scratch: Path, *options: str, **environment: str) -> str:
    """What `povrisk serve` says when it does not start."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POVRISK_")}
    done = subprocess.run(
        [sys.executable, "-c", "from serving.commands import serve; serve()", str(bundle), "--port", "0", *options],
        env={**kept, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        cwd=scratch,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_does_not_start_without_tokens(tiny_bundle: Path, tmp_path: Path) -> None:
    assert "POVRISK_TOKENS" in _refused(tiny_bundle, tmp_path)
    assert "SECRET" not in _refused(tiny_bundle, tmp_path, POVRISK_TOKENS="boss:SECRET")


def test_it_does_not_start_with_a_changed_or_unsigned_bundle(tiny_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tiny_bundle.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    text = (copy / "model.txt").read_text()
    (copy / "model.txt").write_text(text[: len(text) // 2])
    assert "hashes" in _refused(copy, tmp_path, "--demo")
    assert "signature" in _refused(tiny_bundle, tmp_path, "--demo", POVRISK_BUNDLE_KEY="00" * 32)


def test_demo_makes_tokens_and_prints_them(tiny_bundle: Path, tmp_path: Path, county: Dataset) -> None:
    """Runs last: a second service beside the first, in a folder that has packages of the same names."""
    for name in ("models", "serving", "features"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not ours')")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POVRISK_")}
    command = [sys.executable, "-P", "-m", "features.command_line", "serve", str(tiny_bundle), "--port", "0"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--demo", "--json"], env=kept, cwd=tmp_path, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (tmp_path / "log").read_text()
        said = json.loads(line)
        assert set(said["tokens"]) == {"platform", "caseworker", "supervisor", "researcher"}
        for role, token in said["tokens"].items():
            headers = {"Authorization": f"Bearer {token}", "X-Purpose": "prioritise_visit"}
            body = {"households": asked(county, county.households["household_id"].iloc[0])}
            reply = httpx.post(said["url"] + "/score", json=body, headers=headers, timeout=60)
            assert reply.status_code == (403 if role == "researcher" else 200)
    finally:
        process.terminate()
        assert process.wait(30) == 0
