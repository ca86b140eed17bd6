"""Who belongs to which household at a moment, as far as it is known then.

A membership spell is one (household, person, joined_at); a row known later replaces an earlier row of the same
spell. A person belongs to the household of the latest spell that runs at `as_of`. Their events follow them there,
wherever the events were filed. When the last spell has ended and no other is known, what happened during the spell
stays with the household that lived through it, the day of leaving included; later events belong to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.window import NEVER, Micros, has_begun, has_not_ended, is_known

Ints = npt.NDArray[np.int64]
NO_BIRTH = int(np.iinfo(np.int64).min)
NO_END = np.int64(NEVER)


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
    order = np.lexsort((sex, role, left, birth, known, household, joined, person))
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
    visible = np.flatnonzero(is_known(rows.known, NO_END, as_of) & has_begun(rows.joined, as_of))
    # Rows are sorted by person, joined, household, known: the last one of a spell is its latest known version.
    spell = np.stack([rows.person[visible], rows.joined[visible], rows.household[visible]])
    latest = visible[_last_of_run(spell)]
    running = has_not_ended(rows.left[latest], as_of)
    order = np.lexsort((rows.household[latest], rows.joined[latest], running, rows.person[latest]))
    ranked = latest[order]
    chosen = ranked[_last_of_run(rows.person[ranked][np.newaxis])]
    who = rows.person[chosen]
    household[who] = rows.household[chosen]
    until[who] = np.where(has_not_ended(rows.left[chosen], as_of), NEVER, rows.left[chosen])
    birth[who] = rows.birth[chosen]
    role[who], sex[who] = rows.role[chosen], rows.sex[chosen]
    return Homes(household, until, birth, role, sex)


def _last_of_run(keys: Ints) -> npt.NDArray[np.bool_]:
    """Marks the last column of every run of equal columns."""
    if keys.shape[1] == 0:
        return np.zeros(0, np.bool_)
    return np.append((keys[:, 1:] != keys[:, :-1]).any(axis=0), True)
