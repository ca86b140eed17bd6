"""How departments report a block's happenings: who sees whom, with what delay, with gaps, corrections and withdrawals.

The result is the events table as an extract of the county's platform would hold it at the end of the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.catalogue import Catalogue
from features.definition import EventKind
from features.event import EVENTS, Status
from features.unit import Unit
from features.window import MICROS_PER_DAY, NEVER, has_begun, has_not_ended, is_known
from training.county.assumptions import Assumptions
from training.county.grid import SECOND, Bools, Floats, Grid, Ints
from training.county.ledger import Happenings
from training.county.standing import SILENT

# The administration's own registers: nobody is missing from them.
REGISTERS = ("DB", "TK", "LIP", "MON", "HKM")
# Civil affairs pays these itself and so always has them, except for households that nobody deals with.
OWN_PAYMENTS = ("LS", "CHD", "MAI")
# Only payments are ever withdrawn as booked by mistake; facts that decide a status or a home are not.
WITHDRAWN = ("EMP//WAGE", "SSI//PENSION", "CLM//", "PRD//", "EDU//FEE", "ENR//PAID", "MAI//GRANT")
STATUSES = (Status.ORIGINAL.value, Status.CORRECTED.value, Status.RETRACTED.value)
# Payments and yearly records begin with the first written month; registers are handed over with what they held before.
FROM_THE_START = (
    "CLM//", "ENR//", "MAI//", "LS//", "EMP//WAGE", "EMP//UI_BENEFIT", "SSI//", "PRD//", "EDU//ENROL", "EDU//FEE",
    "DIS//SUB", "DIS//REHAB", "DB//ADJUST", "MON//INCOME_SURVEY", "HLT//MENTAL_SEVERE", "TAX//", "BNK//",
)  # fmt: skip
# The pay office knows what it paid; elsewhere an amount is now and then still open when the row is sent.
PAYROLL = ("EMP//WAGE", "SSI//PENSION", "EMP//UI_BENEFIT", "DIS//SUB", "PRD//PUBLIC_POST")
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
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The events table of a block, with everything known by the end of the data and nothing else."""
    kinds = catalogue.kinds
    stands = np.array([not kind.code.startswith(FROM_THE_START) for kind in kinds])[what.code]
    written = has_not_ended(what.moment, int(grid.starts[grid.warm_up])) | stands
    what = what.taken(np.flatnonzero(written & _seen(assumptions, kinds, what, visibility, rng)))
    order = np.lexsort((what.value, what.person, what.code, what.moment, what.household))
    what = what.taken(order)
    known = _known(assumptions, kinds, what, rng)
    rows = _versions(assumptions, kinds, what, known, rng)
    is_in = is_known(rows.known, np.full(len(rows.known), NEVER), grid.data_until)
    scheduled = np.array([kind.is_scheduled for kind in kinds])[what.code[rows.fact]]
    is_in &= scheduled | has_begun(rows.moment, grid.data_until)
    # A correction of a row that is not in the extract is not in it either: it became known later still.
    return _table(kinds, what, rows, np.flatnonzero(is_in), names)


def _seen(
    assumptions: Assumptions, kinds: tuple[EventKind, ...], what: Happenings, visibility: Ints, rng: np.random.Generator
) -> Bools:
    """Which happenings reach a record: each department is linked with a household or is not."""
    categories = sorted({kind.department.category for kind in kinds})
    share = np.array(assumptions.linked_shares)[visibility]
    linked = rng.random((len(visibility), len(categories))) < share[:, np.newaxis]
    for name in REGISTERS:
        linked[:, categories.index(name)] = True
    for name in OWN_PAYMENTS:
        linked[:, categories.index(name)] |= visibility != SILENT
    category = np.array([categories.index(kind.department.category) for kind in kinds])[what.code]
    return np.asarray(linked[what.household, category])


