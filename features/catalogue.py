"""The catalogue: every declared event kind and feature, found by listing folders; adding one touches one file."""

from __future__ import annotations

import hashlib
import importlib
import json
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, wraps
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

import features.builders
import features.events
import features.panels
from features.banned import refuse_banned
from features.codes import matches
from features.definition import EventKind, Feature, feature_from_json, kind_as_json, kind_from_json

CORE = "core"
Made = TypeVar("Made")


@dataclass(frozen=True)
class Catalogue:
    """Event kinds and features that belong together. The order of `features` is the order of the vector."""

    name: str
    kinds: tuple[EventKind, ...]
    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        for kind in self.kinds:
            refuse_banned(kind)
        _refuse_repeated("event kind", [kind.code for kind in self.kinds])
        _refuse_repeated("feature", [feature.name for feature in self.features])
        codes, seen = [kind.code for kind in self.kinds], set[str]()
        for feature in self.features:
            for pattern in (*feature.codes, *feature.closed_by, *feature.linked_by):
                if not any(matches(pattern, code) for code in codes):
                    raise ValueError(f"feature {feature.name!r} reads {pattern!r}, which no event kind declares")
            for name in feature.of:
                if name not in seen:
                    raise ValueError(
                        f"feature {feature.name!r} is built from {name!r}, which is not declared before it"
                    )
            seen.add(feature.name)

    @cached_property
    def by_code(self) -> dict[str, EventKind]:
        """Event kinds by their code."""
        return {kind.code: kind for kind in self.kinds}

    @cached_property
    def codes_read(self) -> dict[str, npt.NDArray[np.bool_]]:
        """For every feature, which of `kinds` it reads: a mask in the order of `kinds`."""
        return {
            feature.name: np.array([any(matches(p, kind.code) for p in feature.codes) for kind in self.kinds], np.bool_)
            for feature in self.features
        }

    @cached_property
    def _positions(self) -> dict[tuple[str, ...], tuple[int, ...]]:
        return {}

    def positions(self, patterns: tuple[str, ...]) -> tuple[int, ...]:
        """Where in `kinds` the kinds stand that the patterns name.

        >>> [catalogue().kinds[i].code for i in catalogue().positions(("CLM//DRUG",))]
        ['CLM//DRUG']
        """
        if patterns not in self._positions:
            self._positions[patterns] = tuple(
                i for i, kind in enumerate(self.kinds) if any(matches(pattern, kind.code) for pattern in patterns)
            )
        return self._positions[patterns]

    @cached_property
    def by_name(self) -> dict[str, Feature]:
        """Features by their name."""
        return {feature.name: feature for feature in self.features}

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that decides a value: two catalogues with one digest give the same vectors."""
        written = json.dumps(self.as_json(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(written.encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """The whole catalogue as plain JSON values."""
        return {
            "name": self.name,
            "kinds": [kind_as_json(kind) for kind in self.kinds],
            "features": [feature.as_json() for feature in self.features],
        }


def made_once(make: Callable[[Catalogue], Made]) -> Callable[[Catalogue], Made]:
    """What a function makes of a catalogue, made once for each and kept: catalogues are few and do not change.

    >>> made_once(lambda of: object())(catalogue()) is made_once(lambda of: object())(catalogue())
    False
    >>> first = made_once(lambda of: object())
    >>> first(catalogue()) is first(catalogue()), first(catalogue()) is first(catalogue("eph"))
    (True, False)
    """
    made: dict[str, Made] = {}

    @wraps(make)
    def kept(of: Catalogue) -> Made:
        if of.digest not in made:
            made[of.digest] = make(of)
        return made[of.digest]

    return kept


def catalogue_from_json(written: dict[str, Any]) -> Catalogue:
    """The catalogue back from `Catalogue.as_json`.

    >>> core = catalogue()
    >>> catalogue_from_json(core.as_json()).digest == core.digest
    True
    """
    return Catalogue(
        name=written["name"],
        kinds=tuple(kind_from_json(kind) for kind in written["kinds"]),
        features=tuple(feature_from_json(feature) for feature in written["features"]),
    )


@lru_cache(maxsize=8)
def catalogue(name: str = CORE) -> Catalogue:
    """The catalogue of that name: `core`, or one panel's.

    >>> catalogue("atlantis")
    Traceback (most recent call last):
    ...
    ValueError: no catalogue 'atlantis'; known are core, eph, sipp
    """
    if name == CORE:
        event_modules, builder_modules = _modules(features.events), _modules(features.builders)
        return Catalogue(
            CORE,
            tuple(kind for module in event_modules for kind in module.KINDS),
            tuple(feature for module in builder_modules for feature in module.FEATURES),
        )
    panels = {module.__name__.rsplit(".", 1)[1]: module for module in _modules(features.panels)}
    if name not in panels:
        raise ValueError(f"no catalogue {name!r}; known are {', '.join([CORE, *sorted(panels)])}")
    return Catalogue(name, tuple(panels[name].KINDS), tuple(panels[name].FEATURES))


def _modules(package: ModuleType) -> list[ModuleType]:
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__))
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def _refuse_repeated(what: str, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{what} declared twice: {', '.join(repeated)}")
