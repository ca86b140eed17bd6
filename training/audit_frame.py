"""From whom an audit arm is drawn: everybody who could enter a status at the moment, off the visit list."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from features.catalogue import catalogue
from features.dataset import read_dataset
from features.intake import admitted
from features.window import Micros, as_of_moment
from training.audit_arm import ArmRefused
from training.labels import label, label_rows


def drawable(folder: Path, as_of: str, listed: Path | None = None) -> tuple[pd.DataFrame, Micros]:
    """The households table of those at risk at a moment, and the moment.

    `listed` is a CSV or Parquet file with a column household_id: who is visited for a list anyway. A household without
    any data is at risk like any other; leaving it out would make it invisible once more. Raises `ArmRefused`.
    """
    dataset = read_dataset(folder)
    dataset = admitted(dataset, catalogue(dataset.meta.catalogue))
    moment = as_of_moment(as_of, dataset.meta.time_zone)
    rows = label_rows(label(dataset.meta.default_label, dataset), dataset, [moment])
    at_risk = set(rows.loc[rows["at_risk"].astype(bool), "household_id"]) - _listed(listed)
    if not at_risk:
        raise ArmRefused("no household is at risk at this moment and off the list; choose another --as-of")
    frame = dataset.households.drop_duplicates("household_id")
    return frame[frame["household_id"].isin(at_risk)].reset_index(drop=True), moment


def _listed(file: Path | None) -> set[str]:
    if file is None:
        return set()
    table = pd.read_csv(file, dtype=str) if file.suffix == ".csv" else pd.read_parquet(file)
    if "household_id" not in table:
        raise ArmRefused(f"{file.name} has no column household_id; name the households that are on the list in it")
    return set(table["household_id"].astype(str))
