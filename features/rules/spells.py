"""Spells: what began and has not ended, for households and for each person."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.rules.facts import Facts, Span
from features.rules.syntax import Call
from features.rules.words import Where
from features.window import ALWAYS, is_after, is_not_before, months_before

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class Spells:
    """Answers `is_open` as far as the record goes: a spell runs from its last beginning until it ends or lapses.

    What is recorded for the household, or without a person, is one spell of the household. What ended for the
    household ended for everybody in it. An ending at the very instant of a beginning does not hide it, as for the
    features: attention is kept.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._running: dict[Call, tuple[Bools, Bools]] = {}

    def running(self, call: Call, scope: Where) -> Bools:
        """For which households somebody's spell or their own runs; or which persons' spells run."""
        if scope is Where.PERSON:
            return self._runs(call, *self._begins_and_ends(call), Where.PERSON)
        own, personal = self._by_owner(call)
        home = self.facts.home[personal]
        return np.asarray(own | (np.bincount(home, minlength=self.facts.n_households) > 0), np.bool_)

    def beginnings(self, call: Call, rows: Ints, household: int) -> Ints:
        """Of the beginnings on record, oldest first, the last one of every spell that runs in one household; the very
        last one if none runs."""
        own, personal = self._by_owner(call)
        last: dict[int, int] = {}
        for row in rows.tolist():
            who = -1 if self.facts.is_of_all[row] else int(self.facts.person[row])
            if own[household] if self.facts.is_of_all[row] else who >= 0 and personal[who]:
                last[who] = row
        return np.array(sorted(last.values()), np.int64) if last else rows[-1:]

    def _by_owner(self, call: Call) -> tuple[Bools, Bools]:
        """Households whose own spell runs, and persons whose spell runs and who have not left."""
        if call not in self._running:
            facts = self.facts
            begins, ended = self._begins_and_ends(call)
            is_own = facts.is_of_all[begins]
            own = self._runs(call, begins[is_own], ended[facts.is_of_all[ended]], Where.HOUSEHOLD)
            personal = self._runs(call, begins[~is_own], ended, Where.PERSON)
            # Of a person in no register nobody knows that they left.
            self._running[call] = own, personal & (facts.lives_here | (facts.seen.homes.household < 0))
        return self._running[call]

    def _begins_and_ends(self, call: Call) -> tuple[Ints, Ints]:
        ends = call.option("ended_by")
        assert isinstance(ends, tuple)
        so_far = Span(ALWAYS, self.facts.as_of)
        return self.facts.rows_in(call.codes, so_far), self.facts.rows_in(ends, so_far)

    def _runs(self, call: Call, begins: Ints, ended: Ints, scope: Where) -> Bools:
        facts, lapses = self.facts, call.option("lapses_months")
        begun, over = facts.newest(begins, scope), facts.newest(ended, scope)
        if scope is Where.PERSON:
            for_all = facts.newest(ended[facts.is_of_all[ended]], Where.HOUSEHOLD)
            over = np.maximum(over, np.append(for_all, ALWAYS)[facts.home])
        runs = is_not_before(begun, over) & is_after(begun, ALWAYS)
        if isinstance(lapses, float):
            runs &= is_not_before(begun, months_before(facts.as_of, int(lapses), facts.history.time_zone))
        return runs
