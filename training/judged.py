"""The rows a model is judged on, with everything they are judged by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.dataset import Dataset
from features.window import micros_of

Floats = npt.NDArray[np.float64]


def judged_rows(
    test: pd.DataFrame,
    probability: Floats,
    left_out: pd.DataFrame,
    baselines: Mapping[str, Floats],
    dataset: Dataset,
) -> pd.DataFrame:
    """The test rows (`household_id`, `as_of`, `outcome` and whatever the label knows) with `probability`, the columns
    of `training.abstained` in `left_out`, the household's `township`, one `baseline_<name>` a challenger and, where the
    county's truth is known, `hazard` (NaN at moments it is not given for)."""
    township = dataset.households.drop_duplicates("household_id").set_index("household_id")["township"]
    judged = test.assign(
        probability=probability,
        township=township.reindex(test["household_id"]).to_numpy(object),
        **{f"baseline_{name}": forecast for name, forecast in baselines.items()},
    )
    judged = pd.concat([judged, left_out], axis=1)
    if dataset.truth is not None and len(test):
        truth = dataset.truth.assign(as_of=micros_of(dataset.truth["as_of"]))
        joined = test.merge(truth, on=["household_id", "as_of"], how="left", validate="one_to_one")
        judged["hazard"] = joined["hazard_12m"].to_numpy(np.float64)
    return judged


def regions(dataset: Dataset, rows: pd.DataFrame) -> npt.NDArray[np.object_]:
    """The region of each row's household."""
    region = dataset.households.drop_duplicates("household_id").set_index("household_id")["region"]
    return np.asarray(region.reindex(rows["household_id"]).to_numpy(object), object)
