"""Text that means something to a browser, a terminal or a log is refused, or shown as the characters that it is."""

from __future__ import annotations

import html
import json
import logging
from typing import Any
from urllib.parse import quote

import pytest

from tests.abuse.conftest import Inside, changed
from tests.front import HTML

CANARY = "KANARIE"
HOSTILE = {
    "a script": f"<script>alert('{CANARY}')</script>",
    "an image": f'"><img src=x onerror={CANARY}>',
    "out of an attribute": f"' onmouseover='{CANARY}",
    "an address": f"javascript:{CANARY}",
    "a template": f"{{{{ 7 * 7 }}}} {{% raw %}} {CANARY} ${{7*7}}",
    "a line": f"{CANARY}\n2026-11-01 INFO nothing happened",
    "a return": f"{CANARY}\r\nSet-Cookie: a=b",
    "a separator": f"{CANARY}\u2028{CANARY}",
    "right to left": f"\u202e{CANARY}\u202c",
    "an isolate": f"\u2067{CANARY}\u2069",
    "without a width": f"{CANARY}\u200b\ufeff",
    "a terminal": f"\x1b[2J\x1b]0;{CANARY}\x07",
    "an end": f"{CANARY}\x00",
    "a formula": f"=cmd|'/c calc'!{CANARY}",
    "a query": f"'; DROP TABLE assessments; -- {CANARY}",
}
# What no page may hold as it is: the beginning of an element or of an attribute, or an order to turn the text.
NEVER_ON_A_PAGE = ["<script>alert", "<img src=x", "onmouseover='", "\u202e", "\u2067", "\u200b", "\x1b", "\x00"]
FIELDS = [
    *("household_id", "township", "region"),
    *(
        "event.event_id",
        "event.text",
        "event.source",
        "event.person_id",
        "event.code",
        "event.unit",
        "event.supersedes",
    ),
    *("member.person_id", "member.role", "member.sex"),
]


def marked(good: dict[str, Any], field: str, text: str) -> dict[str, Any]:
    household = good["households"][0]
    part, _, name = field.rpartition(".")
    if not part:
        return changed(good, **{name: text})
    rows = household[f"{part}s"]
    # Several rows, so that one of them stands in what is shown.
    return changed(good, **{f"{part}s": [{**row, name: text if i == 0 or name in ("text", "source") else row.get(name)}
                                         for i, row in enumerate(rows)]})  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("field", FIELDS)
def test_it_is_refused_in_silence_or_shown_as_it_is(
    inside: Inside, good: dict[str, Any], kind: str, field: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = HOSTILE[kind]
    with caplog.at_level(logging.INFO, logger="povrisk"):
        reply = inside.score(marked(good, field, text))
    if reply.status_code == 422:
        assert CANARY not in reply.text
        assert html.escape(text) not in reply.text
    else:
        assert reply.status_code == 200, reply.text[:300]
        assert reply.headers["content-type"] == "application/json"
        # Control characters never leave as they are, not even inside JSON.
        assert not any(ord(character) < 32 for character in reply.text)
        _look_at_pages(inside, reply.json()["results"][0]["assessment_id"])
    own = [record for record in caplog.records if record.name.startswith("povrisk")]
    for record in own:
        assert "\n" not in record.getMessage()
        assert CANARY not in record.getMessage()


def _look_at_pages(inside: Inside, name: str) -> None:
    for path in (f"/visit/{name}", f"/visit/{name}/sheet", f"/household/{name}", "/"):
        for language in ("zh", "en"):
            page = inside.client.get(path, params={"lang": language}, headers={**inside.headers(), **HTML})
            assert page.status_code == 200, (path, page.status_code)
            assert not [each for each in NEVER_ON_A_PAGE if each in page.text]


@pytest.mark.parametrize("kind", HOSTILE)
def test_it_is_never_repeated_by_a_page_that_was_asked_with_it(inside: Inside, kind: str) -> None:
    text = HOSTILE[kind]
    client = inside.client
    for reply in (
        client.get("/queue", params={"township": text}, headers=inside.headers()),
        client.get("/", params={"township": text, "tier": text}, headers={**inside.headers(), **HTML}),
        client.get("/login", params={"next": text, "failed": text}, headers=HTML),
        client.get("/card", params={"lang": text}, headers=HTML),
        client.post("/login", data={"csrf": text, "token": text, "next": text}, headers=HTML),
        client.post("/person", data={"csrf": text, "code": text}, headers=HTML),
    ):
        assert reply.status_code < 500
        assert not [each for each in NEVER_ON_A_PAGE if each in reply.text]
        assert "Set-Cookie: a=b" not in str(reply.headers)


def test_a_header_with_hostile_text_is_never_repeated(inside: Inside, good: dict[str, Any]) -> None:
    for name in ("user-agent", "referer", "x-request-id", "x-purpose", "accept-language", "traceparent", "cookie"):
        for text in HOSTILE.values():
            if not text.isprintable() or not text.isascii():
                continue
            reply = inside.score(good | {"households": []}, **{name: text})
            assert CANARY not in reply.text + str(reply.headers)


def test_a_log_line_is_one_line_whatever_is_asked(
    inside: Inside, good: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="povrisk"):
        for text in HOSTILE.values():
            inside.client.get(f"/{quote(text)}", headers=inside.headers())
            inside.client.get(f"/households/{quote(text)}/assessments", headers=inside.headers())
            inside.score(json.dumps(changed(good, **{text: text})).encode())
    assert len(caplog.records) >= 2 * len(HOSTILE)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("povrisk")]
    assert not [line for line in lines if CANARY in line or len(line.splitlines()) > 1]


def test_a_visit_with_hostile_text_is_refused(inside: Inside, good: dict[str, Any]) -> None:
    name = inside.score(good).json()["results"][0]["assessment_id"]
    for text in HOSTILE.values():
        body = {"version": 1, "visited_on": "2021-12-30", "outcome": text, "note": text}
        headers = inside.headers("caseworker", **{"idempotency-key": "k"})
        reply = inside.client.post(f"/assessments/{name}/feedback", json=body, headers=headers)
        assert (reply.status_code, CANARY in reply.text) == (422, False)
