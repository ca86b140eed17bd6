"""What the fast reader takes means what the exact reader makes of it; what it is not sure of it leaves to that one."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import NODEFAULT

from serving import codec, messages
from serving.codec import document_of, read, read_if_plain, written
from serving.errors import Refusal
from serving.messages import Batch
from serving.reading import read_batch
from serving.repeated_keys import may_repeat_a_key
from serving.settings import Settings

LIMITS = Settings(max_households=3, max_events=6)
EVENT: dict[str, Any] = {
    **{"event_id": "e1", "person_id": "p1", "code": "CLM//INPATIENT", "occurred_at": "2026-10-12"},
    **{"known_at": "2026-10-14T10:30:00+08:00", "value": 0.125, "unit": "CNY", "text": "I63", "source": "医保"},
    **{"status": "original", "supersedes": None},
}
MEMBER: dict[str, Any] = {
    **{"person_id": "p1", "birth_date": "1955-03-01", "sex": "M", "role": "head", "joined_at": "2000-01-01"},
    **{"left_at": None, "known_at": "2000-01-02"},
}
HOUSEHOLD: dict[str, Any] = {
    **{"household_id": "户-1", "as_of": "2026-11-01", "region": "demo", "residence": "rural", "township": "T"},
    **{"previous": {"as_of": "2026-10-01", "tier": "red", "tier_computed": "grey"}},
    **{"members": [MEMBER], "events": [EVENT, {**EVENT, "event_id": "e2"}]},
}
WRITTEN = json.dumps({"households": [HOUSEHOLD]}, ensure_ascii=False)
LEAST = {"household_id": "h", "as_of": "2026-11-01", "region": "r", "residence": "town", "members": [], "events": []}

VALUES = [
    *('"x"', '""', "null", "true", "0", "-0", "-0.0", "1e400", "1e308", "NaN", "-Infinity", "[]", "{}", '"2026-11-01"'),
    *('"2026-11-01T10:30:00+08:00"', '"20261101"', '"2026-11-01\\n2026-11-01"', '"２０２６-11-01"', '"1899-12-31"'),
    *('"2200-01-01"', '"2026-11-01 10:30"', '"2026-11-01T10:30:00.1234567Z"', '"red"', '"F"', '"retracted"', "12"),
    *(
        '"\\u0000"',
        '"\\ud800"',
        '"\\ud83d\\ude00"',
        '"\\/"',
        '"\u202e"',
        '"\u00ad"',
        '"\U000e0001"',
        '"\x7f"',
        '"\x85"',
    ),
    *("1" + "0" * 305, "1" + "0" * 400, "0." + "1" * 40, "9007199254740993", "1.7976931348623157e308", "01", "1.", "-"),
    *(f'"{"x" * 128}"', f'"{"x" * 129}"', f'"{"户" * 128}"', f'"{"x" * 21}"', f'"{"x" * 61}"', f'"{"x" * 2001}"'),
]
PIECES = [*VALUES, ",", ":", "{", "}", "[", "]", '"', "\\", " ", "\n", "\ufeff", '"value": 2,', '"as_of": "x",', "\x01"]


def told(body: bytes, reader: Any) -> Any:
    """What a reader makes of a body: the documents of its households, or the refusal."""
    try:
        return [json.dumps(document_of(household)) for household in reader(body)]
    except Refusal as refusal:
        return refusal.status, refusal.body()


def fast(body: bytes) -> Any:
    return told(body, lambda given_: read(given_, LIMITS))


def exact(body: bytes) -> Any:
    return told(body, lambda given_: read_batch(given_, LIMITS, Batch).households)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A good body with a few pieces of it replaced, and now and then a few bytes."""
    text = WRITTEN
    marks = ['"', ",", ":", "{", "}", "[", "]"]
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        if draw(st.booleans()):
            # A whole value or key, from one mark to the next.
            ends = [at for at in (text.find(mark, start + 1) for mark in marks) if at > 0]
            end = min(ends, default=len(text))
        else:
            end = min(len(text), start + draw(st.integers(0, 3)))
        text = text[:start] + draw(st.sampled_from(PIECES) | st.text(max_size=3)) + text[end:]
    body = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(st.binary(max_size=2)) + body[at + draw(st.integers(0, 2)) :]
    return body


