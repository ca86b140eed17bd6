"""How departments report a block's happenings: who sees whom, with what delay, with gaps, corrections and withdrawals.

The result is the events table as an extract of the county's platform would hold it at the end of the data. Each code is
reported with random numbers of its own, and each department's links are drawn apart: a further code in the catalogue
leaves the reports of all others as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.catalogue import Catalogue
from features.definition import EventKind, Level
from features.event import EVENTS, Status
from features.unit import Unit
from features.window import MICROS_PER_DAY, NEVER, has_begun, has_not_ended, is_known
from training.county.assumptions import Assumptions
from training.county.chance import Chance
from training.county.grid import SECOND, Bools, Floats, Grid, Ints
from training.county.ledger import Happenings
from training.county.standing import SILENT

# The administration's own registers: nobody is missing from them.
REGISTERS = ("DB", "TK", "LIP", "MON", "HKM")
# Civil affairs pays these itself and so always has them, except for households that nobody deals with.
OWN_PAYMENTS = ("LS", "CHD", "MAI")
# Only payments are ever withdrawn as booked by mistake; facts that decide a status or a home are not.
WITHDRAWN = (
    "EMP//WAGE", "SSI//PENSION", "CLM//", "PRD//", "EDU//FEE", "ENR//PAID", "MAI//GRANT", "ELD//SUBSIDY",
    "HSG//RENT_SUB",
)  # fmt: skip
STATUSES = (Status.ORIGINAL.value, Status.CORRECTED.value, Status.RETRACTED.value)
# Payments and yearly records begin with the first written month; registers are handed over with what they held before.
FROM_THE_START = (
    "CLM//", "ENR//", "MAI//", "LS//", "EMP//WAGE", "EMP//UI_BENEFIT", "SSI//", "PRD//", "EDU//ENROL", "EDU//FEE",
    "DIS//SUB", "DIS//REHAB", "DB//ADJUST", "MON//INCOME_SURVEY", "HLT//MENTAL_SEVERE", "TAX//", "BNK//", "PRP//",
    "TRF//VEH", "HSG//RENT", "ELD//SUBSIDY", "HKM//RES_PERMIT", "UTL//", "WTR//", "CHR//", "INR//", "GRD//", "SLF//",
    "ARE//PRICE", "ARE//DISASTER", "ARE//LAYOFF",
)  # fmt: skip
# The pay office knows what it paid; elsewhere an amount is now and then still open when the row is sent.
PAYROLL = (
    "EMP//WAGE", "SSI//PENSION", "EMP//UI_BENEFIT", "DIS//SUB", "PRD//PUBLIC_POST", "ELD//SUBSIDY", "HSG//RENT_SUB",
)  # fmt: skip
Z_95 = 1.6448536269514722


@dataclass(frozen=True)
class Names:
    """How positions within a block become ids: the block's first household, person and event numbers."""

    household: int
    person: int
    event: int


def reported(
    assumptions: Assumptions,
    grid: Grid,
    catalogue: Catalogue,
    what: Happenings,
    visibility: Ints,
    names: Names,
    chance: Chance,
    lost: Callable[[Happenings], Bools] | None = None,
) -> pd.DataFrame:
    """The events table of a block, with everything known by the end of the data and nothing else.

    `lost` marks happenings that are never recorded; all other rows, their ids included, are as they are without it.
    """
    kinds = catalogue.kinds
    stands = np.array([not kind.code.startswith(FROM_THE_START) for kind in kinds])[what.code]
    written = has_not_ended(what.moment, int(grid.starts[grid.warm_up])) | stands
    what = what.taken(np.flatnonzero(written & _seen(assumptions, kinds, what, visibility, chance)))
    order = np.lexsort((what.value, what.person, what.code, what.moment, what.household))
    what = what.taken(order)
    known = _known(assumptions, kinds, what, chance)
    rows = _versions(assumptions, kinds, what, known, chance)
    is_in = is_known(rows.known, np.full(len(rows.known), NEVER), grid.data_until)
    scheduled = np.array([kind.is_scheduled for kind in kinds])[what.code[rows.fact]]
    is_in &= scheduled | has_begun(rows.moment, grid.data_until)
    # A correction of a row that is not in the extract is not in it either: it became known later still.
    is_out = np.zeros(len(what.code), np.bool_) if lost is None else lost(what)
    return _table(kinds, what, rows, np.flatnonzero(is_in), names, is_out)


