"""The selection over time within a study: which candidate earlier moments would have chosen, on households that the
test does not have."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pandas as pd

from features.dataset import Dataset
from features.history import History
from training.challengers import candidates
from training.ebm import some_households
from training.labels import Label
from training.learning import bag_candidate
from training.rows import vectors_of
from training.sample import Sample
from training.selection import Selection, over_origins, selection
from training.splits import Split
from training.splitter import TemporalSplitter

STEP_MONTHS = 3
MOST_ROWS = 60_000


def selected(
    dataset: Dataset,
    history: History,
    foreseen: Label,
    rows: pd.DataFrame,
    divided: Split,
    *,
    origins: int,
    seed: int,
    which: Collection[str],
    progress: Callable[[int, int], None] | None = None,
) -> Selection:
    """Compare the challengers named in `which` and the bag at `origins` moments, a quarter apart.

    `rows` are the labelled rows that were `divided`. Where the split holds households out, all rows of the others take
    part, the latest mature moments included: a test household is never looked at. Where it does not, only training
    rows do, and nothing younger than the first test moment has a say. Of more than 60,000 rows whole households are
    drawn.
    """
    asked, of = rows[divided.test], history.catalogue
    holds_households_out = "household" in str(divided.description["kind"])
    if holds_households_out:
        taken = rows[~rows["household_id"].isin(asked["household_id"].unique())]
        known_until: int | str = dataset.meta.data_until
    else:
        taken, known_until = rows[divided.train], int(asked["as_of"].min())
    drawn = taken.iloc[some_households(taken["household_id"], MOST_ROWS, f"selection/{seed}")].reset_index(drop=True)
    splitter = TemporalSplitter(
        time_zone=dataset.meta.time_zone,
        horizon_months=foreseen.horizon_months,
        publication_lag_days=foreseen.publication_lag_days(dataset),
        origins=origins,
        step_months=max(STEP_MONTHS, dataset.meta.moments.step_months),
        # Households need not be held out once more: an origin would have too few outcomes to tell candidates apart.
        data_until=known_until,
        seed=seed,
    )
    every = (*candidates(of.features, which), bag_candidate(of.features))
    sample = Sample(vectors_of(history, drawn), drawn)
    return selection(over_origins(every, sample, splitter, seed, progress=progress))
