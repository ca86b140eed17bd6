"""Collects what happened in a block as plain arrays, before departments report it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue
from features.window import NEVER
from training.county.grid import Floats, Ints


@dataclass(frozen=True)
class Happenings:
    """Facts of a block, one entry each.

    `code` indexes the catalogue's kinds, `household` and `person` count within the block (-1 is no person), `moment`
    is in microseconds, `value` NaN where the code carries none, `text` indexes `texts` (-1 for none). `known` is given
    for what is known in advance, else `NEVER`: then the department's lag decides.
    """

    code: Ints
    household: Ints
    person: Ints
    moment: Ints
    value: Floats
    text: Ints
    known: Ints
    texts: tuple[str, ...]

    def taken(self, rows: Ints) -> Happenings:
        """Some of the facts."""
        return Happenings(
            self.code[rows],
            self.household[rows],
            self.person[rows],
            self.moment[rows],
            self.value[rows],
            self.text[rows],
            self.known[rows],
            self.texts,
        )


class Ledger:
    """Gathers facts code by code."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._position = {kind.code: i for i, kind in enumerate(catalogue.kinds)}
        self._bounds = {kind.code: kind.bounds for kind in catalogue.kinds}
        self._parts: list[tuple[Ints, Ints, Ints, Ints, Floats, Ints, Ints]] = []
        self._texts: dict[str, int] = {}

    def add(
        self,
        code: str,
        household: Ints,
        moment: Ints,
        *,
        person: Ints | None = None,
        value: npt.ArrayLike | None = None,
        texts: tuple[str, ...] = (),
        text: Ints | None = None,
        known: Ints | None = None,
    ) -> None:
        """Enter facts of one code; entries with household -1 are left out.

        `text` indexes `texts`; with one text and no index, all facts carry it. Amounts are rounded to two decimals and
        held inside the code's bounds.
        """
        n = len(household)
        amount = np.full(n, np.nan)
        if value is not None:
            amount[:] = np.round(np.asarray(value, np.float64), 2)
        bounds = self._bounds[code]
        if bounds is not None:
            amount = np.clip(amount, *bounds)
        index = np.full(n, -1, np.int64)
        if texts:
            known_texts = np.array([self._texts.setdefault(t, len(self._texts)) for t in texts], np.int64)
            index = known_texts[np.zeros(n, np.int64) if text is None else text]
        keep = np.flatnonzero(np.asarray(household) >= 0)
        self._parts.append(
            (
                np.full(len(keep), self._position[code], np.int64),
                household[keep],
                np.full(len(keep), -1, np.int64) if person is None else person[keep],
                moment[keep],
                amount[keep],
                index[keep],
                np.full(len(keep), NEVER, np.int64) if known is None else known[keep],
            )
        )

    def happenings(self) -> Happenings:
        """Everything entered so far, in the order of entry."""
        columns = [np.concatenate([part[i] for part in self._parts]) for i in range(7)]
        code, household, person, moment, value, text, known = columns
        return Happenings(code, household, person, moment, value, text, known, tuple(self._texts))
