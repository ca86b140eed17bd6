"""The rule language and the indicators as pages, written from what the reader of rule files itself uses."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from features.rules.files import read_rule_file
from features.rules.indicator import FOLDER, MODES, QUANTITIES, Indicator
from features.rules.parameter import parameters
from features.rules.rulebook import rulebook
from features.rules.words import WORDS, Kind, Takes, Where, Word

REFRESH = "python -m features.rules.reference {page} > docs/reference/{page}.md"
LANGUAGE, INDICATORS = "rule-language", "indicators"

# One condition for every word, as it would stand in a rule file.
EXAMPLES = {
    "happened": "happened(DST//FIRE, days=365)",
    "on_record": 'on_record("PRD//*", months=24)',
    "count": "count(CLM//INPATIENT, days=365) >= 3",
    "total": "total(CLM//DRUG, months=12) > 3 * pack.dibao_month",
    "largest": "largest(CLM//INPATIENT, days=90) > pack.single_stay_general",
    "smallest": "smallest(MON//INCOME_SURVEY, months=24) < 6000",
    "latest": "latest(HSG//DANGER) >= 3",
    "days_since": "days_since(EMP//WAGE) > 180",
    "months_with": "months_with(EMP//WAGE, months=12) < 3",
    "variation": "variation(EMP//WAGE, months=12) > 0.5",
    "reported_late": "reported_late([CLM//INPATIENT, CLM//DRUG], lag_days=60, days=365) >= 2",
    "is_open": "is_open(LIP//RIGID_ENTER, ended_by=LIP//EXPIRE, lapses_months=12)",
    "followed_by": "followed_by(DB//REJECT, then=[DST//FIRE, HLT//MAJOR_DX], days=365)",
    "near": "near(PRD//HERD_SALE, to=HLT//MAJOR_DX, within_days=90, days=180)",
    "any_member": "any_member(happened(HLT//MAJOR_DX, days=365))",
    "any_person": "any_person(total(CLM//INPATIENT, days=365) > pack.medical_push_general_year)",
    "count_members": "count_members(severe_disability) >= 2",
    "total_members": "total_members(total(EMP//WAGE, days=365)) < 12 * pack.dibao_month * members",
    "members": "members >= 5",
    "adults": "adults == 1",
    "children": "children >= 3",
    "working_age": "working_age == 0",
    "elders": "elders >= 1 and adults == elders",
    "members_aged": "members_aged(6, 16) > 0",
    "lives_in": 'lives_in("rural")',
    "coverage": "coverage < pack.coverage_least",
    "living_item": "living_item(2)",
    "indicator": 'indicator("INC-02")',
    "dimensions_raised": 'dimensions_raised("orange") >= 2',
    "tier_rank": "tier_rank >= 1 and not happened(GRD//VISIT, days=180)",
    "was": "not was(is_listed, days=180)",
    "age": "any_member(age >= 80)",
    "is_main_earner": "any_person(is_main_earner and happened(FUN//CREMATE, days=365))",
    "lives_here": "any_person(not lives_here and age < 18)",
    "has_role": 'any_member(has_role("child") and age < 3)',
    "is_woman": "any_member(is_woman and age >= 60)",
    "at_least_zero": "at_least_zero(total(HSG//RENT, days=180) - total(HSG//RENT_SUB, days=180)) > 0",
    "strongest": "strongest(income_surveyed_12m, income_recorded_12m) < 12 * pack.dibao_month * members",
    "number": "number(living_item(1)) + number(living_item(2)) >= 2",
}
KEYWORDS = {
    "days": "the last n times 24 hours: `[moment - n d, moment)`; of `was`: how much earlier it is asked",
    "months": "the last n calendar months before the moment",
    "from_days": "beside `days`: the window ends that many days ago; `days=365, from_days=90` is 365 to 90 days ago",
    "ahead_days": "scheduled events of the next n days: `[moment, moment + n d)`",
    "this_year": "`this_year=True`: since 1 January",
    "at_least": "only events whose value is that much or more; a number, or `pack.<parameter>`",
    "at_most": "only events whose value is that much or less; a number, or `pack.<parameter>`",
    "text_starts": "only events whose coded text begins with one of these",
    "text_other_than": "only events whose coded text begins with none of these",
    "lag_days": "days between an event and the day it became known",
    "ended_by": "the events that end what the first ones begin",
    "lapses_months": "a beginning older than that many months no longer counts",
    "then": "the events that may have followed",
    "to": "the events that it may be near to",
    "within_days": "how near, before or after",
}
_TITLES = ("Words about events", "Words about the household", "Words about one person", "Words for numbers")
_WORD_HEAD = ("Word", "Meaning", "Gives", "Asked of", "Example")
_WINDOWS = "A window is closed at its start and open at its end; without one, all time counts."
_PARAMETER_HEAD = ("Parameter", "中文", "English", "Unit")
_PARAMETERS = "`pack.<name>` is the region's value on the day, or unknown."
_QUANTITY_HEAD = ("Quantity", "中文", "English", "Unit", "Asked of", "Is")
_QUANTITIES = "Named expressions of `features/indicators/quantities.yaml`; each may use those above it."
_SCOPE = {Where.HOUSEHOLD: "household", Where.PERSON: "person", Where.EITHER: "household or person"}
_GIVES = {Kind.NUMBER: "a number", Kind.TRUTH: "a truth"}


def language_page(folder: Path = FOLDER) -> str:
    """The page on the language in Markdown: words, keywords, parameters, and the quantities of `folder`."""
    by_title: dict[str, list[Word]] = {title: [] for title in _TITLES}
    for word in WORDS.values():
        by_title[_title(word)].append(word)
    lines = _ABOUT.format(refresh=REFRESH.format(page=LANGUAGE)).split("\n")
    for title, words in by_title.items():
        lines += ["", f"## {title}", "", *_table(_WORD_HEAD, map(_word, words))]
    quantities = (_quantity(node.content) for node in read_rule_file(folder / QUANTITIES).items())
    lines += ["", "## Keywords", "", _WINDOWS, "", *_table(("Keyword", "Meaning", "Known to"), map(_keyword, KEYWORDS))]
    lines += ["", "## Parameters", "", _PARAMETERS, "", *_table(_PARAMETER_HEAD, map(_parameter, parameters()))]
    lines += ["", "## Quantities", "", _QUANTITIES, "", *_table(_QUANTITY_HEAD, quantities)]
    return "\n".join(lines) + "\n"


def indicators_page(indicators: Iterable[Indicator]) -> str:
    """The page on the indicators in Markdown, by prefix."""
    by_prefix: dict[str, list[Indicator]] = {}
    for each in indicators:
        by_prefix.setdefault(each.prefix, []).append(each)
    mode_of = {each.id: each.mode for group in by_prefix.values() for each in group}
    counts = {mode: list(mode_of.values()).count(mode) for mode in MODES}
    lines = _INDICATORS.format(n=len(mode_of), refresh=REFRESH.format(page=INDICATORS), **counts).split("\n")
    for prefix, group in by_prefix.items():
        lines += ["", f"## {prefix}"]
        for each in group:
            lines += ["", *_indicator(each)]
    return "\n".join(lines) + "\n"


def indicator_as_json(indicator: Indicator) -> dict[str, Any]:
    """An indicator as plain JSON values; conditions as they are written."""
    return {
        "id": indicator.id,
        "name": indicator.name._asdict(),
        "mode": indicator.mode,
        "dimension": indicator.dimension,
        "poverty_types": list(indicator.poverty_types),
        "levels": [
            {
                "when": written,
                "brings": brings(indicator, i),
                "tier": level.tier,
                "points": level.points if indicator.mode == "points" else None,
                "text": indicator.text_of(i)._asdict(),
            }
            for i, (level, written) in enumerate(zip(indicator.levels, conditions(indicator), strict=True))
        ],
        "decays": indicator.decays,
        "sealed": indicator.sealed,
        "source": indicator.source,
        "owner": indicator.owner,
        "effective_from": indicator.effective_from.isoformat(),
        "effective_to": None if indicator.effective_to is None else indicator.effective_to.isoformat(),
        "questions": [question._asdict() for question in indicator.questions],
    }


def conditions(indicator: Indicator) -> list[str]:
    """The conditions of its levels as written, each on one line."""
    levels = indicator.node.content["levels"].items()
    return [_line(level.content["when"].content) for level in levels]


def brings(indicator: Indicator, level: int) -> str:
    """What a level brings: a tier, points, or a finding to verify."""
    if indicator.mode == "points":
        return f"{indicator.levels[level].points:g} points"
    return indicator.levels[level].tier or "verify"


def in_force(begins: object, ends: object) -> str:
    """From when to when, in words."""
    return f"from {begins}" + (f" to {ends}" if ends is not None else "")


def _title(word: Word) -> str:
    if word.takes is Takes.CODES:
        return _TITLES[0]
    return _TITLES[(Where.HOUSEHOLD, Where.PERSON, Where.EITHER).index(word.where) + 1]


def _line(written: object) -> str:
    return " ".join(str(written).split())


def _indicator(each: Indicator) -> list[str]:
    marks = [
        each.mode,
        each.dimension,
        *([" and ".join(each.poverty_types) + " poverty"] if each.poverty_types else []),
        *["halves with age"] * each.decays,
        *["sealed"] * each.sealed,
    ]
    levels = ((brings(each, i), f"`{written}`") for i, written in enumerate(conditions(each)))
    return [
        f"### {each.id} {each.name.zh} · {each.name.en}",
        "",
        f"{', '.join(marks)}. {each.owner}, {in_force(each.effective_from, each.effective_to)}. Source: {each.source}.",
        "",
        *_table(("Brings", "When"), levels),
        "",
        *(f"* {question.zh} · {question.en}" for question in each.questions),
    ]


def _word(word: Word) -> tuple[str, ...]:
    meaning = word.meaning
    if word.required:
        meaning += f"; needs {', '.join(f'`{name}`' for name in word.required)}"
    brackets = "" if word.takes is Takes.NOTHING else f"({word.takes.value})"
    return f"`{word.name}`{brackets}", meaning, _GIVES[word.gives], _SCOPE[word.where], f"`{EXAMPLES[word.name]}`"


def _keyword(name: str) -> tuple[str, ...]:
    return f"`{name}`", KEYWORDS[name], ", ".join(f"`{word.name}`" for word in WORDS.values() if name in word.keywords)


def _parameter(name: str) -> tuple[str, ...]:
    declared = parameters()[name]
    unit = f"{declared.unit}, by residence" if declared.by_residence else declared.unit
    return f"`{name}`", declared.name.zh, declared.name.en, unit


def _quantity(fields: dict[str, Any]) -> tuple[str, ...]:
    texts = {name: _line(node.content) for name, node in fields.items()}
    asked = texts.get("about", "either")
    scope = _SCOPE[Where.EITHER] if asked == "either" else asked
    return f"`{texts['id']}`", texts["zh"], texts["en"], texts["unit"], scope, f"`{texts['is']}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [_row(head), _row(("---",) * len(head)), *map(_row, rows)]


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


_ABOUT = """# The rule language

