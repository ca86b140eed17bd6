"""Vectors at one moment, for any stretch of a history's households."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.history import History, Visible
from features.kernel import pass_over, people
from features.ordering import Bools, Floats, Ints
from features.plan import plan
from features.window import MICROS_PER_DAY, MICROS_PER_MONTH, last

LINK_WINDOW = last(months=24)
# Seats for the people of one household; there are more if need be.
ROOM = 32


class Vectors:
    """The vectors of all households of a history at one moment, computed in any stretch of them that is asked for.

    `names` are the features in the order wanted, all of the catalogue's if not given. One instance serves one thread.
    """

    def __init__(self, history: History, seen: Visible, names: Sequence[str] | None = None) -> None:
        self._history, self._seen = history, seen
        self._plan = layout = plan(history.catalogue, names)
        zone, as_of = history.time_zone, seen.as_of
        self._window_starts = np.array([window.start(as_of, zone) for window in layout.windows], np.int64)
        self._link_start = LINK_WINDOW.start(as_of, zone)
        at_home = seen.homes
        self._people = people(
            at_home.household, at_home.until, at_home.birth, as_of / MICROS_PER_DAY, layout.ages,
            len(history.household_ids),
        )  # fmt: skip
        words = history.residences[1] if layout.residences else ()
        self._residence = history.residences[0] if layout.residences else np.zeros(0, np.int64)
        self._places = np.array([words.index(w) if w in words else len(words) for w in layout.residences], np.int64)
        self._make_room(ROOM)

    @property
    def names(self) -> tuple[str, ...]:
        """The features, in order."""
        return self._plan.names

    @property
    def n_members(self) -> Ints:
        """People known to live in each household."""
        return np.array(self._people[:, 0])

    def fill(self, first: int, values: Floats, unknown: Bools, n_events: Ints) -> None:
        """Write the rows of households `first`, `first + 1` and so on, as many as `values` has.

        `values` and `unknown` are households x features; a value is NaN where it is unknown and also where it does not
        exist. `n_events` takes the events of the last 24 months.
        """
        done = 0
        while done < len(values):
            done += self._fill(first + done, values[done:], unknown[done:], n_events[done:])
            if done < len(values):
                self._make_room(2 * self._room)

    def _make_room(self, room: int) -> None:
        """Empty lists of persons, codes and spells, for households of up to `room` persons and the household itself.

        An entry counts if it carries the number of the household at hand, so nothing is wiped between households.
        """
        n_listing, n_coding, n_spells = self._plan.n_lists.tolist()
        self._room = room
        self._scratch = (
            # Household at hand and seat there: of nobody, and of each person.
            np.zeros((len(self._seen.homes.household) + 1, 2), np.int64),
            np.zeros((room, n_listing), np.int64),
            np.zeros((n_listing, 2), np.int64),
            np.zeros((len(self._plan.is_seen), n_coding), np.int64),
            np.zeros((n_coding, 2), np.int64),
            # Household at hand, whether the spell runs, since when, when it was last begun, when it ended.
            np.zeros((room, n_spells, 5), np.int64),
        )

    def _fill(self, first: int, values: Floats, unknown: Bools, n_events: Ints) -> int:
        """`fill`, as far as there is room: returns how many rows are written."""
        history, seen, layout = self._history, self._seen, self._plan
        done: int = pass_over(
            first, seen.starts, seen.rows, history.code, history.person, history.occurred, history.value,
            seen.as_of, self._link_start, self._window_starts, MICROS_PER_MONTH,
            layout.cells_until, layout.cells, layout.actions_until, layout.actions,
            layout.slots_of_cell, layout.slots,
            layout.is_personal, layout.is_seen, layout.proves,
            layout.nones_of_link, layout.none_columns, layout.none_values,
            layout.of_people, self._people, self._residence, self._places,
            layout.derived, layout.scales, layout.low, layout.high,
            *self._scratch, values, unknown, n_events,
        )  # fmt: skip
        return done
