"""Whatever may be sent by the description of the service, and what may not: never a fault, always as described.

`POVRISK_TEST_CASES` says how many calls are made in all (250 without it).
"""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from serving.guard.rules import RULES
from tests.abuse.conftest import Inside
from tests.server import TOKENS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

CASES = int(os.environ.get("POVRISK_TEST_CASES", "250"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
ADDRESSES = [path for path, rule in RULES.items() if not rule.is_page]
# Of all calls, how many in a hundred: most where most can be sent. What takes nothing is asked by one token after the
# other, and seldom.
SHARE = {
    "/score": 20,
    "/queue": 16,
    "/assessments/{assessment_id}": 10,
    "/assessments/{assessment_id}/feedback": 20,
    "/assessments/{assessment_id}/concern": 10,
    "/assessments/{assessment_id}/outcome": 10,
    "/households/{household_id}/assessments": 8,
}
# Most of the characters that no text of ours may hold (Unicode's control and format characters).
UNSEEN = r"\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
SENT = ("method", "url", "headers", "params", "json", "data", "content")


def test_every_address_for_machines_is_described_and_asked(inside: Inside) -> None:
    assert set(described(inside)["paths"]) == set(ADDRESSES)
    assert set(SHARE) < set(ADDRESSES)
    assert 90 <= sum(SHARE.get(path, 1) for path in ADDRESSES) <= 110


@pytest.mark.parametrize("path", ADDRESSES)
def test_no_call_fails_and_every_reply_is_as_described(
    inside: Inside, request_for: Callable[[int], dict[str, Any]], path: str
) -> None:
    kept = inside.score(request_for(3)).json()["results"][0]
    document = described(inside)
    (operation,) = [
        each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations() if each.ok().path == path
    ]
    seen: Counter[int] = Counter()

    @settings(
        max_examples=max(3, CASES * SHARE.get(path, 1) // 100),
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(
        st.one_of(*[operation.as_strategy(generation_mode=mode) for mode in GenerationMode]),
        st.booleans(),
        st.sampled_from([*TOKENS, "supervisor", "supervisor"]),
    )
    def ask(case: Any, is_kept: bool, role: str) -> None:
        if is_kept and case.path_parameters:
            names = {"assessment_id": kept["assessment_id"], "household_id": kept["household_id"]}
            case.path_parameters.update({name: names[name] for name in case.path_parameters if name in names})
        sent = case.as_transport_kwargs(base_url="http://here", headers=inside.headers(role))
        reply = inside.client.request(**{name: value for name, value in sent.items() if name in SENT})
        seen[reply.status_code] += 1
        case.validate_response(reply, checks=CHECKS)

    ask()
    assert seen
    # A drawn body is hardly ever a household of the right form; a whole one is sent by other tests.
    assert {200, 201, 404, 409, 422} & set(seen), seen


def described(inside: Inside) -> dict[str, Any]:
    """The description as it is served, in the words of Python's regular expressions."""
    text = inside.client.get("/docs.json", headers=inside.headers()).text
    found: dict[str, Any] = json.loads(text.replace("\\\\p{Cc}\\\\p{Cf}", json.dumps(UNSEEN)[1:-1]))
    return found
