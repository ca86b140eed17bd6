"""A household assessed again after a visit, and what is different from the last time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from pydantic import ValidationError

from features.window import Micros, day_of, is_after, parsed, written
from models.change import Compared, changes
from serving.cases import MICROS, Cases, read_all
from serving.codec import AnyHousehold, read_if_plain
from serving.errors import Invalid, Refusal
from serving.messages import Household
from serving.reading import field_error
from serving.redaction import places
from serving.scoring import Scorer
from serving.settings import Settings
from serving.visit_events import Event, fitting, merged

logger = logging.getLogger("povrisk.serving")
FAULT = "1 change could not be worked out\n%s"


def rescore(
    scorer: Scorer,
    settings: Settings,
    inputs: Mapping[str, Any],
    visit_events: Sequence[Event],
    previous: Any,
    now: Micros,
    *,
    may_read_sealed: bool = False,
) -> dict[str, Any]:
    """The assessment at `now` of a household as it was sent, with what its visits added, and what is different.

    `inputs` is one household of `POST /score` without visit events, `previous` the assessment before, as a record or as
    a row of the store (None: there is none). Raises `Invalid` where the household can no longer be read.
    """
    household = _household(
        {
            **with_visits(scorer, inputs, visit_events, now),
            "as_of": written(now, scorer.bundle.time_zone),
            "previous": _last_run(previous, scorer.bundle.time_zone, now),
        }
    )
    record = scorer.score([household], now, may_read_sealed=may_read_sealed)[0]
    if previous is None:
        return record
    item = Item(household, record, previous, inputs, visit_events, may_read_sealed)
    return _with_changes(scorer, settings, [item], now)[0]


def with_visits(
    scorer: Scorer, inputs: Mapping[str, Any], visit_events: Sequence[Event], now: Micros
) -> dict[str, Any]:
    """The household with what visits added, as far as it fits the model's catalogue and the clock."""
    if not visit_events:
        return dict(inputs)
    bundle = scorer.bundle
    latest = now + scorer.settings.clock_skew_s * MICROS
    fit = fitting(visit_events, bundle.catalogue, currency=bundle.currency, time_zone=bundle.time_zone, latest=latest)
    return merged(inputs, fit, bundle.time_zone)


@dataclass(frozen=True)
class Item:
    """A household that was answered, and what is known of the last time.

    `household` is the message that the `answer` was given to, `previous` the assessment before (a record, or a row of
    the store). `previous_inputs` is the household as it was sent the last time, `visit_events` all that visits added to
    it: those known by then are taken.
    """

    household: AnyHousehold
    answer: dict[str, Any]
    previous: Any
    previous_inputs: Mapping[str, Any] | None = None
    visit_events: Sequence[Event] = ()
    may_read_sealed: bool = False


def with_changes(scorer: Scorer, items: Sequence[Item], *, now: Micros) -> list[dict[str, Any]]:
    """The answers with what is different from the assessments before, worked out together.

    Without inputs, or with some that can no longer be read, the numbers are told without a split. An assessment that
    is not earlier has nothing to compare. What is different is said beside the assessment and must not cost it: where
    it cannot be worked out, the answer stays as it was, and no other household's does.
    """
    return _with_changes(scorer, scorer.settings, items, now)


def with_change(
    scorer: Scorer,
    household: AnyHousehold,
    answer: dict[str, Any],
    previous: Any,
    previous_inputs: Mapping[str, Any] | None,
    visit_events: Sequence[Event] = (),
    *,
    now: Micros,
    may_read_sealed: bool = False,
) -> dict[str, Any]:
    """`with_changes` of one household."""
    item = Item(household, answer, previous, previous_inputs, visit_events, may_read_sealed)
    return with_changes(scorer, [item], now=now)[0]


def _with_changes(scorer: Scorer, settings: Settings, items: Sequence[Item], now: Micros) -> list[dict[str, Any]]:
    before = [_earlier(item, scorer.bundle.time_zone) for item in items]
    later = [place for place, each in enumerate(before) if each is not None]
    told = [(items[place], each) for place, each in enumerate(before) if each is not None]
    changed = dict(zip(later, _changes(scorer, settings, told, now), strict=True))
    return [
        item.answer if changed.get(place) is None else {**item.answer, "change": changed[place]}
        for place, item in enumerate(items)
    ]


