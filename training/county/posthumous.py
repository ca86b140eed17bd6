"""Benefits that run on after a death until the paying office learns of it: what a check of recipients is to find."""

from __future__ import annotations

import numpy as np

from training.county.block import Block
from training.county.chance import rank_within
from training.county.grid import Bools, Ints
from training.county.ledger import Ledger
from training.county.lives import DIED


def paid_on(block: Block, ledger: Ledger, code: str, drawing: Bools, amount: float | Ints) -> None:
    """Enter further payments of a monthly benefit for some of the dead who drew it (persons x months) to the last.

    `amount` is one for all or one a person. The payments stand in the household where the person lived.
    """
    traces, people = block.assumptions.traces, block.people
    rng = block.chance.of(f"paid on {code}")
    overlooked = rng.random(len(people)) < traces.paid_on_share
    months = rng.integers(*traces.paid_on_months, len(people), endpoint=True)
    ended = (block.lives.reason == DIED) & (people.leaves > 0) & (people.leaves < block.grid.simulated)
    dead = np.flatnonzero(ended & overlooked)
    dead = dead[drawing[dead, people.leaves[dead] - 1]]
    home = block.home[dead, people.leaves[dead] - 1]
    row = np.repeat(np.arange(len(dead)), months[dead])
    # The first of them falls due in the month after the death.
    month = people.leaves[dead][row] + 1 + rank_within(row)
    value = np.broadcast_to(np.asarray(amount, np.float64), len(people))[dead][row]
    known = np.where(month < block.grid.simulated, home[row], -1)
    month = np.minimum(month, block.grid.simulated - 1)
    ledger.add(code, known, block.sometime(rng, month), person=dead[row], value=value)
