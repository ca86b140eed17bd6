"""Pack files as they are written: the versions of a region, each checked alone and for how they follow one another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

from features.rules.files import Node, read_rule_file
from features.rules.parameter import PARAMETERS_FILE, ParameterDeclared, Value, parameters

NATIONAL = "national"
_DAY = timedelta(days=1)

Place = tuple[str, str]


@dataclass(frozen=True)
class Given:
    """One value as a pack gives it, and where it is from."""

    value: Value
    source: str


@dataclass(frozen=True)
class Items:
    """The policy items of a region: all or some, and those without a supplier there."""

    offered: frozenset[str] | None
    not_offered: frozenset[str]


@dataclass(frozen=True)
class VersionWritten:
    """What one version says itself; `effective_to` is the last day, None for until further notice."""

    node: Node
    effective_from: date
    effective_to: date | None
    continues: bool
    given: Mapping[Place, Given]
    items: Items | None
    indicators_off: frozenset[str] | None

    def covers(self, on: date) -> bool:
        """Whether it holds on a day."""
        return self.effective_from <= on and (self.effective_to is None or on <= self.effective_to)


@dataclass(frozen=True)
class RegionWritten:
    """All that the files say of one region: its versions, oldest first."""

    region: str
    based_on: str | None
    scored_as: tuple[str, ...]
    versions: tuple[VersionWritten, ...]


def read_regions(paths: Iterable[Path]) -> dict[str, RegionWritten]:
    """The regions of some pack files. Raises `RuleFileRefused` with file and line."""
    files: dict[str, list[Node]] = {}
    for path in paths:
        root = read_rule_file(path)
        header = root.fields("region", "name", "versions", optional=("based_on", "scored_as"))
        header["name"].words()
        files.setdefault(header["region"].text(), []).append(root)
    regions = {region: _region(region, roots) for region, roots in files.items()}
    for region, roots in files.items():
        _check_lineage(region, roots, regions)
    return regions


def lineage(region: str, regions: Mapping[str, RegionWritten]) -> tuple[str, ...]:
    """The region and those its missing values come from, nearest first."""
    base = regions[region].based_on
    return (region, *(lineage(base, regions) if base else ()))


def _region(region: str, roots: list[Node]) -> RegionWritten:
    versions: list[VersionWritten] = []
    header: dict[str, Node] = {}
    for root in roots:
        given: dict[str, Node] = root.content
        for name in ("based_on", "scored_as"):
            if name not in given:
                continue
            first = header.setdefault(name, given[name])
            if _plain(first) != _plain(given[name]):
                raise given[name].refuse(f"{region} has another {name} in {first.file} line {first.line}; keep one")
        listed = given["versions"].items()
        if not listed:
            raise given["versions"].refuse("holds no version")
        versions += [_version(node) for node in listed]
    if ("based_on" in header) == (region == NATIONAL):
        raise roots[0].refuse(f"every region but {NATIONAL} needs based_on, and {NATIONAL} has none")
    return RegionWritten(
        region,
        header["based_on"].text() if "based_on" in header else None,
        header["scored_as"].texts() if "scored_as" in header else (),
        _in_order(versions),
    )


def _plain(node: Node) -> str | tuple[str, ...]:
    return node.texts() if isinstance(node.content, list) else node.text()


def _check_lineage(region: str, roots: list[Node], regions: Mapping[str, RegionWritten]) -> None:
    base = regions[region].based_on
    if base is None:
        return
    node = next(root.content["based_on"] for root in roots if "based_on" in root.content)
    if base not in regions:
        raise node.refuse(f"based_on: there is no pack of {base}")
    walked = [region]
    while base is not None and base in regions and base not in walked:
        walked.append(base)
        base = regions[base].based_on
    if base == region:
        raise node.refuse(f"based_on goes round in a circle: {', '.join((*walked, region))}")


def _in_order(versions: list[VersionWritten]) -> tuple[VersionWritten, ...]:
    """Oldest first, each open one ended by the next, and what a version continues taken over from the one before."""
    ordered = sorted(versions, key=lambda version: version.effective_from)
    if ordered[0].continues:
        raise ordered[0].node.refuse("continues nothing: no version of this region begins earlier")
    for before, after in pairwise(ordered):
        other = f"the version of {before.node.file} line {before.node.line}"
        if before.effective_from == after.effective_from:
            raise after.node.refuse(f"overlaps {other}: both begin on {after.effective_from}")
        if before.effective_to is None:
            continue
        if after.effective_from <= before.effective_to:
            raise after.node.refuse(f"overlaps {other}, which holds until {before.effective_to}; begin after it")
        if after.effective_from - before.effective_to > _DAY:
            raise after.node.refuse(f"leaves days without a version since {before.effective_to}, the end of {other}")
    whole = ordered[:1]
    for after in ordered[1:]:
        before = whole.pop()
        whole += [dataclasses.replace(before, effective_to=after.effective_from - _DAY), _continued(before, after)]
    return tuple(whole)


def _continued(before: VersionWritten, after: VersionWritten) -> VersionWritten:
    if not after.continues:
        return after
    return dataclasses.replace(
        after,
        given={**before.given, **after.given},
        items=before.items if after.items is None else after.items,
        indicators_off=before.indicators_off if after.indicators_off is None else after.indicators_off,
    )


def _version(node: Node) -> VersionWritten:
    entries = node.fields("effective_from", optional=("effective_to", "continues", "values", "items", "indicators"))
    begins = entries["effective_from"].day()
    ends = None
    if "effective_to" in entries and not entries["effective_to"].is_none:
        ends = entries["effective_to"].day()
        if ends < begins:
            raise entries["effective_to"].refuse(f"effective_to lies before effective_from, {begins}")
    off = None
    if "indicators" in entries:
        off = _each_once(entries["indicators"].fields("off")["off"])
    return VersionWritten(
        node,
        begins,
        ends,
        "continues" in entries and entries["continues"].flag(),
        _values(entries["values"]) if "values" in entries else {},
        _items(entries["items"]) if "items" in entries else None,
        off,
    )


def _values(node: Node) -> dict[Place, Given]:
    given: dict[Place, Given] = {}
    for name, entry in node.entries():
        declared = parameters().get(name)
        if declared is None:
            raise entry.refuse(f"{name!r} is no parameter; {PARAMETERS_FILE.name} declares what may be set")
        given |= {(name, place): value for place, value in _given(declared, entry).items()}
    return given


def _given(declared: ParameterDeclared, node: Node) -> dict[str, Given]:
    if not node.is_mapping:
        raise node.refuse(f"{declared.id} needs a value and a source: {{value: …, source: …}}")
    residences = declared.places if declared.by_residence else ()
    entries = node.fields("source", optional=("value", *residences))
    source = entries.pop("source").text()
    if not entries or ("value" in entries and len(entries) > 1):
        choice = f"value or some of {', '.join(residences)}" if residences else "value"
        raise node.refuse(f"{declared.id} needs {choice}, null where it is unknown")
    if "value" in entries:
        return dict.fromkeys(declared.places, Given(declared.read(entries["value"]), source))
    return {place: Given(declared.read(entry), source) for place, entry in entries.items()}


def _items(node: Node) -> Items:
    entries = node.fields("offered", optional=("not_offered",))
    without = _each_once(entries["not_offered"]) if "not_offered" in entries else frozenset[str]()
    if entries["offered"].content == "all":
        return Items(None, without)
    return Items(_each_once(entries["offered"]) | without, without)


def _each_once(node: Node) -> frozenset[str]:
    texts = node.texts()
    if len(set(texts)) < len(texts):
        raise node.refuse("names something twice")
    return frozenset(texts)
