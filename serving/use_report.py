"""How the system is used, from the reviews in the store: what visitors confirm, how often they see it otherwise.

It counts reviews, never the people who wrote them: no column that says who they were is read. Counts of fewer than 10
households are left out. Who the households are (disability, age, place) is not in the store, so nothing is told by
group of households.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, and_, case, distinct, func, select

from models.tier import Tier
from serving.store.tables import JUDGEMENT, OUTCOME, REVIEWS, VERIFICATION

SCHEMA = "use.v1"
LEAST_HOUSEHOLDS = 10
# What a share of few is rounded to, so that it does not give the few away.
COARSE = 0.05
ENOUGH = 50
CONFIRMED_FROM = 0.60
RARELY, OFTEN = 0.01, 0.50
CHECKED = ("confirmed", "wrong", "changed")
# What a concern told first would have to be to agree with the tier; grey says nothing about concern.
CONCERN_OF = {"red": "high", "orange": "high", "yellow": "medium", "green": "low"}
NOT_TOLD = [
    {"zh": "不按人员统计。", "en": "Nothing is counted by person."},
    {
        "zh": "不按家庭类别统计：存储中没有这些信息。",
        "en": "Nothing by group of households: the store does not hold it.",
    },
    {"zh": "不足10户的数目不显示。", "en": "Counts of fewer than 10 households are not shown."},
]


class Cell(NamedTuple):
    """How many rows share some values, and of how many different households."""

    values: tuple[Any, ...]
    rows: int
    households: int


def use_report(connection: Connection, since: str | None = None) -> dict[str, Any]:
    """How the system is used, over visits made on or after `since` (a date), or all.

    Shares are from 0 to 1; where fewer than 10 households stand on one side of a share, it is rounded to 5 %. Null is a
    count or a share of too few to be shown. `suspended` goes by all visits.
    """
    reviews = _one(_cells(connection, REVIEWS, (), _since(REVIEWS.c.visited_on, since)))
    return {
        "schema": SCHEMA,
        "since": since,
        "reviews": _count(reviews),
        "households": _households(reviews),
        "outcomes": _outcomes(connection, since),
        "templates": _templates(connection, since),
        "wrong_facts": _wrong_facts(connection, since),
        "overrides": _overrides(connection, since),
        "anchoring": _anchoring(connection, since),
        "answers": _answers(connection, since),
        "not_told": NOT_TOLD,
    }


def suspended_templates(connection: Connection) -> set[str]:
    """Wordings that visitors confirmed in less than 60 % of at least 50 answers; pages leave them out."""
    counts: dict[str, Counter[str]] = {}
    for cell in _cells(connection, VERIFICATION, ("template", "answer"), VERIFICATION.c.kind == "fact"):
        template, answer = cell.values
        counts.setdefault(template, Counter())[answer] = cell.rows
    return {name for name, of in counts.items() if name is not None and _is_suspended(of)}


def _is_suspended(answers: Mapping[str, int]) -> bool:
    checked = sum(answers.get(name, 0) for name in CHECKED)
    return checked >= ENOUGH and answers.get("confirmed", 0) < CONFIRMED_FROM * checked


# -- the parts


def _outcomes(connection: Connection, since: str | None) -> list[dict[str, Any]]:
    """How the visits went."""
    of = and_(OUTCOME.c.kind == "visit", _since(OUTCOME.c.happened_on, since))
    found = _cells(connection, OUTCOME, ("what",), of)
    counts = _counts({cell.values[0]: cell for cell in found})
    return [{"outcome": name, "visits": count} for name, count in counts.items()]


def _templates(connection: Connection, since: str | None) -> list[dict[str, Any]]:
    """How often each wording is confirmed, the least first."""
    facts = and_(VERIFICATION.c.kind == "fact", VERIFICATION.c.template.is_not(None))
    suspended = suspended_templates(connection)
    told = []
    for template, cells in _by_first(_cells(connection, VERIFICATION, ("template", "answer"), facts, since)).items():
        checked = _one(_cells(connection, VERIFICATION, (), and_(facts, _is_checked(template)), since))
        confirmed, others = cells.get("confirmed"), [cells.get("wrong"), cells.get("changed")]
        told.append(
            {
                "template": template,
                "checked": _count(checked),
                **_counts({name: cells.get(name) for name in CHECKED}),
                "cannot_tell": _count(cells.get("cannot_tell")),
                "confirmed_share": _share(checked, confirmed, others),
                "suspended": template in suspended,
            }
        )
    return sorted(told, key=lambda row: (_last_if_none(row["confirmed_share"]), row["template"]))


def _is_checked(template: str) -> ColumnElement[bool]:
    return and_(VERIFICATION.c.template == template, VERIFICATION.c.answer.in_(CHECKED))


def _wrong_facts(connection: Connection, since: str | None) -> dict[str, Any]:
    """Of all facts that were checked, how many are wrong."""
    facts = and_(VERIFICATION.c.kind == "fact", VERIFICATION.c.answer.in_(CHECKED))
    is_wrong = case((VERIFICATION.c.answer == "wrong", 1), else_=0)
    checked = _one(_cells(connection, VERIFICATION, (), facts, since))
    sides = {cell.values[0]: cell for cell in _cells(connection, VERIFICATION, (is_wrong,), facts, since)}
    wrong, right = sides.get(1), sides.get(0)
    counts = _counts({"wrong": wrong, "right": right})
    return {"checked": _count(checked), "wrong": counts["wrong"], "wrong_share": _share(checked, wrong, [right])}


def _overrides(connection: Connection, since: str | None) -> list[dict[str, Any]]:
    """By tier, how often visitors judge higher or lower than shown. Too rare says that nobody looks, too often that
    nobody believes it."""
    judged = JUDGEMENT.c.judgement.is_not(None)
    is_other = case((JUDGEMENT.c.judgement == "about_right", 0), else_=1)
    by_tier = {cell.values[0]: cell for cell in _cells(connection, JUDGEMENT, ("tier_shown",), judged, since)}
    sides = _by_first(_cells(connection, JUDGEMENT, ("tier_shown", is_other), judged, since))
    ways = _by_first(_cells(connection, JUDGEMENT, ("tier_shown", "judgement"), judged, since))
    told = []
    for tier in (each.value for each in Tier if each.value in by_tier):
        cell, other, same = by_tier[tier], sides[tier].get(1), sides[tier].get(0)
        share = 0.0 if other is None else other.rows / cell.rows
        alarm = "rarely" if share < RARELY else "often" if share > OFTEN else None
        told.append(
            {
                "tier": tier,
                "judged": _count(cell),
                **_counts({name: ways[tier].get(name) for name in ("higher", "about_right", "lower")}),
                "override_share": _share(cell, other, [same]),
                "alarm": alarm if cell.rows >= ENOUGH and _is_shown(cell) else None,
            }
        )
    return told


def _anchoring(connection: Connection, since: str | None) -> dict[str, Any]:
    """Whether who saw the number first agrees with it more often than who told a concern before.

    `first`: of visits with a concern told before tier and number were shown, how many agree with the tier. `after`: of
    visits that saw them first, how many judge them about right. Grey tiers are left out.
    """
    of = JUDGEMENT.c
    is_ranked = of.tier_shown.in_(CONCERN_OF)
    agrees = case(*((and_(of.tier_shown == t, of.concern_first == c), 1) for t, c in CONCERN_OF.items()), else_=0)
    first = and_(is_ranked, of.concern_first.is_not(None))
    after = and_(is_ranked, of.was_blind.is_(False), of.judgement.is_not(None))
    is_right = case((of.judgement == "about_right", 1), else_=0)
    everybody = _one(_cells(connection, JUDGEMENT, (), None, since))
    by_blind = {bool(cell.values[0]): cell for cell in _cells(connection, JUDGEMENT, ("was_blind",), None, since)}
    told = {
        "first": _agreement(connection, first, agrees, since),
        "after": _agreement(connection, after, is_right, since),
    }
    shares = [told[name]["share"] for name in ("first", "after")]
    gap = None if None in shares else round(shares[1] - shares[0], 4)
    blind, seen = by_blind.get(True), by_blind.get(False)
    share = None
    if _is_shown(everybody):
        share = _rounded(0.0 if blind is None else blind.households / everybody.households, [blind, seen])
    households = _households(blind) if seen is None or _is_shown(seen) else None
    return {**told, "gap": gap, "blind_households": households, "blind_share": share}


def _agreement(
    connection: Connection, of: ColumnElement[bool], agrees: ColumnElement[int], since: str | None
) -> dict[str, Any]:
    """How many of these visits agree, with the 95 % interval after Wilson."""
    from scipy.stats import binomtest

    all_of_them = _one(_cells(connection, JUDGEMENT, (), of, since))
    sides = {cell.values[0]: cell for cell in _cells(connection, JUDGEMENT, (agrees,), of, since)}
    yes, no = sides.get(1), sides.get(0)
    share, interval = _share(all_of_them, yes, [no]), None
    if share is not None:
        found = binomtest(0 if yes is None else yes.rows, all_of_them.rows).proportion_ci(method="wilson")
        interval = [_rounded(end, [yes, no]) for end in (found.low, found.high)]
    return {"visits": _count(all_of_them), "share": share, "interval": interval}


def _answers(connection: Connection, since: str | None) -> list[dict[str, Any]]:
    """What came of questions: those about a field of the record, and those of an indicator."""
    kind = case((VERIFICATION.c.about.like("field:%"), "field"), else_="indicator")
    found = _by_first(_cells(connection, VERIFICATION, (kind, "answer"), VERIFICATION.c.kind == "answer", since))
    names = ("yes", "no", "unknown", "refused")
    return [{"kind": of, **{name: _count(found[of].get(name)) for name in names}} for of in sorted(found)]


# -- counting


def _cells(
    connection: Connection,
    table: FromClause,
    keys: Sequence[str | ColumnElement[Any]],
    where: ColumnElement[bool] | None,
    since: str | None = None,
) -> list[Cell]:
    """Rows and different households of a table by some values, in their order; of no values, one cell."""
    columns = [table.c[key] if isinstance(key, str) else key for key in keys]
    source = table if "household_id" in table.c else table.join(REVIEWS, table.c.review_id == REVIEWS.c.review_id)
    household = table.c.household_id if "household_id" in table.c else REVIEWS.c.household_id
    # By their place, because a computed value is another parameter each time it is written.
    named = [column.label(f"key_{k}") for k, column in enumerate(columns)]
    asked = select(*named, func.count(), func.count(distinct(household))).select_from(source)
    for condition in (where, _since(REVIEWS.c.visited_on, since) if since is not None else None):
        asked = asked if condition is None else asked.where(condition)
    if named:
        labels = [column.name for column in named]
        asked = asked.group_by(*labels).order_by(*labels)
    return [Cell(tuple(row[:-2]), int(row[-2]), int(row[-1])) for row in connection.execute(asked)]


def _since(day: ColumnElement[str], since: str | None) -> ColumnElement[bool]:
    return day >= (since or "")


def _one(cells: Sequence[Cell]) -> Cell:
    return cells[0]


def _by_first(cells: Iterable[Cell]) -> dict[str, dict[Any, Cell]]:
    found: dict[str, dict[Any, Cell]] = {}
    for cell in cells:
        found.setdefault(cell.values[0], {})[cell.values[1]] = cell
    return found


# -- what may be shown


def _is_shown(cell: Cell | None) -> bool:
    return cell is not None and cell.households >= LEAST_HOUSEHOLDS


def _count(cell: Cell | None) -> int | None:
    """Rows; nothing where too few households stand behind them, which nobody at all is not."""
    if cell is None or cell.rows == 0:
        return 0
    return cell.rows if _is_shown(cell) else None


def _counts(parts: Mapping[str, Cell | None]) -> dict[str, int | None]:
    """The rows of parts that make up a whole. Where one is hidden, the smallest other one is as well, because the rest
    of the whole would tell it."""
    told = {name: _count(cell) for name, cell in parts.items()}
    left = {name: count for name, count in told.items() if count}
    if sum(count is None for count in told.values()) == 1 and left:
        told[min(left, key=lambda name: left[name])] = None
    return told


def _households(cell: Cell | None) -> int | None:
    return 0 if cell is None or cell.rows == 0 else cell.households if _is_shown(cell) else None


def _share(of: Cell, part: Cell | None, rest: Sequence[Cell | None]) -> float | None:
    """The part's share; nothing where too few households stand behind the whole."""
    if not _is_shown(of):
        return None
    return _rounded(0.0 if part is None else part.rows / of.rows, [part, *rest])


def _rounded(share: float, sides: Sequence[Cell | None]) -> float:
    is_coarse = any(cell is not None and not _is_shown(cell) for cell in sides)
    return round(round(share / COARSE) * COARSE, 4) if is_coarse else round(share, 4)


def _last_if_none(share: float | None) -> float:
    return 2.0 if share is None else share
