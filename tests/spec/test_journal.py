"""The journal: what it holds, and that every change behind its back is found and named."""

from __future__ import annotations

import hashlib
import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import insert, select

from serving.journal_commands import journal as command
from serving.store import journal, verification
from serving.store.engine import Store, open_store
from serving.store.journal import GENESIS, Head
from serving.store.tables import APPEND_ONLY, ERASABLE, JOURNAL, VERIFICATION
from tests.reviewed import AT, fill
from tests.stores import foreign, only, store, store_url

__all__ = ["store", "store_url"]

N = 6


@pytest.fixture
def filled(store: Store) -> Store:
    with store.writing() as connection:
        fill(connection)
    return store


def verified(opened: Store, exported: Head | None = None) -> verification.Verified:
    with opened.reading() as connection:
        return verification.verify(connection, exported)


def head(opened: Store) -> Head:
    with opened.reading() as connection:
        return journal.head(connection)


def behind_its_back(url: str, *statements: str) -> None:
    """What the owner of the database can do: take the triggers away, change something."""
    with foreign(url) as other:
        for table in APPEND_ONLY:
            if url.startswith("sqlite"):
                for verb in ("update", "delete", "insert"):
                    other.execute(f"DROP TRIGGER {table.name}_append_only_{verb}")
            else:
                other.execute(f"DROP TRIGGER {table.name}_append_only ON {table.name}")
                other.execute(f"DROP TRIGGER {table.name}_append_only_delete ON {table.name}")
        for statement in statements:
            other.execute(statement)


def test_an_empty_journal_has_a_head_of_zeros_and_verifies(store: Store) -> None:
    assert head(store) == Head(0, "0" * 64, 0)
    assert verified(store) == (0, None, None)


