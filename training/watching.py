"""The rows a published bundle is watched on: scored moment by moment, with what became of them where it is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.dataset import Dataset, DatasetRefused, read_dataset
from features.intake import admitted
from features.window import as_of_moment, day
from models.bundle import Bundle
from training.labels import label as label_of
from training.labels import label_rows
from training.moments import moments
from training.rows import dataset_history, in_canonical_order, vectors_of

Floats = npt.NDArray[np.float64]

RECENT_MOMENTS = 3


@dataclass(frozen=True)
class Watched:
    """Scored rows, and the vectors of the latest moments.

    `rows` has household_id, as_of, outcome (NaN where it is not known), margin, probability, abstained, recent,
    region and township; `recent_values` are the vectors of the recent rows in their order. Stays on the machine.
    """

    rows: pd.DataFrame
    recent_values: Floats
    label: str
    data_until: str


def watched(
    bundle: Bundle,
    folder: Path,
    *,
    label: str | None = None,
    since: str | None = None,
    until: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Watched:
    """Score every household at risk at the moments from `since` (the day after training ended, if not given) to
    `until`.

    Vectors are kept for the latest three moments only, so memory does not grow with the time watched. Refused when
    the dataset is not one the bundle can read, or has no household at risk then.
    """
    dataset = read_dataset(folder)
    bundle.refuse_foreign(dataset.meta)
    dataset = admitted(dataset, bundle.catalogue)
    foreseen = label_of(label or bundle.label, dataset)
    grid = moments(dataset.meta, since=since or _after_training(bundle), until=until)
    rows = label_rows(foreseen, dataset, grid)
    rows = _placed(in_canonical_order(rows[rows["at_risk"]]), dataset)
    if rows.empty:
        raise DatasetRefused("no household is at risk in that time; choose other moments or another label")
    history = dataset_history(dataset, bundle.catalogue)
    as_of = rows["as_of"].to_numpy(np.int64)
    present = np.unique(as_of)
    margin, abstained = np.empty(len(rows)), np.zeros(len(rows), np.bool_)
    recent = np.isin(as_of, present[-RECENT_MOMENTS:])
    kept = np.empty((int(recent.sum()), len(bundle.catalogue.features)))
    place = np.cumsum(recent) - 1
    for done, moment in enumerate(present):
        at = np.flatnonzero(as_of == moment)
        values = vectors_of(history, rows.iloc[at])
        margin[at] = bundle.model.margins(values)
        abstained[at] = bundle.model.unlearned_unknowns(values)
        if recent[at[0]]:
            kept[place[at]] = values
        if progress is not None:
            progress(done + 1, len(present))
    rows = rows.assign(margin=margin, abstained=abstained, recent=recent)
    rows["probability"] = bundle.calibration.probability(margin, rows["region"].to_numpy(object))
    return Watched(rows, kept, foreseen.name, dataset.meta.data_until)


def _after_training(bundle: Bundle) -> str | None:
    trained = bundle.manifest.get("training", {}).get("train_until")
    if trained is None:
        return None
    # The end of a day is the first instant of the next one.
    return day(as_of_moment(str(trained), bundle.time_zone), bundle.time_zone)


def _placed(rows: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    places = dataset.households.drop_duplicates("household_id").set_index("household_id")
    ids = rows["household_id"]
    township = places["township"] if "township" in places else pd.Series(dtype=object)
    return rows.assign(
        region=ids.map(places["region"]).astype(object).to_numpy(),
        township=ids.map(township).astype(object).to_numpy(),
    )
