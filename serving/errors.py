"""Every refusal of the service: one class each, its HTTP status inside.

    Refusal
    ├── Malformed          400  the body is not one JSON document
    ├── Unauthenticated    401  no token, or not one of ours
    ├── Forbidden          403  the role or the purpose is not allowed here
    ├── UnknownAddress     404
    ├── UnknownCase        404  no such assessment, or a code that opens nothing
    ├── WrongMethod        405
    ├── BodyTooSlow        408
    ├── Outdated           409  somebody else recorded a visit first
    ├── BodyTooLarge       413
    ├── NotJson            415
    ├── NotForm            415
    ├── Invalid            422  readable, but not a request that can be answered
    ├── KeyReused          422  an idempotency key of another request
    ├── TooManyCalls       429
    ├── Failed             500  our fault
    ├── Overdue            503  took too long, or is not ready
    ├── TooBusy            503  as many calls as this worker takes on are being answered
    ├── StoreAway          503  the store cannot be reached or written now
    └── NoStore            503  the service was started without a store

A refusal names fields and says what is allowed. It never carries a submitted value, so it may be sent, logged
and shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 100


class FieldError(NamedTuple):
    """One thing that is wrong: where, and what is allowed there."""

    path: tuple[str | int, ...]
    reason: str


class Refusal(Exception):
    """A request that gets no answer. `detail` is one sentence for a person; `errors` name the fields.

    >>> Invalid("1 field is wrong", [FieldError(("households", 0, "region"), "unknown region")]).as_json()["errors"]
    [{'path': ['households', 0, 'region'], 'reason': 'unknown region'}]
    """

    status: ClassVar[int]
    name: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self, detail: str, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    def as_json(self) -> dict[str, Any]:
        """The members of a problem document (RFC 9457)."""
        return {
            "type": f"urn:povrisk:problem:{self.name}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "errors": [{"path": list(e.path), "reason": e.reason} for e in self.errors[:MAX_ERRORS]],
        }

    def body(self) -> bytes:
        """The problem document as it is sent."""
        return json.dumps(self.as_json(), ensure_ascii=False).encode()


class Malformed(Refusal):
    """The body is not one JSON document."""

    status, name, title = 400, "malformed-json", "The body is not valid JSON"


class Unauthenticated(Refusal):
    """No token, or not one of ours."""

    status, name, title = 401, "unauthenticated", "A valid token is needed"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Refusal):
    """The role or the purpose is not allowed here."""

    status, name, title = 403, "forbidden", "Not allowed for this role or purpose"


class UnknownAddress(Refusal):
    """Nothing is served there."""

    status, name, title = 404, "unknown-address", "Nothing is served at this address"


class UnknownCase(Refusal):
    """No such assessment is kept, or a code opens nothing; both read the same, so that nobody learns which exist."""

    status, name, title = 404, "unknown-case", "No such assessment"

    def __init__(self, detail: str = "no assessment is kept under this name") -> None:
        super().__init__(detail)


class WrongMethod(Refusal):
    """The address exists, the method does not."""

    status, name, title = 405, "wrong-method", "Method not allowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(f"use {' or '.join(allowed)}", headers={"Allow": ", ".join(allowed)})


class BodyTooSlow(Refusal):
    """The body did not arrive in time; the connection is closed because its rest is still on the way."""

    status, name, title = 408, "body-too-slow", "The body did not arrive in time"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"a body must arrive within {seconds:g} s", headers={"Connection": "close"})


class Outdated(Refusal):
    """The task has moved on since the sender read it. `current_version` is where it stands now."""

    status, name, title = 409, "outdated", "Somebody else recorded a visit first"

    def __init__(self, current_version: int) -> None:
        reason = f"the task is at version {current_version} now; read it again, then send what is still true"
        super().__init__("the version of this report is out of date", [FieldError(("version",), reason)])
        self.current_version = current_version

    def as_json(self) -> dict[str, Any]:
        """The problem document with one more member, `current_version`."""
        return {**super().as_json(), "current_version": self.current_version}


class BodyTooLarge(Refusal):
    """More bytes than allowed."""

    status, name, title = 413, "body-too-large", "The body is too large"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"a body has at most {max_bytes} bytes; send the households in several calls")


class NotJson(Refusal):
    """Another media type than JSON in UTF-8."""

    status, name, title = 415, "not-json", "Only application/json is accepted"


class NotForm(Refusal):
    """Another media type than that of a form on a page."""

    status, name, title = 415, "not-a-form", "Only a form of our own pages is accepted"


class Invalid(Refusal):
    """JSON, but not a request that can be answered."""

    status, name, title = 422, "invalid", "The request cannot be answered as it stands"

    @classmethod
    def because(cls, errors: Sequence[FieldError]) -> Invalid:
        """The usual wording for a list of wrong fields.

        >>> Invalid.because([FieldError(("lang",), "zh or en")]).detail
        '1 problem in the request'
        """
        count = len(errors)
        if count >= MAX_ERRORS:
            return cls(f"{MAX_ERRORS} or more problems in the request; the first {MAX_ERRORS} are listed", errors)
        return cls(f"{count} problem{'s' if count != 1 else ''} in the request", errors)


class KeyReused(Refusal):
    """The idempotency key stands for another request already."""

    status, name, title = 422, "key-reused", "The idempotency key belongs to another request"

    def __init__(self) -> None:
        reason = "was sent before with another body or for another assessment; use a new key for a new request"
        super().__init__("the idempotency key was used before", [FieldError(("header", "Idempotency-Key"), reason)])


class TooManyCalls(Refusal):
    """More calls than this token may make."""

    status, name, title = 429, "too-many-calls", "Too many calls"


class Failed(Refusal):
    """A fault of the service itself."""

    status, name, title = 500, "failed", "The service failed"


class Overdue(Refusal):
    """Took too long, or is not ready."""

    status, name, title = 503, "unavailable", "No answer in time"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": "5"})


class TooBusy(Refusal):
    """This worker answers as many calls, or holds as many bytes, as it takes on at a time."""

    status, name, title = 503, "too-busy", "Too many calls at once"

    def __init__(self) -> None:
        super().__init__("nothing was read or computed; send the same again", headers={"Retry-After": "1"})


class StoreAway(Refusal):
    """The store is locked, absent or full. Scoring goes on meanwhile."""

    status, name, title = 503, "store-away", "The store cannot be used now"

    def __init__(self) -> None:
        super().__init__("nothing was read or recorded; ask the same again", headers={"Retry-After": "5"})


class NoStore(Refusal):
    """The service was started to score only."""

    status, name, title = 503, "no-store", "This service keeps no assessments"

    def __init__(self) -> None:
        super().__init__("the service was started with --store none: it scores, and keeps no assessments or visits")


class LoginNeeded(Exception):
    """A page asked for without a login; whoever asked is shown the way to it and back to `path`."""

    def __init__(self, path: str) -> None:
        super().__init__("a login is needed")
        self.path = path


def refusal_for(status: int) -> Refusal:
    """Our refusal in place of an error reply that a library made.

    >>> refusal_for(404).as_json()["title"], refusal_for(504).status, refusal_for(418).status
    ('Nothing is served at this address', 503, 500)
    """
    if status in (502, 503, 504):
        return Overdue("the service is not ready or did not answer in time; try again")
    plain: dict[int, Refusal] = {
        400: Malformed("the request could not be read"),
        404: UnknownAddress("the endpoints are listed in /docs.json"),
        415: NotJson("send application/json"),
        422: Invalid("the request could not be read"),
        429: TooManyCalls("try again later", headers={"Retry-After": "1"}),
    }
    return plain.get(status, Failed("the fault is logged; no result was computed"))
