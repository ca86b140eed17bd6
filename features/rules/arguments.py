"""What the arguments of a word may be: whether they can mean anything, before a household meets them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from features.catalogue import Catalogue
from features.codes import matches
from features.definition import EventKind, Level
from features.rules.words import TEXT_KEYWORDS, WORDS

if TYPE_CHECKING:
    from features.rules.syntax import Call

MOST_DAYS, MOST_MONTHS = 36_500, 1_200
ITEMS = 10
_LENGTHS = ("days", "from_days", "ahead_days")
_DISTANCES = ("lag_days", "within_days")
_MONTHS = ("months", "lapses_months")
_OF_AMOUNTS = frozenset({"total", "largest", "smallest", "latest", "variation"})


def wrong_argument(call: Call, catalogue: Catalogue) -> str | None:
    """The first thing wrong with a call's arguments, or None."""
    return next(_problems(call, catalogue), None)


def out_of_reach(call: Call, catalogue: Catalogue) -> str | None:
    """The first code that no event about a person has, though a person is asked; or None."""
    others = [value for name, value in call.options if name in ("then", "to") and isinstance(value, tuple)]
    for pattern in (*call.codes, *(each for codes in others for each in codes)):
        if all(kind.level is not Level.PERSON for kind in _kinds((pattern,), catalogue)):
            return (
                f"{pattern} is not recorded for persons; ask for it outside {call.word}'s any_member(...) or the like"
            )
    return None


def _problems(call: Call, catalogue: Catalogue) -> Iterator[str]:
    yield from _wrong_names_and_numbers(call)
    yield from _wrong_windows(call)
    given = {name for name, _ in call.options}
    for kind in _kinds(call.codes, catalogue):
        if kind.bounds is None and (call.word in _OF_AMOUNTS or given & {"at_least", "at_most"}):
            yield f"{kind.code} carries no amount that {call.word} could read"
        if not kind.coded_text and given & set(TEXT_KEYWORDS):
            yield f"{kind.code} carries no coded text"


def _wrong_names_and_numbers(call: Call) -> Iterator[str]:
    names, numbers = WORDS[call.word].names, call.numbers
    if names and call.name not in names:
        yield f"{call.word} knows {', '.join(names)}"
    if call.word == "members_aged" and not (len(numbers) == 2 and numbers[0] < numbers[1]):
        yield "members_aged needs two ages, the lower one first"
    if call.word == "living_item" and not (len(numbers) == 1 and numbers[0] in range(1, ITEMS + 1)):
        yield f"living_item needs one item from 1 to {ITEMS}"
    if call.word == "strongest" and not call.parts:
        yield "strongest needs numbers"


def _wrong_windows(call: Call) -> Iterator[str]:
    given = dict(call.options)
    for name, value in given.items():
        if value == ():
            yield f"{name}= names nothing"
        if not isinstance(value, float):
            continue
        if name in _LENGTHS and not 0 < value <= MOST_DAYS:
            yield f"{name}= must lie above 0 and at most at {MOST_DAYS}"
        if name in _DISTANCES and not 0 <= value <= MOST_DAYS:
            yield f"{name}= must lie between 0 and {MOST_DAYS}"
        if name in _MONTHS and not (value.is_integer() and 1 <= value <= MOST_MONTHS):
            yield f"{name}= must be a whole number from 1 to {MOST_MONTHS}"
    days, until = given.get("days"), given.get("from_days")
    if isinstance(days, float) and isinstance(until, float) and until >= days:
        yield "from_days= must be less than days="


def _kinds(patterns: tuple[str, ...], catalogue: Catalogue) -> list[EventKind]:
    return [kind for kind in catalogue.kinds if any(matches(pattern, kind.code) for pattern in patterns)]
