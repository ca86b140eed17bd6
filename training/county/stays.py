"""Times of living in a household."""

from __future__ import annotations

from dataclasses import dataclass

from training.county.grid import Ints


@dataclass(frozen=True)
class Stays:
    """Memberships, one entry each; months count on the grid, moments are microseconds, `born_on` days since 1970.

    `leaves` is `FAR` and `left_at` meaningless while the stay lasts. A stay that never begins has `joins` at `FAR`.
    """

    person: Ints
    household: Ints
    role: Ints
    joins: Ints
    leaves: Ints
    joined_at: Ints
    left_at: Ints
    born_on: Ints
    sex: Ints
