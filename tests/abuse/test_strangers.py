"""Without a token that counts nothing is told, and with one only what its role may see; at every address there is."""

from __future__ import annotations

import hmac
from typing import Any

import httpx
import pytest

from serving import tokens as module
from serving.guard.rules import RULES
from serving.tokens import read_tokens
from tests.abuse.conftest import EXPIRED, Inside, problem
from tests.server import TOKENS

NAME = "as-" + "0" * 24
CLOSED = [path for path, rule in RULES.items() if rule.roles]
# What can be asked for and is not served: it must look no different to a stranger.
NOWHERE = ["/healthz", "/docs", "/static_content/x", "/schema", "/score/", "/admin", "/..%2fmetrics", "//metrics", "/*"]
STRANGERS: dict[str, dict[str, str]] = {
    "no token": {},
    "an empty one": {"authorization": "Bearer "},
    "a guess": {"authorization": "Bearer guess"},
    "one that has run out": {"authorization": f"Bearer {EXPIRED}"},
    "half of one": {"authorization": f"Bearer {TOKENS['supervisor'][:-1]}"},
    "more than one": {"authorization": f"Bearer {TOKENS['supervisor']}x"},
    "in capitals": {"authorization": f"Bearer {TOKENS['supervisor'].upper()}"},
    "as a password": {"authorization": f"Basic {TOKENS['supervisor']}"},
    "under another name": {"x-api-key": TOKENS["supervisor"], "proxy-authorization": f"Bearer {TOKENS['supervisor']}"},
    "as a cookie": {"cookie": f"povrisk_session={TOKENS['supervisor']}; token={TOKENS['supervisor']}"},
    "a forged cookie": {"cookie": "povrisk_session=WyJhIiwiYiJd.aaaaaa.bbbbbbbb"},
    "from a proxy": {"x-forwarded-user": "supervisor", "x-forwarded-for": "127.0.0.1", "x-original-url": "/livez"},
}


def asked(inside: Inside, path: str, headers: dict[str, str], query: str = "") -> httpx.Response:
    rule = RULES.get(path)
    method = "POST" if rule is not None and "GET" not in rule.methods else "GET"
    address = path.replace("{assessment_id}", NAME).replace("{household_id}", "h").replace("{n}", "1")
    kind = "application/x-www-form-urlencoded" if rule is not None and rule.is_page else "application/json"
    more = {"content-type": kind, "x-purpose": "prepare_visit"} if method == "POST" else {"x-purpose": "prepare_visit"}
    return inside.client.request(method, address + query, headers={**more, **headers})


@pytest.mark.parametrize("who", STRANGERS)
def test_a_stranger_is_told_the_same_everywhere_and_nothing(inside: Inside, who: str) -> None:
    said = set()
    for path in [*CLOSED, *NOWHERE]:
        reply = asked(inside, path, STRANGERS[who])
        assert problem(reply, 401, silent_about=TOKENS["supervisor"]) == []
        assert reply.headers["www-authenticate"] == "Bearer"
        said.add(reply.content)
    assert len(said) == 1


@pytest.mark.parametrize(
    "query", [f"?token={TOKENS['supervisor']}", "?access_token=x", f"?lang=zh&q={TOKENS['supervisor']}", "?API_KEY="]
)
def test_a_token_in_the_address_is_refused_even_beside_a_good_one(inside: Inside, query: str) -> None:
    for path in [*CLOSED, "/login", "/card"]:
        for headers in ({}, inside.headers("supervisor")):
            problem(asked(inside, path, headers, query), 401, silent_about=TOKENS["supervisor"])


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize("role", TOKENS)
def test_no_role_acts_as_another(inside: Inside, path: str, role: str) -> None:
    may = role in {each.value for each in RULES[path].roles}
    for more in ({}, {"x-role": "supervisor", "x-forwarded-user": "supervisor", "x-http-method-override": "GET"}):
        reply = asked(inside, path, {**inside.headers(role), **more})
        assert (reply.status_code == 403) == (not may), (path, role, reply.status_code)
        assert reply.status_code < 500


def test_what_a_role_may_not_do_it_may_not_do_by_another_method(inside: Inside) -> None:
    for path in CLOSED:
        address = path.replace("{assessment_id}", NAME).replace("{household_id}", "h").replace("{n}", "1")
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"):
            reply = inside.client.request(method, address, headers=inside.headers("caseworker"))
            assert reply.status_code == 405, (path, method)


def test_a_token_is_compared_with_all_of_them_and_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    compare = hmac.compare_digest

    def counting(a: Any, b: Any) -> bool:
        compared.append(len(a))
        return compare(a, b)

    tokens = read_tokens(",".join(f"platform:token-{n}" for n in range(50)))
    monkeypatch.setattr(module.hmac, "compare_digest", counting)
    for given in ("token-0", "token-49", "guess", "", "t" * 10_000):
        compared.clear()
        tokens.role(given)
        assert compared == [32] * 50
