"""The rows that the value of a source is measured on, with the vectors that are left when it is left out.

Only what the model reads is taken away. Outcomes, who is at risk and which rows are judged come from the whole data,
or a county that loses the office deciding on a status would look as if nobody had entered it. Members and addresses
are no events and stay.

A department that is not connected says nothing: its silence is unknown, not none. Without its events alone, "no
disability certificate" would be read from the fact that other offices see the household. So a feature that reads any
event this department reports is unknown wherever nothing else was reported.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.catalogue import Catalogue, catalogue
from features.dataset import Dataset
from features.definition import Absent
from features.history import history_of
from features.intake import admitted
from features.ordering import Bools
from features.tables import Tables
from training.ebm import some_households
from training.fold import FEWEST_TOLD
from training.labels import Label, label
from training.moments import moments
from training.rows import labelled_rows, vectors_of
from training.sample import Sample
from training.splits import split

if TYPE_CHECKING:
    from training.study import Plan

MOST_ROWS = 60_000


class SourceValueRefused(ValueError):
    """The value of a source cannot be measured on this dataset; the message says why."""


@dataclass(frozen=True)
class Question:
    """What stays the same whatever source is left out."""

    tables: Tables
    catalogue: Catalogue
    time_zone: str
    label: Label
    train: pd.DataFrame
    test: pd.DataFrame

    @staticmethod
    def of(dataset: Dataset, plan: Plan) -> Question:
        """The labelled rows of a dataset, split as planned; above `MOST_ROWS` on a side whole households are drawn.

        Raises `SourceValueRefused` with fewer than ten households with the outcome on a side.
        """
        chosen = catalogue(dataset.meta.catalogue)
        dataset = admitted(dataset, chosen)
        meta, foreseen = dataset.meta, label(plan.label or dataset.meta.default_label, dataset)
        rows = labelled_rows(foreseen, dataset, moments(meta, until=plan.test_until))
        divided = split(
            rows,
            kind=plan.split,
            train_until=plan.train_until,
            test_from=plan.test_from,
            test_until=plan.test_until,
            horizon_months=foreseen.horizon_months,
            publication_lag_days=foreseen.publication_lag_days(dataset),
            time_zone=meta.time_zone,
            seed=plan.seed,
        )
        train, test = (_some(rows[side], plan.seed) for side in (divided.train, divided.test))
        for name, side in (("training", train), ("test", test)):
            if side.loc[side["outcome"] == 1.0, "household_id"].nunique() < FEWEST_TOLD:
                raise SourceValueRefused(
                    f"fewer than {FEWEST_TOLD} {name} households have the outcome; choose more moments, more "
                    "households or another label"
                )
        # Neighbours share much; the intervals are over townships where there are enough.
        towns = dataset.households.drop_duplicates("household_id").set_index("household_id")
        if "township" in towns:
            test = test.assign(township=test["household_id"].map(towns["township"]))
        tables = Tables.from_frames(dataset.events, dataset.members, dataset.households)
        return Question(tables, chosen, meta.time_zone, foreseen, train, test)

    def samples(self, tables: Tables, of: Catalogue) -> tuple[Sample, Sample]:
        """Training and test rows with their vectors from these tables."""
        history = history_of(tables, of, time_zone=self.time_zone)
        train, test = (Sample(vectors_of(history, rows), rows) for rows in (self.train, self.test))
        return train, test


def _events_of(tables: Tables, source: str) -> pa.ChunkedArray:
    return pc.fill_null(pc.equal(pc.cast(tables.events["source"], "string"), source), False)


def without(tables: Tables, of: Catalogue, source: str) -> tuple[Tables, Catalogue]:
    """The tables without the events of a source, and the catalogue whose features take its silence for unknown."""
    is_told, silent = _events_of(tables, source), _reported(tables, of, source)
    features = tuple(
        dataclasses.replace(feature, when_absent=Absent.UNKNOWN, linked_by=(), none_is=None)
        if (of.codes_read[feature.name] & silent).any()
        else feature
        for feature in of.features
    )
    kept = dataclasses.replace(tables, events=tables.events.filter(pc.invert(is_told)))
    return kept, Catalogue(of.name, of.kinds, features)


def readers(tables: Tables, of: Catalogue, source: str) -> tuple[str, ...]:
    """The features that read events of a source, themselves or through what they are made from."""
    silent, found = _reported(tables, of, source), dict[str, None]()
    for feature in of.features:
        if (of.codes_read[feature.name] & silent).any() or any(name in found for name in feature.of):
            found[feature.name] = None
    return tuple(found)


def _reported(tables: Tables, of: Catalogue, source: str) -> Bools:
    """For every kind, whether the source reports it, by its declaration or in the data."""
    codes = pc.cast(tables.events["code"].filter(_events_of(tables, source)), "string")
    reported = set(pc.unique(codes).to_pylist())
    return np.array([kind.code in reported or kind.department.source == source for kind in of.kinds], np.bool_)


def meaning(of: Catalogue, source: str) -> str:
    """The English name of a source, from the departments that send under it; its own name where none does.

    >>> from features.catalogue import catalogue
    >>> meaning(catalogue(), "残联"), meaning(catalogue(), "民政")
    ("disabled persons' federation", 'civil affairs')
    """
    names = dict.fromkeys(kind.department.name.en for kind in of.kinds if kind.department.source == source)
    if len(names) < 2:
        return next(iter(names), source)
    return " and ".join(dict.fromkeys(name.split(",")[0] for name in names))


def _some(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    rows = rows.reset_index(drop=True)
    kept = some_households(rows["household_id"].astype(str), MOST_ROWS, f"source_value/{seed}")
    return rows.iloc[kept].reset_index(drop=True)


def sources_of(tables: Tables) -> list[str]:
    """Every source of an event, in order of their letters. Raises `SourceValueRefused` for fewer than two."""
    named = pc.unique(pc.cast(tables.events["source"], "string")).to_pylist()
    sources = sorted(source for source in named if source is not None)
    if len(sources) < 2:
        raise SourceValueRefused("the events come from one source; without it there would be nothing to compare with")
    return sources


def households_of(tables: Tables, source: str) -> int:
    """How many households have an event of the source filed under them."""
    return len(pc.unique(tables.events["household_id"].filter(_events_of(tables, source))))