@settings(max_examples=600)
@given(spoiled())
def test_any_body_is_read_or_refused_as_the_exact_reader_does(body: bytes) -> None:
    assert fast(body) == exact(body)


@pytest.mark.parametrize("value", VALUES)
def test_any_value_in_any_field_is_read_or_refused_as_the_exact_reader_does(value: str) -> None:
    fields = [(HOUSEHOLD, name) for name in HOUSEHOLD] + [(MEMBER, name) for name in MEMBER]
    fields += [(EVENT, name) for name in EVENT] + [(HOUSEHOLD["previous"], name) for name in HOUSEHOLD["previous"]]
    for holder, name in fields:
        before, replaced = json.dumps(holder, ensure_ascii=False), json.dumps({**holder, name: "#"}, ensure_ascii=False)
        body = WRITTEN.replace(before, replaced.replace('"#"', value), 1).encode("utf-8", "surrogatepass")
        assert fast(body) == exact(body), name


def test_fields_that_are_missing_unknown_or_given_twice_are_treated_as_the_exact_reader_does() -> None:
    for holder in (HOUSEHOLD, MEMBER, EVENT, HOUSEHOLD["previous"]):
        before = json.dumps(holder, ensure_ascii=False)
        for name in holder:
            without = json.dumps({k: v for k, v in holder.items() if k != name}, ensure_ascii=False)
            unknown = json.dumps({**holder, f"{name}_": 1}, ensure_ascii=False)
            twice = before[:-1] + f', "{name}": {json.dumps(holder[name])}}}'
            escaped = before.replace(f'"{name}"', f'"\\u00{ord(name[0]):x}{name[1:]}"', 1)
            for changed in (without, unknown, twice, escaped):
                body = WRITTEN.replace(before, changed, 1).encode()
                assert fast(body) == exact(body), (name, changed)


def test_counts_over_the_limits_are_refused_in_the_same_words() -> None:
    for households, events in ((3, 2), (4, 0), (1, 6), (1, 7), (2, 4)):
        listed = [{**LEAST, "household_id": f"h{n}", "events": [EVENT] * events} for n in range(households)]
        body = json.dumps({"households": listed}).encode()
        assert fast(body) == exact(body)
    assert fast(b'{"households": []}') == exact(b'{"households": []}')
    crowded = json.dumps({"households": [{**LEAST, "members": [MEMBER] * 201}]}).encode()
    assert fast(crowded) == exact(crowded)


def test_what_is_usual_is_taken_by_the_fast_reader() -> None:
    for body in (WRITTEN.encode(), WRITTEN.encode("ascii", "backslashreplace").replace(b"\\x", b"\\u00")):
        assert read_if_plain(body, LIMITS) is not None
    assert read_if_plain(json.dumps({"households": [LEAST]}).encode(), LIMITS) is not None


def pairs_are_unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise KeyError
    return dict(pairs)


KEYS = st.sampled_from(["a", "b", "ab", "", "as_of", 'a"b', "a\\b", "户", "{", "a,", "é", "\u0000"])


