"""Households of calls as the tables that `features` reads: times read, contradictions refused.

All households of all calls become columns at once. The columns say which households are in doubt, and
`serving.case_errors` then reads those row by row and says what is wrong with them, if anything is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from itertools import chain, repeat
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.event import EVENTS, HOUSEHOLDS, MEMBERS
from features.intake import rows_in_doubt
from features.tables import Tables
from features.window import ALWAYS, MICROS_PER_DAY, NEVER, Micros, as_of_moment, day, is_after
from models.tier import Previous, Tier
from serving.case_errors import MICROS, Frame, case_errors, is_born_later, listed_twice, repeated_households
from serving.codec import AnyEvent, AnyHousehold, AnyMember
from serving.errors import Invalid
from serving.moments import moments
from serving.settings import Settings

__all__ = ["MICROS", "Cases", "Frame", "read_all", "read_cases"]

Ints = npt.NDArray[np.int64]
_UNIX_EPOCH = 719_163


@dataclass(frozen=True)
class Cases:
    """Households ready to be assessed, with one moment each.

    `names` are what the tables and `previous` call them; `household_ids` what they are called outside. They differ
    where households of several calls stand together, of which two may have one id. Persons are named within their
    household, so that two households may both have a `p1`.
    """

    names: tuple[str, ...]
    household_ids: tuple[str, ...]
    as_of: tuple[Micros, ...]
    tables: Tables
    previous: Mapping[str, tuple[Previous, Micros]]


def read_cases(households: Sequence[AnyHousehold], frame: Frame, settings: Settings, now: Micros) -> Cases:
    """Check households against each other, the clock and the catalogue. Raises `Invalid` with every problem found.

    `now` is the server's clock. A row may be known after its household's `as_of` (it is then not seen), but not after
    `now`; so an old `as_of` can be asked again with everything that has come in since.
    """
    columns = _Columns(households, [household.household_id for household in households], frame, settings, now)
    refusal = _refusal(households, columns.in_doubt, frame, settings, now)
    if refusal is not None:
        raise refusal
    return columns.cases


def read_all(
    calls: Sequence[Sequence[AnyHousehold]], frame: Frame, settings: Settings, now: Micros
) -> tuple[list[Invalid | None], Cases]:
    """What is wrong with each of several calls, and the households of those with which nothing is, one call after the
    other and under names of their own. No call is judged by what stands in another."""
    columns = _numbered(chain.from_iterable(calls), frame, settings, now)
    refusals: list[Invalid | None] = []
    first = 0
    for households in calls:
        doubts = [place - first for place in columns.in_doubt if first <= place < first + len(households)]
        refusals.append(_refusal(households, doubts, frame, settings, now))
        first += len(households)
    if any(refusals):
        sound = (call for call, refusal in zip(calls, refusals, strict=True) if refusal is None)
        columns = _numbered(chain.from_iterable(sound), frame, settings, now)
    return refusals, columns.cases


def _numbered(households: Iterable[AnyHousehold], frame: Frame, settings: Settings, now: Micros) -> _Columns:
    listed = list(households)
    return _Columns(listed, [f"{place:06d}" for place in range(len(listed))], frame, settings, now)


def _refusal(
    households: Sequence[AnyHousehold], doubts: Sequence[int], frame: Frame, settings: Settings, now: Micros
) -> Invalid | None:
    """The refusal of one call, some of whose households are in doubt."""
    # Rows of two households under one name cannot be told apart, so nothing more can be said about them.
    errors = repeated_households(households)
    if not errors and doubts:
        errors = case_errors(households, doubts, frame, settings, now)
    return Invalid.because(errors) if errors else None


class _Columns:
    """The rows of households as columns."""

    def __init__(
        self, households: Sequence[AnyHousehold], names: Sequence[str], frame: Frame, settings: Settings, now: Micros
    ) -> None:
        self.households, self.names, self.frame = households, names, frame
        self.latest_as_of = now + settings.as_of_ahead_s * MICROS
        self.as_of = moments([h.as_of for h in households], frame.time_zone, as_of_moment)
        self.latest = np.where(self.as_of == NEVER, 0, self.as_of).clip(min=now + settings.clock_skew_s * MICROS)
        self.members: list[AnyMember] = list(chain.from_iterable([h.members for h in households]))
        self.events: list[AnyEvent] = list(chain.from_iterable([h.events for h in households]))
        self.n_members = [len(h.members) for h in households]
        self.n_events = [len(h.events) for h in households]

    @cached_property
    def cases(self) -> Cases:
        """The tables, and what else an assessment needs. To be used where nothing is wrong."""
        return Cases(
            names=tuple(self.names),
            household_ids=tuple([h.household_id for h in self.households]),
            as_of=tuple(self.as_of.tolist()),
            tables=Tables(self._event_table, self._member_table, self._household_table),
            previous={
                name: (Previous(Tier(h.previous.tier), Tier(h.previous.tier_computed)), self._previous_as_of[name])
                for name, h in zip(self.names, self.households, strict=True)
                if h.previous is not None
            },
        )

    # -- doubts

    @cached_property
    def in_doubt(self) -> list[int]:
        """Places of the households with which something may be wrong, in order; with all others nothing is."""
        found = {place for place, household in enumerate(self.households) if self._is_in_doubt(place, household)}
        found.update(self._with_doubtful_members(), self._with_spells_at_once())
        if self.events:
            rows = rows_in_doubt(
                self._event_table,
                self.frame.catalogue,
                currency=self.frame.currency,
                # A row between this and its own household's last moment is merely looked at.
                latest=int(self.latest.min()),
            )
            found.update(self._places(self.n_events)[rows].tolist())
        return sorted(found)

    def _is_in_doubt(self, place: int, household: AnyHousehold) -> bool:
        as_of = self.as_of[place]
        if household.region not in self.frame.regions or as_of == NEVER or as_of > self.latest_as_of:
            return True
        return household.previous is not None and bool(self._previous_as_of[self.names[place]] >= as_of)

    def _with_doubtful_members(self) -> list[int]:
        (joined, left, known), born = self._spells, self._births
        place, has_left = self._places(self.n_members), [member.left_at is not None for member in self.members]
        is_bad = (joined == NEVER) | (known == NEVER) | (left == NEVER) & np.array(has_left, np.bool_)
        is_bad |= is_after(joined, left) | is_after(known, self.latest[place]) | (born == NEVER)
        # No clock is further from UTC than a day; within it the calendar of the place decides.
        for row in np.flatnonzero(~is_bad & is_after(born, known - MICROS_PER_DAY)).tolist():
            is_bad[row] = is_born_later(str(self.members[row].birth_date), int(known[row]), self.frame.time_zone)
        found: list[int] = place[is_bad].tolist()
        return found

    def _with_spells_at_once(self) -> Iterator[int]:
        if len(set(self._member_persons)) == len(self.members):
            return
        ends = np.cumsum(self.n_members).tolist()
        for place, (n, end) in enumerate(zip(self.n_members, ends, strict=True)):
            rows = slice(end - n, end)
            joined, left, _ = (times[rows].tolist() for times in self._spells)
            if listed_twice(self._member_persons[rows], joined, left):
                yield place

    # -- columns

    def _places(self, counts: Sequence[int]) -> Ints:
        """The place of each row's household."""
        return np.repeat(np.arange(len(counts)), counts)

    @cached_property
    def _previous_as_of(self) -> dict[str, Micros]:
        given = {n: h.previous.as_of for n, h in zip(self.names, self.households, strict=True) if h.previous}
        at = moments(list(given.values()), self.frame.time_zone, as_of_moment)
        return dict(zip(given, at.tolist(), strict=True))

    @cached_property
    def _spells(self) -> tuple[Ints, Ints, Ints]:
        """When members joined, left and became known."""
        joined, left, known = ([getattr(m, name) for m in self.members] for name in _SPELL)
        known = [then if then is not None else since for then, since in zip(known, joined, strict=True)]
        zone = self.frame.time_zone
        return moments(joined, zone), moments(left, zone), moments(known, zone)

    @cached_property
    def _births(self) -> Ints:
        """Midnights in UTC, `ALWAYS` where the birth is not known and `NEVER` where its date is none."""
        return np.array([_birth(member.birth_date) for member in self.members], np.int64)

    @cached_property
    def _times(self) -> tuple[Ints, Ints]:
        """When events occurred and became known."""
        zone = self.frame.time_zone
        occurred = [event.occurred_at for event in self.events]
        given = [event.known_at for event in self.events]
        known = [at if then is None else then for at, then in zip(occurred, given, strict=True)]
        occurred_at, known_at = moments(occurred, zone), moments(known, zone)
        # Known on a day means after that day had begun: at the end of the day before, nobody knew.
        is_day = np.array([len(text) == 10 for text in known], np.bool_)
        known_at[is_day & (known_at != NEVER)] += MICROS
        # A report dated only by its day came at some hour of that day, which is not before the event.
        for row in np.flatnonzero(is_after(occurred_at, known_at) & (occurred_at != NEVER)).tolist():
            if given[row] == day(int(occurred_at[row]), zone):
                known_at[row] = occurred_at[row]
        return occurred_at, known_at

    @cached_property
    def _member_persons(self) -> list[str]:
        return [f"{place}/{m.person_id}" for place, h in enumerate(self.households) for m in h.members]

    @cached_property
    def _event_table(self) -> pa.Table:
        occurred, known = self._times
        persons = [
            None if event.person_id is None else f"{place}/{event.person_id}"
            for place, household in enumerate(self.households)
            for event in household.events
        ]
        made = {
            "household_id": list(chain.from_iterable(map(repeat, self.names, self.n_events))),
            "person_id": persons,
            "occurred_at": occurred,
            "known_at": known,
        }
        return _table(EVENTS, made, self.events)

    @cached_property
    def _member_table(self) -> pa.Table:
        joined, left, known = self._spells
        made = {
            "household_id": list(chain.from_iterable(map(repeat, self.names, self.n_members))),
            "person_id": self._member_persons,
            "birth_date": pa.array(self._births // MICROS_PER_DAY, pa.int64(), mask=self._births == ALWAYS).cast(
                pa.int32()
            ),
            "joined_at": joined,
            "left_at": left,
            "known_at": known,
        }
        return _table(MEMBERS, made, self.members)

    @cached_property
    def _household_table(self) -> pa.Table:
        return _table(HOUSEHOLDS, {"household_id": self.names}, self.households)


_SPELL = ("joined_at", "left_at", "known_at")


@lru_cache(maxsize=65_536)
def _birth(text: str | None) -> Micros:
    try:
        return ALWAYS if text is None else (date.fromisoformat(text).toordinal() - _UNIX_EPOCH) * MICROS_PER_DAY
    except ValueError:
        return NEVER


def _table(schema: pa.Schema, made: Mapping[str, Any], rows: Sequence[Any]) -> pa.Table:
    """A table of the columns that were made and, for the others, of what the rows say."""
    return pa.Table.from_arrays(
        [_column(made[f.name] if f.name in made else list(map(attrgetter(f.name), rows)), f.type) for f in schema],
        schema=schema,
    )


def _column(cells: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(cells, pa.Array):
        return cells.view(kind)
    if not pa.types.is_timestamp(kind):
        return pa.array(cells, kind)
    return pa.array(cells, mask=cells == NEVER).view(kind)
