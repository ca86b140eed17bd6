"""The rows a model learns from: vectors of labelled households at their moments, in one canonical order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import Catalogue
from features.dataset import Dataset
from features.history import History, history_from_tables
from features.matrix import matrix
from features.window import Micros
from training.labels import Label, label_rows


def dataset_history(dataset: Dataset, catalogue: Catalogue) -> History:
    """The dataset's events, ready for vectors."""
    return history_from_tables(
        dataset.events, dataset.members, dataset.households, catalogue, time_zone=dataset.meta.time_zone
    )


def in_canonical_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows by household and moment. LightGBM grows other trees from another row order, so there is only one."""
    return rows.sort_values(["household_id", "as_of"], kind="stable").reset_index(drop=True)


def labelled_rows(of: Label, dataset: Dataset, as_ofs: Sequence[Micros]) -> pd.DataFrame:
    """The label's rows of households at risk whose outcome can be said, in canonical order."""
    rows = label_rows(of, dataset, as_ofs)
    return in_canonical_order(rows[rows["at_risk"] & rows["outcome"].notna()])


def vectors_of(
    history: History, rows: pd.DataFrame, progress: Callable[[int, int], None] | None = None
) -> npt.NDArray[np.float64]:
    """Vectors of `rows` (`household_id`, `as_of`), rows x features, in the order of the rows.

    Each moment is computed once for everybody and only the asked households are kept.
    """
    household = np.array([history.index[name] for name in rows["household_id"]], np.int64)
    as_of = rows["as_of"].to_numpy(np.int64)
    values = np.empty((len(rows), len(history.catalogue.features)))
    moments = np.unique(as_of)
    for done, moment in enumerate(moments):
        wanted = np.flatnonzero(as_of == moment)
        values[wanted] = matrix(history, int(moment)).values[household[wanted]]
        if progress is not None:
            progress(done + 1, len(moments))
    return values
