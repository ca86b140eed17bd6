"""The household vector, computed slowly and plainly: one question per feature, lists of dicts, no arrays.

Written from the definitions alone. It shares no code with `features.history`, `features.kernel` or
`features.matrix`; months are counted by pandas.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import pandas as pd

from features.catalogue import Catalogue
from features.codes import matches
from features.definition import Absent, Feature, Measure

Row = dict[str, Any]
NAN = math.nan
STAYS = frozenset({"TST//STAYS"})
AUTHORISED = frozenset({"TST//SIGNED"})
AUTHORISED_FOR = pd.Timedelta(days=5 * 30.4375)
OF_THE_HOUSEHOLD = frozenset({"TST//END_ALL"})


def vector(
    events: list[Row],
    members: list[Row],
    residence: str | None,
    catalogue: Catalogue,
    household: str,
    as_of: pd.Timestamp,
    zone: str,
) -> tuple[list[float], list[bool]]:
    """All features of one household, and which of them are unknown."""
    seen = [e for e in visible(events, as_of) if belongs(e, members, household, as_of)]
    seen = [e for e in seen if e["occurred_at"] < as_of and any(k.code == e["code"] for k in catalogue.kinds)]
    codes = [k.code for k in catalogue.kinds]
    seen.sort(key=lambda e: (e["occurred_at"], codes.index(e["code"]), _last_if_nan(e["value"])))
    residents = [m for m in at_home(members, as_of) if m["household_id"] == household]
    values: dict[str, float] = {}
    unknown: dict[str, bool] = {}
    for feature in catalogue.features:
        value = _value(feature, seen, residents, residence, values, as_of, zone)
        if feature.measure.is_derived:
            unknown[feature.name] = any(unknown[part] for part in feature.of)
        else:
            unknown[feature.name] = value is not None and math.isnan(value)
        if value is None:
            value = NAN
        if not math.isnan(value):
            value = min(max(value, feature.bounds[0]), feature.bounds[1])
        values[feature.name] = value
    return list(values.values()), list(unknown.values())


def visible(events: list[Row], as_of: pd.Timestamp) -> list[Row]:
    """Rows that the platform knew at `as_of` and that no row known by then had replaced."""
    known, ids = [], set()
    for e in events:
        if e["known_at"] <= as_of and (e["household_id"], e["event_id"]) not in ids:
            ids.add((e["household_id"], e["event_id"]))
            known.append(e)

    def replaced(e: Row) -> bool:
        for other in known:
            if other["household_id"] != e["household_id"] or other["supersedes"] is None:
                continue
            if other["supersedes"] == e["event_id"]:
                return True
            is_sibling = e["supersedes"] is not None and other["supersedes"] == e["supersedes"]
            if is_sibling and (other["known_at"], other["event_id"]) > (e["known_at"], e["event_id"]):
                return True
        return False

    def has_run_out(e: Row) -> bool:
        return e["code"] in AUTHORISED and as_of >= e["known_at"] + AUTHORISED_FOR

    return [e for e in known if e["status"] != "retracted" and not replaced(e) and not has_run_out(e)]


def home(person: str, members: list[Row], as_of: pd.Timestamp) -> Row | None:
    """The membership row that says where a person belongs."""
    spells: dict[tuple[Any, ...], Row] = {}
    for m in sorted(members, key=lambda m: m["known_at"]):
        if m["person_id"] == person and m["known_at"] <= as_of and m["joined_at"] < as_of:
            spells[(m["household_id"], m["joined_at"])] = m
    if not spells:
        return None
    return max(spells.values(), key=lambda m: (_runs(m, as_of), m["joined_at"], m["household_id"]))


def _runs(m: Row, as_of: pd.Timestamp) -> bool:
    return m["left_at"] is None or m["left_at"] >= as_of


def at_home(members: list[Row], as_of: pd.Timestamp) -> list[Row]:
    """Rows of the people who live somewhere at `as_of`."""
    homes = [home(person, members, as_of) for person in sorted({m["person_id"] for m in members})]
    return [m for m in homes if m is not None and _runs(m, as_of)]


def belongs(e: Row, members: list[Row], household: str, as_of: pd.Timestamp) -> bool:
    """Whether an event counts for the household."""
    place = None if e["person_id"] is None or e["code"] in STAYS else home(e["person_id"], members, as_of)
    if place is None:
        return bool(e["household_id"] == household)
    return bool(place["household_id"] == household and (_runs(place, as_of) or e["occurred_at"] <= place["left_at"]))


def _value(
    feature: Feature,
    seen: list[Row],
    residents: list[Row],
    residence: str | None,
    values: dict[str, float],
    as_of: pd.Timestamp,
    zone: str,
) -> float | None:
    """NaN for what is unknown, None for a number that does not exist."""
    measure = feature.measure
    if measure in (Measure.RATIO, Measure.DIFFERENCE):
        a, b = values[feature.of[0]] * feature.scale, values[feature.of[1]]
        if measure is Measure.DIFFERENCE:
            return a - b
        return NAN if b == 0 or math.isnan(a) or math.isnan(b) else a / b
    if measure is Measure.RESIDENCE:
        return NAN if residence is None else float(residence == feature.residence)
    if measure is Measure.MEMBERS:
        return float(len(residents)) if residents else NAN
    if measure is Measure.MEMBERS_AGED:
        assert feature.ages is not None
        if not residents or any(m["birth_date"] is None for m in residents):
            return NAN
        born = [pd.Timestamp(m["birth_date"], tz="UTC") for m in residents]
        years = [(as_of.tz_convert("UTC") - b) / pd.Timedelta(days=365.2425) for b in born]
        return float(sum(feature.ages[0] <= y < feature.ages[1] for y in years))

    def inside(e: Row, months: int | None) -> bool:
        if months is None:
            return True
        return bool(e["occurred_at"] >= _months_before(as_of, months, zone))

    found = [e for e in seen if inside(e, feature.window.months)]
    begins = [e for e in found if any(matches(p, e["code"]) for p in feature.codes)]
    ends = [e for e in found if e not in begins and any(matches(p, e["code"]) for p in feature.closed_by)]
    if not begins:
        is_linked = any(
            inside(e, 24) and matches(p, e["code"]) and e["code"] not in AUTHORISED
            for e in seen
            for p in feature.linked_by
        )
        if feature.when_absent is Absent.KNOWN_NONE and is_linked:
            if feature.none_is is not None:
                return feature.none_is
            return float(feature.window.months or 0) if measure is Measure.MONTHS_SINCE else 0.0
        return None if feature.when_absent is Absent.NOT_APPLICABLE and is_linked else NAN
    if measure is Measure.COUNT:
        return float(len(begins))
    if measure is Measure.MONTHS_SINCE:
        return _months(as_of - begins[-1]["occurred_at"])
    if measure is Measure.DISTINCT:
        return float(len({e["code"] for e in begins}))
    if measure is Measure.PERSONS:
        people = {e["person_id"] for e in begins} - {None}
        return float(len(people)) if people else NAN
    if measure in (Measure.OPEN, Measure.MONTHS_OPEN):
        starts = [s for s in _open_since(begins, ends) if s is not None]
        if measure is Measure.OPEN:
            return float(bool(starts))
        return _months(as_of - min(starts)) if starts else 0.0
    known = [e["value"] for e in begins if not math.isnan(e["value"])]
    if measure is Measure.SUM:
        return float(sum(known)) if len(known) == len(begins) else NAN
    if not known:
        return NAN
    if measure is Measure.MEAN:
        return sum(known) / len(known)
    return float({Measure.MAX: max, Measure.MIN: min, Measure.LAST: _last, Measure.FIRST: _first}[measure](known))


def _open_since(begins: list[Row], ends: list[Row]) -> list[pd.Timestamp | None]:
    """For every person who ever began a spell: since when it runs, or None if it has ended."""
    since = []
    for person in {e["person_id"] for e in begins}:
        own = [e for e in begins if e["person_id"] == person]
        closing = [
            e for e in ends if e["code"] in OF_THE_HOUSEHOLD or e["person_id"] is None or e["person_id"] == person
        ]
        start = None
        for moment in sorted({e["occurred_at"] for e in own + closing}):
            # A beginning outweighs an ending at the same instant: attention is kept.
            start = start or moment if any(e["occurred_at"] == moment for e in own) else None
        since.append(start)
    return since


@lru_cache(maxsize=64)
def _months_before(as_of: pd.Timestamp, months: int, zone: str) -> pd.Timestamp:
    return as_of.tz_convert(zone) - pd.DateOffset(months=months)


def _months(span: pd.Timedelta) -> float:
    return span / pd.Timedelta(days=30.4375)


def _last(values: list[float]) -> float:
    return values[-1]


def _first(values: list[float]) -> float:
    return values[0]


def _last_if_nan(value: float) -> float:
    return math.inf if math.isnan(value) else value
