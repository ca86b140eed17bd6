"""The parameters that a pack may set: name, unit, bounds and meaning, declared in `features/packs/parameters.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

from features.definition import Text
from features.event import RESIDENCES
from features.rules.files import Node, read_rule_file

PARAMETERS_FILE = Path(__file__).parents[1] / "packs" / "parameters.yaml"
UNITS = (
    *("CNY", "CNY_per_month", "CNY_per_person_month", "CNY_per_person_year", "ratio", "share", "points", "days"),
    *("persons", "dwellings", "m2_per_person", "text_list"),
)
_EVERYWHERE = ("",)

Value = float | tuple[str, ...] | None


class ParameterKind(Enum):
    """What a parameter holds."""

    NUMBER = "number"
    TEXTS = "texts"


@dataclass(frozen=True)
class ParameterDeclared:
    """What a pack may set under one name.

    `by_residence`: rural, town and city may differ. A number lies from `least` to `most`. The known numbers that are
    `part_of` the same whole add up to 1. A number is `not_below` another parameter of the same shape.
    """

    id: str
    name: Text
    unit: str
    kind: ParameterKind
    by_residence: bool
    meaning: Text
    least: float = 0.0
    most: float = 0.0
    part_of: str | None = None
    not_below: str | None = None

    @property
    def places(self) -> tuple[str, ...]:
        """The residences where it may differ; a single empty name where it may not."""
        return RESIDENCES if self.by_residence else _EVERYWHERE

    def read(self, node: Node) -> Value:
        """A value as a pack writes it; null is unknown. Raises `RuleFileRefused`."""
        if node.is_none:
            return None
        if self.kind is ParameterKind.TEXTS:
            texts = node.texts()
            if not texts or len(set(texts)) < len(texts):
                raise node.refuse(f"{self.id} must list texts, each once; write null where it is unknown")
            return texts
        value = node.number()
        if not self.least <= value <= self.most:
            raise node.refuse(f"{self.id} must lie from {self.least:g} to {self.most:g} ({self.unit})")
        return value


@cache
def parameters() -> Mapping[str, ParameterDeclared]:
    """The declared parameters by name, in the order of the file. Raises `RuleFileRefused`.

    >>> parameters()["dibao_month"].unit
    'CNY_per_person_month'
    """
    return read_parameters(PARAMETERS_FILE)


def read_parameters(path: Path) -> dict[str, ParameterDeclared]:
    """The declarations of one file."""
    declared: dict[str, ParameterDeclared] = {}
    nodes = {}
    for node in read_rule_file(path).items():
        parameter = _declared(node)
        if parameter.id in declared:
            raise node.refuse(f"{parameter.id} is declared twice")
        declared[parameter.id], nodes[parameter.id] = parameter, node
    for name, parameter in declared.items():
        other = declared.get(parameter.not_below) if parameter.not_below else parameter
        if other is None or (other.kind, other.places) != (parameter.kind, parameter.places):
            raise nodes[name].refuse(f"{name}: not_below must name a declared number of the same shape")
    return declared


def _declared(node: Node) -> ParameterDeclared:
    given = node.fields(
        *("id", "name", "unit", "kind", "by_residence", "meaning"),
        optional=("least", "most", "part_of", "not_below"),
    )
    kind = ParameterKind(given["kind"].one_of(*(kind.value for kind in ParameterKind)))
    is_number = kind is ParameterKind.NUMBER
    if is_number != ("least" in given) or is_number != ("most" in given):
        raise node.refuse("a number needs least and most; texts have neither")
    parameter = ParameterDeclared(
        id=given["id"].text(),
        name=given["name"].words(),
        unit=given["unit"].one_of(*UNITS),
        kind=kind,
        by_residence=given["by_residence"].flag(),
        meaning=given["meaning"].words(),
        least=given["least"].number() if is_number else 0.0,
        most=given["most"].number() if is_number else 0.0,
        part_of=given["part_of"].text() if "part_of" in given else None,
        not_below=given["not_below"].text() if "not_below" in given else None,
    )
    if is_number and parameter.least >= parameter.most:
        raise given["most"].refuse("most must be above least")
    return parameter
