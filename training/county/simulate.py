"""Writes a synthetic county as a dataset folder with the truth beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from features.catalogue import CORE, Catalogue, catalogue
from features.dataset import DatasetMeta, DatasetWriter, Moments
from features.event import HOUSEHOLDS, MEMBERS, RESIDENCES, TRUTH
from features.window import MICROS_PER_DAY, NEVER, day, is_known, written
from training.county.assumptions import ASSUMPTIONS, Assumptions
from training.county.block import Block, lived_through
from training.county.chance import Chance
from training.county.grid import SECOND, Grid, Ints, county_grid
from training.county.hazard import Hazard
from training.county.ledger import Happenings, Ledger
from training.county.people import HEAD, ROLE_NAMES, WOMAN
from training.county.reporting import Names, frame, ids, lag_days, reported
from training.county.shocks import weather
from training.county.standing import VISIBILITY
from training.county.stays import Stays
from training.county.streams_area import areas
from training.county.streams_authorised import authorised
from training.county.streams_business import business
from training.county.streams_education import education
from training.county.streams_elders import elders
from training.county.streams_family import registry
from training.county.streams_hardship import hardship
from training.county.streams_home import home
from training.county.streams_income import incomes
from training.county.streams_justice import justice
from training.county.streams_medical import health
from training.county.streams_police import police
from training.county.streams_requests import requests
from training.county.streams_status import statuses
from training.county.streams_support import support
from training.county.streams_visits import visits
from training.county.under_recording import UnderRecording, with_disabled_member

# Fixed, so that the county does not depend on how its blocks are worked through. Memory is bounded by one block.
BLOCK = 5_000
PERSONS_A_BLOCK = 60_000
EVENTS_A_BLOCK = 20_000_000
FEWEST_MONTHS = 27


def simulate(
    folder: Path,
    *,
    households: int,
    months: int,
    seed: int,
    sources: Sequence[str] | None = None,
    under_recorded: Mapping[str, float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DatasetMeta:
    """Simulate a county and write it to `folder`; returns what `dataset.json` says.

    `truth.parquet` holds, at every month's end, the exact probability that a household then at risk enters a
    supported or monitored status within twelve months. `sources` names the departments connected to the platform, all
    of them if not given: the county and its truth are the same, and what the others know is not in the events. Without
    the departments that decide on a status there is nothing to learn an outcome from. `under_recorded`
    injects a known flaw, such as `{"disability": 0.8}`: households with a disabled member lose that share of their
    rows about health, disability and care, while truth, statuses and everybody else's rows stay (`under_recording`).
    The same arguments give the same tables. `progress` is told how many of the households are written.
    """
    connected = known_sources() if sources is None else checked_sources(sources)
    flaw = UnderRecording(under_recorded or {})
    if households < 1 or seed < 0:
        raise ValueError("a county has at least one household, and its seed is not negative")
    if months < FEWEST_MONTHS:
        raise ValueError(
            f"a county needs at least {FEWEST_MONTHS} months: a year of history, a year of outcome, time to report"
        )
    assumptions = ASSUMPTIONS
    grid, of = county_grid(assumptions, months), catalogue(CORE)
    meta = _meta(assumptions, grid, of, households, months, seed, connected, flaw)
    is_sent = np.array([kind.department.source in connected for kind in of.kinds], np.bool_)
    hazard = Hazard(assumptions, grid)
    over_townships = weather(assumptions, grid, Chance(seed, -1).of("weather"))
    with DatasetWriter(folder, meta) as writer:
        for number, first in enumerate(range(0, households, BLOCK)):
            n = min(BLOCK, households - first)
            chance = Chance(seed, number)
            block = lived_through(assumptions, grid, hazard, n, chance, over_townships)
            names = Names(first + 1, number * PERSONS_A_BLOCK + 1, number * EVENTS_A_BLOCK + 1)
            what, stays = happenings(block, of)
            # Each code is reported with random numbers of its own, so the other departments' rows stay as they are.
            what = what.taken(np.flatnonzero(is_sent[what.code]))
            writer.append(
                "events",
                reported(
                    assumptions,
                    grid,
                    of,
                    what,
                    block.standing.visibility,
                    names,
                    chance,
                    partial(flaw.lost, of.kinds, block=block, chance=chance),
                ),
            )
            writer.append("members", _members(block, of, stays, names))
            writer.append("households", _households(block, names))
            writer.append("audit", _audit(block, names))
            writer.append("truth", _truth(block, names))
            if progress is not None:
                progress(first + n, households)
    return meta


def known_sources() -> tuple[str, ...]:
    """The departments of the core catalogue, as their rows name them in `source`.

    >>> "医保" in known_sources()
    True
    """
    return tuple(sorted({kind.department.source for kind in catalogue(CORE).kinds}))


def checked_sources(sources: Sequence[str]) -> tuple[str, ...]:
    """The named departments once each, in the order of `known_sources`; others are refused with a `ValueError`.

    >>> checked_sources(["残联", "医保", "残联"]) == checked_sources(["医保", "残联"])
    True
    """
    unknown = sorted(set(sources) - set(known_sources()))
    if unknown or not sources:
        wrong = f"no department sends as {', '.join(unknown)}" if unknown else "no department is connected"
        raise ValueError(f"{wrong}; known are {', '.join(known_sources())}")
    return tuple(source for source in known_sources() if source in set(sources))


def happenings(block: Block, of: Catalogue) -> tuple[Happenings, Stays]:
    """Everything that happened in a block, and who lived where."""
    ledger = Ledger(of)
    stays = registry(block, ledger)
    earned = incomes(block, ledger)
    care = health(block, ledger)
    education(block, ledger)
    decided = statuses(block, ledger, earned.household)
    severe = hardship(block, ledger, decided)
    # From here on nothing decides anything any more: traces of what has happened, and noise.
    homes = home(block, ledger)
    made = requests(block, ledger, decided, homes, care)
    authorised(block, ledger, earned, made)
    elders(block, ledger, care.chronic, severe)
    police(block, ledger, stays, care.broken)
    justice(block, ledger, earned)
    business(block, ledger)
    support(block, ledger)
    visits(block, ledger, homes, earned, care.chronic, severe)
    areas(block, ledger, of)
    return ledger.happenings(), stays


def _meta(
    assumptions: Assumptions,
    grid: Grid,
    of: Catalogue,
    households: int,
    months: int,
    seed: int,
    connected: tuple[str, ...],
    flaw: UnderRecording,
) -> DatasetMeta:
    zone = assumptions.time_zone
    mature = grid.starts[: grid.simulated + 1] + assumptions.reporting_days * MICROS_PER_DAY <= grid.data_until
    last_outcome = int(np.flatnonzero(mature)[-1])
    sources: dict[str, tuple[int, int]] = {}
    for source in connected:
        lags = [kind.lag_days for kind in of.kinds if kind.department.source == source]
        sources[source] = (int(np.median([lag[0] for lag in lags])), max(lag[1] for lag in lags))
    return DatasetMeta(
        name=f"county-{households}x{months}-seed{seed}",
        catalogue=CORE,
        currency="CNY",
        time_zone=zone,
        default_label="L1",
        regions=(assumptions.region,),
        sources=sources,
        provenance=f"synthetic county, training/county, seed {seed}; its numbers are assumptions, not estimates"
        + ("" if connected == known_sources() else f"; connected are only {', '.join(connected)}")
        + (f"; {flaw}" if flaw.shares else ""),
        data_until=written(grid.data_until, zone),
        moments=Moments(
            first=day(int(grid.starts[grid.warm_up + 12]) - 1, zone),
            until=day(int(grid.starts[last_outcome - grid.horizon]) - 1, zone),
            # The truth is written for every month end; a quarterly grid teaches as well at a third of the time.
            step_months=3,
        ),
    )


def _members(block: Block, of: Catalogue, stays: Stays, names: Names) -> pd.DataFrame:
    """One row when a membership becomes known, a further one when its end does."""
    grid, assumptions = block.grid, block.assumptions
    rng = block.chance.of("members")
    kinds = of.by_code
    begun = np.flatnonzero((stays.joins < grid.simulated) & (stays.joins < stays.leaves))
    ended = begun[stays.leaves[begun] < grid.simulated]
    lags = {code: lag_days(kinds[code], assumptions.longest_lag_days, rng, len(stays.person)) for code in
            ("HKM//MEMBER_JOIN", "HKM//MEMBER_LEAVE")}  # fmt: skip
    # The county knows who lived there when its books were opened, long before the first written month.
    lag = {code: (days * MICROS_PER_DAY).astype(np.int64) // SECOND * SECOND for code, days in lags.items()}
    joined_known = np.where(stays.joins >= 0, stays.joined_at + lag["HKM//MEMBER_JOIN"], stays.joined_at)
    # A birth date is not known before its day, wherever the clock stands.
    joined_known = np.maximum(joined_known, stays.born_on * MICROS_PER_DAY)
    left_known = np.maximum(stays.left_at + lag["HKM//MEMBER_LEAVE"], joined_known + SECOND)
    row = np.concatenate([begun, ended])
    has_left = np.repeat([False, True], [len(begun), len(ended)])
    known = np.where(has_left, left_known[row], joined_known[row])
    kept = np.flatnonzero(is_known(known, np.full(len(known), NEVER), grid.data_until))
    row, known, has_left = row[kept], known[kept], has_left[kept]
    order = np.lexsort((known, stays.joined_at[row], stays.person[row], stays.household[row]))
    row, known, has_left = row[order], known[order], has_left[order]
    no_birth_date = rng.random(len(block.people)) < assumptions.birth_date_missing
    moment = MEMBERS.field("joined_at").type
    columns = {
        "household_id": ids("h", names.household + stays.household[row], 7),
        "person_id": ids("p", names.person + stays.person[row], 8),
        "birth_date": pa.array(stays.born_on[row], mask=no_birth_date[stays.person[row]])
        .cast(pa.int32())
        .cast(pa.date32()),
        "sex": pa.array(np.where(stays.sex[row] == WOMAN, "F", "M").astype(object), pa.string()),
        "role": pa.array(np.array(ROLE_NAMES, object)[stays.role[row]], pa.string()),
        "joined_at": pa.array(stays.joined_at[row]).cast(moment),
        "left_at": pa.array(stays.left_at[row], mask=~has_left).cast(moment),
        "known_at": pa.array(known).cast(moment),
    }
    return frame(columns, MEMBERS)


def _households(block: Block, names: Names) -> pd.DataFrame:
    residence = block.places.residence
    columns = {
        "household_id": _household_ids(block, names),
        "region": pa.array([block.assumptions.region] * block.n, pa.string()),
        "residence": pa.array(np.array(RESIDENCES, object)[residence], pa.string()),
        "township": ids("t", block.places.township + 1, 2),
    }
    return frame(columns, HOUSEHOLDS)


def _audit(block: Block, names: Names) -> pd.DataFrame:
    """Protected attributes at the first written month; how each comes about is in `standing.py`."""
    people, start = block.people, block.grid.warm_up
    heads = np.flatnonzero(people.role == HEAD)
    head_of = np.full(block.n, -1, np.int64)
    head_of[people.household[heads]] = heads
    return pd.DataFrame(
        {
            "household_id": _household_ids(block, names).to_pandas(types_mapper=pd.ArrowDtype),
            "minority": block.places.minority,
            "head_sex": np.where(people.sex[head_of] == WOMAN, "F", "M"),
            "disability_any": with_disabled_member(block),
            "elderly_headed": block.age[head_of, start] >= 65.0,
            "migrant": block.places.migrant,
            "data_visibility": np.array(VISIBILITY)[block.standing.visibility],
        }
    )


def _truth(block: Block, names: Names) -> pd.DataFrame:
    """The probability at every month's end from the first written month on, where a household is at risk."""
    household, month = np.nonzero(~np.isnan(block.course.truth))
    columns = {
        "household_id": ids("h", names.household + household, 7),
        "as_of": pa.array(block.grid.starts[month + 1]).cast(TRUTH.field("as_of").type),
        "hazard_12m": pa.array(block.course.truth[household, month]),
    }
    return frame(columns, TRUTH)


def _household_ids(block: Block, names: Names) -> pa.Array:
    numbers: Ints = names.household + np.arange(block.n)
    return ids("h", numbers, 7)
