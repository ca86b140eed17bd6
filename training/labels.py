"""What is foreseen: per household and moment, whether it was at risk then and what became of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from features.catalogue import CORE, Catalogue, catalogue
from features.dataset import Dataset
from features.definition import Text
from features.window import Micros
from training.publication_lag import publication_lag_days
from training.statuses import ENDINGS, status_rows

COLUMNS = ("household_id", "as_of", "at_risk", "outcome", "formerly_poor", "null_reason")
HORIZON_MONTHS = 12


class LabelRefused(ValueError):
    """The label cannot be used on this dataset; the message says why and what can."""


@dataclass(frozen=True)
class Label:
    """One answer to "what are we foreseeing?".

    `rows(dataset, as_ofs)` gives one row per household and moment: `household_id`, `as_of` (microseconds),
    `at_risk`, `outcome` (1.0, 0.0, or NaN where it cannot be said), `formerly_poor` and `null_reason` (why the
    outcome is NaN, else None). Where it can be known, the bool columns `treated` and `treated_before_entry` say whether
    aid was given within the horizon, and `discovery_route` by which route a positive came to be seen (None for the
    others); all three are for the evaluation and never features. Call `label_rows`, which also checks the answer.

    `publication_lag_days(dataset)` is how long after the end of the horizon the outcome is taken as known; the rows of
    moments that are not so far back are null. A label that knows from its data alone what is in, as a panel's, has 0.
    """

    name: str
    meaning: Text
    horizon_months: int
    rows: Callable[[Dataset, Sequence[Micros]], pd.DataFrame]
    publication_lag_days: Callable[[Dataset], int] = lambda _: 0


def label(name: str, dataset: Dataset) -> Label:
    """The label of that name, or a refusal that lists the ones this dataset has."""
    known = labels(dataset.meta.catalogue)
    if name not in known:
        raise LabelRefused(
            f"no label {name!r} for a dataset of the catalogue {dataset.meta.catalogue!r}; "
            f"known are {', '.join(sorted(known)) or 'none'}"
        )
    return known[name]


def labels(catalogue_name: str) -> dict[str, Label]:
    """Every label that datasets of one catalogue can have: of its statuses, and the panel's own."""
    known = status_labels(catalogue(catalogue_name))
    if catalogue_name == CORE:
        return known
    module = f"training.panels.{catalogue_name}"
    try:
        own: dict[str, Label] = importlib.import_module(module).LABELS
    except ModuleNotFoundError as error:
        if error.name not in (module, "training.panels"):
            raise
        own = {}
    return known | own


def status_labels(of: Catalogue) -> dict[str, Label]:
    """L1, L2 and L5 of a catalogue that declares entries into a status; none if it declares no entry.

    An entry whose ending is not declared is refused: a status without an end would keep its households out of
    the training data for ever.
    """
    entries = tuple(kind.code for kind in of.kinds if kind.is_entry)
    endless = [code for code in entries if code not in ENDINGS]
    if endless:
        raise LabelRefused(f"{', '.join(endless)} begins a status; declare how it ends in training/statuses.py")
    if not entries:
        return {}
    severe = tuple(code for code in entries if code.startswith(("DB//", "TK//")))
    any_status = Text("12个月内被纳入救助或监测对象", "enters a supported or monitored status within 12 months")
    again = Text("曾脱贫或已消除风险的家庭12个月内返贫", "formerly poor household enters a status within 12 months")
    worst = Text("12个月内被纳入低保或特困", "enters dibao or destitute support within 12 months")

    def waiting_for(name: str, meaning: Text, codes: tuple[str, ...], *, only_formerly_poor: bool = False) -> Label:
        rows = partial(
            status_rows,
            catalogue=of,
            entry_codes=codes,
            horizon_months=HORIZON_MONTHS,
            only_formerly_poor=only_formerly_poor,
        )
        return Label(name, meaning, HORIZON_MONTHS, rows, lambda dataset: publication_lag_days(dataset.meta, of, codes))

    offered = [
        waiting_for("L1", any_status, entries),
        waiting_for("L2", again, entries, only_formerly_poor=True),
        waiting_for("L5", worst, severe),
    ]
    return {one.name: one for one in offered}


def label_rows(of: Label, dataset: Dataset, as_ofs: Sequence[Micros]) -> pd.DataFrame:
    """The label's rows, checked: one per household and moment, and a reason wherever there is no outcome."""
    if not as_ofs:
        raise LabelRefused(f"label {of.name} needs at least one moment")
    rows = of.rows(dataset, as_ofs)
    missing = [column for column in COLUMNS if column not in rows.columns]
    if missing:
        raise LabelRefused(f"label {of.name} lacks the column(s) {', '.join(missing)}")
    is_null = rows["outcome"].isna()
    problems = {
        "has a household twice at one moment": rows.duplicated(["household_id", "as_of"]).any(),
        "has an outcome other than 0, 1 and null": not (is_null | rows["outcome"].isin([0.0, 1.0])).all(),
        "has an outcome for a household that was not at risk": not (is_null | rows["at_risk"].astype(bool)).all(),
        "gives no reason for a null, or a reason without a null": (rows["null_reason"].notna() != is_null).any(),
    }
    wrong = [problem for problem, is_wrong in problems.items() if is_wrong]
    if wrong:
        raise LabelRefused(f"label {of.name} {wrong[0]}")
    return rows
