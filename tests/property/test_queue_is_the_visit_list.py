"""Pages of the queue, put one behind the other, are the visit list of the same rows: order, place and reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from models.visit_list import VISIT, visit_list
from serving.store.engine import Store, open_store
from serving.store.queue import Entry, page
from serving.store.tables import TASKS
from serving.store.tasks import TaskRow, open_or_update
from tests.stores import store, store_url

__all__ = ["store", "store_url"]

TIERS = ("red", "orange", "yellow", "green", "grey")


def drawn(seed: int, n: int, share_manual: float) -> pd.DataFrame:
    """Rows of a batch with many ties and many gaps."""
    rng = np.random.default_rng(seed)
    manual = rng.random(n) < share_manual
    statuses = rng.choice(["abstained", "rules_only", "error"], n), rng.choice(["scored", "scored_low_confidence"], n)
    return pd.DataFrame(
        {
            "household_id": [f"h{seed}-{k}" for k in rng.permutation(n)],
            "township": rng.choice(["east", "west", "north"], n),
            "status": np.where(manual, *statuses),
            "tier": rng.choice(TIERS, n),
            "probability": np.where(manual, np.nan, rng.choice([0.1, 0.2, 0.3], n)),
            "points": rng.choice([0.0, 5.0, np.nan], n),
            "coverage": rng.choice([0.2, 0.4, np.nan], n),
            "months_silent": rng.choice([1.0, 30.0, np.nan], n),
        }
    )


def load(store: Store, table: pd.DataFrame) -> None:
    rows = []
    for row in table.astype(object).where(table.notna(), None).to_dict("records"):
        rows.append(TaskRow(assessment_id=f"as-{row['household_id']}", as_of=0, **row))
    with store.writing() as connection:
        connection.execute(delete(TASKS))
        open_or_update(connection, rows, 1)


def read(store: Store, limit: int, **how: Any) -> list[Entry]:
    """All entries, page by page."""
    entries: list[Entry] = []
    cursor = None
    with store.reading() as connection:
        while True:
            found = page(connection, limit=limit, cursor=cursor, **how)
            entries += found.entries
            assert found.next_cursor is None or len(found.entries) == limit
            cursor = found.next_cursor
            if cursor is None:
                assert found.total == len(entries)
                return entries


def shown(entries: list[Entry]) -> list[tuple[object, ...]]:
    return [
        (e.position, e.place, e.task.household_id, "manual" if e.task.is_manual else "scored", e.because, e.task.tier)
        for e in entries
    ]


def listed(table: pd.DataFrame, visits: int) -> list[tuple[object, ...]]:
    found = visit_list(table, visits)
    columns = found[["position", "place", "household_id", "queue", "because", "tier"]]
    return list(columns.itertuples(index=False, name=None))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path_factory.mktemp('queue') / 'store.db'}")
    yield opened
    opened.close()


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 90),
    share_manual=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    limit=st.integers(1, 100),
    visits=st.integers(1, 100),
)
def test_pages_of_any_size_are_the_visit_list(
    kept: Store, seed: int, n: int, share_manual: float, limit: int, visits: int
) -> None:
    table = drawn(seed, n, share_manual)
    load(kept, table)
    assert shown(read(kept, limit, visits=visits)) == listed(table, visits)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), limit=st.integers(1, 40), visits=st.integers(1, 60))
def test_a_township_is_dealt_by_itself_and_told_who_of_it_is_visited(
    kept: Store, seed: int, limit: int, visits: int
) -> None:
    table = drawn(seed, 60, 0.3)
    load(kept, table)
    whole = visit_list(table, visits)
    visited = set(whole.loc[whole["place"] == VISIT, "household_id"])
    for township, part in table.groupby("township"):
        entries = read(kept, limit, township=township, visits=visits)
        in_order = [(h, because) for _, _, h, _, because, _ in listed(part, 1)]
        assert [(e.task.household_id, e.because) for e in entries] == in_order
        assert [e.place == "visit" for e in entries] == [h in visited for h, _ in in_order]


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), limit=st.integers(1, 40), visits=st.integers(1, 60))
def test_a_tier_and_a_queue_are_the_list_without_its_reserve(kept: Store, seed: int, limit: int, visits: int) -> None:
    table = drawn(seed, 60, 0.3)
    load(kept, table)
    whole = visit_list(table, visits).set_index("household_id")
    plain = visit_list(table, visits, reserved_share=0.0)
    queues = {
        "scored": plain["queue"] == "scored",
        "manual": plain["queue"] == "manual",
        "grey": plain["tier"] == "grey",
    }
    asked: list[tuple[dict[str, str], Any]] = [({"tier": tier}, plain["tier"] == tier) for tier in TIERS]
    asked += [({"queue": queue}, rows) for queue, rows in queues.items()]
    asked += [({"tier": tier, "queue": "manual"}, (plain["tier"] == tier) & queues["manual"]) for tier in TIERS]
    for how, rows in asked:
        entries = read(kept, limit, visits=visits, **how)
        assert [e.task.household_id for e in entries] == plain.loc[rows, "household_id"].tolist()
        assert [e.position for e in entries] == list(range(1, len(entries) + 1))
        for entry in entries:
            told = whole.loc[entry.task.household_id]
            assert entry.place == told["place"]
            assert entry.because == (told["because"] if told["place"] == VISIT else "tier")


def test_both_databases_keep_the_same_order(store: Store) -> None:
    table = drawn(5, 400, 0.3)
    load(store, table)
    assert shown(read(store, 37, visits=60)) == listed(table, 60)
    west = table[table["township"] == "west"]
    found = [e.task.household_id for e in read(store, 37, township="west")]
    assert found == visit_list(west, 1)["household_id"].tolist()
