"""The one pass that turns sorted events into vectors, compiled; the same function serves one household and millions.

For every household the pass reads its events once, oldest first, feeds each to the cells and lists of its code
(`features.plan`), and writes one row. `tests/property/oracle.py` says the same slowly and plainly.

Compiled code is kept on disk with the file that it stands in, so what it knows by number is numbered here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numba
import numpy as np
import pyarrow as pa

from features.catalogue import catalogue
from features.definition import Measure
from features.event import EVENTS, HOUSEHOLDS, MEMBERS, Status
from features.household import NO_BIRTH
from features.ordering import Ints
from features.tables import Tables
from features.window import NEVER, Micros

DAYS_PER_YEAR = 365.2425
# The first ones are kept in a cell under this very number.
MEASURES = (
    Measure.COUNT, Measure.SUM, Measure.MAX, Measure.MIN, Measure.LAST, Measure.FIRST,
    Measure.MEAN, Measure.MONTHS_SINCE, Measure.PERSONS, Measure.DISTINCT, Measure.OPEN, Measure.MONTHS_OPEN,
)  # fmt: skip
(
    _COUNT, _SUM, _MAX, _MIN, _LAST, _FIRST, _MEAN, _MONTHS_SINCE, _PERSONS, _DISTINCT, _OPEN, _MONTHS_OPEN,
) = range(len(MEASURES))  # fmt: skip
_SUM_TOLD, _N_TOLD = _FIRST + 1, _FIRST + 2
# What an event does to a list that reads it.
NAMES_PERSON, NAMES_CODE, BEGINS, ENDS = range(4)
# What a feature of the household's people or place is.
COUNTS_MEMBERS, COUNTS_AGED, IS_PLACE = range(3)
LINKS_PER_WORD = 62


def warm_up() -> None:
    """Run every compiled function from tables to vectors once, so that the first caller does not wait for it."""
    # These stand on the kernel.
    from features.history import history_of
    from features.matrix import matrix

    moments = {"occurred_at": 0, "known_at": 0, "joined_at": -1, "left_at": None}
    events = [
        {"event_id": f"e{i}", "household_id": "h", "person_id": "p", "code": code, "value": 1.0, "source": "",
         "status": Status.CORRECTED.value, "supersedes": "e0", **moments}
        for i, code in enumerate(("CLM//INPATIENT", "MON//ENTER"))
    ]  # fmt: skip
    members = [{"household_id": h, "person_id": "p", "role": "head", **moments} for h in ("h", "i")]
    households = [{"household_id": h, "region": "", "residence": "rural"} for h in ("h", "i")]
    rows = ((events, EVENTS), (members, MEMBERS), (households, HOUSEHOLDS))
    history = history_of(Tables(*(_table(each, schema) for each, schema in rows)), catalogue(), time_zone="UTC")
    matrix(history, 1)


def _table(rows: Sequence[Mapping[str, object]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def people(home: Ints, until: Ints, birth: Ints, as_of_days: float, ages: Ints, n_households: int) -> Ints:
    """People who live in each household: all, those without a birth date, and those of each age band."""
    found = np.zeros((n_households, 2 + len(ages)), np.int64)
    for p in range(len(home)):
        h = home[p]
        if h < 0 or until[p] != NEVER:
            continue
        found[h, 0] += 1
        if birth[p] == NO_BIRTH:
            found[h, 1] += 1
            continue
        years = (as_of_days - birth[p]) / DAYS_PER_YEAR
        for band in range(len(ages)):
            if years >= ages[band, 0] and years < ages[band, 1]:
                found[h, 2 + band] += 1
    return found


@numba.njit(cache=True, error_model="numpy")
def pass_over(  # type: ignore[no-untyped-def]
    first, starts, rows, code, person, occurred, value, as_of, link_start, window_starts, micros_per_month,
    cells_until, cells, actions_until, actions, slots_of_cell, slots, is_personal, is_seen, proves,
    nones_of_link, none_columns, none_values, of_people, people, residence, places,
    derived, scales, low, high, met, lists, listed, codes, coded, spells, values, unknown, n_events,
):  # fmt: skip
    """Write the rows of `values`, `unknown` and `n_events`, from household `first` on; returns how many are written.

    Fewer than asked for if a household has more people than `lists` and `spells` have seats. The arguments are those of
    `Plan`, `History` and `Visible`, and the lists that `Vectors` keeps.
    """
    n_cells = slots_of_cell.shape[0] - 1
    # The measures up to `_FIRST`, the sum of what was told and how often something was: one line of cache.
    told = np.zeros((n_cells, 8), np.float64)
    when = np.zeros(n_cells, np.int64)
    touched = np.zeros(n_cells, np.int64)
    links = np.zeros(proves.shape[1], np.int64)
    row = np.empty(low.shape[0], np.float64)
    is_gap = np.empty(low.shape[0], np.bool_)
    # The row of a household without events in any window: the same for all who are seen by the same sources.
    bare_links = np.full(proves.shape[1], -1, np.int64)
    bare_row = np.empty(low.shape[0], np.float64)
    bare_gap = np.empty(low.shape[0], np.bool_)

    for r in range(values.shape[0]):
        h = first + r
        turn = h + 1
        n_touched = n_met = recent = n_inside = 0
        for k in range(links.shape[0]):
            links[k] = 0

        for i in range(starts[h], starts[h + 1]):
            e = rows[i]
            t = occurred[e]
            if t >= as_of:
                break
            c = code[e]
            if t >= link_start and is_seen[c]:
                recent += 1
                for k in range(links.shape[0]):
                    links[k] |= proves[c, k]
            # Events come oldest first, so the windows they lie in only become more.
            while n_inside < window_starts.shape[0] and t >= window_starts[n_inside]:
                n_inside += 1
            v = value[e]
            for k in range(cells_until[c, 0], cells_until[c, n_inside]):
                cell = cells[k]
                when[cell] = t
                if told[cell, _COUNT] == 0.0:
                    touched[n_touched] = cell
                    n_touched += 1
                    told[cell, _COUNT] = 1.0
                    # 0.0 is added so that a sum is never a negative zero; the others are NaN where nothing was told.
                    told[cell, _SUM] = 0.0 + v
                    for m in range(_MAX, _FIRST + 1):
                        told[cell, m] = v
                    is_told = not np.isnan(v)
                    told[cell, _SUM_TOLD] = 0.0 + v if is_told else 0.0
                    told[cell, _N_TOLD] = 1.0 if is_told else 0.0
                    continue
                told[cell, _COUNT] += 1.0
                # One amount left open makes the sum unknown: leaving it out would be a zero nobody reported.
                told[cell, _SUM] += v
                if not np.isnan(v):
                    told[cell, _SUM_TOLD] += v
                    told[cell, _N_TOLD] += 1.0
                    # Written so that the first value is taken too, when there is NaN to compare with.
                    if not v <= told[cell, _MAX]:
                        told[cell, _MAX] = v
                    if not v >= told[cell, _MIN]:
                        told[cell, _MIN] = v
                    told[cell, _LAST] = v
                    if np.isnan(told[cell, _FIRST]):
                        told[cell, _FIRST] = v
            for k in range(actions_until[c, 0], actions_until[c, n_inside]):
                action, at = actions[k, 0], actions[k, 1]
                if action == NAMES_CODE:
                    if codes[c, at] != turn:
                        codes[c, at] = turn
                        coded[at, 1] = coded[at, 1] + 1 if coded[at, 0] == turn else 1
                        coded[at, 0] = turn
                    continue
                # Entry 0 of `met` stands for the household itself.
                who = person[e] + 1
                if action == NAMES_PERSON and who == 0:
                    continue
                if action == ENDS and (who == 0 or not is_personal[c]):
                    for seat in range(n_met):
                        _end(spells, seat, at, turn, t)
                    continue
                if action == BEGINS and not is_personal[c]:
                    who = 0
                if met[who, 0] != turn:
                    if action == ENDS:
                        continue
                    if n_met == lists.shape[0]:
                        return r
                    met[who, 0] = turn
                    met[who, 1] = n_met
                    n_met += 1
                seat = met[who, 1]
                if action == NAMES_PERSON:
                    if lists[seat, at] != turn:
                        lists[seat, at] = turn
                        listed[at, 1] = listed[at, 1] + 1 if listed[at, 0] == turn else 1
                        listed[at, 0] = turn
                elif action == ENDS:
                    _end(spells, seat, at, turn, t)
                else:
                    _begin(spells, seat, at, turn, t, as_of)

        is_other = False
        for k in range(links.shape[0]):
            is_other |= links[k] != bare_links[k]
        if is_other:
            bare_links[:] = links
            bare_row[:] = np.nan
            bare_gap[:] = True
            for link in range(nones_of_link.shape[0] - 1):
                if (links[link // LINKS_PER_WORD] >> (link % LINKS_PER_WORD)) & 1:
                    for k in range(nones_of_link[link], nones_of_link[link + 1]):
                        bare_row[none_columns[k]] = none_values[k]
                        bare_gap[none_columns[k]] = False
        for column in range(row.shape[0]):
            row[column] = bare_row[column]
            is_gap[column] = bare_gap[column]

        for k in range(n_touched):
            cell = touched[k]
            for s in range(slots_of_cell[cell], slots_of_cell[cell + 1]):
                m, column, at = slots[s, 0], slots[s, 1], slots[s, 2]
                x = np.nan
                if m <= _FIRST:
                    x = told[cell, m]
                elif m == _MEAN:
                    if told[cell, _N_TOLD] > 0:
                        x = told[cell, _SUM_TOLD] / told[cell, _N_TOLD]
                elif m == _MONTHS_SINCE:
                    x = (as_of - when[cell]) / micros_per_month
                elif m == _PERSONS:
                    if listed[at, 0] == turn:
                        x = float(listed[at, 1])
                elif m == _DISTINCT:
                    x = float(coded[at, 1])
                else:
                    oldest = as_of
                    for seat in range(n_met):
                        if spells[seat, at, 0] == turn and spells[seat, at, 1] == 1 and spells[seat, at, 2] < oldest:
                            oldest = spells[seat, at, 2]
                    x = (as_of - oldest) / micros_per_month if m == _MONTHS_OPEN else (1.0 if oldest < as_of else 0.0)
                row[column] = _held(x, low[column], high[column])
                is_gap[column] = np.isnan(x)
            told[cell, _COUNT] = 0.0

        for k in range(of_people.shape[0]):
            column, kind, at = of_people[k, 0], of_people[k, 1], of_people[k, 2]
            x = np.nan
            if kind == IS_PLACE:
                if residence[h] >= 0:
                    x = 1.0 if residence[h] == places[at] else 0.0
            elif people[h, 0] > 0:
                if kind == COUNTS_MEMBERS:
                    x = float(people[h, 0])
                elif people[h, 1] == 0:
                    # One unknown birth date makes a count by age unknown.
                    x = float(people[h, 2 + at])
            row[column] = _held(x, low[column], high[column])
            is_gap[column] = np.isnan(x)

        for k in range(derived.shape[0]):
            column, one, other = derived[k, 0], derived[k, 1], derived[k, 2]
            a, b = row[one] * scales[k], row[other]
            x = a - b
            if derived[k, 3] == 1:
                x = np.nan if b == 0 else a / b
            row[column] = _held(x, low[column], high[column])
            is_gap[column] = is_gap[one] or is_gap[other]

        for column in range(values.shape[1]):
            values[r, column] = row[column]
            unknown[r, column] = is_gap[column]
        n_events[r] = recent
    return values.shape[0]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _held(x: float, low: float, high: float) -> float:
    """The value within its bounds; NaN is NaN, the same bits whichever NaN was told."""
    if np.isnan(x):
        return np.nan
    if x < low:
        return low
    return high if x > high else x


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _begin(spells: Ints, seat: int, at: int, turn: int, t: Micros, as_of: Micros) -> None:
    if spells[seat, at, 0] != turn:
        spells[seat, at, 0] = turn
        spells[seat, at, 1] = 0
        spells[seat, at, 4] = as_of
    if spells[seat, at, 1] == 0:
        spells[seat, at, 1] = 1
        if spells[seat, at, 4] != t:
            spells[seat, at, 2] = t
    spells[seat, at, 3] = t


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _end(spells: Ints, seat: int, at: int, turn: int, t: Micros) -> None:
    # An ending at the very instant of a beginning does not hide it: attention is kept.
    if spells[seat, at, 0] == turn and spells[seat, at, 1] == 1 and spells[seat, at, 3] < t:
        spells[seat, at, 1] = 0
        spells[seat, at, 4] = t
