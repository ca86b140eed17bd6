"""What the tutorial services take and give: pydantic models, as BentoML's documentation declares them."""

from __future__ import annotations

from pydantic import BaseModel


class Member(BaseModel):
    """Someone of the household."""

    person_id: str
    birth_date: str | None = None
    sex: str | None = None
    role: str
    joined_at: str
    left_at: str | None = None
    known_at: str | None = None


class Event(BaseModel):
    """Something on record."""

    event_id: str
    person_id: str | None = None
    code: str
    occurred_at: str
    known_at: str | None = None
    value: float | None = None
    unit: str | None = None
    text: str | None = None
    source: str
    status: str = "original"
    supersedes: str | None = None


class Household(BaseModel):
    """The household of `POST /score`, with its fields declared and nothing checked beyond their types."""

    household_id: str
    as_of: str
    region: str
    residence: str | None = None
    township: str | None = None
    members: list[Member]
    events: list[Event]


class Vector(BaseModel):
    """A household whose features somebody else has made already; one that is unknown is left out."""

    household_id: str
    features: dict[str, float]


class Contribution(BaseModel):
    """One feature, its value, and what it adds to the log-odds."""

    feature: str
    value: float | None
    contribution: float


class Prediction(BaseModel):
    """All that the tutorial service says."""

    household_id: str
    probability: float
    contributions: list[Contribution]