def lag_days(kind: EventKind, longest: float, rng: np.random.Generator, n: int) -> Floats:
    """Days from event to report: lognormal through the kind's median and 95th percentile; 0 if its median is 0."""
    median, high = kind.lag_days
    if median == 0:
        return np.zeros(n)
    spread = np.log(high / median) / Z_95
    return np.asarray(np.minimum(median * np.exp(spread * rng.standard_normal(n)), longest))


def _known(assumptions: Assumptions, kinds: tuple[EventKind, ...], what: Happenings, rng: np.random.Generator) -> Ints:
    days = np.zeros(len(what.code))
    for code in np.unique(what.code):
        rows = np.flatnonzero(what.code == code)
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
    assumptions: Assumptions, kinds: tuple[EventKind, ...], what: Happenings, known: Ints, rng: np.random.Generator
) -> _Versions:
    """First reports, some with a slip that is corrected later; and payments booked by mistake, withdrawn later."""
    n = len(what.code)
    value = what.value.copy()
    is_valued = ~np.isnan(value)
    is_money = np.array([kind.unit is Unit.MONEY and not kind.is_entry for kind in kinds])[what.code]
    is_open = np.array([not kind.code.startswith(PAYROLL) for kind in kinds])[what.code]
    draw = rng.random(n)
    value[is_valued & is_money & is_open & (draw < assumptions.null_share)] = np.nan
    slip_below = assumptions.null_share + assumptions.corrected_share
    slips = np.flatnonzero(is_valued & is_money & (value != 0) & (draw >= assumptions.null_share) & (draw < slip_below))
    high = np.array([np.inf if kind.bounds is None else kind.bounds[1] for kind in kinds])
    factor = np.exp(rng.normal(0.0, assumptions.slip_spread, len(slips)))
    wrong = np.minimum(np.round(value[slips] * factor, 2), high[what.code[slips]])
    right = value[slips].copy()
    value[slips] = wrong
    withdrawable = np.array([kind.code.startswith(WITHDRAWN) for kind in kinds])[what.code]
    mistaken = np.flatnonzero(
        withdrawable & is_valued & (draw > 1.0 - assumptions.retracted_share / max(withdrawable.mean(), 1e-9))
    )
    shift = rng.integers(1, 20, len(mistaken)) * MICROS_PER_DAY
    # The copy lies after the original, on another day of the same person's record.
    ghost_moment = what.moment[mistaken] + shift
    ghost_known = known[mistaken] + shift
    ghost_row = n + np.arange(len(mistaken))
    ghost_value = what.value[mistaken]
    corrected_at = known[slips] + _pause(assumptions, rng, len(slips))
    withdrawn_at = ghost_known + _pause(assumptions, rng, len(mistaken))
    return _Versions(
        fact=np.concatenate([np.arange(n), mistaken, slips, mistaken]),
        moment=np.concatenate([what.moment, ghost_moment, what.moment[slips], ghost_moment]),
        known=np.concatenate([known, ghost_known, corrected_at, withdrawn_at]),
        value=np.concatenate([value, ghost_value, right, ghost_value]),
        status=np.repeat(np.arange(3), [n + len(mistaken), len(slips), len(mistaken)]),
        replaces=np.concatenate([np.full(n + len(mistaken), -1), slips, ghost_row]),
    )


def _pause(assumptions: Assumptions, rng: np.random.Generator, n: int) -> Ints:
    median, high = assumptions.correction_days
    days = median * np.exp(np.log(high / median) / Z_95 * rng.standard_normal(n))
    micros = np.asarray(np.minimum(days, assumptions.longest_lag_days) * MICROS_PER_DAY, np.int64)
    return np.asarray(micros // SECOND * SECOND + SECOND, np.int64)


def _table(kinds: tuple[EventKind, ...], what: Happenings, rows: _Versions, kept: Ints, names: Names) -> pd.DataFrame:
    fact = rows.fact[kept]
    order = np.lexsort((kept, rows.known[kept], rows.moment[kept], what.household[fact]))
    kept, fact = kept[order], fact[order]
    number = np.full(len(rows.fact), -1, np.int64)
    number[kept] = names.event + np.arange(len(kept))
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
