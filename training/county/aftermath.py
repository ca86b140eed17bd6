"""What follows blows in the records, and what happens to anybody at any time. None of it is a cause of anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.county.block import Block
from training.county.chance import monthly
from training.county.grid import Floats, Ints
from training.county.lives import Weigh
from training.county.profiles import Trace

# Who has lost income; used wherever bills are left unpaid.
INCOME_LOSSES = ("job_loss", "arrears", "pension_stop", "market", "crop_loss", "illness")


@dataclass(frozen=True)
class Aftermath:
    """Things that happen to households: month and household of each, size of the blow they follow, on whom it fell.

    `whom` is -1 where that was nobody, or no blow came before.
    """

    household: Ints
    month: Ints
    size: Floats
    whom: Ints

    def __len__(self) -> int:
        return len(self.household)

    def joined(self, others: Aftermath) -> Aftermath:
        """These and the others after them."""
        return Aftermath(
            np.concatenate([self.household, others.household]),
            np.concatenate([self.month, others.month]),
            np.concatenate([self.size, others.size]),
            np.concatenate([self.whom, others.whom]),
        )

    def taken(self, rows: Ints) -> Aftermath:
        """Some of them."""
        return Aftermath(self.household[rows], self.month[rows], self.size[rows], self.whom[rows])

    def later(self, block: Block, rng: np.random.Generator, wait: tuple[int, int]) -> Aftermath:
        """What follows each of them after some months (both ends included), where somebody lives there still."""
        month = self.month + rng.integers(*wait, len(self.month), endpoint=True)
        return Aftermath(self.household, month, self.size, self.whom).lived_in(block)

    def lived_in(self, block: Block) -> Aftermath:
        """Those in households where somebody lives in that month of the simulated ones."""
        return self.taken(np.flatnonzero(block.lived_in(self.household, self.month)))


def aftermath(
    block: Block,
    rng: np.random.Generator,
    kinds: tuple[str, ...],
    share: float,
    wait: tuple[int, int],
    *,
    if_low_buffer: float = 1.0,
    least_size: float = 0.0,
) -> Aftermath:
    """A share of the blows of some kinds, some months later (both ends included).

    The share is `if_low_buffer` times as high without savings, and grows with the blow's size.
    """
    shocks = block.shocks
    at = np.concatenate([block.blows(kind) for kind in kinds])
    chance = share * shocks.size[at] * np.where(block.standing.low_buffer[shocks.household[at]], if_low_buffer, 1.0)
    at = at[(rng.random(len(at)) < chance) & (shocks.size[at] >= least_size)]
    return of_blows(block, at).later(block, rng, wait)


def of_blows(block: Block, at: Ints) -> Aftermath:
    """The blows at these positions themselves."""
    shocks = block.shocks
    return Aftermath(shocks.household[at], shocks.month[at], shocks.size[at], block.befell[at])


def at_any_time(block: Block, rng: np.random.Generator, yearly: float | Floats) -> Aftermath:
    """What comes at a yearly rate: one for all, one a household, or one a household and month."""
    chance = monthly(yearly)
    chance = chance[:, np.newaxis] if chance.ndim == 1 else chance
    draw = rng.random((block.n, block.grid.simulated), np.float32)
    household, month = np.nonzero((draw < chance) & (block.members > 0))
    return Aftermath(household, month, np.ones(len(month)), np.full(len(month), -1, np.int64))


def traced(
    block: Block, rng: np.random.Generator, trace: Trace, kinds: tuple[str, ...], *, if_low_buffer: float = 1.0
) -> Aftermath:
    """What happens to anybody at times, and after blows of these kinds more often."""
    yearly = trace.yearly * np.where(block.standing.low_buffer, if_low_buffer, 1.0)
    follows = aftermath(block, rng, kinds, trace.after, trace.wait, if_low_buffer=if_low_buffer)
    return at_any_time(block, rng, yearly).joined(follows)


def somebody(
    block: Block, rng: np.random.Generator, what: Aftermath, ages: tuple[float, float], weigh: Weigh | None = None
) -> Ints:
    """For each a resident of an age from `ages[0]` to before `ages[1]`, by weight if one is given; -1 if none is."""

    def weight(who: Ints, when: Ints) -> Floats:
        age = block.age[who, when]
        fits = block.is_here[who, when] & (age >= ages[0]) & (age < ages[1])
        return np.asarray(fits * (1.0 if weigh is None else weigh(who, when)), np.float64)

    return block.residents.befallen(rng, what.household, what.month, weight)


def theirs(what: Aftermath, person: Ints) -> Ints:
    """The household of each, -1 where nobody was found whom it concerns."""
    return np.where(person >= 0, what.household, -1)
