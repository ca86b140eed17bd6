"""The one pass that turns sorted events into numbers, compiled; the same function serves one household and millions.

A `Plan` lays the catalogue's features out as slots. For every household the pass reads its events once, oldest first,
and feeds each event to the slots of its code. `tests/property/oracle.py` says the same slowly and plainly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue
from features.codes import matches
from features.definition import Absent, Feature, Level, Measure
from features.window import MICROS_PER_MONTH, Micros, Window, last

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LINK_WINDOW = last(months=24)
_MEASURES = (
    Measure.COUNT,
    Measure.SUM,
    Measure.MAX,
    Measure.MIN,
    Measure.MEAN,
    Measure.LAST,
    Measure.FIRST,
    Measure.PERSONS,
    Measure.MONTHS_SINCE,
    Measure.OPEN,
    Measure.MONTHS_OPEN,
)
_COUNT, _SUM, _MAX, _MIN, _MEAN, _LAST, _FIRST, _PERSONS, _MONTHS_SINCE, _OPEN, _MONTHS_OPEN = range(len(_MEASURES))
_BEGINS, _ENDS = 0, 1


@dataclass(frozen=True)
class Plan:
    """The event features of a catalogue as arrays.

    Slot s computes feature column `column[s]`. `of_code[ptr[c]:ptr[c + 1]]` are the slots that read code c and
    `role` says whether the code begins or ends the slot's spell. `link[s]` is the slot's link set, -1 for none, and
    `links_of_code` lists the link sets that code c proves. `when_none[s]` is the value of a known none, NaN where the
    number then does not exist. `is_personal[c]` says whether a spell of code c belongs to one person; `is_seen[c]`
    whether an event of code c shows that somebody sees the household.
    """

    windows: tuple[Window, ...]
    window: Ints
    measure: Ints
    column: Ints
    ptr: Ints
    of_code: Ints
    role: Ints
    link: Ints
    n_links: int
    link_ptr: Ints
    links_of_code: Ints
    when_none: Floats
    is_personal: npt.NDArray[np.bool_]
    is_seen: npt.NDArray[np.bool_]


def _laid_out(catalogue: Catalogue) -> Plan:
    slots = [(i, f) for i, f in enumerate(catalogue.features) if f.measure.is_of_events]
    windows = tuple(dict.fromkeys(f.window for _, f in slots))
    link_sets = tuple(dict.fromkeys(f.linked_by for _, f in slots if f.when_absent is not Absent.UNKNOWN))
    reading: list[list[tuple[int, int]]] = []
    proving: list[list[int]] = []
    for kind in catalogue.kinds:
        reads = []
        for s, (_, f) in enumerate(slots):
            if any(matches(p, kind.code) for p in f.codes):
                reads.append((s, _BEGINS))
            elif any(matches(p, kind.code) for p in f.closed_by):
                reads.append((s, _ENDS))
        reading.append(reads)
        proves = [k for k, patterns in enumerate(link_sets) if any(matches(p, kind.code) for p in patterns)]
        proving.append(proves if kind.shows_household else [])
    return Plan(
        windows=windows,
        window=_ints([windows.index(f.window) for _, f in slots]),
        measure=_ints([_MEASURES.index(f.measure) for _, f in slots]),
        column=_ints([i for i, _ in slots]),
        ptr=_pointers(reading),
        of_code=_ints([s for reads in reading for s, _ in reads]),
        role=_ints([role for reads in reading for _, role in reads]),
        link=_ints([-1 if f.when_absent is Absent.UNKNOWN else link_sets.index(f.linked_by) for _, f in slots]),
        n_links=len(link_sets),
        link_ptr=_pointers(proving),
        links_of_code=_ints([k for links in proving for k in links]),
        when_none=np.array([_when_none(f) for _, f in slots], np.float64),
        is_personal=np.array([kind.level is Level.PERSON for kind in catalogue.kinds], np.bool_),
        is_seen=np.array([kind.shows_household for kind in catalogue.kinds], np.bool_),
    )


def _when_none(feature: Feature) -> float:
    if feature.when_absent is Absent.NOT_APPLICABLE:
        return float("nan")
    if feature.none_is is not None:
        return feature.none_is
    return float(feature.window.months or 0) if feature.measure is Measure.MONTHS_SINCE else 0.0


_PLANS: dict[str, Plan] = {}


def plan(catalogue: Catalogue) -> Plan:
    """The plan of a catalogue, made once."""
    if catalogue.digest not in _PLANS:
        _PLANS[catalogue.digest] = _laid_out(catalogue)
    return _PLANS[catalogue.digest]


def event_values(
    layout: Plan,
    starts: Ints,
    code: Ints,
    person: Ints,
    occurred: Ints,
    value: Floats,
    as_of: Micros,
    time_zone: str,
) -> tuple[Floats, npt.NDArray[np.bool_], Ints]:
    """Values of the event slots (households x slots), where they are unknown, and visible events in 24 months.

    A value is NaN where it is unknown and also where it does not exist.

    The event arrays hold visible events only, grouped by household (`starts`), oldest first within each.
    """
    window_starts = _ints([window.start(as_of, time_zone) for window in layout.windows])
    slot_starts = window_starts[layout.window] if len(layout.window) else _ints([])
    n = len(starts) - 1
    values = np.empty((n, len(layout.measure)), np.float64)
    unknown = np.zeros(values.shape, np.bool_)
    recent = np.zeros(n, np.int64)
    widest = int(np.diff(starts).max()) if n else 0
    _pass(
        starts, code, person, occurred, value, as_of, LINK_WINDOW.start(as_of, time_zone),
        slot_starts, layout.measure, layout.ptr, layout.of_code, layout.role,
        layout.link, layout.n_links, layout.link_ptr, layout.links_of_code, layout.when_none,
        layout.is_personal, layout.is_seen,
        MICROS_PER_MONTH, max(widest, 1), values, unknown, recent,
    )  # fmt: skip
    return values, unknown, recent


@numba.njit(cache=True)
def _pass(  # type: ignore[no-untyped-def]
    starts, code, person, occurred, value, as_of, link_start,
    slot_start, measure, ptr, of_code, role,
    link, n_links, link_ptr, links_of_code, when_none, is_personal, is_seen,
    micros_per_month, widest, values, unknown, recent,
):  # fmt: skip
    n_slots = measure.shape[0]
    n_seen = np.zeros(n_slots, np.int64)
    n_valued = np.zeros(n_slots, np.int64)
    total = np.zeros(n_slots, np.float64)
    extreme = np.zeros(n_slots, np.float64)
    kept = np.zeros(n_slots, np.float64)
    when = np.zeros(n_slots, np.int64)
    linked = np.zeros(max(n_links, 1), np.bool_)
    persons = np.zeros((n_slots, widest), np.int64)
    n_persons = np.zeros(n_slots, np.int64)
    # One spell a person (-1 for the household), in the order of `persons`.
    is_open = np.zeros((n_slots, widest), np.bool_)
    begun = np.zeros((n_slots, widest), np.int64)
    renewed = np.zeros((n_slots, widest), np.int64)
    ended = np.zeros((n_slots, widest), np.int64)

    for h in range(starts.shape[0] - 1):
        n_seen[:] = 0
        n_valued[:] = 0
        total[:] = 0.0
        n_persons[:] = 0
        linked[:] = False

        for e in range(starts[h], starts[h + 1]):
            t = occurred[e]
            if t >= as_of:
                continue
            c = code[e]
            if t >= link_start and is_seen[c]:
                recent[h] += 1
                for k in range(link_ptr[c], link_ptr[c + 1]):
                    linked[links_of_code[k]] = True
            for k in range(ptr[c], ptr[c + 1]):
                s = of_code[k]
                if t < slot_start[s]:
                    continue
                m = measure[s]
                if role[k] == _ENDS:
                    for q in range(n_persons[s]):
                        is_its = not is_personal[c] or person[e] < 0 or persons[s, q] == person[e]
                        # An ending at the very instant of a beginning does not hide it: attention is kept.
                        if is_its and is_open[s, q] and renewed[s, q] < t:
                            is_open[s, q] = False
                            ended[s, q] = t
                    continue
                n_seen[s] += 1
                when[s] = t
                if m in (_OPEN, _MONTHS_OPEN, _PERSONS):
                    p = person[e] if is_personal[c] or m == _PERSONS else -1
                    if m == _PERSONS and p < 0:
                        continue
                    who = 0
                    while who < n_persons[s] and persons[s, who] != p:
                        who += 1
                    if who == n_persons[s]:
                        persons[s, who] = p
                        is_open[s, who] = False
                        ended[s, who] = as_of
                        n_persons[s] += 1
                    if not is_open[s, who]:
                        is_open[s, who] = True
                        if ended[s, who] != t:
                            begun[s, who] = t
                    renewed[s, who] = t
                elif m != _COUNT and m != _MONTHS_SINCE:
                    v = value[e]
                    if not np.isnan(v):
                        if m == _MAX:
                            if n_valued[s] == 0 or v > extreme[s]:
                                extreme[s] = v
                        elif m == _MIN:
                            if n_valued[s] == 0 or v < extreme[s]:
                                extreme[s] = v
                        elif m == _LAST:
                            kept[s] = v
                        elif m == _FIRST:
                            if n_valued[s] == 0:
                                kept[s] = v
                        else:
                            total[s] += v
                        n_valued[s] += 1

        for s in range(n_slots):
            m = measure[s]
            if n_seen[s] == 0:
                if link[s] >= 0 and linked[link[s]]:
                    values[h, s] = when_none[s]
                    continue
                values[h, s] = np.nan
            elif m == _COUNT:
                values[h, s] = n_seen[s]
            elif m == _MONTHS_SINCE:
                values[h, s] = (as_of - when[s]) / micros_per_month
            elif m in (_OPEN, _MONTHS_OPEN):
                oldest = as_of
                for q in range(n_persons[s]):
                    if is_open[s, q] and begun[s, q] < oldest:
                        oldest = begun[s, q]
                if m == _OPEN:
                    values[h, s] = 1.0 if oldest < as_of else 0.0
                else:
                    values[h, s] = (as_of - oldest) / micros_per_month
            elif m == _PERSONS:
                values[h, s] = n_persons[s] if n_persons[s] > 0 else np.nan
            elif m == _SUM:
                # One amount left open makes the sum unknown: leaving it out would be a zero nobody reported.
                values[h, s] = total[s] if n_valued[s] == n_seen[s] else np.nan
            elif n_valued[s] == 0:
                values[h, s] = np.nan
            elif m == _MEAN:
                values[h, s] = total[s] / n_valued[s]
            elif m in (_MAX, _MIN):
                values[h, s] = extreme[s]
            else:
                values[h, s] = kept[s]
            unknown[h, s] = np.isnan(values[h, s])


def _ints(values: list[int]) -> Ints:
    return np.array(values, np.int64)


def _pointers(groups: list[list[int]] | list[list[tuple[int, int]]]) -> Ints:
    return np.concatenate([[0], np.cumsum([len(group) for group in groups])]).astype(np.int64)
