"""A batch fills the queue: whole or not at all, the same assessments as one by one, and what visits found is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from features.dataset import Dataset, read_dataset
from features.tables import Tables
from features.window import as_of_moment
from models.bundle import Bundle
from models.visit_list import VISIT, visit_list
from serving import batch_store, commands
from serving.batch import BatchReport, score_dataset, score_job
from serving.batch_store import Loaded, score_into_store
from serving.desk import Desk
from serving.extract import request_of
from serving.feedback import Feedback
from serving.messages import Household
from serving.parts import parts_of
from serving.rescoring import with_visits
from serving.scoring import Scorer
from serving.settings import Settings
from serving.sheet_commands import sheets
from serving.store.assessments import inputs, latest, of_household, record, row
from serving.store.engine import Store, StoreDown, open_store
from serving.store.tables import ABOUT, ASSESSMENTS, INPUTS, TASKS
from serving.store.tasks import page, task_of
from serving.store.visits import visit_events
from serving.visit_commands import visits as visits_command

# More than are not green, so that the list reaches green households.
VISITS = 420


@dataclass(frozen=True)
class Filled:
    """A store that a batch filled, and the file it wrote."""

    store: Store
    url: str
    out: Path
    report: BatchReport
    loaded: Loaded
    stopped: dict[str, Any]
    as_of: str
    next_as_of: str


@pytest.fixture(scope="module")
def county(tiny_county: Path) -> Dataset:
    return read_dataset(tiny_county)


@pytest.fixture(scope="module")
def filled(
    county: Dataset,
    opened_bundle: Bundle,
    tiny_bundle: Path,
    tiny_county: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Filled]:
    """Loaded at the second try: the first one ends when the store fails amid the tasks."""
    until = county.meta.moments.until
    as_of = str((pd.Timestamp(until) - pd.offsets.MonthEnd(1)).date())
    place = tmp_path_factory.mktemp("filled")
    out, url = place / "rows.parquet", f"sqlite:///{place / 'store.db'}"
    store = open_store(url)
    job = score_job(opened_bundle, tiny_bundle, tiny_county, as_of)
    at = as_of_moment(as_of, county.meta.time_zone)
    stopped = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_store, "DOCUMENTS_AT_A_TIME", 150)
        patch.setattr(batch_store, "open_or_update", fails_at(3))
        with pytest.raises(StoreDown):
            score_into_store(job, tiny_county, out, store, at=at, visits=VISITS)
        with store.reading() as connection:
            for table in (ASSESSMENTS, INPUTS, TASKS):
                stopped[table.name] = connection.scalar(select(func.count()).select_from(table))
            stopped["about"] = sorted(connection.scalars(select(ABOUT.c.name)))
        stopped["rows"] = pq.read_metadata(out).num_rows
    with pytest.MonkeyPatch.context() as patch:
        runs = list[str]()
        run = batch_store.run_buckets

        def counted(*arguments: Any, **how: Any) -> Any:
            runs.append(how["title"])
            return run(*arguments, **how)

        patch.setattr(batch_store, "run_buckets", counted)
        report, loaded = score_into_store(job, tiny_county, out, store, at=at, visits=VISITS)
        stopped["runs after it"] = runs
    yield Filled(store, url, out, report, loaded, stopped, as_of, until)
    store.close()


def fails_at(call: int) -> Any:
    """Loading that works until the store is gone."""
    calls = list[int]()
    works = batch_store.open_or_update

    def load(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise StoreDown("the store cannot be reached or written")
        return works(*arguments)

    return load


@pytest.fixture(scope="module")
def rows(filled: Filled) -> pd.DataFrame:
    return pq.read_table(filled.out).to_pandas()


# --- whole or not at all --------------------------------------------------------------------------------------------


def test_a_load_that_breaks_off_leaves_nothing_and_the_next_one_does_not_score_again(filled: Filled) -> None:
    assert filled.stopped["rows"] == 600
    assert {name: filled.stopped[name] for name in ("assessments", "inputs", "tasks")} == {
        "assessments": 0,
        "inputs": 0,
        "tasks": 0,
    }
    assert filled.stopped["about"] == ["key", "schema"]
    assert "Assessments" not in filled.stopped["runs after it"]
    assert (filled.loaded.assessments, filled.loaded.opened, filled.loaded.already) == (600, 600, False)
    assert filled.report.households == sum(filled.report.by_tier.values()) == 600
    assert [each.name for each in filled.out.parent.glob(".rows*")] == []


def test_the_same_run_again_changes_nothing(
    filled: Filled, opened_bundle: Bundle, tiny_bundle: Path, tiny_county: Path, tmp_path: Path
) -> None:
    def everything() -> list[Any]:
        with filled.store.reading() as connection:
            return [connection.execute(select(table).order_by(*table.primary_key)).all() for table in (TASKS, ABOUT)]

    before = everything()
    job = score_job(opened_bundle, tiny_bundle, tiny_county, filled.as_of)
    again = tmp_path / "again.parquet"
    _, loaded = score_into_store(job, tiny_county, again, filled.store, at=1, visits=VISITS)
    assert (loaded.already, loaded.opened, loaded.assessments) == (True, 0, 0)
    assert everything() == before
    # The file is what a batch without a store writes, in whatever place.
    score_dataset(job, tiny_county, tmp_path / "alone.parquet")
    alone = pq.read_table(tmp_path / "alone.parquet")
    assert pq.read_table(again).equals(alone)
    assert pq.read_table(filled.out).equals(alone)


# --- what is in it --------------------------------------------------------------------------------------------------


def test_the_queue_is_the_visit_list_of_the_file(filled: Filled, rows: pd.DataFrame, county: Dataset) -> None:
    expected = visit_list(rows, VISITS)
    with filled.store.reading() as connection:
        found = page(connection, limit=500, visits=VISITS)
        found.entries.extend(page(connection, limit=500, visits=VISITS, cursor=found.next_cursor).entries)
        shown = [(e.position, e.place, e.task.household_id, e.because, e.task.tier) for e in found.entries]
    columns = expected[["position", "place", "household_id", "because", "tier"]]
    assert shown == list(columns.itertuples(index=False, name=None))
    townships = county.households.set_index("household_id")["township"]
    assert all(e.task.township == townships[e.task.household_id] for e in found.entries)
    listed = CliRunner().invoke(visits_command, ["--store", filled.url, "--visits", str(VISITS), "--json"])
    of_file = CliRunner().invoke(visits_command, [str(filled.out), "--visits", str(VISITS), "--json"])
    assert listed.exit_code == of_file.exit_code == 0, listed.output
    assert json.loads(listed.output) == json.loads(of_file.output)


def test_whoever_is_not_green_or_may_be_visited_is_kept_whole(filled: Filled, rows: pd.DataFrame) -> None:
    listed = visit_list(rows, VISITS).set_index("household_id")
    kept = (listed["tier"] != "green") | (listed["place"] == VISIT)
    assert ((listed["tier"] == "green") & kept).any()
    assert not kept.all()
    with filled.store.reading() as connection:
        for told in rows.to_dict("records"):
            name, assessment_id = told["household_id"], told["assessment_id"]
            found = row(connection, assessment_id)
            assert found is not None
            assert (found.household_id, found.status, found.tier) == (name, told["status"], told["tier"])
            assert found.has_record == (found.inputs_sha256 is not None) == kept[name]
    assert filled.loaded.records == kept.sum()


def test_a_kept_assessment_is_what_a_call_with_the_kept_request_gets(
    filled: Filled, rows: pd.DataFrame, county: Dataset, opened_bundle: Bundle
) -> None:
    """A request does not say where somebody lives who left, so households that share a person are left out here."""
    scorer = Scorer(opened_bundle, Settings(today=filled.next_as_of))
    tables = Tables.from_frames(county.events, county.members, county.households)
    apart = {part[0] for part in parts_of(tables) if len(part) == 1}
    order = visit_list(rows, VISITS)
    names = [name for name in order.loc[order["place"] == VISIT, "household_id"] if name in apart]
    chosen = [*names[:20], *names[-5:]]
    with filled.store.reading() as connection:
        for name in chosen:
            assessment_id = rows.set_index("household_id").loc[name, "assessment_id"]
            told, sent = record(connection, assessment_id), inputs(connection, assessment_id)
            assert told is not None
            assert sent is not None
            asked = request_of(county, name, filled.as_of)["households"][0]
            assert {**sent, "as_of": filled.as_of} == asked
            online = scorer.score([Household.model_validate(sent)])[0]
            assert json.dumps(told, sort_keys=True) == json.dumps(online, sort_keys=True)


# --- what visits found ----------------------------------------------------------------------------------------------


def test_the_next_batch_knows_what_visits_found(
    filled: Filled, rows: pd.DataFrame, opened_bundle: Bundle, tiny_bundle: Path, tiny_county: Path, tmp_path: Path
) -> None:
    """A fact found wrong stays withdrawn, and who opted out stays with people, although the departments send the same
    rows as before."""
    settings = Settings(today=str((pd.Timestamp(filled.as_of) + pd.Timedelta(days=5)).date()), visits=VISITS)
    desk = Desk(Scorer(opened_bundle, settings), filled.store, settings)
    in_order = visit_list(rows, VISITS)
    scored = in_order.loc[in_order["queue"] == "scored", "household_id"].tolist()
    corrected, opted_out, untouched = scored[0], scored[1], scored[2]
    answer = first_fact(filled.store, corrected)
    report(desk, corrected, settings.today, facts=[{"fact_id": answer["fact_id"], "answer": "wrong"}])
    report(desk, opted_out, settings.today, household_said="opted_out")

    job = score_job(opened_bundle, tiny_bundle, tiny_county, filled.next_as_of)
    at = as_of_moment(filled.next_as_of, opened_bundle.time_zone)
    _, loaded = score_into_store(job, tiny_county, tmp_path / "next.parquet", filled.store, at=at, visits=50)
    # Both were visited, so the batch opens a new task for them; everybody else's moves.
    assert (loaded.opened, loaded.opened + loaded.updated + loaded.left) == (2, 600)
    withdrawn = {event["event_id"] for event in answer["events"]}
    scorer = Scorer(opened_bundle, Settings(today=filled.next_as_of))
    with filled.store.reading() as connection:
        found = visit_events(connection, [corrected, opted_out, untouched])
        assert set(found) == {corrected, opted_out}
        assert {event["supersedes"] for event in found[corrected]} >= withdrawn
        for name in (corrected, opted_out):
            newest = latest(connection, name)
            assert newest is not None
            assert newest.origin == "batch"
            told, sent = record(connection, newest.assessment_id), inputs(connection, newest.assessment_id)
            if name == opted_out:
                assert (newest.status, newest.tier, newest.probability) == ("abstained", "grey", None)
            if told is None or sent is None:
                assert newest.tier == "green"
                continue
            # What visits added is in the assessment, and not in the request.
            assert not any(event["event_id"].startswith("visit-") for event in sent["events"])
            cited = {e["event_id"] for reason in told["reasons"] for fact in reason["facts"] for e in fact["events"]}
            assert not cited & withdrawn
            online = Household.model_validate(with_visits(scorer, sent, found[name], at))
            assert json.dumps(told, sort_keys=True) == json.dumps(scorer.score([online])[0], sort_keys=True)
        of_opted_out, other = task_of(connection, opted_out), task_of(connection, untouched)
        assert of_opted_out is not None
        assert (of_opted_out.is_human_only, of_opted_out.is_manual, of_opted_out.tier) == (True, True, "grey")
        assert other is not None
        assert (other.version, other.opened_at) == (2, as_of_moment(filled.as_of, opened_bundle.time_zone))
        assert len(of_household(connection, untouched)) == 2


def first_fact(store: Store, household_id: str) -> dict[str, Any]:
    """The first fact of the newest assessment that cites an event."""
    with store.reading() as connection:
        newest = latest(connection, household_id)
        assert newest is not None
        told = record(connection, newest.assessment_id)
    assert told is not None
    found: dict[str, Any] = next(f for reason in told["reasons"] for f in reason["facts"] if f["events"])
    return found


def report(desk: Desk, household_id: str, visited_on: str, **found: Any) -> None:
    assert desk.store is not None
    with desk.store.reading() as connection:
        newest, task = latest(connection, household_id), task_of(connection, household_id)
    assert newest is not None
    assert task is not None
    feedback = Feedback.model_validate({"version": task.version, "visited_on": visited_on, **found})
    desk.feedback(newest.assessment_id, feedback, key=f"visit-of-{task.task_id}", role="caseworker", actor="anna")


# --- sheets ---------------------------------------------------------------------------------------------------------


def test_sheets_stand_alone_and_name_no_household_outside_of_them(filled: Filled, tmp_path: Path) -> None:
    out = tmp_path / "sheets"
    asked = ["--store", filled.url, "--out", str(out), "--first", "12"]
    told = CliRunner().invoke(sheets, [*asked, "--lang", "both", "--json"], env={"POVRISK_TODAY": filled.next_as_of})
    assert told.exit_code == 0, told.output
    assert json.loads(told.output) == {"listed": 12, "sheets": 12, "without_record": 0, "out": str(out)}
    with filled.store.reading() as connection:
        entries = page(connection, limit=12).entries
    expected = {f"{e.position:05d}-{e.task.assessment_id}.{lang}.html" for e in entries for lang in ("zh", "en")}
    assert {each.name for each in out.iterdir()} == {"index.html", *expected}
    index = (out / "index.html").read_text(encoding="utf-8")
    for e in entries:
        assert e.task.household_id in index
        sheet = (out / f"{e.position:05d}-{e.task.assessment_id}.zh.html").read_text(encoding="utf-8")
        assert e.task.household_id in sheet
        for text in (index, sheet):
            assert not [mark for mark in ("http://", "https://", "<script", "<link", "src=") if mark in text]
    assert {oct(each.stat().st_mode & 0o777) for each in out.iterdir()} == {"0o600"}
    # Written anew, without what was there before.
    again = CliRunner().invoke(sheets, [*asked[:-1], "3"], env={"POVRISK_TODAY": filled.next_as_of})
    assert again.exit_code == 0, again.output
    assert len(list(out.iterdir())) == 4
    assert [each.name for each in tmp_path.iterdir()] == ["sheets"]


def test_sheets_are_not_written_over_other_files_nor_for_nobody(filled: Filled, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for more, said in (
        (["--out", str(tmp_path), "--first", "2"], "holds other files"),
        (["--out", str(tmp_path / "new"), "--first", "2", "--township", "nowhere"], "nobody waits"),
    ):
        told = CliRunner().invoke(sheets, ["--store", filled.url, *more])
        assert (told.exit_code, said in told.output) == (1, True), told.output
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_refuses_what_does_not_go_together(tiny_bundle: Path, tiny_county: Path, tmp_path: Path) -> None:
    given = [str(tiny_bundle), str(tiny_county), "--as-of", "2021-01-31", "--out", str(tmp_path / "rows.parquet")]
    store = ["--store", f"sqlite:///{tmp_path / 'store.db'}"]
    for more, code, said in (
        ([*store, "--engine", "spark"], 2, "--engine spark"),
        ([*store, "--no-reasons"], 2, "--no-reasons"),
        (["--visits", "5"], 2, "go with --store"),
        (["--keep", "all"], 2, "go with --store"),
        (["--store", f"sqlite:///{tmp_path / 'nowhere' / 'store.db'}"], 1, "make its folder first"),
    ):
        told = CliRunner().invoke(commands.score, [*given, *more])
        assert (told.exit_code, said in told.output) == (code, True), told.output
    assert list(tmp_path.iterdir()) == []
