"""The service while its store is full, locked, away or killed: scores are answered, and what was acknowledged is there.

How often the service is killed and stopped under load is `POVRISK_TEST_RUNS` (once without it).
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from features.dataset import Dataset, read_dataset
from models.bundle import Bundle
from serving.desk import Desk
from serving.errors import Outdated, StoreAway
from serving.extract import request_of
from serving.feedback import Feedback
from serving.keeping import KEEP_WAIT_S, QUIET_S
from serving.messages import Batch, Household
from serving.scoring import Scorer
from serving.settings import Settings
from serving.store import journal, verification
from serving.store.engine import Store, open_store
from serving.store.tables import ASSESSMENTS, JOURNAL, REVIEWS
from tests.front import front
from tests.server import TOKENS, RunningService, running_service
from tests.spec.test_store_engine import held
from tests.stores import only, store, store_url

__all__ = ["store", "store_url"]

RUNS = int(os.environ.get("POVRISK_TEST_RUNS", "1"))
DAY, TODAY = "2021-08-31", "2021-09-15"
HEADERS = {"X-Purpose": "prepare_visit", "Content-Type": "application/json"}
BY = {"role": "caseworker", "actor": "a1"}


@pytest.fixture(scope="module")
def county(tiny_county: Path) -> Dataset:
    return read_dataset(tiny_county)


@pytest.fixture(scope="module")
def body(county: Dataset) -> dict[str, Any]:
    name = str(county.events["household_id"].value_counts().index[100])
    found: dict[str, Any] = request_of(county, name, DAY)["households"][0]
    return found


@pytest.fixture(scope="module")
def scorer(opened_bundle: Bundle) -> Scorer:
    return Scorer(opened_bundle, Settings(today=TODAY))


@pytest.fixture
def desk(scorer: Scorer, store: Store) -> Desk:
    return Desk(scorer, store, scorer.settings)


def household(body: dict[str, Any], number: int) -> list[Household]:
    return list(Batch.model_validate({"households": [{**body, "household_id": f"h-{number}"}]}).households)


def score(desk: Desk, body: dict[str, Any], number: int) -> tuple[dict[str, Any], bool]:
    scored = desk.score_and_keep(household(body, number), role="platform", purpose="prioritise_visit")
    return scored.records[0], scored.is_kept


def visited(version: int = 1) -> Feedback:
    return Feedback.model_validate({"version": version, "visited_on": TODAY})


def is_whole(opened: Store) -> bool:
    with opened.reading() as connection:
        return verification.verify(connection).problem is None


# -- full


def filled_up(desk: Desk, body: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Scores and visits until no more fits: the assessments that were kept, and the visits that were acknowledged."""
    kept, acknowledged = [], []
    for number in range(200):
        record, is_kept = score(desk, body, number)
        assert record["status"] != "error"
        if not is_kept:
            return kept, acknowledged
        kept.append(record["assessment_id"])
        try:
            desk.feedback(record["assessment_id"], visited(), key=f"k{number}", **BY)
        except StoreAway:
            return kept, acknowledged
        acknowledged.append(f"k{number}")
    raise AssertionError("it never filled up")


def look(desk: Desk, kept: list[str], acknowledged: list[str]) -> None:
    assert desk.store is not None and is_whole(desk.store)
    with desk.store.reading() as connection:
        assert set(connection.scalars(select(REVIEWS.c.idempotency_key))) == set(acknowledged)
        assert set(kept) <= set(connection.scalars(select(ASSESSMENTS.c.assessment_id)))


@only("sqlite")
def test_a_full_store_refuses_visits_and_stops_no_score(desk: Desk, body: dict[str, Any]) -> None:
    assert desk.store is not None
    with desk.store.writing() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 40}")
    kept, acknowledged = filled_up(desk, body)
    assert kept and acknowledged
    record, is_kept = score(desk, body, 900)
    assert record["probability"] is not None and not is_kept
    with front(desk) as client:
        sent = {"headers": {"Authorization": f"Bearer {TOKENS['caseworker']}", "Idempotency-Key": "x", **HEADERS}}
        said = client.post(f"/assessments/{kept[0]}/feedback", json={"version": 0, "visited_on": TODAY}, **sent)
        assert (said.status_code, said.headers["retry-after"]) == (503, "5")
    look(desk, kept, acknowledged)


