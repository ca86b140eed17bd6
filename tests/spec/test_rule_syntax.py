"""A rule file says what it means or is refused with its file and line; its text is never executed."""

from __future__ import annotations

import pytest

from features.catalogue import catalogue
from features.rules.files import Node, RuleFileRefused
from features.rules.syntax import (
    Arithmetic,
    Call,
    Choice,
    Comparison,
    Definition,
    Language,
    Literal,
    Logic,
    Negation,
    Param,
    Quantity,
    Tree,
    read_condition,
    read_expression,
)
from features.rules.words import WORDS, Kind, Takes

LINE = 41


def language() -> Language:
    bare = Language(catalogue(), frozenset({"dibao_month"}), frozenset({"province_code"}))
    spent = Definition("spent", *read_expression(Node("quantities.yaml", 1, "total(CLM//DRUG, days=365)"), bare))
    severe = Definition("severe", *read_expression(Node("quantities.yaml", 2, "age >= 80"), bare))
    return Language(bare.catalogue, bare.numbers, bare.texts, {"spent": spent, "severe": severe})


LANGUAGE = language()


def condition(text: object) -> Tree:
    return read_condition(Node("medical.yaml", LINE, text), LANGUAGE)


def refusal(text: object) -> str:
    """The reason, after checking that file and line are named."""
    with pytest.raises(RuleFileRefused) as refused:
        condition(text)
    assert str(refused.value).startswith(f"medical.yaml line {refused.value.line}: ")
    assert refused.value.file == "medical.yaml"
    assert LINE <= refused.value.line < LINE + str(text).count("\n") + 1
    return refused.value.reason


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        (
            "happened(CLM//INPATIENT)",
            Call("happened", codes=("CLM//INPATIENT",)),
        ),
        (
            'count([CLM//INPATIENT, "DST//*"], days=90) >= 2',
            Comparison(
                ">=",
                Call("count", codes=("CLM//INPATIENT", "DST//*"), options=(("days", 90.0),)),
                Literal(2.0),
            ),
        ),
        (
            "spent * 2 > 3 * pack.dibao_month and not lives_in('rural')",
            Logic(
                "and",
                (
                    Comparison(
                        ">",
                        Arithmetic("*", Quantity("spent"), Literal(2.0)),
                        Arithmetic("*", Literal(3.0), Param("dibao_month")),
                    ),
                    Negation(Call("lives_in", name="rural")),
                ),
            ),
        ),
        (
            "(spent if members > 1 else 0) < 5",
            Comparison(
                "<",
                Choice(
                    Comparison(">", Call("members"), Literal(1.0)),
                    Quantity("spent"),
                    Literal(0.0),
                ),
                Literal(5.0),
            ),
        ),
        (
            "1 < members <= 5",
            Logic(
                "and",
                (
                    Comparison("<", Literal(1.0), Call("members")),
                    Comparison("<=", Call("members"), Literal(5.0)),
                ),
            ),
        ),
        (
            "any_member(severe\n  or age < 3)",
            Call(
                "any_member",
                parts=(Logic("or", (Quantity("severe"), Comparison("<", Call("age"), Literal(3.0)))),),
            ),
        ),
    ],
)
def test_a_condition_is_read_as_it_stands(text: str, tree: Tree) -> None:
    assert condition(text) == tree


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spending > 3", "neither a word nor a quantity"),
        ("hapened(CLM//INPATIENT)", "'hapened' is no word"),
        ("happened(CLM//INPATINT)", "no event code"),
        ('happened("CLN//*")', "no event code"),
        ("happened(5)", "an event code is needed"),
        ("happened([])", "an event code is needed"),
        ("happened()", "needs event codes"),
        ("happened(CLM//INPATIENT, CLM//DRUG)", "several go into one list"),
        ("spent > pack.dibao_moth", "no declared number"),
        ("spent > pack.province_code", "no declared number"),
        ("happened(HLT//MAJOR_DX, text_starts=pack.dibao_month)", "no declared list of texts"),
        ("spent", "is a number where a truth is needed"),
        ("spent and members > 1", "a truth is needed, not a number"),
        ("not members", "a truth is needed, not a number"),
        ("happened(CLM//INPATIENT) > 1", "a number is needed, not a truth"),
        ("(1 if members else 2) > 1", "a truth is needed, not a number"),
        ("number(members) > 1", "a truth is needed"),
        ("at_least_zero(happened(CLM//INPATIENT)) > 1", "a number is needed"),
        ("any_member(age)", "a truth is needed"),
        ("members(3) > 1", "members needs"),
        ("count > 1", "needs event codes in brackets"),
    ],
)
def test_what_is_not_declared_or_of_another_kind_is_refused(text: str, said: str) -> None:
    assert said in refusal(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age > 60", "age is asked of a person"),
        ("severe", "age is asked of a person"),
        ("is_main_earner", "asked of a person"),
        ("any_member(members > 3)", "members is asked of a household"),
        ("any_member(any_member(age > 3))", "any_member is asked of a household"),
        ("any_person(was(age > 3, days=30))", "was is asked of a household"),
        ("any_member(happened(DST//FIRE))", "DST//FIRE is not recorded for persons"),
        ("any_member(near(CLM//INPATIENT, to=DST//FIRE, within_days=9))", "DST//FIRE is not recorded for persons"),
    ],
)
def test_a_word_about_the_wrong_one_is_refused(text: str, said: str) -> None:
    assert said in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "spent / count(CLM//DRUG) > 1",
        "spent / total(CLM//DRUG) > 1",
        "spent / 0 > 1",
        "spent / (2 - 2) > 1",
        "spent / elders > 1",
    ],
)
def test_division_is_by_what_cannot_be_an_event_sum_or_zero(text: str) -> None:
    assert "division is by" in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "lambda: 1",
        "(lambda x: x)(members) > 1",
        "members.__class__",
        "__import__('os').system('true')",
        "__builtins__",
        "pack.__class__ > 1",
        "pack.dibao_month.real > 1",
        "().__class__.__bases__",
        "f'{members}' > 1",
        "happened(f'CLM//{members}')",
        "(x := members) > 1",
        "[x for x in members] > 1",
        "{members}",
        "{'a': 1}",
        "members[0] > 1",
        "(yield)",
        "await members",
        "members if members > 1",
        "members ** 9 > 1",
        "members % 2 == 1",
        "members // 2 == 1",
        "~members > 1",
        "+members > 1",
        "members != 1",
        "members is 1",
        "members in 1",
        "True",
        "None",
        "...",
        "'text'",
        "1j > 0",
        "members > 1; members > 2",
        "members = 1",
        "import os",
        "happened(*CLM)",
        "happened(CLM//DRUG, **pack)",
        "strongest(*members) > 1",
        "members, members",
        "",
        "   ",
        "members >",
        "(members > 1",
        "members > 1)",
        "members > 1) and (members > 2",
        "members > 1 # and members > 2",
        "members > 1\0",
        3,
        True,
        None,
        ["members > 1"],
        {"when": "members > 1"},
    ],
)
def test_python_that_is_not_the_language_is_refused(text: object) -> None:
    assert refusal(text)


