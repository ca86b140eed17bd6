"""What `/readyz` tells, to anybody: which model answers, what was refused, how the store was found."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.requests import Request

from serving.addresses import addresses
from serving.errors import Overdue
from serving.guard.rules import rule_of
from serving.health import readyz
from serving.sessions import Sessions
from serving.slot import SlotState
from serving.tokens import read_tokens

STATE = SlotState("county", "3", "ab" * 32, loaded_at=0, is_rules_only=False)


class Named:
    """Something with the attributes given."""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


def asked(**state: Any) -> Request:
    app = addresses(Sessions(b"k" * 32, read_tokens("platform:a-token-for-tests-only"), 1.0))
    for name, value in state.items():
        setattr(app.state, name, value)
    return Request({"type": "http", "app": app, "method": "GET", "path": "/readyz", "headers": []})


def told(state: SlotState, store: str = "up") -> dict[str, Any]:
    reply = readyz(asked(slot=Named(state=state), desk=Named(store_state=store)))
    assert reply.status_code == 200
    found: dict[str, Any] = json.loads(bytes(reply.body))
    return found


def test_before_the_model_is_loaded_it_is_not_ready() -> None:
    for state in ({}, {"slot": Named(state=STATE)}):
        with pytest.raises(Overdue) as refused:
            readyz(asked(**state))
        assert refused.value.status == 503


def test_it_names_the_model_and_says_what_is_switched_off() -> None:
    model = {"name": "county", "version": "3", "bundle_sha256": "ab" * 32}
    usual = {"ready": True, "model": model, "rules_only": False, "refused": None, "store": "up"}
    assert told(STATE) == usual
    off = SlotState("county", "3", "ab" * 32, loaded_at=0, is_rules_only=True)
    assert told(off, "away") == {**usual, "rules_only": True, "store": "away"}


def test_a_refused_model_does_not_make_it_unready() -> None:
    state = SlotState("county", "3", "ab" * 32, 0, False, 0, 1, "hashes", 1_795_418_991_000_000, None)
    assert told(state)["refused"] == {"check": "hashes", "at": "2026-11-23T07:29:51+00:00"}


def test_it_needs_no_token_and_bentoml_does_not_see_it() -> None:
    rule = rule_of("/readyz")
    assert rule is not None
    assert (rule.roles, rule.needs_purpose, rule.is_ours) == (frozenset(), False, True)
