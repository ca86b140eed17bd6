"""From the bytes of a body to a checked message, or to a refusal that names fields and repeats no value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from serving.document import read_document, safe_name
from serving.errors import MAX_ERRORS, FieldError, Invalid
from serving.messages import Batch, Event, Household
from serving.settings import Settings

M = TypeVar("M", bound=Batch)


def read_batch(body: bytes, settings: Settings, kind: type[M]) -> M:
    """The message in a body, or a refusal (`Malformed`, `Invalid`) that names fields and repeats no value."""
    document = read_document(body)
    refuse_too_many(document, settings)
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise Invalid.because(list(islice(_every_error(document), MAX_ERRORS)) or _errors(error)) from None


def _every_error(document: Any) -> Iterator[FieldError]:
    """Every error of the document, one message at a time.

    The check of a whole body stops at the first wrong household or event, because a hostile body can hold hundreds of
    thousands of errors; here the caller takes as many as fit into a reply.
    """
    if not isinstance(document, dict) or not isinstance(document.get("households"), list):
        return
    yield from _errors_of(Batch, {**document, "households": document["households"][:0]}, (), besides=("households",))
    for i, household in enumerate(document["households"]):
        events = household.get("events") if isinstance(household, dict) else None
        if not isinstance(events, list):
            yield from _errors_of(Household, household, ("households", i))
            continue
        yield from _errors_of(Household, {**household, "events": []}, ("households", i))
        for k, event in enumerate(events):
            yield from _errors_of(Event, event, ("households", i, "events", k))


def _errors_of(
    kind: type[BaseModel], message: Any, at: tuple[str | int, ...], besides: tuple[str, ...] = ()
) -> Iterator[FieldError]:
    try:
        kind.model_validate(message)
    except ValidationError as error:
        for found in _errors(error):
            if found.path != besides:
                yield FieldError((*at, *found.path), found.reason)


def _errors(error: ValidationError) -> list[FieldError]:
    return [field_error(each) for each in error.errors(include_url=False, include_input=False)]


def refuse_too_many(document: Any, settings: Settings) -> None:
    """Count households and events before anything is built from them."""
    households = document.get("households") if isinstance(document, dict) else None
    if not isinstance(households, list):
        return
    if len(households) > settings.max_households:
        reason = f"a call has at most {settings.max_households} households"
        raise Invalid(reason, [FieldError(("households",), reason)])
    lists = [h.get("events") for h in households if isinstance(h, dict)]
    if sum(len(events) for events in lists if isinstance(events, list)) > settings.max_events:
        reason = f"a call has at most {settings.max_events} events"
        raise Invalid(reason, [FieldError(("households",), reason)])


_REASONS: dict[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is no field of this message",
    "string_type": "must be a text",
    "string_unicode": "is not valid text",
    "string_too_short": "is empty",
    "float_type": "must be a number, not in quotes, with at most 300 digits",
    "finite_number": "must be a finite number",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "too_short": "needs at least one entry",
}


def field_error(error: Mapping[str, Any]) -> FieldError:
    """One error of the message check in our words.

    >>> field_error({"type": "literal_error", "loc": ("sex",), "ctx": {"expected": "'F' or 'M'"}, "msg": ""})
    FieldError(path=('sex',), reason="must be 'F' or 'M'")
    """
    kind, context = str(error["type"]), error.get("ctx", {})
    path = _path(error["loc"])
    if kind == "literal_error":
        return FieldError(path, f"must be {context['expected']}")
    if kind == "string_too_long":
        return FieldError(path, f"has more than {context['max_length']} characters")
    if kind == "too_long":
        return FieldError(path, f"has more than {context['max_length']} entries")
    if kind == "string_pattern_mismatch":
        is_id = bool(path) and str(path[-1]) in ("household_id", "person_id", "event_id", "supersedes")
        wanted = "must not hold control characters" if is_id else _pattern_reason(path)
        return FieldError(path, wanted)
    return FieldError(path, _REASONS.get(kind, "is not of the declared type"))


def _pattern_reason(path: Sequence[str | int]) -> str:
    if path and path[-1] == "birth_date":
        return "must be a date, YYYY-MM-DD, from 1900 on"
    return "must be a date, YYYY-MM-DD, or a time in ISO 8601, from 1900 on"


def _path(location: Sequence[str | int]) -> tuple[str | int, ...]:
    return tuple(part if isinstance(part, int) else safe_name(part) for part in location)
