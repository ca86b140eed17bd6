"""Parameter packs: the numbers and lists of a region, each with its source, in force between two days.

A value that nobody gave is unknown (`None`), never zero. What may be set is declared in `features.rules.parameter`;
pack files are read in `features.rules.pack_file`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path

from features.event import RESIDENCES
from features.rules.files import RuleFileRefused
from features.rules.pack_file import NATIONAL, Given, Place, RegionWritten, VersionWritten, lineage, read_regions
from features.rules.parameter import PARAMETERS_FILE, ParameterDeclared, ParameterKind, Value, parameters

__all__ = ["NATIONAL", "PackNotInForce", "PackVersion", "Packs", "ParameterDeclared", "parameters", "read_packs"]

# What the parts of a whole may miss of 1, so that a share may be written with three digits.
_ROUNDING = 0.005


class PackNotInForce(LookupError):
    """No version of a region's pack covers the day; the message says what to add."""


@dataclass(frozen=True)
class PackVersion:
    """What holds in one region from one day to another (the last included; until further notice where it is None).

    `offered` are the policy items of the region, None for all; those `not_offered` are among them and nobody supplies
    them there. `sources` names where each parameter is from. Versions of equal `digest` let every rule come out alike:
    it covers all that decides, and neither the sources nor the days.
    """

    region: str
    effective_from: date
    effective_to: date | None
    scored_as: tuple[str, ...]
    offered: frozenset[str] | None
    not_offered: frozenset[str]
    indicators_off: frozenset[str]
    digest: str
    sources: dict[str, str] = field(hash=False, repr=False)
    _values: dict[Place, Value] = field(hash=False, repr=False)

    def number(self, name: str, residence: str | None) -> float | None:
        """The number for a residence, or None where it is unknown.

        Without a residence it is known only if it is the same everywhere. Raises `KeyError` for a name under which no
        number is declared, or a residence that does not exist.

        >>> pack = read_packs().in_force("demo", date(2026, 11, 1))
        >>> pack.number("dibao_month", "rural"), pack.number("dibao_month", None), pack.number("edge_multiple", None)
        (600.0, None, 1.5)
        """
        value = self._value(name, residence, ParameterKind.NUMBER)
        assert not isinstance(value, tuple)
        return value

    def texts(self, name: str, residence: str | None) -> tuple[str, ...] | None:
        """The list of texts for a residence, or None where it is unknown; otherwise as `number`.

        >>> read_packs().in_force("cn-hangzhou-demo", date(2026, 11, 1)).texts("province_code", None)
        ('33',)
        """
        value = self._value(name, residence, ParameterKind.TEXTS)
        assert not isinstance(value, float)
        return value

    def _value(self, name: str, residence: str | None, kind: ParameterKind) -> Value:
        declared = parameters().get(name)
        if declared is None or declared.kind is not kind:
            raise KeyError(f"no {kind.value} is declared under the name {name}")
        if residence is not None and residence not in RESIDENCES:
            raise KeyError(f"a residence is one of {', '.join(RESIDENCES)}")
        places = (residence,) if residence is not None and declared.by_residence else declared.places
        found = {self._values.get((name, place)) for place in places}
        return found.pop() if len(found) == 1 else None


