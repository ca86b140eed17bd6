"""A household assessed, visited, and assessed again: what the visit added counts, and the change says so."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from features.dataset import Dataset, read_dataset
from features.window import MICROS_PER_DAY, as_of_moment, parsed, written
from models.bundle import Bundle
from serving.errors import Invalid
from serving.extract import request_of
from serving.feedback import Feedback
from serving.messages import Change, Household
from serving.rescoring import Item, rescore, with_change, with_changes, with_visits
from serving.scoring import Scorer
from serving.settings import Settings
from serving.visit_events import cited_facts, events_of, merged
from tests.records import ZONE

Said = dict[str, Any]
THEN, TODAY = "2022-06-30", "2022-07-12"
AT_THEN = as_of_moment(THEN, ZONE)
LATER = as_of_moment("2022-12-31", ZONE)
NOW = parsed(f"{TODAY}T15:00:00+08:00", ZONE)


@pytest.fixture(scope="module")
def county(tiny_county: Path) -> Dataset:
    return read_dataset(tiny_county)


@pytest.fixture(scope="module")
def scorer(opened_bundle: Bundle) -> Scorer:
    return Scorer(opened_bundle, Settings())


@pytest.fixture(scope="module")
def cases(county: Dataset, scorer: Scorer) -> list[tuple[Said, Said]]:
    """Requests of some households with a score and facts to check, and their assessments."""
    found = []
    for name in county.households["household_id"].tolist():
        inputs = request_of(county, name, THEN)["households"][0]
        record = scorer.score([Household.model_validate(inputs)], NOW)[0]
        if record["probability"] is not None and any(fact.events for fact in cited_facts(record).values()):
            found.append((inputs, record))
        if len(found) == 12:
            break
    return found


def visited(scorer: Scorer, inputs: Said, record: Said, **fields: Any) -> list[Said]:
    report = Feedback.model_validate({"version": 1, "visited_on": TODAY, **fields})
    bundle = scorer.bundle
    return events_of(report, record, inputs, "r1", NOW, bundle.catalogue, bundle.time_zone, bundle.currency)


def wrong(record: Said) -> Said:
    """The first fact that cites something, found wrong."""
    name = next(name for name, fact in cited_facts(record).items() if fact.events)
    return {"fact_id": name, "answer": "wrong"}


def told(scorer: Scorer, inputs: Said, events: list[Said], previous: Any, now: int = NOW) -> Said:
    return rescore(scorer, scorer.settings, inputs, events, previous, now)


def test_a_visit_that_found_a_fact_wrong_changes_the_number_and_says_so(
    cases: list[tuple[Said, Said]], scorer: Scorer
) -> None:
    moved = 0
    for inputs, record in cases:
        untouched = json.dumps(inputs)
        fact = wrong(record)
        events = visited(scorer, inputs, record, facts=[fact])
        again = told(scorer, inputs, events, record)
        assert again["as_of"] == written(NOW, ZONE)
        change = Change.model_validate(again["change"])
        assert change.previous.assessment_id == record["assessment_id"]
        assert [each.code for each in change.new_events] == ["GRD//VISIT"]
        gone = {each["event_id"] for each in cited_facts(record)[fact["fact_id"]].events}
        assert gone == {each.event_id for each in change.repaired_events}
        assert all(each.text["en"].endswith("(no longer counted)") for each in change.repaired_events)
        if change.split is not None:
            assert change.split.model_changed == change.split.new_events == 0.0
            moved += change.split.data_repaired != 0
        cited = {each["event_id"] for of in cited_facts(again).values() for each in of.events}
        assert not gone & cited, "what is withdrawn is no fact any more"
        assert json.dumps(inputs) == untouched
    assert len(cases) == 12 and moved >= 4


def test_the_new_number_is_that_of_the_whole_record_sent_at_once(
    cases: list[tuple[Said, Said]], scorer: Scorer
) -> None:
    inputs, record = cases[0]
    events = visited(scorer, inputs, record, facts=[wrong(record)])
    again = told(scorer, inputs, events, None)
    whole = {**inputs, "as_of": written(NOW, ZONE), "events": [*inputs["events"], *events]}
    by_hand = scorer.score([Household.model_validate(whole)], NOW)[0]
    assert again["change"] is None
    assert again == by_hand
    assert told(scorer, inputs, events, record) == told(scorer, inputs, events, record)


def test_a_visit_lets_a_tier_fall_that_was_held_up(cases: list[tuple[Said, Said]], scorer: Scorer) -> None:
    """Also one on the day of the assessment, which is judged at the end of that day."""
    inputs, record = next(case for case in cases if case[1]["tier"] in ("green", "grey"))
    held = {**record, "tier": "orange", "tier_computed": "orange"}
    morning = dataclasses.replace(_row(held), as_of=as_of_moment(TODAY, ZONE))
    now = as_of_moment(TODAY, ZONE) + 1_000_000
    without, visit = visited(scorer, inputs, record, channel="phone"), visited(scorer, inputs, record)
    for previous, at in ((held, NOW), (morning, now)):
        assert told(scorer, inputs, without, previous, at)["tier"] == "orange"
        assert told(scorer, inputs, visit, previous, at)["tier"] in ("green", "grey")


@dataclasses.dataclass(frozen=True)
class Row:
    """As the store lists an assessment."""

    assessment_id: str
    as_of: int
    status: str
    tier: str
    tier_computed: str
    probability: float | None
    bundle_sha256: str


def _row(record: Said) -> Row:
    names = ("assessment_id", "status", "tier", "tier_computed", "probability")
    return Row(
        **{name: record[name] for name in names},
        as_of=parsed(record["as_of"], ZONE),
        bundle_sha256=record["model"]["bundle_sha256"],
    )


def test_a_row_of_the_store_serves_like_the_record_but_for_the_interval(
    cases: list[tuple[Said, Said]], scorer: Scorer
) -> None:
    inputs, record = cases[0]
    events = visited(scorer, inputs, record, facts=[wrong(record)])
    by_row, by_record = told(scorer, inputs, events, _row(record)), told(scorer, inputs, events, record)
    for answer in (by_row, by_record):
        answer["change"] = {k: v for k, v in answer["change"].items() if k not in ("steady", "text")}
    assert by_row == by_record


def test_later_calls_of_the_platform_are_compared_with_the_last_time(
    cases: list[tuple[Said, Said]], county: Dataset, scorer: Scorer
) -> None:
    later = as_of_moment("2022-12-31", ZONE)
    for inputs, record in cases[:6]:
        events = visited(scorer, inputs, record, facts=[wrong(record)])
        sent = request_of(county, inputs["household_id"], "2022-12-31")["households"][0]
        household = Household.model_validate(with_visits(scorer, sent, events, later))
        answer = scorer.score([household], later)[0]
        found = with_change(scorer, household, answer, record, inputs, events, now=later)["change"]
        split = found["split"]
        assert split is None or abs(sum(split.values()) - found["per_100"]) < 1e-9
        assert split is None or split["model_changed"] == 0.0
        assert "GRD//VISIT" in {each["code"] for each in found["new_events"]} or found["n_new_events"] > 5


@pytest.fixture(scope="module")
def items(cases: list[tuple[Said, Said]], county: Dataset, scorer: Scorer) -> list[Item]:
    """Later calls about the households: with what visits added, with rows put right, without the rows of then."""
    found = []
    for k, (inputs, record) in enumerate(cases):
        events = visited(scorer, inputs, record, facts=[wrong(record)]) if k % 2 else []
        as_of = ("2022-09-30", "2022-12-31")[k % 3 == 0]
        sent = request_of(county, inputs["household_id"], as_of)["households"][0]
        household = Household.model_validate(with_visits(scorer, sent, events, LATER))
        answer = scorer.score([household], LATER)[0]
        kept = None if k == 4 else {**inputs, "events": inputs["events"][1:]} if k == 5 else inputs
        found.append(Item(household, answer, _row(record) if k == 2 else record, kept, events, k % 2 == 0))
    return found


def test_many_are_compared_at_once_as_each_is_alone(items: list[Item], scorer: Scorer) -> None:
    together = with_changes(scorer, items, now=LATER)
    assert together == [with_changes(scorer, [item], now=LATER)[0] for item in items]
    assert together[::-1] == with_changes(scorer, items[::-1], now=LATER)
    changes = [answer["change"] for answer in together]
    assert all(Change.model_validate(each) for each in changes)
    assert sum(each["split"] is not None for each in changes) > 3
    assert changes[4]["split"] is None and changes[4]["n_new_events"] == 0
    assert changes[5]["n_repaired_events"] >= 1


def test_two_calls_about_one_household_do_not_see_each_other(items: list[Item], scorer: Scorer) -> None:
    other = dataclasses.replace(items[1], visit_events=(), previous_inputs=items[0].previous_inputs)
    found = with_changes(scorer, [items[1], other, items[1]], now=LATER)
    assert found[0] == found[2] == with_changes(scorer, [items[1]], now=LATER)[0]
    assert found[1] == with_changes(scorer, [other], now=LATER)[0] != found[0]


@pytest.mark.parametrize("fault", ["previous", "answer", "inputs", "household"])
def test_a_fault_in_one_costs_only_its_own_change(
    items: list[Item], scorer: Scorer, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    sound = with_changes(scorer, items, now=LATER)
    bad = {
        "previous": dataclasses.replace(items[3], previous={"as_of": "SECRET"}),
        "answer": dataclasses.replace(items[3], answer={**items[3].answer, "as_of": "SECRET"}),
        "inputs": dataclasses.replace(items[3], previous_inputs={"events": ["SECRET"]}),
        "household": dataclasses.replace(
            items[3], household=items[3].household.model_copy(update={"region": "SECRET"})
        ),
    }[fault]
    found = with_changes(scorer, [*items[:3], bad, *items[4:]], now=LATER)
    assert found[3] == bad.answer or (fault == "inputs" and found[3]["change"]["split"] is None)
    assert [*found[:3], *found[4:]] == [*sound[:3], *sound[4:]]
    assert "SECRET" not in caplog.text and (fault == "inputs" or "1 change could not be worked out" in caplog.text)


def test_an_assessment_that_is_not_earlier_is_not_compared(cases: list[tuple[Said, Said]], scorer: Scorer) -> None:
    inputs, record = cases[0]
    assert told(scorer, inputs, [], record, AT_THEN)["change"] is None


def test_another_model_makes_its_own_part(
    cases: list[tuple[Said, Said]], scorer: Scorer, opened_bundle: Bundle
) -> None:
    """A level set anew moves every number, and nothing else."""
    inputs, record = cases[0]
    calibration = dataclasses.replace(opened_bundle.calibration, intercept=opened_bundle.calibration.intercept + 0.5)
    other = dataclasses.replace(opened_bundle, calibration=calibration, sha256="0" * 64)
    household = Household.model_validate(inputs)
    newer = Scorer(other, Settings())
    day = AT_THEN + MICROS_PER_DAY
    same_moment = newer.score([household], day)[0]["probability"]
    again = told(newer, inputs, [], record, day)["change"]["split"]
    assert again["model_changed"] == 100 * (same_moment - record["probability"]) > 0
    assert again["data_repaired"] == again["new_events"] == 0.0


def test_events_of_visits_that_no_longer_fit_are_left_out_and_counted_without_a_name(
    cases: list[tuple[Said, Said]], scorer: Scorer, caplog: pytest.LogCaptureFixture
) -> None:
    inputs, record = cases[0]
    good = visited(scorer, inputs, record)
    ahead = {**good[0], "event_id": "SECRET-1", "known_at": written(NOW + MICROS_PER_DAY, ZONE)}
    unfit = {**good[0], "event_id": "SECRET-2", "value": 99.0}
    unread = {**good[0], "event_id": "SECRET-3", "occurred_at": "2022-02-30"}
    with caplog.at_level(logging.WARNING, "povrisk.serving"):
        found = with_visits(scorer, inputs, [*good, ahead, unfit, unread], NOW)
    assert found == merged(inputs, good, ZONE)
    assert "3 event(s) of visits do not fit" in caplog.text and "SECRET" not in caplog.text


def test_a_request_that_can_no_longer_be_read_is_refused_or_goes_without_a_split(
    cases: list[tuple[Said, Said]], scorer: Scorer
) -> None:
    inputs, record = cases[0]
    with pytest.raises(Invalid):
        told(scorer, {**inputs, "region": "atlantis"}, [], record)
    with pytest.raises(Invalid):
        told(scorer, {**inputs, "surprise": 1}, [], record)
    household = Household.model_validate(inputs | {"as_of": written(NOW, ZONE)})
    answer = scorer.score([household], NOW)[0]
    for unread in (None, {**inputs, "region": "atlantis"}):
        found = with_change(scorer, household, answer, record, unread, now=NOW)["change"]
        assert found["split"] is None and found["per_100"] is not None
