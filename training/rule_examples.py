"""The examples that travel with the indicators, asked of the rules: what each must say, and never a day too early."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from features.history import visible
from features.rules.case import AS_OF, ZONE, Case
from features.rules.facts import Facts
from features.rules.indicator import Indicator
from features.rules.number import TRUE
from features.rules.pack import read_packs
from features.rules.rulebook import InForce, PackTerms, Rulebook, States
from features.window import as_of_moment
from models.rule_record import STATES
from models.rules import rank_so_far


@dataclass(frozen=True)
class WrongExample:
    """An example that the rules contradict: where it stands and what came out."""

    indicator: str
    say: str
    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file} line {self.line}: {self.indicator} {self.say!r} {self.reason}"


def wrong_examples(
    book: Rulebook, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[WrongExample]:
    """Every example that does not come out as it says.

    Examples are judged by the shipped packs, whose numbers they were written for.
    """
    shipped = dataclasses.replace(book, packs=read_packs())
    asked = [(indicator, case) for indicator in book.indicators for case in indicator.cases]
    wrong: list[WrongExample] = []
    for done, (indicator, case) in enumerate(asked):
        progress(done, len(asked))
        wrong += (
            WrongExample(indicator.id, case.say, case.node.file, case.node.line, reason)
            for reason in _contradictions(shipped, indicator, case)
        )
    progress(len(asked), len(asked))
    return wrong


def _contradictions(book: Rulebook, indicator: Indicator, case: Case) -> Iterator[str]:
    states = _states(book, indicator, case)
    found = STATES[int(states.state(indicator.id)[0])]
    if found != case.state:
        yield f"must be {case.state} and is {found}"
        return
    reached = int(states.level(indicator.id)[0])
    if case.level is not None and indicator.levels[reached].tier != case.level:
        yield f"must be {case.level} and is {indicator.levels[reached].tier}"
    if case.points is not None and indicator.levels[reached].points != case.points:
        yield f"must bring {case.points:g} points and brings {indicator.levels[reached].points:g}"
    if case.state != "true" or case.members_only:
        return
    if not states.evidence(indicator.id, 0):
        yield "is true and names no event that made it so; write members_only: true if none does"
    if _states(book, indicator, case, known_later_days=1.0).state(indicator.id)[0] == TRUE:
        yield "is true even a day before its events were known"


def _states(book: Rulebook, indicator: Indicator, case: Case, known_later_days: float = 0.0) -> States:
    history = case.history(book.language.catalogue, known_later_days=known_later_days)
    moment = as_of_moment(AS_OF, ZONE)
    in_force = _with(book.at(moment, ZONE), indicator)
    facts = Facts(history, visible(history, moment))
    return States(in_force, facts, PackTerms(history, book.packs, in_force.on), rank_so_far)


def _with(in_force: InForce, indicator: Indicator) -> InForce:
    """The rules of the day with this version of the indicator, though another may be in force then."""
    if in_force.by_id.get(indicator.id) is indicator:
        return in_force
    others = tuple(each for each in in_force.indicators if each.id != indicator.id)
    return dataclasses.replace(in_force, indicators=(*others, indicator))
