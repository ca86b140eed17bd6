"""A batch over a dataset folder: one row a household, the same as alone, whole or not there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from features.bucket_run import run_buckets
from features.dataset import Dataset, DatasetRefused, read_dataset, write_dataset
from features.history import history_from_tables
from features.matrix import matrix
from features.tables import Tables
from features.window import as_of_moment, from_micros
from models.assessment import Assessed, assess, assessments
from models.bundle import Bundle, read_bundle
from serving import commands, score_job, scoring
from serving.batch import BatchReport, score_dataset
from serving.batch import score_job as job_of
from serving.extract import request_of
from serving.messages import Batch, Results
from serving.parts import parts_of
from serving.reading import read_batch
from serving.rows import ROWS
from serving.scoring import Scorer, in_language
from serving.settings import Settings


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def county(tiny_county: Path) -> Dataset:
    return read_dataset(tiny_county)


@pytest.fixture(scope="module")
def as_of(county: Dataset) -> str:
    return county.meta.moments.until


def score(bundle: Bundle, place: Path, folder: Path, as_of: str, out: Path, **how: Any) -> BatchReport:
    return score_dataset(job_of(bundle, place, folder, as_of, **how), folder, out)


@pytest.fixture(scope="module")
def rows(
    bundle: Bundle, tiny_bundle: Path, tiny_county: Path, as_of: str, tmp_path_factory: pytest.TempPathFactory
) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("batch") / "all.parquet"
    score(bundle, tiny_bundle, tiny_county, as_of, out)
    return pq.read_table(out).to_pandas().set_index("household_id")


def run(command: Any, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_every_household_gets_one_row_of_the_declared_columns(rows: pd.DataFrame, county: Dataset, as_of: str) -> None:
    assert sorted(rows.index) == sorted(county.households["household_id"])
    assert list(rows.reset_index().columns) == ROWS.names
    assert set(rows["status"]) <= {"scored", "scored_low_confidence", "abstained"}
    moment = from_micros(as_of_moment(as_of, county.meta.time_zone))
    assert (rows["as_of"] == pd.Timestamp(moment)).all()
    is_scored = rows["status"] != "abstained"
    assert rows.loc[is_scored, "probability"].between(0, 1).all()
    assert rows.loc[~is_scored, "probability"].isna().all()
    assert (rows.loc[~is_scored, "tier"] != "green").all()
    assert any(len(reasons) for reasons in rows["reasons"])


def test_a_batch_says_what_one_household_alone_is_told(
    rows: pd.DataFrame, bundle: Bundle, county: Dataset, as_of: str
) -> None:
    scorer = Scorer(bundle, Settings())
    for household_id in county.households["household_id"].iloc[:40]:
        body = json.dumps(request_of(county, household_id, as_of), allow_nan=False).encode()
        alone = scorer.score(read_batch(body, Settings(), Batch).households)[0]
        row = rows.loc[household_id]
        assert alone["status"] == row["status"]
        assert alone["assessment_id"] == row["assessment_id"]
        assert alone["tier"] == row["tier"]
        if alone["probability"] is not None:
            assert alone["probability"] == row["probability"]
            assert [r["group"] for r in alone["reasons"]] == [r["group"] for r in row["reasons"]]


def test_neither_buckets_nor_chunks_nor_processes_change_a_row(
    rows: pd.DataFrame, bundle: Bundle, tiny_bundle: Path, tiny_county: Path, as_of: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(score_job, "ROWS_AT_A_TIME", 37)
    job = job_of(bundle, tiny_bundle, tiny_county, as_of)
    out = tmp_path / "buckets.parquet"
    run_buckets(tiny_county, job, out, workers=2, n_buckets=5, title="Assessments")
    found = pq.read_table(out).to_pandas().set_index("household_id").loc[rows.index]
    pd.testing.assert_frame_equal(found, rows)


def test_without_reasons_nothing_else_changes(
    rows: pd.DataFrame, bundle: Bundle, tiny_bundle: Path, tiny_county: Path, as_of: str, tmp_path: Path
) -> None:
    score(bundle, tiny_bundle, tiny_county, as_of, tmp_path / "bare.parquet", reasons=False)
    bare = pq.read_table(tmp_path / "bare.parquet").to_pandas().set_index("household_id").loc[rows.index]
    evidence = ["reasons", "triggers", "verification"]
    assert not any(len(cell) for name in evidence for cell in bare[name])
    pd.testing.assert_frame_equal(bare.drop(columns=evidence), rows.drop(columns=evidence))


def test_a_bucket_that_cannot_be_assessed_at_once_loses_only_the_household_at_fault(
    rows: pd.DataFrame, bundle: Bundle, tiny_bundle: Path, tiny_county: Path, as_of: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    broken = rows.index[5]

    def sometimes(bundle: Bundle, history: Any, as_of: int, **how: Any) -> Assessed:
        if broken in history.household_ids:
            raise KeyError(broken)
        return assess(bundle, history, as_of, **how)

    monkeypatch.setattr(score_job, "assess", sometimes)
    monkeypatch.setattr(scoring, "assess", sometimes)
    out = tmp_path / "broken.parquet"
    report = score(bundle, tiny_bundle, tiny_county, as_of, out)
    assert report.by_status["error"] == 1
    found = pq.read_table(out).to_pandas().set_index("household_id").loc[rows.index]
    assert (found.loc[broken, "status"], found.loc[broken, "tier"]) == ("error", "grey")
    pd.testing.assert_frame_equal(found.drop(index=broken), rows.drop(index=broken))


def test_a_person_who_moves_takes_the_record_along(bundle: Bundle, county: Dataset, as_of: str) -> None:
    """Somebody with events moves in with another household: request, chunk and whole history agree on both."""
    moment = as_of_moment(as_of, county.meta.time_zone)
    month_ago = pd.Timestamp(from_micros(moment)) - pd.Timedelta(days=30)
    events = county.events
    following = {kind.code for kind in bundle.catalogue.kinds if kind.follows}
    movable = events[events["code"].isin(following)].merge(county.members[["person_id", "household_id"]])
    person, old = movable[["person_id", "household_id"]].iloc[0]
    new = next(h for h in county.households["household_id"] if h != old)
    spell = county.members[county.members["person_id"] == person].iloc[-1]
    arrival = pd.DataFrame(
        [{**spell, "household_id": new, "joined_at": month_ago, "left_at": pd.NaT, "known_at": month_ago}]
    )
    leaving = pd.DataFrame([{**spell, "left_at": month_ago, "known_at": month_ago}])
    members = pd.concat([county.members, leaving, arrival], ignore_index=True)
    members["left_at"] = pd.to_datetime(members["left_at"], utc=True)
    moved = dataclasses.replace(county, members=members)

    tables = Tables.from_frames(moved.events, moved.members, moved.households)
    assert any({old, new} <= set(part) for part in parts_of(tables))
    history = history_from_tables(
        moved.events, moved.members, moved.households, bundle.catalogue, time_zone=bundle.time_zone
    )
    whole = matrix(history, moment, [old, new])
    for i, household_id in enumerate((old, new)):
        request = request_of(moved, household_id, as_of)["households"][0]
        is_cited = person in {member["person_id"] for member in request["members"]}
        assert is_cited == (household_id == new)
        read = read_batch(json.dumps({"households": [request]}).encode(), Settings(), Batch)
        answer = Scorer(bundle, Settings()).score(read.households)[0]
        assert answer["data_quality"]["n_events_24m"] == whole.n_events[i] > 0
        expected = assessments(bundle, history, moment)[history.index[household_id]]
        assert answer["probability"] == expected["probability"]


def test_what_became_known_later_is_not_in_the_request(county: Dataset, as_of: str) -> None:
    moment = as_of_moment(as_of, county.meta.time_zone)
    household_id = county.events["household_id"].value_counts().index[0]
    request = request_of(county, household_id, as_of)["households"][0]
    known = [as_of_moment(event["known_at"], county.meta.time_zone) for event in request["events"]]
    assert known
    assert max(known) <= moment


def test_csv_holds_the_lists_as_json(
    bundle: Bundle, tiny_bundle: Path, tiny_county: Path, as_of: str, tmp_path: Path
) -> None:
    out = tmp_path / "all.csv"
    score(bundle, tiny_bundle, tiny_county, as_of, out)
    table = pd.read_csv(out)
    assert list(table.columns) == ROWS.names
    assert all(isinstance(json.loads(cell), list) for cell in table["reasons"])


def test_a_run_that_breaks_leaves_the_last_good_file_and_goes_on_later(
    rows: pd.DataFrame, bundle: Bundle, tiny_bundle: Path, tiny_county: Path, as_of: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out = tmp_path / "all.parquet"
    out.write_text("the last good one")

    def fails(*arguments: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(score_job, "rows_table", fails)
        with pytest.raises(KeyboardInterrupt):
            score(bundle, tiny_bundle, tiny_county, as_of, out)
    assert out.read_text() == "the last good one"
    score(bundle, tiny_bundle, tiny_county, as_of, out)
    pd.testing.assert_frame_equal(pq.read_table(out).to_pandas().set_index("household_id"), rows)
    assert [path.name for path in tmp_path.iterdir()] == ["all.parquet"]


def test_one_failing_household_becomes_an_error_and_no_other(
    bundle: Bundle, county: Dataset, as_of: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ids = county.households["household_id"].iloc[:9].tolist()
    asked = [request_of(county, household_id, as_of)["households"][0] for household_id in ids]
    households = read_batch(json.dumps({"households": asked}).encode(), Settings(), Batch).households
    scorer = Scorer(bundle, Settings())
    good = scorer.score(households)
    broken = ids[4]

    def sometimes(bundle: Bundle, history: Any, as_of: int, **how: Any) -> Assessed:
        if broken in {how["handling"].names[name] for name in history.household_ids}:
            raise KeyError(broken)
        return assess(bundle, history, as_of, **how)

    monkeypatch.setattr(scoring, "assess", sometimes)
    answers = scorer.score(households)
    assert answers[4]["status"] == "error"
    assert (answers[4]["probability"], answers[4]["tier"], answers[4]["household_id"]) == (None, "grey", broken)
    assert [a for i, a in enumerate(answers) if i != 4] == [a for i, a in enumerate(good) if i != 4]
    Results.model_validate({"results": answers})
    assert "KeyError (message withheld)" in caplog.text
    assert broken not in caplog.text


def test_a_dataset_made_for_another_model_is_refused(
    bundle: Bundle, tiny_bundle: Path, county: Dataset, as_of: str, tmp_path: Path
) -> None:
    for name, value in {
        "currency": "USD",
        "time_zone": "UTC",
        "regions": ("elsewhere",),
        "catalogue": "eph",
    }.items():
        meta = dataclasses.replace(county.meta, **{name: value})
        write_dataset(
            tmp_path / name, events=county.events, members=county.members, households=county.households, meta=meta
        )
        with pytest.raises(DatasetRefused, match=name.replace("_", " ").rstrip("s")):
            score(bundle, tiny_bundle, tmp_path / name, as_of, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_an_unknown_code_is_counted_and_moves_no_score(bundle: Bundle, county: Dataset, as_of: str) -> None:
    household_id = county.events["household_id"].value_counts().index[0]
    body = request_of(county, household_id, as_of)
    known = body["households"][0]
    late = {**known["events"][0], "event_id": "u2", "code": "XYZ//NEW", "known_at": "2026-01-01", "person_id": None}
    early = {**late, "event_id": "u1", "occurred_at": "2019-01-01", "known_at": "2019-01-02"}
    for extra in (early, late):
        extra.pop("supersedes", None)
        extra["status"] = "original"
    with_unknown = {**known, "events": [*known["events"], early, late]}
    scorer = Scorer(bundle, Settings())
    found = []
    for household in (known, with_unknown):
        read = read_batch(json.dumps({"households": [household]}).encode(), Settings(), Batch)
        found.append(scorer.score(read.households)[0])
    assert [answer["data_quality"].pop("unknown_codes") for answer in found] == [0, 1]
    assert found[0] == found[1]


def test_texts_come_in_the_language_asked_for(bundle: Bundle, county: Dataset, as_of: str) -> None:
    body = json.dumps(request_of(county, county.households["household_id"].iloc[0], as_of)).encode()
    answer = Scorer(bundle, Settings()).score(read_batch(body, Settings(), Batch).households)[0]
    assert set(answer["limits"][0]) == {"zh", "en"}
    assert in_language(answer, None) == answer
    written = json.dumps(in_language(answer, "zh"))
    assert '"zh"' in written
    assert '"en"' not in written


def test_score_command(
    bundle: Bundle, tiny_bundle: Path, tiny_county: Path, as_of: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "open_bundle", lambda folder: bundle)
    out = tmp_path / "all.parquet"
    done = run(commands.score, tiny_bundle, tiny_county, "--as-of", as_of, "--out", out, "--no-reasons", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["households"] == pq.read_metadata(out).num_rows == sum(said["by_tier"].values())
    bad = run(commands.score, tiny_bundle, tiny_county, "--as-of", "soon", "--out", out)
    assert (bad.exit_code, "Traceback" in bad.output) == (1, False)
    assert run(commands.score, tiny_bundle, tiny_county).exit_code == 2


def test_verify_command_refuses_a_changed_bundle(tiny_bundle: Path, tmp_path: Path) -> None:
    assert run(commands.verify, tiny_bundle).exit_code == 0
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tiny_bundle.iterdir():
        (copy / path.name).write_bytes(path.read_bytes().replace(b'"base_rate"', b'"base_rat_"'))
    refused = run(commands.verify, copy, "--json")
    assert refused.exit_code == 1
    checks = json.loads(refused.stdout)["checks"]
    assert (checks[-1]["name"], checks[-1]["passed"]) == ("hashes", False)
    assert run(commands.assess, copy, "-").exit_code == 1


@pytest.mark.parametrize("language", ["zh", "en", None])
def test_assess_command_fits_a_screen(
    bundle: Bundle,
    tiny_bundle: Path,
    tiny_county: Path,
    rows: pd.DataFrame,
    as_of: str,
    language: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "open_bundle", lambda folder: bundle)
    households = [rows[rows["status"] == "scored"].index[0], *rows[rows["status"] == "abstained"].index[:1]]
    for household_id in households:
        body = run(commands.request, tiny_county, "--household", household_id, "--as-of", as_of)
        assert body.exit_code == 0, body.output
        file = tmp_path / "one.json"
        file.write_text(body.stdout, encoding="utf-8")
        options = [] if language is None else ["--lang", language]
        shown = run(commands.assess, tiny_bundle, file, *options)
        assert shown.exit_code == 0, shown.output
        assert max(cell_len(line.rstrip()) for line in shown.stdout.splitlines()) <= 80
        assert ("由人决定" in shown.stdout) == (language != "en")
        assert ("People decide" in shown.stdout) == (language != "zh")
        told = json.loads(run(commands.assess, tiny_bundle, file, "--json").stdout)
        assert told["household_id"] == household_id
        probability = rows.loc[household_id, "probability"]
        assert told["probability"] == (None if np.isnan(probability) else probability)


def test_request_and_assess_refuse_with_a_reason(
    tiny_bundle: Path, tiny_county: Path, as_of: str, tmp_path: Path
) -> None:
    stranger = run(commands.request, tiny_county, "--household", "HH-SECRET", "--as-of", as_of)
    assert stranger.exit_code == 1
    assert "HH-SECRET" not in stranger.output
    file = tmp_path / "bad.json"
    file.write_text('{"households": [{"household_id": "HH-SECRET", "income": 3}]}')
    refused = run(commands.assess, tiny_bundle, file)
    assert refused.exit_code == 1
    assert "households.0.income is no field of this message" in refused.output
    assert "HH-SECRET" not in refused.output
    assert "Traceback" not in refused.output
