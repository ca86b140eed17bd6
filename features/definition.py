"""How event kinds and features are declared: one line of meaning beside unit, source and constraint.

A declaration is data. It can be written to JSON and read back (`as_json`, `feature_from_json`), so that a model
bundle carries the definitions it was trained with and needs no code of the dataset it came from.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from features.codes import checked_pattern, is_code
from features.unit import Unit
from features.window import Window, ever, last


class Text(NamedTuple):
    """The same words in Chinese and English."""

    zh: str
    en: str


class Level(Enum):
    """Whom an event is recorded for."""

    HOUSEHOLD = "H"
    PERSON = "P"
    AREA = "A"


class Direction(Enum):
    """Which way a larger value must move the risk; `OPEN` where the domain does not say.

    The first two become monotone constraints of the boosted model.
    """

    MORE_IS_WORSE = 1
    MORE_IS_BETTER = -1
    OPEN = 0


class Absent(Enum):
    """What it means that no event is on record.

    `UNKNOWN`: nothing can be said. `KNOWN_NONE`: it did not happen, provided that the household is seen by the
    source (see `Feature.linked_by`); otherwise unknown. `NOT_APPLICABLE`: under the same proviso the number does not
    exist, as the grade of a certificate nobody holds; it is empty, but nothing is missing from the record.
    """

    UNKNOWN = "unknown"
    KNOWN_NONE = "known_none"
    NOT_APPLICABLE = "not_applicable"


class Measure(Enum):
    """How the events in a window become one number.

    `PERSONS` and `DISTINCT` count different persons and different event codes, `COUNT` counts events.
    """

    COUNT = "count"
    SUM = "sum"
    MAX = "max"
    MIN = "min"
    MEAN = "mean"
    LAST = "last"
    FIRST = "first"
    PERSONS = "persons"
    DISTINCT = "distinct"
    MONTHS_SINCE = "months_since"
    OPEN = "open"
    MONTHS_OPEN = "months_open"
    MEMBERS = "members"
    MEMBERS_AGED = "members_aged"
    RESIDENCE = "residence"
    RATIO = "ratio"
    DIFFERENCE = "difference"

    @property
    def is_of_events(self) -> bool:
        """Whether the kernel computes it from events."""
        return self not in _NOT_OF_EVENTS

    @property
    def is_derived(self) -> bool:
        """Whether it is computed from two other features."""
        return self in (Measure.RATIO, Measure.DIFFERENCE)


_NOT_OF_EVENTS = frozenset(
    {Measure.MEMBERS, Measure.MEMBERS_AGED, Measure.RESIDENCE, Measure.RATIO, Measure.DIFFERENCE}
)


class Group(Enum):
    """The domains in which a caseworker thinks; every feature belongs to exactly one.

    `CONTEXT` is never shown as a reason about the household.
    """

    INCOME = "income"
    EMPLOYMENT = "employment"
    MEDICAL = "medical"
    DISABILITY = "disability"
    EDUCATION = "education"
    HOUSING = "housing"
    DISASTER = "disaster"
    ASSISTANCE = "assistance"
    COPING = "coping"
    HOUSEHOLD = "household"
    CONTEXT = "context"


GROUP_TEXT: dict[Group, Text] = {
    Group.INCOME: Text("收入", "Income"),
    Group.EMPLOYMENT: Text("就业", "Work"),
    Group.MEDICAL: Text("医疗", "Health costs"),
    Group.DISABILITY: Text("残疾与照护", "Disability and care"),
    Group.EDUCATION: Text("教育", "Education"),
    Group.HOUSING: Text("住房", "Housing"),
    Group.DISASTER: Text("灾害与事故", "Disaster and accident"),
    Group.ASSISTANCE: Text("救助与身份", "Assistance and status"),
    Group.COPING: Text("应对方式", "Coping"),
    Group.HOUSEHOLD: Text("家庭构成", "Household make-up"),
    Group.CONTEXT: Text("背景", "Context"),
}


@dataclass(frozen=True, slots=True)
class Department:
    """Who sends a category of events, as the source is named in the data."""

    category: str
    source: str
    name: Text


@dataclass(frozen=True, slots=True)
class EventKind:
    """One code of the catalogue.

    `bounds` are what a value may be at intake; outside them the row is refused. `lag_days` is the usual time from
    event to report, median and 95th percentile. `sensitivity` holds H health, F financial, I identity or benefit
    status, J judicial, M minor, L location. `is_entry` marks an entry into a supported or monitored status: the
    outcome that the model foresees. `is_scheduled` events may be known before they happen. `is_authorised` events
    exist only with the household's signed authorisation, so their absence says nothing and their presence proves no
    other source; `authorised_months` after it became known the authorisation has run out and the row counts no more.
    A sealed kind (`is_sealed`: courts, prisons, domestic violence) may fire a rule, but its wording is shown only to a
    role that may read it. An event that does not `follow` its person (a death, a departure) stays with the household
    it was filed for.

    `silence` says how a rule reads that nothing was reported. `KNOWN_NONE`: the department reports every case, so
    nothing happened; with `linked_by` only for whom one of those events proves in the last 24 months that the
    department sees them; with `linked_before` that event must be older than the window asked about, because a record of
    pay that begins inside it does not say that there was none before. `UNKNOWN`: silence says nothing.

    `coded_text` names the code list of the event's text, where rules may read it. `is_trace` marks what the work of
    assistance itself leaves behind (a visit, an application): no feature reads it, and it proves no other source.
    """

    code: str
    name: Text
    department: Department
    unit: Unit
    level: Level
    value: str
    lag_days: tuple[int, int]
    bounds: tuple[float, float] | None = None
    sensitivity: str = ""
    is_entry: bool = False
    is_scheduled: bool = False
    is_authorised: bool = False
    follows: bool = True
    is_sealed: bool = False
    authorised_months: int | None = None
    silence: Absent = Absent.KNOWN_NONE
    linked_by: tuple[str, ...] = ()
    linked_before: bool = False
    coded_text: str = ""
    is_trace: bool = False

    @property
    def shows_household(self) -> bool:
        """Whether an event of this kind shows that departments see the household's life: not what happened to its
        whole area, not what was looked up about it once, and not what assistance itself left behind."""
        looked_up = self.is_authorised or self.is_sealed
        return not (looked_up or self.is_trace or self.level is Level.AREA)

    def __post_init__(self) -> None:
        if self.is_authorised != (self.authorised_months is not None):
            raise ValueError(f"event kind {self.code}: an authorised kind, and no other, says when the right ends")
        if self.is_authorised and self.silence is not Absent.UNKNOWN:
            raise ValueError(f"event kind {self.code}: without an authorisation silence says nothing")
        if self.linked_by and self.silence is not Absent.KNOWN_NONE:
            raise ValueError(f"event kind {self.code}: a link matters only where silence can mean none")
        for pattern in self.linked_by:
            checked_pattern(pattern)
        if not is_code(self.code) or not self.code.startswith(self.department.category + "//"):
            raise ValueError(f"event kind {self.code!r} does not belong to category {self.department.category!r}")
        if self.unit is not Unit.NONE and self.bounds is None:
            raise ValueError(f"event kind {self.code} carries a value and needs bounds")


@dataclass(frozen=True, slots=True)
class Feature:
    """One number of the household vector.

    `codes` are the events it reads (`CATEGORY//*` allowed); for `OPEN` and `MONTHS_OPEN` they begin a spell and
    `closed_by` end it. `linked_by` are events that prove the source sees this household: with one of them in the last
    24 months, an empty window means "known none". `of` names the two features of a ratio or difference, `scale`
    multiplies the first. `ages` bounds `MEMBERS_AGED` as [from, to). `residence` is what `RESIDENCE` tests for.
    `none_is` is the number of a known none where it is not zero, as the grade past the mildest one.
    Values beyond `bounds` are held at the bound.
    """

    name: str
    meaning: Text
    group: Group
    measure: Measure
    unit: Unit
    codes: tuple[str, ...] = ()
    window: Window = field(default_factory=ever)
    when_absent: Absent = Absent.UNKNOWN
    linked_by: tuple[str, ...] = ()
    bounds: tuple[float, float] = (0.0, 1e9)
    direction: Direction = Direction.OPEN
    closed_by: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    scale: float = 1.0
    ages: tuple[int, int] | None = None
    residence: str | None = None
    none_is: float | None = None

    def __post_init__(self) -> None:
        for pattern in (*self.codes, *self.closed_by, *self.linked_by):
            checked_pattern(pattern)
        problems = {
            "needs codes": self.measure.is_of_events and not self.codes,
            "needs exactly two features in `of`": self.measure.is_derived and len(self.of) != 2,
            "needs `linked_by`": self.when_absent is not Absent.UNKNOWN and not self.linked_by,
            "needs `ages`": self.measure is Measure.MEMBERS_AGED and self.ages is None,
            "needs `residence`": self.measure is Measure.RESIDENCE and self.residence is None,
            "needs a window for MONTHS_SINCE": self.measure is Measure.MONTHS_SINCE and self.window.months is None,
            "cannot be known none: the measure has no value without an event": self.when_absent is Absent.KNOWN_NONE
            and self.none_is is None
            and self.measure in (Measure.MIN, Measure.MEAN, Measure.LAST, Measure.FIRST),
            "needs `when_absent=KNOWN_NONE` for `none_is`": self.none_is is not None
            and self.when_absent is not Absent.KNOWN_NONE,
            "has bounds the wrong way round": self.bounds[0] >= self.bounds[1],
        }
        wrong = [text for text, is_wrong in problems.items() if is_wrong]
        if wrong:
            raise ValueError(f"feature {self.name!r} {wrong[0]}")

    def as_json(self) -> dict[str, Any]:
        """The definition as plain JSON values."""
        written = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        written["window"] = self.window.months
        return written


def feature_from_json(written: dict[str, Any]) -> Feature:
    """The definition back from `Feature.as_json`.

    >>> f = Feature("stays_12m", Text("住院次数", "hospital stays"), Group.MEDICAL, Measure.COUNT, Unit.COUNT,
    ...             codes=("CLM//INPATIENT",), window=last(months=12))
    >>> feature_from_json(f.as_json()) == f
    True
    """
    return Feature(
        name=written["name"],
        meaning=Text(*written["meaning"]),
        group=Group(written["group"]),
        measure=Measure(written["measure"]),
        unit=Unit(written["unit"]),
        codes=tuple(written["codes"]),
        window=ever() if written["window"] is None else last(months=written["window"]),
        when_absent=Absent(written["when_absent"]),
        linked_by=tuple(written["linked_by"]),
        bounds=(float(written["bounds"][0]), float(written["bounds"][1])),
        direction=Direction(written["direction"]),
        closed_by=tuple(written["closed_by"]),
        of=tuple(written["of"]),
        scale=float(written["scale"]),
        ages=None if written["ages"] is None else (written["ages"][0], written["ages"][1]),
        residence=written["residence"],
        none_is=written["none_is"],
    )


def kind_as_json(kind: EventKind) -> dict[str, Any]:
    """An event kind as plain JSON values."""
    written = {f.name: _plain(getattr(kind, f.name)) for f in dataclasses.fields(kind)}
    department = kind.department
    written["department"] = [department.category, department.source, *department.name]
    return written


def kind_from_json(written: dict[str, Any]) -> EventKind:
    """The event kind back from `kind_as_json`."""
    category, source, zh, en = written["department"]
    bounds = written["bounds"]
    return EventKind(
        code=written["code"],
        name=Text(*written["name"]),
        department=Department(category, source, Text(zh, en)),
        unit=Unit(written["unit"]),
        level=Level(written["level"]),
        value=written["value"],
        lag_days=(written["lag_days"][0], written["lag_days"][1]),
        bounds=None if bounds is None else (float(bounds[0]), float(bounds[1])),
        sensitivity=written["sensitivity"],
        is_entry=written["is_entry"],
        is_scheduled=written["is_scheduled"],
        is_authorised=written["is_authorised"],
        follows=written["follows"],
        is_sealed=written["is_sealed"],
        authorised_months=written["authorised_months"],
        silence=Absent(written["silence"]),
        linked_by=tuple(written["linked_by"]),
        linked_before=written["linked_before"],
        coded_text=written["coded_text"],
        is_trace=written["is_trace"],
    )


def over_windows(stem: str, meaning: Text, months: tuple[int, ...], /, **declared: Any) -> tuple[Feature, ...]:
    """The same feature over several windows; the window ends the name and the meaning.

    >>> [f.name for f in over_windows("stays", Text("住院次数", "hospital stays"), (3, 12), group=Group.MEDICAL,
    ...                               measure=Measure.COUNT, unit=Unit.COUNT, codes=("CLM//INPATIENT",))]
    ['stays_3m', 'stays_12m']
    """
    return tuple(
        Feature(
            name=f"{stem}_{m}m",
            meaning=Text(f"近{m}个月{meaning.zh}", f"{meaning.en}, last {m} months"),
            window=last(months=m),
            **declared,
        )
        for m in months
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return list(value)
    return value
