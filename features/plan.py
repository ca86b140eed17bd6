"""A catalogue laid out for the compiled pass: which numbers each kind of event feeds, and what is made of them.

Features that read the same codes over the same window share one cell of running numbers, whatever they measure.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence, Sized
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from features.catalogue import Catalogue
from features.definition import Absent, Feature, Level, Measure
from features.kernel import (
    BEGINS,
    COUNTS_AGED,
    COUNTS_MEMBERS,
    ENDS,
    IS_PLACE,
    LINKS_PER_WORD,
    MEASURES,
    NAMES_CODE,
    NAMES_PERSON,
)
from features.ordering import Bools, Floats, Ints
from features.window import Window

KEPT_PLANS = 64
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, eq=False)
class Plan:
    """The features `names`, and those that they are made from, as arrays.

    The pass works on one row of `width` columns; the first `len(names)` of them are the features asked for. Event
    features are slots. Slots that read the same codes over the same window share a cell; the slots of cell i are
    `slots[slots_of_cell[i]:slots_of_cell[i + 1]]`, each a (measure, column, list), where list is one of `n_lists` lists
    of persons, codes or spells that some measures keep. `windows` come longest first, so that an event inside the first
    w of them feeds `cells[cells_until[c, 0]:cells_until[c, w]]`, c being its code, and does
    `actions[actions_until[c, 0]:actions_until[c, w]]`, each an (action, list). `is_seen[c]` says whether an event of
    code c shows that somebody sees the household, `is_personal[c]` whether a spell of code c belongs to one person.

    Bit k of `proves[c]` (`LINKS_PER_WORD` bits in each word) says that code c, if `is_seen[c]`, proves link set k; then
    the columns `none_columns[nones_of_link[k]:nones_of_link[k + 1]]` hold `none_values` unless an event says otherwise,
    NaN where the number then does not exist. `derived` are (column, first, second, is a ratio) in order, `of_people`
    are (column, kind, number of the age band or residence). `low` and `high` are the bounds of every column, `scales`
    belong to `derived`.
    """

    names: tuple[str, ...]
    width: int
    windows: tuple[Window, ...]
    cells_until: Ints
    cells: Ints
    actions_until: Ints
    actions: Ints
    slots_of_cell: Ints
    slots: Ints
    n_lists: Ints
    is_personal: Bools
    is_seen: Bools
    proves: Ints
    nones_of_link: Ints
    none_columns: Ints
    none_values: Floats
    derived: Ints
    scales: Floats
    of_people: Ints
    ages: Ints
    residences: tuple[str, ...]
    low: Floats
    high: Floats


_PLANS: dict[tuple[str, tuple[str, ...] | None], Plan] = {}


def plan(catalogue: Catalogue, names: Sequence[str] | None = None) -> Plan:
    """The plan of these features of a catalogue, or of all; made once. Raises KeyError for a name it lacks."""
    key = (catalogue.digest, None if names is None else tuple(names))
    found = _PLANS.get(key)
    if found is None:
        if len(_PLANS) >= KEPT_PLANS:
            _PLANS.clear()
        found = _PLANS[key] = _laid_out(catalogue, catalogue.names if names is None else tuple(names))
    return found


def _laid_out(catalogue: Catalogue, names: tuple[str, ...]) -> Plan:
    if len(set(names)) != len(names):
        raise ValueError("a feature is asked for twice")
    features = _with_parts(catalogue, names)
    column = {feature.name: i for i, feature in enumerate(features)}
    told = [f for f in features if f.measure.is_of_events]
    windows = tuple(sorted({f.window for f in told}, key=lambda w: -(w.months or 1_000_000)))
    cells = _numbered((catalogue.positions(f.codes), f.window) for f in told)
    slots: list[list[tuple[int, int, int]]] = [[] for _ in cells]
    n_lists = [0, 0, 0]
    feeds: list[list[tuple[int, ...]]] = [[] for _ in catalogue.kinds]
    acts: list[list[tuple[int, ...]]] = [[] for _ in catalogue.kinds]
    for (begins, of), cell in cells.items():
        for kind in begins:
            feeds[kind].append((windows.index(of), cell))
    for f in told:
        begins, window, listing = catalogue.positions(f.codes), windows.index(f.window), _listing(f.measure)
        place = -1 if listing is None else n_lists[listing]
        slots[cells[begins, f.window]].append((MEASURES.index(f.measure), column[f.name], place))
        if listing is None:
            continue
        for kind in begins:
            acts[kind].append((window, listing, place))
        if listing == BEGINS:
            for kind in set(catalogue.positions(f.closed_by)) - set(begins):
                acts[kind].append((window, ENDS, place))
        n_lists[listing] += 1
    link_sets = _numbered(f.linked_by for f in told if f.when_absent is not Absent.UNKNOWN)
    proves = np.zeros((len(catalogue.kinds), len(link_sets) // LINKS_PER_WORD + 1), np.int64)
    nones: list[list[tuple[int, float]]] = [[] for _ in link_sets]
    for patterns, link in link_sets.items():
        word, bit = divmod(link, LINKS_PER_WORD)
        proves[list(catalogue.positions(patterns)), word] |= 1 << bit
    for f in told:
        if f.when_absent is not Absent.UNKNOWN:
            nones[link_sets[f.linked_by]].append((column[f.name], _when_none(f)))
    derived = [f for f in catalogue.features if f.measure.is_derived and f.name in column]
    of_people = [f for f in features if not f.measure.is_derived and not f.measure.is_of_events]
    aged = [f for f in of_people if f.measure is Measure.MEMBERS_AGED]
    residences = tuple(dict.fromkeys(f.residence for f in of_people if f.residence is not None))
    return Plan(
        names=names,
        width=len(features),
        windows=windows,
        cells_until=_until(feeds, len(windows)),
        cells=_table([read[1:] for of_code in feeds for read in sorted(of_code)], 1)[:, 0],
        actions_until=_until(acts, len(windows)),
        actions=_table([act[1:] for of_code in acts for act in sorted(of_code)], 2),
        slots_of_cell=_pointers(slots),
        slots=_table([slot for of_cell in slots for slot in of_cell], 3),
        n_lists=np.array(n_lists, np.int64),
        is_personal=np.array([kind.level is Level.PERSON for kind in catalogue.kinds], np.bool_),
        is_seen=np.array([kind.shows_household for kind in catalogue.kinds], np.bool_),
        proves=proves,
        nones_of_link=_pointers(nones),
        none_columns=np.array([i for each in nones for i, _ in each], np.int64),
        none_values=np.array([value for each in nones for _, value in each], np.float64),
        derived=_table([(column[f.name], *(column[n] for n in f.of), f.measure is Measure.RATIO) for f in derived], 4),
        scales=np.array([f.scale for f in derived], np.float64),
        of_people=_table([(column[f.name], *_of_people(f, aged, residences)) for f in of_people], 3),
        ages=_table([f.ages or (0, 0) for f in aged], 2),
        residences=residences,
        low=np.array([f.bounds[0] for f in features], np.float64),
        high=np.array([f.bounds[1] for f in features], np.float64),
    )


def _with_parts(catalogue: Catalogue, names: tuple[str, ...]) -> list[Feature]:
    """The features named, then those that only the named ones are made from, each part before what it is made into."""
    wanted = set(names)
    for feature in reversed(catalogue.features):
        if feature.name in wanted:
            wanted.update(feature.of)
    return [
        *(catalogue.by_name[name] for name in names),
        *(f for f in catalogue.features if f.name in wanted - set(names)),
    ]


def _listing(measure: Measure) -> int | None:
    """What an event does for a measure that keeps a list: of persons, of codes or of spells."""
    return {
        Measure.PERSONS: NAMES_PERSON,
        Measure.DISTINCT: NAMES_CODE,
        Measure.OPEN: BEGINS,
        Measure.MONTHS_OPEN: BEGINS,
    }.get(measure)


def _of_people(feature: Feature, aged: list[Feature], residences: tuple[str, ...]) -> tuple[int, int]:
    if feature.measure is Measure.MEMBERS_AGED:
        return COUNTS_AGED, aged.index(feature)
    if feature.measure is Measure.RESIDENCE and feature.residence is not None:
        return IS_PLACE, residences.index(feature.residence)
    return COUNTS_MEMBERS, 0


def _when_none(feature: Feature) -> float:
    """The number of a known none within the feature's bounds, NaN where it then does not exist."""
    if feature.when_absent is Absent.NOT_APPLICABLE:
        return float("nan")
    none = float(feature.window.months or 0) if feature.measure is Measure.MONTHS_SINCE else 0.0
    return float(np.clip(none if feature.none_is is None else feature.none_is, *feature.bounds))


def _numbered(keys: Iterable[_Key]) -> dict[_Key, int]:
    return {key: i for i, key in enumerate(dict.fromkeys(keys))}


def _pointers(groups: Sequence[Sized]) -> Ints:
    return np.concatenate([[0], np.cumsum([len(group) for group in groups])]).astype(np.int64)


def _until(reads: Sequence[Sequence[tuple[int, ...]]], n_windows: int) -> Ints:
    """Where the reads of each code end that lie in the first 0, 1, ... windows, all codes' reads in one row."""
    counts = [[sum(read[0] < w for read in of_code) for w in range(n_windows + 1)] for of_code in reads]
    return np.array(counts, np.int64).reshape(len(reads), n_windows + 1) + _pointers(reads)[:-1, np.newaxis]


def _table(rows: Sequence[tuple[int, ...]], width: int) -> Ints:
    return np.array(rows, np.int64).reshape(-1, width)
