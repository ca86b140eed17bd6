"""What goes around every page: its language, the secrets of its forms, and what a browser may do with it."""

from __future__ import annotations

from http.cookies import SimpleCookie
from unicodedata import category
from urllib.parse import parse_qs, unquote_plus, urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import Forbidden, Malformed
from serving.guard.access import RULE
from serving.guard.language import language_asked, language_of
from serving.sessions import FORM_COOKIE, LANGUAGE_COOKIE, Sessions, same_secret

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
CSRF_FIELD = "csrf"
# Control characters, format characters (which turn the direction of text, or have no width), and separators of lines.
UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp"})
MAX_FIELDS = 500
YEAR_S = 365 * 86_400


class Pages:
    """Sets `request.state.lang` and `.csrf`, adds cookies and headers to pages, and refuses forms of other sites.

    A form must carry the secret of the session it was shown to (field `csrf`), or without a login that of the cookie
    `povrisk_form`; and it must not say that it comes from elsewhere. A call with a bearer token needs no secret.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self.app = app
        self.sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call; what is not for people passes untouched."""
        rule = scope.get(RULE)
        if scope["type"] != "http" or rule is None or not rule.is_page:
            return await self.app(scope, receive, send)
        _refuse_unseen(scope)
        headers = Headers(scope=scope)
        state = scope["state"]
        state["lang"] = language_of(scope)
        cookies: list[str] = []
        chosen = language_asked(scope)
        if chosen is not None:
            cookies.append(cookie(LANGUAGE_COOKIE, chosen, scope, YEAR_S))
        if not rule.roles and not state["csrf"]:
            before = cookie_parser(headers.get("cookie", "")).get(FORM_COOKIE)
            state["csrf"] = self.sessions.form_secret(before)
            if state["csrf"] != before and not rule.pattern.startswith("/static"):
                cookies.append(cookie(FORM_COOKIE, state["csrf"], scope))
        if scope["method"] == "POST":
            receive = await self._check_form(scope, headers, receive)
        await self.app(scope, receive, _dressed(send, cookies))

    async def _check_form(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Refuse a form that our own page did not send; hands the body on."""
        _refuse_other_origin(headers)
        message = await receive()
        by_token = bool(headers.getlist("authorization")) and scope[RULE].roles
        if not by_token:
            try:
                fields = parse_qs(message.get("body", b"").decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
            except (UnicodeDecodeError, ValueError):
                raise Malformed("the form cannot be read") from None
            given = fields.get(CSRF_FIELD, [])
            if len(given) != 1 or not same_secret(given[0], scope["state"]["csrf"]):
                raise Forbidden("this form is not from a page of this session; open the page again and send it anew")
        given_once = False

        async def replayed() -> Message:
            nonlocal given_once
            if given_once:
                return await receive()
            given_once = True
            return message

        return replayed


def cookie(name: str, value: str, scope: Scope, max_age_s: int | None = None) -> str:
    """A cookie that no script reads, that no other site can make a browser send, and that stays on https if it came by
    https. Behind a proxy that ends TLS the scheme is what uvicorn trusts (`FORWARDED_ALLOW_IPS`)."""
    jar: SimpleCookie = SimpleCookie()
    jar[name] = value
    jar[name]["path"] = "/"
    jar[name]["httponly"] = True
    jar[name]["samesite"] = "Strict"
    if max_age_s is not None:
        jar[name]["max-age"] = max_age_s
    if scope.get("scheme") == "https":
        jar[name]["secure"] = True
    return jar[name].OutputString()


def _refuse_unseen(scope: Scope) -> None:
    """Refuse an address whose fields hold characters that nobody sees: they turn or hide the text around them where
    a page repeats a field. No link or form of ours has any."""
    query = scope["query_string"]
    if query and any(category(character) in UNSEEN for character in unquote_plus(query.decode("latin-1"))):
        raise Malformed("the address holds characters that cannot be seen")


def _refuse_other_origin(headers: Headers) -> None:
    """A browser says where a form comes from: by Sec-Fetch-Site, which no proxy on the way makes wrong, or by naming
    the site, which is compared with the one that was asked."""
    said = headers.get("sec-fetch-site")
    if said is not None:
        is_own = said in ("same-origin", "none")
    else:
        named = [headers[name] for name in ("origin", "referer") if headers.get(name)]
        is_own = all(urlsplit(each).netloc.lower() == headers.get("host", "").lower() for each in named)
    if not is_own:
        raise Forbidden("this form comes from another site")


def _dressed(send: Send, cookies: list[str]) -> Send:
    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
            added += [(b"set-cookie", each.encode()) for each in cookies]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return dressed
