"""What rules read: the visible events of many households, by code, asked of the household or of each person.

Everything is decided from rows that were known at the moment; windows place them by when they happened. Where nothing
was reported, the kind of event says whether that means none (`EventKind.silence`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.definition import Absent, Level
from features.history import History, Visible, visible
from features.household import NO_BIRTH
from features.matrix import DAYS_PER_YEAR
from features.rules.syntax import Option
from features.rules.words import Where
from features.window import (
    ALWAYS,
    MICROS_PER_DAY,
    NEVER,
    Micros,
    days_before,
    is_between,
    months_before,
    year_start,
)

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
LINK_MONTHS = 24
LEFT, APPLIED, DIED = ("HKM//MEMBER_LEAVE",), ("SLF//APPLY",), ("FUN//CREMATE",)
SPLIT_WITHIN_DAYS, SPLIT_BEFORE_DAYS = 180, 90


class Span(NamedTuple):
    """A window `[start, end)`."""

    start: Micros
    end: Micros


class Proof(NamedTuple):
    """Codes of which one must be on record, if there are any, and whether it must have been `before` the window."""

    links: tuple[str, ...]
    before: bool


@dataclass(frozen=True)
class Facts:
    """The visible events of a history at one moment, laid out for rules.

    `connected` are the sources that send to this platform at all (None for every one): the silence of a source that
    is not connected says nothing.
    """

    history: History
    seen: Visible
    connected: frozenset[str] | None = None

    @property
    def as_of(self) -> Micros:
        """The moment of judgement."""
        return self.seen.as_of

    def earlier(self, days: float) -> Facts:
        """What was known that many days ago."""
        return Facts(self.history, visible(self.history, days_before(self.as_of, days)), self.connected)

    @property
    def n_households(self) -> int:
        """Households of the history."""
        return len(self.history.household_ids)

    @cached_property
    def household(self) -> Ints:
        """Household of each visible row."""
        return np.repeat(np.arange(self.n_households), np.diff(self.seen.starts))

    @cached_property
    def person(self) -> Ints:
        """Person of each visible row, -1 for the household's own and for persons who now belong elsewhere."""
        person = self.history.person[self.seen.rows]
        # The entry past the last person is for rows of nobody.
        at_home = (person >= 0) & (np.append(self.home, -1)[person] == self.household)
        return np.where(at_home, person, -1)

    @cached_property
    def is_personal(self) -> Bools:
        """Rows recorded for a person, wherever that person belongs now."""
        return np.asarray(self.history.person[self.seen.rows] >= 0, np.bool_)

    @cached_property
    def is_of_all(self) -> Bools:
        """Rows that speak of the whole household: of kinds recorded for it, or without a person."""
        of_persons = np.array([kind.level is Level.PERSON for kind in self.history.catalogue.kinds], np.bool_)
        return ~(of_persons[self.history.code[self.seen.rows]] & self.is_personal)

    @cached_property
    def home(self) -> Ints:
        """Household of each person; a person never registered anywhere belongs where the newest event was filed."""
        home = self.seen.homes.household.copy()
        person = self.history.person[self.seen.rows]
        strangers = np.flatnonzero(self.is_personal & (np.append(home, -1)[person] < 0))
        if len(strangers) == 0:
            return home
        strangers = strangers[np.argsort(self.occurred[strangers], kind="stable")]
        home[person[strangers]] = self.household[strangers]
        return home

    @cached_property
    def _by_home(self) -> tuple[Ints, Ints]:
        order = np.argsort(self.home, kind="stable")
        return order, np.searchsorted(self.home[order], np.arange(self.n_households + 1))

    def people(self, household: int) -> Ints:
        """Persons who belong to one household, also those who left it."""
        order, starts = self._by_home
        return order[starts[household] : starts[household + 1]]

    @cached_property
    def lives_here(self) -> Bools:
        """Which persons live in their household now.

        Who moved out shortly before the family applied for help still counts as living there: a split must be
        verified (VER-08) and must not move the tier by itself. The dead do not.
        """
        living = self.seen.homes.is_member.copy()
        left = self.rows_in(LEFT, Span(days_before(self.as_of, SPLIT_WITHIN_DAYS), self.as_of))
        asked = self.rows_in(APPLIED, Span(ALWAYS, self.as_of))
        died = set(self.person[self.rows_in(DIED, Span(ALWAYS, self.as_of))].tolist())
        has_asked = self.flagged(asked, Where.HOUSEHOLD)
        for row in left[(self.person[left] >= 0) & has_asked[self.household[left]]].tolist():
            applied = self.occurred[asked[self.household[asked] == self.household[row]]]
            before = Span(int(self.occurred[row]), days_before(int(self.occurred[row]), -SPLIT_BEFORE_DAYS))
            if is_between(applied, before.start, before.end).any() and self.person[row] not in died:
                living[self.person[row]] = True
        return living

    @cached_property
    def occurred(self) -> Ints:
        """When each visible row happened."""
        return self.history.occurred[self.seen.rows]

    @cached_property
    def known(self) -> Ints:
        """When each visible row became known."""
        return self.history.known_at[self.seen.rows]

    @cached_property
    def value(self) -> Floats:
        """Value of each visible row, NaN where none was given."""
        return self.history.value[self.seen.rows]

    @cached_property
    def text(self) -> Ints:
        """Coded text of each visible row, -1 for none."""
        return self.history.text[self.seen.rows]

    @cached_property
    def _by_code(self) -> tuple[Ints, list[int]]:
        # A catalogue has some hundred kinds: sixteen bits, which numpy sorts by counting.
        code = self.history.code[self.seen.rows].astype(np.int16)
        order = np.argsort(code, kind="stable")
        starts = np.searchsorted(code[order], np.arange(len(self.history.catalogue.kinds) + 1))
        return order, starts.tolist()

    def kinds(self, patterns: tuple[str, ...]) -> tuple[int, ...]:
        """Positions of the event kinds that the patterns name."""
        return self.history.catalogue.positions(patterns)

    def rows(self, patterns: tuple[str, ...]) -> Ints:
        """Visible rows of these codes, by household and then in time order."""
        return self._of_kinds(self.kinds(patterns))

    def _of_kinds(self, kinds: tuple[int, ...]) -> Ints:
        if kinds not in self._rows:
            order, starts = self._by_code
            parts = [order[starts[k] : starts[k + 1]] for k in kinds if starts[k] < starts[k + 1]]
            found = parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts)) if parts else self._no_rows
            self._rows[kinds] = found
        return self._rows[kinds]

    @cached_property
    def _rows(self) -> dict[tuple[int, ...], Ints]:
        return {}

    @cached_property
    def _no_rows(self) -> Ints:
        return np.zeros(0, np.int64)

    @cached_property
    def _rows_in(self) -> dict[tuple[tuple[int, ...], Span], Ints]:
        return {}

    def rows_in(self, patterns: tuple[str, ...], span: Span) -> Ints:
        """Visible rows of these codes that happened inside the span, by household and then in time order."""
        return self.of_kinds_in(self.kinds(patterns), span)

    def of_kinds_in(self, kinds: tuple[int, ...], span: Span) -> Ints:
        """`rows_in` for kinds by their position."""
        key = (kinds, span)
        if key not in self._rows_in:
            rows = self._of_kinds(kinds)
            self._rows_in[key] = self.within(rows, span) if len(rows) else rows
        return self._rows_in[key]

    def within(self, rows: Ints, span: Span) -> Ints:
        """Those of the rows that happened inside the span."""
        return rows[is_between(self.occurred[rows], span.start, span.end)]

    def span(self, window: tuple[tuple[str, Option], ...]) -> Span:
        """The window that keywords describe."""
        if window not in self._spans:
            self._spans[window] = self._span(dict(window))
        return self._spans[window]

    @cached_property
    def _spans(self) -> dict[tuple[tuple[str, Option], ...], Span]:
        return {}

    def _span(self, options: dict[str, Option]) -> Span:
        zone = self.history.time_zone
        if "ahead_days" in options:
            return Span(self.as_of, days_before(self.as_of, -_number(options["ahead_days"])))
        start, end = ALWAYS, self.as_of
        if "days" in options:
            start = days_before(self.as_of, _number(options["days"]))
        elif "months" in options:
            start = months_before(self.as_of, int(_number(options["months"])), zone)
        elif "this_year" in options:
            start = year_start(self.as_of, zone)
        if "from_days" in options:
            end = days_before(self.as_of, _number(options["from_days"]))
        return Span(start, end)

    def units(self, scope: Where) -> int:
        """How many households or persons an answer has."""
        return self.n_households if scope is Where.HOUSEHOLD else len(self.home)

    def unit(self, rows: Ints, scope: Where) -> Ints:
        """Household or person of rows; -1 for rows that are no person's here."""
        return self.household[rows] if scope is Where.HOUSEHOLD else self.person[rows]

    def flagged(self, rows: Ints, scope: Where) -> Bools:
        """Which households or persons have one of the rows."""
        if len(rows) == 0:
            return self.nobody[scope]
        # The entry past the last is for rows of nobody.
        flags = np.zeros(self.units(scope) + 1, np.bool_)
        flags[self.unit(rows, scope)] = True
        return flags[:-1]

    @cached_property
    def nobody(self) -> dict[Where, Bools]:
        """False for every household or person; not to be changed."""
        return {scope: np.zeros(self.units(scope), np.bool_) for scope in (Where.HOUSEHOLD, Where.PERSON)}

    @cached_property
    def everybody(self) -> dict[Where, Bools]:
        """True for every household or person; not to be changed."""
        return {scope: np.ones(self.units(scope), np.bool_) for scope in (Where.HOUSEHOLD, Where.PERSON)}

    @cached_property
    def _links(self) -> dict[tuple[tuple[str, ...], Where, Micros], Bools]:
        return {}

    def is_linked(self, patterns: tuple[str, ...], scope: Where, until: Micros) -> Bools:
        """For whom one of the events, other than looked-up ones, came in within the 24 months up to `until`."""
        key = (patterns, scope, until)
        if key not in self._links:
            kinds = self.history.catalogue.kinds
            span = Span(months_before(until, LINK_MONTHS, self.history.time_zone), until)
            open_ones = tuple(k for k in self.kinds(patterns) if not kinds[k].is_authorised)
            self._links[key] = self.flagged(self.of_kinds_in(open_ones, span), scope)
        return self._links[key]

    @cached_property
    def _silences(self) -> dict[tuple[tuple[int, ...], Where, Micros], Bools]:
        return {}

    def none_means_none(self, kinds: tuple[int, ...], scope: Where, span: Span) -> Bools:
        """For whom the silence of all these kinds of events inside the span means that nothing happened."""
        key = (kinds, scope, span.start)
        if key not in self._silences:
            # A code that this history's catalogue does not know can never be reported; its silence says nothing.
            self._silences[key] = self._none_means_none({self._proofs[k] for k in kinds} or {None}, scope, span)
        return self._silences[key]

    def _none_means_none(self, proofs: set[Proof | None], scope: Where, span: Span) -> Bools:
        if None in proofs:
            return self.nobody[scope]
        told = self.everybody[scope]
        for proof in proofs:
            if proof is not None and proof.links:
                before = proof.before and span.start != ALWAYS
                linked = self.is_linked(proof.links, scope, span.start if before else self.as_of)
                told = linked if told is self.everybody[scope] else told & linked
        return told

    @cached_property
    def _proofs(self) -> list[Proof | None]:
        """For every kind of event what makes its silence mean that nothing happened, None where nothing does."""
        return [
            None
            if kind.silence is Absent.UNKNOWN
            or (self.connected is not None and kind.department.source not in self.connected)
            else Proof(kind.linked_by, kind.linked_before)
            for kind in self.history.catalogue.kinds
        ]

    @cached_property
    def age_years(self) -> tuple[Floats, Floats]:
        """Least and most age of each person; 0 to 130 where no birth date is known."""
        birth = self.seen.homes.birth
        years = (self.as_of / MICROS_PER_DAY - birth.astype(np.float64)) / DAYS_PER_YEAR
        unknown = birth == NO_BIRTH
        return np.where(unknown, 0.0, years), np.where(unknown, 130.0, years)

    @cached_property
    def n_members(self) -> Ints:
        """People known to live in each household."""
        return np.bincount(self.home[self.lives_here], minlength=self.n_households)

    @cached_property
    def has_nobody(self) -> Bools:
        """Households of which nobody is known to live there."""
        return np.asarray(self.n_members == 0, np.bool_)

    def members_aged(self, least: float, below: float) -> tuple[Ints, Ints]:
        """How many members are surely, and how many may be, of an age in `[least, below)`."""
        lo, hi = self.age_years
        surely = self.lives_here & (lo >= least) & (hi < below)
        perhaps = self.lives_here & (hi >= least) & (lo < below)
        n = self.n_households
        return np.bincount(self.home[surely], minlength=n), np.bincount(self.home[perhaps], minlength=n)

    @cached_property
    def sources_seen(self) -> dict[str, Bools]:
        """For every source, which households it reported about within 24 months, with events that show them."""
        span = Span(months_before(self.as_of, LINK_MONTHS, self.history.time_zone), self.as_of)
        shows: dict[str, list[int]] = {}
        for k, kind in enumerate(self.history.catalogue.kinds):
            shows.setdefault(kind.department.source, []).extend([k] if kind.shows_household else [])
        return {
            source: self.flagged(self.of_kinds_in(tuple(kinds), span), Where.HOUSEHOLD)
            for source, kinds in shows.items()
        }

    def newest(self, rows: Ints, scope: Where) -> Ints:
        """When the newest of the rows happened, for each household or person; `ALWAYS` for none."""
        newest = np.full(self.units(scope) + 1, ALWAYS, np.int64)
        np.maximum.at(newest, self.unit(rows, scope), self.occurred[rows])
        return newest[:-1]

    def earliest(self, rows: Ints, scope: Where) -> Ints:
        """When the earliest of the rows happened, for each household or person; `NEVER` for none."""
        earliest = np.full(self.units(scope) + 1, NEVER, np.int64)
        np.minimum.at(earliest, self.unit(rows, scope), self.occurred[rows])
        return earliest[:-1]


def _number(value: object) -> float:
    assert isinstance(value, float)
    return value