def documents(keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Documents as text; an object is a list of its pairs, so that it may hold a key twice."""
    texts = st.sampled_from(['"}', '","a":1', "\\", '\\"', "{", "户", ""]).map(lambda t: json.dumps(t))
    leaves = st.sampled_from(["1", "-0.5e3", "true", "null"]) | texts
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4).map(lambda parts: f"[{' , '.join(parts)}]")
            | st.lists(st.tuples(keys, inner), max_size=5).map(
                lambda pairs: (
                    "{" + ",".join(f"{json.dumps(k, ensure_ascii=len(v) % 2 == 0)} : {v}" for k, v in pairs) + "}"
                )
            )
        ),
        max_leaves=12,
    )


@settings(max_examples=500)
@given(documents(KEYS))
def test_a_key_given_twice_in_one_object_is_always_noticed(text: str) -> None:
    try:
        json.loads(text, object_pairs_hook=pairs_are_unique)
    except KeyError:
        assert may_repeat_a_key(text.encode())


@settings(max_examples=200)
@given(documents(st.sampled_from(["a", "b", "ab", "", "户", "{", "a,"])))
def test_nothing_else_is_noticed_in_flat_documents_with_plain_keys(text: str) -> None:
    depth = most = 0
    for letter in "".join(part for part in text.replace('\\"', "").split('"')[::2]):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(letter, 0)
        most = max(most, depth)
    try:
        json.loads(text, object_pairs_hook=pairs_are_unique)
    except KeyError:
        return
    if most <= 8 and "\\u" not in text:
        assert not may_repeat_a_key(text.encode())


@pytest.mark.parametrize("name", ["Member", "Event", "LastRun", "Household", "Batch"])
def test_structs_have_the_fields_of_the_messages_in_the_same_order(name: str) -> None:
    struct, message = getattr(codec, name), getattr(messages, name)
    assert list(struct.__struct_fields__) == list(message.model_fields)
    assert struct.__struct_config__.forbid_unknown_fields
    described = message.model_json_schema()
    (told_,), components = msgspec.json.schema_components([struct])
    found = components[name]
    assert told_
    assert set(found["required"]) == set(described["required"])
    for field in msgspec.structs.fields(struct):
        one, other = _form(found["properties"][field.name]), _form(described["properties"][field.name])
        assert one == other, field.name
        default = message.model_fields[field.name].default
        if field.default is not NODEFAULT:
            assert field.default == default
        elif not field.required:
            assert field.default_factory() == default == "original"  # type: ignore[operator,misc]


def _form(schema: Any) -> Any:
    """Types, lengths and choices of a field, as both libraries describe them; forms of texts are tested above."""
    if "anyOf" in schema:
        # No choice at all is one of the choices, as the other library says it.
        forms = [{"enum": ["", *_form(each)]} if "enum" in each else _form(each) for each in schema["anyOf"]]
        choices = [each for each in forms if "enum" in each]
        return choices[0] if choices else sorted(json.dumps(each, sort_keys=True) for each in forms)
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    kept = {k: v for k, v in schema.items() if k in ("type", "enum", "maxItems", "minItems", "minLength", "maxLength")}
    if "enum" in kept or "const" in schema:
        listed = kept.get("enum", [schema.get("const")])
        found = sorted(each for each in listed if each is not None)
        return {"enum": ["", *found]} if None in listed else found
    if kept.get("minLength") == 10:
        # Days and moments: the message's pattern says the same.
        kept.pop("minLength")
    return {**kept, "items": _form(schema["items"])} if "items" in schema else kept


def test_answers_are_written_as_json_says_and_nothing_else_is() -> None:
    record = {"a": [1.5, None, True, "户", {"b": -0.0}], "c": 10**15, "d": (1, 2)}
    assert json.loads(written([record])) == json.loads(json.dumps({"results": [record]}))
    numpy = pytest.importorskip("numpy")
    for strange in (numpy.float64(1), numpy.int64(1), numpy.bool_(True), object()):
        with pytest.raises(TypeError):
            written([{"a": strange}])


def test_unusual_numbers_are_the_same_numbers() -> None:
    random_ = random.Random(4)
    numbers = [random_.uniform(-1, 1) * 10 ** random_.randint(-300, 300) for _ in range(300)]
    for number in (*numbers, 5e-324, 2.2250738585072014e-308, 0.1, 1e22, 123456789012345680):
        body = WRITTEN.replace("0.125", repr(number)).encode()
        assert fast(body) == exact(body)