def _earlier(item: Item, zone: str) -> dict[str, Any] | None:
    """What `models.change` needs of the assessment before, None where there is nothing to compare."""
    try:
        told = _before(item.previous, zone)
        is_earlier = _is_earlier(told["as_of"], parsed(item.answer["as_of"], zone))
        return told if is_earlier and item.answer["status"] != "error" else None
    except Exception as error:
        logger.error(FAULT, places(error))
        return None


Told = tuple[Item, dict[str, Any]]


def _changes(scorer: Scorer, settings: Settings, told: Sequence[Told], now: Micros) -> list[dict[str, Any] | None]:
    """The changes of all, or, where that fails, of each half by itself; None for one that fails alone."""
    if not told:
        return []
    try:
        return list(_changes_together(scorer, settings, told, now))
    except Exception as error:
        if len(told) == 1:
            logger.error(FAULT, places(error))
            return [None]
    middle = len(told) // 2
    return [
        *_changes(scorer, settings, told[:middle], now),
        *_changes(scorer, settings, told[middle:], now),
    ]


def _changes_together(
    scorer: Scorer, settings: Settings, told: Sequence[Told], now: Micros
) -> Sequence[dict[str, Any]]:
    """The changes of all. Raises where one household as it is now cannot be read."""
    before = [_household_before(scorer, settings, item, now) for item, _ in told]
    readable = [place for place, household in enumerate(before) if household is not None]
    refusals, cases = _read(scorer, settings, [before[place] for place in readable], now)
    sound = [place for place, refusal in zip(readable, refusals, strict=True) if refusal is None]
    latest_refusals, latest = _read(scorer, settings, [told[place][0].household for place in sound], now)
    for refusal in latest_refusals:
        if refusal is not None:
            raise refusal
    # Households and persons are named by their place among those read, so the same ones have the same names.
    names = dict(zip(sound, latest.names, strict=True))
    compared = [
        Compared(names.get(place, f"unread {place}"), before_, item.answer, item.may_read_sealed)
        for place, (item, before_) in enumerate(told)
    ]
    return changes(scorer.bundle, cases.tables, latest.tables, compared, scorer.handling)


def _read(
    scorer: Scorer, settings: Settings, households: Sequence[AnyHousehold | None], now: Micros
) -> tuple[list[Invalid | None], Cases]:
    return read_all([[each] for each in households if each is not None], scorer.frame, settings, now)


def _household_before(scorer: Scorer, settings: Settings, item: Item, now: Micros) -> AnyHousehold | None:
    """The household of the last time, None where it was not kept or can no longer be read."""
    if item.previous_inputs is None:
        return None
    message = {**with_visits(scorer, item.previous_inputs, item.visit_events, now), "previous": None}
    read = read_if_plain(msgspec.json.encode({"households": [message]}), settings)
    if read is not None:
        return read[0]
    try:
        return _household(message)
    except Refusal:
        return None


def _household(message: Mapping[str, Any]) -> Household:
    try:
        return Household.model_validate(message)
    except ValidationError as error:
        listed = error.errors(include_url=False, include_input=False)
        raise Invalid.because([field_error(each) for each in listed]) from None


def _before(previous: Any, zone: str) -> dict[str, Any]:
    """What `models.change` needs of an assessment, from its record or from its row."""
    as_of = _of(previous, "as_of")
    model = _of(previous, "model")
    return {
        **{name: _of(previous, name) for name in ("assessment_id", "status", "tier", "tier_computed", "probability")},
        "as_of": parsed(as_of, zone) if isinstance(as_of, str) else int(as_of),
        "interval": _of(previous, "interval"),
        "bundle_sha256": _of(previous, "bundle_sha256") if model is None else model["bundle_sha256"],
    }


def _last_run(previous: Any, zone: str, now: Micros) -> dict[str, Any] | None:
    """What holds a tier up for one run: the assessment before, unless it is not earlier. A visit of the day that it
    judges came after it, so it stands at the beginning of that day."""
    if previous is None:
        return None
    told = _before(previous, zone)
    if not _is_earlier(told["as_of"], now):
        return None
    morning = parsed(day_of(told["as_of"], zone).isoformat(), zone)
    return {"as_of": written(morning, zone), "tier": told["tier"], "tier_computed": told["tier_computed"]}


def _is_earlier(as_of: Micros, now: Micros) -> bool:
    return bool(is_after(np.array([now]), as_of)[0])


def _of(previous: Any, name: str) -> Any:
    return previous.get(name) if isinstance(previous, Mapping) else getattr(previous, name, None)