def test_a_full_disk_leaves_the_store_whole(scorer: Scorer, body: dict[str, Any], tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mount = [shutil.which("mount") or "mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system; the cap on pages above stands for it")
    try:
        opened = open_store(f"sqlite:///{place / 'store.db'}")
        desk = Desk(scorer, opened, scorer.settings)
        kept, acknowledged = filled_up(desk, body)
        look(desk, kept, acknowledged)
        opened.close()
    finally:
        subprocess.run([shutil.which("umount") or "umount", "-l", str(place)], check=True)


# -- locked or away


def test_a_locked_store_costs_answers_little_time_and_visits_a_try(
    desk: Desk, store_url: str, body: dict[str, Any], scorer: Scorer
) -> None:
    record, _ = score(desk, body, 0)
    impatient = Desk(scorer, open_store(store_url, busy_s=0.2), scorer.settings)
    with held(store_url):
        took = []
        for number in range(1, 6):
            began = time.monotonic()
            assert not score(desk, body, number)[1]
            took.append(time.monotonic() - began)
        assert sum(took) < 5 * KEEP_WAIT_S, "one call waited, the others did not"
        with front(impatient) as client:
            sent = {"headers": {"Authorization": f"Bearer {TOKENS['caseworker']}", "Idempotency-Key": "x", **HEADERS}}
            name = record["assessment_id"]
            said = client.post(f"/assessments/{name}/feedback", json={"version": 1, "visited_on": TODAY}, **sent)
            assert (said.status_code, said.headers["retry-after"]) == (503, "5")
            assert client.get(f"/assessments/{name}", headers=sent["headers"]).status_code == 200, "readers do not wait"
    assert desk.store is not None and desk.store.rests
    time.sleep(QUIET_S)
    assert score(desk, body, 6)[1], "and afterwards everything is kept again"
    assert desk.feedback(record["assessment_id"], visited(), key="x", **BY)["version"] == 2
    assert impatient.store is not None
    impatient.store.close()


# -- two at once, and clocks that are wrong


def test_of_two_visitors_at_once_one_is_told_the_new_version(desk: Desk, body: dict[str, Any]) -> None:
    names = [score(desk, body, number)[0]["assessment_id"] for number in range(4)]

    def visit(name: str, key: str) -> str:
        try:
            return str(desk.feedback(name, visited(), key=key, **BY)["version"])
        except Outdated as late:
            return f"late, {late.current_version}"

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda pair: visit(pair[0], f"{pair[0]}-{pair[1]}"), itertools.product(names, "ab")))
    assert Counter(told) == {"2": 4, "late, 0": 4}
    assert desk.store is not None and is_whole(desk.store)


@only("sqlite")
def test_a_clock_that_steps_back_changes_no_order(desk: Desk, body: dict[str, Any], scorer: Scorer) -> None:
    """An hour back, a day forward: entries, visits and what is known of them go by their numbers."""
    days = (TODAY, "2021-09-14", "2021-09-16", TODAY)
    receipts = []
    for day in days:
        at = Desk(scorer, desk.store, replace(scorer.settings, today=day))
        number = len(receipts)
        record, is_kept = score(at, body, number)
        assert is_kept
        told = Feedback.model_validate({"version": 1, "visited_on": "2021-09-10"})
        receipts.append(at.feedback(record["assessment_id"], told, key=f"k{number}", **BY))
        assert at.replay(record["assessment_id"])["reproduced"] is True
        assert at.replay(receipts[-1]["assessment_id"])["reproduced"] is True
    assert [each["journal_seq"] for each in receipts] == [2, 5, 8, 11]
    assert desk.store is not None and is_whole(desk.store)
    with desk.store.reading() as connection:
        moments = list(connection.scalars(select(JOURNAL.c.at).order_by(JOURNAL.c.seq)))
    assert moments != sorted(moments), "the clock did step"


# -- killed, and told to stop


