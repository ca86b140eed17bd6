"""Every assessment has a line in the journal, and whatever happens to it behind its back is found by name."""

from __future__ import annotations

import json
import random
import struct
from math import isfinite
from typing import Any

import pytest
from sqlalchemy import select

from serving.store import journal, verification
from serving.store.assessments import keep_all, packed
from serving.store.documents import canonical, written
from serving.store.engine import Store
from serving.store.journal import New
from serving.store.tables import JOURNAL
from tests.reviewed import AT
from tests.spec.test_kept_assessments import kept
from tests.stores import foreign, only, store, store_url

__all__ = ["store", "store_url"]


def put(opened: Store, *calls: list[Any], at: int = AT) -> list[journal.Entry]:
    told = [(New("score", f"call-{k}", {"seen": 0}), [packed(each) for each in call]) for k, call in enumerate(calls)]
    with opened.writing() as connection:
        return keep_all(connection, told, at)


def bodies(opened: Store) -> list[dict[str, Any]]:
    with opened.reading() as connection:
        return [json.loads(text) for text in connection.scalars(select(JOURNAL.c.body).order_by(JOURNAL.c.seq))]


def problem(opened: Store) -> str | None:
    with opened.reading() as connection:
        return verification.verify(connection).problem


def two_calls(opened: Store) -> None:
    """Three assessments: two of one call, one of another; the second call is told one of the first again."""
    put(opened, [kept("as-1"), kept("as-2", household_id="h2")], [kept("as-2", household_id="h2"), kept("as-3")])


def test_every_call_has_an_entry_with_a_line_for_each_assessment(store: Store) -> None:
    two_calls(store)
    first, second = bodies(store)
    assert [line[0] for line in first["kept"]] == ["as-1", "as-2"] and "again" not in first
    assert [line[0] for line in second["kept"]] == ["as-3"]
    assert [line[0] for line in second["again"]] == ["as-2"], "told, and nothing new is kept"
    assert (first["n"], second["n"]) == (2, 2)
    assert all(len(digest) == 64 for line in first["kept"] for digest in line[1:])
    assert problem(store) is None


def test_a_household_cannot_be_guessed_from_its_line(store: Store, tmp_path: Any) -> None:
    """The digests of the same request and record are others in another store; neither is that of the document."""
    from serving.store.documents import digest
    from serving.store.engine import open_store

    put(store, [kept("as-1")])
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    put(other, [kept("as-1")])
    mine, theirs = bodies(store)[0]["kept"][0], bodies(other)[0]["kept"][0]
    other.close()
    assert mine[0] == theirs[0] and not set(mine[1:]) & set(theirs[1:])
    assert not {digest(kept("as-1").inputs), digest(kept("as-1").record)} & set(mine)
    with store.reading() as connection:
        assert '"h1"' not in (connection.scalar(select(JOURNAL.c.body)) or "")


def test_a_row_of_a_batch_has_a_line_and_its_record_another_one(store: Store) -> None:
    put(store, [kept(record=None, inputs=None, origin="batch")])
    put(store, [kept()])
    batch, call = bodies(store)
    assert batch["kept"][0][1] is not None and batch["kept"][0][2:] == [None, None]
    assert call["kept"][0][1] is None and None not in call["kept"][0][2:]
    assert problem(store) is None
    put(store, [kept(record=None, inputs=None)])
    assert [line[0] for line in bodies(store)[-1]["again"]] == ["as-1"]
    assert problem(store) is None


TAMPERED = {
    "a tier": "UPDATE assessments SET tier = 'green' WHERE assessment_id = 'as-2'",
    "a probability": "UPDATE assessments SET probability = 0.100000001 WHERE assessment_id = 'as-2'",
    "a moment": "UPDATE assessments SET stored_at = stored_at + 1 WHERE assessment_id = 'as-2'",
    "a household": "UPDATE assessments SET household_id = 'h3' WHERE assessment_id = 'as-2'",
    "a digest": "UPDATE assessments SET record_sha256 = inputs_sha256 WHERE assessment_id = 'as-2'",
    "a record": "UPDATE assessments SET record = (SELECT record FROM assessments WHERE assessment_id = 'as-1')"
    " WHERE assessment_id = 'as-2'",
    "a record with its digest": "UPDATE assessments SET (record, record_sha256) = (SELECT record, record_sha256 FROM"
    " assessments WHERE assessment_id = 'as-1') WHERE assessment_id = 'as-2'",
    "a record taken away": "UPDATE assessments SET record = NULL WHERE assessment_id = 'as-2'",
    "an assessment taken away": "DELETE FROM assessments WHERE assessment_id = 'as-2'",
    "another entry": "UPDATE assessments SET journal_seq = 2 WHERE assessment_id = 'as-2'",
}


@pytest.mark.parametrize("change", TAMPERED)
@only("sqlite")
def test_a_changed_assessment_is_found_and_named(store: Store, store_url: str, change: str) -> None:
    two_calls(store)
    with foreign(store_url) as other:
        other.execute(TAMPERED[change])
    assert problem(store) == "assessment as-2 that entry 1 brought was changed or removed"


@only("postgresql")
def test_a_changed_assessment_is_found_on_a_server_as_well(store: Store, store_url: str) -> None:
    two_calls(store)
    with foreign(store_url) as other:
        other.execute(TAMPERED["a record"])
    assert problem(store) == "assessment as-2 that entry 1 brought was changed or removed"


@only("sqlite")
def test_changed_inputs_are_found(store: Store, store_url: str) -> None:
    two_calls(store)
    with foreign(store_url) as other:
        other.execute("UPDATE inputs SET body = (SELECT record FROM assessments WHERE assessment_id = 'as-1')")
    assert problem(store) == "assessment as-1 that entry 1 brought was changed or removed"


ADDED = "INSERT INTO assessments SELECT seq + 9, 'as-9', {} FROM assessments WHERE assessment_id = 'as-3'"
REST = (
    "household_id, as_of, stored_at, origin, purpose, region, township, status, tier, tier_computed, probability, "
    "points, coverage, months_silent, bundle_sha256, inputs_sha256, record, record_sha256"
)


@pytest.mark.parametrize(
    ("seqs", "said"),
    [
        ("journal_seq, record_seq", "assessment as-9 was not brought by entry 2 that it names"),
        ("7, NULL", "assessments holds a row that no entry brought"),
        ("NULL, NULL", "assessment as-9 names no entry that brought it"),
    ],
)
@only("sqlite")
def test_an_assessment_put_in_by_hand_is_found(store: Store, store_url: str, seqs: str, said: str) -> None:
    two_calls(store)
    with foreign(store_url) as other:
        other.execute(ADDED.format(f"{REST}, {seqs}"))
    assert problem(store) == said


def test_large_documents_are_written_as_small_ones_are(store: Store) -> None:
    """The fast writer against the standard library: the digests of old stores must stay what they are."""
    drawn = random.Random(5)
    for _ in range(3_000):
        found = [struct.unpack("<d", drawn.randbytes(8))[0] for _ in range(4)]
        near = [drawn.random() * 10.0 ** drawn.randrange(-9, 20) for _ in range(4)]
        numbers = [*filter(isfinite, found), *near, drawn.getrandbits(62), -0.0]
        texts = ["".join(drawn.choices('村1e-7:,[] "\\\n\x7f\u2028😀0.00001', k=9)) for _ in range(3)]
        document = {"z": numbers, "村": texts, **{text: [number] for text, number in zip(texts, numbers, strict=False)}}
        assert canonical(document) == written(document).encode()
