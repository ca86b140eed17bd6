"""Who stands on a visit list of a given length when several share its last places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.evaluation import visits_at

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def on_list(score: npt.ArrayLike, visits: int) -> Floats:
    """The chance of each row to stand on the list of the `visits` highest scores, ties drawn by lot; sums to `visits`.

    >>> on_list([0.9, 0.2, 0.2, 0.1], 2).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    ranked = np.asarray(score, np.float64)
    if not 0 < visits <= len(ranked):
        raise ValueError(f"a list of {len(ranked)} households has 1 to {len(ranked)} visits, not {visits}")
    if np.isnan(ranked).any():
        raise ValueError(f"row {int(np.flatnonzero(np.isnan(ranked))[0])} has no score")
    edge = np.partition(ranked, len(ranked) - visits)[len(ranked) - visits]
    is_above, is_tied = ranked > edge, ranked == edge
    return np.where(is_above, 1.0, np.where(is_tied, (visits - is_above.sum()) / is_tied.sum(), 0.0))


def on_monthly_list(score: npt.ArrayLike, as_of: Ints, share: float) -> Floats:
    """The same with the capacity, a share of the rows, spent anew at each moment."""
    ranked, chance = np.asarray(score, np.float64), np.zeros(len(as_of))
    for moment in np.unique(as_of):
        here = np.flatnonzero(as_of == moment)
        chance[here] = on_list(ranked[here], visits_at(share, len(here)))
    return chance


def list_name(share: float) -> str:
    """How metrics call a capacity.

    >>> list_name(0.05), list_name(0.025)
    ('5pct', '2_5pct')
    """
    return f"{100 * share:g}pct".replace(".", "_")


def shares_checked(capacity: Sequence[float]) -> tuple[float, ...]:
    """Capacities as given, each a share above 0 and up to 1; others are refused with a `ValueError`."""
    for share in capacity:
        visits_at(share, 1)
    return tuple(capacity)
