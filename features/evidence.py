"""Which events stand behind a feature's value: for reasons that somebody can check, one household after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
import numpy.typing as npt

from features.catalogue import Catalogue, made_once
from features.history import History, Visible

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Evidence:
    """The visible events of the households of a history, asked feature by feature."""

    history: History
    seen: Visible

    def behind(self, feature: str, household: int) -> Ints:
        """Positions in the history of the household's events that the feature was computed from, oldest first.

        Empty for a feature that rests on no event, as the number of members.
        """
        leaves = _leaves(self.history.catalogue)[feature]
        if len(leaves) == 0:
            return leaves
        masks, starts = self._reads
        first, last = self.seen.starts[household], self.seen.starts[household + 1]
        return np.asarray(
            _inside(
                self.seen.rows, first, last, self.history.code, self.history.occurred, leaves, masks, starts,
                self.seen.as_of,
            )
        )  # fmt: skip

    @cached_property
    def _reads(self) -> tuple[npt.NDArray[np.bool_], Ints]:
        """What each feature reads: event kinds (features x kinds), and since when."""
        catalogue = self.history.catalogue
        starts = [feature.window.start(self.seen.as_of, self.history.time_zone) for feature in catalogue.features]
        return _masks(catalogue), np.array(starts, np.int64)


@made_once
def _masks(catalogue: Catalogue) -> npt.NDArray[np.bool_]:
    return np.stack([catalogue.codes_read[feature.name] for feature in catalogue.features])


@made_once
def _leaves(catalogue: Catalogue) -> dict[str, Ints]:
    """The event features that each feature is made from: itself, or the parts of a ratio or difference."""
    found: dict[str, set[int]] = {}
    for i, feature in enumerate(catalogue.features):
        if feature.measure.is_derived:
            found[feature.name] = set().union(*(found[name] for name in feature.of))
        else:
            found[feature.name] = {i} if feature.measure.is_of_events else set()
    return {name: np.array(sorted(leaves), np.int64) for name, leaves in found.items()}


@numba.njit(cache=True)
def _inside(rows, first, last, code, occurred, leaves, masks, starts, as_of):  # type: ignore[no-untyped-def]
    found = np.empty(last - first, np.int64)
    n = 0
    for k in range(first, last):
        row = rows[k]
        if occurred[row] >= as_of:
            continue
        for leaf in leaves:
            if masks[leaf, code[row]] and occurred[row] >= starts[leaf]:
                found[n] = row
                n += 1
                break
    return found[:n].copy()
