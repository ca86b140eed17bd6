"""The form of assumptions: how a household starts, what a blow does, what follows one. The numbers stand elsewhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Template:
    """A household at the start: share among rural and other households, ages of the head, further members.

    `members` holds (role, youngest, oldest) with ages relative to the head's; `head_is_man` is the share of men.
    """

    name: str
    rural_share: float
    urban_share: float
    head_age: tuple[float, float]
    head_is_man: float
    members: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True)
class ShockKind:
    """One kind of blow to a household.

    It strikes an exposed unit (`exposure`, see `shocks.exposures`) `yearly` times a year, after `season`. A blow of
    size 1 to an average household adds `weight` to its hazard in all, spread over the `length` months after it with
    the mode at `peak` months. `aided` is the share followed by aid, which takes away `relief` of what is still to
    come. `susceptible` is added to the log factor of households with the weakness named in `weakness`. A kind
    with a `regional` share comes over whole townships and then hits that share of their exposed households.
    """

    name: str
    exposure: str
    yearly: float
    weight: float
    peak: float
    length: int
    aided: float
    relief: float
    season: str
    family: str
    weakness: str
    susceptible: float
    regional: float = 0.0


@dataclass(frozen=True)
class Trace:
    """Something that happens to any household `yearly` times a year, and follows this share of blows of size 1.

    `wait` is the range of months between the blow and it, both included.
    """

    yearly: float
    after: float
    wait: tuple[int, int]
