"""`POST /score` as it is answered in front of BentoML: calls side by side get what they get alone, byte for byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from features.dataset import Dataset, read_dataset
from models.assessment import Assessed, assess
from models.bundle import Bundle
from serving import scoring
from serving.addresses import Fork, addresses
from serving.call import Call, Scored
from serving.desk import Desk
from serving.errors import Refusal
from serving.extract import request_of
from serving.guard import guarded
from serving.messages import Results
from serving.score_route import ScoreRoute
from serving.scoring import Scorer
from serving.sessions import Sessions
from serving.settings import Settings
from serving.tokens import read_tokens
from serving.turns import Turns
from tests.loops import run as run_apart
from tests.server import TOKENS

SETTINGS = Settings(store="none", calls_per_s=10_000.0, calls_in_reserve=10_000)
Answer = tuple[int, str | None, bytes]


class Watched(Desk):
    """A desk that remembers how many calls it was given together."""

    def __init__(self, scorer: Scorer, settings: Settings) -> None:
        super().__init__(scorer, None, settings)
        self.together: list[int] = []

    def score_all(self, calls: Sequence[Call]) -> list[Scored | Refusal]:
        self.together.append(len(calls))
        return super().score_all(calls)


@contextmanager
def application(desk: Desk) -> Iterator[ASGIApp]:
    """The guarded application with its own route for scoring, without BentoML."""
    tokens = read_tokens(",".join(f"{role}:{token}" for role, token in TOKENS.items()))
    sessions = Sessions(b"k" * 32, tokens, SETTINGS.session_h)
    turns = Turns(lambda: desk, SETTINGS)
    ours = addresses(sessions)
    ours.state.desk = desk
    yield guarded(Fork(ours, JSONResponse({}), ScoreRoute(turns, SETTINGS)), tokens, sessions, SETTINGS)
    turns.close()


@pytest.fixture(scope="module")
def county(tiny_county: Path) -> Dataset:
    return read_dataset(tiny_county)


@pytest.fixture(scope="module")
def scorer(opened_bundle: Bundle) -> Scorer:
    return Scorer(opened_bundle, SETTINGS)


@pytest.fixture
def desk(scorer: Scorer) -> Watched:
    return Watched(scorer, SETTINGS)


@pytest.fixture
def app(desk: Watched) -> Iterator[ASGIApp]:
    with application(desk) as made:
        yield made


@pytest.fixture(scope="module")
def households(county: Dataset) -> list[dict[str, Any]]:
    """Sixty-four households of one moment, the busiest first."""
    ids = county.events["household_id"].value_counts().index[:64]
    return [request_of(county, name, county.meta.moments.until)["households"][0] for name in ids]


@asynccontextmanager
async def caller(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        yield client


def body(*households: dict[str, Any]) -> bytes:
    return json.dumps({"households": households}, ensure_ascii=False).encode()


async def post(client: httpx.AsyncClient, content: bytes, role: str = "platform", query: str = "") -> Answer:
    headers = {
        "Authorization": f"Bearer {TOKENS[role]}",
        "X-Purpose": "prepare_visit",
        "Content-Type": "application/json",
    }
    reply = await client.post(f"/score{query}", content=content, headers=headers)
    return reply.status_code, reply.headers.get("x-assessment-kept"), reply.content


def alone(app: ASGIApp, *calls: tuple[bytes, str]) -> list[Answer]:
    async def one_after_the_other() -> list[Answer]:
        async with caller(app) as client:
            return [await post(client, *each) for each in calls]

    return run_apart(one_after_the_other())


def at_once(app: ASGIApp, *calls: tuple[bytes, str]) -> list[Answer]:
    async def side_by_side() -> list[Answer]:
        async with caller(app) as client:
            return list(await asyncio.gather(*(post(client, *each) for each in calls)))

    return run_apart(side_by_side())


def test_calls_with_the_same_ids_and_other_contents_get_what_they_get_alone(
    app: ASGIApp, desk: Watched, households: list[dict[str, Any]]
) -> None:
    last_time = {"as_of": "2020-01-31", "tier": "red", "tier_computed": "red"}
    same = [{**each, "household_id": "same"} for each in households]
    same[3] = {**same[3], "previous": last_time}
    same[5] = {**same[5], "region": "nowhere"}
    same[7] = {**same[7], "as_of": "2020-06-30", "events": same[7]["events"][:5]}
    calls = [(body(each), "supervisor" if n % 9 == 4 else "platform") for n, each in enumerate(same)]
    expected = alone(app, *calls)
    assert [status for status, *_ in expected] == [422 if n == 5 else 200 for n in range(64)]
    assert len({content for *_, content in expected}) > 60
    desk.together.clear()
    assert at_once(app, *calls) == expected
    assert max(desk.together) > 10


def test_a_household_that_fails_costs_no_other_call(
    app: ASGIApp, households: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [(body({**each, "household_id": "same"}), "platform") for each in households[:8]]
    expected = alone(app, *calls)
    broken = households[2]["events"][0]["event_id"]

    def sometimes(bundle: Bundle, history: Any, as_of: int, **how: Any) -> Assessed:
        if broken in history.event_id:
            raise KeyError(broken)
        return assess(bundle, history, as_of, **how)

    monkeypatch.setattr(scoring, "assess", sometimes)
    answers = at_once(app, *calls)
    assert [n for n, answer in enumerate(answers) if answer != expected[n]] == [2]
    told = json.loads(answers[2][2])["results"][0]
    assert (told["status"], told["household_id"], told["probability"]) == ("error", "same", None)
    Results.model_validate_json(answers[2][2])


def test_sealed_wording_is_told_to_who_may_see_it_and_to_nobody_else(
    scorer: Scorer, households: list[dict[str, Any]]
) -> None:
    from serving.codec import read

    asked = [read(body(each), SETTINGS) for each in households[:24]]
    now = scoring.now(SETTINGS)
    together = scorer.score_all(asked, now, may_read_sealed=[n % 2 == 0 for n in range(24)])
    for n, (told, call) in enumerate(zip(together, asked, strict=True)):
        assert not isinstance(told, Refusal)
        assert told.records == scorer.score(call, now)
        assert told.sealed_records == (scorer.score(call, now, may_read_sealed=True) if n % 2 == 0 else None)
        assert told.shown is (told.records if told.sealed_records is None else told.sealed_records)


def test_several_households_of_several_moments_come_back_in_the_order_asked(
    app: ASGIApp, households: list[dict[str, Any]]
) -> None:
    several = [
        {**each, "as_of": as_of} for each, as_of in zip(households, ["2021-10-31", "2020-10-31"] * 6, strict=False)
    ]
    for each in several[1::2]:
        each["events"] = [event for event in each["events"] if event["known_at"] < "2020-10-31"]
    (whole,) = alone(app, (body(*several), "platform"))
    parts = alone(app, *((body(each), "platform") for each in several))
    assert json.loads(whole[2])["results"] == [json.loads(part[2])["results"][0] for part in parts]


@pytest.mark.parametrize("query", ["?lang=fr", "?lang=en&lang=zh", "?lang=", "?other=1", "?lang=en&x"])
def test_another_query_is_refused(app: ASGIApp, households: list[dict[str, Any]], query: str) -> None:
    async def asked() -> Answer:
        async with caller(app) as client:
            return await post(client, body(households[0]), query=query)

    assert run_apart(asked())[0] == 422


def test_answers_are_what_the_description_promises_and_plain_json(
    app: ASGIApp, households: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from serving.service import HouseholdRisk

    described = json.loads(json.dumps(HouseholdRisk.openapi_spec))
    operation = described["paths"]["/score"]["post"]
    (asked,) = (each["schema"] for each in operation["requestBody"]["content"].values())
    (told,) = (each["schema"] for each in operation["responses"]["200"]["content"].values())
    takes, gives = (
        jsonschema_rs.Draft202012Validator({**schema, "components": described["components"]})
        for schema in (asked, told)
    )
    silent = {**households[0], "household_id": "silent", "events": []}
    documents = [*households, silent, {**households[1], "household_id": "again", "region": "cn-hangzhou-demo"}]
    for document in documents:
        takes.validate({"households": [document]})
    for role in ("platform", "supervisor"):
        (answer,) = alone(app, (body(*documents), role))
        assert answer[0] == 200, answer[2]
        results = json.loads(answer[2])
        gives.validate(results)
        Results.model_validate_json(answer[2])


def test_records_hold_nothing_that_json_does_not_know(scorer: Scorer, households: list[dict[str, Any]]) -> None:
    """Not a number would be written as null, which says that something is not known."""
    from serving.codec import read

    records = scorer.score(read(body(*households), SETTINGS), may_read_sealed=True)
    json.dumps(records, allow_nan=False)
    assert _kinds(records) <= {dict, list, str, int, float, bool, type(None)}


def _kinds(value: Any) -> set[type]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    found = {type(value)}
    return found.union(*map(_kinds, parts))
