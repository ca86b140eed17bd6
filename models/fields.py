"""The parts of a record that a visit can fill: features that become known together, and how to ask for them.

Fields are made from the catalogue, so a new feature joins its field by itself. Their words are in
`models/wording/fields.yaml`; a field without an entry of its own is asked about by its domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.catalogue import CORE, Catalogue, catalogue
from features.definition import Absent, Feature, Group, Text
from features.rules.files import Node, read_rule_file
from features.unit import Unit

WORDING = Path(__file__).parent / "wording" / "fields.yaml"
ANYTHING = "*"
_Key = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class Wording:
    """How to ask for a field. `records` is the code of the event that the answer becomes, if one event tells it;
    `stale_after_days` is how old the newest report may be, None for a record that does not grow old. Where one of the
    features `none_where` is known to be 0, there is nothing to ask: nobody draws a pension where nobody is old."""

    name: str
    question: Text
    records: str | None = None
    stale_after_days: int | None = None
    none_where: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Field:
    """Features of one domain that become known together.

    `columns` are their places in the vector. `reports[c]` says whether an event of kind c reports about the field.
    `none_columns` are the places of `wording.none_where`. `unit` is the unit of the event that `wording.records` names.
    """

    wording: Wording
    group: Group
    columns: npt.NDArray[np.int64]
    reports: npt.NDArray[np.bool_]
    none_columns: npt.NDArray[np.int64]
    unit: Unit | None

    @property
    def name(self) -> str:
        """The field's name."""
        return self.wording.name


def fields(of: Catalogue) -> tuple[Field, ...]:
    """The fields of a catalogue, in the order in which their first features stand.

    Ratios and differences belong to no field, they follow from their parts. Nor does the context (where a household
    lives): nobody has to ask for it.

    >>> [field.name for field in fields(catalogue())][:3]
    ['assistance', 'disability', 'disaster']
    """
    if of.digest not in _FIELDS:
        _FIELDS[of.digest] = _grouped(of)
    return _FIELDS[of.digest]


_FIELDS: dict[str, tuple[Field, ...]] = {}


def known_by(feature: Feature) -> tuple[str, ...]:
    """What makes the feature known: the events that prove its source, the events it reads, or a count of members."""
    if not feature.measure.is_of_events:
        return (feature.measure.value,)
    return feature.codes if feature.when_absent is Absent.UNKNOWN else feature.linked_by


def _grouped(of: Catalogue) -> tuple[Field, ...]:
    columns: dict[_Key, list[int]] = {}
    for column, feature in enumerate(of.features):
        if not feature.measure.is_derived and feature.group is not Group.CONTEXT:
            columns.setdefault((feature.group.value, known_by(feature)), []).append(column)
    return tuple(_field(of, key, np.array(at, np.int64)) for key, at in columns.items())


def _field(of: Catalogue, key: _Key, columns: npt.NDArray[np.int64]) -> Field:
    # The entries are for the codes of the core catalogue; another one may count its members in the same way, but the
    # question then is about its own.
    wording = (own_words() if of.name == CORE else {}).get(key) or _by_domain(key)
    records = of.by_code.get(wording.records or "")
    reports = np.zeros(len(of.kinds), np.bool_)
    for feature in (of.features[column] for column in columns):
        # That anything is on record at all reports about no field in particular.
        proofs = tuple(pattern for pattern in feature.linked_by if pattern != ANYTHING)
        reports[list(of.positions((*feature.codes, *proofs)))] = True
    nones = np.array([of.names.index(name) for name in wording.none_where if name in of.by_name], np.int64)
    return Field(wording, Group(key[0]), columns, reports, nones, None if records is None else records.unit)


def _by_domain(key: _Key) -> Wording:
    return Wording(f"{key[0]}.{'+'.join(key[1])}", domain_words()[key[0]])


@lru_cache(maxsize=1)
def own_words() -> Mapping[_Key, Wording]:
    """The entries of the wording file by domain and what makes the field known; a wrong entry is refused by line."""
    found: dict[_Key, Wording] = {}
    for name, node in _sections()["fields"].entries():
        entry = node.fields("domain", "known_by", "question", optional=("records", "stale_after_days", "none_where"))
        key = (entry["domain"].one_of(*(group.value for group in Group)), entry["known_by"].texts())
        if key in found:
            raise node.refuse("is the second entry for the same field; keep one")
        records, limit, none = (entry.get(each) for each in ("records", "stale_after_days", "none_where"))
        if records is not None and records.text() not in catalogue().by_code:
            raise records.refuse("must be an event code of the catalogue")
        nones = () if none is None else none.texts()
        if none is not None and not set(nones) <= set(catalogue().names):
            raise none.refuse("must be features of the catalogue")
        found[key] = Wording(
            name,
            entry["question"].words(),
            None if records is None else records.text(),
            None if limit is None else int(limit.number()),
            nones,
        )
    return found


@lru_cache(maxsize=1)
def domain_words() -> Mapping[str, Text]:
    """What to ask about a domain in general."""
    return {name: node.words() for name, node in _sections()["domains"].entries()}


def _sections() -> dict[str, Node]:
    return read_rule_file(WORDING).fields("fields", "domains")
