"""Indicators as data: what each watches for, from when to when, how strongly it counts, and how it is worded.

One entry of `features/indicators/*.yaml` is one indicator. Everything is checked when the files are read; a wrong
entry is refused with its file and line, so that no half-understood rule ever meets a household.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from features.definition import Text
from features.rules.case import Case, read_case
from features.rules.files import Node, read_rule_file
from features.rules.syntax import (
    Definition,
    Language,
    Tree,
    indicators_named,
    read_condition,
    read_expression,
    walked,
)

FOLDER = Path(__file__).resolve().parent.parent / "indicators"
QUANTITIES = "quantities.yaml"
MODES = ("trigger", "points", "verification")
TIERS = ("yellow", "orange", "red", "grey", "task")
DIMENSIONS = (
    "income", "employment", "health", "disability", "education", "housing", "shock", "family", "assets", "assistance",
    "insurance", "mobility", "participation", "area", "living", "data",
)  # fmt: skip
POVERTY_TYPES = ("income", "expenditure", "temporary", "mobility")
_ID = re.compile(r"[A-Z]{3}-\d{2}")


@dataclass(frozen=True)
class Level:
    """One step of an indicator: its condition, and the tier or points it brings."""

    when: Tree
    tier: str | None
    points: float
    text: Text | None


@dataclass(frozen=True)
class Indicator:
    """One indicator. The highest true level counts; without a true one it is false, or not evaluable if a level is.

    `decays`: its points halve with the age of the newest event behind it. `sealed`: only an authorised role reads its
    wording. `digest` covers everything but the cases.
    """

    id: str
    name: Text
    mode: str
    dimension: str
    poverty_types: tuple[str, ...]
    levels: tuple[Level, ...]
    decays: bool
    source: str
    owner: str
    effective_from: date
    effective_to: date | None
    text: Text
    questions: tuple[Text, ...]
    sealed: bool
    cases: tuple[Case, ...]
    digest: str
    node: Node

    @property
    def prefix(self) -> str:
        """The family of an indicator: `MED` of `MED-05`."""
        return self.id.split("-", 1)[0]

    def is_in_force(self, on: date) -> bool:
        """Whether it counts on that day, both ends included."""
        return self.effective_from <= on and (self.effective_to is None or on <= self.effective_to)

    def text_of(self, level: int) -> Text:
        """What is said when the level is reached."""
        return self.levels[level].text or self.text


def read_quantities(folder: Path, language: Language) -> Language:
    """The language with the quantities of `quantities.yaml` in it; each may use those before it."""
    quantities: dict[str, Definition] = {}
    for node in read_rule_file(folder / QUANTITIES).items():
        fields = node.fields("id", "zh", "en", "unit", "is", optional=("about",))
        name = fields["id"].text()
        if name in quantities:
            raise fields["id"].refuse(f"{name!r} is declared twice")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise fields["id"].refuse("must be written in small letters, digits and _")
        so_far = Language(language.catalogue, language.numbers, language.texts, quantities)
        tree, kind = read_expression(fields["is"], so_far)
        quantities[name] = Definition(name, tree, kind)
    return Language(language.catalogue, language.numbers, language.texts, quantities)


def read_indicators(folder: Path, language: Language) -> tuple[Indicator, ...]:
    """Every indicator of the folder's files, by id and date. Raises `RuleFileRefused`."""
    read: list[Indicator] = []
    for path in sorted(folder.glob("*.yaml")):
        if path.name != QUANTITIES:
            read += [_indicator(node, language) for node in read_rule_file(path).items()]
    read.sort(key=lambda indicator: (indicator.id, indicator.effective_from))
    _refuse_overlaps(read)
    _refuse_unknown_and_circular(read, language)
    return tuple(read)


