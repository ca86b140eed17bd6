"""Of any household: the parts of a change add up to it, and what only touched one part shows in no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from features.history import history_of, visible
from features.matrix import matrix_of
from features.tables import Tables
from features.window import MICROS_PER_DAY, Micros, days_before, from_micros, written
from models.abstention import Limits
from models.assessment import assess
from models.bundle import Bundle, read_bundle
from models.certainty import Certainty
from models.change import PARTS, change, shown
from tests.bundles import CORE, small_bundle
from tests.drawn import some_household
from tests.records import ZONE, Row, at, dataset, event, household, member
from tests.situations import Situation, told

NOW = at("2026-11-01")
ROWS = 400
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
# A seed says which household failed; there is nothing to shrink.
seeds = st.integers(0, 2**32 - 1).map(Random)
some = settings(max_examples=25, phases=UNSHRUNK)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Deep trees over what drawn households look like, so that hardly anything leaves the number unmoved."""
    rng = Random(5)
    history = told([some_household(rng) for _ in range(ROWS)])
    values = matrix_of(history, visible(history, NOW)).values
    outcome = np.random.default_rng(5).random(len(values)) < 0.4
    parameters = {
        "objective": "binary", "num_leaves": 63, "min_data_in_leaf": 3, "feature_fraction": 0.05, "verbosity": -1,
        "num_threads": 1,
    }  # fmt: skip
    data = lgb.Dataset(values, outcome * 1.0, feature_name=list(CORE.names))
    trees = lgb.train(parameters, data, num_boost_round=150)
    limits = Limits(coverage=0.0, thin_coverage=0.0, key_months=1e6, wide=1.0)
    folder = small_bundle(
        tmp_path_factory.mktemp("drawn") / "bundle",
        model_text=trees.model_to_string(),
        had_unknown=np.ones(len(CORE.names), np.bool_),
        golden_values=values[:32],
        certainty=Certainty(limits=limits),
    )
    return read_bundle(folder)


def rows(home: Situation) -> list[Row]:
    """The events of a situation, as they are told by `NOW`."""
    found = []
    for k, each in enumerate(home.happenings):
        known = days_before(NOW, each.days - each.lag_days if each.days > 0 else 30.0)
        row = event(each.code, "2026-01-01", value=each.value, event_id=f"e{k}", person_id=each.person, text=each.text)
        moments = {"occurred_at": from_micros(days_before(NOW, each.days)), "known_at": from_micros(known)}
        found.append(row | moments)
    return found


def people(home: Situation) -> list[Row]:
    def person(each: Any) -> Row:
        born = None if each.age is None else from_micros(days_before(NOW, 365.2425 * (each.age + 0.5))).date()
        row = member(each.name, "2004-01-01", role=each.role, sex=each.sex) | {"birth_date": born}
        left = None if each.left_days is None else from_micros(days_before(NOW, each.left_days))
        return row if left is None else row | {"left_at": left, "known_at": left}

    return [person(each) for each in home.people]


def tables(home: Situation, events: Sequence[Row]) -> Tables:
    made = dataset(events, people(home), [household("h1", home.residence, "demo")])
    return Tables.from_frames(made.events, made.members, made.households)


def probability(bundle: Bundle, of: Tables, as_of: Micros) -> float | None:
    history = history_of(of, CORE, time_zone=ZONE)
    return assess(bundle, history, as_of, reasons=False).scores.probability(0)


def split(bundle: Bundle, before: Tables, now: Tables, then: Micros) -> dict[str, float]:
    """The parts; a household without a number at one of the steps is passed over."""
    parts = parts_of(bundle, before, now, then)
    assume(parts is not None)
    assert parts is not None
    return parts


def parts_of(bundle: Bundle, before: Tables, now: Tables, then: Micros) -> dict[str, float] | None:
    was, is_now = probability(bundle, before, then), probability(bundle, now, NOW)
    previous = {
        "assessment_id": "as-1", "as_of": then, "status": "scored", "tier": "green", "probability": was,
        "bundle_sha256": bundle.sha256,
    }  # fmt: skip
    current = {"as_of": written(NOW, ZONE), "probability": is_now}
    found = change(bundle, before, now, "h1", previous, current)
    parts: dict[str, float] | None = found["split"]
    if parts is None:
        return None
    assert was is not None and is_now is not None
    assert list(parts) == list(PARTS)
    assert abs(sum(parts.values()) - found["per_100"]) < 1e-9
    assert found["per_100"] == 100 * (is_now - was)
    assert parts["model_changed"] == 0.0
    assert sum(shown(parts).values()) == round(round(sum(parts.values()), 9))
    return parts


