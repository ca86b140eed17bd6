"""What is different from the last time: each part against the same step worked out by hand, and the words beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from features.history import history_of
from features.tables import Tables
from features.window import Micros, written
from models.abstention import Limits
from models.assessment import assess
from models.bundle import Bundle, read_bundle
from models.certainty import Certainty
from models.change import MOST_EVENTS, PARTS, change, shown
from models.handling import PLAIN, Handling
from tests.bundles import small_bundle
from tests.records import CORE, ZONE, Row, at, dataset, event, member

THEN, NOW = at("2026-08-31"), at("2026-11-30")
ATTENTIVE = {
    "out_of_pocket_amount_12m": 40_000, "inpatient_stays_3m": 4, "inpatient_out_of_pocket_amount_24m": 40_000,
    "members": 5,
}  # fmt: skip
SPEAKING = Limits(coverage=0.0, thin_coverage=0.0, key_months=1e6, wide=1.0)
Said = dict[str, Any]


def attentive_bundle(folder: Path, seed: int = 1) -> Path:
    """A model that looks at what was paid for care and at stays, and speaks about everybody."""
    rng = np.random.default_rng(seed)
    values = np.full((2000, len(CORE.names)), np.nan)
    pull = np.zeros(len(values))
    for name, most in ATTENTIVE.items():
        column = rng.uniform(0, most, len(values))
        values[:, CORE.names.index(name)] = column
        pull += 2 * column / most - 1
    outcome = (pull + rng.normal(size=len(values)) > 0) * 1.0
    parameters = {"objective": "binary", "num_leaves": 15, "verbosity": -1, "seed": seed, "num_threads": 1}
    trees = lgb.train(parameters, lgb.Dataset(values, outcome, feature_name=list(CORE.names)), num_boost_round=12)
    return small_bundle(
        folder,
        seed,
        model_text=trees.model_to_string(),
        had_unknown=np.ones(len(CORE.names), np.bool_),
        golden_values=values[:32],
        certainty=Certainty(limits=SPEAKING),
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(attentive_bundle(tmp_path_factory.mktemp("attentive") / "bundle"))


@pytest.fixture(scope="module")
def next_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(attentive_bundle(tmp_path_factory.mktemp("next") / "bundle", seed=2))


def stay(name: str, occurred: str, value: float | None, known: str | None = None, **more: Any) -> Row:
    return event("CLM//INPATIENT", occurred, known, value, event_id=name, person_id="p1", **more)


PEOPLE = [member("p1"), member("p2", role="head")]
LONG_KNOWN = stay("known", "2025-10-05", 9_000.0, "2025-10-20")
SPRING = stay("spring", "2026-03-02", 6_000.0, "2026-03-10")
WRONG = stay("wrong", "2026-07-02", 16_000.0, "2026-07-10")
RIGHT = stay("right", "2026-07-02", 3_000.0, "2026-09-20", status="corrected", supersedes="wrong")
LATE = stay("late", "2026-08-01", 5_000.0, "2026-10-01")
FRESH = stay("fresh", "2026-11-05", 20_000.0, "2026-11-12")
CARE = event("GRD//VISIT", "2026-11-20", value=1.0, event_id="visited")


def tables(events: Sequence[Row], members: Sequence[Row] = PEOPLE) -> Tables:
    made = dataset(events, members)
    return Tables.from_frames(made.events, made.members, made.households)


def score(bundle: Bundle, of: Tables, as_of: Micros) -> float | None:
    """The probability by the assessment of these rows and nothing else."""
    made = history_of(of, CORE, time_zone=ZONE)
    found: float | None = assess(bundle, made, as_of, reasons=False).record(0)["probability"]
    return found


def said(probability: float | None, as_of: Micros, **more: Any) -> Said:
    status = "abstained" if probability is None else "scored"
    return {
        "assessment_id": "as-1", "as_of": as_of, "status": status, "tier": "green", "probability": probability, **more
    }  # fmt: skip


def compared(
    bundle: Bundle,
    before: Tables,
    now: Tables,
    then: Micros = THEN,
    today: Micros = NOW,
    handling: Handling = PLAIN,
    by: Bundle | None = None,
    **previous: Any,
) -> Said:
    """The change, both assessments made as they are."""
    was = said(score(by or bundle, before, then), then, bundle_sha256=(by or bundle).sha256)
    is_now = {"as_of": written(today, ZONE), "probability": score(bundle, now, today), "interval": None}
    return change(bundle, before, now, "h1", was | previous, is_now, handling)


# -- the number


def test_each_part_is_the_step_that_its_name_says(bundle: Bundle, next_bundle: Bundle) -> None:
    before = [LONG_KNOWN, SPRING, WRONG]
    found = compared(next_bundle, tables(before), tables([*before, RIGHT, LATE, FRESH, CARE]), by=bundle)
    steps = [
        score(bundle, tables(before), THEN),
        score(next_bundle, tables(before), THEN),
        score(next_bundle, tables(before), NOW),
        score(next_bundle, tables([LONG_KNOWN, SPRING, RIGHT, LATE]), NOW),
        score(next_bundle, tables([LONG_KNOWN, SPRING, RIGHT, LATE, FRESH]), NOW),
    ]
    by_hand = {name: 100 * (b - a) for name, a, b in zip(PARTS, steps, steps[1:], strict=False)}
    assert found["split"] == by_hand
    assert all(abs(part) > 0.1 for part in by_hand.values()), f"a part of nothing would prove nothing: {by_hand}"
    assert found["per_100"] == 100 * (steps[-1] - steps[0])
    assert abs(sum(found["split"].values()) - found["per_100"]) < 1e-9


def test_the_same_model_comes_to_the_stored_number_again_bit_for_bit(bundle: Bundle) -> None:
    before = [LONG_KNOWN, SPRING, WRONG]
    assert compared(bundle, tables(before), tables([*before, LATE, FRESH]))["split"]["model_changed"] == 0.0


def test_where_the_same_model_does_not_come_to_the_stored_number_there_is_no_split(bundle: Bundle) -> None:
    rows = tables([SPRING])
    found = compared(bundle, rows, rows, probability=0.123)
    assert found["split"] is None
    assert found["per_100"] == 100 * (score(bundle, rows, NOW) - 0.123)


def test_nothing_new_at_the_same_moment_is_nothing(bundle: Bundle) -> None:
    rows = tables([LONG_KNOWN, SPRING])
    found = compared(bundle, rows, rows, today=THEN)
    assert found["split"] == dict.fromkeys(PARTS, 0.0)
    assert found["new_events"] == found["repaired_events"] == []


def test_what_was_sent_before_it_was_known_is_new_only_when_it_is_known(bundle: Bundle) -> None:
    rows = tables([SPRING, LATE | {"value": 30_000.0}])
    found = compared(bundle, rows, rows)["split"]
    by_hand = 100 * (score(bundle, rows, NOW) - score(bundle, tables([SPRING]), NOW))
    assert found["data_repaired"] == by_hand > 1
    assert found["new_events"] == 0.0


def test_a_correction_is_a_repair_even_if_it_says_that_it_happened_since(bundle: Bundle) -> None:
    later = stay("later", "2026-10-05", 1_000.0, "2026-10-20", status="corrected", supersedes="wrong")
    again = stay("again", "2026-10-06", 500.0, "2026-10-25", status="corrected", supersedes="later")
    before = [SPRING, WRONG | {"value": 30_000.0}]
    for added in ([later], [later, again]):
        found = compared(bundle, tables(before), tables([*before, *added]))["split"]
        by_hand = score(bundle, tables([SPRING, *added[-1:]]), NOW) - score(bundle, tables(before), NOW)
        assert found["data_repaired"] == 100 * by_hand != 0
        assert found["new_events"] == 0.0


def test_who_came_or_left_since_is_news(bundle: Bundle) -> None:
    left = {"left_at": member("p1", left="2026-10-01")["left_at"], "known_at": member("p1", "2026-10-05")["known_at"]}
    before, alone = tables([SPRING]), score(bundle, tables([SPRING]), NOW)
    for people in ([PEOPLE[0] | left, PEOPLE[1]], [*PEOPLE, member("p3", "2026-10-01"), member("p4", "2026-10-02")]):
        now = tables([SPRING], people)
        found = compared(bundle, before, now)["split"]
        assert found["new_events"] == 100 * (score(bundle, now, NOW) - alone) != 0
        assert found["data_repaired"] == 0.0
    known_late = tables([SPRING], [*PEOPLE, member("p3", "2026-02-01", known="2026-10-01")])
    found = compared(bundle, before, known_late)["split"]
    assert found["data_repaired"] == 100 * (score(bundle, known_late, NOW) - alone) != 0
    assert found["new_events"] == 0.0


def test_who_was_late_reported_to_have_left_is_repaired_and_who_left_since_is_new(bundle: Bundle) -> None:
    left = {"left_at": member("p1", left="2026-05-01")["left_at"], "known_at": member("p1", "2026-10-01")["known_at"]}
    since = {"left_at": member("p1", left="2026-10-01")["left_at"], "known_at": member("p1", "2026-10-05")["known_at"]}
    bill = stay("bill", "2026-07-01", 30_000.0)
    other = stay("other", "2026-02-01", 500.0) | {"person_id": "p2"}
    before = tables([bill, other])
    alone = score(bundle, before, NOW)
    gone = [PEOPLE[0] | left, PEOPLE[1]]
    without = score(bundle, tables([other], gone), NOW)
    late = compared(bundle, before, tables([bill, other], gone))["split"]
    new = compared(bundle, before, tables([bill, other], [PEOPLE[0] | since, PEOPLE[1]]))["split"]
    assert late["data_repaired"] == 100 * (without - alone) < -1 and late["new_events"] == 0
    # What happened while somebody lived there stays with the household that lived through it.
    assert new["data_repaired"] == 0


def test_without_a_score_on_either_side_there_is_no_split(bundle: Bundle) -> None:
    rows = tables([SPRING])
    found = compared(bundle, rows, rows, probability=None, status="abstained")
    assert (found["split"], found["per_100"], found["previous"]["per_100"]) == (None, None, None)
    assert found["text"]["zh"].startswith("上次没有分数，这次每100户")
    gone = tables([SPRING, event("SLF//OPTOUT", "2026-11-01", event_id="out")])
    refused = compared(bundle, rows, gone)
    assert refused["split"] is None and refused["text"]["zh"].startswith("这次没有分数，上次每100户")
    assert [each["code"] for each in refused["new_events"]] == ["SLF//OPTOUT"]


def test_without_the_rows_of_the_last_time_the_two_numbers_are_told(bundle: Bundle) -> None:
    rows = tables([SPRING])
    is_now = {"as_of": written(NOW, ZONE), "probability": 0.31, "interval": None}
    found = change(bundle, None, rows, "h1", said(0.12, THEN), is_now)
    assert found["split"] is None and found["n_new_events"] == 0
    assert found["text"] == {
        "zh": "比上次上升：每100户约31户，上次约12户。",
        "en": "Higher than last time: about 31 of 100 households, last time about 12.",
    }


# -- the events


def test_events_are_told_as_new_or_as_put_right_newest_first(bundle: Bundle) -> None:
    withdrawn = stay("gone", "2026-03-02", None, "2026-10-02", status="retracted", supersedes="spring")
    before = [LONG_KNOWN, SPRING, WRONG]
    found = compared(bundle, tables(before), tables([*before, RIGHT, LATE, FRESH, CARE, withdrawn]))
    assert [each["event_id"] for each in found["new_events"]] == ["visited", "fresh"]
    assert [(each["event_id"], each["text"]["zh"]) for each in found["repaired_events"]] == [
        ("late", "住院结算"),
        ("right", "住院结算（已更正）"),
        ("spring", "住院结算（不再计入）"),
    ]
    assert found["repaired_events"][0]["occurred_at"] == "2026-08-01T00:00:00+08:00"
    assert found["repaired_events"][0]["known_at"] == "2026-10-01T00:00:00+08:00"
    assert (found["n_new_events"], found["n_repaired_events"]) == (2, 3)


def test_a_visit_reported_late_is_new_and_moves_nothing(bundle: Bundle) -> None:
    visit = event("GRD//VISIT", "2026-08-30", "2026-09-02", 1.0, event_id="visited")
    before = tables([LONG_KNOWN, SPRING])
    found = compared(bundle, before, tables([LONG_KNOWN, SPRING, visit]))
    assert [each["event_id"] for each in found["new_events"]] == ["visited"]
    assert found["n_repaired_events"] == 0
    assert found["split"]["data_repaired"] == found["split"]["new_events"] == 0.0


def test_five_are_listed_and_all_are_counted(bundle: Bundle) -> None:
    more = [stay(f"s{day}", f"2026-10-{day:02}", 100.0) for day in range(10, 17)]
    found = compared(bundle, tables([SPRING]), tables([SPRING, *more]))
    assert [each["event_id"] for each in found["new_events"]] == ["s16", "s15", "s14", "s13", "s12"]
    assert (MOST_EVENTS, found["n_new_events"]) == (5, 7)


def test_a_sealed_event_is_told_without_its_name_to_who_may_not_read_it(bundle: Bundle) -> None:
    order = event("JUD//ENFORCED", "2026-10-01", value=5_000.0, event_id="secret", source="法院", person_id="p1")
    before, now = tables([SPRING]), tables([SPRING, order])
    hidden = compared(bundle, before, now)["new_events"]
    assert [(each["event_id"], each["code"], each["source"], each["text"]["zh"]) for each in hidden] == [
        ("sealed", "sealed", "sealed", "敏感因素")
    ]
    open_ = compared(bundle, before, now, handling=Handling(may_read_sealed=True))["new_events"]
    assert [(each["event_id"], each["text"]["zh"]) for each in open_] == [("secret", "被执行人")]


def test_an_event_that_was_edited_without_a_word_is_put_right(bundle: Bundle) -> None:
    found = compared(bundle, tables([WRONG]), tables([WRONG | {"value": 3_000.0}]))
    assert [each["text"]["en"] for each in found["repaired_events"]] == ["inpatient settlement (corrected)"]
    assert found["split"]["data_repaired"] < -1 and found["split"]["new_events"] == 0


# -- the words


@pytest.mark.parametrize(
    ("split", "whole", "told"),
    [
        ((0.0, 1.4, 1.4, 15.4), None, (0, 2, 1, 15)),
        ((0.0, 1.0, 2.0, 16.0), None, (0, 1, 2, 16)),
        ((-0.6, -0.6, -0.6, 0.0), None, (0, -1, -1, 0)),
        ((0.0, 0.0, 0.6, 0.0), 2, (0, 0, 2, 0)),
        ((0.0, 0.0, 0.0, 0.0), None, (0, 0, 0, 0)),
        ((0.0, 12.5, -12.4, 0.2), 0, (0, 12, -12, 0)),
    ],
)
def test_shown_parts_are_whole_and_add_up(split: Sequence[float], whole: int | None, told: Sequence[int]) -> None:
    found = shown(dict(zip(PARTS, split, strict=True)), whole)
    assert tuple(found.values()) == tuple(told)
    assert sum(found.values()) == (round(sum(split)) if whole is None else whole)


def test_within_what_the_model_is_unsure_about_it_is_the_same(bundle: Bundle) -> None:
    def found(was: float, is_now: float, *intervals: Sequence[float] | None) -> Said:
        before, now = intervals
        current = {"as_of": written(NOW, ZONE), "probability": is_now, "interval": now}
        return change(bundle, None, tables([SPRING]), "h1", said(was, THEN, interval=before), current)

    same = found(0.12, 0.15, [0.1, 0.2], [0.12, 0.2])
    assert same["steady"] and same["text"] == {"zh": "与上次基本相同。", "en": "About the same as last time."}
    assert not found(0.12, 0.15, [0.1, 0.14], [0.12, 0.2])["steady"]
    assert not found(0.12, 0.15, [0.1, 0.2], [0.13, 0.2])["steady"]
    assert not found(0.12, 0.15, None, [0.1, 0.2])["steady"]
    assert found(0.124, 0.121, None, None)["text"]["zh"] == "与上次基本相同。", "both are told as 12"


def test_the_largest_part_that_goes_the_same_way_is_named(bundle: Bundle) -> None:
    found = compared(bundle, tables([SPRING]), tables([SPRING, FRESH]))
    up = found["text"]
    assert re.fullmatch(r"比上次上升：每100户约\d+户，上次约\d+户。主要与新情况有关。", up["zh"])
    assert re.fullmatch(
        r"Higher than last time: about \d+ of 100 households, last time about \d+\. It goes mainly with new events\.",
        up["en"],
    )
    down = compared(bundle, tables([WRONG, SPRING]), tables([WRONG, SPRING, RIGHT]))["text"]
    assert down["zh"].startswith("比上次下降") and down["zh"].endswith("主要与更正或补报的记录有关。")


def test_no_number_is_spoken_where_numbers_are_switched_off(bundle: Bundle) -> None:
    quiet = Handling(speaks_numbers=False)
    texts = [
        compared(bundle, tables([SPRING]), tables([SPRING, FRESH]), handling=quiet)["text"],
        compared(bundle, tables([SPRING]), tables([SPRING]), handling=quiet, probability=None)["text"],
    ]
    assert not re.search(r"\d", "".join(text[lang] for text in texts for lang in ("zh", "en")))


def test_sentences_are_short_and_never_say_why(bundle: Bundle) -> None:
    texts = []
    for was in (None, 0.004, 0.12, 0.5):
        for is_now in (None, 0.004, 0.3, 0.99):
            current = {"as_of": written(NOW, ZONE), "probability": is_now, "interval": None}
            texts.append(change(bundle, None, tables([SPRING]), "h1", said(was, THEN), current)["text"])
    texts += [compared(bundle, tables([WRONG]), tables([WRONG, RIGHT]))["text"]]
    for text in texts:
        for sentence in text["zh"].split("。"):
            assert len(re.sub(r"[0-9.]", "", sentence)) <= 28
        assert not re.search("导致|因为|造成|由于|引起", text["zh"])
        assert not re.search("because|caused|due to|leads to", text["en"])