def test_every_entry_carries_the_hash_of_the_one_before(filled: Store) -> None:
    """Computed again from the standard library alone, as a reader of an export would."""
    previous = "0" * 64
    with filled.reading() as connection:
        found = list(journal.entries(connection))
    for seq, entry in enumerate(found, 1):
        hashed = [seq, entry.at, entry.kind, entry.subject, json.loads(entry.body), previous]
        text = json.dumps(hashed, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        assert (entry.seq, entry.previous) == (seq, previous)
        assert entry.hash == hashlib.sha256(text.encode()).hexdigest()
        previous = entry.hash
    assert [entry.kind for entry in found] == ["concern", "review", "outcome", "person_request", "consent", "note"]
    assert head(filled) == Head(N, previous, AT)
    assert verified(filled) == (N, None, None)


def test_an_entry_says_how_many_rows_of_which_table_it_brought(filled: Store) -> None:
    with filled.reading() as connection:
        bodies = [json.loads(entry.body) for entry in journal.entries(connection)]
    counts = [{table: rows["n"] for table, rows in body.get("rows", {}).items()} for body in bodies]
    assert counts == [
        {"concerns": 1},
        {
            "reviews": 1,
            "verification": 5,
            "judgement": 1,
            "action": 2,
            "outcome": 1,
            "visit_events": 4,
            "consent": 1,
        },
        {"outcome": 1},
        {"person_requests": 1},
        {"consent": 1},
        {},
    ]


def test_the_journal_holds_no_name_and_no_answer(filled: Store) -> None:
    with filled.reading() as connection:
        text = json.dumps([list(row) for row in connection.execute(select(JOURNAL))])
    for word in ("h1", "a1", "debt", "lower", "objected", "entered", "worker", "v1", "300"):
        # Digests are drawn anew each time and may hold any of these letters; no word stands by itself.
        assert not re.search(rf"(?<![0-9a-z]){word}(?![0-9a-z])", text), word


def test_the_same_rows_have_other_digests_in_another_store(tmp_path: Path) -> None:
    """Nobody who holds a journal can try all households for the one that objected."""
    digests = []
    for name in ("a", "b"):
        opened = open_store(f"sqlite:///{tmp_path / name}")
        with opened.writing() as connection:
            fill(connection)
            body = connection.scalar(select(JOURNAL.c.body).where(JOURNAL.c.seq == 1))
        digests.append(json.loads(body)["rows"]["concerns"]["hmac_sha256"])
        opened.close()
    assert digests[0] != digests[1]


# -- changes of rows


@pytest.mark.parametrize("table", [table.name for table in ERASABLE])
@pytest.mark.parametrize("how", ["changed", "removed", "added"])
@only("sqlite")
def test_a_row_changed_removed_or_added_is_found_at_its_entry(
    filled: Store, store_url: str, table: str, how: str
) -> None:
    own = next(each for each in ERASABLE if each.name == table)
    texts = [
        c.name for c in own.columns if not (c.primary_key or c.foreign_keys or c.nullable) and c.type.python_type is str
    ]
    keys = [c.name for c in own.primary_key]
    copied = [
        f"{c.name} || '9'" if c.name in (*keys, "idempotency_key") and c.name != "journal_seq" else c.name
        for c in own.columns
    ]
    copied = ["6" if c == "journal_seq" and "journal_seq" in keys else c for c in copied]
    with foreign(store_url) as other:
        (entry,) = other.execute(f"SELECT max(journal_seq) FROM {table}").fetchone()
    row = f"rowid = (SELECT max(rowid) FROM {table} WHERE journal_seq = {entry})"
    statement = {
        "changed": f"UPDATE {table} SET {texts[-1]} = {texts[-1]} || 'x' WHERE {row}",
        "removed": f"DELETE FROM {table} WHERE {row}",
        "added": f"INSERT INTO {table} SELECT {', '.join(copied)} FROM {table} WHERE {row}",
    }[how]
    behind_its_back(store_url, statement)
    bad = 6 if "6" in copied and how == "added" else entry
    found = verified(filled)
    assert found.first_bad == bad and found.entries == bad - 1
    assert found.problem == f"rows of {table} that entry {bad} brought were changed, added or removed"


CHANGES = {
    "a number": "UPDATE verification SET value = 2.6 WHERE about = 'land'",
    "a number to null": "UPDATE verification SET value = NULL WHERE about = 'land'",
    "a flag": "UPDATE judgement SET was_blind = NOT was_blind",
    "two rows exchanged": "UPDATE verification SET item = 10 - item",
    "a row moved to another entry": "UPDATE outcome SET journal_seq = 6 WHERE kind = 'register'",
}


@pytest.mark.parametrize("change", CHANGES)
@only("postgresql")
def test_a_change_of_a_row_is_found_in_postgresql(filled: Store, store_url: str, change: str) -> None:
    behind_its_back(store_url, CHANGES[change])
    bad = 3 if "moved" in change else 2
    assert verified(filled).first_bad == bad


def test_a_row_that_no_entry_brought_is_found(filled: Store, store_url: str) -> None:
    keys = "" if store_url.startswith("sqlite") else "ALTER TABLE action DROP CONSTRAINT action_journal_seq_fkey"
    added = "INSERT INTO action SELECT review_id, item + 10, policy, what, acted_on, 99 FROM action"
    behind_its_back(store_url, *([keys] if keys else []), added)
    assert verified(filled) == (N, N + 1, "action holds a row that no entry brought")


def test_a_row_of_before_the_journal_is_found(filled: Store, store_url: str) -> None:
    keys = "" if store_url.startswith("sqlite") else "ALTER TABLE action DROP CONSTRAINT action_journal_seq_fkey"
    added = "INSERT INTO action SELECT review_id, item + 10, policy, what, acted_on, 0 FROM action"
    behind_its_back(store_url, *([keys] if keys else []), added)
    assert verified(filled) == (0, 1, "action holds a row that no entry brought")


def test_another_key_of_the_digests_is_found(filled: Store, store_url: str) -> None:
    with foreign(store_url) as other:
        other.execute("DELETE FROM about WHERE name = 'key'")
    assert verified(filled).first_bad == 1


# -- changes of the journal itself

TAMPERED = {
    "the moment": ("UPDATE journal SET at = at + 1 WHERE seq = 4", 4, "entry 4 was changed"),
    "the kind": ("UPDATE journal SET kind = 'Review' WHERE seq = 2", 2, "entry 2 was changed"),
    "the subject": ("UPDATE journal SET subject = 'x' WHERE seq = 2", 2, "entry 2 was changed"),
    "a count": ("UPDATE journal SET body = '{\"n\":2}' WHERE seq = 6", 6, "entry 6 was changed"),
    "a space": ("UPDATE journal SET body = '{\"n\": 1}' WHERE seq = 6", 6, "entry 6 was changed"),
    "no JSON": ("UPDATE journal SET body = '{' WHERE seq = 6", 6, "entry 6 was changed"),
    "a list for a body": ("UPDATE journal SET body = '[]' WHERE seq = 6", 6, "entry 6 was changed"),
    "the hash": ("UPDATE journal SET hash = 'x' WHERE seq = 3", 3, "entry 3 was changed"),
    "the chain": ("UPDATE journal SET previous = hash WHERE seq = 3", 3, "entry 3 does not follow the one before"),
    "an entry taken out": ("DELETE FROM journal WHERE seq = 6 - 1", 5, "entry 5 is missing"),
    "the first taken out": ("DELETE FROM journal WHERE seq = 1", 1, "entry 1 is missing"),
}


@pytest.mark.parametrize("change", TAMPERED)
@only("sqlite")
def test_a_change_of_the_journal_is_found_and_the_first_bad_entry_is_named(
    filled: Store, store_url: str, change: str
) -> None:
    statement, bad, problem = TAMPERED[change]
    behind_its_back(store_url, statement)
    assert verified(filled) == (bad - 1, bad, problem)


def test_a_cut_end_is_found_with_a_head_that_was_kept_elsewhere(filled: Store, store_url: str) -> None:
    kept = head(filled)
    behind_its_back(store_url, "DELETE FROM journal WHERE seq = 6")
    assert verified(filled) == (5, None, None), "the chain alone cannot know"
    assert verified(filled, kept) == (5, 6, "the journal ends at 5, the exported head is 6")


def test_a_journal_written_anew_from_its_middle_is_found_with_the_head(filled: Store, store_url: str) -> None:
    """The owner of the store has its key and can compute everything again; the head that is elsewhere differs."""
    kept = head(filled)
    behind_its_back(store_url, "DELETE FROM journal WHERE seq = 6")
    with filled.writing() as connection:
        journal.append(connection, "note", "store", {"n": 2}, AT)
        journal.append(connection, "note", "store", {"n": 3}, AT)
    assert verified(filled) == (7, None, None)
    assert verified(filled, kept) == (5, 6, "entry 6 is not the one of the exported head: the journal was rewritten")


def test_a_head_that_the_journal_has_grown_beyond_still_verifies(filled: Store) -> None:
    kept = head(filled)
    with filled.writing() as connection:
        journal.append(connection, "note", "store", {}, AT)
    assert verified(filled, kept) == (7, None, None)


def test_a_transaction_that_failed_leaves_no_gap(filled: Store) -> None:
    with pytest.raises(ZeroDivisionError), filled.writing() as connection:
        journal.append(connection, "note", "store", {}, AT)
        raise ZeroDivisionError
    with filled.writing() as connection:
        assert journal.append(connection, "note", "store", {}, AT).seq == N + 1
    assert verified(filled).problem is None


def test_numbers_are_covered_as_they_are_read_back(store: Store) -> None:
    """A whole number in a column of amounts comes back as 300.0, and SQLite keeps no negative zero."""
    row = {"review_id": "r1", "kind": "fact", "about": "x", "answer": "changed", "event_ids": "[]"}
    amounts = [300, -0.0, 0.1, 1e300, 5e-324, 2**53]
    with store.writing() as connection:
        fill(connection)
        rows = [{**row, "item": item, "value": amount} for item, amount in enumerate(amounts, 100)]
        journal.append(connection, "note", "store", {}, AT, {VERIFICATION: rows})
    assert verified(store) == (N + 1, None, None)


# -- size


@only("sqlite")
def test_a_long_journal_is_read_as_a_stream(store: Store) -> None:
    """5,000 entries; held in memory they would be more than 5 MB."""
    n = 5_000
    with store.writing() as connection:
        fill(connection)
        last, rows = journal.head(connection), []
        for seq in range(N + 1, n + 1):
            hashed = journal.entry_hash(seq, AT, "note", "store", {"n": seq}, last.hash)
            entry = {"seq": seq, "at": AT, "kind": "note", "subject": "store", "body": f'{{"n":{seq}}}'}
            rows.append({**entry, "previous": last.hash, "hash": hashed})
            last = Head(seq, hashed, AT)
        connection.execute(insert(JOURNAL), rows)
    del rows
    told = []
    tracemalloc.start()
    with store.reading() as connection:
        found = verification.verify(connection, last, progress=lambda done, total: told.append((done, total)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == (n, None, None)
    assert told == [(done, n) for done in range(1000, n + 1, 1000)]
    assert peak < 3 * 2**20


# -- the command


@pytest.fixture
def run(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("POVRISK_STORE", store_url)
    return lambda *words: CliRunner().invoke(command, [str(word) for word in words])


def test_the_command_says_that_all_is_as_it_was_recorded(filled: Store, run: Callable[..., Any]) -> None:
    said = run("verify")
    assert (said.exit_code, said.output) == (0, "6 entries and all rows they brought are as they were recorded\n")
    assert json.loads(run("verify", "--json").output) == {
        "verified": True,
        "entries": 6,
        "first_bad": None,
        "problem": None,
        "triggers_missing": 0,
        "erasures": 0,
        "erased_rows": 0,
    }


def test_the_command_names_the_first_bad_entry_and_leaves_with_1(
    filled: Store, store_url: str, run: Callable[..., Any]
) -> None:
    behind_its_back(store_url, "UPDATE judgement SET tier_shown = 'green'")
    said = run("verify")
    n = 33 if store_url.startswith("sqlite") else 22
    assert said.exit_code == 1
    assert said.stderr == (
        f"{n} triggers against changes are missing; the service puts them back at its start\n"
        "Error: first bad entry 2: rows of judgement that entry 2 brought were changed, added or removed\n"
    )
    told = run("verify", "--json")
    assert told.exit_code == 1 and json.loads(told.stdout)["first_bad"] == 2


def test_a_head_written_by_the_command_finds_a_cut_end(
    filled: Store, store_url: str, run: Callable[..., Any], tmp_path: Path
) -> None:
    kept = tmp_path / "head.json"
    assert run("head", "--out", kept).exit_code == 0
    whole = json.loads(kept.read_text())
    assert whole == {"seq": 6, "hash": head(filled).hash, "at": "2025-06-15T15:06:40+00:00"}
    assert json.loads(run("head").output) == whole
    assert run("verify", "--head", kept).exit_code == 0
    behind_its_back(store_url, "DELETE FROM journal WHERE seq = 6")
    said = run("verify", "--head", kept)
    assert said.exit_code == 1 and "the journal ends at 5, the exported head is 6" in said.stderr


def test_an_export_holds_everything_that_the_hashes_are_computed_from(
    filled: Store, run: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "journal.jsonl"
    assert json.loads(run("export", "--out", out, "--json").output)["entries"] == 6
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    previous = GENESIS
    for line in lines:
        previous = journal.entry_hash(*(line[name] for name in ("seq", "at", "kind", "subject", "body")), previous)
        assert line["hash"] == previous
    assert (len(lines), previous) == (6, head(filled).hash)


def test_the_command_refuses_what_is_no_store_and_what_is_no_head(run: Callable[..., Any], tmp_path: Path) -> None:
    said = run("verify", "--store", f"sqlite:///{tmp_path / 'typo.db'}")
    assert (said.exit_code, said.stderr) == (1, "Error: there is no store at this address\n")
    assert not (tmp_path / "typo.db").exists()
    assert run("verify", "--store", "mysql://u:secret@h/d").exit_code == 1
    (tmp_path / "h.json").write_text('{"seq": 1}')
    said = run("verify", "--head", tmp_path / "h.json")
    assert said.exit_code == 1 and "is not a head" in said.stderr


def test_without_an_address_the_command_is_misused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POVRISK_STORE", raising=False)
    assert CliRunner().invoke(command, ["verify"]).exit_code == 2
