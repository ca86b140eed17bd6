"""Where households stand at one moment, read from their history: what decides whether the model may score them.

The arrays that `models.abstention` judges. Training and serving get them from here, so that the households left out of
a test are those that would be left without a score.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue, made_once
from features.event import ROLES
from features.history import History, Visible
from features.matrix import Matrix
from features.window import MICROS_PER_MONTH
from models.abstention import KEY_DOMAINS, RecordState
from models.boosted import BoostedModel

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

OPT_OUT, DEATH = "SLF//OPTOUT", "FUN//CREMATE"
HEAD = ROLES.index("head")
# Of the events about persons, the share that may be about people nobody ever listed.
STRANGERS = 0.5


def record_state(
    history: History, seen: Visible, vectors: Matrix, model: BoostedModel, coverage: npt.ArrayLike
) -> RecordState:
    """The state of every household of the history at `seen.as_of`.

    `vectors` are the households' vectors at that moment, `coverage` is their share of the model's weight that lies on
    known features (`models.data_quality`).
    """
    return RecordState(
        values=vectors.values,
        unknown=vectors.unknown,
        coverage=np.asarray(coverage, np.float64),
        n_events=vectors.n_events,
        n_members=vectors.n_members,
        months_silent={name: months_silent(history, seen, of) for name, of in _key_kinds(history.catalogue).items()},
        unlearned=model.unlearned_unknowns(vectors.values),
        in_conflict=composition_conflicts(history, seen),
        opted_out=has_event(history, seen, OPT_OUT),
    )


def has_event(history: History, seen: Visible, code: str) -> Bools:
    """Which households have a visible event of that code."""
    flags = np.zeros(len(history.household_ids), np.bool_)
    flags[_owners(seen)[_of_kinds(history, seen, history.catalogue.positions((code,)))]] = True
    return flags


def months_silent(history: History, seen: Visible, kinds: Iterable[int] | None = None) -> Floats:
    """Months since the newest visible event of these kinds (positions in the catalogue) happened, by household.

    Infinite where there is none; not negative, because an event that lies ahead is as fresh as one of today. All kinds
    if none are given.
    """
    chosen = np.ones(len(seen.rows), np.bool_) if kinds is None else _of_kinds(history, seen, kinds)
    ages = (seen.as_of - history.occurred[seen.rows[chosen]]) / MICROS_PER_MONTH
    youngest = np.full(len(history.household_ids), np.inf)
    np.minimum.at(youngest, _owners(seen)[chosen], ages)
    found: Floats = np.maximum(youngest, 0.0)
    return found


def composition_conflicts(history: History, seen: Visible) -> Bools:
    """Households of which the records about who lives there cannot all be right.

    Two or more people are its head; everybody who lives there is registered as dead; or more than half of the events
    about persons are about people whom no membership ever listed. A household without a head is none of these: that is
    how a household looks whose head has died. Somebody who stands in two households counts where they came last
    (`features.household`), which is how a move looks whose departure was not reported.
    """
    n, homes = len(history.household_ids), seen.homes
    lives = homes.is_member
    at_home = homes.household[lives]
    people = np.bincount(at_home, minlength=n)
    heads = np.bincount(at_home[homes.role[lives] == HEAD], minlength=n)

    who = history.person[seen.rows]
    is_personal, owners = who >= 0, _owners(seen)
    is_dead = np.zeros(len(homes.household), np.bool_)
    deaths = np.flatnonzero(_of_kinds(history, seen, history.catalogue.positions((DEATH,))) & is_personal)
    # A death stays where it was filed, so elsewhere nobody who is asked about one household could see it.
    is_dead[who[deaths[homes.household[who[deaths]] == owners[deaths]]]] = True
    dead = np.bincount(homes.household[is_dead & lives], minlength=n)

    personal, place = owners[is_personal], homes.household[who[is_personal]]
    told = np.bincount(personal, minlength=n)
    strange = np.bincount(personal[place < 0], minlength=n)
    found: Bools = (heads > 1) | ((people > 0) & (dead == people)) | (strange > STRANGERS * told)
    return found


def _owners(seen: Visible) -> npt.NDArray[np.int64]:
    """The household of each visible event."""
    return np.repeat(np.arange(len(seen.starts) - 1), np.diff(seen.starts))


def _of_kinds(history: History, seen: Visible, kinds: Iterable[int]) -> Bools:
    is_kind = np.zeros(len(history.catalogue.kinds), np.bool_)
    is_kind[list(kinds)] = True
    found: Bools = is_kind[history.code[seen.rows]]
    return found


@made_once
def _key_kinds(catalogue: Catalogue) -> dict[str, tuple[int, ...]]:
    """Positions of the kinds that features of each key domain are computed from."""
    reads = {name: [f.codes for f in catalogue.features if f.group.value == name] for name in KEY_DOMAINS}
    return {
        name: catalogue.positions(tuple(sorted({p for each in codes for p in each}))) for name, codes in reads.items()
    }
