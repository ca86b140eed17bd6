"""From the bytes of a body to a checked message, or to a refusal that names fields and repeats no value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from serving.document import read_document, safe_name
from serving.errors import FieldError, Invalid
from serving.messages import Batch
from serving.settings import Settings

M = TypeVar("M", bound=Batch)


def read_batch(body: bytes, settings: Settings, kind: type[M]) -> M:
    """The message in a body, or a refusal (`Malformed`, `Invalid`) that names fields and repeats no value."""
    document = read_document(body)
    refuse_too_many(document, settings)
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise Invalid.because([field_error(each) for each in error.errors(include_url=False, include_input=False)]) from None


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
