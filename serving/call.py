"""One checked call of `POST /score` and what is answered to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from serving.codec import AnyHousehold


@dataclass(frozen=True)
class Call:
    """Households to assess, and who asks for what.

    `actor` is the name made from the token, `request_id` our own number of the call, `body_sha256` the digest of the
    bytes that came in. `may_read_sealed`: the caller's role may see sealed wording.
    """

    households: Sequence[AnyHousehold]
    role: str
    actor: str
    purpose: str
    request_id: str
    body_sha256: str
    may_read_sealed: bool = False


@dataclass(frozen=True)
class Scored:
    """Assessments in the order asked, and whether they (and their tasks) are in the store."""

    records: list[dict[str, Any]]
    is_kept: bool
