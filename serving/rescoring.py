"""A household assessed again after a visit, and what is different from the last time."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from features.tables import Tables
from features.window import Micros, day_of, is_after, parsed, written
from models.change import change
from serving.cases import MICROS, read_cases
from serving.clock import now as clock_now
from serving.errors import Invalid, Refusal
from serving.messages import Household
from serving.reading import field_error
from serving.redaction import places
from serving.scoring import Scorer
from serving.settings import Settings
from serving.visit_events import Event, fitting, merged

logger = logging.getLogger("povrisk.serving")


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
    return with_change(
        scorer,
        household,
        record,
        previous,
        inputs,
        visit_events,
        settings=settings,
        now=now,
        may_read_sealed=may_read_sealed,
    )


def with_visits(
    scorer: Scorer, inputs: Mapping[str, Any], visit_events: Sequence[Event], now: Micros
) -> dict[str, Any]:
    """The household with what visits added, as far as it fits the model's catalogue and the clock."""
    bundle = scorer.bundle
    latest = now + scorer.settings.clock_skew_s * MICROS
    fit = fitting(visit_events, bundle.catalogue, currency=bundle.currency, time_zone=bundle.time_zone, latest=latest)
    return merged(inputs, fit, bundle.time_zone)


def with_change(
    scorer: Scorer,
    household: Household,
    answer: dict[str, Any],
    previous: Any,
    previous_inputs: Mapping[str, Any] | None,
    visit_events: Sequence[Event] = (),
    *,
    settings: Settings | None = None,
    now: Micros | None = None,
    may_read_sealed: bool = False,
) -> dict[str, Any]:
    """The answer with what is different from the `previous` assessment (a record, or a row of the store).

    `household` is the message that was answered. `previous_inputs` is the household as it was sent the last time,
    `visit_events` all that visits added to it: those known by then are taken. Without inputs, or with some that can no
    longer be read, the numbers are told without a split. An assessment that is not earlier has nothing to compare.
    """
    settings = scorer.settings if settings is None else settings
    now = clock_now(settings) if now is None else now
    zone = scorer.bundle.time_zone
    told = _before(previous, zone)
    if not _is_earlier(told["as_of"], parsed(answer["as_of"], zone)) or answer["status"] == "error":
        return answer
    handling = dataclasses.replace(scorer.handling, may_read_sealed=may_read_sealed)
    try:
        latest = _tables(scorer, household, settings, now)
        before = None
        if previous_inputs is not None:
            before = _tables_before(scorer, with_visits(scorer, previous_inputs, visit_events, now), settings, now)
        found = change(scorer.bundle, before, latest, household.household_id, told, answer, handling)
    except Exception as error:
        # What is different is said beside the assessment; it must not cost the assessment.
        logger.error("1 change could not be worked out\n%s", places(error))
        return answer
    return {**answer, "change": found}


def _tables(scorer: Scorer, household: Household, settings: Settings, now: Micros) -> Tables:
    return read_cases([household], scorer.frame, settings, now).tables


def _tables_before(scorer: Scorer, inputs: Mapping[str, Any], settings: Settings, now: Micros) -> Tables | None:
    """The rows of the last time, None where they can no longer be read."""
    try:
        return _tables(scorer, _household({**inputs, "previous": None}), settings, now)
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
