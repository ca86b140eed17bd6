"""A store of the schema before is taken over as it is, and what was in it is covered from then on."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from serving.store import append_only, journal, verification
from serving.store.assessments import of_household, record
from serving.store.documents import digest, packed
from serving.store.engine import SCHEMA, StoreRefused, open_store
from serving.store.tables import ABOUT, APPEND_ONLY, ASSESSMENTS, ERASED, METADATA
from tests.stores import foreign, store_url

__all__ = ["store_url"]

RECORD = {"assessment_id": "as-0", "tier": "red"}
N = 1_203
FUNCTION = """
CREATE FUNCTION povrisk_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$
"""


def of_before(url: str) -> None:
    """A store as version 1 made it: its tables, its triggers, and `N` assessments, the first with its record."""
    old = MetaData()
    for table in METADATA.sorted_tables:
        if table is not ERASED:
            table.to_metadata(old)
    assessments = old.tables["assessments"]
    for name in ("journal_seq", "record_seq"):
        assessments._columns.remove(assessments.c[name])  # type: ignore[attr-defined]
    is_file = url.startswith("sqlite")
    dialect: Any = sqlite.dialect() if is_file else postgresql.dialect()
    with foreign(url) as other:
        other.execute("BEGIN")
        for table in old.sorted_tables:
            other.execute(str(CreateTable(table).compile(dialect=dialect)))
            for index in table.indexes if table is not assessments else ():
                other.execute(str(CreateIndex(index).compile(dialect=dialect)))
        other.execute("CREATE INDEX assessments_of_household ON assessments (household_id, seq)")
        if not is_file:
            other.execute(FUNCTION)
        for table in APPEND_ONLY:
            if table is not ERASED:
                for made in triggers_of_before(table.name, is_file):
                    other.execute(made)
        mark = "?" if is_file else "%s"
        for name, value in (("schema", "store.v1"), ("key", "ab" * 32)):
            other.execute(f"INSERT INTO about VALUES ({mark}, {mark})", (name, value))
        columns = "assessment_id, household_id, as_of, stored_at, origin, purpose, region, status, tier, tier_computed"
        rest = "1, 2, 'call', 'prepare_visit', 'demo', 'scored', 'red', 'red', 'b'"
        for k in range(N):
            other.execute(f"INSERT INTO assessments ({columns}, bundle_sha256) VALUES ('as-{k}', 'h{k % 7}', {rest})")
        kept = f"UPDATE assessments SET record = {mark}, record_sha256 = {mark} WHERE assessment_id = 'as-0'"
        other.execute(kept, (packed(RECORD), digest(RECORD)))
        other.execute("COMMIT")


def triggers_of_before(table: str, is_file: bool) -> list[str]:
    name = f"{table}_append_only"
    if not is_file:
        when = f"BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT"
        made = f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION povrisk_append_only()"
        return [made, f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"]
    refusal = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    return [f"CREATE TRIGGER {name}_{verb.lower()} BEFORE {verb} ON {table} {refusal}" for verb in ("UPDATE", "DELETE")]


def test_a_store_of_version_1_opens_and_everything_in_it_is_covered_from_then_on(store_url: str) -> None:
    of_before(store_url)
    with pytest.raises(StoreRefused, match=r"of schema store\.v1; start the service with it once"):
        open_store(store_url, create=False)
    opened = open_store(store_url)
    with opened.reading() as connection:
        assert connection.scalar(select(ABOUT.c.value).where(ABOUT.c.name == "schema")) == SCHEMA
        assert append_only.missing(connection) == []
        assert verification.verify(connection) == (4, None, None)
        kinds = [entry.kind for entry in journal.entries(connection)]
        assert kinds == ["adopted", "adopted", "adopted", "migrated"]
        assert record(connection, "as-0") == RECORD
        assert len(of_household(connection, "h1", limit=N)) == N // 7 + 1
        brought = connection.execute(select(ASSESSMENTS.c.journal_seq, ASSESSMENTS.c.record_seq)).all()
        assert {row[0] for row in brought} == {1, 2, 3} and [row[1] for row in brought if row[1]] == [1]
    opened.close()
    with foreign(store_url) as other:
        other.execute("UPDATE assessments SET tier = 'green' WHERE assessment_id = 'as-700'")
    again = open_store(store_url)
    with again.reading() as connection:
        said = verification.verify(connection).problem
    again.close()
    assert said == "assessment as-700 that entry 2 brought was changed or removed"


def test_a_migration_that_breaks_off_leaves_the_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    of_before(url)
    with sqlite3.connect(tmp_path / "old.db") as other:
        before = list(other.iterdump())

    def fails(*_: object) -> None:
        raise RuntimeError("cut off")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr("serving.store.migration._adopt", fails)
        open_store(url)
    with sqlite3.connect(tmp_path / "old.db") as other:
        assert list(other.iterdump()) == before
    open_store(url).close()
