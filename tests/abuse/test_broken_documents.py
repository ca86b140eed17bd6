"""What is no document of ours is refused at once, by its field where it has one and never with what was sent."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.abuse.conftest import Inside, changed, problem, with_event

CANARY = "HH-SECRET-0815"
AT_ONCE_S = 0.05

BROKEN = {
    "nothing": b"",
    "blanks": b" \r\n\t",
    "cut": b'{"households": [{"household_id": "' + CANARY.encode(),
    "a word": CANARY.encode(),
    "another coding": CANARY.encode("utf-16"),
    "no UTF-8": b'{"households": "\xff' + CANARY.encode() + b'"}',
    "half a character": b'{"households": "\xe6\x88"}',
    "an empty byte": b'{"households": []}\x00',
    "two documents": b'{"households": []}{}',
    "quotes of another kind": b"{'households': []}",
    "a comma too many": b'{"households": [],}',
    "deep lists": b"[" * 100_000,
    "deep lists that close": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"households":' * 100_000,
    "deep under a field": b'{"households":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number without end": b'{"households": 1' + b"0" * 100_000 + b"}",
    "a line break in a text": b'{"households": "' + CANARY.encode() + b'\n"}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_document_is_refused_at_once(inside: Inside, name: str) -> None:
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        reply = inside.score(BROKEN[name])
        seconds.append(time.perf_counter() - started)
        # A number is JSON however long it is; it only stands where none may.
        problem(reply, 422 if reply.status_code == 422 and "number" in name else 400, silent_about=CANARY)
    assert min(seconds) <= AT_ONCE_S


@pytest.mark.parametrize("piece", [b"[", b'{"a":', b'"', b"1", b" ", b"\\", b"\xef\xbb\xbf", b"[[],"])
def test_the_largest_body_of_rubbish_is_refused_too(inside: Inside, piece: bytes) -> None:
    body = (piece * (4 * 1024 * 1024 // len(piece)))[: 4 * 1024 * 1024]
    started = time.perf_counter()
    reply = inside.score(body)
    assert reply.status_code in (400, 422)
    problem(reply, reply.status_code)
    assert time.perf_counter() - started < 1.0


NUMBERS = [
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e400", "true", "false", '"12"', '"NaN"', "[1]", '{"a":1}'),
    *("1" + "0" * 400, "-1" + "0" * 400, "1" + "0" * 5000, "0." + "0" * 500 + "1e900"),
]


@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_no_number_is_refused_by_its_field(inside: Inside, good: dict[str, Any], number: str) -> None:
    body = json.dumps(with_event(good, value=0.125, text=CANARY)).replace("0.125", number).encode()
    reply = inside.score(body)
    # More digits than a number may have can stop the reading itself.
    if reply.status_code == 400:
        assert len(number) > 4000
        return
    assert problem(reply, 422, silent_about=CANARY) == [["households", 0, "events", 0, "value"]]


@pytest.mark.parametrize("number", ["1", "NaN", "1e999", "true", "null", "[]", "{}"])
@pytest.mark.parametrize("name", ["household_id", "as_of", "region", "residence"])
def test_a_number_is_no_text(inside: Inside, good: dict[str, Any], name: str, number: str) -> None:
    body = json.dumps(changed(good, **{name: 0.125}, events=[])).replace("0.125", number).encode()
    reply = inside.score(body)
    if number == "NaN" and reply.status_code == 400:
        return
    assert ["households", 0, name] in problem(reply, 422)


KEYS = {
    "the document": ['"households"'],
    "a household": ['"household_id"', '"as_of"', '"members"', '"events"'],
    "a member": ['"role"'],
    "an event": ['"code"', '"occurred_at"'],
}


@pytest.mark.parametrize("key", [key for keys in KEYS.values() for key in keys])
@pytest.mark.parametrize("is_spelled_otherwise", [False, True])
def test_a_key_given_twice_is_refused_at_every_level(
    inside: Inside, good: dict[str, Any], key: str, is_spelled_otherwise: bool
) -> None:
    household = good["households"][0]
    small = changed(good, events=household["events"][:1], members=household["members"][:1])
    written = json.dumps(small, ensure_ascii=False)
    at = written.index(f"{key}: ")
    # The same key once more in front, plain or with one letter as an escape: the last one would win silently.
    first = f'"\\u{ord(key[1]):04x}{key[2:]}' if is_spelled_otherwise else key
    body = f'{written[:at]}{first}: "{CANARY}", {written[at:]}'.encode()
    assert json.loads(body)
    assert problem(inside.score(body), 400, silent_about=CANARY) == []


def test_every_key_given_once_is_answered(inside: Inside, good: dict[str, Any]) -> None:
    assert inside.score(json.dumps(good).encode()).status_code == 200