@pytest.mark.parametrize("text", ["1e999 > members", f"{10**400} > members", "9" * 5_000 + " > members"])
def test_a_number_beyond_all_bounds_is_refused(text: str) -> None:
    assert refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 300 + "members > 1" + ")" * 300,
        "not " * 300 + "lives_in('rural')",
        "not " * 100_000 + "lives_in('rural')",
        " + ".join(["members"] * 5_000) + " > 1",
        "-" * 2_000 + "members > 1",
        "(1 if members > 1 else " * 80 + "0" + ")" * 80 + " > 1",
    ],
)
def test_huge_nesting_is_refused_and_harmless(text: str) -> None:
    assert refusal(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("happened(CLM//DRUG, day=90)", "knows no day="),
        ("is_open(DB//ENTER, ended_by=DB//EXIT, days=90)", "knows no days="),
        ("is_open(DB//ENTER)", "needs ended_by="),
        ("near(CLM//DRUG, to=CLM//INPATIENT)", "needs within_days="),
        ("variation(EMP//WAGE) > 0.5", "needs months="),
        ("was(members > 1)", "needs days="),
        ("happened(CLM//DRUG, days=90, months=3)", "contradict"),
        ("happened(CLM//DRUG, ahead_days=9, this_year=True)", "contradict"),
        ("happened(CLM//DRUG, from_days=9)", "contradict"),
        ("happened(CLM//DRUG, months=12, from_days=9)", "contradict"),
        ("happened(CLM//DRUG, days=90, from_days=90)", "less than days"),
        ("happened(CLM//DRUG, days=90, days=30)", "twice"),
        ("happened(CLM//DRUG, days=0)", "above 0"),
        ("happened(CLM//DRUG, days=1e9)", "at most"),
        ("happened(CLM//DRUG, days=-9)", "written out"),
        ("happened(CLM//DRUG, days=members)", "written out"),
        ("happened(CLM//DRUG, days=pack.dibao_month)", "written out"),
        ("happened(CLM//DRUG, days='90')", "only numbers"),
        ("happened(CLM//DRUG, months=1.5)", "whole number"),
        ("happened(CLM//DRUG, months=0)", "whole number"),
        ("is_open(DB//ENTER, ended_by=DB//EXIT, lapses_months=0.5)", "whole number"),
        ("happened(CLM//DRUG, this_year=False)", "only be True"),
        ("happened(CLM//DRUG, this_year=lambda: 1)", "only be True"),
        ("was(members > 1, days=0)", "above 0"),
        ("happened(HLT//MAJOR_DX, text_starts=[])", "names nothing"),
        ("happened(HLT//MAJOR_DX, text_starts=3)", "in quotes"),
        ("happened(CLM//DRUG, text_starts='I')", "no coded text"),
        ("happened(FUN//CREMATE, at_least=pack.dibao_moth)", "no declared number"),
        ("total(HLT//MAJOR_DX) > pack.dibao_month", "carries no amount"),
        ("happened(HLT//MAJOR_DX, at_most=3)", "carries no amount"),
    ],
)
def test_keywords_that_cannot_mean_anything_are_refused(text: str, said: str) -> None:
    assert said in refusal(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lives_in('vilage')", "rural"),
        ("lives_in(rural)", "one name in quotes"),
        ("any_member(has_role('kid'))", "child"),
        ("dimensions_raised('green') > 1", "orange"),
        ("members_aged(6) > 0", "two ages"),
        ("members_aged(16, 6) > 0", "two ages"),
        ("members_aged(6, members) > 0", "written out"),
        ("living_item(0)", "from 1 to 10"),
        ("living_item(11)", "from 1 to 10"),
        ("living_item(2.5)", "from 1 to 10"),
        ("living_item(1, 2)", "one item"),
        ("strongest() > 1", "needs numbers"),
    ],
)
def test_arguments_that_would_silently_mean_nothing_are_refused(text: str, said: str) -> None:
    assert said in refusal(text)


def test_the_line_within_a_text_is_counted() -> None:
    text = "members > 1\nor spending > 3\nor members > 2"
    with pytest.raises(RuleFileRefused) as refused:
        condition(text)
    assert refused.value.line == LINE + 1


def test_every_word_that_needs_brackets_says_so() -> None:
    for word in WORDS.values():
        if word.takes is not Takes.NOTHING:
            assert "in brackets" in refusal(word.name if word.gives is Kind.TRUTH else f"{word.name} > 1")
