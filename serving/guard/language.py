"""Whether a person or a machine asks, and in which language a person reads."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope

from serving.sessions import LANGUAGE_COOKIE

LANGUAGES = ("zh", "en")


def wants_page(headers: Headers) -> bool:
    """Whether the caller names HTML among what it accepts, as every browser does and no machine.

    >>> wants_page(Headers({"accept": "text/html,*/*;q=0.8"})), wants_page(Headers({"accept": "*/*"}))
    (True, False)
    """
    kinds = [kind.partition(";")[0].strip().lower() for kind in headers.get("accept", "").split(",")]
    return "text/html" in kinds or "application/xhtml+xml" in kinds


def language_asked(scope: Scope) -> str | None:
    """The language that the address itself asks for (`?lang=en`), if it is one of ours."""
    given = [value for name, value in _query(scope) if name == "lang"]
    return given[0] if len(given) == 1 and given[0] in LANGUAGES else None


def language_of(scope: Scope) -> str:
    """The language of a page: what the address asks for, else what was chosen before, else what the browser prefers.

    >>> language_of({"query_string": b"", "headers": [(b"accept-language", b"fr, en-GB;q=0.9, zh;q=0.5")]})
    'en'
    >>> language_of({"query_string": b"", "headers": []})
    'zh'
    """
    headers = Headers(scope=scope)
    chosen = language_asked(scope) or cookie_parser(headers.get("cookie", "")).get(LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return str(chosen)
    preferred = sorted(map(_weighed, headers.get("accept-language", "").split(",")[:20]), key=lambda each: -each[0])
    return next((name for weight, name in preferred if name in LANGUAGES and weight > 0), "zh")


def _weighed(entry: str) -> tuple[float, str]:
    name, _, quality = entry.partition(";")
    written = quality.strip().removeprefix("q=").strip()
    try:
        weight = float(written) if written else 1.0
    except ValueError:
        weight = 0.0
    return weight, name.strip().lower().partition("-")[0]


def _query(scope: Scope) -> list[tuple[str, str]]:
    try:
        return parse_qsl(scope["query_string"].decode("latin-1"), max_num_fields=1000)
    except ValueError:
        return []
