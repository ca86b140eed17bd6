"""The guarded application with pages and JSON addresses in this process, without BentoML, for tests that ask a lot."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from starlette.responses import JSONResponse

from serving.addresses import Fork, addresses
from serving.desk import Desk
from serving.guard import guarded
from serving.score_route import ScoreRoute
from serving.sessions import Sessions
from serving.settings import Settings
from serving.tokens import read_tokens
from serving.turns import Turns
from tests.server import TOKENS

with warnings.catch_warnings():
    # It would rather be used with another HTTP library than the one that is installed.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

__all__ = ["HTML", "TestClient", "front", "log_in", "secret_of"]

HTML = {"accept": "text/html"}


@contextmanager
def front(desk: Desk | None, settings: Settings | None = None) -> Iterator[TestClient]:
    """A browser in front of the service; it keeps cookies and follows nothing by itself."""
    tokens = read_tokens(",".join(f"{role}:{token}" for role, token in TOKENS.items()))
    settings = settings or (Settings() if desk is None else desk.settings)
    # Tests ask more in a minute than a platform; those about the limit set it themselves.
    plenty = settings if settings.calls_per_s != Settings().calls_per_s else replace(settings, calls_per_s=10_000.0)
    sessions = Sessions(b"k" * 32, tokens, settings.session_h)
    ours = addresses(sessions)
    ours.state.desk = desk
    turns = Turns(lambda: desk, settings)
    app = guarded(Fork(ours, JSONResponse({}), ScoreRoute(turns, settings)), tokens, sessions, plenty)
    try:
        yield TestClient(app, base_url="http://here", follow_redirects=False, raise_server_exceptions=False)
    finally:
        turns.close()


def secret_of(page: str) -> str:
    """The secret that the forms of a page carry."""
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def log_in(client: TestClient, role: str, following: str = "/") -> None:
    """Log in as a person would: open the page, send the form."""
    page = client.get("/login", params={"next": following}, headers=HTML)
    form = {"csrf": secret_of(page.text), "token": TOKENS[role], "next": following}
    reply = client.post("/login", data=form, headers=HTML)
    assert (reply.status_code, reply.headers["location"]) == (303, following)
