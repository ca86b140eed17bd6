"""What is different from the last assessment: the number split into four parts that add up, and the events behind them.

The order is fixed, each step changes one thing, and the last step is the new number:

    the stored number  ->  the model in use, old rows, old moment    model_changed
                       ->  the same rows at the new moment           time_passing
                       ->  with what concerns the time before        data_repaired
                       ->  all rows                                  new_events

The model comes first, so no former model has to be kept (ADR-0019).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.definition import EventKind, Text
from features.encoding import micros
from features.history import History, Visible, history_of, visible
from features.matrix import matrix_of
from features.tables import Tables
from features.window import NEVER, Micros, is_known, is_not_before, parsed, to_micros, written
from models.assistance_chain import SEALED
from models.bundle import Bundle
from models.data_quality import DataQuality
from models.handling import PLAIN, Handling
from models.record_frame import per_100
from models.scores import Scores

PARTS = ("model_changed", "time_passing", "data_repaired", "new_events")
MOST_EVENTS = 5
SEALED_NAME = "sealed"
_CONTENT = ("person_id", "code", "occurred_at", "value", "text")
_PART_TEXTS = {
    "model_changed": Text("模型更新", "the new model"),
    "time_passing": Text("时间推移", "time passing"),
    "data_repaired": Text("更正或补报的记录", "records put right or reported late"),
    "new_events": Text("新情况", "new events"),
}
_SAME = Text("与上次基本相同。", "About the same as last time.")
_PLAIN, _CORRECTED = Text("", ""), Text("（已更正）", " (corrected)")
_GONE = Text("（不再计入）", " (no longer counted)")
Rows = dict[str, dict[str, Any]]
Mask = npt.NDArray[np.bool_]


def change(
    bundle: Bundle,
    before: Tables | None,
    now: Tables,
    household_id: str,
    previous: Mapping[str, Any],
    current: Mapping[str, Any],
    handling: Handling = PLAIN,
) -> dict[str, Any]:
    """What is different about one household, in the shape of `serving.messages.Change`.

    `before` are the rows that the `previous` assessment was made from, `now` those of the `current` record, which
    `bundle` made. `previous` holds assessment_id, as_of (microseconds), status, tier, probability, and if they are
    known interval and bundle_sha256. All parts are in points of 100 households and add up to `per_100`. There is no
    split without a probability at each of the steps, nor where the same model does not come to the stored number
    again, because then the rows are not those it was made from. With `before` None, which nobody kept, the two numbers
    are told and nothing else.
    """
    then, at = int(previous["as_of"]), parsed(str(current["as_of"]), bundle.time_zone)
    was, is_now = previous["probability"], current["probability"]
    split, new, mended = None, list[dict[str, Any]](), list[dict[str, Any]]()
    if before is not None:
        of, known = _Asked(bundle, household_id, handling), _known(before, then)
        aged, repaired, latest = of.at(known, at), of.at(_about_then(now, known, then), at), of.at(now, at)
        new, mended = _events(aged, repaired, latest)
        if was is not None and is_now is not None:
            again = of.at(before, then).probability
            is_same_model = previous.get("bundle_sha256") == bundle.sha256
            if not is_same_model or again == was:
                split = _split([was, again, aged.probability, repaired.probability, is_now])
    steady = _is_steady(previous, current)
    told_before = None if was is None else per_100(was)
    told_now = None if is_now is None else per_100(is_now)
    return {
        "previous": {
            "assessment_id": previous["assessment_id"],
            "as_of": written(then, bundle.time_zone),
            "status": previous["status"],
            "tier": previous["tier"],
            "per_100": told_before,
        },
        "per_100": None if was is None or is_now is None else 100.0 * (is_now - was),
        "split": split,
        "steady": steady,
        "text": _text(told_before, told_now, split, steady, spoken=handling.speaks_numbers)._asdict(),
        "new_events": new[:MOST_EVENTS],
        "n_new_events": len(new),
        "repaired_events": mended[:MOST_EVENTS],
        "n_repaired_events": len(mended),
    }


def shown(split: Mapping[str, float], whole: int | None = None) -> dict[str, int]:
    """The parts as whole numbers that add up to `whole`, by largest remainder; the rounded sum if it is not given.

    A part that is nothing stays nothing.

    >>> shown({"model_changed": 0.0, "time_passing": 1.4, "data_repaired": 1.4, "new_events": 15.4})
    {'model_changed': 0, 'time_passing': 2, 'data_repaired': 1, 'new_events': 15}
    """
    # A part that is two up to rounding errors is two.
    parts = {name: round(float(split[name]), 9) for name in PARTS}
    told = {name: math.floor(part) for name, part in parts.items()}
    moved = [name for name in PARTS if parts[name]]
    lacking = (round(sum(parts.values())) if whole is None else whole) - sum(told.values())
    for _ in range(abs(lacking) if moved else 0):
        sign = 1 if lacking > 0 else -1
        told[max(moved, key=lambda name: round(sign * (parts[name] - told[name]), 9))] += sign
    return told


# -- the steps


@dataclass(frozen=True)
class _Asked:
    """Whose probability, and by which model."""

    bundle: Bundle
    household_id: str
    handling: Handling

    def at(self, tables: Tables, as_of: Micros) -> _Step:
        history = history_of(tables, self.bundle.catalogue, time_zone=self.bundle.time_zone)
        return _Step(self, tables, history, visible(history, as_of))


@dataclass(frozen=True)
class _Step:
    """The household with some rows at one moment."""

    asked: _Asked
    tables: Tables
    history: History
    seen: Visible

    @property
    def household(self) -> int:
        """Its position in the history."""
        return self.history.index[self.asked.household_id]

    @cached_property
    def probability(self) -> float | None:
        """What the model says, None where it says nothing."""
        vectors = matrix_of(self.history, self.seen)
        quality = DataQuality(self.asked.bundle, vectors.unknown)
        scores = Scores(self.asked.bundle, self.history, self.seen, vectors, self.asked.handling, quality)
        return scores.probability(self.household)

    @cached_property
    def events(self) -> Rows:
        """Rows of the events that are visible, by their id."""
        rows = self.history.row[self.seen.of(self.household)]
        return {row["event_id"]: row for row in self.tables.events.take(pa.array(rows)).to_pylist()}


def _split(scores: list[float | None]) -> dict[str, float] | None:
    """What each step added, in points of 100 households; None where one of them has no number."""
    known = [score for score in scores if score is not None]
    if len(known) < len(scores):
        return None
    return {name: 100.0 * (b - a) for name, a, b in zip(PARTS, known, known[1:], strict=False)}


def _is_steady(previous: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    """Whether each probability lies within the other's interval."""
    pairs = ((previous, current), (current, previous))
    if any(a["probability"] is None or b.get("interval") is None for a, b in pairs):
        return False
    return all(b["interval"][0] <= a["probability"] <= b["interval"][1] for a, b in pairs)


