"""How long the whole rule layer takes beside building the household vectors alone, on one dataset in one run.

    python benchmarks/rules.py county --as-of 2025-06-30

Reads the folder, warms both up on the first households, and then measures for all of them, bucket by bucket: the
vectors; and every indicator's state, points, floors, dimensions, poverty types, the deprivation score and the policy
items' statuses. Wording and evidence of single households are not part of it.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import pandas as pd

from features.catalogue import catalogue
from features.dataset import read_dataset
from features.history import History, Visible, history_from_tables, visible
from features.matrix import matrix_of
from features.rules.rulebook import rulebook
from features.window import as_of_moment
from models.policy import statuses
from models.rules import ruled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--as-of", required=True)
    parser.add_argument("--bucket", type=int, default=20_000, help="households worked on at a time")
    given = parser.parse_args()
    dataset = read_dataset(given.folder)
    moment = as_of_moment(given.as_of, dataset.meta.time_zone)
    few = set(dataset.households["household_id"].iloc[:50])
    tables = (dataset.events, dataset.members, dataset.households)
    zone = dataset.meta.time_zone
    warm = history_from_tables(*(t[t["household_id"].isin(few)] for t in tables), catalogue(), time_zone=zone)
    vectors(warm, visible(warm, moment))
    rules(warm, visible(warm, moment))
    # By buckets of households, as a batch works, so that memory is the bucket's.
    names = pd.Index(dataset.households["household_id"])
    bucket = [names.get_indexer(pd.Index(table["household_id"])) // given.bucket for table in tables]
    visible_s = vectors_s = rules_s = 0.0
    events = 0
    for number in range(-(-len(names) // given.bucket)):
        parts = [table[of == number] for table, of in zip(tables, bucket, strict=True)]
        history = history_from_tables(*parts, catalogue(), time_zone=zone)
        start = time.perf_counter()
        seen = visible(history, moment)
        visible_s += time.perf_counter() - start
        vectors_s += timed(vectors, history, seen)
        rules_s += timed(rules, history, seen)
        events += len(seen.rows)
    print(
        json.dumps(
            {
                "households": len(names),
                "visible_events": events,
                "visible_s": round(visible_s, 2),
                "vectors_s": round(vectors_s, 2),
                "rules_s": round(rules_s, 2),
                "ratio_to_vectors": round((visible_s + rules_s) / (visible_s + vectors_s), 2),
                "us_per_household": round(1e6 * rules_s / len(names), 1),
                "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )


def vectors(history: History, seen: Visible) -> None:
    matrix_of(history, seen)


def rules(history: History, seen: Visible) -> None:
    found = ruled(rulebook(), history, seen)
    for indicator in found.states.book.indicators:
        found.states.state(indicator.id)
    _ = (found.points_rank, found.floor, found.dimensions, found.poverty_types, found.monitored_type_hint)
    _ = found.deprivation
    statuses(found.states.book.policies, found.states)


def timed(work: object, history: History, seen: Visible) -> float:
    assert callable(work)
    start = time.perf_counter()
    work(history, seen)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
