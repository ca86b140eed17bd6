"""A household erased is gone from every table and every file; the journal keeps digests and still verifies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from features.dataset import DatasetRefused, folder_digest, read_dataset, read_meta
from features.window import MICROS_PER_DAY, days_before
from serving.clock import now
from serving.dataset_erasure import erase_from
from serving.erasure_commands import erase as erase_command
from serving.erasure_commands import retain as retain_command
from serving.settings import current
from serving.store import consent, journal, verification
from serving.store.assessments import keep
from serving.store.concerns import write_concern
from serving.store.engine import Store
from serving.store.erasure import NOTHING, Gone, erase, retain
from serving.store.outcomes import write_outcome
from serving.store.people import add_person_request, make_person_code
from serving.store.reviews import write_review
from serving.store.tables import ABOUT, ASSESSMENTS, CONSENT, ERASED, JOURNAL, METADATA, REVIEWS, TASKS
from serving.store.tasks import TaskRow, open_or_update
from tests.reviewed import AT, RICH, open_task, review
from tests.spec.test_kept_assessments import kept
from tests.stores import foreign, only, store, store_url

__all__ = ["store", "store_url"]

# Nothing in the store holds this by chance.
CANARY, WORD = "Household-Canary-71", "canary-township-88"


def event(name: str) -> dict[str, Any]:
    told = {"event_id": f"event-of-{name}", "code": "COST", "occurred_at": "2025-06-15", "value": 1.0}
    return {**told, "known_at": "2025-06-15", "text": f"free text of {name}", "source": "visit"}


def lives(opened: Store, household: str, key: str) -> None:
    """Everything that a store can hold of one household."""
    asked = {"household_id": household, "region": "demo", "township": WORD, "events": [event(household)]}
    record = {"assessment_id": f"as-{key}", "household_id": household, "text": f"told of {household}"}
    told = kept(f"as-{key}", household_id=household, inputs=asked, record=record, township=WORD)
    with opened.writing() as connection:
        keep(connection, [told], AT)
        task = open_task(connection, household, f"as-{key}")
        write_concern(connection, task.task_id, task.version, f"as-{key}", "high", AT)
        new = review(f"r-{key}", RICH, household=household, assessment_id=f"as-{key}", events=[event(household)])
        write_review(connection, new, {"review_id": f"r-{key}", "of": household})
        outcome = {"what": "entered", "happened_on": "2025-09-01", "key": f"o-{key}", "at": AT}
        write_outcome(connection, household_id=household, assessment_id=f"as-{key}", **outcome)  # type: ignore[arg-type]
        add_person_request(connection, household, f"as-{key}", "correction", ["debt"], AT)
        make_person_code(connection, household, f"as-{key}", AT)
        consent.record(connection, household, "withdrew", "person", AT)


def everything(opened: Store) -> str:
    """All cells of all tables, documents unpacked."""
    from serving.store.documents import unpacked

    cells: list[Any] = []
    with opened.reading() as connection:
        for table in METADATA.sorted_tables:
            for row in connection.execute(select(table)):
                cells += [unpacked(cell) if isinstance(cell, bytes) else cell for cell in row]
    return json.dumps(cells, ensure_ascii=False)


def counts(opened: Store) -> dict[str, int]:
    with opened.reading() as connection:
        return {
            table.name: int(connection.scalar(select(func.count()).select_from(table)) or 0)
            for table in METADATA.sorted_tables
            if table not in (JOURNAL, ABOUT, ERASED)
        }


def erased(opened: Store, *names: str) -> Gone:
    with opened.writing() as connection:
        return erase(connection, names, "tests", AT)


def verified(opened: Store) -> verification.Verified:
    with opened.reading() as connection:
        return verification.verify(connection)


def test_nothing_of_an_erased_household_is_left_and_the_journal_verifies(store: Store) -> None:
    lives(store, "h-stays", "1")
    before = counts(store)
    lives(store, CANARY, "2")
    assert CANARY in everything(store) and all(n > 0 for n in counts(store).values())
    with store.reading() as connection:
        length = journal.head(connection).seq
    gone = erased(store, CANARY, "h-unknown")
    assert gone.households == 1 and gone.rows["reviews"] == gone.rows["assessments"] == gone.rows["tasks"] == 1
    assert CANARY not in everything(store) and "h-stays" in everything(store)
    assert counts(store) == before
    assert verified(store) == (length + 1, None, None)
    with store.reading() as connection:
        entry = journal.entry(connection, length + 1)
        assert entry is not None and (entry.kind, json.loads(entry.body)["n"]) == ("erased", dict(gone.rows))
        assert verification.erasures(connection).times == 1
    assert erased(store, CANARY) == NOTHING
    lives(store, CANARY, "3")
    assert verified(store).problem is None, "who was erased can be assessed again"


def test_after_an_erasure_every_other_deletion_is_refused_and_found(store: Store, store_url: str) -> None:
    lives(store, "h-stays", "1")
    lives(store, CANARY, "2")
    erased(store, CANARY)
    for table in ("reviews", "visit_events", "consent", "erased", "journal"):
        with foreign(store_url) as other, pytest.raises(Exception, match="append-only"):
            other.execute(f"DELETE FROM {table}")
    with foreign(store_url) as other:
        other.execute("DELETE FROM assessments")
    assert verified(store).problem == "assessment as-1 that entry 1 brought was changed or removed"


def test_a_line_of_an_erasure_put_in_by_hand_opens_the_table_and_is_found(store: Store, store_url: str) -> None:
    lives(store, "h-stays", "1")
    with foreign(store_url) as other:
        (entry,) = other.execute("SELECT journal_seq FROM consent ORDER BY journal_seq DESC").fetchone()
        other.execute(f"INSERT INTO erased VALUES ({entry}, 'consent', '', 1, 'x', {entry})")
        other.execute(f"DELETE FROM consent WHERE journal_seq = {entry}")
    found = verified(store)
    assert found.first_bad == entry and "were changed, added or removed" in (found.problem or "")


def test_a_true_line_that_no_erasure_brought_is_found(store: Store) -> None:
    with store.writing() as connection:
        consent.record(connection, "h1", "objected", "person", AT)
        entry = journal.entry(connection, 1)
        assert entry is not None
        digest = json.loads(entry.body)["rows"]["consent"]["hmac_sha256"]
        line = {"entry": 1, "what": "consent", "item": "", "n": 1, "hmac": digest}
        journal.append(connection, "note", "store", {}, AT, {ERASED: [line]})
        connection.execute(CONSENT.delete())
    assert verified(store) == (1, 2, "rows of erased that entry 2 brought were changed, added or removed")


def test_a_row_that_was_changed_before_it_was_erased_is_found(store: Store, store_url: str) -> None:
    lives(store, CANARY, "2")
    with foreign(store_url) as other:
        other.execute("UPDATE assessments SET tier = 'green'")
    erased(store, CANARY)
    assert verified(store).problem == "assessment as-2 that entry 1 brought was changed or removed"


@only("sqlite")
def test_the_bytes_are_gone_from_the_file_and_its_log(store: Store, store_url: str) -> None:
    for k in range(12):
        lives(store, f"{CANARY}-{k}", f"c{k}")
        lives(store, f"h-{k}", f"h{k}")
    folder = Path(store_url.removeprefix("sqlite:///")).parent

    def holds() -> bool:
        return any(CANARY.encode() in file.read_bytes() for file in folder.iterdir())

    assert holds()
    erased(store, *(f"{CANARY}-{k}" for k in range(12)))
    assert store.scrub()
    assert not holds() and verified(store).problem is None
    assert counts(store)["reviews"] == 12


# -- what is old


def test_old_assessments_go_unless_an_open_task_rests_on_them(store: Store) -> None:
    day = MICROS_PER_DAY
    named = {"h1": ["a1", "a2", "a3"], "h2": ["b1", "b2"], "h3": ["c1"]}
    with store.writing() as connection:
        for household, names in named.items():
            for k, name in enumerate(names):
                asked = {"household_id": household}
                each = kept(name, household_id=household, as_of=(100 + k) * day, inputs=asked)
                keep(connection, [each], (100 + k) * day)
                if household == "h1" and k == 1:
                    open_or_update(connection, [TaskRow.of(each)], (100 + k) * day)
        met = {"version": 0, "visited_on": "2025-06-15"}
        write_review(connection, review("r1", met, household="h2"), {"review_id": "r1"})

    def left() -> list[str]:
        with store.reading() as connection:
            assert verification.verify(connection).problem is None
            return sorted(connection.scalars(select(ASSESSMENTS.c.assessment_id)))

    def run(before: int) -> Gone:
        with store.writing() as connection:
            return retain(connection, before, "tests", 200 * day)

    assert run(100 * day) == NOTHING and len(left()) == 6
    assert run(101 * day).rows == {"assessments": 3, "inputs": 1}, "two requests are still needed"
    assert left() == ["a2", "a3", "b2"], "the first of each"
    run(200 * day)
    assert left() == ["a2", "a3"], "the task's own, and the newest of its household"
    assert run(200 * day) == NOTHING
    with store.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(REVIEWS)) == 1
        assert connection.scalar(select(func.count()).select_from(TASKS)) == 1


# -- a folder of data


@pytest.fixture
def folder(tiny_county: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(tiny_county, tmp_path / "county"))


def test_a_folder_is_written_anew_without_the_household_and_reads_as_before(folder: Path) -> None:
    before = read_dataset(folder)
    name = str(before.events["household_id"].iloc[0])
    told = erase_from(folder, [name, "nobody"])
    after = read_dataset(folder)
    assert told["households"] == 1 and told["rows"]["events"] == int((before.events["household_id"] == name).sum()) > 0
    for table in ("events", "members", "households", "truth"):
        old, new = getattr(before, table), getattr(after, table)
        pd.testing.assert_frame_equal(old[old["household_id"] != name].reset_index(drop=True), new)
    assert read_meta(folder).digest == folder_digest(folder) != before.meta.digest
    assert not any(name.encode() in path.read_bytes() for path in folder.iterdir())
    assert sorted(each.name for each in folder.parent.iterdir()) == ["county"]


def test_a_folder_with_something_else_in_it_is_left_as_it_is(folder: Path) -> None:
    name = str(read_dataset(folder).events["household_id"].iloc[0])
    before = folder_digest(folder)
    (folder / "notes.txt").write_text("somebody's notes")
    with pytest.raises(DatasetRefused, match=r"1 file\(s\) that are no Parquet"):
        erase_from(folder, [name])
    (folder / "notes.txt").unlink()
    (folder / "other.parquet").write_bytes(b"PAR1")
    with pytest.raises(DatasetRefused, match=r"other\.parquet is damaged"):
        erase_from(folder, [name])
    assert folder_digest(folder) == before and sorted(p.name for p in folder.parent.iterdir()) == ["county"]


# -- the commands


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.delenv("POVRISK_STORE", raising=False)
    runner = CliRunner()
    return lambda command, *words, given="": runner.invoke(command, [str(word) for word in words], input=given)


@only("sqlite")
def test_the_command_takes_names_from_a_file_and_tells_none(
    store: Store, store_url: str, run: Callable[..., Any]
) -> None:
    lives(store, CANARY, "2")
    lives(store, "h-stays", "1")
    store.close()
    said = run(erase_command, "-", "--store", store_url, "--yes", "--json", given=f"{CANARY}\nnobody\n")
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)
    assert (told["households"], told["store"]["households"], told["store"]["written_anew"]) == (2, 1, True)
    assert CANARY not in said.output and verified(store).problem is None
    assert CANARY not in everything(store)


@only("sqlite")
def test_the_command_refuses_what_is_no_list_of_names(store: Store, store_url: str, run: Callable[..., Any]) -> None:
    assert run(erase_command, "-", given="h1\n").exit_code == 2
    assert run(erase_command, "-", "--store", store_url, "--yes", given="\n").exit_code == 1
    said = run(erase_command, "-", "--store", store_url, "--yes", given=f"h1\n{CANARY * 9}\n")
    assert said.exit_code == 1 and "line 2" in said.output and CANARY not in said.output
    assert run(erase_command, "-", "--store", store_url, given="h1\n").exit_code == 1, "nobody said yes"
    assert run(retain_command, "--store", store_url).exit_code == 2


@only("sqlite")
def test_the_command_removes_what_is_older_than_told(store: Store, store_url: str, run: Callable[..., Any]) -> None:
    today = now(current())
    with store.writing() as connection:
        keep(connection, [kept("old")], days_before(today, 31))
        keep(connection, [kept("young")], days_before(today, 29))
    said = run(retain_command, "--store", store_url, "--days", 30, "--json")
    assert json.loads(said.stdout)["store"]["rows"]["assessments"] == 1
    with store.reading() as connection:
        assert list(connection.scalars(select(ASSESSMENTS.c.assessment_id))) == ["young"]
        assert verification.verify(connection).problem is None
