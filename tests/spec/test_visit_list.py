"""The visit list: nobody is lost, the silent get their share, and the rules are never outvoted by a missing score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from models.visit_list import KEYS, MANUAL, SCORED, VISIT, WAITING, VisitListRefused, dealt, sort_keys, visit_list
from serving.visit_commands import visits as command

TIERS = ("red", "orange", "yellow", "green", "grey")


def household(name: str, tier: str, probability: float | None = None, **more: Any) -> dict[str, Any]:
    status = "abstained" if probability is None else "scored"
    row = {"household_id": name, "status": status, "tier": tier, "probability": probability}
    return row | {"points": 0.0, "coverage": 0.9, "months_silent": 1.0} | more


def names(rows: list[dict[str, Any]], visits: int = 99, **more: Any) -> list[str]:
    found: list[str] = visit_list(pd.DataFrame(rows), visits, **more)["household_id"].tolist()
    return found


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(1, 80))
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    rows = []
    for i in range(n):
        is_manual = rng.random() < share
        rows.append(
            household(
                f"h{rng.integers(1 << 40)}-{i}",
                str(rng.choice(TIERS)),
                None if is_manual else float(rng.choice([0.1, 0.2, 0.3])),
                status=str(rng.choice(["abstained", "rules_only", "error"] if is_manual else ["scored"])),
                points=float(rng.choice([0.0, 5.0, np.nan])),
                coverage=float(rng.choice([0.2, 0.4, np.nan])),
                months_silent=float(rng.choice([1.0, 30.0, np.nan])),
            )
        )
    return pd.DataFrame(rows)


# --- order --------------------------------------------------------------------------------------------------------


def test_the_scored_go_by_tier_and_then_by_probability() -> None:
    rows = [
        household("green", "green", 0.1),
        household("held", "orange", 0.05),
        household("red low", "red", 0.2),
        household("yellow", "yellow", 0.9),
        household("red high", "red", 0.3),
    ]
    assert names(rows) == ["red high", "red low", "held", "yellow", "green"]


def test_the_manual_queue_goes_by_the_rules_and_then_by_who_is_seen_least() -> None:
    rows = [
        household("known", "grey", coverage=0.5),
        household("silent longest", "grey", coverage=0.2, months_silent=30.0),
        household("never heard", "grey", coverage=0.2, months_silent=None),
        household("nothing known", "grey", coverage=None),
        household("silent", "grey", coverage=0.2, months_silent=3.0),
        household("points", "grey", points=2.0, coverage=0.9),
        household("trigger", "yellow", points=1.0, coverage=0.9),
    ]
    in_order = ["trigger", "points", "nothing known", "never heard", "silent longest", "silent", "known"]
    assert names(rows, grey_share=0.0) == in_order
    assert names(rows[::-1], reserved_share=0.0) == in_order


def test_a_rule_counts_as_much_without_a_score() -> None:
    rows = [household("b", "orange", 0.4), household("a", "red"), household("c", "red", 0.5)]
    assert names(rows, reserved_share=0.0) == ["c", "a", "b"]


def test_grey_is_never_behind_green() -> None:
    rows = [household("green", "green", 0.19), household("grey", "grey"), household("quiet", "grey", 0.01)]
    found = visit_list(pd.DataFrame(rows), 2, reserved_share=0.0)
    assert found["household_id"].tolist()[-1] == "green"
    # Scored and yet grey, because the rules know too little of it: a person decides.
    assert found.set_index("household_id")["queue"].to_dict() == {"green": SCORED, "grey": MANUAL, "quiet": MANUAL}


def test_of_every_twenty_visits_one_is_kept_and_every_other_of_these_is_for_the_silent() -> None:
    rows = [household(f"s{k}", "red", 0.9 - k / 1000) for k in range(60)]
    rows += [household("rule 1", "yellow"), household("rule 2", "yellow"), household("rule 3", "yellow")]
    rows += [household("silent 1", "grey", coverage=0.1), household("silent 2", "grey", coverage=0.3)]
    found = visit_list(pd.DataFrame(rows), 50)
    kept = found[(found["queue"] == MANUAL) & (found["place"] == VISIT)]
    assert kept["position"].tolist() == [1, 21, 41]
    assert kept["because"].tolist() == ["reserved", "reserved_grey", "reserved"]
    assert kept["household_id"].tolist()[1] == "silent 1"
    assert set(found[found["position"].between(2, 20)]["household_id"]) == {f"s{k}" for k in range(19)}


def test_what_one_queue_does_not_use_the_other_gets() -> None:
    manual = [household(f"m{k}", "grey") for k in range(10)]
    scored = [household(f"s{k}", "green", 0.1) for k in range(10)]
    for rows, queue in ((manual, MANUAL), (scored, SCORED)):
        found = visit_list(pd.DataFrame(rows), 8, reserved_share=0.5)
        assert (found["place"] == VISIT).sum() == 8
        assert set(found["queue"]) == {queue}


def test_equal_households_are_ordered_by_no_property_of_theirs() -> None:
    rows = [household(f"h{k:03}", "grey") for k in range(200)]
    order = names(rows)
    assert order == names(rows[::-1])
    assert order not in (sorted(order), sorted(order, reverse=True))
    earlier = sum(order.index(f"h{k:03}") for k in range(100)) / 100
    assert 80 < earlier < 120
    # Whether others are on the list changes nothing between two of them.
    some = names(rows[::3])
    assert some == [name for name in order if name in set(some)]


def test_the_keys_of_the_order_are_finite_and_alone_decide_it() -> None:
    rows = [
        household("scored", "red", 0.3, points=7.0),
        household("never heard", "grey", coverage=None, months_silent=None, points=None),
        household("infinite", "orange", points=float("inf"), months_silent=float("inf")),
    ]
    keys = sort_keys(pd.DataFrame(rows))
    assert tuple(keys) == KEYS
    assert np.isfinite(keys.to_numpy(np.float64)).all()
    assert keys["key_tie"].dtype == np.int64
    told = keys.drop(columns="key_tie").to_numpy().tolist()
    # The scored are ordered by probability alone, all others by what is known of them.
    assert told[0] == [0, 0, -0.3, 0.0, 0.0, 0.0]
    assert told[1] == [3, 1, 0.0, 0.0, -1.0, -1e300]
    assert told[2] == [1, 1, 0.0, -1e300, 0.9, -1e300]
    assert keys["key_tie"].is_unique
    assert sort_keys(pd.DataFrame(rows[::-1]))["key_tie"].tolist() == keys["key_tie"].tolist()[::-1]


@settings(max_examples=30, deadline=None)
@given(tables(), st.integers(1, 90), st.sampled_from([0.0, 0.05, 0.3, 1.0]))
def test_the_first_k_of_each_queue_are_enough_to_deal_the_first_k_places(
    table: pd.DataFrame, k: int, share: float
) -> None:
    keys = sort_keys(table).assign(manual=table["status"].ne("scored") | table["tier"].eq("grey"), tier=table["tier"])
    in_order = keys.sort_values(list(KEYS))
    manual = in_order[in_order["manual"]]
    queues = [of.index.tolist() for of in (in_order, manual, manual[manual["tier"] == "grey"])]
    whole = list(dealt(*queues, share))
    assert list(dealt(*(queue[:k] for queue in queues), share))[:k] == whole[:k]
    assert table["household_id"].iloc[[row for row, _ in whole]].tolist() == names(
        table.to_dict("records"), reserved_share=share
    )


# --- nothing is lost ----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(1, 90), st.sampled_from([0.0, 0.05, 0.3, 1.0]))
def test_everybody_is_on_the_list_once_and_the_kept_share_is_kept(
    table: pd.DataFrame, visits: int, share: float
) -> None:
    found = visit_list(table, visits, reserved_share=share)
    assert sorted(found["household_id"]) == sorted(table["household_id"])
    assert found["position"].tolist() == list(range(1, len(table) + 1))
    on_list = found[found["place"] == VISIT]
    assert len(on_list) == min(visits, len(table))
    assert set(found["place"][len(on_list) :]) <= {WAITING}
    manual = found["queue"] == MANUAL
    assert (on_list["queue"] == MANUAL).sum() >= min(int(manual.sum()), int(np.ceil(share * len(on_list) - 1e-9)))
    # Whoever has a score needs none of the reserved places, and every other place goes by tier.
    assert (found.loc[found["because"] != "tier", "queue"] == MANUAL).all()
    free = found[found["because"] == "tier"]["tier"].map({"red": 0, "orange": 1, "yellow": 2, "grey": 3, "green": 4})
    assert free.is_monotonic_increasing
    shuffled = table.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(visit_list(shuffled, visits, reserved_share=share), found)


@settings(max_examples=20, deadline=None)
@given(tables(), st.integers(1, 60))
def test_more_visits_go_on_where_the_list_ended(table: pd.DataFrame, visits: int) -> None:
    fewer, more = visit_list(table, visits), visit_list(table, visits + 7)
    assert fewer["household_id"].tolist() == more["household_id"].tolist()


# --- refusals and the command -------------------------------------------------------------------------------------


def test_a_refusal_names_the_column_or_the_row_and_no_household() -> None:
    rows = pd.DataFrame([household("secret-1", "red", 0.3), household("secret-2", "grey")])
    for wrong, said in (
        (rows.drop(columns=["points", "coverage"]), "lacks points, coverage"),
        (pd.concat([rows, rows]), "row 2: household_id"),
        (rows.assign(tier="purple"), "row 0: tier"),
        (rows.assign(status=["scored", "odd"]), "row 1: status"),
    ):
        with pytest.raises(VisitListRefused, match=said) as refused:
            visit_list(wrong, 1)
        assert "secret" not in str(refused.value)
        assert "purple" not in str(refused.value)
    with pytest.raises(VisitListRefused, match="at least one visit"):
        visit_list(rows, 0)
    with pytest.raises(VisitListRefused, match="between 0 and 1"):
        visit_list(rows, 1, reserved_share=1.5)


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    rows = pd.DataFrame([household("h1", "red", 0.3), household("h2", "grey"), household("h3", "green", 0.1)])
    rows.assign(reasons="x").to_parquet(tmp_path / "scores.parquet")
    rows.to_csv(tmp_path / "scores.csv", index=False)
    return tmp_path / "scores.parquet"


def test_the_command_writes_everybody_and_prints_counts(scores: Path) -> None:
    out = scores.parent / "lists" / "list.parquet"
    done = CliRunner().invoke(command, [str(scores), "--visits", "2", "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == {
        "households": 3,
        "visits": 2,
        "queues": {"scored": {"visit": 1, "waiting": 1}, "manual": {"visit": 1, "waiting": 0}},
        "out": str(out),
    }
    written = pd.read_parquet(out)
    assert written["household_id"].tolist() == ["h2", "h1", "h3"]
    assert written["place"].tolist() == [VISIT, VISIT, WAITING]
    as_csv = CliRunner().invoke(
        command, [str(scores.with_suffix(".csv")), "--visits", "2", "--out", str(out.with_suffix(".csv"))]
    )
    assert as_csv.exit_code == 0, as_csv.output
    assert "h1" not in as_csv.output
    pd.testing.assert_frame_equal(pd.read_csv(out.with_suffix(".csv")), written, check_dtype=False)


def test_without_a_file_the_households_to_visit_are_printed(scores: Path) -> None:
    done = CliRunner().invoke(command, [str(scores), "--visits", "1", "--reserve", "0", "--json"])
    assert [row["household_id"] for row in json.loads(done.output)["list"]] == ["h1"]
    shown = CliRunner().invoke(command, [str(scores), "--visits", "1", "--reserve", "0"])
    assert shown.exit_code == 0
    assert "h1" in shown.output
    assert "h3" not in shown.output


def test_a_file_that_cannot_be_used_is_refused_with_its_reason(scores: Path) -> None:
    pd.read_parquet(scores).drop(columns="months_silent").to_parquet(scores)
    done = CliRunner().invoke(command, [str(scores), "--visits", "1"])
    assert done.exit_code == 1
    assert "lacks months_silent" in done.output
    scores.write_bytes(b"no table")
    done = CliRunner().invoke(command, [str(scores), "--visits", "1"])
    assert (done.exit_code, "neither Parquet nor CSV" in done.output) == (1, True)
    assert CliRunner().invoke(command, [str(scores), "--visits", "0"]).exit_code == 2