@dataclass
class Clients:
    """Callers who score households of their own, record visits, and try again until they are answered."""

    url: str
    body: dict[str, Any]
    stop: threading.Event = field(default_factory=threading.Event)
    kept: set[str] = field(default_factory=set)
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    tries: Counter[str] = field(default_factory=Counter)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def headers(self, role: str, **more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {TOKENS[role]}", **HEADERS, **more}

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=20) as client:
            while not self.stop.is_set():
                self.one(client, next(self.numbers))

    def one(self, client: httpx.Client, number: int) -> None:
        asked = {"households": [{**self.body, "household_id": f"load-{number}"}]}
        sent = self.headers("platform", **{"X-Purpose": "prioritise_visit"})
        said = self.answered(client, "/score", asked, sent, 200)
        if said is None or said.headers["x-assessment-kept"] != "yes":
            return
        name = said.json()["results"][0]["assessment_id"]
        self.kept.add(name)
        sent = self.headers("caseworker", **{"Idempotency-Key": f"key-{number}"})
        path = f"/assessments/{name}/feedback"
        said = self.answered(client, path, {"version": 1, "visited_on": DAY}, sent, 201)
        if said is not None:
            self.receipts[f"key-{number}"] = said.json()

    def answered(
        self, client: httpx.Client, path: str, asked: dict[str, Any], headers: dict[str, str], good: int
    ) -> httpx.Response | None:
        """The first good answer; whoever gets none sends the same again, as long as nobody has to stop."""
        while True:
            self.tries[path[:6]] += 1
            try:
                said = client.post(path, json=asked, headers=headers)
            except httpx.HTTPError:
                said = None
            if said is not None and said.status_code == good:
                return said
            assert said is None or said.status_code in (429, 503), said.text
            if self.stop.is_set():
                return None
            time.sleep(0.1)


@contextmanager
def clients(url: str, body: dict[str, Any], count: int = 6) -> Iterator[Clients]:
    """Callers at work."""
    found = Clients(url, body)
    with ThreadPoolExecutor(count) as pool:
        running = [pool.submit(found.run) for _ in range(count)]
        try:
            yield found
        finally:
            found.stop.set()
    for each in running:
        each.result()


def worker_of(service: RunningService) -> int:
    """One of the processes that answer calls."""
    psutil = pytest.importorskip("psutil")
    family = psutil.Process(service.process.pid).children(recursive=True)
    return int(next(each.pid for each in family if any("_bentoml_impl.worker" in word for word in each.cmdline())))


def wait_for(condition: Any, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    assert condition()


def test_killed_and_stopped_under_load_it_loses_and_doubles_nothing(
    store_url: str, tiny_bundle: Path, body: dict[str, Any], tmp_path: Path
) -> None:
    """Two workers on one store; one of them is killed under load, then the service is told to stop under load."""
    limits = {"POVRISK_STORE": store_url, "POVRISK_WORKERS": "2", "POVRISK_CALLS_PER_S": "500"}
    for run in range(RUNS):
        with running_service(tiny_bundle, tmp_path, **limits) as service, clients(service.url, body) as load:
            load.numbers = itertools.count(100_000 * run)
            wait_for(lambda load=load: len(load.receipts) >= 20)
            os.kill(worker_of(service), signal.SIGKILL)
            count = len(load.receipts)
            wait_for(lambda load=load, count=count: len(load.receipts) >= count + 20)
            began = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            service.process.wait(30)
            assert time.monotonic() - began <= 15
        look_after(store_url, load)


def look_after(store_url: str, load: Clients) -> None:
    """Every answer that said so is in the store and in the journal, once."""
    opened = open_store(store_url, create=False)
    with opened.reading() as connection:
        assert verification.verify(connection).problem is None
        rows = Counter(connection.scalars(select(ASSESSMENTS.c.assessment_id)))
        reviews = Counter(connection.scalars(select(REVIEWS.c.idempotency_key)))
        entries = {entry.seq: entry for entry in journal.entries(connection)}
    opened.close()
    lines = Counter(line[0] for entry in entries.values() for line in json.loads(entry.body).get("kept", ()))
    assert load.kept <= set(rows) and load.kept <= set(lines), "a score that was told as kept is not"
    assert set(load.receipts) <= set(reviews), "an acknowledged visit is lost"
    assert set(rows.values()) == set(lines.values()) == set(reviews.values()) == {1}, "doubled"
    for receipt in load.receipts.values():
        assert entries[receipt["journal_seq"]].hash == receipt["journal_hash"]
    assert len(load.receipts) >= 40