# -- which rows


def _known(tables: Tables, as_of: Micros) -> Tables:
    """The rows that were known by then."""
    events, members = tables.events, tables.members
    return Tables(
        events.filter(pa.array(is_known(micros(events["known_at"]), np.int64(NEVER), as_of))),
        members.filter(pa.array(is_known(micros(members["known_at"]), np.int64(NEVER), as_of))),
        tables.households,
    )


def _about_then(tables: Tables, known: Tables, then: Micros) -> Tables:
    """The rows that concern what had happened before `then`, or replace a row `known` by then, whenever they came."""
    ids = list(zip(*(tables.events[name].to_pylist() for name in ("household_id", "event_id")), strict=True))
    targets = list(zip(*(tables.events[name].to_pylist() for name in ("household_id", "supersedes")), strict=True))
    old = set(zip(*(known.events[name].to_pylist() for name in ("household_id", "event_id")), strict=True))
    is_before = _is_before(micros(tables.events["occurred_at"]), then)
    old |= {ids[k] for k in np.flatnonzero(is_before)}
    size = -1
    while size != len(old):
        size = len(old)
        old |= {name for name, target in zip(ids, targets, strict=True) if target in old}
    is_old = np.array([name in old for name in ids], np.bool_)
    return Tables(tables.events.filter(pa.array(is_old)), _members_then(tables, known, then), tables.households)


def _members_then(tables: Tables, known: Tables, then: Micros) -> pa.Table:
    """Who had joined before `then`, without what is known by now of their leaving after it."""
    members = tables.members
    left = micros(members["left_at"])
    kept = np.isin(_spells(members), _spells(known.members))
    is_before = _is_before(micros(members["joined_at"]), then)
    ends = np.where(kept | _is_before(left, then), left, NEVER)
    place = members.schema.get_field_index("left_at")
    gone = pa.array(ends, pa.int64(), mask=ends == NEVER).cast(members.schema.field(place).type)
    told = members.set_column(place, members.schema.field(place), gone)
    return told.filter(pa.array(is_before | kept))


def _spells(members: pa.Table) -> npt.NDArray[np.object_]:
    """Each row's household, person and times, to be compared as one."""
    names = ("household_id", "person_id")
    times = (micros(members[name]).tolist() for name in ("joined_at", "left_at"))
    spells = zip(*(members[name].to_pylist() for name in names), *times, strict=True)
    return np.array([repr(spell) for spell in spells], object).astype(str)


def _is_before(moments: npt.NDArray[np.int64], then: Micros) -> Mask:
    return ~is_not_before(moments, then)


# -- which events


