"""Rule files hold plain values only, and every refusal says where."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from features.definition import Text
from features.rules.files import Node, RuleFileRefused, read_rule_file


def read(folder: Path, text: str | bytes) -> Node:
    path = folder / "demo.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_rule_file(path)


def refused(work: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(RuleFileRefused) as refusal:
        work()
    assert str(refusal.value) == f"demo.yaml line {refusal.value.line}: {refusal.value.reason}"
    return refusal.value.line, refusal.value.reason


def test_values_are_read_with_their_lines(tmp_path: Path) -> None:
    root = read(
        tmp_path,
        "id: MED-05\n"
        "points: 12.5\n"
        "sealed: true\n"
        "from: 2026-01-01\n"
        "until:\n"
        "name: {zh: 住院, en: stay}\n"
        "levels:\n"
        "  - first\n"
        "  -\n"
        "    second\n"
        "when: >-\n"
        "  members > 1\n"
        "  and adults > 1\n",
    )
    f = root.fields("id", "points", "sealed", "from", "until", "name", "levels", "when")
    assert f["id"].text() == "MED-05" and f["id"].line == 1
    assert f["points"].number() == 12.5 and f["sealed"].flag() is True
    assert f["from"].day() == date(2026, 1, 1) and f["until"].is_none
    assert f["name"].words() == Text("住院", "stay")
    assert [(item.text(), item.line) for item in f["levels"].items()] == [("first", 8), ("second", 10)]
    assert f["when"].text() == "members > 1 and adults > 1" and f["when"].line == 11
    assert [name for name, _ in root.entries()] == list(f)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", 3),
        ("outer:\n  a: 1\n  'a': 3\n", 3),
        ("- {a: 1, a: 1}\n", 1),
    ],
)
def test_a_key_given_twice_is_refused(tmp_path: Path, text: str, line: int) -> None:
    found, reason = refused(lambda: read(tmp_path, text))
    assert found == line and "'a' is given twice" in reason


@pytest.mark.parametrize(
    "text",
    [
        "id: 1\nwhen: !!python/object/apply:os.system ['true']\n",
        "id: 1\nwhen: !!python/object:features.rules.files.Node {file: a, line: 1, content: 1}\n",
        "id: 1\nwhen: !!python/name:os.system\n",
        "id: 1\nwhen: !!python/tuple [1, 2]\n",
        "id: 1\nwhen: !!python/str text\n",
        "id: 1\nwhen: !!set {a, b}\n",
        "id: 1\nwhen: !!omap [a: 1]\n",
        "id: 1\nwhen: !!binary aGVsbG8=\n",
        "id: 1\nwhen: !custom text\n",
        "id: 1\nwhen: !!int text\n",
        "id: 1\nwhen: !!bool perhaps\n",
        "id: 1\nwhen: !!timestamp someday\n",
        "id: 1\nwhen: !!int ''\n",
    ],
)
def test_a_tag_is_refused_and_nothing_is_made_of_it(tmp_path: Path, text: str) -> None:
    assert refused(lambda: read(tmp_path, text))[0] == 2


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: *x\n", 1),
        ("a: &x\n  - *x\n", 1),
        ("? [a, b]\n: 1\n", 1),
        ("a: [1, 2\nb: 3\n", 2),
        ("a: 1\n b: 2\n", 2),
        ("\ta: 1\n", 1),
        ("a: 1\n---\nb: 2\n", 2),
        ("a: 2026-02-30\n", 1),
        ("", 1),
        ("# only a remark\n", 1),
        ("[" * 20_000, 1),
        (b"a: \xff\n", 1),
        ("a: \x00\n", 1),
    ],
)
def test_what_is_no_plain_yaml_is_refused(tmp_path: Path, text: str | bytes, line: int) -> None:
    found, reason = refused(lambda: read(tmp_path, text))
    assert found == line and reason


def test_an_alias_is_the_value_again_and_aliases_of_aliases_end(tmp_path: Path) -> None:
    root = read(tmp_path, "a: &x [1, 2]\nb: *x\n").fields("a", "b")
    assert [item.number() for item in root["b"].items()] == [1.0, 2.0] and root["b"].line == 2
    laughs = ["a0: &a0 [ha, ha, ha]"]
    laughs += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert "holds more than" in refused(lambda: read(tmp_path, "\n".join(laughs)))[1]


def test_what_is_merged_in_is_no_field(tmp_path: Path) -> None:
    root = read(tmp_path, "base: &x {a: 1}\nother:\n  <<: *x\n").fields("base", "other")
    assert "'<<' is no field here" in refused(lambda: root["other"].fields("a"))[1]


@pytest.mark.parametrize(
    ("text", "ask", "said"),
    [
        ("a: 1", lambda n: n.fields("a", "b"), "b missing"),
        ("a: 1\nc: 1", lambda n: n.fields("a", optional=("b",)), "'c' is no field here; known are a, b"),
        ("[1]", lambda n: n.fields("a"), "must be a mapping with a"),
        ("[1]", lambda n: list(n.entries()), "must be a mapping"),
        ("a: 1", lambda n: n.items(), "must be a list"),
        ("5", lambda n: n.text(), "must be a text"),
        ("'  '", lambda n: n.text(), "must be a text"),
        ("[a, 5]", lambda n: n.texts(), "must be a text"),
        ("yes", lambda n: n.number(), "must be a number"),
        ("'5'", lambda n: n.number(), "must be a number"),
        (".nan", lambda n: n.number(), "must be a finite number"),
        ("-.inf", lambda n: n.number(), "must be a finite number"),
        ("1" + "0" * 400, lambda n: n.number(), "must be a finite number"),
        ("1", lambda n: n.flag(), "must be true or false"),
        ("2026-01-01 10:00:00", lambda n: n.day(), "must be a day"),
        ("'2026-01-01'", lambda n: n.day(), "must be a day"),
        ("green", lambda n: n.one_of("red", "yellow"), "must be one of red, yellow"),
        ("{zh: 住院}", lambda n: n.words(), "en missing"),
        ("{zh: 住院, en: stay, fr: séjour}", lambda n: n.words(), "'fr' is no field here"),
    ],
)
def test_a_value_of_another_type_is_refused(
    tmp_path: Path, text: str, ask: Callable[[Node], object], said: str
) -> None:
    node = read(tmp_path, text + "\n")
    assert said in refused(lambda: ask(node))[1]
