"""Kept assessments come back as they were told, once each, and a household's are in order of their moments."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from features.window import MICROS_PER_DAY, as_of_moment
from serving.store.assessments import Kept, Row, inputs, keep, kept_of, latest, of_household, record, row
from serving.store.documents import digest
from serving.store.engine import Store
from serving.store.tables import ASSESSMENTS, INPUTS
from tests.stores import only, store, store_url

__all__ = ["store", "store_url"]

DAY = MICROS_PER_DAY
RECORD = {"assessment_id": "as-1", "text": {"zh": "村里", "en": "village"}, "interval": [0.1, 0.30000000000000004]}
ASKED = {"household_id": "h1", "region": "demo", "events": [{"event_id": "e1", "value": 1e-300}], "members": []}


def kept(name: str = "as-1", as_of: int = 100 * DAY, **more: Any) -> Kept:
    given: dict[str, Any] = {"household_id": "h1", "origin": "call", "purpose": "prioritise_visit", "region": "demo"}
    given |= {"township": None, "status": "scored", "tier": "red", "tier_computed": "orange", "probability": 0.1}
    given |= {"points": None, "coverage": 0.5, "months_silent": None, "bundle_sha256": "0" * 64}
    given |= {"record": {**RECORD, "assessment_id": name}, "inputs": ASKED}
    return Kept(assessment_id=name, as_of=as_of, **(given | more))


def put(store: Store, *assessments: Kept, at: int = 101 * DAY) -> None:
    with store.writing() as connection:
        keep(connection, assessments, at)


def test_what_was_told_comes_back_to_the_last_digit(store: Store) -> None:
    put(store, kept())
    with store.reading() as connection:
        assert record(connection, "as-1") == RECORD
        assert inputs(connection, "as-1") == ASKED
        assert row(connection, "as-1") == Row(
            "as-1", "h1", 100 * DAY, "call", "prioritise_visit", "demo", None, "scored", "red", "orange", 0.1, None,
            0.5, None, "0" * 64, 1, 101 * DAY, digest(ASKED), True,
        )  # fmt: skip
        for read in (record, inputs, row):
            assert read(connection, "as-2") is None


def test_the_same_assessment_is_kept_once_and_stays_what_it_was(store: Store) -> None:
    put(store, kept())
    put(store, kept(tier="green", record={"assessment_id": "as-1", "other": 1}), kept("as-2"), at=102 * DAY)
    with store.reading() as connection:
        assert record(connection, "as-1") == RECORD
        found = row(connection, "as-1")
        assert found is not None
        assert (found.tier, found.stored_at) == ("red", 101 * DAY)
        assert connection.scalar(select(func.count()).select_from(ASSESSMENTS)) == 2
        # Both were made from the same request.
        assert connection.scalar(select(func.count()).select_from(INPUTS)) == 1


def test_a_row_of_a_batch_gets_its_record_later_and_never_loses_it(store: Store) -> None:
    put(store, kept(record=None, inputs=None, origin="batch"))
    with store.reading() as connection:
        found = row(connection, "as-1")
        assert found is not None
        assert (found.has_record, found.inputs_sha256, record(connection, "as-1")) == (False, None, None)
        assert inputs(connection, "as-1") is None
    put(store, kept())
    put(store, kept(record=None, inputs=None))
    with store.reading() as connection:
        assert record(connection, "as-1") == RECORD
        assert inputs(connection, "as-1") == ASKED


def test_the_assessments_of_a_household_are_in_order_of_their_moments(store: Store) -> None:
    put(store, kept("as-b", 200 * DAY), kept("as-a", 100 * DAY), kept("as-c", 200 * DAY))
    put(store, kept("as-of others", 300 * DAY, household_id="h2"), kept("as-late", 50 * DAY))
    with store.reading() as connection:
        names = [each.assessment_id for each in of_household(connection, "h1")]
        assert names == ["as-c", "as-b", "as-a", "as-late"]
        assert [each.assessment_id for each in of_household(connection, "h1", limit=2)] == names[:2]
        assert of_household(connection, "nobody") == []
        for newer, older in zip([None, *names], [*names, None], strict=True):
            found = latest(connection, "h1", before=newer)
            assert (None if found is None else found.assessment_id) == older
        assert latest(connection, "h1", before="as-of others") is None


@only("sqlite")
def test_what_to_keep_is_read_from_the_record_and_its_request(store: Store) -> None:
    told = {
        **RECORD,
        "household_id": "h1",
        "as_of": "2026-11-02T00:00:00+08:00",
        "status": "scored",
        "tier": "red",
        "tier_computed": "orange",
        "probability": 0.25,
        "points": 2.0,
        "data_quality": {"coverage": 0.5, "sources": [{"age_months": 4.0}, {"age_months": 1.5}]},
        "model": {"bundle_sha256": "1" * 64},
    }
    found = kept_of(told, ASKED, origin="call", purpose="prioritise_visit", time_zone="Asia/Shanghai")
    assert (found.as_of, found.months_silent) == (as_of_moment("2026-11-01", "Asia/Shanghai"), 1.5)
    assert (found.region, found.township, found.tier, found.bundle_sha256) == ("demo", None, "red", "1" * 64)
    told["data_quality"] = {"coverage": None, "sources": []}
    silent = kept_of(told, ASKED, origin="call", purpose="prioritise_visit", time_zone="Asia/Shanghai")
    assert silent.months_silent is None
    put(store, found)
    with store.reading() as connection:
        assert record(connection, "as-1") == {**told, "data_quality": found.record["data_quality"]}  # type: ignore[index]
