"""The whole service in this process, for tests that ask a lot: guard, our addresses, scoring, store, and BentoML."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.dataset import read_dataset
from serving.extract import request_of
from serving.settings import Settings
from tests.front import TestClient
from tests.server import TOKENS

# Ran out long ago.
EXPIRED = "expired-token-for-tests"
# The last day of the tiny county, so that its tasks are open and nothing lies in the future.
TODAY = "2021-12-31"


@dataclass(frozen=True)
class Inside:
    """The service and how to call it."""

    client: TestClient

    def headers(self, role: str = "platform", **more: str) -> dict[str, str]:
        """What a caller of this role sends along."""
        return {"authorization": f"Bearer {TOKENS[role]}", "x-purpose": "prepare_visit", **more}

    def score(self, body: Any, **headers: str) -> httpx.Response:
        """`POST /score` of a document, or of bytes as they are."""
        headers = self.headers(**{"content-type": "application/json", **headers})
        if isinstance(body, bytes):
            return self.client.post("/score", content=body, headers=headers)
        return self.client.post("/score", json=body, headers=headers)


@pytest.fixture(scope="package")
def inside(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """One for all tests here; it allows as many calls as a test may make."""
    scratch = tmp_path_factory.mktemp("inside")
    settings = Settings(
        store=f"sqlite:///{scratch / 'store.db'}", today=TODAY, visits=50, calls_per_s=1e6, calls_in_reserve=10**6
    )
    (scratch / "metrics").mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("POVRISK_BUNDLE", str(tiny_bundle))
        known = [f"{role}:{token}" for role, token in TOKENS.items()]
        patched.setenv("POVRISK_TOKENS", ",".join([*known, f"supervisor:{EXPIRED} until=2020-12-31"]))
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            patched.setenv("PROMETHEUS_MULTIPROC_DIR", str(scratch / "metrics"))
        from serving import redaction, service

        patched.setattr(service, "LIMITS", settings)
        # The log handlers of this process are the tests' own.
        patched.setattr(redaction, "install", lambda: None)
        app = service.HouseholdRisk.to_asgi()
        quiet = {"follow_redirects": False, "raise_server_exceptions": False}
        with TestClient(app, base_url="http://here", **quiet) as client:
            yield Inside(client)


@pytest.fixture(scope="package")
def request_for(tiny_county: Path) -> Callable[[int], dict[str, Any]]:
    """The body of a call about the household with the most events, the second most, and so on."""
    county = read_dataset(tiny_county)
    by_events = county.events["household_id"].value_counts().sort_index().sort_values(kind="stable")[::-1].index

    def asked(rank: int) -> dict[str, Any]:
        return request_of(county, by_events[rank], county.meta.moments.until)

    return asked


@pytest.fixture
def good(request_for: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    """A call that is answered."""
    return request_for(0)


def changed(good: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The call with fields of its household changed."""
    return {"households": [{**good["households"][0], **fields}]}


def with_event(good: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The call with one event alone: its first, with fields changed."""
    event = {name: v for name, v in good["households"][0]["events"][0].items() if name not in ("status", "supersedes")}
    return changed(good, events=[{**event, **fields}])


def problem(reply: httpx.Response, status: int, *, silent_about: str = "") -> list[list[Any]]:
    """The fields that a refusal names; checked for its form, and for silence about what was sent."""
    assert reply.status_code == status, reply.text[:500]
    assert reply.headers["content-type"] == "application/problem+json"
    assert not silent_about or silent_about not in reply.text
    found = reply.json()
    assert set(found) == {"type", "title", "status", "detail", "errors"}
    assert found["status"] == status
    return [error["path"] for error in found["errors"]]