def _seen(
    assumptions: Assumptions, kinds: tuple[EventKind, ...], what: Happenings, visibility: Ints, chance: Chance
) -> Bools:
    """Which happenings reach a record: each department is linked with a household or is not."""
    categories = sorted({kind.department.category for kind in kinds})
    share = np.array(assumptions.linked_shares)[visibility]
    linked = np.empty((len(categories), len(visibility)), np.bool_)
    for at, name in enumerate(categories):
        linked[at] = chance.of(f"linked {name}").random(len(visibility)) < share
        if name in REGISTERS:
            linked[at] = True
        elif name in OWN_PAYMENTS:
            linked[at] |= visibility != SILENT
    category = np.array([categories.index(kind.department.category) for kind in kinds])[what.code]
    # What concerns a whole area is delivered to every household of it.
    of_area = np.array([kind.level is Level.AREA for kind in kinds])[what.code]
    return np.asarray(linked[category, what.household] | of_area)


def _by_code(code: Ints) -> Iterator[tuple[int, Ints]]:
    """Each code that occurs, with its rows in order."""
    order = np.argsort(code, kind="stable")
    codes, starts = np.unique(code[order], return_index=True)
    for each, rows in zip(codes, np.split(order, starts[1:]), strict=True):
        yield int(each), rows


def lag_days(kind: EventKind, longest: float, rng: np.random.Generator, n: int) -> Floats:
    """Days from event to report: lognormal through the kind's median and 95th percentile; 0 if its median is 0."""
    median, high = kind.lag_days
    if median == 0:
        return np.zeros(n)
    spread = np.log(high / median) / Z_95
    return np.asarray(np.minimum(median * np.exp(spread * rng.standard_normal(n)), longest))


def _known(assumptions: Assumptions, kinds: tuple[EventKind, ...], what: Happenings, chance: Chance) -> Ints:
    days = np.zeros(len(what.code))
    for code, rows in _by_code(what.code):
        rng = chance.of(f"lag {kinds[code].code}")
        days[rows] = lag_days(kinds[code], assumptions.longest_lag_days, rng, len(rows))
    later = what.moment + (days * MICROS_PER_DAY).astype(np.int64) // SECOND * SECOND
    return np.where(what.known == NEVER, later, what.known)


@dataclass(frozen=True)
class _Versions:
    """Row versions: the fact each tells of, its moment, value, status and, for later versions, the row it replaces."""

    fact: Ints
    moment: Ints
    known: Ints
    value: Floats
    status: Ints
    replaces: Ints


def _versions(
    assumptions: Assumptions, kinds: tuple[EventKind, ...], what: Happenings, known: Ints, chance: Chance
) -> _Versions:
    """First reports, some with a slip that is corrected later; and payments booked by mistake, withdrawn later."""
    n = len(what.code)
    value = what.value.copy()
    slips, right, corrected_at = [], [], []
    mistaken, shift, pause = [], [], []
    for code, reported_rows in _by_code(what.code):
        kind = kinds[code]
        is_money = kind.unit is Unit.MONEY and not kind.is_entry
        is_withdrawable = kind.code.startswith(WITHDRAWN)
        if not is_money and not is_withdrawable:
            continue
        rng = chance.of(f"versions {kind.code}")
        rows = reported_rows[~np.isnan(value[reported_rows])]
        draw = rng.random(len(rows))
        if is_money:
            slip = rows[
                (draw >= assumptions.null_share) & (draw < assumptions.null_share + assumptions.corrected_share)
            ]
            slip = slip[value[slip] != 0]
            slips.append(slip)
            right.append(value[slip].copy())
            factor = np.exp(rng.normal(0.0, assumptions.slip_spread, len(slip)))
            value[slip] = np.round(value[slip] * factor, 2)
            if kind.bounds is not None:
                value[slip] = np.minimum(value[slip], kind.bounds[1])
            corrected_at.append(known[slip] + _pause(assumptions, rng, len(slip)))
        if is_withdrawable:
            twice = rows[draw > 1.0 - assumptions.retracted_share]
            mistaken.append(twice)
            shift.append(rng.integers(1, 20, len(twice)) * MICROS_PER_DAY)
            pause.append(_pause(assumptions, rng, len(twice)))
        if is_money and not kind.code.startswith(PAYROLL):
            value[rows[draw < assumptions.null_share]] = np.nan
    slip, ghost = _together(slips), _together(mistaken)
    # The copy lies after the original, on another day of the same person's record.
    ghost_moment, ghost_known = what.moment[ghost] + _together(shift), known[ghost] + _together(shift)
    ghost_value = what.value[ghost]
    return _Versions(
        fact=np.concatenate([np.arange(n), ghost, slip, ghost]),
        moment=np.concatenate([what.moment, ghost_moment, what.moment[slip], ghost_moment]),
        known=np.concatenate([known, ghost_known, _together(corrected_at), ghost_known + _together(pause)]),
        value=np.concatenate([value, ghost_value, np.concatenate([*right, np.zeros(0)]), ghost_value]),
        status=np.repeat(np.arange(3), [n + len(ghost), len(slip), len(ghost)]),
        replaces=np.concatenate([np.full(n + len(ghost), -1), slip, n + np.arange(len(ghost))]),
    )