def _indicator(node: Node, language: Language) -> Indicator:
    f = node.fields(
        "id", "name", "mode", "dimension", "poverty_types", "levels", "source", "owner", "effective_from",
        "effective_to", "text", "questions",
        optional=("decays", "sealed", "cases"),
    )  # fmt: skip
    name = f["id"].text()
    if not _ID.fullmatch(name):
        raise f["id"].refuse("must read like MED-05")
    mode = f["mode"].one_of(*MODES)
    types = f["poverty_types"].texts() if f["poverty_types"].content else ()
    for each in f["poverty_types"].items() if types else ():
        each.one_of(*POVERTY_TYPES)
    questions = tuple(item.words() for item in f["questions"].items())
    if not 1 <= len(questions) <= 3:
        raise f["questions"].refuse("must hold one to three questions")
    ends = None if f["effective_to"].is_none else f["effective_to"].day()
    if ends is not None and ends < f["effective_from"].day():
        raise f["effective_to"].refuse("lies before effective_from")
    return Indicator(
        id=name,
        name=f["name"].words(),
        mode=mode,
        dimension=f["dimension"].one_of(*DIMENSIONS),
        poverty_types=types,
        levels=tuple(_level(item, mode, language) for item in _some(f["levels"])),
        decays="decays" in f and f["decays"].flag(),
        source=f["source"].text(),
        owner=f["owner"].text(),
        effective_from=f["effective_from"].day(),
        effective_to=ends,
        text=f["text"].words(),
        questions=questions,
        sealed="sealed" in f and f["sealed"].flag(),
        cases=tuple(read_case(item, language) for item in f["cases"].items()) if "cases" in f else (),
        digest=_digest({key: value for key, value in f.items() if key != "cases"}),
        node=node,
    )


def _some(node: Node) -> list[Node]:
    items = node.items()
    if not items:
        raise node.refuse("needs at least one entry")
    return items


def _level(node: Node, mode: str, language: Language) -> Level:
    extra = {"trigger": ("tier",), "points": ("points",), "verification": ()}[mode]
    f = node.fields("when", *extra, optional=("text",))
    points = f["points"].number() if mode == "points" else 0.0
    if mode == "points" and not 0 < points <= 100:
        raise f["points"].refuse("must lie above 0 and at most at 100")
    return Level(
        when=read_condition(f["when"], language),
        tier=f["tier"].one_of(*TIERS) if mode == "trigger" else None,
        points=points,
        text=f["text"].words() if "text" in f else None,
    )


def _refuse_overlaps(read: list[Indicator]) -> None:
    for earlier, later in itertools.pairwise(read):
        if earlier.id == later.id and (earlier.effective_to is None or later.effective_from <= earlier.effective_to):
            raise later.node.refuse(
                f"{later.id} overlaps in time with its other version ({earlier.node.file} line {earlier.node.line}); "
                "end that one the day before"
            )


def _refuse_unknown_and_circular(read: list[Indicator], language: Language) -> None:
    asks: dict[str, set[str]] = {}
    for indicator in read:
        named = set().union(*(indicators_named(level.when, language) for level in indicator.levels))
        asks[indicator.id] = asks.get(indicator.id, set()) | named
    for indicator in read:
        for name in sorted(asks[indicator.id] - set(asks)):
            raise indicator.node.refuse(f"{indicator.id} asks for {name}, which is declared nowhere")
        reached, ahead = set[str](), set(asks[indicator.id])
        while ahead:
            name = ahead.pop()
            reached.add(name)
            ahead |= asks[name] - reached
        if indicator.id in reached:
            raise indicator.node.refuse(f"{indicator.id} asks for itself by way of others")


def asks_for(indicator: Indicator, words: frozenset[str], language: Language) -> bool:
    """Whether one of its conditions uses one of the words."""
    return any(
        getattr(part, "word", None) in words for level in indicator.levels for part in walked(level.when, language)
    )


def _digest(fields: dict[str, Node]) -> str:
    written = json.dumps({key: plain(value) for key, value in fields.items()}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(written.encode()).hexdigest()


def plain(node: Node) -> Any:
    """A node's content as plain values, without lines."""
    if isinstance(node.content, dict):
        return {key: plain(value) for key, value in node.content.items()}
    if isinstance(node.content, list):
        return [plain(item) for item in node.content]
    return node.content.isoformat() if isinstance(node.content, date) else node.content