Conditions of indicators, policy items and quantities are written in it. It has the look of Python's expressions; a
condition is read into a tree and checked against this page, and nothing of it is ever run as a program. The page is
written from the table of words and from the rule files. After a change refresh it:

    {refresh}

**What is not known.** A truth is true, false or not evaluable. A number is a range: known where both ends are one
value, unknown where it is open, or it does not exist, as the largest bill of somebody without one. A comparison is
decided only if it comes out the same for every value of the range; whatever is compared with a number that does not
exist is false. `and` is false as soon as one part is, `or` is true as soon as one part is, whatever the others are.
So an unknown part neither counts as zero nor hides what is true without it.

**Silence.** What it means that nothing was reported belongs to the kind of event ([events](events.md)): nothing
happened; or nothing happened, but only to those whom another record shows the department to see; or nothing can be
said. A value that is missing in one row leaves a sum open upwards.

**What is read.** Only rows that were known at the moment of judgement; windows place them by when they happened.

**Event codes** stand without quotes: `CLM//INPATIENT`. Several are a list: `[CLM//INPATIENT, CLM//DRUG]`. A whole
category stands in quotes: `"CLM//*"`.

**Operations**: `+ - *`; `/` by a positive number, a parameter, `members` or a quantity; `< <= > >= ==`; `and`, `or`,
`not`; `a if condition else b`. Compare products (`3 * pack.dibao_month < x`), not ratios: a ratio with an unknown or
zero divisor is unknown.