@dataclass(frozen=True, eq=False)
class Packs:
    """All regions' packs: what holds where and when."""

    _versions: dict[str, tuple[PackVersion, ...]]
    _lineages: dict[str, tuple[str, ...]]

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that have a pack of their own, in order."""
        return tuple(sorted(self._versions))

    def knows(self, region: str) -> bool:
        """Whether the region has a pack of its own.

        >>> read_packs().knows("demo"), read_packs().knows("elsewhere")
        (True, False)
        """
        return region in self._versions

    def versions(self, region: str) -> tuple[PackVersion, ...]:
        """What holds in the region, oldest first; the national pack for a region without one."""
        return self._versions[region if self.knows(region) else NATIONAL]

    def in_force(self, region: str, on: date) -> PackVersion:
        """What holds on a day; the national pack for a region without one. Raises `PackNotInForce`.

        >>> read_packs().in_force("elsewhere", date(2026, 11, 1)).region
        'national'
        """
        for version in reversed(self.versions(region)):
            if version.effective_from <= on and (version.effective_to is None or on <= version.effective_to):
                return version
        names = ", based on ".join(self._lineages[region if self.knows(region) else NATIONAL])
        raise PackNotInForce(f"no version of the pack {names} covers {on}; add one, or ask about a day that is covered")

    def scored_as(self, region: str) -> tuple[str, ...]:
        """Other regions whose models may score this one's households.

        >>> read_packs().scored_as("cn-hangzhou-demo"), read_packs().scored_as("elsewhere")
        (('demo',), ())
        """
        return self._versions[region][0].scored_as if self.knows(region) else ()

    @property
    def digest(self) -> str:
        """SHA-256 over every version of every region and its days."""
        every = [version for region in self.regions for version in self._versions[region]]
        return _sha256([[v.region, str(v.effective_from), str(v.effective_to), v.digest] for v in every])


def read_packs(folder: Path | None = None, extra: Path | None = None) -> Packs:
    """The packs of a folder (the shipped one by default) and, beside them, of a user's own `extra` folder.

    Raises `RuleFileRefused` with file and line for anything unknown, out of bounds, without a source, overlapping in
    time, or based on what does not exist.
    """
    if folder is None and extra is None:
        return _shipped()
    shipped = _files(folder or PARAMETERS_FILE.parent)
    return _packs([*shipped, *(_files(extra) if extra is not None else ())])


@cache
def _shipped() -> Packs:
    return _packs(_files(PARAMETERS_FILE.parent))


def _files(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.glob("*") if p.suffix in (".yaml", ".yml") and p.name != PARAMETERS_FILE.name)
    if not found:
        raise RuleFileRefused(folder.name, 1, "is no folder that holds a pack (*.yaml)")
    return found


def _packs(files: list[Path]) -> Packs:
    written = read_regions(files)
    lineages = {region: lineage(region, written) for region in written}
    # A region before those based on it, so that a refusal points at the pack that is wrong and not at its heirs.
    in_turn = sorted(lineages, key=lambda region: len(lineages[region]))
    return Packs({region: _versions([written[r] for r in lineages[region]]) for region in in_turn}, lineages)


def _versions(layers: Sequence[RegionWritten]) -> tuple[PackVersion, ...]:
    """A region's versions laid over those of the regions it is based on, cut wherever one of them changes."""
    written = [version for layer in layers for version in layer.versions]
    ended = {v.effective_to + timedelta(days=1) for v in written if v.effective_to not in (None, date.max)}
    cuts = sorted({v.effective_from for v in written} | ended)
    versions = []
    for begins, after in zip(cuts, [*cuts[1:], None], strict=True):
        found = [next((v for v in layer.versions if v.covers(begins)), None) for layer in layers]
        whole = [version for version in found if version is not None]
        if len(whole) == len(layers):
            ends = after - timedelta(days=1) if after else whole[0].effective_to
            versions.append(_resolved(layers[0], whole, begins, ends))
    return tuple(versions)


def _resolved(region: RegionWritten, layers: list[VersionWritten], begins: date, ends: date | None) -> PackVersion:
    given: dict[Place, Given] = {}
    for layer in reversed(layers):
        given |= layer.given
    items = next((layer.items for layer in layers if layer.items is not None), None)
    off = next((layer.indicators_off for layer in layers if layer.indicators_off is not None), frozenset[str]())
    values = {place: entry.value for place, entry in given.items()}
    _check(values, layers[0])
    sources: dict[str, dict[str, None]] = {}
    for (name, _), entry in given.items():
        sources.setdefault(name, {})[entry.source] = None
    offered, not_offered = (items.offered, items.not_offered) if items else (None, frozenset[str]())
    decides = {
        "region": region.region,
        "scored_as": sorted(region.scored_as),
        "values": {f"{name} {place}": value for (name, place), value in values.items() if value is not None},
        "offered": None if offered is None else sorted(offered),
        "not_offered": sorted(not_offered),
        "indicators_off": sorted(off),
    }
    return PackVersion(
        region.region,
        begins,
        ends,
        region.scored_as,
        offered,
        not_offered,
        off,
        _sha256(decides),
        {name: "; ".join(each) for name, each in sources.items()},
        values,
    )


def _check(values: dict[Place, Value], version: VersionWritten) -> None:
    """Refuse numbers that are each within bounds but do not fit together."""
    wholes: dict[str, list[Value]] = {}
    for declared in parameters().values():
        for place in declared.places:
            value = values.get((declared.id, place))
            if declared.part_of is not None:
                wholes.setdefault(declared.part_of, []).append(value)
            other = values.get((declared.not_below, place)) if declared.not_below else None
            if isinstance(value, float) and isinstance(other, float) and value < other:
                raise version.node.refuse(f"{declared.id} lies below {declared.not_below} in this version")
    for whole, parts in wholes.items():
        known = [part for part in parts if isinstance(part, float)]
        if len(known) == len(parts) and abs(sum(known) - 1) > _ROUNDING:
            raise version.node.refuse(f"the {whole} of this version do not add up to 1")


def _sha256(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
