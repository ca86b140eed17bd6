"""Households that must be assessed together."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.tables import Tables


def parts_of(tables: Tables) -> list[tuple[str, ...]]:
    """Households that share a person belong together, because a person's events follow the person.

    >>> one = pd.DataFrame({"household_id": ["a", "b", "c"], "person_id": ["p", "p", "q"]})
    >>> parts_of(Tables.from_frames(one, one, one))
    [('a', 'b'), ('c',)]
    """
    household_ids = np.array(sorted(set(tables.households["household_id"].to_pylist())), dtype=object)
    named = [table.select(["household_id", "person_id"]).to_pandas() for table in (tables.members, tables.events)]
    links = pd.concat(named).dropna().drop_duplicates()
    household = pd.Index(household_ids).get_indexer(links["household_id"])
    person, persons = pd.factorize(links["person_id"])
    n = len(household_ids)
    size = n + len(persons)
    graph = coo_array((np.ones(len(links), np.int8), (household, n + person)), shape=(size, size))
    component = connected_components(graph, directed=False)[1][:n]
    members = pd.Series(household_ids).groupby(component, sort=False)
    return [tuple(names) for _, names in members]
