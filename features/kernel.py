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
from features.definition import Absent, Measure
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
    `links_of_code` lists the link sets that code c proves. `when_none[s]` is the value of a known none.
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


def _laid_out(catalogue: Catalogue) -> Plan:
    slots = [(i, f) for i, f in enumerate(catalogue.features) if f.measure.is_of_events]
    windows = tuple(dict.fromkeys(f.window for _, f in slots))
    link_sets = tuple(dict.fromkeys(f.linked_by for _, f in slots if f.when_absent is Absent.KNOWN_NONE))
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
        proving.append([k for k, patterns in enumerate(link_sets) if any(matches(p, kind.code) for p in patterns)])
    return Plan(
        windows=windows,
        window=_ints([windows.index(f.window) for _, f in slots]),
        measure=_ints([_MEASURES.index(f.measure) for _, f in slots]),
        column=_ints([i for i, _ in slots]),
        ptr=_pointers(reading),
        of_code=_ints([s for reads in reading for s, _ in reads]),
        role=_ints([role for reads in reading for _, role in reads]),
        link=_ints([link_sets.index(f.linked_by) if f.when_absent is Absent.KNOWN_NONE else -1 for _, f in slots]),
        n_links=len(link_sets),
        link_ptr=_pointers(proving),
        links_of_code=_ints([k for links in proving for k in links]),
        when_none=np.array(
            [float(f.window.months or 0) if f.measure is Measure.MONTHS_SINCE else 0.0 for _, f in slots], np.float64
        ),
    )


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
) -> tuple[Floats, Ints]:
    """Values of the event slots, households x slots, NaN where unknown; and visible events in the last 24 months.

    The event arrays hold visible events only, grouped by household (`starts`), oldest first within each.
    """
    window_starts = _ints([window.start(as_of, time_zone) for window in layout.windows])
    slot_starts = window_starts[layout.window] if len(layout.window) else _ints([])
    n = len(starts) - 1
    values = np.empty((n, len(layout.measure)), np.float64)
    recent = np.zeros(n, np.int64)
    widest = int(np.diff(starts).max()) if n else 0
    _pass(
        starts, code, person, occurred, value, as_of, LINK_WINDOW.start(as_of, time_zone),
        slot_starts, layout.measure, layout.ptr, layout.of_code, layout.role,
        layout.link, layout.n_links, layout.link_ptr, layout.links_of_code, layout.when_none,
        MICROS_PER_MONTH, max(widest, 1), values, recent,
    )  # fmt: skip
    return values, recent


@numba.njit(cache=True)
def _pass(  # type: ignore[no-untyped-def]
    starts, code, person, occurred, value, as_of, link_start,
    slot_start, measure, ptr, of_code, role,
    link, n_links, link_ptr, links_of_code, when_none,
    micros_per_month, widest, values, recent,
):  # fmt: skip
    n_slots = measure.shape[0]
    n_seen = np.zeros(n_slots, np.int64)
    n_valued = np.zeros(n_slots, np.int64)
    total = np.zeros(n_slots, np.float64)
    extreme = np.zeros(n_slots, np.float64)
    kept = np.zeros(n_slots, np.float64)
    when = np.zeros(n_slots, np.int64)
    begun = np.zeros(n_slots, np.int64)
    ended = np.zeros(n_slots, np.int64)
    is_open = np.zeros(n_slots, np.bool_)
    linked = np.zeros(max(n_links, 1), np.bool_)
    persons = np.zeros((n_slots, widest), np.int64)
    n_persons = np.zeros(n_slots, np.int64)

    for h in range(starts.shape[0] - 1):
        n_seen[:] = 0
        n_valued[:] = 0
        total[:] = 0.0
        n_persons[:] = 0
        is_open[:] = False
        ended[:] = as_of
        linked[:] = False

        for e in range(starts[h], starts[h + 1]):
            t = occurred[e]
            if t >= as_of:
                continue
            c = code[e]
            if t >= link_start:
                recent[h] += 1
                for k in range(link_ptr[c], link_ptr[c + 1]):
                    linked[links_of_code[k]] = True
            for k in range(ptr[c], ptr[c + 1]):
                s = of_code[k]
                if t < slot_start[s]:
                    continue
                m = measure[s]
                if role[k] == _ENDS:
                    # An ending at the very instant of a beginning does not hide it: attention is kept.
                    if is_open[s] and when[s] < t:
                        is_open[s] = False
                        ended[s] = t
                    continue
                n_seen[s] += 1
                when[s] = t
                if m in (_OPEN, _MONTHS_OPEN):
                    if not is_open[s]:
                        is_open[s] = True
                        if ended[s] != t:
                            begun[s] = t
                elif m == _PERSONS:
                    p = person[e]
                    if p >= 0:
                        is_new = True
                        for q in range(n_persons[s]):
                            if persons[s, q] == p:
                                is_new = False
                                break
                        if is_new:
                            persons[s, n_persons[s]] = p
                            n_persons[s] += 1
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
                else:
                    values[h, s] = np.nan
            elif m == _COUNT:
                values[h, s] = n_seen[s]
            elif m == _MONTHS_SINCE:
                values[h, s] = (as_of - when[s]) / micros_per_month
            elif m == _OPEN:
                values[h, s] = 1.0 if is_open[s] else 0.0
            elif m == _MONTHS_OPEN:
                values[h, s] = (as_of - begun[s]) / micros_per_month if is_open[s] else 0.0
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


def _ints(values: list[int]) -> Ints:
    return np.array(values, np.int64)


def _pointers(groups: list[list[int]] | list[list[tuple[int, int]]]) -> Ints:
    return np.concatenate([[0], np.cumsum([len(group) for group in groups])]).astype(np.int64)
