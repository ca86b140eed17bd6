"""The words that read events: whether, how many, how much, how long ago; for households or for persons."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.rules.facts import Facts, Span
from features.rules.number import Number, Truths, decided
from features.rules.spells import Spells
from features.rules.syntax import Call, Param
from features.rules.words import Where
from features.window import (
    ALWAYS,
    MICROS_PER_DAY,
    NEVER,
    Micros,
    is_after,
    month_ends,
    months_before,
)

if TYPE_CHECKING:
    from features.rules.evaluation import Terms

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
FEWEST_MONTHS = 6
EVER = Span(ALWAYS, NEVER)
DECADE = 3652 * MICROS_PER_DAY
# Decades from 1970, within the years that Python counts.
EARLIEST, LAST = -196, 800


@lru_cache(maxsize=256)
def _month_edges(first: Micros, until: Micros, time_zone: str) -> Ints:
    return np.array(month_ends(first, until, 1, time_zone), np.int64)


class EventWords:
    """Answers the words whose argument is event codes."""

    def __init__(self, facts: Facts, terms: Terms) -> None:
        self.facts = facts
        self.terms = terms
        self.spells = Spells(facts)
        self._matched: dict[int, tuple[Call, Ints, Ints]] = {}

    def truth(self, call: Call, scope: Where) -> Truths:
        """`happened`, `on_record`, `is_open`, `followed_by` or `near`."""
        rows, doubtful = self._rows(call)
        surely = self.facts.flagged(rows, scope)
        if call.word == "on_record":
            return decided(surely, surely)
        if len(rows) and call.word == "is_open":
            surely = self.spells.running(call, scope)
        elif len(rows) and call.word != "happened":
            return self._followed_by(call, scope) if call.word == "followed_by" else self._near(call, scope)
        perhaps = ~self._silence_is_none(call, scope)
        return decided(surely, perhaps | self.facts.flagged(doubtful, scope) if len(doubtful) else perhaps)

    def number(self, call: Call, scope: Where) -> Number:
        """`count`, `total`, `largest` and the other words that give a number."""
        if call.word == "total":
            return self._total(call, scope)
        if call.word == "variation":
            return self._variation(call, scope)
        rows, doubtful = self._rows(call)
        if call.word in ("count", "reported_late", "months_with"):
            return self._count(call, scope)
        return self._one_value(call, scope) if len(rows) or len(doubtful) else self._no_value(call, scope)

    def newest(self, call: Call, scope: Where) -> Ints:
        """When the newest event behind the word happened; `ALWAYS` where none is."""
        return self.facts.newest(self._rows(call)[0], scope)

    def has_rows(self, call: Call) -> bool:
        """Whether anybody has an event that the word may rest on."""
        return len(self._rows(call)[0]) > 0

    def behind(self, call: Call, scope: Where, unit: int, household: int) -> set[int]:
        """Positions among the visible rows that the word rests on for one household or person."""
        facts, rows = self.facts, self._rows(call)[0]
        if len(rows):
            rows = rows[slice(*rows.searchsorted(facts.seen.starts[household : household + 2]))]
        if scope is Where.PERSON and len(rows):
            rows = rows[facts.person[rows] == unit]
        if len(rows) == 0:
            return set()
        if call.word == "reported_late":
            rows = rows[self._late(call, rows)]
        if call.word == "is_open" and scope is Where.HOUSEHOLD:
            rows = self.spells.beginnings(call, rows, household)
        elif call.word in ("latest", "days_since", "is_open"):
            rows = rows[-1:]
        elif call.word in ("largest", "smallest"):
            known = rows[~np.isnan(facts.value[rows])]
            value = facts.value[known] if call.word == "largest" else -facts.value[known]
            rows = known[[int(np.argmax(value))]] if len(known) else rows
        other = call.option("then") or call.option("to")
        if isinstance(other, tuple):
            others = np.array(sorted(self.behind(Call("happened", codes=other), scope, unit, household)), np.int64)
            rows = self._paired(call, rows, others)
        return set(rows.tolist())

    def _paired(self, call: Call, rows: Ints, others: Ints) -> Ints:
        """Rows of the first codes with something after them, or near them, and what that is; without such a pair the
        rows of the first codes."""
        apart = self.facts.occurred[others][:, np.newaxis] - self.facts.occurred[rows][np.newaxis, :]
        is_pair = apart > 0 if call.word == "followed_by" else np.abs(apart) <= self._reach(call)
        return np.concatenate([rows[is_pair.any(axis=0)], others[is_pair.any(axis=1)]]) if is_pair.any() else rows

    # -- which rows

    def _rows(self, call: Call) -> tuple[Ints, Ints]:
        """Rows that match, and rows that may match but do not say."""
        # By identity, as in `Evaluation`.
        if id(call) not in self._matched:
            rows = self.facts.rows_in(call.codes, self.facts.span(call.window))
            self._matched[id(call)] = (call, *self._matching(call, rows))
        return self._matched[id(call)][1:]

    def _matching(self, call: Call, rows: Ints) -> tuple[Ints, Ints]:
        facts = self.facts
        if not call.is_filtered or len(rows) == 0:
            return rows, rows[:0]
        keep, doubt = np.ones(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
        for name, sign in (("at_least", 1.0), ("at_most", -1.0)):
            limit = call.option(name)
            if limit is None:
                continue
            bound = self.terms.number(limit.name)[facts.household[rows]] if isinstance(limit, Param) else limit
            value = facts.value[rows]
            unknown = np.isnan(value) | np.isnan(bound)
            doubt |= unknown
            with np.errstate(invalid="ignore"):
                keep &= unknown | (sign * value >= sign * np.asarray(bound))
        for name in ("text_starts", "text_other_than"):
            wanted = call.option(name)
            if wanted is None:
                continue
            says, unknown = self._text_starts(rows, wanted)
            doubt |= unknown
            keep &= unknown | (says if name == "text_starts" else ~says)
        return rows[keep & ~doubt], rows[keep & doubt]

    def _text_starts(self, rows: Ints, wanted: object) -> tuple[Bools, Bools]:
        facts = self.facts
        text = facts.text[rows]
        unknown = text < 0
        if isinstance(wanted, Param):
            lists = self.terms.texts(wanted.name)
            choices = sorted({each for each in lists if each is not None})
            index = np.array([choices.index(each) if each is not None else -1 for each in lists], np.int64)
            mine = index[facts.household[rows]]
            unknown = unknown | (mine < 0)
        else:
            assert isinstance(wanted, tuple)
            choices, mine = [wanted], np.zeros(len(rows), np.int64)
        starts = np.zeros((max(1, len(choices)), len(facts.history.texts) + 1), np.bool_)
        for i, prefixes in enumerate(choices):
            starts[i, :-1] = [each.startswith(prefixes) for each in facts.history.texts]
        return starts[np.maximum(mine, 0), text], unknown

    def _silence_is_none(self, call: Call, scope: Where) -> Bools:
        return self.facts.none_means_none(self.facts.kinds(call.codes), scope, self.facts.span(call.window))

    def _units(self, rows: Ints, scope: Where) -> tuple[Ints, Ints]:
        unit = self.facts.unit(rows, scope)
        return rows[unit >= 0], unit[unit >= 0]

    # -- numbers

    def _count(self, call: Call, scope: Where) -> Number:
        sure, doubtful = self._rows(call)
        n, complete = self.facts.units(scope), self._silence_is_none(call, scope)
        if len(sure) == len(doubtful) == 0:
            return Number(np.zeros(n), np.where(complete, 0.0, np.inf))
        if call.word == "reported_late":
            sure, doubtful = sure[self._late(call, sure)], doubtful[self._late(call, doubtful)]
        if call.word == "months_with":
            lo, more = self._months_with(sure, scope), self._months_with(np.concatenate([sure, doubtful]), scope)
        else:
            lo = np.bincount(self._units(sure, scope)[1], minlength=n)
            more = lo + np.bincount(self._units(doubtful, scope)[1], minlength=n)
        return Number(lo.astype(np.float64), np.where(complete, more.astype(np.float64), np.inf))

    def _late(self, call: Call, rows: Ints) -> Bools:
        lag = call.option("lag_days")
        assert isinstance(lag, float)
        return is_after(self.facts.known[rows] - round(lag * MICROS_PER_DAY), self.facts.occurred[rows])

    def _months_with(self, rows: Ints, scope: Where) -> Ints:
        rows, unit = self._units(rows, scope)
        month = self._calendar_month(rows)
        n, width = self.facts.units(scope), int(month.max(initial=0)) + 1
        has = np.zeros(n * width, np.bool_)
        has[unit * width + month] = True
        return np.asarray(has.reshape(n, width).sum(axis=1), np.int64)

    def _calendar_month(self, rows: Ints) -> Ints:
        """Calendar months after that of the oldest row."""
        moments = self.facts.occurred[rows]
        if len(moments) == 0:
            return moments
        first, last = max(int(moments.min()) // DECADE, EARLIEST), min(int(moments.max()) // DECADE, LAST)
        edges = _month_edges(first * DECADE, (last + 1) * DECADE, self.facts.history.time_zone)
        month = np.searchsorted(edges, moments, side="right")
        return np.asarray(month - month.min(), np.int64)

    def _month_back(self, rows: Ints) -> Ints:
        """Months back from the moment: 0 for the last one."""
        moments = self.facts.occurred[rows]
        oldest, edges = int(moments.min(initial=self.facts.as_of)), [self.facts.as_of]
        while edges[-1] > oldest:
            edges.append(months_before(self.facts.as_of, len(edges), self.facts.history.time_zone))
        return len(edges) - np.searchsorted(np.array(edges[::-1]), moments, side="right") - 1

    def _total(self, call: Call, scope: Where) -> Number:
        facts, span, kinds = self.facts, self.facts.span(call.window), self.facts.kinds(call.codes)
        n = facts.units(scope)
        if not kinds:
            return Number.unknown(n)
        lo, hi = np.zeros(n), np.zeros(n)
        takes, adds = (tuple(k for k in kinds if self._reaches(k)[i]) for i in (0, 1))
        lo[~facts.none_means_none(takes, scope, span) if takes else facts.nobody[scope]] = -np.inf
        hi[~facts.none_means_none(adds, scope, span) if adds else facts.nobody[scope]] = np.inf
        for kind in kinds:
            reported = facts.of_kinds_in((kind,), span)
            if len(reported) == 0:
                continue
            rows, doubtful = self._matching(call, reported)
            rows, unit = self._units(rows, scope)
            value = facts.value[rows]
            sums = np.bincount(unit, weights=np.nan_to_num(value), minlength=n)
            lo, hi = lo + sums, hi + sums
            is_open = facts.flagged(np.concatenate([rows[np.isnan(value)], doubtful]), scope)
            lo[is_open & (kind in takes)] = -np.inf
            hi[is_open & (kind in adds)] = np.inf
        return Number(lo, hi)

    def _reaches(self, kind: int) -> tuple[bool, bool]:
        """Whether an amount that nobody told may lie below zero, and above."""
        least, most = self.facts.history.catalogue.kinds[kind].bounds or (-np.inf, np.inf)
        return least < 0, most > 0

    def _variation(self, call: Call, scope: Where) -> Number:
        months = call.option("months")
        assert isinstance(months, float)
        rows, unit = self._units(self._rows(call)[0], scope)
        n, width = self.facts.units(scope), int(months)
        cell = unit * width + np.minimum(self._month_back(rows), width - 1)
        # An amount left open makes its month's total, and with it everything, not a number.
        totals = np.bincount(cell, weights=self.facts.value[rows], minlength=n * width).reshape(n, width)
        has = np.bincount(cell, minlength=n * width).reshape(n, width) > 0
        mean = totals.mean(axis=1)
        told = (has.sum(axis=1) >= FEWEST_MONTHS) & (mean > 0)
        told &= has.all(axis=1) | self._silence_is_none(call, scope)
        spread = totals.std(axis=1) / np.where(mean > 0, mean, 1.0)
        return Number(np.where(told, spread, 0.0), np.where(told, spread, np.inf))

    def _no_value(self, call: Call, scope: Where) -> Number:
        """What no event at all tells of one value: that it does not exist, where silence says so."""
        complete = self._silence_is_none(call, scope)
        return Number(np.where(complete, np.nan, -np.inf), np.where(complete, np.nan, np.inf))

    def _one_value(self, call: Call, scope: Where) -> Number:
        """`largest`, `smallest`, `latest`, `days_since`."""
        facts, n = self.facts, self.facts.units(scope)
        rows, doubtful = self._rows(call)
        has, perhaps = facts.flagged(rows, scope), facts.flagged(doubtful, scope)
        complete = self._silence_is_none(call, scope)
        nothing = ~has & ~perhaps & complete
        if call.word == "days_since":
            newest = facts.newest(rows, scope)
            # One that may count, or that nobody reported, may have come later.
            last = np.where(complete, np.maximum(newest, facts.newest(doubtful, scope)), facts.span(call.window).end)
            most, least = ((facts.as_of - each.astype(np.float64)) / MICROS_PER_DAY for each in (newest, last))
            return Number(
                np.where(has, least, np.where(nothing, np.nan, -np.inf)),
                np.where(has, most, np.where(nothing, np.nan, np.inf)),
            )
        if call.word == "latest":
            newest, held = self._last(rows, scope), np.full(n, np.nan)
            told = newest > self._last(doubtful, scope)
            held[told] = facts.value[newest[told]]
            told = ~np.isnan(held)
            return Number(
                np.where(told, held, np.where(nothing, np.nan, -np.inf)),
                np.where(told, held, np.where(nothing, np.nan, np.inf)),
            )
        rows, unit = self._units(rows, scope)
        value = facts.value[rows]
        is_largest = call.word == "largest"
        extreme = np.full(n, -np.inf if is_largest else np.inf)
        numbers = ~np.isnan(value)
        (np.maximum if is_largest else np.minimum).at(extreme, unit[numbers], value[numbers])
        is_open = perhaps | ~complete | (np.bincount(unit, weights=~numbers, minlength=n) > 0)
        if is_largest:
            lo, hi = extreme, np.where(is_open, np.inf, extreme)
        else:
            lo, hi = np.where(is_open, -np.inf, extreme), extreme
        return Number(np.where(nothing, np.nan, lo), np.where(nothing, np.nan, hi))

    def _last(self, rows: Ints, scope: Where) -> Ints:
        """The newest of the rows for each household or person, -1 for none."""
        rows, unit = self._units(rows, scope)
        last = np.full(self.facts.units(scope), -1, np.int64)
        last[unit] = rows
        return last

    # -- truths

    def _followed_by(self, call: Call, scope: Where) -> Truths:
        facts = self.facts
        then = call.option("then")
        assert isinstance(then, tuple)
        first = facts.earliest(self._rows(call)[0], scope)
        newest = facts.newest(facts.within(facts.rows(then), Span(ALWAYS, facts.as_of)), scope)
        surely = is_after(newest, first) & (first != NEVER)
        perhaps = ~self._silence_is_none(call, scope) | (
            (first != NEVER) & ~facts.none_means_none(facts.kinds(then), scope, EVER)
        )
        return decided(surely, surely | perhaps)

    def _near(self, call: Call, scope: Where) -> Truths:
        facts = self.facts
        to = call.option("to")
        assert isinstance(to, tuple)
        rows, unit = self._units(self._rows(call)[0], scope)
        others, other_unit = self._units(facts.within(facts.rows(to), Span(ALWAYS, facts.as_of)), scope)
        units, moments = np.append(other_unit, unit), facts.occurred[np.append(others, rows)]
        is_other = np.arange(len(units)) < len(others)
        order = np.lexsort((~is_other, moments, units))
        units, moments, is_other = units[order], moments[order], is_other[order]
        # The nearest of the others before and after each row, in one order by unit and time.
        place = np.arange(len(order))
        before = np.maximum.accumulate(np.where(is_other, place, -1))
        after = np.minimum.accumulate(np.where(is_other, place, len(order))[::-1])[::-1]
        is_near = np.zeros(len(order), np.bool_)
        for neighbour in (before, np.where(after < len(order), after, -1)):
            reached = np.abs(moments[neighbour] - moments) <= self._reach(call)
            is_near |= (neighbour >= 0) & (units[neighbour] == units) & reached
        surely = np.zeros(facts.units(scope), np.bool_)
        surely[units[is_near & ~is_other]] = True
        perhaps = ~self._silence_is_none(call, scope) | (
            facts.flagged(rows, scope) & ~facts.none_means_none(facts.kinds(to), scope, EVER)
        )
        return decided(surely, surely | perhaps)

    def _reach(self, call: Call) -> int:
        gap = call.option("within_days")
        assert isinstance(gap, float)
        return round(gap * MICROS_PER_DAY)
