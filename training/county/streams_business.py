"""Small businesses, opened and closed, and workers whom the union files as being in hardship."""

from __future__ import annotations

import numpy as np

from training.county.aftermath import aftermath, somebody, theirs, traced
from training.county.block import Block
from training.county.chance import lognormal, monthly
from training.county.grid import FAR
from training.county.ledger import Ledger


def business(block: Block, ledger: Ledger) -> None:
    """Enter all events of the business register and of the union."""
    _businesses(block, ledger)
    _union(block, ledger)


def _businesses(block: Block, ledger: Ledger) -> None:
    """People who work outside the wage records run some of the small businesses; each of them has one at most."""
    t, people, grid = block.assumptions.traces, block.people, block.grid
    rng = block.chance.of("BIZ//REGISTER")
    owns = np.flatnonzero(block.working.earns & ~block.working.is_formal)
    able = block.is_here[owns] & (block.age[owns] >= 18.0) & (block.age[owns] < 60.0)
    from_start = able[:, 0] & (rng.random(len(owns)) < t.has_business)
    opens = able & (rng.random(able.shape, np.float32) < monthly(t.opens_yearly))
    opened = np.where(opens.any(axis=1), opens.argmax(axis=1), FAR)
    opened = np.where(from_start, -rng.integers(1, t.business_age_months, len(owns)), opened)
    capital = np.maximum(1_000.0, np.rint(lognormal(rng, t.capital, len(owns)) / 1_000) * 1_000)
    moment = block.sometime(rng, np.minimum(opened, grid.simulated))
    ledger.add("BIZ//REGISTER", block.home_in(owns, np.maximum(opened, 0)), moment, person=owns, value=capital)
    rng = block.chance.of("BIZ//CLOSE")
    month = np.arange(grid.simulated)[np.newaxis, :]
    ends = np.where(rng.random((len(owns), grid.simulated), np.float32) < monthly(t.closes_yearly), month, FAR)
    closed = np.where(ends > opened[:, np.newaxis], ends, FAR).min(axis=1, initial=FAR)
    # A market that fails takes some of the businesses with it; whoever loses this work has closed it.
    failed = aftermath(block, rng, ("market",), t.closes_after_market, t.closes_months)
    bad = np.full(block.n, FAR, np.int64)
    np.minimum.at(bad, failed.household, failed.month)
    bad_month = bad[people.household[owns]]
    closed = np.where(bad_month > opened, np.minimum(closed, bad_month), closed)
    lost = np.full(len(people), FAR, np.int64)
    at = block.blows("job_loss")
    hit = block.befell[at]
    np.minimum.at(lost, hit[hit >= 0], block.shocks.month[at[hit >= 0]])
    closed = np.where(lost[owns] > opened, np.minimum(closed, lost[owns]), closed)
    ledger.add(
        "BIZ//CLOSE", block.home_in(owns, closed), block.sometime(rng, np.minimum(closed, grid.simulated)), person=owns
    )


def _union(block: Block, ledger: Ledger) -> None:
    """The union files members in wage work whose household was struck; 1 is the gravest level."""
    t, working = block.assumptions.traces, block.working
    rng = block.chance.of("TUN//HARDSHIP")
    struck = traced(block, rng, t.union_files, ("illness", "injury", "job_loss"))
    struck = struck.taken(np.flatnonzero(block.places.residence[struck.household] > 0))
    person = somebody(
        block, rng, struck, (18.0, 60.0), lambda who, when: (working.earns[who] & working.is_formal[who]) * 1.0
    )
    grave = np.array((3.0, 2.0, 1.0))[np.searchsorted(block.assumptions.sizes, struck.size)]
    ledger.add("TUN//HARDSHIP", theirs(struck, person), block.sometime(rng, struck.month), person=person, value=grave)
