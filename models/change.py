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
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.definition import Text
from features.tables import Tables
from features.window import parsed, written
from models.assistance_chain import SEALED
from models.bundle import Bundle
from models.change_steps import Event, Moments, Steps
from models.handling import PLAIN, Handling
from models.record_frame import per_100

PARTS = ("model_changed", "time_passing", "data_repaired", "new_events")
MOST_EVENTS = 5
SEALED_NAME = "sealed"
_PART_TEXTS = {
    "model_changed": Text("模型更新", "the new model"),
    "time_passing": Text("时间推移", "time passing"),
    "data_repaired": Text("更正或补报的记录", "records put right or reported late"),
    "new_events": Text("新情况", "new events"),
}
_SAME = Text("与上次基本相同。", "About the same as last time.")
_PLAIN, _CORRECTED = Text("", ""), Text("（已更正）", " (corrected)")
_GONE = Text("（不再计入）", " (no longer counted)")


@dataclass(frozen=True)
class Compared:
    """One household of `changes`: its last assessment and its present one.

    `previous` holds assessment_id, as_of (microseconds), status, tier, probability, and if they are known interval and
    bundle_sha256. `current` is the whole record. `may_read_sealed`: the reader's role may see sealed wording.
    """

    household_id: str
    previous: Mapping[str, Any]
    current: Mapping[str, Any]
    may_read_sealed: bool = False


def change(
    bundle: Bundle,
    before: Tables | None,
    now: Tables,
    household_id: str,
    previous: Mapping[str, Any],
    current: Mapping[str, Any],
    handling: Handling = PLAIN,
) -> dict[str, Any]:
    """`changes` of one household."""
    compared = Compared(household_id, previous, current, handling.may_read_sealed)
    return changes(bundle, before, now, [compared], handling)[0]


def changes(
    bundle: Bundle, before: Tables | None, now: Tables, compared: Sequence[Compared], handling: Handling = PLAIN
) -> list[dict[str, Any]]:
    """What is different about some households, each in the shape of `serving.messages.Change`.

    `before` are the rows that the previous assessments were made from, `now` those of the current ones, which `bundle`
    made. All parts are in points of 100 households and add up to `per_100`. There is no split without a probability at
    each of the steps, nor where the same model does not come to the stored number again, because then the rows are not
    those it was made from. Of a household that is not in `before`, because nobody kept its rows, the two numbers are
    told and nothing else.
    """
    kept = set() if before is None else set(before.households["household_id"].to_pylist())
    moments = {
        each.household_id: Moments(int(each.previous["as_of"]), parsed(str(each.current["as_of"]), bundle.time_zone))
        for each in compared
        if each.household_id in kept
    }
    steps = Steps(bundle, handling, now if before is None else before, now, moments)
    return [_change(steps, each, handling) for each in compared]


def _change(steps: Steps, compared: Compared, handling: Handling) -> dict[str, Any]:
    name, previous, current = compared.household_id, compared.previous, compared.current
    was, is_now = previous["probability"], current["probability"]
    split, new, mended = None, list[dict[str, Any]](), list[dict[str, Any]]()
    if name in steps.moments:
        new, mended = _events(steps, name, compared.may_read_sealed)
        if was is not None and is_now is not None:
            again = steps.probability("again", name)
            is_same_model = previous.get("bundle_sha256") == steps.bundle.sha256
            if not is_same_model or again == was:
                aged, repaired = steps.probability("aged", name), steps.probability("repaired", name)
                split = _split([was, again, aged, repaired, is_now])
    steady = _is_steady(previous, current)
    told_before = None if was is None else per_100(was)
    told_now = None if is_now is None else per_100(is_now)
    return {
        "previous": {
            "assessment_id": previous["assessment_id"],
            "as_of": written(int(previous["as_of"]), steps.bundle.time_zone),
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


# -- the numbers


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


# -- which events


def _events(steps: Steps, name: str, may_read_sealed: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is new, and what was missing or wrong, each newest first.

    What the work of assistance leaves behind, as a visit, is new whatever day it is of: it puts nothing right.
    """
    kinds = steps.bundle.catalogue.by_code
    aged, repaired, latest = (steps.events(step, name) for step in ("aged", "repaired", "latest"))
    came = _unlike(latest, aged)
    mended = {event for event in _unlike(repaired, aged) if not kinds[repaired[event].code].is_trace}
    replaced = _replaced_by(steps, name, mended)
    gone = {event for event in aged if event not in repaired and event not in replaced}
    found = [(latest[event], _PLAIN) for event in came - mended]
    put_right = [(repaired[event], _correction(repaired[event], aged)) for event in mended]
    put_right += [(aged[event], _GONE) for event in gone if not kinds[aged[event].code].is_trace]
    return _told(found, steps.bundle, may_read_sealed), _told(put_right, steps.bundle, may_read_sealed)


def _unlike(events: Mapping[str, Event], others: Mapping[str, Event]) -> set[str]:
    """The events that are not among the others, or say something else there."""
    return {name for name, event in events.items() if name not in others or event.content != others[name].content}


def _correction(event: Event, earlier: Mapping[str, Event]) -> Text:
    return _CORRECTED if event.supersedes is not None or event.event_id in earlier else _PLAIN


def _replaced_by(steps: Steps, name: str, events: Collection[str]) -> set[str]:
    """What these rows replace, and what that replaced before."""
    found: set[str] = set()
    target = steps.replaces(name) if events else {}
    for event in events:
        replaced = target.get(event)
        while replaced is not None and replaced not in found:
            # Whatever else replaced the same row stands for the same event.
            found |= {replaced, *(each for each, of in target.items() if of == replaced)}
            replaced = target.get(replaced)
    return found


def _told(events: list[tuple[Event, Text]], bundle: Bundle, may_read_sealed: bool) -> list[dict[str, Any]]:
    """The events as a person reads them, newest first."""
    events = sorted(events, key=lambda entry: (entry[0].occurred, entry[0].known, entry[0].event_id), reverse=True)
    return [_cited(event, note, bundle, may_read_sealed) for event, note in events]


def _cited(event: Event, note: Text, bundle: Bundle, may_read_sealed: bool) -> dict[str, Any]:
    kind, zone = bundle.catalogue.by_code[event.code], bundle.time_zone
    is_hidden = kind.is_sealed and not may_read_sealed
    name = SEALED if is_hidden else kind.name
    told = {"event_id": event.event_id, "code": event.code, "source": event.source}
    return {
        **(dict.fromkeys(told, SEALED_NAME) if is_hidden else told),
        "occurred_at": written(event.occurred, zone),
        "known_at": written(event.known, zone),
        "text": {"zh": f"{name.zh}{note.zh}", "en": f"{name.en}{note.en}"},
    }


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
