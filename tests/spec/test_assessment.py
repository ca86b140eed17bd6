"""The assessment record: every field of the contract, no invented number, no word of causes, the same bytes again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from features.dataset import Dataset, read_dataset
from features.definition import GROUP_TEXT, Measure
from features.history import History, history_from_tables, visible
from features.intake import admitted
from features.matrix import matrix
from features.window import Micros, as_of_moment
from models.assessment import LOW_COVERAGE, assess, assessments
from models.bundle import Bundle
from models.data_quality import FRESH_DAYS
from models.reasons import MAX_FACTS, MAX_LOWERING, MAX_RAISING
from models.record_frame import ABSTAINED, LIMITS, ROW_FIELDS, failed, failed_row, per_100
from tests.records import event, household, member
from tests.records import history as by_hand
from training.rows import dataset_history

AS_OF = "2021-09-30"
FIELDS = {
    "schema", "assessment_id", "household_id", "as_of", "valid_until", "horizon_months", "status", "probability",
    "interval", "per_100", "base_rate_per_100", "tier", "tier_basis", "points", "poverty_types", "dimensions",
    "reasons", "contributions", "triggers", "data_gaps", "data_quality", "questions", "policy_candidates", "limits",
    "abstention", "low_confidence", "model", "decision", "decision_authority",
}  # fmt: skip
SCORED = ("scored", "scored_low_confidence")

ATTENTION = ("red", "orange", "yellow", "green", "grey")


@pytest.fixture(scope="module")
def county(tiny_county: Path, opened_bundle: Bundle) -> Dataset:
    return admitted(read_dataset(tiny_county), opened_bundle.catalogue)


@pytest.fixture(scope="module")
def made(county: Dataset, opened_bundle: Bundle) -> History:
    return dataset_history(county, opened_bundle.catalogue)


@pytest.fixture(scope="module")
def as_of(opened_bundle: Bundle) -> Micros:
    return as_of_moment(AS_OF, opened_bundle.time_zone)


@pytest.fixture(scope="module")
def records(opened_bundle: Bundle, made: History, as_of: Micros) -> list[dict[str, Any]]:
    return assessments(opened_bundle, made, as_of)


@pytest.fixture(scope="module")
def scored(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in records if record["status"] in SCORED]


def as_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def texts(value: Any) -> Iterator[dict[str, str]]:
    """Every text in both languages, wherever it stands."""
    if isinstance(value, dict):
        if "zh" in value or "en" in value:
            yield {language: value[language] for language in ("zh", "en") if language in value}
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)


def facts(record: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for reason in record["reasons"]:
        for fact in reason["facts"]:
            yield reason, fact


def test_every_field_of_the_contract_is_there_whatever_the_status(
    records: list[dict[str, Any]], opened_bundle: Bundle, as_of: Micros
) -> None:
    everything = [*records, failed(opened_bundle, "h", as_of)]
    assert {record["status"] for record in everything} == {*SCORED, "abstained", "error"}
    for record in everything:
        assert record.keys() >= FIELDS
        assert record["schema"] == "assessment.v1"
        assert record["horizon_months"] == 12
        assert record["data_quality"].keys() >= {"coverage", "sources"}
        assert record["model"].keys() == {"name", "version", "bundle_sha256"}
        assert (record["decision"], record["decision_authority"]) == (None, "human")
        assert len(record["questions"]) <= 8


def test_an_interval_holds_the_probability_and_is_not_invented(
    records: list[dict[str, Any]], opened_bundle: Bundle
) -> None:
    for record in records:
        is_known = opened_bundle.certainty.bounds is not None and record["probability"] is not None
        assert (record["interval"] is not None) == is_known
        if is_known:
            low, high = record["interval"]
            assert 0 <= low <= record["probability"] <= high <= 1


def test_the_rules_speak_about_every_household(records: list[dict[str, Any]]) -> None:
    for record in records:
        if "abstained:opted_out" in record["tier_basis"]:
            assert (record["points"], record["dimensions"], record["triggers"]) == (None, {}, [])
            continue
        assert record["points"] >= 0
        assert len(record["dimensions"]) >= 8
        assert all(value is None or 0 <= value <= 1 for value in record["dimensions"].values())
        assert {trigger["state"] for trigger in record["triggers"]} <= {"true", "not_evaluable"}
        assert record["rules"]["pack"] == "demo"


def test_a_record_is_json_without_a_number_that_is_none(
    records: list[dict[str, Any]], opened_bundle: Bundle, as_of: Micros
) -> None:
    for record in [*records, failed(opened_bundle, "h", as_of)]:
        assert json.loads(as_bytes(record)) == record


def test_a_scored_record_agrees_with_itself(scored: list[dict[str, Any]], opened_bundle: Bundle) -> None:
    assert len(scored) > 400
    for record in scored:
        contributions = record["contributions"]
        log_odds = contributions["base"] + sum(contributions["groups"].values())
        probability = record["probability"]
        assert abs(math.log(probability / (1 - probability)) - log_odds) < 1e-6
        assert probability == pytest.approx(expit(log_odds), abs=1e-9)
        band = opened_bundle.bands.tier(probability).value
        if record["tier"] == "grey":
            assert band == "green"
        else:
            assert ATTENTION.index(record["tier"]) <= ATTENTION.index(band)
            assert ("probability" in record["tier_basis"]) == (record["tier"] == band)
        assert record["per_100"] == pytest.approx(100 * probability, abs=0.5)
        doubts = [each["code"] for each in record["low_confidence"]]
        assert ("low_coverage" in doubts) == (record["data_quality"]["coverage"] < LOW_COVERAGE)
        assert set(doubts) <= {"low_coverage", "interval_over_tiers"}
        assert record["status"] == ("scored_low_confidence" if doubts else "scored")
        assert record["abstention"] == []


def test_moments_are_written_in_the_zone_of_the_data(records: list[dict[str, Any]]) -> None:
    for record in records[:20]:
        assert record["as_of"] == "2021-10-01T00:00:00+08:00"
        assert datetime.fromisoformat(record["valid_until"]) - datetime.fromisoformat(record["as_of"]) == timedelta(90)


def test_households_come_in_the_order_of_the_history(records: list[dict[str, Any]], made: History) -> None:
    assert [record["household_id"] for record in records] == list(made.household_ids)
    assert len({record["assessment_id"] for record in records}) == len(records)


# --- without a score ----------------------------------------------------------------------------------------------


def numbers(value: Any, at: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from numbers(part, f"{at}.{name}")
    elif isinstance(value, list):
        for part in value:
            yield from numbers(part, at)
    elif isinstance(value, int | float):
        yield at


def test_a_household_without_events_is_grey_and_has_no_number(opened_bundle: Bundle, as_of: Micros) -> None:
    old = event("CLM//INPATIENT", "2019-09-30", value=9e5, person_id="p1")
    signed = event("BNK//DEPOSIT_BAL", "2021-09-01", value=10.0, person_id="p1")
    for rows in ([], [old], [signed]):
        (record,) = assessments(opened_bundle, by_hand(rows, [member("p1")]), as_of)
        assert (record["status"], record["tier"]) == ("abstained", "grey")
        assert "abstained:no_events" in record["tier_basis"]
        for name in ("probability", "per_100", "contributions", "interval"):
            assert record[name] is None
        assert record["reasons"] == []
        assert record["limits"][0] == ABSTAINED
        assert "不表示风险低" in ABSTAINED["zh"]
        assert "does not mean low risk" in ABSTAINED["en"]


def test_a_household_in_which_nobody_is_known_to_live_is_grey(opened_bundle: Bundle, as_of: Micros) -> None:
    rows = [event("LS//GRANT", "2021-09-01", value=500.0)]
    for people in ([], [member("p1", left="2021-01-01", known="2021-01-05")], [member("p1", known="2021-12-01")]):
        (record,) = assessments(opened_bundle, by_hand(rows, people), as_of)
        assert (record["status"], record["tier"]) == ("abstained", "grey")
        assert record["tier_basis"][0] == "abstained:no_members"


def test_what_the_model_never_learned_to_be_unknown_is_not_scored(
    opened_bundle: Bundle, made: History, as_of: Micros
) -> None:
    vectors = matrix(made, as_of)
    used = opened_bundle.model.booster.feature_importance("split") > 0
    missing = np.isnan(vectors.values).sum(axis=0)
    column = int(np.flatnonzero(used & (missing > 0) & (missing < 500) & opened_bundle.model.had_unknown)[0])
    learned = opened_bundle.model.had_unknown.copy()
    learned[column] = False
    strict = replace(opened_bundle, model=replace(opened_bundle.model, had_unknown=learned))
    before = opened_bundle.model.unlearned_unknowns(vectors.values)
    refused = before | np.isnan(vectors.values[:, column])
    assert before.sum() < refused.sum() < 600
    for record, is_refused in zip(assessments(strict, made, as_of), refused, strict=True):
        assert ("abstained:unknown_never_learned" in record["tier_basis"]) == is_refused
        assert record["probability"] is None or not is_refused
    # A feature that no tree asks for may be unknown.
    unused = opened_bundle.model.had_unknown & used
    loose = replace(opened_bundle, model=replace(opened_bundle.model, had_unknown=unused))
    assert [r["status"] for r in assessments(loose, made, as_of)] == [
        r["status"] for r in assessments(opened_bundle, made, as_of)
    ]


def test_a_failed_computation_is_an_error_and_never_a_number(opened_bundle: Bundle, as_of: Micros) -> None:
    record = failed(opened_bundle, "h-1", as_of)
    assert (record["status"], record["tier"], record["household_id"]) == ("error", "grey", "h-1")
    assert set(numbers(record)) == {".horizon_months", ".label.horizon_months", ".base_rate_per_100"}
    assert record["data_quality"] == {"coverage": None, "n_events_24m": None, "sources": []}


def test_without_a_probability_nobody_is_called_green(records: list[dict[str, Any]]) -> None:
    for record in records:
        assert (record["probability"] is None) == (record["per_100"] is None)
        assert record["tier"] != "green" or record["probability"] is not None
        assert (record["contributions"] is None) == (record["probability"] is None)


# --- reasons ------------------------------------------------------------------------------------------------------


def test_reasons_cite_only_what_is_visible_with_both_dates_as_they_are(
    records: list[dict[str, Any]], county: Dataset, made: History, as_of: Micros
) -> None:
    table = county.events.drop_duplicates(["household_id", "event_id"]).set_index("event_id")
    seen = visible(made, as_of)
    cited = 0
    for h, record in enumerate(records):
        visible_ids = {str(made.event_id[e]) for e in seen.of(h)}
        for _, fact in facts(record):
            assert 1 <= len(fact["events"]) <= 3
            assert fact["n_events"] >= len(fact["events"])
            for one in fact["events"]:
                assert one.keys() == {"event_id", "code", "occurred_at", "known_at", "source"}
                assert one["event_id"] in visible_ids
                row = table.loc[one["event_id"]]
                assert pd.Timestamp(one["occurred_at"]) == row["occurred_at"] < pd.Timestamp(as_of, unit="us", tz="UTC")
                assert pd.Timestamp(one["known_at"]) == row["known_at"] <= pd.Timestamp(as_of, unit="us", tz="UTC")
                assert (one["code"], one["source"]) == (row["code"], row["source"])
                cited += 1
    assert cited > 500


def test_no_fact_rests_on_an_unknown_and_no_reason_on_context(
    records: list[dict[str, Any]], opened_bundle: Bundle, made: History, as_of: Micros
) -> None:
    vectors = matrix(made, as_of)
    by_name = opened_bundle.catalogue.by_name
    for h, record in enumerate(records):
        for reason, fact in facts(record):
            feature = by_name[fact["feature"]]
            column = vectors.names.index(feature.name)
            assert not vectors.unknown[h, column]
            assert np.isfinite(vectors.values[h, column])
            assert feature.group.value == reason["group"] != "context"
            assert feature.measure not in (Measure.MEMBERS, Measure.MEMBERS_AGED, Measure.RESIDENCE)


def test_reasons_are_few_sorted_and_worded_by_the_size_of_their_domain(scored: list[dict[str, Any]]) -> None:
    for record in scored:
        groups = record["contributions"]["groups"]
        pulls = [(r["direction"], groups[r["group"]]) for r in record["reasons"]]
        raising = [pull for direction, pull in pulls if direction == "raises"]
        lowering = [pull for direction, pull in pulls if direction == "lowers"]
        assert [direction for direction, _ in pulls] == ["raises"] * len(raising) + ["lowers"] * len(lowering)
        assert raising == sorted(raising, reverse=True)
        assert lowering == sorted(lowering)
        assert all(pull > 0 for pull in raising)
        assert all(pull < 0 for pull in lowering)
        assert (len(raising) <= MAX_RAISING, len(lowering) <= MAX_LOWERING) == (True, True)
        for reason in record["reasons"]:
            size = abs(groups[reason["group"]])
            assert reason["strength"] == ("strong" if size > 0.7 else "medium" if size >= 0.3 else "slight")
            assert 1 <= len(reason["facts"]) <= MAX_FACTS
    assert {r["direction"] for record in scored for r in record["reasons"]} == {"raises", "lowers"}


def test_without_reasons_nothing_else_changes(
    records: list[dict[str, Any]], opened_bundle: Bundle, made: History, as_of: Micros
) -> None:
    bare = assessments(opened_bundle, made, as_of, reasons=False)
    names = ("reasons", "triggers", "points_items", "verification", "questions", "assistance_chain")
    left_out: dict[str, Any] = {**{name: [] for name in names}, "reason_note": None}
    assert [record | left_out for record in records] == bare


def test_a_row_of_a_table_says_what_the_record_says(
    records: list[dict[str, Any]], opened_bundle: Bundle, made: History, as_of: Micros
) -> None:
    assessed = assess(opened_bundle, made, as_of)
    for i, record in enumerate(records):
        row = assessed.row(i)
        candidate = ("item", "status", "depends_on", "missing")
        told = {
            **{name: record[name] for name in ROW_FIELDS},
            "verification": [each["id"] for each in record["verification"]],
            "policy_candidates": [{name: each[name] for name in candidate} for each in record["policy_candidates"]],
            "coverage": record["data_quality"]["coverage"],
            "months_silent": row["months_silent"],
            "abstention_codes": [each["code"] for each in record["abstention"]],
            "model_version": record["model"]["version"],
        }
        assert row == told
        assert (row["months_silent"] is None) <= (record["data_quality"]["n_events_24m"] == 0)


def test_what_is_asked_of_one_household_does_not_depend_on_the_others(opened_bundle: Bundle, made: History) -> None:
    moment = as_of_moment("2021-10-01", made.time_zone)
    some = assess(opened_bundle, made, moment)
    again = assess(opened_bundle, made, moment).settled()
    for i in reversed(range(len(made.household_ids))):
        assert some.record(i) == again.record(i)


def test_a_failed_household_has_a_row_without_a_number(opened_bundle: Bundle, as_of: Micros) -> None:
    row = failed_row(opened_bundle, "h-1", as_of)
    assert (row["status"], row["tier"], row["probability"], row["points"]) == ("error", "grey", None, None)
    assert set(row) == {*ROW_FIELDS, "coverage", "months_silent", "abstention_codes", "model_version"}
    assert (row["months_silent"], row["abstention_codes"]) == (None, [])


# --- words --------------------------------------------------------------------------------------------------------

CAUSAL = re.compile(r"导致|因为|造成|\bcaus|\bbecause\b", re.IGNORECASE)


def test_no_text_speaks_of_causes(records: list[dict[str, Any]], opened_bundle: Bundle) -> None:
    # The limits say that the records are no causes; nothing else may use the word.
    said = [text for record in records for text in texts({**record, "limits": []})]
    declared = opened_bundle.catalogue
    said += [f.meaning._asdict() for f in declared.features] + [k.name._asdict() for k in declared.kinds]
    said += [text._asdict() for text in GROUP_TEXT.values()]
    assert len(said) > 2_000
    assert [text for text in said if CAUSAL.search(" ".join(text.values()))] == []
    assert CAUSAL.search("high bills caused it")
    assert any("不是原因" in limit["zh"] for limit in LIMITS)


def test_every_text_is_there_in_both_languages(records: list[dict[str, Any]]) -> None:
    for record in records:
        for text in texts(record):
            assert set(text) == {"zh", "en"}
            assert re.search(r"[\u4e00-\u9fff]", text["zh"])
            assert re.search(r"[A-Za-z]{3}", text["en"])
        for _, fact in facts(record):
            assert "nan" not in fact["text"]["en"].lower()
            assert "None" not in fact["text"]["en"]


@given(st.floats(0, 1))
def test_rare_never_reads_as_never(probability: float) -> None:
    said = per_100(probability)
    assert said > 0
    assert abs(said - 100 * probability) <= (0.5 if probability >= 0.01 else 0.1)
    assert probability < 0.01 or said == int(said)


# --- the record behind it -----------------------------------------------------------------------------------------


def test_sources_say_when_they_were_last_heard_and_whether_that_is_fresh(opened_bundle: Bundle, as_of: Micros) -> None:
    _, worst = opened_bundle.sources["医保"]
    newest = datetime.fromisoformat("2021-10-01T00:00:00+08:00") - timedelta(days=FRESH_DAYS + int(worst))
    rows = [
        event("CLM//DRUG", "2021-01-01", newest.isoformat(), 9.0, person_id="p1"),
        event("CLM//DRUG", "2020-01-01", "2020-01-05", 9.0, person_id="p1", event_id="older"),
        event("LS//GRANT", "2021-09-01", "2021-09-15T08:00:00", 9.0),
        event("LS//GRANT", "2021-09-02", "2021-10-02", 9.0, event_id="not known yet"),
    ]
    (record,) = assessments(opened_bundle, by_hand(rows, [member("p1")]), as_of)
    insurance, civil = record["data_quality"]["sources"]
    assert (insurance["source"], insurance["latest_known_at"]) == ("医保", newest.date().isoformat())
    assert insurance["fresh"] is True
    assert (civil["source"], civil["latest_known_at"], civil["fresh"]) == ("民政", "2021-09-15", True)
    rows[0]["known_at"] -= timedelta(microseconds=1)
    (record,) = assessments(opened_bundle, by_hand(rows, [member("p1")]), as_of)
    assert record["data_quality"]["sources"][0]["fresh"] is False
    assert record["data_quality"]["n_events_24m"] == 3


def test_gaps_are_told_for_the_silent_and_the_abstained(records: list[dict[str, Any]]) -> None:
    for record in records:
        assert 0 <= record["data_quality"]["coverage"] <= 1
        weights = [gap["weight_in_model"] for gap in record["data_gaps"]]
        assert weights == sorted(weights, reverse=True)
        assert sum(weights) == pytest.approx(1 - record["data_quality"]["coverage"], abs=0.01)
        assert "context" not in {gap["group"] for gap in record["data_gaps"]}
    assert any(record["data_gaps"] for record in records if record["status"] == "abstained")


# --- the same bytes -----------------------------------------------------------------------------------------------


def test_the_same_events_moment_and_model_give_the_same_bytes(
    records: list[dict[str, Any]], opened_bundle: Bundle, county: Dataset, as_of: Micros
) -> None:
    shuffled = replace(county, events=county.events.sample(frac=1, random_state=5))
    again = assessments(opened_bundle, dataset_history(shuffled, opened_bundle.catalogue), as_of)
    assert as_bytes(again) == as_bytes(records)


def test_what_becomes_known_later_changes_no_byte(
    records: list[dict[str, Any]], opened_bundle: Bundle, county: Dataset, as_of: Micros
) -> None:
    moment = pd.Timestamp(as_of, unit="us", tz="UTC")
    later = county.events["known_at"] > moment
    people_later = county.members["known_at"] > moment
    assert later.sum() > 1_000
    assert people_later.sum() > 5
    scrambled = county.events.copy()
    scrambled.loc[later, "value"] = scrambled.loc[later, "value"] * -7
    scrambled.loc[later, "code"] = "CLM//INPATIENT"
    scrambled.loc[later, "source"] = "梦"
    gone = replace(county, events=county.events[~later], members=county.members[~people_later])
    for other in (gone, replace(county, events=scrambled)):
        assert as_bytes(assessments(opened_bundle, dataset_history(other, opened_bundle.catalogue), as_of)) == as_bytes(
            records
        )


def test_an_assessment_is_named_by_what_it_rests_on(opened_bundle: Bundle, as_of: Micros) -> None:
    rows = [event("CLM//INPATIENT", "2021-09-01", value=900.0, person_id="p1", event_id="e")]

    def name(rows: list[dict[str, Any]], moment: Micros = as_of, who: str = "h1") -> str:
        made = by_hand([row | {"household_id": who} for row in rows], [member("p1", household=who)], [household(who)])
        return assessments(opened_bundle, made, moment)[0]["assessment_id"]

    assert name(rows) == name(rows)
    assert re.fullmatch(r"as-[0-9a-f]{24}", name(rows))
    others = [
        name([{**rows[0], "value": 901.0}]),
        name([{**rows[0], "event_id": "f"}]),
        name(rows, as_of + 1),
        name(rows, who="h2"),
        name([]),
    ]
    assert len({name(rows), *others}) == 6


def test_a_history_without_households_has_no_assessments(opened_bundle: Bundle, county: Dataset, as_of: Micros) -> None:
    empty = history_from_tables(
        county.events[:0], county.members[:0], county.households[:0], opened_bundle.catalogue,
        time_zone=opened_bundle.time_zone,
    )  # fmt: skip
    assert assessments(opened_bundle, empty, as_of) == []
