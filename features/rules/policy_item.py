"""Policy items as data: what exists, who gives it, when it is worth checking, and what must be verified first.

One entry of `features/policies/*.yaml` is one item; `facts.yaml` holds the facts that items share. Nothing here grants
anything: an item only becomes a candidate for a person to check. Wrong entries are refused with file and line.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from features.definition import Text
from features.rules.files import Node, read_rule_file
from features.rules.indicator import plain
from features.rules.syntax import Call, Language, Tree, indicators_named, read_condition, walked

FOLDER = Path(__file__).resolve().parent.parent / "policies"
FACTS = "facts.yaml"
CONDITIONS = ("when", "likely_when", "against_when", "against_unless", "receiving_when")
# What holds on a day is worked out once; a service is asked about few days at a time.
MOST_DAYS = 400
_ID = re.compile(r"[A-Z]\d{2}")


class ItemClass(Enum):
    """What an item gives."""

    CASH = "cash"
    FEE = "fee"
    SERVICE = "service"
    STATUS = "status"
    LOAN = "loan"
    WORKS = "works"
    JOB = "job"


class SettledBy(Enum):
    """Who can settle a fact: a visit, an office or provider, or the approval of an item that comes first."""

    VISIT = "visit"
    OFFICE = "office"
    ITEM = "item"


@dataclass(frozen=True)
class Fact:
    """Something a person has to find out."""

    id: str
    text: Text
    by: SettledBy


@dataclass(frozen=True)
class Check:
    """A fact that an item waits for, worded for it; `known_when` the record already answers it."""

    fact: Fact
    text: Text
    known_when: Tree | None


@dataclass(frozen=True)
class PolicyItem:
    """One item.

    It is worth checking when `when` holds or as soon as one of the items it `follows` is. One of `depends_on` must be
    held first. `likely_when` holds on recorded facts alone; `against_when` recorded facts speak against it, save where
    `against_unless` holds; `receiving_when` the benefit is on record. A fact of `beyond_records` belongs to the
    condition itself, and no record can answer it. `raised` is the least tier where the condition asks for any
    trigger. `written` holds the conditions as they stand in the file.
    """

    id: str
    name: Text
    kind: ItemClass
    department: Text
    when: Tree | None
    follows: tuple[str, ...]
    depends_on: tuple[str, ...]
    likely_when: Tree | None
    against_when: Tree | None
    against_unless: Tree | None
    receiving_when: Tree | None
    checks: tuple[Check, ...]
    beyond_records: frozenset[str]
    source: str
    effective_from: date
    effective_to: date | None
    indicators: tuple[str, ...]
    raised: str | None
    written: Mapping[str, str]
    digest: str
    node: Node

    def is_in_force(self, on: date) -> bool:
        """Whether it exists on that day, both ends included."""
        return self.effective_from <= on and (self.effective_to is None or on <= self.effective_to)

    def as_json(self) -> dict[str, Any]:
        """The item as plain JSON values."""
        return {
            "id": self.id,
            "name": self.name._asdict(),
            "class": self.kind.value,
            "department": self.department._asdict(),
            **{name: self.written.get(name) for name in CONDITIONS},
            "follows": list(self.follows),
            "depends_on": list(self.depends_on),
            "to_verify": [{"fact": check.fact.id, "text": check.text._asdict()} for check in self.checks],
            "beyond_records": sorted(self.beyond_records),
            "source": self.source,
            "effective_from": self.effective_from.isoformat(),
            "effective_to": self.effective_to.isoformat() if self.effective_to else None,
        }


@dataclass(frozen=True)
class PolicyCatalogue:
    """Every item of all times, by id and date, and the facts they share."""

    items: tuple[PolicyItem, ...]
    facts: Mapping[str, Fact]

    @cached_property
    def _days(self) -> dict[date, tuple[PolicyItem, ...]]:
        return {}

    def in_force(self, on: date) -> tuple[PolicyItem, ...]:
        """The items of a day, each after those it follows or depends on."""
        if on not in self._days:
            if len(self._days) >= MOST_DAYS:
                self._days.clear()
            self._days[on] = self._ordered(on)
        return self._days[on]

    def _ordered(self, on: date) -> tuple[PolicyItem, ...]:
        open_ = {item.id: item for item in self.items if item.is_in_force(on)}
        ordered: dict[str, PolicyItem] = {}
        while open_:
            ready = [i for i, item in open_.items() if not open_.keys() & {*item.follows, *item.depends_on}]
            ordered |= {i: open_.pop(i) for i in ready}
        return tuple(ordered.values())

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that decides or is said."""
        written = [*(f"{fact}" for fact in self.facts.values()), *(item.digest for item in self.items)]
        return hashlib.sha256(json.dumps(written, ensure_ascii=False).encode()).hexdigest()


def read_policies(language: Language, indicators: Collection[str], folder: Path = FOLDER) -> PolicyCatalogue:
    """Every item of the folder's files. `indicators` are the ids that a condition may ask for.

    Raises `RuleFileRefused` for an unknown id, class or fact, items that wait for each other in a circle, two
    versions of one item that overlap in time, or an unreadable condition.
    """
    facts: dict[str, Fact] = {}
    for node in read_rule_file(folder / FACTS).items():
        f = node.fields("id", "zh", "en", "by")
        name = f["id"].text()
        if name in facts:
            raise f["id"].refuse(f"{name!r} is declared twice")
        text = Text(f["zh"].text(), f["en"].text())
        facts[name] = Fact(name, text, SettledBy(f["by"].one_of(*(by.value for by in SettledBy))))
    paths = sorted(path for path in folder.glob("*.yaml") if path.name != FACTS)
    read = [_item(node, language, facts, indicators) for path in paths for node in read_rule_file(path).items()]
    read.sort(key=lambda item: (item.id, item.effective_from))
    _refuse_overlaps(read)
    _refuse_unknown_and_circular(read)
    return PolicyCatalogue(tuple(read), facts)


