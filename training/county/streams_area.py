"""What happens to whole townships: disasters, prices, mass layoffs, resettlement sites.

Each event is delivered once to every household of the township, on one day. Disasters are those that the county's
weather brings; prices and layoffs are noise, since blows to single households come independently here.
"""

from __future__ import annotations

import numpy as np

from features.catalogue import Catalogue
from features.window import MICROS_PER_DAY
from training.county.block import Block
from training.county.chance import lognormal, monthly
from training.county.grid import SECOND, Floats, Ints
from training.county.ledger import Ledger
from training.county.reporting import lag_days


def areas(block: Block, ledger: Ledger, of: Catalogue) -> None:
    """Enter all events of areas."""
    for code, township, month, value in (_disasters(block), _prices(block), _layoffs(block), _resettled(block)):
        _deliver(block, ledger, of, code, township, month, value)


Events = tuple[str, Ints, Ints, Floats]


def _deliver(
    block: Block, ledger: Ledger, of: Catalogue, code: str, township: Ints, month: Ints, value: Floats
) -> None:
    a, grid = block.assumptions, block.grid
    rng = block.chance.of_county(f"delivered {code}")
    moment = grid.moment(month, rng.uniform(0.1, 0.9, len(month)))
    days = lag_days(of.by_code[code], a.longest_lag_days, rng, len(month))
    known = moment + (days * MICROS_PER_DAY).astype(np.int64) // SECOND * SECOND
    order = np.argsort(block.places.township, kind="stable")
    starts = np.searchsorted(block.places.township[order], np.arange(sum(a.townships) + 1))
    counts = starts[township + 1] - starts[township]
    row = np.repeat(np.arange(len(township)), counts)
    offset = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    household = order[starts[township][row] + offset]
    there = block.lived_in(household, np.maximum(month[row], 0))
    ledger.add(code, np.where(there, household, -1), moment[row], value=value[row], known=known[row])


def _disasters(block: Block) -> Events:
    """Level 1 or 2 where harvests were lost, 3 or 4 where houses were."""
    names = [kind.name for kind in block.assumptions.shocks]
    rng = block.chance.of_county("ARE//DISASTER_LEVEL")
    parts = []
    for name, least in (("crop_loss", 1), ("house_loss", 3)):
        where, when = np.nonzero(block.weather.comes[names.index(name)])
        parts.append((where, when, least + rng.integers(0, 2, len(when))))
    township, month, level = (np.concatenate(column) for column in zip(*parts, strict=True))
    return "ARE//DISASTER_LEVEL", township, month, level.astype(np.float64)


def _prices(block: Block) -> Events:
    """Quarterly index of the main product of each rural township; now and then it slumps for a year."""
    a, t, grid = block.assumptions, block.assumptions.traces, block.grid
    rng = block.chance.of_county("ARE//PRICE")
    rural, quarters = a.townships[0], grid.simulated // 3
    spread, memory = t.price
    change = spread * rng.standard_normal((rural, quarters))
    level = np.zeros((rural, quarters))
    for quarter in range(1, quarters):
        level[:, quarter] = memory * level[:, quarter - 1] + change[:, quarter]
    slumps = rng.random((rural, quarters)) < t.price_slump / 4.0
    low = np.zeros((rural, quarters), np.bool_)
    for later in range(4):
        low[:, later:] |= slumps[:, : quarters - later]
    index = np.round(100.0 * np.exp(level) * np.where(low, 1.0 - t.price_slump_depth, 1.0), 1)
    township, when = np.divmod(np.arange(rural * quarters), quarters)
    return "ARE//PRICE", township, 3 * when + 2, index.reshape(-1)


def _layoffs(block: Block) -> Events:
    a, t, grid = block.assumptions, block.assumptions.traces, block.grid
    rng = block.chance.of_county("ARE//LAYOFF")
    comes = rng.random((sum(a.townships), grid.simulated)) < monthly(t.layoff_yearly)
    comes[: a.townships[0]] = False
    township, month = np.nonzero(comes)
    return "ARE//LAYOFF", township, month, np.rint(lognormal(rng, t.layoff_persons, len(month)))


def _resettled(block: Block) -> Events:
    """The last rural townships were built for people moved from elsewhere, before the county's record begins."""
    a = block.assumptions
    township = np.arange(a.townships[0] - a.traces.resettled_townships, a.townships[0])
    month = np.zeros(len(township), np.int64)
    return "ARE//RESETTLE_SITE", township, month, np.ones(len(township))
