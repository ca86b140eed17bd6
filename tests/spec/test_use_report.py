"""How the system is used: counted right, never by person, and nothing told of fewer than ten households."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, event, insert

from serving.review_commands import reviews
from serving.store import journal
from serving.store.engine import Store, open_store
from serving.store.tables import JUDGEMENT, OUTCOME, REVIEWS, VERIFICATION
from serving.use_report import CONCERN_OF, NOT_TOLD, suspended_templates, use_report
from tests.stores import only, store, store_url

__all__ = ["store", "store_url"]

AT = 1_750_000_000_000_000
Said = dict[str, Any]
# What is asked is the same on both; the tests that ask for everything run on both.
on_sqlite = only("sqlite")


def write(connection: Connection, told: Sequence[Said], actors: Sequence[str] = ("w1", "w2")) -> None:
    """Reviews of a few words each: household, on, facts, answers, tier, blind, concern, judgement, outcome."""
    seq = journal.append(connection, "note", "store", {}, AT).seq
    rows: dict[Any, list[Said]] = {REVIEWS: [], VERIFICATION: [], JUDGEMENT: [], OUTCOME: []}
    for n, each in enumerate(told):
        of = {"review_id": f"r{n}", "journal_seq": seq}
        household, on = f"h{each.get('household', n)}", each.get("on", "2026-11-02")
        rows[REVIEWS].append(
            of | {
                "idempotency_key": f"k{n}", "request_sha256": "x", "household_id": household, "assessment_id": "a",
                "task_id": None, "version": 1, "recorded_at": AT, "visited_on": on, "channel": "home",
                "household_said": None, "role": f"role of {actors[n % 2]}", "actor": actors[n % 2], "reply": "{}",
            }
        )  # fmt: skip
        checked = [("fact", about, template, answer) for about, template, answer in each.get("facts", ())]
        asked = [("answer", about, None, answer) for about, answer in each.get("answers", ())]
        for item, (kind, about, template, answer) in enumerate([*checked, *asked]):
            row = {"item": item, "kind": kind, "about": about, "template": template, "answer": answer}
            rows[VERIFICATION].append(of | row | {"value": None, "event_ids": "[]", "new_event_id": None})
        rows[JUDGEMENT].append(
            of | {
                "was_blind": each.get("blind", False), "concern_first": each.get("concern"),
                "tier_shown": each.get("tier", "orange"), "judgement": each.get("judgement"), "because": None,
            }
        )  # fmt: skip
        rows[OUTCOME].append(
            of | {
                "outcome_id": f"o{n}", "household_id": household, "assessment_id": "a", "kind": "visit",
                "what": each.get("outcome", "met"), "happened_on": on, "recorded_at": AT,
            }
        )  # fmt: skip
    for table, some in rows.items():
        if some:
            connection.execute(insert(table), some)


def report(store: Store, told: Sequence[Said], since: str | None = None) -> Said:
    with store.writing() as connection:
        write(connection, told)
    with store.reading() as connection:
        return use_report(connection, since)


def checked(template: str, **answers: int) -> list[Said]:
    """One review of another household for each answer about one wording."""
    return [{"facts": [("f", template, answer)]} for answer, n in answers.items() for _ in range(n)]


def judged(tier: str, **judgements: int) -> list[Said]:
    return [{"tier": tier, "judgement": name} for name, n in judgements.items() for _ in range(n)]


def wilson(hits: int, n: int, z: float = 1.959964) -> list[float]:
    """The interval of a share as its textbook writes it."""
    centre = (hits + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(hits * (n - hits) / n + z * z / 4)
    return [centre - half, centre + half]


def apart(*parts: Sequence[Said]) -> list[Said]:
    return [each for part in parts for each in part]


# -- wordings


@on_sqlite
def test_a_wording_is_suspended_below_60_percent_of_at_least_50_answers(store: Store) -> None:
    told = apart(
        checked("poor", confirmed=29, wrong=11, changed=10, cannot_tell=40),
        checked("just", confirmed=30, wrong=20),
        checked("few", confirmed=20, wrong=29, cannot_tell=50),
        checked("good", confirmed=60),
    )
    with store.writing() as connection:
        write(connection, told)
    with store.reading() as connection:
        assert suspended_templates(connection) == {"poor"}
        found = {row["template"]: row for row in use_report(connection)["templates"]}
    assert list(found) == ["few", "poor", "just", "good"], "the least confirmed first"
    assert found["poor"] == {
        "template": "poor", "checked": 50, "confirmed": 29, "wrong": 11, "changed": 10, "cannot_tell": 40,
        "confirmed_share": 0.58, "suspended": True,
    }  # fmt: skip
    assert found["good"]["confirmed_share"] == 1.0 and found["good"]["wrong"] == 0


@on_sqlite
def test_answers_to_questions_are_no_answers_about_wordings(store: Store) -> None:
    told = [{"answers": [("field:debt", "no")]} for _ in range(60)]
    told += [{"answers": [("MED-05.1", "yes")]} for _ in range(12)]
    found = report(store, told)
    assert found["templates"] == [] and found["wrong_facts"]["checked"] == 0
    assert found["answers"] == [
        {"kind": "field", "yes": 0, "no": 60, "unknown": 0, "refused": 0},
        {"kind": "indicator", "yes": 12, "no": 0, "unknown": 0, "refused": 0},
    ]


# -- judgements


@on_sqlite
def test_overrides_are_told_by_tier_with_an_alarm_at_both_ends(store: Store) -> None:
    found = report(
        store,
        apart(
            judged("red", about_right=60), judged("orange", higher=15, lower=12, about_right=26),
            judged("yellow", higher=20, about_right=20, lower=10), judged("green", lower=30, about_right=19),
            [{"tier": "grey", "judgement": None}] * 20,
        ),
    )  # fmt: skip
    assert [(row["tier"], row["judged"], row["override_share"], row["alarm"]) for row in found["overrides"]] == [
        ("red", 60, 0.0, "rarely"), ("orange", 53, round(27 / 53, 4), "often"), ("yellow", 50, 0.6, "often"),
        ("green", 49, round(30 / 49, 4), None),
    ]  # fmt: skip
    assert found["overrides"][1] | {"alarm": None} == {
        "tier": "orange", "judged": 53, "higher": 15, "about_right": 26, "lower": 12,
        "override_share": round(27 / 53, 4), "alarm": None,
    }  # fmt: skip


@on_sqlite
def test_one_override_in_a_hundred_is_not_rare_and_half_is_not_often(store: Store) -> None:
    found = report(store, apart(judged("red", about_right=99, lower=1), judged("orange", higher=25, about_right=25)))
    assert [row["alarm"] for row in found["overrides"]] == [None, None]


def test_who_told_a_concern_first_is_compared_with_who_saw_the_number_first(store: Store) -> None:
    blind = [
        {"blind": True, "tier": tier, "concern": concern, "judgement": "lower"}
        for tier, concern, n in (
            ("red", "high", 8), ("orange", "high", 4), ("yellow", "medium", 3), ("green", "low", 3),
            ("red", "medium", 9), ("yellow", "high", 3), ("green", "high", 2), ("grey", "high", 30),
        )
        for _ in range(n)
    ]  # fmt: skip
    seen = judged("red", about_right=45, lower=15) + judged("grey", about_right=50)
    found = report(store, blind + seen)["anchoring"]
    assert (found["first"]["visits"], found["first"]["share"]) == (32, round(18 / 32, 4))
    assert (found["after"]["visits"], found["after"]["share"], found["gap"]) == (60, 0.75, 0.1875)
    for name, hits, n in (("first", 18, 32), ("after", 45, 60)):
        assert found[name]["interval"] == pytest.approx(wilson(hits, n), abs=6e-5)
    assert (found["blind_households"], found["blind_share"]) == (62, round(62 / 172, 4))
    assert set(CONCERN_OF) == {"red", "orange", "yellow", "green"}


# -- who is behind it


@on_sqlite
def test_nothing_is_told_of_fewer_than_ten_households(store: Store) -> None:
    nine = [{"facts": [("f", "nine", "wrong")], "judgement": "lower", "tier": "red", "answers": [("q.1", "yes")],
             "household": k % 9} for k in range(60)]  # fmt: skip
    found = report(store, nine)
    (row,) = found["templates"]
    assert {name: row[name] for name in ("checked", "confirmed", "wrong", "confirmed_share")} == {
        "checked": None, "confirmed": 0, "wrong": None, "confirmed_share": None
    }  # fmt: skip
    assert (found["reviews"], found["households"], found["outcomes"]) == (
        None,
        None,
        [{"outcome": "met", "visits": None}],
    )
    assert found["overrides"][0]["override_share"] is None and found["overrides"][0]["alarm"] is None
    assert found["answers"][0]["yes"] is None and found["anchoring"]["after"]["share"] is None
    with store.reading() as connection:
        assert suspended_templates(connection) == {"nine"}, "a wording can be withdrawn without telling of anybody"


@on_sqlite
def test_a_share_does_not_give_away_the_few_on_its_other_side(store: Store) -> None:
    (row,) = report(store, checked("t", confirmed=57, wrong=4))["templates"]
    assert (row["checked"], row["confirmed"], row["wrong"]) == (61, None, None) and row["confirmed_share"] == 0.95


@on_sqlite
def test_a_hidden_count_cannot_be_told_from_the_others_of_its_line(store: Store) -> None:
    found = report(store, judged("red", higher=6, about_right=31, lower=17) + judged("orange", higher=6, lower=7))
    ways = [{name: row[name] for name in ("judged", "higher", "about_right", "lower")} for row in found["overrides"]]
    assert ways == [
        {"judged": 54, "higher": None, "about_right": 31, "lower": None},
        {"judged": 13, "higher": None, "about_right": 0, "lower": None},
    ]


@on_sqlite
def test_an_empty_store_is_told_as_empty(store: Store) -> None:
    found = report(store, [])
    assert (found["reviews"], found["households"], found["outcomes"], found["templates"]) == (0, 0, [], [])
    assert found["anchoring"] == {
        "first": {"visits": 0, "share": None, "interval": None},
        "after": {"visits": 0, "share": None, "interval": None},
        "gap": None, "blind_households": 0, "blind_share": None,
    }  # fmt: skip


@pytest.fixture
def statements(store: Store) -> Iterator[list[str]]:
    """What is sent to the database."""
    sent: list[str] = []

    def keep(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    event.listen(store._engine, "before_cursor_execute", keep)
    yield sent
    event.remove(store._engine, "before_cursor_execute", keep)


@on_sqlite
def test_who_wrote_a_review_is_never_read_and_changes_nothing(
    tmp_path: Any, store: Store, statements: list[str]
) -> None:
    told = apart(checked("t", confirmed=40, wrong=20), judged("red", about_right=30, lower=25))
    found = []
    for name, actors in (("one", ("amy", "bob")), ("other", ("bob", "bob"))):
        other = open_store(f"sqlite:///{tmp_path / name}.db")
        with other.writing() as connection:
            write(connection, told, actors)
        with other.reading() as connection:
            found.append(use_report(connection))
        other.close()
    assert found[0] == found[1]
    assert "amy" not in json.dumps(found[0]) and "role of" not in json.dumps(found[0])

    with store.writing() as connection:
        write(connection, told)
    statements.clear()
    with store.reading() as connection:
        use_report(connection, "2026-01-01")
        suspended_templates(connection)
    assert len(statements) > 10
    assert not [each for each in statements if "actor" in each or "role" in each or "reply" in each]


# -- against plain counting


def test_random_reviews_are_counted_as_a_plain_loop_counts_them(store: Store) -> None:
    rng = Random(11)
    told = [
        {
            "household": rng.randrange(400), "on": f"2026-{rng.randint(1, 12):02}-10", "blind": rng.random() < 0.2,
            "tier": rng.choice(["red", "orange", "green", "grey"]), "concern": None,
            "judgement": rng.choice([None, "higher", "about_right", "about_right", "lower"]),
            "outcome": rng.choice(["met", "met", "nobody_home"]),
            "facts": [(f"f{k}", f"t{rng.randrange(4)}", rng.choice(["confirmed", "wrong", "changed", "cannot_tell"]))
                      for k in range(rng.randrange(4))],
        }
        for _ in range(1500)
    ]  # fmt: skip
    found = report(store, told, "2026-06-10")
    seen = [each for each in told if each["on"] >= "2026-06-10"]
    assert (found["reviews"], found["households"]) == (len(seen), len({each["household"] for each in seen}))
    assert {row["outcome"]: row["visits"] for row in found["outcomes"]} == {
        name: sum(each["outcome"] == name for each in seen) for name in ("met", "nobody_home")
    }
    facts = [(template, answer) for each in seen for _, template, answer in each["facts"]]
    assert len(found["templates"]) == 4
    for row in found["templates"]:
        answers = [answer for template, answer in facts if template == row["template"]]
        for name in ("confirmed", "wrong", "changed", "cannot_tell"):
            assert row[name] == answers.count(name)
        assert row["checked"] == len(answers) - answers.count("cannot_tell")
        assert row["confirmed_share"] == round(answers.count("confirmed") / row["checked"], 4)
    wrong = [answer for _, answer in facts if answer != "cannot_tell"]
    assert found["wrong_facts"] == {
        "checked": len(wrong), "wrong": wrong.count("wrong"), "wrong_share": round(wrong.count("wrong") / len(wrong), 4)
    }  # fmt: skip
    for row in found["overrides"]:
        of = [each["judgement"] for each in seen if each["tier"] == row["tier"] and each["judgement"] is not None]
        assert (row["judged"], row["higher"], row["lower"]) == (len(of), of.count("higher"), of.count("lower"))
        assert row["override_share"] == round(1 - of.count("about_right") / len(of), 4)


# -- the command


@on_sqlite
def test_the_command_prints_a_table_of_100_columns_and_json(store: Store, store_url: str) -> None:
    long = "medical.inpatient_out_of_pocket_amount_12m.raises.v3"
    told = apart(checked(long, confirmed=20, wrong=40), judged("red", about_right=60), checked("b", wrong=3))
    with store.writing() as connection:
        write(connection, told)
    plain = CliRunner().invoke(reviews, ["--store", store_url])
    assert plain.exit_code == 0, plain.output
    assert max(map(len, plain.output.splitlines())) <= 100
    for words in ("123 reviews of 123 households", "suspended", "nearly never", "<10", NOT_TOLD[0]["en"]):
        assert words in plain.output
    machine = CliRunner().invoke(reviews, ["--json", "--since", "2026-11-02"], env={"POVRISK_STORE": store_url})
    assert json.loads(machine.stdout)["since"] == "2026-11-02"
    assert json.loads(machine.stdout)["templates"][-1]["suspended"] or "suspended" in machine.stdout
    later = CliRunner().invoke(reviews, ["--json", "--since", "2026-11-03", "--store", store_url])
    assert json.loads(later.stdout)["reviews"] == 0


def test_the_command_refuses_what_is_no_store_and_misuse(tmp_path: Any) -> None:
    absent = CliRunner().invoke(reviews, ["--store", f"sqlite:///{tmp_path / 'none.db'}"])
    assert absent.exit_code == 1 and not list(tmp_path.iterdir())
    assert CliRunner().invoke(reviews, [], env={"POVRISK_STORE": ""}).exit_code == 2
    assert CliRunner().invoke(reviews, ["--store", "sqlite:///x", "--since", "yesterday"]).exit_code == 2
