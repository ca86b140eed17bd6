"""Rule files: YAML whose every value still knows its file and line, so that a refusal can point at it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from features.definition import Text


class RuleFileRefused(ValueError):
    """A rule file is wrong: which file, which line, why, and what to do."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file} line {line}: {reason}")
        self.file, self.line, self.reason = file, line, reason


@dataclass(frozen=True)
class Node:
    """One value of a rule file: a mapping, a list or a scalar, and where it stands."""

    file: str
    line: int
    content: Any

    def refuse(self, reason: str) -> RuleFileRefused:
        """The refusal of this very value."""
        return RuleFileRefused(self.file, self.line, reason)

    def fields(self, *required: str, optional: tuple[str, ...] = ()) -> dict[str, Node]:
        """The entries of a mapping; a missing or an undeclared one is refused."""
        if not isinstance(self.content, dict):
            raise self.refuse(f"must be a mapping with {', '.join(required)}")
        for name, node in self.content.items():
            if name not in required and name not in optional:
                raise node.refuse(f"{name!r} is no field here; known are {', '.join((*required, *optional))}")
        missing = [name for name in required if name not in self.content]
        if missing:
            raise self.refuse(f"{', '.join(missing)} missing")
        return dict(self.content)

    def entries(self) -> Iterator[tuple[str, Node]]:
        """Names and values of a mapping whose names are free."""
        if not isinstance(self.content, dict):
            raise self.refuse("must be a mapping")
        yield from self.content.items()

    def items(self) -> list[Node]:
        """The entries of a list."""
        if not isinstance(self.content, list):
            raise self.refuse("must be a list")
        return list(self.content)

    @property
    def is_mapping(self) -> bool:
        """Whether it is a mapping."""
        return isinstance(self.content, dict)

    @property
    def is_none(self) -> bool:
        """Whether nothing is written."""
        return self.content is None

    def text(self) -> str:
        """A text that is not empty."""
        if not isinstance(self.content, str) or not self.content.strip():
            raise self.refuse("must be a text")
        return self.content

    def number(self) -> float:
        """A finite number."""
        if isinstance(self.content, bool) or not isinstance(self.content, int | float):
            raise self.refuse("must be a number")
        try:
            value = float(self.content)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise self.refuse("must be a finite number")
        return value

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.content, bool):
            raise self.refuse("must be true or false")
        return self.content

    def day(self) -> date:
        """A day, YYYY-MM-DD."""
        if type(self.content) is not date:
            raise self.refuse("must be a day, YYYY-MM-DD")
        return self.content

    def one_of(self, *known: str) -> str:
        """One of the known words."""
        if self.content not in known:
            raise self.refuse(f"must be one of {', '.join(known)}")
        return str(self.content)

    def texts(self) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(item.text() for item in self.items())

    def words(self) -> Text:
        """The same words in Chinese and English."""
        both = self.fields("zh", "en")
        return Text(both["zh"].text(), both["en"].text())


MOST_VALUES = 100_000
_MAPPING, _LIST, _TEXT = (f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str"))


class _Loader(yaml.SafeLoader):
    """Reads plain data only; no tag can make an object. `n_read` counts values, so that aliases of aliases end."""

    n_read = 0


def read_rule_file(path: Path) -> Node:
    """The file as a tree of `Node`. Raises `RuleFileRefused` for YAML that cannot be read or names a key twice."""
    try:
        loader = _Loader(path.read_text("utf-8"))
        try:
            root = loader.get_single_node()
            if root is None:
                raise RuleFileRefused(path.name, 1, "is empty")
            return _node(loader, root, path.name)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        hint = "; put a text that ends in ? into quotes" if "'?'" in str(error.problem) else ""
        raise RuleFileRefused(path.name, line, f"is no YAML: {error.problem}{hint}") from None
    except yaml.YAMLError:
        raise RuleFileRefused(path.name, 1, "holds characters that YAML does not allow") from None
    except RecursionError:
        raise RuleFileRefused(path.name, 1, "is nested too deeply") from None
    except UnicodeDecodeError:
        raise RuleFileRefused(path.name, 1, "is not UTF-8") from None


def _node(loader: _Loader, node: yaml.Node, file: str) -> Node:
    line = node.start_mark.line + 1
    loader.n_read += 1
    if loader.n_read > MOST_VALUES:
        raise RuleFileRefused(file, line, f"holds more than {MOST_VALUES} values; split the file")
    if node.tag not in _plain_tags(loader, node):
        raise RuleFileRefused(file, line, "carries a tag; rule files hold plain values only")
    if isinstance(node, yaml.MappingNode):
        content: dict[str, Node] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise RuleFileRefused(file, key.start_mark.line + 1, "a name must be a plain word")
            name = str(key.value)
            if name in content:
                raise RuleFileRefused(file, key.start_mark.line + 1, f"{name!r} is given twice")
            read = _node(loader, value, file)
            # A scalar on the line below its key would otherwise point past what the reader looks for.
            content[name] = Node(file, key.start_mark.line + 1, read.content)
        return Node(file, line, content)
    if isinstance(node, yaml.SequenceNode):
        return Node(file, line, [_node(loader, item, file) for item in node.value])
    try:
        return Node(file, line, loader.construct_object(node))
    except ValueError as error:  # 2026-02-30 looks like a day and is none
        raise RuleFileRefused(file, line, f"cannot be read as a value: {error}") from None


def _plain_tags(loader: _Loader, node: yaml.Node) -> tuple[str, ...]:
    """What a value may be without a tag of its own."""
    if isinstance(node, yaml.ScalarNode):
        return _TEXT, loader.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
    return (_MAPPING,) if isinstance(node, yaml.MappingNode) else (_LIST,)
