"""Every indicator says what its own examples say, and nothing about what was not yet known."""

from __future__ import annotations

import pytest

from features.history import visible
from features.rules.case import AS_OF, ZONE, Case
from features.rules.facts import Facts
from features.rules.indicator import Indicator
from features.rules.number import TRUE
from features.rules.rulebook import PackTerms, States, rulebook
from features.window import as_of_moment
from models.rules import rank_so_far

BOOK = rulebook()
MOMENT = as_of_moment(AS_OF, ZONE)
WORDS = {1: "true", 0: "false", -1: "not_evaluable"}
# What is true because something is missing has no event to cite.
RESTS_ON_ABSENCE = {"INC-09", "INC-12", "MIG-05", "SOC-04"}
EXAMPLES = [
    pytest.param(indicator, case, id=f"{indicator.id} {case.say}")
    for indicator in BOOK.indicators
    for case in indicator.cases
]


def states_of(case: Case, known_later_days: float = 0.0) -> States:
    history = case.history(BOOK.language.catalogue, known_later_days=known_later_days)
    in_force = BOOK.at(MOMENT, ZONE)
    facts = Facts(history, visible(history, MOMENT))
    return States(in_force, facts, PackTerms(history, BOOK.packs, in_force.on), rank_so_far)


@pytest.mark.parametrize(("indicator", "case"), EXAMPLES)
def test_an_indicator_says_what_its_example_says(indicator: Indicator, case: Case) -> None:
    states = states_of(case)
    assert WORDS[int(states.state(indicator.id)[0])] == case.state
    reached = int(states.level(indicator.id)[0])
    if case.level is not None:
        assert indicator.levels[reached].tier == case.level
    if case.points is not None:
        assert indicator.levels[reached].points == case.points


@pytest.mark.parametrize(
    ("indicator", "case"),
    [each for each in EXAMPLES if each.values[1].state == "true" and not each.values[1].members_only],
)
def test_nothing_is_true_a_day_before_it_was_known(indicator: Indicator, case: Case) -> None:
    assert states_of(case, known_later_days=1.0).state(indicator.id)[0] != TRUE


@pytest.mark.parametrize(
    ("indicator", "case"),
    [each for each in EXAMPLES if each.values[1].state == "true" and not each.values[1].members_only],
)
def test_what_is_true_names_its_events(indicator: Indicator, case: Case) -> None:
    if indicator.id not in RESTS_ON_ABSENCE:
        assert states_of(case).evidence(indicator.id, 0)