def _item(node: Node, language: Language, facts: Mapping[str, Fact], indicators: Collection[str]) -> PolicyItem:
    f = node.fields(
        "id", "name", "class", "department", "to_verify", "source", "effective_from", "effective_to",
        optional=(*CONDITIONS, "follows", "depends_on", "beyond_records"),
    )  # fmt: skip
    name = f["id"].text()
    if not _ID.fullmatch(name):
        raise f["id"].refuse("must read like A01")
    if "when" not in f and "follows" not in f:
        raise node.refuse(f"{name} needs `when` or `follows`, or nobody would ever check it")
    if "against_unless" in f and "against_when" not in f:
        raise f["against_unless"].refuse("stands only beside against_when")
    trees = {key: _condition(f[key], language, indicators) for key in CONDITIONS if key in f}
    checks = tuple(_check(item, language, facts, indicators) for item in f["to_verify"].items())
    repeated = [a for a, b in itertools.pairwise(sorted(check.fact.id for check in checks)) if a == b]
    if repeated:
        raise f["to_verify"].refuse(f"{repeated[0]} is given twice")
    beyond = frozenset(_ids(f, "beyond_records"))
    for fact in sorted(beyond - {check.fact.id for check in checks}):
        raise f["beyond_records"].refuse(f"{fact!r} must also stand in to_verify")
    ends = None if f["effective_to"].is_none else f["effective_to"].day()
    if ends is not None and ends < f["effective_from"].day():
        raise f["effective_to"].refuse("lies before effective_from")
    when = trees.get("when")
    return PolicyItem(
        id=name,
        name=f["name"].words(),
        kind=ItemClass(f["class"].one_of(*(kind.value for kind in ItemClass))),
        department=f["department"].words(),
        when=when,
        follows=_ids(f, "follows"),
        depends_on=_ids(f, "depends_on"),
        likely_when=trees.get("likely_when"),
        against_when=trees.get("against_when"),
        against_unless=trees.get("against_unless"),
        receiving_when=trees.get("receiving_when"),
        checks=checks,
        beyond_records=beyond,
        source=f["source"].text(),
        effective_from=f["effective_from"].day(),
        effective_to=ends,
        indicators=tuple(sorted(indicators_named(when, language))) if when else (),
        raised=_raised(when, language),
        written={key: " ".join(str(f[key].content).split()) for key in CONDITIONS if key in f},
        digest=hashlib.sha256(json.dumps(plain(node), sort_keys=True, ensure_ascii=False).encode()).hexdigest(),
        node=node,
    )


def _condition(node: Node, language: Language, indicators: Collection[str]) -> Tree:
    tree = read_condition(node, language)
    for name in sorted(indicators_named(tree, language) - set(indicators)):
        raise node.refuse(f"{name} is no indicator")
    return tree


def _check(node: Node, language: Language, facts: Mapping[str, Fact], indicators: Collection[str]) -> Check:
    """A bare fact id, or a mapping where the item has its own words or the record may answer."""
    f = node.fields("fact", optional=("zh", "en", "known_when")) if node.is_mapping else {"fact": node}
    fact = facts.get(f["fact"].text())
    if fact is None:
        raise f["fact"].refuse(f"{f['fact'].content!r} is no fact of {FACTS}; declare it there or use one of its words")
    if ("zh" in f) != ("en" in f):
        raise node.refuse("words are needed in both languages, zh and en")
    text = Text(f["zh"].text(), f["en"].text()) if "zh" in f else fact.text
    return Check(fact, text, _condition(f["known_when"], language, indicators) if "known_when" in f else None)


def _ids(fields: Mapping[str, Node], name: str) -> tuple[str, ...]:
    return fields[name].texts() if name in fields else ()


def _raised(tree: Tree | None, language: Language) -> str | None:
    for part in walked(tree, language) if tree else ():
        if isinstance(part, Call) and part.word == "dimensions_raised":
            return part.name
    return None


def _refuse_overlaps(read: Iterable[PolicyItem]) -> None:
    for earlier, later in itertools.pairwise(read):
        if earlier.id == later.id and (earlier.effective_to is None or later.effective_from <= earlier.effective_to):
            raise later.node.refuse(
                f"{later.id} overlaps in time with its other version ({earlier.node.file} line {earlier.node.line}); "
                "end that one the day before"
            )


def _refuse_unknown_and_circular(read: Iterable[PolicyItem]) -> None:
    waits: dict[str, set[str]] = {}
    for item in read:
        waits[item.id] = waits.get(item.id, set()) | {*item.follows, *item.depends_on}
    for item in read:
        for field in ("follows", "depends_on"):
            for name in getattr(item, field):
                if name not in waits:
                    raise item.node.content[field].refuse(f"{item.id} names {name}, which is no item")
    for item in read:
        reached, ahead = set[str](), set(waits[item.id])
        while ahead:
            name = ahead.pop()
            reached.add(name)
            ahead |= waits[name] - reached
        if item.id in reached:
            raise item.node.refuse(f"{item.id} waits for itself by way of follows or depends_on")
