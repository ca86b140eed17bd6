"""The shipped rules with a user's own files laid over them, checked also for names that only show between files."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from features.rules.files import Node, RuleFileRefused, read_rule_file
from features.rules.indicator import FOLDER as INDICATORS
from features.rules.pack import read_packs
from features.rules.parameter import PARAMETERS_FILE
from features.rules.rulebook import Rulebook, rulebook

PACKS = PARAMETERS_FILE.parent
SOURCES = "expected_sources"


@dataclasses.dataclass(frozen=True)
class RulesRead:
    """Rules that could be read, their files by folder, and which own files took a shipped one's place."""

    book: Rulebook
    files: dict[str, list[str]]
    replaced: list[str]


def read_rules(packs: Path | None = None, indicators: Path | None = None) -> RulesRead:
    """The shipped rules, with the files of a user's own folders of packs and of indicators beside them.

    A file that is named like a shipped one takes its place. Raises `RuleFileRefused`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        pack_files, replaced_packs = _laid_over(PACKS, packs, Path(scratch) / "packs")
        rule_files, replaced_rules = _laid_over(INDICATORS, indicators, Path(scratch) / "indicators")
        # An own folder is read anew each time: its files may have changed since.
        own = rulebook.__wrapped__(indicators=Path(scratch) / "indicators") if indicators is not None else None
        book = rulebook() if own is None else own
        book = dataclasses.replace(book, packs=read_packs(folder=Path(scratch) / "packs"))
        for name in pack_files:
            if name != PARAMETERS_FILE.name:
                _refuse_unknown_names(read_rule_file(Path(scratch) / "packs" / name), book)
    return RulesRead(book, {"packs": pack_files, "indicators": rule_files}, sorted({*replaced_packs, *replaced_rules}))


def _laid_over(shipped: Path, own: Path | None, into: Path) -> tuple[list[str], list[str]]:
    """The YAML files of both folders, copied into one; their names, and which of them replaced a shipped one."""
    into.mkdir()
    shipped_names = {path.name for path in _yaml(shipped)}
    own_files = [] if own is None else _yaml(own)
    if own is not None and not own_files:
        raise RuleFileRefused(own.name, 1, "is a folder without a rule file (*.yaml); name the folder that holds yours")
    for path in own_files:
        if path.name == PARAMETERS_FILE.name and path.read_bytes() != PARAMETERS_FILE.read_bytes():
            raise RuleFileRefused(
                path.name, 1, "declares what every pack may set and has to stay as shipped; remove it"
            )
    for path in (*_yaml(shipped), *own_files):
        shutil.copyfile(path, into / path.name)
    names = {path.name for path in own_files if path.name != PARAMETERS_FILE.name}
    changed = {name for name in names & shipped_names if (into / name).read_bytes() != (shipped / name).read_bytes()}
    return sorted(shipped_names | names), sorted(changed)


def _yaml(folder: Path) -> list[Path]:
    for path in sorted(folder.glob("*.yml")):
        raise RuleFileRefused(path.name, 1, "would be overlooked; rename it to end in .yaml")
    return sorted(path for path in folder.glob("*.yaml") if path.is_file())


def _refuse_unknown_names(pack: Node, book: Rulebook) -> None:
    """Policy items, indicators and sources that a pack names must exist; its shape has been checked before."""
    items = {item.id for item in book.policies.items}
    indicators = {indicator.id for indicator in book.indicators}
    sources = {kind.department.source for kind in book.language.catalogue.kinds}
    for version in pack.content["versions"].items():
        given = version.content
        if "items" in given:
            for name in ("offered", "not_offered"):
                _refuse_others(given["items"].content.get(name), items, "policy item; see `povrisk catalog policies`")
        if "indicators" in given:
            _refuse_others(
                given["indicators"].content["off"], indicators, "indicator; see `povrisk catalog indicators`"
            )
        if "values" in given and SOURCES in given["values"].content:
            for name, node in given["values"].content[SOURCES].content.items():
                if name != "source":
                    _refuse_others(node, sources, "source of an event; see docs/reference/events.md")


def _refuse_others(node: Node | None, known: Collection[str], what: str) -> None:
    for item in node.items() if node is not None and isinstance(node.content, list) else ():
        if item.content not in known:
            raise item.refuse(f"{item.content!r} is no {what}")
