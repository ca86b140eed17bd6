"""Who belongs to which household at a moment, as far as it is known then.

A membership spell is one (household, person, joined_at); a row known later replaces an earlier row of the same
spell. A person belongs to the household of the latest spell that runs at `as_of`. Their events follow them there,
wherever the events were filed. When the last spell has ended and no other is known, what happened during the spell
stays with the household that lived through it, the day of leaving included; later events belong to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from features.ordering import grouped
from features.window import NEVER, Micros

Ints = npt.NDArray[np.int64]
NO_BIRTH = int(np.iinfo(np.int64).min)


@dataclass(frozen=True)
class Memberships:
    """Membership rows sorted by person, joined_at, household, known_at; all times in microseconds.

    `birth` is the birth date as days since 1970-01-01, `NO_BIRTH` when it is not known; `role` and `sex` are positions
    in `features.event.ROLES` and `SEXES`, -1 when not known. Sex is for rules about who an aid is meant for; no feature
    reads it.
    """

    person: Ints
    household: Ints
    joined: Ints
    left: Ints
    known: Ints
    birth: Ints
    role: Ints
    sex: Ints
    n_persons: int


@dataclass(frozen=True)
class Homes:
    """Where each person belongs at one moment: household index or -1, and until when their events count there."""

    household: Ints
    until: Ints
    birth: Ints
    role: Ints
    sex: Ints

    @property
    def is_member(self) -> npt.NDArray[np.bool_]:
        """Who lives in their household at that moment."""
        lives_there: npt.NDArray[np.bool_] = (self.household >= 0) & (self.until == NEVER)
        return lives_there


def memberships(
    person: Ints,
    household: Ints,
    joined: Ints,
    left: Ints,
    known: Ints,
    birth: Ints,
    n_persons: int,
    *,
    role: Ints | None = None,
    sex: Ints | None = None,
) -> Memberships:
    """The rows in the order that `homes` needs, whatever order they came in."""
    role = np.full(len(person), -1, np.int64) if role is None else role
    sex = np.full(len(person), -1, np.int64) if sex is None else sex
    order, starts = grouped(person, n_persons)
    _sort_rows(order, starts, joined, household, known, birth, left, role, sex)
    return Memberships(
        person=person[order],
        household=household[order],
        joined=joined[order],
        left=left[order],
        known=known[order],
        birth=birth[order],
        role=role[order],
        sex=sex[order],
        n_persons=n_persons,
    )


def homes(rows: Memberships, as_of: Micros) -> Homes:
    """Each person's home at `as_of`: the spell still running then, or else the one that ended last."""
    household = np.full(rows.n_persons, -1, np.int64)
    until = np.full(rows.n_persons, NEVER, np.int64)
    birth = np.full(rows.n_persons, NO_BIRTH, np.int64)
    role, sex = np.full(rows.n_persons, -1, np.int64), np.full(rows.n_persons, -1, np.int64)
    _settle(
        rows.person, rows.household, rows.joined, rows.left, rows.known, rows.birth, rows.role, rows.sex, as_of,
        household, until, birth, role, sex,
    )  # fmt: skip
    return Homes(household, until, birth, role, sex)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _sort_rows(
    order: Ints, starts: Ints,
    joined: Ints, household: Ints, known: Ints, birth: Ints, left: Ints, role: Ints, sex: Ints,
) -> None:  # fmt: skip
    """Sort the positions of each person's rows by the other columns, from left to right."""
    for p in range(len(starts) - 1):
        # Few rows speak of one person, and most files hold them in order.
        for i in range(starts[p] + 1, starts[p + 1]):
            moving = order[i]
            k = i
            while k > starts[p]:
                other = order[k - 1]
                is_before = False
                for column in (joined, household, known, birth, left, role, sex):
                    if column[moving] != column[other]:
                        is_before = column[moving] < column[other]
                        break
                if not is_before:
                    break
                order[k] = other
                k -= 1
            order[k] = moving


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _settle(
    person: Ints, home: Ints, joined: Ints, left: Ints, known: Ints, birth: Ints, role: Ints, sex: Ints, as_of: Micros,
    home_of: Ints, until_of: Ints, birth_of: Ints, role_of: Ints, sex_of: Ints,
) -> None:  # fmt: skip
    n, i = len(person), 0
    while i < n:
        who, chosen, is_running = person[i], -1, False
        while i < n and person[i] == who:
            # The last visible row of a spell is its latest known version.
            first, latest = i, -1
            while i < n and person[i] == who and joined[i] == joined[first] and home[i] == home[first]:
                if known[i] <= as_of and joined[i] < as_of:
                    latest = i
                i += 1
            if latest < 0:
                continue
            runs = left[latest] >= as_of
            # Spells come in order of joining and household: of two that run, or two that ended, the later one counts.
            if chosen < 0 or runs or not is_running:
                chosen, is_running = latest, runs
        if chosen >= 0:
            home_of[who] = home[chosen]
            until_of[who] = NEVER if is_running else left[chosen]
            birth_of[who] = birth[chosen]
            role_of[who], sex_of[who] = role[chosen], sex[chosen]
