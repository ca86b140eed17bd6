"""A known flaw for audits to find: one group's rows go missing while its risk stays what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.definition import EventKind
from training.county.block import Block
from training.county.chance import Chance
from training.county.grid import Bools
from training.county.ledger import Happenings

# What tells of the need of each group. Statuses and what people earn stay: the outcome is recorded as it was.
NEED_CODES: Mapping[str, tuple[str, ...]] = {
    "disability": ("DIS//", "HLT//", "CLM//", "MAI//", "ELD//LTC_GRADE"),
}


def under_recorded_shares(written: Sequence[str]) -> dict[str, float]:
    """Shares as a command takes them, such as `disability=0.8`; anything else is refused with a `ValueError`.

    >>> under_recorded_shares(["disability=0.8"])
    {'disability': 0.8}
    """
    found: dict[str, float] = {}
    for text in written:
        group, _, share = text.partition("=")
        try:
            found[group.strip()] = float(share)
        except ValueError as error:
            raise ValueError(
                f"what is under-recorded reads group=share, such as {next(iter(NEED_CODES))}=0.8"
            ) from error
    return found


@dataclass(frozen=True)
class UnderRecording:
    """Shares of rows (0 to 1) that never reach a record, by group of `NEED_CODES`."""

    shares: Mapping[str, float]

    def __post_init__(self) -> None:
        unknown = sorted(set(self.shares) - set(NEED_CODES))
        if unknown:
            raise ValueError(f"no group {', '.join(unknown)} to record less of; known are {', '.join(NEED_CODES)}")
        if not all(0.0 <= share <= 1.0 for share in self.shares.values()):
            raise ValueError("the share of rows that are never recorded lies between 0 and 1")

    def lost(self, kinds: tuple[EventKind, ...], what: Happenings, block: Block, chance: Chance) -> Bools:
        """Which happenings are never recorded. The draws are apart from all others, so nothing else changes."""
        gone = np.zeros(len(what.code), np.bool_)
        for group, share in sorted(self.shares.items()):
            of_need = np.array([kind.code.startswith(NEED_CODES[group]) for kind in kinds], np.bool_)
            drawn = chance.of(f"under-recorded {group}").random(len(what.code)) < share
            gone |= _belongs(group, block)[what.household] & of_need[what.code] & drawn
        return gone

    def __str__(self) -> str:
        """As provenance: which rows are missing on purpose."""
        return "; ".join(f"{share:.0%} of the {group} rows left out on purpose" for group, share in self.shares.items())


def with_disabled_member(block: Block) -> Bools:
    """Households in which a disabled person lived in the first written month."""
    start = block.grid.warm_up
    found = np.zeros(block.n, np.bool_)
    here = np.flatnonzero(block.working.disabled & (block.home[:, start] >= 0))
    found[block.home[here, start]] = True
    return found


def _belongs(group: str, block: Block) -> Bools:
    return {"disability": with_disabled_member}[group](block)
