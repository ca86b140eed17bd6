"""Which test rows the model would not have scored, by the same codes that serving uses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.history import History, visible
from features.matrix import matrix_of
from models.abstention import Limits, codes
from models.boosted import BoostedModel
from models.data_quality import known_share
from models.record_state import record_state

Floats = npt.NDArray[np.float64]
CODE = "code_"


def abstained(
    history: History,
    rows: pd.DataFrame,
    model: BoostedModel,
    importance: Floats,
    *,
    limits: Limits,
    ranges: Floats | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """For each of `rows` (`household_id`, `as_of`), in their order and with their index: `abstained` (bool), `coverage`
    (share of the model's weight on known features, 0 to 1), and a bool column `code_<name>` for every code of
    `models.abstention.ABSTAINING`.

    `importance` and `ranges` belong to the features of the history's catalogue, as the bundle will hold them.
    """
    catalogue = history.catalogue
    groups = tuple(feature.group.value for feature in catalogue.features)
    household = np.array([history.index[name] for name in rows["household_id"]], np.int64)
    as_of = rows["as_of"].to_numpy(np.int64)
    parts, moments = [], np.unique(as_of)
    for done, moment in enumerate(moments):
        seen = visible(history, int(moment))
        vectors = matrix_of(history, seen)
        coverage = known_share(catalogue, importance, vectors.unknown)
        state = record_state(history, seen, vectors, model, coverage)
        found = pd.DataFrame(codes(state, importance, groups, limits=limits, ranges=ranges)).add_prefix(CODE)
        found.insert(0, "abstained", found.any(axis=1))
        found.insert(1, "coverage", coverage)
        wanted = np.flatnonzero(as_of == moment)
        parts.append(found.iloc[household[wanted]].set_axis(wanted))
        if progress is not None:
            progress(done + 1, len(moments))
    return pd.concat(parts).sort_index().set_axis(rows.index)
