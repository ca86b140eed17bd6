"""The rule language answers as a slow oracle does, from what it may see, and knowing less it never says otherwise."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.codes import matches
from features.rules.evaluation import Evaluation
from features.rules.number import NOT_EVALUABLE, TRUE
from features.rules.syntax import Call, Tree, walked
from features.rules.words import WORDS, Kind, Takes, Where, Word
from tests.property.rule_expressions import calls, codes, expressions, keywords
from tests.property.rule_oracle_events import Number
from tests.property.rule_worlds import (
    LANGUAGE,
    NUMBERS,
    TEXTS,
    Drawn,
    drawn_worlds,
    evaluation_of,
    event_row,
    read,
)
from tests.property.worlds import HOUSEHOLD_IDS, Row

TOLD = {1: True, 0: False, -1: None}
SCOPES = (Where.HOUSEHOLD, Where.PERSON)
SEVEN_EACH = [tuple(WORDS.values())[i : i + 7] for i in range(0, len(WORDS), 7)]
Answer = int | tuple[float, float]
Asked = dict[Where, list[str]]
Said = dict[tuple[str, str, str], Answer]


@st.composite
def questions(draw: st.DrawFn, pool: tuple[str, ...]) -> Asked:
    """A few conditions and numbers to ask of households and of persons."""
    kinds = (Kind.TRUTH, Kind.NUMBER, Kind.TRUTH)
    return {scope: [draw(expressions(pool, kind, scope)) for kind in kinds] for scope in SCOPES}


def answers(drawn: Drawn, asked: Asked) -> Said:
    """What is said of every household, or of everybody who belongs to one, by text and by id."""
    evaluation = evaluation_of(drawn)
    found: Said = {}
    for scope, texts in asked.items():
        found |= said_by(evaluation, drawn, texts, scope)
    return found


def said_by(evaluation: Evaluation, drawn: Drawn, texts: list[str], scope: Where) -> Said:
    facts = evaluation.facts
    people = sorted({r["person_id"] for r in (*drawn.world[0], *drawn.world[1])} - {None})
    units = list(enumerate(facts.history.household_ids))
    if scope is Where.PERSON:
        units = [(i, person) for i, person in enumerate(people) if facts.home[i] >= 0]
    found: Said = {}
    for text in texts:
        tree, kind = read(text)
        if kind is Kind.TRUTH:
            truths = evaluation.truth(tree, scope)
            found |= {(scope.value, text, name): int(truths[i]) for i, name in units}
        else:
            number = evaluation.number(tree, scope)
            found |= {(scope.value, text, name): (float(number.lo[i]), float(number.hi[i])) for i, name in units}
    return found


def agree(drawn: Drawn, asked: Asked) -> None:
    """Both sides say the same of every household, and of everybody who belongs to one."""
    evaluation = evaluation_of(drawn)
    told = {household: drawn.told(household) for household in HOUSEHOLD_IDS}
    for scope, texts in asked.items():
        said = said_by(evaluation, drawn, texts, scope)
        for household, each in told.items():
            for text in dict.fromkeys(texts):
                tree, kind = read(text)
                for who in each.people if scope is Where.PERSON else [None]:
                    found = said.pop((scope.value, text, who or household))
                    if kind is Kind.TRUTH:
                        assert TOLD[found] is each.truth(tree, who), f"{text} of {household} {who}"
                    else:
                        assert is_number(found, each.amount(tree, who)), f"{text} of {household} {who}"
        assert not said


def is_number(found: tuple[float, float], expected: Number) -> bool:
    if expected is None:
        return all(math.isnan(end) for end in found)
    return all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("words", SEVEN_EACH, ids=lambda words: words[0].name)
def test_every_word_answers_as_the_oracle(words: tuple[Word, ...]) -> None:
    @settings(max_examples=40)
    @given(st.data(), drawn_worlds())
    def check(data: st.DataObject, drawn: Drawn) -> None:
        asked = {
            scope: [
                data.draw(calls(drawn.codes, word, scope))
                for word in words
                if word.where in (scope, Where.EITHER)
                for _ in range(4 if word.takes is Takes.CODES else 1)
            ]
            for scope in SCOPES
        }
        agree(drawn, asked)

    check()


@settings(max_examples=80)
@given(st.data(), drawn_worlds())
def test_every_expression_answers_as_the_oracle(data: st.DataObject, drawn: Drawn) -> None:
    agree(drawn, data.draw(questions(drawn.codes)))


@settings(max_examples=40)
@given(st.data(), drawn_worlds())
def test_who_earns_most_is_open_where_an_amount_is(data: st.DataObject, drawn: Drawn) -> None:
    """Three people of one household with a few wages each, some without an amount: too rare in worlds at large."""
    day = drawn.as_of - pd.Timedelta(days=9)
    member = {"household_id": "a", "birth_date": None, "sex": None, "role": "other", "left_at": None}
    people = [{**member, "person_id": p, "joined_at": day, "known_at": day} for p in ("p", "q", "r")]
    wages = data.draw(
        st.lists(st.tuples(st.sampled_from("pqr"), st.sampled_from([0.0, 1.0, 2.0, math.nan])), max_size=5)
    )
    rows = [event_row(f"w{i}", "a", person, "EMP//WAGE", day, day, value) for i, (person, value) in enumerate(wages)]
    agree(dataclasses.replace(drawn, world=(rows, people, drawn.world[2])), {Where.PERSON: ["is_main_earner"]})


@settings(max_examples=60)
@given(drawn_worlds(codes=("HKM//MEMBER_LEAVE", "SLF//APPLY", "SLF//APPLY", "FUN//CREMATE")))
def test_who_moved_out_to_let_the_others_apply_still_lives_there(drawn: Drawn) -> None:
    about_people = ["members", "children", "count_members(is_woman)", "total_members(count(SLF//APPLY))"]
    agree(drawn, {Where.PERSON: ["lives_here"], Where.HOUSEHOLD: about_people})


@settings(max_examples=30)
@given(st.data(), drawn_worlds(), st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(data: st.DataObject, drawn: Drawn, random: Any) -> None:
    asked = data.draw(questions(drawn.codes))
    event_rows, member_rows, households = drawn.world
    world = [*event_rows, *random.sample(event_rows, k=len(event_rows) // 2)], list(member_rows), list(households)
    for rows in world:
        random.shuffle(rows)
    assert repr(answers(dataclasses.replace(drawn, world=world), asked)) == repr(answers(drawn, asked))


@settings(max_examples=30)
@given(st.data(), drawn_worlds())
def test_what_is_not_yet_known_changes_nothing(data: st.DataObject, drawn: Drawn) -> None:
    asked = data.draw(questions(drawn.codes))
    event_rows, member_rows, households = drawn.world
    world = (
        [row for row in event_rows if row["known_at"] <= drawn.as_of],
        [row for row in member_rows if row["known_at"] <= drawn.as_of],
        households,
    )
    assert repr(answers(dataclasses.replace(drawn, world=world), asked)) == repr(answers(drawn, asked))


@settings(max_examples=30)
@given(st.data(), drawn_worlds())
def test_one_household_alone_gets_the_same_answers(data: st.DataObject, drawn: Drawn) -> None:
    """What happened to people who now belong elsewhere is left out, and what was known earlier: only a whole county's
    record tells who lived where."""
    texts = data.draw(questions(drawn.codes))[Where.HOUSEHOLD]
    asked = {Where.HOUSEHOLD: [text for text in texts if "was(" not in text]}
    member_rows, households = drawn.world[1:]
    told = {household: drawn.told(household) for household in HOUSEHOLD_IDS}
    own: dict[str, list[Row]] = {
        name: [
            {**row, "household_id": name, "supersedes": None, "status": "original"}
            for row in each.rows
            if row["person_id"] is None or row["person_id"] in each.people
        ]
        for name, each in told.items()
    }
    together = dataclasses.replace(drawn, world=([*itertools.chain(*own.values())], member_rows, households))
    said = answers(together, asked)
    for household, events in own.items():
        people = [
            row
            for row in member_rows
            if row["household_id"] == household and row["person_id"] in told[household].people
        ]
        home = [row for row in households if row["household_id"] == household]
        alone = answers(dataclasses.replace(drawn, world=(events, people, home)), asked)
        assert repr(alone) == repr({key: answer for key, answer in said.items() if key[-1] == household})


NOT_MONOTONE = ("strongest", "on_record", "tier_rank", "at_least_zero", " * ")


@settings(max_examples=80)
@given(st.data(), drawn_worlds())
def test_who_knows_less_never_says_otherwise(data: st.DataObject, drawn: Drawn) -> None:
    """Amounts, texts, birth dates, parameters or whole sources taken away leave an answer as it is or open it.

    `on_record` asks for the record itself, `tier_rank` for what has been found; `strongest` takes the best evidence
    for the whole; and a number that may not exist counts as existing once it is held at zero or multiplied.
    """
    asked = {
        scope: [text for text in texts if not any(word in text for word in NOT_MONOTONE)]
        for scope, texts in data.draw(questions(drawn.codes)).items()
    }
    some = st.frozensets(st.integers(0, 40))
    blank, textless, ageless = data.draw(some), data.draw(some), data.draw(st.sampled_from([(), ("p",), ("q", "r")]))
    event_rows, member_rows, households = drawn.world
    less_of_events = [
        row | ({"value": math.nan} if i in blank else {}) | ({"text": None} if i in textless else {})
        for i, row in enumerate(event_rows)
    ]
    less_of_members = [
        row | ({"birth_date": None, "sex": None} if row["person_id"] in ageless else {}) for row in member_rows
    ]
    hidden = data.draw(st.frozensets(st.sampled_from((*NUMBERS, *TEXTS, "residence", "connected"))))
    less = dataclasses.replace(
        drawn,
        world=(less_of_events, less_of_members, [h | {"residence": None} for h in households])
        if "residence" in hidden
        else (less_of_events, less_of_members, households),
        numbers={n: {h: None if n in hidden else v for h, v in by.items()} for n, by in drawn.numbers.items()},
        texts={n: {h: None if n in hidden else v for h, v in by.items()} for n, by in drawn.texts.items()},
        connected=frozenset() if "connected" in hidden else drawn.connected,
    )
    knowing, said = answers(drawn, asked), answers(less, asked)
    assert set(knowing) == set(said)
    for key, before in knowing.items():
        assert is_weaker(said[key], before), f"{key}: {before} became {said[key]}"


def is_weaker(said: Answer, before: Answer) -> bool:
    if not isinstance(said, tuple) or not isinstance(before, tuple):
        return said in (before, NOT_EVALUABLE)
    if math.isnan(before[0]):
        return math.isnan(said[0]) or said == (-math.inf, math.inf)
    return said[0] <= before[0] + 1e-9 and before[1] - 1e-9 <= said[1]


AMOUNTS = ("count", "total", "months_with", "reported_late")
EVENT_WORDS = ("happened", "on_record", "near", "followed_by", *AMOUNTS)
OVER_PEOPLE = ("any_member({})", "any_person({})", "count_members({}) >= 1")


@st.composite
def an_event(draw: st.DrawFn, pool: tuple[str, ...], name: str) -> str:
    """A condition that only an event can make true."""
    call = f"{name}({draw(codes(pool))}{draw(keywords(pool, WORDS[name]))})"
    return f"{call} >= {draw(st.sampled_from([1, 2]))}" if name in AMOUNTS else call


@settings(max_examples=80)
@given(st.data(), drawn_worlds())
def test_the_evidence_of_a_true_condition_carries_it(data: st.DataObject, drawn: Drawn) -> None:
    simple = [data.draw(an_event(drawn.codes, name)) for name in EVENT_WORDS]
    personal = [word.format(data.draw(st.sampled_from(simple))) for word in OVER_PEOPLE]
    joined = [f"{data.draw(st.sampled_from(simple + personal))} {word} {simple[0]}" for word in ("and", "or")]
    texts = [*simple, *personal, *joined]
    evaluation = evaluation_of(drawn)
    ids = evaluation.facts.history.event_id
    for text in texts:
        tree = read(text)[0]
        for h in np.flatnonzero(evaluation.truth(tree) == TRUE).tolist():
            told = drawn.told(HOUSEHOLD_IDS[h])
            named = {str(ids[row]) for row in evaluation.evidence(tree, h)}
            rows = [row for row in told.rows if row["event_id"] in named]
            assert len(rows) == len(named) > 0, text
            assert all(any(matches(p, row["code"]) for p in patterns_of(tree)) for row in rows), text
            if isinstance(tree, Call) and tree.word == "happened":
                assert named == {row["event_id"] for row in told.sure(tree, None)}
            withdrawn = [
                {
                    **row,
                    "event_id": f"not {row['event_id']}",
                    "status": "retracted",
                    "supersedes": row["event_id"],
                    "known_at": drawn.as_of,
                }
                for row in rows
            ]
            world = [*drawn.world[0], *withdrawn], *drawn.world[1:]
            assert evaluation_of(dataclasses.replace(drawn, world=world)).truth(tree)[h] != TRUE, text


def patterns_of(tree: Tree) -> set[str]:
    """Every code that a condition names."""
    found: set[str] = set()
    for part in walked(tree, LANGUAGE):
        if isinstance(part, Call):
            others = [value for name, value in part.options if name in ("then", "to") and isinstance(value, tuple)]
            found |= set(part.codes).union(*others)
    return found


SPELLS = (
    "is_open(DB//ENTER, ended_by=[DB//EXIT, DB//STOP])",
    "is_open([DB//ENTER, DB//GRANT], ended_by=DB//EXIT)",
    "is_open(DB//ENTER, ended_by=DB//EXIT, lapses_months=12)",
)


@settings(max_examples=80)
@given(drawn_worlds(codes=("DB//ENTER", "DB//ENTER", "DB//EXIT", "DB//STOP", "DB//GRANT")))
def test_the_evidence_of_an_open_spell_is_where_it_began(drawn: Drawn) -> None:
    evaluation = evaluation_of(drawn)
    ids = evaluation.facts.history.event_id
    for text in SPELLS:
        tree = read(text)[0]
        assert isinstance(tree, Call)
        for h in np.flatnonzero(evaluation.truth(tree) == TRUE).tolist():
            told = drawn.told(HOUSEHOLD_IDS[h])
            named = {str(ids[row]) for row in evaluation.evidence(tree, h)}
            begins = [row for row in told.rows if row["event_id"] in named]
            ends = told.before_now(tree.option("ended_by"), None)
            assert begins
            for begin in begins:
                who = None if told.is_for_all(begin) else begin["person_id"]
                relevant = [end for end in ends if who is not None or told.is_for_all(end)]
                assert told.runs(tree, [begin], relevant, who), text
                belongs = who in told.residents or (who in told.people and told.place(who) is None)
                assert who is None or belongs, text