def known(events: Sequence[Row], then: Micros) -> list[Row]:
    return [row for row in events if row["known_at"] <= from_micros(then)]


def some_moment(rng: Random) -> Micros:
    return NOW - rng.randint(1, 400) * MICROS_PER_DAY


def with_lags(home: Situation, rng: Random) -> Situation:
    """The same household, everything reported some time after it happened."""
    late = (each._replace(lag_days=rng.uniform(0, max(0.0, min(90, each.days - 1)))) for each in home.happenings)
    return replace(home, happenings=tuple(late))


@some
@given(seeds)
def test_the_parts_add_up_to_the_change(bundle: Bundle, rng: Random) -> None:
    home = with_lags(some_household(rng), rng)
    then, events = some_moment(rng), rows(home)
    for row in rng.sample(events, min(3, len(events))):
        lag = rng.uniform(0, 200)
        status = rng.choice(["corrected", "retracted"])
        later = min(row["known_at"] + (from_micros(NOW) - row["known_at"]) * lag / 200, from_micros(NOW))
        value = None if row["value"] is None else row["value"] / 2
        name = f"{row['event_id']}+"
        events.append(row | {"event_id": name, "status": status, "supersedes": row["event_id"], "known_at": later,
                             "value": value})  # fmt: skip
    # The platform need not have sent everything that was known.
    sent = [row for row in known(events, then) if rng.random() < 0.9]
    split(bundle, tables(home, sent), tables(home, events), then)


@some
@given(seeds)
def test_nothing_new_at_the_same_moment_is_nothing_at_all(bundle: Bundle, rng: Random) -> None:
    home = with_lags(some_household(rng), rng)
    all_of_it = tables(home, rows(home))
    assert split(bundle, all_of_it, all_of_it, NOW) == dict.fromkeys(PARTS, 0.0)


@some
@given(seeds)
def test_when_only_time_passed_only_time_counts(bundle: Bundle, rng: Random) -> None:
    home = with_lags(some_household(rng), rng)
    then = some_moment(rng)
    known_then = tables(home, known(rows(home), then))
    found = split(bundle, known_then, known_then, then)
    assert found["data_repaired"] == found["new_events"] == 0.0


@some
@given(seeds)
def test_a_withdrawal_of_old_rows_is_a_repair_and_nothing_else(bundle: Bundle, rng: Random) -> None:
    home = some_household(rng)
    then = some_moment(rng)
    events = known(rows(home), then)
    assume(events)
    withdrawn = [
        row | {"event_id": f"{row['event_id']}-", "status": "retracted", "supersedes": row["event_id"], "value": None,
               "known_at": from_micros(NOW - MICROS_PER_DAY)}
        for row in rng.sample(events, (len(events) + 1) // 2)
    ]  # fmt: skip
    found = split(bundle, tables(home, events), tables(home, [*events, *withdrawn]), then)
    assert found["new_events"] == 0.0
    alone = split(bundle, tables(home, events), tables(home, events), then)
    assert found["time_passing"] == alone["time_passing"]


@some
@given(seeds)
def test_a_new_stay_is_new_and_nothing_else(bundle: Bundle, rng: Random) -> None:
    home = some_household(rng)
    then = NOW - 60 * MICROS_PER_DAY
    events = known(rows(home), then)
    stay = event("CLM//INPATIENT", "2026-10-05", "2026-10-12", 30_000.0, event_id="stay", person_id=home.people[0].name)
    found = split(bundle, tables(home, events), tables(home, [*events, stay]), then)
    assert found["data_repaired"] == 0.0
    alone = split(bundle, tables(home, events), tables(home, events), then)
    assert found["time_passing"] == alone["time_passing"]


def test_the_model_of_these_tests_hears_what_it_is_told(bundle: Bundle) -> None:
    """Parts of nothing would pass every test above."""
    rng = Random(3)
    moved = dict.fromkeys(PARTS, 0)
    for _ in range(12):
        home = with_lags(some_household(rng), rng)
        then, events = some_moment(rng), rows(home)
        found = parts_of(bundle, tables(home, known(events, then)), tables(home, events), then)
        for name, part in (found or {}).items():
            moved[name] += abs(part) > 0.1
    assert moved["model_changed"] == 0 and min(moved[name] for name in PARTS[1:]) >= 4, moved
