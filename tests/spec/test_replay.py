"""A kept assessment comes out again bit for bit, also after visits, news and another model; a change of it does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from features.dataset import Dataset, read_dataset
from models.bundle import Bundle
from serving.call import Call, Scored
from serving.desk import Desk
from serving.errors import UnknownCase
from serving.extract import request_of
from serving.feedback import Feedback
from serving.messages import Batch, Household
from serving.replay import differences
from serving.scoring import Scorer
from serving.settings import Settings
from serving.store import consent
from serving.store.documents import digest, packed
from serving.store.engine import Store
from serving.store.erasure import retain
from tests.front import TestClient, front
from tests.server import TOKENS
from tests.stores import foreign, only, store, store_url

__all__ = ["store", "store_url"]

FIRST, SECOND, TODAY = "2021-06-30", "2021-08-31", "2021-09-15"
BY: Mapping[str, str] = {"role": "caseworker", "actor": "a1"}


@pytest.fixture(scope="module")
def county(tiny_county: Path) -> Dataset:
    return read_dataset(tiny_county)


@pytest.fixture(scope="module")
def scorer(opened_bundle: Bundle) -> Scorer:
    return Scorer(opened_bundle, Settings(today=TODAY))


@pytest.fixture(scope="module")
def households(county: Dataset) -> list[str]:
    return [str(name) for name in county.events["household_id"].value_counts().index[:4]]


@pytest.fixture
def desk(scorer: Scorer, store: Store) -> Desk:
    return Desk(scorer, store, scorer.settings)


def call(county: Dataset, names: list[str], as_of: str, number: str = "1") -> Call:
    bodies = [request_of(county, name, as_of)["households"][0] for name in names]
    households = list(Batch.model_validate({"households": bodies}).households)
    return Call(households, "platform", "a2", "prioritise_visit", number * 32, "0" * 64)


def told(desk: Desk, *calls: Call) -> list[dict[str, Any]]:
    answers = desk.score_all(calls)
    assert all(isinstance(each, Scored) and each.is_kept for each in answers)
    return [record for each in answers if isinstance(each, Scored) for record in each.records]


def again(desk: Desk, assessment_id: str) -> tuple[Any, Any, list[str], list[str]]:
    found = desk.replay(assessment_id)
    return found["reproduced"], found["why"], found["differences"], found["not_compared"]


WELL = (True, None, [], [])


@only("sqlite")
def test_what_was_told_comes_out_again_whatever_came_in_since(
    desk: Desk, county: Dataset, households: list[str]
) -> None:
    first = told(desk, call(county, households, FIRST))
    second = told(desk, call(county, households[:2], SECOND, "2"), call(county, households[1:], SECOND, "3"))
    assert [each["change"] is None for each in (*first, *second)] == [True] * 4 + [False] * 5
    visit = {"version": desk.visit(second[0]["assessment_id"]).version, "visited_on": TODAY}
    fact = next(f for reason in second[0]["reasons"] for f in reason["facts"])
    answers = {"facts": [{"fact_id": fact["fact_id"], "answer": "wrong"}], "household_said": "objected"}
    receipt = desk.feedback(second[0]["assessment_id"], Feedback.model_validate({**visit, **answers}), key="k1", **BY)
    assert receipt["rescored"] == "human_only"
    assert desk.store is not None
    with desk.store.writing() as connection:
        consent.record(connection, households[0], "withdrew", "person", desk.now())
        consent.record(connection, households[1], "objected", "person", desk.now())
    later = told(desk, call(county, households, TODAY, "4"))
    assert [each["status"] == "abstained" for each in later] == [False, True, False, False]
    names = {each["assessment_id"] for each in (*first, *second, *later)} | {receipt["assessment_id"]}
    assert {name: again(desk, name) for name in names} == dict.fromkeys(names, WELL)
    found = desk.replay(first[0]["assessment_id"])
    assert found["recomputed_sha256"] == found["record_sha256"] == digest(desk.record(first[0]["assessment_id"]))


def test_a_changed_record_and_changed_inputs_are_not_reproduced(
    desk: Desk, store_url: str, county: Dataset, households: list[str]
) -> None:
    record = told(desk, call(county, households[:1], FIRST))[0]
    name, mark = record["assessment_id"], "?" if store_url.startswith("sqlite") else "%s"
    lie = {**record, "tier": "green", "points": 0.25}
    with foreign(store_url) as other:
        kept = other.execute("SELECT record, record_sha256 FROM assessments").fetchone()
        change = f"UPDATE assessments SET record = {mark}, record_sha256 = {mark}"
        other.execute(change, (packed(lie), digest(lie)))
    reproduced, why, places, _ = again(desk, name)
    assert (reproduced, why) == (False, "altered") and {"/tier", "/points"} >= set(places) != set()
    with foreign(store_url) as other:
        other.execute(change, tuple(kept))
    assert again(desk, name) == WELL
    asked = request_of(county, households[0], FIRST)["households"][0]
    with foreign(store_url) as other:
        other.execute(f"UPDATE inputs SET body = {mark}", (packed({**asked, "events": []}),))
    reproduced, why, places, _ = again(desk, name)
    assert (reproduced, why, len(places)) == (False, "altered", 20)
    with foreign(store_url) as other:
        other.execute(f"UPDATE inputs SET body = {mark}", (b"no document",))
    assert again(desk, name)[:2] == (False, "altered")


@only("sqlite")
def test_what_cannot_be_known_any_more_is_said(desk: Desk, county: Dataset, households: list[str]) -> None:
    told(desk, call(county, households[:1], FIRST))
    second = told(desk, call(county, households[:1], SECOND, "2"))[0]
    assert desk.store is not None
    with desk.store.writing() as connection:
        connection.exec_driver_sql("UPDATE assessments SET stored_at = 1 WHERE seq = 1")
        retain(connection, 2, "tests", desk.now())
    assert again(desk, second["assessment_id"]) == (True, None, [], ["change"])
    with pytest.raises(UnknownCase):
        desk.replay("as-" + "0" * 24)


@only("sqlite")
def test_a_model_of_before_is_found_in_the_folder_of_earlier_bundles(
    desk: Desk, scorer: Scorer, store: Store, tiny_bundle: Path, county: Dataset, households: list[str], tmp_path: Path
) -> None:
    record = told(desk, call(county, households[:1], FIRST))[0]
    name = record["assessment_id"]
    newer = Scorer(replace(scorer.bundle, sha256="0" * 64), scorer.settings)
    assert again(Desk(newer, store, scorer.settings), name)[:2] == (None, "bundle-not-at-hand")
    shutil.copytree(tiny_bundle, tmp_path / "bundles" / "of-before")
    settings = replace(scorer.settings, earlier_bundles=str(tmp_path / "bundles"))
    late = Desk(newer, store, settings)
    assert again(late, name) == WELL and again(late, name) == WELL
    with (tmp_path / "bundles" / "of-before" / "model.txt").open("a") as file:
        file.write("x")
    assert again(Desk(newer, store, settings), name)[:2] == (None, "bundle-refused")


@only("sqlite")
def test_only_a_supervisor_and_the_platform_may_ask_and_no_value_is_told(
    desk: Desk, county: Dataset, households: list[str]
) -> None:
    name = told(desk, call(county, households[:1], FIRST))[0]["assessment_id"]
    with front(desk) as client:
        for role, status in (("caseworker", 403), ("researcher", 403), ("platform", 200), ("supervisor", 200)):
            said = ask(client, name, role)
            assert said.status_code == status, role
        assert said.json()["reproduced"] is True
        assert households[0] not in said.text and len(said.text) < 1_000
        assert ask(client, name, "platform", {}).status_code == 403, "a purpose is due"
        assert ask(client, "as-" + "0" * 24, "platform").status_code == 404
        assert client.get(f"/assessments/{name}/replay?x=1", headers=headers("platform")).status_code == 422


def headers(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[role]}", "X-Purpose": "prepare_visit"}


def ask(client: TestClient, name: str, role: str, more: dict[str, str] | None = None) -> Any:
    sent = headers(role)
    if more is not None:
        del sent["X-Purpose"]
    return client.get(f"/assessments/{name}/replay", headers=sent)


def test_at_most_twenty_places_are_named() -> None:
    assert differences({"a": list(range(30))}, {"a": [n + 1 for n in range(30)]}) == [f"/a/{n}" for n in range(20)]
    assert differences({"a": 1}, {"a": True}) == ["/a"] and differences({"a": [1]}, {"a": [1, 2]}) == ["/a"]
    assert differences(json.loads("[1.0]"), [1.0]) == []


def test_two_calls_side_by_side_with_one_household_do_not_see_each_other(
    desk: Desk, scorer: Scorer, county: Dataset, households: list[str]
) -> None:
    early, late = call(county, households[:1], FIRST), call(county, households[:1], SECOND, "2")
    wrong = Call([Household.model_validate({**late.households[0].model_dump(), "region": "nowhere"})], *list_of(late))
    answers = desk.score_all([late, wrong, early, late])
    assert [isinstance(each, Scored) for each in answers] == [True, False, True, True]
    sound = [each.records[0] for each in answers if isinstance(each, Scored)]
    alone = [scorer.score(each.households)[0] for each in (late, early, late)]
    assert sound == alone, "none of them has a change, as if it had come alone"
    assert [len(desk.history(households[0])), desk.journal_head()["seq"]] == [2, 3]


def list_of(call: Call) -> list[Any]:
    return [call.role, call.actor, call.purpose, call.request_id, call.body_sha256]