**Household and person.** A condition is asked of the household. Inside `any_member(...)`, `any_person(...)`,
`count_members(...)` and `total_members(...)` it is asked of each person, and event words read that person's rows
alone.

**Check** with `povrisk rules check`; **try** a change with `povrisk rules diff`."""

_INDICATORS = """# The indicators

{n} indicators: {trigger} triggers, {points} with points, {verification} for verification. This page is written from
`features/indicators`, with the conditions as they stand there. After a change refresh it:

    {refresh}

A **trigger** brings a tier by itself, or marks a household as too silent to be called green (grey) or as due for a
task. A **points** indicator adds to the points; families are capped, and what *halves with age* loses half in every
half-life of the region's pack. A **verification** finding asks a person to look at records that do not fit together
and never changes a tier. The highest level that is true counts. The wording of *sealed* ones is shown to authorised
roles alone. Tiers and points are assumptions wherever the source does not give them. The words are explained under
[rule language](rule-language.md)."""


if __name__ == "__main__":
    pages = {LANGUAGE: language_page, INDICATORS: lambda: indicators_page(rulebook().indicators)}
    if len(sys.argv) != 2 or sys.argv[1] not in pages:
        sys.exit(f"name one page: {', '.join(pages)}")
    sys.stdout.write(pages[sys.argv[1]]())
