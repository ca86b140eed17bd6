"""Who asks: a bearer token, or on pages the cookie of a login."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import Forbidden, LoginNeeded, Malformed, Unauthenticated, UnknownAddress, WrongMethod
from serving.guard.language import wants_page
from serving.guard.rules import PURPOSES, Rule, rule_of
from serving.sessions import SESSION_COOKIE, Session, Sessions
from serving.tokens import Tokens

# Where the rest of the service finds the rule of the address and who asks.
RULE, ROLE = "povrisk.rule", "povrisk.role"
TOKEN_PARAMETERS = frozenset({"token", "access_token", "api_key", "apikey", "authorization", "bearer"})
# What may be repeated in the address of the login page, so that one comes back to where one was going.
_PLAIN_PATH = re.compile(r"/(?!/)[A-Za-z0-9/_-]{0,100}")


class Access:
    """Token or login, then address, method, role and purpose: a stranger does not learn which addresses exist."""

    def __init__(self, app: ASGIApp, tokens: Tokens, sessions: Sessions) -> None:
        self.app = app
        self.tokens = tokens
        self.sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one call through, or refuse it."""
        if scope["type"] == "http":
            self._check(scope)
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        rule = rule_of(scope["path"])
        headers = Headers(scope=scope)
        caller = None
        if rule is None or rule.roles:
            caller = self._caller(scope, headers, rule)
        elif rule.is_page:
            self._refuse_token_in_address(scope)
            caller = self._session(headers)
        if rule is None:
            raise UnknownAddress("the endpoints are listed in /docs.json")
        scope[RULE] = rule
        if scope["method"] not in rule.methods:
            raise WrongMethod(rule.methods)
        if rule.roles and (caller is None or caller.role not in rule.roles):
            raise Forbidden("the role of this token may not use this address")
        if rule.needs_purpose:
            given = headers.getlist("x-purpose")
            if len(given) != 1 or given[0] not in PURPOSES:
                raise Forbidden(f"the header X-Purpose must name one of {', '.join(PURPOSES)}")
        scope[ROLE] = None if caller is None else caller.role
        state = scope.setdefault("state", {})
        state["role"] = None if caller is None else caller.role.value
        state["actor"] = None if caller is None else caller.actor
        state["csrf"] = "" if caller is None else caller.csrf

    def _caller(self, scope: Scope, headers: Headers, rule: Rule | None) -> Session:
        """Who asks. The cookie of a login counts on pages only: no page of another site can make a browser send a
        bearer token, so what machines use needs no further secret."""
        self._refuse_token_in_address(scope)
        given = headers.getlist("authorization")
        if not given and (rule is None or rule.is_page):
            session = self._session(headers)
            if session is not None:
                return session
        if not given and scope["method"] in ("GET", "HEAD") and wants_page(headers):
            raise LoginNeeded(scope["path"] if _PLAIN_PATH.fullmatch(scope["path"]) else "/")
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        token = token.strip()
        role = self.tokens.role(token) if scheme.lower() == "bearer" else None
        if role is None:
            raise Unauthenticated("send the header Authorization: Bearer with a known token")
        return Session(role, self.sessions.actor(token), "")

    def _session(self, headers: Headers) -> Session | None:
        cookie = cookie_parser(headers.get("cookie", "")).get(SESSION_COOKIE)
        return self.sessions.session(cookie) if cookie else None

    def _refuse_token_in_address(self, scope: Scope) -> None:
        """Addresses are written to logs and histories on the way; a token in one is no longer a secret."""
        if not scope["query_string"]:
            return
        try:
            given = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=1000)
        except ValueError:
            raise Malformed("the address has more than 1000 fields") from None
        for name, value in given:
            if name.lower() in TOKEN_PARAMETERS or self.tokens.role(value) is not None:
                raise Unauthenticated("a token belongs into the header Authorization, never into the address")
