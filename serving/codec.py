"""Bodies of `POST /score` read and written fast: typed structs straight from the bytes.

What is read here means exactly what `serving.reading.read_batch` makes of it. A body about which there is any doubt
goes there, and is answered or refused as that reader says: this file only knows "all fine" and "look closely".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, MsgspecError, Struct, field

from serving import messages
from serving.messages import MAX_MEMBERS
from serving.reading import read_batch
from serving.repeated_keys import may_repeat_a_key
from serving.settings import Settings

# Days and moments with every digit written as 0.
_SHAPE = re.compile(r"0000-00-00([T ]00:00(:00(\.0{1,6})?)?(Z|[+-]00:00)?)?")
_TO_SHAPE = str.maketrans("123456789", "0" * 9)
_FIRST_DAY, _DAY_AFTER_LAST = "1900-00-00", "2200-00-00"
Id = Annotated[str, Meta(min_length=1, max_length=128)]
Day = Annotated[str, Meta(min_length=10, max_length=10)]
Moment = Annotated[str, Meta(min_length=10, max_length=40)]
Tier = Literal["red", "orange", "yellow", "green", "grey"]


# Nothing here can be part of a cycle: the garbage collector need not look at thousands of events.
class Sent(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """What every struct keeps to. The fields are those of `serving.messages`, in the same order."""


class Member(Sent, frozen=True, kw_only=True, gc=False):
    """As `serving.messages.Member`."""

    person_id: Id
    birth_date: Day | None = None
    sex: Literal["F", "M"] | None = None
    role: Literal["head", "spouse", "child", "parent", "other"]
    joined_at: Moment
    left_at: Moment | None = None
    known_at: Moment | None = None


class Event(Sent, frozen=True, kw_only=True, gc=False):
    """As `serving.messages.Event`."""

    event_id: Id
    person_id: Id | None = None
    code: Annotated[str, Meta(min_length=1, max_length=60)]
    occurred_at: Moment
    known_at: Moment | None = None
    value: float | None = None
    unit: Annotated[str, Meta(max_length=20)] | None = None
    text: Annotated[str, Meta(max_length=2000)] | None = None
    source: Annotated[str, Meta(min_length=1, max_length=100)]
    # By a factory, because a default that is a plain value would be left out of the document.
    status: Literal["original", "corrected", "retracted"] = field(default_factory=lambda: "original")
    supersedes: Id | None = None


class LastRun(Sent, frozen=True, kw_only=True, gc=False):
    """As `serving.messages.LastRun`."""

    as_of: Moment
    tier: Tier
    tier_computed: Tier


class Household(Sent, frozen=True, kw_only=True, gc=False):
    """As `serving.messages.Household`."""

    household_id: Id
    as_of: Moment
    region: Annotated[str, Meta(min_length=1, max_length=100)]
    residence: Literal["rural", "town", "city"]
    township: Annotated[str, Meta(max_length=200)] | None = None
    previous: LastRun | None = None
    members: Annotated[list[Member], Meta(max_length=MAX_MEMBERS)]
    events: list[Event]


class Batch(Sent, frozen=True, kw_only=True, gc=False):
    """As `serving.messages.Batch`."""

    households: Annotated[list[Household], Meta(min_length=1)]


# A household as it was sent, whichever reader read it: the same attributes with the same values.
AnyHousehold: TypeAlias = Household | messages.Household
AnyMember: TypeAlias = Member | messages.Member
AnyEvent: TypeAlias = Event | messages.Event

_DECODER = msgspec.json.Decoder(Batch)
_ENCODER = msgspec.json.Encoder()


def read(body: bytes, settings: Settings) -> Sequence[AnyHousehold]:
    """The households in a body. Raises `Malformed` or `Invalid`, as `serving.reading.read_batch` does.

    >>> read(b'{"households": [{"household_id": "h", "as_of": "2026-11-01", "region": "demo", "residence": "rural",'
    ...      b' "members": [], "events": []}]}', Settings())[0].region
    'demo'
    """
    households = read_if_plain(body, settings)
    return read_batch(body, settings, messages.Batch).households if households is None else households


def read_if_plain(body: bytes, settings: Settings) -> Sequence[Household] | None:
    """The households in a body that is in order beyond doubt, otherwise None."""
    if may_repeat_a_key(body):
        return None
    try:
        households = _DECODER.decode(body).households
    except (MsgspecError, ValueError, RecursionError):
        return None
    if len(households) > settings.max_households or sum(len(h.events) for h in households) > settings.max_events:
        return None
    # What is printable holds no control characters, and none that turn the writing direction around.
    if not "".join(_ids(households)).isprintable():
        return None
    return households if _are_moments(_moments(households)) else None


def document_of(household: AnyHousehold) -> dict[str, Any]:
    """The household as it is kept: ready for JSON, without fields that hold nothing.

    It is the same for both readers. Raises `ValueError` for a number that JSON does not know.
    """
    if isinstance(household, messages.Household):
        return household.model_dump(mode="json", exclude_none=True)
    document: dict[str, Any] = msgspec.to_builtins(household)
    return document


def written(records: Sequence[Mapping[str, Any]]) -> bytes:
    """The body of an answer with these assessments. Raises `TypeError` for what is no JSON, as numbers of numpy.

    >>> written([{"tier": "grey", "per_100": None}])
    b'{"results":[{"tier":"grey","per_100":null}]}'
    """
    return _ENCODER.encode({"results": records})


def _ids(households: Sequence[Household]) -> Iterator[str]:
    """Every id; those that come again and again in a household once."""
    for household in households:
        yield household.household_id
        yield from [event.event_id for event in household.events]
        named = {member.person_id for member in household.members}
        yield from named.union(
            filter(None, {event.person_id for event in household.events}),
            filter(None, {event.supersedes for event in household.events}),
        )


def _moments(households: Sequence[Household]) -> set[str]:
    """Every distinct text that stands for a day or a moment."""
    found: set[str | None] = set()
    for household in households:
        found.add(household.as_of)
        if household.previous is not None:
            found.add(household.previous.as_of)
        found.update([event.occurred_at for event in household.events], [event.known_at for event in household.events])
        for member in household.members:
            found.update((member.joined_at, member.left_at, member.known_at, member.birth_date))
    return set(filter(None, found))


def _are_moments(texts: Collection[str]) -> bool:
    """Whether all texts are written as days or moments from 1900 to 2199. Whether there is such a day is not asked.

    >>> _are_moments({"2026-11-01", "1999-02-30 10:30:00.5+08:00"}), _are_moments({"2026-11"})
    (True, False)
    """
    shapes = "\n".join(texts).translate(_TO_SHAPE).split("\n")
    are_written_so = len(shapes) == len(texts) and all(map(_SHAPE.fullmatch, set(shapes)))
    return are_written_so and min(texts) >= _FIRST_DAY and max(texts) < _DAY_AFTER_LAST
