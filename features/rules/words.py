"""The words of the rule language: what each takes, what it gives, and where it may stand.

The reference page is written from this table, and the reader of rule files accepts nothing that is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from features.event import RESIDENCES, ROLES


class Kind(Enum):
    """What an expression is."""

    NUMBER = "number"
    TRUTH = "truth"


class Takes(Enum):
    """What a word's plain arguments are."""

    NOTHING = "nothing"
    CODES = "event codes"
    NUMBER = "a number"
    NUMBERS = "numbers"
    TRUTH = "a condition"
    LITERAL_NUMBERS = "numbers written out"
    NAME = "a name in quotes"


class Where(Enum):
    """Whether a word is asked of a household, of a person, or of either."""

    HOUSEHOLD = "household"
    PERSON = "person"
    EITHER = "either"

    # By identity, as they compare: answers are kept by who was asked, and an enum hashes its name in Python.
    __hash__ = object.__hash__


@dataclass(frozen=True)
class Word:
    """One word. `keywords` may be given, `required` must be; `opens_person` marks words whose condition is asked of
    each person; `names` are the names it knows, if it takes one and not any will do."""

    name: str
    takes: Takes
    gives: Kind
    meaning: str
    keywords: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    where: Where = Where.EITHER
    opens_person: bool = False
    names: tuple[str, ...] = ()


WINDOW = ("days", "months", "from_days", "ahead_days", "this_year")
FILTER = ("at_least", "at_most", "text_starts", "text_other_than")
CODE_KEYWORDS = ("ended_by", "then", "to")
TEXT_KEYWORDS = ("text_starts", "text_other_than")
NUMBER, TRUTH = Kind.NUMBER, Kind.TRUTH

