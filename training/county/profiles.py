"""Assumed profiles: how households are made up at the start, and the kinds of shocks. Part of the assumptions.

Like every number of `assumptions.py` these are invented for a plausible test bed, not estimated.
"""

from __future__ import annotations

from dataclasses import dataclass

SEASONS: dict[str, tuple[float, ...]] = {
    "even": (1.0,) * 12,
    # Stays and deaths peak in the cold months.
    "winter": (1.4, 1.3, 1.1, 0.95, 0.85, 0.8, 0.8, 0.8, 0.85, 0.95, 1.05, 1.15),
    # Floods and storms of the summer half-year, before the autumn harvest.
    "summer": (0.1, 0.1, 0.3, 0.7, 1.3, 2.2, 2.5, 2.2, 1.4, 0.7, 0.3, 0.2),
    # Employers settle, or fail to, before the spring festival.
    "new_year": (2.0, 1.2, 0.7, 0.7, 0.7, 0.8, 0.8, 0.8, 0.8, 0.9, 1.1, 1.5),
    # Certificates of admission arrive in August; the bill is due at once.
    "august": (0.0,) * 7 + (1.0,) + (0.0,) * 4,
}


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


TEMPLATES: tuple[Template, ...] = (
    Template("elder alone", 0.070, 0.060, (62, 84), 0.42),
    Template("elder couple", 0.110, 0.090, (61, 80), 0.92, (("spouse", -6, 2),)),
    Template("adult alone", 0.055, 0.090, (24, 57), 0.62),
    Template("couple", 0.100, 0.130, (27, 58), 0.88, (("spouse", -5, 3),)),
    Template("couple, one child", 0.130, 0.250, (26, 46), 0.88, (("spouse", -5, 2), ("child", -31, -24))),
    Template(
        "couple, two children",
        0.150,
        0.130,
        (28, 46),
        0.88,
        (("spouse", -5, 2), ("child", -29, -23), ("child", -35, -28)),
    ),
    Template("couple, grown child", 0.130, 0.110, (47, 59), 0.88, (("spouse", -5, 2), ("child", -29, -23))),
    Template("one parent", 0.035, 0.050, (28, 50), 0.40, (("child", -30, -23),)),
    Template("one parent, two children", 0.015, 0.012, (30, 48), 0.40, (("child", -29, -23), ("child", -34, -28))),
    Template(
        "three generations",
        0.120,
        0.050,
        (30, 48),
        0.90,
        (("spouse", -5, 2), ("child", -30, -24), ("parent", 23, 31)),
    ),
    Template(
        "large family",
        0.050,
        0.018,
        (32, 48),
        0.90,
        (("spouse", -5, 2), ("child", -29, -23), ("child", -34, -27), ("parent", 23, 30), ("parent", 22, 29)),
    ),
    Template("grandparents, grandchild", 0.035, 0.010, (58, 72), 0.85, (("spouse", -5, 2), ("other", -63, -52))),
)


@dataclass(frozen=True)
class ShockKind:
    """One kind of blow to a household.

    It strikes an exposed unit (`exposure`, see `shocks.exposures`) `yearly` times a year, after `season`. A blow of
    size 1 to an average household adds `weight` to its hazard in all, spread over the `length` months after it with
    the mode at `peak` months. `aided` is the share followed by aid, which takes away `relief` of what is still to
    come. `susceptible` is added to the log factor of households with the weakness named in `weakness`.
    """

    name: str
    exposure: str
    yearly: float
    weight: float
    peak: float
    length: int
    aided: float
    relief: float
    season: str = "even"
    family: str = "other"
    weakness: str = "none"
    susceptible: float = 0.0
    is_regional: bool = False


SHOCKS: tuple[ShockKind, ...] = (
    ShockKind("illness", "illness", 0.0155, 0.30, 7.0, 42, 0.45, 0.5, "winter", "medical", "low_buffer", 0.3),
    ShockKind("stay", "illness", 0.080, 0.026, 6.0, 30, 0.15, 0.5, "winter", "medical", "low_buffer", 0.3),
    ShockKind("chronic", "chronic", 0.018, 0.09, 9.0, 48, 0.25, 0.4, "even", "medical", "elders_alone", 0.3),
    ShockKind("disability", "disability", 0.0060, 0.42, 9.0, 48, 0.6, 0.4, "even", "disability", "elders_alone", 0.3),
    ShockKind("job_loss", "job_loss", 0.058, 0.26, 7.0, 42, 0.25, 0.5, "new_year", "work", "one_earner", 0.5),
    ShockKind("arrears", "earners", 0.009, 0.05, 4.0, 20, 0.2, 0.5, "new_year", "work", "one_earner", 0.4),
    ShockKind("injury", "earners", 0.0045, 0.20, 6.0, 30, 0.4, 0.5, "even", "work", "one_earner", 0.4),
    ShockKind("crop_loss", "farm", 0.075, 0.045, 6.0, 30, 0.3, 0.5, "summer", "disaster", "low_buffer", 0.3, True),
    ShockKind("market", "farm", 0.03, 0.03, 6.0, 30, 0.1, 0.5, "even", "disaster", "low_buffer", 0.3),
    ShockKind("house_loss", "house", 0.006, 0.20, 7.0, 36, 0.6, 0.5, "summer", "disaster", "low_buffer", 0.3, True),
    ShockKind("fire", "house", 0.003, 0.18, 7.0, 36, 0.5, 0.5, "even", "disaster", "low_buffer", 0.3),
    ShockKind("death", "mortality", 1.0, 0.12, 7.0, 36, 0.3, 0.4, "winter", "family", "one_earner", 0.4),
    ShockKind("divorce", "couple", 0.009, 0.12, 7.0, 36, 0.1, 0.4, "even", "family", "one_earner", 0.4),
    ShockKind("missing", "adults", 0.0004, 0.20, 6.0, 24, 0.3, 0.4, "even", "family", "one_earner", 0.4),
    ShockKind("admission", "turning_18", 0.55, 0.10, 6.0, 30, 0.35, 0.5, "august", "education", "low_buffer", 0.4),
    ShockKind("dropout", "teenagers", 0.010, 0.08, 6.0, 30, 0.2, 0.4, "even", "education", "low_buffer", 0.3),
    ShockKind("pension_stop", "pensioners", 0.009, 0.06, 5.0, 24, 0.2, 0.5, "even", "work", "elders_alone", 0.4),
)
