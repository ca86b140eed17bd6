"""The words that read events, worked out slowly for one household at one moment: lists of dicts, no arrays.

Written from the meaning of the words alone. Truths are True, False or None for "cannot be evaluated"; numbers are
`(lo, hi)`, or None for a number that does not exist. Shared with the project are only the tree types and the
declarations of event kinds; who belongs where and which rows are known comes from the vectors' oracle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from features.catalogue import Catalogue
from features.codes import matches
from features.definition import Absent, EventKind, Level
from features.rules.syntax import Call, Definition, Param, Tree
from tests.property.oracle import home, visible
from tests.property.worlds import Row

Truth = bool | None
Number = tuple[float, float] | None
INF = math.inf
UNKNOWN = (-INF, INF)
DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Setting:
    """All that is fixed while conditions are asked. Parameters are by household; None is unknown."""

    catalogue: Catalogue
    zone: str
    numbers: Mapping[str, Mapping[str, float | None]]
    texts: Mapping[str, Mapping[str, tuple[str, ...] | None]]
    quantities: Mapping[str, Definition]
    indicators: Mapping[str, Tree]
    connected: frozenset[str] | None = None


@dataclass(frozen=True)
class Record:
    """What is on record about one household at one moment; `who` is a person's id inside words about people, None
    outside."""

    event_rows: list[Row]
    member_rows: list[Row]
    residence: str | None
    household: str
    as_of: pd.Timestamp
    setting: Setting

    # -- who and what

    @cached_property
    def known(self) -> list[Row]:
        """Rows known now, of declared codes and with a right to use them, of any household."""
        kinds = self.setting.catalogue.by_code
        return [e for e in visible(self.event_rows, self.as_of) if e["code"] in kinds and self.is_allowed(e)]

    def is_allowed(self, row: Row) -> bool:
        months = self.kind_of(row).authorised_months
        return months is None or self.as_of < row["known_at"] + pd.Timedelta(days=30.4375 * months)

    def place(self, person: str) -> Row | None:
        """The membership row that says where a person belongs."""
        if person not in self.places:
            self.places[person] = home(person, self.member_rows, self.as_of)
        return self.places[person]

    @cached_property
    def places(self) -> dict[str, Row | None]:
        return {}

    def has_left(self, place: Row) -> bool:
        return place["left_at"] is not None and place["left_at"] < self.as_of

    def where(self, row: Row) -> str:
        """Household that a row counts for; nothing where the person had left it by then."""
        follows = self.kind_of(row).follows
        place = self.place(row["person_id"]) if follows and row["person_id"] is not None else None
        if place is None:
            return str(row["household_id"])
        return "" if self.has_left(place) and row["occurred_at"] > place["left_at"] else str(place["household_id"])

    @cached_property
    def rows(self) -> list[Row]:
        """The household's rows in time order."""
        codes = [kind.code for kind in self.setting.catalogue.kinds]

        def order(e: Row) -> tuple[Any, ...]:
            value = INF if math.isnan(e["value"]) else e["value"]
            return e["occurred_at"], codes.index(e["code"]), value, e["person_id"] or "", e["event_id"]

        return sorted((e for e in self.known if self.where(e) == self.household), key=order)

    @cached_property
    def people(self) -> list[str]:
        """Everybody who belongs here, also those who left, and those whom no register places but whose newest event
        was filed here."""
        found = []
        for person in sorted({r["person_id"] for r in (*self.member_rows, *self.event_rows)} - {None}):
            place = self.place(person)
            if place is None:
                own = [e for e in self.known if e["person_id"] == person]
                place = max(own, key=lambda e: (e["occurred_at"], e["household_id"]), default=None)
            if place is not None and place["household_id"] == self.household:
                found.append(person)
        return found

    @cached_property
    def residents(self) -> list[str]:
        """Those who live here: registered and not gone, or gone only to let the others apply."""
        return [p for p in self.people if self.is_registered(p) or self.has_split(p)]

    def is_registered(self, person: str) -> bool:
        place = self.place(person)
        return place is not None and not self.has_left(place)

    def has_split(self, person: str) -> bool:
        """Whether somebody alive moved out in the last 180 days and the household applied within 90 days of that."""
        left = [e["occurred_at"] for e in self.before_now(("HKM//MEMBER_LEAVE",), person)]
        applied = [e["occurred_at"] for e in self.before_now(("SLF//APPLY",), None)]
        has_followed = any(a <= b < a + 90 * DAY for a in left if a >= self.as_of - 180 * DAY for b in applied)
        return has_followed and not self.before_now(("FUN//CREMATE",), person)

    def kinds(self, codes: tuple[str, ...]) -> list[EventKind]:
        return [kind for kind in self.setting.catalogue.kinds if any(matches(code, kind.code) for code in codes)]

    def parameter(self, name: str) -> float | None:
        return self.setting.numbers[name][self.household]

    # -- which events

    def window(self, call: Call) -> tuple[pd.Timestamp | None, pd.Timestamp]:
        given = dict(call.options)
        if "ahead_days" in given:
            return self.as_of, self.as_of + given["ahead_days"] * DAY
        end = self.as_of - given["from_days"] * DAY if "from_days" in given else self.as_of
        if "days" in given:
            return self.as_of - given["days"] * DAY, end
        if "months" in given:
            return self.months_ago(int(given["months"])), end
        if "this_year" in given:
            last_instant = (self.as_of - pd.Timedelta(microseconds=1)).tz_convert(self.setting.zone)
            return pd.Timestamp(year=last_instant.year, month=1, day=1, tz=self.setting.zone), end
        return None, end

    def months_ago(self, months: int, moment: pd.Timestamp | None = None) -> pd.Timestamp:
        return (moment or self.as_of).tz_convert(self.setting.zone) - pd.DateOffset(months=months)

    def of(self, codes: tuple[str, ...], who: str | None) -> list[Row]:
        """Rows of the codes, of the household or of one person."""
        wanted = {kind.code for kind in self.kinds(codes)}
        return [e for e in self.rows if e["code"] in wanted and who in (None, e["person_id"])]

    def before_now(self, codes: tuple[str, ...], who: str | None) -> list[Row]:
        return [e for e in self.of(codes, who) if e["occurred_at"] < self.as_of]

    def found(self, call: Call, who: str | None) -> list[tuple[Row, Truth]]:
        """Rows inside the window that match, and those that may match but do not say (None)."""
        start, end = self.window(call)
        until_end = [e for e in self.of(call.codes, who) if e["occurred_at"] < end]
        said = [(e, self.passes(e, call)) for e in until_end if start is None or start <= e["occurred_at"]]
        return [(e, verdict) for e, verdict in said if verdict is not False]

    def sure(self, call: Call, who: str | None) -> list[Row]:
        return [e for e, verdict in self.found(call, who) if verdict]

    def passes(self, row: Row, call: Call) -> Truth:
        verdicts: list[Truth] = []
        for name in ("at_least", "at_most"):
            limit = call.option(name)
            bound = self.parameter(limit.name) if isinstance(limit, Param) else limit
            if limit is not None and (bound is None or math.isnan(row["value"])):
                verdicts.append(None)
            elif limit is not None:
                verdicts.append(row["value"] >= bound if name == "at_least" else row["value"] <= bound)
        for name in ("text_starts", "text_other_than"):
            wanted = call.option(name)
            texts = self.setting.texts[wanted.name][self.household] if isinstance(wanted, Param) else wanted
            is_coded = self.kind_of(row).coded_text != ""
            if wanted is not None and (texts is None or row["text"] is None or not is_coded):
                verdicts.append(None)
            elif wanted is not None:
                starts = any(row["text"].startswith(text) for text in texts)
                verdicts.append(starts == (name == "text_starts"))
        return False if False in verdicts else None if None in verdicts else True

    def silence_is_none(self, codes: tuple[str, ...], who: str | None, since: pd.Timestamp | None) -> bool:
        """Whether nothing reported in a window that begins at `since` means that nothing happened."""
        return bool(self.kinds(codes)) and all(self.tells_all(kind, who, since) for kind in self.kinds(codes))

    def tells_all(self, kind: EventKind, who: str | None, since: pd.Timestamp | None) -> bool:
        connected = self.setting.connected
        if kind.silence is Absent.UNKNOWN or (connected is not None and kind.department.source not in connected):
            return False
        until = since if kind.linked_before and since is not None else self.as_of
        proofs = [e for e in self.of(kind.linked_by, who) if not self.kind_of(e).is_authorised]
        return not kind.linked_by or any(self.is_in_two_years(e, until) for e in proofs)

    def is_in_two_years(self, row: Row, until: pd.Timestamp) -> bool:
        return bool(self.months_ago(24, until) <= row["occurred_at"] < until)

    def kind_of(self, row: Row) -> EventKind:
        return self.setting.catalogue.by_code[row["code"]]

    def is_whole(self, call: Call, who: str | None) -> bool:
        """Whether nothing that the word asks for can have gone unreported."""
        return self.silence_is_none(call.codes, who, self.window(call)[0])

    # -- truths about events

    def happened(self, call: Call, who: str | None) -> Truth:
        verdicts = [verdict for _, verdict in self.found(call, who)]
        if True in verdicts:
            return True
        return False if not verdicts and self.is_whole(call, who) else None

    def on_record(self, call: Call, who: str | None) -> Truth:
        return bool(self.sure(call, who))

    def is_open(self, call: Call, who: str | None) -> Truth:
        begins, ends = self.before_now(call.codes, None), self.before_now(call.option("ended_by"), None)
        for_all = [e for e in ends if self.is_for_all(e)]
        if who is not None:
            is_running = self.runs(call, [e for e in begins if e["person_id"] == who], ends, who)
        else:
            is_running = self.runs(call, [e for e in begins if self.is_for_all(e)], for_all, None)
            for person in self.people:
                own = [e for e in begins if not self.is_for_all(e) and e["person_id"] == person]
                is_here = person in self.residents or self.place(person) is None
                is_running = is_running or (is_here and self.runs(call, own, ends, person))
        return True if is_running else False if self.is_whole(call, who) else None

    def is_for_all(self, row: Row) -> bool:
        """Whether an event is the whole household's."""
        return self.kind_of(row).level is not Level.PERSON or row["person_id"] is None

    def runs(self, call: Call, begins: list[Row], ends: list[Row], who: str | None) -> bool:
        if not begins:
            return False
        begun = max(e["occurred_at"] for e in begins)
        lapses = call.option("lapses_months")
        if lapses is not None and begun < self.months_ago(int(lapses)):
            return False
        return not any(e["occurred_at"] > begun for e in ends if self.is_for_all(e) or e["person_id"] == who)

    def followed_by(self, call: Call, who: str | None) -> Truth:
        first = self.sure(call, who)
        then = call.option("then")
        later = self.before_now(then, who)
        if any(b["occurred_at"] > a["occurred_at"] for a in first for b in later):
            return True
        return self.no_pair(call, bool(first), then, who)

    def near(self, call: Call, who: str | None) -> Truth:
        first = self.sure(call, who)
        to, reach = call.option("to"), call.option("within_days") * DAY
        others = self.before_now(to, who)
        if any(abs(a["occurred_at"] - b["occurred_at"]) <= reach for a in first for b in others):
            return True
        return self.no_pair(call, bool(first), to, who)

    def no_pair(self, call: Call, has_first: bool, others: tuple[str, ...], who: str | None) -> Truth:
        """No first event with its second is on record; silence about either may hide one."""
        may_hide = not self.is_whole(call, who) or (has_first and not self.silence_is_none(others, who, None))
        return None if may_hide else False

    # -- numbers about events

    def count(self, call: Call, who: str | None) -> Number:
        return self.bounded(call, who, len(self.sure(call, who)), len(self.found(call, who)))

    def reported_late(self, call: Call, who: str | None) -> Number:
        lag = call.option("lag_days") * DAY
        late = [verdict for e, verdict in self.found(call, who) if e["known_at"] - e["occurred_at"] > lag]
        return self.bounded(call, who, late.count(True), len(late))

    def months_with(self, call: Call, who: str | None) -> Number:
        sure = {self.month(e) for e in self.sure(call, who)}
        return self.bounded(call, who, len(sure), len({self.month(e) for e, _ in self.found(call, who)}))

    def month(self, row: Row) -> tuple[int, int]:
        local = row["occurred_at"].tz_convert(self.setting.zone)
        return local.year, local.month

    def bounded(self, call: Call, who: str | None, least: int, most: int) -> Number:
        return float(least), float(most) if self.is_whole(call, who) else INF

    def total(self, call: Call, who: str | None) -> Number:
        if not self.kinds(call.codes):
            return UNKNOWN
        lo = hi = 0.0
        for kind in self.kinds(call.codes):
            found = self.found(replace(call, codes=(kind.code,)), who)
            values = [e["value"] for e, verdict in found if verdict]
            known = sum(value for value in values if not math.isnan(value))
            has_blank = any(math.isnan(value) for value in values) or not all(verdict for _, verdict in found)
            is_whole = self.tells_all(kind, who, self.window(call)[0]) and not has_blank
            least, most = kind.bounds or UNKNOWN
            lo += known if is_whole or least >= 0 else -INF
            hi += known if is_whole or most <= 0 else INF
        return lo, hi

    def largest(self, call: Call, who: str | None) -> Number:
        values, may_hide = self.values(call, who)
        if not values and not may_hide:
            return None
        return max(values, default=-INF), INF if may_hide else max(values)

    def smallest(self, call: Call, who: str | None) -> Number:
        values, may_hide = self.values(call, who)
        if not values and not may_hide:
            return None
        return -INF if may_hide else min(values), min(values, default=INF)

    def values(self, call: Call, who: str | None) -> tuple[list[float], bool]:
        """Known values, and whether others may lie hidden."""
        found = self.found(call, who)
        values = [e["value"] for e, verdict in found if verdict and not math.isnan(e["value"])]
        return values, len(values) < len(found) or not self.is_whole(call, who)

    def latest(self, call: Call, who: str | None) -> Number:
        """The newest on record; if that one does not say whether it counts, or how much, nobody knows."""
        found = self.found(call, who)
        if not found:
            return None if self.is_whole(call, who) else UNKNOWN
        row, verdict = found[-1]
        return UNKNOWN if verdict is None or math.isnan(row["value"]) else (row["value"], row["value"])

    def days_since(self, call: Call, who: str | None) -> Number:
        """At most since the newest that counts; one that may count, or that nobody reported, may be newer."""
        found, sure, is_whole = self.found(call, who), self.sure(call, who), self.is_whole(call, who)
        if not sure:
            return None if not found and is_whole else UNKNOWN
        newest = max(e["occurred_at"] for e, _ in found) if is_whole else self.window(call)[1]
        return (self.as_of - newest) / DAY, (self.as_of - sure[-1]["occurred_at"]) / DAY

    def variation(self, call: Call, who: str | None) -> Number:
        months = int(call.option("months"))
        rows = self.sure(call, who)
        totals, filled = [], 0
        for m in range(months):
            start, end = self.months_ago(m + 1), self.months_ago(m)
            values = [e["value"] for e in rows if start <= e["occurred_at"] < end]
            totals.append(sum(values))
            filled += bool(values)
        mean = sum(totals) / months
        is_whole = filled == months or self.is_whole(call, who)
        if filled < 6 or not is_whole or math.isnan(mean) or mean <= 0:
            return 0.0, INF
        spread = math.sqrt(sum((each - mean) ** 2 for each in totals) / months) / mean
        return spread, spread