_WORDS = (
    Word("happened", Takes.CODES, TRUTH, "whether one of the events is on record", (*WINDOW, *FILTER)),
    Word(
        "on_record",
        Takes.CODES,
        TRUTH,
        "the same, with silence read as no; for what is asked about the record itself",
        (*WINDOW, *FILTER),
    ),
    Word("count", Takes.CODES, NUMBER, "how many of the events are on record", (*WINDOW, *FILTER)),
    Word("total", Takes.CODES, NUMBER, "the sum of the events' values", (*WINDOW, *FILTER)),
    Word("largest", Takes.CODES, NUMBER, "the largest value; does not exist without an event", (*WINDOW, *FILTER)),
    Word("smallest", Takes.CODES, NUMBER, "the smallest value; does not exist without an event", (*WINDOW, *FILTER)),
    Word("latest", Takes.CODES, NUMBER, "the newest value; does not exist without an event", (*WINDOW, *FILTER)),
    Word(
        "days_since", Takes.CODES, NUMBER, "days since the newest event; does not exist without one", (*WINDOW, *FILTER)
    ),
    Word("months_with", Takes.CODES, NUMBER, "calendar months that hold one of the events", (*WINDOW, *FILTER)),
    Word(
        "variation",
        Takes.CODES,
        NUMBER,
        "coefficient of variation of the monthly totals; unknown with fewer than six months on record",
        ("months",),
        ("months",),
    ),
    Word(
        "reported_late",
        Takes.CODES,
        NUMBER,
        "events that became known more than lag_days after they happened",
        (*WINDOW, *FILTER, "lag_days"),
        ("lag_days",),
    ),
    Word(
        "is_open",
        Takes.CODES,
        TRUTH,
        "whether the last beginning has neither ended nor lapsed",
        ("ended_by", "lapses_months"),
        ("ended_by",),
    ),
    Word(
        "followed_by",
        Takes.CODES,
        TRUTH,
        "whether something of `then` happened after one of the events in the window",
        (*WINDOW, "then"),
        ("then",),
    ),
    Word(
        "near",
        Takes.CODES,
        TRUTH,
        "whether one of the events in the window lies within within_days of one of `to`",
        (*WINDOW, "to", "within_days"),
        ("to", "within_days"),
    ),
    Word(
        "any_member",
        Takes.TRUTH,
        TRUTH,
        "whether it holds for somebody who lives there",
        where=Where.HOUSEHOLD,
        opens_person=True,
    ),
    Word(
        "any_person",
        Takes.TRUTH,
        TRUTH,
        "the same, also asked of people who left or died",
        where=Where.HOUSEHOLD,
        opens_person=True,
    ),
    Word(
        "count_members",
        Takes.TRUTH,
        NUMBER,
        "for how many who live there it holds",
        where=Where.HOUSEHOLD,
        opens_person=True,
    ),
    Word(
        "total_members",
        Takes.NUMBER,
        NUMBER,
        "the sum over those who live there",
        where=Where.HOUSEHOLD,
        opens_person=True,
    ),
    Word("members", Takes.NOTHING, NUMBER, "people known to live there", where=Where.HOUSEHOLD),
    Word("adults", Takes.NOTHING, NUMBER, "members of 18 and more", where=Where.HOUSEHOLD),
    Word("children", Takes.NOTHING, NUMBER, "members under 18", where=Where.HOUSEHOLD),
    Word("working_age", Takes.NOTHING, NUMBER, "members from 18 to 59", where=Where.HOUSEHOLD),
    Word("elders", Takes.NOTHING, NUMBER, "members of 60 and more", where=Where.HOUSEHOLD),
    Word("members_aged", Takes.LITERAL_NUMBERS, NUMBER, "members of an age in [from, to)", where=Where.HOUSEHOLD),
    Word(
        "lives_in",
        Takes.NAME,
        TRUTH,
        "whether the household lives in 'rural', 'town' or 'city'",
        where=Where.HOUSEHOLD,
        names=RESIDENCES,
    ),
    Word(
        "coverage",
        Takes.NOTHING,
        NUMBER,
        "share of the expected sources that reported in 24 months",
        where=Where.HOUSEHOLD,
    ),
    Word(
        "living_item",
        Takes.LITERAL_NUMBERS,
        TRUTH,
        "item n of the newest visit's living conditions, 12 months",
        where=Where.HOUSEHOLD,
    ),
    Word("indicator", Takes.NAME, TRUTH, "the state of another indicator", where=Where.HOUSEHOLD),
    Word(
        "dimensions_raised",
        Takes.NAME,
        NUMBER,
        "indicator prefixes with a true trigger of at least that tier, besides this one's",
        where=Where.HOUSEHOLD,
        names=("yellow", "orange", "red"),
    ),
    Word(
        "tier_rank",
        Takes.NOTHING,
        NUMBER,
        "0 green to 3 red: what the other triggers and the points say",
        where=Where.HOUSEHOLD,
    ),
    Word(
        "was",
        Takes.TRUTH,
        TRUTH,
        "the same question asked `days` earlier, with what was known then",
        ("days",),
        ("days",),
        Where.HOUSEHOLD,
    ),
    Word("age", Takes.NOTHING, NUMBER, "age in years", where=Where.PERSON),
    Word(
        "is_main_earner", Takes.NOTHING, TRUTH, "whether nobody there had more wages in 24 months", where=Where.PERSON
    ),
    Word(
        "lives_here",
        Takes.NOTHING,
        TRUTH,
        "whether the person lives there now, or moved out shortly before the family applied",
        where=Where.PERSON,
    ),
    Word(
        "has_role",
        Takes.NAME,
        TRUTH,
        "whether the person is 'head', 'spouse', 'child', 'parent' or 'other'",
        where=Where.PERSON,
        names=ROLES,
    ),
    Word("is_woman", Takes.NOTHING, TRUTH, "whether the person is recorded as a woman", where=Where.PERSON),
    Word("at_least_zero", Takes.NUMBER, NUMBER, "the number, or 0 where it is less"),
    Word("strongest", Takes.NUMBERS, NUMBER, "several kinds of evidence of one amount"),
    Word("number", Takes.TRUTH, NUMBER, "1 for true, 0 for false"),
)
WORDS: dict[str, Word] = {word.name: word for word in _WORDS}
