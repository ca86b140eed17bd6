"""Police and traffic records: residence permits of migrants, warnings in violent homes, frauds, road casualties."""

from __future__ import annotations

import numpy as np

from features.window import MICROS_PER_DAY
from training.county.aftermath import at_any_time, of_blows, somebody, theirs
from training.county.block import ORDINARY, Block
from training.county.chance import lognormal
from training.county.grid import SECOND, Floats, Ints
from training.county.ledger import Ledger
from training.county.people import WOMAN
from training.county.stays import Stays

SLIGHT, SEVERE, DEADLY = 1.0, 2.0, 3.0


def police(block: Block, ledger: Ledger, stays: Stays, broken: tuple[Ints, Ints, Ints, Floats]) -> None:
    """Enter police and traffic records. `broken` are the fractures treated in hospital, see `streams_medical.Care`."""
    _permits(block, ledger)
    _violence(block, ledger)
    _frauds(block, ledger)
    _accidents(block, ledger, stays, broken)


def _permits(block: Block, ledger: Ledger) -> None:
    """Migrants renew their permits every year, some move on and register anew all the time; the text says whence."""
    t, places, grid = block.assumptions.traces, block.places, block.grid
    rng = block.chance.of("HKM//RES_PERMIT")
    regions = (*t.regions_of_this_province, *t.regions_elsewhere)
    ours = len(t.regions_of_this_province)
    elsewhere = rng.random(block.n) < t.from_another_province
    origin = np.where(elsewhere, rng.integers(ours, len(regions), block.n), rng.integers(0, ours, block.n))
    restless = rng.random(block.n) < t.moves_often
    every = np.where(restless, t.moves_every_months, 12)
    offset = rng.integers(0, 12, block.n)
    due = (np.arange(grid.simulated)[np.newaxis, :] + offset[:, np.newaxis]) % every[:, np.newaxis] == 0
    due &= places.migrant[:, np.newaxis]
    person, month = np.nonzero(block.is_here & (block.age >= 16.0))
    home = block.home[person, month]
    kept = np.flatnonzero(due[home, month])
    person, month, home = person[kept], month[kept], home[kept]
    # A family registers on one day.
    part = rng.uniform(*ORDINARY, block.n)
    ledger.add("HKM//RES_PERMIT", home, grid.moment(month, part[home]), person=person, texts=regions, text=origin[home])


def _violence(block: Block, ledger: Ledger) -> None:
    """Warnings and protection orders: before some divorces, and rarely elsewhere."""
    t = block.assumptions.traces
    rng = block.chance.of("HKM//DV_WARNING")
    at = block.blows("divorce")
    at = at[rng.random(len(at)) < t.violence_before_divorce]
    before = (-t.violence_months[1], -t.violence_months[0])
    warned = of_blows(block, at).later(block, rng, before)
    couples = block.composed.couples[:, : block.grid.simulated]
    warned = warned.joined(at_any_time(block, rng, t.violence * couples))
    person = somebody(block, rng, warned, (18.0, 80.0), lambda who, when: (block.people.sex[who] == WOMAN) * 1.0)
    ledger.add("HKM//DV_WARNING", theirs(warned, person), block.sometime(rng, warned.month), person=person)


def _frauds(block: Block, ledger: Ledger) -> None:
    t = block.assumptions.traces
    rng = block.chance.of("HKM//FRAUD_LOSS")
    robbed = at_any_time(block, rng, t.defrauded)
    person = somebody(
        block,
        rng,
        robbed,
        (18.0, 95.0),
        lambda who, when: np.where(block.age[who, when] >= 60.0, t.defrauded_if_old, 1.0),
    )
    loss = np.rint(lognormal(rng, t.fraud_loss, len(robbed)) / 10) * 10
    ledger.add("HKM//FRAUD_LOSS", theirs(robbed, person), block.sometime(rng, robbed.month), person=person, value=loss)


def _accidents(block: Block, ledger: Ledger, stays: Stays, broken: tuple[Ints, Ints, Ints, Floats]) -> None:
    """Some fractures and some early deaths came about on the road."""
    t, people = block.assumptions.traces, block.people
    rng = block.chance.of("TRF//ACCIDENT")
    person, month, moment, size = broken
    on_road = np.flatnonzero(rng.random(len(person)) < t.accident_of_fractures)
    person, month, size = person[on_road], month[on_road], size[on_road]
    hours = rng.uniform(1.0, 12.0, len(on_road)) / 24.0
    before = moment[on_road] - (hours * MICROS_PER_DAY).astype(np.int64) // SECOND * SECOND
    severity = np.where(size > block.assumptions.sizes[0], SEVERE, SLIGHT)
    ledger.add("TRF//ACCIDENT", block.home_in(person, month), before, person=person, value=severity)
    at = block.blows("death")
    dead = block.befell[at]
    early = (dead >= 0) & (block.shocks.month[at] - people.born[np.maximum(dead, 0)] < 12 * 65)
    dead = dead[early & (rng.random(len(at)) < t.accident_of_deaths)]
    # Second homes stand after first ones, so the last home remains.
    home, end = np.full(len(people), -1, np.int64), np.zeros(len(people), np.int64)
    home[stays.person], end[stays.person] = stays.household, stays.left_at
    ledger.add("TRF//ACCIDENT", home[dead], end[dead] - MICROS_PER_DAY // 12, person=dead, value=DEADLY)
