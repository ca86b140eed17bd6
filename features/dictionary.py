"""The dictionary of events: the catalogue as a page that a department can read."""

from __future__ import annotations

from collections.abc import Iterable

from features.catalogue import Catalogue
from features.definition import Absent, EventKind, Level
from features.unit import Unit

REFRESH = "povrisk catalog events --markdown > docs/reference/events.md"

_UNIT = {
    Unit.MONEY: "money",
    Unit.DAYS: "days (`d`)",
    Unit.MONTHS: "months (`mo`)",
    Unit.YEARS: "years (`a`)",
    Unit.COUNT: "count",
    Unit.SCALE: "scale",
    Unit.SHARE: "share",
}
_LEVEL = {Level.HOUSEHOLD: "household", Level.PERSON: "person", Level.AREA: "area"}
_SENSITIVITY = {
    "H": "health",
    "F": "financial",
    "I": "identity or benefit status",
    "J": "judicial",
    "M": "about a minor",
    "L": "location",
}
_HEAD = ("Code", "中文", "English", "Value and unit", "Recorded for", "Lag", "No row means", "Sensitivity", "Marks")


def dictionary(catalogue: Catalogue) -> str:
    """The page in Markdown: a table for every department, in the order of their sources.

    The text depends on the declarations alone, so a committed page can be compared with it.
    """
    kinds = sorted(catalogue.kinds, key=lambda kind: kind.department.category)
    by_source: dict[str, list[EventKind]] = {}
    for kind in kinds:
        by_source.setdefault(kind.department.source, []).append(kind)
    categories = {kind.department.category for kind in kinds}
    lines = _opening(len(kinds), len(categories), len(by_source))
    for source, sent in sorted(by_source.items(), key=lambda item: item[1][0].department.category):
        lines += ["", f"## Source {source}"]
        for category in dict.fromkeys(kind.department.category for kind in sent):
            lines += ["", *_table([kind for kind in sent if kind.department.category == category])]
    return "\n".join(lines) + "\n"


def _opening(kinds: int, categories: int, sources: int) -> list[str]:
    return f"""# The events

{kinds} kinds of events in {categories} categories, from {sources} sources. This page is written from the declarations
in `features/events`. After a change of them refresh it:

    {REFRESH}

* **Code**: the `code` of a row in `events.parquet`. A code that is not listed here is kept and counted, but never
  scored. A code or source of a kind that `features/banned.py` names is refused.
* **Value and unit**: what `value` holds, and its bounds; a row outside them is refused. Money and times name their
  unit in the row; money is in CNY unless `dataset.json` names another currency. *Text* names the code list of `text`.
* **Recorded for**: whether the row names a person or the household, or comes once for every household of an area.
* **Lag**: usual days from event to report, median and 95th percentile.
* **No row means**: how a rule reads silence. *None*: the department reports every case. *None where linked*: so only
  for whom an event of the kinds named proves, in the last 24 months, that the department sees them; for others it is
  not known. *Not known*: silence says nothing.
* **Marks**: *entry* into a supported or monitored status, which the model foresees; *scheduled*, it may be known
  before it happens; *authorised*, it exists only with the household's signed authorisation and counts for the months
  named; *sealed*, it may fire a rule, but its wording is shown only to a role that may read it; *stays* with the
  household that it was filed for when the person moves.""".split("\n")


def _table(kinds: list[EventKind]) -> list[str]:
    department = kinds[0].department
    return [
        f"### {department.category} {department.name.zh} · {department.name.en}",
        "",
        _row(_HEAD),
        _row("---" for _ in _HEAD),
        *(_row(_cells(kind)) for kind in kinds),
    ]


def _cells(kind: EventKind) -> tuple[str, ...]:
    return (
        f"`{kind.code}`",
        kind.name.zh,
        kind.name.en,
        _value(kind),
        _LEVEL[kind.level],
        f"{kind.lag_days[0]} / {kind.lag_days[1]} d",
        _silence(kind),
        ", ".join(_SENSITIVITY[letter] for letter in kind.sensitivity) or "–",
        ", ".join(_marks(kind)) or "–",
    )


def _value(kind: EventKind) -> str:
    parts = []
    if kind.bounds is not None:
        low, high = (_bound(bound) for bound in kind.bounds)
        parts.append(f"{kind.value}; {_UNIT[kind.unit]}, {low} to {high}")
    if kind.coded_text:
        parts.append(f"text: {kind.coded_text}")
    return "; ".join(parts) or "–"


def _bound(bound: float) -> str:
    # Years and grades read better without a separator.
    return f"{bound:,.12g}" if abs(bound) >= 10_000 else f"{bound:.12g}"


def _silence(kind: EventKind) -> str:
    if kind.silence is Absent.UNKNOWN:
        return "not known"
    if kind.linked_by:
        return "none where linked by " + ", ".join(f"`{pattern}`" for pattern in kind.linked_by)
    return "none"


def _marks(kind: EventKind) -> list[str]:
    return [
        *["entry"] * kind.is_entry,
        *["scheduled"] * kind.is_scheduled,
        *[f"authorised, {kind.authorised_months} months"] * kind.is_authorised,
        *["sealed"] * kind.is_sealed,
        *["stays"] * (not kind.follows),
    ]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
