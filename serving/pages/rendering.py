"""Templates turned into pages: one environment, everything escaped, words in the language of the reader."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from serving.pages.shown import plain
from serving.pages.words import WORDS, Words, word

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
LANGUAGES = ("zh", "en")


@cache
def environment() -> Environment:
    """The templates, compiled once. An undefined name is an error, never an empty place."""
    return Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def rendered(name: str, lang: str, words: Words = WORDS, **variables: Any) -> str:
    """The template `name` with its variables; `t(key)` in it is a word of `words` in the language."""
    template = environment().get_template(name)
    return template.render(
        lang=lang, t=lambda key, **values: word(words, key, lang, **values), static=static_address, **variables
    )


def page(
    request: Request,
    name: str,
    *,
    status: int = 200,
    words: Words | None = None,
    path: str | None = None,
    **variables: Any,
) -> HTMLResponse:
    """A page in the language, and with the login, of the request. `words` come beside those of all pages.

    `path` is where the same page is found in the other language, if not at the address that was asked for.
    """
    state, lang = request.state, language(request)
    here = dict(request.query_params) if path is None else {}
    frame = {
        "csrf": getattr(state, "csrf", ""),
        "role": getattr(state, "role", None),
        "path": path or request.url.path,
        "other_language": other_language(path or request.url.path, lang, here),
    }
    html = rendered(name, lang, {**WORDS, **(words or {})}, **{**frame, **variables})
    return HTMLResponse(html, status_code=status)


def other_language(path: str, lang: str, query: Mapping[str, str] | None = None) -> str:
    """The address of a page in the other language.

    >>> other_language("/", "zh", {"tier": "red"})
    '/?tier=red&lang=en'
    """
    other = "en" if lang == "zh" else "zh"
    return f"{path}?{urlencode({**(query or {}), 'lang': other})}"


def error_page(status: int, title: str, detail: str, lang: str) -> str:
    """The page of an error, in the reader's language; `title` and `detail` are for the administrator."""
    known = f"error_{status}"
    message = known if known in WORDS else "error_400" if status < 500 else "error_500"
    frame: dict[str, Any] = {"csrf": "", "role": None, "path": "/", "other_language": other_language("/", lang)}
    frame |= {"status": status, "title": plain(title), "detail": plain(detail), "message": message}
    return rendered("error.html", lang, **frame)


def language(request: Request) -> str:
    """The language that the reader chose; Chinese until then."""
    chosen = getattr(request.state, "lang", "zh")
    return chosen if chosen in LANGUAGES else "zh"


@cache
def static_file(name: str) -> tuple[bytes, str] | None:
    """The bytes and the media type of a file of the pages; None for any other name."""
    kinds = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
    found = {path.name: path for path in STATIC.iterdir() if path.suffix in kinds}.get(name)
    return None if found is None else (found.read_bytes(), kinds[found.suffix])


@cache
def static_address(name: str) -> str:
    """Where a file of the pages is served; the address changes with its content, so that it can be kept for long."""
    found = static_file(name)
    if found is None:
        raise LookupError("no such file of the pages")
    return f"/static/{name}?v={hashlib.sha256(found[0]).hexdigest()[:12]}"