def _events(aged: _Step, repaired: _Step, latest: _Step) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is new, and what was missing or wrong, each newest first.

    What the work of assistance leaves behind, as a visit, is new whatever day it is of: it puts nothing right.
    """
    kinds = latest.asked.bundle.catalogue.by_code
    came = _unlike(latest.events, aged.events)
    late = _unlike(repaired.events, aged.events)
    mended = {name for name in late if not kinds[repaired.events[name]["code"]].is_trace}
    replaced = _replaced_by(latest.tables, mended)
    gone = {name for name in aged.events if name not in repaired.events and name not in replaced}
    found = [(latest.events[name], _PLAIN) for name in came - mended]
    put_right = [(repaired.events[name], _correction(repaired.events[name], aged.events)) for name in mended]
    put_right += [(aged.events[name], _GONE) for name in gone if not kinds[aged.events[name]["code"]].is_trace]
    return _told(found, latest), _told(put_right, latest)


def _unlike(rows: Rows, others: Rows) -> set[str]:
    """The events that are not among the others, or say something else there."""
    return {name for name, row in rows.items() if name not in others or _content(row) != _content(others[name])}


def _content(row: Mapping[str, Any]) -> list[str]:
    return [repr(row[name]) for name in _CONTENT]


def _correction(row: Mapping[str, Any], earlier: Rows) -> Text:
    return _CORRECTED if row["supersedes"] is not None or row["event_id"] in earlier else _PLAIN


def _replaced_by(tables: Tables, names: Collection[str]) -> set[str]:
    """What these rows replace, and what that replaced before."""
    target = dict(zip(*(tables.events[name].to_pylist() for name in ("event_id", "supersedes")), strict=True))
    found: set[str] = set()
    for name in names:
        replaced = target.get(name)
        while replaced is not None and replaced not in found:
            # Whatever else replaced the same row stands for the same event.
            found |= {replaced, *(each for each, of in target.items() if of == replaced)}
            replaced = target.get(replaced)
    return found


def _told(rows: list[tuple[dict[str, Any], Text]], step: _Step) -> list[dict[str, Any]]:
    """The events as a person reads them, newest first."""
    rows = sorted(rows, key=lambda entry: (entry[0]["occurred_at"], entry[0]["known_at"], entry[0]["event_id"]))
    kinds, zone = step.asked.bundle.catalogue.by_code, step.asked.bundle.time_zone
    may_read_sealed = step.asked.handling.may_read_sealed
    return [_cited(row, kinds[row["code"]], note, zone, may_read_sealed) for row, note in reversed(rows)]


def _cited(row: Mapping[str, Any], kind: EventKind, note: Text, zone: str, may_read_sealed: bool) -> dict[str, Any]:
    is_hidden = kind.is_sealed and not may_read_sealed
    name = SEALED if is_hidden else kind.name
    told = {field: SEALED_NAME if is_hidden else str(row[field]) for field in ("event_id", "code", "source")}
    moments = {field: written(to_micros(row[field]), zone) for field in ("occurred_at", "known_at")}
    return {**told, **moments, "text": {"zh": f"{name.zh}{note.zh}", "en": f"{name.en}{note.en}"}}


# -- in words


def _text(
    before: float | None, now: float | None, split: Mapping[str, float] | None, steady: bool, *, spoken: bool
) -> Text:
    """One or two sentences; without numbers where they are not to be spoken."""
    if before is None or now is None:
        return _without_number(before, now, spoken)
    if steady or before == now:
        return _SAME
    is_up = now > before
    zh, en = ("比上次上升", "Higher than last time") if is_up else ("比上次下降", "Lower than last time")
    if spoken:
        (was_zh, was_en), (now_zh, now_en) = _about(before), _about(now)
        zh += f"：每100户{now_zh}，上次{was_zh}"
        en += f": {now_en} of 100 households, last time {was_en}"
    main = None if split is None else max(PARTS, key=lambda name: split[name] if is_up else -split[name])
    if main is None:
        return Text(f"{zh}。", f"{en}.")
    part = _PART_TEXTS[main]
    return Text(f"{zh}。主要与{part.zh}有关。", f"{en}. It goes mainly with {part.en}.")


def _without_number(before: float | None, now: float | None, spoken: bool) -> Text:
    """What is said where one of the two has no number."""
    if before is None and now is None:
        return Text("上次和这次都没有分数。", "No score last time, and none this time.")
    told = before if now is None else now
    assert told is not None
    zh, en = _about(told) if spoken else ("有分数", "there is one")
    of_zh, of_en = ("每100户", " of 100 households") if spoken else ("", "")
    if before is None:
        return Text(f"上次没有分数，这次{of_zh}{zh}。", f"No score last time; now {en}{of_en}.")
    last_en = f"{en}{of_en}" if spoken else "there was one"
    return Text(f"这次没有分数，上次{of_zh}{zh}。", f"No score this time; last time {last_en}.")


def _about(per_100: float) -> tuple[str, str]:
    return ("不到1户", "fewer than 1") if per_100 < 1 else (f"约{per_100:.0f}户", f"about {per_100:.0f}")
