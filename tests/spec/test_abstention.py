"""Who gets no probability and why: every code by its own limit, the same for a test and for serving, in plain words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.dataset import read_dataset
from features.history import visible
from features.intake import admitted
from features.window import as_of_moment
from models.abstention import (
    ABSTAINING,
    LOW_CONFIDENCE,
    NOT_LOW_RISK,
    Limits,
    LimitsRefused,
    RecordState,
    codes,
    interval_over_tiers,
    told,
)
from models.assessment import Assessed, assess
from models.bundle import Bundle
from models.certainty import Certainty
from models.handling import Handling
from models.interval import VennAbers
from models.record_state import composition_conflicts, months_silent
from models.tier import Bands
from tests.records import CORE, Row, at, event, history, member
from training.abstained import CODE, abstained
from training.rows import dataset_history

AS_OF = "2021-09-30"
GROUPS = ("income", "medical", "household", "context")
IMPORTANCE = np.array([0.5, 0.3, 0.19, 0.01])


def state(n: int = 1, **changed: Any) -> RecordState:
    """Households about whom nothing speaks against a score."""
    parts: dict[str, Any] = {
        "values": np.zeros((n, 4)),
        "unknown": np.zeros((n, 4), np.bool_),
        "coverage": np.ones(n),
        "n_events": np.full(n, 3),
        "n_members": np.full(n, 2),
        "months_silent": {"income": np.zeros(n), "medical": np.zeros(n)},
        "unlearned": np.zeros(n, np.bool_),
        "in_conflict": np.zeros(n, np.bool_),
        "opted_out": np.zeros(n, np.bool_),
    }
    return RecordState(**{**parts, **changed})


def named(of: RecordState, **more: Any) -> list[list[str]]:
    """The codes of each household."""
    found = codes(of, more.pop("importance", IMPORTANCE), GROUPS, limits=more.pop("limits", Limits()), **more)
    assert tuple(found) == tuple(ABSTAINING)
    return [[name for name in found if found[name][i]] for i in range(len(of.values))]


# --- one code at a time -------------------------------------------------------------------------------------------


def test_a_household_that_nothing_speaks_against_is_scored() -> None:
    assert named(state()) == [[]]


def test_each_of_the_older_codes_has_its_own_flag() -> None:
    assert named(state(opted_out=np.array([True]))) == [["opted_out"]]
    assert named(state(n_events=np.array([0]))) == [["no_events"]]
    assert named(state(n_members=np.array([0]))) == [["no_members"]]
    assert named(state(unlearned=np.array([True]))) == [["unknown_never_learned"]]
    assert named(state(in_conflict=np.array([True]))) == [["identity_conflict"]]


def test_the_coverage_limit_itself_is_enough() -> None:
    of = state(3, coverage=np.array([0.5, 0.4999, 0.0]))
    assert named(of) == [[], ["coverage"], ["coverage"]]
    assert named(of, limits=Limits(coverage=0.4)) == [[], [], ["coverage"]]


def test_only_both_key_domains_together_are_stale() -> None:
    old, fresh = np.nextafter(12.0, 13.0), 12.0
    of = state(
        5,
        months_silent={
            "income": np.array([old, old, fresh, math.inf, fresh]),
            "medical": np.array([old, fresh, old, math.inf, fresh]),
        },
    )
    assert named(of) == [["stale_key_sources"], [], [], ["stale_key_sources"], []]


def test_a_domain_that_the_model_hardly_weighs_is_no_key_source() -> None:
    """A panel without medical data keeps one key domain, one without both has none: nobody is left out for that."""
    never = {"income": np.array([0.0, 20.0]), "medical": np.array([math.inf, math.inf])}
    of = state(2, months_silent=never)
    assert named(of) == [[], ["stale_key_sources"]]
    assert named(of, importance=np.array([0.04, 0.04, 0.92, 0.0])) == [[], []]
    assert named(of, importance=np.array([0.0, 0.05, 0.95, 0.0])) == [["stale_key_sources"], ["stale_key_sources"]]
    assert named(of, importance=np.zeros(4)) == [[], []]


def test_two_important_values_far_outside_the_training_make_a_row_foreign() -> None:
    ranges = np.array([[0.0, 0.0, np.nan, 0.0], [1.0, 1.0, np.nan, 1.0]])
    # Ten times the width away still belongs to it.
    rows = [[-10.0, 11.0, 99.0, 11.0], [11.1, 0.5, 99.0, 0.5], [11.1, -10.1, 0.0, 0.5], [np.nan, 11.1, 0.0, 0.5]]
    of = state(4, values=np.array(rows))
    assert named(of, ranges=ranges) == [[], [], ["out_of_range"], []]
    assert named(of, ranges=ranges, limits=Limits(out_of_range=1)) == [[], *[["out_of_range"]] * 3]
    assert named(of, ranges=ranges, limits=Limits(beyond=10.2)) == [[]] * 4
    assert named(of) == [[]] * 4
    # The fourth feature holds exactly 1 % of the weight, a little less does not count.
    of = state(1, values=np.array([[19.0, 0.5, 0.0, 19.0]]))
    assert named(of, ranges=ranges) == [["out_of_range"]]
    assert named(of, ranges=ranges, importance=np.array([0.5, 0.3, 0.191, 0.009])) == [[]]
    # A range without width cannot tell far from near.
    flat = np.array([[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    assert named(of, ranges=flat) == [[]]


def test_an_expired_model_speaks_about_nobody() -> None:
    assert named(state(2), expired=True) == [["expired_model"]] * 2


def test_about_whom_nothing_is_known_only_that_is_said() -> None:
    nothing = {"income": np.array([math.inf] * 3), "medical": np.array([math.inf] * 3)}
    of = state(
        3,
        coverage=np.zeros(3),
        months_silent=nothing,
        in_conflict=np.ones(3, np.bool_),
        n_events=np.array([0, 1, 1]),
        n_members=np.array([1, 0, 1]),
        opted_out=np.array([False, False, True]),
    )
    assert named(of) == [["no_events"], ["no_members"], ["opted_out"]]


def test_where_the_model_is_not_asked_its_limits_are_not_looked_at() -> None:
    of = state(2, coverage=np.zeros(2), in_conflict=np.ones(2, np.bool_), opted_out=np.array([False, True]))
    assert named(of, expired=True, judged=np.zeros(2, np.bool_)) == [[], ["opted_out"]]


@settings(max_examples=60)
@given(st.data())
def test_codes_agree_with_a_plain_reading_of_the_rules(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 5))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    values = rng.choice([-21.1, -21.0, 0.0, 21.0, 21.1, np.nan], (n, 4))
    of = state(
        n,
        values=values,
        coverage=rng.choice([0.0, 0.49, 0.5, 0.9], n),
        n_events=rng.integers(0, 3, n),
        n_members=rng.integers(0, 3, n),
        months_silent={name: rng.choice([0.0, 12.0, 12.1, math.inf], n) for name in ("income", "medical")},
        in_conflict=rng.random(n) < 0.3,
        opted_out=rng.random(n) < 0.2,
    )
    ranges = np.array([[-1.0] * 4, [1.0] * 4])
    found = named(of, ranges=ranges)
    for i in range(n):
        expected = []
        if of.opted_out[i]:
            expected.append("opted_out")
        if of.n_events[i] == 0:
            expected.append("no_events")
        if of.n_members[i] == 0:
            expected.append("no_members")
        if not expected:
            if of.in_conflict[i]:
                expected.append("identity_conflict")
            if of.coverage[i] < 0.5:
                expected.append("coverage")
            if min(of.months_silent["income"][i], of.months_silent["medical"][i]) > 12:
                expected.append("stale_key_sources")
            if sum(1 for v in values[i] if v < -21 or v > 21) >= 2:
                expected.append("out_of_range")
        assert found[i] == expected


# --- the interval -------------------------------------------------------------------------------------------------


def test_an_interval_that_reaches_another_band_is_told_with_care() -> None:
    bands = Bands(red=0.4, orange=0.3, yellow=0.2)
    ends = np.array([[0.20, 0.29], [0.19, 0.21], [0.20, 0.30], [0.0, 0.1999], [0.4, 0.7]])
    probability = np.array([0.25, 0.2, 0.25, 0.1, 0.5])
    assert interval_over_tiers(probability, ends, bands, Limits()).tolist() == [False, True, True, True, False]
    # The fourth is wider than a tenth and than its probability; where no bands hold only the width counts.
    assert interval_over_tiers(probability, ends, None, Limits()).tolist() == [False, False, False, True, False]
    assert interval_over_tiers(probability, None, bands, Limits()).tolist() == [False] * 5


# --- who lives there ----------------------------------------------------------------------------------------------


def conflicts(people: list[Row], events: list[Row] | None = None, as_of: str = "2024-06-30") -> bool:
    made = history(events or [], people)
    return bool(composition_conflicts(made, visible(made, at(as_of)))[0])


def test_two_heads_at_a_time_contradict_each_other_and_one_after_the_other_do_not() -> None:
    first = member("p1", role="head")
    assert conflicts([first, member("p2", role="head")])
    assert not conflicts([first, member("p2", role="spouse"), member("p3", role="other"), member("p4", role="other")])
    assert not conflicts([member("p1", role="head", left="2020-01-01", known="2020-01-02"), member("p2", role="head")])
    # Two rows of one spell are one person.
    assert not conflicts([first, member("p1", role="head", known="2015-01-01")])


def test_a_household_whose_head_has_died_is_no_conflict() -> None:
    gone = member("p1", role="head", left="2024-02-01", known="2024-02-03")
    assert not conflicts([gone, member("p2", role="spouse")])


def test_a_household_of_registered_dead_is_a_conflict_and_a_widow_is_not() -> None:
    died = [event("FUN//CREMATE", "2024-03-01", value=80.0, person_id=f"p{k}") for k in (1, 2)]
    couple = [member("p1", role="head"), member("p2", role="spouse")]
    assert conflicts(couple, died)
    assert not conflicts(couple, died[:1])
    assert not conflicts(couple, died, as_of="2024-02-28")


def test_events_about_people_whom_nobody_listed_are_a_conflict_when_they_are_most() -> None:
    ours = [event("CLM//DRUG", f"2024-0{k}-01", value=5.0, person_id="p1") for k in (1, 2)]
    strange = [event("CLM//DRUG", f"2024-0{k}-02", value=5.0, person_id="who") for k in (1, 2, 3)]
    assert not conflicts([member()], ours + strange[:2])
    assert conflicts([member()], ours + strange)
    # Not yet listed is not listed; who has left was listed.
    assert not conflicts([member(), member("who", joined="2024-04-01", left="2024-05-01")], ours + strange)
    assert not conflicts([member()], [event("LS//GRANT", "2024-01-01", value=5.0)])


def test_silence_is_counted_from_the_newest_event_of_the_kind_as_far_as_it_is_known() -> None:
    rows = [
        event("CLM//DRUG", "2023-06-30", value=5.0, person_id="p1"),
        event("CLM//DRUG", "2024-06-20", "2024-07-02", 5.0, person_id="p1"),
        event("LS//GRANT", "2024-05-31T12:00:00", value=5.0),
    ]
    made = history(rows)
    seen = visible(made, at("2024-06-30"))
    drugs = CORE.positions(("CLM//DRUG",))
    assert months_silent(made, seen, drugs)[0] == pytest.approx(367 / 30.4375)
    assert months_silent(made, seen)[0] == pytest.approx(30.5 / 30.4375)
    assert months_silent(made, seen, CORE.positions(("DIS//CERT_NEW",)))[0] == math.inf


# --- words and limits ---------------------------------------------------------------------------------------------


def test_every_code_says_what_it_means_and_what_to_do_in_short() -> None:
    for name, wording in {**ABSTAINING, **LOW_CONFIDENCE}.items():
        for text in wording:
            assert 4 <= len(text.zh) <= 28, name
            assert re.search(r"[\u4e00-\u9fff]", text.zh)
            assert re.match(r"[A-Z]", text.en)
        assert (NOT_LOW_RISK.en in wording.todo.en) == (name in ABSTAINING)
        assert (NOT_LOW_RISK.zh in wording.todo.zh) == (name in ABSTAINING)


def test_limits_come_back_from_their_file_and_nonsense_is_refused() -> None:
    limits = Limits(coverage=0.45, out_of_range=3)
    assert Limits.from_json(limits.as_json()) == limits
    with pytest.raises(LimitsRefused, match="lack wide"):
        Limits.from_json({name: value for name, value in limits.as_json().items() if name != "wide"})
    for wrong in ({"coverage": 1.1}, {"thin_coverage": math.nan}, {"key_months": -1.0}, {"out_of_range": 0}):
        with pytest.raises(LimitsRefused, match=next(iter(wrong))):
            Limits(**wrong)  # type: ignore[arg-type]


# --- in the assessment --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def county(tiny_county: Path, opened_bundle: Bundle) -> Iterator[Any]:
    dataset = admitted(read_dataset(tiny_county), opened_bundle.catalogue)
    yield dataset_history(dataset, opened_bundle.catalogue)


def assessed(bundle: Bundle, made: Any, **more: Any) -> Assessed:
    return assess(bundle, made, as_of_moment(AS_OF, bundle.time_zone), reasons=False, **more)


def test_the_record_names_codes_with_words_and_the_row_names_them_alone(opened_bundle: Bundle, county: Any) -> None:
    found = assessed(opened_bundle, county)
    statuses = set()
    for i in range(len(county.household_ids)):
        record, row = found.record(i), found.row(i)
        names = [each["code"] for each in record["abstention"]]
        statuses.add(record["status"])
        assert (record["status"] == "abstained") == bool(names)
        assert (record["status"] == "scored_low_confidence") == bool(record["low_confidence"])
        assert names == row["abstention_codes"]
        assert record["abstention"] == told(names)
        assert [f"abstained:{name}" for name in names] == [
            entry for entry in record["tier_basis"] if entry.startswith("abstained:")
        ]
    assert statuses == {"scored", "scored_low_confidence", "abstained"}


def test_few_households_are_left_without_a_score_and_few_is_not_none(opened_bundle: Bundle, county: Any) -> None:
    found = assessed(opened_bundle, county)
    share = np.mean([bool(names) for names in found.scores.abstentions])
    assert 0.01 < share < 0.15


def test_past_its_last_day_the_model_says_nothing_and_the_rules_still_do(opened_bundle: Bundle, county: Any) -> None:
    def until(day: str) -> Bundle:
        return replace(opened_bundle, certainty=replace(opened_bundle.certainty, valid_until=day))

    good, late = assessed(until(AS_OF), county), assessed(until("2021-09-29"), county)
    assert good.scores.abstentions == assessed(opened_bundle, county).scores.abstentions
    assert all("expired_model" in names for names in late.scores.abstentions)
    for i in range(len(county.household_ids)):
        record = late.record(i)
        assert (record["status"], record["probability"]) == ("abstained", None)
        assert record["tier"] != "green"
        assert record["points"] == good.record(i)["points"]
    # Switched off, there is no model to expire.
    off = assessed(until("2021-09-29"), county, handling=Handling(rules_only=True))
    assert {off.scores.status(i) for i in range(len(county.household_ids))} == {"rules_only", "abstained"}
    assert not any("expired_model" in names for names in off.scores.abstentions)


def test_values_that_training_never_saw_are_not_scored(opened_bundle: Bundle, county: Any) -> None:
    """Amounts in another unit look like this."""
    narrow = np.full((2, len(CORE.names)), np.nan)
    narrow[0], narrow[1] = 1e12, 1.01e12
    foreign = replace(opened_bundle, certainty=replace(opened_bundle.certainty, ranges=narrow))
    unchecked = replace(opened_bundle, certainty=replace(opened_bundle.certainty, ranges=None))
    before, after = assessed(unchecked, county).scores.abstentions, assessed(foreign, county).scores.abstentions
    assert sum(not names for names in before) > 400
    assert all(names == ["out_of_range"] for old, names in zip(before, after, strict=True) if not old)
    assert not any("out_of_range" in names for names in before)


def test_a_wide_interval_lowers_the_confidence_and_no_tier(opened_bundle: Bundle, county: Any) -> None:
    plain = replace(opened_bundle, certainty=Certainty(opened_bundle.certainty.members))
    wide = VennAbers(np.array([0.0]), np.array([0.0]), np.zeros(3), np.ones(3))
    unsure = replace(plain, certainty=replace(plain.certainty, bounds=wide))
    before, after = assessed(plain, county), assessed(unsure, county)
    n_scored = 0
    for i in range(len(county.household_ids)):
        old, new = before.record(i), after.record(i)
        assert (old["tier"], old["probability"]) == (new["tier"], new["probability"])
        assert old["interval"] is None
        if old["probability"] is not None:
            n_scored += 1
            assert new["interval"] == [0.0, 1.0]
            assert new["status"] == "scored_low_confidence"
            assert new["low_confidence"][-1]["code"] == "interval_over_tiers"
    assert n_scored > 400


def test_a_test_leaves_out_whom_serving_leaves_out(opened_bundle: Bundle, county: Any) -> None:
    found = assessed(opened_bundle, county)
    moment = as_of_moment(AS_OF, opened_bundle.time_zone)
    earlier = as_of_moment("2021-06-30", opened_bundle.time_zone)
    names = list(county.household_ids)
    rows = pd.DataFrame({"household_id": names[::-1] + names, "as_of": [moment] * len(names) + [earlier] * len(names)})
    rows.index = pd.RangeIndex(7, 7 + len(rows))
    ranges, limits = opened_bundle.certainty.ranges, found.scores.limits
    flags = abstained(county, rows, opened_bundle.model, opened_bundle.importance, limits=limits, ranges=ranges)
    assert flags.index.equals(rows.index)
    here = flags.iloc[: len(names)].iloc[::-1]
    assert here["coverage"].tolist() == found.quality.coverage
    for (_, row), expected in zip(here.iterrows(), found.scores.abstentions, strict=True):
        assert [name for name in ABSTAINING if row[CODE + name]] == expected
        assert row["abstained"] == bool(expected)
    assert flags["abstained"].iloc[len(names) :].any()
