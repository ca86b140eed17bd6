"""What similar households look like, without any household in it: plausible values for what is not known of one.

For every feature the file `similar.json` holds values at 20 levels, from 2.5 % to 97.5 % of the training households of
whom it is known, by stratum: where they live, and whether there are children, elders only, or others. Each household
counts once. A level is told only where at least 50 different households are behind it, at least ten of them lie at or
beyond it on either side, and it is rounded to two digits; otherwise the wider stratum speaks, or nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue
from features.definition import Measure

Floats = npt.NDArray[np.float64]

LEVELS = 20
FEWEST_HOUSEHOLDS = 50
FEWEST_BEYOND = 10
DIGITS = 2
WHOLE = "all"
ELDER, GROWN_UP = 60, 18


class SimilarRefused(ValueError):
    """A written file of similar households cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True)
class Spread:
    """Values of one feature at the levels, ascending, and how many different households they rest on."""

    households: int
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.households < FEWEST_HOUSEHOLDS:
            raise SimilarRefused(f"a spread rests on fewer than {FEWEST_HOUSEHOLDS} households")
        if len(self.values) != LEVELS or not np.isfinite(self.values).all() or (np.diff(self.values) < 0.0).any():
            raise SimilarRefused(f"a spread needs {LEVELS} finite values that do not fall")

    @staticmethod
    def of(known: Floats, bounds: tuple[float, float] = (-np.inf, np.inf)) -> Spread | None:
        """The spread of one known value a household, None where they are too few to be told.

        >>> Spread.of(np.arange(1000.0)).values[:3], Spread.of(np.arange(49.0))
        ((24.0, 74.0, 120.0), None)
        """
        n = len(known)
        if n < FEWEST_HOUSEHOLDS:
            return None
        # A value that some household has, never one between two: nobody has one and a half children.
        rank = np.ceil(n * (np.arange(LEVELS) + 0.5) / LEVELS).astype(np.int64) - 1
        at = np.sort(known)[np.clip(rank, FEWEST_BEYOND - 1, n - FEWEST_BEYOND)]
        return Spread(n, tuple(float(np.clip(float(f"{value:.{DIGITS}g}"), *bounds)) for value in at))


@dataclass(frozen=True)
class Similar:
    """Plausible values of a catalogue's features.

    `strata` holds a spread by stratum and feature. `worse` says for each feature whether larger values go with a higher
    score (1) or a lower one (-1).
    """

    catalogue: Catalogue
    strata: Mapping[str, Mapping[str, Spread]]
    worse: Mapping[str, int]
    _tables: dict[tuple[str, ...], Floats] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        names = set(self.catalogue.names)
        if {*self.worse, *(name for spreads in self.strata.values() for name in spreads)} - names:
            raise SimilarRefused("it names a feature that the catalogue does not have")
        if any(sign not in (-1, 1) for sign in self.worse.values()):
            raise SimilarRefused("a feature's worse side must be 1 or -1")

    def plausible(self, row: Floats) -> Floats:
        """Values for a household like the one whose vector `row` is: features x 20 levels, from better to worse.

        Better and worse are of each feature alone. NaN where nothing may be told.
        """
        narrow = strata(self.catalogue, row)
        if narrow not in self._tables:
            found = np.full((len(self.catalogue.features), LEVELS), np.nan)
            for column, name in enumerate(self.catalogue.names):
                spread = next((self.strata[s][name] for s in narrow if name in self.strata.get(s, {})), None)
                if spread is not None:
                    found[column] = spread.values[:: self.worse.get(name, 1)]
            self._tables[narrow] = found
        return self._tables[narrow]

    def as_json(self) -> dict[str, Any]:
        """The content of `similar.json`; `from_json` gives it back to the last digit."""
        return {
            "levels": LEVELS,
            "worse": dict(self.worse),
            "strata": {
                stratum: {
                    name: {"households": each.households, "values": list(each.values)} for name, each in spreads.items()
                }
                for stratum, spreads in self.strata.items()
            },
        }

    @staticmethod
    def from_json(written: Mapping[str, Any], catalogue: Catalogue) -> Similar:
        """Read back; refused if a field is missing, a spread is too thin, or a feature is not the catalogue's."""
        missing = [name for name in ("levels", "worse", "strata") if name not in written]
        if missing:
            raise SimilarRefused(f"it lacks {', '.join(missing)}")
        if written["levels"] != LEVELS:
            raise SimilarRefused(f"it has not {LEVELS} levels")
        return Similar(
            catalogue,
            {
                str(stratum): {
                    str(name): Spread(int(each["households"]), tuple(float(value) for value in each["values"]))
                    for name, each in spreads.items()
                }
                for stratum, spreads in written["strata"].items()
            },
            {str(name): int(sign) for name, sign in written["worse"].items()},
        )


def strata(catalogue: Catalogue, row: Floats) -> tuple[str, ...]:
    """The strata of a household by its vector, the narrowest first; the last one is everybody's.

    They come from what the catalogue has: a place where it tests for one, children, elders only or others where it
    counts members by age. What is not known of the household narrows nothing.

    >>> from features.catalogue import catalogue
    >>> core = catalogue()
    >>> row = np.full(len(core.features), np.nan)
    >>> strata(core, row)
    ('all',)
    >>> for name, value in (("residence_rural", 1), ("members", 2), ("children_under_16", 0), ("elders_60", 2)):
    ...     row[core.names.index(name)] = value
    >>> strata(core, row)
    ('rural/elders', 'rural', 'all')
    """
    if catalogue.digest not in _TOLD_BY:
        _TOLD_BY[catalogue.digest] = _told_by(catalogue)
    places, counts = _TOLD_BY[catalogue.digest]
    place, people = _place(places, row), _people(counts, row)
    both = (f"{place}/{people}",) if place and people else ()
    return (*both, *((place,) if place else (people,) if people else ()), WHOLE)


_TOLD_BY: dict[str, tuple[Mapping[str, int], tuple[int, int, int] | None]] = {}


def _told_by(catalogue: Catalogue) -> tuple[Mapping[str, int], tuple[int, int, int] | None]:
    """The column of each place, and the columns of children, elders and all members, None where one is not counted."""
    features = list(enumerate(catalogue.features))
    places = {str(f.residence): column for column, f in features if f.measure is Measure.RESIDENCE}
    aged = [(f.ages, column) for column, f in features if f.measure is Measure.MEMBERS_AGED and f.ages is not None]
    children = [(ages[1], column) for ages, column in aged if ages[0] == 0 and ages[1] <= GROWN_UP]
    elders = [(-ages[0], column) for ages, column in aged if ages[0] >= ELDER]
    members = [column for column, f in features if f.measure is Measure.MEMBERS]
    return places, (max(children)[1], max(elders)[1], members[0]) if children and elders and members else None


def _place(columns: Mapping[str, int], row: Floats) -> str | None:
    found = {place: float(row[column]) for place, column in columns.items()}
    if not found or any(np.isnan(value) for value in found.values()):
        return None
    return next((place for place, value in found.items() if value == 1.0), "elsewhere")


def _people(columns: tuple[int, int, int] | None, row: Floats) -> str | None:
    if columns is None or np.isnan(row[list(columns)]).any():
        return None
    children, elders, members = (float(row[column]) for column in columns)
    if children > 0:
        return "children"
    return "elders" if elders == members else "others"
