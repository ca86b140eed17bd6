"""Losses by disaster and accident. Every household in the county is covered by these reports."""

from __future__ import annotations

from features.definition import Absent, Direction, Feature, Group, Measure, Text, over_windows
from features.unit import Unit
from features.window import last

_SEEN_BY_ANYONE = ("*",)

FEATURES: tuple[Feature, ...] = (
    *over_windows(
        "disasters",
        Text("受灾和意外事故次数", "disasters and accidents"),
        (3, 6, 12, 24),
        group=Group.DISASTER,
        measure=Measure.COUNT,
        unit=Unit.COUNT,
        codes=("DST//*",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 20.0),
        direction=Direction.MORE_IS_WORSE,
    ),
    *over_windows(
        "rooms_damaged",
        Text("住房倒损间数", "rooms damaged or collapsed"),
        (12,),
        group=Group.DISASTER,
        measure=Measure.SUM,
        unit=Unit.COUNT,
        codes=("DST//HOUSE_LOSS",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 100.0),
        direction=Direction.MORE_IS_WORSE,
    ),
    *over_windows(
        "persons_resettled",
        Text("紧急转移安置人数", "members moved to safety"),
        (12,),
        group=Group.DISASTER,
        measure=Measure.SUM,
        unit=Unit.COUNT,
        codes=("DST//RELOCATE",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 100.0),
        direction=Direction.MORE_IS_WORSE,
    ),
    *over_windows(
        "crop_loss_amount",
        Text("种植养殖受灾损失合计", "loss of crops and herds"),
        (12, 24),
        group=Group.DISASTER,
        measure=Measure.SUM,
        unit=Unit.MONEY,
        codes=("DST//CROP_LOSS",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 5_000_000.0),
        direction=Direction.MORE_IS_WORSE,
    ),
    *over_windows(
        "fire_loss_amount",
        Text("火灾和意外损失合计", "loss by fire and accident"),
        (12,),
        group=Group.DISASTER,
        measure=Measure.SUM,
        unit=Unit.MONEY,
        codes=("DST//FIRE",),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 10_000_000.0),
        direction=Direction.MORE_IS_WORSE,
    ),
    Feature(
        "disaster_months_since_24m",
        Text("距最近一次受灾或意外的时间（两年内）", "time since the latest disaster or accident, up to two years"),
        Group.DISASTER,
        Measure.MONTHS_SINCE,
        Unit.MONTHS,
        codes=("DST//*",),
        window=last(months=24),
        when_absent=Absent.KNOWN_NONE,
        linked_by=_SEEN_BY_ANYONE,
        bounds=(0.0, 24.0),
        direction=Direction.MORE_IS_BETTER,
    ),
)
