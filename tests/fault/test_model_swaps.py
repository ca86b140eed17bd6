"""Models change places while calls are answered: every answer is from exactly one of them, and none is lost.

`POVRISK_TEST_SWAPS` is how often they change places.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.bundle import MODEL, contents_of, copy_bundle, read_bundle
from serving.desk import Desk
from serving.messages import Household
from serving.scoring import Scorer
from serving.settings import Settings
from serving.slot import Slot
from tests.bundles import HOUSEHOLD, scoring_bundle
from tests.server import running_service

SWAPS = int(os.environ.get("POVRISK_TEST_SWAPS", "15"))
CALLS_PER_S = 50
SETTINGS = Settings(reload_s=0.05, store="none", today="2026-11-02")
HOUSEHOLDS = [
    Household.model_validate({**HOUSEHOLD, "household_id": f"h-{i}", "residence": residence})
    for i, residence in enumerate(("rural", "town", "city"))
]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return scoring_bundle(folder / "one"), scoring_bundle(folder / "other", seed=2)


def test_every_answer_is_from_one_model_while_models_change_places(bundles: tuple[Path, Path], tmp_path: Path) -> None:
    expected = {}
    for folder in bundles:
        bundle = read_bundle(folder)
        scorer = Scorer(bundle, SETTINGS)
        expected[bundle.sha256] = {each.household_id: scorer.score([each])[0] for each in HOUSEHOLDS}
    place = tmp_path / "in use"
    copy_bundle(bundles[0], place)
    slot = Slot(place, SETTINGS, None)
    desk = Desk(slot.scorer, None, SETTINGS)
    slot.on_swap(lambda scorer: setattr(desk, "scorer", scorer))
    slot.watch()
    is_over, wrong, seen = threading.Event(), list[str](), list[str]()

    def ask(caller: int) -> None:
        n = 0
        while not is_over.wait(2 / CALLS_PER_S):
            household = HOUSEHOLDS[(n := n + 1) % len(HOUSEHOLDS)]
            try:
                record = desk.score_and_keep([household], role="platform", purpose="prepare_visit").records[0]
            except Exception as error:
                wrong.append(type(error).__name__)
                continue
            sha256 = record["model"]["bundle_sha256"]
            seen.append(sha256)
            if record != expected[sha256][household.household_id]:
                wrong.append("a record that neither model gives")

    callers = [threading.Thread(target=ask, args=(i,)) for i in range(2)]
    for caller in callers:
        caller.start()
    for n in range(1, SWAPS + 1):
        copy_bundle(bundles[n % 2], place)
        until(lambda n=n: slot.state.swaps == n)
    is_over.set()
    for caller in callers:
        caller.join()
    slot.close()
    assert wrong == []
    assert set(seen) == set(expected)
    assert (slot.state.swaps, slot.state.refusals) == (SWAPS, 0)
    assert len(seen) >= SWAPS


def test_a_running_service_tells_which_model_answers_and_which_was_refused(
    bundles: tuple[Path, Path], tmp_path: Path
) -> None:
    """`/readyz` and the assessments of the real service over a swap, a damaged model, a way back, and the switch."""
    place, switch = tmp_path / "bundle", tmp_path / "off"
    one, other = (contents_of(folder).sha256 for folder in bundles)
    copy_bundle(bundles[0], place)
    body = {"households": [HOUSEHOLD]}
    limits = {"POVRISK_RELOAD_S": "0.2", "POVRISK_KILL_SWITCH": str(switch), "POVRISK_TODAY": "2026-11-02"}
    with running_service(place, tmp_path, POVRISK_STORE="none", **limits) as service:

        def ready() -> dict[str, Any]:
            reply = httpx.get(f"{service.url}/readyz", timeout=10)
            assert reply.status_code == 200
            found: dict[str, Any] = reply.json()
            return found

        def record() -> dict[str, Any]:
            reply = service.post(json=body)
            assert reply.status_code == 200, reply.text
            found: dict[str, Any] = reply.json()["results"][0]
            return found

        assert ready() == {
            "ready": True,
            "model": {"name": "small", "version": "1", "bundle_sha256": one},
            "rules_only": False,
            "refused": None,
            "store": "none",
        }
        assert httpx.head(f"{service.url}/readyz", timeout=10).status_code == 200
        first = record()
        assert first["model"]["bundle_sha256"] == one
        (place / MODEL).write_bytes(b"")
        until(lambda: ready()["refused"] is not None)
        assert ready()["refused"]["check"] == "hashes"
        assert record() == first
        copy_bundle(bundles[1], place)
        until(lambda: ready()["model"]["bundle_sha256"] == other)
        assert ready()["refused"] is None
        second = record()
        assert second["model"]["bundle_sha256"] == other
        assert second["probability"] != first["probability"]
        switch.touch()
        until(lambda: ready()["rules_only"])
        assert (record()["status"], record()["probability"]) == ("rules_only", None)
        switch.unlink()
        until(lambda: not ready()["rules_only"])
        assert record() == second
    assert "a model was refused: hashes; the one in use stays" in service.log.read_text()


def until(holds: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait for something that another thread or process does."""
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)