def _together(parts: list[Ints]) -> Ints:
    return np.concatenate([*parts, np.zeros(0, np.int64)])


def _pause(assumptions: Assumptions, rng: np.random.Generator, n: int) -> Ints:
    median, high = assumptions.correction_days
    days = median * np.exp(np.log(high / median) / Z_95 * rng.standard_normal(n))
    micros = np.asarray(np.minimum(days, assumptions.longest_lag_days) * MICROS_PER_DAY, np.int64)
    return np.asarray(micros // SECOND * SECOND + SECOND, np.int64)


def _table(
    kinds: tuple[EventKind, ...], what: Happenings, rows: _Versions, kept: Ints, names: Names, is_out: Bools
) -> pd.DataFrame:
    fact = rows.fact[kept]
    order = np.lexsort((kept, rows.known[kept], rows.moment[kept], what.household[fact]))
    kept, fact = kept[order], fact[order]
    number = np.full(len(rows.fact), -1, np.int64)
    number[kept] = names.event + np.arange(len(kept))
    # Numbered before they are left out, so that the others keep their numbers.
    kept, fact = kept[~is_out[fact]], fact[~is_out[fact]]
    replaces = rows.replaces[kept]
    code, person, text = what.code[fact], what.person[fact], what.text[fact]
    value = rows.value[kept]
    units = _written_units(kinds)
    unit = np.where(np.isnan(value), 0, np.array([0 if u is None else 1 for u in units])[code] * (code + 1))
    columns = {
        "event_id": ids("e", number[kept], 11),
        "household_id": ids("h", names.household + what.household[fact], 7),
        "person_id": ids("p", names.person + person, 8, empty=person < 0),
        "code": _words([kind.code for kind in kinds], code),
        "occurred_at": pa.array(rows.moment[kept]).cast(EVENTS.field("occurred_at").type),
        "known_at": pa.array(rows.known[kept]).cast(EVENTS.field("known_at").type),
        "value": pa.array(value, from_pandas=True),
        "unit": _words([None, *units], unit),
        "text": _words([None, *what.texts], text + 1),
        "source": _words([kind.department.source for kind in kinds], code),
        "status": _words(list(STATUSES), rows.status[kept]),
        "supersedes": ids("e", number[np.maximum(replaces, 0)], 11, empty=replaces < 0),
    }
    return frame(columns, EVENTS)


def _written_units(kinds: tuple[EventKind, ...]) -> list[str | None]:
    """The unit as a department writes it; counts and scales go without."""
    written: dict[Unit, str] = {Unit.MONEY: "CNY", Unit.DAYS: "d", Unit.MONTHS: "mo", Unit.YEARS: "a"}
    return [written.get(kind.unit) for kind in kinds]


def frame(columns: Mapping[str, pa.Array], schema: pa.Schema) -> pd.DataFrame:
    """The columns in the order and types of a schema, without a copy."""
    table: pd.DataFrame = pa.table([columns[name] for name in schema.names], schema=schema).to_pandas(
        types_mapper=pd.ArrowDtype
    )
    return table


def ids(letter: str, numbers: Ints, width: int, *, empty: Bools | None = None) -> pa.Array:
    """Ids such as `h-0000042`; null where `empty`.

    >>> ids("h", np.array([42, 7]), 7).to_pylist()
    ['h-0000042', 'h-0000007']
    """
    digits = pc.utf8_lpad(pa.array(numbers, mask=empty).cast(pa.string()), width=width, padding="0")
    return pc.binary_join_element_wise(letter, digits, "-")


def _words(vocabulary: list[str] | list[str | None], index: Ints) -> pa.Array:
    return pa.array(vocabulary, pa.string()).take(pa.array(index))
