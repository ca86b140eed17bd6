"""Who may ask what, for which purpose. An address without a rule is not served."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import Forbidden, Unauthenticated, UnknownAddress, WrongMethod
from serving.tokens import Role, Tokens

PURPOSES = ("prioritise_visit", "prepare_visit")
ANYBODY = frozenset(Role)
FIELD_WORK = frozenset({Role.PLATFORM, Role.CASEWORKER, Role.SUPERVISOR})
# Where the rest of the service finds who asks, and who may read what courts, prisons and protection orders say.
ROLE = "povrisk.role"
READS_SEALED = frozenset({Role.SUPERVISOR})
TOKEN_PARAMETERS = frozenset({"token", "access_token", "api_key", "apikey", "authorization", "bearer"})


@dataclass(frozen=True)
class Rule:
    """One address: its methods, the roles that may use it (none: no token is asked for), and whether a purpose is due.

    A purpose is due wherever data about a household goes in or out.
    """

    methods: tuple[str, ...]
    roles: frozenset[Role] = frozenset()
    needs_purpose: bool = False


RULES: dict[str, Rule] = {
    "/livez": Rule(("GET", "HEAD")),
    "/readyz": Rule(("GET", "HEAD")),
    "/score": Rule(("POST",), FIELD_WORK, needs_purpose=True),
    "/model": Rule(("GET", "HEAD"), ANYBODY),
    "/metrics": Rule(("GET", "HEAD"), ANYBODY),
    "/docs.json": Rule(("GET", "HEAD"), ANYBODY),
    "/schema.json": Rule(("GET", "HEAD"), ANYBODY),
}


class Access:
    """Token, then address, method, role and purpose: a stranger does not learn which addresses exist."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self.app = app
        self.tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one call through, or refuse it."""
        if scope["type"] == "http":
            self._check(scope)
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        rule = RULES.get(scope["path"])
        headers = Headers(scope=scope)
        role = self._role(scope, headers) if rule is None or rule.roles else None
        if rule is None:
            raise UnknownAddress("the endpoints are listed in /docs.json")
        if scope["method"] not in rule.methods:
            raise WrongMethod(rule.methods)
        if rule.roles and role not in rule.roles:
            raise Forbidden("the role of this token may not use this address")
        if rule.needs_purpose:
            given = headers.getlist("x-purpose")
            if len(given) != 1 or given[0] not in PURPOSES:
                raise Forbidden(f"the header X-Purpose must name one of {', '.join(PURPOSES)}")
        scope[ROLE] = role

    def _role(self, scope: Scope, headers: Headers) -> Role:
        self._refuse_token_in_address(scope)
        given = headers.getlist("authorization")
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        role = self.tokens.role(token.strip()) if scheme.lower() == "bearer" else None
        if role is None:
            raise Unauthenticated("send the header Authorization: Bearer with a known token")
        return role

    def _refuse_token_in_address(self, scope: Scope) -> None:
        """Addresses are written to logs and histories on the way; a token in one is no longer a secret."""
        query = scope["query_string"].decode("latin-1")
        for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=1000):
            if name.lower() in TOKEN_PARAMETERS or self.tokens.role(value) is not None:
                raise Unauthenticated("a token belongs into the header Authorization, never into the address")
